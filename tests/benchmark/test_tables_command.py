"""``tables``: finished runs print their tables again, side by side where they compare, and beside the printed numbers."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark import evaluator
from benchmark.cli import app
from benchmark.records import RunConfig, UserError
from benchmark.signatures import UnlikeSignatures
from benchmark.tables import as_text
from benchmark.tables.asked import asked_tables, checked_formats, write_formats
from benchmark.tables.beside import beside_print
from benchmark.tables.finished import NoFinishedRun, as_material, read_finished
from benchmark.tables.layouts import table1
from benchmark.tables.printed import read_printed
from benchmark.tables.table import Number, Quoted, Table

REPORTS = {
    "c1": ("The heart is enlarged. No pleural effusion.", "p1"),
    "c2": ("Small left pleural effusion. No pneumothorax.", "p1"),
    "c3": ("Clear lungs. No acute disease.", "p2"),
    "c4": ("Right upper lobe consolidation concerning for pneumonia.", "p3"),
    "c5": ("No focal consolidation. Heart size is normal.", "p4"),
    "c6": ("Moderate right pneumothorax.", "p5"),
}


def write_csv(file: Path, rows: list[tuple[str, ...]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(rows)


def dataset(folder: Path, names: list[str]) -> str:
    """A dataset of one's own with those cases."""
    generator = np.random.default_rng(0)
    rows = [("image", "id", "report", "patient", "split")]
    for name in names:
        Image.fromarray(generator.integers(0, 255, (40, 30), dtype=np.uint8)).save(folder / f"{name}.png")
        rows.append((f"{name}.png", name, REPORTS[name][0], REPORTS[name][1], "test"))
    write_csv(folder / f"cases{len(names)}.csv", rows)
    return f"manifest:{folder / f'cases{len(names)}.csv'}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished runs: two that compare, and others that do not."""
    folder = tmp_path_factory.mktemp("runs")
    whole, part = dataset(folder, list(REPORTS)), dataset(folder, list(REPORTS)[:4])
    write_csv(folder / "ours.csv", [("id", "report"), *((name, report) for name, (report, _) in REPORTS.items())])
    write_csv(folder / "theirs.csv", [("id", "report"), *((name, "Clear lungs. Small left pleural effusion.") for name in REPORTS)])
    ours, theirs = f"rgrg=reports_file:{folder / 'ours.csv'}", f"other=reports_file:{folder / 'theirs.csv'}"
    first = RunConfig(("constant", ours), ("lesions", "rouge_l"), whole, draws=40, workers=1)
    configs = {
        "first": first,
        "second": replace(first, models=(theirs,)),
        "third": replace(first, models=(ours, theirs)),
        "stemless": replace(first, models=(theirs,), options={"rouge_l.stem": "no"}),
        "narrower": replace(first, models=(theirs,), level=0.9),
        "of_part": replace(first, models=(theirs,), dataset=part),
        "unprinted": replace(first, models=(ours,), metrics=("bleu",)),
    }
    for name, config in configs.items():
        evaluator.run(config, folder / name)
    return {name: folder / name for name in configs}


def named(tables: list[Table]) -> dict[str, Table]:
    return {table.name: table for table in tables}


def test_a_finished_run_prints_its_tables_again_to_the_byte(runs, tmp_path) -> None:
    """Every file that the run wrote itself, with notes, intervals, marks, cards and paired differences; nothing is measured."""
    written = write_formats(asked_tables(runs=[runs["first"]]), tmp_path / "again", ("md", "csv", "tex", "html"))
    names = {file.name for file in written} - {"index.html"}
    assert {f"{table}.{ending}" for table in ("summary", "table1", "table2a", "differences", "strata") for ending in ("md", "html")} <= names
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (runs["first"] / name).read_bytes(), name


def test_a_run_of_before_tables_were_kept_in_its_record_is_printed_too(runs, tmp_path) -> None:
    shutil.copytree(runs["first"], tmp_path / "old")
    record = json.loads((tmp_path / "old" / "run.json").read_text())
    del record["tables"]
    (tmp_path / "old" / "run.json").write_text(json.dumps(record))
    old, new = (as_text(named(asked_tables(runs=[folder]))["summary"], "md") for folder in (tmp_path / "old", runs["first"]))
    assert [line for line in old.splitlines() if line.startswith("|")] == [line for line in new.splitlines() if line.startswith("|")]
    assert "6 cases, 5 patients" in old


def test_two_runs_on_the_same_cases_stand_side_by_side_with_no_difference_between_them(runs) -> None:
    tables = named(asked_tables(runs=[runs["first"], runs["second"]]))
    assert [line.label.rstrip("§‡") for line in tables["summary"].blocks[0].lines] == ["constant", "rgrg", "other"]
    pairs = {row.model for row in tables["differences"].numbers}
    assert pairs == {"constant - rgrg"}
    assert any("Of 2 runs, side by side" in note.text for note in tables["summary"].notes)


def test_a_number_of_two_runs_is_the_number_of_its_own_run(runs) -> None:
    together = as_material(read_finished(runs["first"])), as_material(read_finished(runs["second"]))
    tables = named(asked_tables(runs=[runs["first"], runs["second"]]))
    found = {(row.model, row.metric, row.value_name): row.value for row in tables["summary"].numbers}
    for given in together:
        for row in given.rows:
            if (key := (row.model, row.metric, row.value_name)) in found:
                assert found[key] == row.value


def test_a_model_of_both_runs_is_told_apart_by_its_folder(runs) -> None:
    tables = named(asked_tables(runs=[runs["first"], runs["third"]]))
    labels = [line.label for line in tables["summary"].blocks[0].lines]
    assert [re.sub("[§‡]", "", label) for label in labels] == ["constant", "rgrg (first)", "rgrg (third)", "other"]
    assert {row.model for row in tables["differences"].numbers} == {"constant - rgrg (first)", "rgrg (third) - other"}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("of_part", "the runs measure different data: fingerprint: "),
        ("stemless", "rouge_l was computed differently: "),
        ("narrower", "level of the intervals: 0.95 against 0.9"),
    ],
)
def test_runs_that_do_not_compare_are_refused_with_what_keeps_them_apart(runs, other, said) -> None:
    with pytest.raises(UnlikeSignatures) as error:
        asked_tables(runs=[runs["first"], runs[other]])
    assert said in str(error.value)
    assert str(runs["first"]) in str(error.value)
    assert "on the same cases in the same way" in str(error.value)


def cells(table: Table, block: int, label: str) -> list[object]:
    return list(next(line.cells for line in table.blocks[block].lines if line.label == label))


def test_beside_sets_measured_printed_and_difference_in_three_columns(runs) -> None:
    """RGRG's printed average: .37 .24 .23; ROUGE-L .232. Ours here are copies of the references, so every number is 1."""
    tables = named(asked_tables(runs=[runs["first"]], beside=True))
    lesions = tables["table1_beside"]
    assert [column.title for column in lesions.blocks[0].columns] == ["Lesion", *["measured", "printed†", "difference"] * 3]
    assert [column.group for column in lesions.blocks[0].columns[1:]] == ["P"] * 3 + ["R"] * 3 + ["F1"] * 3
    for place, text in enumerate(("0.37", "0.24", "0.23")):
        ours, theirs, difference = cells(lesions, 0, "Average")[3 * place : 3 * place + 3]
        assert isinstance(ours, Number)
        assert ours.value == 1.0
        assert theirs == Quoted(text)
        assert isinstance(difference, Number)
        assert difference.text == f"+{1 - float(text):.2f}"
    _, theirs, difference = cells(tables["table2a_beside"], 0, "rgrg§ (RGRG†)")
    assert theirs == Quoted("0.232")
    assert difference.text == "+0.768"  # type: ignore[attr-defined]


def test_beside_says_that_the_two_do_not_compare_and_why(runs) -> None:
    notes = [note.text for note in named(asked_tables(runs=[runs["first"]], beside=True))["table1_beside"].notes]
    assert notes[0].startswith("Not comparable: measured on manifest, printed on MIMIC-CXR / Chest ImaGenome; lesions labelled by rules here, by a")
    assert any(note.startswith("† Noh, Pi, Lee") and "Table 1" in note for note in notes)
    assert "Nothing is printed of constant." in notes


def test_quoted_numbers_beside_measured_ones_are_quoted_in_every_format(runs) -> None:
    table = named(asked_tables(runs=[runs["first"]], beside=True))["table1_beside"]
    (average,) = [line for line in as_text(table, "md").splitlines() if line.startswith("| **Average**")]
    assert [cell.strip() for cell in average.split("|")][3] == "*0.37*"
    assert r"\textit{0.37}" in as_text(table, "tex")
    assert "<i>0.37</i>" in as_text(table, "html")
    heads, *lines = list(csv.reader(io.StringIO(as_text(table, "csv"))))
    assert heads[:7] == ["Model", "Lesion", "P measured", "P measured low", "P measured high", "P printed†", "P difference"]
    assert lines[-1][:2] == ["rgrg", "Average"]
    assert (lines[-1][2], lines[-1][5]) == ("1.0", "0.37")
    assert float(lines[-1][6]) == pytest.approx(0.63)


def test_the_csv_of_two_models_beside_print_is_one_table_that_says_of_which_model_each_line_is(runs, tmp_path) -> None:
    """As pandas reads it: rgrg writes the references, so F1 is 1; what ``clala`` writes is the same of everyone. RGRG prints .23, CLALA-Net .40."""
    given = read_finished(runs["third"])
    rows = tuple(replace(row, model=row.model.replace("other", "clala")) for row in given.rows)
    record = json.loads(json.dumps(given.record).replace('"other"', '"clala"'))
    material = as_material(replace(given, rows=rows, record=record))
    table = named(beside_print(material, [read_printed("table1")], given.registered))["table1_beside"]
    read = pd.read_csv(io.StringIO(as_text(table, "csv")))
    assert read.groupby("Model", sort=False).size().to_dict() == {"rgrg": 15, "clala": 15}
    average = read[read["Lesion"] == "Average"].set_index("Model")
    assert average["F1 printed†"].to_dict() == {"rgrg": 0.23, "clala": 0.40}
    assert average["F1 measured"]["rgrg"] == 1.0
    assert average["F1 measured"]["clala"] < 0.5
    assert set(read["citation"]) == {read_printed("table1").reference}


def test_the_csv_of_printed_tables_says_that_they_are_quoted_and_of_whom() -> None:
    """pandas reads them; a dagger on every number's head, the citation on every line, the digits of print in the file."""
    for table in asked_tables(reported=True):
        text = as_text(table, "csv")
        read = pd.read_csv(io.StringIO(text))
        (number,) = set(read.pop("citation"))
        assert number.endswith(f"34799-2, {table.number}"), table.name
        words = {"Lesion", "Model", "Variant", "LLCL", "LCA", "Labels at training", "Factor: level", "Number"}
        assert {head for head in read.columns if not head.endswith("†")} <= words
        assert read.filter(like="†").apply(pd.to_numeric, errors="coerce").notna().any().all()
    assert ",4.30," in as_text(named(asked_tables(reported=True))["table2b"], "csv")


def test_a_run_on_the_data_of_the_paper_is_not_said_to_have_other_data(runs) -> None:
    """Only what differs is said: the labeller by rules does; with a language model, nothing is known to."""
    given = replace(as_material(read_finished(runs["first"])), differences=())
    theirs = replace(given, measured_on="chest_imagenome:/data/test@f00d")
    by_model = replace(
        theirs, rows=tuple(replace(row, signature=row.signature.replace("labeller:(rules", "labeller:(language_model|x")) for row in given.rows)
    )
    titles = [table1(one).blocks[-1].title.partition("ImaGenome; ")[2] for one in (given, theirs, by_model)]
    assert titles == [
        "other data, other labeller: not comparable with the rows above)",
        "other labeller: not comparable with the rows above)",
        "whether measured alike, print does not say)",
    ]
    said = [named(beside_print(one, [read_printed("table1")], {"rgrg": "rgrg"}))["table1_beside"].notes[0].text for one in (theirs, by_model)]
    assert said[0].startswith("Not comparable: lesions labelled by rules here, by a language model that is not named in print.")
    assert said[1].startswith("Same data by name and lesions by a language model in both; whether split")
    nameless = table1(replace(given, measured_on="")).blocks[-1].title
    assert "data here not named, other labeller: not comparable" in nameless


def test_beside_of_models_that_no_paper_prints_lists_those_it_prints(runs) -> None:
    with pytest.raises(UserError, match=r"of other none is printed; printed are RaDialog, RGRG, .*CLALA-Net"):
        asked_tables(runs=[runs["second"]], beside=True)


def test_beside_of_a_metric_that_no_paper_prints_says_what_was_measured(runs) -> None:
    with pytest.raises(UserError, match=r"none of those is printed that were measured \(bleu\)"):
        asked_tables(runs=[runs["unprinted"]], beside=True)


def test_a_folder_that_holds_no_finished_run_is_refused_with_what_it_lacks(runs, tmp_path) -> None:
    with pytest.raises(NoFinishedRun, match="and is no folder; name one"):
        read_finished(tmp_path / "nowhere")
    with pytest.raises(NoFinishedRun, match=r"and has no run\.json; name one"):
        read_finished(tmp_path)
    begun = tmp_path / "begun"
    shutil.copytree(runs["first"], begun)
    (begun / "run.json").unlink()
    with pytest.raises(NoFinishedRun, match=r"has no run\.json yet; the command that began it goes on"):
        read_finished(begun)
    (begun / "run.json").write_text("{")
    with pytest.raises(NoFinishedRun, match="cannot be read"):
        read_finished(begun)
    (begun / "run.json").write_text(json.dumps({"measured": "an audit"}))
    with pytest.raises(NoFinishedRun, match="is of another kind"):
        read_finished(begun)
    record = json.loads((runs["first"] / "run.json").read_text())
    (begun / "run.json").write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(NoFinishedRun, match=r"newer version \(format 99"):
        read_finished(begun)
    (begun / "run.json").write_text(json.dumps(record))
    (begun / "rows.csv").write_text("model,metric\na,b\n")
    with pytest.raises(NoFinishedRun, match="a line of it cannot be read"):
        read_finished(begun)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "was asked for neither; write `tables --reported` or `tables --run FOLDER`"),
        ({"beside": True}, "no run is named; add --run FOLDER"),
        ({"beside": True, "reported": True}, "no run is named; add --run FOLDER"),
        ({"reported": True, "runs": [Path("x")]}, "give one, or --run x --beside for both"),
        ({"source": Path("p"), "runs": [Path("x")]}, "add --beside to see both"),
        ({"reported": True, "only": ["tabel9"]}, "no table 'tabel9' of the paper; there is table1, table2a"),
    ],
)
def test_what_cannot_be_printed_is_said_with_what_can(asked, said) -> None:
    with pytest.raises(UserError) as error:
        asked_tables(**asked)
    assert said in str(error.value)


def test_a_table_that_a_run_does_not_have_is_refused_with_those_it_has(runs) -> None:
    with pytest.raises(UserError, match=r"no table 'differences' of .*second; there is summary, table1, table2a, lesions, strata"):
        asked_tables(runs=[runs["second"]], only=["differences"])


@pytest.mark.parametrize(
    ("formats", "out", "found"),
    [
        ((), None, ()),
        ((), Path("x"), ("md", "csv", "tex", "html")),
        (("md", "md"), None, ("md",)),
        (("html", "csv"), Path("x"), ("html", "csv")),
    ],
)
def test_formats_are_all_with_a_folder_and_none_without(formats, out, found) -> None:
    assert checked_formats(formats, out) == found


@pytest.mark.parametrize(
    ("formats", "said"),
    [(["pdf"], "is no format of tables; name some of md, csv, tex, html"), (["md", "csv"], "add --out FOLDER"), (["html"], "add --out FOLDER")],
)
def test_a_format_that_cannot_be_had_is_refused(formats, said) -> None:
    with pytest.raises(UserError) as error:
        checked_formats(formats, None)
    assert said in str(error.value)


def test_the_folder_of_a_finished_run_is_not_written_to(runs) -> None:
    before = {file: file.read_bytes() for file in runs["first"].iterdir() if file.is_file()}
    with pytest.raises(UserError, match="whose files are sealed; name another"):
        write_formats(asked_tables(reported=True), runs["first"], ("md",))
    assert before == {file: file.read_bytes() for file in runs["first"].iterdir() if file.is_file()}


def test_the_command_prints_one_format_as_its_file_would_be() -> None:
    answer = CliRunner().invoke(app, ["tables", "--reported", "--only", "table2c", "--format", "tex"])
    assert answer.exit_code == 0
    assert answer.stdout.strip() == as_text(asked_tables(reported=True, only=["table2c"])[0], "tex").strip()


def test_the_command_writes_each_table_in_each_format_and_a_page_that_leads_to_them(tmp_path) -> None:
    answer = CliRunner().invoke(app, ["tables", "--reported", "--only", "table2a,fig3", "--out", str(tmp_path / "out")])
    assert answer.exit_code == 0
    names = {f"{table}.{ending}" for table in ("table2a", "fig3") for ending in ("md", "csv", "tex", "html")} | {"index.html"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names
    assert {Path(line).name for line in answer.stdout.split()} == names


def test_an_error_leaves_by_the_door_of_all_errors_on_one_line(tmp_path) -> None:
    answer = subprocess.run([sys.executable, "-m", "benchmark", "tables"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: tables prints those of the paper or of runs")
    assert len(answer.stderr.splitlines()) == 1
