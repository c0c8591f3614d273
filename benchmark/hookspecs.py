"""The seam: six hooks, through which every model, metric, dataset, labeller, annotator and trainer comes in, ours and anyone's.

A plugin is a module (or an object) with one or more of these functions, marked ``@benchmark.hookimpl``, and named in the entry-point group
``clala_benchmark`` of its package. Each hook is handed a ``register`` callback and calls it as often as it likes:

    register(name, factory, summary="one line for `list`")

``factory`` is a callable, or its dotted name ``"package.module:Thing"`` (then the module is imported only when the thing is used: listing stays
instant). A factory asks for what it needs by parameter name, see ``registry.build``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pluggy

from benchmark.records import Case, Lesions, Problem, Reference, Report

if TYPE_CHECKING:
    from benchmark.annotating.annotations import Annotation

PROJECT = "clala_benchmark"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """The callback that a hook is handed."""

    def __call__(self, name: str, factory: Callable[..., Any] | str, *, summary: str = "", trainer: Callable[..., Any] | str | None = None) -> None:
        """Make ``factory`` known under ``name``; ``trainer`` (models only) is what ``python -m benchmark train NAME`` calls."""


@hookspec
def register_models(register: Register) -> None:
    """Register things with ``generate(cases) -> iterator of Report``."""


@hookspec
def register_metrics(register: Register) -> None:
    """Register things with ``statistics``, ``values`` and ``signature``."""


@hookspec
def register_datasets(register: Register) -> None:
    """Register things with ``cases``, ``references`` and ``fingerprint``."""


@hookspec
def register_labellers(register: Register) -> None:
    """Register things with ``label(reports) -> list of Lesions`` and ``signature``.

    A labeller is handed what it names: ``device``, ``seed``, ``llm`` (asks a language model), and its own settings.
    """


@hookspec
def register_annotators(register: Register) -> None:
    """Register things with ``annotate(reports) -> list of annotations`` and ``signature``, for metrics over RadGraph's entities and relations.

    An annotator is handed ``device``, what stands behind the colon as ``argument``, and its own settings.
    """


@hookspec
def register_trainers(register: Register) -> None:
    """Register functions that ``python -m benchmark train NAME`` calls, for what is trained and is no model itself: a part of one.

    A trainer is handed what it names: ``training`` (cases and references of the splits to learn from), ``out``, ``seed``, ``device``, ``command``
    (as typed), and its own settings, converted to their annotated types. It returns the folder of the weights; what stands under ``summary`` in an
    ``about.json`` there is printed. A model that can be trained brings its trainer with it: ``register_models(..., trainer=...)``.
    """


class Model(Protocol):
    """Writes reports. Optional, both asked once it is made, before the first report:

    ``provenance() -> dict``   checksums of weights, settings: kept in ``run.json``, and compared when a run is resumed
    ``card() -> ProtocolCard`` what it was trained to write, from what, with which decoding, and whether it has learnt from the cases that it is
                               measured on (``benchmark.records.ProtocolCard``): kept in ``run.json``, printed under the tables. Without it the
                               tables say that nothing is known. It depends on the weights that were loaded, so it is a method of the instance

    and two attributes, which say how its cases may be shared out among workers (``--engine ray``), and taken up again after an interruption:

    ``cases_together: int``    cases that it writes about together, counted from the first that it is given; ``batch_size`` where this is not there, 1
                               where neither is. A matrix product of sixteen rows may differ from sixteen of one row in the last digit, so
                               whoever shares out cases breaks none of these
    ``is_independent_by_case: bool``  False if a report depends on more than its case (and the batch): on the cases before it, on their number, on a
                               generator that is drawn from as they go by. Such a model writes all cases in one worker, and from the first again where
                               that is lost, or the run was interrupted. True if it is not there, for that is what the tables take for granted: each
                               case is resampled as if its report would have been the same in other company. A model that draws makes its seed of the
                               run's and of the case's id

    What a model learns from (``training``) it reads while it is made: what is taken out of it stands under the tables, also where a run that was
    interrupted has all of its reports already and asks it for none.
    """

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order; the model picks its own batches and yields as soon as a report is there.

        A case that cannot be answered is answered with ``Report(case.id, failure="why")``; an exception ends the model's run.
        """


class Metric(Protocol):
    """Measures reports. Every published number is a function of column sums, so that one matrix product resamples them all.

    Optional, as plain attributes or properties; they may depend on the metric's settings:

    ``titles: Mapping[str, str]``          number -> head of its column, with whatever keeps it from being taken for another of that name:
                                           ``{"f1": "ROUGE-L (google, stem)"}``, ``{"green": "GREEN(qwen)"}``. A number that has a title is better
                                           the higher it is, unless one of the next two names it; of a number without, nobody says
    ``lower_is_better: frozenset[str]``    numbers that count errors: marked as such in every table, with or without a title
    ``undirected: frozenset[str]``         numbers with a title that are neither better higher nor lower: a count, a ratio whose best is 1
    ``headlines: Sequence[str]``           numbers that stand in the summary and among the differences; the first of ``titles`` unless given
    ``ranges: Mapping[str, tuple[float, float]]``  number -> the least and the most that it can be: an interval over seeds, which is symmetric, is cut
                                           there; that of a number without a range is not
    ``layout: str``                        of its statistics' columns, where they change while its numbers do not: what a run folder keeps in another
                                           layout is measured again, under the same signature

    ``remarks(statistics) -> Sequence[str]``  what a reader should know of how these reports were measured, one sentence each, and could not know from
                                           the signature, since it is seldom so: that texts were too long to be looked at whole. Noted in ``run.json``

    ``outcomes(statistics) -> Mapping[str, np.ndarray]``  of each thing that is right or wrong in a case (a lesion's status), (n,) 1 right, 0 wrong,
                                           NaN unscored, from the rows of ``statistics``: models are then compared by McNemar's test too

    ``evidence(hypotheses, references) -> Sequence[Sequence[Evidence]]``  of each case what its scores stand on (``benchmark.records.Evidence``), for
                                           people who read single cases; () where nothing is known. It asks nobody and sends nothing: of answers of
                                           a language model it knows those that were kept
    ``kept_statistics(hypotheses, references) -> np.ndarray``  ``statistics`` of the answers that are kept, asked of nobody; a row of NaN where one is
                                           not: evidence is shown only of the answers that the run's own numbers were made of
    ``evidence_title: str``                what stands above it, ``Judge (rules)``; the metric's name unless given

    Without ``titles`` a column is headed ``metric number``, and none is called best.
    """

    name: str

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """float64 (n, k), one row per case, in order; a row of NaN = this case could not be scored."""

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """(..., k) column sums over cases -> name -> (...) number; NaN where nothing was there to count."""

    def signature(self) -> str:
        """How it is computed; two numbers compare only if these agree: ``metric|variant:...|setting:value|...|v1``, see ``benchmark.signatures``.

        Whatever could change a number has a field: variant, tokeniser, case, stemmer, resources by their hash, back end, unit of the average, and
        the version that the metric gives itself. What has fields of its own (a labeller, a model) stands in brackets: ``labeller:(rules|v1)``.
        """


class Labeller(Protocol):
    """Turns reports into lesions."""

    def label(self, reports: Sequence[str]) -> list[Lesions]:
        """14 lesions for each report, in order."""

    def signature(self) -> str:
        """Which back end, with which conventions."""


class Annotator(Protocol):
    """Finds entities and relations in reports. Optional: ``is_kept = False`` where keeping on disk what it found is not worth it."""

    def annotate(self, reports: Sequence[str]) -> list[Annotation]:
        """One annotation for each report, in order, of the form that ``benchmark.annotating.annotations`` describes."""

    def signature(self) -> str:
        """Which model with which weights, or which rules."""


class Dataset(Protocol):
    """Cases and what is known about them.

    Optional: ``account(splits) -> benchmark.datasets.account.Account`` says for ``data check`` what the dataset consists of and where each part was
    found, how much its lists name, which problems belong to which split, which kinds of them are its rules and no faults, and which published counts
    its own can be held against. A dataset without it is checked by its cases, references and problems alone.
    """

    name: str
    is_credentialed: bool
    """True if its text may not leave this machine without the user's agreement"""
    note: str
    """one sentence that stands under every table made from it, or empty"""

    def cases(self, split: str) -> list[Case]:
        """All cases of a split in one fixed order."""

    def references(self, split: str) -> list[Reference]:
        """One reference per case, in the same order."""

    def fingerprint(self, split: str) -> str:
        """Hex digest that changes when any input of the split changes."""

    def problems(self) -> list[Problem]:
        """What was wrong with the files and was stepped over, so far."""
