"""How far labellers agree, against counting by hand, scikit-learn 1.9.1, scipy 1.17.1 and the examples of Krippendorff; and what is left on disk."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support

from benchmark import kappa
from benchmark.agreement import Agreement, agree, measure
from benchmark.disagreements import sentence_of
from benchmark.labelling.label_file import write_labels
from benchmark.metrics.lesions import LesionScores
from benchmark.records import Lesion, Lesions, UserError
from benchmark.report_files import MismatchedIds
from benchmark.runs import NoRunFolder, OtherRun
from benchmark.tables.agreement import for_terminal
from benchmark.vocabulary import LESIONS, SIDES


def stating(**said: str) -> Lesions:
    """``stating(mass="left", pleural_effusion="")``: these are positive, on that side; all others negative."""
    sides = {name.replace("_", " "): side or "not mentioned" for name, side in said.items()}
    return tuple(Lesion(name, "positive", sides[name]) if name in sides else Lesion(name, "negative", certainty="not mentioned") for name in LESIONS)


def column(answers: Sequence[int | None]) -> np.ndarray:
    """Codes of a labeller that speaks of the first lesion alone; None where it has no answer."""
    return kappa.coded([() if answer is None else stating(cardiomegaly="") if answer else stating() for answer in answers])


def two_by_two(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    first = [1] * both + [1] * only_first + [0] * only_second + [0] * neither
    second = [1] * both + [0] * only_first + [1] * only_second + [0] * neither
    return column(first), column(second)


def numbers_of(first: np.ndarray, second: np.ndarray, *, has_truth: bool = False) -> dict[str, float]:
    sums = np.nansum(kappa.pair_statistics(first, second), axis=0)
    return {name: float(value) for name, value in kappa.pair_values(sums, has_truth=has_truth).items()}


def random_labels(seed: int, cases: int = 400) -> list[Lesions]:
    """Lesions from very rare to common, with sides; every 40th case without an answer."""
    generator = np.random.default_rng(seed)
    is_positive = generator.random((cases, len(LESIONS))) < np.linspace(0.03, 0.6, len(LESIONS))
    side = generator.integers(len(SIDES), size=(cases, len(LESIONS)))
    return [
        ()
        if case % 40 == seed
        else tuple(
            Lesion(name, "positive", SIDES[side[case, place]]) if is_positive[case, place] else Lesion(name, "negative")
            for place, name in enumerate(LESIONS)
        )
        for case in range(cases)
    ]


def related_labels(seed: int) -> tuple[list[Lesions], list[Lesions]]:
    """Two labellers that agree on three cases of four."""
    ours, others = random_labels(seed), random_labels(seed + 1)
    return ours, [other if case % 4 == 0 or not other else mine for case, (mine, other) in enumerate(zip(ours, others, strict=True))]


# --- the numbers


@pytest.mark.parametrize(
    ("table", "value", "adjusted", "raw", "f1"),
    [
        ((20, 5, 10, 15), 0.4, 0.4, 0.7, 40 / 55),  # chance: 0.5 * 0.6 + 0.5 * 0.4 = 0.5, so (0.7 - 0.5) / 0.5
        ((1, 1, 1, 97), (0.98 - 0.9608) / (1 - 0.9608), 0.96, 0.98, 0.5),  # rare: two disagreements of a hundred halve it
        ((0, 0, 3, 97), 0.0, 0.94, 0.97, 0.0),  # one never affirms: no more than chance
        ((0, 0, 0, 100), math.nan, 1.0, 1.0, math.nan),  # neither does
        ((7, 0, 0, 0), math.nan, 1.0, 1.0, 1.0),  # both always do
        ((0, 5, 5, 0), -1.0, -1.0, 0.0, 0.0),
    ],
)
def test_two_labellers_by_hand(table: tuple[int, int, int, int], value: float, adjusted: float, raw: float, f1: float) -> None:
    numbers = numbers_of(*two_by_two(*table))
    found = [numbers[f"cardiomegaly.{name}"] for name in ("kappa", "pabak", "raw_agreement", "f1")]
    assert found == pytest.approx([value, adjusted, raw, f1], nan_ok=True)


def test_kappa_equals_scikit_learn_of_each_lesion_and_of_all_decisions_pooled() -> None:
    first, second = (kappa.coded(labels) for labels in related_labels(3))
    numbers = numbers_of(first, second)
    is_scored = kappa.answered(first) & kappa.answered(second)
    assert 380 <= is_scored.sum() < 400
    ours, theirs = first[is_scored, 0], second[is_scored, 0]
    each = [cohen_kappa_score(ours[:, place], theirs[:, place]) for place in range(len(LESIONS))]
    assert [numbers[f"{lesion}.kappa"] for lesion in LESIONS] == pytest.approx(each, abs=1e-12)
    assert numbers["micro_kappa"] == pytest.approx(cohen_kappa_score(ours.ravel(), theirs.ravel()))
    assert numbers["macro_kappa"] == pytest.approx(np.mean(each))


def test_kappa_of_the_side_equals_scikit_learn_over_the_cases_that_both_affirm() -> None:
    first, second = (kappa.coded(labels) for labels in related_labels(3))
    numbers = numbers_of(first, second)
    both = (first[:, 0] == 1) & (second[:, 0] == 1)
    common = [place for place in range(len(LESIONS)) if both[:, place].sum() >= 10]
    assert len(common) > 8
    for place in common:
        ours, theirs = first[both[:, place], 1, place], second[both[:, place], 1, place]
        assert numbers[f"{LESIONS[place]}.side_kappa"] == pytest.approx(cohen_kappa_score(ours, theirs, labels=range(len(SIDES))))
        is_stated = (ours != SIDES.index("not mentioned")) & (theirs != SIDES.index("not mentioned"))
        assert numbers[f"{LESIONS[place]}.side_agreement"] == pytest.approx(np.mean((ours == theirs)[is_stated]))
    assert numbers["micro_side_kappa"] == pytest.approx(cohen_kappa_score(first[:, 1][both], second[:, 1][both]))


def test_precision_recall_and_f1_are_those_of_scikit_learn_and_of_the_lesion_table() -> None:
    class Known:
        def label(self, reports: Sequence[str]) -> list[Lesions]:
            return [labels[report] for report in reports]

        def signature(self) -> str:
            return "known|v0"

    ours, theirs = related_labels(3)
    labels = {f"{who} {case}": lesions for who, given in (("a", ours), ("b", theirs)) for case, lesions in enumerate(given)}
    numbers = numbers_of(kappa.coded(ours), kappa.coded(theirs), has_truth=True)
    metric = LesionScores(Known())
    statistics = metric.statistics([name for name in labels if name[0] == "a"], [name for name in labels if name[0] == "b"])
    table = metric.values(np.nansum(statistics, axis=0))
    wanted = [f"{lesion}.{name}" for lesion in LESIONS for name in ("precision", "recall", "f1")] + ["macro_f1", "micro_precision", "micro_f1"]
    assert [numbers[name] for name in wanted] == pytest.approx([float(table[name]) for name in wanted], nan_ok=True)
    first, second = (kappa.coded(given) for given in (ours, theirs))
    is_scored = kappa.answered(first) & kappa.answered(second)
    reference = precision_recall_fscore_support(second[is_scored, 0], first[is_scored, 0], average="micro", zero_division=0)
    assert [numbers[f"micro_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(reference[:3])


def test_without_a_truth_no_number_depends_on_who_comes_first() -> None:
    first, second = (kappa.coded(labels) for labels in related_labels(5))
    one, other = numbers_of(first, second), numbers_of(second, first)
    assert not [name for name in one if "precision" in name or "recall" in name]
    same = [name for name in one if not name.endswith(("_first", "_second", "_difference"))]
    assert [one[name] for name in same] == pytest.approx([other[name] for name in same], nan_ok=True)
    assert one["mass.prevalence_first"] == other["mass.prevalence_second"]
    assert one["mass.prevalence_difference"] == -other["mass.prevalence_difference"]


def test_of_a_labeller_that_never_states_a_side_kappa_of_the_side_is_undefined_and_not_zero(folder: Path) -> None:
    """Labels made elsewhere often have none; zero would read as sides that contradict each other."""
    sideless = {name: tuple(Lesion(lesion.name, lesion.status) for lesion in lesions) for name, lesions in OURS.items()}
    write_labels(folder / "sideless.jsonl", sideless.items())
    found = agreed(folder, names=("ours", "sideless"))
    values = {row.value_name: row.value for row in found.measured.rows}
    assert all(math.isnan(value) for name, value in values.items() if name.endswith(("side_kappa", "side_agreement")))
    assert values["micro_kappa"] == 1.0
    assert not found.differing
    assert [block.title for block in found.table.blocks] == ["Positive or negative: ours and sideless"]
    assert "Side is left out" in (folder / "out" / "agreement.md").read_text()


def test_a_case_without_an_answer_changes_no_number() -> None:
    """Read as negative it would: 20 more cases on which both say nothing."""
    first, second = two_by_two(20, 5, 10, 15)
    silent = column([None] * 20)
    with_silence = numbers_of(np.concatenate([first, column([1] * 20)]), np.concatenate([second, silent]))
    assert with_silence == pytest.approx(numbers_of(first, second), nan_ok=True)


@pytest.mark.parametrize(("only_first", "only_second"), [(1, 9), (0, 1), (5, 5), (3, 4), (0, 30), (210, 160)])
def test_the_direction_is_tested_as_scipy_tests_coins(only_first: int, only_second: int) -> None:
    reference = binomtest(only_first, only_first + only_second, 0.5).pvalue
    assert kappa.mcnemar(only_first, only_second) == pytest.approx(reference)
    first, second = two_by_two(11, only_first, only_second, 40)
    assert kappa.direction_p_values(kappa.pair_statistics(first, second))["cardiomegaly"] == pytest.approx(reference)


def test_the_direction_by_hand_and_where_there_is_none() -> None:
    assert kappa.mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 1024)
    assert math.isnan(kappa.mcnemar(0, 0))


def group_number(answers: Sequence[Sequence[int | None]], name: str, *, at_least: int) -> float:
    statistics = kappa.group_statistics([column(one) for one in answers], at_least=at_least)
    values = kappa.fleiss_values if name == "fleiss_kappa" else kappa.alpha_values
    return float(values(np.nansum(statistics, axis=0))[f"cardiomegaly.{name}"])


def test_alpha_of_krippendorffs_example_of_two_observers() -> None:
    """Computing Krippendorff's Alpha-Reliability (2011), B: binary data, two observers, no missing data; printed 0.095."""
    observers = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
    assert group_number(observers, "krippendorff_alpha", at_least=2) == pytest.approx(1 - 19 * 8 / (2 * 14 * 6), abs=1e-12)
    assert group_number(observers, "krippendorff_alpha", at_least=2) == pytest.approx(0.095, abs=5e-4)


def test_fleiss_by_hand() -> None:
    """Three labellers of four cases: all yes, two yes, one yes, all no. Agreement 1, 1/3, 1/3, 1: mean 2/3; half of the answers say yes: 1/2."""
    assert group_number([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]], "fleiss_kappa", at_least=3) == pytest.approx((2 / 3 - 1 / 2) / (1 / 2))


def test_fleiss_takes_the_cases_that_all_answered() -> None:
    with_gaps = [[1, 1, 1, 0, 1, None], [1, 1, 0, 0, None, 0], [1, 0, 0, 0, 0, 1]]
    assert group_number(with_gaps, "fleiss_kappa", at_least=3) == pytest.approx(1 / 3)


def test_alpha_with_gaps_equals_counting_all_pairs() -> None:
    """Its definition: observed over expected disagreement, pairs within a case weighted by 1 / (answers - 1), and pairs of any two answers."""
    generator = np.random.default_rng(7)
    answers = [[None if generator.random() < 0.3 else int(generator.random() < 0.4) for _ in range(60)] for _ in range(4)]
    cases = [[answer for answer in case if answer is not None] for case in zip(*answers, strict=True)]
    paired = [case for case in cases if len(case) >= 2]
    assert len(paired) < 60
    everything = [answer for case in paired for answer in case]
    observed = sum((a != b) / (len(case) - 1) for case in paired for a, b in permutations(case, 2)) / len(everything)
    expected = np.mean([a != b for a, b in permutations(everything, 2)])
    assert group_number(answers, "krippendorff_alpha", at_least=2) == pytest.approx(1 - observed / expected)


def test_several_labellers_that_never_differ_agree_fully_where_there_is_something_to_agree_on() -> None:
    assert group_number([[1, 0, 1]] * 3, "krippendorff_alpha", at_least=2) == 1.0
    assert group_number([[1, 0, 1]] * 3, "fleiss_kappa", at_least=3) == 1.0
    assert math.isnan(group_number([[0, 0, 0]] * 3, "krippendorff_alpha", at_least=2))
    assert math.isnan(group_number([[1, 1, 1]] * 3, "fleiss_kappa", at_least=3))


def test_intervals_draw_patients() -> None:
    """All cases of one patient: nobody else can be drawn, so there is no interval; cases of their own: there is one."""
    ours, theirs = related_labels(3)
    codes = {"a": kappa.coded(ours), "b": kappa.coded(theirs)}
    alone = measure(codes, ["p"] * 400, draws=50)
    apart = measure(codes, [str(case) for case in range(400)], draws=200)
    (one,), (other,) = ([row for row in found.rows if row.value_name == "micro_kappa"] for found in (alone, apart))
    assert one.value == other.value
    assert math.isnan(one.low)
    assert other.low < other.value < other.high
    assert (other.scored, other.unscored) == (380, 20)


def test_the_correction_is_over_all_lesions_of_all_pairs() -> None:
    """Three labellers of 40 cases, of whom the last alone affirms two lesions, in eight and in six: four tests, and ten without a difference."""
    quiet = kappa.coded([stating()] * 40)
    loud = kappa.coded([stating(mass="", edema="")] * 6 + [stating(mass="")] * 2 + [stating()] * 32)
    found = measure({"a": quiet, "b": quiet, "c": loud}, [str(case) for case in range(40)], draws=20)
    adjusted = {(model, name): p for (model, _, name), p in found.adjusted.items() if not math.isnan(p)}
    assert adjusted == {
        ("a and c", "mass.prevalence_difference"): pytest.approx(4 * 2 / 2**8),
        ("b and c", "mass.prevalence_difference"): pytest.approx(4 * 2 / 2**8),
        ("a and c", "edema.prevalence_difference"): pytest.approx(2 * 2 / 2**6),
        ("b and c", "edema.prevalence_difference"): pytest.approx(2 * 2 / 2**6),
    }


def test_who_differs_by_status_does_not_differ_by_side_too_and_who_does_not_answer_differs_by_nothing() -> None:
    said = {
        "a": [stating(mass="left"), stating(mass="left"), stating(mass="left"), stating(mass="left"), (), stating()],
        "b": [stating(mass="left"), stating(mass=""), stating(), stating(mass="right"), stating(mass="left"), stating()],
        "c": [stating(mass="left"), stating(mass="left"), stating(mass="right"), (), stating(mass="left"), ()],
    }
    by_status, by_side = (found[:, LESIONS.index("mass")] for found in kappa.differing([kappa.coded(labels) for labels in said.values()]))
    assert list(by_status) == [False, False, True, False, False, False]
    assert list(by_side) == [False, True, False, True, False, False]


# --- the sentence


@pytest.mark.parametrize(
    ("report", "quotes", "sentence"),
    [
        ("The heart is enlarged. Small left effusion. No edema.", ["small  left\neffusion."], "Small left effusion"),
        ("The heart is enlarged. Small left effusion. No edema.", ["edema", "heart"], "The heart is enlarged … No edema"),
        ("Clear. No edema.", ["Clear. No edema."], "Clear … No edema"),
        ("Clear lungs.\nNo edema.", ["a mass"], "Clear lungs. No edema."),
        ("Clear lungs.\nNo edema.", ["", " . "], "Clear lungs. No edema."),
        ("", ["edema"], ""),
    ],
)
def test_a_disagreement_comes_with_the_sentences_that_were_quoted_or_else_the_report(report: str, quotes: list[str], sentence: str) -> None:
    assert sentence_of(report, quotes) == sentence


# --- the command


def quoting(lesions: Lesions, name: str, words: str) -> Lesions:
    return tuple(Lesion(one.name, one.status, one.side, one.certainty, words) if one.name == name else one for one in lesions)


REPORTS = {
    "c1": "Small left pleural effusion. Heart is large.",
    "c2": "Mass or nodule on the right.",
    "c3": "Clear lungs.",
    "c4": "Cardiomegaly.",
    "c5": "Left mass. No pneumothorax.",
}
OURS = {
    "c1": stating(pleural_effusion="left", cardiomegaly=""),
    "c2": quoting(stating(mass="right"), "mass", "Mass or nodule"),
    "c3": stating(),
    "c4": stating(cardiomegaly=""),
    "c5": stating(mass="left"),
}
THEIRS = {
    "c5": stating(mass="right"),
    "c4": stating(cardiomegaly=""),
    "c3": stating(),
    "c2": stating(nodule="right"),
    "c1": quoting(stating(cardiomegaly=""), "pleural effusion", "pleural effusion"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_labels(tmp_path / "ours.jsonl", OURS.items())
    write_labels(tmp_path / "theirs.jsonl", THEIRS.items())
    rows = [("id", "report", "who"), *((name, text, f"p{int(name[1]) // 2}") for name, text in REPORTS.items())]
    with (tmp_path / "reports.csv").open("w", newline="") as out:
        csv.writer(out).writerows(rows)
    return tmp_path


def agreed(folder: Path, out: str = "out", names: Sequence[str] = ("ours", "theirs"), **settings: object) -> Agreement:
    files = {name: folder / f"{name}.jsonl" for name in names}
    return agree(files, folder / out, draws=50, **settings)  # type: ignore[arg-type]


def test_labels_are_matched_by_id_whatever_the_order_of_the_lines(folder: Path) -> None:
    values = {row.value_name: row.value for row in agreed(folder).measured.rows}
    assert values["cardiomegaly.kappa"] == 1.0
    assert values["pleural effusion.kappa"] == 0.0
    assert (values["mass.kappa"], values["mass.side_agreement"]) == (pytest.approx((4 / 5 - 14 / 25) / (1 - 14 / 25)), 0.0)
    assert values["micro_raw_agreement"] == pytest.approx(1 - 3 / 70)


def test_disagreements_are_listed_with_both_answers_and_the_sentence_worst_lesion_first(folder: Path) -> None:
    agreed(folder, reports=folder / "reports.csv")
    rows = pd.read_csv(folder / "out" / "disagreements.csv", keep_default_na=False)
    assert list(zip(rows.id, rows.lesion, rows.about, strict=True)) == [
        ("c1", "pleural effusion", "status"),
        ("c2", "nodule", "status"),
        ("c2", "mass", "status"),
        ("c5", "mass", "side"),
    ]
    assert list(rows.sentence) == ["Small left pleural effusion", REPORTS["c2"], "Mass or nodule on the right", REPORTS["c5"]]
    assert (rows.ours_status[0], rows.ours_side[0], rows.theirs_status[0], rows.theirs_rationale[0]) == (
        "positive",
        "left",
        "negative",
        "pleural effusion",
    )


def test_the_truth_comes_second_wherever_it_was_typed_and_brings_precision_and_recall(folder: Path) -> None:
    found = agreed(folder, names=("theirs", "ours"), truth="theirs")
    assert found.names == ["ours", "theirs"]
    values = {row.value_name: row.value for row in found.measured.rows if row.model == "ours against theirs"}
    assert (values["mass.precision"], values["mass.recall"]) == (0.5, 1.0)
    assert "theirs for the truth" in (folder / "out" / "agreement.md").read_text()


def test_the_note_warns_of_kappa_at_rare_lesions(folder: Path) -> None:
    agreed(folder)
    text = (folder / "out" / "agreement.md").read_text()
    assert "Where a lesion is rare it collapses" in text
    assert "PABAK" in text


def test_ids_that_one_file_lacks_are_refused_or_counted(folder: Path) -> None:
    write_labels(folder / "fewer.jsonl", list(OURS.items())[1:])
    with pytest.raises(MismatchedIds, match=r"fewer lacks 1 of 5 cases \(the first is 'c1'\); add what is missing, or count it with"):
        agreed(folder, names=("fewer", "theirs"))
    found = agreed(folder, names=("fewer", "theirs"), missing="unscored")
    assert {(row.scored, row.unscored) for row in found.measured.rows} == {(4, 1)}
    assert found.notes == ["fewer lacks 1 of 5 cases (the first is 'c1')"]
    assert "fewer and theirs 1, leaving 4" in (folder / "out" / "agreement.md").read_text()


def test_files_without_a_common_id_are_refused_even_where_gaps_are_counted(folder: Path) -> None:
    write_labels(folder / "others.jsonl", [("x", stating())])
    with pytest.raises(MismatchedIds, match="no id is in both ours and others: ours lacks 1 of 6"):
        agreed(folder, names=("ours", "others"), missing="unscored")


def test_a_labeller_without_an_answer_is_unscored_and_no_disagreement(folder: Path) -> None:
    write_labels(folder / "shy.jsonl", [*list(OURS.items())[1:], ("c1", ())])
    found = agreed(folder, names=("shy", "theirs"))
    assert {(row.scored, row.unscored) for row in found.measured.rows} == {(4, 1)}
    assert found.notes == ["shy had no answer for 1 cases; they are left out of its numbers, not read as negative"]
    assert "c1" not in {one.case_id for one in found.differing}


def test_patients_are_named_by_the_reports_or_by_a_file_of_their_own(folder: Path) -> None:
    assert agreed(folder).counts == {"cases": 5}
    assert agreed(folder, reports=folder / "reports.csv", patient_column="who").counts == {"cases": 5, "patients": 3}
    (folder / "patients.csv").write_text("id,patient\nc1,a\nc2,a\nc3,b\nc4,b\nc5,b\n")
    assert agreed(folder, patients=folder / "patients.csv").counts == {"cases": 5, "patients": 2}
    (folder / "patients.csv").write_text("id,patient\nc1,a\n")
    with pytest.raises(UserError, match=r"patients\.csv names no patient for 4 of 5 cases, the first 'c2'; add them"):
        agreed(folder, patients=folder / "patients.csv")


def test_a_column_of_patients_without_a_file_that_has_it_is_refused(folder: Path) -> None:
    """Else the cases would be drawn one by one, and the table would speak of patients."""
    with pytest.raises(UserError, match="the column 'who' is to name the patients, but no file that has it was given; add --reports FILE or --pat"):
        agreed(folder, patient_column="who")


def test_three_labellers_have_their_pairs_an_overview_and_numbers_of_all(folder: Path) -> None:
    write_labels(folder / "third.jsonl", OURS.items())
    found = agreed(folder, names=("ours", "third", "theirs"))
    values = {(row.model, row.value_name): row.value for row in found.measured.rows}
    assert {model for model, _ in values} == {"ours and third", "ours and theirs", "third and theirs", "ours, third, theirs"}
    assert values["ours and third", "macro_kappa"] == 1.0
    codes = [kappa.coded([given[name] for name in OURS]) for given in (OURS, OURS, THEIRS)]
    statistics = kappa.group_statistics(codes, at_least=2).sum(axis=0)
    assert values["ours, third, theirs", "mass.krippendorff_alpha"] == pytest.approx(float(kappa.alpha_values(statistics)["mass.krippendorff_alpha"]))
    assert [block.title for block in found.table.blocks[:2]] == ["Every pair", "All together: ours, third, theirs"]
    assert len(found.table.blocks) == 2 + 2 * 3
    assert "ours_status,ours_side" in (folder / "out" / "disagreements.csv").read_text().splitlines()[0]


def test_text_of_reports_is_kept_from_others_unless_it_is_public(folder: Path) -> None:
    agreed(folder, reports=folder / "reports.csv")
    private = folder / "out"
    assert private.stat().st_mode & 0o777 == 0o700
    assert (private / "disagreements.csv").stat().st_mode & 0o777 == 0o600
    assert (private / ".gitignore").read_text() == "*\n"
    agreed(folder, "open", reports=folder / "reports.csv", is_public=True)
    assert not (folder / "open" / ".gitignore").exists()
    assert (folder / "open" / "disagreements.csv").stat().st_mode & 0o044
    for name in ("agreement.md", "agreement.csv", "agreement.tex"):
        assert "effusion. Heart" not in (private / name).read_text()
        assert "c1" not in (private / name).read_text(), "tables speak of no single case"


def test_the_record_names_what_was_read_by_its_content(folder: Path) -> None:
    agreed(folder, reports=folder / "reports.csv", seed=7, command="as typed")
    record = json.loads((folder / "out" / "agreement.json").read_text())
    assert record["inputs"]["labels"]["ours"]["sha256"] == hashlib.sha256((folder / "ours.jsonl").read_bytes()).hexdigest()
    assert record["inputs"]["reports"]["sha256"] == hashlib.sha256((folder / "reports.csv").read_bytes()).hexdigest()
    assert (record["command"], record["settings"]["seed"], record["cases"], record["disagreements"]) == ("as typed", 7, 5, 4)
    assert record["files"]["agreement.csv"] == hashlib.sha256((folder / "out" / "agreement.csv").read_bytes()).hexdigest()


def test_a_labeller_may_be_called_as_anything_else_is(folder: Path) -> None:
    (folder / "ours.jsonl").rename(folder / "reports.jsonl")
    found = agreed(folder, names=("reports", "theirs"), reports=folder / "reports.csv")
    record = json.loads((folder / "out" / "agreement.json").read_text())
    assert found.names == ["reports", "theirs"]
    assert record["inputs"]["labels"]["reports"]["file"] == "reports.jsonl"


def test_the_same_again_gives_the_same_bytes_and_other_labels_or_other_things_in_the_folder_are_refused(folder: Path) -> None:
    agreed(folder)
    before = {file.name: file.read_bytes() for file in (folder / "out").glob("*.[cmt]*")}
    assert len(before) == 4
    agreed(folder)
    assert before == {file.name: file.read_bytes() for file in (folder / "out").glob("*.[cmt]*")}
    write_labels(folder / "other.jsonl", OURS.items())
    with pytest.raises(OtherRun, match="holds another run: its labels is"):
        agreed(folder, names=("ours", "other"))
    (folder / "full").mkdir()
    (folder / "full" / "thesis.txt").touch()
    with pytest.raises(NoRunFolder, match=r"holds other things than an agreement \(it has thesis\.txt\); choose another folder with --out"):
        agreed(folder, "full")


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmark", "agreement", *words], cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_command_prints_the_table_and_the_first_disagreements(folder: Path) -> None:
    answer = command(folder, "--labels", "ours.jsonl", "theirs.jsonl", "--reports", "reports.csv", "--patient-column", "who", "--draws", "20")
    assert answer.returncode == 0, answer.stderr
    assert "5 cases of 3 patients" in answer.stdout
    assert "Agreement of ours and theirs on 14 lesions" in answer.stdout
    assert "the report: Small left pleural effusion" in answer.stdout
    (made,) = (folder / "results" / "runs").iterdir()
    assert made.name.startswith("agreement-ours-theirs-")
    assert made.name in answer.stdout
    assert {file.name for file in made.iterdir()} >= {"agreement.md", "agreement.csv", "agreement.tex", "agreement.json", "disagreements.csv"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--labels", "ours.jsonl"), "agreement is between two labellers or more, found ours; give two files"),
        (("--labels", "ours.jsonl", "ours.jsonl"), "two files of labels have the same name; name them"),
        (("--labels", "ours.jsonl", "theirs.jsonl", "--truth", "gold"), "no labeller named 'gold' to be the truth; known: ours, theirs"),
        (("--labels", "ours.jsonl", "none.jsonl"), "none.jsonl: cannot be read (No such file or directory); give the path of a file of labels"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_status_2(folder: Path, words: tuple[str, ...], message: str) -> None:
    answer = command(folder, *words)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_the_terminal_shows_the_counts_and_leaves_what_follows_from_them_to_the_files(folder: Path) -> None:
    shown = for_terminal(agreed(folder).table).blocks[0]
    titles = [column.title for column in shown.columns]
    assert titles == ["Lesion", "ours +", "theirs +", "both +", "Kappa", "PABAK", "F1", "p (Holm)"]
    (mass,) = (line for line in shown.lines if line.label == "Mass")
    assert mass.cells[:3] == ("2", "1", "1")
    assert "2 (40.0%)" in (folder / "out" / "agreement.md").read_text()


def test_the_latex_table_has_every_lesion_and_no_bare_percent_sign(folder: Path) -> None:
    agreed(folder)
    text = (folder / "out" / "agreement.tex").read_text()
    body = text.split("\n", 1)[1]
    assert all(lesion.capitalize() in text for lesion in LESIONS)
    assert body.count("%") == body.count(r"\%") + body.count("{!}{%")
