"""Where things lie: the cache, and the files that ship with the project (prompts, quoted tables)."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent


def cache_folder() -> Path:
    """Folder for what can be made again: ``$CLALA_BENCHMARK_CACHE``, else ``clala-benchmark`` in the user's cache folder. Not created here."""
    if named := os.environ.get("CLALA_BENCHMARK_CACHE"):
        return Path(named).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "clala-benchmark"


def shipped(*parts: str) -> Path:
    """A file or folder that ships with the project, e.g. ``shipped("results", "reported")``.

    In a checkout they lie beside the package; an installed wheel carries them inside it.
    """
    beside = HERE.parent.joinpath(*parts)
    return beside if beside.exists() else HERE.joinpath("_shipped", *parts)
