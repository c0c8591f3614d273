"""Reports of a file, or the cases of a dataset -> a file of lesions: ``python -m benchmark label``."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark import registry
from benchmark.evaluator import use_of_datasets, use_of_texts
from benchmark.inputs import open_dataset, read
from benchmark.labelling.choose import labeller_named
from benchmark.labelling.label_file import write_labels
from benchmark.labelling.sources import FromReports, label_source, label_texts
from benchmark.llm.models import LanguageModels, Manner
from benchmark.records import Lesion, Lesions, RunConfig
from benchmark.report_files import read_reports


@dataclass(frozen=True)
class Labelled:
    """What was labelled, and what came of it."""

    out: Path
    reports: int
    empty: int
    """reports without text; labelled as saying nothing"""
    positives: dict[str, int]
    """lesion -> reports that affirm it"""
    signature: str
    warnings: tuple[str, ...] = ()
    unanswered: int = 0
    """reports of which the labeller could not say anything; an empty list of lesions in the file"""
    said: tuple[str, ...] = ()
    """what language models did, one line for each"""
    unbacked: tuple[tuple[str, Lesion], ...] = ()
    """id and lesion that a language model affirms by words that the report does not have"""


def label_file(
    reports: Path,
    out: Path,
    labeller: str = "rules",
    options: Mapping[str, str] | None = None,
    *,
    id_column: str | None = None,
    text_column: str | None = None,
    device: str = "auto",
    manner: Manner | None = None,
    is_public: bool = False,
) -> Labelled:
    """Label the reports of a file, by text; the ids are the file's. ``options`` as ``rules.hedges`` -> ``gold_openi``. Raises ``UserError``.

    ``manner`` says how a language model is asked; unless ``is_public`` the reports go to models on this machine or to approved hosts alone.
    """
    options = options or {}
    registry.check_options(options, [labeller, "llm"])
    llm = LanguageModels(options, use_of_texts(is_public=is_public), manner)
    chosen = labeller_named(labeller, registry.options_of(options, labeller), {"device": device, "seed": 42, "llm": llm})
    given = read_reports(reports, id_column=id_column, text_column=text_column)
    labels = dict(zip(given.texts, label_texts(chosen, list(given.texts.values())), strict=True))
    unbacked = backed_by_nothing(labels, given.texts) if getattr(chosen, "asks", False) else ()
    return _written(out, labels, len(given.empty), chosen.signature(), given.warnings, llm, unbacked, is_private=not is_public)


def label_dataset(
    dataset: str,
    split: str,
    out: Path,
    labels: str = "rules",
    options: Mapping[str, str] | None = None,
    *,
    device: str = "auto",
    manner: Manner | None = None,
    sample: int | None = None,
    seed: int = 42,
) -> Labelled:
    """Label the cases of a split, or ``sample`` of them, from any source of ``labelling.sources``; the ids are the cases'. Raises ``UserError``."""
    options = options or {}
    registry.check_options(options, [labels, registry.parse_spec(dataset).name, "llm"])
    opened = open_dataset(dataset, options)
    llm = LanguageModels(options, use_of_datasets(opened), manner)
    source = label_source(labels, registry.options_of(options, labels), {"device": device, "seed": 42, "llm": llm})
    data = read(opened, RunConfig((), (), dataset, split, sample=sample, seed=seed))
    texts = {case.id: reference.report for case, reference in zip(data.cases, data.references, strict=True)}
    labeller = source.labeller if isinstance(source, FromReports) else None
    found = label_texts(labeller, list(texts.values())) if labeller else source.lesions(data.cases, data.references)
    by_id = dict(zip(texts, found, strict=True))
    unbacked = backed_by_nothing(by_id, texts) if getattr(labeller, "asks", False) else ()
    warnings = ["the rationales quote reports whose text may not travel: keep the file where they are"] if data.is_private else []
    if sample is not None:
        warnings.insert(0, data.note.removeprefix(opened.note).strip())
    empty = sum(not reference.report.strip() for reference in data.references)
    return _written(out, by_id, empty, source.signature(), tuple(warnings), llm, unbacked, is_private=data.is_private)


def backed_by_nothing(labels: Mapping[str, Lesions], texts: Mapping[str, str]) -> tuple[tuple[str, Lesion], ...]:
    """Lesions that are affirmed by a rationale of which not even half the words stand in the report: made up, or taken from the prompt."""
    found = []
    for name, lesions in labels.items():
        said = set(_words(texts[name]))
        for lesion in lesions:
            words = set(_words(lesion.rationale))
            if lesion.status == "positive" and 2 * len(words & said) < max(1, len(words)):
                found.append((name, lesion))
    return tuple(found)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _written(
    out: Path,
    labels: Mapping[str, Lesions],
    empty: int,
    signature: str,
    warnings: tuple[str, ...],
    llm: LanguageModels,
    unbacked: tuple[tuple[str, Lesion], ...],
    *,
    is_private: bool = False,
) -> Labelled:
    before = os.umask(0o077) if is_private else None  # from its first byte: rationales quote reports
    try:
        write_labels(out, labels.items())
    finally:
        if before is not None:
            os.umask(before)
    positives = Counter(lesion.name for lesions in labels.values() for lesion in lesions if lesion.status == "positive")
    unanswered = sum(not lesions for lesions in labels.values())
    return Labelled(out, len(labels), empty, dict(positives), signature, warnings, unanswered, tuple(llm.lines()), unbacked)
