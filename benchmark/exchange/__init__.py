"""Runs to and from the files of other harnesses: RadEval, ReXrank, lm-evaluation-harness, Inspect."""

from __future__ import annotations

from benchmark.exchange.export import SHAPES, Exported, TextNotAsked, export_run
from benchmark.exchange.imported import import_file, write_reports

__all__ = ["SHAPES", "Exported", "TextNotAsked", "export_run", "import_file", "write_reports"]
