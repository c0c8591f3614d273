"""METEOR 1.5 as radiology papers report it (``-l en -norm``, through pycocoevalcap), in Python: no Java, and no download for the default.

M. Denkowski, A. Lavie, "Meteor Universal: language specific translation evaluation for any target language", WMT 2014. Written from that paper,
from "Meteor 1.3" (WMT 2011) and from the answers of the program to made-up problems; ``meteor_text`` and ``meteor_alignment`` say what was found.

Two numbers: ``system``, from the sums over all cases, is what pycocoevalcap returns and papers print; ``mean`` is the mean over cases.
nltk's METEOR is another metric with values twice as high: ``meteor_nltk``.

``backend="jar"`` asks METEOR's own program instead, where Java and pycocoevalcap are there: the same numbers, some ten times slower.

The paraphrase stage needs the table that comes inside the pycocoevalcap package (``pip install pycocoevalcap``). Without it the stage is off, the
signature says ``paraphrase:off``, and the numbers come out a little lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.metrics.english_stemmer import english_stem
from benchmark.metrics.meteor_alignment import BEAM, JAR_COLUMNS, LONGEST, STAGES, align_all
from benchmark.metrics.meteor_jar import installed_jar, jar_scores
from benchmark.metrics.meteor_text import normalised
from benchmark.metrics.paraphrases import NO_PHRASES, Phrases, digest, installed_table, phrases_of
from benchmark.metrics.synonyms import meanings, table_digest
from benchmark.metrics.tokens import Remembered, check_pairs, shared_numbers
from benchmark.shares import SHARE

# "Meteor Universal", Table 2 (English, ranking task)
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
WEIGHTS = (1.0, 0.6, 0.8, 0.6)
"""of the stages: equal word, equal stem, shared synset, paraphrase"""

# Words that count less (1 - delta): found by asking the jar about 82,600 words and every sign of Unicode's first 12,000.
_FUNCTION_WORDS = """
    a about after all also an and are as at be been but by can could first for from had has have he her his i if in into is it its last more new no
    not of on one or other out over people s said she so some than that the their there they this time to two up was we were what when which who will
    with would year years you , . : ? " $ ' ( ) - — -- 's 't -lrb- -rrb-
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
CHUNKS, MATCHED_OURS, MATCHED_THEIRS = 20, 21, 22
"""columns of the alignment's statistics"""
SCORE, CUT_SHORT = JAR_COLUMNS, JAR_COLUMNS + 1
"""columns after those"""


class Meteor:
    """METEOR 1.5, system score and mean over cases."""

    name = "meteor"
    titles = {"system": "METEOR 1.5", "mean": "METEOR 1.5 (mean of cases)"}  # noqa: RUF012
    ranges = dict.fromkeys(titles, SHARE)
    layout = "2"

    def __init__(self, paraphrase: bool = True, table: Path | None = None, backend: Literal["native", "jar"] = "native") -> None:
        """``table`` is another paraphrase table in METEOR's format; without one, pycocoevalcap's is used where it is installed.

        Raises ``JarMissing`` where the jar is asked for and cannot be run.
        """
        if backend not in ("native", "jar"):
            raise ValueError(f"meteor: backend is native or jar, not {backend!r}")
        if backend == "jar":
            installed_jar()
        self._backend = backend
        self._table = (table or installed_table()) if paraphrase else None
        self._references = Remembered(normalised)

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 26): the 23 counts of an alignment (chunks are 0 for a perfect one), the case's own score, 1 if it was cut short, and 1.

        A reference without words is not scored (NaN): there is nothing to be right about.
        """
        check_pairs(hypotheses, references)
        counts, scores = self._ask_jar(hypotheses, references) if self._backend == "jar" else self._align(hypotheses, references)
        is_perfect = (counts[:, CHUNKS] == 1) & (counts[:, MATCHED_OURS] == counts[:, 0]) & (counts[:, MATCHED_THEIRS] == counts[:, 1])
        counts[is_perfect, CHUNKS] = 0  # METEOR forgives a perfect alignment its one chunk, in the sums too
        scores = _score(counts) if scores is None else scores
        rows = np.column_stack([counts[:, :SCORE], scores, counts[:, SCORE:], np.ones(len(counts))]).astype(np.float64)
        rows[counts[:, 1] == 0] = np.nan
        return rows

    def _align(self, hypotheses: Sequence[str], references: Sequence[str]) -> tuple[np.ndarray, None]:
        ours, theirs = normalised(hypotheses), self._references(references)
        our_numbers, their_numbers = shared_numbers(ours.words, theirs.words)
        ours, theirs = ours.renumbered(our_numbers), theirs.renumbered(their_numbers)
        words = list(dict.fromkeys((*ours.words, *theirs.words)))
        return align_all(ours.ids, ours.ends, theirs.ids, theirs.ends, *_kinship(words), *self._phrases(words), beam=BEAM), None

    def _ask_jar(self, hypotheses: Sequence[str], references: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        options = []
        if not self._table:
            options = ["-m", "exact stem synonym"]
        elif self._table != installed_table():
            options = ["-a", str(self._table.resolve())]
        found = jar_scores(hypotheses, references, *options)
        return np.column_stack([found.counts, np.zeros(len(found.counts))]), found.scores  # the jar cuts nothing short

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``system`` (what pycocoevalcap returns) and ``mean`` (over cases), shares in [0, 1]."""
        sums = np.asarray(sums, dtype=np.float64)
        cases = sums[..., -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"system": np.where(cases > 0, _score(sums), np.nan), "mean": np.where(cases > 0, sums[..., SCORE] / cases, np.nan)}

    def remarks(self, statistics: np.ndarray) -> list[str]:
        """How many reports were too long and too much alike to be aligned whole; the signature cannot know, since hardly ever one is."""
        count = int(np.nansum(statistics[:, CUT_SHORT]))
        how = f"METEOR aligned the first {LONGEST:,} words only of report and reference, since more of them are alike than it can weigh"
        return [f"{how}: in {count:,} of {len(statistics):,} cases"] if count else []

    def signature(self) -> str:
        """Which METEOR this is, with the tables it looked into."""
        paraphrase = digest(self._table) if self._table else "off"
        weights = ",".join(map(str, WEIGHTS))
        return (
            f"meteor|variant:1.5|lang:en|norm:yes|alpha:{ALPHA}|beta:{BETA}|gamma:{GAMMA}|delta:{DELTA}|weights:{weights}|beam:{BEAM}"
            f"|stem:snowball_english_2|synonyms:wordnet-3.0-{table_digest()}|paraphrase:{paraphrase}|empty_reference:unscored|backend:{self._backend}"
            "|as:meteor-1.5.jar|v1"
        )

    def _phrases(self, words: Sequence[str]) -> Phrases:
        return phrases_of(words, self._table) if self._table else NO_PHRASES


def _kinship(words: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Stems as numbers, function words, and for each word those that share a synset with it (starts, words)."""
    (stems,) = shared_numbers(words, of=english_stem)
    is_function = np.array([word in FUNCTION_WORDS for word in words], dtype=np.bool_)
    known = {place: found for place, word in enumerate(words) if (found := meanings(word))}  # of a long text few: WordNet has no names and slips
    sharing: dict[int, list[int]] = {}
    for place, found in known.items():
        for meaning in found:
            sharing.setdefault(meaning, []).append(place)
    kin = {place: sorted({other for meaning in found for other in sharing[meaning]} - {place}) for place, found in known.items()}
    starts = np.zeros(len(words) + 1, dtype=np.int64)
    np.cumsum([len(kin.get(place, ())) for place in range(len(words))], out=starts[1:])
    return stems, is_function, starts, np.array([other for others in kin.values() for other in others], dtype=np.int32)


def _score(counts: np.ndarray) -> np.ndarray:
    """METEOR of a case from its counts, or of a system from their sums: weighted F-mean less the penalty for fragmentation."""
    counts = np.asarray(counts, dtype=np.float64)
    shares = []
    for side in range(2):
        length, functions = counts[..., side], counts[..., 2 + side]
        matched = np.zeros(counts.shape[:-1])
        for stage, weight in zip(range(STAGES), WEIGHTS, strict=True):
            first = 4 + 4 * stage + side
            matched = matched + weight * (DELTA * counts[..., first] + (1 - DELTA) * counts[..., first + 2])
        shares.append(_divide(matched, DELTA * (length - functions) + (1 - DELTA) * functions))
    precision, recall = shares
    mean = _divide(precision * recall, ALPHA * precision + (1 - ALPHA) * recall)
    fragmentation = _divide(counts[..., CHUNKS], (counts[..., MATCHED_OURS] + counts[..., MATCHED_THEIRS]) / 2)
    return mean * (1 - GAMMA * fragmentation**BETA)


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Nothing of nothing is nothing."""
    result = np.zeros(np.broadcast_shapes(np.shape(part), np.shape(whole)))
    np.divide(part, whole, out=result, where=whole > 0)
    return result
