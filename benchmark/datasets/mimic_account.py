"""What a copy of MIMIC-CXR-JPG consists of, and its counts beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.datasets import mimic_index as index
from benchmark.datasets.account import Account, Beside, Part
from benchmark.datasets.entries import Entry
from benchmark.datasets.imagenome_account import radiographs, reports
from benchmark.datasets.mimic_splits import NOT_KEPT
from benchmark.datasets.mimic_tree import MimicTree
from benchmark.datasets.split import SPLITS
from benchmark.records import Problem

LISTED = (368_960, 2_991, 5_159)  # rows of MIMIC-CXR-JPG 2.0.0's split.csv, all views
R2GEN_TEST = 3_858  # reports that CvT2DistilGPT2's repository has of R2Gen's test split, aehrc/cvt2distilgpt2 experiment/


def account(
    tree: MimicTree, list_file: Path, split_rule: str, entries: Mapping[str, Sequence[Entry]], problems: Mapping[str, Sequence[Problem]]
) -> Account:
    """The account of some splits by the official table or R2Gen's file: what it names, used or not."""
    is_official = split_rule == "official"
    if is_official:
        besides = [Beside("images listed", split, len(ones), LISTED[SPLITS.index(split)], "MIMIC-CXR-JPG 2.0.0") for split, ones in entries.items()]
    else:
        besides = [
            Beside("images listed", split, len(ones), R2GEN_TEST, "CvT2DistilGPT2's repository") for split, ones in entries.items() if split == "test"
        ]
    return Account(
        parts=[
            *radiographs(tree),
            *(reports(tree) or [Part("reports", None, "no context; references are R2Gen's")]),
            Part("MIMIC-CXR's own split" if is_official else "R2Gen's split", list_file),
            Part("metadata", tree.metadata, "" if tree.metadata else "no views, priors or times"),
        ],
        listed={split: len(ones) for split, ones in entries.items()},
        besides=besides,
        problems=problems,
        by_rule=index.BY_RULE | {NOT_KEPT},
    )
