"""Plans a phantom population and writes it in the layout of MIMIC-CXR-JPG 2.0.0, MIMIC-CXR reports and Chest ImaGenome 1.0.0.

Layout below the folder:

    files/p10/p1000xxxx/s5xxxxxxx/<dicom_id>.jpg        files/p10/p1000xxxx/s5xxxxxxx.txt
    mimic-cxr-2.0.0-{metadata,split,chexpert}.csv.gz
    chest-imagenome-dataset-1.0.0/silver_dataset/{scene_graph/<dicom_id>_SceneGraph.json, splits/*.csv}
    truth.jsonl       what was drawn and said, one line per frontal image
    generated.json    the arguments; written last

With ``archives`` reports and scene graphs lie in mimic-cxr-reports.zip and silver_dataset/scene_graph.zip instead, as they are downloaded.

Everything about a patient follows from the seed and the patient's number, so the bytes do not depend on the number of processes.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import socket
import sys
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.datasets.phantom import anatomy, devices, lesions, reports
from benchmark.datasets.phantom.draw import radiograph
from benchmark.datasets.phantom.lateral import lateral_view
from benchmark.datasets.phantom.scene_graph import boxes_without_area, faulty_boxes, missed_regions, scene_graph
from benchmark.engine.local import cores
from benchmark.engine.pool import end_with
from benchmark.places import cache_folder
from benchmark.progress import progress as progress_bar
from benchmark.records import UserError
from benchmark.vocabulary import REGIONS

VERSION = 5
"""raise it whenever any byte changes: it is part of the cache folder's name"""
SPLITS = ("train", "validate", "test")
IMAGENOME = "chest-imagenome-dataset-1.0.0/silver_dataset"
REPORTS_ZIP = "mimic-cxr-reports.zip"
GRAPHS_ZIP = f"{IMAGENOME}/scene_graph.zip"
METADATA = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
CHEXPERT = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
FAULTS = {
    # what makes an image unusable -> one in how many; at least one of each in every split that is not empty
    "no findings": 100,
    "missing scene graph": 600,
    "to be avoided": 300,
    "no valid box": 1200,
}
NO_FINDINGS_STYLES = ("merged", "impression only", "empty findings")


@dataclass(frozen=True)
class StudyPlan:
    """One examination to be made."""

    study_id: int
    """5xxxxxxx"""
    frontal_ids: tuple[str, ...]
    """dicom ids of the frontal images"""
    lateral_id: str
    """dicom id of the lateral view, empty if there is none"""
    style: str
    """of the report file, see ``reports.layout``"""


@dataclass(frozen=True)
class PatientPlan:
    """One patient to be made."""

    subject_id: int
    """1xxxxxxx"""
    split: str
    """train | validate | test"""
    seed: tuple[int, ...]
    """of everything about this patient"""
    studies: tuple[StudyPlan, ...]
    """in the order of time"""
    fault: str
    """why none of the images can be used, empty for most patients"""


@dataclass(frozen=True)
class Made:
    """The table rows of one patient."""

    split: str
    fault: str
    metadata: list[tuple[Any, ...]]
    chexpert: list[tuple[Any, ...]]
    imagenome: list[tuple[Any, ...]]
    truth: list[str]
    packed: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """archive -> name and text of files that are to be written into it"""


def generate(
    folder: Path,
    *,
    train: int = 1200,
    validate: int = 150,
    test: int = 300,
    seed: int = 2026,
    size_px: int = 512,
    workers: int | None = None,
    progress: bool = True,
    fast: bool = False,
    archives: bool = False,
) -> None:
    """Fill ``folder`` with a phantom population whose splits have exactly so many usable frontal images.

    A folder that these arguments have filled before is left as it is. The work is done in a sibling folder that is renamed at the end: whatever is
    found under the final name is complete. ``fast`` writes tiny flat images, with all the other files as usual. ``archives`` writes reports and scene
    graphs straight into zip archives; whatever is written, it passes through memory a patient at a time.
    """
    folder = Path(folder).absolute()
    arguments = _arguments(train, validate, test, seed, size_px, fast)
    if archives:
        arguments["archives"] = True
    if _is_complete(folder, arguments):
        return
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"phantoms were to be written to {folder}, which holds something else; name an empty or a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    part = folder.with_name(f".{folder.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        _write_all(part, arguments, workers, progress)
        _move(part, folder, arguments)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def default_folder(*, train: int = 1200, validate: int = 150, test: int = 300, seed: int = 2026, size_px: int = 512, fast: bool = False) -> Path:
    """Where a population of these arguments lies in the cache."""
    arguments = _arguments(train, validate, test, seed, size_px, fast)
    digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / "phantom" / digest


def plan(split: str, usable: int, seed: int) -> list[PatientPlan]:
    """Patients of one split: enough for ``usable`` good images, and some whose files are faulty as real ones are."""
    if usable <= 0:
        return []
    number = SPLITS.index(split)
    rng = np.random.default_rng((seed, number))
    shapes: list[tuple[list[tuple[int, bool]], str]] = []
    left = usable
    while left > 0:
        studies = []
        for _ in range(int(rng.choice((1, 2, 3), p=(0.62, 0.31, 0.07)))):
            frontals = min(int(rng.choice((1, 2), p=(0.84, 0.16))), left)
            if frontals:
                studies.append((frontals, bool(rng.random() < 0.3)))
            left -= frontals
        shapes.append((studies, ""))
    for fault, rate in FAULTS.items():
        shapes += [([(1, False)], fault)] * max(1, round(usable / rate))
    # Every third number belongs to one split: no patient and no study can be in two.
    subjects = 10_000_000 + 3 * rng.choice(3_330_000, len(shapes), replace=False) + number
    study_ids = iter((50_000_000 + 3 * rng.choice(3_330_000, sum(len(s) for s, _ in shapes), replace=False) + number).tolist())
    plans = []
    for k, ((studies, fault), subject) in enumerate(zip(shapes, subjects.tolist(), strict=True)):
        made = []
        for frontals, lateral in studies:
            style = NO_FINDINGS_STYLES[k % 3] if fault == "no findings" else "usual"
            made.append(StudyPlan(next(study_ids), tuple(_dicom_id(rng) for _ in range(frontals)), _dicom_id(rng) if lateral else "", style))
        plans.append(PatientPlan(subject, split, (seed, number, k), tuple(made), fault))
    return sorted(plans, key=lambda p: p.subject_id)


def _arguments(train: int, validate: int, test: int, seed: int, size_px: int, fast: bool) -> dict[str, Any]:
    return {"version": VERSION, "train": train, "validate": validate, "test": test, "seed": seed, "size_px": size_px, "fast": fast}


def _is_complete(folder: Path, arguments: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads((folder / "generated.json").read_text()) == dict(arguments))
    except (OSError, ValueError):
        return False


def _sweep(folder: Path) -> None:
    """Remove what killed generations on this machine left behind."""
    for old in folder.parent.glob(f".{folder.name}.{socket.gethostname()}.*.part"):
        pid = old.name.split(".")[-3]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(old, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _move(part: Path, folder: Path, arguments: Mapping[str, Any]) -> None:
    try:
        part.rename(folder)
    except OSError:
        if not _is_complete(folder, arguments):  # else another process was first, with the same bytes
            raise


def _write_all(part: Path, arguments: Mapping[str, Any], workers: int | None, progress: bool) -> None:
    plans = [p for split in SPLITS for p in plan(split, arguments[split], arguments["seed"])]
    images = sum(len(study.frontal_ids) for p in plans for study in p.studies)
    archives = arguments.get("archives", False)
    (part / IMAGENOME / "splits").mkdir(parents=True)
    if not archives:
        (part / IMAGENOME / "scene_graph").mkdir()
    make = partial(_make_patient, part, arguments["size_px"], arguments["fast"], archives)
    made: list[Made] = []
    with ExitStack() as stack:
        advance = stack.enter_context(progress_bar("draw phantoms", images, unit="images")) if progress else None
        truth = stack.enter_context((part / "truth.jsonl").open("w", encoding="utf-8"))
        opened = {name: stack.enter_context(zipfile.ZipFile(part / name, "w")) for name in (REPORTS_ZIP, GRAPHS_ZIP)} if archives else {}
        for p, patient in zip(plans, _spread(make, plans, workers), strict=True):
            truth.writelines(f"{line}\n" for line in patient.truth)
            for archive, files in patient.packed.items():
                for name, text in files:
                    opened[archive].writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)  # ZipInfo: of 1980, the same bytes for the same seed
            made.append(replace(patient, truth=[], packed={}))
            if advance:
                advance(sum(len(study.frontal_ids) for study in p.studies))
    _tables(part, made)
    (part / "generated.json").write_text(json.dumps(dict(arguments)) + "\n")


def _spread(make: Any, plans: Sequence[PatientPlan], workers: int | None) -> Iterator[Made]:
    """``make`` over the patients, in order, by as many processes as asked for.

    Not by the engine's pool: its processes begin anew, which takes two seconds, and most populations are written in less. One that was lost ends the
    writing here, and the same command again begins it again.
    """
    count = cores(workers or 0)
    if count == 1 or len(plans) < 8:
        yield from map(make, plans)
        return
    # fork where it is safe enough: children only draw and write; it spares each of them a second of imports.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(count, context, end_with, (os.getpid(),)) as pool:
        try:
            yield from pool.map(make, plans, chunksize=4)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _make_patient(root: Path, size_px: int, fast: bool, archives: bool, p: PatientPlan) -> Made:
    rng = np.random.default_rng(p.seed)
    patient = anatomy.sample_patient(rng)
    made = Made(p.split, p.fault, [], [], [], [], {REPORTS_ZIP: [], GRAPHS_ZIP: []} if archives else {})
    day = int(rng.integers(0, 29_000))
    previous: list[lesions.Finding] | None = None
    previous_dicom: str | None = None
    for order, study_plan in enumerate(p.studies):
        found = lesions.sample(rng, previous=previous or (), first=previous is None)
        bedside = not study_plan.lateral_id and rng.random() < (0.75 if found else 0.4)
        view = "AP" if bedside else "PA"
        carried = devices.sample(rng, patient, view, found)
        study = reports.Study(patient, view, bool(study_plan.lateral_id), found, previous, carried)
        findings = reports.findings_section(rng, study)
        impression = reports.impression_section(rng, study, findings)
        when = _date(day), f"{int(rng.integers(0, 24)):02d}{int(rng.integers(0, 60)):02d}{int(rng.integers(0, 60)):02d}"
        place = f"files/p{p.subject_id // 1_000_000}/p{p.subject_id}/s{study_plan.study_id}"
        (root / place).mkdir(parents=True)
        _write_text(root, f"{place}.txt", reports.layout(rng, study, findings, impression, study_plan.style), made.packed.get(REPORTS_ZIP))
        for dicom in study_plan.frontal_ids:
            shot = _Shot(root, place, p, study_plan, study, dicom, order, when, previous_dicom)
            _make_image(shot, rng, findings, impression, size_px, fast, made)
        if study_plan.lateral_id:
            pixels = np.full((64, 64), 90, np.uint8) if fast else lateral_view(patient, rng, size_px)
            (root / place / f"{study_plan.lateral_id}.jpg").write_bytes(_jpeg(pixels))
            made.metadata.append(_metadata(study_plan.lateral_id, p, study_plan, "LATERAL", pixels.shape, when))
        made.chexpert.append((p.subject_id, study_plan.study_id, *_chexpert(findings, study)))
        previous, previous_dicom = found, study_plan.frontal_ids[0]
        day += int(rng.integers(1, 300))
    return made


@dataclass(frozen=True)
class _Shot:
    root: Path
    place: str
    patient_plan: PatientPlan
    study_plan: StudyPlan
    study: reports.Study
    dicom: str
    order: int
    when: tuple[str, str]
    previous_dicom: str | None


def _make_image(
    shot: _Shot,
    rng: np.random.Generator,
    findings: Sequence[reports.Sentence],
    impression: Sequence[reports.Sentence],
    size_px: int,
    fast: bool,
    made: Made,
) -> None:
    p, study = shot.patient_plan, shot.study
    pose = anatomy.sample_pose(rng, study.patient, study.view, 64 if fast else size_px)
    body = anatomy.build(study.patient, pose, lesions.changes(study.findings, rng))
    size = (pose.width_px, pose.height_px)
    if fast:
        data, spots = _flat_jpeg(size), {}
    else:
        pixels, drawn = radiograph(body, study.findings, study.devices, rng)
        data, spots = _jpeg(pixels), dict(drawn)
    (shot.root / shot.place / f"{shot.dicom}.jpg").write_bytes(data)
    boxes = anatomy.boxes(body)
    if p.fault != "missing scene graph":
        silver = boxes_without_area(boxes) if p.fault == "no valid box" else faulty_boxes(rng, boxes, size)
        head = {
            "image_id": shot.dicom,
            "viewpoint": study.view,
            "patient_id": p.subject_id,
            "study_id": shot.study_plan.study_id,
            "gender": study.patient.sex,
            "age_decile": f"{study.patient.age // 10 * 10}-{study.patient.age // 10 * 10 + 10}",
            "reason_for_exam": reports.indication(rng, study),
            "StudyOrder": shot.order,
            "StudyDateTime": _timestamp(*shot.when),
        }
        # The dataset's phrases come from all sections; the impression repeats a part of the findings.
        phrases = [*findings, *(s for s in impression if rng.random() < 0.4)]
        graph = scene_graph(head, silver, size, phrases, shot.previous_dicom, missed_regions(rng))
        name = f"scene_graph/{shot.dicom}_SceneGraph.json"
        _write_text(shot.root / IMAGENOME, name, json.dumps(graph, separators=(",", ":")), made.packed.get(GRAPHS_ZIP))
    made.metadata.append(_metadata(shot.dicom, p, shot.study_plan, study.view, (pose.height_px, pose.width_px), shot.when))
    made.imagenome.append((p.subject_id, shot.study_plan.study_id, shot.dicom, f"{shot.place}/{shot.dicom}.dcm", study.view))
    made.truth.append(json.dumps(_truth(shot, findings, boxes, spots), separators=(",", ":")))


def _write_text(folder: Path, name: str, text: str, packed: list[tuple[str, str]] | None) -> None:
    """To the file, or onto the list of what goes into an archive."""
    if packed is None:
        (folder / name).write_text(text)
    else:
        packed.append((name, text))


def _truth(shot: _Shot, findings: Sequence[reports.Sentence], boxes: Mapping[str, Any], spots: Mapping[str, Any]) -> dict[str, Any]:
    """One line of truth.jsonl: what the report says of each lesion, and beside it what was drawn."""
    drawn = {finding.name: finding for finding in shot.study.findings}
    lines = []
    for lesion in reports.truth(findings):
        real = drawn.get(lesion.name)
        if (real is not None) != (lesion.status == "positive"):
            raise AssertionError(f"{shot.dicom}: {lesion.name} is drawn {real is not None} and said {lesion.status}")
        lines.append(
            {
                "name": lesion.name,
                "status": lesion.status,
                "side": lesion.side,
                "certainty": lesion.certainty,
                "rationale": lesion.rationale,
                "severity": real.severity if real else 0,
                "drawn_side": real.side if real else "not mentioned",
                "boxes": spots.get(lesion.name, []),
            }
        )
    p = shot.patient_plan
    return {
        "dicom_id": shot.dicom,
        "subject_id": p.subject_id,
        "study_id": shot.study_plan.study_id,
        "split": p.split,
        "fault": p.fault,
        "path": f"{shot.place}/{shot.dicom}.jpg",
        "view": shot.study.view,
        "sex": shot.study.patient.sex,
        "age": shot.study.patient.age,
        "lesions": lines,
        "devices": [{"kind": d.kind, "side": d.side, "number": round(d.number, 2)} for d in shot.study.devices],
        "boxes": {name: boxes[name] for name in REGIONS},
    }


def _jpeg(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@lru_cache(maxsize=8)
def _flat_jpeg(size: tuple[int, int]) -> bytes:
    return _jpeg(np.full((size[1], size[0]), 110, np.uint8))


def _dicom_id(rng: np.random.Generator) -> str:
    return "-".join(f"{int(v):08x}" for v in rng.integers(0, 2**32, 5))


def _date(day: int) -> str:
    """Dates shifted into the future, as the real ones are."""
    return f"{2110 + day // 360}{day % 360 // 30 + 1:02d}{day % 30 + 1:02d}"


def _timestamp(date: str, time_of_day: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]} {time_of_day[:2]}:{time_of_day[2:4]}:{time_of_day[4:]} UTC"


def _metadata(dicom: str, p: PatientPlan, study: StudyPlan, view: str, shape: Sequence[int], when: tuple[str, str]) -> tuple[Any, ...]:
    portable = view == "AP"
    procedure = "CHEST (PORTABLE AP)" if portable else "CHEST (PA AND LAT)"
    orientation = "Recumbent" if portable else "Erect"
    meaning = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral"}[view]
    return dicom, p.subject_id, study.study_id, procedure, view, shape[0], shape[1], when[0], f"{when[1]}.000", procedure, meaning, orientation


def _chexpert(findings: Sequence[reports.Sentence], study: reports.Study) -> list[str]:
    """The 14 CheXpert columns as that labeller would fill them: 1 stated, -1 hedged, 0 denied, blank if not mentioned."""
    said = {lesion.name: lesion for lesion in reports.truth(findings)}

    def value(*names: str) -> str:
        found = [said[name] for name in names]
        if any(lesion.status == "positive" and lesion.certainty == "stated" for lesion in found):
            return "1.0"
        if any(lesion.certainty == "hedged" for lesion in found):
            return "-1.0"
        return "0.0" if any(lesion.certainty == "stated" for lesion in found) else ""

    row = {
        "Atelectasis": value("atelectasis"),
        "Cardiomegaly": value("cardiomegaly"),
        "Consolidation": value("consolidation"),
        "Edema": value("edema"),
        "Lung Lesion": value("nodule", "mass"),
        "Lung Opacity": "1.0" if any(said[name].status == "positive" for name in ("infiltration", "consolidation", "fibrosis", "pneumonia")) else "",
        "No Finding": "1.0" if not study.findings and not study.devices else "",
        "Pleural Effusion": value("pleural effusion"),
        "Pleural Other": value("pleural thickening"),
        "Pneumonia": value("pneumonia"),
        "Pneumothorax": value("pneumothorax"),
        "Support Devices": "1.0" if study.devices else "",
    }
    return [row.get(name, "") for name in CHEXPERT]


def _tables(root: Path, made: Sequence[Made]) -> None:
    _csv_gz(root / "mimic-cxr-2.0.0-metadata.csv.gz", METADATA, (row for m in made for row in m.metadata))
    split_rows = ((row[0], row[2], row[1], m.split) for m in made for row in m.metadata)
    _csv_gz(root / "mimic-cxr-2.0.0-split.csv.gz", ("dicom_id", "study_id", "subject_id", "split"), split_rows)
    _csv_gz(root / "mimic-cxr-2.0.0-chexpert.csv.gz", ("subject_id", "study_id", *CHEXPERT), (row for m in made for row in m.chexpert))
    header = ("subject_id", "study_id", "dicom_id", "path", "ViewPosition")
    splits = root / IMAGENOME / "splits"
    for split, name in zip(SPLITS, ("train", "valid", "test"), strict=True):
        rows = [row for m in made if m.split == split for row in m.imagenome]
        (splits / f"{name}.csv").write_text(_csv(("", *header), ((k, *row) for k, row in enumerate(rows))))
    (splits / "images_to_avoid.csv").write_text(_csv(header, (row for m in made if m.fault == "to be avoided" for row in m.imagenome)))


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _csv_gz(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    # Without a time stamp in it: the same bytes for the same seed.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        packed.write(_csv(header, rows).encode())
