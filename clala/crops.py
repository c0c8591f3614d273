"""Radiographs to pixels: a crop per region, the whole image padded to a square, and both kept in memory-mapped files.

Crops are cut from the full-resolution image and resized without keeping the aspect (bicubic, as BLIP does); the whole image keeps its aspect and is
padded. Cutting is what costs in an epoch, so training cuts once and reads rows of a file afterwards. No torch here: the processes that cut start in
a moment.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from clala.parent import end_with

BoxXYXY = tuple[float, float, float, float]
ReadImage = Callable[[Path], np.ndarray]
Gray = np.ndarray[Any, np.dtype[np.uint8]]

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000", "GIF", "PPM")
"""that are read; of a file of PostScript Pillow would start Ghostscript"""
SMALLEST_BOX_PX = 4
"""A box narrower than this shows nothing and is treated as absent."""


class UnreadableImage(ValueError):
    """A file that is no grey or colour image of eight bits; says which file and what it holds."""


def read_image(path: Path) -> Gray:
    """(H, W) uint8 from any picture of the usual kinds. A project with DICOM files hands in a reader of its own instead."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.mode not in ("L", "RGB", "RGBA", "LA", "P", "1"):
                raise UnreadableImage(f"{path}: pixels of mode {image.mode}; 8-bit grey or colour is needed")
            return np.asarray(image.convert("L"))
    except (OSError, SyntaxError) as error:
        raise UnreadableImage(f"{path}: {error}") from error


def usable_box(box: BoxXYXY | None, shape: tuple[int, int]) -> BoxXYXY | None:
    """The box clipped to the image of that (height, width), or None where nothing of it is left."""
    if box is None or not np.all(np.isfinite(box)):
        return None
    height, width = shape
    left, top, right, bottom = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    if right - left < SMALLEST_BOX_PX or bottom - top < SMALLEST_BOX_PX:
        return None
    return left, top, right, bottom


def cut(image: Gray, box: BoxXYXY, size_px: int, margin: float = 0.0) -> Gray:
    """(size, size) uint8: the box, with that share of its sides around it where the image has it (elsewhere its edge is repeated)."""
    from PIL import Image

    left, top, right, bottom = box
    dx, dy = margin * (right - left), margin * (bottom - top)
    x0, y0, x1, y1 = round(left - dx), round(top - dy), round(right + dx), round(bottom + dy)
    height, width = image.shape
    piece = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    beyond = ((max(-y0, 0), max(y1 - height, 0)), (max(-x0, 0), max(x1 - width, 0)))
    if any(map(any, beyond)):
        piece = np.pad(piece, beyond, mode="edge")
    return np.array(Image.fromarray(np.ascontiguousarray(piece)).resize((size_px, size_px), Image.Resampling.BICUBIC))


def pad_to_square(image: Gray, size_px: int) -> Gray:
    """(size, size) uint8: the whole image, aspect kept, centred on black. A centre crop would lose the costophrenic angles."""
    from PIL import Image

    height, width = image.shape
    scale = size_px / max(height, width)
    small = Image.fromarray(image).resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR, reducing_gap=2.0)
    square = np.zeros((size_px, size_px), np.uint8)
    x, y = (size_px - small.width) // 2, (size_px - small.height) // 2
    square[y : y + small.height, x : x + small.width] = np.asarray(small)
    return square


def centre_crop(image: Gray, size_px: int, short_px: int | None = None) -> Gray:
    """(size, size) uint8: the middle of the image after its short side was made ``short_px``, the frame that BioViL-T was trained on.

    By default that side is 8/7 of the size: Resize(512), CenterCrop(448). What lies further out is lost, of a wide image the costophrenic angles too.
    """
    from PIL import Image

    height, width = image.shape
    short = round(size_px * 512 / 448) if short_px is None else short_px
    if short < size_px:
        raise ValueError(f"a square of {size_px} px cannot be cut from an image whose short side is {short} px; make short_px at least {size_px}")
    # Rounding as torchvision has it: the long side down, the offset to the nearest.
    scaled = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    small = np.asarray(Image.fromarray(image).resize(scaled, Image.Resampling.BILINEAR))
    y, x = round((small.shape[0] - size_px) / 2), round((small.shape[1] - size_px) / 2)
    return np.ascontiguousarray(small[y : y + size_px, x : x + size_px])


def squared(image: Gray, size_px: int, frame: str) -> Gray:
    """(size, size) uint8: the whole image as the lesion classifier sees it; ``frame`` is pad or centre_crop."""
    return centre_crop(image, size_px) if frame == "centre_crop" else pad_to_square(image, size_px)


def to_unit(box: BoxXYXY, shape: tuple[int, int]) -> BoxXYXY:
    """Pixels of the image -> shares of its padded square, the frame in which the detector thinks."""
    height, width = shape
    side = max(height, width)
    x, y = (side - width) / 2, (side - height) / 2
    return (box[0] + x) / side, (box[1] + y) / side, (box[2] + x) / side, (box[3] + y) / side


def from_unit(box: BoxXYXY, shape: tuple[int, int]) -> BoxXYXY:
    """The inverse of ``to_unit``."""
    height, width = shape
    side = max(height, width)
    x, y = (side - width) / 2, (side - height) / 2
    return box[0] * side - x, box[1] * side - y, box[2] * side - x, box[3] * side - y


def stored_px(size_px: int, margin: float) -> int:
    """Side of a crop as it is stored, so that the box alone comes out at ``size_px``."""
    return round(size_px * (1 + 2 * margin))


class CropStore:
    """Crops of many images in one memory-mapped file, with the whole images beside them.

    ``crops.npy`` (N, S', S') uint8, ``whole.npy`` (images, W, W) uint8, ``store.json`` (which row is what; written last, so that a folder
    without it is unfinished and is cut again).
    """

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        self.crops: Gray = np.load(folder / "crops.npy", mmap_mode="r")
        self.whole: Gray = np.load(folder / "whole.npy", mmap_mode="r")
        self.shapes: list[tuple[int, int]] = [(int(h), int(w)) for h, w in about["shapes"]]
        self.rows: list[dict[str, int]] = about["rows"]
        """for each image, region -> row of ``crops``"""

    def read(self, rows: Sequence[int]) -> Gray:
        """(M, S', S') uint8."""
        return np.stack([self.crops[row] for row in rows])


def cut_all(
    images: Sequence[Path],
    boxes: Sequence[dict[str, BoxXYXY]],
    folder: Path,
    *,
    crop_px: int,
    margin: float,
    whole_px: int,
    reader: ReadImage = read_image,
    workers: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> CropStore:
    """Cut every box of every image once; the store that is already there is used if it was cut from the same things the same way.

    What differs (images, boxes, sizes, margin) gets a folder of its own within ``folder``, named by a checksum, so that trainings of other regions
    or sizes share one place and never each other's pixels. Processes that want the same at the same time wait for the first; one that is killed
    while it cuts leaves no note, and the next cuts anew.

    Raises UnreadableImage for a file that cannot be read: training on fewer images than were named would be another training.
    """
    key = {
        "images": [[str(path), path.stat().st_mtime_ns if path.exists() else 0] for path in images],
        "boxes": [{name: list(box) for name, box in named.items()} for named in boxes],
        "how": [crop_px, margin, whole_px],
    }
    text = json.dumps(key)
    folder = folder / hashlib.sha256(text.encode()).hexdigest()[:12]
    if _is_cut(folder, text):
        advance(len(images))
        return CropStore(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_name(f"{folder.name}.lock")):
        if _is_cut(folder, text):  # by the process that was waited for
            advance(len(images))
        else:
            _cut_into(folder, key, images, boxes, (crop_px, margin, whole_px), reader, workers, advance)
    return CropStore(folder)


def _is_cut(folder: Path, key: str) -> bool:
    """True where the folder holds a whole store, of just that; a note that cannot be read is none."""
    note = folder / "store.json"
    try:
        return bool(note.exists() and json.loads(note.read_text(encoding="utf-8"))["key"] == json.loads(key))
    except (ValueError, TypeError, KeyError):
        return False


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Wait until no other process is in here with that file. The kernel holds the lock, so that a killed process leaves none behind."""
    with file.open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cut_into(
    folder: Path,
    key: dict[str, Any],
    images: Sequence[Path],
    boxes: Sequence[dict[str, BoxXYXY]],
    how: tuple[int, float, int],
    reader: ReadImage,
    workers: int,
    advance: Callable[[int], None],
) -> None:
    """Fill the folder; its note is written last, whole or not at all."""
    crop_px, margin, whole_px = how
    note = folder / "store.json"
    note.unlink(missing_ok=True)
    side = stored_px(crop_px, margin)
    crops = np.lib.format.open_memmap(folder / "crops.npy", mode="w+", dtype=np.uint8, shape=(sum(map(len, boxes)), side, side))
    whole = np.lib.format.open_memmap(folder / "whole.npy", mode="w+", dtype=np.uint8, shape=(len(images), whole_px, whole_px))
    for name in ("crops.npy", "whole.npy"):
        _reserve(folder / name)
    jobs = [(path, named, crop_px, margin, whole_px, reader) for path, named in zip(images, boxes, strict=True)]
    shapes: list[tuple[int, int]] = []
    rows: list[dict[str, int]] = []
    used = 0
    workers = workers or os.cpu_count() or 1
    with cutters(workers) if workers > 1 else nullcontext() as pool:
        for number, (shape, square, pieces) in enumerate(pool.map(_cut_one, jobs, chunksize=8) if pool else map(_cut_one, jobs)):
            shapes.append(shape)
            whole[number] = square
            rows.append({name: used + place for place, name in enumerate(pieces)})
            for piece in pieces.values():
                crops[used] = piece
                used += 1
            advance(1)
    crops.flush()
    whole.flush()
    part = note.with_name("store.json.new")
    part.write_text(json.dumps({"key": key, "shapes": shapes, "rows": rows}), encoding="utf-8")
    for file in (folder / "crops.npy", folder / "whole.npy", part):  # on the disk before it is said that they are
        with file.open("rb") as written:
            os.fsync(written.fileno())
    part.replace(note)


def cutters(workers: int) -> ProcessPoolExecutor:
    """Processes that cut; fresh ones, and gone when this one is, however it ends."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with, initargs=(os.getpid(),))


def _reserve(file: Path) -> None:
    """Take the room of a mapped file on the disk, or raise ``OSError``: a page of it that finds none later ends the process with SIGBUS, wordless."""
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as mapped:
            os.posix_fallocate(mapped.fileno(), 0, file.stat().st_size)


def _cut_one(job: tuple[Path, dict[str, BoxXYXY], int, float, int, ReadImage]) -> tuple[tuple[int, int], Gray, dict[str, Gray]]:
    path, boxes, crop_px, margin, whole_px, reader = job
    image = reader(path)
    shape = (int(image.shape[0]), int(image.shape[1]))
    usable = {name: usable_box(box, shape) for name, box in boxes.items()}
    side = stored_px(crop_px, margin)
    return shape, pad_to_square(image, whole_px), {name: cut(image, box, side, margin) for name, box in usable.items() if box is not None}
