"""Consistency of a report with its reference on four axes, each a whole number from 1 to 5 (Noh et al. 2026, Sect. 4.4 and Tables 2a-2c).

The paper's judge is a language model; which one, and with which words, is not printed. Ours is any model, with the prompt ``prompts/judge.md``, or
the embedded rules of ``consistency_rules``. The paper prints the sum of the axes (out of 20) and writes of their average: both are given, ``total``
and ``mean``. Means over cases are of whole numbers, as the judge gave them.

A candidate without text is asked about like any other: what it is worth is the judge's to say, not ours. An answer that cannot be used is no score:
the case is unscored, and counted.

Options that measure the judge: ``judges=a,b`` asks several models, and the headline is the mean over them; ``samples=5`` asks each so many times
(a temperature of 0 gives the same answer five times) and gives the spread; ``swap=yes`` asks with the two reports exchanged too, and gives how
much higher the total is as they stand: a judge that looks at agreement alone has a bias of 0 where neither report says more than the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmark.llm import prompts
from benchmark.llm.json_answers import plain, read_object, shown
from benchmark.llm.questions import Failed, Kind, LanguageModels, Question, Unusable, ask_for, kept_answers
from benchmark.metrics.consistency_rules import AXES, RuleJudge, axis_values
from benchmark.metrics.tokens import check_pairs
from benchmark.progress import progress
from benchmark.records import Evidence, UserError

VERSION = 1
SCORES = (1, 2, 3, 4, 5)
_AXIS_SCHEMA = {
    "type": "object",
    # In this order: a model writes from left to right, and evidence behind a score can only defend it.
    "properties": {"evidence": {"type": "string"}, "score": {"type": "integer", "enum": list(SCORES)}},
    "required": ["evidence", "score"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": dict.fromkeys(AXES, _AXIS_SCHEMA),
    "required": list(AXES),
    "additionalProperties": False,
}

Judgement = dict[str, tuple[int, str]]
"""axis -> score, evidence"""


class Consistency:
    """The four axes, their total and their mean, by the judge that is asked for."""

    name = "consistency"

    def __init__(
        self,
        llm: LanguageModels | None = None,
        *,
        judge: Literal["rules", "language_model"] = "rules",
        judges: str = "",
        samples: int = 1,
        swap: bool = False,
        prompt: Path | None = None,
    ) -> None:
        """Raises ``UserError`` for settings that make no sense, or if there is no model to ask.

        judges   comma list of models in place of the one that judges by default
        samples  answers to each question
        swap     ask with the two reports exchanged too
        prompt   a text in place of ``prompts/judge.md``
        """
        if judge == "rules":
            if judges or samples != 1 or swap or prompt:
                raise UserError(
                    "consistency: judges, samples, swap and prompt are for a judge that is a language model; the judge by rules has no such "
                    "settings: add consistency.judge=language_model, or leave them"
                )
            self._judge: RuleJudge | ModelJudges = RuleJudge()
        else:
            self._judge = ModelJudges(llm, model_names(judges), samples=samples, swap=swap, prompt=prompt)

    @property
    def titles(self) -> dict[str, str]:
        """The total first; a judge by rules is named in every head, and in every number."""
        prefix, by = ("rules.", "rules") if isinstance(self._judge, RuleJudge) else ("", "")
        heads = {"total": f"Total (20, {by})" if by else "Total (20)", "mean": f"Mean of axes (5, {by})" if by else "Mean of axes (5)"}
        heads |= {axis: axis.replace("_", " ").capitalize() + (f" ({by})" if by else "") for axis in AXES}
        return {f"{prefix}{name}": title for name, title in heads.items()}

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """An axis is 1 to 5, and so is their mean; their sum 4 to 20."""
        return {name: (4.0, 20.0) if name.endswith("total") else (1.0, 5.0) for name in self.titles}

    @property
    def asks(self) -> bool:
        """True if it sends questions: then it is measured in one process, and what it could not say is asked again."""
        return self._judge.asks

    @property
    def failures(self) -> Counter[Kind]:
        """Why how many cases of the last ``statistics`` have no score."""
        return self._judge.failures

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, k) as the judge has it: one first, then scores; a row of NaN where an answer is missing."""
        return self._judge.statistics(hypotheses, references)

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``total``, ``mean`` and the axes; of the judge by rules with ``rules.`` before each name."""
        return self._judge.values(sums)

    @property
    def evidence_title(self) -> str:
        """What stands above the evidence."""
        return self._judge.evidence_title

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        """Of each case why it has its scores, axis by axis: what the rules counted, or what the judge wrote, as far as its answers are kept."""
        check_pairs(hypotheses, references)
        return self._judge.evidence(hypotheses, references)

    def kept_statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """``statistics`` of the answers that are kept, and nobody is asked; a row of NaN where one is not kept."""
        check_pairs(hypotheses, references)
        judge = self._judge
        return judge.kept_statistics(hypotheses, references) if isinstance(judge, ModelJudges) else judge.statistics(hypotheses, references)

    def signature(self) -> str:
        """Which judge, and how it was asked."""
        return self._judge.signature()


class ModelJudges:
    """One or several language models as judges."""

    asks = True

    def __init__(
        self, llm: LanguageModels | None, models: Sequence[str] = (), *, samples: int = 1, swap: bool = False, prompt: Path | None = None
    ) -> None:
        """``models`` is empty for the one that judges by default. Raises ``UserError``."""
        if samples < 1:
            raise UserError(f"consistency: samples is {samples}; it must be at least 1")
        self.models, self.samples, self.swap = tuple(models), samples, swap
        self._prompt = prompts.load("judge", prompt)
        self._asked = [ask_for("judge", llm, model) for model in models or (None,)]
        self._of_each = ("spread",) * (samples > 1) + ("swap_bias",) * swap
        self.failures: Counter[Kind] = Counter()

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 1 + judges * (4 + spread + swap)) one, then for each judge its axes, the spread and the bias of its total; a row of NaN where any
        answer is missing."""
        check_pairs(hypotheses, references)
        pairs = list(zip(hypotheses, references, strict=True))
        distinct = list(dict.fromkeys(pairs))
        scores = np.full((len(distinct), len(self._asked), self.samples, 1 + self.swap, len(AXES)), np.nan)
        failed: dict[int, Kind] = {}
        with progress("judge by language model", scores[..., 0].size, unit="questions") as advance:
            for judge, ask in enumerate(self._asked):
                places = product(range(len(distinct)), range(self.samples), range(1 + self.swap))
                for (pair, sample, swapped), outcome in zip(places, ask(self._questions(distinct), read_scores), strict=True):
                    if isinstance(outcome, Failed):
                        failed.setdefault(pair, outcome.kind)
                    else:
                        scores[pair, judge, sample, swapped] = outcome.value
                    advance(1)
        place_of = {pair: place for place, pair in enumerate(distinct)}
        places_of_cases = [place_of[pair] for pair in pairs]
        self.failures = Counter(failed[place] for place in places_of_cases if place in failed)
        rows = self._rows(scores)
        rows[list(failed)] = np.nan
        return rows[places_of_cases]

    @property
    def evidence_title(self) -> str:
        """Who judges."""
        return f"Judge ({', '.join(ask.signature().partition('|')[0] for ask in self._asked)})"

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        """What each judge wrote under each axis; of several answers to one question the first one's words. Nothing unless every answer is kept that
        the case's scores were made of: those of all judges, all samples, and both ways round."""
        pairs = list(zip(hypotheses, references, strict=True))
        distinct = list(dict.fromkeys(pairs))
        found: dict[tuple[str, str], list[Evidence]] = {pair: [] for pair in distinct}
        for ask, answers in zip(self._asked, self._kept(distinct), strict=True):
            by = f" ({ask.signature().partition('|')[0]})" if len(self._asked) > 1 else ""
            for pair, judged in answers.items():
                as_they_stand = judged[:: 1 + self.swap]
                for axis, (_, words) in as_they_stand[0].items():
                    scores = ", ".join(str(one[axis][0]) for one in as_they_stand)
                    found[pair].append(Evidence(f"{axis.replace('_', ' ').capitalize()}{by}", f"{scores} of {SCORES[-1]}", words))
        whole = len(AXES) * len(self._asked)
        return [found[pair] if len(found[pair]) == whole else [] for pair in pairs]

    def kept_statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """``statistics`` of the answers that are kept; a row of NaN where one is not."""
        pairs = list(zip(hypotheses, references, strict=True))
        distinct = list(dict.fromkeys(pairs))
        scores = np.full((len(distinct), len(self._asked), self.samples, 1 + self.swap, len(AXES)), np.nan)
        place_of = {pair: place for place, pair in enumerate(distinct)}
        for judge, answers in enumerate(self._kept(distinct)):
            for pair, judged in answers.items():
                of_pair = np.array([[one[axis][0] for axis in AXES] for one in judged], dtype=np.float64)
                scores[place_of[pair], judge] = of_pair.reshape(self.samples, 1 + self.swap, len(AXES))
        rows = self._rows(scores)
        rows[np.isnan(scores).any(axis=(1, 2, 3, 4))] = np.nan
        return rows[[place_of[pair] for pair in pairs]]

    def _kept(self, distinct: Sequence[tuple[str, str]]) -> list[dict[tuple[str, str], list[Judgement]]]:
        """Of each judge, pair -> its answers, sample by sample, as they stand and exchanged; of the pairs of which all are kept."""
        found = []
        for ask in self._asked:
            outcomes = kept_answers(ask, self._questions(distinct), read_judgement)
            answers: dict[tuple[str, str], list[Judgement]] = {}
            for (pair, _, _), outcome in zip(product(distinct, range(self.samples), range(1 + self.swap)), outcomes, strict=True):
                if not isinstance(outcome, Failed):
                    answers.setdefault(pair, []).append(outcome.value)
            found.append({pair: judged for pair, judged in answers.items() if len(judged) == self.samples * (1 + self.swap)})
        return found

    def _questions(self, pairs: Sequence[tuple[str, str]]) -> Iterator[Question]:
        for (candidate, reference), sample, swapped in product(pairs, range(self.samples), range(1 + self.swap)):
            first, second = (candidate, reference) if swapped else (reference, candidate)
            yield Question("judge", self._prompt.fill(reference=first, candidate=second), SCHEMA, sample)

    def _rows(self, scores: np.ndarray) -> np.ndarray:
        """(pairs, k) from scores (pairs, judges, samples, 1 or 2 ways round, 4)."""
        totals = scores.sum(axis=-1)
        columns = [scores[..., 0, :].mean(axis=2)]
        if self.samples > 1:
            columns.append(totals[..., 0].std(axis=2, ddof=1)[..., None])
        if self.swap:
            columns.append((totals[..., 0] - totals[..., 1]).mean(axis=2)[..., None])
        of_judges = np.concatenate(columns, axis=-1)
        return np.concatenate([np.ones((len(scores), 1)), of_judges.reshape(len(scores), int(np.prod(of_judges.shape[1:])))], axis=1)

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Means over cases and judges: ``total`` out of 20, ``mean`` out of 5, the axes; with several judges ``<model>.total`` and so on too.

        ``total.spread``  mean over cases of the standard deviation of the total over samples (n - 1)
        ``swap_bias``     mean over cases of the total as it stands, minus the total with the two reports exchanged
        """
        cases = sums[..., 0]
        of_judges = sums[..., 1:].reshape(*sums.shape[:-1], len(self._asked), len(AXES) + len(self._of_each))
        found = self._named(of_judges.mean(axis=-2), cases, "")
        for place, model in enumerate(self.models if len(self.models) > 1 else ()):
            found |= self._named(of_judges[..., place, :], cases, f"{model}.")
        return found

    def _named(self, sums: np.ndarray, cases: np.ndarray, prefix: str) -> dict[str, np.ndarray]:
        found = axis_values(sums[..., : len(AXES)], cases, prefix)
        for column, name in enumerate(self._of_each, start=len(AXES)):
            with np.errstate(invalid="ignore", divide="ignore"):
                found[f"{prefix}{'total.spread' if name == 'spread' else name}"] = np.where(cases > 0, sums[..., column] / cases, np.nan)
        return found

    def signature(self) -> str:
        """Models, prompt, and how often they were asked; each model's own stands in brackets."""
        models = "+".join(f"({ask.signature()})" for ask in self._asked)
        swap = "yes" if self.swap else "no"
        return (
            f"consistency|judge:language_model|models:{models}|prompt:{self._prompt.digest}|scale:1-5|samples:{self.samples}|swap:{swap}|v{VERSION}"
        )


def model_names(judges: str) -> tuple[str, ...]:
    """The models of a comma list. Raises ``UserError`` if one is named twice: two answers of one model are samples."""
    names = tuple(name.strip() for name in judges.split(",") if name.strip())
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"consistency: judges names {twice[0]!r} twice; name it once, and ask it more often with samples=2")
    return names


def read_scores(answer: str) -> tuple[int, int, int, int]:
    """The scores of an answer in the order of ``AXES``. Raises ``Unusable`` as ``read_judgement`` does."""
    judged = read_judgement(answer)
    accuracy, completeness, language, structure = (judged[axis][0] for axis in AXES)
    return accuracy, completeness, language, structure


def read_judgement(answer: str) -> Judgement:
    """Axis -> score and evidence, in the order of ``AXES``. Raises ``Unusable`` unless each is given once, a whole number from 1 to 5, with evidence.

    The order of the keys is not looked at: the schema and the prompt ask for evidence first, and an object does not tell what was written first.
    """
    found: dict[str, object] = {}
    for name, value in read_object(answer).items():
        if plain(name) in found:
            raise Unusable(f"the key {shown(name)} stands twice in one object, spelt in two ways; write each key once")
        found[plain(name)] = value
    return {axis: _score(axis, found.get(plain(axis))) for axis in AXES}


def _score(axis: str, value: object) -> tuple[int, str]:
    if not isinstance(value, Mapping) or not isinstance(value.get("evidence"), str):
        raise Unusable(f'{axis} must be an object with the keys evidence (a text) and score: {{"evidence": "...", "score": 3}}')
    if not value["evidence"].strip():
        raise Unusable(f"the evidence of {axis} is blank; write what in the two reports the score stands on")
    score = value.get("score")
    if isinstance(score, bool) or score not in SCORES:
        raise Unusable(f"the score of {axis} is {shown(score)}; it must be a whole number from 1 to 5")
    return int(score), value["evidence"].strip()
