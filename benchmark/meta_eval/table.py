"""Metrics beside radiologists: one block for each question that these were asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmark.meta_eval.judgements import CONSENSUS
from benchmark.records import Row
from benchmark.tables.table import UNDEFINED, Block, Cell, Column, Line, Note, Number, Table

LENGTH, HUMAN = "length", "radiologists"
"""metric of the control's rows, and of those of one rater against the others"""
ONE_RATER = "one rater"
"""the mean over raters"""
AS_A_RATER = "as_a_rater"
"""end of the names of a number that is held against the mean of all raters but one, each left out in turn, as a rater is"""
COEFFICIENTS = {"tau_b": "Kendall's tau-b", "spearman": "Spearman", "pairwise": "Pairwise accuracy"}
"""those that are printed"""

_NOTES_OF_RATERS = (
    "Beside one radiologist: everything there is held against the mean of all radiologists but one, each left out in turn, on the candidates that "
    "this one judged; averaged. That mean is noisier than the mean of all: only these lines compare with one radiologist, those above do not.",
    "One radiologist is no upper bound: a metric that agrees with the others as well as one of them does orders these candidates as well as one more "
    "radiologist; one that agrees better is nearer to what they have in common. Neither shows that it reads as they do.",
)


class Tested(NamedTuple):
    """A line of the table: what is held against the judgements."""

    metric: str
    """of its rows"""
    number: str
    """beginning of their value names"""
    title: str
    note: str = ""
    """what a reader of the line must know: that it was turned round"""


class Pairs(NamedTuple):
    """Beside an accuracy: of how many pairs it is."""

    pairs: int
    ties: int
    undecided: int


def meta_table(
    rows: Sequence[Row],
    tested: Sequence[Tested],
    raters: Mapping[str, Sequence[str]],
    pairs: Mapping[tuple[str, str, str], Pairs],
    *,
    source: str,
    counts: Mapping[str, int],
    notes: Sequence[str],
    signatures: Mapping[str, str],
    level: float,
    draws: int,
) -> Table:
    """Everything on one page.

    rows      model is the question, metric and value name ``<number>.tau_b``, ``.spearman``, ``.pearson``, ``.pairwise``; of several raters also
              ``<number>.as_a_rater.*``
    tested    the metrics' lines; the control and the raters come after them
    raters    question -> raters who answered it
    pairs     question, metric, number -> pairs of the accuracy
    """
    by_key = {(row.model, row.metric, row.value_name): row for row in rows}
    measured = [*tested, Tested(LENGTH, "difference", "Control: minus the difference in length")]
    blocks = []
    for question, names in raters.items():
        columns = (Column(f"Against: {question}", is_words=True), *map(Column, (*COEFFICIENTS.values(), "Pairs", "Equal", "Scored")))
        lines = [_line(by_key, pairs, question, one) for one in measured]
        blocks.append(Block(columns, tuple(lines), f"Against {_whom(names)}: {question}"))
        if len(names) > 1:
            beside = [_line(by_key, pairs, question, one._replace(number=f"{one.number}.{AS_A_RATER}")) for one in measured]
            beside.append(_line(by_key, pairs, question, Tested(HUMAN, ONE_RATER, "One radiologist against the others: mean"), is_summary=True))
            beside += [_line(by_key, pairs, question, Tested(HUMAN, rater, f"  {rater} against the others")) for rater in names]
            blocks.append(Block(columns, tuple(beside), f"Beside one radiologist, against the mean of the others: {question}"))
    said = _notes(rows, tested, pairs, raters, source, counts, notes, level, draws)
    signed = tuple(Note(f"{name}:", signature=signature) for name, signature in signatures.items())
    return Table("meta_eval", f"Agreement of metrics with radiologists: {source}", "", tuple(blocks), (*map(Note, said), *signed), tuple(rows))


def _whom(raters: Sequence[str]) -> str:
    """Whose judgement it is."""
    if len(raters) > 1:
        return "the mean of the radiologists"
    return "the consensus of the radiologists" if list(raters) == [CONSENSUS] else f"the one radiologist, {', '.join(raters) or 'who says nothing'}"


def _line(
    by_key: Mapping[tuple[str, str, str], Row], pairs: Mapping[tuple[str, str, str], Pairs], question: str, one: Tested, *, is_summary: bool = False
) -> Line:
    tau, rho, accuracy = (by_key[question, one.metric, f"{one.number}.{name}"] for name in COEFFICIENTS)
    counted = pairs[question, one.metric, one.number]
    cells: tuple[Cell, ...] = (
        *(Number(row.value, row.low, row.high, 3) for row in (tau, rho, accuracy)),
        f"{counted.pairs:,}",
        f"{counted.ties:,}",
        f"{tau.scored:,}",
    )
    return Line(one.title, cells, is_summary=is_summary)


def _notes(
    rows: Sequence[Row],
    tested: Sequence[Tested],
    pairs: Mapping[tuple[str, str, str], Pairs],
    raters: Mapping[str, Sequence[str]],
    source: str,
    counts: Mapping[str, int],
    notes: Sequence[str],
    level: float,
    draws: int,
) -> list[str]:
    counted = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    drawn = "patients" if "patients" in counts else "studies, with all of their candidates"
    undecided = max((one.undecided for one in pairs.values()), default=0)
    found = [
        f"{source}: {counted}. In brackets: {level * 100:g} % intervals from {draws:,} bootstrap draws of {drawn}.",
        "Positive is agreement: ratings count as they are, numbers of errors with a minus sign; of several raters their mean. Tau-b and Spearman "
        "compare candidates of unlike studies too, the pairwise accuracy only candidates of one study.",
        f"Pairwise accuracy: of the pairs of one study that the radiologists tell apart (up to {undecided:,} they do not), the share in which the "
        "metric prefers the same candidate; pairs to which it gives equal scores count half, and are counted under Equal.",
        "Control: how unlike the two reports are in number of words, and nothing else. A metric that is not above it has not shown that it reads.",
        *(_NOTES_OF_RATERS if any(len(names) > 1 for names in raters.values()) else ()),
        "Scores are of single reports: a number of the whole corpus (BLEU, micro F1) is what it would be if the one report were all of it.",
        *notes,
    ]
    found += _left_out(rows)
    found += [f"{one.title}: {one.note}." for one in tested if one.note]
    unscored = {
        (row.metric, number): row.unscored
        for row in rows
        if row.unscored and row.metric not in (HUMAN, LENGTH) and not (number := row.value_name.rpartition(".")[0]).endswith(f".{AS_A_RATER}")
    }
    if unscored:
        listed = "; ".join(f"{metric} {number} {count:,}" for (metric, number), count in unscored.items())
        found.append(f"Candidates left out, since the metric has no value for them: {listed}.")
    if any(math.isnan(row.value) for row in rows):
        found.append(f"{UNDEFINED}: nothing to compare, or one side says the same of all.")
    return found


def _left_out(rows: Sequence[Row]) -> list[str]:
    """Who is not in the mean over raters, and in which coefficients."""
    left_out: dict[str, list[str]] = {}
    for row in rows:
        rater, _, name = row.value_name.rpartition(".")
        if row.metric == HUMAN and rater != ONE_RATER and name in COEFFICIENTS and math.isnan(row.value):
            left_out.setdefault(f"{row.model}, {rater}", []).append(COEFFICIENTS[name])
    if not left_out:
        return []
    listed = "; ".join(f"{who} ({', '.join(names)})" for who, names in left_out.items())
    return [f"Not in the mean over radiologists, since there is no value (nothing to compare, or the same said of all): {listed}."]
