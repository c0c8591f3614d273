"""Every check on some printed tables: read, asked one question after the other, set down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.consistency import arithmetic, form
from benchmark.consistency.claims import Claims, read_claims
from benchmark.consistency.findings import CHECKS, Checked, CheckName, Finding
from benchmark.consistency.printed import PrintedTable, read_table
from benchmark.consistency.sources import known_keys
from benchmark.consistency.told import Told, check_claims, check_definitions, check_same, hold_against
from benchmark.records import UserError

CLAIMS_FILE = "claims.toml"
ENDINGS = (".csv", ".tsv")


@dataclass(frozen=True)
class TableCheck:
    """All that was looked at and found."""

    tables: tuple[PrintedTable, ...]
    """in the order of their names"""
    claims: Claims
    """what was said of them"""
    told: tuple[Told, ...]
    """every claim with what the tables say to it"""
    findings: tuple[Finding, ...]
    """in the order of ``CHECKS``"""
    counts: Mapping[CheckName, int]
    """check -> so many numbers, lines or comparisons were looked at"""

    @property
    def faults(self) -> list[Finding]:
        """Findings that contradict something; the others are notes."""
        return [finding for finding in self.findings if not finding.is_note]


def check_files(paths: Sequence[Path], claims: Path | None = None, keys: Sequence[str] = ()) -> TableCheck:
    """The tables in files and folders, with the claims that lie beside the first of them unless a file is named.

    ``keys`` names the columns that say what a line is about, where a ``sources.json`` beside the file does not and they look like numbers.
    Raises ``UnreadableTable`` and ``UnreadableClaims``.
    """
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise UserError(f"{', '.join(str(path) for path in paths)}: no table in it; name CSV files or a folder of them")
    if twice := sorted({file.stem for file in files if [other.stem for other in files].count(file.stem) > 1}):
        raise UserError(f"two files are called {twice[0]}, and claims go by that name; check them one after the other")
    tables = [read_table(file, keys or known_keys(file)) for file in files]
    beside = files[0].parent / CLAIMS_FILE
    said = read_claims(claims) if claims else read_claims(beside) if beside.is_file() else Claims()
    return check_tables(tables, said)


def check_tables(tables: Sequence[PrintedTable], claims: Claims | None = None) -> TableCheck:
    """All checks on tables that were read already. Raises ``UnreadableClaims`` where a claim speaks of what they do not have."""
    said = claims or Claims()
    told = hold_against(said, tables)
    checked: dict[CheckName, Checked] = {
        "f1": arithmetic.check_f1(tables),
        "averages": arithmetic.check_averages(tables),
        "kind_of_average": arithmetic.check_kind_of_average(tables),
        "totals": arithmetic.check_totals(tables),
        "sides_of_totals": arithmetic.check_sides_of_totals(tables),
        "definitions": check_definitions(said, tables),
        "same": check_same(said, tables),
        "claims": check_claims(told),
        "bold": form.check_bold(tables, said.bold, said.lower_is_better),
        "range": form.check_range(tables),
        "decimals": form.check_decimals(tables),
        "missing": form.check_missing(tables),
        "duplicates": form.check_duplicates(tables),
    }
    findings = tuple(finding for name in CHECKS for finding in checked[name].findings)
    return TableCheck(tuple(tables), said, tuple(told), findings, {name: checked[name].looked_at for name in CHECKS})


def as_json(check: TableCheck) -> dict[str, Any]:
    """All of it, for programs: ``findings``, ``claims`` with every comparison, and what was ``checked`` with which tolerance."""
    return {
        "tables": [table.name for table in check.tables],
        "claims_file": check.claims.path.name if check.claims.path else None,
        "faults": len(check.faults),
        "findings": [asdict(finding) for finding in check.findings],
        "claims": [_claim_as_json(told) for told in check.told],
        "checked": {name: {"title": CHECKS[name].title, "count": count, "tolerance": CHECKS[name].tolerance} for name, count in check.counts.items()},
    }


def _claim_as_json(told: Told) -> dict[str, Any]:
    return {
        "id": told.claim.id,
        "where": told.claim.where,
        "says": told.claim.says,
        "verdict": told.verdict,
        "comparisons": [
            {
                "row": one.row,
                "number": one.number,
                "first": one.first.text,
                "others": {name: cell.text for name, cell in one.others},
                "outcome": one.outcome,
            }
            for one in told.comparisons
        ],
        "missing": list(told.missing),
    }


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS)
    return [path]
