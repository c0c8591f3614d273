"""Looks a dataset over before anybody trusts a number that is made of it: what is there, what is missing, what was left out and why."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark import registry
from benchmark.datasets.account import Account
from benchmark.datasets.split import SPLITS
from benchmark.hookspecs import Dataset
from benchmark.inputs import open_dataset
from benchmark.problems_file import write_problems
from benchmark.records import Case, Problem, Reference, UserError
from benchmark.runs import write_json, writing
from benchmark.vocabulary import PAPER_REGIONS, REGIONS

LATERAL = ("LATERAL", "LL")


@dataclass(frozen=True)
class SplitCounts:
    """What the cases of one split have."""

    cases: int
    patients: int
    studies: int
    with_report: int
    words: float
    """of a reference report, the median; NaN if there is none"""
    with_indication: int
    with_lateral: int
    """a lateral view among the study's images"""
    with_prior: int
    """an earlier report or image of the patient"""
    with_lesions: int
    """labels that come with the dataset"""
    boxes: float
    """regions with a box, the mean of all cases; NaN without cases"""
    paper_boxes: float
    """the same of the paper's 11 regions"""
    with_sentence: Mapping[str, int]
    """region -> cases in which the report says something of it"""


@dataclass(frozen=True)
class Kind:
    """One kind of problem."""

    name: str
    is_fault: bool
    """False where the dataset's stated rules leave it out"""
    count: int
    by_split: Mapping[str, int]
    """empty if the dataset does not say in which split its problems are"""
    first: Problem


@dataclass(frozen=True)
class DataCheck:
    """All that was found."""

    dataset: str
    """as typed"""
    note: str
    is_private: bool
    splits: Mapping[str, SplitCounts]
    account: Account
    kinds: Sequence[Kind]
    """faults first, then what the rules leave out; the most frequent first"""
    problems: Sequence[tuple[Problem, str]]
    """with the split, empty where nobody knows"""

    @property
    def faults(self) -> int:
        """Problems that are no rule at work."""
        return sum(kind.count for kind in self.kinds if kind.is_fault)


def check_data(dataset: str, splits: Sequence[str] = (), options: Mapping[str, str] | None = None, *, root: Path | None = None) -> DataCheck:
    """Read the splits (all, unless some are named) and count. Raises ``UserError`` where the dataset cannot be read at all."""
    words = at_root(dataset, root)
    registry.check_options(options or {}, [registry.parse_spec(words).name])
    if unknown := [split for split in splits if split not in SPLITS]:
        raise UserError(f"there is no split {unknown[0]!r} to check; there is: {', '.join(SPLITS)}")
    chosen = [split for split in SPLITS if split in splits] or list(SPLITS)
    opened = open_dataset(words, options or {})
    counts = {split: count_split(opened.cases(split), opened.references(split)) for split in chosen}
    account = account_of(opened, chosen)
    problems = [(problem, split) for split, found in account.problems.items() for problem in found]
    return DataCheck(words, opened.note, opened.is_credentialed, counts, account, kinds_of(problems, account.by_rule), problems)


def at_root(dataset: str, root: Path | None) -> str:
    """``name:root``. Raises ``UserError`` where a place was named already."""
    if root is None:
        return dataset
    if ":" in dataset:
        raise UserError(f"--dataset {dataset} names a place already, and --root {root} another; give one")
    return f"{dataset}:{root}"


def count_split(cases: Sequence[Case], references: Sequence[Reference]) -> SplitCounts:
    """What the cases of a split have."""
    words = [len(reference.report.split()) for reference in references if reference.report.strip()]
    said = Counter(region for reference in references for region, sentence in reference.region_sentences.items() if sentence.strip())
    return SplitCounts(
        cases=len(cases),
        patients=len({case.patient for case in cases}),
        studies=len({case.study for case in cases}),
        with_report=len(words),
        words=statistics.median(words) if words else float("nan"),
        with_indication=sum(bool(case.indication.strip()) for case in cases),
        with_lateral=sum(any(image.view in LATERAL for image in case.images) for case in cases),
        with_prior=sum(bool(case.prior_report or case.prior_image) for case in cases),
        with_lesions=sum(reference.lesions is not None for reference in references),
        boxes=_mean([len(reference.boxes) for reference in references]),
        paper_boxes=_mean([sum(region in reference.boxes for region in PAPER_REGIONS) for reference in references]),
        with_sentence={region: said[region] for region in REGIONS if said[region]},
    )


def account_of(dataset: Dataset, splits: Sequence[str]) -> Account:
    """What the dataset says of its files; of one that has no ``account``, its problems alone, of no split."""
    say = getattr(dataset, "account", None)
    if say is None:
        return Account(problems={"": dataset.problems()})
    account: Account = say(splits)
    return account


def kinds_of(problems: Sequence[tuple[Problem, str]], by_rule: frozenset[str]) -> list[Kind]:
    """The problems by kind."""
    found: dict[str, list[tuple[Problem, str]]] = {}
    for problem, split in problems:
        found.setdefault(problem.kind, []).append((problem, split))
    kinds = [Kind(name, name not in by_rule, sum(one.count for one, _ in ones), _by_split(ones), ones[0][0]) for name, ones in found.items()]
    return sorted(kinds, key=lambda kind: (not kind.is_fault, -kind.count, kind.name))


def _by_split(problems: Sequence[tuple[Problem, str]]) -> dict[str, int]:
    counts = Counter[str]()
    for problem, split in problems:
        counts[split] += problem.count
    return {split: count for split, count in counts.items() if split}


def write_check(check: DataCheck, folder: Path) -> None:
    """``counts.json`` and, if there is any problem, ``problems.csv``. Of data whose text may not travel, for this user's eyes alone.

    No text of a report is in them; ids of patients and images are. Raises ``CannotWrite``.
    """
    with writing(folder):
        if check.is_private and not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
            (folder / ".gitignore").write_text("*\n")
        folder.mkdir(parents=True, exist_ok=True)
        write_problems(folder, check.problems)
        write_json(folder / "counts.json", _as_json(check))


def _as_json(check: DataCheck) -> dict[str, Any]:
    account = check.account
    counts: dict[str, Any] = {
        "dataset": check.dataset,
        "parts": [{"name": part.name, "where": str(part.where) if part.where else None, "what": part.what} for part in account.parts],
        account.listed_as.replace(" ", "_"): dict(account.listed),
        "splits": {split: asdict(found) for split, found in check.splits.items()},
        "problems": [{**asdict(kind), "by_split": dict(kind.by_split)} for kind in check.kinds],
        "faults": check.faults,
        "beside": [asdict(one) for one in account.besides],
        "notes": list(account.notes),
    }
    # JSON has no NaN: of nothing there is no median.
    found: dict[str, Any] = json.loads(json.dumps(counts), parse_constant=lambda _: None)
    return found


def _mean(numbers: Sequence[int]) -> float:
    return statistics.fmean(numbers) if numbers else float("nan")
