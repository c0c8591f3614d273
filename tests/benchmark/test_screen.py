"""What is printed gives a terminal no orders, whoever prints it; signs one by one are tried in ``tests/fuzz/test_properties.py``."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import benchmark
from benchmark.screen import say, say_as_file, screen

TITLE = "\x1b]0;a title\x07 of \ud800\n"
SHOWN = "\\x1b]0;a title\\x07 of \\ud800\n\n"
ROOT = Path(benchmark.__file__).parents[1]
EXEMPT = ("benchmark/screen.py", "benchmark/metrics/resources/build_synonyms.py")  # a script that runs without the package


class Terminal(io.StringIO):
    """As far as ``isatty`` tells."""

    def isatty(self) -> bool:
        return True


def printing(source: str) -> Iterator[int]:
    """The lines in which something is printed as it is: by ``print``, ``echo``, a stream of the process, or a console of rich's own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            words = ast.unparse(node.func)
            if words in ("print", "Console", "rich.print") or words.endswith(("echo", "stdout.write", "stderr.write", "console.Console")):
                yield node.lineno


def test_neither_the_benchmark_nor_its_adapters_print_past_the_screen() -> None:
    files = {str(file.relative_to(ROOT)): file for package in ("benchmark", "adapters") for file in sorted((ROOT / package).rglob("*.py"))}
    assert len(files) > 300
    found = [f"{name}:{line}" for name, file in files.items() if name not in EXEMPT for line in printing(file.read_text(encoding="utf-8"))]
    assert found == [], "use say or screen of benchmark.screen"


def test_every_way_of_printing_past_it_is_seen() -> None:
    ways = ("print(x)", "typer.echo(x)", "click.secho(x)", "sys.stdout.write(x)", "Console().print(x)", "rich.print(x)", "rich.console.Console()")
    assert sorted(printing("\n".join(ways))) == [*range(1, len(ways) + 1)]
    assert list(printing("say(x)\nout.print(x)\nfile.write(x)")) == []


def test_control_signs_are_shown_as_codes_on_either_stream() -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        say(TITLE)
        say(TITLE, err=True)
    assert out.getvalue() == err.getvalue() == SHOWN


def test_what_a_file_would_hold_reaches_a_file_sign_by_sign_and_a_terminal_as_codes() -> None:
    for stream, expected in ((Terminal(), SHOWN), (io.StringIO(), f"{TITLE}\n")):
        with redirect_stdout(stream):
            say_as_file(TITLE)
        assert stream.getvalue() == expected


def test_a_console_shows_them_in_tables_too() -> None:
    """A bell is left out by rich itself."""
    out = io.StringIO()
    with redirect_stdout(out):
        screen(width=80).print(TITLE.strip(), markup=False)
    assert out.getvalue().strip() == SHOWN.strip().replace("\\x07", "")
