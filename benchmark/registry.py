"""Finds plugins, and turns a name into a thing, or lists what exists.

A thing is named on the command line as ``name``, ``name:argument`` or ``label=name:argument``:
``clala``, ``reports_file:predictions.csv``, ``ours=reports_file:predictions.csv``.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pluggy

from benchmark import hookspecs
from benchmark.records import UserError

KINDS = ("models", "metrics", "datasets", "labellers", "annotators", "trainers")
OURS = ("adapters", "datasets", "labelling", "metrics")
"""the plugins that come with the project"""
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class UnknownName(UserError):
    """A name that no plugin registered; the message lists those that exist."""


class BadPlugin(UserError):
    """A plugin that cannot be used: a misspelt hook, or a name that another plugin has taken."""


class BadOption(UserError):
    """A setting that the thing does not have, or a value that does not fit it."""


class MissingPackage(UserError):
    """The thing needs a package of an extra that is not installed."""


class Spec(NamedTuple):
    """``label=name:argument`` taken apart."""

    label: str
    """how it is called in tables and folders; as typed unless given"""
    name: str
    """the registered name"""
    argument: str
    """what stands behind the colon, or empty"""


class Setting(NamedTuple):
    """One of the settings that a thing has, as a person types and reads it."""

    name: str
    takes: str
    """what values, in words: ``whole number``, ``no | bf16 | fp16``"""
    default: str
    """as it would be typed; empty if the thing decides, ``required`` if it must be given"""


class Lazy(NamedTuple):
    """Something that is made only for a factory that asks for it (a labeller, say)."""

    make: Callable[[], Any]


@dataclass(frozen=True)
class Entry:
    """One registered name."""

    name: str
    """what is typed"""
    factory: Callable[..., Any] | str
    """the callable, or its dotted name ``module:attribute``"""
    summary: str
    """one line for ``list``"""
    plugin: str
    """who registered it"""
    trainer: Callable[..., Any] | str | None = None
    """what ``train`` calls, for models that can be trained here"""


@dataclass(frozen=True)
class Registry:
    """Everything that the installed plugins registered."""

    entries: Mapping[str, Mapping[str, Entry]]
    """kind -> name -> entry, sorted by name"""
    broken: Mapping[str, str] = field(default_factory=dict)
    """plugins that could not be imported -> why; the others work all the same"""

    def entry(self, kind: str, name: str) -> Entry:
        """The entry of a name. Raises ``UnknownName`` with the known ones."""
        known = self.entries[kind]
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            broken = "".join(f"; plugin {plugin!r} could not be loaded: {why}" for plugin, why in self.broken.items())
            raise UnknownName(f"no {kind[:-1]} named {name!r}{hint}; known: {', '.join(known)}{broken}")
        return known[name]

    def check(self, kind: str, spec: Spec, *, available: Mapping[str, Any], options: Mapping[str, str] | None = None) -> None:
        """Raise what ``build`` would raise of a wrong name, argument or setting, and make nothing."""
        entry = self.entry(kind, spec.name)
        bind(entry.factory, f"{kind[:-1]} {spec.name!r}", argument=spec.argument, available=available, options=options or {})

    def build(self, kind: str, spec: Spec, *, available: Mapping[str, Any], options: Mapping[str, str] | None = None) -> Any:
        """Make the thing that ``spec`` names.

        A factory is handed what it asks for by parameter name: ``argument`` (the text behind the colon), the keys of ``available``
        (``training``, ``device``, ``seed``, ``labeller``, ...), and the user's ``options`` for it, converted to the annotated type.
        Raises ``UnknownName``, ``BadOption``, ``MissingPackage``.
        """
        entry = self.entry(kind, spec.name)
        return call(entry.factory, f"{kind[:-1]} {spec.name!r}", argument=spec.argument, available=available, options=options or {})


@lru_cache(maxsize=1)
def load() -> Registry:
    """The registry of this process. Raises ``BadPlugin``."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    broken: dict[str, str] = {}
    for point in sorted(metadata.entry_points(group=hookspecs.PROJECT), key=lambda point: (point.name, point.value)):
        if manager.has_plugin(point.name):  # an editable install can list its entry points twice
            continue
        try:
            manager.register(point.load(), name=point.name)
        except (Exception, SystemExit) as error:  # whatever a foreign module does when it is imported must not stop the others
            broken[point.name] = f"{type(error).__name__}: {error}"
    if lacking := [name for name in OURS if name not in broken and not manager.has_plugin(name)]:
        found = ", ".join(sorted(name for name, _ in manager.list_name_plugin())) or "none"
        raise BadPlugin(
            f"our own plugin {lacking[0]!r} is not among the installed entry points, found {found}: "
            "clala-benchmark was installed before that plugin was there, or not at all; install it again: pip install -e ."
        )
    return collect(manager, broken)


def collect(manager: pluggy.PluginManager, broken: Mapping[str, str] | None = None) -> Registry:
    """Ask every plugin of a manager what it registers. Raises ``BadPlugin``."""
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        hooks = ", ".join(f"register_{kind}" for kind in KINDS)
        raise BadPlugin(f"plugin {manager.get_name(error.plugin)!r}: {' '.join(str(error).split())}; the hooks are {hooks}") from error
    plugins = sorted(manager.list_name_plugin())
    entries: dict[str, dict[str, Entry]] = {}
    for kind in KINDS:
        found: dict[str, Entry] = {}
        for name, plugin in plugins:
            others = [other for _, other in plugins if other is not plugin]
            manager.subset_hook_caller(f"register_{kind}", remove_plugins=others)(register=_callback(found, kind, name))
        entries[kind] = found
    _add_trainers_of_models(entries)
    entries = {kind: dict(sorted(found.items())) for kind, found in entries.items()}
    return Registry(entries, dict(broken or {}))


def _add_trainers_of_models(entries: Mapping[str, dict[str, Entry]]) -> None:
    """A model that can be trained is a trainer too, by the same name."""
    for name, model in entries["models"].items():
        if model.trainer is None:
            continue
        if name in entries["trainers"]:
            other = entries["trainers"][name].plugin
            raise BadPlugin(
                f"trainer {name!r} is registered by plugin {other!r}, and model {name!r} of {model.plugin!r} brings one: rename one of them"
            )
        entries["trainers"][name] = Entry(name, model.trainer, model.summary, model.plugin)


def _callback(found: dict[str, Entry], kind: str, plugin: str) -> hookspecs.Register:
    def register(name: str, factory: Callable[..., Any] | str, *, summary: str = "", trainer: Callable[..., Any] | str | None = None) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name):
            raise BadPlugin(f"plugin {plugin!r} registers {kind[:-1]} {name!r}: a name is lower-case letters, digits and _")
        if name in found:
            raise BadPlugin(f"{kind[:-1]} {name!r} is registered by plugin {found[name].plugin!r} and by {plugin!r}: rename one of them")
        found[name] = Entry(name, factory, summary, plugin, trainer)

    return register


def parse_specs(words: Sequence[str]) -> tuple[Spec, ...]:
    """Specs of comma lists: ``["constant,ours=reports_file:a.csv"]``. A comma inside quotes does not divide. Raises ``UserError``."""
    specs = tuple(parse_spec(part) for part in split_names(words))
    labels = [spec.label for spec in specs]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise UserError(f"{twice[0]!r} is asked for twice; give each its own label: first={twice[0]},second={twice[0]}")
    return specs


BETWEEN = " - "
"""what stands between the two models of a difference, so in no model's own name"""


def check_model_names(names: Iterable[str]) -> None:
    """Raise ``UserError`` for a model's name that could be read as a difference of two, or that no table can hold."""
    for name in names:
        if re.search("[\ud800-\udfff]", name):  # of a file whose name is no UTF-8
            raise UserError(f"a model called {name!r}, with bytes that are no character; give it a label of its own, first=...")
        if BETWEEN in name:
            raise UserError(
                f"a model called {name!r}: {BETWEEN!r} stands between the two models of a difference, so no name can hold it; "
                f"give it another: {name.replace(BETWEEN, '-')!r}, or a label of its own, first=..."
            )


def split_names(words: Sequence[str]) -> tuple[str, ...]:
    """The parts of comma lists, as typed; a comma inside quotes does not divide."""
    parts = (part.strip() for word in words for part in re.findall(r"""(?:[^,"']|"[^"]*"|'[^']*'|["'])+""", word))
    return tuple(part for part in parts if part)


def parse_spec(part: str) -> Spec:
    """One spec taken apart. Raises ``UserError``."""
    found = re.fullmatch(r"(?:(?P<label>[\w.+-]+)=)?(?P<name>[\w-]+)(?::(?P<argument>.*))?", part, re.DOTALL)
    if found is None:
        raise UserError(
            f"cannot read {part!r}; write name, name:argument or label=name:argument, a label of letters, digits, '_', '.', '+' and '-', "
            "a name of letters, digits, '_' and '-'"
        )
    argument = found["argument"] or ""
    if len(argument) > 1 and argument[0] == argument[-1] and argument[0] in "\"'":
        argument = argument[1:-1]
    return Spec(found["label"] or part, found["name"], argument)


def parse_options(words: Sequence[str]) -> dict[str, str]:
    """``["clala.beams=3"]`` -> ``{"clala.beams": "3"}``. Raises ``UserError``."""
    options = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or "." not in key:
            raise UserError(f"cannot read the setting {word!r}; write name.option=value, for example clala.beams=3")
        options[key.strip()] = value.strip()
    return options


def check_options(options: Mapping[str, str], names: Sequence[str]) -> None:
    """Refuse settings of things that take no part: a misspelt name would else change nothing, in silence. Raises ``BadOption``."""
    for key in options:
        if not any(key.startswith(f"{name}.") for name in names):
            near = difflib.get_close_matches(key.rpartition(".")[0], names, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise BadOption(f"the setting {key!r} is for nothing in this run{hint}; it has: {', '.join(dict.fromkeys(names))}")


def options_of(options: Mapping[str, str], *names: str) -> dict[str, str]:
    """The part of all ``options`` that is meant for a thing known by one of ``names``."""
    return {key[len(name) + 1 :]: value for name in names for key, value in options.items() if key.startswith(f"{name}.")}


def call(factory: Callable[..., Any] | str, who: str, *, argument: str, available: Mapping[str, Any], options: Mapping[str, str]) -> Any:
    """Call ``factory`` with those of its parameters that are known; ``who`` is for messages."""
    function, given = bind(factory, who, argument=argument, available=available, options=options)
    try:
        return function(**{name: value.make() if isinstance(value, Lazy) else value for name, value in given.items()})
    except ModuleNotFoundError as error:
        raise _missing(error, who) from error


def bind(
    factory: Callable[..., Any] | str, who: str, *, argument: str, available: Mapping[str, Any], options: Mapping[str, str]
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The callable and what it is to be called with, not called yet. Raises ``BadOption``, ``BadPlugin``, ``MissingPackage``."""
    function = resolve(factory, who)
    parameters = inspect.signature(function).parameters
    hints = _type_hints(function)
    settable = [name for name in parameters if name not in available and name != "argument"]
    if unknown := [name for name in options if name not in parameters or name == "argument"]:
        raise BadOption(f"{who} has no setting {unknown[0]!r}; it has: {', '.join(settable) or 'none'}")
    if argument and "argument" not in parameters:
        raise BadOption(f"{who} takes nothing behind a colon, found {argument!r}")
    given: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name == "argument" and argument:
            given[name] = argument
        elif name in options:
            given[name] = convert(options[name], hints.get(name, str), f"{who}, setting {name}")
        elif name in available:
            given[name] = available[name]
        elif parameter.default is parameter.empty:
            what = f"something behind a colon, {who.split(chr(39))[1]}:..." if name == "argument" else f"the setting {name!r} (--set NAME.{name}=...)"
            raise BadOption(f"{who} needs {what}")
    return function, given


def settings_of(factory: Callable[..., Any] | str, who: str, *, available: Collection[str]) -> list[Setting]:
    """The settings that a user may give, in the order of the signature; ``available`` are the names that are handed over by others."""
    function = resolve(factory, who)
    hints = _type_hints(function)
    return [
        Setting(name, _in_words(hints.get(name, str)), _default_in_words(parameter.default))
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in available and name != "argument" and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def takes_argument(factory: Callable[..., Any] | str, who: str) -> bool:
    """True if the thing cannot be made without something behind a colon."""
    argument = inspect.signature(resolve(factory, who)).parameters.get("argument")
    return argument is not None and argument.default is argument.empty


def takes(factory: Callable[..., Any] | str, who: str, name: str) -> bool:
    """True if the thing is handed ``name`` when it is made."""
    return name in inspect.signature(resolve(factory, who)).parameters


def _in_words(wanted: Any) -> str:
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(_in_words(choice) for choice in typing.get_args(wanted) if choice is not type(None)))
    if origin is Literal:
        return " | ".join(_choices(wanted))
    return {bool: "yes | no", int: "whole number", float: "number", Path: "path"}.get(wanted, "text")


def _choices(wanted: Any) -> list[str]:
    """What a ``Literal`` can be, in words; the empty one stands for leaving the setting away."""
    return [str(choice) for choice in typing.get_args(wanted) if choice != ""]


def _default_in_words(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return "required"
    return "" if default is None else {True: "yes", False: "no"}[default] if isinstance(default, bool) else str(default)


def resolve(factory: Callable[..., Any] | str, who: str) -> Callable[..., Any]:
    """The callable behind a dotted name ``module:attribute``. Raises ``MissingPackage``, ``BadPlugin``."""
    if not isinstance(factory, str):
        return factory
    module, _, attribute = factory.partition(":")
    try:
        thing = importlib.import_module(module)
        for part in attribute.split("."):
            thing = getattr(thing, part)
    except SystemExit as error:  # a library that gives up when it is imported is not to end the command, least of all with status 0
        raise BadPlugin(f"{who} is registered as {factory!r}; importing it ended with SystemExit: {error}, where a reason is to be raised") from error
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise BadPlugin(f"{who} is registered as {factory!r}, but there is no module {error.name!r}") from error
        raise _missing(error, who) from error
    except AttributeError as error:
        raise BadPlugin(f"{who} is registered as {factory!r}, which does not exist: {error}") from error
    return typing.cast(Callable[..., Any], thing)


EXTRA_OF = {
    **dict.fromkeys(("torch", "timm", "transformers", "safetensors", "accelerate", "torchvision", "tensorboard"), "models"),
    **dict.fromkeys(("litellm", "openai"), "llm"),
    "matplotlib": "viewer",
    **dict.fromkeys(("mlflow", "wandb"), "trackers"),
    "ultralytics": "detector",
    "pylibjpeg": "dicom",
    **dict.fromkeys(("onnx", "onnxruntime"), "onnx"),
    "radgraph": "radgraph",
    "ray": "ray",
}


def _missing(error: ModuleNotFoundError, who: str) -> MissingPackage:
    package = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(package)
    remedy = f"pip install 'clala-benchmark[{extra}]'" if extra else f"install {package or 'it'}"
    return MissingPackage(f"{who} needs the package {package or error!s:.80}, which is not installed: {remedy}")


def _type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function.__init__ if inspect.isclass(function) else function
    try:
        return typing.get_type_hints(target)
    except (NameError, TypeError):  # names that exist for the type checker alone
        return {}


def convert(text: str, wanted: Any, where: str) -> Any:
    """``text`` as the annotated type ``wanted``. Raises ``BadOption`` naming ``where``."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        if text.lower() in ("none", "") and type(None) in typing.get_args(wanted):
            return None
        choices = [choice for choice in typing.get_args(wanted) if choice is not type(None)]
        for choice in sorted(choices, key=lambda choice: choice is str):
            try:
                return convert(text, choice, where)
            except BadOption:
                continue
        raise BadOption(f"{where}: {text!r} is not {wanted}")
    if origin is Literal:
        if text in typing.get_args(wanted):
            return text
        raise BadOption(f"{where}: {text!r} is none of {', '.join(_choices(wanted))}")
    if wanted is bool:
        if text.lower() in TRUE + FALSE:
            return text.lower() in TRUE
        raise BadOption(f"{where}: {text!r} is neither yes nor no")
    if wanted in (int, float):
        try:
            return wanted(text)
        except ValueError:
            raise BadOption(f"{where}: {text!r} is not {'a whole number' if wanted is int else 'a number'}") from None
    return Path(text).expanduser() if wanted is Path else text
