"""Lets a model write: cases in, one checked line per report out, resumable.

A case that the model cannot answer is written down as failed, and counted. A model that breaks the contract (raises, answers too few, too many or
other cases) is stopped there; what it wrote before stays, and the other models go on.

A model that writes about several cases together is asked again for whole batches, counted from the first case: the last digit of
what it computes may depend on the company, and a run that was interrupted is to end in the same bytes. What the folder has of them already stays.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

from benchmark.engine.blocks import RaisedElsewhere, WorkersLost
from benchmark.hookspecs import Model
from benchmark.patience import NoAnswer, at_most, silence
from benchmark.progress import progress
from benchmark.records import Case, Interrupted, Report, UserError
from benchmark.runs import ModelFolder, OtherRun, write_atomically, writing

LONGEST_REPORT = 1_000_000  # characters; the longest report of MIMIC-CXR has about 10,000
LONGEST_FAILURE = 2_000  # characters; it stands in tables and on the page
FAILURE = "failure.txt"
"""the traceback of a model that raised, in its folder"""


class ModelFailed(Exception):
    """A model could not be run to the end; the message is one line for the tables, the traceback lies in the model's folder."""


class WouldEndAll(Exception):
    """A model raised what ends a program: ``SystemExit`` by a library that gives up, a panic of a Rust extension. It ends the model alone."""


def generate(
    model: Model, cases: Sequence[Case], folder: ModelFolder, label: str, *, retry_failed: bool = False, patience: float = 0.0
) -> list[Report]:
    """One report per case, in the order of the cases; those that the folder already has are not asked for again.

    ``retry_failed`` asks again for the cases that are written down as failed; a model that gives no report for ``patience`` seconds is stopped (0 =
    it is waited for).
    Raises ``ModelFailed``, ``CannotWrite``, ``OtherRun`` if the folder has reports about other cases.
    """
    folder.repair()
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
        together = batch_size_of(model) if getattr(model, "is_independent_by_case", True) else len(cases)
        _append(model, _whole_batches(remaining, cases, together), folder, label, kept, len(cases), patience)
        folder.rewrite(_in_order(kept, cases))  # a gap that was filled at the end moves to its place; else nothing is touched
    with writing(folder.path):
        (folder.path / FAILURE).unlink(missing_ok=True)  # of an earlier attempt: what it could not do then is done
    return _in_order(kept, cases)


def _in_order(reports: dict[str, Report], cases: Sequence[Case]) -> list[Report]:
    return [reports[case.id] for case in cases if case.id in reports]


def batch_size_of(model: object) -> int:
    """How many cases the model writes about together, by its own word; 1 if it says nothing."""
    said = getattr(model, "cases_together", getattr(model, "batch_size", 1))
    return said if isinstance(said, int) and said > 0 else 1


def _whole_batches(remaining: Sequence[Case], cases: Sequence[Case], batch_size: int) -> list[Case]:
    """The cases of every batch in which one remains."""
    if batch_size == 1:
        return list(remaining)
    missing = {case.id for case in remaining}
    batches = (cases[start : start + batch_size] for start in range(0, len(cases), batch_size))
    return [case for batch in batches if any(case.id in missing for case in batch) for case in batch]


def _append(model: Model, cases: Sequence[Case], folder: ModelFolder, label: str, kept: dict[str, Report], of: int, patience: float) -> None:
    """Ask for ``cases``, append each new answer to the folder and to ``kept`` as it comes. Raises ``ModelFailed``."""
    count = 0
    try:
        with (
            folder.appending() as writer,
            progress(f"generate {label}", of, done=len(kept)) as advance,
            closing(checked_answers(model, cases, patience)) as answers,
        ):
            for report in answers:
                if report.case_id not in kept:
                    writer.write(report)
                    kept[report.case_id] = report
                    advance(1)
                count += 1
    except UserError:  # a full disk among them
        raise
    except ModelFailed as error:
        raise ModelFailed(f"stopped at case {count + 1} of {len(cases)}: {error}") from error
    except Exception as error:
        raise ModelFailed(f"stopped at case {count + 1} of {len(cases)}: {kept_failure(error, folder)}") from error


def kept_failure(error: Exception, folder: ModelFolder) -> str:
    """What a model raised, in one line; its traceback goes into the model's folder. Raises what the user can mend as a ``UserError``."""
    if isinstance(error, WorkersLost):
        return str(error)
    kind, message, trace = type(error).__name__, str(error), traceback.format_exc()
    if isinstance(error, RaisedElsewhere):
        kind, message, trace = error.raised.kind, error.raised.message, error.raised.trace
        if error.raised.is_users:
            raise UserError(message) from error
        if kind == ModelFailed.__name__:
            return message
    with suppress(OSError):
        folder.path.mkdir(parents=True, exist_ok=True)
        write_atomically(folder.path / FAILURE, trace)
    return f"{kind}: {' '.join(message.split())[:200]} (traceback in failure.txt)"


def checked_answers(model: Model, cases: Sequence[Case], patience: float = 0.0) -> Generator[Report, None, None]:
    """The model's answers: one report per case, in order. Raises ``ModelFailed`` if they are anything else, and what the model raises."""
    answers = _begun(model, cases, patience)
    try:
        for count, case in enumerate(cases):
            report = checked(_next(answers, case, count, patience), case)
            # The last one is taken when it is known to be the last: else the next run would find a report for each case, and a model that is well.
            if count + 1 == len(cases) and (extra := _after(answers, None, patience)) is not None:
                raise ModelFailed(f"answered more than the {len(cases)} cases it was given (then came {str(extra)[:80]!r})")
            yield report
    finally:
        with suppress(Exception):
            getattr(answers, "close", lambda: None)()


def _begun(model: Model, cases: Sequence[Case], patience: float) -> Iterator[Report]:
    """What ``generate`` gives: a model may do all its work before it gives anything."""
    try:
        with contained(), at_most(patience):
            return iter(model.generate(cases))
    except NoAnswer:
        raise ModelFailed(silence(patience)) from None


def _next(answers: Iterator[Report], case: Case, count: int, patience: float) -> object:
    if (answer := _after(answers, _END, patience)) is _END:
        raise ModelFailed(f"gave {count} reports and then no more; case {case.id!r} has none")
    return answer


_END = object()


def _after(answers: Iterator[object], end: object, patience: float) -> object:
    """The next answer, or ``end``."""
    try:
        with contained(), at_most(patience):
            return next(answers, end)
    except NoAnswer:
        raise ModelFailed(silence(patience)) from None


@contextmanager
def contained() -> Iterator[None]:
    """Make a ``WouldEndAll`` of what a guest raises in here that is no ``Exception``."""
    try:
        yield
    except (Exception, KeyboardInterrupt, Interrupted, NoAnswer):
        raise
    except BaseException as error:
        raise WouldEndAll(f"{type(error).__name__}: {error}") from error


def checked(answer: object, case: Case) -> Report:
    """The answer, if it is a report about this case. Raises ``ModelFailed``; a text that no metric could read becomes a failure of the case."""
    if not isinstance(answer, Report):
        raise ModelFailed(f"gave a {type(answer).__name__} where a benchmark.Report was due")
    if answer.case_id != case.id:
        raise ModelFailed(f"answered case {answer.case_id!r} where {case.id!r} was due: one report per case, in order")
    for name, kind in (("text", str), ("failure", str), ("regions", Mapping), ("details", Mapping)):
        if not isinstance(value := getattr(answer, name), kind):
            raise ModelFailed(f"gave a report whose {name} is a {type(value).__name__}")
    if not all(isinstance(sentence, str) for sentence in answer.regions.values()):
        raise ModelFailed("gave a report whose regions are not texts")
    if answer.failure:
        why = " ".join(answer.failure.replace("\0", " ").split()) or "no reason given"
        answer = replace(answer, failure=why if len(why) <= LONGEST_FAILURE else f"{why[:LONGEST_FAILURE]}...")
    if problem := unreadable(answer.text):
        return replace(answer, text="", failure=answer.failure or problem)
    try:
        length = len(json.dumps([dict(answer.regions), dict(answer.details)]))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFailed(f"gave details or regions that are not JSON: {error}") from error
    if length > LONGEST_REPORT:
        said = f"{length:,} characters of regions and details, more than {LONGEST_REPORT:,}; they are not kept"
        answer = replace(answer, regions={}, details={"too long": said})
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
