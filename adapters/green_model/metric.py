"""GREEN by the model that was trained for it: the published prompt, chat turns, greedy answers, reading and score, on this machine.

Ostmeier et al., GREEN (Findings of EMNLP 2024, https://arxiv.org/abs/2405.03595); the model is StanfordAIMI/GREEN-radllama2-7b, the code
Stanford-AIMI/GREEN at d72c195. Where we differ: questions are sorted by length, so that a batch is hardly filled; what fills it takes nothing of the
2,048 tokens of question and answer, so an answer has the same room in any batch; a question that leaves no room for a whole answer is unscored, where
the published code stops, or reads what was cut. In 16 bits an answer can depend on who shares its batch, there as here: another
``batch_size`` can change some.

Answers are kept in the file in which those of other language models are kept, a batch at a time: what was answered is not asked again, by any run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from adapters.green_model.generation import ChatModel, Written
from adapters.pretrained import FILES, network_folder, reading_digest, weights_digest
from benchmark.llm.cache import AnswerCache, Kept, default_file, key_of
from benchmark.metrics.green import COLUMNS, ERRORS, count_as_published, first_words, means, row, signed, told
from benchmark.metrics.green_prompt import PublishedPrompt, published_prompt
from benchmark.metrics.tokens import check_pairs
from benchmark.progress import progress
from benchmark.records import Evidence, UserError
from benchmark.runs import CannotWrite
from benchmark.screen import say

VERSION = 2
"""of how answers are made: those of another are asked anew"""
MODEL = "StanfordAIMI/GREEN-radllama2-7b"
BATCH_SIZE = 16


def green_model(
    *,
    model: str = MODEL,
    prompt: Path | None = None,
    device: str = "auto",
    precision: Literal["auto", "fp16", "bf16", "fp32"] = "auto",
    batch_size: int = BATCH_SIZE,
    download: bool = False,
) -> GreenModel:
    """The metric, with the model and the prompt that are on this machine; the model is read when the first question is.

    model       its folder, or its name on the Hugging Face hub
    prompt      a file with the published prompt; None = from its authors' package green_score
    precision   of its weights; auto = fp16, as published, or bf16 on a CPU
    batch_size  questions at once; on a GPU each takes about 1 GB beside the 14 GB of the model
    download    fetch the model from the hub (14 GB) if it is not on this machine

    Raises ``UserError``, which names both if both are missing.
    """
    lacking: list[str] = []
    asked, folder = None, None
    try:
        asked = published_prompt(prompt)
    except UserError as error:
        lacking.append(str(error).replace("green.prompt", "green_model.prompt"))
    try:
        folder = network_folder(model, "green_model.model", download=download and not lacking, files=(*FILES, "tokenizer.*"))
    except UserError as error:
        lacking.append(str(error))
    if asked is None or folder is None:
        raise UserError("; and ".join(lacking))
    name = model if not Path(model).expanduser().is_dir() else Path(model).expanduser().resolve().name
    return GreenModel(ChatModel(folder, device=device, precision=precision, batch_size=batch_size), asked, name)


class GreenModel:
    """GREEN of every case, its mean, and the mean counts behind it."""

    name = "green_model"
    asks = False
    """no endpoint is asked"""

    def __init__(self, chat: ChatModel, prompt: PublishedPrompt, model: str, *, cache: Path | None = None) -> None:
        """``model`` is its name in tables; ``cache`` the file of answers, that of the user's cache folder if not given."""
        self._chat, self._prompt, self._model, self._file = chat, prompt, model, cache
        self._digest, self._reading = weights_digest(chat.folder), reading_digest(chat.folder)
        self.failures: Counter[str] = Counter()
        """why how many cases of the last ``statistics`` have no score"""
        self.titles = {"green": f"GREEN ({self.judge})" if self.judge else "GREEN"}
        self.lower_is_better = frozenset(ERRORS)

    @property
    def judge(self) -> str:
        """Empty for the model that GREEN is named after, by its name on the hub; else the folder's."""
        return "" if self._model == MODEL else self._model

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10) one, GREEN, six significant counts, matched, insignificant; a row of NaN where a question leaves no room for a whole answer."""
        check_pairs(hypotheses, references)
        pairs = list(zip(hypotheses, references, strict=True))
        questions = {pair: self._prompt.fill(first_words(pair[1]), first_words(pair[0])) for pair in dict.fromkeys(pairs)}
        answers = dict(self._answers(list(dict.fromkeys(questions.values()))))
        rows = {
            pair: [np.nan] * COLUMNS if answers[text] is None else row(count_as_published(answers[text] or "")) for pair, text in questions.items()
        }
        self.failures = Counter("no room for a whole answer" for pair in pairs if answers[questions[pair]] is None)
        return np.array([rows[pair] for pair in pairs], dtype=np.float64).reshape(len(pairs), COLUMNS)

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Means over cases: ``green``; ``significant.<category>``, ``matched`` and ``insignificant`` are counts per case."""
        return means(sums)

    def signature(self) -> str:
        """Model, weights, what is read with them, prompt and cut: the same words as of ``green`` with judge=local, for it is the same number."""
        how = f"precision:{self._chat.precision}|answer:greedy|tokens:{self._chat.longest}|generation:v{VERSION}"
        return signed(f"judge:local|model:{self._model}|weights:{self._digest}|reading:{self._reading}|prompt:published-{self._prompt.digest}|{how}")

    @property
    def evidence_title(self) -> str:
        """As the tables call it."""
        return self.titles["green"]

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        """Of each case what the kept answer says; the model is not loaded."""
        return [[] if text is None else told(text, count_as_published(text)) for text in self._kept_texts(hypotheses, references)]

    def kept_statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10) of the answers that are kept, the model is not loaded; a row of NaN where one is not kept."""
        rows = [[np.nan] * COLUMNS if text is None else row(count_as_published(text)) for text in self._kept_texts(hypotheses, references)]
        return np.array(rows, dtype=np.float64).reshape(len(rows), COLUMNS)

    def _kept_texts(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[str | None]:
        """Of each pair the kept answer, None where there is none."""
        keys = [
            self._key(self._prompt.fill(first_words(reference), first_words(text))) for text, reference in zip(hypotheses, references, strict=True)
        ]
        kept = AnswerCache(self._file or default_file()).get_many(dict.fromkeys(keys))
        return [kept[key].text if key in kept else None for key in keys]

    def _answers(self, questions: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """Each question with its answer: those that were kept first, then the longest."""
        cache: AnswerCache | None = AnswerCache(self._file or default_file())
        keys = {question: self._key(question) for question in questions}
        kept: dict[str, Kept] = {}
        try:
            kept = cache.get_many(keys.values()) if cache else {}
        except CannotWrite as error:
            cache = None
            _tell(error)
        yield from ((question, kept[key].text) for question, key in keys.items() if key in kept)
        missing = [question for question, key in keys.items() if key not in kept]
        if not missing:
            return
        with progress(f"GREEN by {self._model}", len(questions), done=len(kept), unit="questions") as advance:
            for batch in self._chat.write(missing):
                written = [(missing[place], answer) for place, answer in batch]
                try:
                    if cache:
                        cache.put_many((keys[question], self._kept(question, answer)) for question, answer in written if answer)
                except CannotWrite as error:
                    cache = None
                    _tell(error)
                yield from ((question, answer.text if answer else None) for question, answer in written)
                advance(len(batch))
        if cache:
            cache.close()

    def _key(self, question: str) -> str:
        decides = {"precision": self._chat.precision, "longest": self._chat.longest, "generation": VERSION}
        return key_of(f"green_model:{self._digest}:{self._reading}", decides, [{"role": "user", "content": question}], None, 0)

    def _kept(self, question: str, answer: Written) -> Kept:
        return Kept(answer.text, self._model, answer.question_tokens, answer.answer_tokens, 0.0, "green", self._model, len(question))


def _tell(error: CannotWrite) -> None:
    """Answers cost time and no money: without a place to keep them they are made all the same."""
    say(f"answers are not kept, and another run will make them again: {error}", err=True)
