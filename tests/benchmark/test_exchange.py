"""`export` and `import`: a run in the files of other harnesses, and back, with nothing lost and no failure become an empty report."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.evaluator import score_reports
from benchmark.exchange import SHAPES, TextNotAsked, export_run, import_file, rexrank, write_reports
from benchmark.exchange.contents import NO_ANSWER, Contents, TextCannotTravel, UnreadableExchange
from benchmark.exchange.export import FileThere
from benchmark.gate.sealed import EditedRun
from benchmark.records import RunConfig
from benchmark.registry import UnknownName
from benchmark.report_files import read_reports

REFERENCES = {
    "007": "There is a small left pleural effusion.",
    "b/2": 'He said "clear", comma;\nnew line.\r\nAnother\rline\u2028separator.',
    "ü3": "Keine Ergüsse \U0001fac1.",
    "d4": "The lungs are clear.",
    "e5": "Mild cardiomegaly.",
}
TEXTS = {"007": "", "b/2": ' "Quoted",\n\tNone of it.\r\n', "ü3": "Größe 心影 \U0001fac1", "d4": "None"}
FAILURES = {"e5": 'it failed:\n"out of memory"'}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models over five cases; the first failed at one."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = RunConfig((), ("rouge_l",), "", strata=False, draws=2)
    predictions = {"ours": TEXTS, "their model": REFERENCES}
    score_reports(REFERENCES, predictions, config, folder, failures={"ours": FAILURES})
    return folder


@pytest.fixture
def exported(run: Path, tmp_path: Path) -> dict[str, Path]:
    """Shape -> the file of the first model."""
    return {to: export_run(run, to, tmp_path / to, models=["ours"], with_text=True)[0].file for to in SHAPES}


def command(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("to", SHAPES)
def test_what_was_exported_comes_back_as_it_was(exported: dict[str, Path], to: str, tmp_path: Path) -> None:
    back = import_file(exported[to], to)
    assert (back.texts, back.failures, back.references) == (TEXTS, FAILURES, REFERENCES)
    assert back.order == tuple(REFERENCES)
    assert not back.notes
    write_reports(back, tmp_path / "reports.jsonl", tmp_path / "references.jsonl")
    read = read_reports(tmp_path / "reports.jsonl")
    assert (read.texts, read.failures, read.empty) == (TEXTS, FAILURES, ("007",))
    assert read_reports(tmp_path / "references.jsonl").texts == REFERENCES


def test_a_report_that_a_csv_cannot_say_is_refused_and_one_that_it_can_comes_back(exported: dict[str, Path], tmp_path: Path) -> None:
    """The word None in a CSV is what pandas prints for a missing cell: read back, it would be an empty report."""
    back = import_file(exported["inspect"], "inspect")
    with pytest.raises(TextCannotTravel, match=r"'d4'; a CSV cannot say it; end the file's name with \.jsonl"):
        write_reports(back, tmp_path / "reports.csv")
    assert not list(tmp_path.glob("*.csv"))
    back.texts["d4"] = "None seen.\rBare."
    write_reports(back, tmp_path / "reports.csv", tmp_path / "references.csv")
    read = read_reports(tmp_path / "reports.csv")
    assert (read.texts, read.failures) == ({**TEXTS, "d4": "None seen.\rBare."}, FAILURES)
    assert read_reports(tmp_path / "references.csv").texts == REFERENCES


def test_a_failed_case_is_nowhere_an_empty_report(exported: dict[str, Path]) -> None:
    """Read as each harness's own code reads its file: RadEval's two lists, ReXrank's field, the harness's first answer, Inspect's choices."""
    radeval = json.loads(exported["radeval"].read_text(encoding="utf-8"))
    assert radeval["hypotheses"] == list(TEXTS.values())
    assert radeval["references"] == list(REFERENCES.values())[:4]
    rexrank = json.loads(exported["rexrank"].read_text(encoding="utf-8"))
    assert list(rexrank) == list(REFERENCES)
    assert [about.get("model_prediction") for about in rexrank.values()] == [*TEXTS.values(), None]
    assert "model_prediction" not in rexrank["e5"]
    samples = [json.loads(line) for line in exported["lm-eval"].read_text(encoding="utf-8").split("\n") if line]
    assert [sample["filtered_resps"] for sample in samples] == [*([text] for text in TEXTS.values()), []]
    assert [sample["doc_id"] for sample in samples] == [0, 1, 2, 3, 4]
    log = json.loads(exported["inspect"].read_text(encoding="utf-8"))
    assert [len(sample["output"]["choices"]) for sample in log["samples"]] == [1, 1, 1, 1, 0]
    assert log["samples"][4]["error"]["message"] == FAILURES["e5"]


def test_the_samples_file_is_named_as_the_harness_looks_for_it(exported: dict[str, Path]) -> None:
    """lm_eval 0.4.13: ``samples_`` in the name, the task between the first underscore and the last, the date after it."""
    name = exported["lm-eval"].name
    assert exported["lm-eval"].parent.name == "ours"
    assert name[name.find("_") + 1 : name.rfind("_")] == "chest_xray_reports"
    assert len(name[name.rfind("_") + 1 :].removesuffix(".jsonl")) == len("2026-11-27T02-14-47")


def test_text_of_unknown_right_is_written_only_when_that_is_said(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(TextNotAsked, match="say so with --with-text"):
        export_run(run, "rexrank", out)
    assert not out.exists()
    export_run(run, "rexrank", out, with_text=True)
    assert (out / ".gitignore").read_text() == "*\n"
    assert {file.stat().st_mode & 0o077 for file in (out, *out.glob("*.json"))} == {0}


def test_a_file_in_a_folder_that_was_there_adds_its_line_to_what_is_ignored(run: Path, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("build")
    export_run(run, "radeval", tmp_path / "ours.json", models=["ours"], with_text=True)
    assert (tmp_path / ".gitignore").read_text() == "build\n/ours.json\n"
    export_run(run, "lm-eval", tmp_path, models=["ours"], with_text=True)
    lines = (tmp_path / ".gitignore").read_text().splitlines()
    assert (lines[:2], len(lines)) == (["build", "/ours.json"], 3)
    assert (tmp_path / lines[2].removeprefix("/")).is_file()


def test_a_public_run_needs_no_consent(run: Path, tmp_path: Path) -> None:
    """Its ``run.json`` says that its text may travel, as that of a run on phantoms does."""
    shutil.copytree(run, tmp_path / "run")
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    record["dataset"]["is_private"] = False
    (tmp_path / "run" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    written = export_run(tmp_path / "run", "rexrank", tmp_path / "out")
    assert [(one.model, one.reports, one.failures) for one in written] == [("ours", 4, 1), ("their model", 5, 0)]
    assert not (tmp_path / "out" / ".gitignore").exists()


def test_rexrank_keys_are_studies_where_each_case_has_one_of_its_own() -> None:
    """It knows cases by study; two images of one study would otherwise be one case there."""
    texts = {"image1": "A", "image2": "B"}
    contents = Contents(texts, {}, dict.fromkeys(texts, "R"), tuple(texts), studies={"image1": "s1", "image2": "s2"})
    file = rexrank.written(contents)
    assert list(json.loads(file)) == ["s1", "s2"]
    assert rexrank.read(file, Path("file")).texts == texts
    file = rexrank.written(replace(contents, studies=dict.fromkeys(texts, "s1")))
    assert list(json.loads(file)) == ["image1", "image2"]


def test_nothing_is_overwritten_and_names_are_checked(run: Path, tmp_path: Path) -> None:
    export_run(run, "radeval", tmp_path / "out", with_text=True)
    with pytest.raises(FileThere, match="is there already"):
        export_run(run, "radeval", tmp_path / "out", with_text=True)
    with pytest.raises(FileThere, match="2 models are to be exported; name a folder"):
        export_run(run, "radeval", tmp_path / "one.json", with_text=True)
    with pytest.raises(UnknownName, match="known: ours, their model"):
        export_run(run, "radeval", tmp_path / "x", models=["others"], with_text=True)
    with pytest.raises(UnknownName, match="known: radeval, rexrank, lm-eval, inspect"):
        export_run(run, "helm", tmp_path / "x", with_text=True)


def test_an_edited_run_is_not_exported(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    score_reports({"a": "Clear."}, {"m": {"a": "Clear."}}, RunConfig((), ("rouge_l",), "", strata=False, draws=2), folder)
    with (folder / "m" / "reports.jsonl").open("a") as reports:
        reports.write("\n")
    with pytest.raises(EditedRun, match=r"m/reports\.jsonl was edited"):
        export_run(folder, "radeval", tmp_path / "out", with_text=True)


@pytest.mark.parametrize("text", ["a\0b", "half \ud83e"], ids=["NUL", "half a sign"])
def test_a_text_that_no_file_holds_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps({"references": ["x"], "hypotheses": [text]}))
    with pytest.raises(TextCannotTravel, match=r"report of case '1' holds (a NUL byte|half a sign)"):
        import_file(file, "radeval")


def test_rexrank_files_of_others_are_read(tmp_path: Path) -> None:
    """By hand, after their evaluation script and the older names of their example; an absent section leaves no word None."""
    value = {
        "1": {"section_findings": "Clear.", "section_impression": "Normal.", "model_prediction": "P1"},
        "2": {"section_findings": None, "section_impression": "Normal.", "model_prediction": ""},
        "3": {"findings": "Clear.", "impression": float("nan"), "model_prediction": None},
        "4": {"context": "cough", "model_prediction": "P4"},
    }
    file = tmp_path / "prediction.json"
    file.write_text(json.dumps(value))
    back = import_file(file, "rexrank")
    assert back.references == {"1": "Findings: Clear. Impression: Normal.", "2": "Normal.", "3": "Clear."}
    assert (back.texts, back.failures) == ({"1": "P1", "2": "", "4": "P4"}, {"3": NO_ANSWER})


def test_inspect_logs_of_others_are_read(tmp_path: Path) -> None:
    """Parts of a message, a text kept among the attachments, a sample that ran into an error, a target in a list."""
    parts = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Clear."}]
    samples = [
        {"id": 1, "epoch": 1, "target": ["Clear."], "output": {"choices": [{"message": {"role": "assistant", "content": parts}}]}},
        {
            "id": "b",
            "epoch": 1,
            "target": "attachment://x",
            "output": {"choices": [{"message": {"content": "attachment://y"}}]},
            "attachments": {"x": "R", "y": "P"},
        },
        {"id": "c", "epoch": 1, "target": "R", "output": {"choices": []}, "error": {"message": "too slow"}},
    ]
    file = tmp_path / "log.json"
    file.write_text(json.dumps({"version": 2, "eval": {}, "samples": samples}))
    back = import_file(file, "inspect")
    assert (back.texts, back.failures) == ({"1": "Clear.", "b": "P"}, {"c": "too slow"})
    assert back.references == {"1": "Clear.", "b": "R", "c": "R"}
    file.write_text(json.dumps({"version": 2, "eval": {}, "samples": [samples[0], {**samples[0], "epoch": 2}]}))
    with pytest.raises(UnreadableExchange, match="case '1' is in it more than once; keep one epoch"):
        import_file(file, "inspect")


def test_samples_of_others_are_called_by_their_doc_id_where_they_have_no_other(tmp_path: Path) -> None:
    file = tmp_path / "samples_mimic_repsum_2026-01-01T00-00-00.jsonl"
    line = {"doc_id": 7, "doc": {"findings": "x"}, "target": "R", "resps": [["P", "Q"]], "filtered_resps": ["P"], "filter": "none"}
    file.write_text(json.dumps(line) + "\n")
    back = import_file(file, "lm-eval")
    assert (back.texts, back.references) == ({"7": "P"}, {"7": "R"})
    assert back.notes == ("samples without an id of their own are called by their doc_id",)
    file.write_text(json.dumps(line) + "\n" + json.dumps({**line, "filter": "strict"}) + "\n")
    with pytest.raises(UnreadableExchange, match="keep the lines of one filter"):
        import_file(file, "lm-eval")


@pytest.mark.parametrize(
    ("shape", "text", "said"),
    [
        ("radeval", "{", "broken JSON"),
        ("radeval", '{"references": ["a"], "hypotheses": []}', "1 references, 0 hypotheses"),
        ("radeval", '{"references": [], "hypotheses": []}', "holds no case"),
        ("rexrank", '{"references": ["a"]}', "is no object of objects"),
        ("rexrank", '{"1": {"model_prediction": 5}}', "is int, no text"),
        ("rexrank", '{"1": {"report": "x"}}', "no study in it has a model_prediction"),
        ("lm-eval", '{"id": 1}', "line 1 has no doc_id with filtered_resps"),
        ("inspect", '{"eval": {}}', "has no samples"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_its_place(tmp_path: Path, shape: str, text: str, said: str) -> None:
    file = tmp_path / "file.json"
    file.write_text(text)
    with pytest.raises(UnreadableExchange, match=said):
        import_file(file, shape)


def test_the_commands_bring_a_run_to_score_again(run: Path, tmp_path: Path) -> None:
    """The numbers of a run that went out and came back are those of the run."""
    there = command("export", run, "--to", "lm-eval", "--out", tmp_path / "ours.jsonl", "--models", "ours", "--with-text")
    assert there.exit_code == 0, there.output
    assert "ours: 4 reports and 1 failed cases" in there.output
    reports, references = tmp_path / "reports.jsonl", tmp_path / "references.jsonl"
    back = command("import", tmp_path / "ours.jsonl", "--from", "lm-eval", "--out", reports, "--references", references)
    assert back.exit_code == 0, back.output
    words = ("--metrics", "rouge_l", "--draws", 2, "--no-strata", "--out", tmp_path / "again")
    again = command("score", "--references", references, "--predictions", f"ours={reports}", *words)
    assert again.exit_code in (0, 1), again.output
    line = next(line for line in (run / "rows.csv").read_text().splitlines() if line.startswith("ours,"))
    assert line.split(",")[:4] == (tmp_path / "again" / "rows.csv").read_text().splitlines()[1].split(",")[:4]
