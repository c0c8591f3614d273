"""An instrument that measures chest X-ray report generators.

What a plugin needs is here: ``Case``, ``Report``, ``hookimpl``. In a notebook, ``benchmark.score(references, predictions)`` returns a DataFrame,
``benchmark.load_run(folder)`` a finished run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.hookspecs import hookimpl
from benchmark.records import Case, ImageFile, Lesion, Problem, ProtocolCard, Reference, Report, UserError

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.loaded_run import LoadedRun

__version__ = "0.1.0"
__all__ = [
    "Case",
    "ImageFile",
    "Lesion",
    "Problem",
    "ProtocolCard",
    "Reference",
    "Report",
    "UserError",
    "__version__",
    "hookimpl",
    "load_run",
    "score",
]


def score(references: Any, predictions: Any, **options: Any) -> pd.DataFrame:
    """Score reports that already exist; ``benchmark.notebook.score_frame`` says what may be given and what comes back."""
    from benchmark.notebook import score_frame

    return score_frame(references, predictions, **options)


def load_run(folder: str | Path) -> LoadedRun:
    """A finished run as DataFrames and pictures; ``benchmark.loaded_run.LoadedRun`` says which."""
    from benchmark.loaded_run import load_run

    return load_run(folder)
