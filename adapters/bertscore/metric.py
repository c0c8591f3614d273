"""BERTScore of every case, and its mean.

Zhang et al., BERTScore: Evaluating Text Generation with BERT, ICLR 2020 (https://arxiv.org/abs/1904.09675). Each word piece of one text is
matched with the likest of the other, by the cosine of their vectors in one layer of a BERT; precision is the mean over the pieces of the candidate,
recall over those of the reference. Equal to the package bert-score 0.3.13 to rounding, but for two habits that no published network shows:

- it fills short texts of a batch with cosines of 0, which win where every true cosine is negative; here nothing is filled;
- with ``idf`` on and every weight 0 (one reference alone) its precision and recall are no numbers; here the case is unscored.

Other networks, layers and settings are other metrics: all stand in the signature. With ``idf`` on, a case's score depends on the other references
that are measured with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from adapters.bertscore.scorer import Scorer
from benchmark.metrics.tokens import check_pairs
from benchmark.shares import share

VERSION = 1
MODEL = "distilroberta-base"
"""the network that RadCliQ scores reports with; bert-score's own choice for English is roberta-large"""
SHARES = ("precision", "recall", "f1")


class BertScore:
    """Precision, recall and F1 of every case."""

    name = "bertscore"

    def __init__(
        self,
        *,
        model: str = MODEL,
        layer: int | None = None,
        idf: bool = False,
        baseline: str = "",
        device: str = "auto",
        precision: Literal["fp32", "bf16"] = "fp32",
        batch_tokens: int | None = None,
        keep_gb: float = 16,
        download: bool = False,
    ) -> None:
        """Find the network; it is read when the first report is.

        model         a folder as transformers keeps it, or a name on the Hugging Face hub
        layer         whose vectors are compared; None = as bert-score has it for that name, else it must be given
        idf           weigh word pieces by how few references have them
        baseline      rescale to (x - b) / (1 - b): yes = bert-score's b for that network and layer, three numbers P/R/F, or a file like bert-score's
        precision     bf16 is faster where the machine has it, and changes scores by some thousandths
        batch_tokens  tokens that are read at once, filling included; None = 1,024 on a CPU, 16,384 elsewhere
        keep_gb       room on the disk for vectors of references, so that ten models need them once
        download      fetch the network from the hub if it is not on this machine

        Raises ``UserError`` for what is not there or does not fit.
        """
        self._scorer = Scorer(
            model,
            layer,
            idf=idf,
            baseline=baseline,
            device=device,
            precision=precision,
            batch_tokens=batch_tokens,
            keep_gb=keep_gb,
            download=download,
        )
        how = f"{self._scorer.model}, layer {self._scorer.encoder.layer}{', idf' * idf}{', rescaled' if self._scorer.baseline else ''}"
        self.titles = {"f1": f"BERTScore F1 ({how})", "precision": f"BERTScore P ({how})", "recall": f"BERTScore R ({how})"}

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 4) one, precision, recall, F1; a row of NaN where every weight is 0."""
        check_pairs(hypotheses, references)
        scores = self._scorer.score(hypotheses, references)
        rows = np.concatenate([np.ones((len(scores), 1)), scores], axis=1)
        rows[np.isnan(rows).any(axis=1)] = np.nan
        return rows

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Means over cases: ``f1``, ``precision``, ``recall``."""
        sums = np.asarray(sums, dtype=np.float64)
        return {name: share(sums[..., 1 + SHARES.index(name)], sums[..., 0]) for name in ("f1", "precision", "recall")}

    def signature(self) -> str:
        """Network, layer, weights of pieces, baseline; the mean over cases."""
        return f"{self._scorer.signature()}|unit:mean_of_cases|v{VERSION}"
