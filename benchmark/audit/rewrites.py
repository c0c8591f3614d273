"""Candidates with no error: the same statements in other words, another order or another look.

Each equivalent of ``PHRASES`` and ``FRAMES`` was written by hand, and says neither more nor less than what it stands for: degree, side, place,
certainty and what is compared are kept. A report in which nothing of the kind can be changed has no such candidate, and is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from benchmark.audit.errors import Edit, Maker
from benchmark.audit.text import Sentence, capitalised, in_style_of, is_spaced, is_tied, sentences_of, uncapitalised, with_articles


class Equivalent(NamedTuple):
    """One way to say a thing, and another."""

    family: str
    """of one family only one is used in a sentence: else the second would undo the first"""
    pattern: re.Pattern[str]
    write: Callable[[re.Match[str]], str]


_SEEN = "seen|noted|identified|present|visualized|appreciated|observed"
_MORE_THAN_A_PHRASE = re.compile(
    r"\b(?:no|is|are|was|were|has|have|had|appears?|which|that|may|might|cannot|due|chang\w+|but|although|however|to)\b|[;:?]", re.IGNORECASE
)
_SINGULAR = re.compile(
    r"(?:mass|atelectasis|fibrosis|stenosis|process|abscess|emphysema|scoliosis|kyphosis|thickness|prominence|congestion)$", re.IGNORECASE
)
_VERB = {True: "are", False: "is"}


def _words(family: str, pattern: str, other: str) -> Equivalent:
    """An equivalent within a sentence; ``other`` is as ``re.sub`` takes it."""

    def write(match: re.Match[str]) -> str:
        text = match.expand(other)
        return capitalised(text) if match[0][0].isupper() else text

    return Equivalent(family, re.compile(pattern, re.IGNORECASE), write)


def _is_plural(phrase: str) -> bool:
    """Of the first thing in a list: "pleural effusions or pneumothorax" -> True."""
    first = re.split(r",| or | and | in | of (?!the)", phrase)[0].strip()
    return first.lower().endswith("s") and not _SINGULAR.search(first)


def _frame(pattern: str, write: Callable[[re.Match[str]], str]) -> Equivalent:
    """An equivalent for a whole sentence; no other frame is tried on its result."""
    return Equivalent("frame", re.compile(f"^(?:{pattern})$", re.IGNORECASE), write)


def _there_is_no(what: str) -> str:
    return f"There {_VERB[_is_plural(what)]} no {what}"


FRAMES: tuple[Equivalent, ...] = (
    _frame(r"There (?P<verb>is|are) no (?P<what>(?!evidence|change|significant change).+)", lambda m: f"No {m['what']} {m['verb']} seen"),
    _frame(r"There is no evidence (?P<of>of|for) (?P<what>.+)", lambda m: f"No evidence {m['of']} {m['what']} is seen"),
    _frame(rf"No (?P<what>.+?) (?P<verb>is|are) (?:{_SEEN})", lambda m: f"There {m['verb']} no {m['what']}"),
    _frame(rf"No (?P<what>.+?) (?:{_SEEN})", lambda m: _there_is_no(m["what"])),
    _frame(r"No (?P<what>(?!evidence|change|significant|interval).+)", lambda m: _there_is_no(m["what"])),
    _frame(r"No evidence (?P<what>of .+)", lambda m: f"There is no evidence {m['what']}"),
    _frame(r"Negative for (?P<what>.+)", lambda m: _there_is_no(m["what"])),
    _frame(r"(?:The )?heart size is (?P<how>normal|within normal limits)", lambda m: "The heart is normal in size"),
    _frame(r"(?:The )?heart size (?:is )?normal", lambda m: "The heart is normal in size"),
    _frame(r"(?:The )?heart size within normal limits", lambda m: "The heart is normal in size"),
    _frame(r"(?:The )?heart is normal in size", lambda m: "Heart size is within normal limits"),
    _frame(r"Normal heart size", lambda m: "The heart size is normal"),
    _frame(r"The heart is not enlarged", lambda m: "The heart is normal in size"),
    _frame(
        r"(?:The )?heart is (?P<how>(?:mildly |moderately |severely |markedly )?)enlarged", lambda m: f"The cardiac silhouette is {m['how']}enlarged"
    ),
    _frame(
        r"(?:The )?cardiac silhouette is (?P<how>(?:mildly |moderately |severely |markedly )?)enlarged", lambda m: f"The heart is {m['how']}enlarged"
    ),
    _frame(r"(?:The )?heart size is (?P<how>(?:mildly |moderately |severely |markedly )?)enlarged", lambda m: f"The heart is {m['how']}enlarged"),
    _frame(r"(?:The )?lungs are clear(?: bilaterally)?", lambda m: "Both lungs are clear"),
    _frame(r"Both lungs are clear", lambda m: "The lungs are clear bilaterally"),
    _frame(r"Clear lungs|Lungs clear", lambda m: "The lungs are clear"),
    _frame(
        r"(?:The )?cardiomediastinal silhouette is (?P<how>normal|within normal limits|unremarkable)",
        lambda m: f"The cardiomediastinal contours are {m['how']}",
    ),
    _frame(
        r"(?:The )?cardiomediastinal contours are (?P<how>normal|within normal limits|unremarkable)",
        lambda m: f"The cardiomediastinal silhouette is {m['how']}",
    ),
    _frame(
        r"There (?P<verb>is|are) (?P<what>(?!no\b|also\b|again\b|XXXX)[^,]+)",
        lambda m: f"{capitalised(m['what'])} {m['verb']} seen",
    ),
    _frame(
        rf"(?P<what>(?!no\b|the\b|these\b|this\b|again\b)(?:(?!\band\b)[^,])+?) (?P<verb>is|are) (?:{_SEEN})",
        lambda m: f"There {m['verb']} {uncapitalised(m['what'])}",
    ),
    _frame(r"(?P<what>(?:mild|moderate|severe|marked|minimal|small|large) [^,]+)", lambda m: _there_is(m["what"])),
)


def _there_is(what: str) -> str:
    """The sentence of a bare noun phrase; a thing that is counted gets its article."""
    if _is_plural(what):
        return f"There are {uncapitalised(what)}"
    counted = re.search(r"\b(?:effusion|pneumothorax|hernia|nodule|mass|infiltrate|opacity|granuloma)\b", what.split(" with ")[0], re.IGNORECASE)
    return f"There is {'a ' if counted else ''}{uncapitalised(what)}"


PHRASES: tuple[Equivalent, ...] = (
    _words("limits", r"\b(is|are) within normal limits\b(?! (?:in|for|of))", r"\1 normal"),
    _words("limits", r"\b(is|are) unremarkable\b", r"\1 normal"),
    _words("limits", r"\b(is|are) normal$", r"\1 unremarkable"),
    _words("bones", r"\bosseous\b", "bony"),
    _words("bones", r"\bbony\b", "osseous"),
    _words("lobe", r"\b(in|within) the (left|right) (upper|lower) lobe\b", r"\1 the \3 lobe of the \2 lung"),
    _words("lobe", r"\b(at|in) the (left|right)(?: lung)? base\b", r"\1 the base of the \2 lung"),
    _words("lobe", r"\bat the (left|right)(?: lung)? apex\b", r"at the apex of the \1 lung"),
    _words("lobe", r"\bat both lung bases\b", "at the bases of both lungs"),
    _words("lobe", r"\bin both (upper|lower) lobes\b", r"in the \1 lobes of both lungs"),
    _words("side", r"\b(left|right)(?:-sided)? (pleural effusion|pneumothorax)\b(?= (?:is|has|remains)|$)", r"\2 on the \1"),
    _words("side", r"\b(pleural effusion|pneumothorax|effusion) on the (left|right)\b", r"\2-sided \1"),
    _words("side", r"\bbilateral pleural effusions\b(?! (?:with|and))(?!,)", "pleural effusions on both sides"),
    _words("side", r"\bbibasilar atelectasis\b", "atelectasis at both lung bases"),
    _words("compared", r"\bcompared to the prior study\b", "in comparison with the prior examination"),
    _words("compared", r"\bsince the prior study\b", "since the previous examination"),
    _words("compared", r"\b(is|are) unchanged$", r"\1 stable"),
    _words("compared", r"\b(is|are) stable$", r"\1 unchanged"),
    _words("compared", r"^stable (?!and)", "unchanged "),
    _words("compared", r"^unchanged ", "stable "),
    _words("hedge", r"\bmay represent\b", "could represent"),
    _words("hedge", r"\b(there (?:is|are)) likely\b", r"\1 probably"),
    _words("hedge", r"^likely ", "probable "),
    _words("hedge", r"^probable ", "likely "),
    _words("hedge", r"\bconsistent with\b", "compatible with"),
    _words("hedge", r"\bcompatible with\b", "consistent with"),
    _words("hedge", r"\bin keeping with\b", "compatible with"),
    _words("nodule", r"\bpulmonary nodule(s?)\b", r"lung nodule\1"),
    _words("hernia", r"\bhiatal hernia\b", "hiatus hernia"),
    _words("hernia", r"\bhiatus hernia\b", "hiatal hernia"),
    _words("shows", r"\bdemonstrates\b", "shows"),
    _words("seen", r"\b(is|are) (?:noted|identified) (?=in\b|at\b|along\b)", r"\1 seen "),
    _words("tube", r"\bterminates\b", "ends"),
    _words("tube", r"\bends (?=in\b|at\b)", "terminates "),
    _words("tube", r"\btip projects over\b", "tip overlies"),
    _words("radiograph", r"\bchest radiograph\b", "chest x-ray"),
    _words("radiograph", r"\bview of the chest (?:was reviewed|provided)\b", "chest radiograph was reviewed"),
    _words("process", r"\bacute cardiopulmonary (?:process|abnormality)\b", "acute cardiopulmonary disease"),
    _words("process", r"\bacute cardiopulmonary disease\b", "acute cardiopulmonary process"),
    Equivalent("unit", re.compile(r"(?<![\dx.×-] )(?<![\d.x×-])\b(\d{1,2}) mm\b(?! x)"), lambda m: f"{int(m[1]) / 10:.1f} cm"),
    Equivalent("unit", re.compile(r"(?<![\dx.×-] )(?<![\d.x×-])\b(\d{1,2})\.(\d) cm\b(?! x)"), lambda m: f"{int(m[1]) * 10 + int(m[2])} mm"),
)


def paraphrased(report: str, rng: np.random.Generator) -> Edit | None:
    """Every sentence in other words for which there are some."""
    changed: list[tuple[Sentence, str]] = []
    sentences = sentences_of(report)
    for sentence in sentences:
        new = in_other_words(sentence.text, rng)
        if new != sentence.text:
            changed.append((sentence, new))
    if not changed:
        return None
    text = report
    for sentence, new in reversed(changed):
        text = text[: sentence.start] + in_style_of(report, new) + text[sentence.end :]
    before, after = (". ".join(parts) for parts in ([sentence.text for sentence, _ in changed], [new for _, new in changed]))
    return Edit(text, before, after, f"{len(changed)} of {len(sentences)} sentences in other words")


def in_other_words(sentence: str, rng: np.random.Generator) -> str:
    """The sentence with one frame and all phrases that it knows replaced, in an order that the generator draws."""
    text, used = sentence, set[str]()
    frames = [FRAMES[place] for place in rng.permutation(len(FRAMES))]
    for equivalent in (*frames, *(PHRASES[place] for place in rng.permutation(len(PHRASES)))):
        match = equivalent.pattern.search(text) if equivalent.family not in used else None
        if match is None or ("what" in match.groupdict() and _MORE_THAN_A_PHRASE.search(match["what"])):
            continue
        used.add(equivalent.family)
        text = with_articles(text[: match.start()] + equivalent.write(match) + text[match.end() :])
    return text


def reordered(report: str, rng: np.random.Generator) -> Edit | None:
    """The sentences of the longest paragraph in another order; none where one refers back to the one before it."""
    sentences = sentences_of(report)
    groups: list[list[Sentence]] = []
    for sentence in sentences:
        between = report[groups[-1][-1].stop : sentence.start] if groups else "\n\n"
        if between.strip() or "\n\n" in between:  # a heading, a number of a list, or a blank line
            groups.append([])
        groups[-1].append(sentence)
    group = max(groups, key=len, default=[])
    group = [sentence for sentence in group if sentence.stop > sentence.end]  # the last may lack its full stop, and would take none along
    if len(group) < 2 or any(is_tied(sentence.text) for sentence in group) or re.search(r"(?:^|\s)\d{1,2}[.)]\s", report):
        return None
    order = np.arange(len(group))
    while (order == np.arange(len(group))).all():
        order = rng.permutation(len(group))
    text = report
    for place in range(len(group) - 1, -1, -1):
        text = text[: group[place].start] + group[int(order[place])].text + text[group[place].end :]
    if text == report:
        return None
    before, after = (". ".join(group[int(place)].text for place in places) for places in (range(len(group)), order))
    return Edit(text, before, after, f"{len(group)} sentences in another order")


def recased(report: str, rng: np.random.Generator) -> Edit | None:
    """All letters small, or all capital."""
    lower, upper = report.lower(), report.upper()
    choices = [
        (text, what) for text, what in ((lower, "all letters small"), (upper, "all letters capital")) if text != report and len(text) == len(report)
    ]
    if not choices or ":" in report:
        return None  # headings are told by their capitals: without, the text would say less, with more of them, more
    text, what = choices[int(rng.integers(len(choices)))]
    return Edit(text, report, text, what)


def headed(report: str, rng: np.random.Generator) -> Edit | None:
    """A report without headings under the usual ones; one that has headings in capitals with those in another look."""
    if not report.strip():
        return None
    headings = list(re.finditer(r"^([A-Z][A-Z ]+):", report, re.MULTILINE))
    if headings:
        names = {"FINDINGS": "Findings", "IMPRESSION": "Impression"}
        text = re.sub(r"^(FINDINGS|IMPRESSION):", lambda match: f"{names[match[1]]}:", report, flags=re.MULTILINE)
        return None if text == report else Edit(text, "", "", "headings of findings and impression in small letters")
    if ":" in report:
        return None
    head = ("EXAMINATION: Chest radiograph.\n\nFINDINGS:\n", "FINDINGS:\n", "Findings: ")[int(rng.integers(3))]
    head = in_style_of(report, head) if not any(letter.isupper() for letter in report) else head
    return Edit(head + report, "", head.strip(), "headings added")


def respaced(report: str, rng: np.random.Generator) -> Edit | None:
    """A line for each sentence, a blank around every sign of punctuation, or no comma before "or" and no hyphen in right-sided."""
    lines = re.sub(r"(?<=\w\.) +(?=[A-Z])", "\n", report)
    apart = re.sub(r"(?<=\w)([.,;:])(?=\s|$)", r" \1", report) if not is_spaced(report) else report
    signs = re.sub(r"\b(left|right)-sided\b", r"\1 sided", re.sub(r", (or|and)\b", r" \1", report), flags=re.IGNORECASE)
    choices = [
        (text, what)
        for text, what in (
            (lines, "a line for each sentence"),
            (apart, "blanks before punctuation"),
            (signs, "no comma before or and and, no hyphen before sided"),
        )
        if text != report
    ]
    if not choices:
        return None
    text, what = choices[int(rng.integers(len(choices)))]
    return Edit(text, report, text, what)


REWRITES: Mapping[str, Maker] = {
    "paraphrase": paraphrased,
    "order": reordered,
    "casing": recased,
    "headers": headed,
    "punctuation": respaced,
}
"""in the order of the tables"""
