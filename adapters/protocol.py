"""What a model that learnt from a dataset has seen of the others: the leaks of a ``ProtocolCard``, in one place for all guests."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
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


MIMIC = ("mimic_cxr", "chest_imagenome", "chest_imagenome_gold")
APART = (MIMIC, ("phantom",), ("iu_xray",))
"""collections that have no patient in common; of any other data, a table of one's own above all, nobody knows where its images are from"""


class Learnt(NamedTuple):
    """What weights learnt from."""

    training: str
    """for the card's ``training``; empty = not known"""
    leaks: dict[str, str | None] | None
    """for the card's ``leaks``"""


def learnt_from(dataset: str) -> Learnt:
    """What a model trained on a dataset, named as on the command line, has learnt from: the train split, and the validate split to choose by."""
    name, _, argument = dataset.partition(":")
    known = {other: "" for group in APART for other in group if any(name in one for one in APART)}
    own: dict[str, str | None] = {f"{name}/{split}": f"it was trained with the {split} split itself" for split in ("train", "validate")}
    which = f" ({argument})" if name == "phantom" and argument else ""  # elsewhere the argument is a path
    return Learnt(f"{name}{which}, train split (validate split to choose by)", {"*": None, **known, **LEAKS_OF.get(name, {}), **own})


def learnt_by_command(about: Mapping[str, Any]) -> Learnt:
    """The same of weights that were trained here: of the data that their ``about.json`` has, and of the command that it has where it has none.

    A tree of phantoms is read as Chest ImaGenome's too, and a table may hold anything: there the digest of the data alone tells.
    """
    try:
        words = shlex.split(str(about.get("command", "")))
    except ValueError:
        words = []
    data = about.get("data")
    data = data if isinstance(data, Mapping) else {}
    named, split_rule = _of_command(words) if "train" in words else ("", "")
    recorded = str(data.get("dataset", ""))
    if recorded and recorded != named.partition(":")[0]:
        named = recorded
    if not named:
        return Learnt("", None)
    training, leaks = learnt_from(named)
    assert leaks is not None
    name, _, argument = named.partition(":")
    if name == "phantom":
        # Other numbers or another seed: partly the same drawings, or none of them.
        for split in ("train", "validate"):
            if "train" in words:
                leaks[f"phantom:{argument}/{split}"] = leaks[f"phantom/{split}"]
            leaks[f"phantom/{split}"] = None
        leaks |= dict.fromkeys(MIMIC)
    elif name in MIMIC:
        leaks["phantom"] = None
    elif name not in APART[2]:
        leaks = {"*": None}
    digests = data.get("fingerprint")
    if isinstance(digests, Mapping):
        leaks |= {str(digest): f"it was trained with the {split} split itself" for split, digest in digests.items()}
    if split_rule in ("", "official"):
        return Learnt(training, leaks)
    own = f"its training split is one of our own (split_rule={split_rule}), with images of other splits unless they go by the same rule"
    return Learnt(f"{training}, split_rule={split_rule}", {**leaks, name: own})


def _of_command(words: Sequence[str]) -> tuple[str, str]:
    """The dataset of ``python -m benchmark train NAME --dataset ...``, as typed, and its split rule."""
    named, split_rule = "phantom", ""  # the default of the command
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("--dataset", "-d"):
            named = following
        elif word.startswith("--dataset="):
            named = word.partition("=")[2]
        elif word.startswith("-d") and not word.startswith("--"):
            named = word.removeprefix("-d").removeprefix("=")
        elif ".split_rule=" in word:
            split_rule = word.rpartition("=")[2]
    return named, split_rule
