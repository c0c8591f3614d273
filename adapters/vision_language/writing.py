"""Cases -> reports of a language model that sees: prompts sorted by length, batches filled on the left, images read while the last batch is written.

The features of images are set among the embeddings of the text here, and not at a sign of the vocabulary: no id is spent on it, no row is added to
the weights, and one writer serves every guest, with images or without.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from adapters.vision_language.memory import TooLittleMemory
from benchmark.records import Case, Report, UserError
from benchmark.screen import say

if TYPE_CHECKING:
    from torch import Tensor

WINDOW = 8
"""batches that are sorted by length together: reports come in the order of the cases, and a run that is stopped loses no more than these"""
IMAGES_AT_ONCE = 16


class Asked(NamedTuple):
    """A case that can be answered."""

    chunks: Sequence[Sequence[int]]
    """token ids before, between and after the images: one more than there are images"""
    images: Callable[[], Sequence[np.ndarray]]
    """reads them, each (3, H, W) float32; may raise ``UserError``, and the case has failed"""
    image_tokens: int = 0
    """of each image, to sort by"""
    seed: int = 0
    """where tokens are drawn: a case draws alike alone and in any batch"""

    @property
    def length(self) -> int:
        """Tokens of the question, its images among them."""
        return sum(map(len, self.chunks)) + (len(self.chunks) - 1) * self.image_tokens


class Written(NamedTuple):
    """What was written about a case."""

    text: str
    """without the vocabulary's special signs"""
    ids: list[int]
    """without the end"""
    is_cut: bool
    """no end came within the tokens that it may have"""


class Drawn(NamedTuple):
    """Tokens are drawn by their probability, and not taken as the likeliest."""

    top_p: float
    temperature: float = 1.0
    top_k: int = 0
    """among so many of the likeliest; 0 = of all. What transformers draws among, if nothing is said, is 50"""


@dataclass
class Rate:
    """How much was written in which time."""

    reports: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cut: int = 0
    """reports to which no end came"""
    unread: Counter[str] = field(default_factory=Counter)
    """why how many outputs could not be read by their own parser; each was kept as it came"""

    def in_words(self) -> str:
        """One line for people."""
        pace = f", {self.reports / self.seconds * 60:.1f} reports a minute, {self.tokens / self.seconds:.1f} tokens a second" if self.seconds else ""
        cut = f"; {self.cut} cut at the most tokens that a report may have" if self.cut else ""
        unread = "".join(f"; {count} kept as they came: {why}" for why, count in self.unread.most_common())
        return f"{self.reports} reports{pace}{cut}{unread}"


class Writer:
    """A language model with eyes, ready to be asked."""

    def __init__(
        self,
        language: Any,
        see: Callable[[Tensor], Tensor] | None,
        pieces: Any,
        *,
        end: Sequence[int],
        most: int,
        batch_size: int,
        who: str,
        stops: Sequence[Sequence[int]] = (),
        drawn: Drawn | None = None,
        longest: int | None = None,
    ) -> None:
        """Say what is asked, and how it answers.

        language    a causal language model of transformers
        see         (N, 3, H, W) -> (N, T, D) features of images, as wide as the language model; None if it is shown none
        pieces      its vocabulary, a ``tokenizers.Tokenizer``
        end         token ids that end an answer; the first fills batches up
        most        tokens of an answer
        stops       runs of token ids that end an answer too, and are cut off it
        drawn       draw, and do not take the likeliest
        longest     tokens of question and answer together; None = as many as its positions
        """
        from transformers import GenerationConfig

        self.language, self.see, self.pieces, self.who = language, see, pieces, who
        self.end, self.most, self.batch_size, self.stops, self.drawn = list(end), most, batch_size, [list(stop) for stop in stops], drawn
        self.longest = longest or int(getattr(language.config, "max_position_embeddings", sys.maxsize))
        language.generation_config = GenerationConfig()  # of the files there may come a temperature, or another end
        self.rate = Rate()
        self.cases_together = WINDOW * batch_size  # sorted by length among themselves, then batched

    def write(self, asked: Sequence[Asked]) -> Iterator[Written | str]:
        """Of each, in order, what was written, or why nothing was."""
        for start in range(0, len(asked), WINDOW * self.batch_size):
            yield from self._window(asked[start : start + WINDOW * self.batch_size])

    def _window(self, asked: Sequence[Asked]) -> list[Written | str]:
        answers: dict[int, Written | str] = {}
        for place, one in enumerate(asked):
            if one.length + self.most > self.longest:
                answers[place] = f"question ({one.length} tokens) and answer (up to {self.most}) are more than the model's {self.longest}"
        order = sorted((place for place in range(len(asked)) if place not in answers), key=lambda place: asked[place].length, reverse=True)
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        with ThreadPoolExecutor(1) as reader:
            coming: Future[list[Any]] | None = reader.submit(_read, [asked[place] for place in batches[0]]) if batches else None
            for number, batch in enumerate(batches):
                assert coming is not None
                images = coming.result()
                coming = reader.submit(_read, [asked[place] for place in batches[number + 1]]) if number + 1 < len(batches) else None
                answers |= {place: why for place, why in zip(batch, images, strict=True) if isinstance(why, str)}
                usable = [(place, found) for place, found in zip(batch, images, strict=True) if not isinstance(found, str)]
                written = self._batch([asked[place] for place, _ in usable], [found for _, found in usable]) if usable else []
                answers |= {place: one for (place, _), one in zip(usable, written, strict=True)}
        return [answers[place] for place in range(len(asked))]

    def _batch(self, asked: Sequence[Asked], images: Sequence[Sequence[np.ndarray]]) -> list[Written]:
        """Halved, and halved again, where the memory that was estimated is not there."""
        import torch

        started = time.perf_counter()
        try:
            with torch.inference_mode():
                written = self._ask(asked, images)
        except torch.OutOfMemoryError as error:
            if len(asked) == 1:
                raise TooLittleMemory(
                    f"{self.who}: one case alone did not fit into memory; end what else uses the device, or name --set {self.who}.precision=4bit"
                ) from error
            written = []
        if not written:  # outside of the handler, which would keep the failed batch's tensors
            torch.cuda.empty_cache()
            half = (len(asked) + 1) // 2
            return [*self._batch(asked[:half], images[:half]), *self._batch(asked[half:], images[half:])]
        self.rate.seconds += time.perf_counter() - started
        self.rate.reports += len(written)
        self.rate.tokens += sum(len(one.ids) + (not one.is_cut) for one in written)
        self.rate.cut += sum(one.is_cut for one in written)
        return written

    def _ask(self, asked: Sequence[Asked], images: Sequence[Sequence[np.ndarray]]) -> list[Written]:
        from transformers import LogitsProcessorList, StoppingCriteriaList

        embeddings, seen = self.embedded([one.chunks for one in asked], images)
        found = self.language.generate(
            inputs_embeds=embeddings,
            attention_mask=seen,
            max_new_tokens=self.most,
            eos_token_id=self.end,
            pad_token_id=self.end[0],
            use_cache=True,
            do_sample=False,
            stopping_criteria=StoppingCriteriaList([_ends_with(self.stops)]) if self.stops else None,
            logits_processor=LogitsProcessorList(_draws(self.drawn, [one.seed for one in asked])) if self.drawn else None,
        )
        return [self._written(row) for row in found.tolist()]

    def embedded(self, chunks: Sequence[Sequence[Sequence[int]]], images: Sequence[Sequence[np.ndarray]]) -> tuple[Tensor, Tensor]:
        """Texts and images of a batch, in the order in which the language model reads them.

        chunks   of each case, the token ids before, between and after its images
        images   of each case, as many as there are gaps, each (3, H, W)
        returns  (B, L, D) embeddings, filled up on the left; (B, L) 1 where there is one
        """
        import torch

        table = self.language.get_input_embeddings()
        device, number = table.weight.device, self.language.dtype
        features = self._seen([image for one in images for image in one], device)
        rows = []
        for case, own in zip(chunks, images, strict=True):
            if len(case) != len(own) + 1:
                raise ValueError(f"{len(own)} images for {len(case)} texts; between two texts there is one image")
            parts = [table(torch.tensor(list(case[0]), dtype=torch.long, device=device))]
            for chunk in case[1:]:
                parts += [next(features).to(device, number), table(torch.tensor(list(chunk), dtype=torch.long, device=device))]
            rows.append(torch.cat(parts))
        longest = max(map(len, rows))
        embeddings = torch.zeros(len(rows), longest, rows[0].shape[1], dtype=rows[0].dtype, device=device)
        seen = torch.zeros(len(rows), longest, dtype=torch.long, device=device)
        for place, row in enumerate(rows):
            embeddings[place, longest - len(row) :] = row
            seen[place, longest - len(row) :] = 1
        return embeddings, seen

    def _seen(self, images: Sequence[np.ndarray], device: Any) -> Iterator[Tensor]:
        """(T, D) of each image."""
        import torch

        for start in range(0, len(images), IMAGES_AT_ONCE):
            assert self.see is not None, "images for a model without eyes"
            yield from self.see(torch.from_numpy(np.stack(images[start : start + IMAGES_AT_ONCE])).to(device))

    def _written(self, row: Sequence[int]) -> Written:
        ids, is_cut = list(row), True
        places = [ids.index(end) for end in self.end if end in ids]
        if places:
            ids, is_cut = ids[: min(places)], False
        for stop in self.stops:
            at = next((place for place in range(len(ids) - len(stop) + 1) if ids[place : place + len(stop)] == stop), None)
            if at is not None:
                ids, is_cut = ids[:at], False
        return Written(self.pieces.decode(ids, skip_special_tokens=True), ids, is_cut)


def reports(
    writer: Writer,
    cases: Sequence[Case],
    ask: Callable[[Case], Asked | str],
    finish: Callable[[Case, Written], Report],
) -> Iterator[Report]:
    """One report per case, in order; at the end a line to stderr says how fast that was.

    ask     a case -> what the model is asked, or why it cannot be
    finish  a case and what was written -> its report
    """
    step = WINDOW * writer.batch_size
    for start in range(0, len(cases), step):
        some = cases[start : start + step]
        questions = [ask(case) for case in some]
        answers = writer.write([one for one in questions if isinstance(one, Asked)])
        for case, question in zip(some, questions, strict=True):
            answer = next(answers) if isinstance(question, Asked) else question
            yield Report(case.id, failure=answer) if isinstance(answer, str) else finish(case, answer)
    say(f"{writer.who}: {writer.rate.in_words()}", err=True)


def seed_of(seed: int, case: Case) -> int:
    """The seed of a case, of a run's: another case draws other tokens, whatever else is in the run."""
    return int.from_bytes(hashlib.sha256(f"{seed} {case.id}".encode("utf-8", "surrogatepass")).digest()[:7], "big")


def _read(asked: Sequence[Asked]) -> list[Any]:
    """The images of each, or why they cannot be read."""
    found: list[Any] = []
    for one in asked:
        try:
            own = list(one.images())
            gaps = len(one.chunks) - 1
            found.append(own if len(own) == gaps else f"the case has {len(own)} images, and its question places for {gaps}")
        except UserError as error:
            found.append(str(error))
    return found


def _draws(how: Drawn, seeds: Sequence[int]) -> list[Any]:
    """Makes the likeliest token one that is drawn, for each row by a seed of its own: with Gumbel's noise the largest is a draw from the softmax."""
    import torch
    from transformers import LogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    class Noise(LogitsProcessor):  # type: ignore[misc,unused-ignore]
        """Adds what is drawn anew at each step, on the CPU: the same on every device."""

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            waits = [torch.empty(scores.shape[-1]).exponential_(generator=one) for one in generators]
            return scores - torch.stack(waits).log().to(scores.device)

    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    few = [TopKLogitsWarper(how.top_k)] if how.top_k else []
    return [TemperatureLogitsWarper(how.temperature), *few, TopPLogitsWarper(how.top_p), Noise()]


def _ends_with(stops: Sequence[Sequence[int]]) -> Any:
    """Ends each answer of a batch at any of these runs of ids."""
    import torch
    from transformers import StoppingCriteria

    class EndsWith(StoppingCriteria):  # type: ignore[misc,unused-ignore]
        """True for each row that ends with one of the runs."""

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            tails = [tuple(row[-longest:]) for row in input_ids.tolist()]
            return torch.tensor([any(tail[-len(stop) :] == tuple(stop) for stop in stops) for tail in tails], device=input_ids.device)

    longest = max(map(len, stops))
    return EndsWith()
