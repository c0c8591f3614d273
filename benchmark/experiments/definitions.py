"""An experiment as data: which arms it sets side by side, how each is trained and told, which printed table it stands beside.

Read from ``clala_net.toml`` beside this file (Tables 1 to 5, Figure 3, S1 to S4 of Noh, Pi, Lee 2026), or from a file of one's own of that shape.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from benchmark import registry
from benchmark.records import UserError
from benchmark.tables.printed import printed_names, read_printed

PAPER = Path(__file__).with_name("clala_net.toml")
NAME = r"\w[\w.-]*"
Layout = Literal["lesions", "quality", "factors", "curve", "axes"]


class BadDefinitions(UserError):
    """A file of experiments that cannot be read, or contradicts itself; the message names file and entry."""


@dataclass(frozen=True)
class Arm:
    """One way of writing reports."""

    name: str
    """as files and numbers name it: ``llcl_only``"""
    title: str
    """as tables print it: ``LLCL only``"""
    model: str = ""
    """a registered model, ``name`` or ``name:argument``; empty = CLALA-Net, trained here"""
    network: Mapping[str, str] = field(default_factory=dict)
    """settings of configuration and recipe in which its training differs, in both stages: ``{"lca": "false"}``"""
    stage2: Mapping[str, str] = field(default_factory=dict)
    """settings of stage 2 alone; stage 1 is shared with the arms that differ in nothing else"""
    labels: str = ""
    """who labels the lesions that it and its classifier learn from; empty = whoever labels elsewhere in the experiment"""
    told: Mapping[str, str] = field(default_factory=dict)
    """settings of the model when it writes: ``{"lesions": "truth", "label_f1": "0.70"}``"""
    dataset: Mapping[str, str] = field(default_factory=dict)
    """settings of the dataset when it writes: ``{"boxes": "truth"}``"""
    grant: tuple[str, ...] = ()
    """what the run grants: ``("lesions",)``"""
    cost: float = 1.0
    """how many times the usual time it takes, for the plan"""


@dataclass(frozen=True)
class Line:
    """One line (or column) of a table: an arm, and what the printed table calls it."""

    arm: str
    """name of the arm"""
    printed: Mapping[str, str] = field(default_factory=dict)
    """columns of the printed CSV that pick its rows: ``{"config": "llcl_only"}``; empty = nothing is printed of it"""
    title: str = ""
    """in this table; empty = the arm's"""
    group: str = ""
    """the factor that it is a level of, in a table by factors"""


@dataclass(frozen=True)
class Experiment:
    """One table or figure."""

    name: str
    """``table2b``, ``figure3``, ``s1``: of its files"""
    number: str
    """``Table 2b``"""
    title: str
    """in words"""
    layout: Layout
    """lesions = P, R, F1 by lesion; quality = Table 2a's columns; factors = Table 5; curve = Figure 3; axes = the judge's four axes"""
    lines: tuple[Line, ...]
    """in the order of print"""
    pairs: tuple[tuple[str, str], ...] = ()
    """arms whose difference the table is about, first minus second"""
    reported: str = ""
    """the file of printed numbers, ``table2b``; empty = none was printed"""
    note: str = ""
    """what must be known of its arms, first under the table"""

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that it needs, each once."""
        return tuple(dict.fromkeys(line.arm for line in self.lines))


@dataclass(frozen=True)
class Profile:
    """How large, and on what."""

    name: str
    about: str
    """in words, for the plan"""
    detector: Mapping[str, str]
    """settings of ``train detector``"""
    classifier: Mapping[str, str]
    """settings of ``train classifier``"""
    train: Mapping[str, str]
    """settings of ``train clala``"""
    settings: Mapping[str, str] = field(default_factory=dict)
    """of configuration and recipe, for every training of the network"""
    part_settings: Mapping[str, str] = field(default_factory=dict)
    """of configuration and recipe, for classifier and detector"""
    models: tuple[str, ...] = ()
    """beside CLALA-Net in Tables 1 and 2a"""
    values: Mapping[str, str] = field(default_factory=dict)
    """what $NAME stands for"""
    minutes: Mapping[str, float] = field(default_factory=dict)
    """of one step of each kind, on one core or one GPU, for the plan"""


@dataclass(frozen=True)
class Definitions:
    """A file of experiments, with every $NAME filled."""

    profile: Profile
    arms: Mapping[str, Arm]
    experiments: Mapping[str, Experiment]
    digest: str
    """of the file's content"""


def read_definitions(profile: str, *, labels: str = "rules", models: Sequence[str] = (), path: Path = PAPER) -> Definitions:
    """The experiments of a file, for a profile of it.

    ``labels`` says who labels lesions ($labels), ``models`` which stand beside CLALA-Net ($models; the profile's if none is given).
    Raises ``BadDefinitions``.
    """
    try:
        content = path.read_bytes()
        raw = tomllib.loads(content.decode())
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no TOML, or a number or a date that is none
        raise BadDefinitions(f"cannot read the experiments of {path.name}: {error}") from error
    profiles = _table(raw.get("profile", {}), f"{path.name}: profile")
    if profile not in profiles:
        raise BadDefinitions(f"no profile named {profile!r} in {path.name}; it has: {', '.join(profiles) or 'none'}")
    where = f"{path.name}: profile.{profile}"
    sized: Profile = _made(Profile, {"name": profile, **_table(profiles[profile], where)}, where)
    sized = replace(sized, models=tuple(models) or sized.models)
    values = {**sized.values, "labels": labels}
    names = read_printed("table1").models  # the whole folder has them
    entries = _table(raw.get("arm", {}), f"{path.name}: arm")
    arms = {name: _arm(name, entry, values, f"{path.name}: arm.{name}") for name, entry in entries.items()}
    beside = [_model(word, names, where) for word in sized.models]
    for word, arm in zip(sized.models, beside, strict=True):
        if arm.name in arms:
            raise BadDefinitions(f"{where}: {word!r} would be an arm named {arm.name!r}, and there is one; call it otherwise: LABEL={word}")
        arms[arm.name] = arm
    experiments = {}
    for entry in _list(raw.get("experiment", []), f"{path.name}: experiment"):
        one = _experiment(_table(entry, f"{path.name}: experiment"), beside, arms, names, values, path.name)
        if one.name in experiments:
            raise BadDefinitions(f"{path.name}: two experiments are named {one.name!r}; give each its own name")
        experiments[one.name] = one
    if not experiments:
        raise BadDefinitions(f"{path.name} has no [[experiment]]; see clala_net.toml for the shape")
    return Definitions(sized, arms, experiments, hashlib.sha256(content).hexdigest())


def chosen_experiments(definitions: Definitions, words: Iterable[str]) -> tuple[Experiment, ...]:
    """Those that are named, each once; ``all`` for every one. Raises ``UserError`` for one that there is not."""
    names = [name for word in words for name in word.split(",") if name]
    if "all" in names:
        return tuple(definitions.experiments.values())
    if unknown := [name for name in names if name not in definitions.experiments]:
        raise UserError(f"no experiment named {unknown[0]!r}; there is: {', '.join(definitions.experiments)}, or all")
    if not names:
        raise UserError(f"reproduce names no experiment; there is: {', '.join(definitions.experiments)}, or all")
    return tuple(definitions.experiments[name] for name in dict.fromkeys(names))


def _arm(name: str, entry: Mapping[str, Any], values: Mapping[str, str], where: str) -> Arm:
    arm: Arm = _made(Arm, {"name": name, **_filled(_table(entry, where), values, where)}, where)
    if arm.model:
        _spec(arm.model, where)
    return arm


def _model(word: str, names: Mapping[str, str], where: str) -> Arm:
    """The arm of a model that is named as on the command line: ``r2gen``, ``ours=command:'./ours --temp=0.5'``."""
    spec = _spec(word, where)
    is_labelled = spec.label != word
    name = spec.label if is_labelled else spec.name
    made: Arm = _made(
        Arm, {"name": name, "title": names.get(spec.name, name), "model": word.removeprefix(f"{name}=") if is_labelled else word}, where
    )
    return made


def _spec(word: str, where: str) -> registry.Spec:
    try:
        return registry.parse_spec(word)
    except UserError as error:
        raise BadDefinitions(f"{where}: {error}") from error


def _experiment(
    entry: Mapping[str, Any], beside: Sequence[Arm], arms: Mapping[str, Arm], names: Mapping[str, str], values: Mapping[str, str], file: str
) -> Experiment:
    where = f"{file}: experiment {entry.get('name', '?')!r}"
    lines: list[Line] = []
    for line in _list(entry.get("lines", []), f"{where}: lines"):
        if line == "$models":
            lines += [Line(arm.name, {"model": printed} if (printed := _printed(arm, names)) else {}) for arm in beside]
        elif isinstance(line, str):
            lines.append(Line(line))
        else:
            lines.append(_made(Line, _filled(_table(line, f"{where}: a line"), values, where), where))
    words = entry.get("pairs", [])
    words = [words] if isinstance(words, str) else _list(words, f"{where}: pairs")
    if wrong := [word for word in words if not isinstance(word, str)]:
        raise BadDefinitions(f"{where}: the pair {wrong[0]!r} is not text, ARM - ARM")
    pairs = [one for word in words for one in ([word.replace("$models", arm.name) for arm in beside] if "$models" in word else [word])]
    split = [tuple(part.strip() for part in pair.split(" - ")) for pair in pairs]
    if wrong := [pair for pair, parts in zip(pairs, split, strict=True) if len(parts) != 2]:
        raise BadDefinitions(f"{where}: the pair {wrong[0]!r} is not written ARM - ARM")
    one: Experiment = _made(Experiment, {**_filled(entry, values, where), "lines": tuple(lines), "pairs": tuple(split)}, where)
    if one.layout not in get_args(Layout):
        raise BadDefinitions(f"{where}: no layout named {one.layout!r}; there is: {', '.join(get_args(Layout))}")
    if unknown := [arm for arm in (*one.arms, *(arm for pair in one.pairs for arm in pair)) if arm not in arms]:
        raise BadDefinitions(f"{where}: no arm named {unknown[0]!r}; there is: {', '.join(arms)}")
    if one.reported and one.reported not in (there := printed_names()):
        raise BadDefinitions(f"{where}: no printed table {one.reported!r} to stand beside; there is: {', '.join(there)}")
    return one


def _printed(arm: Arm, names: Mapping[str, str]) -> str:
    return names.get(registry.parse_spec(arm.model).name, "")


def _made(kind: type[Any], entry: Mapping[str, Any], where: str) -> Any:
    """A record of that kind. Raises ``BadDefinitions`` for a field that it does not have, or lacks, or that holds another kind of thing."""
    known = {one.name for one in fields(kind)}
    if unknown := [key for key in entry if key not in known]:
        raise BadDefinitions(f"{where}: no setting named {unknown[0]!r}; there is: {', '.join(sorted(known))}")
    wanted = get_type_hints(kind)
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    for key, value in given.items():
        if words := _unlike(value, wanted[key]):
            raise BadDefinitions(f"{where}: {key} is {entry[key]!r}, and is to be {words}")
    if "name" in known and not re.fullmatch(NAME, name := str(given.get("name", ""))):
        raise BadDefinitions(f"{where}: the name {name!r} is one of files, too; write letters, digits, and _ . - between them")
    try:
        return kind(**given)
    except TypeError as error:
        raise BadDefinitions(f"{where}: {str(error).partition('()')[2].strip() or error}") from error


def _unlike(value: Any, wanted: Any) -> str:
    """What a value is to be, in words; empty if it is."""
    inner = get_args(wanted)
    match get_origin(wanted) or wanted:
        case kind if kind is float:
            is_right, words = not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value < math.inf, "a number, 0 or more"
        case kind if kind is Mapping:
            is_right = isinstance(value, Mapping) and not any(_unlike(one, inner[1]) for one in value.values())
            words = "a table of numbers: { name = 1.0 }" if inner[1] is float else 'a table of texts: { name = "value" }'
        case kind if kind is tuple:
            is_right = isinstance(value, tuple) and (inner[0] is not str or all(isinstance(one, str) for one in value))
            words = 'a list of texts: ["name"]'
        case _:
            is_right, words = isinstance(value, str), 'text: "..."'
    return "" if is_right else words


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadDefinitions(f"{where} is {value!r}, and is to be a table; see clala_net.toml for the shape")
    return value


def _list(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise BadDefinitions(f"{where} is {value!r}, and is to be a list; see clala_net.toml for the shape")
    return value


def _filled(value: Any, values: Mapping[str, str], where: str) -> Any:
    """The value with every $NAME filled, within lists and tables too; $models is left for who knows them."""
    if isinstance(value, Mapping):
        return {key: _filled(inner, values, where) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values, where) for inner in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    for name in sorted(values, key=len, reverse=True):
        value = value.replace(f"${name}", values[name])
    if "$" in value.replace("$models", ""):
        raise BadDefinitions(f"{where}: {value!r} names a value that the profile does not have; it has: {', '.join(values)}")
    return value
