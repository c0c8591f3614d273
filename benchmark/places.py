"""Where things lie: the cache, the files that ship with the project (prompts, quoted tables); and which words name a place."""

from __future__ import annotations

import os
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent


def cache_folder() -> Path:
    """Folder for what can be made again: ``$CLALA_BENCHMARK_CACHE``, else ``clala-benchmark`` in the user's cache folder. Not created here."""
    if named := os.environ.get("CLALA_BENCHMARK_CACHE"):
        return Path(named).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "clala-benchmark"


def shipped(*parts: str) -> Path:
    """A file or folder that ships with the project, e.g. ``shipped("results", "reported")``.

    In a checkout they lie beside the package; an installed wheel carries them inside it.
    """
    beside = HERE.parent.joinpath(*parts)
    return beside if beside.exists() else HERE.joinpath("_shipped", *parts)


def is_place(text: str) -> bool:
    """True for words that may name a file or a folder of somebody's machine; a name of the hub, ``a/b``, looks the same and is taken for one too."""
    try:
        float(text)
    except ValueError:
        return any(sign in text for sign in "/\\.~")
    return False


def registered_name(spec: str) -> str:
    """What stands before the colon of ``label=name:argument``: who sees a table elsewhere need not see where data lie."""
    return spec.partition(":")[0].rpartition("=")[2]


def without_place(spec: str) -> str:
    """A thing as typed, without its argument where that may be a place."""
    return registered_name(spec) if is_place(spec.partition(":")[2]) else spec


def without_places(text: str) -> str:
    """Words for people elsewhere: of every file and folder that they name from the root, and of every command, only the last name.

    ``cannot read /home/ada/weights.pt`` -> ``cannot read weights.pt``. Addresses of the net, dates and ``and/or`` stay as they are.
    """
    return _PLACE.sub(lambda found: _last_name(found[0].strip("\"'`")), text)


_PLACE = re.compile(
    r"""(?P<quote>["'`])(?:file://)?(?:~[\w.-]*/|/|[A-Za-z]:[\\/]|\\\\)[^"'`\n]{1,400}(?P=quote)"""  # in quotes, whatever it holds
    r"""|file:///[^\s"'<>,;)\]}]+"""
    r"""|(?<![\w/<.:~-])(?<!&)(?:~[\w.-]*)?/(?:[^\s/"'<>|,;:()\[\]{}]+(?:[ ][^\s/"'<>|,;:()\[\]{}~=]+){0,3}/)*[^\s/"'<>|,;:()\[\]{}]+/?"""
    r"""|(?<=[\w ]:)(?:~[\w.-]*)?/(?!/)(?:[^\s/"'<>|,;:()\[\]{}]+(?:[ ][^\s/"'<>|,;:()\[\]{}~=]+){0,3}/)*[^\s/"'<>|,;:()\[\]{}]+/?"""
    r"""|(?<!\w)(?:[A-Za-z]:\\|\\\\)(?:[^\s\\"'<>|,;]+(?:[ ][^\s\\"'<>|,;]+){0,3}\\)*[^\s\\"'<>|,;]*"""
)


def _last_name(place: str) -> str:
    return re.split(r"[\\/]", place.rstrip("\\/"))[-1]
