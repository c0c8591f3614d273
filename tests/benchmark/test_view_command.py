"""`view` and the page that a run leaves: what is in it, when it is made anew, and what is said of a run that has none to give."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import signal
import stat
import sys
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pluggy
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark import evaluator, hookspecs, registry
from benchmark.cli import app
from benchmark.gate.sealed import EditedRun, read_sealed
from benchmark.hookspecs import PROJECT, Register, hookimpl
from benchmark.records import RunConfig, UserError
from benchmark.runs import FolderInUse, RunFolder, sha256
from benchmark.tables.finished import NoFinishedRun, read_finished
from benchmark.viewer.data_files import read_column, read_part
from benchmark.viewer.opening import WouldLose, is_whole, page_of
from benchmark.vocabulary import LESIONS

REPORTS = {
    "c1": ("There is cardiomegaly. No pleural effusion.", "p1"),
    "c2": ("Small left pleural effusion. No pneumothorax.", "p1"),
    "c3": ("</script><script>alert(1)</script> Clear lungs.", "p2"),
    "c4": ("Moderate right pneumothorax.", "p3"),
}
OURS = {"c1": REPORTS["c1"][0], "c2": "Small right pleural effusion.", "c3": "There is a left pneumothorax."}  # c4 failed
CONFIG = RunConfig((), ("lesions", "rouge_l"), "", strata=False, draws=20)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of a file, of two models, with a page."""
    folder = tmp_path_factory.mktemp("runs") / "scored"
    references, patients = ({case: both[place] for case, both in REPORTS.items()} for place in (0, 1))
    predictions = {"ours": OURS, "page": dict.fromkeys(REPORTS, "")}
    failures = {"ours": {"c4": "out of memory"}}
    outcome = evaluator.score_reports(references, predictions, CONFIG, folder, patients=patients, failures=failures, page="auto")
    assert outcome.page is not None
    return folder


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on radiographs of one's own, of which one is gone since, without a page."""
    place = tmp_path_factory.mktemp("data")
    rows = [("image", "id", "report", "patient", "split", "indication", "boxes", "region_sentences")]
    for number, (case, (report, patient)) in enumerate(REPORTS.items()):
        Image.fromarray(np.full((40, 30), 50 * number, dtype=np.uint8)).save(place / f"{case}.png")
        extras = ("Cough.", json.dumps({"right lung": [1, 2, 11, 12]}), json.dumps({"right lung": report}))
        rows.append((f"{case}.png", case, report, patient, "test", *extras))
    with (place / "cases.csv").open("w", newline="") as out:
        csv.writer(out).writerows(rows)
    config = RunConfig(("constant",), ("lesions",), f"manifest:{place / 'cases.csv'}", strata=False, draws=20)
    evaluator.run(config, place / "run")
    return place / "run"


@pytest.fixture
def run(scored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored, tmp_path / "run"))


def part(run: Path, name: str) -> Any:
    found, value = read_part(run / "page" / f"{name}.js")
    assert found == name
    return value


def sealed(run: Path) -> dict[str, str]:
    files: dict[str, str] = json.loads((run / "run.json").read_text())["files"]
    return files


def of_page(run: Path) -> set[str]:
    return {"index.html", *(str(file.relative_to(run)) for file in (run / "page").rglob("*") if file.is_file())}


# ---- what is in it


def test_a_run_leaves_a_page_that_its_seal_vouches_for_and_that_nobody_else_reads(scored: Path) -> None:
    assert {name for name in sealed(scored) if name == "index.html" or name.startswith("page/")} == of_page(scored)
    assert all(sha256(scored / name) == digest for name, digest in sealed(scored).items())
    assert {stat.S_IMODE((scored / name).stat().st_mode) for name in of_page(scored)} == {0o600}
    assert stat.S_IMODE((scored / "page").stat().st_mode) == 0o700


def test_the_parts_say_of_every_case_what_became_of_it(scored: Path) -> None:
    run_part, cases, ours, silent = (part(scored, name) for name in ("run", "cases", "model-0", "model-1"))
    assert (run_part["title"], run_part["cases"], run_part["blocks"], run_part["dataset"]["patients"]) == ("4 reports from files", 4, 1, 3)
    assert [model["label"] for model in run_part["models"]] == ["ours", "page"]
    assert (cases["ids"], cases["patients"]) == (["c1", "c2", "c3", "c4"], ["p1", "p1", "p2", "p3"])
    # By hand, from the four pairs of sentences above: report scored 0, failed 1, empty 2.
    assert read_column(ours["state"]).tolist() == [0, 0, 0, 1]
    assert read_column(silent["state"]).tolist() == [2, 2, 2, 2]
    bit = {name: 1 << place for place, name in enumerate(LESIONS)}
    heart, effusion, air = bit["cardiomegaly"], bit["pleural effusion"], bit["pneumothorax"]
    assert read_column(cases["reference_lesions"]).tolist() == [heart, effusion, 0, air]
    assert read_column(ours["hit"]).tolist() == [heart, effusion, 0, 0]
    assert read_column(ours["wrong_side"]).tolist() == [0, effusion, 0, 0]
    assert read_column(ours["invented"]).tolist() == [0, 0, air, 0]
    assert read_column(silent["missed"]).tolist() == [heart, effusion, 0, air]
    assert run_part["failed_cases"] == [{"model": 0, "case": 3, "why": "out of memory"}]
    assert run_part["failure_kinds"] == [{"model": 0, "why": "out of memory", "count": 1}]


def test_the_numbers_are_those_of_the_tables_and_nothing_that_json_does_not_know(scored: Path) -> None:
    run_part = part(scored, "run")
    rows = {(row["model"], row["metric"], row["name"]): row for row in run_part["rows"]}
    with (scored / "rows.csv").open(newline="") as lines:
        printed = {(line["model"], line["metric"], line["value_name"]): line["value"] for line in csv.DictReader(lines)}
    assert len(rows) > 100
    for key, row in rows.items():
        assert printed[key] == ("" if row["value"] is None else repr(row["value"]))
    place = next(number for number, one in enumerate(run_part["numbers"]) if one["key"] == "rouge_l.f1")
    ours, silent = (read_column(one) for one in part(scored, f"number-{place}")["values"])
    assert ours[0] == 1.0  # word for word
    assert np.isnan(ours[3])
    assert silent.tolist() == [0.0] * 4


def test_each_case_has_its_texts_whole(scored: Path) -> None:
    block = part(scored, "block-0")
    assert [(case["id"], case["reference"]["text"]) for case in block] == [(case, report) for case, (report, _) in REPORTS.items()]
    assert block[1]["reports"][0]["text"] == OURS["c2"]
    assert block[3]["reports"][0] == {"failure": "out of memory"}


def test_a_model_named_like_the_page_s_folder_keeps_its_reports(scored: Path) -> None:
    assert not (scored / "page" / "reports.jsonl").exists()
    assert len(RunFolder(scored).model("page").reports()) == 4


def test_a_run_again_without_a_page_leaves_none_of_the_old_numbers(tmp_path: Path) -> None:
    texts = {case: report for case, (report, _) in REPORTS.items()}
    evaluator.score_reports(texts, {"ours": texts}, CONFIG, tmp_path / "run", page="auto")
    evaluator.score_reports(texts, {"ours": texts}, CONFIG, tmp_path / "run")
    assert not (tmp_path / "run" / "index.html").exists()
    assert not (tmp_path / "run" / "page").exists()


def scored_with_a_page(run: Path) -> evaluator.Outcome:
    texts = {case: report for case, (report, _) in REPORTS.items()}
    return evaluator.score_reports(texts, {"ours": texts}, CONFIG, run, page="auto")


def killed_at(event: str, ending: str, what: Callable[[], object]) -> bool:
    """Do something in a process that the kernel ends as Python is about to do ``event`` to a file of that name; whether it came to that."""
    process = os.fork()
    if not process:
        sys.addaudithook(lambda name, given: os.kill(os.getpid(), signal.SIGKILL) if name == event and str(given[0]).endswith(ending) else None)
        try:
            what()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


MOMENTS = {
    "at the first block": ("open", "page.new/block-0.js"),
    "before index.html is written": ("open", "index.html.part"),
    "before the seal is off the page": ("os.rename", "run.json.part"),
    "before the old index.html goes": ("os.remove", "run/index.html"),
    "before the old page goes aside": ("os.rename", "run/page"),
    "before the new page comes": ("os.rename", "run/page.new"),
    "before the new index.html comes": ("os.rename", "index.html.part"),
}


@pytest.mark.parametrize(("event", "name"), MOMENTS.values(), ids=MOMENTS)
def test_a_killed_view_leaves_the_old_page_or_none_and_never_one_that_is_taken_for_whole(run: Path, event: str, name: str) -> None:
    before = {file: (run / file).read_bytes() for file in of_page(run)}
    assert killed_at(event, name, lambda: page_of(run, again=True))
    if is_whole(run, sealed(run)):
        assert {file: (run / file).read_bytes() for file in before} == before
    found = page_of(run)
    assert is_whole(run, sealed(run))
    assert found.is_new == (
        name not in ("page.new/block-0.js", "index.html.part", "run.json.part") or (event, name) == ("os.rename", "index.html.part")
    )
    page_of(run, again=True)
    assert {file: (run / file).read_bytes() for file in of_page(run)} == before
    assert not [file.name for file in run.iterdir() if file.name in ("page.new", "page.old", "index.html.part")]


def test_a_run_that_is_killed_while_it_writes_its_page_is_whole_and_view_writes_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert killed_at("open", "page.new/block-0.js", lambda: scored_with_a_page(run))
    assert not (run / "index.html").exists()
    assert page_of(run).is_new
    assert all(sha256(run / name) == digest for name, digest in sealed(run).items())


def test_reports_that_come_later_leave_no_page_of_before_even_if_the_run_is_killed(measured: Path, tmp_path: Path) -> None:
    """The seal goes when something changes, and with it what people look at."""
    run = Path(shutil.copytree(measured, tmp_path / "run"))
    page_of(run)
    config = read_sealed(run).config
    reports = run / "constant" / "reports.jsonl"
    reports.write_text("".join(reports.read_text().splitlines(keepends=True)[:2]))
    assert killed_at("os.remove", "run/run.json", lambda: evaluator.run(config, run, only_generate=True))
    assert not (run / "index.html").exists()
    evaluator.run(config, run, only_generate=True)
    assert not (run / "page").exists()


def test_a_page_that_cannot_be_written_leaves_the_run_sealed_and_a_note(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert scored_with_a_page(run).page is not None
    (run / "page.new" / "run.js").mkdir(parents=True)  # in the way
    outcome = scored_with_a_page(run)
    assert outcome.page is None
    assert outcome.notes[-1].startswith("the run is whole, and has no page to read its cases on: cannot write to ")
    assert not [name for name in of_page(run) if (run / name).exists()]
    assert read_finished(run).rows


@pytest.mark.parametrize(("words", "has_page"), [((), True), (("--no-page",), False)])
def test_the_command_run_writes_a_page_unless_it_is_told_not_to(measured: Path, tmp_path: Path, words: tuple[str, ...], has_page: bool) -> None:
    dataset = f"manifest:{measured.parent / 'cases.csv'}"
    told = ["run", "-m", "constant", "-d", dataset, "--metrics", "rouge_l", "--draws", "20", "--no-strata", "-o", str(tmp_path / "run"), *words]
    answer = CliRunner().invoke(app, told)
    assert answer.exit_code == 0
    assert (tmp_path / "run" / "index.html").exists() == has_page
    assert ("its page: python -m benchmark view" in " ".join(answer.output.split())) == has_page


def test_a_reference_that_no_model_was_scored_on_has_the_lesions_that_the_labeller_finds(tmp_path: Path) -> None:
    texts = {"a": "There is cardiomegaly.", "b": "Left pneumothorax."}
    failures = {"ours": {"a": "out of memory"}}
    evaluator.score_reports(texts, {"ours": {"b": "Clear."}}, CONFIG, tmp_path / "run", failures=failures, page="none")
    found = read_column(part(tmp_path / "run", "cases")["reference_lesions"]).tolist()
    assert found == [1 << LESIONS.index("cardiomegaly"), 1 << LESIONS.index("pneumothorax")]


def test_a_labeller_that_has_changed_since_marks_nothing_and_that_is_said(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["signatures"]["lesions"] = record["signatures"]["lesions"].replace("labeller:(rules", "labeller:(rules-of-old")
    (run / "run.json").write_text(json.dumps(record))
    found = page_of(run, again=True)
    assert found.notes == ("Lesions are not marked in the texts: the labeller has changed since the run, and would mark others than were counted.",)
    block = part(run, "block-0")
    assert [case["reference"]["lesions"] for case in block] == [[]] * 4
    assert block[0]["reports"][0]["lesions_found"] == {"cardiomegaly": "hit"}  # the run's own statistics
    assert part(run, "run")["lacks"] == list(found.notes)


def test_normal_cases_have_no_f1_of_lesions_as_in_the_table(tmp_path: Path) -> None:
    texts = {case: report for case, (report, _) in REPORTS.items()}
    config = replace(CONFIG, strata=True)
    evaluator.score_reports(texts, {"ours": dict.fromkeys(texts, "Left pneumothorax.")}, config, tmp_path / "run", page="none")
    rows = [row for row in part(tmp_path / "run", "run")["strata"] if row["part"].startswith("normal") and row["metric"] == "lesions"]
    assert rows
    assert all((row["value"], row["low"], row["high"]) == (None, None, None) for row in rows if "f1" in row["name"] or "omission" in row["name"])


def test_files_of_others_among_those_of_the_page_stay(run: Path) -> None:
    for name in ("page/mine.txt", "page/images/mine.txt"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    page_of(run, again=True)
    page_of(run, again=True)
    assert [(run / name).read_text() for name in ("page/mine.txt", "page/images/mine.txt")] == ["mine"] * 2
    assert not (run / "page.old").exists()


# ---- when it is made anew


def test_a_page_that_is_whole_is_opened_as_it_is(run: Path) -> None:
    before = (run / "run.json").read_bytes()
    assert page_of(run) == (run / "index.html", False, {}, ())
    assert (run / "run.json").read_bytes() == before


@pytest.mark.parametrize("name", ["index.html", "page/run.js", "page/block-0.js", "page/images.js"])
@pytest.mark.parametrize("how", ["gone", "edited"])
def test_a_page_that_is_not_whole_is_found_out_and_made_again(run: Path, name: str, how: str) -> None:
    before, original = sealed(run), (run / name).read_bytes()
    (run / name).unlink() if how == "gone" else (run / name).write_bytes(original + b" ")
    assert page_of(run).is_new
    # All but the time of the run is the same: a page is a function of the run.
    assert (run / name).read_bytes() == original
    assert sealed(run) == before


def test_a_page_made_again_changes_no_other_word_of_the_seal(run: Path) -> None:
    before = json.loads((run / "run.json").read_text())
    page_of(run, again=True)
    assert json.loads((run / "run.json").read_text()) == before


def test_a_link_in_the_place_of_the_page_is_taken_away_and_what_it_leads_to_stays(run: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.js").write_text("mine")
    shutil.rmtree(run / "page")
    (run / "page").symlink_to(tmp_path / "elsewhere")
    assert page_of(run).is_new
    assert [file.name for file in (tmp_path / "elsewhere").iterdir()] == ["mine.js"]
    assert not (run / "page").is_symlink()


def test_a_run_without_a_page_gets_one_with_all_that_its_dataset_still_knows(measured: Path, tmp_path: Path) -> None:
    found = page_of(shutil.copytree(measured, tmp_path / "run"))
    assert (found.is_new, found.notes) == (True, ())
    case = part(tmp_path / "run", "block-0")[0]
    assert case["boxes"] == {"right lung": [1, 2, 11, 12]}
    assert case["context"] == [["Indication", "Cough."]]
    assert case["reference"]["regions"][0]["region"] == "right lung"
    assert [(image["name"], image["width"], image["height"]) for image in case["images"]] == [("c1.png", 30, 40)]
    assert part(tmp_path / "run", "images")["how"] == "none"
    # Nobody who is handed the page learns where the files lie on this machine.
    assert not [name for name in of_page(tmp_path / "run") if str(measured.parent) in (tmp_path / "run" / name).read_text(encoding="utf-8")]


def test_a_dataset_that_has_changed_is_not_believed(measured: Path, tmp_path: Path) -> None:
    run = shutil.copytree(measured, tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    record["dataset"]["fingerprint"] = "0" * 64
    (run / "run.json").write_text(json.dumps(record))
    found = page_of(run)
    assert found.notes == (
        "The page has no boxes, sentences of regions and context of the cases: the dataset has changed since the run, its fingerprint is another.",
    )
    case = part(run, "block-0")[0]
    assert (case["boxes"], case["context"], case["reference"]["text"]) == ({}, [], REPORTS["c1"][0])


def test_images_are_copied_on_request_a_missing_one_is_said_and_the_wish_is_kept(measured: Path, tmp_path: Path) -> None:
    run = shutil.copytree(measured, tmp_path / "run")
    lines = (run / "cases.jsonl").read_text().replace("c2.png", "gone.png")
    (run / "cases.jsonl").write_text(lines)
    record = json.loads((run / "run.json").read_text())
    record["files"]["cases.jsonl"] = sha256(run / "cases.jsonl")
    record["config"]["dataset"] = ""  # the dataset is gone as well
    (run / "run.json").write_text(json.dumps(record))
    for found in (page_of(run, images="embed"), page_of(run, again=True), page_of(run)):
        assert found.absent == {"1-0": "the file gone.png is missing"}
        assert sorted(file.name for file in (run / "page" / "images").iterdir()) == ["0-0.jpg", "2-0.jpg", "3-0.jpg"]


def test_what_a_page_lacks_is_said_each_time_and_mended_when_the_dataset_is_back(measured: Path, tmp_path: Path) -> None:
    run, table = Path(shutil.copytree(measured, tmp_path / "run")), measured.parent / "cases.csv"
    table.rename(tmp_path / "away.csv")
    try:
        first, second = page_of(run), page_of(run)
        assert (first.is_new, second.is_new) == (True, False)
        for found in (first, second):
            (note,) = found.notes
            assert note.startswith("The page has no boxes, sentences of regions and context of the cases: ")
        assert str(measured.parent) in first.notes[0]  # who asks for it here is told the place; the page is handed on
        assert str(measured.parent) not in second.notes[0]
    finally:
        (tmp_path / "away.csv").rename(table)
    assert page_of(run).is_new
    assert part(run, "block-0")[0]["boxes"]
    assert not page_of(run).notes


@pytest.mark.parametrize("asked", [{"again": True}, {"images": "none"}], ids=["again", "images"])
def test_boxes_and_context_are_not_lost_unless_that_is_said(measured: Path, tmp_path: Path, asked: dict[str, Any]) -> None:
    run, table = Path(shutil.copytree(measured, tmp_path / "run")), measured.parent / "cases.csv"
    page_of(run)
    table.rename(tmp_path / "away.csv")
    try:
        with pytest.raises(WouldLose, match=r"would lose what the dataset knows of its cases.*add --without-dataset"):
            page_of(run, **asked)
        assert part(run, "block-0")[0]["boxes"]
        assert not page_of(run).is_new
        assert page_of(run, **asked, without_dataset=True).is_new
        assert not part(run, "block-0")[0]["boxes"]
    finally:
        (tmp_path / "away.csv").rename(table)


def test_a_place_named_from_where_the_run_was_begun_is_never_another_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folders have a ``cases.csv`` and a ``c.png`` each; whoever stands in the second sees the run of the first."""
    for name, shade in (("here", 40), ("elsewhere", 200)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 8), shade, dtype=np.uint8)).save(tmp_path / name / "c.png")
        rows = (("image", "id", "report", "patient", "split", "indication"), ("c.png", "c", "Clear lungs.", "p", "test", "Cough."))
        with (tmp_path / name / "cases.csv").open("w", newline="") as out:
            csv.writer(out).writerows(rows)
    monkeypatch.chdir(tmp_path / "here")
    evaluator.run(RunConfig(("constant",), ("rouge_l",), "manifest:cases.csv", strata=False, draws=20), tmp_path / "run")
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = page_of(tmp_path / "run", images="embed")
    assert (found.notes, found.absent) == ((), {})
    assert part(tmp_path / "run", "block-0")[0]["context"] == [["Indication", "Cough."]]
    with Image.open(tmp_path / "run" / "page" / "images" / "0-0.jpg") as copy:
        assert copy.getpixel((4, 4)) == 40
    # A folder of an older version has the name alone, and no word on where it was begun.
    cases = json.loads((tmp_path / "run" / "cases.jsonl").read_text())
    cases["images"][0]["path"] = "c.png"
    (tmp_path / "run" / "cases.jsonl").write_text(json.dumps(cases) + "\n")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    record["files"]["cases.jsonl"] = sha256(tmp_path / "run" / "cases.jsonl")
    (tmp_path / "run" / "run.json").write_text(json.dumps({name: value for name, value in record.items() if name != "begun_in"}))
    assert page_of(tmp_path / "run", again=True, without_dataset=True).absent == {"0-0": "the file c.png is missing"}


class Raising:
    """A dataset of somebody's plugin, which has changed since."""

    def __init__(self, argument: str) -> None:
        raise ZeroDivisionError("division by zero")


def test_a_dataset_that_raises_whatever_it_likes_does_not_end_view(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Plugin:
        @hookimpl
        def register_datasets(self, register: Register) -> None:
            register("manifest", Raising)

    run = Path(shutil.copytree(measured, tmp_path / "run"))
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Plugin(), name="theirs")
    known, theirs = registry.load(), registry.collect(manager)
    monkeypatch.setattr(registry, "load", lambda: replace(known, entries={**known.entries, "datasets": theirs.entries["datasets"]}))
    found = page_of(run)
    assert found.notes[0] == ("The page has no boxes, sentences of regions and context of the cases: ZeroDivisionError: division by zero.")
    assert (found.is_new, part(run, "block-0")[0]["reference"]["text"]) == (True, REPORTS["c1"][0])


def test_no_file_of_a_page_names_a_folder_of_this_machine(tmp_path: Path) -> None:
    """A command, its failures, its answers and the dataset all lie in a folder whose name would be told."""
    place = tmp_path / "marked folder"
    place.mkdir()
    program = place / "model.py"
    program.write_text(
        "import json, sys\n"
        "for number, line in enumerate(sys.stdin):\n"
        f"    print(json.dumps({{'id': json.loads(line)['id'], 'failure': 'cannot open {place}/w.pt'}}), flush=True)\n"
    )
    Image.fromarray(np.full((8, 8), 9, dtype=np.uint8)).save(place / "c.png")
    rows = (("image", "id", "report", "patient", "split"), ("c.png", "c", "Clear lungs.", "p", "test"))
    with (place / "cases.csv").open("w", newline="") as out:
        csv.writer(out).writerows(rows)
    models = (f"command:{sys.executable} '{program}'", f"command:'{place}/is not there'", "constant")
    outcome = evaluator.run(
        RunConfig(models, ("rouge_l",), f"manifest:{place / 'cases.csv'}", strata=False, draws=20), tmp_path / "run", page="embed"
    )
    assert outcome.page is not None
    assert [model["label"] for model in part(tmp_path / "run", "run")["models"]][-1] == "constant"
    for name in of_page(tmp_path / "run"):
        content = (tmp_path / "run" / name).read_bytes()
        assert b"marked folder" not in content, name
        assert str(tmp_path).encode() not in content, name


# ---- what cannot be shown


def test_an_edited_run_is_refused(run: Path) -> None:
    with (run / "references.jsonl").open("a") as file:
        file.write(" ")
    with pytest.raises(EditedRun, match=r"references\.jsonl was edited since it was sealed"):
        page_of(run)


def test_an_unfinished_run_and_one_of_an_older_version_are_refused(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "files": {}}))
    with pytest.raises(NoFinishedRun, match="older version"):
        page_of(run)
    (run / "run.json").unlink()
    with pytest.raises(NoFinishedRun, match=r"no run\.json yet; the command that began it goes on from there"):
        page_of(run)
    with pytest.raises(NoFinishedRun, match="is no folder"):
        page_of(tmp_path / "nowhere")


def test_a_run_that_another_process_writes_is_waited_for(run: Path) -> None:
    with (run / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write("4711")
        lock.flush()
        assert not page_of(run).is_new  # to look at what is whole needs no lock
        with pytest.raises(FolderInUse, match="being written by process 4711; wait for it, then run the same command"):
            page_of(run, again=True)


# ---- the command


def test_the_command_opens_the_page_in_the_browser_and_says_where_it_is(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    answer = CliRunner().invoke(app, ["view", str(run)])
    assert (answer.exit_code, opened) == (0, [(run / "index.html").as_uri()])
    assert "index.html" in answer.output
    assert CliRunner().invoke(app, ["view", str(run), "--no-browser"]).exit_code == 0
    assert len(opened) == 1


def test_a_port_without_a_server_is_refused(run: Path) -> None:
    with pytest.raises(UserError, match="--port 8000 was given, and without --serve there is no server"):
        CliRunner().invoke(app, ["view", str(run), "--port", "8000"], catch_exceptions=False)


def test_the_help_has_examples() -> None:
    text = CliRunner().invoke(app, ["view", "--help"]).output
    assert text.count("python -m benchmark view") == 3
