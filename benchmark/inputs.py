"""What a run reads: the dataset that is measured, the side of it that models may learn from, and what an experiment tells them of the other."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from benchmark import registry
from benchmark.context import check_context, reduced
from benchmark.hookspecs import Dataset
from benchmark.labelling.sources import label_source, short_name
from benchmark.overlap import shared_places
from benchmark.records import Case, Context, Lesions, Problem, Reference, RunConfig, UserError
from benchmark.sampling import sample

LEARNT_FROM = ("train", "validate")
GRANTS = ("lesions",)
"""what ``--grant`` can name"""


@dataclass(frozen=True)
class Data:
    """Cases and references in one fixed order, and what is known of the whole."""

    name: str
    cases: list[Case]
    references: list[Reference]
    fingerprint: str
    note: str
    """stands under every table"""
    is_private: bool
    """the text may not travel, or nobody said that it may"""
    problems: list[Problem] = field(default_factory=list)
    of_split: str = ""
    """fingerprint of the whole split, of which these may be a part"""
    names_patients: bool = True
    """False where nobody said whose cases these are: each is then drawn on its own"""

    @property
    def patients(self) -> list[str]:
        """The patient of each case."""
        return [case.patient for case in self.cases]

    @property
    def counts(self) -> dict[str, int]:
        """How much there is."""
        return {"cases": len(self.cases), **({"patients": len(set(self.patients))} if self.names_patients else {})}

    def record(self) -> dict[str, Any]:
        """What ``run.json`` says of them."""
        whole = {"name": self.name, "fingerprint": self.fingerprint, **self.counts}
        return {**whole, "is_private": self.is_private, "note": self.note, "problems": self.problem_counts()}

    def problem_counts(self) -> dict[str, int]:
        """Kind of problem -> how often."""
        counts = Counter[str]()
        for problem in self.problems:
            counts[problem.kind] += problem.count
        return dict(sorted(counts.items()))


class HeldBack:
    """A dataset as a model may see it: the splits to learn from, without the split that is measured and without any case that is measured."""

    def __init__(
        self, dataset: Dataset, *, measured: str = "", context: Context = "full", measured_cases: Callable[[], Sequence[Case]] | None = None
    ) -> None:
        """``measured`` is the split of it that this run measures, empty if that is of another dataset; ``context`` is how much of a case models see.

        ``measured_cases`` gives what the run measures, all of the split: what is shared with it is taken out. It is asked when a model first learns.
        """
        self._dataset, self._measured, self._context, self._measured_cases = dataset, measured, context, measured_cases
        self._shared: dict[str, frozenset[int]] = {}
        self._of: dict[str, int] = {}
        self.name, self.is_credentialed = dataset.name, dataset.is_credentialed

    def cases(self, split: str) -> list[Case]:
        """All cases of a split to learn from, of the context of the run. Raises ``UserError`` for any other."""
        shared = self._taken_out(split)
        return reduced((case for place, case in enumerate(self._dataset.cases(split)) if place not in shared), self._context)

    def references(self, split: str) -> list[Reference]:
        """Their references, in the same order."""
        shared = self._taken_out(split)
        return [reference for place, reference in enumerate(self._dataset.references(split)) if place not in shared]

    def fingerprint(self, split: str) -> str:
        """Digest of the split's inputs, and of what was taken out."""
        shared, whole = self._taken_out(split), self._dataset.fingerprint(split)
        if not shared:
            return whole
        return digest_of([whole, *(case.id for place, case in enumerate(self._dataset.cases(split)) if place in shared)])

    def notes(self) -> list[str]:
        """One sentence for each split that a model learnt from and that shared cases with what is measured."""
        return [
            f"Taken out of the split {split} of {self.name} before models learnt from it: {len(shared):,} of {self._of[split]:,} cases, which share "
            "a patient, an id or an image with what is measured."
            for split, shared in sorted(self._shared.items())
            if shared
        ]

    def _taken_out(self, split: str) -> frozenset[int]:
        """The places of the cases that are measured too. Raises ``UserError`` if that leaves none."""
        self._check(split)
        if self._measured_cases is None:
            return frozenset()
        if split not in self._shared:
            cases = self._dataset.cases(split)
            self._shared[split], self._of[split] = shared_places(cases, self._measured_cases()), len(cases)
        if self._of[split] and len(self._shared[split]) == self._of[split]:
            raise UserError(
                f"a model asked for the split {split!r} of {self.name}; all of its {self._of[split]:,} cases share a patient, an id or an image with "
                "what is measured; name other data to learn from: --training"
            )
        return self._shared[split]

    def _check(self, split: str) -> None:
        if split == self._measured or split not in LEARNT_FROM:
            allowed = [name for name in LEARNT_FROM if name != self._measured]
            raise UserError(f"a model asked for the split {split!r} of {self.name}; it may learn from {' and '.join(allowed)} alone")


class NotGranted(UserError):
    """A model asked what the references say of the cases that it is measured on, and the run does not tell."""


class Told:
    """What one model is told of the measured cases, if the run grants it, and the record of it: ``records.Granted``."""

    def __init__(self, label: str, dataset: Dataset, config: RunConfig, llm: Any = None) -> None:
        """``label`` is the model's, for messages and notes; ``llm`` is for labellers that ask a language model."""
        self._label, self._dataset, self._config, self._llm = label, dataset, config, llm
        self._is_closed = False
        self.asked: list[dict[str, str]] = []
        """what, from which source, of which signature, and what the model makes of it; one entry per question"""

    def lesions(self, source: str) -> dict[str, Lesions]:
        """Case id -> lesions, of all cases of the measured split. Raises ``NotGranted``, and what the source raises."""
        if "lesions" not in self._config.grant:
            raise NotGranted(
                f"model {self._label!r} asks for the lesions of the references that it is measured on ({short_name(source)}), and this run does not "
                "grant them; leave that setting, or start the experiment with --grant lesions: every table will say so"
            )
        if self._is_closed:
            raise RuntimeError("a model is told lesions while it is made, and not later: what it was told is on record before the first report")
        given = {"seed": self._config.seed, "device": self._config.device, "llm": self._llm}
        labels = label_source(source, registry.options_of(self._config.options, source), given)
        cases, references = self._dataset.cases(self._config.split), self._dataset.references(self._config.split)
        found = labels.lesions(cases, references)
        self.asked.append({"what": "lesions", "source": short_name(source), "signature": labels.signature(), "said": ""})
        return {case.id: lesions for case, lesions in zip(cases, found, strict=True)}

    def made_of_them(self, said: str) -> None:
        """Add to the note of what was asked last."""
        self.asked[-1]["said"] = said

    def close(self) -> None:
        """The model is made: from now on it is told nothing more."""
        self._is_closed = True

    def notes(self) -> list[str]:
        """One sentence for each thing that the model was told."""
        return [
            f"{self._label} was told {asked['what']} of the references: {asked['source']}{', ' if asked['said'] else ''}{asked['said']}."
            for asked in self.asked
        ]


def check_grant(grant: tuple[str, ...]) -> None:
    """Raise ``UserError`` for something that cannot be granted."""
    if unknown := [name for name in grant if name not in GRANTS]:
        boxes = "; true boxes are a setting of the dataset: --set NAME.boxes=truth" if "boxes" in unknown else ""
        raise UserError(f"nothing named {unknown[0]!r} can be granted; there is: {', '.join(GRANTS)}{boxes}")


def open_dataset(words: str, options: Mapping[str, str], *, strict: bool = False) -> Dataset:
    """The dataset of ``name`` or ``name:argument`` with its settings; ``strict`` is handed to one that takes it. Raises ``UserError``."""
    spec = registry.parse_spec(words)
    available: dict[str, Any] = {"strict": strict}
    dataset: Dataset = registry.load().build("datasets", spec, available=available, options=registry.options_of(options, spec.name))
    return dataset


def learning_side(dataset: Dataset, config: RunConfig, training: str) -> HeldBack:
    """What models may learn from: the dataset itself, or the one named ``training``; never a case that is measured, by whichever name."""
    context = config.context or "full"
    measured_cases = partial(dataset.cases, config.split)
    if not training:
        return HeldBack(dataset, measured=config.split, context=context, measured_cases=measured_cases)
    other = open_dataset(training, config.options)
    is_same = config.split in LEARNT_FROM and other.fingerprint(config.split) == dataset.fingerprint(config.split)
    return HeldBack(other, measured=config.split if is_same else "", context=context, measured_cases=measured_cases)


def read(dataset: Dataset, config: RunConfig) -> Data:
    """Cases and references in one fixed order: those that the run asks for, and of each what models may see of it.

    Raises ``UserError`` if there is none, or if the reader pairs or names them wrongly.
    """
    cases, references = dataset.cases(config.split), dataset.references(config.split)
    for case, reference in zip(cases, references, strict=True):
        if case.id != reference.case_id:
            raise UserError(f"dataset {config.dataset!r} pairs case {case.id!r} with the reference of {reference.case_id!r}; its reader is wrong")
    counts = Counter(case.id for case in cases)
    if len(counts) < len(cases):
        twice = next(case_id for case_id, count in counts.items() if count > 1)
        raise UserError(f"dataset {config.dataset!r} has {len(cases) - len(counts)} repeated case ids, the first {twice!r}; give each case its own")
    problems = dataset.problems()
    if not cases:
        kinds = ", ".join(sorted({problem.kind for problem in problems}))
        raise UserError(f"no case in split {config.split!r} of {config.dataset}" + (f" (stepped over: {kinds})" if kinds else ""))
    fingerprint = dataset.fingerprint(config.split)
    data = Data(config.dataset, cases, references, fingerprint, dataset.note, dataset.is_credentialed, problems, fingerprint)
    return chosen(replace(data, cases=reduced(cases, config.context or "full")), config)


def chosen(data: Data, config: RunConfig) -> Data:
    """The cases that the run asks for: a sample, the first so many, or all. Raises ``UserError``."""
    check_choice(config)
    if config.sample is None:
        return replace(data, cases=data.cases[: config.limit], references=data.references[: config.limit])
    taken = sample(data.references, config.sample, config.seed)
    cases, references = [data.cases[place] for place in taken.places], [data.references[place] for place in taken.places]
    if len(cases) == len(data.cases):
        return replace(data, note=f"{data.note} {taken.said}".strip())
    # Two samples of one size are other cases: what the whole is known by does not tell them apart.
    of_sample = digest_of([data.fingerprint, *(case.id for case in cases)])
    return replace(data, cases=cases, references=references, fingerprint=of_sample, note=f"{data.note} {taken.said}".strip())


def digest_of(words: Sequence[str]) -> str:
    """Hex digest of some words in their order."""
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()


def check_choice(config: RunConfig) -> None:
    """Raise ``UserError`` for a context that there is not, or for two words on how many cases."""
    if config.context:
        check_context(config.context)
    if config.sample is not None and config.limit is not None:
        raise UserError(
            f"--sample {config.sample} and --limit {config.limit} both say how many cases; give --sample for cases that stand for the whole, "
            "or --limit for the first ones"
        )


def with_unit(options: Mapping[str, str], dataset: str, unit: str) -> dict[str, str]:
    """The settings with ``--unit``, for a dataset that has cases by image and by study. Raises ``UserError`` for any other."""
    if not unit:
        return dict(options)
    name = registry.parse_spec(dataset).name if dataset else ""
    known = registry.load()
    if not name or not _has_unit(known.entry("datasets", name)):
        able = [entry.name for entry in known.entries["datasets"].values() if _has_unit(entry)]
        what = f"the dataset {name!r} has cases of one kind only" if name else "reports in a file are what they are"
        raise UserError(f"--unit {unit} was asked, but {what}; leave it away, or take a dataset that knows both: {', '.join(able) or 'none here'}")
    key = f"{name}.unit"
    if options.get(key, unit) != unit:
        raise UserError(f"--set {key}={options[key]} and --unit {unit} say different things; give one")
    return {**options, key: unit}


def _has_unit(entry: registry.Entry) -> bool:
    try:
        return any(setting.name == "unit" for setting in registry.settings_of(entry.factory, f"dataset {entry.name!r}", available=()))
    except UserError:  # a package of another dataset's is not installed
        return False
