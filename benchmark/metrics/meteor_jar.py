"""METEOR's own program, ``meteor-1.5.jar`` inside the pycocoevalcap package, asked through its ``-stdio`` door: the reference, and a back end.

It needs Java and about 2 GB of memory, starts in 5 to 15 s, and reads some 400 pairs a second.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.records import UserError

SEPARATOR = "|||"  # between the parts of what is said through the door; in a report, signs like any other


class JarMissing(UserError):
    """The jar, or Java, is not here."""


class JarFailed(UserError):
    """The jar stopped before it had answered."""


class JarScores(NamedTuple):
    """What the jar says of some pairs of texts."""

    counts: np.ndarray
    """float64 (n, 23), the order of ``meteor_alignment.COLUMNS``"""
    scores: np.ndarray
    """float64 (n,)"""
    system: float
    """from the sums over all pairs"""


def installed_jar() -> Path:
    """The jar of the installed pycocoevalcap. Raises ``JarMissing``, for Java too."""
    if shutil.which("java") is None:
        raise JarMissing("METEOR's jar was asked for (meteor.backend=jar), and there is no java on the path: install a Java runtime, 8 or later")
    spec = find_spec("pycocoevalcap")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) / "meteor" if spec is not None else None
    if folder is None or not (folder / "meteor-1.5.jar").is_file():
        raise JarMissing(
            "METEOR's jar was asked for (meteor.backend=jar), and pycocoevalcap, which brings it, is not installed: pip install pycocoevalcap"
        )
    return folder / "meteor-1.5.jar"


def jar_scores(hypotheses: Sequence[str], references: Sequence[str], *options: str) -> JarScores:
    """Counts and scores of all pairs; ``options`` are added to ``-l en -norm``. Raises ``JarMissing``, ``JarFailed``."""
    jar = installed_jar()
    command = ["java", "-Xmx2G", "-jar", jar.name, "-", "-", "-stdio", "-l", "en", "-norm", *options]
    counts = []
    with subprocess.Popen(
        command, cwd=jar.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", errors="replace"
    ) as process:
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            counts.append(_ask(process, f"SCORE {SEPARATOR} {_one_line(reference)} {SEPARATOR} {_one_line(hypothesis)}"))
        if not counts:
            return JarScores(np.empty((0, 23)), np.empty(0), np.nan)
        first = float(_ask(process, f" {SEPARATOR} ".join(["EVAL", *counts])))
        scores = [first, *(float(_answer(process)) for _ in counts[1:])]
        system = float(_answer(process))
    return JarScores(np.array([line.split() for line in counts], dtype=np.float64), np.array(scores), system)


def _one_line(text: str) -> str:
    return " ".join(text.replace(SEPARATOR, "| | |").split())


def _ask(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # what stopped it is told below
    return _answer(process)


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    if answer := process.stdout.readline().strip():
        return answer
    raise JarFailed(
        f"METEOR's jar stopped without an answer (java ended with {process.wait()}); it needs 2 GB of memory: make room, or leave "
        "meteor.backend=jar away"
    )
