"""What asking would take, before anything is asked: calls, tokens and dollars, learnt from earlier answers where there are some.

How many tokens an image is, each provider decides for each model, from tens to tens of thousands. So they are not guessed: questions with images are
counted as long as those that were answered before, and before there are any the images are left out, which is said, and no price is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from benchmark.llm.cache import Size
from benchmark.llm.prices import Price

CHARACTERS_PER_TOKEN = 4.0  # of English prose; help.openai.com, "What are tokens and how to count them?"
ENOUGH_ANSWERS = 20
"""earlier answers from which on their mean is better than a guess"""
ANSWER_TOKENS = {"label": 900, "judge": 400, "green": 350, "aggregate": 120, "report": 120}
"""guesses of one answer's length, for tasks of which no answer is kept"""
ANSWER_TOKENS_OF_OTHERS = 300
SHOWN = ("report",)
"""tasks whose questions have images: of how long a text is in tokens their answers teach nothing"""


class Expected(NamedTuple):
    """What one task would take of one model."""

    task: str
    model: str
    calls: int
    """different questions without an answer; questions to mend an answer and further tries come on top"""
    cached: int
    """different questions that were answered before"""
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    """dollars; None where the price is unknown, or what images come to"""
    batch_cost: float | None
    """dollars, if all of it were handed in as a batch"""
    price: str
    """where the price is from; empty if there is none"""
    basis: str
    """what the numbers of tokens rest on"""


@dataclass
class _Task:
    calls: int = 0
    cached: int = 0
    characters: int = 0
    images: int = 0


class Estimate:
    """Counts the questions to one model that would be asked, each once."""

    def __init__(self, model: str, kept: Iterable[Size], *, price: Price | None, batch_price: Price | None, max_tokens: int) -> None:
        """``kept`` as ``AnswerCache.sizes`` gives it: what earlier answers teach about lengths."""
        self.model, self.price, self.batch_price, self.max_tokens = model, price, batch_price, max_tokens
        self._kept = [size for size in kept if size.model == model]
        self._tasks: dict[str, _Task] = {}
        self._seen: set[int] = set()

    def add(self, key: str, task: str, characters: int, *, is_cached: bool, images: int = 0) -> None:
        """One question, of so many characters and images; a second with the same key is the same question."""
        short = int(key[:16], 16)  # enough to tell a million questions apart, at a third of the memory
        if short in self._seen:
            return
        self._seen.add(short)
        row = self._tasks.setdefault(task, _Task())
        if is_cached:
            row.cached += 1
        else:
            row.calls += 1
            row.characters += characters
            row.images += images

    def rows(self) -> list[Expected]:
        """What it comes to, by task in the order in which they came."""
        return [self._row(task, counted) for task, counted in self._tasks.items()]

    def _row(self, task: str, counted: _Task) -> Expected:
        texts = [size for size in self._kept if size.task not in SHOWN]
        answers, characters, tokens = (sum(getattr(size, name) for size in texts) for name in ("answers", "prompt_characters", "prompt_tokens"))
        is_learnt = answers >= ENOUGH_ANSWERS and characters > 0 and tokens > 0
        per_token = characters / tokens if is_learnt else CHARACTERS_PER_TOKEN
        same_task = next((size for size in self._kept if size.task == task and size.completion_tokens > 0), None)
        mean = same_task.completion_tokens / same_task.answers if same_task else ANSWER_TOKENS.get(task, ANSWER_TOKENS_OF_OTHERS)
        per_answer = min(mean, self.max_tokens)
        ins, outs = round(counted.characters / per_token), round(counted.calls * per_answer)
        learnt = "max_tokens" if mean > self.max_tokens else f"mean of {same_task.answers:,}" if same_task else "guessed"
        reading = f"{per_token:.2f} characters per token ({f'of {answers:,} answers' if is_learnt else 'guessed'})"
        is_priced = True
        if counted.images and same_task and same_task.prompt_tokens:
            per_question = same_task.prompt_tokens / same_task.answers
            ins = round(counted.calls * per_question)
            reading = f"{per_question:,.0f} tokens per question with its images (mean of {same_task.answers:,})"
        elif counted.images:
            is_priced = self.price is not None and self.price.input == 0
            reading += f", the {counted.images:,} images NOT counted: ask a few first (--limit 5), from then on it is known"
        basis = f"{reading}, {per_answer:,.0f} tokens per answer ({learnt})"
        return Expected(
            task,
            self.model,
            counted.calls,
            counted.cached,
            ins,
            outs,
            self.price.of(ins, outs) if self.price and is_priced else None,
            self.batch_price.of(ins, outs) if self.batch_price and is_priced else None,
            self.price.source if self.price else "",
            basis,
        )
