"""docs/errors.md quotes messages as they look: each must still be what the program says, with other values in its places."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
QUOTED = [line for block in re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()]
FEWEST_WORDS = 3
"""of its own that a message must have: one that is put together elsewhere would match anything"""


@cache
def patterns() -> tuple[re.Pattern[str], ...]:
    """A pattern for every message that is given to ``UserError`` or one of its kind: its own words, and anything in its places."""
    folders = ("benchmark", "adapters", "clala")
    sources = [file.read_text(encoding="utf-8") for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    above = [pair for source in sources for pair in re.findall(r"^class (\w+)\((\w+)\):", source, re.MULTILINE)]
    kinds = {"UserError", "BadCheckpoint"}  # the second is clala's own, which knows no UserError; its adapter puts its name before the words
    while more := {name for name, base in above if base in kinds} - kinds:
        kinds |= more
    # To take all files apart would take seconds: only those that have five words in a row of a quoted message.
    runs = {" ".join(words[start : start + 5]) for words in map(str.split, QUOTED) for start in range(len(words) - 4)}
    trees = [ast.parse(source) for source in sources if any(run in source for run in runs)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    messages = [node.args[0] for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") in kinds and node.args]
    fixed = [pieces(message) for message in messages]
    return tuple(
        re.compile("(clala: )?" + ".*".join(re.escape(words) for words in own))
        for own in fixed
        if sum(len(words.split()) for words in own) >= FEWEST_WORDS
    )


def pieces(message: ast.expr) -> list[str]:
    """The message's own words, in pieces between what is filled in."""
    if isinstance(message, ast.Constant):
        return [str(message.value)]
    if isinstance(message, ast.JoinedStr):
        own = [""]
        for part in message.values:
            if isinstance(part, ast.Constant):
                own[-1] += str(part.value)
            else:
                own.append("")
        return own
    if isinstance(message, ast.BinOp):
        left, right = pieces(message.left), pieces(message.right)
        return [*left[:-1], left[-1] + right[0], *right[1:]]
    return ["", ""]


@pytest.mark.parametrize("message", QUOTED, ids=lambda message: message[:50])
def test_a_quoted_message_is_one_of_the_program(message: str) -> None:
    shown = message.removesuffix(", ...")
    assert any(pattern.fullmatch(shown) for pattern in patterns()), f"no error of the program reads like this any more: {message}"


def test_words_that_the_program_does_not_say_would_be_noticed() -> None:
    assert len(QUOTED) > 50
    assert not any(pattern.fullmatch("the folder is not where it ought to be; look for it") for pattern in patterns())
