"""The registered dataset ``iu_xray``: reports and radiographs of Indiana University from Open-i.

Demner-Fushman et al., "Preparing a collection of radiology examinations for distribution and retrieval", JAMIA 2016; https://openi.nlm.nih.gov.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import xml.etree.ElementTree as ElementTree
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from benchmark.datasets.account import Account, Beside, Part
from benchmark.datasets.columns import read_rows, read_table_text
from benchmark.datasets.dicom_pixels import DICOM_SUFFIXES
from benchmark.datasets.dicom_studies import LATERAL_VIEWS, view_of_file
from benchmark.datasets.encodings import decode
from benchmark.datasets.images import IMAGE_SUFFIXES, UnreadableImage, image_size_px
from benchmark.datasets.lesion_columns import lesion_columns, lesions_of
from benchmark.datasets.mimic_reports import one_line
from benchmark.datasets.r2gen_annotation import Item, read_items
from benchmark.datasets.split import SPLITS
from benchmark.datasets.truncation import CUT_OFF, is_cut_off
from benchmark.progress import progress
from benchmark.records import Case, ImageFile, Lesions, Problem, Reference, UserError

DEEPEST = 4
"""levels below the root that are looked into"""
BIGGEST_ARCHIVE_MEMBER = 2**24
"""bytes; a report has a few thousand"""
MOST_BYTES = 2**29
"""what an archive of reports may unpack to; the collection's has 21 million"""
Target = Literal["findings", "impression", "findings+impression"]
MISSING_TARGET = {"findings": "no findings", "impression": "no impression", "findings+impression": "neither findings nor impression"}
BY_RULE = frozenset(("no image", "not in annotation.json", "no pair of views", *MISSING_TARGET.values()))
"""kinds of problems that leave a report out without a fault in the files"""
REPORTS, IMAGES = 3_955, 7_470  # Demner-Fushman et al., 2016
R2GEN = {"train": 2_069, "validate": 296, "test": 590}  # Chen et al., EMNLP 2020, its annotation.json
_IMAGE_KEY = re.compile(r"^(?:CXR)?(\d+)_(?:\1_)?(IM-.+)$")
_R2GEN_FOLDER = re.compile(r"^CXR(\d+)_(?:\1_)?IM-")
_BLANK = re.compile(r"\(\s*X{4,}\s*\)|\bX{4,}\b-?")


class NoSuchCollection(UserError):
    """The root does not hold IU X-Ray's reports."""


class StoppedAtProblem(UserError):
    """Under ``strict``: the first fault of the files."""


class _OnDisk(NamedTuple):
    path: Path
    size: int


@dataclass(frozen=True)
class Study:
    """One report of the collection with the images that are on disk."""

    uid: str
    """CXR1900; patients are not told apart in this collection, so it stands for the patient too"""
    report: str
    indication: str
    comparison: str
    images: tuple[ImageFile, ...]
    """frontal first, then lateral"""
    lesions: Lesions | None
    """labels by experts, for the reports that have them"""


@dataclass
class _Found:
    """The files below the root."""

    reports: list[Path] = field(default_factory=list)
    """archives, and XML files"""
    kaggle: Path | None = None
    projections: Path | None = None
    annotation: Path | None = None
    labels: Path | None = None
    images: dict[str, _OnDisk] = field(default_factory=dict)
    """image key (1900_IM-0584-1001) -> file"""
    r2gen: dict[str, list[_OnDisk]] = field(default_factory=dict)
    """uid -> 0.png, 1.png of R2Gen's copy, which lost the images' names"""
    packed: Path | None = None
    """an archive of images that nobody unpacked"""


class IUXRay:
    """Reports with FINDINGS and at least one image on disk, in the order of their numbers.

    The folder is named as argument, ``iu_xray:/data/iu_xray``. In it, at any of a few levels: the XML reports (a folder, or NLMCXR_reports.tgz, which
    is read in place), Kaggle's indiana_reports.csv, or R2Gen's annotation.json alone (its reports are the FINDINGS, word for word); PNG or DICOM
    images under their own names, Kaggle's, or R2Gen's; and if there are any: indiana_projections.csv (frontal or lateral; without it DICOM headers
    say, and PNG images keep the report's order), R2Gen's annotation.json, a table of labels by experts (a CSV with ``filename`` and the 14 lesions).

    split_rule   "auto": R2Gen's split where its annotation.json is there, else everything is test. "r2gen": that split or nothing. "all": everything
                 is test
    annotation   where that file is, if it is not below the folder
    target       the section that is the reference. "findings+impression": both, one after the other, or the one that the report has
    blanks       words that were blanked for anonymity, XXXX. "keep": as R2Gen's annotation.json has them. "drop": taken out of every text
    unit         "study": a case per report, with all its images, frontal first. "image": a case per frontal image, the lateral ones beside it
    pairs        only studies with a frontal and a lateral image (any two where nobody says which is which), for models that need both
    strict       stop at the first fault of the files instead of stepping over it; what the stated rules leave out is no fault
    """

    name = "iu_xray"
    is_credentialed = False
    note = (
        "IU X-Ray (Open-i, Indiana University; Kohli and Rosenman), CC BY-NC-ND 4.0: real radiographs and report texts of real patients, "
        "de-identified; words blanked as XXXX stay in."
    )

    def __init__(
        self,
        argument: str = "",
        *,
        root: Path | None = None,
        split_rule: Literal["auto", "r2gen", "all"] = "auto",
        annotation: Path | None = None,
        target: Target = "findings",
        blanks: Literal["keep", "drop"] = "keep",
        unit: Literal["study", "image"] = "study",
        pairs: bool = False,
        strict: bool = False,
    ) -> None:
        if not argument and root is None:
            raise NoSuchCollection("iu_xray: no folder given; name the one that holds NLMCXR_reports.tgz and the images: iu_xray:/path/to/it")
        self.root = Path(argument).expanduser() if argument else Path(root or "")
        self.split_rule, self.annotation, self.strict = split_rule, annotation, strict
        self.target: Target = target
        self.blanks, self.unit, self.pairs = blanks, unit, pairs
        blanked = IUXRay.note.replace("stay in", "are taken out") if blanks == "drop" else IUXRay.note
        self.note = blanked if target == "findings" else f"{blanked} The reference is {' and '.join(target.split('+'))}."
        self._studies: dict[str, list[Study]] = {}
        self._problems: list[Problem] = []
        self._digest = ""
        self._found = _Found()
        self._split_of: dict[str, str] | None = None
        self._named = Counter[str]()

    def cases(self, split: str) -> list[Case]:
        """All studies (or frontal images) of a split in the order of their numbers."""
        return [
            Case(id=case_id, patient=study.uid, study=study.uid, images=images, indication=study.indication, comparison=study.comparison)
            for study in self._of(split)
            for case_id, images in self._cases_of(study)
        ]

    def references(self, split: str) -> list[Reference]:
        """One reference per case, in the same order: the target, and labels where experts gave them."""
        return [Reference(case_id, study.report, lesions=study.lesions) for study in self._of(split) for case_id, _ in self._cases_of(study)]

    def _cases_of(self, study: Study) -> list[tuple[str, tuple[ImageFile, ...]]]:
        """(id, images) of each case that a study makes."""
        if self.unit == "study":
            return [(study.uid, study.images)]
        lateral = tuple(image for image in study.images if image.view in LATERAL_VIEWS)
        frontal = [image for image in study.images if image.view not in LATERAL_VIEWS]
        return [(image.id, (image, *lateral)) for image in frontal] or [(lateral[0].id, lateral)]

    def fingerprint(self, split: str) -> str:
        """Changes when a report, a table, the set of images or the size of one changes. Images do not enter with their content."""
        self._of(split)
        settings = f"{self.split_rule} {self.target} {self.blanks} {self.unit} {self.pairs}"
        return hashlib.sha256(f"{split} {settings} {self._digest}".encode()).hexdigest()

    def problems(self) -> list[Problem]:
        """Reports that were left out, and why."""
        return list(self._problems)

    def account(self, splits: Sequence[str]) -> Account:
        """For ``data check``: the files of the collection, beside the counts of the whole one and of R2Gen's split."""
        self._of("test")
        found, split_of = self._found, self._split_of
        reports, where = "Kaggle's table", found.kaggle
        if found.reports:
            where = found.reports[0]
            reports = "XML reports" if all(place.suffix == ".xml" for place in found.reports) else "an archive of XML reports, read in place"
        elif where is None:
            reports, where = "R2Gen's annotation.json, which has no other section", found.annotation
        parts = [
            Part("reports", where, reports),
            Part("images", _folder_of(found), f"{len(found.images) + sum(map(len, found.r2gen.values())):,} files"),
            Part("frontal or lateral", found.projections, "" if found.projections else "without it images keep the report's order, and have no view"),
            Part("R2Gen's split", found.annotation, "" if found.annotation else "without annotation.json every report is test"),
            Part("labels by experts", found.labels, "" if found.labels else "reports have no lesions of their own"),
        ]
        besides = [
            Beside("reports", "", self._named["reports"], REPORTS, "Open-i"),
            Beside("images that the reports name", "", self._named["images"], IMAGES, "Open-i"),
            Beside("images on disk", "", self._named["on disk"], IMAGES, "Open-i"),
        ]
        listed = {split: self._named["reports"] if split == "test" else 0 for split in splits}
        if split_of is not None:
            listed = {split: sum(one == split for one in split_of.values()) for split in splits}
            besides += [Beside("reports of the split", split, listed[split], R2GEN[split], "R2Gen's annotation.json") for split in splits]
        problems: dict[str, list[Problem]] = {}
        for problem in self._problems:
            problems.setdefault("test" if split_of is None else split_of.get(problem.where, ""), []).append(problem)
        chosen = {split: ones for split, ones in problems.items() if split in ("", *splits)}
        return Account(parts, listed, "reports listed", besides, chosen, BY_RULE)

    def _of(self, split: str) -> list[Study]:
        if split not in SPLITS:
            raise UserError(f"iu_xray has no split {split!r}; it has {', '.join(SPLITS)}")
        if not self._studies:
            self._read()
        return self._studies[split]

    def _read(self) -> None:
        digest = hashlib.sha256()
        found = _look(self.root)
        found.annotation = self.annotation or found.annotation
        self._check(found)
        items = {uid: item for item in read_items(found.annotation) if (uid := _uid(item.id))} if found.annotation else {}
        for table in (found.kaggle, found.projections, found.annotation, found.labels):
            digest.update(hashlib.sha256(table.read_bytes()).digest() if table else b"none")
        for key, image in sorted(found.images.items()):
            digest.update(f"{key} {image.size}\n".encode())
        for uid, copies in sorted(found.r2gen.items()):
            digest.update(f"{uid} {[image.size for image in copies]}\n".encode())
        problems: list[Problem] = []
        split_of = {uid: item.split for uid, item in items.items()} if found.annotation and self.split_rule != "all" else None
        lateral = _projections(found.projections) if found.projections else {}
        labels = _labels(found.labels) if found.labels else {}
        studies: dict[str, list[Study]] = {split: [] for split in SPLITS}
        seen: set[str] = set()
        named = Counter[str]()
        for uid, parts, listed in sorted(self._reports(found, items, digest, problems), key=lambda one: _number(one[0])):
            if uid in seen:
                problems.append(Problem("duplicate report", uid, "the first one was kept"))
                continue
            seen.add(uid)
            there = _images(uid, listed, lateral, found)
            named.update({"reports": 1, "images": len(listed), "on disk": len(there)})
            if split_of is not None and uid not in split_of:
                problems.append(Problem("not in annotation.json", uid, "R2Gen's split leaves it out"))
                continue
            files = [image for image in there if _readable(image, problems)]
            if not files:
                problems.append(
                    Problem("missing image", uid, f"none of {len(listed)} on disk") if listed else Problem("no image", uid, "it names none")
                )
            elif not (report := self._text(*(parts.get(name.upper(), "") for name in self.target.split("+")))):
                problems.append(Problem(MISSING_TARGET[self.target], uid, f"sections: {', '.join(parts) or 'none'}"))
            elif self.pairs and not _is_pair(files):
                problems.append(Problem("no pair of views", uid, f"{len(files)} on disk: {', '.join(image.view or 'not stated' for image in files)}"))
            else:
                indication, comparison = (self._text(parts.get(name, "")) for name in ("INDICATION", "COMPARISON"))
                study = Study(uid, report, indication, comparison, tuple(files), labels.get(uid))
                studies[split_of[uid] if split_of is not None else "test"].append(study)
        faults = [problem for problem in problems if problem.kind not in BY_RULE]
        if self.strict and faults:
            first = f"{faults[0].kind}: {faults[0].where} ({faults[0].what})"
            raise StoppedAtProblem(f"iu_xray was to be read strictly, and found {len(faults)} faults, first {first}; mend them or leave strict off")
        self._studies, self._problems, self._digest = studies, problems, digest.hexdigest()
        self._found, self._split_of, self._named = found, split_of, named

    def _check(self, found: _Found) -> None:
        """Raise NoSuchCollection if what is there does not suffice for what was asked."""
        if not found.reports and found.kaggle is None and found.annotation is None:
            raise NoSuchCollection(
                f"iu_xray: below {self.root} found {len(found.images)} images but no NLMCXR_reports.tgz, XML reports, indiana_reports.csv or "
                "annotation.json; name the folder that holds reports and images"
            )
        if found.annotation is None and self.split_rule == "r2gen":
            raise NoSuchCollection(
                f"iu_xray: split_rule=r2gen was asked, and below {self.root} is no annotation.json; name it: --set iu_xray.annotation=PATH"
            )
        if not found.reports and found.kaggle is None and self.target != "findings":
            raise NoSuchCollection(
                f"iu_xray: target={self.target} was asked, and R2Gen's annotation.json has the findings alone; put NLMCXR_reports.tgz beside it"
            )
        if found.packed and not found.images and not found.r2gen:
            raise NoSuchCollection(f"iu_xray: below {self.root} is no image, and {found.packed} is still packed; unpack it there")

    def _text(self, *sections: str) -> str:
        """Sections as one text, with or without blanks."""
        text = " ".join(filter(None, sections))
        return text if self.blanks == "keep" else without_blanks(text)

    def _reports(
        self, found: _Found, items: Mapping[str, Item], digest: hashlib._Hash, problems: list[Problem]
    ) -> Iterator[tuple[str, dict[str, str], list[tuple[str, str]]]]:
        """uid, section -> text, (image key, caption) of every report."""
        if not found.reports and found.kaggle:
            yield from _kaggle_reports(found)
            return
        if not found.reports:
            for uid, item in items.items():
                yield uid, {"FINDINGS": text} if (text := one_line(item.report)) else {}, [(path, "") for path in item.images]
            return
        files = sorted(_xml_files(found.reports))
        with progress("read iu_xray", len(files), unit="reports") as advance:
            for name, content in files:
                advance(1)
                digest.update(hashlib.sha256(content).digest())
                try:
                    yield _parse(content)
                except (ElementTree.ParseError, ValueError) as error:
                    problems.append(Problem("unreadable report", name, str(error)))


def without_blanks(text: str) -> str:
    """A text without the words that were blanked as XXXX, and without what they leave: doubled spaces, a lone full stop."""
    bare = re.sub(r"\s+([.,;:?])", r"\1", " ".join(_BLANK.sub(" ", text).split()))
    return re.sub(r"(^|[.;:,?])[.,;:]+", r"\1", bare).strip()


def _is_pair(images: Sequence[ImageFile]) -> bool:
    """Whether a study has a frontal and a lateral image, or two of which nobody says what they are."""
    views = {image.view in LATERAL_VIEWS for image in images if image.view}
    return len(images) > 1 and (len(views) == 2 or any(not image.view for image in images))


def _look(root: Path) -> _Found:
    """The files below a root, by what they are called and what they hold."""
    if not root.is_dir():
        raise NoSuchCollection(
            f"iu_xray: the root {root} is {'no folder' if root.exists() else 'not there'}; name the folder that holds the collection"
        )
    found = _Found()
    for folder, below, names in os.walk(root):
        place = Path(folder)
        below[:] = sorted(name for name in below if not name.startswith(".")) if len(place.relative_to(root).parts) < DEEPEST else []
        for name in sorted(names):
            _sort_in(place / name, found)
    return found


def _folder_of(found: _Found) -> Path | None:
    """The folder that all images have in common."""
    files = [*found.images.values(), *(image for copies in found.r2gen.values() for image in copies)]
    return Path(os.path.commonpath([image.path.parent for image in files])) if files else None


def _sort_in(path: Path, found: _Found) -> None:
    name = path.name.lower()
    if name.endswith(IMAGE_SUFFIXES):
        here = _OnDisk(path, path.stat().st_size)
        if key := _image_key(path.name):
            found.images.setdefault(key, here)
        elif folder := _R2GEN_FOLDER.match(path.parent.name):
            found.r2gen.setdefault(f"CXR{folder[1]}", []).append(here)
    elif name.endswith(".xml") or (name.endswith((".tgz", ".tar.gz", ".tar")) and "report" in name):
        found.reports.append(path)
    elif name.endswith((".tgz", ".tar.gz", ".tar", ".zip")) and re.search("nlmcxr|iu_xray|images|png|dcm", name):
        found.packed = found.packed or path
    elif name.endswith(".json") and "annotation" in name:
        found.annotation = found.annotation or path
    elif name.endswith((".csv", ".csv.gz")):
        header = [cell.strip().strip('"').lower() for cell in read_table_text(path).split("\n", 1)[0].split(",")]
        if {"uid", "filename", "projection"} <= set(header):
            found.projections = found.projections or path
        elif {"uid", "findings"} <= set(header):
            found.kaggle = found.kaggle or path
        elif header[0] in ("filename", "uid", "id") and lesion_columns(header):
            found.labels = found.labels or path


def _image_key(name: str) -> str:
    """1900_IM-0584-1001 for CXR1900_IM-0584-1001.png, 1900_IM-0584-1001.dcm.png and CXR1900_1900_IM-0584-1001; empty if it is another name."""
    stem = re.sub(r"(?:\.dcm)?\.[A-Za-z0-9]+$", "", name) if name.lower().endswith(IMAGE_SUFFIXES) else name
    key = _IMAGE_KEY.match(stem.removesuffix(".dcm"))
    return f"{key[1]}_{key[2]}" if key else ""


def _xml_files(places: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Name and content of every XML report. Raises NoSuchCollection at a damaged archive."""
    for place in places:
        if place.suffix == ".xml":
            yield place.name, place.read_bytes()
            continue
        try:
            with tarfile.open(place) as archive:
                unpacked = 0
                for member in archive:
                    if not member.isfile() or not member.name.endswith(".xml"):
                        continue
                    content = archive.extractfile(member) if member.size < BIGGEST_ARCHIVE_MEMBER else None
                    report = content.read() if content else b""  # nothing is no XML, and counted as that
                    unpacked += len(report)
                    if unpacked > MOST_BYTES:
                        raise NoSuchCollection(
                            f"iu_xray: {place} unpacks to more than {MOST_BYTES >> 20} MiB of reports, twenty times the collection; check the file, "
                            "it may be made to fill the memory"
                        )
                    yield member.name.rsplit("/", 1)[-1], report
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise NoSuchCollection(f"iu_xray: {place} cannot be read to its end ({error}); it may be half a download: fetch it again") from error


def _parse(content: bytes) -> tuple[str, dict[str, str], list[tuple[str, str]]]:
    """uid, section -> text on one line, (image key, caption). Raises ParseError, ValueError."""
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError):
        # Some copies were saved again in another encoding than they say, or say one that there is not.
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", decode(content)))
    uid = next((node.get("id", "") for node in root.iter("uId")), "")
    if not uid:
        raise ValueError("XML without a uId")
    parts = {node.get("Label", "").upper(): one_line("".join(node.itertext())) for node in root.iter("AbstractText")}
    images = [(_image_key(node.get("id", "")), one_line(node.findtext("caption") or "")) for node in root.iter("parentImage")]
    return uid, {name: text for name, text in parts.items() if text}, images


def _kaggle_reports(found: _Found) -> Iterator[tuple[str, dict[str, str], list[tuple[str, str]]]]:
    """As ``_parse``; a copy without projections has the images that are called by the report's number."""
    images: dict[str, list[str]] = {}
    for _, row in read_rows(found.projections, ["uid", "filename"]) if found.projections else ():
        images.setdefault(row["uid"], []).append(_image_key(row["filename"]))
    if not found.projections:
        for key in sorted(found.images):
            images.setdefault(key.partition("_")[0], []).append(key)
    for _, row in read_rows(found.kaggle, ["uid", "findings"]) if found.kaggle else ():
        parts = {name.upper(): one_line(row.get(name, "")) for name in ("indication", "comparison", "findings", "impression")}
        yield (
            f"CXR{row['uid']}",
            {name: text for name, text in parts.items() if text},
            [(key, row.get("image", "")) for key in images.get(row["uid"], ())],
        )


def _images(uid: str, listed: list[tuple[str, str]], lateral: Mapping[str, bool], found: _Found) -> list[ImageFile]:
    """The study's images on disk, frontal before lateral, else in the report's order."""
    files = []
    for key, caption in listed:
        if key in found.images:
            path = found.images[key].path
            stated = view_of_file(path) if key not in lateral and path.suffix.lower() in DICOM_SUFFIXES else ""
            files.append(ImageFile(path, stated or _view(lateral.get(key), caption), key))
    if not files:  # R2Gen's copy: 0.png and 1.png, of which nobody says which is frontal
        files = [ImageFile(image.path, "", f"{uid}/{image.path.stem}") for image in sorted(found.r2gen.get(uid, ()))]
    return sorted(files, key=lambda image: image.view in LATERAL_VIEWS)


def _view(is_lateral: bool | None, caption: str) -> str:
    """LATERAL, PA or AP; empty where neither table nor caption says."""
    if is_lateral is None or is_lateral:
        return "LATERAL" if is_lateral else ""
    named = re.findall(r"\b(PA|AP)\b", caption.upper())
    return named[0] if len(set(named)) == 1 else ""


def _readable(image: ImageFile, problems: list[Problem]) -> bool:
    try:
        image_size_px(image.path)
        fault = CUT_OFF if is_cut_off(image.path) else ""
    except (UnreadableImage, OSError) as error:
        fault = str(error)
    if fault:
        problems.append(Problem("unreadable image", str(image.path), fault))
    return not fault


def _projections(path: Path) -> dict[str, bool]:
    """image key -> whether it is lateral."""
    return {_image_key(row["filename"]): row["projection"].lower() == "lateral" for _, row in read_rows(path, ["filename", "projection"])}


def _labels(path: Path) -> dict[str, Lesions | None]:
    """uid -> the 14 lesions by experts."""
    found: dict[str, Lesions | None] = {}
    for line, row in read_rows(path):
        number = re.search(r"\d+", next(iter(row.values())))
        if number:
            found[f"CXR{number[0]}"] = lesions_of(row, lesion_columns(row), f"{path}, line {line}")
    return found


def _uid(name: str) -> str:
    """CXR2384 for CXR2384_IM-0942; empty if it is no name of this collection."""
    uid = re.match(r"CXR\d+", name)
    return uid[0] if uid else ""


def _number(uid: str) -> tuple[int, str]:
    digits = re.search(r"\d+", uid)
    return (int(digits[0]) if digits else 0, uid)
