"""A text as the page shows it: its sentences, and where in it each lesion is said.

Offsets count UTF-16 code units, as JavaScript does: an emoji is two. Every character that is not white space lies in exactly one sentence, those of
sections that state no finding (indication, technique) too.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from benchmark.labelling.rules import RuleLabeller
from benchmark.labelling.scope import Mention
from benchmark.labelling.sentences import sentence_spans
from benchmark.records import Lesion, Lesions

Span = tuple[int, int]
Said = Sequence[tuple[Span, Sequence[Mention]]]
"""by sentence: where it stands, and which lesions it mentions"""
SaidOfOne = Sequence[tuple[Span, Mention]]
"""every mention of one lesion, and where its sentence stands"""
REMEMBERED = 20_000
"""texts that are kept as they were read; a memory that is full is emptied"""
_CLOSING = ".!?;:,)]}\"'\u201d\u2019"
_OPENING = re.compile(r"(?:[^\n]{0,80}:|\W{0,3}|\d{1,3}[.)]?)\s*")
"""what belongs to the sentence behind it: a header, a bullet, a number"""
_PARTS_OF_WORDS = 1000
"""so many places within other words are passed over before the first of them is taken: "aa" is half a million times in a megabyte of "aaa..."."""
_SIDE = re.compile(r"\b(?:right|left)\Z", re.IGNORECASE)
_WHERE = "upper|lower|middle|mid|apical|basal|basilar|posterior|anterior|lateral|medial|inferior|superior|pleural|costophrenic|hilar|perihilar"
_PARTS = "lungs?|lobes?|bases?|zones?|fields?|apex|apices|hilum|sides?|hemithorax|hemidiaphragm|space|angles?|sulcus|ribs?|clavicle|chest|region"
_ANATOMY = re.compile(rf"(?:[\s-]+(?:{_WHERE}|and(?=[\s]+(?:{_WHERE})\b)))*(?:[\s-]+(?:{_PARTS}))+\b", re.IGNORECASE)
"""what follows a side and belongs to it: "right | lower lobe" """
_BARE = re.compile(r"(?:not\s+)?(?:enlarged|increased|large|borderline)", re.IGNORECASE)
"""says nothing without what it is said of"""
_HEART = re.compile(r"\b(?:heart|cardiac|cardio\w+|mediastin\w+)\b", re.IGNORECASE)
_CLAUSE = re.compile(r"[,;:().]|\b(?:and|but|with|while|although|though|which|that)\b", re.IGNORECASE)
_QUOTES = " \t\n\"'\u201c\u201d\u2018\u2019"


class TextReader:
    """Reads texts and remembers them: reports repeat each other, and reports of one case share its reference."""

    def __init__(self, labels: Callable[[Sequence[str]], list[Lesions]] | None) -> None:
        """``labels`` gives lesions, or () where it has none; if it is ``label`` of a labeller by rules, that one is asked for every mention too."""
        self._labels = labels
        whose = getattr(labels, "__self__", None)
        self._rules = whose if isinstance(whose, RuleLabeller) else None
        self._known: dict[str, dict[str, Any]] = {}

    def read(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """What ``read_text`` gives for each of them, in order. They are shared: whoever adds to one makes a copy."""
        wanted = dict.fromkeys(texts)
        new = [text for text in wanted if text not in self._known]
        if len(self._known) + len(new) > REMEMBERED:
            self._known, new = {}, list(wanted)
        if type(self._rules) is RuleLabeller:  # what is made of it may label otherwise
            for text in new:
                lesions, said = self._rules.read(text)
                self._known[text] = read_text(text, lesions, self._rules, said)
        elif new:
            found: Sequence[Lesions] = self._labels(new) if self._labels else [()] * len(new)
            self._known |= {text: read_text(text, lesions, self._rules) for text, lesions in zip(new, found, strict=True)}
        return [self._known[text] for text in texts]


def read_text(text: str, lesions: Lesions, rules: RuleLabeller | None = None, said: Said | None = None) -> dict[str, Any]:
    """``text``, ``sentences`` and ``lesions`` for the page: of the lesions, those that the text mentions.

    ``also`` of a lesion are further places that say the same of it, known where the labels are by ``rules``: all that affirm a positive one, or deny
    a negative one. ``said`` is what these find mentioned, if they have been asked. ``start`` and ``end`` are None where the words that decided are
    not found in the text.
    """
    asserting = sentence_spans(text)
    units = _units(text)
    said_of: dict[str, list[tuple[Span, Mention]]] = {}
    if said is None:
        said = rules.mentions_at(text) if rules else ()
    for place, mentions in said:
        for mention in mentions:
            said_of.setdefault(mention.lesion, []).append((place, mention))
    return {
        "text": text,
        "sentences": [_in_units(span, units) for span in _covering(text, asserting)],
        "lesions": [_lesion(lesion, text, asserting, said_of.get(lesion.name, ()), rules, units) for lesion in lesions if _is_mentioned(lesion)],
    }


def sentences_of(text: str) -> list[Span]:
    """Where the sentences stand, counted in characters of Python: every character but white space lies in one of them."""
    return _covering(text, sentence_spans(text))


def _is_mentioned(lesion: Lesion) -> bool:
    return lesion.status == "positive" or (lesion.certainty != "not mentioned" and bool(lesion.rationale))


def _covering(text: str, asserting: Sequence[Span]) -> list[Span]:
    """The sentences that assert something, with the marks, bullets and headers between them, and what lies between as sentences of its own."""
    found: list[Span] = []
    done = 0
    for start, end in (*asserting, (len(text), len(text))):
        gap_end = start
        if found:
            while done < gap_end and text[done] in _CLOSING:
                done += 1
            found[-1] = (found[-1][0], done)
        pieces = _lines(text, done, gap_end)
        if pieces and start < end and _OPENING.fullmatch(text, pieces[-1][0], start):
            start = pieces.pop()[0]
        found += pieces
        if start < end:
            found.append((start, end))
        done = end
    return found


def _lines(text: str, start: int, end: int) -> list[Span]:
    """Lines of a part, without white space at their ends; none that is blank."""
    found: list[Span] = []
    if start == end:  # as between most sentences: a text of a megabyte may have a third of a million
        return found
    for line in re.finditer(r"[^\n]+", text[start:end]):
        stripped = line[0].strip()
        if stripped:
            begin = start + line.start() + len(line[0]) - len(line[0].lstrip())
            found.append((begin, begin + len(stripped)))
    return found


def _lesion(
    lesion: Lesion, text: str, asserting: Sequence[Span], said: SaidOfOne, rules: RuleLabeller | None, units: Sequence[int] | None
) -> dict[str, Any]:
    places = _mentions(lesion, text, said, rules) if rules else []
    if not places and (place := find(lesion.rationale, text, asserting)):
        places = [place]
    start, end = _in_units(places[0], units) if places else (None, None)
    found = {"name": lesion.name, "status": lesion.status, "side": lesion.side, "certainty": lesion.certainty, "start": start, "end": end}
    return found | {"also": [_in_units(place, units) for place in places[1:]]} if len(places) > 1 else found


def _mentions(lesion: Lesion, text: str, said: SaidOfOne, rules: RuleLabeller) -> list[Span]:
    """Where the text says of the lesion what the labels say, the words that decided first."""
    found: list[Span] = []
    deciding: Span | None = None
    known: set[Span] = set()
    before, after = None, 0
    for sentence, mention in said:
        if rules.status_of(mention) != lesion.status:
            continue
        start, end = sentence
        if sentence != before:
            before, after = sentence, start
        place = _find_in(mention.words, text, after, end) or _find_in(mention.words, text, start, end)
        if place is None or place in known:
            continue
        found.append(_whole_phrase(text, place, start, end))
        known.add(place)
        after = max(after, place[1])
        if deciding is None and mention.words == lesion.rationale:
            deciding = found[-1]
    return [deciding, *(place for place in found if place != deciding)] if deciding else found


def _whole_phrase(text: str, place: Span, start: int, end: int) -> Span:
    """The place with what makes it readable, within its sentence from ``start`` to ``end``: the anatomy behind a side, and what is enlarged."""
    first, last = place
    if _SIDE.search(text, first, last) and (anatomy := _ANATOMY.match(text, last, end)):
        last = anatomy.end()
    if _BARE.fullmatch(text, first, last):
        *_, clause = (start, *(boundary.end() for boundary in _CLAUSE.finditer(text, start, first)))
        if heart := _HEART.search(text, clause, first):
            first = heart.start()
    return first, last


def find(words: str, text: str, first: Sequence[Span] = ()) -> Span | None:
    """Where the words stand in the text: as they are written, or else with case and white space folded; whole words before parts of words.

    ``first`` are the parts of the text in which they are looked for before the rest. None where they are not there, or there are none.
    """
    words = words.strip(_QUOTES)
    if not words or len(words) > len(text):
        return None
    places = (*first, (0, len(text)))
    if words in text:
        for start, end in places:
            if (found := _find_in(words, text, start, end)) is not None:
                return found
    text_folded = _folded(text)
    words = _folded(words).text
    if words not in text_folded.text:
        return None
    return next((found for start, end in places if (found := text_folded.find(words, start, end)) is not None), None)


class _Folded(NamedTuple):
    """A text in lower case, one blank between words."""

    text: str
    starts: list[int]
    """of each word in it"""
    sources: list[int]
    """of each word in the text that it was made of"""

    def find(self, words: str, start: int, end: int) -> Span | None:
        """Where they stand between two places of that text. In time that grows with the text alone, which a pattern's does not: both may be long."""
        at = self.text.find(words, self._place(start), self._place(end))
        return None if at < 0 else (self._origin(at), self._origin(at + len(words) - 1) + 1)

    def _place(self, source: int) -> int:
        """Where a place of that text is in this one."""
        number = bisect_right(self.sources, source) - 1
        if number < 0:
            return 0
        word_end = self.starts[number + 1] - 1 if number + 1 < len(self.starts) else len(self.text)
        return min(self.starts[number] + source - self.sources[number], word_end)

    def _origin(self, place: int) -> int:
        number = bisect_right(self.starts, place) - 1
        return self.sources[number] + place - self.starts[number]


@lru_cache(maxsize=4)
def _folded(text: str) -> _Folded:
    words, starts, sources, filled = [], [], [], 0
    for match in re.finditer(r"\S+", text):
        word = match[0].lower()
        if len(word) != len(match[0]):  # a capital I with a dot is two characters in lower case
            word = "".join(one.lower() if len(one.lower()) == 1 else one for one in match[0])
        words.append(word)
        starts.append(filled)
        sources.append(match.start())
        filled += len(word) + 1
    return _Folded(" ".join(words), starts, sources)


def _find_in(words: str, text: str, start: int, end: int) -> Span | None:
    """The first place where they stand as whole words, or else the first at all."""
    part = None
    at = text.find(words, start, end)
    for _ in range(_PARTS_OF_WORDS):
        if at < 0:
            break
        span = (at, at + len(words))
        if not (_is_letter(text, at - 1) and _is_letter(text, at)) and not (_is_letter(text, span[1] - 1) and _is_letter(text, span[1])):
            return span
        part = part or span
        at = text.find(words, at + 1, end)
    return part


def _is_letter(text: str, place: int) -> bool:
    return 0 <= place < len(text) and text[place].isalnum()


def _units(text: str) -> list[int] | None:
    """Character -> UTF-16 code units before it, with the total at the end; None where they are the same."""
    if text.isascii() or max(text) <= "\uffff":
        return None
    places = [0]
    for character in text:
        places.append(places[-1] + (2 if character > "\uffff" else 1))
    return places


def _in_units(span: Span, units: Sequence[int] | None) -> list[int]:
    return list(span) if units is None else [units[span[0]], units[span[1]]]
