"""Classifier and detector learn on one core while stage 1 learns on the others: none of them waits for another, and two cores are used as two.

Small networks gain nothing from a second thread, so on a CPU this takes a quarter off the whole. On a GPU, with several processes, or where the
parts are given, they are trained in turn, in the process itself.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clala.parent import end_with

if TYPE_CHECKING:
    from clala.parts import Progress

WORK_FROM = 10_000
"""classifier images x epochs from which a second process (4 s to start) pays"""


class PartsFailed(RuntimeError):
    """The process that trains classifier and detector came to no good end; what it said stands in a file beside its states."""


class Beside:
    """A process that runs ``function(argument)``; it ends when this one does, however that ends."""

    def __init__(self, function: Callable[[Any], None], argument: Any, folder: Path) -> None:
        """``folder`` is for what it is told and what it says. Raises PicklingError or AttributeError for an argument that cannot be handed over."""
        folder.mkdir(parents=True, exist_ok=True)
        told, self.said = folder / "told.pickle", folder / "said.txt"
        handed = pickle.dumps((function, argument))
        if b"__main__" in handed:  # another process has another one
            raise pickle.PicklingError("something of the program itself, which another process cannot import")
        told.write_bytes(handed)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        code = "import sys; from clala.beside import main; main(sys.argv[1], int(sys.argv[2]))"
        with self.said.open("wb") as said:
            command = [sys.executable, "-c", code, str(told), str(os.getpid())]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment)

    def wait(self) -> None:
        """Until it is done. Raises PartsFailed."""
        self.process.wait()
        self.check()

    def check(self) -> None:
        """Raise PartsFailed if it came to a bad end; costs next to nothing."""
        if (status := self.process.poll()) in (None, 0):
            return
        lines = self.said.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
        raise PartsFailed(f"training classifier and detector failed with exit status {status}: {lines[-1]} (all of it in {self.said})")

    def watched(self, progress: Progress) -> Progress:
        """The same bars, whose every step looks whether it is still well: its failure must not cost a stage first."""

        @contextmanager
        def bars(label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
            with progress(label, total, unit) as advance:

                def step(count: int) -> None:
                    self.check()
                    advance(count)

                yield step

        return bars

    def stop(self) -> None:
        """End it, if it still runs; what it saved stays."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def main(told: str, parent: int) -> None:
    """The other process: do what it is told, and end with its parent."""
    end_with(parent)
    function, argument = pickle.loads(Path(told).read_bytes())  # written a moment ago by ourselves
    function(argument)
