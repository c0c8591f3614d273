"""The documentation is true: what its pages show is run as it is written, and what they show of the output is compared.

How a block of a page is read, by the word behind its fence:

    ```console                   `$ command` lines are run in the page's folder, in the order of the page; what stands below one is its output. `...`
                                 stands for anything; where lines are broken does not matter. A command that fails is followed by `$ echo $?`
    ```python title="mine.py"    any block with a title is a file: it is written before what follows it is run
    ```python                    runs in the page's own namespace
    ```pycon                     lines at `>>>`, with their output
                                 `$ command &` runs beside the page until its end, and shows its first line
    ```sh                        needs what is not here (data, weights, a server): not run, but every `python -m benchmark` in it must parse

`pip install .` builds the package with the back end that its pyproject.toml names, and puts what it holds on the path.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from typer.main import get_command

from benchmark import registry
from benchmark.cli import app, main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WITH_EXAMPLES = [page for page in PAGES if re.search(r"^ *```(console|pycon|python)", page.read_text(encoding="utf-8"), re.MULTILINE)]
FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\w+)(?P<more>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"python -m benchmark[^\n]*(?:(?<=\\)\n[^\n]*)*")
LONGEST_S = 120
"""of one command"""


class Block(NamedTuple):
    """One fenced block of a page."""

    line: int
    kind: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    source = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(source):
        title = re.search(r'title="([^"]+)"', match["more"])
        text = "".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines(keepends=True))
        found.append(Block(source.count("\n", 0, match.start()) + 1, match["kind"], title[1] if title else "", text))
    return found


class Page:
    """Runs the blocks of a page, one after the other, as somebody who types them would."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.names: dict[str, Any] = {"__name__": "__page__"}
        self.status = 0
        self.beside: list[subprocess.Popen[str]] = []

    def run(self) -> None:
        for block in blocks(self.page):
            where = f"{self.page.name}, line {block.line}"
            if block.title:
                self.write(block)
            elif block.kind == "console":
                for command, shown in commands(block.text):
                    self.compare(where, command, self.type(command, where), shown)
            elif block.kind == "python":
                exec(compile(block.text, where, "exec"), self.names)
            elif block.kind == "pycon":
                self.converse(block, where)
        assert not self.status, f"{self.page.name} ends with exit status {self.status}"

    def write(self, block: Block) -> None:
        file = self.folder / block.title
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
        sys.modules.pop(file.stem, None)
        forget_plugins()

    def converse(self, block: Block, where: str) -> None:
        test = doctest.DocTestParser().get_doctest(block.text, self.names, where, str(self.page), block.line)
        said = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
        runner.run(test, out=said.write, clear_globs=False)
        assert not runner.failures, said.getvalue()

    def type(self, command: str, where: str) -> str:
        """What a person would see of a command: its output, and of what it says beside that the errors and notes."""
        if command == "echo $?":
            status, self.status = self.status, 0
            return str(status)
        assert not self.status, f"{where}: the command before {command!r} ended with exit status {self.status}"
        if command == "pip install .":
            self.install()
            return ""
        if command.endswith(" &"):
            return self.begin(command.removesuffix(" &"))
        ours, _, rest = command.partition(" | ")
        if not ours.startswith("python -m benchmark "):
            done = subprocess.run(
                with_our_python(command), shell=True, cwd=self.folder, capture_output=True, text=True, timeout=LONGEST_S, check=False
            )
            self.status = done.returncode
            return done.stdout + done.stderr
        said, self.status = in_this_process(shlex.split(ours)[3:])
        if rest:
            return subprocess.run(rest, shell=True, cwd=self.folder, input=said, capture_output=True, text=True, timeout=LONGEST_S, check=True).stdout
        return said

    def begin(self, command: str) -> str:
        """Start what runs beside the page, a server; its first line says that it is there."""
        begun = subprocess.Popen(["/bin/sh", "-c", f"exec {with_our_python(command)}"], cwd=self.folder, stdout=subprocess.PIPE, text=True)
        self.beside.append(begun)
        assert begun.stdout is not None
        return begun.stdout.readline()

    def end(self) -> None:
        for begun in self.beside:
            begun.kill()
            begun.communicate()

    def install(self) -> None:
        """Build the wheel by the hook that pip would call, and unpack it beside the others."""
        import tomllib

        told = tomllib.loads((self.folder / "pyproject.toml").read_text(encoding="utf-8"))
        assert told["build-system"]["requires"] == ["hatchling"]
        backend = importlib.import_module(told["build-system"]["build-backend"])
        wheel = backend.build_wheel(str(self.folder / "dist"))
        with zipfile.ZipFile(self.folder / "dist" / wheel) as archive:
            archive.extractall(self.folder / "site")
        for module in (self.folder / "site").glob("*.py"):  # from now on from there
            sys.modules.pop(module.stem, None)
        forget_plugins()

    def compare(self, where: str, command: str, said: str, shown: str) -> None:
        if shown.strip() or command.startswith("echo"):
            pattern = ".*?".join(re.escape(squeezed(part)) for part in shown.split("..."))
            pattern = re.sub(r"(\\ )*\.\*\?(\\ )*", ".*?", pattern)
            assert re.fullmatch(pattern, squeezed(said), re.DOTALL), f"{where}\n$ {command}\n--- the page shows\n{shown}\n--- it says\n{said}"


def squeezed(text: str) -> str:
    """Without the line breaks, blanks and rules that a terminal's width decides."""
    return " ".join(re.sub("─{3,}", " ", text).split())


def commands(text: str) -> Iterator[tuple[str, str]]:
    """(command, the output below it) of a console block; a backslash at its end goes on with the next line."""
    joined = re.sub(r"\\\n\s*", "", text)
    for part in re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command.strip(), shown


def with_our_python(command: str) -> str:
    return re.sub(r"^python\b", shlex.quote(sys.executable), command)


def in_this_process(words: list[str]) -> tuple[str, int]:
    """(output with its errors and notes, exit status) of ``python -m benchmark words``: what starts slowly is started once."""
    out, beside, before, handler = io.StringIO(), io.StringIO(), sys.argv, signal.getsignal(signal.SIGINT)
    sys.argv, status = ["benchmark", *words], 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(beside):
            main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.argv = before
        signal.signal(signal.SIGINT, handler)
    notes = [line for line in beside.getvalue().splitlines() if line.startswith(("error:", "note:"))]
    return "\n".join([out.getvalue(), *notes]), status


def forget_plugins() -> None:
    """So that what was written or installed since is found."""
    importlib.invalidate_caches()
    registry.load.cache_clear()


@pytest.fixture
def as_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder that is the working folder and first on the path, as with ``python -m``; what is imported from it is forgotten again.

    On one core: a pool of processes would start the interpreter more often than there is anything to do.
    """
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(tmp_path / "site"))))
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "site"), *sys.path])
    if cores:
        os.sched_setaffinity(0, {sorted(cores)[os.getpid() % len(cores)]})
    forget_plugins()
    yield tmp_path
    if cores:
        os.sched_setaffinity(0, cores)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]
    monkeypatch.undo()
    forget_plugins()


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.stem)
def test_what_a_page_shows_is_what_comes_out(page: Path, as_a_reader: Path) -> None:
    followed = Page(page, as_a_reader)
    try:
        followed.run()
    finally:
        followed.end()


def test_the_pages_that_teach_something_have_examples_that_run() -> None:
    """Else a page whose fences are misspelt would pass for want of blocks."""
    taught = {"quick-start", "scoring-a-file", "adding-a-model", "adding-a-metric", "adding-a-dataset", "adding-a-labeller", "reading-a-run"}
    assert taught <= {page.stem for page in WITH_EXAMPLES}


def test_every_block_has_a_word_that_is_known() -> None:
    known = {"console", "python", "pycon", "sh", "text", "csv", "toml", "ini", "yaml", "json", "jsonl", "html"}
    for page in PAGES:
        for block in blocks(page):
            assert block.kind in known, f"{page.name}, line {block.line}: {block.kind}"
        fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks(page)), f"{page.name}: a fence without a word, or without an end"


def tree(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(words, command) of all commands and sub-commands, the whole program first."""
    command = command or get_command(app)
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from tree(below, (*path, name))


TREE = list(tree())


def parses(words: list[str]) -> str:
    """What is wrong with the words of a command, by the parser of the command line; empty if nothing is. Nothing is run."""
    command = TREE[0][1]
    context = command.make_context("benchmark", [], resilient_parsing=True)
    rest = list(words)
    try:
        while rest and hasattr(command, "commands"):
            found = command.get_command(context, rest[0])
            if found is None:
                return f"there is no command {rest[0]!r}"
            command, rest = found, rest[1:]
        with contextlib.redirect_stdout(io.StringIO()):
            command.make_context(words[0], rest, parent=context)
    except Exception as error:  # the parser's own, by typer's or click's name
        status = getattr(error, "exit_code", None)
        return "" if status == 0 else f"{type(error).__name__}: {error} {getattr(getattr(error, 'param', None), 'name', '')}"
    return ""


def words_of(example: str) -> list[str]:
    """The words behind ``python -m benchmark``, up to a comment, a pipe or the end."""
    return shlex.split(re.split(r" [|>] |\s+#|`", example.replace("\\\n", " "))[0], comments=True)[3:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_a_page_names_can_be_parsed(page: Path) -> None:
    for block in blocks(page):
        if block.kind in ("sh", "console", "yaml"):
            for example in EXAMPLE.findall(block.text):
                if " ... " not in example:
                    assert not (wrong := parses(words_of(example))), f"{page.name}, line {block.line}: {example}: {wrong}"


@pytest.mark.parametrize("words", [" ".join(words) for words, _ in TREE])
def test_the_help_of_every_command_has_an_example_that_can_be_parsed(words: str) -> None:
    command = dict(TREE)[tuple(words.split())]
    examples = EXAMPLE.findall(f"{command.help}\n{getattr(command, 'epilog', '') or ''}")
    own = [example for example in examples if words_of(example)[: len(words.split())] == words.split()]
    assert own, f"`{words} --help` has no line that begins with: python -m benchmark {words}"
    for example in examples:
        if "COMMAND" not in example:
            assert not (wrong := parses(words_of(example))), f"{example}: {wrong}"


def test_a_wrong_example_would_be_noticed() -> None:
    assert "rnu" in parses(["rnu"])
    assert "--modles" in parses(["run", "--modles", "constant"])
    assert "models" in parses(["run"])
    assert parses(["data", "show", "--count", "13", "--out", "a.png"])
    assert not parses(["train", "clala", "--preset", "demo", "--help"])


def test_help_prints_an_example_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Broken over two lines it cannot be copied."""
    for words, command in TREE[1:]:
        said, status = in_this_process([*words, "--help"])
        assert status == 0
        for example in EXAMPLE.findall(command.help):
            assert f"  {example}\n" in said, (words, example)


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    """`make docs` writes it anew."""
    sys.path.insert(0, str(DOCS))
    try:
        written = importlib.import_module("commands").page()
    finally:
        sys.path.remove(str(DOCS))
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    for words, _ in TREE[1:]:
        assert f"`{' '.join(words)}`\n" in text, f"docs/commands.md does not have {' '.join(words)!r}: make docs"
    assert text == written, "docs/commands.md is not what the commands say: make docs"


def test_the_documentation_builds_with_every_link_found_and_asks_nothing_of_the_network(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(PAGES)  # and the page for what is not found
    loads = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?([^\s\">]+)|<link\b[^>]*\brel=\"?(?:stylesheet|preload|preconnect|icon)[^>]*\bhref=\"?([^\s\">]+)"
    )
    for page in pages:
        for found in loads.findall(page.read_text(encoding="utf-8")):
            assert not urlsplit("".join(found)).netloc, f"{page.name} loads {''.join(found)}"
