"""What CheXbert says of a report, and for which of the 14 lesions of the tables it stands (D14).

It knows other classes than the tables. Seven are the same. Under ``d14`` Lung Lesion stands for nodule and for mass, Pleural Other for pleural
thickening, Lung Opacity for infiltration; under ``exact7`` nothing does. Emphysema, hernia and fibrosis it has no class for.
"""

from __future__ import annotations

CLASSES: tuple[str, ...] = ("blank", "positive", "negative", "uncertain")
"""by their numbers; blank = not mentioned"""

EXACT: dict[str, str] = {
    "atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "edema": "Edema",
    "pleural effusion": "Pleural Effusion",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
}
"""lesion -> the observation of the same meaning"""
MAPPINGS: dict[str, dict[str, str]] = {
    "d14": EXACT | {"nodule": "Lung Lesion", "mass": "Lung Lesion", "pleural thickening": "Pleural Other", "infiltration": "Lung Opacity"},
    "exact7": EXACT,
}
