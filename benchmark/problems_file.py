"""``problems.csv``: what was wrong with the files of a dataset and was stepped over, a row each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from benchmark.records import Problem
from benchmark.runs import write_atomically

COLUMNS = ("kind", "where", "what", "split")


def write_problems(folder: Path, problems: Iterable[tuple[Problem, str]]) -> Path | None:
    """The file in ``folder``, of problems with their splits (empty: of no split, or nobody knows); None if there is no problem: then no file."""
    rows = [(problem.kind, problem.where, problem.what, split) for problem, split in problems]
    file = folder / "problems.csv"
    if not rows:
        file.unlink(missing_ok=True)
        return None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    write_atomically(file, text.getvalue())
    return file
