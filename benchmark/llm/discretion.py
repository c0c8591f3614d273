"""What may be told of a message that comes from outside: no key, no text of a report, and not much of the rest.

Servers repeat what they were sent: the key in "incorrect API key provided: sk-...", the whole prompt in "invalid input: ...". Whatever they say goes
through here before a person, a log or a file sees it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from benchmark.screen import visible

SHOWN = 200
"""characters of a message that are told"""
READ = 20_000
"""characters of it that are looked at"""
RUN = 3
"""so many words in the order in which the prompt has them are the prompt's; fewer are everybody's"""
GONE = "[...]"

_WORD = re.compile(r"\w+")
_PICTURE = re.compile(r"(?:data:image/[\w.+-]+;base64,)?[A-Za-z0-9+/]{120,}={0,2}")  # no word of people is as long
_QUOTED = re.compile(r"""(?:"(?:[^"\\]|\\.)*"?|(?<!\w)'[^']*')""")
_ESCAPED = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|[nrt])")  # JSON within JSON
_BETWEEN = re.compile(r"(?:\[\.\.\.\](?:\W*\w+){0,2}\W*)+\[\.\.\.\]")  # a word or two between what was taken out were the prompt's too
# What looks like a key without being one that we know: with its middle masked by the server, behind its usual beginning, or in a header.
_LIKE_A_KEY = re.compile(r"[^\s'\",;:=]*\*{3,}[^\s'\",;]*|\b(?:sk|pk|rk|gsk|xai|hf|key)[-_][\w-]{8,}|(?<=Bearer )[^\s'\",;]+", re.IGNORECASE)


def told(text: str, secrets: Iterable[str], prompts: Sequence[str]) -> str:
    """The part of an outsider's message that may be told, on one line of at most 200 characters."""
    return _short(without_prompt(_PICTURE.sub("[image]", without_secrets(text, secrets)), prompts))


def _short(text: str) -> str:
    clean = visible(" ".join(text.split()))
    return clean if len(clean) <= SHOWN else f"{clean[: SHOWN - 3].rstrip()}..."


def told_of_answer(problem: str, secrets: Iterable[str], prompts: Sequence[str]) -> str:
    """What may be told of a task's complaint about an answer: the words are the task's own, but what it quotes may come from a report."""
    quoted = _QUOTED.sub(lambda quote: without_prompt(quote[0], prompts), without_secrets(problem, secrets))
    return _short(quoted)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with every key in it replaced."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):  # one may begin with another
        text = text.replace(secret, "[key]")
    return _LIKE_A_KEY.sub("[key]", text)


def without_prompt(text: str, prompts: Sequence[str]) -> str:
    """The text with everything replaced that repeats one of the prompts, whatever became of its line ends, quotes and capitals on the way."""
    text = _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else " ", text)
    if len(text) > READ:
        text = " ".join(text[:READ].split()[:-RUN])  # words at a cut cannot be compared
    words = list(_WORD.finditer(text))
    spoken = [word[0].lower() for word in words]
    runs: set[tuple[str, ...]] = set()
    for prompt in prompts:
        asked = [word[0].lower() for word in _WORD.finditer(prompt)]
        runs.update(zip(*(asked[start:] for start in range(RUN)), strict=False))
        runs.update([tuple(asked)] if 0 < len(asked) < RUN else ())
    kept, end, number = [], 0, 0
    while number < len(words):
        last = _end_of_run(spoken, number, runs)
        if last > number:
            kept += [text[end : words[number].start()], GONE]
            end = words[last - 1].end()
        number = max(last, number + 1)
    return _BETWEEN.sub(GONE, "".join([*kept, text[end:]]))


def _end_of_run(spoken: Sequence[str], start: int, runs: set[tuple[str, ...]]) -> int:
    """One past the last word of the repetition that begins at ``start``; ``start`` if none does."""
    end = start
    for length in range(1, RUN):
        if tuple(spoken[start : start + length]) in runs:
            end = start + length
    number = start
    while tuple(spoken[number : number + RUN]) in runs and number + RUN <= len(spoken):
        end = number + RUN
        number += 1
    return end
