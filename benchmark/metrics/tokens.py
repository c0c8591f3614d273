"""Texts as numbers: every word of a corpus becomes a small integer, so that the metrics compare integers and not strings.

Three tokenisers, the first two defined by the reference programs that the metrics reproduce:
- ``alphanumeric``: lower case, runs of ``[a-z0-9]`` (google's rouge-score 0.1.2, ``tokenize.py``);
- ``whitespace``: ``str.split()``, case kept (pycocoevalcap's BLEU and CIDEr, nltk's METEOR on split text);
- ``lower_split``: lower case, every sign of punctuation a word of its own, the like of how R2Gen and its family clean reports before they measure.

One pass over the bytes of all texts finds the words and looks each up in a hash table; a word is compared whole there, so two words never share a
number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np

from benchmark.compiled import kernel

T = TypeVar("T")
TextForm = Literal["as_is", "lower_split"]
"""how COCO's metrics are to take a text: words between spaces with their case, or cleaned"""
PUNCTUATION = re.compile(r"([^\w\s])")

# Non-ASCII characters at which str.split() splits; the ASCII ones are in the table below.
WIDE_SPACE = re.compile("[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")

WHITESPACE = np.arange(256, dtype=np.uint8)
"""byte -> byte of the word, 0 where a word ends"""
WHITESPACE[[9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = 0  # str.isspace in ASCII
ALPHANUMERIC = np.zeros(256, dtype=np.uint8)
ALPHANUMERIC[ord("0") : ord("9") + 1] = np.arange(ord("0"), ord("9") + 1)
ALPHANUMERIC[ord("a") : ord("z") + 1] = ALPHANUMERIC[ord("A") : ord("Z") + 1] = np.arange(ord("a"), ord("z") + 1)

_NUL = b"\xff"  # stands for a NUL inside a word, since 0 ends words; no UTF-8 text has this byte


class Tokens(NamedTuple):
    """The words of some texts, as places in their vocabulary."""

    ids: np.ndarray
    """int32, the words of all texts one after the other"""
    ends: np.ndarray
    """int64 (n + 1), words of text i are ``ids[ends[i]:ends[i + 1]]``"""
    words: list[str]
    """distinct words in the order of their first appearance"""

    @property
    def lengths(self) -> np.ndarray:
        """int64 (n,) words of each text."""
        return np.diff(self.ends)

    def renumbered(self, numbers: np.ndarray) -> Tokens:
        """The same texts with word ``i`` called ``numbers[i]``."""
        return Tokens(numbers[self.ids] if len(self.words) else self.ids, self.ends, self.words)


class Remembered(Generic[T]):
    """A reader of texts that remembers the last it was given: ten models are measured against the same references, read once."""

    def __init__(self, read: Callable[[Sequence[str]], T]) -> None:
        self._read = read
        self._last: tuple[list[str], T] | None = None

    def __call__(self, texts: Sequence[str]) -> T:
        """What the reader makes of the texts."""
        last = self._last  # one read and one write of one name: threads may race, none sees half of a pair
        if last is not None and last[0] == list(texts):
            return last[1]
        kept = list(texts)
        made = self._read(kept)
        self._last = kept, made
        return made


def check_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raises ValueError unless there is one reference per hypothesis."""
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} references; they are paired in order")


def alphanumeric(texts: Sequence[str]) -> Tokens:
    """Lower-cased runs of ASCII letters and digits.

    Lower case is taken before ASCII: the Kelvin sign is a k there, as it is for rouge-score.
    """
    return tokenise(texts, lambda text: text.lower().encode("ascii", "replace"), ALPHANUMERIC)


def whitespace(texts: Sequence[str]) -> Tokens:
    """What ``str.split()`` gives."""
    return tokenise(texts, lambda text: WIDE_SPACE.sub(" ", text).encode("utf-8", "surrogatepass").replace(b"\0", _NUL), WHITESPACE)


def lower_split(texts: Sequence[str]) -> Tokens:
    """Lower case, every sign of punctuation a word of its own; read once for every distinct piece between spaces."""
    pieces = whitespace(texts)
    return respelled(pieces.ids, pieces.ends, [PUNCTUATION.sub(r" \1 ", piece.lower()).split() for piece in pieces.words])


# The references that were read last in this process, for all metrics of one tokeniser: three ROUGEs read them once.
ALPHANUMERIC_REFERENCES = Remembered(alphanumeric)
WHITESPACE_REFERENCES = Remembered(whitespace)
LOWER_SPLIT_REFERENCES = Remembered(lower_split)


def reader_of(text: TextForm, who: str) -> tuple[Callable[[Sequence[str]], Tokens], Remembered[Tokens]]:
    """How to read hypotheses and references. Raises ValueError, naming the metric ``who``."""
    if text not in ("as_is", "lower_split"):
        raise ValueError(f"{who}: text is as_is or lower_split, not {text!r}")
    return (whitespace, WHITESPACE_REFERENCES) if text == "as_is" else (lower_split, LOWER_SPLIT_REFERENCES)


def text_fields(text: TextForm) -> str:
    """What a signature says of it."""
    return "case:mixed|tok:whitespace" if text == "as_is" else "case:lower|tok:punctuation_apart"


def text_title(title: str, text: TextForm) -> str:
    """What the head of a column says of it."""
    return title if text == "as_is" else f"{title.removesuffix(')')}, cleaned)" if title.endswith(")") else f"{title} (cleaned)"


def respelled(ids: np.ndarray, ends: np.ndarray, words: Sequence[Sequence[str]]) -> Tokens:
    """Texts of pieces -> texts of words: piece ``i``, wherever it stands, becomes ``words[i]``."""
    numbers: dict[str, int] = {}
    flat = np.array([numbers.setdefault(word, len(numbers)) for piece in words for word in piece], dtype=np.int32)
    starts = np.zeros(len(words) + 1, dtype=np.int64)
    np.cumsum([len(piece) for piece in words], out=starts[1:])
    return Tokens(*_spell_out(ids, ends, flat, starts), list(numbers))


def shared_numbers(*vocabularies: Iterable[str], of: Callable[[str], str] = str) -> list[np.ndarray]:
    """int32 numbers for each vocabulary: words, of whichever, share a number exactly when ``of(word)`` is the same."""
    number: dict[str, int] = {}
    return [np.array([number.setdefault(of(word), len(number)) for word in words], dtype=np.int32) for words in vocabularies]


def tokenise(texts: Sequence[str], encode: Callable[[str], bytes], table: np.ndarray) -> Tokens:
    """Words by a table of bytes (byte -> byte of the word, 0 between words); ``encode`` makes bytes of a text that is not plain ASCII."""
    whole = "".join(texts)
    if whole.isascii() and "\0" not in whole:
        data, sizes = whole.encode("ascii"), map(len, texts)
    else:
        pieces = [encode(text) for text in texts]
        data, sizes = b"".join(pieces), map(len, pieces)
    text_ends = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(sizes, dtype=np.int64, count=len(texts)), out=text_ends[1:])
    ids, ends, starts, stops = number_words(np.frombuffer(data, dtype=np.uint8), text_ends, table)
    lowered = table.tobytes()
    spans = zip(starts.tolist(), stops.tolist(), strict=True)
    words = [data[start:stop].translate(lowered).replace(_NUL, b"\0").decode("utf-8", "surrogatepass") for start, stop in spans]
    return Tokens(ids, ends, words)


def number_words(data: np.ndarray, text_ends: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Number the words of all texts in the order of their first appearance.

    data       (bytes,)  uint8, the texts end to end
    text_ends  (n + 1,)  int64, where each text begins and ends
    table      (256,)    uint8, byte -> byte of the word, 0 between words
    returns    ids (words,), ends (n + 1,), and where each distinct word first stands: starts (v,), stops (v,)
    """
    n = len(text_ends) - 1
    ids = np.empty(len(data) // 2 + n + 1, dtype=np.int32)  # a word takes two bytes with its separator, the last of a text one
    ends = np.zeros(n + 1, dtype=np.int64)
    longest = int(np.diff(text_ends).max(initial=0)) // 2 + 1
    seen = np.empty((max(4096, 2 * longest), 4), dtype=np.uint64)
    text = words = 0
    while True:
        slots = np.full(4 * 2 ** (len(seen) - 1).bit_length(), -1, dtype=np.int32)
        text, words = _scan_words(data, text_ends, table, ids, ends, seen, slots, text, words)
        if text == n:
            return ids[: ends[n]].copy(), ends, seen[:words, 0].astype(np.int64), seen[:words, 1].astype(np.int64)
        seen = np.concatenate([seen, np.empty((len(seen) + longest, 4), dtype=np.uint64)])


@kernel
def _scan_words(
    data: np.ndarray, text_ends: np.ndarray, table: np.ndarray, ids: np.ndarray, ends: np.ndarray,
    seen: np.ndarray, slots: np.ndarray, text: int, words: int,
) -> tuple[int, int]:  # fmt: skip
    """Go on with ``text`` until all are read or ``seen`` might not take the next one; returns where that was, and the distinct words so far.

    seen   (capacity, 4)  uint64, of each distinct word: start, stop, first eight bytes, hash
    slots  (power of 2,)  int32, hash table of the words seen, -1 = free; handed in empty

    The tables do not grow in here: numba would count references to them at every word, which takes longer than all the rest.
    """
    one, eight = np.uint64(1), np.uint64(8)  # unsigned throughout: numba then leaves out its check for negative places
    mask = np.uint64(len(slots) - 1)
    for known in range(words):
        slot = seen[known, 3] & mask
        while slots[slot] >= 0:
            slot = (slot + one) & mask
        slots[slot] = known
    filled = ends[text]
    while text < len(text_ends) - 1:
        at = np.uint64(text_ends[text])
        stop = np.uint64(text_ends[text + 1])
        if words + (text_ends[text + 1] - text_ends[text]) // 2 + 1 > len(seen):
            break
        while at < stop:
            byte = table[data[at]]
            at += one
            if byte == 0:
                continue
            start = at - one
            head = np.uint64(byte)  # the first eight bytes, which are the whole of most words
            while at < stop:
                byte = table[data[at]]
                if byte == 0 or at - start == eight:
                    break
                head = (head << eight) | np.uint64(byte)
                at += one
            code = head
            if at - start == eight:
                while at < stop:
                    byte = table[data[at]]
                    if byte == 0:
                        break
                    code = (code ^ np.uint64(byte)) * np.uint64(1099511628211)  # FNV-1a's prime
                    at += one
            size = at - start
            code = (code ^ size) * np.uint64(0x9E3779B97F4A7C15)
            code ^= code >> np.uint64(32)
            slot = code & mask
            word = slots[slot]
            while word >= 0:
                if seen[word, 2] == head and seen[word, 1] - seen[word, 0] == size:
                    same = True
                    for k in range(eight, size):
                        if table[data[seen[word, 0] + k]] != table[data[start + k]]:
                            same = False
                            break
                    if same:
                        break
                slot = (slot + one) & mask
                word = slots[slot]
            if word < 0:
                word = np.int32(words)
                seen[words, 0] = start
                seen[words, 1] = at
                seen[words, 2] = head
                seen[words, 3] = code
                slots[slot] = word
                words += 1
            ids[filled] = word
            filled += 1
        text += 1
        ends[text] = filled
    return text, words


@kernel
def _spell_out(pieces: np.ndarray, ends: np.ndarray, flat: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each piece replaced by its words, ``flat[starts[piece]:starts[piece + 1]]``."""
    total = 0
    for piece in pieces:
        total += starts[piece + 1] - starts[piece]
    ids = np.empty(total, dtype=np.int32)
    word_ends = np.zeros(len(ends), dtype=np.int64)
    filled = 0
    for text in range(len(ends) - 1):
        for at in range(ends[text], ends[text + 1]):
            for k in range(starts[pieces[at]], starts[pieces[at] + 1]):
                ids[filled] = flat[k]
                filled += 1
        word_ends[text + 1] = filled
    return ids, word_ends


@kernel
def spread(key: np.uint64) -> np.uint64:
    """Mixes the bits of a key so that a few of them choose a place in a hash table (the finaliser of splitmix64)."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))
