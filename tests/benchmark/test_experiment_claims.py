"""Claims of the paper against numbers measured here: verdicts at their boundaries, what is not there, and what the sentences say."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.experiments.claim_sentences import COLUMNS, claims_csv, claims_table, said_here, said_in_print, sentence, with_verdicts
from benchmark.experiments.claims import Verdict, claims_in_print, pairs_of_claims, verdicts
from benchmark.experiments.definitions import Experiment, Line, read_definitions
from benchmark.experiments.layouts import table_of
from benchmark.experiments.numbers import Numbers
from benchmark.records import Row
from benchmark.tables.markdown import markdown
from benchmark.tables.table import NOT_RUN, Number
from benchmark.vocabulary import LESIONS

NAN = math.nan
SIGNATURES = {
    "lesions": "lesions|labeller:(rules|v1)|v1",
    "meteor": "meteor|v1",
    "rouge_l": "rouge_l|v1",
    "consistency": "consistency|judge:rules|v1",
}
TABLE3 = Experiment(
    "table3",
    "Table 3",
    "Lesions",
    "lesions",
    (
        Line("base", {"config": "base"}),
        Line("llcl", {"config": "llcl_only"}),
        Line("lca", {"config": "lca_only"}),
        Line("main", {"config": "llcl_lca"}),
    ),
    (("llcl", "base"),),
    "table3",
)
Difference = tuple[float, float, float, float | None]
"""value, low, high, p"""


def numbers(differences: Mapping[tuple[str, str], Difference], metric: str = "lesions", *, seeds: Sequence[float] = ()) -> Numbers:
    """``differences``: pair and value name -> what was measured; the arms themselves have some number each."""
    arms = list(dict.fromkeys(arm for pair, _ in differences for arm in pair.split(" - ")))
    names = list(dict.fromkeys(name for _, name in differences))
    rows = [Row(arm, metric, name, 0.5, 0.4, 0.6, 60, 0, SIGNATURES[metric]) for arm in arms for name in names]
    compared = [Row(pair, metric, name, *ends, 60, 0, SIGNATURES[metric], p_value=p) for (pair, name), (*ends, p) in differences.items()]
    by_seed = {(pair, metric, name): tuple(seeds) for pair, name in differences} if seeds else {}
    return Numbers(tuple(rows), tuple(compared), by_seed, {}, {"base": "Neither", "llcl": "LLCL only"}, note="Drawn phantoms, not patients.")


def claim(folder: Path, **changes: str) -> Path:
    """A file with one claim, on the average F1 of Table 3; ``changes`` in the words of TOML."""
    entry = {
        "id": '"mine"',
        "table": '"table3"',
        "where": '"Table 3"',
        "says": '"LLCL alone raises it."',
        "first": '{config = "llcl_only"}',
        "second": '{config = "base"}',
        "rows": '["Average"]',
        "numbers": '["f1"]',
        "relation": '"higher"',
    }
    path = folder / "claims.toml"
    path.write_text("[[claim]]\n" + "\n".join(f"{key} = {value}" for key, value in {**entry, **changes}.items() if value), encoding="utf-8")
    return path


def judged(path: Path, measured: Numbers, experiment: Experiment = TABLE3, *others: Experiment) -> Verdict:
    (found,) = verdicts(claims_in_print(path), experiment, measured, others)
    return found


@pytest.mark.parametrize(
    ("relation", "difference", "here"),
    [
        ("higher", (0.05, 0.001, 0.1, 0.04), "holds"),
        ("higher", (0.05, 0.0, 0.1, 0.05), "cannot be told"),  # touches zero
        ("higher", (0.05, 0.001, 0.1, 0.06), "cannot be told"),  # interval and test disagree
        ("higher", (0.05, 0.001, 0.1, None), "cannot be told"),  # no test
        ("higher", (-0.05, -0.1, -0.001, 0.04), "does not hold"),
        ("higher", (-0.05, -0.1, 0.0, 0.05), "cannot be told"),
        ("higher", (0.0, 0.0, 0.0, 1.0), "cannot be told"),  # two arms that wrote the same
        ("higher", (0.05, NAN, NAN, None), "cannot be told"),
        ("lower", (0.05, 0.001, 0.1, 0.04), "does not hold"),
        ("lower", (-0.05, -0.1, -0.001, 0.04), "holds"),
        ("not_lower", (0.05, 0.0, 0.1, 0.05), "holds"),  # nowhere below zero
        ("not_lower", (0.0, 0.0, 0.0, 1.0), "holds"),
        ("not_lower", (0.05, -0.001, 0.1, 0.06), "cannot be told"),
        ("not_lower", (0.05, 0.001, 0.1, 0.4), "holds"),  # p has no say
        ("not_lower", (-0.05, -0.1, -0.001, 0.04), "does not hold"),
        ("not_lower", (-0.05, -0.1, -0.001, 0.06), "cannot be told"),
    ],
)
def test_one_difference_decides_by_its_interval(tmp_path, relation, difference, here):
    measured = numbers({("llcl - base", "macro_f1"): difference})
    assert judged(claim(tmp_path, relation=f'"{relation}"'), measured).here == here


def test_a_difference_that_was_measured_the_other_way_round_serves(tmp_path):
    measured = numbers({("base - llcl", "macro_f1"): (-0.05, -0.08, -0.02, 0.01)}, seeds=(-0.04, -0.06))
    found = judged(claim(tmp_path), measured)
    assert (found.here, said_here(found)) == ("holds", "+0.050 [+0.020, +0.080], seeds +0.040 +0.060")


def test_the_sentence_has_claim_print_and_difference(tmp_path):
    """Table 3 prints 0.33 for LLCL alone and 0.31 for the base."""
    measured = numbers({("llcl - base", "macro_f1"): (0.03, -0.1, 0.16, 0.6)}, seeds=(0.1, -0.04))
    assert sentence(judged(claim(tmp_path), measured)) == (
        "LLCL alone raises it. In print it holds (0.33 against 0.31). "
        "Here, LLCL only − Neither, it cannot be told: +0.030 [-0.100, +0.160], seeds +0.100 -0.040."
    )


def test_with_one_seed_no_seeds_are_listed(tmp_path):
    measured = numbers({("llcl - base", "macro_f1"): (0.03, -0.1, 0.16, 0.6)}, seeds=(0.03,))
    assert said_here(judged(claim(tmp_path), measured)) == "+0.030 [-0.100, +0.160]"


@pytest.mark.parametrize(
    ("p_values", "here"),
    [
        ((0.01, 0.04), "holds"),  # by Holm 0.02 and 0.04
        ((0.03, 0.04), "cannot be told"),  # by Holm 0.06 and 0.06, though both intervals exclude zero
        ((0.01, None), "cannot be told"),
    ],
)
def test_several_differences_are_corrected_within_the_claim(tmp_path, p_values, here):
    both = {("llcl - base", name): (0.05, 0.01, 0.09, p) for name, p in zip(("macro_precision", "macro_recall"), p_values, strict=True)}
    assert judged(claim(tmp_path, numbers='["precision", "recall"]'), numbers(both)).here == here


def test_one_clear_number_the_other_way_is_enough_against_a_claim_on_all(tmp_path):
    """Precision up, recall down by Holm's 0.02; F1 open: p by Holm 0.02, 0.03 (of 0.01 twice corrected in order), 0.5."""
    three = {
        ("llcl - base", "macro_precision"): (0.05, 0.01, 0.09, 0.01),
        ("llcl - base", "macro_recall"): (-0.05, -0.09, -0.01, 0.006),
        ("llcl - base", "macro_f1"): (0.01, -0.02, 0.04, 0.5),
    }
    found = judged(claim(tmp_path, numbers='["precision", "recall", "f1"]'), numbers(three))
    assert found.here == "does not hold"
    assert said_here(found) == "higher in 2 of 3, 1 clearly (P); lower in 1 of 3, 1 clearly (R)"
    assert [round(one.p_holm, 3) for one in found.comparisons] == [0.02, 0.018, 0.5]


def by_lesion(up: int, down: int, p: float = 0.0001, *, absent: int = 0) -> Numbers:
    """So many lesions clearly up, so many clearly down, some that occur nowhere, the rest open."""
    found: dict[tuple[str, str], Difference] = {}
    for place, lesion in enumerate(LESIONS):
        ends = (0.1, 0.05, 0.15, p) if place < up else (-0.1, -0.15, -0.05, p) if place < up + down else (0.01, -0.1, 0.12, 0.8)
        found["llcl - base", f"{lesion}.f1"] = (NAN, NAN, NAN, NAN) if place >= len(LESIONS) - absent else ends
    return numbers(found)


@pytest.mark.parametrize(
    ("up", "down", "here"), [(8, 0, "holds"), (7, 0, "cannot be told"), (7, 6, "cannot be told"), (0, 7, "does not hold"), (8, 6, "holds")]
)
def test_most_is_more_than_half(tmp_path, up, down, here):
    path = claim(tmp_path, rows='"each lesion"', quantifier='"most"')
    assert judged(path, by_lesion(up, down)).here == here


def test_a_lesion_that_occurs_nowhere_is_left_out_and_named(tmp_path):
    found = judged(claim(tmp_path, rows='"each lesion"'), by_lesion(12, 0, absent=2))
    assert found.here == "holds"
    assert said_here(found) == "higher in 12 of 12, all clearly; nothing to count for Fibrosis, Pneumonia"


def test_counts_say_how_many_go_which_way_and_which_of_them_clearly(tmp_path):
    """14 lesions: 2 up and 1 down clearly, 11 up by a little."""
    found = judged(claim(tmp_path, rows='"each lesion"'), by_lesion(2, 1))
    assert said_here(found) == "higher in 13 of 14, 2 clearly (Cardiomegaly, Emphysema); lower in 1 of 14, 1 clearly (Pleural effusion)"


def test_against_all_others_each_must_be_behind(tmp_path):
    path = claim(tmp_path, first='{config = "llcl_lca"}', second='"all others"')
    ahead = (0.1, 0.05, 0.15, 0.001)
    all_three = {(f"main - {arm}", "macro_f1"): ahead for arm in ("base", "llcl", "lca")}
    assert judged(path, numbers(all_three)).here == "holds"
    two = {key: value for key, value in all_three.items() if "lca" not in key[0]}
    found = judged(path, numbers(two))
    assert found.here == "cannot be told"
    assert said_here(found) == "higher than 2 of 2, all clearly (Neither, LLCL only); not measured: LCA only"
    behind = {**two, ("main - base", "macro_f1"): (-0.1, -0.15, -0.05, 0.001)}
    assert judged(path, numbers(behind)).here == "does not hold"


def test_comparable_is_not_lower_than_at_least_half(tmp_path):
    path = claim(tmp_path, first='{config = "llcl_lca"}', second='"all others"', relation='"comparable"')

    def against(*ends: Difference) -> str:
        return judged(path, numbers({(f"main - {arm}", "macro_f1"): one for arm, one in zip(("base", "llcl", "lca"), ends, strict=True)})).here

    up, down, open_ = (0.1, 0.05, 0.15, 0.001), (-0.1, -0.15, -0.05, 0.001), (0.0, -0.1, 0.1, 0.9)
    assert against(up, up, down) == "holds"
    assert against(up, down, down) == "does not hold"
    assert against(up, open_, down) == "cannot be told"


@pytest.mark.parametrize("relation", ["not_lower", "comparable"])
def test_a_tie_is_not_lower_however_many_are_compared(tmp_path, relation):
    path = claim(tmp_path, first='{config = "llcl_lca"}', second='"all others"', relation=f'"{relation}"')
    tie = (0.0, 0.0, 0.0, 1.0)
    found = judged(path, numbers({(f"main - {arm}", "macro_f1"): tie for arm in ("base", "llcl", "lca")}))
    assert (found.here, said_here(found)) == ("holds", "equal to 3 of 3")


TABLE2A = Experiment(
    "table2a",
    "Table 2a",
    "Models",
    "quality",
    tuple(Line(name.lower(), {"model": name}) for name in ("CLALA-Net", "CvT-DistilGPT2", "R2Gen", "RGRG", "TSGET")),
    (),
    "table2a",
)


@pytest.mark.parametrize(
    ("lows", "highs", "here"),
    [
        ((0.10, 0.05, -0.02, -0.30), (0.2, 0.2, 0.2, -0.1), "holds"),  # the median of the lower ends is 0.015
        ((0.05, 0.05, -0.15, -0.15), (0.2, 0.2, -0.05, -0.05), "cannot be told"),  # -0.05 and 0.075: two of four are ahead, two behind
        ((0.05, -0.15, -0.20, -0.30), (0.1, -0.12, -0.1, -0.2), "does not hold"),  # that of the upper ends is -0.11
    ],
)
def test_comparable_to_four_is_by_their_median_as_in_print(tmp_path, lows, highs, here):
    """In print a number is comparable if it is not below the median of the others, of four the mean of the two in the middle."""
    path = claim(
        tmp_path,
        table='"table2a"',
        first='{model = "CLALA-Net"}',
        second='[{model = "CvT-DistilGPT2"}, {model = "R2Gen"}, {model = "RGRG"}, {model = "TSGET"}]',
        rows="",
        numbers='["rouge_l"]',
        relation='"comparable"',
    )
    others = ("cvt-distilgpt2", "r2gen", "rgrg", "tsget")
    ends = {(f"clala-net - {other}", "f1"): ((low + high) / 2, low, high, 0.001) for other, low, high in zip(others, lows, highs, strict=True)}
    assert judged(path, numbers(ends, "rouge_l"), TABLE2A).here == here


def test_of_several_rows_against_several_others_one_is_clear_if_all_its_differences_are(tmp_path):
    path = claim(tmp_path, first='{config = "llcl_lca"}', second='[{config = "base"}, {config = "llcl_only"}]', rows='["Mass", "Edema"]')
    clear, open_, behind = (0.1, 0.05, 0.15, 0.001), (0.01, -0.1, 0.12, 0.8), (-0.1, -0.15, -0.05, 0.001)
    four = {(f"main - {arm}", f"{lesion}.f1"): clear for arm in ("base", "llcl") for lesion in ("mass", "edema")}
    found = judged(path, numbers({**four, ("main - llcl", "mass.f1"): open_}))
    assert (found.here, said_here(found)) == ("cannot be told", "higher than all of the printed others that were run in 2 of 2, 1 clearly (Edema)")
    found = judged(path, numbers({**four, ("main - llcl", "mass.f1"): behind}))
    assert found.here == "does not hold"
    assert said_here(found) == (
        "higher than all of the printed others that were run in 1 of 2, 1 clearly (Edema); lower than one of them in 1 of 2, 1 clearly (Mass)"
    )


def test_arms_and_numbers_that_were_not_measured_are_said_to_be_so(tmp_path):
    nothing = judged(claim(tmp_path), Numbers((), (), {}, {}))
    assert (nothing.here, said_here(nothing)) == ("cannot be told", "not measured")
    assert "Here it cannot be told: not measured." in sentence(nothing)
    some = numbers({("llcl - base", "macro_recall"): (0.05, 0.01, 0.09, 0.01)})
    found = judged(claim(tmp_path, numbers='["precision", "recall"]'), some)
    assert (found.here, said_here(found)) == ("cannot be told", "higher in 1 of 1, 1 clearly (R); not measured: P")


def test_a_claim_may_compare_with_an_arm_of_another_table(tmp_path):
    """Figure 3 prints F1 0.23 for labels at 0.20, Table 3 an average of 0.31 for the base."""
    figure = Experiment("figure3", "Figure 3", "Curve", "curve", (Line("told_020", {"label_f1": "0.20"}),), (), "fig3")
    path = claim(
        tmp_path,
        table='"fig3"',
        first='{label_f1 = "0.20"}',
        second='{table = "table3", config = "base", lesion = "Average"}',
        rows="",
        relation='"not_lower"',
    )
    found = judged(path, numbers({("told_020 - base", "macro_f1"): (-0.1, -0.15, -0.05, 0.001)}), figure, TABLE3)
    assert (found.in_print, said_in_print(found.told), found.here) == ("contradicted", "0.23 against 0.31", "does not hold")
    assert found.comparisons[0].printed == ("0.23", "0.31")


def test_the_printed_numbers_of_report_quality_are_measured_by_what_stands_in_for_them_here(tmp_path):
    """METEOR of Table 2b: 0.162 against 0.156; here the number that was run under that name."""
    table2b = replace(TABLE3, name="table2b", layout="quality", reported="table2b")
    path = claim(tmp_path, table='"table2b"', rows="", numbers='["meteor"]')
    found = judged(path, numbers({("llcl - base", "system"): (0.01, 0.005, 0.015, 0.001)}, "meteor"), table2b)
    assert (said_in_print(found.told), found.here) == ("0.162 against 0.156", "holds")


# --- the claims that are shipped ---


def test_print_is_judged_as_is_known_of_the_paper():
    """The list of inconsistencies of the paper: T2 (F1 falls for 6 lesions), T3 (a tie), T7 (METEOR and recall fall), N7 (worse than without)."""
    definitions = read_definitions("demo")
    experiments = list(definitions.experiments.values())
    told = claims_in_print()
    found = {one.claim.id: one for made in experiments for one in verdicts(told, made, Numbers((), (), {}, {}), experiments)}
    assert len(found) == len(told)
    assert {one.here for one in found.values()} == {"cannot be told"}
    in_print = {name: one.in_print for name, one in found.items()}
    assert in_print["llcl-alone-average"] == "holds"
    assert in_print["llcl-alone-lesions"] == "contradicted"
    assert said_in_print(found["llcl-alone-lesions"].told) == "as claimed in 6 of 14; tied in 2: Pleural effusion, Pneumonia; the other way in 6"
    assert [one.row for one in found["llcl-alone-lesions"].told.of("fails")] == [
        *("Cardiomegaly", "Atelectasis", "Mass", "Edema", "Consolidation", "Infiltration"),
    ]
    assert in_print["lca-alone-effusion"] == "tie"
    assert (in_print["regions"], said_in_print(found["regions"].told)) == ("contradicted", "as claimed in 6 of 8; the other way in 2: R, METEOR")
    assert in_print["soft-hint-lesions"] == "contradicted"


def test_every_claim_finds_its_arms_among_the_experiments_of_the_paper():
    """A renamed arm or key would turn verdicts into 'not measured' in silence."""
    definitions = read_definitions("demo")
    experiments = list(definitions.experiments.values())
    told = claims_in_print()
    pairs = pairs_of_claims([one.claim for one in told], experiments)
    assert {frozenset(pair) for pair in pairs} >= {
        frozenset(pair)
        for pair in (("llcl_only", "base"), ("lca_only", "llcl_only"), ("main", "chexbert"), ("true_boxes", "main"), ("told_100", "told_043"))
    }
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    arms = {one for pair in pairs for one in pair}
    everything = [
        Row(f"{first} - {second}", metric, name, 0.1, 0.05, 0.15, 60, 0, f"{metric}|v1", p_value=1e-6)
        for first, second in pairs
        for metric, name in (
            *(("lesions", f"{of}.{number}") for of in LESIONS for number in ("precision", "recall", "f1")),
            *(("lesions", f"macro_{number}") for number in ("precision", "recall", "f1")),
            *(("consistency", axis) for axis in ("clinical_accuracy", "findings_completeness", "linguistic_quality", "report_structure", "total")),
            *(("meteor", "system"), ("rouge_l", "f1"), ("green", "green"), ("radgraph", "partial")),
        )
    ]
    singles = [replace(row, model=arm, p_value=None) for arm in arms for row in everything if row.model == everything[0].model]
    measured = Numbers(tuple(singles), tuple(everything), {}, {})
    missing = {one.claim.id: one for made in experiments for one in verdicts(told, made, measured, experiments) if "not measured" in said_here(one)}
    assert set(missing) == {one.claim.id for one in told if one.claim.table in ("table1", "table2a")}  # whose models cannot all be run


# --- what is printed ---


def test_sentences_stand_below_the_table_with_what_the_words_mean(tmp_path):
    measured = numbers({("llcl - base", "macro_f1"): (0.03, -0.1, 0.16, 0.6)})
    told = claims_in_print(claim(tmp_path))
    table = table_of(TABLE3, measured)
    text = markdown(with_verdicts(table, verdicts(told, TABLE3, measured), measured))
    assert "- **Claim mine.** LLCL alone raises it. In print it holds" in text
    assert "an interval that excludes zero" in text
    assert "below 0.05" in text
    assert "neither confirms nor refutes the printed numbers" in text
    assert with_verdicts(table, [], measured) == table


def test_a_table_without_printed_numbers_has_no_claims(tmp_path):
    assert verdicts(claims_in_print(claim(tmp_path)), replace(TABLE3, name="s1", reported=""), Numbers((), (), {}, {})) == []


def test_the_summary_has_a_line_per_claim_and_counts_them(tmp_path):
    measured = numbers({("llcl - base", "macro_f1"): (0.03, 0.01, 0.16, 0.01)})
    found = [judged(claim(tmp_path), measured), judged(claim(tmp_path, id='"other"', relation='"lower"'), measured)]
    table = claims_table(found, measured, {"table3": "Table 3"})
    (block,) = table.blocks
    pair = "LLCL only − Neither"
    assert [line.cells[:4] for line in block.lines] == [("Table 3", "holds", "holds", pair), ("Table 3", "contradicted", "does not hold", pair)]
    number = block.lines[0].cells[4]
    assert isinstance(number, Number)
    assert (number.text, number.interval) == ("+0.030", "[+0.010, +0.160]")
    assert table.notes[0].text == (
        "2 claims. In print: holds 1, tie 0, contradicted 1, not printed 0. Here: holds 1, does not hold 1, cannot be told 0."
    )
    assert "Drawn phantoms" in markdown(table)


def test_the_summary_says_what_stood_in_for_what_is_claimed(tmp_path):
    """The paper's labels of a language model are here those of rules; nobody may read the verdict as one on language models."""
    table4 = Experiment(
        *("table4", "Table 4", "Labels", "lesions"),
        (Line("main", {"labels": "llm"}, "Labels by rules"), Line("chexbert", {"labels": "chexbert"}, "Labels as CheXbert's")),
        (("main", "chexbert"),),
        "table4",
    )
    path = claim(tmp_path, table='"table4"', first='{labels = "llm"}', second='{labels = "chexbert"}', says='"Labels by a language model raise it."')
    measured = numbers({("main - chexbert", "macro_f1"): (0.03, 0.01, 0.16, 0.01)})
    found = judged(path, measured, table4)
    (block,) = claims_table([found], measured, {}).blocks
    assert [column.title for column in block.columns][3:5] == ["Here", "Compared here"]
    assert block.lines[0].cells[2:4] == ("holds", "Labels by rules − Labels as CheXbert's")
    (line,) = csv.DictReader(io.StringIO(claims_csv([found])))
    assert (line["first"], line["first_arm"], line["first_here"]) == ("llm", "main", "Labels by rules")
    assert (line["second_arm"], line["second_here"]) == ("chexbert", "Labels as CheXbert's")


def test_the_summary_counts_the_others_where_there_are_several_and_has_a_dash_where_nothing_was_measured(tmp_path):
    path = claim(tmp_path, first='{config = "llcl_lca"}', second='"all others"')
    two = numbers({(f"main - {arm}", "macro_f1"): (0.1, 0.05, 0.15, 0.001) for arm in ("base", "llcl")})
    cells = [claims_table([judged(path, given)], given, {}).blocks[0].lines[0].cells[3] for given in (two, Numbers((), (), {}, {}))]
    assert cells == ["main − each of 2", NOT_RUN]


def test_the_summary_says_what_its_brackets_and_its_p_are(tmp_path):
    one = {("llcl - base", "macro_f1"): (0.03, 0.01, 0.16, 0.01)}

    def notes(measured: Numbers) -> str:
        return " ".join(note.text for note in claims_table([judged(claim(tmp_path), measured)] * 26, measured, {}).notes)

    said = notes(numbers(one, seeds=(0.02, 0.04)))
    assert "In brackets: 95 % intervals of the difference, from 1,000 bootstrap draws, over patients and seeds." in said
    assert "of 26 where nothing differs about 1.3 would be clear by chance" in said
    assert "A table's Holm is over its own tests, another family." in said
    assert "1,000 bootstrap draws, over patients alone: what another start of the training would give is not in them." in notes(numbers(one))
    assert "In brackets" not in notes(Numbers((), (), {}, {}))


@pytest.mark.parametrize(("relation", "said"), [("not_lower", "Not lower: no interval"), ("comparable", "Comparable: not below the median")])
def test_what_a_relation_means_is_said_where_it_occurs(tmp_path, relation, said):
    measured = numbers({("llcl - base", "macro_f1"): (0.03, 0.01, 0.16, 0.01)})
    texts = [markdown(claims_table([judged(claim(tmp_path, relation=f'"{one}"'), measured)], measured, {})) for one in (relation, "higher")]
    assert [said in text for text in texts] == [True, False]


def test_the_csv_has_a_line_per_comparison_at_full_precision(tmp_path):
    measured = numbers({("llcl - base", "macro_precision"): (1 / 30, 0.01, 0.16, 0.01)})
    found = judged(claim(tmp_path, numbers='["precision", "recall"]'), measured)
    lines = list(csv.DictReader(io.StringIO(claims_csv([found]))))
    assert tuple(lines[0]) == COLUMNS
    first, second = lines
    assert (first["number"], first["printed_first"], first["printed_second"]) == ("precision", "0.38", "0.41")
    assert (float(first["difference"]), first["comparison"], first["here"]) == (1 / 30, "holds", "cannot be told")
    assert (second["number"], second["difference"], second["comparison"]) == ("recall", "", "not measured")


def test_same_numbers_same_sentences(tmp_path):
    path = claim(tmp_path, rows='"each lesion"')
    first, second = (judged(path, by_lesion(3, 2)) for _ in range(2))
    assert first == second
    assert claims_csv([first]) == claims_csv([second])
