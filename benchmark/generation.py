"""Lets a model write: cases in, one checked line per report out, resumable.

A case that the model cannot answer is written down as failed, and counted. A model that breaks the contract (raises, answers too few, too many or
other cases) is stopped there; what it wrote before stays, and the other models go on.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace

from benchmark.hookspecs import Model
from benchmark.progress import progress
from benchmark.records import Case, Report, UserError
from benchmark.runs import ModelFolder, OtherRun, write_atomically

LONGEST_REPORT = 1_000_000  # characters; the longest report of MIMIC-CXR has about 10,000


class ModelFailed(Exception):
    """A model could not be run to the end; the message is one line for the tables, the traceback lies in the model's folder."""


def generate(model: Model, cases: Sequence[Case], folder: ModelFolder, label: str, *, retry_failed: bool = False) -> list[Report]:
    """One report per case, in the order of the cases; those that the folder already has are not asked for again.

    ``retry_failed`` asks again for the cases that are written down as failed.
    Raises ``ModelFailed``, ``CannotWrite``, ``OtherRun`` if the folder has reports about other cases.
    """
    found = folder.reports()
    kept = {report.case_id: report for report in found if not (retry_failed and report.failure)}
    known = {case.id for case in cases}
    if strangers := [case_id for case_id in kept if case_id not in known]:
        raise OtherRun(
            f"{folder.reports_file} has reports about other cases ({strangers[0]!r}, ...); choose another folder with --out, or delete this one"
        )
    if len(kept) != len(found):
        folder.rewrite(_in_order(kept, cases))  # duplicates, or failures to be tried again
    if remaining := [case for case in cases if case.id not in kept]:
        _append(model, remaining, folder, label, kept)
        folder.rewrite(_in_order(kept, cases))  # a gap that was filled at the end moves to its place; else nothing is touched
    return _in_order(kept, cases)


def _in_order(reports: dict[str, Report], cases: Sequence[Case]) -> list[Report]:
    return [reports[case.id] for case in cases if case.id in reports]


def _append(model: Model, cases: Sequence[Case], folder: ModelFolder, label: str, kept: dict[str, Report]) -> None:
    """Ask for ``cases``, append each answer to the folder and to ``kept`` as it comes. Raises ``ModelFailed``."""
    count = 0
    try:
        with folder.appending() as writer, progress(f"generate {label}", len(kept) + len(cases), done=len(kept)) as advance:
            answers = iter(model.generate(cases))
            try:
                for case in cases:
                    report = checked(_next(answers, case, count), case)
                    writer.write(report)
                    kept[case.id] = report
                    count += 1
                    advance(1)
                if (extra := next(answers, None)) is not None:
                    raise ModelFailed(f"answered more than the {len(cases)} cases it was given (then came {str(extra)[:80]!r})")
            finally:
                with suppress(Exception):
                    getattr(answers, "close", lambda: None)()
    except UserError:  # a full disk among them
        raise
    except ModelFailed as error:
        raise ModelFailed(f"stopped at case {count + 1} of {len(cases)}: {error}") from error
    except Exception as error:
        with suppress(OSError):
            write_atomically(folder.path / "failure.txt", traceback.format_exc())
        message = " ".join(str(error).split())[:200]
        raise ModelFailed(f"stopped at case {count + 1} of {len(cases)}: {type(error).__name__}: {message} (traceback in failure.txt)") from error


def _next(answers: Iterator[Report], case: Case, count: int) -> Report:
    try:
        return next(answers)
    except StopIteration:
        raise ModelFailed(f"gave {count} reports and then no more; case {case.id!r} has none") from None


def checked(answer: object, case: Case) -> Report:
    """The answer, if it is a report about this case. Raises ``ModelFailed``; a text that no metric could read becomes a failure of the case."""
    if not isinstance(answer, Report):
        raise ModelFailed(f"gave a {type(answer).__name__} where a benchmark.Report was due")
    if answer.case_id != case.id:
        raise ModelFailed(f"answered case {answer.case_id!r} where {case.id!r} was due: one report per case, in order")
    if not isinstance(answer.text, str) or not isinstance(answer.failure, str):
        raise ModelFailed(f"gave a report whose text is a {type(answer.text).__name__}")
    if problem := unreadable(answer.text):
        return replace(answer, text="", failure=answer.failure or problem)
    try:
        json.dumps(asdict(answer)).encode()
    except (TypeError, ValueError) as error:
        raise ModelFailed(f"gave details or regions that are not JSON: {error}") from error
    return answer


def unreadable(text: str) -> str:
    """Why no metric can read this text, or empty."""
    if "\0" in text:
        return "the text holds NUL bytes"
    if len(text) > LONGEST_REPORT:
        return f"the text has {len(text):,} characters, more than {LONGEST_REPORT:,}"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "the text holds half characters (lone surrogates)"
    return ""
