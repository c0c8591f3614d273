"""One beam search for the four baselines, with the three rules by which their programs end a search and name the winner.

Their programs differ in nothing but this, and what an installed ``generate`` does with early stopping and length has changed between versions: so the
rules are written out here, once. The network is the caller's: a function that is handed the last tokens, and is told which rows live on, so that it
can re-order whatever it keeps (keys and values, a memory). An image whose answer is certain is asked no more, and no answer changes by it.

R2Gen   Chen et al., EMNLP 2020, as in the repository at 5a2e63f
HF 4.19, HF 4.35   the beam scorer of transformers 4.19.2 with early_stopping=True (RGRG), of 4.35.2 with early_stopping=False (CvT2DistilGPT2)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Policy = Literal["raw_sum", "first_full", "attainable"]
"""How a search ends, and what of its finished beams wins.

raw_sum     R2Gen: the highest sum of log-probabilities, whatever the length; all steps are walked, and a beam that has ended goes on with 1,000 less
first_full  HF 4.19: the highest mean over the tokens, the start among them; the search ends with as many finished beams as it has beams
attainable  HF 4.35: the same mean; the search ends once no open beam could still come above the worst of as many finished ones
"""
ENDED = 1000.0
"""what R2Gen takes off the sum of a beam that has ended, so that open ones come before it"""


class Kept(NamedTuple):
    """What of the step before goes on."""

    rows: Tensor
    """(I * b,) for each row of this step the one that it continues, counted over images times beams of the step before"""
    images: Tensor
    """(I,) for each image of this step which of the step before it is: images with an answer have gone"""


class Found(NamedTuple):
    """The answer for one image."""

    tokens: list[int]
    """without start and end"""
    score: float
    """by the policy: a sum of log-probabilities, or their mean"""


Step = Callable[["Tensor", Kept | None], "Tensor"]
"""(I, b) last tokens, and what goes on of the step before (None at the first) -> (I, b, V) log-probabilities of the next token.

At the first step b is 1, thereafter the number of beams. Row i * b + k belongs to image i, so what is kept of an image itself (keys and values of its
patches) need not be repeated for its beams: re-order it by ``Kept.images``, and what belongs to a beam by ``Kept.rows``.
"""
Adjust = Callable[["Tensor", list[list[int]]], "Tensor"]
"""(I, V) log-probabilities and the tokens so far of each image -> the log-probabilities that are chosen from."""


def beam_search(
    step: Step, images: int, *, policy: Policy, beams: int, steps: int, start: int, end: int, device: torch.device | str = "cpu"
) -> list[Found]:
    """The answer for each image, in order.

    images  how many; each begins with the one token ``start``
    beams   1 = ``greedy``, in every policy
    steps   most tokens that are generated, the end among them: max_seq_length of R2Gen, max_length - 1 of transformers, which counts the start
    end     token that ends a beam; it may be ``start`` too
    device  where ``step`` wants its tokens

    Raises ValueError for a search without beams or steps, or a vocabulary too small for the beams.
    """
    import torch

    if beams < 1 or steps < 1:
        raise ValueError(f"beams is {beams} and steps {steps}; both must be at least 1")
    if beams == 1:
        return greedy(step, images, steps=steps, start=start, end=end, device=device)
    wide = beams if policy == "raw_sum" else 2 * beams
    searches = [_Search(policy, beams) for _ in range(images)]
    open_images = list(range(images))
    tokens = torch.full((images, 1), start, device=device)
    sums = torch.zeros(images, 1, device=device)
    kept: Kept | None = None
    for t in range(steps):
        if not open_images:
            break
        scores = step(tokens, kept)
        count, width, vocabulary = scores.shape
        if vocabulary < wide:
            raise ValueError(f"{beams} beams need a vocabulary of {wide} tokens at least; it has {vocabulary}; take fewer beams")
        best, places = (sums[..., None] + scores.float()).reshape(count, -1).topk(wide)
        candidates = zip(best.tolist(), places.tolist(), strict=True)
        goes_on: list[int] = []
        rows: list[list[tuple[int, int, float]]] = []
        for row, (image, (values, flat)) in enumerate(zip(open_images, candidates, strict=True)):
            search = searches[image]
            chosen = search.advance([(value, *divmod(place, vocabulary)) for value, place in zip(values, flat, strict=True)], end, t + 1 == steps)
            if chosen:
                goes_on.append(row)
                rows.append([(row * width + beam, token, value) for value, beam, token in chosen])
        open_images = [open_images[row] for row in goes_on]
        if not rows:
            break
        tokens = torch.tensor([[token for _, token, _ in beam] for beam in rows], device=device)
        sums = torch.tensor([[value for _, _, value in beam] for beam in rows], device=device)
        kept = Kept(torch.tensor([[row for row, _, _ in beam] for beam in rows], device=device).flatten(), torch.tensor(goes_on, device=device))
    return [search.answer() for search in searches]


def greedy(
    step: Step, images: int, *, steps: int, start: int, end: int, device: torch.device | str = "cpu", adjust: Adjust | None = None
) -> list[Found]:
    """The most probable token at each step, for each image until its end; the score is the sum of their log-probabilities."""
    import torch

    found: list[list[int]] = [[] for _ in range(images)]
    sums = [0.0] * images
    open_images = list(range(images))
    tokens = torch.full((images, 1), start, device=device)
    kept: Kept | None = None
    for _ in range(steps):
        if not open_images:
            break
        scores = step(tokens, kept)[:, 0].float()
        if adjust is not None:
            scores = adjust(scores, [found[image] for image in open_images])
        best, chosen = scores.max(-1)
        goes_on = []
        for row, (image, token, value) in enumerate(zip(open_images, chosen.tolist(), best.tolist(), strict=True)):
            sums[image] += value
            if token != end:
                found[image].append(token)
                goes_on.append(row)
        rows = torch.tensor(goes_on, dtype=torch.long, device=device)
        tokens, kept = chosen[rows][:, None], Kept(rows, rows)
        open_images = [open_images[row] for row in goes_on]
    return [Found(tokens, total) for tokens, total in zip(found, sums, strict=True)]


class _Search:
    """The beams of one image, open and finished."""

    def __init__(self, policy: Policy, beams: int) -> None:
        self.policy, self.beams = policy, beams
        self.open: list[list[int]] = [[]]
        self.finished: list[Found] = []
        """in the order in which they ended; of those that transformers keeps, never more than there are beams"""

    def advance(self, candidates: list[tuple[float, int, int]], end: int, is_last: bool) -> list[tuple[float, int, int]]:
        """Take the best candidates as next tokens: (sum, beam, token) of each beam that goes on, none once the answer is certain.

        candidates  (sum, beam, token), the best first
        """
        if self.policy == "raw_sum":
            return self._advance_by_sum(candidates, end, is_last)
        chosen = []
        before = self.open
        for rank, (total, beam, token) in enumerate(candidates):
            if token != end:
                chosen.append((total, beam, token))
            elif rank < self.beams:  # an end that comes behind as many candidates as there are beams does not count
                self._keep(before[beam], total)
            if len(chosen) == self.beams:
                break
        length = len(before[0]) + 1  # of the start and the tokens so far
        if self._is_done(candidates[0][0], length):
            return []
        self.open = [[*before[beam], token] for _, beam, token in chosen]
        if is_last:
            for tokens, (total, _, _) in zip(self.open, chosen, strict=True):
                self._keep(tokens, total)
            return []
        return chosen

    def _advance_by_sum(self, candidates: list[tuple[float, int, int]], end: int, is_last: bool) -> list[tuple[float, int, int]]:
        before = self.open
        self.open = [[*before[beam], token] for _, beam, token in candidates]
        goes_on = []
        for tokens, (total, beam, token) in zip(self.open, candidates, strict=True):
            if token == end or is_last:
                self.finished.append(Found(tokens[:-1] if token == end else tokens, total))
            goes_on.append((total - ENDED if token == end else total, beam, token))
        # R2Gen walks on to the last step. But sums only fall: what is finished and above all open beams stays there.
        best = max((found.score for found in self.finished), default=float("-inf"))
        return [] if is_last or best >= max(total for total, _, _ in goes_on) else goes_on

    def _keep(self, tokens: list[int], total: float) -> None:
        score = total / (len(tokens) + 1)
        if len(self.finished) < self.beams or score > min(found.score for found in self.finished):
            self.finished.append(Found(tokens, score))
            if len(self.finished) > self.beams:
                self.finished.remove(min(self.finished, key=lambda found: found.score))

    def _is_done(self, best: float, length: int) -> bool:
        """``best`` is the highest sum among the candidates, ended ones too; ``length`` is that of the beams they continue."""
        if len(self.finished) < self.beams:
            return False
        return self.policy == "first_full" or min(found.score for found in self.finished) >= best / (length + 1)

    def answer(self) -> Found:
        """The winner; of equals R2Gen's is the first that ended, that of transformers the last."""
        ordered = self.finished if self.policy == "raw_sum" else self.finished[::-1]
        return max(ordered, key=lambda found: found.score)
