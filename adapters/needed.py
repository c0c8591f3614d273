"""Lines for ``doctor`` that more than one guest has: packages, and demo weights."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path


def missing_packages(packages: Sequence[str]) -> list[str]:
    """Those that are not installed."""
    return [name for name in packages if importlib.util.find_spec(name) is None]


def packages_line(packages: Sequence[str]) -> tuple[bool, str]:
    """Whether they are all here, and how to get those that are not."""
    lacking = missing_packages(packages)
    return not lacking, "packages" if not lacking else f"{', '.join(lacking)} not installed: pip install 'clala-benchmark[models]'"


def demo_line(name: str, folder: Path) -> tuple[bool, str]:
    """Whether a baseline's demo weights are here, and how they are made."""
    is_here = (folder / "weights.safetensors").is_file()
    make = f"python -m benchmark train {name} --preset demo --dataset phantom --out adapters/{name}/weights/demo"
    return is_here, f"demo weights, trained on phantoms alone{'' if is_here else f' (not here; make them: {make})'}"
