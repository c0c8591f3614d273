"""Arms of several trainings become numbers: the same as a run's where there is one training, over seeds where there are more."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.experiments.measure import ArmRun, measure
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.numbers_csv import BadNumbers, from_csv, to_csv
from benchmark.experiments.same_cases import NotGenerated, UnlikeRuns
from benchmark.experiments.told_labels import told_f1
from benchmark.metrics.rouge import RougeL
from benchmark.records import Case, Lesion, Lesions, Reference, Report, RunConfig, UserError
from benchmark.registry import parse_specs
from benchmark.runs import RunFolder
from benchmark.scoring import build_metric, score
from benchmark.statistics import PatientBootstrap, over_seeds
from benchmark.vocabulary import LESIONS

FINDINGS = [
    "There is a left pleural effusion.",
    "The heart is enlarged.",
    "No pleural effusion or pneumothorax.",
    "There is a right pneumothorax.",
    "The lungs are clear. The heart is enlarged.",
    "There is a small right pleural effusion.",
]
REFERENCES = [FINDINGS[number % len(FINDINGS)] for number in range(24)]
PATIENTS = [f"p{number // 2}" for number in range(24)]
CONFIG = RunConfig((), ("lesions", "rouge_l"), "phantom", draws=200)
TITLES = {"good": "Good", "bad": "Bad", "once": "Once"}


def written(seed: int, wrong: float) -> list[Report]:
    """The references, some of them those of other cases."""
    generator = np.random.default_rng(seed)
    return [
        Report(f"c{number}", str(generator.choice(FINDINGS)) if generator.random() < wrong else text, details={"told": []})
        for number, text in enumerate(REFERENCES)
    ]


def run_folder(path: Path, reports: Mapping[str, Sequence[Report]], settings: Mapping[str, object] | None = None, **about: object) -> Path:
    """As ``generate`` leaves it."""
    path.mkdir(parents=True)
    folder = RunFolder(path)
    cases = [Case(f"c{number}", patient, f"s{number}", ()) for number, patient in enumerate(PATIENTS)]
    references = [Reference(case.id, text) for case, text in zip(cases, REFERENCES, strict=True)]
    known = {"dataset": "phantom", "split": "test", "context": "full", "dataset_options": {}, "fingerprint": "f", **(settings or {})}
    folder.begin(known, cases, references, is_private=False)
    for arm, of_arm in reports.items():
        folder.model(arm).begin({"model": "clala", "provenance": about})
        folder.model(arm).rewrite(of_arm)
    return path


def three_arms(folder: Path) -> dict[str, list[ArmRun]]:
    return {
        arm: [ArmRun(seed, run_folder(folder / f"{arm}-{seed}", {arm: written(seed, wrong)})) for seed in seeds]
        for arm, wrong, seeds in (("good", 0.2, (1, 2, 3)), ("bad", 0.7, (1, 2, 3)), ("once", 0.5, (7,)))
    }


@pytest.fixture
def arms(tmp_path: Path) -> dict[str, list[ArmRun]]:
    return three_arms(tmp_path)


def of_run(run: ArmRun, arm: str) -> list[Report]:
    return RunFolder(run.folder).model(arm).reports()


def test_arms_that_were_trained_once_have_the_numbers_of_a_run(arms: dict[str, list[ArmRun]]) -> None:
    one = {arm: runs[:1] for arm, runs in arms.items()}
    pairs = [("good", "bad"), ("good", "once"), ("bad", "once")]
    found = measure(one, pairs, CONFIG, titles=TITLES)
    expected = score(PATIENTS, REFERENCES, {arm: of_run(runs[0], arm) for arm, runs in one.items()}, replace(CONFIG, strata=False))
    assert repr(sorted(found.rows, key=repr)) == repr(sorted(expected.rows, key=repr))
    numbers = {(row.metric, row.value_name) for row in found.rows}  # McNemar's counts and test are a run's alone
    differences = [row for row in expected.differences if (row.metric, row.value_name) in numbers]
    assert repr(sorted(found.differences, key=repr)) == repr(sorted(differences, key=repr))
    assert found.seeds == {"good": (1,), "bad": (1,), "once": (7,), "good - bad": (1,), "good - once": (1,), "bad - once": (1,)}


def test_several_trainings_are_averaged_and_each_seed_keeps_its_own_number(arms: dict[str, list[ArmRun]]) -> None:
    found = measure(arms, [("good", "bad")], CONFIG, titles=TITLES)
    alone = [measure({"good": [run]}, [], CONFIG, titles=TITLES).row("good", "lesions", "macro_f1") for run in arms["good"]]
    values = [row.value for row in alone if row]
    assert found.of_seeds("good", "lesions", "macro_f1") == pytest.approx(values)
    row = found.row("good", "lesions", "macro_f1")
    assert row is not None
    assert row.value == pytest.approx(np.mean(values))
    assert row.low < row.value < row.high
    assert (row.p_value, row.scored, row.unscored, row.patients) == (None, 24, 0, 12)
    assert row.title == "Macro F1"
    assert "|context:full|" in row.signature
    assert found.counts == {"cases": 24, "patients": 12}
    assert (found.level, found.draws) == (0.95, 200)


def test_a_difference_is_that_of_each_seed_over_the_same_drawn_patients(arms: dict[str, list[ArmRun]]) -> None:
    """By the resampled patients' rows themselves, one index after another."""
    found = measure(arms, [("good", "bad")], CONFIG, titles=TITLES).difference("good", "bad", "rouge_l", "f1")
    metric, counts = RougeL(), PatientBootstrap(PATIENTS, draws=200)
    scores = {
        (arm, run.seed): metric.statistics([report.text for report in of_run(run, arm)], REFERENCES) for arm in ("good", "bad") for run in arms[arm]
    }
    apart = np.column_stack([(scores["good", seed] - scores["bad", seed])[:, 0] for seed in (1, 2, 3)])
    number = metric.values(scores["good", 1].sum(axis=0))["f1"] - metric.values(scores["bad", 1].sum(axis=0))["f1"]
    assert number == pytest.approx(apart[:, 0].mean()), "ROUGE-L is the mean of the first column"
    drawn = counts.resample(counts.sums_of(np.column_stack([apart, np.ones(24)])))
    expected = over_seeds(apart.mean(axis=0), drawn[:, :3] / drawn[:, 3:], 12)
    assert found is not None
    assert (found.value, found.low, found.high, found.p_value) == pytest.approx((expected.value, expected.low, expected.high, expected.p_value))
    assert found.detectable == pytest.approx(expected.detectable)


def test_an_arm_that_was_trained_once_stands_against_each_training_of_the_other(arms: dict[str, list[ArmRun]]) -> None:
    found = measure(arms, [("good", "once"), ("once", "bad")], CONFIG, titles=TITLES)
    values = found.of_seeds("good", "rouge_l", "f1")
    (once,) = found.of_seeds("once", "rouge_l", "f1")
    assert found.of_seeds("good - once", "rouge_l", "f1") == pytest.approx([value - once for value in values])
    assert found.seeds["good - once"] == (1, 2, 3) == found.seeds["once - bad"]
    turned, row = found.difference("bad", "once", "rouge_l", "f1"), found.difference("once", "bad", "rouge_l", "f1")
    assert turned is not None
    assert row is not None
    assert (turned.value, turned.p_value) == (-row.value, row.p_value)


def test_one_that_lost_all_trainings_but_one_is_set_against_the_training_of_that_seed_alone(arms: dict[str, list[ArmRun]]) -> None:
    """As if nobody had trained the other with further seeds; its own number is still that of all of them."""
    left = {"good": arms["good"], "bad": arms["bad"][1:2]}
    found = measure(left, [("good", "bad")], CONFIG, titles=TITLES, trained=("good", "bad"))
    both = measure({arm: runs[1:2] for arm, runs in arms.items() if arm != "once"}, [("good", "bad")], CONFIG, titles=TITLES)
    assert found.seeds == {"good": (1, 2, 3), "bad": (2,), "good - bad": (2,)}
    assert repr(found.differences) == repr(both.differences)
    assert len(found.of_seeds("good", "rouge_l", "f1")) == 3


def test_a_report_that_failed_is_no_score_and_the_counts_are_those_of_the_worst_seed(arms: dict[str, list[ArmRun]]) -> None:
    model = RunFolder(arms["good"][1].folder).model("good")
    reports = model.reports()
    model.rewrite([replace(report, text="", failure="broken") if report.case_id in ("c0", "c1", "c5") else report for report in reports])
    found = measure(arms, [("good", "bad"), ("good", "once")], CONFIG, titles=TITLES)
    row, difference = found.row("good", "rouge_l", "f1"), found.difference("good", "bad", "rouge_l", "f1")
    assert row is not None
    assert difference is not None
    assert (row.scored, row.unscored, row.patients) == (difference.scored, difference.unscored, difference.patients) == (21, 3, 11)
    kept = [place for place in range(24) if place not in (0, 1, 5)]
    ours, theirs = (of_run(arms[arm][1], arm) for arm in ("good", "bad"))
    expected = score(
        [PATIENTS[place] for place in kept],
        [REFERENCES[place] for place in kept],
        {"a": [ours[place] for place in kept], "b": [theirs[place] for place in kept]},
        replace(CONFIG, metrics=("rouge_l",), strata=False),
    )
    assert found.of_seeds("good - bad", "rouge_l", "f1")[1] == pytest.approx(expected.differences[0].value)


def test_of_a_pair_the_cases_count_that_both_scored_whichever_of_them_failed(arms: dict[str, list[ArmRun]]) -> None:
    model = RunFolder(arms["bad"][1].folder).model("bad")
    model.rewrite([replace(report, text="", failure="broken") if report.case_id in ("c0", "c1", "c5") else report for report in model.reports()])
    found = measure(arms, [("good", "bad")], CONFIG, titles=TITLES)
    row, difference = found.row("good", "rouge_l", "f1"), found.difference("good", "bad", "rouge_l", "f1")
    assert row is not None
    assert difference is not None
    assert (row.scored, row.unscored, row.patients) == (24, 0, 12)
    assert (difference.scored, difference.unscored, difference.patients) == (21, 3, 11)
    kept = [place for place in range(24) if place not in (0, 1, 5)]
    ours, theirs = ([of_run(arms[arm][1], arm)[place].text for place in kept] for arm in ("good", "bad"))
    metric, references = RougeL(), [REFERENCES[place] for place in kept]
    means = [metric.values(metric.statistics(texts, references).sum(axis=0))["f1"] for texts in (ours, theirs)]
    assert found.of_seeds("good - bad", "rouge_l", "f1")[1] == pytest.approx(means[0] - means[1])


def test_intervals_of_levels_end_where_a_number_does_and_those_of_differences_do_not(tmp_path: Path) -> None:
    """One seed writes every reference, the other hardly one: with two seeds the interval by Student's t is wider than all that F1 can be."""
    wrong = {"good": {1: 0.0, 2: 1.0}, "bad": {1: 1.0, 2: 0.0}}
    arms = {
        arm: [ArmRun(seed, run_folder(tmp_path / f"{arm}{seed}", {arm: written(seed, share)})) for seed, share in of_arm.items()]
        for arm, of_arm in wrong.items()
    }
    found = measure(arms, [("good", "bad")], replace(CONFIG, metrics=("lesions", "rouge_l", "consistency")), titles=TITLES)
    for metric, name, ends in (("rouge_l", "f1", (0, 1)), ("lesions", "macro_f1", (0, 1)), ("consistency", "rules.total", (4, 20))):
        row, difference = found.row("good", metric, name), found.difference("good", "bad", metric, name)
        assert row is not None
        assert difference is not None
        assert (row.low, row.high) == ends
        assert difference.high - difference.low > 2 * (ends[1] - ends[0])
    confused = found.row("good", "lesions", "side.left_as_left")
    assert confused is not None
    assert confused.low < 0, "a count has no range that is known"


@pytest.mark.parametrize(
    "spec", ["lesions", "consistency", "green", "radgraph", "rouge_l", "rouge_1", "rouge_l_coco", "bleu", "meteor", "meteor_nltk"]
)
def test_no_number_leaves_the_range_that_its_metric_states(spec: str) -> None:
    """Texts that are the same, that have nothing in common, and that are empty."""
    (named,) = parse_specs((spec,))
    metric = build_metric(named, CONFIG, None)
    texts = [*FINDINGS, *FINDINGS, *[""] * len(FINDINGS)]
    rows = metric.statistics(texts, [*FINDINGS, *FINDINGS[::-1], *FINDINGS])
    rows = rows[~np.isnan(rows).any(axis=1)]
    values = metric.values(np.stack([rows.sum(axis=0), rows[0], rows[-1]]))
    ranges = metric.ranges  # type: ignore[attr-defined]
    assert ranges
    assert ranges.keys() <= values.keys()
    for name, (least, most) in ranges.items():
        defined = values[name][~np.isnan(values[name])]
        assert ((defined >= least) & (defined <= most)).all(), name


def test_arms_of_the_same_reports_differ_by_nothing(tmp_path: Path) -> None:
    same = {arm: [ArmRun(seed, run_folder(tmp_path / f"{arm}{seed}", {arm: written(seed, 0.5)})) for seed in (1, 2)] for arm in ("one", "two")}
    found = measure(same, [("one", "two")], CONFIG, titles={})
    defined = [row for row in found.differences if not math.isnan(row.low)]
    assert len(defined) > 50
    assert {(row.value, row.low, row.high, row.p_value) for row in defined} == {(0, 0, 0, 1)}


def test_what_was_measured_is_not_measured_again(arms: dict[str, list[ArmRun]]) -> None:
    first = measure(arms, [("good", "bad")], CONFIG, titles=TITLES)
    kept = {file: file.stat().st_mtime_ns for runs in arms.values() for run in runs for file in run.folder.glob("*/*.npz")}
    assert len(kept) == 7 * 2
    again = measure(arms, [("good", "bad")], CONFIG, titles=TITLES)
    assert to_csv(again) == to_csv(first)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept


def test_folders_of_other_cases_are_refused_by_name(arms: dict[str, list[ArmRun]], tmp_path: Path) -> None:
    other = run_folder(tmp_path / "other", {"once": written(1, 0.5)}, {"split": "validate"})
    with pytest.raises(UnlikeRuns, match=r"good-1 and .*other differ in split \('test' and 'validate'\); generate both from the same data"):
        measure({**arms, "once": [ArmRun(1, other)]}, [], CONFIG, titles={})
    changed = arms["bad"][2].folder / "references.jsonl"
    lines = changed.read_text().splitlines(keepends=True)
    changed.write_text("".join([*lines[:3], lines[3].replace("right", "left"), *lines[4:]]))
    with pytest.raises(UnlikeRuns, match=r"good-1 and .*bad-3 differ in the reference of case 4;"):
        measure(arms, [], CONFIG, titles={})
    with pytest.raises(UnlikeRuns, match=r"numbers of the context 'none' were asked for, and .*good-1 shows models 'full'"):
        measure(arms, [], replace(CONFIG, context="none"), titles={})


def test_true_boxes_and_what_models_are_told_are_no_other_cases(arms: dict[str, list[ArmRun]], tmp_path: Path) -> None:
    settings = {"dataset_options": {"boxes": "truth"}, "fingerprint": "of true boxes", "grant": ["lesions"]}
    told = run_folder(tmp_path / "told", {"once": written(1, 0.5)}, settings)
    assert measure({**arms, "once": [ArmRun(1, told)]}, [], CONFIG, titles={}).row("once", "rouge_l", "f1") is not None


def test_a_folder_without_all_reports_is_refused(arms: dict[str, list[ArmRun]], tmp_path: Path) -> None:
    with pytest.raises(NotGenerated, match="empty is to be measured and holds no run"):
        measure({"good": [ArmRun(1, tmp_path / "empty")]}, [], CONFIG, titles={})
    model = RunFolder(arms["once"][0].folder).model("once")
    model.rewrite(model.reports()[:20])
    with pytest.raises(NotGenerated, match="is to have a report for each of 24 cases, in their order, and has 20; type the command"):
        measure(arms, [], CONFIG, titles={})


def test_a_pair_that_cannot_be_set_side_by_side_is_refused_before_anything_is_measured(arms: dict[str, list[ArmRun]]) -> None:
    other = [ArmRun(run.seed + 10, run.folder) for run in arms["bad"]]
    with pytest.raises(UserError, match="good - bad: a difference over seeds was asked of the seeds 1, 2, 3 and 11, 12, 13, which share 0"):
        measure({**arms, "bad": other}, [("good", "bad")], CONFIG, titles={})
    with pytest.raises(UserError, match="the difference good - best was asked, and there is no arm 'best'; there are: good, bad, once"):
        measure(arms, [("good", "best")], CONFIG, titles={})
    for runs, found in ((arms["bad"][:1] * 2, "1, 1"), ([], "none")):
        with pytest.raises(UserError, match=f"arm bad is to be measured over trainings of unlike seeds, and has {found}; give each"):
            measure({**arms, "bad": runs}, [], CONFIG, titles={})
    assert not list(arms["good"][0].folder.glob("*/*.npz"))


def lesions(*names: str) -> Lesions:
    return tuple(Lesion(name, "positive" if name in names else "negative") for name in LESIONS)


def test_the_f1_of_told_labels_by_hand() -> None:
    """Effusion: one of two told, none falsely: 2/3. Edema: told of one of one, and of another: 2/3. Mass is told and nobody has it: left out."""
    truth = [lesions("pleural effusion"), lesions("pleural effusion", "edema"), lesions(), (), lesions("edema")]
    told = [["pleural effusion", "mass"], ["edema"], ["edema"], ["edema"], None]
    reports = [Report(str(place), details={} if names is None else {"told": names}) for place, names in enumerate(told)]
    assert told_f1(reports, truth) == pytest.approx(2 / 3)
    assert math.isnan(told_f1(reports[2:3], truth[2:3]))
    assert math.isnan(told_f1([], []))


def test_label_f1_is_the_mean_of_the_seeds_of_arms_that_were_told(tmp_path: Path) -> None:
    """The labeller reads an effusion in 8 of 24 references, a big heart in 8, a pneumothorax in 4."""
    whole = [
        lesions("pleural effusion"),
        lesions("cardiomegaly"),
        lesions(),
        lesions("pneumothorax"),
        lesions("cardiomegaly"),
        lesions("pleural effusion"),
    ]
    told = [[lesion.name for lesion in whole[number % 6] if lesion.status == "positive"] for number in range(24)]
    right = [replace(report, details={"told": names}) for report, names in zip(written(1, 0.2), told, strict=True)]
    effusions = [replace(report, details={"told": [name for name in report.details["told"] if "effusion" in name]}) for report in right]
    arms = {
        "told": [ArmRun(1, run_folder(tmp_path / "t1", {"told": right})), ArmRun(2, run_folder(tmp_path / "t2", {"told": effusions}))],
        "deaf": [ArmRun(1, run_folder(tmp_path / "deaf", {"deaf": right}, config={"lca": False}))],
        "model": [ArmRun(1, run_folder(tmp_path / "model", {"model": [replace(report, details={}) for report in right]}))],
    }
    assert measure(arms, [], CONFIG, titles={}).facts == {"told": {"label_f1": pytest.approx((1 + 1 / 3) / 2)}}


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Numbers:
    arms, note = three_arms(tmp_path_factory.mktemp("arms")), 'Of "phantoms", and\nnobody.'
    found = measure(arms, [("good", "bad"), ("good", "once")], CONFIG, titles=TITLES, note=note)
    return replace(found, facts={"good": {"label_f1": 0.1 + 0.2}})


def test_the_file_does_not_say_where_on_a_machine_the_data_lie(tmp_path: Path) -> None:
    found = measure(three_arms(tmp_path), [], replace(CONFIG, dataset="chest_imagenome:/data/of/someone"), titles={})
    assert from_csv(to_csv(found)).measured_on == "chest_imagenome"
    assert "someone" not in to_csv(found)


def test_numbers_come_back_from_their_file_to_six_digits_and_give_the_same_file(numbers: Numbers) -> None:
    text = to_csv(numbers)
    back = from_csv(text)
    assert to_csv(back) == text
    assert (back.seeds, back.titles, back.counts, back.note, back.level, back.draws) == (
        *(numbers.seeds, numbers.titles, numbers.counts, numbers.note, numbers.level, numbers.draws),
    )
    assert back.facts == {"good": {"label_f1": 0.3}}
    assert back.measured_on == numbers.measured_on == "phantom"
    for ours, theirs in zip((*numbers.rows, *numbers.differences), (*back.rows, *back.differences), strict=True):
        for name, value in vars(ours).items():
            assert vars(theirs)[name] == (pytest.approx(value, rel=1e-5, abs=1e-15, nan_ok=True) if isinstance(value, float) else value)
    for key, values in numbers.by_seed.items():
        assert back.by_seed[key] == pytest.approx(values, rel=1e-5, abs=1e-15, nan_ok=True)


def test_the_file_has_a_line_per_number_with_what_its_seeds_came_to(numbers: Numbers) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(numbers, only={("lesions", "macro_f1")}))))
    kept = {line["model"]: line for line in lines if line["metric"]}
    assert list(kept) == ["good", "bad", "once", "good - bad", "good - once"]
    values = np.array(numbers.of_seeds("good", "lesions", "macro_f1"))
    assert float(kept["good"]["sd"]) == pytest.approx(values.std(ddof=1), rel=1e-4)
    assert kept["good"]["by_seed"].split() == [f"{value:.6g}" for value in values]
    assert (kept["once"]["sd"], kept["good"]["p_value"], kept["good - bad"]["kind"]) == ("", "", "difference")
    assert float(kept["good - bad"]["p_value"]) > 0
    (signature,) = [line["text"] for line in lines if line["kind"] == "signature"]
    assert signature.startswith("lesions|")
    assert not any(reference in to_csv(numbers) for reference in REFERENCES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("kind,", "sort,", 1), "was to have the columns kind, model, .*, and has sort, model"),
        (lambda text: "", "and has none; make it anew"),
        (lambda text: text.replace("\nnumber,", "\nnumbers,", 1), r"line \d+ was to be as `reproduce` writes it.*no kind 'numbers'"),
        (lambda text: text.replace(",higher,", ",up,", 1), "no direction 'up'"),
        (lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("setting,,,draws")), "KeyError.'draws'"),
    ],
)
def test_another_file_is_refused(numbers: Numbers, change, message: str) -> None:
    with pytest.raises(BadNumbers, match=message):
        from_csv(change(to_csv(numbers)))
