"""The names that every part agrees on: 14 lesions, 29 regions, status and side.

Lesions are the classes of NIH ChestX-ray14 in the order of the tables of CLALA-Net (Scientific Reports 16:4645, 2026).
Regions are the 29 boxed regions of Chest ImaGenome in the order of RGRG (Tanida et al., CVPR 2023).
"""

from __future__ import annotations

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

# The 11 regions of interest of the paper (Sect. 4.1), all of them verbatim Chest ImaGenome names.
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

STATUSES: tuple[str, ...] = ("positive", "negative")
SIDES: tuple[str, ...] = ("left", "right", "bilateral", "not mentioned")
CERTAINTIES: tuple[str, ...] = ("stated", "hedged", "not mentioned")
