"""Words as METEOR 1.5 with ``-norm`` makes them: punctuation apart, full stops of abbreviations kept or dropped, lower case.

The rules are those of the Moses tokeniser (Koehn et al., 2007), with METEOR's departures, found by giving the jar 120,000 made-up lines and
reading the words in the alignments that it writes: hyphens between letters vanish, dashes and quotes become ASCII, "U.S." becomes "us",
letters are Latin and Cyrillic only, and each substitution is one pass from the left, so that of two rules that want the same space the first gets
it ("a-b-c" gives "a b-c").

Line breaks count as spaces. (In pycocoevalcap they break its talk with the jar.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from benchmark.compiled import kernel
from benchmark.metrics.tokens import Tokens, respelled, tokenise

LETTERS = "A-Za-zÀ-ÖØ-öø-ž\u0400-\u0527\u1d00-\u1d7f\ua640-\ua66e\ua67e-\ua697"
DIGITS = "0-9"
WIDE_SPACE = re.compile("[\xa0\u2000-\u200a\u202f\u205f\u3000]")
SPACES = " \t\n\f\r"
OUTER = "".join(map(chr, range(33)))  # control characters around a line go, as with Java's trim()

# A full stop after these stays with them; after the second kind only before a digit. Found by asking the jar about 136,649 words.
_ABBREVIATIONS = """
    A B C D E F G H I J K L M N O P Q R S T U V W X Y Z Adj Adm Adv Asst Bart Bldg Brig Bros Capt Cmdr Col Comdr Con Corp Cpl DR Dr Drs Ens Gen Gov
    Hon Hosp Hr Insp Lt MM MR MRS MS Maj Messrs Mlle Mme Mr Mrs Ms Msgr Nos Nr Op Ord Pfc Ph Prof Pvt Rep Reps Res Rev Rt Sen Sens Sfc Sgt Sr St Supt
    Surg rev v vs
"""
ABBREVIATIONS = frozenset(_ABBREVIATIONS.split())
ABBREVIATIONS_BEFORE_DIGITS = frozenset(("Art", "No", "pp"))

SUBSTITUTIONS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        ("\u2013", " - "),
        ("[\u2018\u2019`]", "'"),
        ("[\u201c\u201d]|''", '"'),
        (f"([^{LETTERS}{DIGITS} \x0b.',-])", r" \1 "),
        (r"(\.{2,})", r" \1 "),
        (f"([^{DIGITS}]),([^{DIGITS}])", r"\1 , \2"),
        (f"([{DIGITS}]),([^{DIGITS}])", r"\1 , \2"),
        (f"([^{DIGITS}]),([{DIGITS}])", r"\1 , \2"),
        ("--", "-"),
        (f"([^{LETTERS}])'([^{LETTERS}])", r"\1 ' \2"),
        (f"([^{LETTERS}{DIGITS}])'([{LETTERS}])", r"\1 ' \2"),
        (f"([{LETTERS}])'([^{LETTERS}])", r"\1 ' \2"),
        (f"([{LETTERS}])'([{LETTERS}])", r"\1 '\2"),
        (f"([{DIGITS}])'(s)", r"\1 '\2"),
        (f"([{LETTERS}{DIGITS}.])-([{LETTERS}{DIGITS}])", r"\1 \2"),
    )
)
LETTER = re.compile(f"[{LETTERS}]")

_TABLE = np.arange(256, dtype=np.uint8)
_TABLE[[ord(space) for space in SPACES]] = 0
OTHER, LOWER, DIGIT = range(3)  # how the next piece begins; all that a piece needs to know about its neighbour
_NEIGHBOURS = ("", "a", "0")  # a stand-in for each
_SHARES_SPACE = tuple(",'‘’`")  # at such an edge a rule reaches over the space into the neighbouring piece


def normalise(text: str) -> list[str]:
    """The words of one text."""
    return list(_words(text.strip(OUTER), ""))


def normalised(texts: Sequence[str]) -> Tokens:
    """The words of all texts; what ``normalise`` gives for each, found once for every distinct piece between spaces."""
    pieces = tokenise([text.strip(OUTER) for text in texts], _encode, _TABLE)
    begins = np.array([LOWER if "a" <= piece[0] <= "z" else DIGIT if "0" <= piece[0] <= "9" else OTHER for piece in pieces.words], dtype=np.int64)
    opens = np.array([piece.startswith(_SHARES_SPACE) for piece in pieces.words], dtype=np.bool_)
    closes = np.array([piece.endswith(_SHARES_SPACE) for piece in pieces.words], dtype=np.bool_)
    variants, used, is_odd = _look_ahead(pieces.ids, pieces.ends, begins, opens, closes)
    split = [_words(pieces.words[variant // 3], _NEIGHBOURS[variant % 3]) for variant in used.tolist()]
    ends = pieces.ends
    if is_odd.any():
        variants, ends = _replace_odd(texts, variants, ends, is_odd, split)
    return respelled(variants, ends, split)


def _encode(text: str) -> bytes:
    return WIDE_SPACE.sub(" ", text).encode("utf-8", "surrogatepass").replace(b"\0", b"\xff")


@lru_cache(maxsize=1 << 17)
def _words(text: str, neighbour: str) -> tuple[str, ...]:
    if text.isascii() and text.isalnum():  # as most are: no rule says anything about one
        return (text.lower(),)
    line = f" {WIDE_SPACE.sub(' ', text).translate(_TO_SPACE)} "
    for pattern, replacement in SUBSTITUTIONS:
        line = pattern.sub(replacement, line)
    words = [word for word in line.split(" ") if word]
    result: list[str] = []
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else neighbour
        before = word[:-1]
        if not word.endswith(".") or not before or before.endswith("."):
            result.append(word)
        elif "." in before and LETTER.search(before):
            result.append(word.replace(".", ""))
        elif before in ABBREVIATIONS or "a" <= following[:1] <= "z" or (before in ABBREVIATIONS_BEFORE_DIGITS and "0" <= following[:1] <= "9"):
            result.append(word)
        else:
            result += [before, "."]
    return tuple(word.lower() for word in result)


_TO_SPACE = {ord(space): " " for space in SPACES}


def _replace_odd(
    texts: Sequence[str], variants: np.ndarray, ends: np.ndarray, is_odd: np.ndarray, split: list[tuple[str, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    """Texts whose pieces cannot be read one by one become one piece each, read whole."""
    parts, sizes = [], []
    for text, (start, end, odd) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), is_odd.tolist(), strict=True)):
        if odd:
            parts.append(np.array([len(split)], dtype=variants.dtype))
            split.append(_words(texts[text].strip(OUTER), ""))
        else:
            parts.append(variants[start:end])
        sizes.append(len(parts[-1]))
    return np.concatenate(parts), np.concatenate([[0], np.cumsum(sizes)])


@kernel
def _look_ahead(
    ids: np.ndarray, ends: np.ndarray, begins: np.ndarray, opens: np.ndarray, closes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the distinct pairs of a piece and how its neighbour begins; and find the texts with pieces that share a space.

    returns  number of the pair for every piece, the pairs (three times the piece plus the neighbour's kind), odd texts
    """
    numbers = np.full(3 * len(begins), -1, dtype=np.int64)
    used = np.empty(3 * len(begins), dtype=np.int64)
    known = 0
    variants = np.empty(len(ids), dtype=np.int64)
    is_odd = np.zeros(len(ends) - 1, dtype=np.bool_)
    for text in range(len(ends) - 1):
        for at in range(ends[text], ends[text + 1]):
            variant = 3 * np.int64(ids[at])
            if at + 1 < ends[text + 1]:
                variant += begins[ids[at + 1]]
                if closes[ids[at]] and opens[ids[at + 1]]:
                    is_odd[text] = True
            if numbers[variant] < 0:
                numbers[variant] = known
                used[known] = variant
                known += 1
            variants[at] = numbers[variant]
    return variants, used[:known].copy(), is_odd
