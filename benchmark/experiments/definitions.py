"""An experiment as data: which arms it sets side by side, how each is trained and told, which printed table it stands beside.

Read from ``clala_net.toml`` beside this file (Tables 1 to 5, Figure 3, S1 to S4 of Noh, Pi, Lee 2026), or from a file of one's own of that shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Layout = Literal["lesions", "quality", "factors", "curve", "axes"]


@dataclass(frozen=True)
class Arm:
    """One way of writing reports."""

    name: str
    """as files and numbers name it: ``llcl_only``"""
    title: str
    """as tables print it: ``LLCL only``"""
    model: str = ""
    """a registered model, ``name`` or ``name:argument``; empty = CLALA-Net, trained here"""
    network: Mapping[str, str] = field(default_factory=dict)
    """settings of the training in which this arm differs, of both stages: ``{"lca": "no"}``"""
    stage2: Mapping[str, str] = field(default_factory=dict)
    """settings of stage 2 alone; stage 1 is shared with the arms that differ in nothing else"""
    classifier: Mapping[str, str] = field(default_factory=dict)
    """settings in which its lesion classifier differs"""
    told: Mapping[str, str] = field(default_factory=dict)
    """settings of the model when it writes: ``{"lesions": "truth", "label_f1": "0.70"}``"""
    dataset: Mapping[str, str] = field(default_factory=dict)
    """settings of the dataset when it writes: ``{"boxes": "truth"}``"""
    grant: tuple[str, ...] = ()
    """what the run grants: ``("lesions",)``"""


@dataclass(frozen=True)
class Line:
    """One line (or column) of a table: an arm, and what the printed table calls it."""

    arm: str
    """name of the arm"""
    printed: Mapping[str, str] = field(default_factory=dict)
    """columns of the printed CSV that pick its rows: ``{"config": "llcl_only"}``; empty = nothing is printed of it"""


@dataclass(frozen=True)
class Experiment:
    """One table or figure."""

    name: str
    """``table2b``, ``figure3``, ``s1``: of its files"""
    number: str
    """``Table 2b``"""
    title: str
    """in words"""
    layout: Layout
    """lesions = P, R, F1 by lesion; quality = Table 2a's columns; factors = Table 5; curve = Figure 3; axes = the judge's four axes"""
    lines: tuple[Line, ...]
    """in the order of print"""
    pairs: tuple[tuple[str, str], ...] = ()
    """arms whose difference the table is about, first minus second"""
    reported: str = ""
    """the file of printed numbers, ``table2b``; empty = none was printed"""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """of a table by factors: title of the factor -> its arms"""
