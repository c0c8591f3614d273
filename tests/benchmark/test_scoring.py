"""Statistics per case become numbers; what cannot be scored is counted, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmark.records import Report, RunConfig
from benchmark.runs import ModelFolder
from benchmark.scoring import BadMetric, Texts, digest_of, presented, score, statistics_of

REFERENCES = ["The heart is enlarged.", "No pleural effusion.", "", "Small left pleural effusion."]
PATIENTS = ["a", "a", "b", "c"]


class SharedWords:
    """Share of the reference's words that the report has; as a metric, by hand."""

    name = "shared_words"

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        rows = []
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            words = set(reference.split())
            rows.append([len(words & set(hypothesis.split())) / len(words), 1.0])
        return np.array(rows).reshape(-1, 2)

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": np.where(sums[..., 1] > 0, sums[..., 0] / np.maximum(sums[..., 1], 1), np.nan)}

    def signature(self) -> str:
        return "shared_words|v1"


def reports(*texts: str | None) -> list[Report]:
    return [Report(str(number), text) if text is not None else Report(str(number), failure="broken") for number, text in enumerate(texts)]


def test_a_failed_report_and_an_empty_reference_are_rows_of_nan_and_an_empty_report_is_not() -> None:
    rows = statistics_of(SharedWords(), reports("The heart", "", "x", None), REFERENCES)
    np.testing.assert_array_equal(rows, [[0.5, 1], [0.0, 1], [np.nan, np.nan], [np.nan, np.nan]])


def test_nothing_to_score_gives_rows_of_nan_only() -> None:
    assert np.isnan(statistics_of(SharedWords(), reports(None, None), ["a", "b"])).all()
    assert statistics_of(SharedWords(), [], []).shape == (0, 2)


def test_a_metric_that_loses_a_row_is_refused() -> None:
    class Losing(SharedWords):
        def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
            return super().statistics(hypotheses, references)[1:]

    with pytest.raises(BadMetric, match=r"shape \(2, 2\).*for 3 reports"):
        statistics_of(Losing(), reports("a", "b", "c"), ["a", "b", "c"])


def test_a_shifted_pairing_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        statistics_of(SharedWords(), reports("a", "b"), ["a"])


CONFIG = RunConfig((), ("rouge_l", "bleu", "lesions"), "files", draws=50)


def test_every_number_has_its_interval_its_counts_and_its_signature() -> None:
    scored = score(PATIENTS, REFERENCES, {"m": reports("The heart is enlarged.", "Clear.", "x", None)}, CONFIG)
    by_name = {(row.metric, row.value_name): row for row in scored.rows}
    rouge = by_name["rouge_l", "f1"]
    assert rouge.value == pytest.approx(0.5)  # one identical pair, one without a common word
    assert (rouge.scored, rouge.unscored) == (2, 2)
    assert rouge.signature == scored.signatures["rouge_l"] != ""
    assert by_name["lesions", "cardiomegaly.f1"].value == 1.0
    assert scored.differences == []


def test_two_models_with_the_same_reports_differ_by_nothing() -> None:
    written = reports("The heart is enlarged.", "No effusion.", "x", "Left effusion.")
    scored = score(PATIENTS, REFERENCES, {"one": written, "two": written}, CONFIG)
    assert {row.model for row in scored.differences} == {"one - two"}
    defined = [row for row in scored.differences if not np.isnan(row.value)]
    assert defined
    assert all(row.value == 0 for row in defined)
    tested = [row for row in defined if "right" not in row.value_name]
    assert all(row.low == 0 and row.high == 0 and row.p_value == 1 for row in tested)
    assert all(np.isnan(row.p_value) for row in defined if row.value_name.endswith(".right")), "no case on which just one is right: nothing to test"


def test_kept_statistics_are_used_if_the_reports_are_the_same_and_only_then(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    config = RunConfig((), ("rouge_l",), "files", draws=20)
    written = reports("The heart is enlarged.", "Clear.", "x", "Left effusion.")
    first = score(PATIENTS, REFERENCES, {"m": written}, config, {"m": folder})
    before = (tmp_path / "rouge_l.npz").stat().st_mtime_ns
    assert score(PATIENTS, REFERENCES, {"m": written}, config, {"m": folder}) == first
    assert (tmp_path / "rouge_l.npz").stat().st_mtime_ns == before
    other = [*written[:-1], Report("3", "Right effusion.")]
    assert score(PATIENTS, REFERENCES, {"m": other}, config, {"m": folder}) != first
    assert (tmp_path / "rouge_l.npz").stat().st_mtime_ns != before


def test_statistics_kept_in_another_layout_of_columns_are_measured_again(tmp_path: Path) -> None:
    """What a run of before kept of the lesions: 5 columns for each, under the signature that they still have."""
    config = RunConfig((), ("lesions",), "files", draws=50)
    written = reports("The heart is enlarged.", "Clear.", "x", None)
    whole = score(PATIENTS, REFERENCES, {"m": written}, config)
    folder = ModelFolder(tmp_path)
    folder.path.mkdir(exist_ok=True)
    folder.write_statistics("lesions", np.ones((4, 70)), f"{whole.signatures['lesions']} {digest_of(written, REFERENCES)}")
    again = score(PATIENTS, REFERENCES, {"m": written}, config, {"m": folder})
    assert repr(again.rows) == repr(whole.rows)


def test_a_number_brings_title_and_direction_where_its_metric_has_them() -> None:
    config = RunConfig((), ("lesions",), "files", draws=50)
    rows = {row.value_name: row for row in score(PATIENTS, REFERENCES, {"m": reports("The heart is enlarged.", "Clear.", "x", None)}, config).rows}
    shown = {name: (row.title, row.direction) for name, row in rows.items()}
    assert shown["macro_f1"] == ("Macro F1", "higher")
    assert shown["mass.hallucination"] == ("Mass hallucination", "lower")
    assert shown["mass.support"] == ("Mass support", "")
    assert shown["side.left_as_right"] == ("", "")
    assert [name for name, row in rows.items() if row.is_headline] == ["macro_f1", "micro_f1"]


def test_a_metric_that_says_nothing_of_its_looks_has_no_title_no_direction_and_no_headline() -> None:
    assert presented(SharedWords(), "mean") == {"title": "", "direction": "", "is_headline": False}


def test_the_number_of_processes_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.scoring.POOL_FROM", 0)
    written = {"m": reports("The heart is enlarged.", "Clear.", "x", "Left effusion.")}
    alone, pooled = (
        score(PATIENTS, REFERENCES, written, RunConfig((), ("rouge_l", "bleu"), "files", draws=20, workers=workers)) for workers in (1, 2)
    )
    assert alone == pooled


@pytest.mark.parametrize("changed", [{"text": "x"}, {"failure": "broken"}])
def test_the_digest_sees_every_change_that_a_metric_would_see(changed: dict[str, str]) -> None:
    assert digest_of([Report("a", "y")], ["r"]) != digest_of([Report("a", **changed)], ["r"])
    assert digest_of([Report("a", "y")], ["r"]) != digest_of([Report("a", "y")], ["s"])
    assert digest_of([Report("a", "y")], ["r"]) == digest_of([Report("a", "y", details={"seen": False})], ["r"])


def test_a_text_is_handed_over_once_however_often_it_was_written() -> None:
    given = Texts.of({"m": reports("x", None, "y", "x"), "n": reports("r", "x", None, "")}, ["r", "s", "r", "y"])
    assert given.texts == ["r", "s", "y", "x", ""]
    assert [given.texts[place] for place in given.references] == ["r", "s", "r", "y"]
    assert given.of_model("m") == ["x", None, "y", "x"]
    assert given.of_model("n") == ["r", "x", None, ""]


def test_a_metric_that_would_end_the_program_is_named() -> None:
    """With status 0 it would have ended the command as if all were well, and without a table."""

    class Leaving(SharedWords):
        name = "leaving"

        def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
            raise SystemExit(0)

    with pytest.raises(BadMetric, match="metric 'leaving' ended with SystemExit: 0, where numbers were due; mend it, or leave it out of --metrics"):
        statistics_of(Leaving(), reports("Clear."), ["Clear."])
