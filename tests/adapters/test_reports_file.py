"""Reports from a file, as a model."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from adapters.reports_file import ReportsFile
from benchmark.records import Case, Report, UserError
from benchmark.report_files import MismatchedIds, UnreadableReports


def case(name: str, study: str = "") -> Case:
    return Case(id=name, patient="p", study=study or f"s{name}", images=())


def model(folder: Path, content: str, **columns: str) -> ReportsFile:
    path = folder / "predictions.csv"
    path.write_text(content)
    return ReportsFile(str(path), **columns)


def test_cases_are_answered_by_id_in_their_own_order(tmp_path: Path) -> None:
    reports = model(tmp_path, "id,report\n2,Two.\n9,Nine.\n1,One.\n").generate([case("1"), case("2")])
    assert list(reports) == [Report("1", "One."), Report("2", "Two.")]


def test_a_case_that_the_file_lacks_has_failed_and_an_empty_cell_is_an_empty_report(tmp_path: Path) -> None:
    """An omission is not an answer; an empty answer is."""
    reports = model(tmp_path, "id,report,failure\n1,One.,\n2,,\n3,,no image\n").generate([case(name) for name in "1234"])
    assert list(reports) == [
        Report("1", "One."),
        Report("2", ""),
        Report("3", failure="no image"),
        Report("4", failure="no report in predictions.csv"),
    ]


def test_images_of_one_study_share_its_report_where_the_file_goes_by_study(tmp_path: Path) -> None:
    reports = model(tmp_path, "study_id,report\ns1,One.\ns2,Two.\n").generate([case("a", "s1"), case("b", "s1"), case("c", "s2")])
    assert [report.text for report in reports] == ["One.", "One.", "Two."]


def test_ids_win_over_studies(tmp_path: Path) -> None:
    """One case id in the file is enough: a mixture of both ways could pair wrongly."""
    reports = list(model(tmp_path, "id,report\na,A.\nb,B.\n").generate([case("a", "b"), case("c", "b")]))
    assert reports == [Report("a", "A."), Report("c", failure="no report in predictions.csv")]


def test_a_file_about_other_cases_is_refused_with_both_sides(tmp_path: Path) -> None:
    answers = model(tmp_path, "id,report\nx1,A.\nx2,B.\n").generate([case(name) for name in "12345"])
    with pytest.raises(MismatchedIds) as caught:
        list(answers)
    assert "no report is about any of the 5 cases asked for; cases are '1', '2', '3', ..., the file has 'x1', 'x2'" in str(caught.value)
    assert "--set reports_file.id_column=NAME" in str(caught.value)


def test_studies_must_all_be_there_to_be_gone_by(tmp_path: Path) -> None:
    with pytest.raises(MismatchedIds):
        list(model(tmp_path, "id,report\ns1,A.\n").generate([case("a", "s1"), case("b", "s2")]))


def test_columns_can_be_named(tmp_path: Path) -> None:
    content = "id,report,nr,impression\n1,One.,7,Seven.\n"
    assert list(model(tmp_path, content, id_column="nr", text_column="impression").generate([case("7")])) == [Report("7", "Seven.")]


def test_no_cases_get_no_reports(tmp_path: Path) -> None:
    assert list(model(tmp_path, "id,report\n1,One.\n").generate([])) == []


def test_a_file_that_cannot_be_read_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(UnreadableReports, match="no such file; give the path of a file of reports"):
        ReportsFile(str(tmp_path / "none.csv"))
    with pytest.raises(UserError, match=r"no file named; write reports_file:predictions.csv"):
        ReportsFile(" ")


def test_provenance_names_the_file_by_checksum_and_counts_what_is_in_it(tmp_path: Path) -> None:
    made = model(tmp_path, "id,report,failure\n1,One.,\n2,,\n3,,no image\n")
    assert made.provenance() == {
        "file": "predictions.csv",
        "sha256": hashlib.sha256((tmp_path / "predictions.csv").read_bytes()).hexdigest(),
        "reports": 2,
        "empty": 1,
        "failures": 1,
        "warnings": [],
    }


def test_provenance_has_no_path_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes("id,report\n1,Ödem\n".encode("cp1252"))
    made = ReportsFile(str(path))
    assert made.provenance()["warnings"] == ["predictions.csv is not UTF-8; read as Windows-1252 (1 lines with such signs, the first is line 2)"]
