"""What travels between files: cases, references, reports, labels, rows and the configuration of a run.

Frozen dataclasses of plain values, so that each can be written as one line of JSON and compared with ``==``.
The reference report is in no record that a model gets: it cannot leak by accident.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

BoxXYXY = tuple[float, float, float, float]
"""left, top, right, bottom in pixels of the image file, origin at the upper left corner."""


@dataclass(frozen=True)
class ImageFile:
    """One radiograph on disk."""

    path: Path
    """JPG, PNG or DICOM; read it with ``benchmark.datasets.images.read_radiograph``."""
    view: str = ""
    """AP, PA, LATERAL, LL, or empty where the dataset does not say."""
    id: str = ""
    """the dataset's name of the image (a dicom id), empty if it has none"""


@dataclass(frozen=True)
class Case:
    """What a model may see of one examination."""

    id: str
    """unique within the dataset"""
    patient: str
    """cases of one patient are resampled together"""
    study: str
    """the examination; two images of one study share a report"""
    images: tuple[ImageFile, ...]
    """the image that the report is asked for comes first; further views of the same study follow"""
    indication: str = ""
    """reason for the examination, as the report states it"""
    technique: str = ""
    """technique section of the report"""
    comparison: str = ""
    """comparison section of the report (which earlier examination was looked at)"""
    prior_report: str = ""
    """report of the same patient's previous study"""
    prior_image: Path | None = None
    """frontal image of the same patient's previous study"""
    boxes: Mapping[str, BoxXYXY] | None = None
    """region name -> box on ``images[0]``; None unless the experiment grants true boxes"""


@dataclass(frozen=True)
class Lesion:
    """One of the 14 lesions as one report speaks of it."""

    name: str
    """one of ``vocabulary.LESIONS``"""
    status: str
    """positive | negative (a lesion that is not mentioned is negative)"""
    side: str = "not mentioned"
    """left | right | bilateral | not mentioned; negatives carry ``not mentioned``"""
    certainty: str = "stated"
    """stated | hedged ("possible", "cannot be excluded") | not mentioned"""
    rationale: str = ""
    """the words of the report that decided it"""


Lesions = tuple[Lesion, ...]
"""All 14 lesions of one report, in the order of ``vocabulary.LESIONS``."""


@dataclass(frozen=True)
class Reference:
    """What is known about a case; never shown to a model that is being measured."""

    case_id: str
    """the case it belongs to"""
    report: str
    """the text that predictions are measured against (the FINDINGS section unless a dataset says otherwise)"""
    region_sentences: Mapping[str, str] = field(default_factory=dict)
    """region name -> what the report says about it"""
    boxes: Mapping[str, BoxXYXY] = field(default_factory=dict)
    """region name -> true box on the case's first image"""
    lesions: Lesions | None = None
    """labels that come with the dataset (phantom truth, expert labels), None if there are none"""


@dataclass(frozen=True)
class Report:
    """What a model wrote about a case, or why it did not."""

    case_id: str
    """the case it belongs to"""
    text: str = ""
    """the report; an empty text without a failure is an answer (and scored as one)"""
    failure: str = ""
    """why there is no report; such a case is counted and shown, never scored"""
    regions: Mapping[str, str] = field(default_factory=dict)
    """region name -> sentence, for models that write by region"""
    details: Mapping[str, Any] = field(default_factory=dict)
    """anything else worth keeping, as JSON values (predicted lesions, boxes, scores)"""


Section = Literal["findings", "impression", "findings and impression", "whole report", "sentences of regions", "any", "unknown"]
Input = Literal["frontal image", "other views", "indication", "technique", "comparison", "prior report", "prior image", "boxes", "lesions"]
"""What of a case a model may be given, in the words of a ``ProtocolCard``."""


@dataclass(frozen=True)
class Evidence:
    """One thing that a case's scores stand on, as a metric tells it of itself."""

    about: str
    """what it is about: ``Clinical accuracy``, ``Missing finding``"""
    value: str = ""
    """what it came to, in words: ``3 of 5``, ``2``; empty where the words say it"""
    words: str = ""
    """why: a quotation, the lesions, the judge's own sentence"""


@dataclass(frozen=True)
class ProtocolCard:
    """What a model is and how it came to its reports: what must be known before its numbers are set beside another's.

    A model says it of itself: ``card() -> ProtocolCard``, see ``hookspecs.Model``. Every field is words for people; one that is left empty is
    printed as not known, so that silence is never taken for a clean bill. The tables print it under the numbers.
    """

    target: Section = "unknown"
    """what it was trained to write; ``any``: whatever the training reports are"""
    inputs: tuple[Input, ...] | None = None
    """what it makes use of, of all that a case may hold; () = of nothing, None = not known. What a run shows it is ``RunConfig.context``"""
    decoding: str = ""
    """``beam search, 3 beams, at most 60 tokens``; ``none`` where nothing is decoded"""
    training: str = ""
    """data and split that it learnt from: ``MIMIC-CXR, official split, findings``; ``none`` where nothing was learnt"""
    leaks: Mapping[str, str | None] | None = None
    """measured data -> what of them the model has learnt from, as a footnote says it; a mark stands beside the model's name where they are measured.

    A key is a dataset's registered name, or one split of it: ``{"chest_imagenome": "39,243 of its 47,393 test images are in MIMIC-CXR's train
    split", "mimic_cxr/train": "its own training split"}``; or the fingerprint of a split; or a split of a dataset with just that argument, also with
    none: ``phantom:seed=7/train``, ``phantom:/train``; or ``*``, whatever else there is. {} = of none; None, of all or of one = not known, which has
    a mark of its own.
    """
    licence: str = ""
    """of code and weights, as far as they bind a user: ``MIT (code), PhysioNet (weights)``"""
    weights: str = ""
    """where they come from: a DOI, a page, ``trained here``; ``none`` where there are none"""
    remarks: tuple[str, ...] = ()
    """whole sentences on what a score would hide: ``Cuts every report at 60 tokens.``"""

    def leak(self, dataset: str, split: str, fingerprint: str = "") -> str | None:
        """What the model has learnt from, of the split of a dataset as typed; empty = nothing, None = not known."""
        name, _, argument = dataset.partition(":")
        keys = (fingerprint, f"{name}:{argument}/{split}", f"{name}/{split}", name, "*")
        return None if self.leaks is None else next((self.leaks[key] for key in keys if key in self.leaks), "")


@dataclass(frozen=True)
class Row:
    """One published number."""

    model: str
    """registered name, or ``A - B`` for a paired difference"""
    metric: str
    """registered name of the metric"""
    value_name: str
    """which of the metric's numbers, e.g. ``macro_f1`` or ``pneumothorax.f1``"""
    value: float
    """NaN if nothing could be scored"""
    low: float
    """lower end of the interval, NaN for quoted numbers"""
    high: float
    """upper end of the interval"""
    scored: int
    """cases that entered the number"""
    unscored: int
    """cases that did not: the model failed, or the metric could not say"""
    signature: str
    """how it was computed; two numbers compare only if these agree"""
    source: Literal["measured", "quoted"] = "measured"
    """measured here, or printed elsewhere"""
    p_value: float | None = None
    """two-sided, for differences"""
    title: str = ""
    """head of its column, as the metric has it: ``ROUGE-L (google, stem)``; empty if the metric does not say"""
    direction: Literal["higher", "lower", ""] = ""
    """which way is better; empty if neither is, or nobody says"""
    is_headline: bool = False
    """stands in the summary, by the metric's own word"""
    stratum: str = ""
    """the part of the cases that it is of, ``normal`` or ``view PA``; empty for all of them"""
    detectable: float | None = None
    """of a difference: the smallest true one that such a comparison would find in 80 % of repetitions"""
    margin: float | None = None
    """of a difference: by how much a model may be worse than the other and still count as not worse, if that was asked"""
    p_first_not_worse: float | None = None
    """of a difference with a margin: one-sided, against the first model being worse by the margin or more"""
    p_second_not_worse: float | None = None
    """the same of the second"""
    patients: int | None = None
    """whose cases entered the number, each case its own where nobody said whose they are; None if it is not known"""
    printed: str = ""
    """of a quoted number, its digits: 0.40 is another print than 0.4; empty for what was measured here"""


@dataclass(frozen=True)
class Problem:
    """Something wrong with the input that was counted and stepped over, or stopped at under ``--strict``."""

    kind: str
    """short and countable: ``missing scene graph``"""
    where: str
    """file, and line or id within it"""
    what: str = ""
    """what was found and what was done about it"""
    count: int = 1
    """how many of them this one stands for, where there are too many to list"""


Context = Literal["none", "indication", "full"]
"""How much of a case models see: none = ``images[0]`` alone; indication = that and the reason for the examination; full = all that is there."""

DEFAULT_METRICS = ("lesions", "meteor", "rouge_l", "bleu")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the numbers of a run; frozen before the first case is read."""

    models: tuple[str, ...]
    """as typed: ``name`` or ``name:argument``"""
    metrics: tuple[str, ...]
    """registered names"""
    dataset: str
    """registered name, with its argument if it has one: ``chest_imagenome``, ``manifest:cases.csv``"""
    split: str = "test"
    """train | validate | test"""
    limit: int | None = None
    """first so many cases only"""
    options: Mapping[str, str] = field(default_factory=dict)
    """``clala.beams`` -> ``3``: settings of single models, metrics or the dataset, as typed"""
    labeller: str = "rules"
    """who turns reports into lesions"""
    draws: int = 1000
    """bootstrap resamples"""
    level: float = 0.95
    """coverage of the intervals"""
    seed: int = 42
    """of the resampling and of the sample, and handed to models that draw"""
    device: str = "auto"
    """auto | cpu | cuda | cuda:1 ..."""
    workers: int = 0
    """processes for scoring; 0 = one per core. Never changes a number."""
    grant: tuple[str, ...] = ()
    """what models may be told of the cases that they are measured on: ``lesions``, or nothing"""
    judge: str = "rules"
    """who judges reports, for metrics that need a judge: rules, or language_model"""
    strata: bool = True
    """measure parts of the cases too: normal, abnormal, by number of lesions, by view"""
    interval: Literal["percentile", "bca"] = "percentile"
    """how intervals are made of the resampled numbers"""
    margins: Mapping[str, float] = field(default_factory=dict)
    """``lesions.macro_f1`` or ``rouge_l`` (its headlines) -> by how much a model may be worse than another and still count as not worse"""
    context: Context | Literal[""] = "full"
    """how much of a case models see, while they learn too; empty for reports that already exist, of which nobody knows"""
    sample: int | None = None
    """so many cases, stratified by lesion and chosen by ``seed``; all if None"""


class UserError(Exception):
    """Something the user can mend: says what was asked, what was found, what to do. Printed on one line, exit 2."""


class Interrupted(BaseException):
    """Ctrl-C, or what a scheduler sends. Not a KeyboardInterrupt: the command framework would swallow that one with a word of its own."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal
        """its number: 2 Ctrl-C, 15 a scheduler, 1 a terminal that was closed"""


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""what Ctrl-C, a scheduler and a closed terminal send"""


def interrupt(number: int, _frame: object) -> None:
    """The answer to one of them. Raises ``Interrupted``."""
    raise Interrupted(number)


class TrainingData(Protocol):
    """Where a model that learns from examples finds them: the training split of the run's dataset."""

    def cases(self, split: str) -> list[Case]:
        """All cases of a split, in the dataset's fixed order."""

    def references(self, split: str) -> list[Reference]:
        """Their references, in the same order."""


class Granted(Protocol):
    """Where a model that an experiment tells something of the measured cases finds it: nothing, unless the run grants it (``--grant lesions``)."""

    def lesions(self, source: str) -> Mapping[str, Lesions]:
        """Case id -> lesions, of all cases of the split, those beyond ``--limit`` too. Raises ``UserError`` if the run does not grant it.

        ``source`` is truth, file:PATH or a labeller's name. A model asks while it is made: what it was told is on record before its first report.
        """

    def made_of_them(self, said: str) -> None:
        """What the note under the tables shall add where the model was told something else than it was given: ``corrupted to F1 0.70``."""
