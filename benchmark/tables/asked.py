"""What ``python -m benchmark tables`` is asked for: which tables, in which formats, and where to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.records import UserError
from benchmark.runs import writing
from benchmark.tables import ENDINGS, as_text, tables_of
from benchmark.tables.beside import beside_print
from benchmark.tables.finished import as_material, read_finished, side_by_side
from benchmark.tables.html import html_index
from benchmark.tables.printed import printed_names, printed_table, read_printed
from benchmark.tables.table import Table


def asked_tables(
    *, reported: bool = False, source: Path | None = None, runs: Sequence[Path] = (), beside: bool = False, only: Sequence[str] = ()
) -> list[Table]:
    """The tables, in the order of print. Raises ``UserError`` for what is not there or cannot stand side by side.

    reported   the paper's, or those of the folder ``source``
    runs       those of finished runs, several side by side
    beside     of runs, with the printed numbers
    only       by name; all if empty
    """
    if not (reported or source or runs or beside):
        raise UserError("tables prints those of the paper or of runs, and was asked for neither; write `tables --reported` or `tables --run FOLDER`")
    if reported and runs:
        raise UserError(f"--reported and --run {runs[0]} ask for tables of two kinds; give one, or --run {runs[0]} --beside for both in one table")
    if beside and not runs:
        raise UserError("--beside sets the tables of a run beside the printed ones, and no run is named; add --run FOLDER")
    if source and runs and not beside:
        raise UserError(f"--from {source} has printed tables, and those of a run are asked for; add --beside to see both")
    if not runs:
        return [printed_table(read_printed(name, source)) for name in _chosen(printed_names(source), only, str(source or "the paper"))]
    run = side_by_side([read_finished(folder) for folder in runs])
    if not beside:
        found = {table.name: table for table in tables_of(as_material(run))}
    else:
        tables = [read_printed(name, source) for name in printed_names(source)]
        found = {table.name.removesuffix("_beside"): table for table in beside_print(as_material(run), tables, run.registered)}
    where = " and ".join(str(folder) for folder in runs) + (" beside print" if beside else "")
    return [found[name] for name in _chosen(tuple(found), only, where)]


def checked_formats(named: Sequence[str], out: Path | None) -> tuple[str, ...]:
    """The formats to write: all if none is named and there is a folder, none for the terminal. Raises ``UserError``."""
    if unknown := [name for name in named if name not in ENDINGS]:
        raise UserError(f"--format {unknown[0]} is no format of tables; name some of {', '.join(ENDINGS)}, or none for the terminal")
    if out is None and (len(set(named)) > 1 or "html" in named):
        what = "makes pages" if "html" in named else f"names {len(set(named))} formats"
        raise UserError(f"--format {','.join(named)} {what}, and there is no folder to write to; add --out FOLDER, or name one of md, csv, tex")
    return tuple(dict.fromkeys(named)) or (ENDINGS if out else ())


def write_formats(tables: Sequence[Table], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write each table in each format, and a page that leads to the pages; the files, in the order of writing. Raises ``UserError``."""
    if (folder / "run.json").exists():
        raise UserError(f"--out {folder} is the folder of a finished run, whose files are sealed; name another")
    texts = {f"{table.name}.{ending}": as_text(table, ending) for table in tables for ending in formats}
    if "html" in formats:
        texts["index.html"] = html_index(tables, "Tables")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def _chosen(there: Sequence[str], only: Sequence[str], where: str) -> list[str]:
    """The names that are asked for, in the order of print. Raises ``UserError``."""
    if unknown := [name for name in only if name not in there]:
        raise UserError(f"no table {unknown[0]!r} of {where}; there is {', '.join(there)}")
    return [name for name in there if not only or name in only]
