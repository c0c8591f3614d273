"""The run folder: append, resume, seal.

    <run>/  settings.json  cases.jsonl  references.jsonl  problems.csv
            <model>/model.json  <model>/reports.jsonl  <model>/<metric>.npz  tables ...  page/ ...  index.html  run.json

``settings.json`` comes first and says which data the folder belongs to; ``run.json`` comes last: a folder without it is unfinished.
Reports are appended one line at a time, so that a killed run keeps all it has; half a line at the end is cut off before another follows it. Who only
reads changes nothing: the folder may be on a disk that is read-only, and the half line one that another process is writing.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmark.progress import progress
from benchmark.records import Case, Reference, Report, UserError

FORMAT = 1  # of the folder; a reader refuses folders of a newer one
OF_PAGE = ("index.html", "index.html.part", "page", "page.new", "page.old")
"""what of a run folder is the page to read cases on, and what a page that is being written is made of until it is whole"""
NO_FILE = (errno.EISDIR, errno.ELOOP, errno.ENXIO)
"""of the operating system's numbers, those that say that there is something else than a file"""
OF_RUN = re.compile(r"(run|settings|model)\.json|[a-z]+\.jsonl|[a-z0-9_]+\.(md|csv|tex|html)|\S+\.npz")
"""what else lies in a run folder beside the models' own folders"""
LONGEST_NAME = 100
"""letters of a label that is a folder's name as it is: file systems take 255 bytes, some 143, and what is being written has two endings"""
KEEP_ALL_OUT = "*\n"
"""the .gitignore of a folder whose text may not travel"""


class FolderInUse(UserError):
    """Another process writes into the run folder."""


class OtherRun(UserError):
    """The folder holds a run on other data or of a differently set model."""


class NoRunFolder(UserError):
    """The folder holds other things than a run."""


class DamagedRun(UserError):
    """A file of the run folder cannot be read; the message names file and line."""


class CannotWrite(UserError):
    """The disk is full or the folder is not writable; what was written before stays."""


@dataclass(frozen=True)
class RunFolder:
    """A folder that one process at a time may write; see ``opened``."""

    path: Path

    @property
    def is_sealed(self) -> bool:
        """True once everything in it is final."""
        return (self.path / "run.json").exists()

    def model(self, label: str) -> ModelFolder:
        """Where a model's reports and statistics lie; in a folder of before under the name that it had then."""
        name, former = folder_name(label), _former_name(label)
        begun = self._begun() if name != former else set()
        return ModelFolder(self.path / (former if former in begun and name not in begun else name))

    def others(self, models: Iterable[str]) -> list[str]:
        """The folders of further models that an earlier run left here, by name."""
        own = {self.model(model).path.name for model in models}
        return sorted(self._begun() - own)

    def _begun(self) -> set[str]:
        """The folders that a model's reports were begun in, by name."""
        return {file.parent.name for file in self.path.glob("*/model.json")}

    def begin(
        self,
        settings: Mapping[str, Any],
        cases: Sequence[Case],
        references: Sequence[Reference],
        *,
        is_private: bool,
        unsaid: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down which data the run is about, or check that the folder is about the same. Raises ``OtherRun``, ``NoRunFolder``.

        ``is_private`` keeps the folder from commits and from other users of the machine: its text may not travel. ``unsaid`` is what a folder means
        that was begun before there was such a setting.
        """
        settings = {"format": FORMAT, **settings}
        file = self.path / "settings.json"
        if file.exists():
            check_same({**(unsaid or {}), **read_json(file)}, json.loads(json.dumps(settings)), self.path)
        elif others := [other.name for other in sorted(self.path.iterdir()) if not _is_of_beginning(other)]:
            raise NoRunFolder(f"{self.path} is no run folder and not empty (it holds {others[0]}); choose another with --out")
        with writing(self.path):
            if is_private:
                self.path.chmod(0o700)
                write_atomically(self.path / ".gitignore", KEEP_ALL_OUT)
            if not file.exists():
                write_json(file, settings)
            for name, lines in (("cases", map(_case, cases)), ("references", map(_reference, references))):
                # Compared and not merely looked for: whoever reads the folder reads these, and the settings say nothing of damage to them.
                lines_file, text = self.path / f"{name}.jsonl", "".join(map(json_line, lines))
                if not _says(lines_file, text):
                    self.unseal()
                    write_atomically(lines_file, text)

    def forget(self) -> None:
        """Take back what ``begin`` wrote while no model has written anything: a command that was refused must not bind the folder to its data.

        The settings go after what they speak of: killed in between, the folder is still one that a run was begun in.
        """
        if not any(self.path.glob("*/model.json")):
            self.remove_page()
            with writing(self.path):
                for name in ("cases.jsonl", "references.jsonl", "problems.csv", "settings.json", ".gitignore"):
                    (self.path / name).unlink(missing_ok=True)

    def unseal(self) -> None:
        """Take the seal off: something in the folder is about to change. The page goes first, for it would go on showing what was there."""
        with writing(self.path):
            (self.path / "index.html").unlink(missing_ok=True)
            (self.path / "run.json").unlink(missing_ok=True)

    def remove_page(self, *names: str) -> None:
        """Take away the page, ``index.html`` first, or those parts of ``OF_PAGE`` that are named; nothing else that may lie among its files."""
        with writing(self.path):
            for name in names or OF_PAGE:
                part = self.path / name
                for folder in (part, part / "images"):
                    if folder.is_symlink() or folder.is_file():  # what a link leads to is not ours
                        folder.unlink()
                for file in page_files(part):
                    file.unlink()
                for folder in (part / "images", part):
                    if folder.is_dir() and not any(folder.iterdir()):
                        folder.rmdir()

    def checksums(self) -> dict[str, str]:
        """Of every file that ``run.json`` vouches for but the page's, by its name within the folder; see ``seal_page``. All are on the disk then.

        Raises ``CannotWrite``: where there is a quota, or the disk is another machine's, it is now that a full one says so.
        """
        with writing(self.path):
            return {
                str(file.relative_to(self.path)): _stored(file)
                for file in sorted(self.path.rglob("*"))
                if file.is_file() and file.name not in (".lock", "run.json") and not file.name.endswith(".part")
                if not is_of_page(str(file.relative_to(self.path))) and not file.name.startswith(".door-")
            }

    def seal(self, record: Mapping[str, Any], files: Mapping[str, str] | None = None) -> None:
        """Write ``run.json``, with the checksums of every other file of the folder. The last thing that a run does.

        ``files`` are those checksums, of a caller who has just made them and can say how long all of it took.
        """
        files = self.checksums() if files is None else files
        with writing(self.path):
            write_json(self.path / "run.json", {"format": FORMAT, **record, "files": dict(files)})

    def seal_page(self, names: Collection[str], **said: Any) -> None:
        """Let ``run.json`` vouch for these files of the page, by name, and for no other file of a page; of its other words, ``said`` are replaced.

        A page is made anew between two calls: without a name first, so that one that was not finished is never taken for whole.
        """
        record = read_json(self.path / "run.json")
        files = {name: digest for name, digest in record["files"].items() if not is_of_page(name)}
        copies = [name for name in names if name.startswith("page/images/")]
        with writing(self.path):
            files |= {name: _stored(self.path / name) for name in set(names) - set(copies)}
            if copies:
                with progress("seal images", len(copies), unit="images") as advance:
                    _all_stored(self.path)
                    for name in copies:
                        files[name] = sha256(self.path / name)
                        advance(1)
            write_json(self.path / "run.json", {**record, **said, "files": dict(sorted(files.items()))})


@contextmanager
def opened(path: Path) -> Iterator[RunFolder]:
    """The run folder, made if need be, held by this process alone. Raises ``FolderInUse``, ``CannotWrite``.

    The lock is the kernel's: it goes with the process, however that ends.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / ".lock").open("a+")
    with lock:
        if not take_lock(lock, path):
            lock.seek(0)
            raise FolderInUse(f"{path} is being written by process {lock.read().strip() or '?'}; wait for it, or choose another folder with --out")
        with writing(path):
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
        yield RunFolder(path)


def take_lock(lock: IO[str], folder: Path) -> bool:
    """Take the kernel's lock on an open file of the folder; False if another process holds it. Raises ``CannotWrite`` where there are no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise CannotWrite(
                f"cannot lock {folder}: {error.strerror or error}; its file system knows no locks, choose a folder on another with --out"
            ) from error
        return False
    return True


@dataclass(frozen=True)
class ModelFolder:
    """One model's part of a run folder."""

    path: Path

    @property
    def reports_file(self) -> Path:
        """One JSON object per line and case."""
        return self.path / "reports.jsonl"

    def begin(self, identity: Mapping[str, Any], *, replacing: bool = False) -> None:
        """Write down what made the reports, or check that it is the same as before. Raises ``OtherRun``.

        ``replacing``: the reports are given anew each time, and another source is no conflict.
        """
        file = self.path / "model.json"
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            identity = json.loads(json.dumps(identity))
            if file.exists() and not replacing:
                check_same(read_json(file), identity, self.path)
            elif not file.exists() or read_json(file) != identity:
                self.unseal()
                write_json(file, identity)

    def unseal(self) -> None:
        """Take the seal off the run that this is a part of."""
        RunFolder(self.path.parent).unseal()

    def reports(self) -> list[Report]:
        """The reports that are there, in the order in which they came; half a line at the end is none. Raises ``DamagedRun``."""
        if not self.reports_file.exists():
            return []
        check_is_file(self.reports_file)
        reports = []
        with self.reports_file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    reports.append(_report(json.loads(line)))
                except (ValueError, TypeError, RecursionError) as error:
                    raise DamagedRun(
                        f"{self.reports_file}, line {number} is not a report ({error}); delete that line and run again: its case is written anew"
                    ) from error
        return reports

    def repair(self) -> None:
        """Cut off half a line at the end of the reports, which a process was killed while writing. Raises ``CannotWrite``."""
        if self.reports_file.is_file():
            with writing(self.path):
                repair_last_line(self.reports_file)

    @contextmanager
    def appending(self) -> Iterator[ReportWriter]:
        """A writer that adds reports at the end. Raises ``CannotWrite``."""
        self.unseal()
        self.repair()
        with writing(self.path):
            file = self.reports_file.open("a", encoding="utf-8", errors="backslashreplace")
        writer = ReportWriter(file, self.reports_file)
        try:
            yield writer
        finally:
            writer.close()

    def rewrite(self, reports: Iterable[Report]) -> None:
        """Replace the reports by these, all or nothing; nothing is touched if they are the same."""
        text = "".join(json_line(vars(report)) for report in reports)
        if _says(self.reports_file, text):
            return
        self.unseal()
        with writing(self.path):
            write_atomically(self.reports_file, text)

    def write_statistics(self, metric: str, statistics: np.ndarray, made_of: str) -> None:
        """Keep a metric's (n, k) statistics; ``made_of`` says of what and how, see ``read_statistics``."""
        file = self.path / f"{folder_name(metric)}.npz"
        part = file.with_suffix(".npz.part")
        with writing(self.path):
            with part.open("wb") as out:
                np.savez_compressed(out, statistics=statistics, made_of=np.array(made_of))
            part.replace(file)

    def read_statistics(self, metric: str, made_of: str) -> np.ndarray | None:
        """The statistics if they were made of the same reports in the same way, else None."""
        file = self.path / f"{folder_name(metric)}.npz"
        if not file.is_file():
            return None
        try:
            with np.load(file, allow_pickle=False) as kept:
                return np.asarray(kept["statistics"]) if str(kept["made_of"]) == made_of else None
        except Exception:  # not there, or damaged, which makes numpy and zipfile raise any of a dozen: measured again
            return None


@dataclass(frozen=True)
class ReportWriter:
    """Appends reports to an open file, a line each, handed to the operating system at once."""

    file: IO[str]
    path: Path

    def write(self, report: Report) -> None:
        """Append one report. Raises ``CannotWrite``."""
        line = json_line(vars(report))
        with writing(self.path):
            self.file.write(line)
            self.file.flush()

    def close(self) -> None:
        """Make sure that it is on the disk. Raises ``CannotWrite``."""
        with writing(self.path), self.file:
            self.file.flush()
            os.fsync(self.file.fileno())


def is_of_page(name: str) -> bool:
    """Whether a file of a run folder, by its name within it, belongs to the page to read cases on."""
    return name.partition("/")[0] in OF_PAGE


def page_files(folder: Path) -> list[Path]:
    """The files that a page's folder holds, and no others that may have come to lie there."""
    found = (file for place, ending in ((folder, ".js"), (folder / "images", ".jpg")) for file in place.glob(f"*{ending}"))
    return sorted(file for file in found if file.is_symlink() or not file.is_dir())


def folder_name(label: str) -> str:
    """A label as the name of a folder; unlike labels give unlike names, and none that of a file of the run or of its page.

    Labels that differ in capitals alone do too, but not everywhere: see ``check_apart``.
    """
    plain = _plain(label)
    is_taken = plain.lower() in OF_PAGE or OF_RUN.fullmatch(plain.lower())
    # A hyphen in front would be taken for an option by every program that is given the name.
    return plain if plain and plain == label and not is_taken and len(plain) <= LONGEST_NAME else f"{plain[:60] or 'model'}-{_digest(label)}"


def check_apart(labels: Iterable[str]) -> None:
    """Raise ``UserError`` for two labels whose folders many file systems would take for one."""
    found: dict[str, str] = {}
    for label in labels:
        other = found.setdefault(folder_name(label).lower(), label)
        if other != label:
            raise UserError(
                f"two models called {other!r} and {label!r}: they differ in capitals alone, and many file systems would take their folders for one; "
                "give one of them another label, first=..."
            )


def _former_name(label: str) -> str:
    """The folder of the label before some names were kept for files of the run, cut, or given a word in front of their hyphen."""
    plain = _plain(label)
    return plain if plain and plain == label and plain.lower() not in OF_PAGE else f"{plain[:60]}-{_digest(label)}"


def _plain(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-.")


def _digest(label: str) -> str:
    return hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def check_same(found: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    """Compare what a folder was begun with and what is asked of it now. Raises ``OtherRun`` naming the first difference."""
    for key in dict.fromkeys((*wanted, *found)):
        if found.get(key) != wanted.get(key):
            raise OtherRun(
                f"{folder} holds another run: its {key} is {_short(found.get(key))}, now it would be {_short(wanted.get(key))}; "
                "choose another folder with --out, or delete this one"
            )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."


def repair_last_line(file: Path) -> bool:
    """Cut off half a line at the end of a file of lines (a process was killed while writing it); True if there was one."""
    with file.open("rb") as lines:
        size = lines.seek(0, os.SEEK_END)
        position = size
        while position > 0:
            start = max(0, position - 65536)
            lines.seek(start)
            block = lines.read(position - start)
            if (newline := block.rfind(b"\n")) >= 0:
                position = start + newline + 1
                break
            position = start
    if position < size:
        os.truncate(file, position)
    return position < size


@contextmanager
def writing(where: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into one clear line. Raises ``CannotWrite``."""
    try:
        yield
    except OSError as error:
        remedy = "move away what lies there in place of a file" if error.errno in NO_FILE else "make room or give the right to write"
        raise CannotWrite(
            f"cannot write to {error.filename or where}: {error.strerror or error}; what was written before is kept: "
            f"{remedy}, then run the same command again"
        ) from error


def check_is_file(file: Path) -> None:
    """Raise ``DamagedRun`` for a folder, or a pipe that nobody may ever write into, where a file of the run is to be."""
    if not file.is_file() and file.exists():
        raise DamagedRun(f"{file} is {'a folder' if file.is_dir() else 'no file'}, where a file of the run is to be: move it away, then run again")


def sha256(file: Path) -> str:
    """Hex digest of a file's bytes."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _stored(file: Path) -> str:
    """Its digest, once it is on the disk: where the power goes, ``run.json`` must not have been quicker than what it vouches for."""
    with file.open("rb") as data:
        os.fsync(data.fileno())
        return hashlib.file_digest(data, "sha256").hexdigest()


def _all_stored(folder: Path) -> None:
    """The same for all of the folder's file system at once: for each of many thousand files alone it takes long, and longer on a disk elsewhere."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):  # not Linux
        os.sync()
        return
    opened_folder = os.open(folder, os.O_RDONLY)
    try:
        if libc.syncfs(opened_folder):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(opened_folder)


_AS_IT_IS = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": "))  # made once: json.dumps would make one for every line


def json_line(value: Any) -> str:
    """One line of JSON; keys in their own order, text as it is."""
    return _AS_IT_IS.encode(value) + "\n"


def read_json(file: Path) -> Any:
    """A file of JSON. Raises ``DamagedRun``."""
    check_is_file(file)
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedRun(f"cannot read {file}: {error}; the folder is damaged: choose another with --out, or delete it") from error


def write_json(file: Path, value: Any) -> None:
    """JSON for people: indented, in one piece or not at all."""
    write_atomically(file, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_atomically(file: Path, text: str) -> None:
    """All of the text or none of it, whenever the process is killed."""
    part = file.with_name(file.name + ".part")
    with part.open("w", encoding="utf-8", errors="backslashreplace") as out:  # a lone half of a character becomes its JSON escape
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)


def _says(file: Path, text: str) -> bool:
    """Whether the file holds just that, as ``write_atomically`` would have left it."""
    return file.is_file() and file.read_bytes() == text.encode("utf-8", "backslashreplace")


def _is_of_beginning(file: Path) -> bool:
    """Whether a killed ``begin`` may have left the file in a folder without settings."""
    if file.name == ".gitignore":  # ours, and not somebody else's
        return file.read_bytes() == KEEP_ALL_OUT.encode()
    return file.name in (".lock", ".gitignore.part", "settings.json.part")


def _report(value: Any) -> Report:
    """A line of ``reports.jsonl``. Raises ``TypeError`` for what is no report."""
    report = Report(**value)
    kinds = {"case_id": str, "text": str, "failure": str, "regions": dict, "details": dict}
    for name, kind in kinds.items():
        if not isinstance(getattr(report, name), kind):
            raise TypeError(f"its {name} is a {type(getattr(report, name)).__name__}, not a {kind.__name__}")
    return report


def _case(case: Case) -> dict[str, Any]:
    # From the root: whoever reads the folder may stand elsewhere, where another file may have the same name.
    images = [{"path": str(image.path.absolute()), "view": image.view, "id": image.id} for image in case.images]
    return {"id": case.id, "patient": case.patient, "study": case.study, "images": images}


def _reference(reference: Reference) -> dict[str, Any]:
    return {"case_id": reference.case_id, "report": reference.report}
