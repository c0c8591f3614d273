"""The command line that the trainers of this package share, for ``python -m clala.train`` and ``accelerate launch -m clala.train``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clala.config import CLALAConfig, Recipe, read_settings, with_settings

SHARED = ("seed", "device", "precision", "workers", "save_every", "tensorboard")
"""what every trainer takes by the same name"""


def training_arguments(module: str, description: str | None, *, preset: str) -> argparse.ArgumentParser:
    """A parser with what every trainer asks for; each adds its own."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=(description or "").split("\n")[0])
    parser.add_argument("--index", type=Path, required=True, help="JSON lines, one image each (clala/data.py says what is in a line)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights; its work/ may be deleted afterwards")
    parser.add_argument("--preset", default=preset, help=f"demo or paper; {preset} if not given")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, or one of several: cuda:1")
    parser.add_argument("--precision", default="auto", choices=("auto", "no", "bf16", "fp16"))
    parser.add_argument("--workers", type=int, default=0, help="processes that cut crops and shrink images; 0 = one per core")
    parser.add_argument("--save-every", type=int, default=0, help="steps between two saved states within an epoch; 0 = after each epoch alone")
    parser.add_argument("--tensorboard", action="store_true", help="write curves for TensorBoard too")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting of configuration or recipe, e.g. lca=false"
    )
    return parser


def chosen_settings(options: argparse.Namespace) -> tuple[CLALAConfig, Recipe]:
    """Configuration and recipe of the preset with what was set, the last --set of a name over the earlier ones. Raises BadConfig."""
    chosen: dict[str, str] = {}
    for words in options.set:
        chosen |= read_settings(words)
    return with_settings(options.preset, chosen)


@contextmanager
def said_in_a_line(module: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn these errors, and those of the operating system, into a line on stderr and exit status 2; any other is our bug, and keeps its trace."""
    said: tuple[type[Exception], ...] = (*kinds, OSError)
    try:
        yield
    except said as error:
        print(f"python -m {module}: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def as_typed(module: str, arguments: Sequence[str] | None) -> str:
    """The command line, for the record."""
    return " ".join([f"python -m {module}", *(arguments if arguments is not None else sys.argv[1:])])
