"""One case as the page shows it: what models saw, the reference, and every report with what was found in it.

Plain JSON values throughout: no number that is not finite, no path of this machine, nothing of another program's that is longer than a few lines.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.hookspecs import Metric
from benchmark.narrow import part_of
from benchmark.places import without_places
from benchmark.records import Case, ImageFile, Lesions, Reference, Report
from benchmark.viewer.errors import Masks, lesions_of
from benchmark.viewer.evidence import Witnesses, witnesses
from benchmark.viewer.numbers import CaseNumbers, Disagreement
from benchmark.viewer.placed import placed
from benchmark.viewer.short import LONGEST_WORDS, cut, reason
from benchmark.viewer.spans import TextReader
from benchmark.vocabulary import LESIONS

Label = Callable[[Sequence[str]], list[Lesions]]
"""texts -> the lesions of each, none (an empty tuple) where there is no answer"""
MOST_DETAILS = 20
MOST_PARTS = 4
"""of a file's name: three folders before it"""
MOST_NUMBERS = 8
"""of a table of numbers, the highest: a model's lesions with their probabilities"""
MOST = 1e12
"""beyond it a number of another program is taken for none"""
SHOWN_APART = frozenset(("told", "boxes"))
"""details that have a place of their own in a record"""


class Readers:
    """Who reads texts, and who says what scores stand on; the same for all cases, since texts recur."""

    def __init__(self, labels: Label | None, metrics: Mapping[str, Metric]) -> None:
        self.labels, self.metrics = labels, metrics

    @cached_property
    def texts(self) -> TextReader:
        """Reads texts."""
        return TextReader(self.labels)

    @cached_property
    def witnesses(self) -> Witnesses:
        """Those of the metrics that can say what a case's scores stand on."""
        return Witnesses(self.metrics, {})


@dataclass(frozen=True)
class Material:
    """All that records are made of; everything is in the order of the cases."""

    models: Sequence[str]
    """in the run's order, those that failed altogether among them"""
    cases: Sequence[Case]
    references: Sequence[Reference]
    reports: Mapping[str, Sequence[Report]]
    """model -> one per case; a model that failed altogether is not in it"""
    labels: Label | None = None
    """what the run's labeller says of texts, () where it has no answer; None = nobody labelled"""
    masks: Mapping[str, Masks] = field(default_factory=dict)
    """model -> what became of each lesion; empty without the metric lesions"""
    numbers: Sequence[CaseNumbers] = ()
    """of single cases, as ``numbers_of`` gives them"""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    """name -> metric: those of the numbers, and who can say what its scores stand on"""
    statistics: Mapping[tuple[str, str], np.ndarray] = field(default_factory=dict)
    """(metric, model) -> (n, k): what the run counted, against which kept answers are held"""
    size_of: Callable[[ImageFile], tuple[int, int] | None] | None = None
    """(width, height) of a file in pixels, None where it cannot be read; without it nothing is said of sizes"""
    has_copies: bool = True
    """copies of the images lie beside the page; without them sizes are asked for only where there are boxes to draw"""
    unknown: list[int] = field(default_factory=list)
    """places of cases of which nobody knows what lesions the reference has"""
    unlike: Counter[str] = field(default_factory=Counter)
    """in how many texts lesions are not marked since their labels are others than those that were scored, counted as records are made"""
    first: int = 0
    """place of the first of these cases among all of the run"""
    given: Readers | None = None
    """who reads; of ``labels`` and ``metrics`` if not given"""

    @cached_property
    def readers(self) -> Readers:
        """Who reads."""
        return self.given or Readers(self.labels, self.metrics)

    @cached_property
    def witnesses(self) -> Witnesses:
        """Those of the metrics that can say what a case's scores stand on."""
        return self.readers.witnesses.on(self.statistics)

    def part(self, start: int, stop: int) -> Material:
        """The cases from ``start`` up to ``stop`` alone, with none to read them: ``given`` is to be theirs. It can be sent to another process."""
        return Material(
            self.models,
            self.cases[start:stop],
            self.references[start:stop],
            {model: reports[start:stop] for model, reports in self.reports.items()},
            masks={model: Masks(*(mask[start:stop] for mask in masks)) for model, masks in self.masks.items()},
            numbers=[number.part(start, stop) for number in self.numbers],
            statistics=part_of(self.statistics, witnesses(self.metrics), start, stop),
            size_of=self.size_of,
            has_copies=self.has_copies,
            first=self.first + start,
        )

    @cached_property
    def disagreements(self) -> Mapping[str, Disagreement]:
        """Model -> which two numbers disagree most about each case; their places are of ``numbers``."""
        return next((number.widest for number in self.numbers if number.widest), {})

    @property
    def notes(self) -> list[str]:
        """What the records that were made had to do without, and why."""
        said = list(self.readers.witnesses.notes.values())
        if count := self.unlike.total():
            said.append(f"In {count:,} texts lesions are not marked: the labels that are kept are others than those that were scored.")
        if self.unknown:
            said.append(f"Of {len(self.unknown):,} references nobody knows the lesions: no report on them was scored, and they have no kept labels.")
        return said

    def label(self, texts: Sequence[str]) -> list[Lesions]:
        """The lesions of texts, () where nobody knows."""
        labels = self.readers.labels
        return labels(texts) if labels else [()] * len(texts)


def records(material: Material, start: int, stop: int) -> list[dict[str, Any]]:
    """The records of the cases from ``start`` up to ``stop``, in order."""
    stop = min(stop, len(material.cases))
    of_models = [_reports(material, model, start, stop) if model in material.reports else [None] * (stop - start) for model in material.models]
    truths = [_as_scored(material, None, start + place, text) for place, text in enumerate(_read_references(material, start, stop))]
    return [_case(material, place, truth, list(reports)) for place, truth, *reports in zip(range(start, stop), truths, *of_models, strict=True)]


def _read_references(material: Material, start: int, stop: int) -> list[dict[str, Any]]:
    return material.readers.texts.read([reference.report for reference in material.references[start:stop]])


def _as_scored(material: Material, model: str | None, place: int, text: dict[str, Any]) -> dict[str, Any]:
    """The text, of a model or of the reference, without marks where it is labelled otherwise than it was when the run was scored.

    A language model may have been asked again since, by another run: its kept answers are by their questions.
    """
    if not text["lesions"]:
        return text
    shown = sum(1 << LESIONS.index(lesion["name"]) for lesion in text["lesions"] if lesion["status"] == "positive")
    of_models = material.masks.values() if model is None else [material.masks[model]] if model in material.masks else []
    scored = {int(found.hit[place] | (found.missed if model is None else found.invented)[place]) for found in of_models if found.is_scored[place]}
    if scored <= {shown}:
        return text
    material.unlike["reference" if model is None else model] += 1
    return {**text, "lesions": []}


def _case(material: Material, place: int, truth: Mapping[str, Any], reports: list[dict[str, Any] | None]) -> dict[str, Any]:
    case, reference = material.cases[place], material.references[place]
    is_drawn_on = material.has_copies or bool(reference.boxes) or any(report and report.get("boxes") for report in reports)
    context = (("Indication", case.indication), ("Technique", case.technique), ("Comparison", case.comparison), ("Prior report", case.prior_report))
    return {
        "place": material.first + place,
        "id": case.id,
        "patient": case.patient,
        "study": case.study,
        "context": [[name, text] for name, text in context if text.strip()],
        "images": [_image(image, case, material, is_drawn_on=is_drawn_on) for image in case.images],
        "boxes": boxes_of(reference.boxes),
        "reference": {**truth, "regions": _regions(reference.region_sentences, truth)},
        "reports": reports,
    }


def _reports(material: Material, model: str, start: int, stop: int) -> list[dict[str, Any] | None]:
    reports, references = material.reports[model][start:stop], material.references[start:stop]
    read = material.readers.texts.read([report.text for report in reports])
    columns = [number.values[model][start:stop] if model in number.values else np.full(stop - start, np.nan) for number in material.numbers]
    table = np.round(np.array(columns, dtype=np.float64).reshape(len(columns), stop - start).T, 6)
    rows = [[value if math.isfinite(value) else None for value in row] for row in table.tolist()]
    read = [_as_scored(material, model, start + place, text) for place, text in enumerate(read)]
    scored = [place for place, (report, reference) in enumerate(zip(reports, references, strict=True)) if _is_scorable(report, reference)]
    texts = [reports[place].text for place in scored], [references[place].report for place in scored]
    told = dict(zip(scored, material.witnesses.of(model, [start + place for place in scored], *texts), strict=True))
    evidence = [told.get(place, []) for place in range(len(reports))]
    found: list[dict[str, Any] | None] = []
    for place, (report, text, numbers, why) in enumerate(zip(reports, read, rows, evidence, strict=True)):
        if report.failure:
            found.append({"failure": reason(report.failure)})
            continue
        found.append(
            {
                **text,
                "scored": _is_scored(material, model, start + place),
                "regions": _regions(report.regions, text),
                "boxes": boxes_of(report.details.get("boxes")),
                "told": _names(report.details.get("told")),
                "details": details_of(report.details),
                "lesions_found": lesions_of(material.masks[model], start + place) if model in material.masks else {},
                "numbers": numbers,
                "disagreement": _disagreement(material, model, start + place),
                "evidence": why,
            }
        )
    return found


def _is_scored(material: Material, model: str, place: int) -> bool:
    """Whether its lesions were compared with those of the reference; without the metric lesions, whether there is a reference at all."""
    if model in material.masks:
        return bool(material.masks[model].is_scored[place])
    return bool(material.references[place].report.strip())


def _is_scorable(report: Report, reference: Reference) -> bool:
    return not report.failure and bool(reference.report.strip())


def _disagreement(material: Material, model: str, place: int) -> list[str] | None:
    found = material.disagreements.get(model)
    if found is None or found.highest[place] < 0:
        return None
    return [material.numbers[int(found.highest[place])].key, material.numbers[int(found.lowest[place])].key]


def _regions(sentences: Mapping[str, str], read: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not sentences:
        return []
    report = [_slice(read["text"], span) for span in read["sentences"]]
    return [{"region": region, "text": text, "into": placed(text, report)} for region, text in sentences.items()]


def _slice(text: str, span: Sequence[int]) -> str:
    """A part by its UTF-16 offsets."""
    if text.isascii() or max(text) <= "\uffff":
        return text[span[0] : span[1]]
    return text.encode("utf-16-le", "surrogatepass")[2 * span[0] : 2 * span[1]].decode("utf-16-le", "surrogatepass")


def _image(image: ImageFile, case: Case, material: Material, *, is_drawn_on: bool) -> dict[str, Any]:
    width, height = (material.size_of(image) if material.size_of and is_drawn_on else None) or (None, None)
    return {"name": name_of(image.path, case), "view": image.view, "width": width, "height": height}


def name_of(path: Path, case: Case) -> str:
    """The file's name, behind those of its folders that are named after patient and study as datasets name them (``p10/p10000032/s50414267``); no
    other folder of this machine is told."""
    patient, study = case.patient.removeprefix("p"), case.study.removeprefix("s")
    known = {patient, case.patient, f"p{patient}", f"p{patient[:2]}"} if patient else set()
    known |= {study, case.study, f"s{study}"} if study else set()
    parts = [path.name]
    for folder in path.parents:
        if len(parts) == MOST_PARTS or folder.name not in known:
            break
        parts.insert(0, folder.name)
    return "/".join(parts)


def boxes_of(boxes: Any) -> dict[str, list[float]]:
    """Region -> four edges in pixels, of whatever a model or a dataset has; what is no box is left out."""
    if not isinstance(boxes, Mapping):
        return {}
    return {str(region)[:100]: [round(float(edge), 1) for edge in box] for region, box in boxes.items() if _is_box(box)}


def _is_box(box: Any) -> bool:
    return isinstance(box, list | tuple) and len(box) == 4 and all(map(_is_number, box))


def _is_number(value: Any) -> bool:
    """True for one that can be shown: finite, and no whole number of a hundred digits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def _names(told: Any) -> list[str]:
    return [cut(name, 100) for name in told[:100] if isinstance(name, str)] if isinstance(told, list | tuple) else []


def details_of(details: Mapping[str, Any]) -> list[list[str]]:
    """What else an adapter kept, as words, each short; of many the first ones."""
    found: list[list[str]] = []
    for name, value in details.items():
        if name in SHOWN_APART:
            continue
        if len(found) == MOST_DETAILS:
            found.append(["further details", f"{len(details) - len(SHOWN_APART & details.keys()) - MOST_DETAILS:,}, not shown"])
            break
        found.append([cut(without_places(str(name)[:400].replace("_", " ")), 100), without_places(in_words(value))])
    return found


def in_words(value: Any) -> str:
    """Any JSON value on one line, cut to a few lines of it."""
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:.3g}" if _is_number(value) and isinstance(value, float) else str(value) if _is_number(value) else "no usable number"
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, list | tuple) and all(isinstance(one, str | int | float) for one in value[:MOST_DETAILS]):
        return cut(", ".join(map(in_words, value[:MOST_DETAILS])) + _more(value))
    if isinstance(value, Mapping) and all(map(_is_number, value.values())):
        highest = sorted(value.items(), key=lambda item: -item[1])[:MOST_NUMBERS]
        return cut(", ".join(f"{cut(str(name), 100)} {in_words(number)}" for name, number in highest) + _more(value, MOST_NUMBERS, "lower"))
    try:
        return cut("".join(islice(_encoder.iterencode(value), LONGEST_WORDS)))
    except RecursionError:
        return "nested too deeply to be shown"


_encoder = json.JSONEncoder(ensure_ascii=False, default=str)


def _more(values: Sequence[Any] | Mapping[Any, Any], shown: int = MOST_DETAILS, what: str = "more") -> str:
    return f", and {len(values) - shown:,} {what}" if len(values) > shown else ""
