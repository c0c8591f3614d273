"""Agreement with radiologists: coefficients against scipy 1.17.1 on the candidates that were drawn, pairs by hand, made-up files of each layout."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmark.datasets.columns import BadTable
from benchmark.meta_eval.judgements import Judgements
from benchmark.meta_eval.rank_agreement import Draws, pearson, preferred, spearman, tau_b
from benchmark.meta_eval.readers import UnreadableJudgements, read_judgements
from benchmark.meta_eval.run import MetaEval, estimate_meta_eval, meta_eval
from benchmark.records import Row, RunConfig, UserError
from benchmark.runs import OtherRun

COEFFICIENTS = [(tau_b, stats.kendalltau), (spearman, stats.spearmanr), (pearson, stats.pearsonr)]


@pytest.mark.parametrize(("ours", "theirs"), COEFFICIENTS, ids=["tau_b", "spearman", "pearson"])
@pytest.mark.parametrize("levels", [3, 1000], ids=["many ties", "few ties"])
def test_coefficients_are_those_of_scipy_in_every_draw(ours: Callable[..., Any], theirs: Callable[..., Any], levels: int) -> None:
    """The weights must give what the drawn candidates give when they are written out, copies included."""
    rng = np.random.default_rng(levels)
    one, other = rng.integers(0, levels, size=(2, 60)).astype(float)
    patients = [str(number) for number in rng.integers(0, 20, size=60)]
    weights = Draws(patients, draws=8, seed=1, level=0.95).weights(np.ones(60, dtype=bool))
    found = ours(one, other, weights)
    assert found.value == pytest.approx(theirs(one, other)[0], abs=1e-12)
    for row, drawn in zip(weights[1:].astype(int), found.drawn, strict=True):
        index = np.repeat(np.arange(60), row)
        assert drawn == pytest.approx(theirs(one[index], other[index])[0], abs=1e-12)


def test_more_candidates_than_a_block_give_the_same() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 30, size=(2, 1100)).astype(float)
    assert tau_b(one, other, np.ones((1, 1100))).value == pytest.approx(stats.kendalltau(one, other)[0], abs=1e-12)


@pytest.mark.parametrize("ours", [tau_b, spearman, pearson])
def test_one_side_that_says_the_same_of_all_leaves_nothing_to_say(ours: Callable[..., Any]) -> None:
    assert math.isnan(ours(np.full(5, 0.1), np.arange(5.0), np.ones((1, 5))).value)
    assert math.isnan(ours(np.zeros(0), np.zeros(0), np.ones((1, 0))).value)


def test_pairs_are_counted_by_hand() -> None:
    """Study a: of three pairs one is undecided, one is preferred alike, one is tied. Study b: its one pair is preferred the other way round."""
    tested = np.array([1.0, 2.0, 1.0, 5.0, 4.0, 9.0])
    truth = np.array([1.0, 2.0, 2.0, 1.0, 2.0, 7.0])
    found = preferred(tested, truth, ["a", "a", "a", "b", "b", "c"], np.ones((1, 6)))
    assert (found.pairs, found.ties, found.undecided) == (3, 1, 1)
    assert found.accuracy.value == pytest.approx((1 + 0.5 + 0) / 3)
    weights = np.array([[1.0] * 6, [2, 2, 2, 0, 0, 1], [0, 0, 0, 3, 3, 0]])
    assert preferred(tested, truth, ["a", "a", "a", "b", "b", "c"], weights).accuracy.drawn == pytest.approx([(1 + 0.5) / 2, 0])


def test_candidates_of_a_patient_are_drawn_together() -> None:
    draws = Draws(["p", "q", "p", "r"], draws=50, seed=3, level=0.9)
    weights = draws.weights(np.ones(4, dtype=bool))
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[1:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert draws.weights(np.array([True, False, True, False])).shape == (51, 2)


REFERENCE = "There is a small left pleural effusion. No pneumothorax."
GOOD, BAD = "Small left pleural effusion. There is no pneumothorax.", "The heart is large. Old rib fractures."


def write_rows(file: Path, *rows: Sequence[object]) -> Path:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(rows)
    return file


def error(kind: str, significance: str = "", **attributes: str) -> dict[str, Any]:
    return {"error_type": kind, "clinical_significance": significance, "attributes": attributes}


@pytest.fixture
def radpref(tmp_path: Path) -> Path:
    """Three studies of two patients, two raters; the second did not see the third study."""
    folder = tmp_path / "RadPref"
    (folder / "radiologist_annotations").mkdir(parents=True)
    rows = [
        {"id": f"{patient}_a{number}_s1", "ground_truth_report": REFERENCE, "C1_report": GOOD, "C2_report": BAD, "C1_source": "x"}
        for number, patient in enumerate(("p1", "p1", "p2"))
    ]
    (folder / "preference_data.json").write_text(json.dumps(rows))
    bad = {
        "rating": 2,
        "finding_errors": {
            "0": error("false", "urgent"),
            "1": error("attribute", location="negligible"),
            "2": error("attribute", severity="significant"),
        },
        "missing_findings": {"0": {"clinical_significance": "actionable_not_urgent"}, "1": {"clinical_significance": "benign_expected"}},
    }
    good = {"rating": 5, "finding_errors": {}, "missing_findings": {}}
    middling = {"rating": 3, "finding_errors": {"0": error("false", "not_actionable_not_urgent")}, "missing_findings": {}}
    ids = [row["id"] for row in rows]
    first = {ids[0]: {"C1": good, "C2": bad}, ids[1]: {"C1": good, "C2": bad}, ids[2]: {"C1": middling, "C2": middling}}
    second = {ids[0]: {"C1": good, "C2": bad, "new_finding_indices": {}}, ids[1]: {"C1": middling, "C2": good}}
    for user, said in (("1", first), ("2", second)):
        (folder / "radiologist_annotations" / f"user_{user}.json").write_text(json.dumps({"user_id": user, "annotations": said}))
    return folder


def answers(judgements: Judgements, question: str, rater: str) -> list[float]:
    return judgements.said[question][rater].tolist()


@pytest.mark.parametrize("name", ["", "preference_data.json"], ids=["the folder", "the file"])
def test_radpref_is_read_as_it_is_handed_out(radpref: Path, name: str) -> None:
    found = read_judgements(radpref / name)
    assert found.counts == {"candidates": 6, "studies": 3, "patients": 2, "raters": 2}
    assert [one.candidate for one in found.judged] == ["C1", "C2"] * 3
    assert (found.judged[1].reference, found.judged[1].report, found.judged[4].patient) == (REFERENCE, BAD, "p2")
    assert answers(found, "rating", "rater 1") == [5, 2, 5, 2, 3, 3]
    assert answers(found, "rating", "rater 2") == pytest.approx([5, 2, 3, 5, math.nan, math.nan], nan_ok=True)
    assert answers(found, "errors", "rater 1") == [0, -5, 0, -5, -1, -1]
    assert answers(found, "significant errors", "rater 1") == [0, -3, 0, -3, 0, 0]  # urgent, a significant attribute, actionable
    assert len(found.files) == 3


@pytest.fixture
def rexval(tmp_path: Path) -> Path:
    """Two studies, two candidates of the four, two raters, one category in two significances each."""
    folder = tmp_path / "rexval"
    folder.mkdir()
    write_rows(
        folder / "50_samples_gt_and_candidates.csv",
        ("study_id", "gt_report", "radgraph", "bleu"),
        ("s9", REFERENCE, GOOD, BAD),
        ("s4", REFERENCE, BAD, GOOD),
    )
    rows: list[Sequence[object]] = [("study_number", "candidate_type", "error_category", "rater_index", "clinically_significant", "num_errors")]
    for study in (0, 1):
        for kind in ("radgraph", "bleu"):
            for rater in (0, 1):
                is_bad = (study == 0) == (kind == "bleu")
                rows += [(study, kind, 2, rater, True, 2 + rater if is_bad else 0), (study, kind, 1, rater, False, 1 if is_bad else 0)]
    write_rows(folder / "6_valid_raters_per_rater_error_categories.csv", *rows)
    return folder


@pytest.mark.parametrize("name", ["", "50_samples_gt_and_candidates.csv", "6_valid_raters_per_rater_error_categories.csv"])
def test_rexval_is_read_as_it_is_handed_out(rexval: Path, name: str) -> None:
    found = read_judgements(rexval / name)
    assert found.counts == {"candidates": 4, "studies": 2, "raters": 2}
    assert [(one.study, one.candidate, one.report) for one in found.judged] == [
        ("s9", "radgraph", GOOD),
        ("s9", "bleu", BAD),
        ("s4", "radgraph", BAD),
        ("s4", "bleu", GOOD),
    ]
    assert answers(found, "errors", "rater 1") == [0, -4, -4, 0]
    assert answers(found, "significant errors", "rater 0") == [0, -2, -2, 0]


@pytest.fixture
def radevalx(tmp_path: Path) -> Path:
    folder = tmp_path / "radevalx"
    folder.mkdir()
    head = ("report_id", "ground_truth", "M2Tr-Generation", *range(1, 9))
    write_rows(
        folder / "RadEval_clinically_significant_errors.csv", head, ("7", REFERENCE, GOOD, *[""] * 8), ("8", REFERENCE, BAD, 1, "", 2, *[""] * 5)
    )
    write_rows(folder / "RadEval-clinically_insignificant_errors.csv", head, ("8", REFERENCE, BAD, *[0] * 7, 1), ("7", REFERENCE, GOOD, *[0] * 8))
    write_rows(folder / "metrcis_scores_m2tr.csv", ("report_id", "id", "bleu4"), ("7", "x", "0.1"))
    return folder


def test_radevalx_is_read_as_it_is_handed_out(radevalx: Path) -> None:
    for place in (radevalx, radevalx / "RadEval_clinically_significant_errors.csv"):
        found = read_judgements(place)
        assert found.counts == {"candidates": 2, "studies": 2, "raters": 1}
        assert (answers(found, "errors", "consensus"), answers(found, "significant errors", "consensus")) == ([0, -4], [0, -3])
        assert "14 blank cells are read as no error" in found.notes[1]


LONG = ("study", "candidate", "reference", "report", "rater")


def test_a_long_table_serves_any_other_collection(tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "ours.csv",
        (*LONG, "errors", "significance", "patient"),
        ("1", "a", REFERENCE, GOOD, "x", 1, "insignificant", "p"),
        ("1", "a", REFERENCE, GOOD, "y", 0, "significant", "p"),
        ("1", "b", REFERENCE, BAD, "x", 2, "significant", "p"),
        ("1", "b", REFERENCE, BAD, "x", 1, "insignificant", "p"),
    )
    found = read_judgements(file)
    assert found.counts == {"candidates": 2, "studies": 1, "patients": 1, "raters": 2}
    assert answers(found, "errors", "x") == [-1, -3]
    assert answers(found, "significant errors", "x") == [0, -2]
    assert answers(found, "errors", "y") == pytest.approx([0, math.nan], nan_ok=True)
    scored = read_judgements(
        write_rows(tmp_path / "b.csv", (*LONG, "score"), ("1", "a", REFERENCE, GOOD, "x", -1.5), ("2", "a", REFERENCE, BAD, "x", 4))
    )
    assert answers(scored, "score", "x") == [-1.5, 4]
    assert not scored.names_patients


def test_errors_are_added_up_over_significance_and_a_score_is_not(tmp_path: Path) -> None:
    """A 4 of 5 in both rows of one candidate is a 4, not an 8; one that is blank in the second row stands."""
    file = write_rows(
        tmp_path / "both.csv",
        (*LONG, "score", "errors", "significance", "patient"),
        ("1", "a", REFERENCE, GOOD, "x", 4, 1, "significant", ""),
        ("1", "a", REFERENCE, GOOD, "x", 4, 2, "insignificant", ""),
        ("1", "b", REFERENCE, BAD, "x", 2, 0, "insignificant", ""),
        ("1", "b", REFERENCE, BAD, "x", "", 3, "significant", ""),
    )
    found = read_judgements(file)
    assert answers(found, "score", "x") == [4, 2]
    assert answers(found, "errors", "x") == [-3, -3]
    assert answers(found, "significant errors", "x") == [-1, -3]
    assert not found.names_patients  # a column that is blank throughout says nothing


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([LONG, ("1", "a", "r", "t", "x")], "nobody says what was judged; add a column score (higher is better) or errors"),
        ([(*LONG, "score"), ("1", "a", "r", "t", "x", "good")], "line 2: score is 'good'; it must be a number"),
        ([(*LONG, "errors"), ("1", "a", "r", "t", "x", "-1")], "line 2: errors is '-1'; it must be a number of errors, 0 or more"),
        ([(*LONG, "score"), ("1", "a", "r", "t", "x", 1), ("1", "a", "r", "t", "x", 2)], "line 3: 'x' judges candidate 'a' of study '1' twice"),
        ([(*LONG, "score"), ("1", "a", "r", "t", "x", 1), ("1", "a", "r", "other", "y", 2)], "line 3: candidate 'a' of study '1' has another text"),
        ([(*LONG, "errors", "significance"), ("1", "a", "r", "t", "x", 1, "big")], "significance is 'big'; write significant, insignificant"),
        ([(*LONG, "score"), ("1", "a", "r", "t", "x", "")], "has no judgement: every score and errors is blank"),
        (
            [(*LONG, "score", "significance"), ("1", "a", "r", "t", "x", 4, "significant"), ("1", "a", "r", "t", "x", 3, "insignificant")],
            "line 3: 'x' gives candidate 'a' of study '1' a score of 3, and above one of 4",
        ),
        (
            [(*LONG, "score", "patient"), ("1", "a", "r", "t", "x", 1, "p"), ("1", "b", "r", "u", "x", 2, "q")],
            "line 3: study '1' is of patient 'q', and above of 'p'",
        ),
        (
            [(*LONG, "score", "patient"), ("1", "a", "r", "t", "x", 1, "p"), ("2", "a", "r", "u", "x", 2, "")],
            "line 3: patient is blank, and other rows name one; name the patient of study '2' too",
        ),
        ([("study", "text")], "holds no judgements that can be read"),
    ],
)
def test_a_table_that_is_odd_is_refused_with_its_place(tmp_path: Path, rows: list[Sequence[object]], message: str) -> None:
    with pytest.raises((UnreadableJudgements, BadTable)) as caught:
        read_judgements(write_rows(tmp_path / "odd.csv", *rows))
    assert message in str(caught.value)


def test_a_collection_with_a_part_missing_says_which(radpref: Path, rexval: Path, radevalx: Path, tmp_path: Path) -> None:
    (rexval / "6_valid_raters_per_rater_error_categories.csv").unlink()
    with pytest.raises(UnreadableJudgements, match=r"ReXVal is two tables in one folder.*study_number.*and has none: put it there"):
        read_judgements(rexval)
    (radevalx / "RadEval-clinically_insignificant_errors.csv").unlink()
    with pytest.raises(UnreadableJudgements, match="RadEvalX is two tables"):
        read_judgements(radevalx)
    for file in (radpref / "radiologist_annotations").iterdir():
        file.unlink()
    with pytest.raises(UnreadableJudgements, match="no ratings lie beside it; put its folder radiologist_annotations there"):
        read_judgements(radpref)
    with pytest.raises(UnreadableJudgements, match="no file or folder"):
        read_judgements(tmp_path / "none")


def test_a_judgement_of_a_candidate_that_is_not_there_is_refused(rexval: Path) -> None:
    with (rexval / "6_valid_raters_per_rater_error_categories.csv").open("a", newline="") as out:
        csv.writer(out).writerow((2, "bleu", 1, 0, True, 1))
    with pytest.raises(UnreadableJudgements, match=r"judges 1 candidates that .* does not have, the first '2 bleu'"):
        read_judgements(rexval)


def config(*metrics: str, **more: Any) -> RunConfig:
    return RunConfig((), metrics or ("rouge_l",), "", "", draws=50, **more)


def row_of(found: MetaEval, question: str, metric: str, value_name: str) -> Row:
    return next(row for row in found.rows if (row.model, row.metric, row.value_name) == (question, metric, value_name))


def test_a_metric_stands_between_the_control_and_one_radiologist(radpref: Path, tmp_path: Path) -> None:
    """Worked out with scipy from what the folder keeps, and by hand: rater 2 has the first pair as rater 1 has it, and the second the other way."""
    found = meta_eval(read_judgements(radpref), config(), tmp_path / "run")
    with (tmp_path / "run" / "scores.csv").open(newline="") as lines:
        kept = list(csv.DictReader(lines))
    rouge = [float(row["rouge_l.f1"]) for row in kept]
    ratings = [np.mean([float(row[f"rating: rater {rater}"]) for rater in "12" if row[f"rating: rater {rater}"]]) for row in kept]
    assert ratings == [5, 2, 4, 3.5, 3, 3]
    assert row_of(found, "rating", "rouge_l", "f1.tau_b").value == pytest.approx(stats.kendalltau(rouge, ratings)[0])
    assert row_of(found, "rating", "rouge_l", "f1.pearson").value == pytest.approx(stats.pearsonr(rouge, ratings)[0])
    assert row_of(found, "rating", "rouge_l", "f1.pairwise").value == 1
    human = row_of(found, "rating", "radiologists", "rater 2.pairwise")
    assert (human.value, human.scored, human.unscored) == (0.5, 4, 2)
    assert row_of(found, "rating", "radiologists", "rater 2.tau_b").value == pytest.approx(stats.kendalltau([5, 2, 3, 5], [5, 2, 5, 2])[0])
    assert row_of(found, "rating", "radiologists", "one rater.pairwise").value == 0.5
    words = [len(text.split()) for text in (GOOD, BAD)]
    length = [-abs(words[number % 2] - len(REFERENCE.split())) for number in range(6)]
    assert row_of(found, "rating", "length", "difference.tau_b").value == pytest.approx(stats.kendalltau(length, ratings)[0])


def test_the_page_names_ties_direction_and_what_was_taken_for_granted(radpref: Path, tmp_path: Path) -> None:
    found = meta_eval(read_judgements(radpref), config("rouge_l", "lesions"), tmp_path / "run", numbers=("lesions.reports_with_miss",))
    page = (tmp_path / "run" / "meta_eval.md").read_text()
    for words in (
        "Against the mean of the radiologists: significant errors",
        "Control: minus the difference in length",
        "One radiologist against the others: mean",
        "Reports with a miss (rules): turned round, since lower is better.",
        "bootstrap draws of patients",
        "The patient is the first part of the study's id.",
        "`rouge_l|variant:google",
    ):
        assert words in page
    missed = row_of(found, "rating", "lesions", "reports_with_miss.tau_b")
    assert missed.value > 0  # fewer misses, better rated
    assert json.loads((tmp_path / "run" / "run.json").read_text())["meta_eval"]["source"] == "RadPref"
    assert (tmp_path / "run" / ".gitignore").read_text() == "*\n"


def test_one_judgement_for_all_raters_has_no_ceiling_and_one_candidate_no_pairs(radevalx: Path, tmp_path: Path) -> None:
    found = meta_eval(read_judgements(radevalx), config(), tmp_path / "run")
    assert "radiologists" not in {row.metric for row in found.rows}
    assert math.isnan(row_of(found, "errors", "rouge_l", "f1.pairwise").value)
    assert row_of(found, "errors", "rouge_l", "f1.tau_b").value == 1
    page = (tmp_path / "run" / "meta_eval.md").read_text()
    assert "Against the consensus of the radiologists: errors" in page
    assert "ne radiologist" not in page


RATED = {"x": (5, 1, 3, 2), "y": (4, 2, 1, 5), "z": (3, 1, 2, 4)}


def rated(file: Path, said: Mapping[str, Sequence[object]]) -> Judgements:
    """Two studies with a good and a bad candidate each, the reports of unlike lengths."""
    texts = (GOOD, BAD, GOOD + " Old granuloma.", REFERENCE + " " + BAD)
    cells = [(*divmod(place, 2), rater, score) for rater, scores in said.items() for place, score in enumerate(scores)]
    return read_judgements(
        write_rows(
            file,
            (*LONG, "score"),
            *((study, candidate, REFERENCE, texts[2 * study + candidate], who, score) for study, candidate, who, score in cells),
        )
    )


def test_metrics_are_held_against_what_one_radiologist_is_held_against(tmp_path: Path) -> None:
    """By scipy: tau-b of the metric with the mean of y and z, of x and z, of x and y; then averaged, as for the raters."""
    found = meta_eval(rated(tmp_path / "t.csv", RATED), config(), tmp_path / "run")
    with (tmp_path / "run" / "scores.csv").open(newline="") as lines:
        rouge = [float(row["rouge_l.f1"]) for row in csv.DictReader(lines)]
    others = {rater: np.mean([RATED[other] for other in RATED if other != rater], axis=0) for rater in RATED}
    taus = [stats.kendalltau(rouge, rest)[0] for rest in others.values()]
    like = row_of(found, "score", "rouge_l", "f1.as_a_rater.tau_b")
    assert like.value == pytest.approx(np.mean(taus))
    assert like.value != pytest.approx(row_of(found, "score", "rouge_l", "f1.tau_b").value)
    human = [stats.kendalltau(RATED[rater], rest)[0] for rater, rest in others.items()]
    assert row_of(found, "score", "radiologists", "one rater.tau_b").value == pytest.approx(np.mean(human))
    page = (tmp_path / "run" / "meta_eval.md").read_text()
    assert "Beside one radiologist, against the mean of the others: score" in page
    assert "One radiologist is no upper bound" in page
    assert "cannot be told from noise" not in page


@pytest.mark.parametrize(("name", "of_w"), [("constant", (3, 3, 3, 3)), ("on one alone", (3, "", "", ""))])
def test_a_rater_without_a_value_is_left_out_of_the_mean_and_named(tmp_path: Path, name: str, of_w: Sequence[object]) -> None:
    said = {**RATED, "w": of_w}
    found = meta_eval(rated(tmp_path / "t.csv", said), config(), tmp_path / "run")
    assert math.isnan(row_of(found, "score", "radiologists", "w.tau_b").value), name
    means = [row_of(found, "score", "radiologists", f"{rater}.tau_b").value for rater in RATED]
    mean = row_of(found, "score", "radiologists", "one rater.tau_b")
    assert mean.value == pytest.approx(np.mean(means))
    for metric, number in (("rouge_l", "f1"), ("length", "difference")):
        assert not math.isnan(row_of(found, "score", metric, f"{number}.as_a_rater.tau_b").value)
    assert "Not in the mean over radiologists" in (page := (tmp_path / "run" / "meta_eval.md").read_text())
    assert "score, w (Kendall's tau-b, Spearman" in page


def test_a_rater_who_answers_nothing_is_none_and_a_lone_one_is_no_consensus(tmp_path: Path) -> None:
    lone = rated(tmp_path / "t.csv", {"x": RATED["x"]})
    found = meta_eval(lone, config(), tmp_path / "run")
    page = (tmp_path / "run" / "meta_eval.md").read_text()
    assert "Against the one radiologist, x: score" in page
    assert "consensus" not in page
    assert "Beside one radiologist" not in page
    silent = replace(lone, said={"score": {**lone.said["score"], "w": np.full(4, math.nan)}})
    again = meta_eval(silent, config(), tmp_path / "again")
    assert repr(again.rows) == repr(found.rows)


def test_nothing_is_measured_twice_and_another_file_gets_another_folder(radpref: Path, rexval: Path, tmp_path: Path) -> None:
    first = meta_eval(read_judgements(radpref), config(), tmp_path / "run")
    kept = (tmp_path / "run" / "candidates" / "rouge_l.npz").stat().st_mtime_ns
    again = meta_eval(read_judgements(radpref), config("rouge_l", "bleu"), tmp_path / "run")
    assert (tmp_path / "run" / "candidates" / "rouge_l.npz").stat().st_mtime_ns == kept
    assert repr([row for row in again.rows if row.metric == "rouge_l"]) == repr([row for row in first.rows if row.metric == "rouge_l"])
    with pytest.raises(OtherRun, match=r'its meta_eval is "RadPref", now it would be "ReXVal"'):
        meta_eval(read_judgements(rexval), config(), tmp_path / "run")
    assert estimate_meta_eval(read_judgements(radpref), config()).rows == []


def test_a_candidate_named_twice_is_refused(rexval: Path, tmp_path: Path) -> None:
    file = rexval / "50_samples_gt_and_candidates.csv"
    file.write_text(file.read_text().replace("s4", "s9"))
    with pytest.raises(UserError, match="has a candidate twice: s9/radgraph"):
        meta_eval(read_judgements(rexval), config(), tmp_path / "run")


def test_the_command_prints_one_block_for_each_question(radpref: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "benchmark", "meta-eval", "RadPref", "--metrics", "rouge_l", "--draws", "20"]
    answer = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    for words_ in ("Against: rating", "Against: significant errors", "Against: errors", "Control", "results/runs/meta-eval-RadPref"):
        assert words_ in answer.stdout
