"""A model in another program: ``command:'python my_model.py --fast'``. JSON lines both ways, in whatever language and environment it likes.

The protocol
------------
The command is split as a shell would (quotes, no variables, no pipes) and started without one. The program reads one JSON object per line on stdin:

    {"id": "c17", "patient": "p3", "study": "s9", "images": [{"path": "/data/1.jpg", "view": "PA", "id": ""}],
     "indication": "", "technique": "", "comparison": "", "prior_report": "", "prior_image": null, "boxes": null}

``images[0]`` is the image that the report is asked for; paths are absolute; there is never a reference. It writes one object per line on stdout, and
flushes after each:

    {"id": "c17", "report": "The heart is normal. ..."}
    {"id": "c18", "failure": "no image could be read"}

``regions`` (an object of texts) and ``details`` (an object of anything; NaN becomes null) are optional. Answers may come in any order among the
``window`` (64) oldest cases that are not yet reported; that many are sent ahead. When the last case is sent, stdin is closed. A program may answer in
batches of what lies there, but must not wait for a batch to fill. One that wants all of its input first is run with ``window=0``: then everything
is sent at once and stdin closed. stderr is for messages: it is kept in a log, its last lines are quoted when something goes wrong.

What happens when it does not keep to it
----------------------------------------
* A line of stdout that is no JSON object with an id or a report (a greeting, a progress bar) is skipped and counted; the first is kept.
* An answer whose report is missing, not text, longer than 1,000,000 characters or holds NUL: that case has failed, the program goes on.
* An answer to a case that was not asked, a second and different answer to one, an answer without an id: the run of this model ends with
  ``BrokenProtocol``, because then no other answer can be trusted either. A second answer equal to the first is skipped and counted.
* It ends, or gives no answer for ``timeout`` seconds (``startup`` seconds before its first): it is killed with all its children and started again.
  The cases that it owed are then sent one at a time, to find the one to blame: a case that, alone and first, ends a fresh program which it had been
  given to before has failed, and the run goes on. Without a window nobody can be singled out, and all that is owed is sent again. After ``restarts``
  restarts in a row without one answer (or ``restarts`` cases in a row that had to be blamed) every case that remains has failed, with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from adapters.line_program import LineProgram, locate
from benchmark.places import cache_folder
from benchmark.records import Case, ProtocolCard, Report, UserError

FAREWELL_SECONDS = 5.0  # for a program to end by itself once everything is answered
MAX_REPORT_CHARACTERS = 1_000_000  # as benchmark.generation; the longest report of MIMIC-CXR has about 10,000


class BrokenProtocol(Exception):
    """The program answered what was not asked; its answers cannot be told apart any more."""


class Command:
    """Asks a program for the reports. Settings in seconds and cases, see the module for what they do."""

    def __init__(
        self, argument: str, *, timeout: float = 120.0, startup: float = 600.0, restarts: int = 2, window: int = 64, log: Path | None = None
    ) -> None:
        """``argument`` is the command line; ``log`` takes its stderr (default: in the cache folder). Raises ``UserError``."""
        try:
            self.argv = shlex.split(argument)
        except ValueError as error:
            raise UserError(f"command: cannot split {argument!r} into words ({error}); check its quotes") from None
        if not self.argv:
            raise UserError("command: no program named; write command:'python my_model.py'")
        if timeout <= 0 or startup <= 0 or restarts < 0 or window < 0:
            raise UserError("command: timeout and startup are seconds above 0, restarts and window are 0 or more")
        self.program = locate(self.argv[0])
        self.timeout, self.startup, self.restarts, self.window = timeout, startup, restarts, window
        self.log = log or cache_folder() / "logs" / f"command-{hashlib.sha256(argument.encode()).hexdigest()[:12]}.log"
        self.skipped_lines, self.first_skipped_line, self.starts = 0, "", 0

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order. Ending the iteration early ends the program. Raises ``BrokenProtocol``, ``ProgramNotFound``."""
        dialogue = _Dialogue(self, cases)
        try:
            for case in cases:
                yield dialogue.report(case)
            dialogue.finish()
        finally:
            dialogue.close()

    def provenance(self) -> dict[str, Any]:
        """The command, and checksums of the files that it names."""
        files = [self.program, *(Path(word) for word in self.argv[1:])]
        return {
            "argv": self.argv,
            "sha256": {file.name: digest for file in files if (digest := _digest(file))},
        }

    def card(self) -> ProtocolCard:
        """Nothing is known of what is in the program."""
        return ProtocolCard(remarks=("A program of the user's own; what is in it, nobody said.",))

    def start(self) -> LineProgram:
        """The program, running."""
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))  # a model may speak of the reports that it read
        except OSError as error:
            raise UserError(f"command: cannot write the log {self.log} ({error.strerror}); name another with --set command.log=FILE") from None
        self.starts += 1
        return LineProgram(self.argv, self.log)

    def skip(self, line: bytes) -> None:
        """Count a line of stdout that is no answer."""
        self.skipped_lines += 1
        self.first_skipped_line = self.first_skipped_line or line[:200].decode("utf-8", errors="replace").strip()


class _Answer(NamedTuple):
    """What came back for a case, and a digest of the line to tell a repeated answer from a contradiction."""

    report: Report
    digest: bytes


class _Dialogue:
    """The state of one ``generate``: what was sent, what came back, and who is suspected of having ended the program."""

    def __init__(self, command: Command, cases: Sequence[Case]) -> None:
        self.command = command
        self.cases = {case.id: case for case in cases}
        self.place = {case.id: place for place, case in enumerate(cases)}
        self.waiting = deque(self.cases)  # not sent yet, or to be sent again
        self.outstanding: dict[str, None] = {}  # sent to the running program, not answered; a set in order
        self.suspects: dict[str, None] = {}  # owed by a program that ended; asked again one at a time
        self.answers: dict[str, _Answer] = {}
        self.reported = 0
        self.program: LineProgram | None = None
        self.sent_to_program = 0
        self.is_input_ended = False
        self.has_answered = False  # this program
        self.has_ever_answered = False  # any start of it
        self.fruitless_starts = 0  # in a row
        self.blamed = 0  # cases in a row
        self.deadline = 0.0
        self.verdict = ""  # why nothing more is asked

    def report(self, case: Case) -> Report:
        """The report of ``case``, which is the next in order."""
        self._extend_deadline()  # the time that our caller took is not the program's
        while case.id not in self.answers and not self.verdict:
            self._send()
            self._listen()
        self.reported += 1
        answer = self.answers.get(case.id)
        return answer.report if answer else Report(case.id, failure=self.verdict)

    def finish(self) -> None:
        """Hear out a program that has answered everything, for a moment: an answer too many must not go unnoticed."""
        if self.program is None:
            return
        end = time.monotonic() + FAREWELL_SECONDS
        with suppress(TimeoutError):
            while (left := end - time.monotonic()) > 0 and (line := self.program.receive(left)) is not None:
                self._hear(line)

    def close(self) -> None:
        """End the program, if it runs."""
        if self.program is not None:
            self.program.close()
            self.program = None

    def _send(self) -> None:
        """Send what may be sent: suspects one at a time, else up to a window of cases beyond the last report."""
        if self.program is None:
            self.program = self.command.start()
            self.sent_to_program = 0
            self.has_answered = self.is_input_ended = False
            self._extend_deadline()
        if self.suspects:
            if not self.outstanding:
                self._send_case(next(iter(self.suspects)))
        else:
            end = self.reported + (self.command.window or len(self.cases))
            while self.waiting and self.place[self.waiting[0]] < end:
                self._send_case(self.waiting.popleft())
        if not self.waiting and self.suspects.keys() <= self.outstanding.keys() and not self.is_input_ended:
            self.program.end_input()
            self.is_input_ended = True

    def _send_case(self, case_id: str) -> None:
        assert self.program is not None
        self.program.send(json.dumps(describe(self.cases[case_id])).encode() + b"\n")
        self.outstanding[case_id] = None
        self.sent_to_program += 1

    def _listen(self) -> None:
        """Take one line, or find out that there will be none."""
        assert self.program is not None
        try:
            line = self.program.receive(max(0.0, self.deadline - time.monotonic()))
        except TimeoutError:
            line = b""
        if line is None:
            self._restart(self.program.describe_end())
            return
        if line:
            self._hear(line)
        if time.monotonic() >= self.deadline:  # also for one that talks without end and never answers
            self._restart(f"gave no answer for {self._patience:g} s (does it flush its output after each line?)")

    def _hear(self, line: bytes) -> None:
        answer = _parse(line)
        if answer is None:
            self.command.skip(line)
            return
        name = self._check_asked(answer)
        digest = hashlib.sha256(line.strip()).digest()
        if name in self.answers:
            if self.answers[name].digest != digest:
                raise BrokenProtocol(f"{self._who} answered case {name!r} twice, and not alike; one line for each case")
            self.command.skip(line)
            return
        self.answers[name] = _Answer(read_answer(name, answer), digest)
        self.outstanding.pop(name)
        self.suspects.pop(name, None)
        self.has_answered = self.has_ever_answered = True
        self.fruitless_starts = self.blamed = 0
        self._extend_deadline()

    def _check_asked(self, answer: Mapping[str, Any]) -> str:
        name = answer.get("id")
        if name is None:
            raise BrokenProtocol(f"{self._who} gave an answer without an id; each answer repeats the id of its case")
        if not isinstance(name, str) or (name not in self.outstanding and name not in self.answers):
            asked = ", ".join(repr(case_id) for case_id in list(self.outstanding)[:3]) or "nothing more"
            raise BrokenProtocol(
                f"{self._who} answered case {str(name)[:80]!r}, which it was not asked; asked was {asked}; ids are repeated as they came"
            )
        return name

    @property
    def _who(self) -> str:
        return f"the program {self.command.argv[0]!r}"

    @property
    def _patience(self) -> float:
        return self.command.timeout if self.has_answered else self.command.startup

    def _extend_deadline(self) -> None:
        self.deadline = time.monotonic() + self._patience

    def _restart(self, reason: str) -> None:
        """End the program, find out whether a case is to blame, and make ready for the next start."""
        assert self.program is not None
        program, sent = self.program, self.sent_to_program
        self.close()
        words = program.last_words()
        reason = f"the program {reason}{'; its last words: ' + words if words else ''}; log: {self.command.log.name}"
        if sent == 1 and self.outstanding and self.outstanding.keys() <= self.suspects.keys():
            culprit = next(iter(self.outstanding))
            self.suspects.pop(culprit)
            self.answers[culprit] = _Answer(Report(culprit, failure=f"{reason}; so it did when it was given this case alone"), b"")
            self.blamed += self.has_ever_answered
            self.fruitless_starts += not self.has_ever_answered
        else:
            owed = sorted({**self.suspects, **self.outstanding}, key=self.place.__getitem__)
            if self.command.window:
                self.suspects = dict.fromkeys(owed)
            else:
                self.waiting.extendleft(reversed(owed))
            self.fruitless_starts += 1
        self.outstanding.clear()
        if max(self.fruitless_starts, self.blamed) > self.command.restarts:
            self.verdict = f"{reason}; given up after {self.command.restarts} restarts without an answer"


def describe(case: Case) -> dict[str, Any]:
    """A case as the program gets it."""
    return {
        "id": case.id,
        "patient": case.patient,
        "study": case.study,
        "images": [{"path": str(image.path.absolute()), "view": image.view, "id": image.id} for image in case.images],
        "indication": case.indication,
        "technique": case.technique,
        "comparison": case.comparison,
        "prior_report": case.prior_report,
        "prior_image": str(case.prior_image.absolute()) if case.prior_image else None,
        "boxes": {name: list(box) for name, box in case.boxes.items()} if case.boxes is not None else None,
    }


def read_answer(name: str, answer: Mapping[str, Any]) -> Report:
    """The report that an answer holds; a failure that names what is wrong with it, if something is."""
    failure, text = answer.get("failure"), answer.get("report")
    regions, details = answer.get("regions") or {}, answer.get("details") or {}
    if failure:
        return Report(name, failure=str(failure)[:1000].encode(errors="replace").decode())
    if "report" not in answer:
        return Report(name, failure="the program's answer has neither a report nor a failure")
    if not isinstance(text, str):
        return Report(name, failure=f"the program's report is {_kind(text)}, not text")
    if len(text) > MAX_REPORT_CHARACTERS:
        return Report(name, failure=f"the program's report has {len(text):,} characters, more than {MAX_REPORT_CHARACTERS:,}")
    if "\0" in text:
        return Report(name, failure="the program's report holds NUL characters")
    if not isinstance(regions, dict) or not all(isinstance(sentence, str) for sentence in regions.values()):
        return Report(name, failure="the program's regions are not an object of texts")
    if not isinstance(details, dict):
        return Report(name, failure=f"the program's details are {_kind(details)}, not an object")
    try:
        json.dumps([text, regions, details], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Report(name, failure="the program's answer holds half a surrogate pair")
    return Report(name, text, regions=regions, details=details)


def _parse(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line, None if there is none or it is clearly no answer."""
    try:
        answer = json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) and ("id" in answer or "report" in answer) else None


def _kind(value: object) -> str:
    names: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", str: "text"}
    return names.get(type(value), "null")


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError:
        return ""
