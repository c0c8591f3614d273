"""RadCliQ-v1: the number of errors that radiologists would find in a report, foretold from four metrics. LOWER IS BETTER.

Yu et al., Evaluating progress in automatic chest X-ray radiology report generation, Patterns 4(9), 2023; code: CXR-Report-Metric. Of each case:

    radgraph_combined  mean of F1 of entities and of relations, annotated by RadGraph v1, tokens as they are written
    bertscore          F1 by distilroberta-base, layer 5, rescaled, without idf
    semb               cosine of the class tokens of CheXbert
    bleu_2             of the lower-cased words, with full stops apart; its weight is 4e-12, none in effect, and so it is not smoothed

each standardised, weighed and summed: ``raw``, which is below 0 for the best reports. The number of a case depends on that case alone: with
BERTScore's idf on, as RadEval has it, the same pair scores otherwise in other company. ``raw`` is the mean over cases; ``inverse`` is 1 / raw, as
ReXrank prints it, higher is better, and no number where raw is not above 0.

With another annotator than RadGraph v1 it is another number, and bears the annotator's name: ``rules.raw``. So does one with another network or layer
for BERTScore, ``roberta-large-17.raw``: MEAN, SCALE, WEIGHTS and the baseline of its F1 stay those that were fitted to distilroberta-base, layer 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from adapters.bertscore.scorer import BASELINES, Scorer
from benchmark import registry
from benchmark.annotating.choose import annotator_named
from benchmark.annotating.once import annotate_once
from benchmark.metrics.bleu import Bleu
from benchmark.metrics.radgraph_scores import radgraph_combined
from benchmark.metrics.tokens import check_pairs
from benchmark.records import UserError
from benchmark.shares import share

T = TypeVar("T")
VERSION = 1
FEATURES = ("radgraph_combined", "bertscore", "semb", "bleu_2")
# CXR-Report-Metric, composite_metric_model.pkl and normalizer.pkl of version 1.
MEAN = np.array([0.53792312, 0.61757256, 0.76479421, 0.44738335])
SCALE = np.array([0.30282584, 0.22430938, 0.25394391, 0.29892717])
WEIGHTS = np.array([-0.377083683, -0.370300100, -0.252616218, 4.31504841e-12])
INTERCEPT = 2.46655256e-10
BERT, LAYER = "distilroberta-base", 5
ANNOTATOR = "radgraph"
FETCHED = ("radgraph", "radgraph_xl", "modern_radgraph_xl")
"""annotators that are fetched on first use"""
OWN_SETTINGS = (
    (r"\bchexbert\.(weights|vocab)\b", r"radcliq_v1.chexbert_\1"),
    (r"\bradgraph\.(weights|backbone)\b", r"radcliq_v1.radgraph_\1"),
    (r"\b(?:chexbert|radgraph)\.(download|attention_heads|trust_pickle)\b", r"radcliq_v1.\1"),
)
"""what messages of its parts call a setting -> what it is called here"""


class Radcliq:
    """Predicted errors of every case, their mean, and the four means behind it."""

    name = "radcliq_v1"

    def __init__(
        self,
        *,
        bert: str = BERT,
        layer: int = LAYER,
        chexbert_weights: Path | None = None,
        chexbert_vocab: Path | None = None,
        attention_heads: int | None = None,
        trust_pickle: bool = False,
        annotator: str = ANNOTATOR,
        radgraph_weights: Path | None = None,
        radgraph_backbone: Path | None = None,
        device: str = "auto",
        precision: Literal["fp32", "bf16"] = "fp32",
        download: bool = False,
    ) -> None:
        """Find three networks.

        bert                               distilroberta-base, by its name on the hub or a folder called so; another, for another number
        layer                              whose vectors are compared; likewise
        chexbert_weights, chexbert_vocab   chexbert.pth and vocab.txt; None = where programs keep them
        attention_heads, trust_pickle      as of the labeller chexbert
        annotator                          radgraph, or another (rules, file:PATH), for another number
        radgraph_weights, radgraph_backbone  archive of RadGraph v1 and folder of its tokenizer; None = where programs keep them
        download                           fetch from the hub what is not on this machine

        Raises ``UserError``, which names all that is missing at once.
        """
        from adapters.chexbert.labeller import Chexbert

        lacking: list[str] = []
        base = "/".join(map(str, BASELINES[BERT, LAYER]))
        scorer = _made(
            lacking, lambda: Scorer(bert, layer, baseline=base, device=device, precision=precision, download=download, setting="radcliq_v1.bert")
        )
        chexbert = _made(
            lacking,
            lambda: Chexbert(
                weights=chexbert_weights,
                vocab=chexbert_vocab,
                attention_heads=attention_heads,
                trust_pickle=trust_pickle,
                device=device,
                precision=precision,
                download=download,
            ),
        )
        # Left to itself RadGraph is fetched on first use; here nothing is fetched unasked, for it would come without the other two.
        given: dict[str, Any] = {
            "weights": radgraph_weights,
            "backbone": radgraph_backbone,
            "download": download if registry.parse_spec(annotator).name.replace("-", "_") in FETCHED else None,
        }
        settings = {name: value for name, value in given.items() if value is not None}
        annotating = _made(lacking, lambda: annotator_named(annotator, settings, device=device))
        if scorer is None or chexbert is None or annotating is None:
            raise UserError(f"radcliq_v1 needs three networks, and {len(lacking)} cannot be had: {'; '.join(lacking)}")
        self._scorer, self._chexbert, self._annotator = scorer, chexbert, annotating
        others = {"RadGraph": annotating.signature().partition("|")[0], "BERTScore": f"{scorer.model.rpartition('/')[2]}-{scorer.encoder.layer}"}
        own = {"RadGraph": ANNOTATOR, "BERTScore": f"{BERT}-{LAYER}"}
        others = {part: re.sub(r"[^\w-]+", "_", who) for part, who in others.items() if who != own[part]}
        self._prefix = "".join(f"{who}." for who in others.values())
        by = "".join(f", {part} by {who}" for part, who in others.items())
        self._bleu = Bleu()
        self._class_tokens: dict[str, np.ndarray] = {}
        self.titles = {
            f"{self._prefix}raw": f"RadCliQ-v1 (raw, lower is better{by})",
            f"{self._prefix}inverse": f"1 / RadCliQ-v1 (higher is better{by})",
        }
        self.lower_is_better = frozenset({f"{self._prefix}raw"})
        self.headlines = (f"{self._prefix}raw",)

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 6) one, predicted errors, and the four features; a row of NaN for a reference without words."""
        check_pairs(hypotheses, references)
        if not hypotheses:
            return np.empty((0, 2 + len(FEATURES)))
        features = np.stack(
            [
                self._radgraph(hypotheses, references),
                self._scorer.score(*([re.sub(" +", " ", text) for text in texts] for texts in (hypotheses, references)))[:, 2],
                self._semb(hypotheses, references),
                self._bleu.values(self._bleu.statistics(*([_words_apart(text) for text in texts] for texts in (hypotheses, references))))["bleu_2"],
            ],
            axis=1,
        )
        rows = np.concatenate([np.ones((len(features), 1)), predicted_errors(features)[:, None], features], axis=1)
        rows[np.isnan(rows).any(axis=1)] = np.nan
        return rows

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``raw``, ``inverse``, and the means of the features by their names."""
        sums = np.asarray(sums, dtype=np.float64)
        raw, *features = (share(sums[..., column], sums[..., 0]) for column in range(1, 2 + len(FEATURES)))
        found = {"raw": raw, "inverse": share(np.ones_like(raw), raw), **dict(zip(FEATURES, features, strict=True))}
        return {f"{self._prefix}{name}": number for name, number in found.items()}

    def signature(self) -> str:
        """Its direction, and the signatures of its parts."""
        return (
            f"radcliq_v1|direction:lower_is_better|unit:mean_of_cases|bertscore:({self._scorer.signature()})|"
            f"semb:({self._chexbert.raw_signature()})|radgraph:({self._annotator.signature()})|case:cased|bleu_2:lower,unsmoothed|v{VERSION}"
        )

    def _radgraph(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        said = dict(annotate_once(self._annotator, list(dict.fromkeys((*hypotheses, *references)))))
        return np.array([radgraph_combined(said[ours], said[theirs]) for ours, theirs in zip(hypotheses, references, strict=True)])

    def _semb(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        known = self._class_tokens
        new = [text for text in dict.fromkeys((*hypotheses, *references)) if text not in known]
        vectors = self._chexbert.class_tokens(new)
        found = known | dict(zip(new, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True))
        self._class_tokens = {text: found[text] for text in references}  # the next model is measured against the same
        ours, theirs = (np.stack([found[text] for text in texts]).astype(np.float64) for texts in (hypotheses, references))
        return np.asarray((ours * theirs).sum(axis=1))


def predicted_errors(features: np.ndarray) -> np.ndarray:
    """(n, 4) in the order of ``FEATURES`` -> (n,)."""
    errors: np.ndarray = (features - MEAN) / SCALE @ WEIGHTS + INTERCEPT
    return errors


def _words_apart(text: str) -> str:
    return text.lower().replace(".", " .")


def _made(lacking: list[str], make: Callable[[], T]) -> T | None:
    """What ``make`` makes, or None and why not among what is lacking."""
    try:
        return make()
    except UserError as error:
        said = str(error)
        for theirs, ours in OWN_SETTINGS:
            said = re.sub(theirs, ours, said)
        lacking.append(f"({len(lacking) + 1}) {said}")
        return None
