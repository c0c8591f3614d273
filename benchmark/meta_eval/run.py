"""``python -m benchmark meta-eval FILE``: how far metrics agree with radiologists' judgements.

<folder>/  candidates/reports.jsonl    the candidates, in the order of the file: text of reports
           candidates/<metric>.npz     statistics per candidate, so that nothing is measured, or asked of a language model, twice
           scores.csv                  every candidate's numbers, and what each rater said
           meta_eval.md .csv           the agreement, with intervals
           run.json                    written last: configuration, checksums, signatures, versions
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import registry
from benchmark.estimates import Estimated, estimate_scores
from benchmark.evaluator import check_names, fingerprint_of, use_of_texts
from benchmark.hookspecs import Metric
from benchmark.llm.models import LanguageModels, Manner
from benchmark.meta_eval.judgements import Judgements
from benchmark.meta_eval.rank_agreement import Agreed, Draws, Preferred, mean_of, pearson, preferred, spearman, tau_b
from benchmark.meta_eval.table import AS_A_RATER, HUMAN, LENGTH, ONE_RATER, Pairs, Tested, meta_table
from benchmark.per_case import CaseNumber, case_numbers, parse_numbers, per_case
from benchmark.provenance import provenance
from benchmark.records import Case, Reference, Report, Row, RunConfig, UserError
from benchmark.runs import RunFolder, opened, write_atomically, writing
from benchmark.scoring import build_metric, measure_all
from benchmark.tables.long_form import long_form
from benchmark.tables.markdown import markdown
from benchmark.tables.table import Table

CONVENTIONS = "meta_eval|raters:mean|better:higher|pairs:of_one_study|ties:half|unit:candidate"
OF_OTHERS = "against:mean_of_all_raters_but_one|average:raters"
MODEL = "candidates"


@dataclass(frozen=True)
class MetaEval:
    """What came of it."""

    folder: Path
    judgements: Judgements
    rows: list[Row]
    """model is the question that the radiologists were asked"""
    table: Table
    asked: list[str] = field(default_factory=list)
    """what language models were asked, one line for each task and model"""


@dataclass(frozen=True)
class _Compared:
    """One order held against another."""

    coefficients: dict[str, Agreed]
    """``tau_b``, ``spearman``, ``pearson``"""
    preferred: Preferred
    used: np.ndarray
    """(n,) candidates of which both have something to say"""


def meta_eval(
    judgements: Judgements, config: RunConfig, out: Path, *, numbers: tuple[str, ...] = (), manner: Manner | None = None, is_public: bool = False
) -> MetaEval:
    """Hold the metrics of ``config`` against the judgements, and leave the tables in ``out``; run again, it goes on where it stopped.

    numbers     ``metric.number`` to look at in place of a metric's headlines
    is_public   the reports may be sent to others

    Raises ``UserError``.
    """
    started, clock = time.time(), time.monotonic()  # the clock on the wall may be set while it runs
    check_names(config, "")
    specs = registry.parse_specs(config.metrics)
    wanted = parse_numbers(numbers, [spec.label for spec in specs])
    llm = LanguageModels(config.options, use_of_texts(is_public=is_public), manner)
    metrics = {spec.label: build_metric(spec, config, llm) for spec in specs}
    llm.preflight()
    cases, references, reports = _as_run(judgements)
    with opened(out) as folder:
        folder.begin(_identity(judgements), cases, references, is_private=not is_public)
        folder.unseal()
        candidates = folder.model(MODEL)
        candidates.begin({"source": judgements.source}, replacing=True)
        candidates.rewrite(reports)
        texts = [reference.report for reference in references]
        statistics = measure_all(metrics, texts, {MODEL: reports}, config, {MODEL: candidates}, is_anew=llm.manner.refresh)
        looked_at, scores = _scores(metrics, statistics, wanted)
        rows, pairs = _rows(judgements, config, metrics, looked_at, scores)
        table = meta_table(
            rows,
            [Tested(one.metric, one.name, one.title, "turned round, since lower is better" if one.is_lower_better else "") for one in looked_at],
            _answering(judgements),
            pairs,
            source=judgements.source,
            counts=judgements.counts,
            notes=judgements.notes,
            signatures={label: metric.signature() for label, metric in metrics.items()},
            level=config.level,
            draws=config.draws,
        )
        found = MetaEval(out, judgements, rows, table, list(llm.lines()))
        with writing(folder.path):
            write_atomically(folder.path / "scores.csv", _scores_csv(judgements, scores))
            write_atomically(folder.path / "meta_eval.md", markdown(table))
            write_atomically(folder.path / "meta_eval.csv", long_form(rows))
        _seal(folder, found, config, metrics, llm, started, clock)
    return found


def estimate_meta_eval(judgements: Judgements, config: RunConfig, *, manner: Manner | None = None, is_public: bool = False) -> Estimated:
    """What it would ask of language models. Raises ``UserError``."""
    _, references, reports = _as_run(judgements)
    texts = {reference.case_id: reference.report for reference in references}
    candidates = {report.case_id: report.text for report in reports}
    return estimate_scores(texts, {MODEL: candidates}, config, manner or Manner(None, "estimate", False), is_public=is_public)


def _as_run(judgements: Judgements) -> tuple[list[Case], list[Reference], list[Report]]:
    """Each candidate as a case of its own."""
    ids = [f"{one.study}/{one.candidate}" for one in judgements.judged]
    if len(set(ids)) < len(ids):
        raise UserError(
            f"{judgements.source} has a candidate twice: {next(one for one in ids if ids.count(one) > 1)}; name each candidate of a study once"
        )
    cases = [Case(name, one.patient, one.study, ()) for name, one in zip(ids, judgements.judged, strict=True)]
    references = [Reference(name, one.reference) for name, one in zip(ids, judgements.judged, strict=True)]
    return cases, references, [Report(name, one.report) for name, one in zip(ids, judgements.judged, strict=True)]


def _identity(judgements: Judgements) -> dict[str, Any]:
    texts = {f"{one.study}/{one.candidate}": f"{one.reference}\n\n{one.report}" for one in judgements.judged}
    return {"meta_eval": judgements.source, "files": dict(judgements.files), "fingerprint": fingerprint_of(texts), "cases": len(judgements.judged)}


def _scores(
    metrics: Mapping[str, Metric], statistics: Mapping[tuple[str, str], np.ndarray], wanted: Mapping[str, list[str]]
) -> tuple[list[CaseNumber], dict[str, np.ndarray]]:
    """The numbers that are looked at, and by the key of each (n,) values as the metric gives them."""
    numbers: list[CaseNumber] = []
    scores: dict[str, np.ndarray] = {}
    for label, metric in metrics.items():
        measured = statistics[label, MODEL]
        for number in case_numbers(label, metric, measured.shape[1], wanted.get(label, ())):
            numbers.append(number)
            scores[number.key] = per_case(metric, measured, number.name)
    return numbers, scores


def _rows(
    judgements: Judgements,
    config: RunConfig,
    metrics: Mapping[str, Metric],
    numbers: list[CaseNumber],
    scores: Mapping[str, np.ndarray],
) -> tuple[list[Row], dict[tuple[str, str, str], Pairs]]:
    draws = Draws([one.patient for one in judgements.judged], draws=config.draws, seed=config.seed, level=config.level)
    studies = [one.study for one in judgements.judged]
    rows: list[Row] = []
    pairs: dict[tuple[str, str, str], Pairs] = {}

    def add(question: str, metric: str, number: str, compared: _Compared, signature: str, title: str = "") -> None:
        made_of = f"{CONVENTIONS}|asked:{question.replace(' ', '_')}|{signature}|v1"
        counts = int(compared.used.sum()), int((~compared.used).sum())
        for name, agreed in {**compared.coefficients, "pairwise": compared.preferred.accuracy}.items():
            rows.append(Row(question, metric, f"{number}.{name}", agreed.value, *draws.ends(agreed, compared.used), *counts, made_of, title=title))
        pairs[question, metric, number] = Pairs(compared.preferred.pairs, compared.preferred.ties, compared.preferred.undecided)

    length = -np.abs(np.array([len(one.report.split()) - len(one.reference.split()) for one in judgements.judged], dtype=np.float64))
    for question, answering in _answering(judgements).items():
        said = {rater: judgements.said[question][rater] for rater in answering}
        everyone = _mean(list(said.values()))
        others = {rater: _mean([other for name, other in said.items() if name != rater]) for rater in said} if len(said) > 1 else {}
        each = {rater: _compare(said[rater], rest, studies, draws) for rater, rest in others.items()}
        for number in numbers:
            tested, signed = number.better_higher(scores[number.key]), f"number:{number.name}|metric:({metrics[number.metric].signature()})"
            add(question, number.metric, number.name, _compare(tested, everyone, studies, draws), signed, number.title)
            if each:
                add(
                    question,
                    number.metric,
                    f"{number.name}.{AS_A_RATER}",
                    _as_a_rater(tested, said, others, each, studies, draws),
                    f"{OF_OTHERS}|{signed}",
                    number.title,
                )
        add(question, LENGTH, "difference", _compare(length, everyone, studies, draws), "number:minus_difference_in_words")
        if each:
            add(
                question,
                LENGTH,
                f"difference.{AS_A_RATER}",
                _as_a_rater(length, said, others, each, studies, draws),
                f"{OF_OTHERS}|number:minus_difference_in_words",
            )
            add(
                question,
                HUMAN,
                ONE_RATER,
                _of_all(list(each.values()), list(each.values())),
                "number:one_rater_against_mean_of_others|average:raters",
            )
            for rater, compared in each.items():
                add(question, HUMAN, rater, compared, "number:one_rater_against_mean_of_others")
    return rows, pairs


def _answering(judgements: Judgements) -> dict[str, list[str]]:
    """Question -> the raters who say something at all."""
    return {question: [rater for rater, own in said.items() if not np.isnan(own).all()] for question, said in judgements.said.items()}


def _mean(said: list[np.ndarray]) -> np.ndarray:
    """(n,) the mean of those who answered; NaN where nobody did."""
    answers = np.stack(said)
    count = (~np.isnan(answers)).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, np.nansum(answers, axis=0) / count, np.nan)


def _compare(tested: np.ndarray, agreed_with: np.ndarray, studies: list[str], draws: Draws) -> _Compared:
    used = ~np.isnan(tested) & ~np.isnan(agreed_with)
    weights = draws.weights(used)
    one, other = tested[used], agreed_with[used]
    coefficients = {name: coefficient(one, other, weights) for name, coefficient in (("tau_b", tau_b), ("spearman", spearman), ("pearson", pearson))}
    own = [study for study, is_used in zip(studies, used, strict=True) if is_used]
    return _Compared(coefficients, preferred(one, other, own, weights), used)


def _as_a_rater(
    tested: np.ndarray,
    said: Mapping[str, np.ndarray],
    others: Mapping[str, np.ndarray],
    each: Mapping[str, _Compared],
    studies: list[str],
    draws: Draws,
) -> _Compared:
    """Held against the very means that each rater is held against, on the candidates that this rater judged."""
    compared = [_compare(np.where(np.isnan(said[rater]), np.nan, tested), rest, studies, draws) for rater, rest in others.items()]
    return _of_all(compared, list(each.values()))


def _of_all(compared: list[_Compared], raters: list[_Compared]) -> _Compared:
    """The mean over raters, one comparison for each; its pairs are those of all of them.

    raters   how each of them compares: one without a value (who says the same of all) is left out of the mean, whatever is held against the others
    """
    coefficients = {
        name: _of_those([one.coefficients[name] for one in compared], [rater.coefficients[name] for rater in raters])
        for name in raters[0].coefficients
    }
    found = [one.preferred for one in compared]
    together = Preferred(
        _of_those([one.accuracy for one in found], [rater.preferred.accuracy for rater in raters]),
        sum(one.pairs for one in found),
        sum(one.ties for one in found),
        max(one.undecided for one in found),
    )
    return _Compared(coefficients, together, np.any([one.used for one in compared], axis=0))


def _of_those(compared: list[Agreed], raters: list[Agreed]) -> Agreed:
    """The mean over the raters who have a value themselves."""
    return mean_of([one for one, rater in zip(compared, raters, strict=True) if not math.isnan(rater.value)])


def _scores_csv(judgements: Judgements, scores: Mapping[str, np.ndarray]) -> str:
    """As the metrics give them, not turned round, and what the raters said, turned so that higher is better; empty where there is nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    said = {f"{question}: {rater}": answers for question, raters in judgements.said.items() for rater, answers in raters.items()}
    writer.writerow(["study", "candidate", "patient", *scores, *said])
    for place, one in enumerate(judgements.judged):
        values = [float(column[place]) for column in (*scores.values(), *said.values())]
        writer.writerow([one.study, one.candidate, one.patient, *("" if math.isnan(value) else repr(value) for value in values)])
    return out.getvalue()


def _seal(
    folder: RunFolder, found: MetaEval, config: RunConfig, metrics: Mapping[str, Metric], llm: LanguageModels, started: float, clock: float
) -> None:
    folder.seal(
        {
            "meta_eval": {"source": found.judgements.source, **found.judgements.counts, "files": dict(found.judgements.files)},
            "config": asdict(config),
            "signatures": {label: metric.signature() for label, metric in metrics.items()},
            "language_models": llm.record(),
            "notes": list(found.judgements.notes),
            "provenance": provenance(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(time.monotonic() - clock, 1),
        }
    )
