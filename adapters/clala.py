"""CLALA-Net as a model of the benchmark: cases to reports, and a dataset to an index file that its trainer reads.

python -m benchmark run --models clala                       the demo weights that ship with the project
python -m benchmark run --models clala:path/to/weights       others
python -m benchmark train clala --preset demo --dataset phantom --out path/to/weights
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.datasets.images import read_radiograph
from benchmark.progress import progress
from benchmark.records import Case, Lesions, Reference, Report, TrainingData, UserError

if TYPE_CHECKING:
    from clala.checkpoint import Bundle
    from clala.crops import Gray
    from clala.data import IndexLine

DEMO_WEIGHTS = Path(__file__).resolve().parent.parent / "clala" / "weights" / "demo"


class CLALA:
    """Writes a report from the sentences of its regions."""

    def __init__(
        self,
        argument: str = "",
        *,
        device: str = "auto",
        weights: Path | None = None,
        beams: int = 3,
        boxes: Literal["predicted", "truth"] = "predicted",
        aggregator: Literal["rules"] = "rules",
        batch_size: int = 16,
        threshold: float | None = None,
    ) -> None:
        """Load the weights of the folder ``argument`` (or ``weights``); the demo's if neither is given.

        boxes      predicted = by the model's detector; truth = those that the experiment grants with the case
        threshold  a lesion is present from this probability on; None = the threshold of each lesion that was tuned on validation images
        """
        needs_torch()
        import torch

        from clala.checkpoint import BadCheckpoint, load, sha256
        from clala.config import BadConfig

        if beams < 1 or batch_size < 1:
            raise UserError(f"clala: beams is {beams} and batch_size {batch_size}; both must be at least 1")
        if boxes not in ("predicted", "truth"):
            raise UserError(f"clala: boxes is {boxes!r}; it must be predicted or truth")
        if aggregator != "rules":
            raise UserError(f"clala: aggregator is {aggregator!r}; it must be rules")
        folder = Path(argument) if argument else weights or DEMO_WEIGHTS
        try:
            self.bundle: Bundle = load(folder)
        except (BadCheckpoint, BadConfig) as error:
            raise UserError(f"clala: {error}") from error
        if threshold is not None:
            self.bundle.thresholds.fill_(threshold)
        self.bundle.to(torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device))
        self.folder, self.beams, self.boxes, self.aggregator, self.batch_size = folder, beams, boxes, aggregator, batch_size
        self.checksum = sha256(folder)

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        packages = [name for name in ("torch", "timm", "transformers", "safetensors") if importlib.util.find_spec(name) is None]
        has_weights = (DEMO_WEIGHTS / "weights.safetensors").is_file()
        make = "python -m benchmark train clala --preset demo --dataset phantom --out clala/weights/demo"
        return [
            (not packages, "packages" if not packages else f"{', '.join(packages)} not installed: pip install 'clala-benchmark[models]'"),
            (has_weights, f"demo weights, trained on phantoms alone{'' if has_weights else f' (not here; make them: {make})'}; others: clala:FOLDER"),
        ]

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order, handed out batch by batch."""
        for start in range(0, len(cases), self.batch_size):
            yield from self._batch(cases[start : start + self.batch_size])

    def _batch(self, cases: Sequence[Case]) -> Iterator[Report]:
        from clala.aggregate import aggregate
        from clala.generate import write

        opened = [self._open(case) for case in cases]
        usable = [one for one in opened if isinstance(one, Opened)]
        written = iter(write(self.bundle, [one.image for one in usable], boxes=[one.boxes for one in usable], beams=self.beams))
        for case, one in zip(cases, opened, strict=True):
            if not isinstance(one, Opened):
                yield Report(case.id, failure=one)
                continue
            said = next(written)
            yield Report(
                case.id,
                text=aggregate(said.sentences),
                regions=said.sentences,
                details={
                    "lesions": {name: round(value, 4) for name, value in said.lesions.items()},
                    "boxes": {name: [round(edge, 1) for edge in box] for name, box in said.boxes.items()},
                },
            )

    def _open(self, case: Case) -> Opened | str:
        """The case's image and granted boxes, or why it cannot be answered."""
        if not case.images:
            return "the case has no image"
        if self.boxes == "truth" and case.boxes is None:
            return "boxes=truth was asked for, but this case grants no boxes"
        try:
            image = read_radiograph(case.images[0].path)
        except UserError as error:
            return str(error)
        return Opened(image, dict(case.boxes) if self.boxes == "truth" and case.boxes is not None else None)

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: checksum of the weights, their configuration, how they are used."""
        from clala.config import to_json

        return {
            "weights_sha256": self.checksum,
            "made_by": self.bundle.about.get("command", ""),
            "config": to_json(self.bundle.config),
            "beams": self.beams,
            "boxes": self.boxes,
            "aggregator": self.aggregator,
            "thresholds": [round(value, 4) for value in self.bundle.thresholds.tolist()],
        }


@dataclass(frozen=True)
class Opened:
    """A case that can be answered."""

    image: Gray
    """(H, W) uint8"""
    boxes: dict[str, tuple[float, float, float, float]] | None
    """true boxes, None = to be predicted"""


def train(
    training: TrainingData,
    *,
    out: Path,
    preset: str = "demo",
    labels: str = "rules",
    seed: int = 42,
    device: str = "auto",
    command: str = "",
    epochs: int | None = None,
    epochs_stage2: int | None = None,
    lca: bool | None = None,
    llcl: bool | None = None,
    batch: int | None = None,
    pretrained: bool = False,
    precision: Literal["no", "bf16", "fp16"] = "no",
    workers: int = 0,
    half: bool = True,
    tensorboard: bool = False,
    settings: str = "",
) -> Path:
    """Train on a dataset's train and validate splits and return the folder of the weights.

    labels    who says which lesions a training report states: a labeller's name, or truth where the dataset knows
    epochs    of stage 1; 0 leaves it out
    lca llcl  off for the ablations of Tables 2b and 3
    half      store float16
    settings  anything else of CLALAConfig and Recipe: NAME=VALUE;NAME=VALUE
    Raises UserError for a setting that does not exist, a split that is empty, labels that are not there.
    """
    needs_torch()
    from clala.checkpoint import load, save
    from clala.config import BadConfig, with_settings
    from clala.data import write_index
    from clala.train import Job
    from clala.train import train as train_clala

    named = {"epochs_stage1": epochs, "epochs_stage2": epochs_stage2, "lca": lca, "llcl": llcl, "batch": batch}
    changes: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    changes |= dict(item.strip().split("=", 1) for item in settings.split(";") if "=" in item)
    try:
        config, recipe = with_settings(preset, changes)
    except BadConfig as error:
        raise UserError(f"train clala: {error}") from error
    lines = [
        line
        for split in ("train", "validate")
        for line in index_lines(training.cases(split), training.references(split), split, labels, config.compat)
    ]
    if not any(line.split == "train" for line in lines):
        raise UserError("train clala: the dataset has no training image with boxes and region sentences; CLALA-Net learns from both")
    out.mkdir(parents=True, exist_ok=True)
    write_index(lines, out / "work" / "index.jsonl")
    job = Job(out / "work" / "index.jsonl", out, config, recipe, seed, device, pretrained, precision, workers, tensorboard, command, read_radiograph)
    train_clala(job, progress=lambda label, total, unit: progress(label, total, unit=unit))
    if half:
        save(load(out), out, half=True)
    return out


def index_lines(cases: Sequence[Case], references: Sequence[Reference], split: str, labels: str, compat: str = "table") -> list[IndexLine]:
    """Cases and what is known of them, as lines of the training index. Cases without boxes are left out: nothing can be cut from them."""
    from clala.data import IndexLine
    from clala.regions import REGIONS, roi_lesions

    kept = [(case, reference) for case, reference in zip(cases, references, strict=True) if reference.boxes and case.images]
    stated = [positives(lesions) for lesions in _labels([reference for _, reference in kept], labels)]
    return [
        IndexLine(
            id=case.id,
            patient=case.patient,
            split=split,
            image=case.images[0].path,
            boxes={name: box for name, box in reference.boxes.items() if name in REGIONS},
            sentences={name: text for name, text in reference.region_sentences.items() if name in REGIONS},
            lesions=lesions,
            roi_lesions={name: roi_lesions(name, lesions, compat) for name in reference.boxes if name in REGIONS},
            view=case.images[0].view,
        )
        for (case, reference), lesions in zip(kept, stated, strict=True)
    ]


def _labels(references: Sequence[Reference], labels: str) -> list[Lesions]:
    if labels == "truth":
        known = [reference.lesions for reference in references]
        if missing := sum(lesions is None for lesions in known):
            raise UserError(f"train clala: labels=truth, but {missing} of {len(known)} references carry no labels; use labels=rules")
        return [lesions for lesions in known if lesions is not None]
    from benchmark.labelling.choose import labeller_named

    return labeller_named(labels).label([reference.report for reference in references])


def positives(lesions: Lesions) -> Mapping[str, str]:
    """Lesion -> side, of those that a report states."""
    return {lesion.name: lesion.side for lesion in lesions if lesion.status == "positive"}


def needs_torch() -> None:
    """Raise UserError with the remedy unless what CLALA-Net stands on is installed."""
    for package in ("torch", "timm", "transformers", "safetensors"):
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise UserError(f"clala needs {package}, which is not installed; install the extra: pip install 'clala-benchmark[models]'") from error
