"""Which sentences BERTScore finds alike: distilbert-base-uncased, layer 5, without baseline, as the authors' program has it."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.bertscore.scorer import Scorer
from adapters.pretrained import NoNetwork, network_folder
from adapters.rgrg.files import BERT

LAYER = 5
"""bert-score's own choice for that network"""
SETTING = "rgrg.dedup_model"


class Alike:
    """F1 of pairs of sentences."""

    def __init__(self, model: str = BERT, device: str = "auto", *, download: bool = False) -> None:
        """Find the network; it is read when the first pair is. Raises UserError for what is not there or does not fit."""
        self._scorer = Scorer(model, LAYER, device=device, keep_gb=0, setting=SETTING, download=download)
        self._known: dict[tuple[str, str], float] = {}

    def __call__(self, first: Sequence[str], second: Sequence[str]) -> list[float]:
        """Each pair is scored once, however many reports it is in."""
        pairs = list(zip(first, second, strict=True))
        if new := [pair for pair in dict.fromkeys(pairs) if pair not in self._known]:
            scores = self._scorer.score([one for one, _ in new], [other for _, other in new])[:, 2]
            self._known.update(zip(new, scores.tolist(), strict=True))
        return [self._known[pair] for pair in pairs]

    def signature(self) -> str:
        """Network, layer, threshold's scale."""
        return self._scorer.signature()


def is_there(model: str = BERT) -> bool:
    """Whether the network is on this machine."""
    try:
        return bool(network_folder(model, SETTING))
    except NoNetwork:
        return False
