"""Lesions, regions, and which lesion can be in which region (D7).

The labeller of the paper says left, right, bilateral or not mentioned; a region has a side of its own. A region carries a lesion if the report
says it is there, the sides agree, and the lesion can occur in that region at all (``COMPAT``).
"""

from __future__ import annotations

from collections.abc import Mapping

# NIH ChestX-ray14 classes in the order of the paper's tables.
LESIONS: tuple[str, ...] = (
    "cardiomegaly",
    "emphysema",
    "pleural effusion",
    "hernia",
    "nodule",
    "pneumothorax",
    "atelectasis",
    "pleural thickening",
    "mass",
    "edema",
    "consolidation",
    "infiltration",
    "fibrosis",
    "pneumonia",
)

# The 29 boxed regions of Chest ImaGenome in the order of RGRG (Tanida et al., CVPR 2023).
REGIONS: tuple[str, ...] = (
    "right lung",
    "right upper lung zone",
    "right mid lung zone",
    "right lower lung zone",
    "right hilar structures",
    "right apical zone",
    "right costophrenic angle",
    "right hemidiaphragm",
    "left lung",
    "left upper lung zone",
    "left mid lung zone",
    "left lower lung zone",
    "left hilar structures",
    "left apical zone",
    "left costophrenic angle",
    "left hemidiaphragm",
    "trachea",
    "spine",
    "right clavicle",
    "left clavicle",
    "aortic arch",
    "mediastinum",
    "upper mediastinum",
    "svc",
    "cardiac silhouette",
    "cavoatrial junction",
    "right atrium",
    "carina",
    "abdomen",
)

# The paper's 11 regions of interest (Sect. 4.1).
PAPER_REGIONS: tuple[str, ...] = (
    "left lung",
    "right lung",
    "left lower lung zone",
    "right lower lung zone",
    "left hilar structures",
    "right hilar structures",
    "mediastinum",
    "upper mediastinum",
    "left costophrenic angle",
    "right costophrenic angle",
    "cardiac silhouette",
)

_LUNGS = frozenset({"lung"})
_ZONES = frozenset({"upper lung zone", "mid lung zone", "lower lung zone", "apical zone"})
_HILA = frozenset({"hilar structures"})
_ANGLES = frozenset({"costophrenic angle"})
_DIAPHRAGM = frozenset({"hemidiaphragm"})
_CENTRE = frozenset({"mediastinum", "upper mediastinum"})

# Region names without their side. On the paper's 11 regions this is the table of D7; the further 18 of Table 5 follow their neighbours.
COMPAT: Mapping[str, frozenset[str]] = {
    "cardiomegaly": frozenset({"cardiac silhouette"}),
    "hernia": frozenset({"mediastinum", "cardiac silhouette", "abdomen"}),
    "emphysema": _LUNGS | _ZONES,
    "pleural effusion": _LUNGS | frozenset({"lower lung zone"}) | _ANGLES | _DIAPHRAGM,
    "pneumothorax": _LUNGS | _ANGLES | frozenset({"apical zone", "upper lung zone"}),
    "pleural thickening": _LUNGS | _ANGLES | frozenset({"apical zone"}),
    "atelectasis": _LUNGS | _ZONES - {"apical zone"},
    "consolidation": _LUNGS | _ZONES - {"apical zone"},
    "infiltration": _LUNGS | _ZONES - {"apical zone"},
    "pneumonia": _LUNGS | _ZONES - {"apical zone"},
    "fibrosis": _LUNGS | _ZONES,
    "edema": _LUNGS | _ZONES | _HILA,
    "nodule": _LUNGS | _ZONES | _HILA,
    "mass": _LUNGS | _ZONES | _HILA | _CENTRE,
}

# Lesions of the midline: a side in the report does not keep them from a region without one.
MIDLINE_LESIONS = frozenset({"cardiomegaly", "hernia", "mass"})


def regions_of(roi_set: str) -> tuple[str, ...]:
    """The regions that are encoded and written about: ``paper`` (11) or ``all`` (29)."""
    return PAPER_REGIONS if roi_set == "paper" else REGIONS


def side_of(region: str) -> str:
    """left | right | mid."""
    side = region.split(" ", 1)[0]
    return side if side in ("left", "right") else "mid"


def kind_of(region: str) -> str:
    """The region's name without its side."""
    return region if side_of(region) == "mid" else region.split(" ", 1)[1]


def sides_agree(region: str, lesion: str, lesion_side: str) -> bool:
    """Whether a lesion reported on that side may be in the region as far as the side goes."""
    side = side_of(region)
    if lesion_side == "not mentioned":
        return True
    if side == "mid":
        return lesion in MIDLINE_LESIONS
    return lesion_side in (side, "bilateral")


def roi_lesions(region: str, positives: Mapping[str, str], compat: str = "table") -> tuple[str, ...]:
    """Lesions that the region carries, in the order of ``LESIONS``.

    ``positives`` maps each lesion that the report states to its side (left, right, bilateral, not mentioned).
    ``compat="side_only"`` leaves the table out, which is nearest to the letter of the paper.
    """
    return tuple(
        lesion
        for lesion in LESIONS
        if lesion in positives and sides_agree(region, lesion, positives[lesion]) and (compat == "side_only" or kind_of(region) in COMPAT[lesion])
    )
