"""The stress test of metrics: shares and falls counted by hand, and what a run of it leaves, resumes and says."""

from __future__ import annotations

import builtins
import csv
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from llm_server import Server, serve

from benchmark.audit.candidates import IDENTICAL
from benchmark.audit.errors import ERRORS
from benchmark.audit.plot import NoMatplotlib, heat_map
from benchmark.audit.ranking import ALL, ranked
from benchmark.audit.rewrites import REWRITES
from benchmark.audit.run import Audit, audit, estimate_audit, reports_of_file
from benchmark.audit.table import for_terminal
from benchmark.labelling.rules import RuleLabeller
from benchmark.llm.models import Manner
from benchmark.metrics.bleu import Bleu
from benchmark.metrics.cider import CiderD
from benchmark.metrics.degeneration import Degeneration
from benchmark.metrics.lesions import LesionScores
from benchmark.per_case import CaseNumber, case_numbers, parse_numbers, per_case
from benchmark.records import Row, RunConfig, UserError
from benchmark.runs import OtherRun
from benchmark.statistics import PatientBootstrap

NAN = math.nan
REPORTS = {
    "1": "There is a small left pleural effusion. No pneumothorax. The heart is normal in size.",
    "2": "The lungs are clear. No pleural effusion or pneumothorax.",
    "3": "Mild cardiomegaly. There is an 8 mm nodule in the right upper lobe. Bones are intact.",
}


class Counting:
    """A metric of the words that a report has too many or too few: an error count, lower is better."""

    name = "surplus"
    titles: ClassVar = {"words": "Surplus words", "cases": "Cases"}
    lower_is_better = frozenset(("words",))
    headlines = ("words",)

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        pairs = zip(hypotheses, references, strict=True)
        return np.array([[abs(len(one.split()) - len(other.split())), 1] for one, other in pairs], dtype=float).reshape(-1, 2)

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"words": sums[..., 0] / sums[..., 1], "cases": sums[..., 1]}

    def signature(self) -> str:
        return "surplus|v1"


def rows_of(scores: dict[str, list[float]], patients: Sequence[str] = "abcd", *, is_lower_better: bool = False) -> dict[tuple[str, str], Row]:
    """Kinds e1, e2 are errors, w1, w2 rewrites; a NaN is a report to which the kind does not apply unless its row of ``identical`` is NaN, too."""
    arrays = {kind: np.array(values) for kind, values in scores.items()}
    made = {kind: ~np.isnan(values) | np.isnan(arrays[IDENTICAL]) for kind, values in arrays.items()}
    number = CaseNumber("m", "n", "M", is_lower_better)
    found = ranked(PatientBootstrap(list(patients), draws=200), number, arrays, made, ["e1", "e2"], ["w1", "w2"], "m|v1")
    return {(row.model, row.value_name.removeprefix("n.")): row for row in found}


BY_HAND = {
    IDENTICAL: [1.0, 1.0, 1.0, NAN],
    "e1": [0.5, 0.6, 0.7, NAN],
    "e2": [0.2, NAN, NAN, NAN],
    "w1": [0.9, 0.6, 0.1, NAN],
    "w2": [NAN, 0.9, NAN, NAN],
}


def test_shares_are_those_counted_by_hand() -> None:
    """e1 against w1: higher, equal, lower; against w2: higher. e2 against w1: higher."""
    rows = rows_of(BY_HAND)
    assert rows["e1", "above.w1"].value == pytest.approx((1 + 0.5) / 3)
    assert rows["e1", "above.w2"].value == 1
    assert rows["e1", "above"].value == pytest.approx((1 + 0.5 + 1) / 4)
    assert rows["e1", "ties"].value == pytest.approx(1 / 4)
    assert (rows["e2", "above"].value, rows["e2", "ties"].value) == (1, 0)
    assert math.isnan(rows["e2", "above.w2"].value)
    assert rows[ALL, "above"].value == pytest.approx((2.5 / 4 + 1) / 2)  # of the errors, not of the pairs
    assert rows[ALL, "ties"].value == pytest.approx(1 / 8)


def test_falls_are_those_counted_by_hand() -> None:
    rows = rows_of(BY_HAND)
    assert rows["e1", "drop"].value == pytest.approx((0.5 + 0.4 + 0.3) / 3)
    assert rows["w1", "drop"].value == pytest.approx((0.1 + 0.4 + 0.9) / 3)


def test_pairs_without_a_score_are_counted_and_left_out() -> None:
    """The fourth report has candidates of every kind and no score: four pairs that could have been."""
    rows = rows_of(BY_HAND)
    assert (rows["e1", "above"].scored, rows["e1", "above"].unscored) == (4, 2)
    assert (rows["e2", "above.w2"].scored, rows["e2", "above.w2"].unscored) == (0, 1)
    assert (rows[ALL, "above"].scored, rows[ALL, "above"].unscored) == (5, 4)
    assert (rows["e2", "drop"].scored, rows["e2", "drop"].unscored) == (1, 1)


def test_cells_say_on_how_many_reports_they_rest() -> None:
    """e1 has pairs in the first three reports and would have one in the fourth; e2 in the first, and would have one in the fourth."""
    rows = rows_of(BY_HAND)
    assert [(rows[error, "reports"].value, rows[error, "reports"].unscored) for error in ("e1", "e2")] == [(3, 1), (1, 1)]


def test_a_mean_that_lacks_an_error_that_was_made_is_none() -> None:
    """e2 was made of the fourth report alone, which has no score: a mean over e1 only would stand beside means over both."""
    lacking = rows_of({**BY_HAND, "e2": [NAN] * 4})
    assert math.isnan(lacking["e2", "above"].value)
    for name in ("above", "ties"):
        assert math.isnan(lacking[ALL, name].value)
        assert math.isnan(lacking[ALL, name].low)
    never_made = rows_of({kind: [*values[:3], 0.5] if kind != "e2" else [NAN] * 4 for kind, values in BY_HAND.items()})
    assert never_made[ALL, "above"].value == never_made["e1", "above"].value


def test_a_draw_that_lacks_an_error_does_not_move_the_mean() -> None:
    """e1 always wins and e2, made of one report of four, never does: 0.5 in each draw that has both, where a mean over e1 alone were 0."""
    scores = {IDENTICAL: [1.0] * 4, "e1": [0.9] * 4, "e2": [0.1, NAN, NAN, NAN], "w1": [0.5] * 4, "w2": [NAN] * 4}
    mean = rows_of(scores)[ALL, "above"]
    assert (mean.value, mean.low, mean.high) == (0.5, 0.5, 0.5)


def test_a_number_that_counts_errors_is_turned_round() -> None:
    errors = {kind: [-value for value in values] for kind, values in BY_HAND.items()}
    for key, row in rows_of(errors, is_lower_better=True).items():
        assert row.value == rows_of(BY_HAND)[key].value or math.isnan(row.value)


def test_scores_equal_but_for_rounding_are_tied() -> None:
    scores = {IDENTICAL: [1.0] * 2, "e1": [0.1 + 0.2, 1.0], "e2": [NAN] * 2, "w1": [0.3, 1.0], "w2": [NAN] * 2}
    assert rows_of(scores, "ab")["e1", "ties"].value == 1


def test_intervals_draw_patients_and_one_patient_has_none() -> None:
    """Forty reports of two patients are two witnesses: the interval runs from the one to the other."""
    scores = {IDENTICAL: [1.0] * 40, "e1": [0.5] * 40, "e2": [0.5] + [NAN] * 39, "w1": [0.9] * 20 + [0.1] * 20, "w2": [NAN] * 40}
    rows = rows_of(scores, ["a"] * 20 + ["b"] * 20)
    assert (rows["e1", "above"].value, rows["e1", "above"].low, rows["e1", "above"].high) == (0.5, 0, 1)
    assert math.isnan(rows["e2", "above"].low)


def test_a_number_of_a_corpus_is_of_one_report_what_it_would_be_of_a_corpus_of_it() -> None:
    references, candidates = list(REPORTS.values()), [text.replace("No", "There is no") for text in REPORTS.values()]
    bleu = Bleu()
    statistics = bleu.statistics(candidates, references)
    alone = [float(bleu.values(bleu.statistics([one], [other]).sum(axis=0))["bleu_4"]) for one, other in zip(candidates, references, strict=True)]
    assert per_case(bleu, statistics, "bleu_4") == pytest.approx(alone, abs=0)
    statistics[1] = NAN
    assert np.isnan(per_case(bleu, statistics, "bleu_4")).tolist() == [False, True, False]


def test_a_report_without_a_lesion_on_either_side_has_no_f1() -> None:
    metric = LesionScores(RuleLabeller())
    values = per_case(metric, metric.statistics(["Clear lungs.", "Left effusion."], ["Clear lungs.", "Left effusion."]), "micro_f1")
    assert np.isnan(values[0])
    assert values[1] == 1


def test_numbers_are_named_or_are_the_headlines() -> None:
    assert [number.key for number in case_numbers("surplus", Counting(), 2)] == ["surplus.words"]
    (chosen,) = case_numbers("surplus", Counting(), 2, ["cases"])
    assert (chosen.title, chosen.is_lower_better) == ("Cases", False)
    assert parse_numbers(["bleu:x.bleu_1"], ["bleu", "bleu:x"]) == {"bleu:x": ["bleu_1"]}
    with pytest.raises(UserError, match=r"no number 'surplus.word'|has no number 'word'; it has: words, cases"):
        case_numbers("surplus", Counting(), 2, ["word"])
    with pytest.raises(UserError, match=r"no number 'green.green' to look at; write METRIC.NUMBER, the metric one of: surplus"):
        parse_numbers(["green.green"], ["surplus"])


def test_a_finding_made_up_in_a_normal_report_is_seen_by_a_lesion_number_that_is_looked_at(tmp_path: Path) -> None:
    found = audit(config("lesions"), tmp_path, given=reports_of_file({"2": REPORTS["2"]}))
    above = {
        number.name: next(row for row in found.rows if (row.model, row.value_name) == ("inserted", f"{number.name}.above"))
        for number in found.numbers
    }
    assert (above["micro_f1"].scored, above["micro_hallucination"].unscored) == (0, 0)
    assert above["micro_hallucination"].value == 1
    page = (tmp_path / "audit.md").read_text()
    assert "No mean of numbers that have no value for an error that others are tested by: Lesion micro F1 (rules) (Affirmed, Made up, Prior)" in page
    assert "Mean: without Denied, Side, " in page  # of this report nobody could make them


def config(*metrics: str, **more: Any) -> RunConfig:
    return RunConfig((), metrics or ("rouge_l",), "", "", draws=50, **more)


def run(out: Path, *metrics: str, **more: Any) -> Audit:
    return audit(config(*metrics), out, given=reports_of_file(REPORTS), **more)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return run(tmp_path_factory.mktemp("audit") / "run", "rouge_l", "lesions")


def test_every_pair_lies_in_the_folder_to_be_doubted(done: Audit) -> None:
    pairs = [json.loads(line) for line in (done.folder / "pairs.jsonl").read_text().splitlines()]
    assert len(pairs) == sum(done.made.values())
    for pair in pairs:
        assert pair["reference"] == REPORTS[pair["case"]]
        assert pair["candidate"] != pair["reference"]
        assert pair["is_error"] == (pair["kind"] in ERRORS)
        assert pair["what"]
    swapped = next(pair for pair in pairs if (pair["case"], pair["kind"]) == ("1", "side"))
    assert (swapped["before"], swapped["after"]) == ("There is a small left pleural effusion", "There is a small right pleural effusion")
    assert (swapped["what"], swapped["lesions"]) == ("pleural effusion: left -> right", ["pleural effusion"])


def test_the_tables_follow_from_the_scores_in_the_folder(done: Audit) -> None:
    with (done.folder / "scores.csv").open(newline="") as lines:
        scores = {(row["case"], row["kind"]): row for row in csv.DictReader(lines)}
    assert all(float(scores[case, IDENTICAL]["rouge_l.f1"]) == 1 for case in REPORTS)
    for error in ERRORS:
        pairs = [
            (float(scores[case, rewrite]["rouge_l.f1"]), float(scores[case, error]["rouge_l.f1"]))
            for case in REPORTS
            for rewrite in REWRITES
            if (case, error) in scores and (case, rewrite) in scores
        ]
        row = next(row for row in done.rows if (row.model, row.metric, row.value_name) == (error, "rouge_l", "f1.above"))
        assert row.scored == len(pairs)
        expected = sum((one > other) + (one == other) / 2 for one, other in pairs) / len(pairs) if pairs else NAN
        assert row.value == pytest.approx(expected, nan_ok=True)
    assert scores["2", "paraphrase"]["lesions.micro_f1"] == ""  # no lesion on either side: no value, and not 0


def test_the_page_says_what_was_tested_and_how(done: Audit) -> None:
    page = (done.folder / "audit.md").read_text()
    assert "How often a rewrite without error scores higher than the error" in page
    assert "| Side swapped" in page
    assert "Side (side swapped)" in page
    assert "Lesion micro F1 with side" in page
    assert "Equal scores count half" in page
    assert "pairs of Lesion micro F1" in page  # left out, and counted
    above = next(block for block in done.table.blocks if block.columns[0].title == "Rewrite preferred")
    reports = dict(zip([*ERRORS, ALL], above.lines[-1].cells, strict=True))
    labels = [line.label for line in above.lines]
    own = dict(zip(reports, above.lines[labels.index("Lesion micro F1 (rules)") + 1].cells, strict=True))
    assert (reports["inserted"], own["inserted"], own["side"]) == ("3", "2", "")  # the clear lungs of report 2 have no F1 when rewritten
    assert labels[labels.index("ROUGE-L (google, stem)") + 1] != "  on reports"
    assert "`rouge_l|variant:google" in page
    assert len(for_terminal(done.table).blocks) == 4
    sealed = json.loads((done.folder / "run.json").read_text())
    assert sealed["audit"]["made"] == done.made
    assert set(sealed["signatures"]) == {"rouge_l", "lesions"}
    assert {"pairs.jsonl", "scores.csv", "audit.md", "audit.png", "audit.svg", "side/reports.jsonl", "side/rouge_l.npz"} <= set(sealed["files"])
    assert (done.folder / ".gitignore").read_text() == "*\n"  # text of which nobody said that it may travel


def test_the_pictures_are_drawn_and_the_same_again(done: Audit, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        heat_map(done.rows, done.numbers, list(ERRORS), folder, title="A title")
    for name in ("audit.png", "audit.svg"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    drawn = (done.folder / "audit.svg").read_text()
    for words in ("Side swapped", "Mean of the errors", "an error: 3 reports", "cannot tell"):
        assert words in drawn


def test_without_matplotlib_there_is_a_message_and_no_picture(done: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *more: Any, **named: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError("No module named 'matplotlib'")
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(NoMatplotlib, match=r"no picture was drawn: .*; install it with pip install 'clala-benchmark\[viewer\]'"):
        heat_map(done.rows, done.numbers, list(ERRORS), tmp_path, title="")
    found = run(tmp_path / "run")
    assert "no picture was drawn" in found.notes[0]
    assert (tmp_path / "run" / "run.json").exists()


def test_a_metric_may_be_added_later_and_nothing_is_measured_twice(tmp_path: Path) -> None:
    first = run(tmp_path)
    kept = (tmp_path / "side" / "rouge_l.npz").stat().st_mtime_ns
    second = run(tmp_path, "rouge_l", "bleu")
    assert (tmp_path / "side" / "rouge_l.npz").stat().st_mtime_ns == kept
    assert repr([row for row in second.rows if row.metric == "rouge_l"]) == repr(first.rows)
    assert {number.metric for number in second.numbers} == {"rouge_l", "bleu"}
    with pytest.raises(OtherRun, match="its seed is 42, now it would be 7"):
        audit(config(seed=7), tmp_path, given=reports_of_file(REPORTS))


def test_the_same_references_are_the_same_however_they_were_limited(tmp_path: Path) -> None:
    first = audit(config(limit=3), tmp_path, given=reports_of_file(REPORTS))
    assert repr(audit(config(), tmp_path, given=reports_of_file(REPORTS)).rows) == repr(first.rows)
    with pytest.raises(OtherRun, match="its fingerprint is"):
        audit(config(limit=2), tmp_path, given=reports_of_file({case: REPORTS[case] for case in "12"}))


ANSWER = json.dumps(
    {axis: {"evidence": "e", "score": 3} for axis in ("clinical_accuracy", "findings_completeness", "linguistic_quality", "report_structure")}
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("CLALA_BENCHMARK_CONFIG", raising=False)
    with serve(tmp_path / "server", answers={"": ANSWER}) as running:
        yield running


def test_a_judge_that_is_a_language_model_is_tested_too_and_asked_once(server: Server, tmp_path: Path) -> None:
    """One that gives every report a 3 cannot tell: all pairs are ties. The same command asks nothing more."""
    settings = config("consistency", judge="language_model", options={"llm.model": "qwen", "llm.api_base": server.url})
    given = reports_of_file({"1": REPORTS["1"]})
    expected = estimate_audit(settings, given=given, manner=Manner(None, "estimate", False))
    assert server.requests() == []
    found = audit(settings, tmp_path / "run", given=given)
    asked = len(server.requests())
    assert asked == sum(found.made.values()) + 1 == expected.rows[0].calls
    (mean,) = (row for row in found.rows if row.model == ALL and row.value_name.endswith("above"))
    assert mean.value == 0.5
    assert "qwen" in found.table.notes[-1].signature
    audit(settings, tmp_path / "run", given=given)
    assert len(server.requests()) == asked


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmark", "audit", *words], cwd=folder, capture_output=True, text=True, timeout=120)


def test_all_kinds_are_measured_on_the_same_references(tmp_path: Path) -> None:
    """CIDEr-D weighs words by all references that it is given: the reference's own score must not hang on which reports an error applies to."""
    found = run(tmp_path, "cider_d")
    metric = CiderD()
    texts = list(REPORTS.values())
    candidates = [json.loads(line)["text"] for line in (tmp_path / "side" / "reports.jsonl").read_text().splitlines()]
    assert candidates[1] == texts[1]  # no side there
    expected = metric.statistics(candidates, texts)[:, 0]
    with (tmp_path / "scores.csv").open(newline="") as lines:
        kept = {row["case"]: float(row["cider_d.mean"]) for row in csv.DictReader(lines) if row["kind"] == "side"}
    assert kept == {case: expected[place] for place, case in enumerate(REPORTS) if case != "2"}
    assert found.made["side"] == 2


def test_a_number_that_puts_reports_in_no_order_is_refused() -> None:
    metric = Degeneration()
    with pytest.raises(UserError, match="has no number that is better high or low, and puts reports in no order; leave it"):
        case_numbers("degeneration", metric, metric.statistics(["a b"], ["a b"]).shape[1])
    with pytest.raises(UserError, match=r"degeneration\.length_ratio is neither better high nor low"):
        case_numbers("degeneration", metric, metric.statistics(["a b"], ["a b"]).shape[1], ["length_ratio"])


def test_the_command_prints_the_table_and_where_the_pairs_are(tmp_path: Path) -> None:
    with (tmp_path / "reports.csv").open("w", newline="") as out:
        csv.writer(out).writerows([("id", "who", "report"), *((case, "one", text) for case, text in REPORTS.items())])
    answer = command(tmp_path, "-r", "reports.csv", "--patient-column", "who", "--metrics", "rouge_l", "--draws", "20", "--numbers", "rouge_l.recall")
    assert answer.returncode == 0, answer.stderr
    assert "3 reports" in answer.stdout
    assert "3 cases, 1 patients" in answer.stdout
    assert "Rewrite preferred" in answer.stdout
    assert "results/runs/audit-reports-" in answer.stdout


def test_a_number_that_the_metric_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="metric 'rouge_l' has no number 'f2'; it has: f1, precision, recall"):
        run(tmp_path / "run", numbers=("rouge_l.f2",))
