"""The lesion table against counting by hand and scikit-learn 1.9.1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from benchmark.metrics.lesions import LesionScores, WrongLesions
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
    assert empty.shape == (0, 70)
    numbers = metric.values(empty.sum(axis=0))
    assert all(np.isnan(value) for name, value in numbers.items() if not name.endswith("support"))


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
