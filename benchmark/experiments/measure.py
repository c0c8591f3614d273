"""Measures the arms of an experiment, each trained with one seed or several: run folders -> every number of every metric, and the differences.

The statistics of each case are measured as in any run and kept beside the reports, so that nothing is measured twice. Then one metric after another
is summed by patient, resampled and forgotten: what is held does not grow with the metrics. The drawn patients are the same for all.

Arms that were trained once have the interval of their patients and the paired test, as in any run; of arms that were trained several times,
``statistics.seeds`` says what an interval speaks of, and that of a level, not of a difference, is cut at the range of its number. A report that
failed is never a score: each seed's number is of the cases that it scored, that of a pair of those that both scored, and the counts of scored and
unscored cases are those of the seed that scored the fewest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark import registry
from benchmark.experiments.numbers import Key, Numbers
from benchmark.experiments.same_cases import Cases, NotGenerated, same_cases
from benchmark.experiments.told_labels import is_told, told_f1
from benchmark.hookspecs import Metric
from benchmark.labelling.choose import labeller_named
from benchmark.labelling.sources import label_texts
from benchmark.progress import progress
from benchmark.records import Lesions, Report, Row, RunConfig, UserError
from benchmark.runs import DamagedRun, ModelFolder, RunFolder, opened, read_json
from benchmark.scoring import asks, build_metric, digest_of, made_of, measure_all, presented, tests_of
from benchmark.signatures import with_field
from benchmark.statistics import Difference, Estimate, Measured, OverSeeds, PatientBootstrap, flips_for, over_seeds, paired_seeds, scored_rows

if TYPE_CHECKING:
    from benchmark.llm.models import LanguageModels

READ_TOGETHER = 100_000  # reports in memory at a time: several hundred MB with what models say beside them
NOISE = 1e-12  # of a number's size: what the order of summation may do to it

Run = tuple[str, int]
"""arm, seed"""


@dataclass(frozen=True)
class ArmRun:
    """The reports of one arm by one training of it."""

    seed: int
    """of the training"""
    folder: Path
    """the run folder, as ``generate`` leaves it; the model in it is called as the arm"""


def measure(
    arms: Mapping[str, Sequence[ArmRun]],
    pairs: Sequence[tuple[str, str]],
    config: RunConfig,
    *,
    titles: Mapping[str, str],
    trained: Collection[str] = (),
    llm: LanguageModels | None = None,
    note: str = "",
) -> Numbers:
    """Every number of every arm, and of each of the ``pairs`` the difference, first minus second.

    arms     name -> its trainings, one or several, each of a seed of its own; all of the same cases
    config   metrics, labeller, judge and the bootstrap's settings; margins, parts of the cases and BCa intervals are for single runs
    titles   arm -> its name in print
    trained  arms whose every seed is a training: two of them are set against each other seed by seed alone, however many of their seeds are left
    llm      who makes what asks language models
    note     of the dataset

    Raises ``UnlikeRuns``, ``NotGenerated``, what reading a run folder raises, and ``UserError`` for a pair that shares too few seeds.
    """
    seeds = {arm: tuple(run.seed for run in runs) for arm, runs in arms.items()}
    for arm, of_arm in seeds.items():
        if len(set(of_arm)) < max(1, len(of_arm)):
            given = ", ".join(map(str, of_arm)) or "none"
            raise UserError(
                f"arm {arm} is to be measured over trainings of unlike seeds, and has {given}; give each training its own, or leave the arm"
            )
    trainings = {pair: _trainings(pair, seeds, trained) for pair in pairs}
    cases = same_cases([run.folder for runs in arms.values() for run in runs], config.context)
    metrics = {spec.label: build_metric(spec, config, llm) for spec in registry.parse_specs(config.metrics)}
    folders = {(arm, run.seed): RunFolder(run.folder).model(arm) for arm, runs in arms.items() for run in runs}
    digests, label_f1 = _measure_cases(folders, cases, metrics, config, llm)

    once = [pair for pair, paired in trainings.items() if len(paired) == 1]
    flips = flips_for(len(once) * sum(map(tests_of, metrics.values())), config.draws, config.level)
    bootstrap = PatientBootstrap(cases.patients, draws=config.draws, seed=config.seed, level=config.level, flips=flips)
    rows: list[Row] = []
    differences: list[Row] = []
    by_seed: dict[Key, tuple[float, ...]] = {}
    with progress("resample", len(metrics), unit="metrics") as advance:
        for name, metric in metrics.items():
            one = _Metric(name, metric, bootstrap, _reader(name, metric, folders, digests), config.context)
            of_arms, of_pairs = one.numbers(seeds, trainings)
            rows += of_arms
            differences += of_pairs
            by_seed |= one.by_seed
            advance(1)
    compared = {_minus(pair): _seeds_of(paired) for pair, paired in trainings.items()}
    facts = {
        arm: {"label_f1": float(np.mean(found))} for arm in arms if (found := [label_f1[run] for run in folders if run[0] == arm and run in label_f1])
    }
    counts = {"cases": len(cases.ids), "patients": bootstrap.patients}
    dataset = config.dataset.partition(":")[0]
    return Numbers(
        tuple(rows), tuple(differences), by_seed, {**seeds, **compared}, dict(titles), counts, note, config.level, config.draws, facts, dataset
    )


def _trainings(pair: tuple[str, str], seeds: Mapping[str, Sequence[int]], trained: Collection[str]) -> list[tuple[int, int]]:
    """Which seed of the one arm is set against which of the other. Raises ``UserError``."""
    try:
        first, second = (seeds[arm] for arm in pair)
        if set(pair) <= set(trained) and (shared := [seed for seed in first if seed in second]):
            return [(seed, seed) for seed in shared]  # one that lost all seeds but one is not one that was trained once
        return paired_seeds(first, second)
    except KeyError as error:
        raise UserError(f"the difference {_minus(pair)} was asked, and there is no arm {error}; there are: {', '.join(seeds)}") from None
    except ValueError as error:
        raise UserError(f"{_minus(pair)}: {error}") from None


def _measure_cases(
    folders: Mapping[Run, ModelFolder], cases: Cases, metrics: Mapping[str, Metric], config: RunConfig, llm: LanguageModels | None
) -> tuple[dict[Run, str], dict[Run, float]]:
    """See to it that every run has its statistics; of each run the digest of its reports and, where it was told labels, their F1."""
    is_anew = llm is not None and llm.manner.refresh
    here, asking = ({name: metric for name, metric in metrics.items() if asks(metric) == asked} for asked in (False, True))
    digests: dict[Run, str] = {}
    label_f1: dict[Run, float] = {}
    lesions: list[Lesions] = []
    texts: dict[Run, list[Report]] = {}
    step = max(1, READ_TOGETHER // max(1, len(cases.ids)))
    runs = list(folders)
    for start in range(0, len(runs), step):
        part = runs[start : start + step]
        with ExitStack() as held:
            for folder in dict.fromkeys(folders[run].path.parent for run in part):
                held.enter_context(opened(folder))  # nobody writes into it meanwhile
            reports = {run: _reports(folders[run], cases) for run in part}
            _measured(here, cases, reports, folders, config, is_anew=is_anew)
        for run, written in reports.items():
            digests[run] = digest_of(written, cases.references)
            if any("told" in report.details for report in written) and is_told(read_json(folders[run].path / "model.json")):
                lesions = lesions or _lesions(cases, config, llm)
                label_f1[run] = told_f1(written, lesions)
            if asking:
                texts[run] = [replace(report, regions={}, details={}) for report in written]
    if asking:  # all at once: handed in as batches, one after another would each take a day
        _measured(asking, cases, texts, folders, config, is_anew=is_anew)
    return digests, label_f1


def _measured(
    metrics: Mapping[str, Metric],
    cases: Cases,
    reports: Mapping[Run, Sequence[Report]],
    folders: Mapping[Run, ModelFolder],
    config: RunConfig,
    *,
    is_anew: bool,
) -> None:
    """Measure what the folders do not have, and keep it there."""
    labels = {run: f"{run[0]} of seed {run[1]}" for run in reports}
    texts, places = {labels[run]: written for run, written in reports.items()}, {labels[run]: folders[run] for run in reports}
    if metrics:
        measure_all(metrics, cases.references, texts, replace(config, metrics=tuple(metrics)), places, is_anew=is_anew)


def _reports(folder: ModelFolder, cases: Cases) -> list[Report]:
    """One report per case, in their order. Raises ``NotGenerated``."""
    reports = folder.reports()
    if [report.case_id for report in reports] != cases.ids:
        raise NotGenerated(
            f"{folder.path} is to have a report for each of {len(cases.ids):,} cases, in their order, and has {len(reports):,}; "
            f"type the command that makes it again: it goes on where it stopped"
        )
    return reports


def _lesions(cases: Cases, config: RunConfig, llm: LanguageModels | None) -> list[Lesions]:
    """What the run's labeller reads in the references; nothing in one without text."""
    given = {"seed": config.seed, "device": config.device, "llm": llm}
    labeller = labeller_named(config.labeller, registry.options_of(config.options, config.labeller), given)
    unique = [text for text in dict.fromkeys(cases.references) if text.strip()]
    known = dict(zip(unique, label_texts(labeller, unique), strict=True))
    return [known.get(text, ()) for text in cases.references]


def _reader(name: str, metric: Metric, folders: Mapping[Run, ModelFolder], digests: Mapping[Run, str]) -> Callable[[Run], np.ndarray]:
    """Reads the (n, k) statistics that a run keeps."""

    def read(run: Run) -> np.ndarray:
        kept = folders[run].read_statistics(name, made_of(metric, digests[run]))
        if kept is None:
            raise DamagedRun(f"the statistics of {name} in {folders[run].path} were there a moment ago and are not now; type the same command again")
        return kept

    return read


class _Resampled(NamedTuple):
    """The numbers of one run, over some of its cases."""

    values: dict[str, float]
    drawn: dict[str, np.ndarray]
    """(R,) each"""


class _Counts(NamedTuple):
    """What entered a number."""

    scored: int
    unscored: int
    patients: int


class _Metric:
    """One metric of all arms; the numbers of a run are made when they are first asked for."""

    def __init__(self, name: str, metric: Metric, bootstrap: PatientBootstrap, read: Callable[[Run], np.ndarray], context: str) -> None:
        self._name, self._metric, self._bootstrap, self._read = name, metric, bootstrap, read
        self._signature = with_field(metric.signature(), "context", context)
        self._ranges: Mapping[str, tuple[float, float]] = getattr(metric, "ranges", {})
        self._is_scored: dict[Run, np.ndarray] = {}
        self._of: dict[tuple[Run, bytes], _Resampled] = {}
        self.by_seed: dict[Key, tuple[float, ...]] = {}

    def numbers(
        self, seeds: Mapping[str, Sequence[int]], trainings: Mapping[tuple[str, str], Sequence[tuple[int, int]]]
    ) -> tuple[list[Row], list[Row]]:
        """Rows of the arms, and of the pairs; ``by_seed`` is filled on the way."""
        alone = {arm: self._read((arm, of_arm[0])) for arm, of_arm in seeds.items() if len(of_arm) == 1}
        once = [pair for pair, paired in trainings.items() if len(paired) == 1]
        # Of an arm of several seeds a pair may have but one: that training then stands under a name of its own.
        names: dict[tuple[str, str], tuple[str, str]] = {}
        for first, second in once:
            runs = list(zip((first, second), trainings[first, second][0], strict=True))
            one, other = (arm if len(seeds[arm]) == 1 else f"{arm}, seed {seed}" for arm, seed in runs)
            names[first, second] = one, other
            alone |= {name: self._read(run) for name, run in zip((one, other), runs, strict=True) if name not in alone}
        (single,) = self._bootstrap.compare([Measured(alone, self._metric.values)], list(names.values()))
        del alone
        rows: list[Row] = []
        for arm, of_arm in seeds.items():
            if found := single.scores.get(arm):
                counts = _Counts(found.scored, found.unscored, found.patients)
                rows += [self._row(arm, name, (one.value,), one, counts) for name, one in found.estimates.items()]
            else:
                runs = [(arm, seed) for seed in of_arm]
                masks = [self._mask(run) for run in runs]
                rows += self._over_seeds(arm, [self._resampled(run, mask) for run, mask in zip(runs, masks, strict=True)], masks, is_tested=False)
        differences: list[Row] = []
        for pair, paired in trainings.items():
            if apart := single.differences.get(names.get(pair, pair)):
                counts = _Counts(apart.scored, apart.unscored, apart.patients)
                differences += [self._row(_minus(pair), name, (two.value,), two, counts) for name, two in apart.estimates.items()]
            else:
                runs_of = [((pair[0], first), (pair[1], second)) for first, second in paired]
                masks = [self._mask(first) & self._mask(second) for first, second in runs_of]
                both = [[self._resampled(run, mask) for run in runs] for runs, mask in zip(runs_of, masks, strict=True)]
                differences += self._over_seeds(_minus(pair), [_apart(*one) for one in both], masks, is_tested=True)
        return rows, differences

    def _over_seeds(self, model: str, of_seeds: Sequence[_Resampled], masks: Sequence[np.ndarray], *, is_tested: bool) -> Iterator[Row]:
        fewest = min(masks, key=lambda mask: int(mask.sum()))
        counts = _Counts(int(fewest.sum()), int((~fewest).sum()), self._bootstrap.patients_among(fewest))
        for name in of_seeds[0].values:
            values = np.array([one.values[name] for one in of_seeds])
            found = over_seeds(values, np.column_stack([one.drawn[name] for one in of_seeds]), counts.patients, self._bootstrap.level)
            least, most = (-np.inf, np.inf) if is_tested else self._ranges.get(name, (-np.inf, np.inf))
            low, high = (float(np.clip(end, least, most)) for end in (found.low, found.high))
            yield self._row(model, name, tuple(values.tolist()), found if is_tested else Estimate(found.value, low, high), counts)

    def _row(self, model: str, name: str, of_seeds: tuple[float, ...], found: Estimate | Difference | OverSeeds, counts: _Counts) -> Row:
        self.by_seed[model, self._name, name] = of_seeds
        tested = {} if isinstance(found, Estimate) else {"p_value": found.p_value, "detectable": found.detectable}
        how = {"patients": counts.patients, **tested, **presented(self._metric, name)}
        return Row(model, self._name, name, *found[:3], counts.scored, counts.unscored, self._signature, **how)

    def _mask(self, run: Run) -> np.ndarray:
        """(n,) True where the run's case was scored."""
        if run not in self._is_scored:
            self._resampled(run, None)
        return self._is_scored[run]

    def _resampled(self, run: Run, wanted: np.ndarray | None) -> _Resampled:
        """The numbers of a run over the wanted cases, over all that it scored if None."""
        if wanted is not None and (found := self._of.get((run, wanted.tobytes()))) is not None:
            return found
        rows, is_scored = scored_rows(self._read(run))
        self._is_scored[run] = is_scored
        chosen = is_scored if wanted is None else wanted
        sums = self._bootstrap.sums_of(rows if (chosen == is_scored).all() else np.where(chosen[:, None], rows, 0.0))
        values, drawn = (self._metric.values(one) for one in (sums.sum(axis=0), self._bootstrap.resample(sums)))
        made = _Resampled({name: float(value) for name, value in values.items()}, {name: np.asarray(one) for name, one in drawn.items()})
        self._of[run, chosen.tobytes()] = made
        return made


def _apart(first: _Resampled, second: _Resampled) -> _Resampled:
    """First minus second, 0 where they are equal but for the order of summation."""
    values = {name: float(_minus_noise(np.array(value), np.array(second.values[name]))) for name, value in first.values.items()}
    return _Resampled(values, {name: _minus_noise(drawn, second.drawn[name]) for name, drawn in first.drawn.items()})


def _minus_noise(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    difference = first - second
    return np.where(np.abs(difference) <= NOISE * np.maximum(np.abs(first), np.abs(second)), 0.0, difference)


def _minus(pair: tuple[str, str]) -> str:
    return f"{pair[0]} - {pair[1]}"


def _seeds_of(trainings: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The seeds that a difference is over: of both arms, or of the one that was trained several times."""
    firsts, seconds = zip(*trainings, strict=True)
    return tuple(seconds if len(set(firsts)) < len(set(seconds)) else firsts)
