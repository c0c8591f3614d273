"""The worked examples of docs/formulas.md, computed by the package: what the page prints is what comes out."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from adapters.bertscore.scorer import match
from adapters.radcliq.metric import predicted_errors
from benchmark import kappa
from benchmark.annotating.annotations import Annotation, Entity
from benchmark.labelling.rules import RuleLabeller
from benchmark.metrics.bleu import Bleu
from benchmark.metrics.chexbert import OBSERVATIONS, REPORT_COLUMN, ChexbertF1
from benchmark.metrics.cider import CiderD
from benchmark.metrics.consistency_rules import accuracy, completeness, read, scores_of
from benchmark.metrics.degeneration import Degeneration
from benchmark.metrics.green import Counts, means, row
from benchmark.metrics.lesions import LesionScores
from benchmark.metrics.meteor import Meteor
from benchmark.metrics.meteor_nltk import MeteorNltk
from benchmark.metrics.radgraph_levels import Levels, matches
from benchmark.metrics.rouge import RougeL
from benchmark.metrics.rouge_coco import RougeLCoco
from benchmark.metrics.rouge_n import rouge_1, rouge_2
from benchmark.metrics.sacrebleu import SacreBleu
from benchmark.records import Lesion
from benchmark.statistics import (
    PatientBootstrap,
    benjamini_hochberg,
    flips_for,
    holm,
    interval,
    mcnemar,
    mcnemar_by_patient,
    minimum_detectable,
    over_seeds,
    p_value,
    p_within,
    patient_sums,
)
from benchmark.vocabulary import LESIONS

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "formulas.md").read_text(encoding="utf-8")
REPORT, REFERENCE = ["heart size is normal"], ["the heart is normal in size"]


def section(title: str) -> str:
    """What stands under a heading, the page's only one of that name."""
    (found,) = [part for part in PAGE.split("\n## ")[1:] if part.split("\n", 1)[0] == title]
    return found


def printed(title: str, *lines: str) -> None:
    """Each of these words stands in the section."""
    text = section(title)
    for line in lines:
        assert line in text, f"{title}: the page does not print {line!r}"


def numbers(metric: object, hypotheses: list[str], references: list[str]) -> Mapping[str, float]:
    statistics: Callable[..., np.ndarray] = metric.statistics  # type: ignore[attr-defined]
    values: Callable[..., Mapping[str, np.ndarray]] = metric.values  # type: ignore[attr-defined]
    return {name: float(number) for name, number in values(statistics(hypotheses, references).sum(axis=0)).items()}


def test_every_section_has_its_example() -> None:
    """A section without a number to check would be a claim that nobody holds."""
    tested = Path(__file__).read_text(encoding="utf-8")
    for part in PAGE.split("\n## ")[1:]:
        title = part.split("\n", 1)[0]
        assert f'printed(\n        "{title}"' in tested or f'printed("{title}"' in tested or title == "Column sums", title


def test_lesions() -> None:
    references = ["Small left pleural effusion.", "No pleural effusion. Mild cardiomegaly.", "Left pleural effusion.", "The lungs are clear."]
    reports = ["Small left pleural effusion.", "Right pleural effusion.", "Right pleural effusion.", "The lungs are clear."]
    assert all(f"| {reference} | {report} |" in section("Lesions") for reference, report in zip(references, reports, strict=True))
    found = numbers(LesionScores(RuleLabeller()), reports, references)
    printed(
        "Lesions",
        f"F1 = 4 / (4 + 1 + 0) = {found['pleural effusion.f1']:.3f}",
        f"F1 with side = 2 / (2 + 2 + 1) = {found['pleural effusion.f1_sided']:.3f}",
        f"F1 of cardiomegaly = {found['cardiomegaly.f1']:.3f}",
        f"macro F1 = (0.8 + 0.0) / 2 = {found['macro_f1']:.3f}",
        f"micro F1 = 2·2 / (2·2 + 1 + 1) = {found['micro_f1']:.3f}",
        f"hallucination = 1 / 53 = {found['micro_hallucination']:.3f}",
        f"omission = 1 / 3 = {found['micro_omission']:.3f}",
        f"wrong side = 1 / 2 = {found['wrong_side']:.3f}",
    )
    assert np.isnan(found["emphysema.f1"])


def test_chexbert_averages(tmp_path: Path) -> None:
    said = {
        "reference one": ("Cardiomegaly", "Edema"),
        "report one": ("Edema",),
        "reference two": ("Pleural Effusion",),
        "report two": ("Pleural Effusion", "Edema"),
    }
    with (tmp_path / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [REPORT_COLUMN, *OBSERVATIONS])
        writer.writeheader()
        writer.writerows({REPORT_COLUMN: text, **dict.fromkeys(names, "1.0")} for text, names in said.items())
    found = numbers(ChexbertF1(labels=tmp_path / "labels.csv"), ["report one", "report two"], ["reference one", "reference two"])
    printed(
        "CheXbert averages",
        f"micro F1 = 2·2 / (2·2 + 1 + 1) = {found['micro_f1_5']:.3f}",
        f"macro F1 = (0 + 2/3 + 0 + 0 + 1) / 5 = {found['macro_f1_5']:.3f}",
        f"weighted F1 = (1·0 + 1·2/3 + 1·1) / 3 = {found['weighted_f1_5']:.3f}",
        f"samples F1 = (2/3 + 2/3) / 2 = {found['samples_f1_5']:.3f}",
    )


def test_rouge() -> None:
    longest, one, two = (numbers(metric, REPORT, REFERENCE) for metric in (RougeL(), rouge_1(), rouge_2()))
    assert (longest["precision"], longest["recall"]) == (3 / 4, 3 / 6)
    assert (one["precision"], one["recall"], two["precision"], two["recall"]) == (1, 4 / 6, 1 / 3, 1 / 5)
    printed(
        "ROUGE",
        f"F1 = 2·0.75·0.5 / 1.25 = {longest['f1']:.3f}",
        f"R = 4/6, F1 = {one['f1']:.3f}",
        f"R = 1/5, F1 = {two['f1']:.3f}",
        f"ROUGE-L (COCO) = 2.44·0.75·0.5 / (0.5 + 1.44·0.75) = {numbers(RougeLCoco(), REPORT, REFERENCE)['mean']:.3f}",
    )


def test_bleu() -> None:
    coco = numbers(Bleu(), REPORT, REFERENCE)
    printed(
        "BLEU",
        f"BP = exp(1 − 6/4) = {np.exp(1 - 6 / 4):.3f}",
        f"BLEU-1 = 0.607 · 4/4 = {coco['bleu_1']:.3f}",
        f"BLEU-2 = 0.607 · √(4/4 · 1/3) = {coco['bleu_2']:.3f}",
        f"(1/4) = {numbers(SacreBleu(), REPORT, REFERENCE)['corpus']:.3f}",
    )


def test_meteor() -> None:
    of_1_5, of_nltk = numbers(Meteor(paraphrase=False), REPORT, REFERENCE), numbers(MeteorNltk(), REPORT, REFERENCE)
    assert of_1_5["system"] == pytest.approx(of_1_5["mean"])  # one case: its sums are the set's
    precision, recall = 1.0, (0.75 * 3 + 0.25) / (0.75 * 3 + 0.25 * 3)
    mean = precision * recall / (0.85 * precision + 0.15 * recall)
    printed(
        "METEOR 1.5",
        f"(0.75·3 + 0.25·3) = {recall:.3f}",
        f"Fmean = 0.833 / (0.85 + 0.15·0.833) = {mean:.3f}",
        f"penalty = 0.6 · (3/4)^0.2 = {0.6 * 0.75**0.2:.3f}",
        f"METEOR 1.5 = 0.855 · (1 − 0.566) = {of_1_5['system']:.3f}",
    )
    printed(
        "METEOR of nltk",
        f"Fmean = 0.667 / (0.9 + 0.1·0.667) = {(4 / 6) / (0.9 + 0.1 * 4 / 6):.3f}",
        f"METEOR (nltk) = 0.690 · (1 − 0.5·0.75³) = {of_nltk['mean']:.3f}",
    )


def test_cider() -> None:
    equal, other = (
        CiderD().statistics(["clear lungs", "clear heart"], ["clear lungs", "normal heart"])[:, 0],
        CiderD().statistics(["clear heart", "normal heart"], ["clear lungs", "normal heart"])[:, 0],
    )
    printed("CIDEr-D", f"(1 + 1 + 0 + 0) = {equal[0]:.3f}", f"(1/2 + 0 + 0 + 0) = {other[0]:.3f}")


def test_radgraph() -> None:
    def annotation(small: str | None, third: str, related: str | None) -> Annotation:
        entities: dict[str, Entity] = {}
        for key, (tokens, target) in enumerate((("effusion", None), ("small", small), (third, related)), start=1):
            relations = [["modify", target]] if target else []
            entities[str(key)] = Entity(tokens=tokens, label="OBS-DP", start_ix=key - 1, end_ix=key - 1, relations=relations)
        return Annotation(text="", entities=entities)

    levels = Levels("lower")
    sets = levels.sets([annotation("1", "right", "1"), annotation("1", "left", None), annotation(None, "left", None)])
    pairs = np.array([[1, 0], [2, 0]])
    for name, own in zip(("simple", "partial", "complete"), sets, strict=True):
        related, alone = matches(own, own, pairs)[:, 0]
        printed("F1-RadGraph", f"{name} F1 = 2·2 / (3 + 3) = {related:.3f}")
        printed("F1-RadGraph", f"{name} F1 without the relation = {'' if name == 'simple' else '2·1 / (3 + 3) = '}{alone:.3f}")


def test_green() -> None:
    cases = [Counts((1, 0, 1, 0, 0, 0), (0,) * 6, 2), Counts((0,) * 6, (0,) * 6, 0)]
    printed("GREEN", f"GREEN = (2 / (2 + 2) + 0) / 2 = {float(means(np.sum([row(case) for case in cases], axis=0))['green']):.3f}")


def test_the_judge_by_rules() -> None:
    texts = ["Left pleural effusion. Pulmonary edema.", "Small left pleural effusion. Mild cardiomegaly."]
    candidate, reference = (read(text, lesions) for text, lesions in zip(texts, RuleLabeller().label(texts), strict=True))
    shares = np.array([accuracy(candidate, reference), completeness(candidate, reference)])
    scores = scores_of(shares)
    printed(
        "The judge's axes",
        f"clinical accuracy = 1 / 3 = {shares[0]:.3f}, a score of {scores[0]:.0f}",
        f"findings completeness = 2 / 4 = {shares[1]:.3f}, a score of {scores[1]:.0f}",
    )


def test_bertscore_and_radcliq() -> None:
    ends = np.zeros((1, 2))  # begin and end of a text: they weigh nothing
    ours = np.concatenate([ends, [[1, 0], [0, 1]], ends])
    theirs = np.concatenate([ends, [[1, 0], [0.6, 0.8], [0.8, 0.6]], ends])
    precision, recall, f1 = match(ours, theirs, np.array([0, 1, 1, 0.0]), np.array([0, 1, 1, 1, 0.0]))
    printed("BERTScore", f"P = (1 + 0.8) / 2 = {precision:.3f}", f"R = (1 + 0.8 + 0.8) / 3 = {recall:.3f}", f"BERTScore F1 = {f1:.3f}")
    (raw,) = predicted_errors(np.array([[0.6, 0.7, 0.8, 0.5]]))
    printed("RadCliQ-v1", f"0.252616·0.139 = {raw:.3f}")


def test_degeneration() -> None:
    reports = ["a b c d", "a b c d", "a b c d a b c d", "e f g h i"]
    references = ["a b c d e", "f g h i j k", "l m n o p q r", "s t u v"]
    assert sum(len(reference.split()) for reference in references) == 22
    found = numbers(Degeneration(), reports, references)
    printed(
        "Signs of writing by rote",
        f"distinct = 3 / 4 = {found['distinct']:.3f}",
        f"commonest = 2 / 4 = {found['commonest']:.3f}",
        f"repeated 4-grams = 1 / 9 = {found['repeated_4grams']:.3f}",
        f"length ratio = 21 / 22 = {found['length_ratio']:.3f}",
    )


def test_the_bootstrap_draws_patients() -> None:
    statistics = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])  # right, cases
    patients = ["A", "A", "B"]
    drawn = PatientBootstrap(patients, draws=500).resample(patient_sums(statistics, patients))
    shares = sorted({round(float(right / cases), 6) for right, cases in drawn})
    printed("Bootstrap by patient", f"A drawn twice              2 / 4 = {shares[0]:.3f}")
    printed("Bootstrap by patient", f"A and B drawn once each    2 / 3 = {shares[1]:.3f}", f"B drawn twice              2 / 2 = {shares[2]:.3f}")
    assert len(shares) == 3


def test_intervals() -> None:
    draws = np.arange(1.0, 10.0)
    low, high = interval(draws, 4.0, level=0.8)
    printed("Percentile interval", f"low = 1 + 8·0.1 = {low:.3f}", f"high = 1 + 8·0.9 = {high:.3f}")
    low, high = interval(draws, 4.0, level=0.8, method="bca", jackknife=np.array([3.0, 4.0, 5.0, 8.0]))
    from scipy.special import ndtri

    printed(
        "BCa interval",
        f"z₀ = Φ⁻¹(3.5 / 9) = {ndtri(3.5 / 9):.3f}",
        f"a = (8 + 1 + 0 − 27) / (6 · 14^1.5) = {-18 / (6 * 14**1.5):.3f}",
        f"quantile Φ(-0.282 − 1.564/0.910) = {(low - 1) / 8:.3f}, low = 1 + 8·0.023 = {low:.3f}",
        f"quantile Φ(-0.282 + 0.999/1.057) = {(high - 1) / 8:.3f}, high = 1 + 8·0.746 = {high:.3f}",
    )


def test_paired_randomisation() -> None:
    apart = np.array([0.3, 0.1, 0.1])  # of three patients
    swapped = np.array([(np.array(signs) * apart).mean() for signs in product((1, -1), repeat=3)])
    printed(
        "Paired randomisation", f"The difference of the means is {apart.mean():.3f}", f"p = (2 + 1) / (8 + 1) = {p_value(swapped, apart.mean()):.3f}"
    )
    printed("Paired randomisation", f"18 tests, 1,000 draws, level 0.95: {flips_for(18, 1000, 0.95)} swaps")


def test_corrections() -> None:
    given = [0.01, 0.04, 0.03]
    printed("Holm", f"0.010, 0.040, 0.030 become {', '.join(f'{p:.3f}' for p in holm(given))}")
    printed("Benjamini and Hochberg", f"0.010, 0.040, 0.030 become {', '.join(f'{p:.3f}' for p in benjamini_hochberg(given))}")


def test_mcnemar() -> None:
    net = np.array([2, 1, 1])
    printed(
        "McNemar by patient",
        f"by patient: p = 2 / 8 = {mcnemar_by_patient(net):.3f}",
        f"witness of its own: p = 2 / 16 = {mcnemar(4, 0):.3f}",
        f"equals the total: p = {mcnemar_by_patient(net, 'mid-p'):.3f}",
    )


def test_what_a_comparison_can_see() -> None:
    printed("Detectable difference", f"20,001 patients: D = 2.802 · 0.02 = {minimum_detectable(0.02, 20_001):.4f}")
    printed("Detectable difference", f"11 patients: D = {minimum_detectable(0.02, 11):.4f}")
    not_below, _ = p_within(np.linspace(-0.05, 0.05, 11), 0.0, -0.035)
    printed("Not worse by more than a margin", f'p against "worse by the margin or more" = {not_below:.3f}')


def test_intervals_over_trainings() -> None:
    values = np.array([0.50, 0.54, 0.58])
    found = over_seeds(values, np.tile(values, (100, 1)), patients=50)
    printed("Intervals over trainings", f"mean = {found.value:.3f}", f"reach = 4.303 · √(0.0016 / 3) = {found.high - found.value:.3f}")


def test_agreement() -> None:
    def labelled(affirmed: bool) -> tuple[Lesion, ...]:
        return tuple(Lesion(name, "positive" if affirmed and name == "hernia" else "negative") for name in LESIONS)

    first = kappa.coded([labelled(place in (0, 1)) for place in range(10)])
    second = kappa.coded([labelled(place in (0, 2)) for place in range(10)])
    found = kappa.pair_values(kappa.pair_statistics(first, second).sum(axis=0), has_truth=False)
    printed(
        "Agreement of labellers",
        f"kappa = 0.12 / 0.32 = {float(found['hernia.kappa']):.3f}",
        f"PABAK = 2·0.8 − 1 = {float(found['hernia.pabak']):.3f}",
    )
