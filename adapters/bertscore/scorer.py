"""Precision, recall and F1 of pairs of texts by the vectors of a BERT: every distinct text read once, references once for all models."""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from adapters.bertscore.encoder import Encoder
from adapters.bertscore.kept import KeptVectors
from adapters.pretrained import network_folder, reading_digest, weights_digest
from benchmark.progress import progress
from benchmark.records import UserError

LAYERS = {  # bert-score 0.3.13, model2layers: the layer that agreed best with people on WMT16
    "distilroberta-base": 5,
    "roberta-base": 10,
    "roberta-large": 17,
    "bert-base-uncased": 9,
    "bert-base-cased": 9,
    "bert-large-uncased": 18,
    "distilbert-base-uncased": 5,
    "microsoft/deberta-xlarge-mnli": 40,
    "microsoft/deberta-large-mnli": 18,
    "allenai/scibert_scivocab_uncased": 8,
}
BASELINES = {  # bert-score 0.3.13, rescale_baseline/en: mean scores of unlike sentences
    ("distilroberta-base", 5): (0.84732, 0.84759504, 0.8473319),
    ("roberta-large", 17): (0.83150584, 0.8314941, 0.83122575),
}


class BadBaseline(UserError):
    """A baseline that cannot be had or read; the message says what would do."""


class Pair(NamedTuple):
    """What one pair of texts comes to, before any baseline."""

    precision: float
    recall: float
    f1: float


class Scorer:
    """A network that scores pairs of texts."""

    def __init__(
        self,
        model: str,
        layer: int | None = None,
        *,
        idf: bool = False,
        baseline: str = "",
        device: str = "auto",
        precision: Literal["fp32", "bf16"] = "fp32",
        batch_tokens: int | None = None,
        keep_gb: float = 16,
        download: bool = False,
        setting: str = "bertscore.model",
    ) -> None:
        """Find the network; it is read when the first text is. ``setting`` is what the user would type to name another; the rest see ``BertScore``.

        Raises ``UserError`` for what is not there or does not fit.
        """
        who = setting.partition(".")[0]
        if precision not in ("fp32", "bf16"):
            raise UserError(f"{who} has no precision={precision!r}; known: fp32, bf16")
        if batch_tokens is not None and batch_tokens < 1:
            raise UserError(f"{who}: batch_tokens is {batch_tokens}; it must be at least 1, a text that is longer is read alone")
        if not 0 <= keep_gb < math.inf:  # NaN too
            raise UserError(f"{who}: keep_gb is {keep_gb}; it must be a number of gigabytes, 0 to keep nothing")
        layer = LAYERS.get(model) if layer is None else layer
        if layer is None:
            known = ", ".join(f"{name} {number}" for name, number in LAYERS.items())
            raise UserError(f"{who}: which layer of {model} shall be looked at is not known; say so, --set {who}.layer=N (known: {known})")
        self.baseline = baseline_of(baseline, model, layer, who)
        folder = network_folder(model, setting, download=download)
        self.model = model if not Path(model).expanduser().is_dir() else Path(model).expanduser().resolve().name
        self.encoder = Encoder(folder, layer, device=device, precision=precision, batch_tokens=batch_tokens, who=who)
        self.idf = idf
        self._digest, self._reading = weights_digest(folder), reading_digest(folder)
        self._vectors = KeptVectors(int(keep_gb * 2**30))
        self._tokens: dict[str, list[int]] = {}

    def score(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 3) precision, recall, F1, rescaled if there is a baseline; NaN where every weight is 0."""
        partners: dict[str, dict[str, Pair]] = defaultdict(dict)
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            partners[hypothesis][reference] = Pair(math.nan, math.nan, math.nan)
        self._tokens = self._numbered((*hypotheses, *references))
        weigh = self._weights(references)
        self._keep(references)
        with progress("BERTScore", len(partners), unit="reports") as advance:
            for text, vectors in self._vectors_of(list(partners)):
                others = dict(self._vectors_of([reference for reference in partners[text] if reference != text]))
                for reference in partners[text]:
                    theirs = vectors if reference == text else others[reference]
                    partners[text][reference] = match(vectors, theirs, weigh(self._tokens[text]), weigh(self._tokens[reference]))
                advance(1)
        rows = np.array([partners[text][reference] for text, reference in zip(hypotheses, references, strict=True)]).reshape(-1, 3)
        return (rows - np.array(self.baseline)) / (1 - np.array(self.baseline)) if self.baseline else rows

    def signature(self) -> str:
        """Network, with how it is used and what is read with it, layer, weights of pieces, baseline."""
        baseline = "/".join(f"{number:.8g}" for number in self.baseline) if self.baseline else "no"
        return (
            f"bertscore|as:bert-score-0.3.13|model:{self.model}|weights:{self._digest}|reading:{self._reading}|layer:{self.encoder.layer}|"
            f"idf:{'references_measured' if self.idf else 'no'}|baseline:{baseline}|tokens:{self.encoder.places}|precision:{self.encoder.precision}"
        )

    def _numbered(self, texts: Iterable[str]) -> dict[str, list[int]]:
        distinct = list(dict.fromkeys(texts))
        new = [text for text in distinct if text not in self._tokens]
        numbered = dict(zip(new, self.encoder.tokens(new), strict=True))
        return {text: numbered[text] if text in numbered else self._tokens[text] for text in distinct}

    def _keep(self, references: Sequence[str]) -> None:
        """Read the references that are not known yet, as many as there is room for."""
        new = [text for text in dict.fromkeys(references) if text not in self._vectors]
        if not new:
            return
        with progress("BERTScore, references", len(new), unit="reports") as advance:
            for place, vectors in self.encoder.vectors([self._tokens[text] for text in new]):
                if not self._vectors.put(new[place], vectors):
                    return
                advance(1)

    def _vectors_of(self, texts: Sequence[str]) -> Iterable[tuple[str, np.ndarray]]:
        """Each text with its vectors, in some order; those that are kept are not read again."""
        for text in texts:
            if (found := self._vectors.get(text)) is not None:
                yield text, found
        new = [text for text in texts if text not in self._vectors]
        for place, vectors in self.encoder.vectors([self._tokens[text] for text in new]):
            yield new[place], vectors

    def _weights(self, references: Sequence[str]) -> Callable[[Sequence[int]], np.ndarray]:
        """What each piece of a text weighs: begin and end nothing, all others the same, or by their rarity."""
        if not self.idf:
            ends = (self.encoder.begin, self.encoder.end)
            return lambda tokens: np.array([0.0 if token in ends else 1.0 for token in tokens], dtype=np.float32)
        count = Counter(token for reference in references for token in set(self._tokens[reference]))
        documents = len(references)
        return lambda tokens: np.array([math.log((documents + 1) / (count[token] + 1)) for token in tokens], dtype=np.float32)


def match(ours: np.ndarray, theirs: np.ndarray, our_weights: np.ndarray, their_weights: np.ndarray) -> Pair:
    """Each piece with the likest of the other text.

    ours, theirs                (T, D), (S, D)  vectors of length 1, begin and end among them
    our_weights, their_weights  (T,), (S,)      what each piece counts; NaN comes back where all count nothing
    """
    if len(ours) == 2 or len(theirs) == 2:  # begin and end alone
        return Pair(0.0, 0.0, 0.0)
    if not our_weights.any() or not their_weights.any():
        return Pair(math.nan, math.nan, math.nan)
    likeness = ours @ theirs.T
    precision = float(likeness.max(axis=1) @ (our_weights / our_weights.sum()))
    recall = float(likeness.max(axis=0) @ (their_weights / their_weights.sum()))
    return Pair(precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0)


def baseline_of(words: str, model: str, layer: int, who: str = "bertscore") -> tuple[float, float, float] | None:
    """Baselines of precision, recall and F1, or None for none. Raises ``BadBaseline``."""
    if words.lower() in ("", "no", "none"):
        return None
    if words.lower() == "yes":
        if (model, layer) not in BASELINES:
            known = ", ".join(f"{name} layer {number}" for name, number in BASELINES)
            raise BadBaseline(
                f"{who}: no baseline of {model}, layer {layer} is known ({known} are); give its file or its numbers, {who}.baseline=P/R/F"
            )
        return BASELINES[model, layer]
    if words.count("/") == 2 and not Path(words).expanduser().exists():
        try:
            precision, recall, f1 = map(float, words.split("/"))
        except ValueError:
            raise BadBaseline(f"{who}.baseline={words}: is neither a file nor three numbers; write 0.83/0.83/0.83") from None
        found = (precision, recall, f1)
    else:
        found = _read_baseline(Path(words).expanduser(), layer, who)
    if not all(number < 1 for number in found):  # NaN too
        raise BadBaseline(f"{who}.baseline={words}: {found} is no baseline; each number must be below 1")
    return found


def _read_baseline(file: Path, layer: int, who: str) -> tuple[float, float, float]:
    """The line of a layer in a file with the columns LAYER, P, R, F."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            found = next((line for line in csv.DictReader(opened) if line["LAYER"] == str(layer)), None)
            if found is None:
                raise BadBaseline(f"{who}.baseline={file}: has no line of layer {layer}; give a file that has, or three numbers P/R/F")
            return float(found["P"]), float(found["R"]), float(found["F"])
    except OSError as error:
        raise BadBaseline(f"{who}.baseline={file}: cannot be read ({error.strerror}); give yes, a file, or three numbers P/R/F") from None
    except (KeyError, ValueError, TypeError) as error:
        raise BadBaseline(f"{who}.baseline={file}: has not the columns LAYER,P,R,F with numbers ({error}); bert-score's files do") from None
