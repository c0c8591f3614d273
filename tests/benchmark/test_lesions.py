"""The lesion table against counting by hand and scikit-learn 1.9.1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support, recall_score

from benchmark.metrics.lesions import COLUMNS, LesionScores, WrongLesions
from benchmark.records import Lesion, Lesions
from benchmark.vocabulary import LESIONS


class WordLabeller:
    """Reads "left mass; edema" as two positive lesions; "?" is a report it has no answer to."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def label(self, reports: Sequence[str]) -> list[Lesions]:
        self.asked += reports
        return [self._one(report) for report in reports]

    def signature(self) -> str:
        return "words|v0"

    def _one(self, report: str) -> Lesions:
        if report == "?":
            return ()
        said = {}
        for finding in filter(None, report.split("; ")):
            side, _, rest = finding.partition(" ")
            said.update({rest: side} if side in ("left", "right", "bilateral") else {finding: "not mentioned"})
        return tuple(Lesion(name, "positive", said[name]) if name in said else Lesion(name, "negative") for name in LESIONS)


def score(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    metric = LesionScores(WordLabeller())
    statistics = metric.statistics(hypotheses, references)
    return {name: float(value) for name, value in metric.values(np.nansum(statistics, axis=0)).items()}


def test_three_reports_by_hand():
    """Effusion: one hit, one false alarm, no miss. Mass: one miss. Hernia: one false alarm."""
    numbers = score(["left pleural effusion", "pleural effusion; hernia", ""], ["right pleural effusion", "mass", ""])
    effusion = [numbers[f"pleural effusion.{name}"] for name in ("precision", "recall", "f1", "support", "side_accuracy")]
    assert effusion == pytest.approx([1 / 2, 1.0, 2 / 3, 1, 0.0])
    assert [numbers[f"mass.{name}"] for name in ("precision", "recall", "f1", "support")] == [0, 0, 0, 1]
    assert [numbers[f"hernia.{name}"] for name in ("precision", "recall", "f1", "support")] == [0, 0, 0, 0]
    assert np.isnan(numbers["edema.f1"])
    assert numbers["edema.support"] == 0
    assert numbers["macro_f1"] == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert (numbers["micro_precision"], numbers["micro_recall"], numbers["micro_f1"]) == pytest.approx((1 / 3, 1 / 2, 2 / 5))


@pytest.mark.parametrize(
    ("said", "true", "accuracy"),
    [
        ("left mass", "left mass", 1.0),
        ("left mass", "right mass", 0.0),
        ("left mass", "bilateral mass", 0.0),
        ("left mass", "mass", np.nan),
        ("left mass", "", np.nan),
    ],
)
def test_side_counts_only_where_both_texts_have_the_lesion_and_state_one(said, true, accuracy):
    numbers = score([said], [true])
    assert [numbers["side_accuracy"], numbers["mass.side_accuracy"]] == pytest.approx([accuracy] * 2, nan_ok=True)


def test_status_and_side_by_hand():
    """Four hits with a side in the reference: one on it, two elsewhere (the other side, both sides), one on none; a fifth has none to be on."""
    said = ["left mass", "left mass", "bilateral mass", "mass", "left mass", "mass", "edema", ""]
    true = ["left mass", "right mass", "left mass", "left mass", "mass", "", "", "right mass"]
    numbers = score(said, true)
    of_mass = {name: numbers[f"mass.{name}"] for name in ("support", "side_support", "side_accuracy", "wrong_side", "side_omitted")}
    assert of_mass == pytest.approx({"support": 6, "side_support": 4, "side_accuracy": 1 / 3, "wrong_side": 2 / 4, "side_omitted": 1 / 4})
    assert numbers["mass.f1"] == pytest.approx(2 * 5 / (2 * 5 + 1 + 1))
    assert numbers["mass.f1_sided"] == pytest.approx(2 * 2 / (2 * 2 + (1 + 3) + (1 + 3)))
    assert [numbers[f"mass.{name}"] for name in ("hallucination", "specificity", "omission")] == pytest.approx([1 / 2, 1 / 2, 1 / 6])
    assert [numbers[f"edema.{name}"] for name in ("hallucination", "specificity")] == pytest.approx([1 / 8, 7 / 8])
    assert np.isnan([numbers["edema.omission"], numbers["edema.wrong_side"], numbers["hernia.omission"]]).all()
    assert numbers["hernia.hallucination"] == 0.0
    assert [numbers[name] for name in ("wrong_side", "side_omitted", "side_accuracy")] == pytest.approx([2 / 4, 1 / 4, 1 / 3])


def test_errors_of_all_lesions_are_pooled_averaged_and_counted_by_report():
    """Two reports of 14 lesions: 28 decisions, of which 3 are truly there. One false alarm, one miss, one hit on the wrong side."""
    numbers = score(["left mass; edema", "hernia"], ["right mass; pneumonia", "hernia"])
    assert numbers["micro_hallucination"] == pytest.approx(1 / 25)
    assert numbers["micro_specificity"] == pytest.approx(24 / 25)
    assert numbers["micro_omission"] == pytest.approx(1 / 3)
    assert numbers["macro_hallucination"] == pytest.approx((1 / 2) / 14)  # every lesion is absent from one of the references at least
    assert numbers["macro_omission"] == pytest.approx((0 + 1 + 0) / 3)
    assert numbers["micro_f1_sided"] == pytest.approx(2 * 1 / (2 * 1 + 2 + 2))
    assert numbers["macro_f1_sided"] == pytest.approx((0 + 0 + 0 + 1) / 4)
    errors = [numbers[f"reports_with_{error}"] for error in ("false_alarm", "miss", "wrong_side")]
    assert errors == pytest.approx([1 / 2, 1 / 2, 1 / 2])


def test_hits_are_counted_by_the_sides_of_both_texts():
    said = ["left mass", "left mass", "bilateral mass", "mass; left edema", "left mass", "mass", "left mass"]
    true = ["left mass", "right mass", "left mass", "left mass; edema", "mass", "mass", ""]
    counts = {name: value for name, value in score(said, true).items() if name.startswith("side.")}
    assert len(counts) == 16
    assert {name: value for name, value in counts.items() if value} == {
        "side.left_as_left": 1,
        "side.right_as_left": 1,
        "side.left_as_bilateral": 1,
        "side.left_as_unstated": 1,
        "side.unstated_as_left": 2,
        "side.unstated_as_unstated": 1,
    }


def test_a_report_that_gets_everything_right_has_no_error_of_any_kind():
    reports = random_reports(6, 30)[1]
    numbers = score(reports, reports)
    for name, value in numbers.items():
        if name in LesionScores.lower_is_better:
            assert np.isnan(value) or value == 0.0
    assert numbers["macro_f1_sided"] == 1.0


def test_false_alarms_and_misses_are_rates_that_scikit_learn_knows():
    """One minus the recall of the class in question, lesion by lesion."""
    true, references = random_reports(7, 60)
    said, hypotheses = random_reports(8, 60)
    numbers = score(hypotheses, references)
    for column, lesion in enumerate(LESIONS):
        absent, present = recall_score(true[:, column], said[:, column], average=None, labels=[False, True], zero_division=np.nan)
        ours = [numbers[f"{lesion}.{name}"] for name in ("hallucination", "specificity", "omission")]
        assert ours == pytest.approx([1 - absent, absent, 1 - present], nan_ok=True)


def test_the_lesions_of_a_reference_are_counted_whoever_was_measured():
    metric = LesionScores(WordLabeller())
    for said in ("mass; edema; hernia", "", "pneumonia"):
        counts = metric.lesions_in_references(metric.statistics([said, said, "?"], ["left mass; edema", "", "mass"]))
        assert counts[:2].tolist() == [2, 0]
        assert np.isnan(counts[2])


def random_reports(seed: int, cases: int) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng(seed)
    labels = generator.random((cases, len(LESIONS))) < np.linspace(0.02, 0.6, len(LESIONS))
    return labels, ["; ".join(lesion for lesion, present in zip(LESIONS, row, strict=True) if present) for row in labels]


def test_numbers_equal_scikit_learn():
    """precision_recall_fscore_support with zero_division=0, per label and micro; macro over the labels that occur."""
    true, references = random_reports(0, 60)
    said, hypotheses = random_reports(1, 60)
    numbers = score(hypotheses, references)
    per_lesion = precision_recall_fscore_support(true, said, zero_division=0)
    for column, lesion in enumerate(LESIONS):
        ours = [numbers[f"{lesion}.{name}"] for name in ("precision", "recall", "f1", "support")]
        assert ours == pytest.approx([part[column] for part in per_lesion])
    for average in ("macro", "micro"):
        theirs = precision_recall_fscore_support(true, said, average=average, zero_division=0)[:3]
        assert [numbers[f"{average}_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(theirs)


def test_a_lesion_on_neither_side_is_left_out_of_the_averages():
    true, references = random_reports(2, 40)
    said, hypotheses = random_reports(3, 40)
    true[:, :4] = said[:, :4] = False
    references, hypotheses = (["; ".join(np.array(LESIONS)[row]) for row in labels] for labels in (true, said))
    theirs = precision_recall_fscore_support(true[:, 4:], said[:, 4:], average="macro", zero_division=0)[:3]
    numbers = score(hypotheses, references)
    assert [numbers[f"macro_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(theirs)


def test_sums_of_any_leading_shape_give_numbers_of_that_shape():
    metric = LesionScores(WordLabeller())
    statistics = metric.statistics(*(random_reports(seed, 12)[1] for seed in (4, 5)))
    one, two = statistics[:6].sum(axis=0), statistics[6:].sum(axis=0)
    stacked = metric.values(np.array([[one, two, one]]))
    assert {value.shape for value in stacked.values()} == {(1, 3)}
    for name, value in metric.values(two).items():
        assert value.shape == ()
        assert stacked[name][0, 1] == pytest.approx(float(value), nan_ok=True)


def test_a_report_without_an_answer_is_unscored_and_changes_nothing_else():
    metric = LesionScores(WordLabeller())
    statistics = metric.statistics(["mass", "?", "edema"], ["mass", "edema", "?"])
    assert np.isnan(statistics).all(axis=1).tolist() == [False, True, True]
    assert not np.isnan(statistics[0]).any()
    assert float(metric.values(np.nansum(statistics, axis=0))["micro_f1"]) == 1.0


def test_every_case_unscored_or_no_case_at_all_gives_nan_not_zero():
    metric = LesionScores(WordLabeller())
    assert np.isnan(metric.statistics(["?"], ["mass"])).all()
    empty = metric.statistics([], [])
    assert empty.shape == (0, COLUMNS)
    numbers = metric.values(empty.sum(axis=0))
    counts = [name for name in numbers if name.endswith("support") or name.startswith("side.")]
    assert {float(numbers[name]) for name in counts} == {0.0}
    assert all(np.isnan(value) for name, value in numbers.items() if name not in counts)


def test_all_positive_and_no_positive():
    everything = "; ".join(LESIONS)
    assert score([everything] * 2, [everything] * 2)["macro_f1"] == 1.0
    nothing = score(["", ""], ["", ""])
    assert np.isnan([nothing["macro_f1"], nothing["micro_f1"], nothing["micro_precision"]]).all()
    assert score(["", ""], [everything] * 2)["macro_f1"] == 0.0


def test_an_empty_text_is_an_answer():
    """The model said nothing: every lesion of the reference is a miss."""
    assert score([""], ["mass; edema"])["micro_recall"] == 0.0


def test_equal_texts_are_asked_once_over_all_models():
    labeller = WordLabeller()
    metric = LesionScores(labeller)
    metric.statistics(["mass", "mass", "edema"], ["edema", "", ""])
    metric.statistics(["hernia", "mass", ""], ["edema", "", ""])
    assert sorted(labeller.asked) == ["", "edema", "hernia", "mass"]


def test_the_pairs_for_reading_keep_what_the_labeller_said():
    (said, true), (again, _) = LesionScores(WordLabeller()).label_pairs(["left mass", "left mass"], ["edema", "?"])
    assert (said[LESIONS.index("mass")].side, true[LESIONS.index("edema")].status) == ("left", "positive")
    assert again is said


def test_a_labeller_with_other_lesions_or_words_is_refused():
    class Short(WordLabeller):
        def _one(self, report: str) -> Lesions:
            return super()._one(report)[:13]

    class Unsure(WordLabeller):
        def _one(self, report: str) -> Lesions:
            return (Lesion(LESIONS[0], "maybe"), *super()._one(report)[1:])

    with pytest.raises(WrongLesions, match="gives the 14 lesions of the vocabulary in order"):
        LesionScores(Short()).statistics(["mass"], [""])
    with pytest.raises(WrongLesions, match="'maybe' as status or side; known: positive, negative"):
        LesionScores(Unsure()).statistics(["mass"], [""])


def test_texts_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="2 hypotheses for 1 references"):
        LesionScores(WordLabeller()).statistics(["mass", "edema"], ["mass"])


def test_the_signature_names_the_labeller_and_the_conventions():
    signature = LesionScores(WordLabeller()).signature()
    assert signature.startswith("lesions|")
    assert "labeller:(words|v0)" in signature
    assert "zero_division:0" in signature
