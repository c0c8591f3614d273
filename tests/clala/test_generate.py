"""Generation against a loop without cache and without batches, token by token."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clala.checkpoint import Bundle
from clala.decoder import ReportDecoder
from clala.decoding import decode
from clala.generate import write
from clala.regions import PAPER_REGIONS
from clala.tokens import WordTokenizer

STEPS = 10


def draw_weights(decoder: ReportDecoder, seed: int, end: int) -> None:
    """Weights wide enough for decided scores, and an end that is likely enough for sentences of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.4 if parameter.dim() > 1 else 0.1))
        for part in decoder.modules():
            if isinstance(part, torch.nn.LayerNorm):
                part.weight.fill_(1)
        decoder.bert.cls.predictions.bias[end] += 2.0


def log_probabilities(decoder: ReportDecoder, words: list[int], memory: torch.Tensor, begin: int) -> torch.Tensor:
    return decoder(torch.tensor([[begin, *words]]), memory)[0, -1].log_softmax(0)


def plain_greedy(decoder: ReportDecoder, memory: torch.Tensor, tokenizer: WordTokenizer) -> list[int]:
    words: list[int] = []
    while len(words) < STEPS - 1 and (not words or words[-1] != tokenizer.end):
        words.append(int(log_probabilities(decoder, words, memory, tokenizer.begin).argmax()))
    return words


def plain_beam(decoder: ReportDecoder, memory: torch.Tensor, tokenizer: WordTokenizer, beams: int) -> list[int]:
    open_beams: list[tuple[float, list[int]]] = [(0.0, [])]
    best: tuple[float, list[int]] | None = None
    for step in range(1, STEPS):
        candidates = []
        for total, words in open_beams:
            scores = log_probabilities(decoder, words, memory, tokenizer.begin)
            candidates += [(total + float(score), [*words, word]) for word, score in enumerate(scores)]
        candidates.sort(key=lambda pair: -pair[0])
        for total, words in candidates[:beams]:
            if words[-1] == tokenizer.end and (best is None or total / step > best[0]):
                best = (total / step, words)
        open_beams = [pair for pair in candidates[: 2 * beams] if pair[1][-1] != tokenizer.end][:beams]
        if step < STEPS - 1 and best is not None and open_beams[0][0] / step <= best[0]:
            break
    return best[1] if best else open_beams[0][1]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("beams", [1, 2, 3])
def test_decoding_agrees_with_the_plain_loop_token_by_token(bundle: Bundle, tokenizer: WordTokenizer, beams: int, seed: int) -> None:
    decoder = bundle.model.decoder
    draw_weights(decoder, seed, tokenizer.end)
    memory = torch.randn(6, 5, 32, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        found = decode(decoder, memory, tokenizer, beams=beams, max_tokens=STEPS)
        plain = [
            plain_greedy(decoder, row.unsqueeze(0), tokenizer) if beams == 1 else plain_beam(decoder, row.unsqueeze(0), tokenizer, beams)
            for row in memory
        ]
    assert found == plain


def test_sentences_of_different_lengths_come_out(bundle: Bundle, tokenizer: WordTokenizer) -> None:
    """Else the test above would not have tried rows that leave the batch early."""
    lengths = set()
    for seed in range(4):
        draw_weights(bundle.model.decoder, seed, tokenizer.end)
        memory = torch.randn(6, 5, 32, generator=torch.Generator().manual_seed(seed))
        with torch.inference_mode():
            lengths |= {len(row) for row in decode(bundle.model.decoder, memory, tokenizer, beams=3, max_tokens=STEPS)}
    assert len(lengths) > 2


def test_no_region_gives_no_sentence(bundle: Bundle, tokenizer: WordTokenizer) -> None:
    assert decode(bundle.model.decoder, torch.zeros(0, 5, 32), tokenizer) == []


def test_fewer_than_one_beam_is_refused(bundle: Bundle, tokenizer: WordTokenizer) -> None:
    with pytest.raises(ValueError, match=r"beams is 0; it must be at least 1 \(1 = greedy\)"):
        decode(bundle.model.decoder, torch.zeros(1, 5, 32), tokenizer, beams=0)


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width)).astype(np.uint8)


def test_every_region_of_every_image_is_written_about(bundle: Bundle) -> None:
    written = write(bundle, [image(90, 80), image(300, 411)])
    assert [list(one.sentences) for one in written] == [list(PAPER_REGIONS)] * 2
    assert len(written[0].boxes) == 29


def test_two_images_together_are_two_images_alone(bundle: Bundle) -> None:
    images = [image(90, 80), image(120, 77, 1)]
    together, alone = write(bundle, images), [write(bundle, [one])[0] for one in images]
    assert [one.sentences for one in together] == [one.sentences for one in alone]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(list(one.boxes.values()), list(other.boxes.values()), rtol=1e-5)


def test_how_many_crops_are_taken_at_once_changes_nothing(bundle: Bundle) -> None:
    images = [image(90, 80), image(120, 77, 1)]
    assert [one.sentences for one in write(bundle, images, at_once=5)] == [one.sentences for one in write(bundle, images)]


def test_granted_boxes_are_used_and_an_absent_region_has_no_sentence(bundle: Bundle) -> None:
    boxes = {"left lung": (40.0, 10.0, 75.0, 80.0), "right lung": (90.0, 10.0, 120.0, 80.0)}  # the second lies beyond the image
    written = write(bundle, [image(90, 80)], boxes=[boxes])[0]
    assert list(written.sentences) == ["left lung"]
    assert written.boxes == {"left lung": boxes["left lung"]}


def test_an_absent_region_changes_nothing_for_the_others(bundle: Bundle) -> None:
    both = {"left lung": (40.0, 10.0, 75.0, 80.0), "right lung": (5.0, 10.0, 38.0, 80.0)}
    one, other = (write(bundle, [image(90, 80)], boxes=[boxes])[0] for boxes in (both, {"left lung": both["left lung"]}))
    assert one.sentences["left lung"] == other.sentences["left lung"]


def test_labels_that_are_handed_in_take_the_classifiers_place(bundle: Bundle) -> None:
    labels = np.zeros((1, 14), np.float32)
    labels[0, 3] = 1
    written = write(bundle, [image(90, 80)], lesions=labels)[0]
    assert [name for name, present in written.present.items() if present] == ["hernia"]


def test_no_image_gives_nothing(bundle: Bundle) -> None:
    assert write(bundle, []) == []
