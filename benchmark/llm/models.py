"""Makes what asks: for each task one client, of the endpoint that the user chose, with one cache and one budget for the whole command.

Of settings the later one holds: defaults, ``[llm]`` of benchmark.toml, its ``[llm.TASK]``, the command line's ``llm.*``, its ``llm.TASK.*``.
Where a later one names another model, what belongs to the endpoint of the earlier one (URL, key, prices) falls away with it.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.llm.data_use import DataUse
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.questions import Ask
from benchmark.llm.routes import NoEndpoint, Route, key_env_problem, route_of, secrets, url_problem
from benchmark.machine import machine_table
from benchmark.registry import BadOption, convert, options_of

if TYPE_CHECKING:
    from benchmark.llm.budget import Budget
    from benchmark.llm.cache import AnswerCache
    from benchmark.llm.client import Client

TASKS = ("label", "judge", "green", "aggregate", "report")
SHOWS_IMAGES = "report"
"""the task that sends images, of a model that is named on its own: whatever ``--llm`` names is asked of texts"""
OF_ENDPOINT = ("api_base", "key_env", "input_price", "output_price", "transport")
"""settings that are true of one endpoint and wrong of the next"""


@dataclass(frozen=True)
class Manner:
    """How a command may ask; none of it changes an answer."""

    budget: float | None = None
    """dollars that this command may spend; None = as many as it takes"""
    mode: Literal["ask", "estimate", "batch"] = "ask"
    """estimate asks nothing and counts; batch hands everything in at half price and waits, up to a day"""
    refresh: bool = False
    """ask anew what was answered before"""


class LanguageModels:
    """What a factory is handed as ``llm``."""

    def __init__(self, options: Mapping[str, str], use: DataUse, manner: Manner | None = None, *, cache: Path | None = None) -> None:
        """``options`` as typed: ``llm.model`` -> ``openai/gpt-4o-mini``, ``llm.judge.samples`` is refused here and not later. Raises ``UserError``.

        ``cache`` is the file of answers; that of the user's cache folder if not given.
        """
        self._options = options_of(options, "llm")
        self.use, self.manner, self._file = use, manner or Manner(), cache
        self._clients: dict[tuple[str, str], Client] = {}
        self._cache: AnswerCache | None = None
        self._budget: Budget | None = None
        for name in self._options:
            task, dot, _ = name.partition(".")
            setting = name if not dot else name[len(task) + 1 :]
            _check_setting(setting, task if dot else "", f"llm.{name}")
            _check_open(setting, self._options[name], f"llm.{name}")

    def asking(self, task: str, model: str | None = None) -> Ask:
        """The client for a task; ``model`` in place of the user's default. The same one for the same words. Raises ``UserError``.

        Where the text may not go to that endpoint, that is said here: before hours of generation, and before a byte is sent.
        """
        endpoint = self.endpoint(task, model)
        name = (task, repr(endpoint))
        if name not in self._clients:
            self._clients[name] = self._client(task, endpoint)
        return self._clients[name]

    def endpoint(self, task: str, model: str | None = None) -> Endpoint:
        """What the settings come to for a task. Raises ``NoEndpoint``, ``BadOption``, ``BadConfigFile``."""
        if task not in TASKS:
            raise ValueError(f"there is no task {task!r}; there are: {', '.join(TASKS)}")
        file = machine_table("llm")
        for name, value in file.items():
            for setting, of_task in value.items() if isinstance(value, Mapping) else ():
                _check_setting(setting, name, f"benchmark.toml, [llm.{name}] {setting}")
                _check_open(setting, of_task, f"benchmark.toml, [llm.{name}] {setting}")
            if not isinstance(value, Mapping):
                _check_setting(name, "", f"benchmark.toml, [llm] {name}")
                _check_open(name, value, f"benchmark.toml, [llm] {name}")
        general = {name: value for name, value in file.items() if not isinstance(value, Mapping)}
        layers: list[Mapping[str, Any]] = [general, file.get(task, {}), {n: v for n, v in self._options.items() if "." not in n}]
        layers += [options_of(self._options, task)]
        if model:  # what is set for the task alone, and names no other model, is set for this one
            layers = [{**own, "model": model} if own and not own.get("model") and number in (1, 3) else own for number, own in enumerate(layers)]
            layers += [{"model": model}]
        merged: dict[str, Any] = {}
        for layer in layers:
            # A URL that stands alone, without a model before it, is that of the model that is asked for here.
            if "model" in layer and layer["model"] != merged.get("model", model):
                merged = {name: value for name, value in merged.items() if name not in OF_ENDPOINT}
            merged.update(layer)
        if not merged.get("model"):
            raise NoEndpoint(
                f"{task} by a language model needs one, and none is named; give --llm openai/gpt-4o-mini, --llm NAME --llm-url "
                f"http://127.0.0.1:8000/v1 for a server of your own, or name it in benchmark.toml under [llm]"
            )
        return _checked(replace(Endpoint(merged["model"]), **{name: _value(name, value) for name, value in merged.items()}))

    def preflight(self) -> None:
        """Raise ``NoEndpoint`` if a client that was made could only fail for want of a key: said before the first hour of generation."""
        if self.manner.mode != "estimate":
            for client in self._clients.values():
                check_key(client.route)

    @property
    def clients(self) -> list[Client]:
        """Every client that was made."""
        return list(self._clients.values())

    def lines(self) -> list[str]:
        """One line for each client: what was asked, found in the cache, tried again, not answered, spent."""
        return [f"{task}: {client.line()}" for (task, _), client in self._clients.items()]

    def record(self) -> list[dict[str, Any]]:
        """The same for ``run.json``, with what the models call themselves; without keys and texts."""
        return [
            {"task": task, "model": client.endpoint.model, "asked_as": client.signature(), **client.record()}
            for (task, _), client in self._clients.items()
        ]

    def _client(self, task: str, endpoint: Endpoint) -> Client:
        from benchmark.llm.budget import Budget
        from benchmark.llm.cache import AnswerCache, default_file
        from benchmark.llm.client import Client

        route = route_of(endpoint)
        use = replace(self.use, what=f"the images and {self.use.what}") if task == SHOWS_IMAGES else self.use
        check_use(use, route)
        self._cache = self._cache or AnswerCache(self._file or default_file())
        self._budget = self._budget or Budget(self.manner.budget)
        return Client(
            endpoint,
            route,
            cache=self._cache,
            budget=self._budget,
            # What a model asks while it writes it needs at once: a day's wait for each handful of cases would never end.
            mode="ask" if task == "aggregate" and self.manner.mode == "batch" else self.manner.mode,
            refresh=self.manner.refresh,
            secrets=secrets(),
            may_send=lambda: _may_send(use, route),
        )


def _may_send(use: DataUse, route: Route) -> None:
    check_use(use, route)
    check_key(route)


def check_use(use: DataUse, route: Route) -> None:
    """Raise ``MayNotTravel`` where the text at hand may not go that way."""
    use.check(route.host, provider=route.provider, forwards_to=route.forwards_to)


def check_key(route: Route) -> None:
    """Raise ``NoEndpoint`` where the provider takes no question without a key and there is none."""
    if route.needs_key:
        raise NoEndpoint(f"{route.provider} answers with a key alone, and the environment variable {route.key_env} is not set; set it")


_TYPES = typing.get_type_hints(Endpoint)
_SETTINGS = tuple(field.name for field in fields(Endpoint))


def _check_setting(setting: str, task: str, where: str) -> None:
    if task and task not in TASKS:
        raise BadOption(f"{where}: there is no task {task!r}; write llm.SETTING or llm.TASK.SETTING, the tasks are: {', '.join(TASKS)}")
    if setting in ("key", "api_key"):
        raise BadOption(f"{where}: keys come from the environment alone, where no log and no history keeps them; name the variable with key_env")
    if setting not in _SETTINGS:
        raise BadOption(f"{where}: there is no such setting; there is: {', '.join(_SETTINGS)}")


def _check_open(setting: str, value: object, where: str) -> None:
    """Raise ``BadOption`` for a key where none may stand: settings are kept with a run, for everybody to read. The value is never repeated."""
    check = {"api_base": url_problem, "key_env": key_env_problem}.get(setting)
    if check is not None and value != "" and (problem := check(str(value))):
        raise BadOption(f"{where}: {problem}")


def _value(name: str, value: Any) -> Any:
    return convert(value if isinstance(value, str) else str(value), _TYPES[name], f"llm.{name}")


def _checked(endpoint: Endpoint) -> Endpoint:
    at_least = {
        "max_tokens": 1,
        "concurrency": 1,
        "requests_per_minute": 1,
        "tokens_per_minute": 1,
        "retries": 0,
        "input_price": 0,
        "output_price": 0,
    }
    for name, least in at_least.items():
        value = getattr(endpoint, name)
        if value is not None and value < least:
            raise BadOption(f"llm.{name} is {value}; it must be at least {least}")
    if not endpoint.timeout > 0:
        raise BadOption(f"llm.timeout is {endpoint.timeout} seconds; it must be more than 0")
    return endpoint
