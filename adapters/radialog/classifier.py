"""The classifier whose findings RaDialog was trained with: BioViL-T's map in the space shared with text, in cells of 4 x 4, and two linear layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from adapters.radialog.findings import LABELS
from adapters.vision_language.naming import Rule, renamed
from adapters.vision_language.stored import Stored, opened
from clala.biovil_t import JOINT, BioViLT

if TYPE_CHECKING:
    import numpy as np

WHO = "radialog"
IMAGE_PX = 488  # findings_classifier/chexpert_dataset.py; a map of 16 x 16
CELLS, POOLED, HIDDEN = 4, 4, 512  # findings_classifier/chexpert_model.py

# Of PyTorch Lightning's checkpoint; the weights of its loss are kept beside the network.
CHECKPOINT: tuple[Rule, ...] = ((r"^criterion\.pos_weight$", None), (r"^model\.biovil_encoder\.", "image."), (r"^model\.fc", "fc"))


class Classifier(nn.Module):
    """(B, 3, 488, 488) in [0, 1] -> (B, 14) logits, in the order of ``LABELS``."""

    def __init__(self) -> None:
        super().__init__()
        self.image = BioViLT()
        self.fc1 = nn.Linear(JOINT * CELLS**2, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, len(LABELS))

    def forward(self, images: Tensor) -> Tensor:
        """Score each label."""
        cells = functional.avg_pool2d(self.image(images.to(self.fc1.weight.dtype)).projected_patches, POOLED)
        logits: Tensor = self.fc2(functional.relu(self.fc1(cells.flatten(1))))
        return logits

    def labels(self, picture: np.ndarray) -> tuple[str, ...]:
        """Those of one (3, 488, 488) float32 image that are likelier than not."""
        with torch.inference_mode():
            # As its authors ask, and not whether the logit is above 0: in 16 bits the two differ next to it.
            likely = torch.sigmoid(self(torch.from_numpy(picture)[None].to(self.fc1.weight.device))[0]) > 0.5
        return tuple(label for label, is_likely in zip(LABELS, likely.tolist(), strict=True) if is_likely)


def open_classifier(file: Path, *, trust_pickle: bool = False) -> dict[str, Stored]:
    """Its checkpoint by the names of ``Classifier``. Raises ``WrongWeights``."""
    return renamed(opened([file], WHO, inside="state_dict", trust_pickle=trust_pickle), CHECKPOINT, WHO)


def ready(file: Path, *, precision: str, device: torch.device, trust_pickle: bool = False) -> Classifier:
    """The published classifier, filled strictly: in 16 bits on a GPU, as its authors asked it, and in 32 on a CPU. Raises ``WrongWeights``."""
    from adapters.vision_language.loading import empty, load

    number = "fp32" if device.type == "cpu" or precision == "fp32" else "fp16"
    return load(empty(Classifier), open_classifier(file, trust_pickle=trust_pickle), f"{WHO}'s classifier", precision=number, device=device)
