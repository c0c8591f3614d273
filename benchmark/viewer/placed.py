"""Which sentences of a report a sentence about a region went into, by the words that they share.

It is likeness of words and no record of what was done: whoever makes a report of sentences, by rules or as a language model, keeps no account of
it. A sentence that was put in other words altogether has no place, and one that stands in the report for another reason has one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from benchmark.labelling.sentences import split_sentences
from benchmark.metrics.porter import porter_stem

THRESHOLD = 0.6
"""share of the region sentence's content words that a report's sentence must have"""
REMEMBERED = 100_000
"""sentences whose words are kept, and as many words whose stems are"""

# What carries no finding: words of grammar, and those with which a radiologist says that there is or is not something.
EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the and or of in on at to for with by from as is are was were be been being there this that these those it its has have had "
        "seen noted identified evidence demonstrated present appear appears again also which any other both well",
    )
)
DENIALS = frozenset(("no", "not", "without", "neither", "nor", "free"))
_WORD = re.compile(r"[^\W_]+")


def placed(sentence: str, report_sentences: Sequence[str]) -> list[int]:
    """Places in ``report_sentences`` that it went into, rising; [] if none.

    What is said of a region may be several sentences: each goes where most of its content words are, if that is ``THRESHOLD`` of them; where several
    have as many, into all of those, or into those alone that have no other words. A denial goes into no sentence without a word that denies.
    """
    theirs = [content_words(other) for other in report_sentences]
    found: set[int] = set()
    for piece in split_sentences(sentence) or [sentence]:
        ours = content_words(piece)
        shares = [0 if "no" in ours - other else len(ours & other) for other in theirs]
        if ours and shares and max(shares) >= THRESHOLD * len(ours):
            best = [place for place, share in enumerate(shares) if share == max(shares)]
            found.update([place for place in best if theirs[place] == ours] or best)
    return sorted(found)


@lru_cache(maxsize=REMEMBERED)
def content_words(sentence: str) -> frozenset[str]:
    """Its words by their stems, without those that carry nothing; whatever denies is the word "no"."""
    return frozenset("no" if word in DENIALS else porter_stem(word) for word in _WORD.findall(sentence.lower()) if word not in EMPTY_WORDS)
