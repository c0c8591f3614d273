"""Where the 29 regions are: a Faster R-CNN whose last word is one box per region.

Ren et al., Faster R-CNN, NeurIPS 2015 (https://arxiv.org/abs/1506.01497), with a grey ResNet-50 and without a pyramid, as RGRG has it. Anchors,
proposals and training targets are torchvision's. Overlapping boxes of one region are not left out by overlap, for only the best of each region is
kept: a proposal stands for the region that it most looks like (even if it looks more like none at all), a region is found if some proposal stands
for it, and its box is that of the proposal with the highest score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork, RPNHead
from torchvision.ops import clip_boxes_to_image

from adapters.rgrg.pooling import pool_and_project, pool_mean
from adapters.rgrg.sizes import CLASSES, Sizes


class Found(NamedTuple):
    """What the detector says of a batch of images; rows of regions that were not found mean nothing."""

    boxes: Tensor
    """(B, 29, 4) left, top, right, bottom in pixels of the network's image"""
    scores: Tensor
    """(B, 29) in [0, 1]"""
    is_found: Tensor
    """(B, 29) True where some proposal stands for the region"""
    features: Tensor
    """(B, 29, F) the region as the network sees it: cut out where the proposal lies, not where its corrected box does"""


class Detector(nn.Module):
    """Images -> boxes and features of regions."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        from timm.models.resnet import BasicBlock, Bottleneck, ResNet

        self.sizes = sizes
        self.backbone: Any = ResNet(
            Bottleneck if sizes.is_bottleneck else BasicBlock,
            sizes.depths,
            num_classes=0,
            in_chans=1,
            output_stride=sizes.stride,
            global_pool="",
            channels=sizes.channels,
        )
        with torch.device("cpu"):  # they are no weights, and no file could fill them where the network is made without memory
            anchors = AnchorGenerator((sizes.anchor_px,), (sizes.anchor_ratios,))
        most = {"training": 2 * sizes.proposals, "testing": sizes.proposals}
        self.rpn = RegionProposalNetwork(
            anchors,
            RPNHead(sizes.map_channels, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n=most,
            post_nms_top_n=most,
            nms_thresh=0.7,
        )
        self.box_head = BoxHead(sizes)
        self.box_predictor = FastRCNNPredictor(sizes.box_width, CLASSES)
        self.dim_reduction = nn.Linear(sizes.map_channels, sizes.region_width)
        # Taken for what is drawn in training, and for the boxes' code. It has no weights, and cuts nothing.
        self._targets: Any = RoIHeads(None, None, None, 0.5, 0.5, sizes.box_samples, 0.25, None, 0.0, 0.0, 1)

    def forward(self, images: Tensor) -> Found:
        """(B, 1, P, P) images, as ``image.fit`` makes them -> the regions.

        The authors' code fails where all images together have one proposal (``squeeze`` takes the axis away) or one has none; here such an image is
        like any other, and one without proposals has no region.
        """
        maps = self.backbone.forward_features(images)
        proposals, _ = self.rpn(_listed(images), {"0": maps})
        return Found(*map(torch.stack, zip(*(self._best(*one, images.shape[-1]) for one in zip(maps, proposals, strict=True)), strict=True)))

    def _best(self, map_: Tensor, proposals: Tensor, image_px: int) -> Found:
        """The best box of each region of one image."""
        regions = CLASSES - 1
        if not len(proposals):
            empty = map_.new_zeros
            return Found(
                empty(regions, 4), empty(regions), torch.zeros(regions, dtype=torch.bool, device=map_.device), empty(regions, self.sizes.region_width)
            )
        classes, corrections = self.box_predictor(self.box_head(map_, proposals * self._cells_per_px(map_, image_px)))
        scores = classes.softmax(-1)[:, 1:]
        stands_for = torch.nn.functional.one_hot(scores.argmax(1), regions)
        best, row = (scores * stands_for).max(0)
        column = torch.arange(regions, device=row.device)
        chosen = corrections.unflatten(1, (CLASSES, 4))[row, column + 1]
        boxes = clip_boxes_to_image(self._targets.box_coder.decode_single(chosen, proposals[row]), (image_px, image_px))
        return Found(boxes, best, stands_for.sum(0) > 0, self._features(map_, proposals[row], image_px))

    def features(self, images: Tensor, boxes: Sequence[Tensor]) -> list[Tensor]:
        """For each image (N, F) of its (N, 4) boxes, in pixels of the network's image: as the authors look at boxes that are given."""
        maps = self.backbone.forward_features(images)
        return [self._features(map_, given, images.shape[-1]) for map_, given in zip(maps, boxes, strict=True)]

    def _features(self, map_: Tensor, boxes: Tensor, image_px: int) -> Tensor:
        features: Tensor = self.dim_reduction(pool_mean(map_, boxes * self._cells_per_px(map_, image_px), self.sizes.bins))
        return features

    def losses(self, images: Tensor, targets: Sequence[dict[str, Tensor]]) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The four losses of a Faster R-CNN by name, and for each image (N, F) features of its true boxes.

        targets  for each image boxes (N, 4) in pixels of the network's image, and labels (N,) from 1 to 29
        """
        maps = self.backbone.forward_features(images)
        listed, learns = list(targets), self.rpn.training
        self.rpn.train()  # torchvision computes its losses in training alone, and they are asked for on validation images too
        proposals, rpn_losses = self.rpn(_listed(images), {"0": maps}, listed)
        self.rpn.train(learns)
        proposals, _, labels, corrections = self._targets.select_training_samples(proposals, listed)
        pairs = zip(maps, proposals, strict=True)
        seen = torch.cat([self.box_head(map_, boxes * self._cells_per_px(map_, images.shape[-1])) for map_, boxes in pairs])
        classes, boxes = self.box_predictor(seen)
        classifier, box = fastrcnn_loss(classes, boxes, labels, corrections)
        features = [self._features(map_, target["boxes"], images.shape[-1]) for map_, target in zip(maps, targets, strict=True)]
        names = {"loss_objectness": "objectness", "loss_rpn_box_reg": "proposals"}
        return {**{names[name]: value for name, value in rpn_losses.items()}, "regions": classifier, "boxes": box}, features

    @staticmethod
    def _cells_per_px(map_: Tensor, image_px: int) -> float:
        # torchvision takes the nearest power of two.
        return float(2.0 ** round(float(torch.tensor(map_.shape[-1] / image_px).log2())))


class BoxHead(nn.Module):
    """What a box shows, in 1,024 numbers: two linear layers over its 8 x 8 bins."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.fc6 = BinsLinear(sizes.bins, sizes.map_channels, sizes.box_width)
        self.fc7 = nn.Linear(sizes.box_width, sizes.box_width)

    def forward(self, map_: Tensor, boxes: Tensor) -> Tensor:
        """(C, H, W) of one image, (N, 4) boxes in cells of it -> (N, R)."""
        seen: Tensor = torch.relu(self.fc7(torch.relu(self.fc6(map_, boxes))))
        return seen


class BinsLinear(nn.Module):
    """A linear layer over the bins of a box. Its weights are kept bin by bin: (bins * bins, R, C), of a published (R, C * bins * bins)."""

    def __init__(self, bins: int, channels: int, width: int) -> None:
        super().__init__()
        bound = (channels * bins * bins) ** -0.5  # as nn.Linear begins
        self.weight = nn.Parameter(torch.empty(bins * bins, width, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))

    def forward(self, map_: Tensor, boxes: Tensor) -> Tensor:
        """(C, H, W) of one image, (N, 4) boxes in cells of it -> (N, R)."""
        return pool_and_project(map_, boxes, self.weight, self.bias)


def _listed(images: Tensor) -> ImageList:
    return ImageList(images, [(images.shape[-2], images.shape[-1])] * len(images))
