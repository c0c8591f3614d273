"""What is true of this machine and of its user, and of no run: ``benchmark.toml``.

Looked for beside the working folder and in the user's configuration folder (``~/.config/clala-benchmark/benchmark.toml``); what the nearer file says
holds. ``$CLALA_BENCHMARK_CONFIG`` names another file in place of both.

    [llm]
    model = "hosted_vllm/Qwen2.5-7B-Instruct"
    api_base = "http://127.0.0.1:8000/v1"

    [llm.judge]                     # settings of one task alone
    model = "openai/gpt-4o-mini"
    api_base = ""

    [data_use]
    approved = ["hospital.openai.azure.com"]    # hosts that may get credentialed text under the agreement that you signed
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.records import UserError

NAME = "benchmark.toml"
TABLES = ("llm", "data_use")


class BadConfigFile(UserError):
    """A ``benchmark.toml`` that cannot be used; the message names file and place."""


def config_files() -> list[Path]:
    """The files that would be read, the nearest first; they need not exist."""
    if named := os.environ.get("CLALA_BENCHMARK_CONFIG"):
        return [Path(named).expanduser()]
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [Path.cwd() / NAME, home / "clala-benchmark" / NAME]


def machine_table(name: str) -> dict[str, Any]:
    """One table of the files together, a nearer file's entries over a farther one's. Raises ``BadConfigFile``."""
    merged: dict[str, Any] = {}
    for file in reversed(config_files()):
        if file.is_file():
            merged = _over(merged, read_config(file).get(name, {}))
        elif os.environ.get("CLALA_BENCHMARK_CONFIG"):
            raise BadConfigFile(f"$CLALA_BENCHMARK_CONFIG names {file}, which is no file; write it, or unset the variable")
    return merged


def read_config(file: Path) -> dict[str, Any]:
    """A file's tables. Raises ``BadConfigFile``."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadConfigFile(f"{file}: cannot be read ({error}); it is TOML in UTF-8") from None
    except RecursionError:
        raise BadConfigFile(f"{file}: nested deeper than any settings; write tables as the documentation shows them") from None
    for name, table in found.items():
        if name not in TABLES:
            raise BadConfigFile(f"{file}: there is no table [{name}]; it has: {', '.join(f'[{known}]' for known in TABLES)}")
        if not isinstance(table, Mapping):
            raise BadConfigFile(f"{file}: {name} is {table!r}; write a table [{name}]")
    if keys := [path for path in _paths(found) if _names_a_key(path)]:
        raise BadConfigFile(f"{file}: {keys[0]} looks like a key; keys come from the environment alone: name the variable with key_env")
    return found


def _over(far: Mapping[str, Any], near: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(far)
    for name, value in near.items():
        merged[name] = _over(merged.get(name) or {}, value) if isinstance(value, Mapping) else value
    return merged


def _paths(table: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def _names_a_key(path: str) -> bool:
    return path.rpartition(".")[2].lower() in ("key", "api_key", "apikey", "token", "secret", "password")
