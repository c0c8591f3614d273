"""Metrics beside radiologists: one block for each question that these were asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmark.records import Row
from benchmark.tables.table import UNDEFINED, Block, Cell, Column, Line, Note, Number, Table

LENGTH, HUMAN = "length", "radiologists"
"""metric of the control's rows, and of those of one rater against the others"""
ONE_RATER = "one rater"
"""the mean over raters"""


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

    rows      model is the question, metric and value name ``<number>.tau_b``, ``.spearman``, ``.pearson``, ``.pairwise``
    tested    the metrics' lines; the control and the raters come after them
    raters    question -> raters that can be held against others; none where there is but one
    pairs     question, metric, number -> pairs of the accuracy
    """
    by_key = {(row.model, row.metric, row.value_name): row for row in rows}
    control = Tested(LENGTH, "difference", "Control: minus the difference in length")
    blocks = []
    for question in raters:
        lines = [_line(by_key, pairs, question, one) for one in tested]
        lines.append(_line(by_key, pairs, question, control))
        if raters[question]:
            lines.append(_line(by_key, pairs, question, Tested(HUMAN, ONE_RATER, "One radiologist against the others: mean"), is_summary=True))
            lines += [_line(by_key, pairs, question, Tested(HUMAN, rater, f"  {rater} against the others")) for rater in raters[question]]
        columns = (
            Column(f"Against: {question}", is_words=True),
            *(Column(title) for title in ("Kendall's tau-b", "Spearman", "Pairwise accuracy", "Pairs", "Equal", "Scored")),
        )
        blocks.append(
            Block(columns, tuple(lines), f"Against {'the mean' if len(raters[question]) > 1 else 'the consensus'} of the radiologists: {question}")
        )
    said = _notes(rows, tested, pairs, source, counts, notes, level, draws)
    signed = tuple(Note(f"{name}:", signature=signature) for name, signature in signatures.items())
    return Table("meta_eval", f"Agreement of metrics with radiologists: {source}", "", tuple(blocks), (*map(Note, said), *signed), tuple(rows))


def _line(
    by_key: Mapping[tuple[str, str, str], Row], pairs: Mapping[tuple[str, str, str], Pairs], question: str, one: Tested, *, is_summary: bool = False
) -> Line:
    tau, rho, accuracy = (by_key[question, one.metric, f"{one.number}.{name}"] for name in ("tau_b", "spearman", "pairwise"))
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
        "One radiologist against the others: how far one rater agrees with the mean of the rest. What is above that cannot be told from noise.",
        "Scores are of single reports: a number of the whole corpus (BLEU, micro F1) is what it would be if the one report were all of it.",
        *notes,
    ]
    found += [f"{one.title}: {one.note}." for one in tested if one.note]
    unscored = {(row.metric, row.value_name.rpartition(".")[0]): row.unscored for row in rows if row.unscored and row.metric not in (HUMAN, LENGTH)}
    if unscored:
        listed = "; ".join(f"{metric} {number} {count:,}" for (metric, number), count in unscored.items())
        found.append(f"Candidates left out, since the metric has no value for them: {listed}.")
    if any(math.isnan(row.value) for row in rows):
        found.append(f"{UNDEFINED}: nothing to compare, or one side says the same of all.")
    return found
