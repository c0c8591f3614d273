"""`compare`: a change held against what was before, paired by patient; yes, no, or why it cannot be said."""

from __future__ import annotations

import json
import math
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.evaluator import score_reports
from benchmark.gate import CannotCompare, compare
from benchmark.gate.compare import _at_first_step
from benchmark.gate.outputs import as_json, junit, markdown, verdict_line
from benchmark.gate.sealed import EditedRun
from benchmark.margins import BadMargin
from benchmark.records import RunConfig
from benchmark.tables.finished import NoFinishedRun

RIGHT = ("There is a small left pleural effusion.", "There is a right pneumothorax.", "The lungs are clear.", "Mild cardiomegaly.")
CASES = 160
REFERENCES = {f"c{number}": RIGHT[number % 4] for number in range(CASES)}
PATIENTS = {f"c{number}": f"p{number // 2}" for number in range(CASES)}


def measured(
    folder: Path, texts: Mapping[str, str], *, name: str = "ours", metrics: tuple[str, ...] = ("lesions", "rouge_l"), **more: object
) -> Path:
    failures = {name: dict.fromkeys(set(REFERENCES) - set(texts), "it failed")}
    config = RunConfig((), metrics, "", strata=False, draws=50)
    score_reports(REFERENCES, {name: texts}, config, folder, patients=PATIENTS, failures=failures, missing="unscored", **more)  # type: ignore[arg-type]
    return folder


def wrong_in(count: int, what: str = "The lungs are clear.", lesion: str = "pneumothorax") -> dict[str, str]:
    """The references, but in the first so many cases with the lesion something else."""
    found = dict(REFERENCES)
    for case in [case for case, text in REFERENCES.items() if lesion in text][:count]:
        found[case] = what
    return found


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of forty pneumothoraces missed."""
    return measured(tmp_path_factory.mktemp("runs") / "good", wrong_in(2))


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty of forty missed."""
    return measured(tmp_path_factory.mktemp("runs") / "bad", wrong_in(20))


def test_a_run_is_no_worse_than_itself(good: Path) -> None:
    gate = compare(good, good)
    assert gate.passes
    assert {one.difference for one in gate.numbers} <= {0.0} | {one.difference for one in gate.numbers if one.verdict == "not defined"}
    assert verdict_line(gate).startswith("No regression")


def test_a_lesion_that_is_missed_more_often_is_named_with_its_numbers(good: Path, bad: Path) -> None:
    gate = compare(good, bad)
    one = next(one for one in gate.numbers if one.key == "lesions.pneumothorax.f1")
    # By hand: of 40, found 38 and 20, none invented: F1 = 2 * 38 / (40 + 38), 2 * 20 / (40 + 20).
    assert (one.base, one.head) == (pytest.approx(76 / 78), pytest.approx(40 / 60))
    assert one.verdict == "worse"
    assert one.p_holm < 0.05
    assert not gate.passes
    assert "Pneumothorax F1 0.974 to 0.667" in markdown(gate)
    effusion = next(one for one in gate.numbers if one.key == "lesions.pleural effusion.f1")
    assert (effusion.difference, effusion.verdict) == (0.0, "no difference found")


def test_the_other_way_round_every_difference_has_the_other_sign_and_nothing_is_a_regression(good: Path, bad: Path) -> None:
    there, back = compare(good, bad), compare(bad, good)
    assert [one.difference for one in back.numbers] == pytest.approx([-one.difference for one in there.numbers], nan_ok=True)
    assert [one.p_value for one in back.numbers] == pytest.approx([one.p_value for one in there.numbers], nan_ok=True)
    assert back.passes
    assert any(one.verdict == "better" for one in back.numbers)


def test_a_margin_turns_the_burden_of_proof_round(good: Path, bad: Path, tmp_path: Path) -> None:
    slightly = measured(tmp_path / "slightly", wrong_in(4))
    assert compare(good, slightly).passes  # two cases more: no difference found
    with_margin = compare(good, slightly, margins={"lesions.pneumothorax.f1": 0.01})
    one = next(one for one in with_margin.numbers if one.key == "lesions.pneumothorax.f1")
    assert one.verdict == "not shown"
    assert not with_margin.passes
    wide = compare(good, slightly, margins={"lesions.pneumothorax.f1": 0.5})
    assert next(one for one in wide.numbers if one.margin).verdict == "not worse"
    assert wide.passes
    assert not compare(good, bad, margins={"lesions.pneumothorax.f1": 0.01}).passes


def test_cases_that_are_no_longer_answered_keep_a_change_out_though_its_numbers_look_better(good: Path, tmp_path: Path) -> None:
    kept = {case: text for case, text in wrong_in(2).items() if text == REFERENCES[case]}  # the two that it had wrong fail now
    failing = measured(tmp_path / "failing", kept)
    gate = compare(good, failing)
    assert [(lost.cases, lost.of) for lost in gate.lost] == [(2, CASES)]
    assert not gate.passes
    assert "leaves 2 of 160 cases without a report that had one" in verdict_line(gate)
    assert compare(good, failing, more_failures=2).passes


def test_as_many_failures_as_before_but_of_other_cases_are_lost_reports_too(tmp_path: Path) -> None:
    first = measured(tmp_path / "first", {case: text for case, text in REFERENCES.items() if case not in ("c0", "c1")})
    second = measured(tmp_path / "second", {case: text for case, text in REFERENCES.items() if case not in ("c8", "c9")})
    assert [lost.cases for lost in compare(first, second).lost] == [2]


def test_a_model_that_did_not_come_to_its_end_is_a_regression_and_one_that_is_missing_is_said(good: Path, tmp_path: Path) -> None:
    config = RunConfig((), ("lesions", "rouge_l"), "", strata=False, draws=50)
    both = {"ours": dict(REFERENCES), "theirs": wrong_in(2)}
    score_reports(REFERENCES, both, config, tmp_path / "both", patients=PATIENTS)
    gate = compare(tmp_path / "both", good)
    assert "Only the base has the model theirs; not compared." in gate.notes
    failing = Path(shutil.copytree(good, tmp_path / "failing"))
    record = json.loads((failing / "run.json").read_text())
    record["models"]["ours"] = {"failed": "CUDA out of memory"}
    (failing / "run.json").write_text(json.dumps(record))
    gate = compare(good, failing)
    assert not gate.passes
    assert "ours did not come to its end: CUDA out of memory" in verdict_line(gate)
    assert "ours" in junit(gate)


def test_so_few_patients_that_nothing_could_be_shown_are_refused(tmp_path: Path) -> None:
    few = {f"c{number}": RIGHT[number] for number in range(4)}
    config = RunConfig((), ("lesions", "rouge_l"), "", strata=False, draws=50)
    score_reports(few, {"ours": few}, config, tmp_path / "right")
    score_reports(few, {"ours": dict.fromkeys(few, "Nothing.")}, config, tmp_path / "wrong")
    with pytest.raises(CannotCompare, match=r"4 patients can show no regression among \d+ numbers"):
        compare(tmp_path / "right", tmp_path / "wrong")


def test_edited_statistics_are_refused_and_missing_ones_made_again(good: Path, bad: Path, tmp_path: Path) -> None:
    forged = Path(shutil.copytree(bad, tmp_path / "forged"))
    shutil.copy(good / "ours/rouge_l.npz", forged / "ours/rouge_l.npz")
    with pytest.raises(EditedRun, match=r"ours/rouge_l\.npz was edited"):
        compare(good, forged)
    (forged / "ours/rouge_l.npz").unlink()
    assert not compare(good, forged).passes


def test_a_margin_of_a_number_that_is_not_defined_is_not_shown(tmp_path: Path) -> None:
    clear = {f"c{number}": "The lungs are clear." for number in range(CASES)}
    config = RunConfig((), ("lesions", "rouge_l"), "", strata=False, draws=50)
    score_reports(clear, {"ours": clear}, config, tmp_path / "clear", patients=PATIENTS)
    gate = compare(tmp_path / "clear", tmp_path / "clear", margins={"lesions.macro_f1": 0.01})
    assert next(one for one in gate.numbers if one.margin).verdict == "not shown"
    assert not gate.passes


def test_runs_on_other_data_do_not_compare(good: Path, tmp_path: Path) -> None:
    config = RunConfig((), ("lesions", "rouge_l"), "", strata=False, draws=50)
    score_reports({"x1": "Clear.", "x2": "Clear."}, {"ours": {"x1": "Clear.", "x2": "Clear."}}, config, tmp_path / "other")
    with pytest.raises(CannotCompare, match=r"have no case in common \(160 and 2\)"):
        compare(good, tmp_path / "other")
    changed = {**REFERENCES, "c0": "Something else was meant."}
    score_reports(changed, {"ours": changed}, config, tmp_path / "edited", patients=PATIENTS)
    with pytest.raises(CannotCompare, match="1 of 160 cases under one id with another reference or patient, the first 'c0'"):
        compare(good, tmp_path / "edited")


def test_cases_that_one_side_alone_has_are_left_out_only_if_that_is_asked(good: Path, tmp_path: Path) -> None:
    half = {case: text for case, text in REFERENCES.items() if int(case[1:]) < 80}
    config = RunConfig((), ("lesions", "rouge_l"), "", strata=False, draws=50)
    score_reports(half, {"ours": half}, config, tmp_path / "half", patients={case: PATIENTS[case] for case in half})
    with pytest.raises(CannotCompare, match="80 cases in common, of 160 and 80; compare those alone with --shared"):
        compare(good, tmp_path / "half")
    gate = compare(good, tmp_path / "half", shared=True)
    assert (gate.cases, gate.patients) == (80, 40)
    one = next(one for one in gate.numbers if one.key == "lesions.pneumothorax.f1")
    assert (one.base, one.head) == (pytest.approx(2 * 18 / (20 + 18)), 1.0)  # by hand: both misses are among the first 80 cases


def test_numbers_that_were_computed_differently_do_not_compare_and_the_field_is_named(good: Path, tmp_path: Path) -> None:
    config = RunConfig((), ("lesions", "rouge_l"), "", strata=False, draws=50, options={"rules.hedges": "gold_openi"})
    score_reports(REFERENCES, {"ours": REFERENCES}, config, tmp_path / "hedges", patients=PATIENTS)
    with pytest.raises(CannotCompare, match=r"lesions was computed differently: labeller.hedges: d15 against gold_openi"):
        compare(good, tmp_path / "hedges")
    assert compare(good, tmp_path / "hedges", metrics=["rouge_l"]).passes


def test_models_are_matched_by_name_or_as_they_are_told(good: Path, tmp_path: Path) -> None:
    other = measured(tmp_path / "renamed", wrong_in(2), name="theirs")
    assert compare(good, other).numbers[0].model == "ours -> theirs"  # one each: nothing to confuse
    with pytest.raises(CannotCompare, match=r"has no finished model 'mine'; it has theirs"):
        compare(good, other, models={"ours": "mine"})


def test_an_edited_an_unfinished_and_an_older_run_are_refused_with_what_to_do(good: Path, tmp_path: Path) -> None:
    edited = Path(shutil.copytree(good, tmp_path / "edited"))
    (edited / "ours/reports.jsonl").write_text((edited / "ours/reports.jsonl").read_text().replace("clear", "clean"))
    with pytest.raises(EditedRun, match=r"ours/reports.jsonl was edited since it was sealed"):
        compare(good, edited)
    gone = Path(shutil.copytree(good, tmp_path / "gone"))
    (gone / "references.jsonl").unlink()
    with pytest.raises(EditedRun, match=r"references.jsonl is gone"):
        compare(gone, good)
    unfinished = Path(shutil.copytree(good, tmp_path / "unfinished"))
    (unfinished / "run.json").unlink()
    with pytest.raises(NoFinishedRun, match=r"has no run\.json yet; the command that began it goes on"):
        compare(good, unfinished)
    older = Path(shutil.copytree(good, tmp_path / "older"))
    record = json.loads((older / "run.json").read_text())
    del record["files"]
    (older / "run.json").write_text(json.dumps(record))
    with pytest.raises(NoFinishedRun, match="no checksums of cases and reports"):
        compare(good, older)


def test_runs_are_left_as_they_are_even_where_statistics_must_be_made_again(good: Path, bad: Path, tmp_path: Path) -> None:
    base, head = (Path(shutil.copytree(run, tmp_path / name)) for run, name in ((good, "base"), (bad, "head")))
    for file in base.rglob("*.npz"):
        file.unlink()
    before = sorted(str(file) for file in tmp_path.rglob("*"))
    assert as_json(compare(base, head)).replace(str(base), str(good)).replace(str(head), str(bad)) == as_json(compare(good, bad))
    assert sorted(str(file) for file in tmp_path.rglob("*")) == before


def test_a_margin_of_nothing_that_is_compared_is_refused(good: Path) -> None:
    with pytest.raises(BadMargin, match="a margin for 'green'"):
        compare(good, good, margins={"green": 0.1})


def test_what_a_ci_server_reads_counts_the_same_failures_and_survives_any_name(good: Path, tmp_path: Path) -> None:
    odd = measured(tmp_path / "odd", wrong_in(20), name='<b>&"x"|')
    gate = compare(good, odd)
    suite = ElementTree.fromstring(junit(gate))
    cases = suite.findall("testcase")
    assert int(suite.attrib["tests"]) == len(cases) == len(gate.numbers) + 1
    assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure")) == len(gate.regressions)
    assert any('<b>&"x"|' in case.attrib["classname"] for case in cases)
    assert r"\<b>" in markdown(gate)
    assert "<b>" not in markdown(gate).replace(r"\<b>", "")
    whole = json.loads(as_json(gate))
    assert whole["passes"] is False
    assert len(whole["numbers"]) == len(gate.numbers)


@pytest.mark.parametrize(("head", "status"), [("good", 0), ("bad", 1), ("nowhere", 2)])
def test_the_exit_status_is_the_verdict(good: Path, bad: Path, tmp_path: Path, head: str, status: int) -> None:
    folder = {"good": good, "bad": bad}.get(head, tmp_path / "nowhere")
    found = CliRunner().invoke(app, ["compare", str(good), str(folder), "--markdown", str(tmp_path / "c.md"), "--junit", str(tmp_path / "j.xml")])
    if status == 2:
        assert isinstance(found.exception, NoFinishedRun)  # `main` prints it on one line and exits with 2
        return
    assert found.exit_code == status
    assert ("No regression" if status == 0 else "Regression") in found.stdout
    assert (tmp_path / "c.md").read_text().startswith("### ")


def test_how_small_a_regression_could_be_seen_is_said(good: Path, bad: Path) -> None:
    said = markdown(compare(good, bad))
    assert "With 160 cases of 80 patients, a true change is seen four times in five if it is at least" in said


def test_what_can_be_seen_is_told_as_the_corrected_test_sees_it() -> None:
    """Of 80 patients and 16 tests: the factor by Cohen's formula, the noncentral t of scipy.stats at a level of 0.05 / 16 against 0.05."""
    from scipy import optimize, stats

    def needed(level: float) -> float:
        critical = stats.t.ppf(1 - level / 2, 79)
        return optimize.brentq(lambda shift: stats.nct.sf(critical, 79, shift) - 0.8, 0.1, 20)

    assert _at_first_step(0.05, 16, 80) == pytest.approx(needed(0.05 / 16) / needed(0.05), rel=1e-6)
    assert _at_first_step(0.05, 1, 80) == 1
    assert math.isnan(_at_first_step(0.05, 0, 80))
