"""Our lexical metrics beside the programs that they reproduce: how many pairs are equal, and how far apart the others.

    NLTK_DATA=... python tests/benchmarks/equality.py [--data ../shared/data] [--phantoms 1500] [--only meteor]

Pairs: all of IU X-Ray's reports against the next and against any other (where the data is), phantoms' reports, and odd ones. nltk needs its WordNet
3.0. A pair is equal within 1e-9, in every number that the program gives of it; one more row for the corpus number where there is one. Pairs whose
reference has no word for a metric are not scored by ours and are left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from machine import table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmark"))

from reference_programs import REFERENCES, Missing, Reference
from report_pairs import ODD, Pairs, phantom_pairs, real_pairs

EQUAL = 1e-9
ENDLESS = 9_000
"""letters of a text beyond which METEOR's jar runs out of its 2 GB if one word fills it"""


def main() -> None:
    """Compare, print a table, show the pairs that are not equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    parser.add_argument("--phantoms", type=int, default=1500)
    parser.add_argument("--only", default="", help="titles that contain this")
    given = parser.parse_args()
    sources: dict[str, Pairs] = {"IU X-Ray": real_pairs(given.data)} if given.data.is_dir() else {}
    sources |= {"phantoms": phantom_pairs(given.phantoms), "odd": ODD}
    rows = []
    for reference in REFERENCES:
        if given.only in reference.title:
            rows += _rows(reference, sources)
            print(rows[-1], file=sys.stderr, flush=True)
    print(table(("metric", "program", "texts", "pairs", "equal", "largest difference", "of the corpus"), rows))
    if "IU X-Ray" not in sources:
        print(f"real reports left out: {given.data} is not there")


def _rows(reference: Reference, sources: dict[str, Pairs]) -> list[tuple[str, ...]]:
    try:
        program = f"{reference.package} {reference.version()}"
        return [(reference.title, program, name, *_compared(reference, pairs)) for name, pairs in sources.items()]
    except Missing as missing:
        return [(reference.title, f"left out: {missing}", *[""] * 5)]


def _compared(reference: Reference, pairs: Pairs) -> tuple[str, str, str, str]:
    if reference.title == "meteor":
        pairs = [pair for pair in pairs if len(pair[1]) < ENDLESS]
    hypotheses, texts = (list(side) for side in zip(*pairs, strict=True))
    apart, _ = reference.compare(hypotheses, texts)
    corpus = f"{apart[-1]:.1e}" if reference.corpus else "mean"
    cases = apart[:-1] if reference.corpus else apart
    if len(cases) == len(pairs):
        for place in np.flatnonzero(cases > EQUAL)[:5]:
            print(f"{reference.title}: {cases[place]:.2e} apart: {pairs[place]!r}", file=sys.stderr)
    return f"{len(cases):,}", f"{int((cases <= EQUAL).sum()):,}", f"{cases.max():.1e}", corpus


if __name__ == "__main__":
    main()
