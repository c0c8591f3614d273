"""The two contrastive losses: LLCL between regions of different patients (E5), ITCL between a region and its sentence (E6).

Both are InfoNCE (van den Oord et al., 2018) with some candidates left out, within the batch: the paper speaks of no queue and no memory bank.
Pure functions of embeddings and masks, so that each can be held against a few lines of numpy.
"""

from __future__ import annotations

import torch
from torch import Tensor


def llcl(anchors: Tensor, comparisons: Tensor, candidates: Tensor, has_partner: Tensor, temperature: float) -> Tensor:
    """E5: draw each region to a region of another patient with the same lesion in the same place, away from the rest.

    anchors      (M, P)  region embeddings after LCA
    comparisons  (M, P)  raw embeddings of the drawn partners, row by row
    candidates   (M, M)  True where comparison j may stand in the denominator of anchor m (``llcl_candidates``)
    has_partner  (M,)    False where the split holds no partner: such an anchor has no term, such a comparison is no candidate
    returns      scalar  mean over the anchors that have a partner; 0 if none has
    """
    similarity = _cosine(anchors, comparisons) / temperature
    allowed = (candidates & has_partner.unsqueeze(0)) | torch.eye(len(anchors), dtype=torch.bool, device=anchors.device)
    return _info_nce(similarity, allowed, has_partner)


def llcl_candidates(regions: Tensor, lesions: Tensor, comparison_lesions: Tensor, *, by_region: bool = True) -> Tensor:
    """K(m) of E5: the pair itself, and every comparison from another region or without a lesion in common.

    Another comparison that would itself be a positive (same region, shared lesion) is left out rather than pushed away.

    regions             (M,)        region number of anchor and comparison alike
    lesions             (M, C + 1)  what each anchor carries; the last column is "no lesion"
    comparison_lesions  (M, C + 1)  what each comparison carries
    by_region           False = presence alone decides (the paper's CheXbert variant)
    returns             (M, M)      bool, the diagonal True
    """
    shared = (lesions.float() @ comparison_lesions.float().T) > 0
    positive = shared & (regions.unsqueeze(1) == regions.unsqueeze(0)) if by_region else shared
    return ~positive | torch.eye(len(regions), dtype=torch.bool, device=regions.device)


def itcl(images: Tensor, texts: Tensor, sentence_ids: Tensor, has_sentence: Tensor, temperature: float, *, symmetric: bool = False) -> Tensor:
    """E6: draw each region to the sentence about it, away from the other sentences of the batch.

    images        (M, P)  projected region embeddings after LCA
    texts         (M, P)  projected sentence embeddings, row by row
    sentence_ids  (M,)    equal where the words are equal: the same sentence is no wrong answer, so it is left out of the denominator (D8)
    has_sentence  (M,)    False where nothing was said about the region
    returns       scalar  mean over the regions with a sentence; 0 if there is none
    """
    similarity = _cosine(images, texts) / temperature
    same = sentence_ids.unsqueeze(1) == sentence_ids.unsqueeze(0)
    allowed = (~same & has_sentence.unsqueeze(0)) | torch.eye(len(images), dtype=torch.bool, device=images.device)
    loss = _info_nce(similarity, allowed, has_sentence)
    return (loss + _info_nce(similarity.T, allowed, has_sentence)) / 2 if symmetric else loss


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    # In float32 even under bf16: divided by 0.07, a rounding error of 1/256 would be a logit of 0.06.
    with torch.autocast(a.device.type, enabled=False):
        return torch.nn.functional.normalize(a.float(), dim=1) @ torch.nn.functional.normalize(b.float(), dim=1).T


def _info_nce(similarity: Tensor, allowed: Tensor, counted: Tensor) -> Tensor:
    if not bool(counted.any()):
        return similarity.sum() * 0.0
    logits = similarity.masked_fill(~allowed, float("-inf"))
    terms = logits.logsumexp(1) - similarity.diagonal()
    return terms[counted].mean()
