"""The two measures of an epoch against loops that read one region at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from clala.checkpoint import Bundle
from clala.config import BadConfig, Recipe
from clala.data import Samples
from clala.decoding import decode
from clala.findings import lesions_stated
from clala.processes import new_accelerator
from clala.regions import LESIONS
from clala.validation import validation_ce, validation_lesion_f1


def learnt(bundle: Bundle, samples: Samples, steps: int) -> Bundle:
    """A network that has seen these sentences a few times: it says some of the lesions."""
    model = bundle.model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batch = samples.batch(samples.with_sentence(), crop_px=32)
    for _ in range(steps):
        optimiser.zero_grad()
        model(batch)["loss"].backward()
        optimiser.step()
    bundle.model.eval()
    return bundle


def test_ce_is_the_mean_over_all_tokens_whatever_batches_they_came_in(bundle: Bundle, samples: Samples, quick: Recipe) -> None:
    model, total, count = bundle.model, 0.0, 0
    for row in samples.with_sentence():
        batch = samples.batch([row], crop_px=32, llcl=False)
        with torch.inference_mode():
            scores = model.decoder(batch.tokens, model.memory(model.encoder(batch.crops), batch.lesions)).log_softmax(2)[0]
        words = batch.tokens[0, 1:].tolist()
        total -= sum(float(scores[place, word]) for place, word in enumerate(words))
        count += len(words)
    found = validation_ce(model, samples, replace(quick, batch=2), 32, new_accelerator("cpu", "no"))
    assert found == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("images", [5, 500])
def test_lesion_f1_is_that_of_the_sentences_written_one_by_one(bundle: Bundle, samples: Samples, quick: Recipe, images: int) -> None:
    model = learnt(bundle, samples, 60).model
    count = min(images, len(samples.lines))
    said = np.zeros((count, 14), dtype=bool)
    for row in range(len(samples)):
        if samples.images[row] < count:
            batch = samples.batch([row], crop_px=32, llcl=False)
            with torch.inference_mode():
                memory = model.memory(model.encoder(batch.crops), batch.lesions)
            text = model.tokenizer.text(decode(model.decoder, memory, model.tokenizer, beams=1, max_tokens=16)[0])
            said[samples.images[row], [LESIONS.index(lesion) for lesion in lesions_stated(text)]] = True
    truth = np.array([line.lesion_row() for line in samples.lines[:count]]) > 0.5
    concerned = (said | truth).any(0)
    wanted = np.mean([f1_score(truth[:, lesion], said[:, lesion]) for lesion in np.flatnonzero(concerned)])
    assert said.any()
    found = validation_lesion_f1(model, samples, replace(quick, validation_images=images), 32, new_accelerator("cpu", "no"))
    assert found == pytest.approx(wanted)
    assert not model.training


def test_where_no_lesion_is_and_none_is_said_there_is_no_f1(bundle: Bundle, samples: Samples, quick: Recipe) -> None:
    """The first image shows nothing, and the decoder ends before its first word."""
    assert not samples.lines[0].lesions
    with torch.no_grad():
        bundle.model.decoder.bert.cls.predictions.bias[bundle.model.tokenizer.end] = 1e4
    assert np.isnan(validation_lesion_f1(bundle.model, samples, replace(quick, validation_images=1), 32, new_accelerator("cpu", "no")))


def test_a_misspelt_measure_is_refused() -> None:
    with pytest.raises(BadConfig, match="best_stage2 is 'f1'; it must be one of: lesion_f1, ce"):
        Recipe(best_stage2="f1")
    with pytest.raises(BadConfig, match="validation_images is 0; it must be at least 1"):
        Recipe(validation_images=0)
