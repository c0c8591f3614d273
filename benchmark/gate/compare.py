"""Whether a run is worse than one before it: number by number, paired by patient, corrected over everything that is compared.

A number without a margin is a regression if it is worse and p, two-sided and by Holm over all numbers of all models, is below alpha. One with a
margin must be shown not to be worse by that much: the burden of proof is the change's, and since every such number must pass, no correction is needed
(an intersection-union test, Berger 1982). Reports that a model no longer writes are a regression of their own: cases that fail are not scored, and a
model that fails on the hard ones would else look better.

Statistics of cases are taken from the runs where they fit; where the code of a metric has changed since, both runs are measured again from their
reports, here and now. The runs are left as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark import registry
from benchmark.gate.sealed import SealedRun, read_sealed
from benchmark.hookspecs import Metric
from benchmark.margins import check_margins, margins_of
from benchmark.records import RunConfig, UserError
from benchmark.scoring import asks, build_metric, digest_of, made_of, measure_all, presented, tests_of
from benchmark.signatures import compare_runs, in_words, with_field
from benchmark.statistics import Measured, PatientBootstrap, flips_for, holm, minimum_detectable
from benchmark.vocabulary import LESIONS

Verdict = Literal["worse", "not shown", "not worse", "better", "no difference found", "not defined"]
FAILING: tuple[Verdict, ...] = ("worse", "not shown")


class CannotCompare(UserError):
    """Two runs whose numbers do not compare; the message says what keeps them apart."""


@dataclass(frozen=True)
class Compared:
    """One number of one model, before and after."""

    model: str
    """as the base names it, and as the head does where that is another name: ``clala -> clala-new``"""
    metric: str
    number: str
    title: str
    """as in the tables"""
    direction: Literal["higher", "lower"]
    base: float
    head: float
    difference: float
    """head minus base, on the cases that both scored"""
    low: float
    high: float
    p_value: float
    """two-sided"""
    p_holm: float
    """after Holm's correction over all numbers that are compared; NaN for one with a margin, which is not among them"""
    detectable: float
    """the smallest true difference that such a comparison would find in 80 % of repetitions, uncorrected"""
    scored: int
    """cases that both scored"""
    is_headline: bool
    margin: float | None = None
    p_not_worse: float | None = None
    """one-sided, against the head being worse by the margin or more"""
    verdict: Verdict = "no difference found"
    detectable_corrected: float = math.nan
    """the same where the test must pass the first step of Holm's correction: what is seen whatever else is compared; NaN with a margin"""

    @property
    def key(self) -> str:
        """``lesions.macro_f1``."""
        return f"{self.metric}.{self.number}"

    @property
    def worse_by(self) -> float:
        """The difference as a loss: above 0 is worse."""
        return -self.difference if self.direction == "higher" else self.difference


@dataclass(frozen=True)
class Lost:
    """Reports that a model of the head no longer writes."""

    model: str
    cases: int
    """that have a report in the base and none in the head"""
    of: int
    """cases that are compared"""
    why: str = ""
    """of a model that did not come to its end at all"""


@dataclass(frozen=True)
class Gate:
    """What came of a comparison."""

    base: Path
    head: Path
    numbers: tuple[Compared, ...]
    lost: tuple[Lost, ...]
    cases: int
    """that both runs have"""
    patients: int
    alpha: float
    notes: tuple[str, ...] = field(default=())
    """what was left out, and why"""

    @property
    def regressions(self) -> list[Compared]:
        """Numbers that keep the change out: single lesions first, which say what went wrong, and among them the largest loss in units of its margin
        or of what could have been seen.
        """
        failing = [one for one in self.numbers if one.verdict in FAILING]
        return sorted(failing, key=lambda one: (one.is_headline, -one.worse_by / (one.margin or one.detectable or math.inf)))

    @property
    def passes(self) -> bool:
        """True if nothing is worse."""
        return not self.regressions and not self.lost

    @property
    def tests(self) -> int:
        """How many p-values were corrected together."""
        return sum(one.margin is None and not math.isnan(one.p_value) for one in self.numbers)


def compare(
    base: Path,
    head: Path,
    *,
    models: Mapping[str, str] | None = None,
    metrics: Sequence[str] = (),
    margins: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    draws: int = 1000,
    seed: int = 42,
    shared: bool = False,
    lesions: bool = True,
    more_failures: int = 0,
) -> Gate:
    """Compare the head of a change with its base, both folders of finished runs.

    models         of the base -> of the head; those of one name if not given, and the only one of each side whatever they are called
    metrics        those to compare; all that both have if none is named
    margins        ``lesions.macro_f1`` or ``rouge_l`` (its headlines) -> by how much the head may be worse
    alpha          the chance of a false alarm, over everything that is compared
    shared         compare the cases that both have, where one has others too; else that is refused
    lesions        the F1 of each lesion too, not the headlines alone
    more_failures  how many cases that had a report the head may leave without one

    Raises ``NoFinishedRun``, ``EditedRun``, ``CannotCompare``, ``BadMargin``.
    """
    first, second = read_sealed(base), read_sealed(head)
    paired = _paired_models(first, second, models or {})
    cases, notes = _cases(first, second, shared=shared)
    compared = compare_runs({**first.record, "dataset": {}, "config": {}}, {**second.record, "dataset": {}, "config": {}})
    wanted = list(metrics) or list(compared.metrics)
    if unknown := [name for name in wanted if name not in compared.metrics]:
        raise CannotCompare(f"--metrics {unknown[0]}: not both runs have it; both have {', '.join(compared.metrics) or 'none in common'}")
    if not wanted:
        own = f"{', '.join(compared.only_first)} against {', '.join(compared.only_second)}"
        raise CannotCompare(f"{base} and {head} have no metric in common ({own}); measure both by the same")
    if unlike := [f"{name} was computed differently: {in_words(compared.metrics[name])}" for name in wanted if compared.metrics[name]]:
        raise CannotCompare(f"{base} and {head} do not compare: {'; '.join(unlike)}; measure both alike, or leave those out with --metrics")
    only = (("base", compared.only_first), ("head", compared.only_second))
    notes += [f"Only the {which} has {', '.join(names)}." for which, names in only if names]
    config = replace(first.config, metrics=tuple(wanted), strata=False)
    built = {spec.label: build_metric(spec, config) for spec in registry.parse_specs(config.metrics)}
    check_margins(margins or {}, built)
    notes += _as_now(first, built)
    places = {model: (f"base {model}", f"head {other}") for model, other in paired.items()}
    statistics: dict[tuple[str, str], np.ndarray] = {}
    lost = [Lost(model, len(cases), len(cases), second.failed[model]) for model in first.models if model in second.failed and model not in paired]
    notes += _alone(first, second, paired)
    for model, other in paired.items():
        failed: list[set[str]] = []
        for run, name, place in ((first, model, places[model][0]), (second, other, places[model][1])):
            rows, failures = _statistics(run, name, built, config, cases)
            statistics |= {(metric, place): found for metric, found in rows.items()}
            failed.append(failures)
        if len(gone := failed[1] - failed[0]) > more_failures:
            lost.append(Lost(_named(model, other), len(gone), len(cases)))
    patients = [first.cases[case] for case in cases]
    _check_patients(len(set(patients)), built, len(paired), alpha, lesions=lesions, margins=margins or {})
    numbers = _numbers(built, statistics, places, paired, patients, margins or {}, alpha=alpha, draws=draws, seed=seed, lesions=lesions)
    if all(math.isnan(one.difference) for one in numbers) and not lost:
        raise CannotCompare(f"{base} and {head} have no number that is defined in both and better one way ({', '.join(wanted)}); name other metrics")
    return Gate(base, head, tuple(numbers), tuple(lost), len(cases), len(set(patients)), alpha, tuple(notes))


def _paired_models(first: SealedRun, second: SealedRun, asked: Mapping[str, str]) -> dict[str, str]:
    """Model of the base -> model of the head. Raises ``CannotCompare``."""
    for name, other in asked.items():
        for run, one in ((first, name), (second, other)):
            if one not in run.models:
                raise CannotCompare(f"{run.path} has no finished model {one!r}; it has {', '.join(run.models) or 'none'}")
    if asked:
        return dict(asked)
    if len(first.models) == len(second.models) == 1 and not first.failed and not second.failed:
        return {first.models[0]: second.models[0]}
    both = {model: model for model in first.models if model in second.models}
    if both or any(model in second.failed for model in first.models):
        return both
    ours, theirs = (", ".join(run.models) or "none" for run in (first, second))
    raise CannotCompare(
        f"no model of {first.path} ({ours}) has the name of one of {second.path} ({theirs}); say which is which: --models before=after"
    )


def _alone(first: SealedRun, second: SealedRun, paired: Mapping[str, str]) -> list[str]:
    """A note on models that are not compared; of those that failed in the head ``Lost`` speaks."""
    ours = [model for model in first.models if model not in paired and model not in second.failed]
    theirs = [model for model in second.models if model not in paired.values()]
    return [f"Only the {which} has the model {', '.join(names)}; not compared." for which, names in (("base", ours), ("head", theirs)) if names]


def _check_patients(patients: int, built: Mapping[str, Metric], models: int, alpha: float, *, lesions: bool, margins: Mapping[str, float]) -> None:
    """Raise ``CannotCompare`` where so few patients could show nothing: swapped in every way, they give no p-value below 2 / 2^patients."""
    tests = _tests(built, models, lesions=lesions)
    if not margins and models and 2.0 ** (1 - patients) * tests >= alpha:
        raise CannotCompare(
            f"{patients} patients can show no regression among {tests} numbers, whatever the reports (the smallest p is 2 / 2^{patients}); "
            "measure more patients, or compare fewer numbers with --no-lesions and --metrics"
        )


def _tests(built: Mapping[str, Metric], models: int, *, lesions: bool) -> int:
    """How many numbers are compared."""
    return models * sum(tests_of(metric) + (len(LESIONS) if lesions and _is_of_lesions(name) else 0) for name, metric in built.items())


def _cases(first: SealedRun, second: SealedRun, *, shared: bool) -> tuple[list[str], list[str]]:
    """The cases to compare on, in the order of the base, and what is to be said of the others. Raises ``CannotCompare``."""
    both = [case for case in first.cases if case in second.cases]
    where = f"{first.path} and {second.path}"
    if not both:
        raise CannotCompare(f"{where} have no case in common ({len(first.cases):,} and {len(second.cases):,}); compare runs on the same data")
    if unlike := [case for case in both if first.references[case] != second.references[case] or first.cases[case] != second.cases[case]]:
        raise CannotCompare(
            f"{where} have {len(unlike):,} of {len(both):,} cases under one id with another reference or patient, the first {unlike[0]!r}; "
            "compare runs on the same data"
        )
    if len(both) == len(first.cases) == len(second.cases):
        return both, []
    counts = f"{len(both):,} cases in common, of {len(first.cases):,} and {len(second.cases):,}"
    if not shared:
        raise CannotCompare(f"{where} have {counts}; compare those alone with --shared, or measure both on the same")
    return both, [f"{counts}; compared on those."]


def _as_now(first: SealedRun, built: Mapping[str, Metric]) -> list[str]:
    """A note on metrics that today's code computes otherwise than the runs did: both are measured anew, unless that would ask a language model."""
    notes = []
    for name, metric in built.items():
        now, then = with_field(metric.signature(), "context", first.config.context), first.record["signatures"][name]
        if now == then:
            continue
        if asks(metric):
            raise CannotCompare(
                f"{name} was measured by another version of this program ({then} then, {now} now) and asks a language model, which a comparison does "
                f"not; measure both runs with this version, or leave it out with --metrics"
            )
        notes.append(f"{name} was measured by another version of this program; both runs are measured again from their reports.")
    return notes


def _statistics(
    run: SealedRun, model: str, built: Mapping[str, Metric], config: RunConfig, cases: Sequence[str]
) -> tuple[dict[str, np.ndarray], set[str]]:
    """Of a model, metric -> (n, k) on the cases to compare on; and those that it left without a report."""
    reports, references = run.reports(model), [run.references[case] for case in run.cases]
    for name, metric in built.items():
        if asks(metric) and run.folder(model).read_statistics(name, made_of(metric, digest_of(reports, references))) is None:
            raise CannotCompare(f"{run.path} keeps no statistics of {name} for {model}, and a comparison asks no language model; run it again")
    order = {case: place for place, case in enumerate(run.cases)}
    places = [order[case] for case in cases]
    found = measure_all(built, references, {model: reports}, config, {model: run.folder(model)}, is_anew=False)
    return {metric: rows[places] for (metric, _), rows in found.items()}, {case for case in cases if reports[order[case]].failure}


def _numbers(
    built: Mapping[str, Metric],
    statistics: Mapping[tuple[str, str], np.ndarray],
    places: Mapping[str, tuple[str, str]],
    paired: Mapping[str, str],
    patients: Sequence[str],
    margins: Mapping[str, float],
    *,
    alpha: float,
    draws: int,
    seed: int,
    lesions: bool,
) -> list[Compared]:
    """Every number that is compared, with its verdict."""
    tests = _tests(built, len(places), lesions=lesions)
    bootstrap = PatientBootstrap(patients, draws=draws, seed=seed, level=1 - alpha, flips=flips_for(tests, draws, 1 - alpha))
    pairs = [(after, before) for before, after in places.values()]
    measured = [
        Measured({place: statistics[name, place] for both in places.values() for place in both}, metric.values, margins_of(margins, name, metric))
        for name, metric in built.items()
    ]
    found: list[Compared] = []
    for (name, metric), one in zip(built.items(), bootstrap.compare(measured, pairs), strict=True):
        bounded = margins_of(margins, name, metric)
        for model, (before, after) in places.items():
            differences = one.differences[after, before]
            for number, difference in differences.estimates.items():
                looks = presented(metric, number)
                is_lesion = lesions and _is_of_lesions(name) and number.endswith(".f1") and number.removesuffix(".f1") in LESIONS
                if not looks["direction"] and not is_lesion:
                    continue
                if not (looks["is_headline"] or is_lesion or number in bounded):
                    continue
                direction: Literal["higher", "lower"] = "lower" if looks["direction"] == "lower" else "higher"
                p_not_worse = difference.p_not_below if direction == "higher" else difference.p_not_above
                found.append(
                    Compared(
                        _named(model, paired[model]),
                        name,
                        number,
                        f"{number.removesuffix('.f1').capitalize()} F1" if is_lesion else looks["title"] or f"{name} {number}",
                        direction,
                        one.scores[before].estimates[number].value,
                        one.scores[after].estimates[number].value,
                        difference.value,
                        difference.low,
                        difference.high,
                        difference.p_value,
                        math.nan,
                        difference.detectable,
                        differences.scored,
                        looks["is_headline"],
                        bounded.get(number),
                        p_not_worse if number in bounded else None,
                    )
                )
    corrected = iter(holm([one.p_value for one in found if one.margin is None]))
    grows = _at_first_step(alpha, sum(one.margin is None for one in found), len(set(patients)))
    judged = [replace(one, p_holm=next(corrected), detectable_corrected=one.detectable * grows) if one.margin is None else one for one in found]
    return sorted((replace(one, verdict=_verdict(one, alpha)) for one in judged), key=lambda one: not one.is_headline)


def _at_first_step(alpha: float, tests: int, patients: int) -> float:
    """By how much a difference must be larger to be found at ``alpha`` over the number of tests, where Holm's correction begins."""
    if not tests:
        return math.nan
    return minimum_detectable(1.0, patients, 1 - alpha / tests) / minimum_detectable(1.0, patients, 1 - alpha)


def _is_of_lesions(metric: str) -> bool:
    return metric.partition(":")[0] == "lesions"


def _verdict(one: Compared, alpha: float) -> Verdict:
    if math.isnan(one.difference):
        return "not defined" if one.margin is None else "not shown"
    if one.margin is not None:
        if one.p_not_worse is not None and one.p_not_worse < alpha:
            return "not worse"
        return "worse" if one.worse_by > 0 and one.p_value < alpha else "not shown"
    if one.p_holm < alpha:
        return "worse" if one.worse_by > 0 else "better"
    return "no difference found"


def _named(model: str, other: str) -> str:
    return model if model == other else f"{model} -> {other}"
