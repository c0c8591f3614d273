"""On the paper's tables the checker finds every inconsistency that their numbers can decide, and nothing else.

The list was made by hand, before the checker, with the paper beside it: N1 to N7 on numbers, T1 to T7 on what the text makes of them, M1 to M12 on
data and wording. Here each is either found, by one finding or several, or said not to be decidable from the numbers, with the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmark.cli import app
from benchmark.consistency.check import TableCheck, check_files
from benchmark.consistency.findings import Finding
from benchmark.places import shipped

Place = tuple[str, str, str, str]
"""check, or the id of an entry in claims.toml; table; what the line is about; number"""

FOUND: dict[str, list[Place]] = {
    "N1": [("sides_of_totals", "fig3, table2a, table2b, table2c", "", "total")],
    "N2": [("final-score", "fig3, table2a, table2b, table2c", "", "total")],
    "N3": [("averages", "table1", "Average, CvT-DistilGPT2", "precision")],
    "N4a": [("f1", "table3", "Mass, base", "f1")],
    "N4b": [("f1", "table3", "Infiltration, base", "f1")],
    "N4c": [("f1", "table3", "Pleural thickening, llcl_only", "f1")],
    "N4d": [("f1", "table3", "Pneumothorax, lca_only", "f1")],
    "N5": [("kind_of_average", name, "", "f1") for name in ("table1", "table3", "table4")],
    "N7": [
        ("soft-hint-lesions", "fig3, table3", "", "f1"),
        ("soft-hint-quality", "fig3, table2b", "", "clinical_accuracy, findings_completeness, green, f1_radgraph, rouge_l"),
    ],
    "T1": [("both-precision-recall", "table3", "Average", "precision")],
    "T2": [
        (
            "llcl-alone-lesions",
            "table3",
            "Cardiomegaly, Atelectasis, Mass, Edema, Consolidation, Infiltration, Pleural effusion, Pneumonia",  # six lower, two equal
            "f1",
        )
    ],
    "T3": [("lca-alone-effusion", "table3", "Pleural effusion", "precision")],
    "T4": [("four-lesions-ahead", "table1", "Pleural effusion, Atelectasis", "f1")],
    "T5": [("best-on-most-lesions", "table1", "Hernia, Nodule, Cardiomegaly, Pleural effusion, Atelectasis", "f1")],
    "T6": [("rouge-comparable", "table2a", "", "rouge_l")],
    # The text speaks of consistent gains in all three factors; at 384 pixels precision has none either.
    "T7": [("regions", "table5", "", "recall, meteor"), ("resolution", "table5", "", "precision")],
}

NOT_DECIDABLE = {
    "N6": "two sentences on where the label F1 of 0.43 is from; the tables print 0.43 nowhere, and no number says whose labels they are",
    "M1": "a count of studies in the prose; no table counts studies",
    "M2": "a count of studies in the prose; no table counts studies",
    "M3": "what boxes are about, in words",
    "M4": "how the split was made, in words; the tables print no counts of a split",
    "M5": "a result that is announced and not printed: there is no number to check",
    "M6": "spellings of names",
    "M7": "which network a citation means",
    "M8": "what another model can do, in words",
    "M9": "training settings in the prose, with two readings",
    "M10": "which classes a labeller knows is not in the table: its two lines of zeros would also be a model that never finds them",
    "M11": "a name that is missing in the prose",
    "M12": "which images other models were trained on needs the splits of two datasets",
}


@pytest.fixture(scope="module")
def paper() -> TableCheck:
    return check_files([shipped("results", "reported")])


def place(finding: Finding) -> Place:
    return (finding.id or finding.check, finding.table, finding.row, finding.number)


def finding_of(paper: TableCheck, name: str) -> Finding:
    """The only finding of an id."""
    (wanted,) = FOUND[name]
    return next(finding for finding in paper.findings if place(finding) == wanted)


def test_every_id_of_the_list_is_either_found_or_said_not_to_be_decidable() -> None:
    numbers = [f"N{n}" for n in (1, 2, 3, "4a", "4b", "4c", "4d", 5, 6, 7)]
    assert sorted([*FOUND, *NOT_DECIDABLE]) == sorted([*numbers, *(f"T{n}" for n in range(1, 8)), *(f"M{n}" for n in range(1, 13))])


@pytest.mark.parametrize("name", FOUND)
def test_an_inconsistency_that_the_numbers_decide_is_found(paper: TableCheck, name: str) -> None:
    assert set(FOUND[name]) <= {place(finding) for finding in paper.findings}


def test_nothing_is_found_that_no_id_explains(paper: TableCheck) -> None:
    assert Counter(place(finding) for finding in paper.findings) == Counter(place for places in FOUND.values() for place in places)


def test_what_contradicts_nothing_is_a_note(paper: TableCheck) -> None:
    """Which mean an average is, and that axes are cut off, is to be known; that a claim on most lesions has exceptions, too."""
    notes = [place(finding) for finding in paper.findings if finding.is_note]
    assert sorted(notes) == sorted(one for name in ("N1", "N5", "T5") for one in FOUND[name])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("N1", ["14 of 14 distinct totals", "+0.01 in 12, +0.02 in 2", "cut off"]),
        ("N2", ["not the mean in 17 of 17 lines", "is the sum in 17 of those"]),  # 10 + 4 + 2 lines, and the point of Figure 3 that is the main model
        ("N3", ["0.47", "14 rows", "0.462"]),
        ("N4a", ["0.23", "P 0.66 and R 0.15", "0.24 to 0.25"]),
        ("N4b", ["0.22", "P 0.16 and R 0.43", "0.23 to 0.24"]),
        ("N4c", ["0.10", "P 0.28 and R 0.07", "0.11 to 0.12"]),
        ("N4d", ["0.48", "P 0.50 and R 0.50", "0.49 to 0.51"]),
        ("T1", ["Average precision 0.41 against 0.41 (base)", "0.409 against 0.415"]),
        ("T2", ["holds in 6 of 14", "Mass f1 0.02 against 0.23 (base)"]),
        ("T3", ["0.72 against 0.72 (base)"]),
        ("T4", ["0.72 against 0.72 (RaDialog)", "0.59 against 0.59 (RGRG)", "by +0.01 to +0.03"]),  # edema .55 and .54, pneumothorax .48 and .45
        ("T5", ["holds in 9 of 14", "0.48 (LLaVA-Rad)", "0.23 (LLaVA-Rad), 0.19 (RaDialog)", "0.64 (RaDialog), 0.64 (LLaVA-Rad)"]),
        ("T6", ["rank 7 of 10", "0.282 (TSGET), 0.271 (R2Gen), 0.240 (RaDialog), 0.232 (RGRG), 0.223 (LLaVA-Rad), 0.219 (CvT-DistilGPT2)"]),
    ],
)
def test_a_finding_says_the_numbers_that_the_list_says(paper: TableCheck, name: str, said: list[str]) -> None:
    for words in said:
        assert words in finding_of(paper, name).says


def test_the_two_means_of_an_average_f1_are_told_with_the_harmonic_one(paper: TableCheck) -> None:
    """The list: base 0.383, RGRG 0.291 as harmonic means, and neither is printed."""
    harmonic = {finding.table: finding.expected for finding in paper.findings if finding.check == "kind_of_average"}
    assert harmonic == {"table1": "0.291", "table3": "0.383", "table4": "0.335"}


def test_everything_is_looked_at_that_the_tables_hold(paper: TableCheck) -> None:
    """Counted by hand: ten models, four variants, two kinds of labels on 14 lesions; six lines of Table 5; the main model's point in Figure 3."""
    assert paper.counts["f1"] == 14 * (10 + 4 + 2) + 6 + 1
    assert paper.counts["averages"] == 3 * (10 + 4 + 2)
    assert paper.counts["totals"] == 10 + 4 + 2 + 1
    assert paper.counts["sides_of_totals"] == 14
    assert {table.name for table in paper.tables} == {"fig3", "table1", "table2a", "table2b", "table2c", "table3", "table4", "table5"}
    assert not [told.claim.id for told in paper.told if told.missing]


def test_the_main_model_prints_the_same_in_every_table(paper: TableCheck) -> None:
    """Counted by hand, each print against the first: by lesion; on average (P, R, F1, and quality where two lines have it); by report quality."""
    by_lesion = 2 * 15 * 3
    on_average = (3 + 1) * 3 + (2 + 1) * 5
    by_quality = 2 * 9 + (3 * 5 + 2 * 3) + (9 + 3)
    assert paper.counts["same"] == by_lesion + on_average + by_quality
    assert not [finding for finding in paper.findings if finding.check == "same"]


def test_no_claim_says_by_itself_whether_it_holds() -> None:
    text = shipped("results", "reported", "claims.toml").read_text(encoding="utf-8")
    assert "printed_as" not in text
    assert "verdict" not in text


def test_the_command_on_the_paper_exits_with_one_and_writes_what_it_found(tmp_path: Path, paper: TableCheck) -> None:
    from typer.testing import CliRunner

    answer = CliRunner().invoke(app, ["check-tables", "--json", str(tmp_path / "found.json")])
    assert answer.exit_code == 1, answer.output
    assert "15 inconsistencies, 5 notes" in answer.stdout
    assert "26 claims: hold 17, tie in print 4, fail 5" in answer.stdout
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["faults"] == 15
    assert [found["says"] for found in written["findings"]] == [finding.says for finding in paper.findings]
    assert {claim["id"]: claim["verdict"] for claim in written["claims"]}["regions"] == "fails"
    assert written["checked"]["f1"]["count"] == paper.counts["f1"]


def test_some_of_the_tables_can_be_checked_alone() -> None:
    """Claims about tables that are not given are not given either."""
    check = check_files([shipped("results", "reported", "table4.csv"), shipped("results", "reported", "table2c.csv")])
    verdicts = Counter(told.verdict for told in check.told)
    assert verdicts == {"holds": 2, "not given": 24}
    assert {finding.check for finding in check.findings} == {"kind_of_average", "definitions"}
