"""A file or folder of weights: its tensors by their names, and how messages name it and what went wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PROJECT = Path(__file__).resolve().parents[1]
MANY_GPUS = "module."
"""what torch's DataParallel puts before every name; whether a file was written on one GPU or several says nothing of the network"""


class NoTensors(ValueError):
    """What was read is nothing that weights are kept in; the message says what it is, and what was expected."""


def tensors_in(found: Any, key: str) -> dict[str, Tensor]:
    """The tensors under ``key``, or of a bare dictionary of them, by name; ``module.`` is left away where all have it. Raises NoTensors."""
    from torch import Tensor

    state = found.get(key, found) if isinstance(found, Mapping) else found
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        what = f"{', '.join(map(str, list(state)[:3])) or 'nothing'}" if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise NoTensors(f"holds {what}, expected are tensors by name, or a dictionary with them as {key}")
    named = {str(name): value for name, value in state.items()}
    is_of_many = all(name.startswith(MANY_GPUS) for name in named)
    return {name.removeprefix(MANY_GPUS): value for name, value in named.items()} if is_of_many else named


def shown(path: Path) -> str:
    """What messages call it: what lies in the project from there on, for tables quote them and travel; anything else as the user named it."""
    return path.relative_to(PROJECT).as_posix() if path.is_relative_to(PROJECT) else str(path)


def first_line(error: Exception) -> str:
    """An error's kind and its first sentence: torch's go on for a page."""
    return ": ".join((type(error).__name__, *(line.partition(". ")[0] for line in str(error).splitlines()[:1])))
