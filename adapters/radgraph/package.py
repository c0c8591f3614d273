"""The package ``radgraph`` itself as an annotator: the reference, wherever it can be imported and constructed.

0.1.18 calls what transformers 5 no longer has; it wants an environment of its own with transformers 4.57. It reads one report at a time.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from adapters.running import whole_signs
from benchmark.annotating.annotations import Annotation
from benchmark.records import UserError

MODELS = ("radgraph", "radgraph-xl", "modern-radgraph-xl", "echograph")
REMEDY = (
    "make an environment with pip install radgraph==0.1.18 transformers==4.57.6, annotate there and take the file, "
    "--set radgraph.annotator=file:PATH, or take our own network, --set radgraph.annotator=radgraph-xl"
)


class CannotRun(UserError):
    """The package is not there, or does not run with what is installed beside it."""


class PackageAnnotator:
    """Annotates by the package."""

    is_kept = True
    """what it says is worth keeping on disk"""

    def __init__(self, argument: str = "radgraph-xl", *, device: str = "auto") -> None:
        """``argument`` is one of ``MODELS``; what the package has not on this machine it fetches. Raises CannotRun, UserError."""
        if argument not in MODELS:
            raise UserError(f"the package radgraph has no model {argument!r}; known: {', '.join(MODELS)}")
        self.model = argument
        if importlib.util.find_spec("radgraph") is None:
            raise CannotRun(f"the package radgraph is not installed here: {REMEDY}")
        self._versions = {name: importlib.metadata.version(name) for name in ("radgraph", "transformers")}
        if int(self._versions["transformers"].partition(".")[0]) >= 5 and self._versions["radgraph"] == "0.1.18":
            raise CannotRun(
                f"radgraph {self._versions['radgraph']} does not run with transformers {self._versions['transformers']}, it needs 4.57: {REMEDY}"
            )
        self._device = device
        self._network: Any = None

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether the package runs here, and what to do if not."""
        try:
            PackageAnnotator()
        except CannotRun as error:
            return [(False, str(error))]
        return [(True, "the package radgraph")]

    def annotate(self, reports: Sequence[str]) -> list[Annotation]:
        """One annotation for each report, in order; of one of blanks alone, at which the package stops, none is asked."""
        import torch

        if self._network is None:
            self._network = self._made()
        asked = [whole_signs(report) for report in reports if report == "" or report.strip()]
        with torch.inference_mode(), contextlib.redirect_stdout(sys.stderr):
            found = self._network(asked) if asked else {}
        answers = iter([found[str(place)] for place in range(len(asked))])
        return [next(answers) if report == "" or report.strip() else {"text": "", "entities": {}} for report in reports]

    def signature(self) -> str:
        """The package and its version, the model, and transformers."""
        return f"package|model:{self.model}|radgraph:{self._versions['radgraph']}|transformers:{self._versions['transformers']}|v1"

    def _made(self) -> Any:
        device = self._device
        cuda = None if device == "auto" else -1 if device == "cpu" else int(device.partition(":")[2] or 0)
        try:
            with contextlib.redirect_stdout(sys.stderr):  # it says which device it takes
                from radgraph import RadGraph

                return RadGraph(model_type=self.model, cuda=cuda)
        except Exception as error:  # whatever a foreign package does with versions that it does not know, or without a network
            raise CannotRun(f"the package radgraph cannot be made ready ({type(error).__name__}: {error!s:.200}): {REMEDY}") from error
