"""GREEN by a chat model: errors in six categories and matched findings, counted by a language model, put into one number by the published formula.

Ostmeier et al., GREEN: Generative Radiology Report Evaluation and Error Notation (Findings of EMNLP 2024, https://arxiv.org/abs/2405.03595);
code: github.com/Stanford-AIMI/GREEN. Of theirs are the categories, the form of the answer, its reading, the cut at 300 words and the score

    green = matched / (matched + significant errors), and 0 where nothing matches.

The question is ours (``prompts/green.md``), and who answers it is not the 7B model that they trained for it: the number is ``GREEN(<model>)`` and
names the model in its signature. Where we differ:

- An answer without all three counted parts, or with a count that cannot be read, is asked for once more and is then no answer; the published code
  reads what it finds and counts the rest as 0 (a missing list of errors as no error, a missing count of matches as the score 0). So is a list that
  begins with "No" and counts after all ("Note: ...", "None but these"): the published code takes it for a list without errors.
- Matched findings are, in our words, everything present or expressly absent that both reports state alike; so two reports that deny the same agree.

Equal texts, and an empty candidate, are asked about like any other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from benchmark.llm import prompts
from benchmark.llm.json_answers import without_thoughts
from benchmark.llm.questions import Failed, Kind, LanguageModels, Question, Unusable, ask_for
from benchmark.metrics.tokens import check_pairs
from benchmark.progress import progress
from benchmark.records import UserError

VERSION = 1
WORDS = 300  # of each report; make_prompt in green_score/utils.py
SIGNIFICANT, INSIGNIFICANT, MATCHED = "Clinically Significant Errors", "Clinically Insignificant Errors", "Matched Findings"
CATEGORIES = ("false_finding", "missing_finding", "location", "severity", "false_comparison", "missing_comparison")
"""(a) to (f), in the order of the answer"""
COLUMNS = len(CATEGORIES) + 4

_LETTERED, _NUMBERED = re.compile(r"\([a-f]\) .*"), re.compile(r"\([1-6]\) .*")
_COUNT = re.compile(r"(?<=: )\b\d+\b(?=\.)")
_MATCHES = re.compile(r"^\b\d+\b(?=\.)")
_NOTHING = re.compile(r"No(?:ne)?(?:\s*$|[.,;]| (?:clinically|significant|insignificant|errors?|match(?:es|ed|ing)?|findings?)\b)")
_EXCEPT = re.compile(r"\b(?:except|besides|other than|apart from|aside from)\b", re.IGNORECASE)
_MOST = 1000  # of anything in one report; what is beyond was no count


class Counts(NamedTuple):
    """What an answer counts."""

    significant: tuple[int, ...]
    """errors of the six categories"""
    insignificant: tuple[int, ...]
    """likewise"""
    matched: int
    """findings that both reports state alike"""

    @property
    def green(self) -> float:
        """Share of the matched findings in all that counts, from 0 to 1; insignificant errors do not enter."""
        return self.matched / (self.matched + sum(self.significant)) if self.matched else 0.0


class Green:
    """GREEN of every case, its mean, and the mean counts behind it."""

    name = "green"
    asks = True
    """sends questions: is measured in one process, and what it could not say is asked again"""

    def __init__(
        self, llm: LanguageModels | None, *, judge: Literal["rules", "language_model"] = "language_model", prompt: Path | None = None
    ) -> None:
        """``prompt`` is a text in place of ``prompts/green.md``. Raises ``UserError`` if there is no model to ask, or ``judge`` is none."""
        if judge != "language_model":
            raise UserError(
                f"green counts errors by a language model, and the judge is {judge}; add --judge language_model, or for this metric alone "
                "--set green.judge=language_model"
            )
        self._prompt = prompts.load("green", prompt)
        self._ask = ask_for("green", llm)
        self.failures: Counter[Kind] = Counter()
        """why how many cases of the last ``statistics`` have no score"""

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10) one, GREEN, six significant counts, matched, insignificant; a row of NaN where there was no answer that could be used."""
        check_pairs(hypotheses, references)
        pairs = list(zip(hypotheses, references, strict=True))
        distinct = list(dict.fromkeys(pairs))
        rows: dict[tuple[str, str], list[float]] = {}
        failed: dict[tuple[str, str], Kind] = {}
        questions = (
            Question("green", self._prompt.fill(reference=first_words(reference), candidate=first_words(text))) for text, reference in distinct
        )
        with progress(f"GREEN by {self.judge}", len(distinct), unit="questions") as advance:
            for pair, outcome in zip(distinct, self._ask(questions, read_counts), strict=True):
                if isinstance(outcome, Failed):
                    failed[pair] = outcome.kind
                    rows[pair] = [np.nan] * COLUMNS
                else:
                    counts = outcome.value
                    rows[pair] = [1, counts.green, *counts.significant, counts.matched, sum(counts.insignificant)]
                advance(1)
        self.failures = Counter(failed[pair] for pair in pairs if pair in failed)
        return np.array([rows[pair] for pair in pairs], dtype=np.float64).reshape(len(pairs), COLUMNS)

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Means over cases: ``green``; ``significant.<category>``, ``matched`` and ``insignificant`` are counts per case."""
        names = ("green", *(f"significant.{category}" for category in CATEGORIES), "matched", "insignificant")
        cases = sums[..., 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            return {name: np.where(cases > 0, sums[..., column] / cases, np.nan) for column, name in enumerate(names, start=1)}

    @property
    def judge(self) -> str:
        """The model that counts, by its name; tables call the metric GREEN(<judge>)."""
        return self._ask.signature().partition("|")[0]

    def signature(self) -> str:
        """Model, prompt and cut."""
        return f"green|judge:language_model|model:({self._ask.signature()})|prompt:{self._prompt.digest}|words:{WORDS}|v{VERSION}"


def first_words(text: str) -> str:
    """The first 300 words, one blank between any two."""
    return " ".join(text.split()[:WORDS])


def count_as_published(answer: str) -> Counts:
    """The counts as the published code reads them (parse_error_counts of green_score/green.py): what is not found counts 0."""
    answer = without_frame(answer)
    matched = _MATCHES.match(_part(answer, MATCHED) or "")
    return Counts(_errors(_part(answer, SIGNIFICANT) or ""), _errors(_part(answer, INSIGNIFICANT) or ""), _number(matched[0]) if matched else 0)


def read_counts(answer: str) -> Counts:
    """The same, of an answer in which every count can be read. Raises ``Unusable`` for any other: a count that is not there is not 0."""
    answer = without_thoughts(answer)
    for title in (SIGNIFICANT, INSIGNIFICANT, MATCHED):
        body = _part(without_frame(answer), title)
        if body is None or body.startswith("["):  # nothing stands under it but the next heading
            raise Unusable(f"the part [{title}]: is missing or empty; answer in the four parts that were asked for")
        if body.startswith("No") and (counted := _counted_after_all(without_frame(answer), title)):
            raise Unusable(f"[{title}]: begins with {body[:40]!r} and goes on with {counted[:40]!r}; write the counts alone, or None alone")
        if _NOTHING.match(body):
            continue
        if title == MATCHED:
            if not _MATCHES.match(body):
                raise Unusable(f"[{title}]: begins with {body[:40]!r}; begin with a whole number and a full stop: 2. enlarged heart; no edema")
            continue
        lines = _lines(body)
        for letter in "abcdef":
            own = [line for line in lines if line.startswith(f"({letter}) ")]
            if len(own) != 1:
                raise Unusable(f"[{title}]: has {len(own)} lines that begin with ({letter}); write (a) to (f) once each, without empty lines between")
            if not _COUNT.search(own[0]):
                raise Unusable(f"[{title}]: ({letter}) has no count; write a colon, a blank, a whole number and a full stop, 0. for none")
    counts = count_as_published(answer)
    if max(*counts.significant, *counts.insignificant, counts.matched) > _MOST:
        raise Unusable(f"a count is above {_MOST}; count what the two reports state")
    return counts


def without_frame(answer: str) -> str:
    """What follows the heading of the explanation and the marks of a chat, as the published code takes it (clean_responses of utils.py)."""
    if "[Explanation]:" in answer:
        answer = answer.split("<|assistant|>")[-1]
        # A question that was given back with the answer holds the heading too; the first one is meant where the model left its text as it was.
        answer = answer.split("[Explanation]:")[1 if "[Explanation]:\n    <Explanation>\n" in answer else -1]
    return answer.split("<|assistant|>")[-1].replace("</s>", "").replace("<unk>", "")


def _part(answer: str, title: str) -> str | None:
    """What stands under the heading, up to the first empty line or the end; None without the heading."""
    found = re.search(rf"\[{title}\]:\s*(.*?)(?:\n\s*\n|\Z)", answer, re.DOTALL)
    return found[1] if found else None


def _counted_after_all(answer: str, title: str) -> str:
    """What belies the "No" that a part begins with: a line with a letter or a count, also behind an empty line, or an exception; else empty."""
    body = _part(answer, title) or ""
    section = answer.split(f"[{title}]:", 1)[1].split("\n[", 1)[0] if title != MATCHED else body
    line = next((line for line in section.splitlines() if _lines(line) or _COUNT.search(line)), "")
    return line or (body if _EXCEPT.search(body) else "")


def _errors(body: str) -> tuple[int, ...]:
    if body.startswith("No"):
        return (0,) * len(CATEGORIES)
    counts = [0] * len(CATEGORIES)
    for line in _lines(body):
        if count := _COUNT.search(line):
            counts["abcdef".index(line[1])] = _number(count[0])
    return tuple(counts)


def _number(digits: str) -> int:
    return int(digits[:9])  # a longer row of digits is no count, and Python refuses to read thousands of them


def _lines(body: str) -> list[str]:
    """The lines of errors, (a) to (f), sorted as the published code sorts them: of two with one letter, the later one holds. (1) to (6) will do."""
    if lettered := sorted(_LETTERED.findall(body)):
        return lettered
    return [f"({'abcdef'[int(line[1]) - 1]}{line[2:]}" for line in sorted(_NUMBERED.findall(body))]
