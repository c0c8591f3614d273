"""E1 to E4 against a few lines of numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from clala.checkpoint import Bundle
from clala.config import CLALAConfig
from clala.lca import LesionCrossAttention, lesion_weights


def numpy_lca(v: np.ndarray, t: np.ndarray, w: np.ndarray, block: torch.nn.Module, heads: int) -> np.ndarray:
    """LN(V + concat_h(softmax((V Wq)(T~ Wk)^T / sqrt(d/h)) (T~ Wv)) Wo), for one region."""
    p = {name: value.detach().double().numpy() for name, value in block.named_parameters()}
    weighted = w[:, None] * t
    q, k, x = v @ p["q.weight"].T + p["q.bias"], weighted @ p["k.weight"].T, weighted @ p["v.weight"].T
    size = v.shape[1] // heads
    parts = []
    for h in range(heads):
        cols = slice(h * size, (h + 1) * size)
        scores = q[:, cols] @ k[:, cols].T / np.sqrt(size)
        attention = np.exp(scores - scores.max(1, keepdims=True))
        parts.append(attention / attention.sum(1, keepdims=True) @ x[:, cols])
    summed = v + np.concatenate(parts, axis=1) @ p["o.weight"].T + p["o.bias"]
    centred = summed - summed.mean(1, keepdims=True)
    return centred / np.sqrt(centred.var(1, keepdims=True) + 1e-5) * p["norm.weight"] + p["norm.bias"]


def inputs(config: CLALAConfig, regions: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    draw = [torch.randn(shape, generator=generator) for shape in ((regions, 5, config.width), (14, config.width))]
    return draw[0], draw[1], lesion_weights((torch.rand((regions, 14), generator=generator) > 0.7).float(), present=0.9, absent=0.1)


def test_lca_is_the_printed_equation_with_residual_and_norm(config: CLALAConfig) -> None:
    lca = LesionCrossAttention(config).eval()
    v, t, w = inputs(config)
    found = lca(v, t, w).detach().numpy()
    for m in range(len(v)):
        wanted = numpy_lca(v[m].double().numpy(), t.double().numpy(), w[m].double().numpy(), lca.blocks[0], config.heads)
        np.testing.assert_allclose(found[m], wanted, atol=1e-5)


def test_labels_become_nine_tenths_and_one_tenth() -> None:
    weights = lesion_weights(torch.tensor([[1.0, 0.0, 0.4]]), present=0.9, absent=0.1)
    assert weights.tolist() == [[torch.tensor(0.9).item(), torch.tensor(0.1).item(), torch.tensor(0.1).item()]]


def test_a_threshold_of_its_own_decides_for_each_lesion() -> None:
    weights = lesion_weights(torch.tensor([[0.4, 0.4]]), present=0.9, absent=0.1, thresholds=torch.tensor([0.3, 0.5]))
    np.testing.assert_allclose(weights, [[0.9, 0.1]], rtol=1e-6)


def test_soft_weights_slide_between_the_two() -> None:
    np.testing.assert_allclose(lesion_weights(torch.tensor([[0.0, 0.5, 1.0]]), present=0.9, absent=0.1, soft=True), [[0.1, 0.5, 0.9]], rtol=1e-6)


def test_the_weights_reach_the_output(config: CLALAConfig) -> None:
    """A norm on the weighted lesions would cancel them: all present and all absent would then be the same."""
    lca = LesionCrossAttention(config).eval()
    v, t, _ = inputs(config)
    low, high = (lca(v, t, torch.full((3, 14), weight)) for weight in (0.1, 0.9))
    assert (low - high).abs().max() > 1e-3


def test_regions_do_not_see_each_other(config: CLALAConfig) -> None:
    lca = LesionCrossAttention(config).eval()
    v, t, w = inputs(config)
    torch.testing.assert_close(lca(v, t, w)[1:2], lca(v[1:2], t, w[1:2]))


def test_the_literal_form_leaves_one_vector_per_region_equal_to_the_class_row(config: CLALAConfig) -> None:
    tokens = LesionCrossAttention(config).eval()
    literal = LesionCrossAttention(replace(config, lca_query="cls")).eval()
    literal.load_state_dict(tokens.state_dict())
    v, t, w = inputs(config)
    assert literal(v, t, w).shape == (3, 1, config.width)
    torch.testing.assert_close(literal(v, t, w), tokens(v, t, w)[:, :1])


def test_more_layers_and_a_feed_forward_can_be_had(config: CLALAConfig) -> None:
    lca = LesionCrossAttention(replace(config, lca_layers=2, lca_ffn=True)).eval()
    v, t, w = inputs(config)
    assert lca(v, t, w).shape == v.shape


def test_a_lesion_label_changes_what_the_decoder_is_shown(bundle: Bundle) -> None:
    features = bundle.model.encoder(torch.rand(1, 1, 32, 32))
    none, one = torch.zeros(1, 14), torch.zeros(1, 14)
    one[0, 2] = 1
    assert not torch.allclose(bundle.model.memory(features, none), bundle.model.memory(features, one))
