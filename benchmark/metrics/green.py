"""GREEN: errors in six categories and matched findings of a report against its reference, put into one number by the published formula.

Ostmeier et al., GREEN: Generative Radiology Report Evaluation and Error Notation (Findings of EMNLP 2024, https://arxiv.org/abs/2405.03595);
code: github.com/Stanford-AIMI/GREEN. Of theirs are the categories, the form of the answer, its reading, the cut at 300 words and the score

    green = matched / (matched + significant errors), and 0 where nothing matches.

Who counts is the number, so ``judge`` stands in its title and its signature:

    local           the 7B model that they trained for it, on this machine, with their prompt (the metric ``green_model`` of a plugin): GREEN
    served          the same behind an endpoint (vLLM, say) with the same prompt: GREEN (served)
    language_model  any chat model, with our prompt ``prompts/green.md``: GREEN (<model>), the same formula and not the same metric
    rules           embedded rules that read 14 lesions, see ``green_rules``: GREEN (rules), for the demo and for CI

``local`` and ``served`` read answers as the published code does: what is not found counts 0. Where ``language_model`` differs:

- An answer without all three counted parts, or with a count that cannot be read, is asked for once more and is then no answer; the published code
  reads what it finds and counts the rest as 0 (a missing list of errors as no error, a missing count of matches as the score 0). So is a list that
  begins with "No" and counts after all ("Note: ...", "None but these", "No. 3 matched"): the published code takes it for a list without errors.
  A decimal ("2.5 cm nodule") is no count; the published code takes what stands before its point.
- Matched findings are, in our words, everything present or expressly absent that both reports state alike; so two reports that deny the same agree.

Equal texts, and an empty candidate, are asked about like any other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from benchmark import registry
from benchmark.llm import prompts
from benchmark.llm.json_answers import without_thoughts
from benchmark.llm.questions import Answered, Failed, Kind, LanguageModels, Question, Unusable, ask_for, kept_answers
from benchmark.metrics.green_prompt import PublishedPrompt, published_prompt
from benchmark.metrics.green_rules import Rules
from benchmark.metrics.tokens import check_pairs
from benchmark.progress import progress
from benchmark.records import Evidence, UserError
from benchmark.shares import SHARE, share

VERSION = 1
READING = 2
"""version of our own reading of answers, that of language_model"""
JUDGES = ("rules", "language_model", "local", "served")
LOCAL = "green_model"
"""the metric that asks the published model; it comes with a plugin, for a network is none of the instrument's"""
WORDS = 300  # of each report; make_prompt in green_score/utils.py
SIGNIFICANT, INSIGNIFICANT, MATCHED = "Clinically Significant Errors", "Clinically Insignificant Errors", "Matched Findings"
CATEGORIES = ("false_finding", "missing_finding", "location", "severity", "false_comparison", "missing_comparison")
"""(a) to (f), in the order of the answer"""
HEADS = ("Finding made up", "Finding missed", "Wrong place or side", "Wrong severity", "Comparison made up", "Change left out")
"""the same for people"""
ERRORS = (*(f"significant.{category}" for category in CATEGORIES), "insignificant")
"""numbers that are better the lower they are"""
COLUMNS = len(CATEGORIES) + 4

_LETTERED, _NUMBERED = re.compile(r"\([a-f]\) .*"), re.compile(r"\([1-6]\) .*")
_COUNT = re.compile(r"(?<=: )\b\d+\b(?=\.)")
_MATCHES = re.compile(r"^\b\d+\b(?=\.)")
_WHOLE_COUNT, _WHOLE_MATCHES = re.compile(rf"{_COUNT.pattern}(?!\.\d)"), re.compile(rf"{_MATCHES.pattern}(?!\.\d)")  # of "3.2 cm" no 3
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


class Judge(Protocol):
    """Counts errors and matches of pairs."""

    asks: bool
    """True if it sends questions to a language model"""
    failures: Counter[Any]
    """why how many cases of the last ``statistics`` have no score"""

    @property
    def judge(self) -> str:
        """Who counts, as it stands in the title; empty for the model that the metric is named after."""

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10), see ``row``."""

    def signature(self) -> str:
        """Who counts, with what."""

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        """What was counted of each pair, where it is known without asking anybody."""

    def kept_statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10), see ``row``, of what is known without asking anybody; a row of NaN where it is not."""


class Green:
    """GREEN of every case, its mean, and the mean counts behind it."""

    name = "green"

    def __init__(
        self,
        llm: LanguageModels | None = None,
        *,
        judge: Literal["rules", "language_model", "local", "served"] = "language_model",
        prompt: Path | None = None,
        model: str = "",
        device: str = "auto",
        precision: Literal["auto", "fp16", "bf16", "fp32"] = "auto",
        batch_size: int | None = None,
        download: bool = False,
    ) -> None:
        """Raises ``UserError`` if there is no model to ask, or for settings that the judge has not.

        prompt      language_model: a text in place of ``prompts/green.md``; local, served: a file with the published one, unless its package is here
        model       local: folder of the model, or its name on the hub (StanfordAIMI/GREEN-radllama2-7b)
        precision   local: of its weights; auto = fp16, as published, or bf16 on a CPU
        batch_size  local: questions at once
        download    local: fetch it from the hub (14 GB) if it is not on this machine
        """
        if judge not in JUDGES:
            raise UserError(f"green has no judge={judge!r}; known: {', '.join(JUDGES)}")
        self._prefix = ""
        of_the_model = {"model": bool(model), "precision": precision != "auto", "batch_size": batch_size is not None, "download": download}
        if judge != "local" and (given := [name for name, is_given in of_the_model.items() if is_given]):
            raise UserError(
                f"green: {given[0]} is a setting of the model on this machine, and the judge is {judge}; add green.judge=local, or leave it"
            )
        if judge == "rules":
            if prompt is not None:
                raise UserError("green: prompt is for a judge that is asked, and the rules are not; add green.judge=language_model, or leave it")
            self._judge: Judge = ByRules()
            self._prefix = "rules."
        elif judge == "local":
            self._judge = _local({"prompt": prompt, "device": device, "precision": precision, "batch_size": batch_size, "download": download}, model)
        elif judge == "served":
            self._judge = Served(llm, published_prompt(prompt))
        else:
            self._judge = ByLanguageModel(llm, prompt)
        who = self._judge.judge
        self.titles = {f"{self._prefix}green": f"GREEN ({who})" if who else "GREEN"}
        self.ranges = dict.fromkeys(self.titles, SHARE)
        self.lower_is_better = frozenset(f"{self._prefix}{name}" for name in ERRORS)

    @property
    def asks(self) -> bool:
        """True if it sends questions: then it is measured in one process, and what it could not say is asked again."""
        return self._judge.asks

    @property
    def failures(self) -> Counter[Any]:
        """Why how many cases of the last ``statistics`` have no score."""
        return self._judge.failures

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10) one, GREEN, six significant counts, matched, insignificant; a row of NaN where there was no answer that could be used."""
        check_pairs(hypotheses, references)
        return self._judge.statistics(hypotheses, references)

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Means over cases: ``green``; ``significant.<category>``, ``matched``, ``insignificant`` are counts per case. By rules: ``rules.green``."""
        return {f"{self._prefix}{name}": number for name, number in means(sums).items()}

    @property
    def evidence_title(self) -> str:
        """As the tables call it."""
        return f"GREEN ({self.judge})" if self.judge else "GREEN"

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        """Of each case which errors and matches were counted: by rules with their lesions, by a model in its own words, as far as they are kept."""
        check_pairs(hypotheses, references)
        return self._judge.evidence(hypotheses, references)

    def kept_statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """``statistics`` of the answers that are kept, and nobody is asked; a row of NaN where one is not kept."""
        check_pairs(hypotheses, references)
        return self._judge.kept_statistics(hypotheses, references)

    @property
    def judge(self) -> str:
        """Who counts, by its name; tables call the metric GREEN (<judge>). Empty for the published model."""
        return self._judge.judge

    def signature(self) -> str:
        """Who counts, with which prompt, and the cut."""
        return self._judge.signature()


class ByLanguageModel:
    """Any chat model, with our prompt."""

    asks = True

    def __init__(self, llm: LanguageModels | None, prompt: Path | None) -> None:
        self._prompt = prompts.load("green", prompt)
        self._ask = ask_for("green", llm)
        self.failures: Counter[Kind] = Counter()

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10); a row of NaN where there was no answer that could be used."""
        pairs = list(zip(hypotheses, references, strict=True))
        distinct = list(dict.fromkeys(pairs))
        rows: dict[tuple[str, str], list[float]] = {}
        failed: dict[tuple[str, str], Kind] = {}
        questions = (Question("green", self._question(text, reference)) for text, reference in distinct)
        with progress(f"GREEN by {self._asked}", len(distinct), unit="questions") as advance:
            for pair, outcome in zip(distinct, self._ask(questions, self._counts), strict=True):
                if isinstance(outcome, Failed):
                    failed[pair] = outcome.kind
                    rows[pair] = [np.nan] * COLUMNS
                else:
                    rows[pair] = row(outcome.value)
                advance(1)
        self.failures = Counter(failed[pair] for pair in pairs if pair in failed)
        return np.array([rows[pair] for pair in pairs], dtype=np.float64).reshape(len(pairs), COLUMNS)

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        """What the answers say, of those that are kept."""
        return [[] if isinstance(outcome, Failed) else told(outcome.text, outcome.value) for outcome in self._kept(hypotheses, references)]

    def kept_statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10) of the answers that are kept; a row of NaN where one is not."""
        rows = [[np.nan] * COLUMNS if isinstance(outcome, Failed) else row(outcome.value) for outcome in self._kept(hypotheses, references)]
        return np.array(rows, dtype=np.float64).reshape(len(rows), COLUMNS)

    def _kept(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[Answered[Counts] | Failed]:
        """Of each pair the kept answer."""
        pairs = list(zip(hypotheses, references, strict=True))
        distinct = list(dict.fromkeys(pairs))
        questions = (Question("green", self._question(text, reference)) for text, reference in distinct)
        found = dict(zip(distinct, kept_answers(self._ask, questions, self._counts), strict=True))
        return [found[pair] for pair in pairs]

    @property
    def judge(self) -> str:
        """The model's name."""
        return self._asked

    def signature(self) -> str:
        """Model and prompt."""
        return signed(f"judge:language_model|model:({self._ask.signature()})|prompt:{self._prompt.digest}|reading:v{READING}")

    @property
    def _asked(self) -> str:
        return self._ask.signature().partition("|")[0]

    def _question(self, candidate: str, reference: str) -> str:
        return self._prompt.fill(reference=first_words(reference), candidate=first_words(candidate))

    def _counts(self, answer: str) -> Counts:
        return read_counts(answer)


class Served(ByLanguageModel):
    """The published model behind an endpoint, with the published prompt, its answers read as published.

    What the server puts around the question must be what the model was trained on: ``vllm serve --chat-template``, see ``adapters/green_model``.
    """

    def __init__(self, llm: LanguageModels | None, prompt: PublishedPrompt) -> None:
        self._published = prompt
        self._ask = ask_for("green", llm)
        self.failures: Counter[Kind] = Counter()

    @property
    def judge(self) -> str:
        """Served: what is behind an endpoint nobody can check."""
        return f"served {self._asked.rpartition('/')[2]}"

    def signature(self) -> str:
        """Model and prompt."""
        return signed(f"judge:served|model:({self._ask.signature()})|prompt:published-{self._published.digest}")

    def _question(self, candidate: str, reference: str) -> str:
        return self._published.fill(first_words(reference), first_words(candidate))

    def _counts(self, answer: str) -> Counts:
        return count_as_published(answer)


class ByRules:
    """Embedded rules."""

    asks = False

    def __init__(self) -> None:
        self._rules = Rules()
        self.failures: Counter[str] = Counter()

    @property
    def judge(self) -> str:
        """By their name."""
        return "rules"

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10)."""
        pairs = list(zip(hypotheses, references, strict=True))
        rows = {pair: row(Counts(*self._rules.count(first_words(pair[0]), first_words(pair[1])))) for pair in dict.fromkeys(pairs)}
        return np.array([rows[pair] for pair in pairs], dtype=np.float64).reshape(len(pairs), COLUMNS)

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        """The lesions of each count."""
        pairs = list(zip(hypotheses, references, strict=True))
        found = {pair: self._counted(*pair) for pair in dict.fromkeys(pairs)}
        return [found[pair] for pair in pairs]

    def kept_statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10): rules ask nobody."""
        return self.statistics(hypotheses, references)

    def _counted(self, candidate: str, reference: str) -> list[Evidence]:
        compared = self._rules.compare(first_words(candidate), first_words(reference))
        listed = {
            (category, is_significant): [one.what for one in compared if (one.category, one.is_significant) == (category, is_significant)]
            for category, is_significant in _ORDER
        }
        return [Evidence(_head(*kind), str(len(what)), ", ".join(what)) for kind, what in listed.items() if what]

    def signature(self) -> str:
        """The rules."""
        return signed(f"judge:rules|{self._rules.signature()}")


def _local(settings: dict[str, Any], model: str) -> Judge:
    """The published model on this machine. Raises ``UserError``."""
    given = {name: value for name, value in settings.items() if value is not None} | ({"model": model} if model else {})
    known = registry.load()
    if LOCAL not in known.entries["metrics"]:
        raise UserError(
            f"green with judge=local needs the metric {LOCAL!r}, which no plugin registered; install clala-benchmark again: pip install -e ."
        )
    try:
        found: Judge = known.build("metrics", registry.Spec(LOCAL, LOCAL, ""), available=given)
    except UserError as error:
        raise UserError(str(error).replace(f"{LOCAL}.", "green.")) from error  # its settings are named as they are typed
    return found


def signed(judge: str) -> str:
    """The signature of GREEN by that judge."""
    return f"green|{judge}|words:{WORDS}|v{VERSION}"


def means(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Column sums -> ``green``, ``significant.<category>``, ``matched``, ``insignificant``, each a mean over cases."""
    sums = np.asarray(sums, dtype=np.float64)
    names = ("green", *(f"significant.{category}" for category in CATEGORIES), "matched", "insignificant")
    return {name: share(sums[..., column], sums[..., 0]) for column, name in enumerate(names, start=1)}


def row(counts: Counts) -> list[float]:
    """One, GREEN, six significant counts, matched, insignificant."""
    return [1, counts.green, *counts.significant, counts.matched, sum(counts.insignificant)]


def first_words(text: str) -> str:
    """The first 300 words, one blank between any two."""
    return " ".join(text.split()[:WORDS])


def count_as_published(answer: str) -> Counts:
    """The counts as the published code reads them (parse_error_counts of green_score/green.py): what is not found counts 0."""
    return _counted(without_frame(answer), _COUNT, _MATCHES)


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
            if not _WHOLE_MATCHES.match(body):
                raise Unusable(f"[{title}]: begins with {body[:40]!r}; begin with a whole number and a full stop, then what was matched")
            continue
        lines = _lines(body)
        for letter in "abcdef":
            own = [line for line in lines if line.startswith(f"({letter}) ")]
            if len(own) != 1:
                raise Unusable(f"[{title}]: has {len(own)} lines that begin with ({letter}); write (a) to (f) once each, without empty lines between")
            if not _WHOLE_COUNT.search(own[0]):
                raise Unusable(f"[{title}]: ({letter}) has no count; write a colon, a blank, a whole number and a full stop, 0. for none")
    counts = _counted(without_frame(answer), _WHOLE_COUNT, _WHOLE_MATCHES)
    if max(*counts.significant, *counts.insignificant, counts.matched) > _MOST:
        raise Unusable(f"a count is above {_MOST}; count what the two reports state")
    return counts


def told(answer: str, counts: Counts) -> list[Evidence]:
    """An answer for people: what its judge explains, each category in which it counts an error, in its own words, and the matches."""
    answer = without_frame(without_thoughts(answer))
    explanation = answer.split("[Explanation]:")[-1].split("\n[", 1)[0].strip()
    found = [Evidence("Explanation", words=explanation)] if explanation and not explanation.startswith("[") else []
    for title, is_significant, errors in ((SIGNIFICANT, True, counts.significant), (INSIGNIFICANT, False, counts.insignificant)):
        lines = {line[1]: line for line in _lines(_part(answer, title) or "")}
        for category, count in enumerate(errors):
            if count:
                found.append(Evidence(_head(category, is_significant), str(count), _words(lines.get("abcdef"[category], ""))))
    matched = _part(answer, MATCHED) or ""
    return [*found, Evidence(_head(None, False), str(counts.matched), _MATCHES.sub("", matched).lstrip(". ").rstrip())]


def _words(line: str) -> str:
    """What stands behind the count of a line."""
    counted = _COUNT.search(line)
    return line[counted.end() :].lstrip(". ").rstrip() if counted else line


def _head(category: int | None, is_significant: bool) -> str:
    if category is None:
        return "Matched findings"
    return f"{HEADS[category]} ({'significant' if is_significant else 'insignificant'})"


_ORDER = (*((category, True) for category in range(len(CATEGORIES))), *((category, False) for category in range(len(CATEGORIES))), (None, False))


def _counted(answer: str, count: re.Pattern[str], matches: re.Pattern[str]) -> Counts:
    matched = matches.match(_part(answer, MATCHED) or "")
    significant, insignificant = (_errors(_part(answer, title) or "", count) for title in (SIGNIFICANT, INSIGNIFICANT))
    return Counts(significant, insignificant, _number(matched[0]) if matched else 0)


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
    """What belies the "No" that a part begins with: a line with letter or count, also behind an empty line, a number, an exception; or empty."""
    body = _part(answer, title) or ""
    section = answer.split(f"[{title}]:", 1)[1].split("\n[", 1)[0] if title != MATCHED else body
    line = next((line for line in section.splitlines() if _lines(line) or _COUNT.search(line)), "")
    return line or (body if _EXCEPT.search(body) or re.search(r"\d", body) else "")


def _errors(body: str, pattern: re.Pattern[str]) -> tuple[int, ...]:
    if body.startswith("No"):
        return (0,) * len(CATEGORIES)
    counts = [0] * len(CATEGORIES)
    for line in _lines(body):
        if count := pattern.search(line):
            counts["abcdef".index(line[1])] = _number(count[0])
    return tuple(counts)


def _number(digits: str) -> int:
    return int(digits[:9])  # a longer row of digits is no count, and Python refuses to read thousands of them


def _lines(body: str) -> list[str]:
    """The lines of errors, (a) to (f), sorted as the published code sorts them: of two with one letter, the later one holds. (1) to (6) will do."""
    if lettered := sorted(_LETTERED.findall(body)):
        return lettered
    return [f"({'abcdef'[int(line[1]) - 1]}{line[2:]}" for line in sorted(_NUMBERED.findall(body))]
