"""Bytes of a text file, whatever wrote it, as text."""

from __future__ import annotations

import codecs


def decode(content: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, else Windows-1252, else Latin-1 (which takes any byte).

    Line by line where the whole is no UTF-8: tables are put together from files of several programs. Line ends become newlines and NUL bytes go, so
    that what follows sees one kind of text.
    """
    return _decode(content).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def foreign_lines(content: bytes) -> list[int]:
    """Numbers of the lines that are no UTF-8 in a text of which others are, with more than ASCII: it was put together from two encodings."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        return []  # UTF-16, Parquet, gzip
    found, others = [], False
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.isascii():
            try:
                line.decode("utf-8-sig")
                others = True
            except UnicodeDecodeError:
                found.append(number)
    return found if others else []


def _decode(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "\n".join(_line(line) for line in content.removeprefix(codecs.BOM_UTF8).split(b"\n"))


def _line(line: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")
