"""RGRG as a model of the benchmark: cases to reports.

python -m benchmark run --models rgrg                                  the demo weights that ship with the project, trained on phantoms alone
python -m benchmark run --models rgrg:full_model.pt                    the published weights
python -m benchmark run --models rgrg --set rgrg.boxes=truth           sentences for boxes that the experiment grants with the case
python -m benchmark train rgrg --preset demo --dataset phantom --out path/to/weights

Tanida et al., Interactive and Explainable Region-guided Radiology Report Generation, CVPR 2023 (https://arxiv.org/abs/2304.08295). Equal to the
authors' program (https://github.com/ttanida/rgrg at 9520b6d) from the image file to the report, but for what ``report`` says of sentences, and:

- their program computes the network in 16-bit floats on a GPU, this one in 32, as theirs does on a CPU;
- where no region is found or chosen, theirs returns -1 and stops with an error; here the report is empty, and its details say why. That is what
  most lateral images come to, for the network was trained on frontal ones;
- theirs stops at an image that is not grey; here colour is made grey, and DICOM files are read too.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from adapters.gpt2_pieces import has_pieces, pieces_folder
from adapters.needed import demo_line, packages_line
from adapters.protocol import OURS, learnt_by_command, learnt_from
from adapters.rgrg.files import BERT, HUB_NAMES, REPOSITORY, published_file
from adapters.running import device_named
from benchmark.datasets.images import read_radiograph
from benchmark.records import BoxXYXY, Case, ProtocolCard, Report, UserError
from benchmark.runs import sha256
from benchmark.vocabulary import REGIONS

if TYPE_CHECKING:
    from torch import Tensor

    from adapters.rgrg.alike import Alike
    from adapters.rgrg.network import Chosen

DEMO_WEIGHTS = Path(__file__).resolve().parent / "weights" / "demo"
PACKAGES = ("torch", "torchvision", "timm", "transformers", "safetensors")
NO_SENTENCE = "no region was found and chosen, so there is nothing to write"
SAID_ONCE = {
    "bertscore": "Of sentences that are equal or that BERTScore finds alike one is kept; they are cut by rules, where its authors have spaCy.",
    "exact": "Of equal sentences one is kept; its authors leave out alike ones too (BERTScore above 0.9), so these reports are longer.",
    "off": "No sentence is left out, so these reports repeat themselves; its authors leave out equal and alike ones.",
}


class RGRG:
    """Writes a sentence for each region that it finds and chooses."""

    def __init__(
        self,
        argument: str = "",
        *,
        device: str = "auto",
        weights: Path | None = None,
        tokenizer: Path | None = None,
        beams: int = 4,
        max_tokens: int = 300,
        boxes: Literal["predicted", "truth"] = "predicted",
        dedup: Literal["auto", "bertscore", "exact", "off"] = "auto",
        dedup_model: str = BERT,
        download: bool = False,
        batch_size: int = 4,
    ) -> None:
        """Load the weights: the published file or a folder of our own, ``argument`` or ``weights``; the demo's if neither is given.

        tokenizer    folder with GPT-2's vocab.json and merges.txt, for the published file; None = beside it, or in the Hugging Face hub's cache
        beams        1 = greedy; the authors' evaluation has 4
        max_tokens   of a sentence, the begin among them
        boxes        predicted = by the detector, and the classifier chooses; truth = a sentence for each box that the experiment grants with the case
        dedup        what is said once only: bertscore = what BERTScore finds alike too, exact = equal sentences, off = nothing is left out;
                     auto = bertscore where its network is on this machine, else exact
        dedup_model  that network: a folder, or a name on the Hugging Face hub
        download     fetch that network if it is not on this machine
        batch_size   images

        Raises UserError for what is not there or does not fit.
        """
        _needs_packages()
        if beams < 1 or batch_size < 1 or max_tokens < 2:
            raise UserError(f"rgrg: beams is {beams}, batch_size {batch_size}, max_tokens {max_tokens}; at least 1, 1 and 2 are needed")
        if boxes not in ("predicted", "truth"):
            raise UserError(f"rgrg: boxes is {boxes!r}; it must be predicted or truth")
        if dedup not in ("auto", "bertscore", "exact", "off"):
            raise UserError(f"rgrg: dedup is {dedup!r}; it must be auto, bertscore, exact or off")
        from adapters.rgrg.weights import load
        from adapters.rgrg.words import Words

        self.path = Path(argument) if argument else weights or DEMO_WEIGHTS
        self.device = device_named(device, "rgrg")
        loaded = load(self.path)
        if beams > 1 and 2 * beams > loaded.network.sizes.words:
            raise UserError(
                f"rgrg: beams is {beams}; its search needs {2 * beams:,} words, and these weights have {loaded.network.sizes.words:,}: take less"
            )
        self.about = loaded.about
        folder = self.path if self.path.is_dir() and tokenizer is None else pieces_folder("rgrg", tokenizer, self.path.parent, HUB_NAMES)
        self.words = Words.of_folder(folder, loaded.network.sizes.words)
        self.network = loaded.network.to(self.device)
        self.beams, self.max_tokens, self.boxes, self.batch_size = beams, max_tokens, boxes, batch_size
        self.dedup, self._alike = _dedup(dedup, dedup_model, device, download)

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        rows = [packages_line(PACKAGES), demo_line("rgrg", DEMO_WEIGHTS)]
        if not rows[0][0]:
            return rows
        from adapters.rgrg.alike import is_there

        has_bert = is_there()
        return [
            *rows,
            (
                published_file() is not None,
                f"published weights (MIT, 4.2 GB, one .pt): get the full model's checkpoint that {REPOSITORY} links to, and name it: rgrg:PATH",
            ),
            (
                has_pieces("rgrg", HUB_NAMES),
                "GPT-2's word pieces for them (vocab.json, merges.txt, 1.5 MB, MIT), beside them or as healx/gpt-2-pubmed-medium in the hub's cache",
            ),
            (has_bert, f"{BERT} (Apache-2.0, 268 MB), which finds sentences alike{'' if has_bert else '; without it only equal ones are left out'}"),
        ]

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order, handed out batch by batch."""
        for start in range(0, len(cases), self.batch_size):
            yield from self._batch(cases[start : start + self.batch_size])

    def _batch(self, cases: Sequence[Case]) -> Iterator[Report]:
        import torch

        opened = [self._open(case) for case in cases]
        usable = [one for one in opened if isinstance(one, Opened)]
        written: Iterator[Written] = iter(())
        if usable:
            with torch.inference_mode():
                written = iter(self._write(usable))
        for case, one in zip(cases, opened, strict=True):
            if not isinstance(one, Opened):
                yield Report(case.id, failure=one)
                continue
            said = next(written)
            text = self._assemble(list(said.sentences.values()))
            yield Report(case.id, text=text, regions=said.sentences, details=said.details)

    def _open(self, case: Case) -> Opened | str:
        """The case's image as the network wants it and its granted boxes, or why it cannot be answered."""
        from adapters.rgrg.image import fit_of, square

        if not case.images:
            return "the case has no image"
        if self.boxes == "truth" and case.boxes is None:
            return "boxes=truth was asked for, but this case grants no boxes"
        try:
            grey = read_radiograph(case.images[0].path)
        except UserError as error:
            return str(error)
        side, size_px = self.network.sizes.image_px, (grey.shape[1], grey.shape[0])
        fit = fit_of(*size_px, side)
        given = {REGIONS.index(name): fit.to_square(box, size_px) for name, box in (case.boxes or {}).items() if name in REGIONS}
        return Opened(square(grey, side), size_px, given if self.boxes == "truth" else {})

    def _write(self, opened: Sequence[Opened]) -> list[Written]:
        """What is found and said, image by image."""
        import torch

        from adapters.rgrg.image import normalised
        from adapters.rgrg.writing import write

        sizes = self.network.sizes
        squares = normalised(np.stack([one.square for one in opened]), sizes.mean, sizes.deviation)
        images = torch.from_numpy(squares)[:, None].to(self.device)
        chosen = self.network(images) if self.boxes == "predicted" else self._granted(images, [one.boxes for one in opened])
        tokens = write(self.language, chosen.found.features[chosen.is_chosen], beams=self.beams, most_tokens=self.max_tokens)
        sentences = iter([self.words.text(row) for row in tokens])
        return [
            Written({REGIONS[region]: next(sentences) for region in chosen.is_chosen[row].nonzero()[:, 0].tolist()}, self._details(chosen, row, one))
            for row, one in enumerate(opened)
        ]

    @property
    def language(self) -> Any:
        """The part that writes."""
        return self.network.language

    def _granted(self, images: Tensor, boxes: Sequence[Mapping[int, BoxXYXY]]) -> Chosen:
        """As if the detector had found just those boxes, and every one were worth a sentence."""
        import torch

        from adapters.rgrg.detector import Found

        placed = torch.zeros(len(boxes), len(REGIONS), 4, device=images.device)
        is_there = torch.zeros(len(boxes), len(REGIONS), dtype=torch.bool, device=images.device)
        features = torch.zeros(len(boxes), len(REGIONS), self.network.sizes.region_width, device=images.device)
        for row, named in enumerate(boxes):
            for region, box in named.items():
                placed[row, region], is_there[row, region] = torch.tensor(box, device=images.device), True
        for row, seen in enumerate(self.network.detector.features(images, [found[there] for found, there in zip(placed, is_there, strict=True)])):
            features[row, is_there[row]] = seen
        return self.network.choose(Found(placed, is_there.float(), is_there, features))._replace(is_chosen=is_there)

    def _details(self, chosen: Chosen, row: int, one: Opened) -> dict[str, Any]:
        """Boxes on the image file, and what was thought of each region."""
        from adapters.rgrg.image import fit_of

        fit = fit_of(*one.size_px, self.network.sizes.image_px)
        found = chosen.found
        there = found.is_found[row].nonzero()[:, 0].tolist()
        details: dict[str, Any] = {
            "boxes": {REGIONS[region]: [round(edge, 1) for edge in fit.to_image(_edges(found.boxes[row, region]), one.size_px)] for region in there},
            "selection": {REGIONS[region]: round(float(chosen.selection[row, region]), 4) for region in there},
            "abnormal": {REGIONS[region]: round(float(chosen.abnormal[row, region]), 4) for region in there},
            "missing_regions": [name for region, name in enumerate(REGIONS) if region not in there],
        }
        if not chosen.is_chosen[row].any():
            details["empty"] = NO_SENTENCE
        return details

    def _assemble(self, sentences: Sequence[str]) -> str:
        from adapters.rgrg.report import assemble

        return assemble(sentences, self._alike, drops_equal=self.dedup != "off")

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: checksum of the weights, their sizes, how they are used."""
        file = self.path / "weights.safetensors" if self.path.is_dir() else self.path
        return {
            "weights_sha256": sha256(file),
            "made_by": self.about.get("command", ""),
            "sizes": self.network.sizes.to_json(),
            "beams": self.beams,
            "max_tokens": self.max_tokens,
            "boxes": self.boxes,
            "dedup": self.dedup if self._alike is None else f"{self.dedup}|{self._alike.signature()}",
        }

    def card(self) -> ProtocolCard:
        """What is to be known before its numbers are set beside another's."""
        decoding = f"beam search, {self.beams} beams" if self.beams > 1 else "greedy"
        shared = ProtocolCard(
            target="sentences of regions",
            inputs=("frontal image",) if self.boxes == "predicted" else ("frontal image", "boxes"),
            decoding=f"{decoding}, at most {min(self.max_tokens, self.network.sizes.places)} tokens a sentence",
            remarks=(
                SAID_ONCE[self.dedup],
                "Where no region is found and chosen, as in most lateral images, the report is empty and scored as such.",
                *(["It was granted true boxes and wrote a sentence for each: no report of an image alone."] if self.boxes == "truth" else []),
            ),
        )
        if self.path.is_dir():
            learnt = learnt_by_command(self.about)
            size = "At the size of a demonstration and trained from nothing: it says nothing about the published model."
            return replace(
                shared,
                training=learnt.training,
                leaks=learnt.leaks,
                licence=OURS,
                weights="the demo's, which ship with the project" if self.path == DEMO_WEIGHTS else "trained here",
                remarks=(*shared.remarks, size),
            )
        learnt = learnt_from("chest_imagenome")
        whole = "Its authors measured it on the images of Chest ImaGenome's test split whose reports have a findings section."
        return replace(
            shared,
            training=f"{learnt.training}; GPT-2 medium of PubMed texts, kept as it was",
            leaks=learnt.leaks,
            licence="MIT (code and weights), PhysioNet (what they learnt from)",
            weights=f"the full model's checkpoint that {REPOSITORY} links to",
            remarks=(*shared.remarks, whole),
        )


class Opened(NamedTuple):
    """A case that can be answered."""

    square: np.ndarray
    """(P, P) uint8"""
    size_px: tuple[int, int]
    """width and height of the image file"""
    boxes: Mapping[int, BoxXYXY]
    """region's number -> granted box on the square"""


class Written(NamedTuple):
    """What is said of an image."""

    sentences: dict[str, str]
    """region -> sentence, in the order of the regions"""
    details: dict[str, Any]
    """boxes and logits"""


def _edges(box: Tensor) -> BoxXYXY:
    left, top, right, bottom = box.tolist()
    return (left, top, right, bottom)


def _dedup(wanted: str, model: str, device: str, download: bool) -> tuple[str, Alike | None]:
    """What is left out, and by what."""
    if wanted in ("exact", "off"):
        return wanted, None
    from adapters.rgrg.alike import Alike, is_there

    if wanted == "auto" and not download and not is_there(model):
        return "exact", None
    return "bertscore", Alike(model, device, download=download)


def _needs_packages() -> None:
    """Raise UserError with the remedy unless what RGRG stands on is installed."""
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise UserError(f"rgrg needs {package}, which is not installed; install the extra: pip install 'clala-benchmark[models]'") from error
