"""Which words mean the same, by WordNet 3.0 (Princeton University, 2006), from the table that ships with the project.

Two readings of one table, as the two METEORs need them:
- ``meanings``: METEOR 1.5's. A synset is its number alone, whatever its part of speech (so "entity" and "breathe", both number 1740, are
  synonyms there); a word has its own synsets and those of its base form, which is an irregular form's lemmas or else the first that a rule finds.
- ``synonyms``: nltk's. All lemma names, capitals kept, of ``wordnet.synsets(word)``.

The table, how it was made and WordNet's notice are in ``resources/``. Both readings were found from outside and proven against METEOR 1.5's jar
and nltk 3.10.4.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("resources") / "wordnet_words.txt.gz"
PARTS = "nvar"

# (ending, replacement): WordNet's rules of detachment, morphy(7WN). METEOR 1.5 takes the first, of all parts of speech, that gives a known word.
METEOR_RULES = (
    ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"), ("es", "e"), ("es", ""),
    ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""), ("er", ""), ("est", ""), ("er", "e"), ("est", "e"),
)  # fmt: skip
METEOR_ENDINGS = tuple(dict.fromkeys(ending for ending, _ in METEOR_RULES))
NLTK_RULES = {
    "n": (("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y")),
    "v": (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "r": (),
}  # fmt: skip


class _WordNet(NamedTuple):
    numbers: dict[str, dict[str, Sequence[int]]]
    """part of speech -> lower-case word -> its synsets"""
    irregular: dict[str, dict[str, list[list[str]]]]
    """part of speech -> irregular form -> its lemmas, as often as WordNet lists it"""


@lru_cache(maxsize=1)
def _wordnet() -> _WordNet:
    wordnet = _WordNet({part: {} for part in PARTS}, {part: {} for part in PARTS})
    for part, is_exception, first, words in _lines():
        if is_exception:
            wordnet.irregular[part].setdefault(first, []).append(words)
            continue
        numbers, number = wordnet.numbers[part], int(first)
        for word in dict.fromkeys(word.lower() for word in words):
            numbers[word] = (*numbers.get(word, ()), number)  # tuples, and of most words there is one number: half of what lists would hold
    return wordnet


@lru_cache(maxsize=1)
def _names() -> dict[tuple[str, int], list[str]]:
    """(part of speech, number) -> its words as WordNet writes them; METEOR 1.5 does without."""
    return {(part, int(first)): words for part, is_exception, first, words in _lines() if not is_exception}


def _lines() -> Iterator[tuple[str, bool, str, list[str]]]:
    """Part of speech, whether it is of the exceptions, the first word of a line and the others."""
    part, is_exception = "", False
    with gzip.open(TABLE, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            if line.startswith("["):
                part, is_exception = line[1], line.endswith("exceptions]\n")
                continue
            first, *words = line.rstrip("\n").split(" ")
            yield part, is_exception, first, words


@lru_cache(maxsize=1)
def table_digest() -> str:
    """The first hex digits of the table's SHA-256, for signatures."""
    return hashlib.sha256(TABLE.read_bytes()).hexdigest()[:12]


@lru_cache(maxsize=1 << 17)
def meanings(word: str) -> frozenset[int]:
    """Numbers of the synsets that METEOR 1.5 sees in a lower-case word; two unlike words match if they share one."""
    found = {*_numbers(word)}
    for base in _base_forms(word):
        found.update(_numbers(base))
    return frozenset(found)


def _numbers(word: str) -> Iterator[int]:
    numbers = _wordnet().numbers
    for part in PARTS:
        yield from numbers[part].get(word, ())


def _base_forms(word: str) -> list[str]:
    irregular = _wordnet().irregular
    if lemmas := [lemma for part in PARTS for lemmas in irregular[part].get(word, ()) for lemma in lemmas]:
        return lemmas
    if len(word) <= 2 or word.endswith("ss") or not word.endswith(METEOR_ENDINGS):  # WordNet's own morphy spares the first two too
        return []
    for ending, replacement in METEOR_RULES:
        if word.endswith(ending):
            base = word.removesuffix(ending) + replacement
            if any(True for _ in _numbers(base)):
                return [base]
    return []


@lru_cache(maxsize=1 << 17)
def synonyms(word: str) -> frozenset[str]:
    """Names, without collocations, of all lemmas of nltk's ``wordnet.synsets(word)``, and the word itself."""
    wordnet, named = _wordnet(), _names()
    lower = word.lower()
    names = {word}
    for part in PARTS:
        if lower in wordnet.irregular[part]:
            forms = wordnet.irregular[part][lower][-1]  # nltk keeps the last
        else:
            forms = [lower.removesuffix(old) + new for old, new in NLTK_RULES[part] if lower.endswith(old)]
        for form in (lower, *forms):
            for number in wordnet.numbers[part].get(form, ()):
                names.update(name for name in named[part, number] if "_" not in name)
    return frozenset(names)
