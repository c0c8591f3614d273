"""Files of radiologists' judgements, in the layouts in which they are handed out, told apart by their columns.

RadPref     ``preference_data.json`` with ``radiologist_annotations/*.json`` beside it, as in github.com/rajpurkarlab/CRIMSON (read there, 2026-04):
            two candidates per study, rated 1 to 5 by each rater, with false, missing and wrongly described findings and how much each matters
ReXVal      ``50_samples_gt_and_candidates.csv`` (study_id, gt_report, a column per candidate) and ``6_valid_raters_per_rater_error_categories.csv``
            (study_number, which is the row of the first file from 0; candidate_type, error_category, rater_index, clinically_significant,
            num_errors): physionet.org/content/rexval-dataset/1.0.0, credentialed; the columns as public code that reads the files names them
RadEvalX    ``RadEval_clinically_significant_errors.csv`` and ``RadEval-clinically_insignificant_errors.csv`` (report_id, ground_truth,
            M2Tr-Generation, 1 to 8: errors by category that two raters agreed on): physionet.org/content/rad-eval-x/1.0.0; columns likewise
long table  one row per candidate and rater, for any other collection: study, candidate, reference, report, rater, and score (higher is better) or
            errors; optional: patient, and significance (significant | insignificant: of the rows of one candidate and rater the errors are then
            added up, and the score, which is of the whole candidate, is the same in all)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.datasets.columns import BadTable, read_rows, read_table_text
from benchmark.meta_eval.judgements import CONSENSUS, Judged, Judgements
from benchmark.records import UserError
from benchmark.runs import sha256

RATING, SCORE, ERRORS, SIGNIFICANT = "rating", "score", "errors", "significant errors"
REXVAL_ERRORS = ("study_number", "candidate_type", "error_category", "rater_index", "clinically_significant", "num_errors")
REXVAL_REPORTS = ("study_id", "gt_report")
RADEVALX = ("report_id", "ground_truth", "M2Tr-Generation", *map(str, range(1, 9)))
LONG = ("study", "candidate", "reference", "report", "rater")
MATTERS = ("urgent", "actionable_not_urgent")
"""of RadPref's four words for how much a false or a missing finding matters, those that call for something to be done"""


class UnreadableJudgements(UserError):
    """A file of judgements that cannot be read as one; the message says what was looked for."""


def read_judgements(path: Path) -> Judgements:
    """The judgements of a file, or of a folder that holds the files of one collection. Raises ``UnreadableJudgements``, ``BadTable``."""
    if not path.exists():
        raise UnreadableJudgements(f"no file or folder {path}; name a file of RadPref, ReXVal or RadEvalX, their folder, or a long table")
    folder = path if path.is_dir() else path.parent
    files = sorted(file for file in path.iterdir() if file.suffix in (".json", ".csv")) if path.is_dir() else [path]
    for file in files:
        if file.suffix == ".json":
            return _radpref(file, folder)
        columns = _columns(file)
        if columns >= set(REXVAL_ERRORS) or columns >= set(REXVAL_REPORTS):
            return _rexval(_beside(folder, REXVAL_REPORTS, "ReXVal"), _beside(folder, REXVAL_ERRORS, "ReXVal"))
        if columns >= set(RADEVALX):
            return _radevalx(folder)
        if columns >= set(LONG):
            return _long(file)
    raise UnreadableJudgements(
        f"{path} holds no judgements that can be read: neither RadPref's preference_data.json, nor ReXVal's or RadEvalX's tables, nor a table with "
        f"the columns {', '.join(LONG)} and score or errors; found {', '.join(file.name for file in files) or 'no .json and no .csv'}"
    )


def _columns(file: Path) -> set[str]:
    header = read_table_text(file).split("\n", 1)[0]
    return {name.strip().strip('"') for delimiter in ",;\t" for name in header.split(delimiter)}


def _beside(folder: Path, columns: Sequence[str], what: str) -> Path:
    """The one table of the folder that has those columns."""
    found = [file for file in sorted(folder.glob("*.csv")) if _columns(file) >= set(columns)]
    if len(found) != 1:
        said = ", ".join(file.name for file in found) or "none"
        raise UnreadableJudgements(
            f"{what} is two tables in one folder; {folder} should have one with {', '.join(columns)}, and has {said}: put it there"
        )
    return found[0]


def _radpref(file: Path, folder: Path) -> Judgements:
    rows = _json(file)
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {"id", "ground_truth_report", "C1_report", "C2_report"} <= set(row) for row in rows
    ):
        raise UnreadableJudgements(
            f"{file} is no preference_data.json of RadPref: it must be a list of objects with id, ground_truth_report, C1_report, C2_report"
        )
    annotations = sorted((folder / "radiologist_annotations").glob("*.json")) or sorted(other for other in folder.glob("*.json") if other != file)
    if not annotations:
        raise UnreadableJudgements(f"{file} has the reports of RadPref, and no ratings lie beside it; put its folder radiologist_annotations there")
    judged: list[Judged] = []
    places: dict[tuple[str, str], int] = {}
    for row in rows:
        for candidate in ("C1", "C2"):
            places[row["id"], candidate] = len(judged)
            # ids are <patient>_<accession>_<image>: a patient may have come twice
            judged.append(Judged(row["id"], row["id"].split("_")[0], candidate, row["ground_truth_report"], row[f"{candidate}_report"]))
    said: dict[str, dict[str, np.ndarray]] = {RATING: {}, SIGNIFICANT: {}, ERRORS: {}}
    for annotation in annotations:
        read = _json(annotation)
        if not isinstance(read, dict) or not isinstance(read.get("annotations"), dict):
            raise UnreadableJudgements(f"{annotation} is no file of RadPref's annotations: it must be an object with user_id and annotations")
        rater = f"rater {read.get('user_id', annotation.stem)}"
        for question in said:
            said[question][rater] = np.full(len(judged), np.nan)
        for study, of_study in read["annotations"].items():
            for candidate in ("C1", "C2"):
                if candidate in of_study and (study, candidate) in places:
                    for question, value in _radpref_answers(of_study[candidate]).items():
                        said[question][rater][places[study, candidate]] = value
    notes = (
        "Significant errors: false or missing findings that are urgent or actionable, and findings with a significantly wrong attribute.",
        "The patient is the first part of the study's id.",
    )
    files = {one.name: sha256(one) for one in (file, *annotations)}
    return Judgements("RadPref", judged, said, names_patients=True, notes=notes, files=files)


def _radpref_answers(said: Mapping[str, Any]) -> dict[str, float]:
    """Rating and minus the numbers of errors of one candidate by one rater."""
    errors = [*(said.get("finding_errors") or {}).values(), *(said.get("missing_findings") or {}).values()]
    matter = [error for error in errors if error.get("clinical_significance") in MATTERS or "significant" in (error.get("attributes") or {}).values()]
    rating = said.get("rating")
    return {RATING: float("nan") if rating is None else float(rating), SIGNIFICANT: -float(len(matter)), ERRORS: -float(len(errors))}


def _rexval(reports: Path, errors: Path) -> Judgements:
    kinds = dict.fromkeys(row["candidate_type"] for _, row in read_rows(errors, REXVAL_ERRORS))
    places: dict[tuple[str, str], int] = {}
    judged: list[Judged] = []
    for number, (_, row) in enumerate(read_rows(reports, REXVAL_REPORTS)):
        for candidate in (kind for kind in kinds if kind in row):
            places[str(number), candidate] = len(judged)
            judged.append(Judged(row["study_id"], row["study_id"], candidate, row["gt_report"], row[candidate]))
    said: dict[str, dict[str, np.ndarray]] = {ERRORS: {}, SIGNIFICANT: {}}
    unknown: set[str] = set()
    for line, row in read_rows(errors, REXVAL_ERRORS):
        key = (_whole(row["study_number"]), row["candidate_type"])
        if key not in places:
            unknown.add(f"{key[0]} {key[1]}")
            continue
        count, rater = _number(errors, line, "num_errors", row["num_errors"]), f"rater {_whole(row['rater_index'])}"
        is_significant = _is_yes(errors, line, row["clinically_significant"])
        for question, adds in ((ERRORS, count), (SIGNIFICANT, count if is_significant else 0.0)):
            answers = said[question].setdefault(rater, np.full(len(judged), np.nan))
            answers[places[key]] = np.nan_to_num(answers[places[key]]) - adds
    if unknown:
        raise UnreadableJudgements(
            f"{errors} judges {len(unknown)} candidates that {reports} does not have, the first {min(unknown)!r}; study_number must be the row "
            "there, from 0, and candidate_type one of its columns"
        )
    _check_some(said[ERRORS], errors)
    return Judgements("ReXVal", judged, said, files={file.name: sha256(file) for file in (reports, errors)})


def _radevalx(folder: Path) -> Judgements:
    tables = [file for file in sorted(folder.glob("*.csv")) if _columns(file) >= set(RADEVALX)]
    lesser = [file for file in tables if "insignificant" in file.name.lower()]
    greater = [file for file in tables if file not in lesser]
    if len(lesser) != 1 or len(greater) != 1:
        raise UnreadableJudgements(
            f"RadEvalX is two tables, of significant and of insignificant errors (the name of the second says so); {folder} has "
            f"{', '.join(file.name for file in tables)}: put both there, and no other of these columns"
        )
    places: dict[str, int] = {}
    judged: list[Judged] = []
    counts: dict[Path, dict[str, float]] = {}
    blank = 0
    for file in (greater[0], lesser[0]):
        counts[file] = {}
        for line, row in read_rows(file, RADEVALX):
            study = row["report_id"]
            if study in counts[file]:
                raise UnreadableJudgements(f"{file}, line {line}: report_id {study!r} stands there twice; keep one of them")
            if study not in places:
                places[study] = len(judged)
                judged.append(Judged(study, study, "M2Tr", row["ground_truth"], row["M2Tr-Generation"]))
            cells = [row[str(category)] for category in range(1, 9)]
            blank += sum(not cell for cell in cells)
            counts[file][study] = sum(_number(file, line, "errors", cell) for cell in cells if cell)
    if counts[greater[0]].keys() != counts[lesser[0]].keys():
        study = min(counts[greater[0]].keys() ^ counts[lesser[0]].keys())
        raise UnreadableJudgements(f"{greater[0].name} and {lesser[0].name} are not of the same reports: {study!r} is in one alone; fetch both again")
    significant = np.array([-counts[greater[0]][one.study] for one in judged])
    every = significant - np.array([counts[lesser[0]][one.study] for one in judged])
    notes = ["One count for both raters: what they agreed on. So no rater can be held against another, and one candidate per study leaves no pairs."]
    if blank:
        notes.append(f"{blank:,} blank cells are read as no error: the release does not say what a blank means.")
    said = {ERRORS: {CONSENSUS: every}, SIGNIFICANT: {CONSENSUS: significant}}
    return Judgements("RadEvalX", judged, said, notes=tuple(notes), files={file.name: sha256(file) for file in tables})


def _long(file: Path) -> Judgements:
    rows = list(read_rows(file, LONG))
    columns = set(rows[0][1]) if rows else set()
    if not columns & {"score", "errors"}:
        raise UnreadableJudgements(f"{file}: nobody says what was judged; add a column score (higher is better) or errors")
    names_patients = any(row.get("patient") for _, row in rows)
    judged: list[Judged] = []
    places: dict[tuple[str, str], int] = {}
    patients: dict[str, str] = {}
    for line, row in rows:
        key = row["study"], row["candidate"]
        if names_patients and not row["patient"]:
            raise UnreadableJudgements(
                f"{file}, line {line}: patient is blank, and other rows name one; name the patient of study {row['study']!r} too, "
                "or leave the column out"
            )
        patient = row["patient"] if names_patients else row["study"]
        if patients.setdefault(row["study"], patient) != patient:
            raise UnreadableJudgements(
                f"{file}, line {line}: study {row['study']!r} is of patient {patient!r}, and above of {patients[row['study']]!r}; a study is of one "
                "patient: make them agree, or name two studies"
            )
        one = Judged(row["study"], patient, row["candidate"], row["reference"], row["report"])
        if key not in places:
            places[key] = len(judged)
            judged.append(one)
        elif judged[places[key]] != one:
            raise UnreadableJudgements(f"{file}, line {line}: candidate {key[1]!r} of study {key[0]!r} has another text than above; make them agree")
    said: dict[str, dict[str, np.ndarray]] = {}
    seen: set[tuple[int, str, str]] = set()
    for line, row in rows:
        place, rater, significance = places[row["study"], row["candidate"]], row["rater"], row.get("significance", "")
        if significance not in ("", "significant", "insignificant"):
            raise UnreadableJudgements(f"{file}, line {line}: significance is {significance!r}; write significant, insignificant, or nothing")
        if (place, rater, significance) in seen:
            raise UnreadableJudgements(
                f"{file}, line {line}: {rater!r} judges candidate {row['candidate']!r} of study {row['study']!r} twice; keep one row"
            )
        seen.add((place, rater, significance))
        for question, value in _long_answers(file, line, row, significance, has_significance="significance" in columns):
            answers = said.setdefault(question, {}).setdefault(rater, np.full(len(judged), np.nan))
            if question == SCORE and not np.isnan(answers[place]) and answers[place] != value:
                raise UnreadableJudgements(
                    f"{file}, line {line}: {rater!r} gives candidate {row['candidate']!r} of study {row['study']!r} a score of {value:g}, and above "
                    f"one of {answers[place]:g}; errors are added up over significance, a score is of the whole candidate: write it alike, or once"
                )
            answers[place] = value if question == SCORE else np.nan_to_num(answers[place]) + value
    if not said:
        raise UnreadableJudgements(f"{file} has no judgement: every score and errors is blank; a candidate without errors has 0")
    return Judgements(f"long table {file.name}", judged, said, names_patients=names_patients, files={file.name: sha256(file)})


def _long_answers(file: Path, line: int, row: Mapping[str, str], significance: str, *, has_significance: bool) -> Iterator[tuple[str, float]]:
    if row.get("score"):
        yield SCORE, _number(file, line, "score", row["score"], is_count=False)
    if row.get("errors"):
        count = _number(file, line, "errors", row["errors"])
        yield ERRORS, -count
        if has_significance:
            yield SIGNIFICANT, -count if significance == "significant" else -0.0


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableJudgements(f"{file} cannot be read as JSON ({' '.join(str(error).split())}); fetch it again") from error


def _number(file: Path, line: int, column: str, cell: str, *, is_count: bool = True) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = float("nan")
    if not np.isfinite(number) or (is_count and number < 0):
        wanted = "a number of errors, 0 or more" if is_count else "a number"
        raise BadTable(f"{file}, line {line}: {column} is {cell!r}; it must be {wanted}")
    return number


def _is_yes(file: Path, line: int, cell: str) -> bool:
    if cell.lower() not in ("true", "false", "1", "0"):
        raise BadTable(f"{file}, line {line}: clinically_significant is {cell!r}; it must be True or False")
    return cell.lower() in ("true", "1")


def _whole(cell: str) -> str:
    """ "3.0" -> "3", as pandas writes whole numbers beside a blank."""
    return cell.removesuffix(".0")


def _check_some(said: Mapping[str, np.ndarray], file: Path) -> None:
    if not said:
        raise UnreadableJudgements(f"{file} has no row of judgements; fetch it again")
