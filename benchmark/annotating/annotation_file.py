"""Annotations that already exist, from a file: of the package ``radgraph``, or of any program that writes its form.

Read are a JSON object (or JSON lines) of
- what ``RadGraph()(reports)`` returns, ``{"0": {"text": ..., "entities": ...}, ...}``: found by the words of ``text``, blanks between tokens aside;
- the same with the report itself as the key: ``{"No effusion.": {"entities": ...}, ...}``;
- one annotation a line, with the report beside it: ``{"report": "No effusion.", "text": ..., "entities": ...}``.

Of 31,255 cases and ten models the file is half a gigabyte, and ten times as much as Python objects. So it is read through once, to see that all of it
can be read and where each annotation stands (``annotation_index``); the annotations are taken from the file when they are asked for.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from benchmark.annotating.annotation_index import KEPT_FROM, NOWHERE, Index, IndexMaker, keep_index, kept_index, letters_of
from benchmark.annotating.annotations import Annotation, fault_of
from benchmark.records import UserError

CHUNK = 1 << 20
"""bytes of a large object that are looked at together"""
_BLANK = re.compile(r"[ \t\n\r]*")  # what JSON knows as such
_DECODER = json.JSONDecoder()


class UnreadableAnnotations(UserError):
    """A file of annotations that cannot be read as one; the message names the place."""


class NotAnnotated(UserError):
    """A report that the file says nothing of."""


class AnnotationFile:
    """Looks annotations up."""

    is_kept = False
    """they are in a file already"""

    def __init__(self, argument: str) -> None:
        """``argument`` is the file's path. Raises ``UnreadableAnnotations``."""
        self.path = Path(argument).expanduser()
        try:
            self._state = _state_of(self.path)
            self._index = _indexed(self.path, self._state)
        except OSError as error:
            raise UnreadableAnnotations(f"{self.path}: cannot be read ({error.strerror}); name a file: --set radgraph.annotator=file:PATH") from None

    def annotate(self, reports: Sequence[str]) -> list[Annotation]:
        """The annotation of each report, in order; of an empty one none is needed. Raises ``NotAnnotated``."""
        return list(self.each(reports))

    def each(self, reports: Sequence[str]) -> Iterator[Annotation]:
        """As ``annotate``, one after the other: all of them at once would fill the memory. Raises ``NotAnnotated`` before the first."""
        places = self._index.find(reports)
        if missing := [report for report, place in zip(reports, places, strict=True) if place == NOWHERE and report.strip()]:
            raise NotAnnotated(
                f"{self.path}: has {self._index.count:,} annotations, and none of {len(missing):,} of {len(reports):,} reports, the first of which "
                f"begins {missing[0][:60]!r}; annotate those too, references and reports of every model, or take another annotator"
            )
        with self.path.open("rb") as file:
            if _state_of(self.path) != self._state:
                raise UnreadableAnnotations(f"{self.path}: was changed since this command began to read it; run the command again")
            for report, place in zip(reports, places, strict=True):
                yield _read(file, int(self._index.starts[place]), int(self._index.sizes[place])) if report.strip() else {"text": "", "entities": {}}

    def signature(self) -> str:
        """The file by its checksum: whose annotations they are, it does not say."""
        return f"file|sha256:{self._index.sha256[:12]}|v1"


class _Found(NamedTuple):
    """An annotation, and where it stands."""

    place: str
    """in words"""
    key: str | None
    """the report, where that is the key"""
    annotation: Any
    start: int
    """bytes of the file before it"""
    size: int
    """bytes"""


@lru_cache(maxsize=2)
def _indexed(path: Path, state: tuple[int, int, int]) -> Index:
    """Read through once, however many metrics are made of it; ``state`` is the file's, so that another one is another index."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size, *_ = state
    if size >= KEPT_FROM and (kept := kept_index(sha256, size)):
        return kept
    index = _read_through(path, sha256)
    if size >= KEPT_FROM and _state_of(path) == state:
        keep_index(index)
    return index


def _read_through(path: Path, sha256: str) -> Index:
    """Every annotation looked at. Raises ``UnreadableAnnotations``."""
    maker = IndexMaker()
    with path.open("rb") as file, path.open("rb") as again:
        is_keyed = _is_keyed(path, file)
        file.seek(0)
        for one in _of_object(path, file) if is_keyed else _of_lines(path, file):
            report = one.annotation.get("report", one.key)
            report, letters = (None, letters_of(one.annotation["text"])) if report is None else (str(report), "")
            place = maker.place_of(report, letters, one.start, one.size)
            if place is not None and _read(again, maker.starts[place], maker.sizes[place])["entities"] != one.annotation["entities"]:
                raise UnreadableAnnotations(
                    f"{path}, {one.place}: annotates the report that begins {(report or letters)[:60]!r} otherwise than a place before it; leave one "
                    "of the two"
                )
    if not maker.starts:
        raise UnreadableAnnotations(f"{path}: no annotations in it; write what the package radgraph returns, as JSON")
    return maker.index(sha256)


def _read(file: IO[bytes], start: int, size: int) -> Annotation:
    """The annotation at a place."""
    file.seek(start)
    return cast(Annotation, json.loads(file.read(size).decode()))


def _state_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _is_keyed(path: Path, file: IO[bytes]) -> bool:
    """True if the file is one object report -> annotation, or number -> annotation; False if it is objects, one a line."""
    try:
        for pair in _pairs(file):
            if pair.key == "entities":
                return False
            if isinstance(pair.annotation, Mapping) and isinstance(pair.annotation.get("entities"), Mapping):
                return True
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except ValueError:
        return False
    return True


def _of_object(path: Path, file: IO[bytes]) -> Iterator[_Found]:
    """The annotations of an object."""
    try:
        for pair in _pairs(file):
            if fault := fault_of(pair.annotation):
                raise UnreadableAnnotations(f"{path}, {pair.place}: {fault}; an annotation is written as the package radgraph writes it")
            is_number = str(pair.key).isdigit() and isinstance(pair.annotation.get("text"), str)
            yield pair._replace(key=None) if is_number else pair
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except ValueError as error:
        raise UnreadableAnnotations(f"{path}: not JSON ({error}); write one object, or one object a line") from None


def _of_lines(path: Path, file: IO[bytes]) -> Iterator[_Found]:
    """The annotations of objects that stand one a line."""
    start = 0
    for number, line in enumerate(file, start=1):
        mark = len(codecs.BOM_UTF8) if number == 1 and line.startswith(codecs.BOM_UTF8) else 0
        place, size = f"line {number}", len(line)
        if line[mark:].strip():
            try:
                annotation = json.loads(line[mark:].decode())
            except UnicodeDecodeError as error:
                raise _not_utf8(path, error) from None
            except (ValueError, RecursionError) as error:
                raise UnreadableAnnotations(f"{path}, {place}: not JSON ({error}); write one object, or one object a line") from None
            if not isinstance(annotation, Mapping) or not any(isinstance(annotation.get(name), str) for name in ("report", "text")):
                raise UnreadableAnnotations(
                    f"{path}, {place}: says of no report what it annotates; an annotation that stands alone in its line has its report beside "
                    'it, {"report": ..., "entities": ...}, or the text of its tokens'
                )
            if fault := fault_of(annotation):
                raise UnreadableAnnotations(f"{path}, {place}: {fault}; an annotation is written as the package radgraph writes it")
            yield _Found(place, None, annotation, start + mark, size - mark)
        start += size


def _pairs(file: IO[bytes]) -> Iterator[_Found]:
    """Keys and values of the one object that a file holds, read a part at a time. Raises ``ValueError`` where it is not one object."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    first = file.read(max(CHUNK, len(codecs.BOM_UTF8)))
    start = len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0  # bytes of the file before ``text[at]``
    text, at, is_all = decoder.decode(first), 0, False
    opening = "{"
    while True:
        try:
            at_key = _blank(text, _after(text, at, opening))
            if opening == "{" and text[at_key : at_key + 1] == "}":
                key, at_value, end, value = "", 0, at_key, None
            else:
                key, end = _DECODER.raw_decode(text, at_key)
                at_value = _blank(text, _after(text, end, ":"))
                value, end = _DECODER.raw_decode(text, at_value)
            behind = _blank(text, end)
            closing = text[behind]
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        except (ValueError, IndexError):
            if is_all:
                raise ValueError("the object breaks off, or is none") from None
            # Twice as much each time: a value that is longer than the part is looked at from its beginning again.
            more = file.read(max(CHUNK, len(text) - at))
            text, at, is_all = text[at:] + decoder.decode(more, final=not more), 0, not more
            continue
        if at_value:
            if not isinstance(key, str) or closing not in ",}":
                raise ValueError(f"{closing!r} after {str(key)[:40]!r}")
            yield _Found(f"key {key[:40]!r}", key, value, start + _bytes(text[at:at_value]), _bytes(text[at_value:end]))
        start += _bytes(text[at:behind])
        at, opening = behind, ","
        if closing == "}":
            rest = text[at + 1 :] + decoder.decode(file.read(), final=True)
            if rest.strip():
                raise ValueError("there is more behind the object")
            return


def _after(text: str, at: int, sign: str) -> int:
    """The place behind a sign, before which there may be blanks."""
    at = _blank(text, at)
    if text[at] != sign:
        raise ValueError(f"no {sign} there")
    return at + 1


def _blank(text: str, at: int) -> int:
    """The first place from there on that is not blank."""
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _not_utf8(path: Path, error: UnicodeDecodeError) -> UnreadableAnnotations:
    return UnreadableAnnotations(f"{path}: not UTF-8 ({error.reason}); annotations are JSON in UTF-8")
