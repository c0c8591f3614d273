"""E5 and E6 against loops in numpy that follow the printed sums."""

from __future__ import annotations

import numpy as np
import torch

from clala.contrastive import itcl, llcl, llcl_candidates

TAU = 0.07


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


REGIONS = torch.tensor([0, 0, 1, 0])
LESIONS = torch.zeros((4, 15), dtype=torch.bool)
LESIONS[0, [2, 6]] = True  # effusion and atelectasis in region 0
LESIONS[1, 2] = True  # effusion in region 0
LESIONS[2, 2] = True  # effusion in region 1
LESIONS[3, 14] = True  # nothing in region 0


def test_candidates_are_other_regions_or_other_lesions() -> None:
    candidates = llcl_candidates(REGIONS, LESIONS, LESIONS)
    assert candidates.tolist() == [[True, False, True, True], [False, True, True, True], [True, True, True, True], [True, True, True, True]]


def test_by_presence_alone_the_region_no_longer_tells_apart() -> None:
    candidates = llcl_candidates(REGIONS, LESIONS, LESIONS, by_region=False)
    assert candidates.tolist() == [[True, False, False, True], [False, True, False, True], [False, False, True, True], [True, True, True, True]]


def test_llcl_is_the_printed_sum() -> None:
    anchors, comparisons = draw(4, 8), draw(4, 8, seed=1)
    has_partner = torch.tensor([True, True, True, False])
    candidates = llcl_candidates(REGIONS, LESIONS, LESIONS)
    a, c = anchors.numpy(), comparisons.numpy()
    terms = []
    for m in range(3):
        allowed = [j for j in range(4) if j == m or (bool(candidates[m, j]) and bool(has_partner[j]))]
        denominator = sum(np.exp(cosine(a[m], c[j]) / TAU) for j in allowed)
        terms.append(-np.log(np.exp(cosine(a[m], c[m]) / TAU) / denominator))
    np.testing.assert_allclose(llcl(anchors, comparisons, candidates, has_partner, TAU), np.mean(terms), rtol=1e-5)


def test_an_anchor_without_a_partner_changes_nothing() -> None:
    anchors, comparisons = draw(4, 8), draw(4, 8, seed=1)
    candidates = llcl_candidates(REGIONS, LESIONS, LESIONS)
    with_absent = llcl(anchors, comparisons, candidates, torch.tensor([True, True, True, False]), TAU)
    torch.testing.assert_close(with_absent, llcl(anchors[:3], comparisons[:3], candidates[:3, :3], torch.ones(3, dtype=torch.bool), TAU))


def test_a_batch_without_any_partner_has_no_loss_but_a_gradient_of_zero() -> None:
    anchors = draw(4, 8).requires_grad_()
    loss = llcl(anchors, draw(4, 8, seed=1), llcl_candidates(REGIONS, LESIONS, LESIONS), torch.zeros(4, dtype=torch.bool), TAU)
    loss.backward()
    assert loss == 0
    assert anchors.grad is not None
    assert anchors.grad.abs().max() == 0


def test_itcl_is_the_printed_sum_with_equal_sentences_left_out() -> None:
    images, texts = draw(4, 8), draw(4, 8, seed=1)
    ids = torch.tensor([7, 7, 3, -1])
    has_sentence = ids >= 0
    v, t = images.numpy(), texts.numpy()
    terms = []
    for m in range(3):
        allowed = [j for j in range(3) if j == m or ids[j] != ids[m]]
        denominator = sum(np.exp(cosine(v[m], t[j]) / TAU) for j in allowed)
        terms.append(-np.log(np.exp(cosine(v[m], t[m]) / TAU) / denominator))
    np.testing.assert_allclose(itcl(images, texts, ids, has_sentence, TAU), np.mean(terms), rtol=1e-5)


def test_symmetric_itcl_is_the_mean_of_both_directions() -> None:
    images, texts, ids = draw(4, 8), draw(4, 8, seed=1), torch.arange(4)
    there, back = (itcl(a, b, ids, ids >= 0, TAU) for a, b in ((images, texts), (texts, images)))
    torch.testing.assert_close(itcl(images, texts, ids, ids >= 0, TAU, symmetric=True), (there + back) / 2)


def test_mixed_precision_does_not_round_the_similarities() -> None:
    images, texts, ids = draw(4, 8), draw(4, 8, seed=1), torch.arange(4)
    exact = itcl(images, texts, ids, ids >= 0, TAU)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(itcl(images, texts, ids, ids >= 0, TAU), exact)
