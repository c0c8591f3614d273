"""What radiologists said of candidate reports, whatever file it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

CONSENSUS = "consensus"
"""in place of a rater's name: what several agreed on"""


class Judged(NamedTuple):
    """One candidate that was judged."""

    study: str
    """candidates of one study are compared with each other"""
    patient: str
    """drawn together in the bootstrap, the same for all candidates of a study; the study itself where the file does not name the patient"""
    candidate: str
    """which of the study's candidates"""
    reference: str
    """the report that it was judged against"""
    report: str
    """the candidate itself"""


@dataclass(frozen=True)
class Judgements:
    """Every candidate with what each rater said of it."""

    source: str
    """which layout the file has: RadPref, ReXVal, RadEvalX, or a long table"""
    judged: list[Judged]
    said: Mapping[str, Mapping[str, np.ndarray]]
    """what was asked (``rating``, ``errors``, ...) -> rater -> (n,) answers, turned so that higher is better; NaN where there is none"""
    names_patients: bool = False
    """the file says whose studies these are"""
    notes: tuple[str, ...] = ()
    """what was taken for granted in reading it"""
    files: Mapping[str, Any] = field(default_factory=dict)
    """what was read, with checksums"""

    @property
    def counts(self) -> dict[str, int]:
        """How much there is."""
        counts = {"candidates": len(self.judged), "studies": len({one.study for one in self.judged})}
        patients = {"patients": len({one.patient for one in self.judged})} if self.names_patients else {}
        return {**counts, **patients, "raters": max(len(raters) for raters in self.said.values())}
