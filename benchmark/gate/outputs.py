"""A comparison written down: Markdown for a pull request, JUnit for a CI server, JSON for programs. Same comparison, same bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from benchmark.gate.compare import FAILING, Compared, Gate, Lost
from benchmark.tables.markdown import escaped
from benchmark.tables.table import written, written_p

DIGITS = 3


def verdict_line(gate: Gate) -> str:
    """The whole in one sentence: what is worse, by how much, how sure."""
    if gate.passes:
        within = sum(one.verdict == "not worse" for one in gate.numbers)
        margins = f", {_count(within, 'is', 'are')} shown to be within {'its margin' if within == 1 else 'their margins'}" if within else ""
        return f"No regression: of {gate.tests} numbers none is shown to be worse (alpha {gate.alpha:g}, Holm){margins}."
    said = []
    if worse := [one for one in gate.regressions if one.verdict == "worse"]:
        said.append(f"{_count(len(worse), 'number is', 'numbers are')} worse: {'; '.join(map(in_words, worse[:3]))}{_more(worse)}")
    if open_ones := [one for one in gate.regressions if one.verdict == "not shown"]:
        said.append(f"not shown to be within the margin: {'; '.join(map(in_words, open_ones[:3]))}{_more(open_ones)}")
    said += [lost_in_words(one) for one in gate.lost]
    return f"Regression: {'. '.join(said)}."


def in_words(one: Compared) -> str:
    """``clala Pneumothorax F1 0.48 to 0.36, -0.12 [-0.20, -0.04], p = 0.004``."""
    p_value = f"p = {written_p(one.p_holm)}" if one.margin is None else f"margin {one.margin:g}, p = {written_p(one.p_not_worse)}"
    return f"{one.model} {one.title} {written(one.base, DIGITS)} to {written(one.head, DIGITS)}, {change(one)}, {p_value}".replace("= <", "< ")


def lost_in_words(one: Lost) -> str:
    """What a model no longer writes."""
    if one.why:
        return f"{one.model} did not come to its end: {one.why}"
    return f"{one.model} leaves {one.cases:,} of {one.of:,} cases without a report that had one"


def power_line(gate: Gate) -> str:
    """How small a regression so many cases can see."""
    seen = [one for one in gate.numbers if one.is_headline and not math.isnan(one.detectable_corrected)]
    if not seen:
        return "How small a regression could be seen cannot be told."
    listed = ", ".join(f"{one.title} {written(one.detectable_corrected, DIGITS)}" for one in seen if one.model == seen[0].model)
    return (
        f"With {gate.cases:,} cases of {gate.patients:,} patients, a true change is seen four times in five if it is at least: {listed} "
        f"({seen[0].model}; corrected for {gate.tests} tests). A smaller one may pass."
    )


def markdown(gate: Gate) -> str:
    """For a pull request: the verdict, the headlines, the lesions folded away."""
    lines = [f"### {escaped(verdict_line(gate))}", ""]
    headlines = [one for one in gate.numbers if one.is_headline or one.margin is not None or one.verdict in FAILING]
    lines += _table(headlines)
    if rest := [one for one in gate.numbers if one not in headlines]:
        lines += ["", f"<details><summary>{len(rest)} more numbers</summary>", "", *_table(rest), "", "</details>"]
    lines += [
        "",
        f"Base `{gate.base}`, head `{gate.head}`; differences are head minus base, paired by patient, {100 - 100 * gate.alpha:g} % intervals.",
    ]
    lines += map(escaped, (power_line(gate), *gate.notes))
    return "\n".join(lines) + "\n"


def junit(gate: Gate) -> str:
    """One test case for each number, and one for each model's reports."""
    failing = [one for one in gate.numbers if one.verdict in FAILING]
    models = dict.fromkeys((*(one.model for one in gate.numbers), *(one.model for one in gate.lost)))
    count = len(gate.numbers) + len(models)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f'<testsuite name="benchmark compare" tests="{count}" failures="{len(failing) + len(gate.lost)}" errors="0" skipped="0">')
    for one in gate.numbers:
        head = f"  <testcase classname={quoteattr(f'{one.model}.{one.metric}')} name={quoteattr(one.title)}"
        if one.verdict not in FAILING:
            lines.append(f"{head}><system-out>{escape(one.verdict)}: {escape(in_words(one))}</system-out></testcase>")
            continue
        lines.append(f"{head}><failure type={quoteattr(one.verdict)} message={quoteattr(in_words(one))}/></testcase>")
    for model in models:
        lost = next((one for one in gate.lost if one.model == model), None)
        said = lost_in_words(lost) if lost else ""
        inner = f"<failure type='lost reports' message={quoteattr(said)}/>" if lost else ""
        lines.append(f"  <testcase classname={quoteattr(model)} name='reports written'>{inner}</testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def as_json(gate: Gate) -> str:
    """Everything, at full precision; what is not defined is null."""
    numbers = [{**_plain(vars(one)), "key": one.key} for one in gate.numbers]
    whole = {
        "passes": gate.passes,
        "verdict": verdict_line(gate),
        "base": str(gate.base),
        "head": str(gate.head),
        "cases": gate.cases,
        "patients": gate.patients,
        "alpha": gate.alpha,
        "numbers": numbers,
        "lost_reports": [vars(one) for one in gate.lost],
        "notes": list(gate.notes),
    }
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _table(numbers: Iterable[Compared]) -> list[str]:
    lines = ["| | Number | Base | Head | Difference | p | Verdict |", "|---|---|---:|---:|---:|---:|---|"]
    for one in numbers:
        p_value = written_p(one.p_holm if one.margin is None else one.p_not_worse)
        verdict = f"**{one.verdict}**" if one.verdict in FAILING else one.verdict
        verdict += f" (margin {one.margin:g})" if one.margin is not None else ""
        cells = (escaped(one.model), escaped(one.title), written(one.base, DIGITS), written(one.head, DIGITS))
        lines.append(f"| {' | '.join(cells)} | {change(one)} | {p_value} | {verdict} |")
    return lines


def change(one: Compared) -> str:
    """The difference with its interval."""
    return f"{_signed(one.difference)} [{_signed(one.low)}, {_signed(one.high)}]"


def _signed(value: float) -> str:
    return written(value, DIGITS, is_signed=True)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _more(numbers: list[Compared]) -> str:
    return f"; and {len(numbers) - 3} more" if len(numbers) > 3 else ""
