"""Questions -> answers of a chat model on this machine: sorted by length, in batches filled on the left, each answer to its end.

Question and answer have ``longest`` tokens together, whoever shares the batch: the filling is none of them. An answer that has come to no end by then
is no answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from adapters.pretrained import NoNetwork, has_vocabulary, read_config, reading
from adapters.running import device_named, whole_signs
from benchmark.records import UserError

LONGEST = 2_048  # tokens of question and answer together; green_score/green.py
USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "</s>"
TIDY = (  # what the authors' tokenizer is told to mend in what it decodes (clean_up_tokenization_spaces); the reading looks for "2."
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


class Written(NamedTuple):
    """What the model wrote to a question."""

    text: str
    """the answer, without special signs"""
    question_tokens: int
    answer_tokens: int


class ChatModel:
    """A causal language model with the turns that GREEN was trained on."""

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        precision: Literal["auto", "fp16", "bf16", "fp32"] = "auto",
        batch_size: int = 16,
        longest: int = LONGEST,
    ) -> None:
        """Look at its sizes and read its vocabulary; the weights are read when the first question is. Raises ``UserError``."""

        if precision not in ("auto", "fp16", "bf16", "fp32"):
            raise UserError(f"green has no precision={precision!r}; known: auto, fp16, bf16, fp32")
        if batch_size < 1:
            raise UserError(f"green: batch_size is {batch_size}; it must be at least 1")
        self.device = device_named(device, "green")
        # The authors' weights are of 16 bits, 5 of them exponent; a CPU multiplies the other kind faster.
        self.precision = precision if precision != "auto" else "bf16" if self.device.type == "cpu" else "fp16"
        self.folder, self.batch_size, self.longest = folder, batch_size, longest
        self._config = read_config(folder, "green")
        self._pieces = self._read_pieces()
        self.begin, self.end = self._number("<s>"), self._number(END)
        self._network: Any = None

    def tokens(self, question: str) -> list[int]:
        """Of the question as the user's turn, an empty turn of the assistant, the head of the next, and one more end."""
        text = f"{USER}\n{whole_signs(question)}{END}\n{ASSISTANT}\n{END}\n{ASSISTANT}\n"
        return [self.begin, *self._pieces.encode(text, add_special_tokens=False).ids, self.end]

    def write(self, questions: Sequence[str]) -> Iterator[list[tuple[int, Written | None]]]:
        """Batch by batch, the longest questions first: place of the question and what was written; None where there is no room for a whole answer."""
        rows = [self.tokens(question) for question in questions]
        if too_long := [place for place, row in enumerate(rows) if len(row) >= self.longest]:
            yield [(place, None) for place in too_long]
        order = sorted((place for place, row in enumerate(rows) if len(row) < self.longest), key=lambda place: len(rows[place]), reverse=True)
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            yield list(zip(batch, self._batch([rows[place] for place in batch]), strict=True))

    def _batch(self, rows: Sequence[list[int]]) -> list[Written | None]:
        import torch

        if self._network is None:
            self._network = self._read_network()
        longest, shortest = max(map(len, rows)), min(map(len, rows))
        tokens = torch.tensor([[*[self.end] * (longest - len(row)), *row] for row in rows], device=self.device)
        seen = (torch.arange(longest) >= longest - torch.tensor([len(row) for row in rows])[:, None]).long().to(self.device)
        with torch.inference_mode():
            found = self._network.generate(
                input_ids=tokens,
                attention_mask=seen,
                max_new_tokens=self.longest - shortest,  # the room of the shortest; each row is cut at its own below
                do_sample=False,
                eos_token_id=self.end,
                pad_token_id=self.end,
            )
        written: list[Written | None] = []
        for row, answer in zip(rows, found[:, longest:].tolist(), strict=True):
            own = answer[: self.longest - len(row)]
            if self.end not in own:
                written.append(None)
                continue
            own = own[: own.index(self.end)]
            # Decoded with its question, as the authors do: alone, its first word could lose a blank.
            whole = tidied(self._pieces.decode([*row, *own], skip_special_tokens=True))
            written.append(Written(whole.rpartition(ASSISTANT)[2], len(row), len(own)))
        return written

    def _read_pieces(self) -> Any:
        from tokenizers import Tokenizer

        # The file itself, and not transformers' reading of it, which has changed between its versions.
        if (file := self.folder / "tokenizer.json").is_file():
            with reading("tokenizer.json", self.folder, "green"):
                return Tokenizer.from_file(str(file))
        from transformers import AutoTokenizer

        if not has_vocabulary(self.folder):
            raise NoNetwork(f"green: {self.folder.name} holds no vocabulary, tokenizer.json or tokenizer.model; take the folder whole")
        with reading("the vocabulary", self.folder, "green"):
            return AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False).backend_tokenizer

    def _number(self, sign: str) -> int:
        number = self._pieces.token_to_id(sign)
        if number is None:
            raise NoNetwork(f"green: the vocabulary of {self.folder.name} has no {sign}, which the model was trained with; take another folder")
        return int(number)

    def _read_network(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM, GenerationConfig

        kinds = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
        with reading("the weights", self.folder, "green"):
            network, told = AutoModelForCausalLM.from_pretrained(
                self.folder, config=self._config, dtype=kinds[self.precision], trust_remote_code=False, output_loading_info=True
            )
        if missing := sorted(told["missing_keys"]):
            raise NoNetwork(f"green: {self.folder.name} lacks {len(missing)} of the network's tensors, {missing[0]} first; take the folder whole")
        network.generation_config = GenerationConfig()  # of the folder there may come a temperature; answers are the likeliest, token by token
        return network.eval().requires_grad_(False).to(self.device)


def tidied(text: str) -> str:
    """Without the blanks before marks that the authors' tokenizer takes out."""
    for found, instead in TIDY:
        text = text.replace(found, instead)
    return text
