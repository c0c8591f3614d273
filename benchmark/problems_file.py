"""``problems.csv``: what was wrong with the files of a dataset and was stepped over, a row each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from benchmark.records import Problem
from benchmark.runs import write_atomically, writing

COLUMNS = ("kind", "where", "what", "split")


def write_problems(folder: Path, problems: Iterable[tuple[Problem, str]]) -> None:
    """The file in ``folder``, of problems with their splits (empty: of no split, or nobody knows); no file where there is no problem.

    A file that says the same already is left as it is. Raises ``CannotWrite``.
    """
    file = folder / "problems.csv"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = [(problem.kind, problem.where, problem.what, split) for problem, split in problems]
    writer.writerows(rows)
    with writing(folder):
        if not rows:
            file.unlink(missing_ok=True)
        elif not file.exists() or file.read_text(encoding="utf-8") != text.getvalue():
            write_atomically(file, text.getvalue())
