"""Sentences of regions -> one report, each thing said once.

As the authors' program does it (generate_reports_for_images.py at 9520b6d): the sentences are joined in the order of the regions and cut into single
ones, equal ones are left out, and of two that BERTScore finds alike the shorter goes. Two things differ. Their sentences are cut by spaCy's
``en_core_web_trf``, ours by rules (``benchmark.datasets.region_sentences``). And where there is no BERT to ask, only equal ones can be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmark.datasets.region_sentences import split_sentences

ALIKE = 0.9
"""BERTScore F1 above which two sentences say the same"""

Likeness = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""Pairs of sentences -> F1 of each pair"""


def assemble(sentences: Sequence[str], likeness: Likeness | None, *, drops_equal: bool = True) -> str:
    """The report of one image. ``likeness`` None = only equal sentences are alike; ``drops_equal`` off = everything stays."""
    singles = split_sentences(" ".join(sentences))
    if drops_equal:
        singles = list(dict.fromkeys(singles))
    return " ".join(singles if likeness is None else without_alike(singles, likeness))


def without_alike(sentences: Sequence[str], likeness: Likeness) -> list[str]:
    """Those that stay: of two alike the longer one, of equally long ones the later; what has gone is not asked about again."""
    pairs = [(first, second) for first in range(len(sentences)) for second in range(first + 1, len(sentences))]
    scores = dict(zip(pairs, likeness([sentences[a] for a, _ in pairs], [sentences[b] for _, b in pairs]), strict=True)) if pairs else {}
    gone: set[str] = set()
    for first, second in pairs:
        ours, theirs = sentences[first], sentences[second]
        if ours in gone or theirs in gone:
            continue
        if scores[first, second] > ALIKE:
            gone.add(theirs if len(ours) > len(theirs) else ours)
    return [sentence for sentence in sentences if sentence not in gone]
