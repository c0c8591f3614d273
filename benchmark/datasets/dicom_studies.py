"""The DICOM files of a folder as examinations: images of one study together, frontal before lateral, and nothing that names a patient.

What a header says of a patient decides here which files belong together, and goes no further: patients come out as numbers in the order of their
files, and a file whose path repeats its own header's name, number, date or UID gives its case a number too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.datasets.dicom_pixels import check_picture, guarded, read_header
from benchmark.datasets.truncation import CUT_OFF, is_cut_off
from benchmark.datasets.unreadable import UnreadableImage, unreadable
from benchmark.progress import progress
from benchmark.records import Case, ImageFile, Problem

NO_RADIOGRAPHS = frozenset(
    ("CT", "MR", "US", "PT", "NM", "MG", "OP", "SR", "PR", "KO", "SEG", "REG", "DOC", "AU", "ECG", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTIMAGE")
)
"""Modality (0008,0060) of what lies beside radiographs in an export"""
NOBODY = frozenset(("", "0", "none", "unknown", "anon", "anonymous", "anonymized", "anonymised", "deidentified", "de-identified", "removed"))
"""what programs write for the PatientID of everyone: no patient at all, or all films would be one patient's"""
LATERAL_VIEWS = ("LATERAL", "LL", "RL")
VIEW_TAGS = ["ViewPosition", "ViewCodeSequence", "PatientOrientation", "SeriesDescription"]
_KEY_TAGS = ["SOPInstanceUID", "StudyInstanceUID", "PatientID", "IssuerOfPatientID", "Modality", "Rows", "Columns", "NumberOfFrames"]
_DATE_TAGS = ["PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate"]
_WRITTEN_OUT = {ord(sign): letters for sign, letters in {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa"}.items()}
_NAMING_TAGS = ["PatientName", "OtherPatientIDs", "AccessionNumber", "SeriesInstanceUID", *_DATE_TAGS]
_MOSTLY = ("PA", "AP", "", *LATERAL_VIEWS)
"""which image of a study a report is asked for: the first of these that is there"""


class _Film(NamedTuple):
    path: Path
    view: str
    instance: str
    study: tuple[str, ...]
    patient: tuple[str, ...]
    is_named: bool
    """its path repeats something that names the patient or the examination"""


def cases_of_films(paths: Sequence[Path], root: Path, problems: list[Problem], *, by_study: bool = True) -> list[Case]:
    """A case per study, or per image, in the order of the paths; the patient is empty where no header says.

    Called by the path of its first image below ``root``, without the suffix, or by a number where that path would name the patient. What is no
    radiograph, is damaged, or comes twice is left out and counted in ``problems``.
    """
    films: list[_Film] = []
    seen: set[str] = set()
    with progress("read DICOM headers", len(paths), unit="files") as advance:
        for path in sorted(paths):
            advance(1)
            film = _film(path, root, problems)
            if film is None:
                continue
            if film.instance and film.instance in seen:
                problems.append(Problem("duplicate image", str(path), "the same DICOM instance as an earlier file; that one was kept"))
                continue
            seen.add(film.instance)
            films.append(film)
    studies: dict[tuple[str, ...], list[_Film]] = {}
    for film in films:
        studies.setdefault(film.study, []).append(film)
    patients = {key: f"patient {number}" for number, key in enumerate(dict.fromkeys(film.patient for film in films if film.patient), 1)}
    suffixed = _ambiguous(films, root)
    cases = []
    for number, together in enumerate(studies.values(), 1):
        together.sort(key=lambda film: _MOSTLY.index(film.view))
        is_named = any(film.is_named for film in together)
        names = [f"study {number}, image {k}" if is_named else _name(film.path, root, suffixed) for k, film in enumerate(together, 1)]
        study = f"study {number}" if is_named else names[0]
        images = [ImageFile(film.path, film.view, name if is_named else film.path.stem) for film, name in zip(together, names, strict=True)]
        patient = patients.get(together[0].patient, "")
        if by_study:
            cases.append(Case(id=study, patient=patient, study=study, images=tuple(images)))
        else:
            cases += [Case(id=name, patient=patient, study=study, images=(image,)) for name, image in zip(names, images, strict=True)]
    return cases


def view_of_file(path: Path) -> str:
    """The view that a DICOM file's header states, see ``view_of``; empty for a file that has none or cannot be read."""
    try:
        header = read_header(path, path, VIEW_TAGS)
        return guarded(path, lambda: view_of(header))
    except (UnreadableImage, OSError):
        return ""


def view_of(header: Mapping[str, Any]) -> str:
    """PA, AP, LATERAL, LL, RL, or empty: by ViewPosition, else the view's code, the patient's orientation, the series' description.

    Only these words come out, whatever the header holds.
    """
    if stated := view_in_words(str(header.get("ViewPosition") or "")):
        return stated
    for item in header.get("ViewCodeSequence") or ():
        meaning = str(item.get("CodeMeaning") or "").lower().replace("-", "").replace(" ", "")
        for sign, view in (("posteroanterior", "PA"), ("anteroposterior", "AP"), ("lateral", "LATERAL")):
            if sign in meaning:
                return view
    orientation: Any = header.get("PatientOrientation") or ()
    across = str(orientation[0] or "").upper()[:1] if not isinstance(orientation, str) and len(orientation) else ""
    if across in ("A", "P"):  # the columns of the picture run from chest to back
        return "LATERAL"
    described = set(re.findall(r"(?<![A-Z])(PA|AP|LAT)(?:ERAL)?(?![A-Z])", str(header.get("SeriesDescription") or "").upper()))
    if len(described) == 1 and not (across and described == {"LAT"}):
        view = described.pop()
        return "LATERAL" if view == "LAT" else view
    return ""


def view_in_words(text: str) -> str:
    """PA, AP, LATERAL, LL, RL of what people write for a view ("Lat", "lateral view", "pa"); empty for other words."""
    stated = text.strip().upper()
    if stated in _MOSTLY[:2] or stated in LATERAL_VIEWS:
        return stated
    if "LAT" in stated and "DECUB" not in stated:
        return "LATERAL"
    frontal = set(re.findall(r"(?<![A-Z])(PA|AP)(?![A-Z])", stated))
    return frontal.pop() if len(frontal) == 1 else ""


def _film(path: Path, root: Path, problems: list[Problem]) -> _Film | None:
    """What one file's header says, None (and a problem) if it is no radiograph that can be read."""
    try:
        header = read_header(path, path, [*_KEY_TAGS, *_NAMING_TAGS, *VIEW_TAGS])
        values = guarded(path, lambda: {tag: str(header.get(tag) or "").strip() for tag in (*_KEY_TAGS, *_NAMING_TAGS)})
        modality = values["Modality"].upper()
        if modality in NO_RADIOGRAPHS:
            problems.append(Problem("no radiograph", str(path), f"a DICOM file of modality {modality}; left out"))
            return None
        check_picture(path, header)
        view = guarded(path, lambda: view_of(header))
        if is_cut_off(path):
            raise UnreadableImage(CUT_OFF)
    except (UnreadableImage, OSError) as error:
        said = error if isinstance(error, UnreadableImage) else unreadable(path, error)
        problems.append(Problem("unreadable image", str(path), str(said)))
        return None
    patient: tuple[str, ...] = ()
    if values["PatientID"].lower() not in NOBODY:
        patient = (values["PatientID"].upper(), values["IssuerOfPatientID"].upper())
    # Some anonymisers give one study UID to everyone: the patient is part of the key. Without UID a film is an examination of its own.
    study = (*patient, values["StudyInstanceUID"]) if values["StudyInstanceUID"] else (str(path),)
    return _Film(path, view, values["SOPInstanceUID"], study, patient, _names_someone(path.relative_to(root), values))


def _names_someone(relative: Path, values: Mapping[str, str]) -> bool:
    """Whether a path repeats what its header says of the patient or the examination, however it is spelt there: A-12 as a12, 123 as 00123, Müller as
    Mueller, a date with hyphens.
    """
    naming = [part for part in re.split(r"[\^= ]+", values["PatientName"]) if len(part) > 1]
    tags = ("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    naming += [values[tag] for tag in (*tags, *_DATE_TAGS) if values[tag]]
    bare = {spelling for value in naming for spelling in _spellings(value) if spelling}
    for part in (*relative.with_suffix("").parts, relative.name):
        if any(run in bare for run in _runs_of_words(part)):
            return True
    whole = set(_spellings(relative.as_posix()))
    return any(len(value) > 4 and value in text for value in bare for text in whole)


def _spellings(text: str) -> tuple[str, str]:
    """Letters and digits alone, in lower case, without zeros in front; accents dropped, and umlauts written out."""
    low = text.lower()
    written_out = low.translate(_WRITTEN_OUT)
    first, second = ("".join(sign for sign in unicodedata.normalize("NFKD", form) if sign.isalnum()).lstrip("0") for form in (low, written_out))
    return first, second


def _runs_of_words(part: str) -> Iterator[str]:
    """Every run of up to five neighbouring words of one folder's or file's name, spelt as ``_spellings``: of "a-12_x" a, a12, a12x, 12, 12x, x."""
    words = [word for word in re.split(r"[\W_]+", unicodedata.normalize("NFC", part)) if word]
    for start in range(len(words)):
        for end in range(start + 1, min(start + 5, len(words)) + 1):
            yield from _spellings("".join(words[start:end]))


def _ambiguous(films: Sequence[_Film], root: Path) -> set[Path]:
    """Paths without suffix that two films share."""
    seen: set[Path] = set()
    twice: set[Path] = set()
    for film in films:
        bare = film.path.relative_to(root).with_suffix("")
        (twice if bare in seen else seen).add(bare)
    return twice


def _name(path: Path, root: Path, suffixed: set[Path]) -> str:
    relative = path.relative_to(root)
    bare = relative.with_suffix("")
    return (relative if bare in suffixed else bare).as_posix()
