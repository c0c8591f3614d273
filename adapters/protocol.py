"""What a model that learnt from a dataset has seen of the others: the leaks of a ``ProtocolCard``, in one place for all guests."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

OURS = "Apache-2.0 (code)"
"""licence of what is written here"""

# 47,393 - 8,150: MIMIC-CXR-JPG 2.0.0 has no more than 2,991 + 5,159 images outside of its training split.
IN_MIMIC_TRAIN = "at least 39,243 of Chest ImaGenome's 47,393 test images are in the training split of MIMIC-CXR, which it learnt from"

LEAKS_OF: Mapping[str, Mapping[str, str]] = {
    "mimic_cxr": {
        "chest_imagenome": IN_MIMIC_TRAIN,
        "chest_imagenome_gold": "Chest ImaGenome's gold images were not kept out of the training split of MIMIC-CXR, which it learnt from",
    },
    "chest_imagenome": {"mimic_cxr": "Chest ImaGenome shares out MIMIC-CXR's images anew, so that images of any split may be in its training split"},
}
"""dataset that was learnt from -> dataset that is measured -> what of it the model has then seen"""


class Learnt(NamedTuple):
    """What a training command says of the data."""

    training: str
    """for the card's ``training``; empty = not known"""
    leaks: dict[str, str] | None
    """for the card's ``leaks``"""


def learnt_from(dataset: str) -> Learnt:
    """What a model trained here on a dataset, named as on the command line, has learnt from: the train split, and the validate split to choose by."""
    name, _, argument = dataset.partition(":")
    own = {f"{name}/{split}": f"it was trained with the {split} split itself" for split in ("train", "validate")}
    which = f" ({argument})" if name == "phantom" and argument else ""  # elsewhere the argument is a path
    return Learnt(f"{name}{which}, train split (validate split to choose by)", {**own, **LEAKS_OF.get(name, {})})


def learnt_by_command(about: Mapping[str, Any]) -> Learnt:
    """The same of weights whose ``about.json`` has the command that made them: ``python -m benchmark train NAME --dataset ...``."""
    try:
        words = shlex.split(str(about.get("command", "")))
    except ValueError:
        words = []
    if "train" not in words:
        return Learnt("", None)
    named = "phantom"  # the default of the command
    split_rule = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("--dataset", "-d"):
            named = following
        elif word.startswith("--dataset="):
            named = word.partition("=")[2]
        elif ".split_rule=" in word:
            split_rule = word.rpartition("=")[2]
    learnt = learnt_from(named)
    if learnt.leaks is None or split_rule in ("", "official"):
        return learnt
    own = f"its training split is one of our own (split_rule={split_rule}), with images of other splits unless they go by the same rule"
    return Learnt(f"{learnt.training}, split_rule={split_rule}", {**learnt.leaks, named.partition(":")[0]: own})
