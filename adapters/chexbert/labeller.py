"""CheXbert as a labeller: reports to its 14 observations, and those to the 14 lesions, so that tables can be set beside those of papers that use it.

python -m benchmark label reports.csv --labeller chexbert --set chexbert.weights=chexbert.pth --out labels.jsonl
python -m benchmark run --models clala --labeller chexbert --device cuda

Which observation stands for which lesion, ``observations`` says. Emphysema, hernia and fibrosis are negative in every report, whatever it says, for
CheXbert does not know them; sides it does not tell.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from adapters.chexbert.files import find_vocabulary, find_weights, vocabulary_file, weights_file
from adapters.chexbert.observations import CLASSES, MAPPINGS
from adapters.needed import packages_line
from adapters.running import batches, device_named
from benchmark.metrics.chexbert import OBSERVATIONS
from benchmark.records import Lesion, Lesions, UserError
from benchmark.vocabulary import LESIONS

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors")
REMEMBERED = 500_000
"""reports whose labels are kept; a memory that is full is emptied"""


class Chexbert:
    """Labels reports by the published network."""

    asks = False
    """no language model is asked"""
    observations = OBSERVATIONS
    """the columns of ``raw``"""

    def __init__(
        self,
        *,
        weights: Path | None = None,
        vocab: Path | None = None,
        device: str = "auto",
        mapping: Literal["d14", "exact7"] = "d14",
        uncertain: Literal["positive", "negative"] = "positive",
        precision: Literal["fp32", "bf16"] = "fp32",
        batch_tokens: int | None = None,
        attention_heads: int | None = None,
        download: bool = False,
        trust_pickle: bool = False,
        runtime: Literal["auto", "torch", "onnx"] = "auto",
    ) -> None:
        """Load the network.

        weights          chexbert.pth, or safetensors of the same names, or a folder with one; None = where programs keep it, see ``files``
        vocab            vocab.txt of bert-base-uncased, or its folder; None = beside the weights, or where programs keep it
        mapping          d14 = 11 lesions from 10 observations; exact7 = those of the same name alone
        uncertain        what a lesion is that CheXbert calls uncertain
        precision        bf16 is faster where the machine has it, and may change a label
        batch_tokens     tokens that are read at once, filling included; None = 1,024 on a CPU, 16,384 elsewhere
        attention_heads  of the network; None = one per 64 numbers of width, as BERT has them
        download         fetch from the Hugging Face hub what is not on this machine
        trust_pickle     open a file of weights that could run code
        runtime          what computes the BERT: torch, or onnxruntime; auto = onnx where it is installed and faster: AMD, in fp32

        Raises UserError for what is not there, does not fit, or names no device.
        """
        for option, value, known in (
            ("mapping", mapping, tuple(MAPPINGS)),
            ("uncertain", uncertain, ("positive", "negative")),
            ("precision", precision, ("fp32", "bf16")),
            ("runtime", runtime, ("auto", "torch", "onnx")),
        ):
            if value not in known:
                raise UserError(f"chexbert has no {option}={value!r}; known: {', '.join(known)}")
        if batch_tokens is not None and batch_tokens < 1:
            raise UserError(f"chexbert: batch_tokens is {batch_tokens}; it must be at least 1, a report that is longer is read alone")
        file = weights_file(weights, download=download)
        vocab_file = vocabulary_file(vocab, beside=file, download=download)

        from adapters.chexbert.vocabulary import Vocabulary
        from adapters.chexbert.weights import load

        self.device = device_named(device, "chexbert")
        loaded = load(file, self.device, attention_heads=attention_heads, trust_pickle=trust_pickle)
        self.network, self.sha256 = loaded.network, loaded.sha256
        self.vocabulary = Vocabulary(vocab_file, words=self.network.sizes.words, places=self.network.sizes.places)
        self.mapping, self.uncertain, self.precision = mapping, uncertain, precision
        # On one core 48 reports took 5.8 s of CPU time by 1,024 tokens, 6.2 s one by one, and 8.5 s by 16,384: what is read must fit into the cache.
        self.batch_tokens = batch_tokens or (1_024 if self.device.type == "cpu" else 16_384)
        self._encoder = self._onnx_encoder(runtime)
        # Lesion table and CheXbert F1 each have a labeller, of one network: what one has asked, the other knows, if nothing could round otherwise.
        same = (self.vocabulary.name, precision, str(self.batch_tokens), "torch" if self._encoder is None else "onnx")
        self._kept = loaded.said.setdefault(same, {})
        self._lesions = lru_cache(maxsize=None)(self._decide)

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        found = find_weights()
        findings = [packages_line(PACKAGES)]
        for what, setting, path in (("weights", "weights", found), ("vocabulary", "vocab", find_vocabulary(found))):
            remedy = "" if path else f" (not here; name the file: --set chexbert.{setting}=PATH, or fetch it: --set chexbert.download=yes)"
            findings.append((path is not None, f"{what}{remedy}"))
        return findings

    def label(self, reports: Sequence[str]) -> list[Lesions]:
        """14 lesions for each report, in order. Emphysema, hernia and fibrosis are always negative, and no lesion has a side."""
        return [self._lesions(row.tobytes()) for row in self.raw(reports)]

    def raw(self, reports: Sequence[str]) -> np.ndarray:
        """(n, 14) int8, what CheXbert itself says: ``observations`` in their order, 0 blank, 1 positive, 2 negative, 3 uncertain."""
        from adapters.chexbert.vocabulary import one_line

        texts = [one_line(report) for report in reports]
        if len(self._kept) >= REMEMBERED:
            self._kept.clear()
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        for batch in self._sorted_batches(new):
            found = self._classes([tokens for _, tokens in batch])
            self._kept.update((text, row.tobytes()) for (text, _), row in zip(batch, found, strict=True))
        return np.frombuffer(b"".join(self._kept[text] for text in texts), dtype=np.int8).reshape(-1, len(OBSERVATIONS))

    def signature(self) -> str:
        """What ``raw_signature`` says, mapping, and the lesions that it cannot find."""
        never = "+".join(name for name in LESIONS if name not in MAPPINGS[self.mapping])
        return f"{self._reads()}|mapping:{self.mapping}|uncertain:{self.uncertain}|always_negative:{never}|precision:{self.precision}|v{VERSION}"

    def raw_signature(self) -> str:
        """Of ``raw`` alone, in which no lesion enters. What computes it is left out: it says the same, as tests hold."""
        return f"{self._reads()}|precision:{self.precision}|v{VERSION}"

    def _reads(self) -> str:
        """Weights by their checksum, heads, which no weight tells and on which labels depend, and vocabulary."""
        return f"chexbert|weights:{self.sha256[:12]}|heads:{self.network.sizes.attention_heads}|vocab:{self.vocabulary.name}"

    def class_tokens(self, reports: Sequence[str]) -> np.ndarray:
        """(n, D) float32, what the network makes of each report before its heads look at it: the s_emb of Yu et al. (2023) is the cosine of two."""
        import torch

        from adapters.chexbert.vocabulary import one_line

        texts = [one_line(report) for report in reports]
        found: dict[str, np.ndarray] = {}
        for batch in self._sorted_batches(list(dict.fromkeys(texts))):
            tokens, padding = self._padded([numbers for _, numbers in batch])
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                read = self._read(tokens, padding).float().cpu().numpy()
            found.update((text, row) for (text, _), row in zip(batch, read, strict=True))
        return np.stack([found[text] for text in texts]) if texts else np.empty((0, self.network.sizes.width), dtype=np.float32)

    def _sorted_batches(self, texts: Sequence[str]) -> Iterator[Sequence[tuple[str, list[int]]]]:
        # Neighbours in length share a batch, the longest first: filling costs as much as words, and what does not fit into memory is known at once.
        numbered = sorted(zip(texts, self.vocabulary.numbers(texts), strict=True), key=lambda pair: len(pair[1]), reverse=True)
        return (numbered[run] for run in batches([len(row) for _, row in numbered], self.batch_tokens))

    def _classes(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """(M, 14) int8 of one batch of token numbers."""
        import torch

        tokens, padding = self._padded(rows)
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            scores = self.network(tokens, padding) if self._encoder is None else self.network.scores(self._read(tokens, padding))
            classes: Tensor = scores.argmax(dim=2)
        return classes.to("cpu", torch.int8).numpy()

    def _read(self, tokens: Tensor, padding: Tensor | None) -> Tensor:
        """(M, D) class tokens of one batch."""
        if self._encoder is None:
            return self.network.read(tokens, padding)
        lengths = tokens.new_full((len(tokens),), tokens.shape[1]) if padding is None else (~padding).sum(dim=1)
        vectors: Tensor = self._encoder(tokens, lengths)
        return vectors[:, 0]

    def _onnx_encoder(self, runtime: str) -> Any:
        """The BERT in onnxruntime, or None where torch computes it. Raises UserError where it was asked for and cannot be had."""
        missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
        fits = self.device.type == "cpu" and self.precision == "fp32"
        if runtime == "onnx" and (missing or not fits):
            why = f"{' and '.join(missing)} not installed: pip install 'clala-benchmark[onnx]'" if missing else "it is for a CPU and fp32"
            raise UserError(f"chexbert.runtime=onnx cannot be had ({why}); or take --set chexbert.runtime=torch")
        if runtime == "torch" or missing or not fits:
            return None
        from adapters.radgraph.onnx_encoder import OnnxEncoder, is_faster_here

        return OnnxEncoder(self.network.bert) if runtime == "onnx" or is_faster_here() else None

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor | None]:
        """(M, T) tokens, and where they are filling; None if nowhere: attention is faster without a mask."""
        import torch

        longest = max(map(len, rows))
        filled = torch.tensor([[*row, *[self.vocabulary.pad] * (longest - len(row))] for row in rows])
        if all(len(row) == longest for row in rows):
            return filled.to(self.device), None
        padding = torch.arange(longest) >= torch.tensor([len(row) for row in rows])[:, None]
        return filled.to(self.device), padding.to(self.device)

    def _decide(self, row: bytes) -> Lesions:
        """The lesions of one row of ``raw``. Rows repeat themselves: a million reports share a few thousand records."""
        said = {observation: CLASSES[number] for observation, number in zip(OBSERVATIONS, row, strict=True)}
        sources = MAPPINGS[self.mapping]
        return tuple(Lesion(name, *self._stated(said[sources[name]] if name in sources else "blank")) for name in LESIONS)

    def _stated(self, said: str) -> tuple[str, str, str]:
        """Status, side and certainty of a lesion whose observation is of that class."""
        if said == "uncertain":
            return self.uncertain, "not mentioned", "hedged"
        return ("positive" if said == "positive" else "negative"), "not mentioned", ("not mentioned" if said == "blank" else "stated")
