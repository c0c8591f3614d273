"""What hi-ml's own BioViL-T answers with weights that anyone can draw again: makes ``fixtures/biovil_t.json``.

Run in an environment that has hi-ml-multimodal, torch and torchvision:  python biovil_t_reference.py

The weights are 110 MB and are not kept: they follow from the names of the tensors and a seed, through numpy's RandomState, whose numbers are frozen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

FIXTURE = Path(__file__).parent / "fixtures" / "biovil_t.json"
SEED = 20230110
PROBED = 12
"""numbers kept of each output, spread evenly over it"""


def random_weights(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    """A tensor per name, in sorted order each with a seed of its own; sized so that numbers stay near 1 through all layers."""
    drawn = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        rng = np.random.RandomState(seed + number)
        if name.endswith("num_batches_tracked"):
            drawn[name] = torch.zeros((), dtype=torch.int64)
            continue
        if name.endswith("running_var"):
            values = rng.uniform(0.5, 1.5, shape)
        elif name.endswith(("bn3.weight", "downsample.1.weight")):
            values = rng.uniform(0.2, 0.4, shape)
        elif name.endswith("backbone_to_vit.weight"):
            values = 2 * rng.standard_normal(shape) / np.sqrt(shape[1])
        elif len(shape) >= 2 and not name.endswith(("embed", "emb")):
            values = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith("weight"):
            values = rng.uniform(0.5, 1.5, shape)
        else:
            values = 0.3 * rng.standard_normal(shape)
        drawn[name] = torch.from_numpy(np.asarray(values, dtype=np.float32))
    return drawn


def pictures(number: int, size_px: int, seed: int) -> torch.Tensor:
    """(number, 1, size, size): boards of 8 x 8 grey fields."""
    fields = np.random.RandomState(seed).random_sample((number, 1, 8, 8))
    return torch.from_numpy(np.kron(fields, np.ones((1, 1, size_px // 8, size_px // 8))).astype(np.float32))


def probe(output: torch.Tensor) -> dict[str, Any]:
    """Shape, mean and a few numbers of an output."""
    flat = output.flatten()
    places = torch.linspace(0, len(flat) - 1, PROBED).long()
    return {"shape": list(output.shape), "mean": float(flat.double().mean()), "values": [float(value) for value in flat[places]]}


CASES = {
    "one image, 448 px": (448, False),
    "one image, 488 px": (488, False),
    "one image, 512 px": (512, False),
    "with an earlier image, 448 px": (448, True),
}
"""name -> size, whether there is an earlier image"""


def main() -> None:
    """Write the fixture."""
    from importlib.metadata import version

    from health_multimodal.image.model.model import ImageModel
    from health_multimodal.image.model.types import ImageEncoderType

    model = ImageModel(img_encoder_type=ImageEncoderType.RESNET50_MULTI_IMAGE, joint_feature_size=128).eval()
    model.load_state_dict(random_weights({name: tuple(value.shape) for name, value in model.state_dict().items()}, SEED))
    cases = {}
    with torch.inference_mode():
        for name, (size_px, has_earlier) in CASES.items():
            now, before = pictures(1, size_px, 1).expand(-1, 3, -1, -1), pictures(1, size_px, 2).expand(-1, 3, -1, -1)
            if has_earlier:
                patches, image = model.encoder(now, before, return_patch_embeddings=True)
                projected = model.projector(patches)
                outputs = {"image": image, "patches": patches, "projected_patches": projected, "projected_image": projected.mean(dim=(2, 3))}
            else:
                found = model(now)
                outputs = {
                    "image": found.img_embedding,
                    "patches": found.patch_embeddings,
                    "projected_patches": found.projected_patch_embeddings,
                    "projected_image": found.projected_global_embedding,
                }
            cases[name] = {output: probe(value) for output, value in outputs.items()}
    made_with = {package: version(package) for package in ("hi-ml-multimodal", "torch", "torchvision")}
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    FIXTURE.parent.mkdir(exist_ok=True)
    FIXTURE.write_text(json.dumps({"made_with": made_with, "seed": SEED, "cases": cases, "shapes": shapes}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
