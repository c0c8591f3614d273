from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from clala.checkpoint import Bundle, new_bundle
from clala.config import CLALAConfig
from clala.data import Samples
from clala.decoder import cross_entropy
from clala.encoder import interpolate_positions
from clala.tokens import WordTokenizer


def test_an_encoder_gives_a_token_per_patch_and_one_for_the_class(bundle: Bundle, config: CLALAConfig) -> None:
    assert bundle.model.encoder(torch.rand(3, 1, 32, 32)).shape == (3, (32 // 8) ** 2 + 1, config.width)


@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_two_crops_together_are_two_crops_alone(config: CLALAConfig, tokenizer: WordTokenizer, stem: str) -> None:
    model = new_bundle(replace(config, stem=stem), tokenizer).eval().model
    crops = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(model.encoder(crops), torch.cat([model.encoder(crops[:1]), model.encoder(crops[1:])]), rtol=1e-4, atol=1e-5)


def test_positions_stretch_and_the_class_row_stays() -> None:
    positions = torch.randn(1, 1 + 14 * 14, 6)
    larger = interpolate_positions(positions, 24)
    assert larger.shape == (1, 1 + 24 * 24, 6)
    assert torch.equal(larger[:, 0], positions[:, 0])
    assert torch.equal(interpolate_positions(positions, 14), positions)


def test_a_flat_field_of_positions_stays_flat_when_stretched() -> None:
    positions = torch.full((1, 17, 3), 0.7)
    torch.testing.assert_close(interpolate_positions(positions, 6), torch.full((1, 37, 3), 0.7))


def test_an_encoder_takes_larger_crops_once_resized(bundle: Bundle) -> None:
    bundle.model.encoder.resize(48)
    assert bundle.model.encoder(torch.rand(1, 1, 48, 48)).shape[1] == 37


def test_the_losses_are_named_and_add_up(bundle: Bundle, samples: Samples) -> None:
    losses = bundle.model(samples.batch(samples.with_sentence()[:6], crop_px=32))
    torch.testing.assert_close(losses["loss"], losses["ce"] + losses["itcl"] + losses["llcl"])
    assert set(losses) == {"loss", "ce", "itcl", "llcl"}


def test_stage_2_minimises_the_sentence_alone(bundle: Bundle, samples: Samples) -> None:
    bundle.model.enter_stage(2)
    losses = bundle.model(samples.batch(samples.with_sentence()[:6], crop_px=32, llcl=False))
    assert torch.equal(losses["loss"], losses["ce"])


def test_what_is_frozen_stands_in_eval(bundle: Bundle) -> None:
    bundle.model.enter_stage(2)
    bundle.model.train()
    assert not bundle.model.encoder.training
    assert bundle.model.decoder.training
    assert not any(p.requires_grad for p in bundle.model.text_encoder.parameters())
    bundle.model.enter_stage(1)
    assert bundle.model.encoder.training


def test_padding_changes_nothing(bundle: Bundle, samples: Samples) -> None:
    """Three tokens of padding more, in the words for the decoder and for the text encoder alike."""
    batch = samples.batch(samples.with_sentence()[:6], crop_px=32)
    wider = replace(
        batch,
        tokens=torch.nn.functional.pad(batch.tokens, (0, 3), value=0),
        text_tokens=torch.nn.functional.pad(batch.text_tokens, (0, 3), value=0),
        padding=torch.nn.functional.pad(batch.padding, (0, 3), value=True),
    )
    one, other = bundle.model(batch), bundle.model(wider)
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-6)


def test_a_region_without_a_sentence_has_no_part_in_ce_and_itcl(bundle: Bundle, samples: Samples) -> None:
    rows = samples.with_sentence()[:4]
    batch, longer = samples.batch(rows[:3], crop_px=32, llcl=False), samples.batch(rows, crop_px=32, llcl=False)
    silent = replace(longer, sentence_ids=torch.cat([longer.sentence_ids[:3], torch.tensor([-1])]))
    bundle.model.config = replace(bundle.model.config, llcl=False)
    one, other = bundle.model(batch), bundle.model(silent)
    torch.testing.assert_close(one["ce"], other["ce"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one["itcl"], other["itcl"], rtol=1e-5, atol=1e-6)


def test_without_lca_the_decoder_is_shown_the_crop_alone(config: CLALAConfig, tokenizer: WordTokenizer) -> None:
    model = new_bundle(replace(config, lca=False), tokenizer).eval().model
    features = model.encoder(torch.rand(1, 1, 32, 32))
    assert torch.equal(model.memory(features, torch.ones(1, 14)), features)


def test_the_decoder_does_not_look_ahead(bundle: Bundle, config: CLALAConfig) -> None:
    memory = torch.rand(1, 5, config.width)
    tokens = torch.tensor([[2, 5, 6, 7]])
    changed = tokens.clone()
    changed[0, 3] = 8
    torch.testing.assert_close(bundle.model.decoder(tokens, memory)[:, :3], bundle.model.decoder(changed, memory)[:, :3])


def test_ce_is_the_printed_sum_averaged_over_tokens() -> None:
    logits, tokens = torch.randn(2, 4, 7), torch.tensor([[2, 5, 6, 3], [2, 5, 3, 0]])
    counted = torch.tensor([[True] * 4, [True, True, True, False]])
    log_p = (logits - logits.logsumexp(2, keepdim=True)).numpy()
    terms = [-log_p[m, t - 1, tokens[m, t]] for m, stop in ((0, 4), (1, 3)) for t in range(1, stop)]
    np.testing.assert_allclose(cross_entropy(logits, tokens, counted), np.mean(terms), rtol=1e-5)


def test_every_name_of_a_lesion_becomes_a_vector_of_its_own(bundle: Bundle, config: CLALAConfig) -> None:
    vectors = bundle.model.lesion_vectors()
    assert vectors.shape == (14, config.width)
    assert torch.cdist(vectors, vectors).fill_diagonal_(1).min() > 1e-3


def test_the_paper_preset_is_a_vit_b_and_two_berts() -> None:
    from clala.config import preset
    from clala.model import CLALA
    from clala.regions import LESIONS

    config = preset("paper", vocabulary_size=30523)
    with torch.device("meta"):
        model = CLALA(config, WordTokenizer.learn([], always=LESIONS))
    millions = {name: round(sum(p.numel() for p in part.parameters()) / 1e6) for name, part in model.named_children()}
    assert (millions["encoder"], millions["text_encoder"], millions["decoder"], millions["lca"]) == (86, 109, 138, 2)


def test_words_are_forgotten_in_training_alone(bundle: Bundle) -> None:
    model, tokens = bundle.model, torch.full((4, 50), 7)
    model.config = replace(model.config, word_dropout=0.2)
    tokens[:, 0] = model.tokenizer.begin
    assert torch.equal(model._some_forgotten(tokens), tokens)
    seen = model.train()._some_forgotten(tokens)
    assert (seen[:, 0] == model.tokenizer.begin).all()
    assert 0.05 < float((seen == model.tokenizer.unknown).float().mean()) < 0.4
