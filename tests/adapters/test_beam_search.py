"""The beam search of the baselines, against the programs whose rules it follows.

``fixtures/beam_search.json`` holds what they answered over language models that are tables of random scores: R2Gen's own loop (cuhksz-nlp/R2Gen at
5a2e63f), and ``BeamSearchScorer`` of transformers 4.19.2 with early_stopping=True and of 4.35.2 with early_stopping=False in the loop of their
``generate``. The tables are drawn again here from their seeds; tokens must be the same, and the winner's score to five digits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapters.beam_search import Kept, Policy, beam_search, greedy

GOLDEN: dict[Policy, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "fixtures" / "beam_search.json").read_text(encoding="utf-8"))
CASES = [pytest.param(policy, case, id=f"{policy}-{case['seed']}") for policy, cases in GOLDEN.items() for case in cases]
MOMENTS = 8
"""tokens from which on the table of scores repeats"""


class Table:
    """A language model of random scores by image, moment and last token, that keeps what it was told as a cache would."""

    def __init__(self, case: dict[str, Any]) -> None:
        generator = np.random.default_rng(case["seed"])
        size = (case["images"], MOMENTS, case["vocabulary"], case["vocabulary"])
        scores = generator.normal(size=size).astype(np.float32) * case["sharpness"]
        scores[:, 3:, :, 0] += case["pull"]  # towards the end
        self.scores = torch.from_numpy(scores).log_softmax(-1)
        self.images = torch.arange(case["images"])
        self.written = torch.zeros(0, 0, dtype=torch.long)
        self.asked = 0

    def __call__(self, tokens: torch.Tensor, kept: Kept | None) -> torch.Tensor:
        if kept is None:
            self.written = tokens.flatten()[:, None]
        else:
            self.images = self.images[kept.images]
            self.written = torch.cat([self.written[kept.rows], tokens.flatten()[:, None]], 1)
        self.asked += len(tokens)
        moment = min(self.written.shape[1] - 1, MOMENTS - 1)
        return self.scores[self.images[:, None], moment, tokens]


def settings(case: dict[str, Any]) -> dict[str, Any]:
    return {name: case[name] for name in ("beams", "steps", "start")} | {"end": 0}


@pytest.mark.parametrize(("policy", "case"), CASES)
def test_tokens_and_score_are_those_of_the_program_that_is_followed(policy: Policy, case: dict[str, Any]) -> None:
    found = beam_search(Table(case), case["images"], policy=policy, **settings(case))
    assert [list(one.tokens) for one in found] == [tokens for tokens, _ in case["found"]]
    np.testing.assert_allclose([one.score for one in found], [score for _, score in case["found"]], atol=2e-5)


def test_the_three_policies_are_three() -> None:
    """If one could stand for another, the fixture would not tell a mix-up."""
    for case in GOLDEN["first_full"]:
        answers = {policy: [one.tokens for one in beam_search(Table(case), case["images"], policy=policy, **settings(case))] for policy in GOLDEN}
        assert answers["raw_sum"] != answers["first_full"]
    assert [case["found"] for case in GOLDEN["first_full"]] != [case["found"] for case in GOLDEN["attainable"]]


@pytest.mark.parametrize("policy", list(GOLDEN))
def test_many_images_at_once_are_answered_as_each_alone(policy: Policy) -> None:
    case = GOLDEN[policy][1]
    together = beam_search(Table(case), case["images"], policy=policy, **settings(case))
    for image, one in enumerate(together):
        alone = Table(case)
        alone.scores = alone.scores[image : image + 1]
        alone.images = alone.images[:1]
        assert beam_search(alone, 1, policy=policy, **settings(case)) == [one]


def test_an_image_with_an_answer_is_asked_no_more() -> None:
    case = GOLDEN["raw_sum"][3]
    table = Table(case)
    beam_search(table, case["images"], policy="raw_sum", **settings(case))
    assert table.asked < case["images"] * case["steps"] / 2


def test_greedy_takes_the_best_token_until_the_end() -> None:
    case = GOLDEN["raw_sum"][0]
    table = Table(case)
    for image, found in enumerate(beam_search(Table(case), case["images"], policy="raw_sum", **(settings(case) | {"beams": 1}))):
        token, expected, total = 0, [], 0.0
        for moment in range(case["steps"]):
            row = table.scores[image, min(moment, MOMENTS - 1), token]
            token = int(row.argmax())
            total += float(row[token])
            if token == 0:
                break
            expected.append(token)
        assert found.tokens == expected
        assert found.score == pytest.approx(total, abs=1e-4)


def test_greedy_chooses_from_adjusted_scores() -> None:
    """R2Gen's penalty on repeated trigrams comes in here: a penalty on whatever was said before leaves no token twice."""
    case = GOLDEN["raw_sum"][0]

    def punish(scores: torch.Tensor, written: list[list[int]]) -> torch.Tensor:
        for row, tokens in zip(scores, written, strict=True):
            row[[token for token in tokens if token]] -= 100
        return scores

    for found in greedy(Table(case), case["images"], steps=9, start=0, end=0, adjust=punish):
        assert len(set(found.tokens)) == len(found.tokens)


def test_no_images_are_no_answers() -> None:
    assert beam_search(lambda tokens, kept: torch.zeros(len(tokens), 1, 9), 0, policy="first_full", beams=2, steps=3, start=0, end=0) == []


def test_a_search_without_beams_or_with_too_few_words_is_refused() -> None:
    def flat(tokens: torch.Tensor, kept: Kept | None) -> torch.Tensor:
        return torch.zeros(*tokens.shape, 3).log_softmax(-1)

    with pytest.raises(ValueError, match="beams is 0 and steps 4; both must be at least 1"):
        beam_search(flat, 1, policy="raw_sum", beams=0, steps=4, start=0, end=0)
    with pytest.raises(ValueError, match="2 beams need a vocabulary of 4 tokens at least; it has 3; take fewer beams"):
        beam_search(flat, 1, policy="attainable", beams=2, steps=4, start=0, end=0)
