"""What a model wrote, as a report: its FINDINGS where it wrote more than was asked, or a refusal. Nothing is added; what is cut off is on record."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple, get_args

from benchmark.llm.json_answers import without_thoughts
from benchmark.records import Report, UserError

Section = Literal["findings", "whole"]
"""findings = of an answer with headings what stands under FINDINGS; whole = every answer as it is"""
Refusals = Literal["fail", "keep"]
"""fail = a refusal in words is a failed case; keep = it is the report, and scored as one"""

# At the beginning of an answer and in the first person. "I cannot see any pneumothorax" is a finding: what cannot be done must be done to the image,
# the report or the request itself, with nothing but words of their kind between.
_VERB = (
    r"provide|interpret|analy[sz]e|diagnose|view|see|access|open|process|generate|write|read|review|evaluate|describe|give|offer|fulfil+|create|make|"
    r"examine|assess|inspect|discuss|answer|perform|identify"
)
_BESIDE = (
    r"you|with|of|from|for|or|and|an?|the|this|that|these|those|any|such|your|actual|attached|uploaded|provided|given|medical|clinical|health|"
    r"professional|official|formal|definitive|detailed|complete|full|structured|specific|personal|patient|chest|radiolog(?:y|ical)|radiographic|"
    r"diagnostic|findings|images?|x-?rays?"
)
_THING = (
    r"images?|imaging|pictures?|photos?|x-?rays?|radiographs?|scans?|films?|files?|attachments?|requests?|advice|"
    r"diagnos[ei]s|opinions?|interpretations?|analys[ei]s|reports?|findings\ section|people|(?:this|that|it)(?=\s*(?:[.,;!]|\Z))"
)
_REFUSAL = re.compile(
    r"""\W*(?:
        (?:i['’]m|i\ am|we\ are|we['’]re)\ (?:very\ |really\ )?sorry\b
      | sorry,?\ (?:but\ )?(?:i|we)\b
      | i\ apologi[sz]e\b
      | as\ an?\ (?:ai|artificial\ intelligence|language\ model|large\ language\ model|text-based)\b(?!-)
      | (?:unfortunately,?\ )?i(?:\ (?:cannot|can\ ?not|can['’]t|won['’]t|will\ not)|(?:\ am|['’]m)\ (?:unable|not\ able)\ to)
        (?:\ \w+ly)?\ (?:
            (?:help|assist|comply)\b
          | (?:provide|generate|write|create|give)\ (?:(?:{beside}),?\ )*findings\b
          | {verb}(?:,?(?:\ (?:or|and|nor))?\ {verb})*\ (?:(?:{beside}),?\ )*(?:{thing})\b
        )
      | i\ (?:do\ not|don['’]t)\ have\ the\ ability\ to
    )""".format(verb=rf"(?:{_VERB})", beside=_BESIDE, thing=_THING),
    re.IGNORECASE | re.VERBOSE,
)
_HEADING = r"^[ \t#*_>-]*{}[ \t]*(?:[*_]+[ \t]*)?(?::[ \t]*[*_]*|(?=\n|\Z))"
"""a word at the beginning of a line, in bold or as a heading, before a colon or alone on it"""
_FINDINGS = re.compile(_HEADING.format(r"findings(?:\ section)?"), re.IGNORECASE | re.MULTILINE)
_NEXT = re.compile(
    _HEADING.format(r"(?:impressions?|conclusions?|recommendations?|assessment|opinion|summary|differential(?:\ diagnosis)?)"),
    re.IGNORECASE | re.MULTILINE,
)


class Answer(NamedTuple):
    """What an answer comes to."""

    text: str
    """the report"""
    is_refusal: bool
    """in words; a refusal by a field of its own is no answer at all"""


def check_settings(who: str, section: str, refusals: str) -> None:
    """Raise ``UserError`` for a setting that there is not: from Python nobody else looks."""
    for name, value, known in (("section", section, get_args(Section)), ("refusals", refusals, get_args(Refusals))):
        if value not in known:
            raise UserError(f"{who} has no {name}={value!r}; known: {', '.join(known)}")


def read_answer(written: str, section: Section) -> Answer:
    """The report in what was written, behind whatever a model that thinks aloud wrote first."""
    said = without_thoughts(written).strip()
    if _REFUSAL.match(said):
        return Answer(said, True)
    return Answer(findings_of(said) if section == "findings" else said, False)


def findings_of(text: str) -> str:
    """What stands under the heading FINDINGS up to the next section; the whole text if it has neither heading."""
    start = _FINDINGS.search(text)
    begin = start.end() if start else 0
    end = _NEXT.search(text, begin)
    found = text[begin : end.start() if end else len(text)].strip()
    return found or text  # headings in an order of their own: nothing is thrown away


def report_of(case_id: str, written: str, answer: Answer, refusals: Refusals, details: dict[str, Any]) -> Report:
    """The report of a case, with what was written where that is more."""
    if answer.text != written.strip():
        details = {**details, "written": written}
    if answer.is_refusal:
        details = {**details, "refused": True, "written": written}
        if refusals == "fail":
            return Report(case_id, failure="the model refused in words; they are kept in the details", details=details)
    return Report(case_id, answer.text, details=details)
