"""Models write one checked report per case, whatever they try."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.generation import ModelFailed, generate
from benchmark.records import Case, Report
from benchmark.runs import ModelFolder, OtherRun

CASES = [Case(f"case-{number}", f"patient-{number // 2}", f"study-{number}", ()) for number in range(10)]


class Fake:
    """A model that writes the case's name; ``spoil`` may put something else in its place. Remembers what it was asked."""

    def __init__(self, spoil: Callable[[int, Report], Any] = lambda number, report: report) -> None:
        self.spoil, self.asked = spoil, list[str]()

    def generate(self, cases: Sequence[Case]) -> Iterator[Any]:
        for number, case in enumerate(cases):
            self.asked.append(case.id)
            answer = self.spoil(number, Report(case.id, f"Report of {case.id}."))
            yield from answer if isinstance(answer, list) else [answer]


def at(wanted: int, answer: Any) -> Callable[[int, Report], Any]:
    return lambda number, report: answer if number == wanted else report


def raising(wanted: int, error: BaseException) -> Callable[[int, Report], Any]:
    def spoil(number: int, report: Report) -> Report:
        if number == wanted:
            raise error
        return report

    return spoil


def test_one_report_per_case_in_order(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    reports = generate(Fake(), CASES, folder, "fake")
    assert [report.text for report in reports] == [f"Report of {case.id}." for case in CASES]
    assert folder.reports() == reports


def test_no_case_is_no_report(tmp_path: Path) -> None:
    assert generate(Fake(), [], ModelFolder(tmp_path), "fake") == []


def test_what_is_there_is_not_asked_again(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    generate(Fake(), CASES[:4], folder, "fake")
    again = Fake()
    reports = generate(again, CASES, folder, "fake")
    assert again.asked == [case.id for case in CASES[4:]]
    assert [report.case_id for report in reports] == [case.id for case in CASES]


def test_a_gap_in_the_middle_is_filled_and_the_file_is_in_order_again(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    undisturbed = generate(Fake(), CASES, folder, "fake")
    folder.rewrite([report for report in undisturbed if report.case_id not in ("case-2", "case-7")])
    assert generate(Fake(), CASES, folder, "fake") == undisturbed
    assert folder.reports() == undisturbed


def test_an_interruption_keeps_what_was_done_and_the_next_run_ends_in_the_same_bytes(tmp_path: Path) -> None:
    undisturbed, interrupted = ModelFolder(tmp_path / "a"), ModelFolder(tmp_path / "b")
    for folder in (undisturbed, interrupted):
        folder.begin({})
    generate(Fake(), CASES, undisturbed, "fake")
    with pytest.raises(KeyboardInterrupt):
        generate(Fake(raising(6, KeyboardInterrupt())), CASES, interrupted, "fake")
    assert len(interrupted.reports()) == 6
    generate(Fake(), CASES, interrupted, "fake")
    assert interrupted.reports_file.read_bytes() == undisturbed.reports_file.read_bytes()


def test_a_model_that_raises_is_stopped_there_with_its_traceback_kept(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    with pytest.raises(ModelFailed, match="stopped at case 4 of 10: ValueError: out of ideas"):
        generate(Fake(raising(3, ValueError("out of\nideas"))), CASES, folder, "fake")
    assert len(folder.reports()) == 3
    assert "out of" in (tmp_path / "failure.txt").read_text()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (at(9, []), "stopped at case 10 of 10: gave 9 reports and then no more; case 'case-9' has none"),
        (at(9, [Report("case-9", "x"), Report("case-10", "y")]), "answered more than the 10 cases it was given"),
        (at(2, Report("case-3", "x")), "answered case 'case-3' where 'case-2' was due"),
        (at(2, "just text"), "gave a str where a benchmark.Report was due"),
        (at(2, Report("case-2", 17)), "gave a report whose text is a int"),  # type: ignore[arg-type]
        (at(2, Report("case-2", "x", details={"image": object()})), "details or regions that are not JSON"),
    ],
    ids=["too few", "too many", "another case", "no report", "no text", "no JSON"],
)
def test_a_model_that_breaks_the_contract_is_stopped_and_told_how(tmp_path: Path, spoil: Callable[[int, Report], Any], message: str) -> None:
    with pytest.raises(ModelFailed, match=message):
        generate(Fake(spoil), CASES, ModelFolder(tmp_path), "fake")


@pytest.mark.parametrize(
    ("text", "why"),
    [("a\0b", "NUL bytes"), ("x" * 1_000_001, "1,000,001 characters, more than 1,000,000"), ("\ud800", "lone surrogates")],
    ids=["NUL", "too long", "half a character"],
)
def test_a_text_that_no_metric_could_read_fails_its_case_and_the_model_goes_on(tmp_path: Path, text: str, why: str) -> None:
    reports = generate(Fake(at(5, Report("case-5", text))), CASES, ModelFolder(tmp_path), "fake")
    assert why in reports[5].failure
    assert reports[5].text == ""
    assert not any(report.failure for report in reports if report.case_id != "case-5")


def test_an_empty_report_is_an_answer(tmp_path: Path) -> None:
    reports = generate(Fake(at(0, Report("case-0", ""))), CASES, ModelFolder(tmp_path), "fake")
    assert reports[0] == Report("case-0", "")


def test_failed_cases_stay_failed_unless_they_are_to_be_tried_again(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    generate(Fake(at(5, Report("case-5", failure="no image"))), CASES, folder, "fake")
    unasked = Fake()
    assert generate(unasked, CASES, folder, "fake")[5].failure == "no image"
    assert unasked.asked == []
    again = Fake()
    assert generate(again, CASES, folder, "fake", retry_failed=True)[5].text == "Report of case-5."
    assert again.asked == ["case-5"]
    assert [report.case_id for report in folder.reports()] == [case.id for case in CASES]


def test_reports_about_other_cases_are_refused(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    generate(Fake(), CASES, folder, "fake")
    with pytest.raises(OtherRun, match="reports about other cases"):
        generate(Fake(), CASES[:3], folder, "fake")


class Counts(Fake):
    """A model whose words depend on how many cases it has seen before."""

    is_independent_by_case = False

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        for number, case in enumerate(cases):
            self.asked.append(case.id)
            yield Report(case.id, f"number {number}")


def test_a_model_whose_cases_depend_on_each_other_is_asked_for_all_of_them_again(tmp_path: Path) -> None:
    undisturbed, interrupted = ModelFolder(tmp_path / "a"), ModelFolder(tmp_path / "b")
    for folder in (undisturbed, interrupted):
        folder.begin({})
    interrupted.rewrite(generate(Counts(), CASES, undisturbed, "fake")[:7])
    again = Counts()
    generate(again, CASES, interrupted, "fake")
    assert interrupted.reports_file.read_bytes() == undisturbed.reports_file.read_bytes()
    assert again.asked == [case.id for case in CASES]


class InBatches(Fake):
    """A model whose words depend on the company in which a case is written about."""

    batch_size = 4

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        for start in range(0, len(cases), self.batch_size):
            batch = cases[start : start + self.batch_size]
            for case in batch:
                self.asked.append(case.id)
                yield Report(case.id, f"written with {' '.join(other.id for other in batch)}")


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4, 5], [0, 1], [9], [0, 1, 2, 3]], ids=str)
def test_a_resumed_run_asks_for_whole_batches_and_ends_in_the_same_bytes(tmp_path: Path, kept: list[int]) -> None:
    undisturbed, interrupted = ModelFolder(tmp_path / "a"), ModelFolder(tmp_path / "b")
    for folder in (undisturbed, interrupted):
        folder.begin({})
    reports = generate(InBatches(), CASES, undisturbed, "fake")
    interrupted.rewrite([reports[number] for number in kept])
    again = InBatches()
    generate(again, CASES, interrupted, "fake")
    assert interrupted.reports_file.read_bytes() == undisturbed.reports_file.read_bytes()
    whole = {number // 4 for number in range(10) if number not in kept}
    assert again.asked == [case.id for number, case in enumerate(CASES) if number // 4 in whole], "a batch that is there is not asked again"


@pytest.mark.parametrize("error", [SystemExit(0), GeneratorExit("odd")])
def test_a_model_that_would_end_the_program_before_its_first_report_has_failed(error: BaseException, tmp_path: Path) -> None:
    """No generator: it raises when it is called, not when it is asked for a report."""

    class Leaving:
        def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
            raise error

    with pytest.raises(ModelFailed, match=rf"stopped at case 1 of 10: WouldEndAll: {type(error).__name__}: {error}"):
        generate(Leaving(), CASES, ModelFolder(tmp_path), "leaving")


def test_a_model_that_hangs_before_it_gives_anything_is_stopped(tmp_path: Path) -> None:
    """One that writes all reports first and gives them as a list."""

    class Thinking:
        def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
            time.sleep(600)
            return iter([])

    with pytest.raises(ModelFailed, match=r"gave no report for 0\.2 s, and --patience is no longer"):
        generate(Thinking(), CASES, ModelFolder(tmp_path), "thinking", patience=0.2)
