"""What may leave the folder of a reproduction: tables in four formats, figures, claims, and a page that says what they are. No text of any case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.experiments.definitions import Definitions, Experiment
from benchmark.experiments.numbers import Numbers


def write_aggregates(
    experiments: Sequence[Experiment], definitions: Definitions, numbers: Numbers, failed: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Write everything into ``folder``; experiment -> why there is no table of it, of those that no arm is there for."""
    raise NotImplementedError
