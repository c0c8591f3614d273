"""The log of a training: JSON lines, one object per event, and curves for TensorBoard if wanted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class TrainingLog:
    """Appends to one file, so that a training that was interrupted has one log; and keeps the few numbers that go with the weights."""

    def __init__(self, path: Path, curves: Path | None = None, *, is_silent: bool = False) -> None:
        """``curves`` is the folder for TensorBoard; ``is_silent`` writes nothing (every process but the first of several)."""
        self.path, self.is_silent = path, is_silent
        self.summary: dict[str, Any] = {}
        """what the weights are stored with"""
        self._curves: Any = None
        if is_silent:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if curves is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._curves = SummaryWriter(str(curves))  # type: ignore[no-untyped-call]

    def write(self, **values: Any) -> None:
        """One object, numbers to six digits; those of a step or an epoch also as a point of a curve."""
        if self.is_silent:
            return
        if self._curves is not None:
            at = values.get("step", values.get("epoch"))
            prefix = f"{values['event']}{values.get('stage', '')}"
            for name, value in values.items():
                if at is not None and isinstance(value, float):
                    self._curves.add_scalar(f"{prefix}/{name}", value, at)
            self._curves.flush()
        rounded = {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")
            if values.get("event") != "step":  # what comes once is not written again by a training that goes on from a state behind it
                file.flush()
                os.fsync(file.fileno())
