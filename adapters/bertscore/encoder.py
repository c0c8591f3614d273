"""Texts -> what a layer of a BERT makes of each of their word pieces, every vector of length 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from adapters.pretrained import NoNetwork, has_vocabulary, read_config, reading
from adapters.running import batches, device_named, whole_signs
from benchmark.records import UserError

FAMILIES = ("bert", "roberta", "distilbert", "xlm-roberta", "camembert", "electra", "deberta", "deberta-v2")
"""whose first layers are a network of their own: as bert-score does it, what comes after the chosen layer is not there at all"""
BATCH_TOKENS = {"cpu": 1_024}
"""read at once, filling included: what is read must fit into a CPU's cache; elsewhere 16,384"""
NOT_LOOKED_AT = ("pooler.", "position_ids")
PROBE = "no effusion"
"""what every vocabulary that a report can be read with knows something of, if only its letters"""
SPARE = ("deberta", "deberta-v2")
"""published with up to a hundred rows of word pieces that stand for none; others have such rows only where they make up a multiple of 64"""


class Encoder:
    """The first layers of a network, and its word pieces."""

    def __init__(
        self,
        folder: Path,
        layer: int | None,
        *,
        device: str = "auto",
        precision: Literal["fp32", "bf16"] = "fp32",
        batch_tokens: int | None = None,
        who: str = "bertscore",
    ) -> None:
        """Look at the sizes; the weights are read when the first text is.

        layer  after which to look, 0 = before the first; None = the last

        Raises ``UserError`` for a network of another family, a layer that it has not, a vocabulary of another, or a device that is not there.
        """

        self.folder, self.who, self.precision = folder, who, precision
        self._config = read_config(folder, who)
        if self._config.model_type not in FAMILIES:
            raise UserError(f"{who}: {folder.name} is a {self._config.model_type!r}; layers can be looked into of: {', '.join(FAMILIES)}")
        layers = self._config.num_hidden_layers
        self.layer = layers if layer is None else layer
        if not 0 <= self.layer <= layers:
            raise UserError(f"{who}: {folder.name} has {layers} layers, asked for is layer {layer}; name one from 0 to {layers}")
        self._config.num_hidden_layers = self.layer
        self.device = device_named(device, who)
        self.batch_tokens = batch_tokens or BATCH_TOKENS.get(self.device.type, 16_384)
        self._tokenizer = self._read_tokenizer()
        self.begin, self.end, self._pad = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id, self._tokenizer.pad_token_id
        if self.begin is None or self.end is None or self._pad is None:
            raise UserError(f"{who}: the vocabulary of {folder.name} has no sign for begin, end or filling; BERTScore needs all three")
        self._check_pieces()
        # RoBERTa counts places from the number of its filling on, so two of its 514 are never used.
        offset = self._pad + 1 if self._config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
        self.places = min(int(self._tokenizer.model_max_length), self._config.max_position_embeddings - offset)
        self._network: Any = None

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """[CLS] pieces [SEP] of each text; what is too long is cut, and ends with [SEP] all the same."""
        stripped = [whole_signs(text).strip() for text in texts]
        if not stripped:
            return []
        found = self._tokenizer(stripped, truncation=True, max_length=self.places, add_special_tokens=True)["input_ids"]
        return [list(row) if text else [self.begin, self.end] for text, row in zip(stripped, found, strict=True)]

    def vectors(self, rows: Sequence[Sequence[int]]) -> Iterator[tuple[int, np.ndarray]]:
        """For each row of tokens its place and (T, D) float32 vectors of length 1, the longest first: neighbours in length share a batch."""
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]), reverse=True)
        for run in batches([len(rows[place]) for place in order], self.batch_tokens):
            yield from zip(order[run], self._read([rows[place] for place in order[run]]), strict=True)

    def _read(self, rows: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
        import torch

        if self._network is None:
            self._network = self._read_network()
        longest = len(rows[0])
        tokens = torch.tensor([[*row, *[self._pad] * (longest - len(row))] for row in rows])
        seen = (torch.arange(longest) < torch.tensor([len(row) for row in rows])[:, None]).long()
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            found = self._network(tokens.to(self.device), attention_mask=seen.to(self.device))[0].float()
        found = (found / found.norm(dim=-1, keepdim=True)).cpu().numpy()
        for row, vectors in zip(rows, found, strict=True):
            yield vectors[: len(row)]

    def _read_tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        # A RoBERTa tells a word at the beginning from one behind a blank; bert-score puts a blank before the text.
        with_blank = {"add_prefix_space": True} if self._config.model_type == "roberta" else {}
        if not has_vocabulary(self.folder):
            raise NoNetwork(f"{self.who}: {self.folder.name} holds no vocabulary, vocab.txt, tokenizer.json or the like; take the folder whole")
        with reading("the vocabulary", self.folder, self.who):
            return AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False, **with_blank)

    def _check_pieces(self) -> None:
        """Raise ``NoNetwork`` for a vocabulary that is not the network's, or knows no word."""
        pieces, rows = len(self._tokenizer), self._config.vocab_size
        most_spare = 100 if self._config.model_type in SPARE else 63 if rows % 64 == 0 else 0
        if not 0 <= rows - pieces <= most_spare:  # one line less, and every piece behind it is read as its neighbour
            raise NoNetwork(
                f"{self.who}: the vocabulary of {self.folder.name} has {pieces:,} word pieces, the network has places for {rows:,}; "
                "take the files that it was published with"
            )
        with reading("the vocabulary", self.folder, self.who):
            found = self._tokenizer(PROBE, add_special_tokens=False)["input_ids"]
        if not set(found) - {self._tokenizer.unk_token_id}:
            raise NoNetwork(f"{self.who}: the vocabulary of {self.folder.name} knows nothing of {PROBE!r}; take the files that it was published with")

    def _read_network(self) -> Any:
        from transformers import AutoModel

        with reading("the weights", self.folder, self.who):
            network, told = AutoModel.from_pretrained(self.folder, config=self._config, trust_remote_code=False, output_loading_info=True)
        if missing := sorted(name for name in told["missing_keys"] if not any(part in name for part in NOT_LOOKED_AT)):
            raise NoNetwork(
                f"{self.who}: {self.folder.name} lacks {len(missing)} of the network's tensors, {missing[0]} first; take the folder whole"
            )
        return network.eval().requires_grad_(False).to(self.device)
