"""Writes ``commands.md`` from the commands themselves: ``python docs/commands.py``. A test holds the page against them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from typer.main import get_command

from benchmark.cli import app

HEAD = """# Commands

Every command, with its examples and all of its options. `python -m benchmark COMMAND --help` prints the same.
`clala-benchmark` is another name for `python -m benchmark`.

Exit status of every command: 0 done; 1 a model failed, or what was asked for was found wanting (`compare`, `check-tables`, `data check --strict`);
2 something that you can mend, in one line; 130 interrupted, by a scheduler 143, by a closed terminal 129, and the same command goes on from there.

This page is written by `python docs/commands.py`.
"""


def page() -> str:
    """The whole page."""
    found = list(_commands(get_command(app)))
    rows = [f"| [`{name}`](#{_anchor(name)}) | {_safe(_paragraphs(command)[0])} |" for name, command in found]
    return "\n".join([HEAD, "| command | what it does |", "|---|---|", *rows, "", *(_section(name, command) for name, command in found)])


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, below in getattr(command, "commands", {}).items():
        yield " ".join((*path, name)), below
        yield from _commands(below, (*path, name))


def _section(name: str, command: Any) -> str:
    paragraphs = _paragraphs(command)
    examples = [text for text in paragraphs if text.startswith("python -m benchmark")]
    said = [_safe(text) for text in paragraphs if text not in examples]
    parts = [f"## `{name}`\n", *(f"{text}\n" for text in said)]
    if examples:
        parts.append("```sh\n" + "\n".join(examples) + "\n```\n")
    types = get_type_hints(command.callback) if command.callback else {}
    if rows := [_row(parameter, types[parameter.name]) for parameter in command.params if parameter.name in types]:
        parts += ["| option | what it says | default |", "|---|---|---|", *rows, ""]
    return "\n".join(parts)


def _row(parameter: Any, wanted: Any) -> str:
    kinds = [kind for kind in (get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)) if kind is not type(None)]
    choices = [str(choice) for choice in get_args(kinds[0]) if choice] if get_origin(kinds[0]) is Literal else []
    kind = "WORD" if choices else "PATH" if kinds[0] is Path else "NUMBER" if kinds[0] in (int, float) else "TEXT"
    value = parameter.metavar or kind
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    else:
        names = ", ".join(f"`{name}`" for name in sorted((*parameter.opts, *parameter.secondary_opts), key=len))
        names += "" if wanted is bool else f" {_safe(value)}"
    said = f"{parameter.help or ''} {'One of: ' + ', '.join(choices) + '.' if choices and not parameter.metavar else ''}"
    return f"| {names} | {_safe(said)} | {_default(parameter)} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or value == "" or callable(value) or isinstance(value, list | tuple):
        return ""
    return "yes" if value is True else f"`{value}`"


def _paragraphs(command: Any) -> list[str]:
    return [text.replace("\b\n", "").strip() for text in (command.help or "").split("\n\n")]


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _safe(text: str) -> str:
    """Text as a cell of a table: no tags, no column breaks."""
    return " ".join(text.replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*").split())


if __name__ == "__main__":
    (Path(__file__).parent / "commands.md").write_text(page(), encoding="utf-8")
