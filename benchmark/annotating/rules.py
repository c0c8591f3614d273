"""Entities and relations by rules: embedded, deterministic, no download, and no RadGraph.

It serves the demo, the tests, and whoever wants to see how the metric works: its annotations have the form of RadGraph-XL's and none of its
judgement. A sentence is read from left to right. Single words of the lexicon become entities; a place or a degree modifies the next word that it
can belong to, an observation is located at the anatomy of its own phrase, behind a preposition, or before it; an observation speaks for
(``suggestive_of``) the next one behind a word such as "suggesting". Denials and doubts hold to the end of their clause.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
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
    return [(word, list(_relations_of(word, found, tokens))) for word in found]


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


def _words_of(tokens: Sequence[str], start: int, stop: int) -> list[Word]:
    """The words of the lexicon in one sentence."""
    found: list[Word] = []
    for first, last in _clauses(tokens, start, stop):
        stance, phrase = PRESENT, tokens[first:last]
        behind = UNCERTAIN if _has(phrase, lexicon.DOUBTED_BEFORE) else ABSENT if _has(phrase, lexicon.DENIED_BEFORE) else PRESENT
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


def _has(tokens: Sequence[str], phrases: Sequence[tuple[str, ...]]) -> bool:
    return any(tuple(tokens[place : place + len(phrase)]) == phrase for phrase in phrases for place in range(len(tokens) - len(phrase) + 1))


def _relations_of(word: Word, sentence: Sequence[Word], tokens: Sequence[str]) -> Iterator[tuple[str, int]]:
    """(kind, place of the other word) of everything that the word is related to, in the order of the report."""
    after = [other for other in sentence if other.place > word.place]
    before = [other for other in reversed(sentence) if other.place < word.place]
    if word.kind in ("place", "degree"):
        wanted = "anatomy" if word.kind == "place" else "observation"
        other = next((other for other in _phrase(word, after, tokens) if other.kind == wanted), None)
        other = other or next((other for other in before if other.kind == wanted), None)
        if other is not None:
            yield "modify", other.place
    elif word.kind == "observation":
        where = {other.place for other in (_own_anatomy(word, before, tokens), _anatomy_behind(word, after, tokens)) if other}
        if not where:
            where = {other.place for other in [other for other in before if other.kind == "anatomy"][:1]}
        yield from (("located_at", place) for place in sorted(where))
        target = next((other for other in after if other.kind == "observation"), None)
        if target and any(token in lexicon.SUGGESTING for token in tokens[word.place + 1 : target.place]):
            yield "suggestive_of", target.place


def _phrase(word: Word, others: Sequence[Word], tokens: Sequence[str]) -> Iterator[Word]:
    """The words that follow without anything between them but what may stand there."""
    last = word.place
    for other in others:
        low, high = sorted((last, other.place))
        if any(token not in lexicon.BETWEEN for token in tokens[low + 1 : high]):
            return
        yield other
        last = other.place


def _own_anatomy(word: Word, before: Sequence[Word], tokens: Sequence[str]) -> Word | None:
    """The anatomy of the observation's own phrase: ``pleural`` of ``pleural effusion``, ``left`` of ``left effusion``."""
    last = word.place
    for other in before:
        if other.place != last - 1 or other.kind == "observation":
            return None
        if other.kind in ("anatomy", "place"):
            return other
        last = other.place
    return None


def _anatomy_behind(word: Word, after: Sequence[Word], tokens: Sequence[str]) -> Word | None:
    """The anatomy behind a preposition: ``lung`` of ``opacity in the left lung``, ``base`` of ``atelectasis at the right base``."""
    start = word.place + 1
    if not (start < len(tokens) and tokens[start] in lexicon.PREPOSITIONS):
        return None
    phrase = list(_phrase(Word(start, "", ""), after, tokens))
    return next((other for other in phrase if other.kind == "anatomy"), next((other for other in phrase if other.kind == "place"), None))
