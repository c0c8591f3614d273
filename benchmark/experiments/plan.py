"""From experiments to steps: each one command that a person could type, each needed once however many arms share it.

Detector and classifiers are trained once. Stage 1 is trained once for all arms that differ only in stage 2, and one training serves all arms that
differ only in what the model is told when it writes. What is left is one folder of reports for each arm and seed.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark import registry
from benchmark.experiments.definitions import Arm, Definitions, Experiment
from benchmark.labelling.choose import known_labellers
from benchmark.records import UserError

FIRST_SEED = 42
TRAINED = "clala"
"""the model that an arm without one is"""


class SameName(UserError):
    """Two steps of a plan that would do different things under one name."""


@dataclass(frozen=True)
class Step:
    """One command."""

    name: str
    """of its log and its record: ``stage1-main-42``"""
    words: tuple[str, ...]
    """behind ``python -m benchmark``"""
    out: Path
    """the folder that it fills"""
    needs: tuple[str, ...] = ()
    """steps that must be done before"""
    minutes: float = 1.0
    """estimated"""
    kind: str = ""
    """detector, classifier, stage1, stage2, generate"""

    @property
    def command(self) -> str:
        """As a person would type it."""
        return shlex.join(["python", "-m", "benchmark", *self.words])


@dataclass(frozen=True)
class Plan:
    """All steps in an order in which they can be done, and the folders of reports that they lead to."""

    steps: tuple[Step, ...]
    runs: Mapping[str, Mapping[int, Path]]
    """arm -> seed -> its folder of reports"""
    experiments: tuple[Experiment, ...]
    measure_minutes: float = 0.0

    def minutes(
        self, jobs: int, done: frozenset[str] = frozenset(), *, took: Mapping[str, float] | None = None, begun: Mapping[str, float] | None = None
    ) -> float:
        """Estimated, of what is not done, so many steps at a time: no less than the longest chain of steps.

        took   step -> seconds that it took, of those that were done here: how fast this machine is at each kind of step
        begun  step -> minutes that it has been at work
        """
        pace = self._pace(took or {})
        left = {
            step.name: max(0.0, step.minutes * pace.get(step.kind, 1.0) - (begun or {}).get(step.name, 0.0))
            for step in self.steps
            if step.name not in done
        }
        chain: dict[str, float] = {}
        for step in self.steps:
            if step.name in left:
                chain[step.name] = left[step.name] + max((chain[name] for name in step.needs if name in chain), default=0.0)
        return max(sum(left.values()) / jobs, max(chain.values(), default=0.0)) + self.measure_minutes

    def _pace(self, took: Mapping[str, float]) -> dict[str, float]:
        """Kind -> how many times its estimate a step takes here.

        Damped, since one step is no measurement: each kind's as if one more of it had gone at the pace of all, which is as if one more had gone as
        estimated.
        """
        known = [(step, took[step.name] / 60) for step in self.steps if step.name in took and step.minutes > 0]
        everywhere = _damped([(step.minutes, minutes) for step, minutes in known], 1.0)
        kinds = {step.kind for step in self.steps}
        return {kind: _damped([(step.minutes, minutes) for step, minutes in known if step.kind == kind], everywhere) for kind in kinds}


@dataclass(frozen=True)
class Setting:
    """What all steps of a plan share."""

    dataset: str
    """as typed: ``phantom``, ``chest_imagenome:/data/physionet``"""
    out: Path
    """the folder of everything"""
    seeds: int = 3
    """trainings of each network"""
    labels: str = "rules"
    """who labels lesions, in training and when they are told"""
    device: str = "auto"
    options: Mapping[str, str] = field(default_factory=dict)
    """``phantom.test`` -> ``40``: of the dataset, of language models, of labellers, of arms by name, and under ``clala`` of every trained arm.

    A labeller and an arm may share a name (chexbert): settings that the labeller has are its own, others are the arm's.
    """
    choice: tuple[str, ...] = ()
    """words that choose cases: ``("--limit", "50")``"""


def plan(definitions: Definitions, experiments: Sequence[Experiment], setting: Setting) -> Plan:
    """The steps of some experiments; those of a model that is not trained here are one run each."""
    maker = _Maker(definitions, setting)
    names = tuple(dict.fromkeys(arm for experiment in experiments for arm in (*experiment.arms, *(one for pair in experiment.pairs for one in pair))))
    seeds = range(FIRST_SEED, FIRST_SEED + setting.seeds)
    runs: dict[str, dict[int, Path]] = {name: {} for name in names}
    # All arms of a seed before the next seed: whoever stops early has whole comparisons.
    for seed in seeds:
        for name in names:
            arm = definitions.arms[name]
            if arm.model and seed != FIRST_SEED:
                continue  # its weights are what they are: another seed would write the same reports
            runs[name][seed] = maker.reports(arm, seed)
    return Plan(tuple(maker.steps.values()), runs, tuple(experiments), definitions.profile.minutes.get("measure", 1.0))


class _Maker:
    """Steps, each made when it is first asked for."""

    def __init__(self, definitions: Definitions, setting: Setting) -> None:
        self._profile, self._setting = definitions.profile, setting
        self._arms, self._names = tuple(definitions.arms.values()), frozenset(definitions.arms)
        self._trained = [arm for arm in self._arms if not arm.model]
        self.steps: dict[str, Step] = {}

    def reports(self, arm: Arm, seed: int) -> Path:
        """The folder of the reports of an arm."""
        folder = self._setting.out / "reports" / f"{arm.name}-{seed}"
        needs: tuple[str, ...] = ()
        if arm.model:
            model = f"{arm.name}={arm.model}"
        else:
            weights = self._stage2(arm, seed)
            model, needs = f"{arm.name}=clala:{weights.out}", (weights.name,)
        name = registry.parse_spec(self._setting.dataset).name
        settings = {f"{arm.name}.{key}": value for key, value in arm.told.items()} | {f"{name}.{key}": value for key, value in arm.dataset.items()}
        own = registry.parse_spec(arm.model).name if arm.model else TRAINED
        settings |= self._options(arm.name, own, name, "llm") | self._of_labeller(arm.told.get("lesions", ""))
        grant = ("--grant", ",".join(arm.grant)) if arm.grant else ()
        words = ("generate", "--models", model, *self._shared(seed), *self._setting.choice, *grant, *_set(settings), "--out", str(folder))
        self._add(Step(f"reports-{arm.name}-{seed}", words, folder, needs, self._minutes("generate") * arm.cost, "generate"))
        return folder

    def _stage2(self, arm: Arm, seed: int) -> Step:
        """The weights of an arm: of the first arm that is trained so."""
        first = self._stage1(arm, seed)
        name = self._first_like(arm, _network)
        settings = {**self._profile.settings, **arm.network, **arm.stage2, "epochs_stage1": "0"}
        words = (*self._training(arm, seed, settings), "--start", str(first.out))
        return self._weights(f"stage2-{name}-{seed}", "stage2", words, (first.name,), arm.cost)

    def _stage1(self, arm: Arm, seed: int) -> Step:
        name = self._first_like(arm, _start)
        settings = {**self._profile.settings, **arm.network, "epochs_stage2": "0"}
        parts = self._detector(), self._classifier(arm.labels or self._setting.labels)
        words = (*self._training(arm, seed, settings), "--no-half")
        return self._weights(f"stage1-{name}-{seed}", "stage1", words, tuple(part.name for part in parts), arm.cost)

    def _training(self, arm: Arm, seed: int, settings: Mapping[str, str]) -> tuple[str, ...]:
        labels = arm.labels or self._setting.labels
        given = {"labels": labels, **self._profile.train, "settings": _settings({**self._profile.part_settings, **settings})}
        given |= {"detector": str(self._detector().out), "classifier": str(self._classifier(labels).out), "crops": str(self._setting.out / "crops")}
        return ("train", "clala", *self._shared(seed), *self._set_in_training(labels), *_flags(given))

    def _detector(self) -> Step:
        given = {**self._profile.detector, **_some_settings(self._profile.part_settings)}
        words = ("train", "detector", *self._shared(FIRST_SEED), *self._set_in_training(), *_flags(given))
        return self._weights("detector", "detector", words, (), 1.0)

    def _classifier(self, labels: str) -> Step:
        given = {"labels": labels, **self._profile.classifier, **_some_settings(self._profile.part_settings)}
        words = ("train", "classifier", *self._shared(FIRST_SEED), *self._set_in_training(labels), *_flags(given))
        kind, colon, _ = labels.partition(":")
        called = f"{kind}-{hashlib.sha256(labels.encode()).hexdigest()[:8]}" if colon else kind  # two files of labels are two classifiers
        name = "classifier" if labels == self._setting.labels else f"classifier-{called}"
        return self._weights(name, "classifier", words, (), 1.0)

    def _weights(self, name: str, kind: str, words: tuple[str, ...], needs: tuple[str, ...], cost: float) -> Step:
        out = self._setting.out / "weights" / name
        return self._add(Step(name, (*words, "--out", str(out)), out, needs, self._minutes(kind) * cost, kind))

    def _shared(self, seed: int) -> tuple[str, ...]:
        return ("--dataset", self._setting.dataset, "--seed", str(seed), "--device", self._setting.device)

    def _set_in_training(self, labels: str = "") -> tuple[str, ...]:
        """The settings of a training: of the dataset, of language models, and of the labeller if it has one."""
        return _set(self._options(registry.parse_spec(self._setting.dataset).name, "llm") | self._of_labeller(labels))

    def _options(self, *names: str) -> dict[str, str]:
        return settings_of_things(self._setting.options, names, labellers_of(self._arms, self._setting.labels))

    def _of_labeller(self, labels: str) -> dict[str, str]:
        return settings_of_labeller(self._setting.options, labels, self._names)

    def _first_like(self, arm: Arm, key: Callable[[Arm], object]) -> str:
        """What is shared is called by the first arm of the file that has it: the same name, whichever experiments are asked for."""
        return next(one.name for one in self._trained if key(one) == key(arm))

    def _minutes(self, kind: str) -> float:
        return self._profile.minutes.get(kind, 1.0)

    def _add(self, step: Step) -> Step:
        found = self.steps.setdefault(step.name, step)
        if found.words != step.words:
            raise SameName(f"two different steps would be called {step.name}: `{found.command}` and `{step.command}`; give their arms other names")
        return found


def labellers_of(arms: Iterable[Arm], labels: str) -> tuple[str, ...]:
    """The labellers that read reports for these arms: ``labels`` and those that arms learn from or are told by; each once, files left out."""
    named = (labels, *(name for arm in arms for name in (arm.labels, arm.told.get("lesions", ""))))
    return tuple(dict.fromkeys(name for name in named if name in known_labellers()))


def settings_of_things(options: Mapping[str, str], names: Collection[str], labellers: Collection[str]) -> dict[str, str]:
    """The settings of things of these names, but for those that are a labeller's of the same name."""
    found = {}
    for key, value in options.items():
        name, _, option = key.partition(".")
        if name in names and not (name in labellers and option in _known_to(name)):
            found[key] = value
    return found


def settings_of_labeller(options: Mapping[str, str], labels: str, arms: Collection[str]) -> dict[str, str]:
    """The settings of a labeller, none of a file of labels; where an arm has its name, those that the labeller has."""
    if labels not in known_labellers():
        return {}
    given = {key: value for key, value in options.items() if key.partition(".")[0] == labels}
    return {key: value for key, value in given.items() if labels not in arms or key.partition(".")[2] in _known_to(labels)}


def _known_to(labeller: str) -> frozenset[str]:
    who = f"labeller {labeller!r}"
    settings = registry.settings_of(registry.load().entry("labellers", labeller).factory, who, available=("device", "seed", "llm"))
    return frozenset(setting.name for setting in settings)


def _damped(pairs: Sequence[tuple[float, float]], before: float) -> float:
    """How many times the estimates was taken, pulled towards what was believed before as if by one more pair of the usual size."""
    estimated = sum(pair[0] for pair in pairs)
    usual = estimated / len(pairs) if pairs else 1.0
    return (sum(pair[1] for pair in pairs) + before * usual) / (estimated + usual)


def _start(arm: Arm) -> object:
    """What decides stage 1."""
    return dict(arm.network), arm.labels


def _network(arm: Arm) -> object:
    """What decides the weights."""
    return _start(arm), dict(arm.stage2)


def _set(settings: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(word for key, value in settings.items() for word in ("--set", f"{key}={value}"))


def _flags(settings: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(word for key, value in settings.items() for word in (f"--{key.replace('_', '-')}", value))


def _settings(settings: Mapping[str, str]) -> str:
    return ";".join(f"{key}={value}" for key, value in settings.items())


def _some_settings(settings: Mapping[str, str]) -> dict[str, str]:
    return {"settings": _settings(settings)} if settings else {}
