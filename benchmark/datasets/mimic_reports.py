"""The sections of a MIMIC-CXR report.

Follows the rules of the official parser (Johnson et al., MIT-LCP/mimic-cxr, ``txt/section_parser.py`` and ``create_section_files.py``), because the
reference texts of everybody's published numbers were cut by it; the program is ours, and so is the table of spellings, which was built from
the description of theirs. Known to differ: 31 studies for which the official table holds character positions, and 20 of its 23 studies with a renamed
section, are parsed like any other here, since their ids are not known to us.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmark.datasets.encodings import decode

HEADER = re.compile(r"\n ([A-Z ()/,-]+):\s")
BLANK_LINE = re.compile(r"\n[ \t]*\n")

FULL_REPORT = "full report"
PREAMBLE = "preamble"
LAST_PARAGRAPH = "last_paragraph"
CONCLUSION_ORDER = ("impression", "findings", LAST_PARAGRAPH, "comparison")

SPECIAL_SECTIONS: dict[str, str] = {  # study -> the section that holds its conclusion under another name
    "s50913680": "recommendations",
    "s59363654": "examination",
    "s51491012": "history",
}

_SPELLINGS: dict[str, tuple[str, ...]] = {
    "impression": (
        "conclusion",
        "conclusions",
        "impression and findings",
        "impression and recommendation",
        "impression and recommendations",
        "impression/recommendation",
        "impression/recommendations",
        "impressions",
        "imp",
        "impresson",
        "impessrion",
        "impresion",
        "impresssion",
        "impression pa and lateral chest",
        "summary",
        "opinion",
        "findings and impression",
        "findings/impression",
        "findings, impression",
    ),
    "findings": (
        "finding",
        "findins",
        "findindgs",
        "findgings",
        "fidings",
        "findnings",
        "report",
        "chest, two views",
        "chest two views",
        "two views of the chest",
        "chest, single view",
        "single view of the chest",
        "chest, ap",
        "chest, pa and lateral",
        "radiographs",
        "observations",
    ),
    "indication": ("indications", "reason for exam", "reason for examination", "reason for study", "reason", "clinical indication"),
    "history": ("clinical history", "clinical information", "patient history", "hx"),
    "comparison": ("comparisons", "compared to", "comparision", "comparsion", "comparision study", "prior", "prior study", "correlation"),
    "technique": ("techniques", "tecnique", "technqiue", "procedure"),
    "examination": ("exam", "exams", "examinations", "type of examination", "study"),
    "recommendations": ("recommendation", "recommend"),
    "notification": ("notifications", "communication"),
    "addendum": ("addenda",),
}
_NORMAL = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in (name, *spellings)}
_SUBSTRINGS = ("impression", "findings", "history", "comparison", "addendum")  # tried in this order
_VIEW_WORDS = re.compile(
    r"\b(?:chest|portable|babygram|ribs?|abdomen|"
    r"(?:ap|pa|frontal|lateral|upright|supine|semi-?erect|oblique|decubitus)(?:\s+(?:and|or)\s+\w+)?(?:\s+(?:views?|films?|radiographs?|chest|portable))|"
    r"pa and lateral|pa/lateral|pa, lateral|ap and lateral|views?|radiographs?)\b"
)


def sections(text: str | bytes) -> dict[str, str]:
    """Normalised section name -> stripped text, in the order of the report; where a name repeats the last one wins.

    What stands before the first header is ``preamble``; a report without headers is one ``full report``. Empty findings and impression sections are
    left out, and a report with neither gets a ``last_paragraph``: what follows the first blank line of its last section. Takes bytes in any encoding.
    """
    named = [(normal_name(name), body) for name, body in _cut(decode(text) if isinstance(text, bytes) else text)]
    named = [(name, body) for name, body in named if body.strip() or name not in ("impression", "findings")]
    if named and not any(name in ("impression", "findings") for name, _ in named):
        name, body = named[-1]
        if blank := BLANK_LINE.search(body):
            named[-1] = (name, body[: blank.start()])
            named.append((LAST_PARAGRAPH, body[blank.end() :]))
    return {name: body.strip() for name, body in named}


def findings(text: str | bytes, study: str = "") -> str:
    """The FINDINGS section on one line, or nothing if there is none with a letter in it ("___" is no text to be measured against).

    A special study has no findings, whatever its text says: the official table gives its conclusion only.
    """
    return findings_of(sections(text), study)


def findings_of(parts: Mapping[str, str], study: str = "") -> str:
    """``findings``, from what ``sections`` returned."""
    if study in SPECIAL_SECTIONS:
        return ""
    body = one_line(parts.get("findings", ""))
    return body if any(letter.isalpha() for letter in body) else ""


def conclusion(text: str | bytes, study: str = "") -> str:
    """What the official files give as the report's conclusion: impression, else findings, else the last paragraph, else the comparison."""
    parts = sections(text)
    if study in SPECIAL_SECTIONS:
        return one_line(parts.get(SPECIAL_SECTIONS[study], ""))
    return next((one_line(parts[name]) for name in CONCLUSION_ORDER if name in parts), "")


def indication(parts: Mapping[str, str]) -> str:
    """Why the examination was asked for: INDICATION, else HISTORY, of what ``sections`` returned."""
    return one_line(parts.get("indication") or parts.get("history") or "")


def one_line(text: str) -> str:
    """The text without its line breaks and runs of spaces."""
    return " ".join(text.split())


def normal_name(header: str) -> str:
    """The usual name of a section, from its header: "FINDINS" -> findings, "CHEST, TWO VIEWS" -> findings, "WET READ" -> wet read."""
    name = one_line(header.lower())
    if name in _NORMAL:
        return _NORMAL[name]
    for usual in _SUBSTRINGS:
        if usual in name:
            return usual
    return "findings" if _VIEW_WORDS.search(name) else name


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
