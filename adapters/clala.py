"""CLALA-Net as a model of the benchmark: cases to reports, and a dataset to an index file that its trainer reads.

python -m benchmark run --models clala                       the demo weights that ship with the project
python -m benchmark run --models clala:path/to/weights       others
python -m benchmark train clala --preset demo --dataset phantom --out path/to/weights
python -m benchmark run --models clala --grant lesions --set clala.lesions=truth --set clala.label_f1=0.7       Figure 3
python -m benchmark run --models clala --set clala.aggregator=language_model --llm openai/gpt-4o-mini            as in the paper
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from adapters.clala_told import ToldLesions, names_of, rows_of, told_lesions
from adapters.needed import packages_line
from adapters.protocol import OURS, learnt_by_command
from benchmark.datasets.images import read_radiograph
from benchmark.labelling.sources import LabelSource, label_source, short_name
from benchmark.llm import prompts
from benchmark.llm.json_answers import without_thoughts
from benchmark.llm.questions import Ask, Failed, LanguageModels, Question, Unusable, ask_for
from benchmark.progress import progress
from benchmark.records import Case, Granted, Input, Lesions, ProtocolCard, Reference, Report, TrainingData, UserError
from benchmark.registry import options_of

if TYPE_CHECKING:
    from clala.aggregate import NoAnswer
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
        aggregator: Literal["rules", "language_model"] | Callable[[str], str] = "rules",
        prompt: Path | None = None,
        batch_size: int = 16,
        threshold: float | None = None,
        lesions: str = "predicted",
        label_f1: float | None = None,
        granted: Granted | None = None,
        llm: LanguageModels | None = None,
        seed: int = 42,
    ) -> None:
        """Load the weights of the folder ``argument`` (or ``weights``); the demo's if neither is given.

        boxes       predicted = by the model's detector; truth = those that the experiment grants with the case
        aggregator  who makes a report of the sentences: rules, a language model, or in Python a function from a prompt to its answer
        prompt      a text in place of prompts/aggregate.md
        threshold   a lesion is present from this probability on; None = the threshold of each lesion that was tuned on validation images
        lesions     what LCA is told: predicted = by the model's classifier; truth, rules or file:PATH = what the references say, if the run grants it
        label_f1    those labels made wrong to this F1 per lesion, a share (D13); None = as they are
        seed        of that corruption
        """
        needs_torch()
        import torch

        from clala.checkpoint import BadCheckpoint, load, sha256
        from clala.config import BadConfig

        if beams < 1 or batch_size < 1:
            raise UserError(f"clala: beams is {beams} and batch_size {batch_size}; both must be at least 1")
        if boxes not in ("predicted", "truth"):
            raise UserError(f"clala: boxes is {boxes!r}; it must be predicted or truth")
        if aggregator not in ("rules", "language_model") and not callable(aggregator):
            raise UserError(f"clala: aggregator is {aggregator!r}; it must be rules or language_model, or in Python a function that asks one")
        if prompt is not None and aggregator == "rules":
            raise UserError(f"clala: prompt={prompt} is for a language model, but aggregator is rules; set clala.aggregator=language_model too")
        if label_f1 is not None and lesions == "predicted":
            raise UserError(
                f"clala: label_f1={label_f1} makes labels wrong that are handed in, but lesions=predicted takes the classifier's; "
                "name labels too: lesions=truth, rules or file:PATH"
            )
        folder = Path(argument) if argument else weights or DEMO_WEIGHTS
        try:
            self.bundle: Bundle = load(folder)
        except (BadCheckpoint, BadConfig) as error:
            raise UserError(f"clala: {error}") from error
        if threshold is not None:
            self.bundle.thresholds.fill_(threshold)
        self.bundle.to(torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device))
        self.folder, self.beams, self.boxes, self.batch_size = folder, beams, boxes, batch_size
        self.aggregator = "rules"
        if aggregator != "rules":
            self._ask_for_reports(aggregator, prompt, llm)
        self.checksum = sha256(folder)
        self.told: dict[str, np.ndarray] | None = None
        self.about_told: dict[str, Any] = {"lesions": short_name(lesions)}
        if lesions != "predicted":
            self._ask_for_labels(lesions, label_f1, granted, seed)

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        has_weights = (DEMO_WEIGHTS / "weights.safetensors").is_file()
        make = "python -m benchmark train clala --preset demo --dataset phantom --out clala/weights/demo"
        return [
            packages_line(("torch", "timm", "transformers", "safetensors")),
            (has_weights, f"demo weights, trained on phantoms alone{'' if has_weights else f' (not here; make them: {make})'}; others: clala:FOLDER"),
        ]

    def _ask_for_labels(self, lesions: str, label_f1: float | None, granted: Granted | None, seed: int) -> None:
        """Fill ``told``: case id -> (14,) what LCA is told of it."""
        if not self.bundle.config.lca:
            raise UserError(
                f"clala: lesions={lesions}, but these weights have no lesion cross-attention that could be told; leave lesions, or take others"
            )
        if granted is None:
            raise UserError(f"clala: lesions={lesions} needs what the references say; give granted, an object with lesions(source)")
        labels = granted.lesions(lesions)
        told = told_lesions(rows_of(labels.values()), label_f1, seed=seed)
        self.told = dict(zip(labels, told.rows, strict=True))
        if label_f1 is not None:
            self.about_told |= {"label_f1": label_f1, "label_seed": seed, "label_f1_reached": told.record()}
            granted.made_of_them(
                f"corrupted to F1 {label_f1:.2f} (reached: {told.macro_f1:.2f}, mean of {len(told.f1)} lesions, {len(labels):,} cases)"
            )

    def _ask_for_reports(self, aggregator: str | Callable[[str], str], prompt: Path | None, llm: LanguageModels | None) -> None:
        """Choose who is asked to make reports of sentences, and with which words."""
        self._prompt = prompts.load("aggregate", prompt)
        if callable(aggregator):
            self._ask_all = _one_by_one(aggregator)
            self.aggregator = f"language_model|prompt:{self._prompt.digest}"
        else:
            ask = ask_for("aggregate", llm)
            self._ask_all = _together(ask)
            self.aggregator = f"language_model|{ask.signature()}|prompt:{self._prompt.digest}"

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order, handed out batch by batch."""
        for start in range(0, len(cases), self.batch_size):
            yield from self._batch(cases[start : start + self.batch_size])

    def _batch(self, cases: Sequence[Case]) -> Iterator[Report]:
        from clala.generate import write
        from clala.regions import regions_of

        opened = [self._open(case) for case in cases]
        usable = [one for one in opened if isinstance(one, Opened)]
        hints = None if self.told is None or not usable else np.stack([one.hints for one in usable])
        written = list(write(self.bundle, [one.image for one in usable], boxes=[one.boxes for one in usable], lesions=hints, beams=self.beams))
        answers = iter(zip(written, self._put_together([said.sentences for said in written]), strict=True))
        for case, one in zip(cases, opened, strict=True):
            if not isinstance(one, Opened):
                yield Report(case.id, failure=one)
                continue
            said, (text, failure) = next(answers)
            details: dict[str, Any] = {
                "told": [name for name, present in said.present.items() if present],
                "boxes": {name: [round(edge, 1) for edge in box] for name, box in said.boxes.items()},
                "missing_regions": [name for name in regions_of(self.bundle.config.roi_set) if name not in said.boxes],
            }
            if self.told is None:
                details["lesions"] = {name: round(value, 4) for name, value in said.lesions.items()}
            yield Report(case.id, text=text, failure=failure, regions=said.sentences, details=details)

    def _put_together(self, cases: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
        """For each case a report of its sentences and no failure, or no report and why: never one by rules where a model was to write it."""
        from clala.aggregate import NotAggregated, aggregate, aggregate_all_by_model

        if self.aggregator == "rules":
            return [(aggregate(sentences), "") for sentences in cases]
        reports = aggregate_all_by_model(cases, self._ask_all, self._prompt.text)
        return [("", str(report)) if isinstance(report, NotAggregated) else (report, "") for report in reports]

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
        if self.told is None:
            hints = np.zeros(0, np.float32)
        elif (row := self.told.get(case.id)) is None:
            return "no labels were granted for this case"
        else:
            hints = row
        return Opened(image, dict(case.boxes) if self.boxes == "truth" and case.boxes is not None else None, hints)

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
            "labels_in_training": self.bundle.about.get("labels", {}),
            **self.about_told,
        }

    def card(self) -> ProtocolCard:
        """What stands under its numbers; what it learnt from as ``about.json`` of the weights says."""
        learnt = learnt_by_command(self.bundle.about)
        labels = self.bundle.about.get("labels", {}).get("source")
        given: list[Input] = ["frontal image"]
        given += ["boxes"] if self.boxes == "truth" else []
        given += ["lesions"] if self.told is not None else []
        return ProtocolCard(
            "sentences of regions",
            tuple(given),
            f"beam search, {self.beams} beams, at most {self.bundle.config.max_tokens} tokens for each region",
            f"{learnt.training}, lesions by {labels}" if learnt.training and labels else learnt.training,
            learnt.leaks,
            OURS,
            "the demo's, which ship with the project" if self.folder == DEMO_WEIGHTS else f"the user's own (sha256 {self.checksum[:12]})",
            ("Regions of the paper alone are written of: what lies outside them is not in a report.",),
        )


@dataclass(frozen=True)
class Opened:
    """A case that can be answered."""

    image: Gray
    """(H, W) uint8"""
    boxes: dict[str, tuple[float, float, float, float]] | None
    """true boxes, None = to be predicted"""
    hints: np.ndarray
    """(14,) what LCA is told; empty = what the classifier sees"""


def _together(ask: Ask) -> Callable[[Sequence[str]], list[str | NoAnswer]]:
    """Asks for all reports of a batch at once, as many at a time as the endpoint takes."""
    from clala.aggregate import NoAnswer

    def ask_all(filled: Sequence[str]) -> list[str | NoAnswer]:
        outcomes = ask((Question("aggregate", prompt) for prompt in filled), read_report)
        return [
            NoAnswer(f"the language model gave no report: {outcome.kind}: {outcome.what}") if isinstance(outcome, Failed) else outcome.value
            for outcome in outcomes
        ]

    return ask_all


def _one_by_one(ask: Callable[[str], str]) -> Callable[[Sequence[str]], list[str | NoAnswer]]:
    """Asks a function, and stops at an endpoint that is not there or not approved: no case after this one would fare better."""
    from clala.aggregate import answer_of

    def ask_all(filled: Sequence[str]) -> list[str | NoAnswer]:
        answers = []
        for prompt in filled:
            answer = answer_of(ask, prompt)
            if isinstance(answer, Exception) and isinstance(answer.__cause__, UserError):
                raise answer.__cause__
            answers.append(answer)
        return answers

    return ask_all


def read_report(answer: str) -> str:
    """The report in an answer. Raises ``Unusable`` if there is none."""
    if not (report := without_thoughts(answer).strip()):
        raise Unusable("the report is empty; write the report")
    return report


def train(
    training: TrainingData,
    *,
    out: Path,
    preset: str = "demo",
    labels: str = "rules",
    label_f1: float | None = None,
    classifier: Path | None = None,
    detector: Path | None = None,
    seed: int = 42,
    device: str = "auto",
    command: str = "",
    epochs: int | None = None,
    epochs_stage2: int | None = None,
    lca: bool | None = None,
    llcl: bool | None = None,
    batch: int | None = None,
    pretrained: bool = False,
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto",
    workers: int = 0,
    crops: Path | None = None,
    start: Path | None = None,
    save_every: int = 0,
    prepare: bool = False,
    half: bool = True,
    tensorboard: bool = False,
    settings: str = "",
    llm: Any = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Train on a dataset's train and validate splits and return the folder of the weights.

    labels      who says which lesions a training report states: truth, where the dataset knows; file:PATH, labels by id; rules and other labellers.
                Predictions out of fold (D22), which spare the gap between labels in training and predictions at test, come in by file too
    label_f1    what LCA is told in training, made wrong to this F1 per lesion, a share (D13); sentences, LLCL and classifier keep to the labels
    classifier  folder of a trained one (`train classifier`); else that of the start, or one is trained first
    detector    folder of a trained one (`train detector`); else that of the start, or one is trained first
    epochs      of stage 1; 0 leaves it out
    lca llcl    off for the ablations of Tables 2b and 3
    crops       folder for the crops, to be shared by several trainings, at the same time too
    start       folder of the same training with stage 1 done, as --epochs-stage2 0 --no-half leaves it; goes on with stage 2, of any crop_px_stage2
    save_every  steps between two saved states within an epoch; 0 = after each epoch alone
    prepare     write work/index.jsonl and cut the crops, and stop there: for a training that `accelerate launch -m clala.train` does on several GPUs
    half        store float16; a folder that stage 2 is to start from is stored in full, --no-half
    settings    anything else of CLALAConfig and Recipe: NAME=VALUE;NAME=VALUE
    options     of whoever labels, by name: {"rules.hedges": "d15"}

    Raises UserError for a setting that does not exist, a split that is empty, labels that are not there, a folder that another training is in.
    """
    needs_torch()
    from clala.checkpoint import load, save
    from clala.config import BadConfig, read_settings, with_settings
    from clala.data import write_index
    from clala.held import held
    from clala.state import OtherTraining
    from clala.train import FAILURES, REFUSALS, Job, another, has_begun
    from clala.train import prepare as prepare_clala
    from clala.train import train as train_clala

    if start is not None and epochs is None:
        epochs = 0
    named = {"epochs_stage1": epochs, "epochs_stage2": epochs_stage2, "lca": lca, "llcl": llcl, "batch": batch}
    changes: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    try:
        changes |= read_settings(settings)
        config, recipe = with_settings(preset, changes)
    except BadConfig as error:
        raise UserError(f"train clala: {error}") from error
    if config.detector == "yolov10" and detector is None and start is None and not prepare:
        raise UserError(
            f"train clala: the preset {preset!r} has the detector yolov10, which is trained apart: `train detector`, then --detector FOLDER"
        )
    source = label_source(labels, options_of(options or {}, labels), {"device": device, "seed": seed, "llm": llm})
    lines: list[IndexLine] = []
    record: dict[str, Any] = {"source": short_name(labels), "signature": source.signature()}
    for split in ("train", "validate"):
        found = index_lines(training.cases(split), training.references(split), split, source, config.compat)
        if label_f1 is not None:
            found, told = _made_wrong(found, label_f1, seed)
            record |= {"label_f1": label_f1, f"reached_{split}": told.record()}
        lines += found
    if not any(line.split == "train" for line in lines):
        raise UserError("train clala: the dataset has no training image with boxes and region sentences; CLALA-Net learns from both")
    index = out / "work" / "index.jsonl"
    job = Job(
        index,
        out,
        config,
        recipe,
        seed,
        device,
        pretrained,
        precision,
        workers,
        tensorboard,
        command,
        read_radiograph,
        classifier=classifier,
        detector=detector,
        crops=crops,
        save_every=save_every,
        start=start,
    )
    shown: dict[str, Any] = {"progress": lambda label, total, unit: progress(label, total, unit=unit)}
    try:
        with held(out):  # from before the index is written until the record of its labels is: between them another training could put its own there
            new = index.with_name("index.jsonl.new")
            write_index(lines, new)
            if has_begun(out) and index.exists() and index.read_bytes() != new.read_bytes():
                new.unlink()
                raise OtherTraining(another(out))
            new.replace(index)
            if prepare:
                prepare_clala(job, **shown, is_held=True)
                return index
            train_clala(job, **shown, is_held=True)
            save(load(out), out, half=half, labels=record)
    except (*REFUSALS, *FAILURES) as error:
        raise UserError(f"train clala: {error}") from error
    return out


def index_lines(
    cases: Sequence[Case], references: Sequence[Reference], split: str, labels: str | LabelSource | None, compat: str = "table"
) -> list[IndexLine]:
    """Cases and what is known of them, as lines of the training index. Cases without boxes are left out: nothing can be cut from them.

    ``labels`` says who states the lesions: a source, or its name; None = nobody, for what learns from boxes alone.
    """
    from clala.data import IndexLine
    from clala.regions import REGIONS, roi_lesions

    kept = [(case, reference) for case, reference in zip(cases, references, strict=True) if reference.boxes and case.images]
    source = label_source(labels) if isinstance(labels, str) else labels
    labelled = source.lesions([case for case, _ in kept], [reference for _, reference in kept]) if source else [()] * len(kept)
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
        for (case, reference), lesions in zip(kept, map(positives, labelled), strict=True)
    ]


def _made_wrong(lines: Sequence[IndexLine], f1: float, seed: int) -> tuple[list[IndexLine], ToldLesions]:
    """The lines with what LCA is told at that F1; what LLCL and the classifier learn from stays.

    A lesion that is switched on has no side, so that no region could be said to carry it; and one thing changes at a time.
    """
    told = told_lesions(np.array([line.lesion_row() for line in lines]), f1, seed=seed)
    return [replace(line, told=names_of(row)) for line, row in zip(lines, told.rows, strict=True)], told


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
