"""The paper's region detector: YOLOv10 as ultralytics builds it, with our weights as safetensors.

Wang et al., YOLOv10: Real-Time End-to-End Object Detection (NeurIPS 2024, https://arxiv.org/abs/2405.14458). It predicts with its one-to-one head,
which needs no suppression of doubles; of each region the box with the highest confidence is taken, and a region without any is absent (D12). It
knows all 29 regions, so that both rows of Table 5 use the same weights. Training is in ``yolo_train``, its images in ``yolo_data``.

ultralytics is AGPL-3.0 and an optional extra: nothing of it is imported before a YOLO is built.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from clala.config import BadConfig, CLALAConfig
from clala.crops import BoxXYXY, Gray, usable_box
from clala.own_folder import own_folder
from clala.regions import REGIONS

MOST_BOXES = 300
"""candidates per image; ultralytics' own default"""
PADDING = 114
"""grey around an image that is no square; what ultralytics trains with (LetterBox)"""
STRIDE = 32
"""pixels of the image per cell of YOLOv10's coarsest map: the side of the square is a multiple of it"""
AT_ONCE = 16
"""images per forward pass of ``find``"""

OUTWARD = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb", "vscode_msg", "openvino_msg")
"""Settings of ultralytics by which something leaves the process: usage events, experiment trackers, advertisements."""
ENVIRONMENT = {
    "YOLO_OFFLINE": "1",  # else the import itself looks up two hosts, and if they answer, events are sent and versions compared
    "YOLO_AUTOINSTALL": "0",  # else a missing package is installed with pip, in the middle of a run
    "YOLO_VERBOSE": "0",  # else tables and bars of its own between ours
    "ULTRALYTICS_SAFE_LOAD": "1",  # its checkpoints by torch.load(weights_only=True) and a list of its own classes; off by default
}


class UltralyticsMissing(ImportError):
    """ultralytics cannot be imported; the message says what to install."""


class UntrustedPickle(ValueError):
    """A .pt file that the user has not said to trust."""


class UnusableWeights(ValueError):
    """YOLO weights that are damaged, of another size, or of other classes than were asked for."""


def import_ultralytics() -> None:
    """Import ultralytics with everything switched off that reaches beyond this process. The one place that imports it first.

    Left alone it sends usage events, asks the network whether it is there, streams trainings to its platform where it finds a key, starts whatever
    experiment tracker is installed, installs packages, and keeps a settings file in the user's configuration folder. The user's file is neither
    read nor written: a folder of this process stands in its place. If the program has imported ultralytics before, the same is switched off in
    memory.

    Raises UltralyticsMissing.
    """
    if "ultralytics" not in sys.modules:
        folder = own_folder("clala-ultralytics-")
        (folder / "Ultralytics").mkdir()
        (folder / "Ultralytics" / "settings.json").write_text(json.dumps(dict.fromkeys(OUTWARD, False)), encoding="utf-8")
        if matplotlib := importlib.util.find_spec("matplotlib"):
            # Every training looks for Arial, and fetches it where it is not, even if nothing is drawn. Another font of that name will do.
            font = Path(str(matplotlib.origin)).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
            shutil.copyfile(font, folder / "Ultralytics" / "Arial.ttf")
        os.environ["YOLO_CONFIG_DIR"] = str(folder)
    os.environ.update(ENVIRONMENT)  # for good: with several GPUs ultralytics starts processes of its own, to which the same applies
    threads = os.environ.get("OMP_NUM_THREADS")
    image_open, torch_save = Image.open, torch.save
    try:
        with np.printoptions():  # its import widens how arrays are printed
            from ultralytics import utils
            from ultralytics.nn import tasks
            from ultralytics.utils.events import events
    except ImportError as error:
        if getattr(error, "name", None) == "ultralytics":
            raise UltralyticsMissing(
                "the detector yolov10 needs ultralytics, which is not installed: pip install ultralytics; or choose shape"
            ) from error
        # cv2 on a machine without X11: libGL.so.1 and its relatives
        raise UltralyticsMissing(
            f"the detector yolov10 needs ultralytics, which cannot be imported here: {error}; if a library of the screen is missing, "
            "pip install ultralytics-opencv-headless in place of ultralytics"
        ) from error
    finally:
        # Its import puts functions of its own in the place of these, for the whole process: an unreadable radiograph would be a missing pi_heif.
        Image.open, torch.save = image_open, torch_save
    if threads is None:
        os.environ.pop("OMP_NUM_THREADS", None)  # its import sets 1 for every program started later
    dict.update(utils.SETTINGS, dict.fromkeys(OUTWARD, False), api_key="")  # dict's own update: that of the settings writes the file
    events.enabled = False
    tasks.SAFE_LOAD = True
    logging.getLogger("ultralytics").setLevel(logging.ERROR)


class YOLODetector(nn.Module):
    """YOLOv10 on the 29 regions."""

    def __init__(self, config: CLALAConfig) -> None:
        super().__init__()
        if config.yolo_px < STRIDE or config.yolo_px % STRIDE:
            raise BadConfig(f"yolo_px is {config.yolo_px}; it must be a multiple of {STRIDE}")
        self.config = config
        self.network = new_network(config.yolo_size)

    def forward(self, squares: Tensor) -> Tensor:
        """Candidate boxes of each image, in eval mode.

        squares  (B, 3, S, S)  in [0, 1], as ``letterbox`` makes them
        returns  (B, at most 300, 6)  left, top, right, bottom in pixels of the square, confidence in [0, 1], number of the region
        """
        candidates: Tensor = self.network(squares)[0]
        return candidates

    def find(self, images: Sequence[Gray]) -> list[dict[str, BoxXYXY]]:
        """Region -> box in pixels of each (H, W) uint8 image, within its edges; regions that were not found are absent (D12)."""
        was_training = self.training
        self.eval()
        found = [boxes for start in range(0, len(images), AT_ONCE) for boxes in self._find(images[start : start + AT_ONCE])]
        self.train(was_training)
        return found

    def _find(self, images: Sequence[Gray]) -> list[dict[str, BoxXYXY]]:
        placed = [letterbox(image, self.config.yolo_px) for image in images]
        pixels = torch.from_numpy(np.stack([square for square, _ in placed])).to(next(self.parameters()).device)
        with torch.inference_mode():
            candidates = self((pixels.float() / 255).unsqueeze(1).expand(-1, 3, -1, -1)).float().cpu().numpy()
        found = []
        for image, (_, place), rows in zip(images, placed, candidates, strict=True):
            best = best_boxes(rows, self.config.yolo_confidence)
            usable = {name: usable_box(place.undo(box), (int(image.shape[0]), int(image.shape[1]))) for name, box in best.items()}
            found.append({name: box for name, box in usable.items() if box is not None})
        return found


def new_network(size: str) -> nn.Module:
    """ultralytics' YOLOv10 of that size (n s m b l x) for our regions, from its own description, with random weights."""
    import_ultralytics()
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import ROOT

    # The whole path: by its bare name a file of the working folder would come first.
    network: nn.Module = DetectionModel(str(ROOT / "cfg" / "models" / "v10" / f"yolov10{size}.yaml"), ch=3, nc=len(REGIONS), verbose=False)
    network.names = dict(enumerate(REGIONS))  # type: ignore[assignment]
    head: Any = network.model[-1]  # type: ignore[index]
    head.end2end = True  # the one-to-one head; ultralytics 8.4 takes the other one and removes doubles, unless told
    head.max_det = MOST_BOXES
    return network


def best_boxes(rows: np.ndarray, least: float) -> dict[str, BoxXYXY]:
    """Region -> the box with the highest confidence, in the order of ``REGIONS``; absent if none has at least that confidence.

    rows  (N, 6)  left, top, right, bottom, confidence, number of the region
    """
    found: dict[str, BoxXYXY] = {}
    for left, top, right, bottom, confidence, number in rows[np.argsort(-rows[:, 4], kind="stable")].tolist():
        if confidence >= least:
            found.setdefault(REGIONS[int(number)], (left, top, right, bottom))
    return {name: found[name] for name in REGIONS if name in found}


class Place(NamedTuple):
    """Where an image lies in the square that YOLO sees."""

    left: int
    """first column of the image"""
    top: int
    """its first row"""
    scale_x: float
    """pixels of the square per pixel of the image"""
    scale_y: float
    """the same but for rounding"""

    def undo(self, box: BoxXYXY) -> BoxXYXY:
        """A box of the square in pixels of the image."""
        x0, y0, x1, y1 = box
        return (x0 - self.left) / self.scale_x, (y0 - self.top) / self.scale_y, (x1 - self.left) / self.scale_x, (y1 - self.top) / self.scale_y


def letterbox(image: Gray, size_px: int) -> tuple[Gray, Place]:
    """(size, size) uint8, the whole image centred on grey, and where it lies."""
    small = shrink(image, size_px)
    height, width = small.shape
    left, top = (size_px - width) // 2, (size_px - height) // 2
    square = np.full((size_px, size_px), PADDING, np.uint8)
    square[top : top + height, left : left + width] = small
    return square, Place(left, top, width / image.shape[1], height / image.shape[0])


def shrink(image: Gray, size_px: int) -> Gray:
    """The image with its longer side at ``size_px``: for training and for finding alike, so that both see the same pixels."""
    from PIL import Image

    height, width = image.shape
    scale = size_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def take_pickle(detector: YOLODetector, path: Path, *, trust_pickle: bool) -> int:
    """Fill the detector from a .pt file of ultralytics, as far as its tensors fit; returns how many did.

    COCO weights (yolov10m.pt) give all but the last layers and are a start for training. A detector of our 29 regions gives all.

    Raises UntrustedPickle without ``trust_pickle``: such a file is a pickle, which can run code when it is read. With it the file is still read by
    torch.load(weights_only=True) and ultralytics' list of its own classes. Raises UnusableWeights for a file that cannot be read so, or does not fit.
    """
    if not trust_pickle:
        raise UntrustedPickle(
            f"{path.name}: a .pt of ultralytics is a pickle, which may run code when it is opened; if you know where it is from, set trust_pickle"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; YOLOv10 weights are fetched by hand, nothing is downloaded here")
    import_ultralytics()
    from ultralytics.nn.tasks import torch_safe_load

    try:
        loaded, _ = torch_safe_load(path, safe_only=True)
    except (TypeError, RuntimeError) as error:  # ultralytics' own wording of both names a download as the remedy
        raise UnusableWeights(f"{path.name}: damaged, or holds more than a YOLO of ultralytics; its weights cannot be read safely") from error
    given = (loaded.get("ema") or loaded["model"]).float()
    named, ours = getattr(given, "names", {}), dict(enumerate(REGIONS))
    if sorted(map(str, named.values())) == sorted(REGIONS) and dict(named) != ours:
        raise UnusableWeights(f"{path.name}: its classes are our regions in another order, first {named[0]!r}; boxes would carry wrong names")
    wanted = detector.network.state_dict()
    fitting = {name: value for name, value in given.state_dict().items() if name in wanted and wanted[name].shape == value.shape}
    if not fitting:
        raise UnusableWeights(
            f"{path.name}: none of its {len(given.state_dict())} tensors fits YOLOv10-{detector.config.yolo_size}; is it of that size?"
        )
    if dict(named) != ours:  # scores of other classes are no start, not even where there happen to be 29 of them
        fitting = {name: value for name, value in fitting.items() if not ("cv3." in name and name.split(".")[-2] == "2")}
    detector.network.load_state_dict(fitting, strict=False)
    return len(fitting)
