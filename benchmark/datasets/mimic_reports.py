"""The sections of a MIMIC-CXR report.

Follows the rules of the official parser (Johnson et al., MIT-LCP/mimic-cxr @3190146, ``txt/section_parser.py`` and ``create_section_files.py``), its
slips included, because the reference texts of everybody's published numbers were cut by it. The program is ours; a test holds its answers beside the
official one's. Reports that the official program cannot decode are read here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmark.datasets.encodings import decode

HEADER = re.compile(r"\n ([A-Z ()/,-]+):\s")
BLANK_LINE = "\n \n"
"""as MIMIC's files have it: the line holds one space"""
_BLANK = re.compile(r"\n\s*\n")

FULL_REPORT = "full report"
PREAMBLE = "preamble"
LAST_PARAGRAPH = "last_paragraph"
CONCLUSION_ORDER = ("impression", "findings", LAST_PARAGRAPH, "comparison")

SPECIAL_STUDIES = Path(__file__).with_name("mimic_special_studies.csv")

# What neither the word in it nor the views named in it bring to its name. Slips of the official table are kept: "ndication" is an impression there.
_SPELLINGS: Mapping[str, str] = {
    "impression": "conclusion ndication mpression impession imperssion imoression impresion impressoin impresson imprression imprssion",
    "findings": "finding findgings findindgs findins findngs findnings finidngs",
    "indication": "idication|clinical indication|reason for exam|reason for examination",
    "history": "pfi|clinical information",
    "comparison": "comparision|comparisions|comparrison|comparsion|reference exam",
    "examination": "exam|type of examination",
    "recommendations": "recommendation|recommendation(s)",
    "wet read": "wetread",
}
_NORMAL = {spelling: name for name, words in _SPELLINGS.items() for spelling in (words.split("|") if "|" in words else words.split())}
_SUBSTRINGS = ("impression", "findings", "history", "comparison", "addendum")  # tried in this order
_VIEWS = re.compile(  # anywhere in a header, inside a word too
    r"chest|portable|ribs|bone window|two views|frontal (?:and|upright|semi-upright)|(?:frontal|lateral|pa|ap|one) view|"
    r"pa and lat|ap and lateral|lateral and (?:pa|ap)"
)


class Special(NamedTuple):
    """Where the official table says that the conclusion of a poorly formed report stands."""

    section: str
    """normalised name, empty where characters are given"""
    characters: slice
    """of the whole text, as Python reads it; an empty slice where the report has no such text"""


@cache
def special_studies() -> dict[str, Special]:
    """study (s50525523) -> where its conclusion stands."""
    with SPECIAL_STUDIES.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["study"]: Special(row["section"], slice(int(row["start"] or 0), int(row["end"] or 0))) for row in rows}


def sections(text: str | bytes) -> dict[str, str]:
    """Normalised section name -> stripped text, in the order of the report; where a name repeats the last one wins.

    What stands before the first header is ``preamble``; a report without headers is one ``full report``. Empty findings and impression sections are
    left out, and a report with neither gets a ``last_paragraph``: what follows the first blank line of its last section. Takes bytes in any encoding.
    """
    named = [(normal_name(name), body) for name, body in _cut(decode(text) if isinstance(text, bytes) else text)]
    named = [(name, body) for name, body in named if body.strip() or name not in ("impression", "findings")]
    if named and not any(name in ("impression", "findings") for name, _ in named):
        name, body = named[-1]
        before, blank, after = body.partition(BLANK_LINE)
        if blank:
            named[-1:] = [(name, before), (LAST_PARAGRAPH, after)]
    return {name: body.strip() for name, body in named}


def findings(text: str | bytes, study: str = "") -> str:
    """The FINDINGS section on one line, or nothing if there is none with a letter in it ("___" is no text to be measured against).

    A special study has no findings, whatever its text says: the official files of sections leave it out.
    """
    return findings_of(sections(text), study)


def findings_of(parts: Mapping[str, str], study: str = "") -> str:
    """``findings``, from what ``sections`` returned."""
    return section_of(parts, "findings", study)


def section_of(parts: Mapping[str, str], name: str, study: str = "") -> str:
    """One section of what ``sections`` returned, on one line, if it is there, has a letter in it, and the study is no special one."""
    body = one_line(parts.get(name, ""))
    return body if study not in special_studies() and any(letter.isalpha() for letter in body) else ""


def conclusion(text: str | bytes, study: str = "") -> str:
    """What the official files give as the report's conclusion: impression, else findings, else the last paragraph, else the comparison.

    Of a special study: what its table says.
    """
    if isinstance(text, bytes):
        text = decode(text)
    special = special_studies().get(study)
    if special and not special.section:
        return one_line(text[special.characters])
    parts = sections(text)
    if special:
        return one_line(parts.get(special.section, ""))
    return next((one_line(parts[name]) for name in CONCLUSION_ORDER if name in parts), "")


def narrative(text: str | bytes, study: str = "") -> str:
    """What a report says of its images, for whoever reads the next one: FINDINGS and IMPRESSION; of a report with neither its last paragraph.

    Of a special study: its conclusion.
    """
    if study in special_studies():
        return conclusion(text, study)
    parts = sections(text)
    both = [findings_of(parts), one_line(parts.get("impression", ""))]
    return " ".join(filter(None, both)) or one_line(parts.get(LAST_PARAGRAPH, ""))


def indication(parts: Mapping[str, str]) -> str:
    """Why the examination was asked for: INDICATION, else HISTORY, of what ``sections`` returned."""
    return beginning(parts.get("indication") or parts.get("history") or "")


def beginning(body: str) -> str:
    """A section up to its first blank line, on one line: what stands beneath is often the description, where FINDINGS has no header of its own."""
    return one_line(_BLANK.split(body.strip(), maxsplit=1)[0])


def fault_of(text: str) -> str:
    """Why the text of a file is no report, empty if it may be one."""
    if not text.strip("\0 \t\r\n\f"):
        return "an empty file"
    start = text.lstrip()[:1]
    return "a web page or XML, no report" if start == "<" else ""


def one_line(text: str) -> str:
    """The text without its line breaks and runs of spaces."""
    return " ".join(text.split())


def normal_name(header: str) -> str:
    """The usual name of a section, from its header: "FINDINS" -> findings, "CHEST, TWO VIEWS" -> findings, "WET READ" -> wet read."""
    name = header.lower().strip()
    if name in _NORMAL:
        return _NORMAL[name]
    for usual in _SUBSTRINGS:
        if usual in name:
            return usual
    return "findings" if _VIEWS.search(name) else name


def _cut(text: str) -> list[tuple[str, str]]:
    """(header as written, raw body), in order."""
    header = HEADER.search(text)
    if header is None:
        return [(FULL_REPORT, text)]
    parts = [(PREAMBLE, text[: header.start(1)])]
    while header is not None:
        # One header per line. As in the official parser the space after the colon may be the line's end, and then the whole next line is passed over.
        line_end = text.find("\n", header.end())
        following = HEADER.search(text, line_end) if line_end >= 0 else None
        parts.append((header.group(1), text[header.end() : following.start() if following else len(text)]))
        header = following
    return parts
