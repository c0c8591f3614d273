"""Our passes through BERT's weights against transformers' own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from clala.bert import dropout, see
from clala.config import CLALAConfig
from clala.decoder import Beginnings, ReportDecoder
from clala.encoder import TextEncoder, pad_tokens
from clala.tokens import WordTokenizer


@pytest.fixture
def decoder(config: CLALAConfig) -> ReportDecoder:
    made = ReportDecoder(replace(config, max_tokens=48)).eval()
    widen(made)
    return made


def widen(module: nn.Module, seed: int = 0) -> None:
    """Random weights as they are drawn for training make all outputs nearly alike."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.4 if parameter.dim() > 1 else 0.2))
        for part in module.modules():
            if isinstance(part, nn.LayerNorm):
                part.weight.add_(1)


def random_memory(rows: int) -> Tensor:
    return torch.randn(rows, 5, 32, generator=torch.Generator().manual_seed(1))


def random_words(rows: int, places: int, tokenizer: WordTokenizer) -> Tensor:
    return torch.randint(len(tokenizer), (rows, places), generator=torch.Generator().manual_seed(2))


def test_the_decoder_scores_as_transformers_does(decoder: ReportDecoder, tokenizer: WordTokenizer) -> None:
    tokens, memory = random_words(3, 7, tokenizer), random_memory(3)
    found, wanted = decoder(tokens, memory), decoder.bert(input_ids=tokens, encoder_hidden_states=memory, use_cache=False).logits
    assert wanted.std() > 1
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_decoder_learns_as_transformers_does(decoder: ReportDecoder, tokenizer: WordTokenizer) -> None:
    tokens, memory = random_words(3, 7, tokenizer), random_memory(3)
    gradients = []
    for logits in (decoder(tokens, memory), decoder.bert(input_ids=tokens, encoder_hidden_states=memory, use_cache=False).logits):
        decoder.zero_grad()
        logits.log_softmax(2)[:, :, 1].mean().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in decoder.named_parameters() if parameter.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() == dict(decoder.named_parameters()).keys()
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-5)


def test_a_text_is_read_as_transformers_reads_it(config: CLALAConfig, tokenizer: WordTokenizer) -> None:
    encoder = TextEncoder(replace(config, text_layers=2)).eval()
    widen(encoder)
    tokens, padding = pad_tokens([[4, 6, 7, 8, 3], [4, 3], [4, 9, 3]], tokenizer)
    assert padding.any()
    wanted = encoder.bert(input_ids=tokens, attention_mask=(~padding).long()).last_hidden_state[:, 0]
    assert wanted.std(0).mean() > 0.1
    torch.testing.assert_close(encoder(tokens, padding), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("beams", [1, 3])
def test_word_by_word_is_all_at_once(decoder: ReportDecoder, tokenizer: WordTokenizer, beams: int) -> None:
    """More words than there is room for at first; beams change places and rows leave on the way."""
    rows, places = 5, 40
    generator = torch.Generator().manual_seed(3)
    memory = random_memory(rows)
    with torch.inference_mode():
        begun = Beginnings(decoder, memory, beams)
        alive = torch.arange(rows)
        sofar = torch.zeros((rows, beams, 0), dtype=torch.long)
        for place in range(places):
            words = torch.randint(len(tokenizer), (len(alive), beams), generator=generator)
            sofar = torch.cat([sofar, words.unsqueeze(2)], dim=2)
            whole = decoder(sofar.flatten(0, 1), memory[alive].repeat_interleave(beams, 0))[:, -1].unflatten(0, (-1, beams))
            torch.testing.assert_close(begun.step(words), whole, rtol=1e-3, atol=1e-3)
            origin = torch.randint(beams, (len(alive), beams), generator=generator)
            begun.follow(origin)
            sofar = sofar.gather(1, origin.unsqueeze(2).expand_as(sofar))
            if place in (3, 9, 30):  # a row in the middle, the last one, the first one
                gone = {3: 2, 9: len(alive) - 1, 30: 0}[place]
                order = begun.leave(torch.arange(len(alive)) != gone)
                alive, sofar = alive[order], sofar[order]
    assert len(alive) == 2


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(1_000_001)
    dropped = dropout(x, nn.Dropout(0.1))
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.9])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.1, abs=0.0012)  # 4 sigma
    neighbours = (dropped[:-1] == 0) & (dropped[1:] == 0)  # numbers of one draw are as independent as others
    assert float(neighbours.float().mean()) == pytest.approx(0.01, abs=0.0005)


def test_dropout_can_be_drawn_again() -> None:
    x = torch.ones(1000)
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(dropout(x, nn.Dropout(0.5)))
    assert torch.equal(*drawn)
    assert not torch.equal(drawn[0], dropout(x, nn.Dropout(0.5)))


def test_nothing_is_dropped_outside_training() -> None:
    x = torch.randn(100)
    assert dropout(x, nn.Dropout(0.5).eval()) is x
    assert dropout(x, nn.Dropout(0.0)) is x


def test_attention_that_learns_is_attention_that_does_not_and_so_on_average_with_dropout() -> None:
    """The one is written out, the other is torch's kernel."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 2, rows, 8, generator=generator) for rows in (4, 4, 4))
    learning = q.clone().requires_grad_()
    mask = torch.rand(2, 1, 4, 4, generator=generator) < 0.7
    mask[..., 0] = True
    for how in ({"causal": True}, {"mask": mask}, {}):
        torch.testing.assert_close(see(learning, k, v, **how), see(q, k, v, **how), rtol=1e-4, atol=1e-5)
    torch.manual_seed(0)
    mean = torch.stack([see(learning, k, v, mask=mask, forgotten=0.3).detach() for _ in range(4000)]).mean(0)
    torch.testing.assert_close(mean, see(q, k, v, mask=mask), rtol=0, atol=0.06)
