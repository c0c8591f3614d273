"""CvT2DistilGPT2 as a model of the benchmark: cases to reports.

python -m benchmark run --models cvt2distilgpt2                     the demo weights that ship with the project, trained on phantoms alone
python -m benchmark run --models 'cvt2distilgpt2:epoch=8-val_chen_cider=0.425092.ckpt'    the authors' weights for MIMIC-CXR
python -m benchmark run --models 'cvt2distilgpt2:epoch=10-val_chen_cider=0.475024.ckpt' --dataset iu_xray --set cvt2distilgpt2.views=2
python -m benchmark train cvt2distilgpt2 --preset demo --dataset phantom --out path/to/weights

Equal to the authors' program (https://github.com/aehrc/cvt2distilgpt2 at c9edfb5) from the image file to the report, but that

- theirs computes in 16-bit floats on a GPU (``precision=fp16`` does too), this one in 32;
- theirs takes the first image of a study whatever its view; here a case whose first image is lateral has failed, unless ``lateral=yes``;
- with ``views=2`` a case of one image shows it twice, where theirs has no such case. Attention makes of that what it makes of it once;
- theirs reads what Pillow makes red, green and blue of; here a radiograph is read as everywhere in this project: as grey, DICOM and 16 bits too.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from adapters.cvt2distilgpt2.files import DOI, HUB_NAMES
from adapters.cvt2distilgpt2.pixels import TooSmall, middle
from adapters.gpt2_pieces import has_pieces, pieces_folder
from adapters.needed import demo_line, packages_line
from adapters.protocol import OURS, learnt_by_command, learnt_from
from adapters.running import device_named
from adapters.weights_file import shown
from benchmark.datasets.images import read_radiograph
from benchmark.records import Case, ProtocolCard, Report, UserError

if TYPE_CHECKING:
    from adapters.beam_search import Found

DEMO_WEIGHTS = Path(__file__).resolve().parent / "weights" / "demo"
PACKAGES = ("torch", "tokenizers", "safetensors")
PUBLISHED_LENGTH = 128  # its configuration, decoder_max_len
LATERAL = ("LATERAL", "LL", "RL")
COLLAPSE = "The authors' own output for IU X-Ray, 590 studies, has 4 distinct reports: its scores are those of what most reports say."
CUT = (
    "Trained on reports cut at 60 tokens of Chen et al. with rare words as <unk>: of the authors' 3,858 reports for MIMIC-CXR's test 1,135 stop "
    "within a sentence; set no score beside those of models that write longer."
)


class CvT2DistilGPT2:
    """Writes a report from one image, or from two."""

    def __init__(
        self,
        argument: str = "",
        *,
        device: str = "auto",
        weights: Path | None = None,
        tokenizer: Path | None = None,
        beams: int = 4,
        max_length: int | None = None,
        views: int = 1,
        lateral: bool = False,
        batch_size: int = 8,
        precision: Literal["fp32", "fp16", "bf16"] = "fp32",
        trust_pickle: bool = False,
    ) -> None:
        """Load the weights: the authors' .ckpt or a folder of our own, ``argument`` or ``weights``; the demo's if neither is given.

        tokenizer     folder with GPT-2's vocab.json and merges.txt, for a .ckpt; None = beside it, or in the Hugging Face hub's cache
        beams         1 = greedy; the authors' evaluation has 4
        max_length    pieces of a report, the start among them; None = 128 as the authors have it, for our own weights as many as they have places for
        views         images of a case that are read: 1 for the weights trained on MIMIC-CXR, 2 for those trained on IU X-Ray
        lateral       read a first image that is said to be lateral, too
        precision     of products on a GPU; a CPU computes in fp32
        trust_pickle  open a .ckpt that could run code

        Raises UserError for what is not there or does not fit.
        """
        _needs_packages()
        if beams < 1 or batch_size < 1 or views < 1 or (max_length is not None and max_length < 2):
            raise UserError(
                f"cvt2distilgpt2: beams is {beams}, batch_size {batch_size}, max_length {max_length}, views {views}; "
                "at least 1, 1, 2 and 1 are needed"
            )
        if precision not in ("fp32", "fp16", "bf16"):
            raise UserError(f"cvt2distilgpt2: precision is {precision!r}; it must be fp32, fp16 or bf16")
        from adapters.cvt2distilgpt2.weights import load_checkpoint, load_folder

        self.path = Path(argument) if argument else weights or DEMO_WEIGHTS
        self.device = device_named(device, "cvt2distilgpt2")
        self.is_published = not self.path.is_dir()
        if not self.path.exists():
            raise UserError(
                f"cvt2distilgpt2: there is no {shown(self.path)}; name the authors' .ckpt (https://doi.org/{DOI}) or a folder of our training"
            )
        if self.is_published:
            folder = pieces_folder("cvt2distilgpt2", tokenizer, self.path.parent, HUB_NAMES)
            self.loaded = load_checkpoint(self.path, folder, trust_pickle=trust_pickle)
        else:
            self.loaded = load_folder(self.path)
        words = self.loaded.network.sizes.words
        if beams > 1 and 2 * beams > words:
            raise UserError(f"cvt2distilgpt2: beams is {beams}; its search needs {2 * beams:,} pieces, and these weights have {words:,}: take less")
        self.network = self.loaded.network.to(self.device)
        places = self.network.sizes.places
        self.max_length = min(max_length or (PUBLISHED_LENGTH if self.is_published else places), places)
        self.beams, self.views, self.lateral, self.batch_size = beams, views, lateral, batch_size
        self.precision = precision if self.device.type == "cuda" else "fp32"

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        return [
            packages_line(PACKAGES),
            demo_line("cvt2distilgpt2", DEMO_WEIGHTS),
            (
                False,
                f"the authors' weights, a .ckpt each for MIMIC-CXR and IU X-Ray (512 MB of weights, by CSIRO's terms): https://doi.org/{DOI}, files "
                "tab, folders cvt_21_to_distilgpt2; name the file: cvt2distilgpt2:PATH. The authors' program is GPL-3.0; none of it is in here",
            ),
            (
                has_pieces("cvt2distilgpt2", HUB_NAMES),
                "GPT-2's pieces for them (vocab.json, merges.txt of distilgpt2, 1.5 MB), beside them or in the hub's cache",
            ),
        ]

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order, handed out batch by batch; the images of the next are read while one is written."""
        from adapters.learning import ahead

        batches = [cases[start : start + self.batch_size] for start in range(0, len(cases), self.batch_size)]
        opened = ahead((partial(self._open_all, batch) for batch in batches), depth=1)
        for batch, images in zip(batches, opened, strict=True):
            yield from self._batch(batch, images)

    def _batch(self, cases: Sequence[Case], opened: Sequence[np.ndarray | str]) -> Iterator[Report]:
        import torch

        usable = [images for images in opened if not isinstance(images, str)]
        written: Iterator[Found] = iter(())
        if usable:
            types = {"fp16": torch.float16, "bf16": torch.bfloat16}
            images = torch.from_numpy(np.stack(usable)).to(self.device)
            pieces, is_half = self.loaded.pieces, self.precision != "fp32"
            with torch.autocast(self.device.type, types.get(self.precision), enabled=is_half):
                found = self.network.write(images, start=pieces.start, end=pieces.end, beams=self.beams, max_length=self.max_length)
            written = iter(found)
        for case, images_or_why in zip(cases, opened, strict=True):
            if isinstance(images_or_why, str):
                yield Report(case.id, failure=images_or_why)
                continue
            tokens = next(written).tokens
            details = {"pieces": len(tokens), "stopped_at_max_length": len(tokens) == self.max_length - 1}
            yield Report(case.id, text=self.loaded.pieces.text(tokens), details=details)

    def _open_all(self, cases: Sequence[Case]) -> list[np.ndarray | str]:
        return [self._open(case) for case in cases]

    def _open(self, case: Case) -> np.ndarray | str:
        """(views, S, S) uint8 of the case's images, or why it cannot be answered."""
        if not case.images:
            return "the case has no image"
        if case.images[0].view in LATERAL and not self.lateral:
            return (
                f"the case's first image is lateral ({case.images[0].view}), and frontal ones were learnt from; put a frontal one first, or "
                "--set cvt2distilgpt2.lateral=yes"
            )
        sizes = self.network.sizes
        shown = [case.images[min(view, len(case.images) - 1)] for view in range(self.views)]
        try:
            return np.stack([middle(read_radiograph(image.path), sizes.resize_px, sizes.image_px) for image in shown])
        except UserError as error:
            return str(error)
        except TooSmall as error:
            return f"radiograph {case.images[0].path}: {error}"

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: checksum of the weights, vocabulary, and how they are used."""
        return {
            "weights_sha256": self.loaded.sha256,
            "made_by": self.loaded.about.get("command", ""),
            "left_out": self.loaded.dropped,
            "vocabulary": self.loaded.pieces.digest(),
            "sizes": self.network.sizes.to_json(),
            "beams": self.beams,
            "max_length": self.max_length,
            "views": self.views,
            "lateral": self.lateral,
            "precision": self.precision,
        }

    def card(self) -> ProtocolCard:
        """What is to be known before its numbers are set beside another's."""
        search = f"beam search, {self.beams} beams" if self.beams > 1 else "greedy"
        learnt = learnt_by_command(self.loaded.about)
        is_phantom = self.loaded.about.get("data", {}).get("dataset") == "phantom"
        trained: str
        leaks: dict[str, str | None] | None
        remarks: tuple[str, ...]
        if self.is_published:
            trained, leaks, remarks = self._published()
        else:
            trained, leaks = f"{learnt.training}; not the authors' weights" if learnt.training else "", learnt.leaks
            remarks = ("Trained on phantoms alone, from nothing, at the size of a demonstration.",) if is_phantom else ()
            if "eyes" in self.loaded.about:
                remarks += (self.loaded.about["eyes"],)
        return ProtocolCard(
            target="findings" if self.is_published else "any",
            inputs=("frontal image",) if self.views == 1 else ("frontal image", "other views"),
            decoding=f"{search}, at most {self.max_length - 1} pieces",
            training=trained,
            leaks=leaks,
            licence=f"{OURS}, GPL-3.0 (the authors' code, none of it here), CSIRO's terms (weights)" if self.is_published else OURS,
            weights=f"https://doi.org/{DOI}" if self.is_published else "trained here",
            remarks=remarks,
        )

    def _published(self) -> tuple[str, dict[str, str | None] | None, tuple[str, ...]]:
        """Training, leaks and remarks of the authors' weights. Which of the two they are, no tensor tells, but the number of views does."""
        if self.views > 1:
            own = "trained on 2,069 of the 2,955 studies of Chen et al.'s annotation.json; other splits of IU X-Ray share them"
            leaks = learnt_from("iu_xray").leaks
            return f"IU X-Ray, split and cleaning of Chen et al. (R2Gen), findings; {own}", leaks, (CUT, COLLAPSE)
        leaks = learnt_from("mimic_cxr").leaks
        return "MIMIC-CXR, official train split, cleaning of Chen et al. (R2Gen), findings", leaks, (CUT, COLLAPSE)


def _needs_packages() -> None:
    """Raise UserError with the remedy unless what the network stands on is installed."""
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise UserError(f"cvt2distilgpt2 needs {package}, which is not installed: pip install 'clala-benchmark[models]'") from error
