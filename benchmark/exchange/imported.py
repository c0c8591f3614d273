"""A file of another harness read, and written as files that ``score`` reads. What is written is read back first: it says the same, or is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.exchange.contents import Contents, TextCannotTravel, UnreadableExchange, check_texts
from benchmark.exchange.export import FileThere, shape_of
from benchmark.report_files import read_reports
from benchmark.runs import json_line, write_atomically, writing


def import_file(path: Path, shape: str) -> Contents:
    """What a file of a named shape holds. Raises ``UnknownName``, ``UnreadableExchange``, ``TextCannotTravel``."""
    reader = shape_of(shape)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        mend = "make JSON of it with `inspect log convert --to json`" if path.suffix == ".eval" else "save it as UTF-8"
        raise UnreadableExchange(f"{path} is to be imported, and is no UTF-8 text; {mend}") from None
    except OSError as error:
        raise UnreadableExchange(f"{path} is to be imported, and cannot be read ({error.strerror}); give one file with reports") from None
    contents: Contents = reader.read(text, path)
    check_texts(contents, f"{path} is to be imported")
    return contents


def write_reports(contents: Contents, out: Path, references: Path | None = None) -> None:
    """Reports with their failures, and the references if a file is named for them: CSV or JSON lines, by the ending.

    Raises ``UnreadableExchange`` where references are wanted and there are none, ``FileThere``, ``TextCannotTravel``, ``CannotWrite``.
    """
    rows = [(case_id, contents.texts.get(case_id, ""), contents.failures.get(case_id, "")) for case_id in contents.order]
    files = {out: _text(out, rows)}
    _check(out, files[out], contents.texts, contents.failures)
    if references is not None:
        if references == out:
            raise FileThere(f"reports and references are both to be written to {out}; name two files")
        if not contents.references:
            raise UnreadableExchange(f"references are to be written to {references}, and the imported file holds none; leave out --references")
        known = [(case_id, contents.references[case_id], "") for case_id in contents.order if case_id in contents.references]
        files[references] = _text(references, known)
        _check(references, files[references], contents.references, {})
    for file in files:
        if file.exists():
            raise FileThere(f"{file} is to be written, and is there already; choose another place, or delete it")
    for file, text in files.items():
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, text)


def _text(file: Path, rows: list[tuple[str, str, str]]) -> str:
    if file.suffix == ".jsonl":
        return "".join(json_line({"id": name, "report": text, **({"failure": failure} if failure else {})}) for name, text, failure in rows)
    if file.suffix != ".csv":
        raise UnreadableExchange(f"{file} is to be written, and its name says no kind of file; end it with .csv or .jsonl")
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n", quoting=csv.QUOTE_ALL)  # a lone carriage return would else stand bare
    writer.writerow(("id", "report", "failure"))
    writer.writerows(rows)
    return lines.getvalue()


def _check(file: Path, text: str, texts: dict[str, str], failures: dict[str, str]) -> None:
    """That ``score`` would read what was meant: in a CSV the report None is an empty cell, and the id 7.0 the id 7."""
    with TemporaryDirectory() as folder:
        trial = Path(folder, f"trial{file.suffix}")
        trial.write_text(text, encoding="utf-8", newline="")
        found = read_reports(trial)
    if found.texts == texts and found.failures == failures:
        return
    unlike = next(
        (name for name in (*texts, *failures) if found.texts.get(name) != texts.get(name) or found.failures.get(name) != failures.get(name)), ""
    )
    mend = "a CSV cannot say it; end the file's name with .jsonl" if file.suffix == ".csv" else "mend it in the imported file"
    raise TextCannotTravel(f"{file} is to be written, and would read differently than it was meant for case {unlike!r}; {mend}")
