"""What patients have: which of the 14 lesions, on which side, where in the lung, how severe, and how it changes by the next visit.

Patients are drawn from a few pictures that radiologists know (heart failure, infection, chronic airways, tumour, after surgery, scarring) over a
background of chance findings, so that lesions come in company as they do in hospital populations. About three in ten are normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.datasets.phantom.anatomy import Changes
from benchmark.vocabulary import LESIONS

SEVERITIES = ("mild", "moderate", "severe")
DIFFUSE = ("cardiomegaly", "emphysema", "hernia")
"""lesions that have no side worth reporting"""


@dataclass(frozen=True)
class Site:
    """One place of a lesion."""

    side: str
    """right | left"""
    zone: str
    """apical | upper | mid | lower | base"""
    across: float
    """0 medial .. 1 lateral"""
    down: float
    """0 apex .. 1 diaphragm"""
    size_cm: float
    """radius, thickness or height, as the lesion needs"""
    seed: int
    """of the drawing"""


@dataclass(frozen=True)
class Finding:
    """One lesion of one study, as it really is."""

    name: str
    """one of ``vocabulary.LESIONS``"""
    severity: int
    """1 mild, 2 moderate, 3 severe"""
    side: str
    """left | right | bilateral | not mentioned (a lesion without a side)"""
    sites: tuple[Site, ...]
    """where it is drawn"""
    change: str = ""
    """against the previous study: "" (none to compare) | new | unchanged | increased | decreased"""


PICTURES: dict[str, tuple[float, dict[str, float]]] = {
    # share of the sick, then the probability of each lesion in that picture
    "heart failure": (0.29, {"cardiomegaly": 0.82, "edema": 0.72, "pleural effusion": 0.6, "atelectasis": 0.28, "infiltration": 0.05}),
    "infection": (0.19, {"pneumonia": 0.46, "consolidation": 0.4, "infiltration": 0.36, "pleural effusion": 0.22, "atelectasis": 0.15}),
    "airways": (0.125, {"emphysema": 0.88, "fibrosis": 0.16, "nodule": 0.14, "pneumothorax": 0.12, "pneumonia": 0.1, "infiltration": 0.1}),
    "tumour": (0.11, {"mass": 0.66, "nodule": 0.5, "pleural effusion": 0.26, "atelectasis": 0.2, "emphysema": 0.1, "pleural thickening": 0.06}),
    "after surgery": (0.17, {"atelectasis": 0.66, "pleural effusion": 0.42, "pneumothorax": 0.4, "cardiomegaly": 0.2, "edema": 0.12}),
    "scarring": (0.115, {"fibrosis": 0.56, "pleural thickening": 0.6, "emphysema": 0.1, "atelectasis": 0.12, "nodule": 0.12}),
}
BACKGROUND = {
    "cardiomegaly": 0.05,
    "pleural effusion": 0.03,
    "atelectasis": 0.06,
    "hernia": 0.042,
    "nodule": 0.025,
    "pleural thickening": 0.02,
    "infiltration": 0.02,
    "pneumothorax": 0.01,
}
NORMAL = 0.26
MOSTLY_BILATERAL = {
    "edema": 0.93,
    "fibrosis": 0.72,
    "pleural effusion": 0.4,
    "atelectasis": 0.42,
    "infiltration": 0.25,
    "pneumonia": 0.12,
    "consolidation": 0.12,
}
ZONES: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "nodule": (("upper", "mid", "lower"), (0.45, 0.3, 0.25)),
    "mass": (("upper", "mid", "lower"), (0.45, 0.3, 0.25)),
    "consolidation": (("upper", "mid", "lower"), (0.2, 0.2, 0.6)),
    "infiltration": (("upper", "mid", "lower"), (0.2, 0.3, 0.5)),
    "pneumonia": (("upper", "mid", "lower"), (0.3, 0.2, 0.5)),
    "pleural thickening": (("apical", "lower"), (0.55, 0.45)),
    "fibrosis": (("base", "upper"), (0.85, 0.15)),
}
DOWN = {"apical": (0.02, 0.12), "upper": (0.22, 0.4), "mid": (0.45, 0.6), "lower": (0.68, 0.85), "base": (0.85, 0.97)}


def sample(rng: np.random.Generator, *, previous: Sequence[Finding] = (), first: bool = True) -> list[Finding]:
    """The findings of a first study, or of the one after ``previous``; in the order of ``vocabulary.LESIONS``."""
    return _first(rng) if first else _next(rng, previous)


def changes(findings: Sequence[Finding], rng: np.random.Generator) -> Changes:
    """What these findings do to the anatomy."""
    by_name = {finding.name: finding for finding in findings}
    ratio = None
    if heart := by_name.get("cardiomegaly"):
        low = (0.0, 0.535, 0.58, 0.635)[heart.severity]
        ratio = float(low + rng.uniform(0, 0.035))
    raised: dict[str, float] = {}
    for site in by_name["atelectasis"].sites if "atelectasis" in by_name else ():
        raised[site.side] = 0.5 + 0.6 * by_name["atelectasis"].severity
    shift = 0.0
    if (free_air := by_name.get("pneumothorax")) and free_air.severity == 3:
        shift = 1.2 if free_air.side == "right" else -1.2
    emphysema, fibrosis = by_name.get("emphysema"), by_name.get("fibrosis")
    inflation = 0.0 if emphysema is None else (0.0, 0.55, 0.8, 1.0)[emphysema.severity]
    shrink = 0.0 if fibrosis is None or emphysema is not None else 0.025 * fibrosis.severity
    return Changes(ratio, inflation, raised, shift, shrink)


def _first(rng: np.random.Generator) -> list[Finding]:
    if rng.random() < NORMAL:
        return []
    names = list(PICTURES)
    shares = np.array([PICTURES[name][0] for name in names])
    chosen = PICTURES[names[int(rng.choice(len(names), p=shares / shares.sum()))]][1]
    present = [name for name in LESIONS if rng.random() < max(chosen.get(name, 0.0), BACKGROUND.get(name, 0.0))]
    return [_finding(rng, name) for name in _compatible(present)]


def _compatible(names: Sequence[str]) -> list[str]:
    """At most two kinds of air-space disease at once: three on one film could not be told apart by anyone."""
    airspace = [name for name in names if name in ("consolidation", "infiltration", "pneumonia")][:2]
    return [name for name in names if name not in ("consolidation", "infiltration", "pneumonia") or name in airspace]


def _finding(rng: np.random.Generator, name: str) -> Finding:
    severity = int(rng.choice((1, 2, 3), p=(0.4, 0.42, 0.18)))
    if name in DIFFUSE:
        return Finding(name, severity, "not mentioned", () if name == "cardiomegaly" else _sites(rng, name, severity, ("left", "right")))
    if rng.random() < MOSTLY_BILATERAL.get(name, 0.08 if name in ("nodule", "pleural thickening") else 0.0):
        sides: tuple[str, ...] = ("right", "left")
    else:
        sides = ("right",) if rng.random() < 0.53 else ("left",)
    return Finding(name, severity, "bilateral" if len(sides) == 2 else sides[0], _sites(rng, name, severity, sides))


def _sites(rng: np.random.Generator, name: str, severity: int, sides: Sequence[str]) -> tuple[Site, ...]:
    zones, shares = ZONES.get(name, (("lower",), (1.0,)))
    zone = zones[int(rng.choice(len(zones), p=shares))]  # both sides alike: bibasilar, biapical
    return tuple(_site(rng, name, severity, side, zone) for side in sides)


def _site(rng: np.random.Generator, name: str, severity: int, side: str, zone: str) -> Site:
    size = {
        "nodule": 0.45 + 0.27 * severity + rng.uniform(0, 0.18),  # radius; stays below 3 cm across
        "mass": 1.45 + 0.55 * severity + rng.uniform(0.1, 0.5),  # radius; above 3 cm across
        "pleural effusion": (0.0, 3.0, 6.5, 11.5)[severity] + rng.uniform(-0.5, 1.8),  # height at the wall
        "pneumothorax": (0.0, 1.7, 3.2, 5.4)[severity] + rng.uniform(-0.2, 0.6),  # gap at the apex
        "pleural thickening": 0.45 + 0.32 * severity + rng.uniform(0, 0.15),
        "consolidation": 2.2 + 0.7 * severity + rng.uniform(0, 0.5),
        "infiltration": 3.2 + 0.8 * severity + rng.uniform(0, 0.6),
        "hernia": 2.0 + 0.65 * severity + rng.uniform(0, 0.4),
    }.get(name, 1.0)
    low, high = DOWN[zone]
    return Site(side, zone, float(rng.uniform(0.35, 0.8)), float(rng.uniform(low, high)), float(size), int(rng.integers(2**31)))


def _next(rng: np.random.Generator, previous: Sequence[Finding]) -> list[Finding]:
    """Chronic findings stay, acute ones stay, change or go; now and then something new comes."""
    chronic = ("emphysema", "fibrosis", "hernia", "pleural thickening", "mass", "nodule", "cardiomegaly")
    kept: dict[str, Finding] = {}
    for finding in previous:
        fate = rng.random()
        if finding.name in chronic:
            kept[finding.name] = replace(finding, change="unchanged")
        elif fate < 0.3:
            continue
        elif fate < 0.55 and finding.severity > 1:
            kept[finding.name] = _resized(rng, finding, finding.severity - 1, "decreased")
        elif fate > 0.82 and finding.severity < 3:
            kept[finding.name] = _resized(rng, finding, finding.severity + 1, "increased")
        else:
            kept[finding.name] = replace(finding, change="unchanged")
    for name, chance in (
        ("pleural effusion", 0.07),
        ("atelectasis", 0.08),
        ("pneumonia", 0.05),
        ("edema", 0.05),
        ("pneumothorax", 0.03),
        ("consolidation", 0.02),
    ):
        if rng.random() < chance and name not in {finding.name for finding in previous}:
            kept[name] = replace(_finding(rng, name), change="new")
    allowed = _compatible([name for name in LESIONS if name in kept])
    return [kept[name] for name in allowed]


def _resized(rng: np.random.Generator, finding: Finding, severity: int, change: str) -> Finding:
    """The same places, drawn larger or smaller."""
    fresh = [_site(rng, finding.name, severity, site.side, site.zone) for site in finding.sites]
    sites = tuple(replace(site, size_cm=new.size_cm) for site, new in zip(finding.sites, fresh, strict=True))
    return replace(finding, severity=severity, sites=sites, change=change)
