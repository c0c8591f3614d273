"""Entities and relations by rules: embedded, deterministic, no download, and no RadGraph.

It serves the demo, the tests, and whoever wants to see how the metric works: its annotations have the form of RadGraph-XL's and none of its
judgement. A sentence is read from left to right. Single words of the lexicon become entities; a place or a degree modifies the next word that it
can belong to, an observation is located at the anatomy of its own phrase, behind a preposition, or before it; an observation speaks for
(``suggestive_of``) the next one behind a word such as "suggesting". Denials and doubts hold to the end of their clause.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from benchmark.annotating import lexicon
from benchmark.annotating.annotations import Annotation, Entity

VERSION = 1
PRESENT, ABSENT, UNCERTAIN = "definitely present", "definitely absent", "uncertain"
REMEMBERED = 50_000
"""sentences kept as read: reports repeat them"""
STOPS = frozenset((".", "?", "!"))

_TOKENS = re.compile(r"\w+|[^\w\s]+")
_KINDS = (
    ("anatomy", lexicon.ANATOMY),
    ("place", lexicon.PLACES),
    ("observation", lexicon.OBSERVATIONS),
    ("degree", lexicon.DEGREES),
)
_KIND_OF = {word: kind for kind, words in reversed(_KINDS) for word in words}
_DOUBTED, _DENIED = (
    {opening: tuple(phrase for phrase in phrases if phrase[0] == opening) for opening, *_ in phrases}
    for phrases in (lexicon.DOUBTED_BEFORE, lexicon.DENIED_BEFORE)
)
"""first word -> the phrases that begin with it"""


class Word(NamedTuple):
    """A word of the lexicon where it stands."""

    place: int
    """among the tokens of the report"""
    kind: str
    """anatomy | place | observation | degree"""
    stance: str
    """definitely present | definitely absent | uncertain; of anatomy always the first"""


class RuleAnnotator:
    """Annotates by rules."""

    is_kept = False
    """reading what is kept would take longer than reading the report"""

    def annotate(self, reports: Sequence[str]) -> list[Annotation]:
        """One annotation for each report, in order; an empty report has no entities."""
        return [annotate(report) for report in reports]

    def signature(self) -> str:
        """That it is by rules, and a hash of the lexicon."""
        return f"rules|v{VERSION}|lexicon:{lexicon_hash()}"


def annotate(report: str) -> Annotation:
    """The entities of a report, with their relations."""
    tokens = _TOKENS.findall(report)
    small = [token.lower() for token in tokens]
    words: list[Word] = []
    relations: dict[int, list[tuple[str, int]]] = {}
    for start, stop in sentences(small):
        for word, related in _read(tuple(small[start:stop])):
            words.append(Word(start + word.place, word.kind, word.stance))
            relations[start + word.place] = [(kind, start + other) for kind, other in related]
    keys = {word.place: str(number) for number, word in enumerate(words, start=1)}
    entities: dict[str, Entity] = {}
    for word in words:
        entities[keys[word.place]] = {
            "tokens": tokens[word.place],
            "label": f"{'Anatomy' if word.kind in ('anatomy', 'place') else 'Observation'}::{word.stance}",
            "start_ix": word.place,
            "end_ix": word.place,
            "relations": [[kind, keys[other]] for kind, other in relations[word.place]],
        }
    return {"text": " ".join(tokens), "entities": entities, "data_source": None, "data_split": "inference"}


@lru_cache(maxsize=REMEMBERED)
def _read(tokens: tuple[str, ...]) -> list[tuple[Word, list[tuple[str, int]]]]:
    """The words of the lexicon in one sentence, each with what it is related to; places are counted from the sentence's first token."""
    found = _words_of(tokens, 0, len(tokens))
    sentence = _Sentence(tokens, found)
    return [(word, list(_relations_of(word, number, sentence))) for number, word in enumerate(found)]


def sentences(tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """First token and the one behind the last, of each sentence; the point of a decimal number ends none."""
    start = 0
    for place, token in enumerate(tokens):
        if token[0] in STOPS and not (token == "." and _is_number(tokens, place - 1) and _is_number(tokens, place + 1)):
            yield start, place
            start = place + 1
    yield start, len(tokens)


def lexicon_hash() -> str:
    """Of all words and phrases, in their order."""
    listed = [sorted(value) if isinstance(value, frozenset) else value for name, value in sorted(vars(lexicon).items()) if name.isupper()]
    return hashlib.sha256(repr(listed).encode()).hexdigest()[:8]


def _is_number(tokens: Sequence[str], place: int) -> bool:
    return 0 <= place < len(tokens) and tokens[place].isdigit()


def _words_of(tokens: tuple[str, ...], start: int, stop: int) -> list[Word]:
    """The words of the lexicon in one sentence."""
    found: list[Word] = []
    for first, last in _clauses(tokens, start, stop):
        stance, phrase = PRESENT, tokens[first:last]
        behind = UNCERTAIN if _has(phrase, _DOUBTED) else ABSENT if _has(phrase, _DENIED) else PRESENT
        for place in range(first, last):
            token = tokens[place]
            if token in lexicon.DENIALS:
                stance = ABSENT
            elif token in lexicon.DOUBTS:
                stance = UNCERTAIN
            if kind := _KIND_OF.get(token):
                said = PRESENT if kind in ("anatomy", "place") else stance if stance != PRESENT else behind
                found.append(Word(place, kind, said))
    return found


def _clauses(tokens: Sequence[str], start: int, stop: int) -> Iterator[tuple[int, int]]:
    first = start
    for place in range(start, stop):
        if tokens[place] in lexicon.TURNS:
            yield first, place
            first = place + 1
    yield first, stop


def _has(tokens: tuple[str, ...], phrases: Mapping[str, Sequence[tuple[str, ...]]]) -> bool:
    if phrases.keys().isdisjoint(tokens):
        return False
    return any(tokens[place : place + len(phrase)] == phrase for place, token in enumerate(tokens) for phrase in phrases.get(token, ()))


class _Sentence:
    """What is asked of a sentence again and again, looked up once: a sentence of a hundred thousand words is read in time that grows with it alone.

    Words are called by their number among ``words``; one of them, or the number behind the last, is always the answer.
    """

    def __init__(self, tokens: Sequence[str], words: Sequence[Word]) -> None:
        self.tokens, self.words = tokens, words
        self._others = list(accumulate((token not in lexicon.BETWEEN for token in tokens), initial=0))
        self._suggesting = list(accumulate((token in lexicon.SUGGESTING for token in tokens), initial=0))
        count = len(words)
        self._phrase_ends = [count] * (count + 1)  # of a phrase that this word stands in
        for number in range(count - 1, -1, -1):
            goes_on = number + 1 < count and self._is_bridged(words[number].place, words[number + 1].place)
            self._phrase_ends[number] = self._phrase_ends[number + 1] if goes_on else number + 1
        kinds = [word.kind for word in words]
        self._next = {kind: _from_here_on(kind, kinds) for kind, _ in _KINDS}
        self._last = {kind: _before(kind, kinds) for kind, _ in _KINDS}

    def next(self, kind: str, start: int, end: int | None = None) -> Word | None:
        """The first word of a kind from number ``start`` on, before number ``end``."""
        number = self._next[kind][start]
        return self.words[number] if number < (len(self.words) if end is None else end) else None

    def last(self, kind: str, end: int) -> Word | None:
        """The last word of a kind before number ``end``."""
        number = self._last[kind][end]
        return None if number is None else self.words[number]

    def phrase(self, place: int, number: int) -> tuple[int, int]:
        """The words, from that number on, that follow a place in one phrase: nothing between them but what may stand there."""
        if number == len(self.words) or not self._is_bridged(*sorted((place, self.words[number].place))):
            return number, number
        return number, self._phrase_ends[number]

    def is_suggested(self, word: Word, other: Word) -> bool:
        """Whether a word such as "suggesting" stands between them."""
        return self._suggesting[other.place] > self._suggesting[word.place + 1]

    def _is_bridged(self, low: int, high: int) -> bool:
        return high <= low + 1 or self._others[high] == self._others[low + 1]


def _from_here_on(kind: str, kinds: Sequence[str]) -> list[int]:
    """For each place the first from it on that is of that kind, and for the one behind the last; their number where there is none."""
    at = len(kinds)
    found = [at] * (at + 1)
    for place in range(at - 1, -1, -1):
        if kinds[place] == kind:
            at = place
        found[place] = at
    return found


def _before(kind: str, kinds: Sequence[str]) -> list[int | None]:
    """Likewise the last before it; None where there is none."""
    at: int | None = None
    found: list[int | None] = [None]
    for place, other in enumerate(kinds):
        if other == kind:
            at = place
        found.append(at)
    return found


def _relations_of(word: Word, number: int, sentence: _Sentence) -> Iterator[tuple[str, int]]:
    """(kind, place of the other word) of everything that the word is related to, in the order of the report."""
    if word.kind in ("place", "degree"):
        wanted = "anatomy" if word.kind == "place" else "observation"
        other = sentence.next(wanted, *sentence.phrase(word.place, number + 1)) or sentence.last(wanted, number)
        if other is not None:
            yield "modify", other.place
    elif word.kind == "observation":
        where = {other.place for other in (_own_anatomy(word, number, sentence), _anatomy_behind(word, number, sentence)) if other}
        if not where and (before := sentence.last("anatomy", number)):
            where = {before.place}
        yield from (("located_at", place) for place in sorted(where))
        target = sentence.next("observation", number + 1)
        if target and sentence.is_suggested(word, target):
            yield "suggestive_of", target.place


def _own_anatomy(word: Word, number: int, sentence: _Sentence) -> Word | None:
    """The anatomy of the observation's own phrase: ``pleural`` of ``pleural effusion``, ``left`` of ``left effusion``."""
    last = word.place
    for before in range(number - 1, -1, -1):  # past degrees alone, which the observation before this one did not pass
        other = sentence.words[before]
        if other.place != last - 1 or other.kind == "observation":
            return None
        if other.kind in ("anatomy", "place"):
            return other
        last = other.place
    return None


def _anatomy_behind(word: Word, number: int, sentence: _Sentence) -> Word | None:
    """The anatomy behind a preposition: ``lung`` of ``opacity in the left lung``, ``base`` of ``atelectasis at the right base``."""
    start = word.place + 1
    if not (start < len(sentence.tokens) and sentence.tokens[start] in lexicon.PREPOSITIONS):
        return None
    phrase = sentence.phrase(start, number + 1)
    return sentence.next("anatomy", *phrase) or sentence.next("place", *phrase)
