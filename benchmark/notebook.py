"""``benchmark.score`` for notebooks: reports in whatever shape they are at hand, numbers as a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from benchmark.evaluator import score_reports
from benchmark.llm.models import Manner
from benchmark.records import DEFAULT_METRICS, RunConfig, UserError
from benchmark.report_files import read_reports

if TYPE_CHECKING:
    import pandas as pd

LONGEST_PATH = 1024
"""characters; a longer text is a report"""


class Texts(NamedTuple):
    """Reports by id."""

    texts: dict[str, str]
    failures: dict[str, str]
    """id -> why there is no text"""


def score_frame(
    references: Any,
    predictions: Any,
    *,
    metrics: Sequence[str] | str = DEFAULT_METRICS,
    patients: Any = None,
    labeller: str = "rules",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 42,
    missing: Literal["fail", "unscored"] = "fail",
    options: Mapping[str, str] | None = None,
    workers: int = 1,
    judge: str = "rules",
    manner: Manner | None = None,
    is_public: bool = False,
    interval: Literal["percentile", "bca"] = "percentile",
    margins: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """A DataFrame with one line per model, metric and number: value, interval, cases scored and not, signature.

    references    {id: text}, a pandas Series, a list (ids are then 0, 1, ...) or the path of a file of reports
    predictions   the same, or {model: any of these} for several models, matched by id
    patients      {id: patient}, a Series or a list beside ``references``; cases of one patient are resampled together
    judge         who judges, for metrics that need a judge: rules or language_model
    options       settings, as on the command line: {"llm.model": "openai/gpt-4o-mini", "llm.judge.temperature": "0.5"}
    manner        how language models are asked: a budget in dollars, as a batch, anew
    is_public     the texts may be sent to others; not said, they go to models on this machine and approved hosts alone
    interval      how intervals are made of the draws: percentile or bca
    margins       by how much a model may be worse than another and still count as not worse: {"rouge_l": 0.01}
    workers       processes; more than one only from a script that guards its start with ``if __name__ == "__main__"``

    Raises ``UserError`` where ids do not match, a file cannot be read or a name is not known.
    """
    import pandas as pd

    if draws < 1 or not 0 < level < 1:
        raise UserError(f"draws={draws}, level={level}: draws is at least 1, level lies between 0 and 1")
    truth = texts_by_id(references, "references").texts
    models = predictions if _is_several(predictions) else {"predictions": predictions}
    _check_no_paths(models, truth)
    given = {str(model): texts_by_id(reports, str(model)) for model, reports in models.items()}
    chosen = tuple(metrics.split(",")) if isinstance(metrics, str) else tuple(metrics)
    config = RunConfig(
        (),
        chosen,
        "",
        options=dict(options or {}),
        labeller=labeller,
        draws=draws,
        level=level,
        seed=seed,
        workers=workers,
        judge=judge,
        strata=False,
        interval=interval,
        margins=dict(margins or {}),
    )
    outcome = score_reports(
        truth,
        {model: reports.texts for model, reports in given.items()},
        config,
        None,
        patients=None if patients is None else _patients(patients, truth),
        missing=missing,
        failures={model: reports.failures for model, reports in given.items()},
        manner=manner,
        is_public=is_public,
    )
    return pd.DataFrame([asdict(row) for row in (*outcome.scored.rows, *outcome.scored.differences)])


def texts_by_id(given: Any, what: str) -> Texts:
    """Reports by id, of a mapping, a Series, a list or a file; a missing cell is an empty text. Raises ``UserError``."""
    if isinstance(given, str | Path):
        read = read_reports(Path(given))
        return Texts(read.texts, read.failures)
    items = given.items() if hasattr(given, "items") else enumerate(given)
    texts: dict[str, str] = {}
    for key, cell in items:
        text = "" if _is_missing(cell) else cell
        if not isinstance(text, str):
            raise UserError(f"{what}: the text of {key!r} is a {type(text).__name__}; give strings")
        if str(key) in texts:
            raise UserError(f"{what}: the id {key!r} is there twice; give each report its own")
        texts[str(key)] = text
    return Texts(texts, {})


def _patients(given: Any, references: Mapping[str, str]) -> dict[str, str]:
    if hasattr(given, "items"):
        patients = {str(key): "" if _is_missing(cell) else str(cell) for key, cell in given.items()}
    else:
        cells = list(given)
        if len(cells) != len(references):
            raise UserError(f"patients has {len(cells)} entries beside {len(references)} references; give one for each, in the same order")
        patients = {case_id: "" if _is_missing(cell) else str(cell) for case_id, cell in zip(references, cells, strict=True)}
    if unknown := [case_id for case_id in references if case_id not in patients]:
        raise UserError(f"patients names no patient for {len(unknown)} references, the first {unknown[0]!r}")
    return patients


def _check_no_paths(models: Mapping[str, Any], references: Mapping[str, str]) -> None:
    """Raises ``UserError`` for {model: "ours.csv"}: strings in a dictionary are reports, and these name files and no case."""
    for given in models.values():
        if not isinstance(given, Mapping) or any(str(key) in references for key in given):
            continue
        for key, text in given.items():
            if isinstance(text, str) and 0 < len(text) < LONGEST_PATH and "\n" not in text and Path(text).is_file():
                raise UserError(
                    f"predictions: no reference has the id {key!r}, and its text {text!r} is the name of a file here; a dictionary of strings "
                    f"is read as {{id: text}}. For a file of each model give paths: {{{key!r}: pathlib.Path({text!r})}}"
                )


def _is_several(predictions: Any) -> bool:
    return isinstance(predictions, Mapping) and any(not isinstance(cell, str) and not _is_missing(cell) for cell in predictions.values())


def _is_missing(cell: Any) -> bool:
    """True for None, NaN and pandas' NA."""
    if cell is None:
        return True
    import pandas as pd

    return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))
