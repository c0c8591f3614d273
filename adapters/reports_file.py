"""Reports that already exist, as a model: ``reports_file:predictions.csv``.

The file is read as ``benchmark.report_files`` says and matched by id: to the case's id or, where not one case's id is in the file and every case's
study is, to the study (two images of one study then get the same report). A case without a report in the file is a failed case, not an empty report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.records import Case, ProtocolCard, Report, UserError
from benchmark.report_files import MismatchedIds, read_reports


class ReportsFile:
    """Answers each case with the report that a file has for it."""

    def __init__(self, argument: str, *, id_column: str | None = None, text_column: str | None = None) -> None:
        """``argument`` is the file's path. Raises ``UnreadableReports``."""
        if not argument.strip():
            raise UserError("reports_file: no file named; write reports_file:predictions.csv")
        self.path = Path(argument).expanduser()
        self.read = read_reports(self.path, id_column=id_column, text_column=text_column)

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order; a failure where the file has none. Raises ``MismatchedIds`` if the file is about other cases."""
        names = self._names(cases)
        for case, name in zip(cases, names, strict=True):
            if name in self.read.texts:
                yield Report(case.id, self.read.texts[name])
            else:
                yield Report(case.id, failure=self.read.failures.get(name) or f"no report in {self.path.name}")

    def provenance(self) -> dict[str, Any]:
        """Which file it was, and how it was read."""
        return {
            "file": self.path.name,
            "sha256": self.read.source_sha256,
            "reports": len(self.read.texts),
            "empty": len(self.read.empty),
            "failures": len(self.read.failures),
            "warnings": list(self.read.warnings),
        }

    def card(self) -> ProtocolCard:
        """Nothing is known of who wrote the file; what was run here beside it was not."""
        return ProtocolCard(remarks=("The reports were read from a file; what wrote them, and what it saw of the cases, nobody said.",))

    def _names(self, cases: Sequence[Case]) -> list[str]:
        """What each case is called in the file: by its id, or all of them by their study."""
        known = self.read.texts.keys() | self.read.failures.keys()
        if not cases or any(case.id in known for case in cases):
            return [case.id for case in cases]
        if all(case.study in known for case in cases):
            return [case.study for case in cases]
        in_file = [*self.read.texts, *self.read.failures]
        raise MismatchedIds(
            f"{self.path}: no report is about any of the {len(cases)} cases asked for; cases are {_first([case.id for case in cases])}, "
            f"the file has {_first(in_file)}; name the column that holds the case's id with --set reports_file.id_column=NAME"
        )


def _first(ids: Sequence[str], count: int = 3) -> str:
    return ", ".join(map(repr, ids[:count])) + (", ..." if len(ids) > count else "")
