"""The commands as a person types them: what is printed, what is left on disk, with which exit status."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from secrets_of_a_user import NEEDLES, SECRETS

import benchmark
from benchmark.vocabulary import LESIONS

REPORTS = {
    "c1": ("The heart is enlarged. No pleural effusion.", "p1"),
    "c2": ("Small left pleural effusion. No pneumothorax.", "p1"),
    "c3": ("Clear lungs. No acute disease.", "p2"),
    "c4": ("Right upper lobe consolidation concerning for pneumonia.", "p3"),
    "c5": ("No focal consolidation. Heart size is normal.", "p4"),
    "c6": ("Moderate right pneumothorax.", "p5"),
}

# A model in another program. What it does is told by files beside it, so that the program itself, whose checksum is kept, stays the same: while there
# is a file `slow`, it waits in the middle.
PROGRAM = """
import json, pathlib, sys, time
if pathlib.Path("forbidden").exists():
    sys.exit("asked again")
for number, line in enumerate(sys.stdin):
    case = json.loads(line)
    while number == 2 and pathlib.Path("slow").exists():
        time.sleep(0.05)
    print(json.dumps({"id": case["id"], "report": "No pleural effusion. Report of " + case["id"]}), flush=True)
"""


def benchmark_command(*words: str, folder: Path, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    answer = subprocess.run([sys.executable, "-m", "benchmark", *words], cwd=folder, capture_output=True, text=True, timeout=300)
    if check is not None:
        assert answer.returncode == check, answer.stdout + answer.stderr
    return answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a small dataset of one's own, references and predictions."""
    generator = np.random.default_rng(0)
    rows = [("image", "id", "report", "patient", "split")]
    for name, (report, patient) in REPORTS.items():
        Image.fromarray(generator.integers(0, 255, (40, 30), dtype=np.uint8)).save(tmp_path / f"{name}.png")
        rows.append((f"{name}.png", name, report, patient, "test"))
    write_csv(tmp_path / "cases.csv", rows)
    write_csv(tmp_path / "references.csv", [("id", "report", "patient"), *((name, text, patient) for name, (text, patient) in REPORTS.items())])
    shuffled = list(REPORTS)[::-1]
    write_csv(tmp_path / "ours.csv", [("id", "report"), *((name, REPORTS[name][0]) for name in shuffled)])
    (tmp_path / "theirs.jsonl").write_text("".join(json.dumps({"id": name, "report": "Clear lungs."}) + "\n" for name in REPORTS))
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def write_csv(file: Path, rows: list[tuple[str, ...]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(rows)


def tables(run: Path) -> dict[str, bytes]:
    """Every file of a run that a reader would quote from."""
    return {file.name: file.read_bytes() for file in sorted(run.iterdir()) if file.suffix in (".md", ".csv", ".tex")}


RUN = ("run", "--dataset", "manifest:cases.csv", "--draws", "50", "--out", "out")


def test_run_measures_models_and_leaves_tables_and_a_seal(folder: Path) -> None:
    answer = benchmark_command(*RUN, "--models", f"constant,ours=reports_file:ours.csv,theirs=command:'{sys.executable} program.py'", folder=folder)
    assert "6 cases of 5 patients" in answer.stdout
    assert "ours" in answer.stdout
    sealed = json.loads((folder / "out" / "run.json").read_text())
    assert sealed["models"]["ours"]["reports"] == 6
    assert sealed["models"]["ours"]["failures"] == 0
    assert sealed["dataset"]["patients"] == 5
    assert set(sealed["signatures"]) == {"lesions", "meteor", "rouge_l", "bleu"}
    rows = pd.read_csv(folder / "out" / "rows.csv")
    perfect = rows[(rows.model == "ours") & (rows.metric == "rouge_l") & (rows.value_name == "f1")].iloc[0]
    assert perfect.value == 1.0
    assert perfect.scored == 6
    assert {"table1.md", "table2a.md", "summary.md", "differences.md"} <= set(tables(folder / "out"))
    assert "rules" in (folder / "out" / "table1.md").read_text(), "who labelled the lesions stands under the table"


def test_the_same_command_again_changes_no_byte_of_the_tables_and_asks_no_model(folder: Path) -> None:
    words = (*RUN, "--models", f"m=command:'{sys.executable} program.py'")
    benchmark_command(*words, folder=folder)
    before = tables(folder / "out")
    (folder / "forbidden").touch()
    benchmark_command(*words, folder=folder)
    assert tables(folder / "out") == before


def test_a_model_added_to_a_run_stands_beside_the_others(folder: Path) -> None:
    benchmark_command(*RUN, "--models", "constant", folder=folder)
    benchmark_command(*RUN, "--models", "constant,ours=reports_file:ours.csv", folder=folder)
    assert set(json.loads((folder / "out" / "run.json").read_text())["models"]) == {"constant", "ours"}


def test_a_run_that_is_killed_goes_on_and_ends_in_the_tables_of_an_undisturbed_one(folder: Path) -> None:
    words = (*RUN, "--models", f"constant,m=command:'{sys.executable} program.py'")
    benchmark_command(*words, folder=folder)
    undisturbed = tables(folder / "out")
    shutil.rmtree(folder / "out")
    (folder / "slow").touch()
    process = subprocess.Popen([sys.executable, "-m", "benchmark", *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    reports = folder / "out" / "m" / "reports.jsonl"
    deadline = time.monotonic() + 240
    while not (reports.exists() and reports.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder / "slow").unlink()
    assert not (folder / "out" / "run.json").exists()
    with reports.open("a") as file:
        file.write('{"case_id": "c')  # the kernel may have had half a line
    benchmark_command(*words, folder=folder)
    assert tables(folder / "out") == undisturbed


@pytest.mark.parametrize(("manner", "again"), [((), "the same command goes on"), (("--refresh",), "the same command without --refresh goes on")])
def test_ctrl_c_keeps_what_was_done_and_says_so(manner: tuple[str, ...], again: str, folder: Path) -> None:
    (folder / "slow").touch()
    words = (*RUN, *manner, "--models", f"m=command:'{sys.executable} program.py'")
    process = subprocess.Popen([sys.executable, "-m", "benchmark", *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    reports = folder / "out" / "m" / "reports.jsonl"
    deadline = time.monotonic() + 240
    while not (reports.exists() and reports.read_bytes().count(b"\n") >= 1):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert f"interrupted; what was done is kept, {again}" in errors
    assert "Traceback" not in errors
    assert reports.read_bytes().count(b"\n") >= 1


def test_a_model_that_fails_has_its_reason_in_its_row_and_the_others_their_numbers(folder: Path) -> None:
    (folder / "program.py").write_text("raise SystemExit('no luck')")
    words = (*RUN, "--models", f"constant,m=command:'{sys.executable} program.py',far=reports_file:nowhere.csv")
    answer = benchmark_command(*words, folder=folder, check=1)
    sealed = json.loads((folder / "out" / "run.json").read_text())
    assert sealed["models"]["constant"]["reports"] == 6
    assert "nowhere.csv" in sealed["models"]["far"]["failed"]
    assert "nowhere.csv" in (folder / "out" / "summary.md").read_text()
    assert "failed" in answer.stdout


def test_a_model_that_fails_in_every_case_is_a_model_that_failed(folder: Path) -> None:
    (folder / "program.py").write_text(
        "import json, sys\nfor line in sys.stdin:\n    print(json.dumps({'id': json.loads(line)['id'], 'failure': 'no server'}), flush=True)\n"
    )
    answer = benchmark_command(*RUN, "--models", f"constant,m=command:'{sys.executable} program.py'", folder=folder, check=1)
    sealed = json.loads((folder / "out" / "run.json").read_text())
    assert sealed["models"]["m"]["failures"] == sealed["models"]["m"]["reports"] == 6
    assert "no server" in answer.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", "constnat"], "no model named 'constnat' (did you mean 'constant'?); known: "),
        (["--models", "constant", "--dataset", "nowhere"], "no dataset named 'nowhere'"),
        (["--models", "constant", "--metrics", "blue"], "no metric named 'blue'"),
        (["--models", "constant", "--labeller", "oracle"], "no labeller named 'oracle'; known: "),
        (["--models", "constant", "--dataset", "manifest:nowhere.csv"], "nowhere.csv"),
        (["--models", "constant", "--split", "valdate"], "valdate"),
        (["--models", "constant", "--set", "constant.wings=2"], "model 'constant' has no setting 'wings'"),
        (["--models", "reports_file"], "needs something behind a colon"),
        (["--models", "constant,reports_file:ours.csv", "--set", "reports_file.idcolumn=id"], "has no setting 'idcolumn'"),
        (["--models", "constant", "--set", "constnat.text=x"], "'constnat.text' is for nothing in this run (did you mean constant?)"),
        (["--models", "constant", "--metrics", "mine=rouge_l"], "a metric keeps its own name"),
        (["--models", "constant", "--device", "gpu"], "no device 'gpu'"),
        (["--models", ","], "--models names no model"),
        (["--models", "retrieval"], "train"),
        (["--models", "constant", "--grant", "lesion"], "nothing named 'lesion' can be granted; there is: lesions"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_2(folder: Path, words: list[str], message: str) -> None:
    answer = benchmark_command(*RUN, *words, folder=folder, check=2)
    assert message in answer.stderr
    errors = [line for line in answer.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["=1+1=ours.csv"], "cannot take a name from '=1+1=ours.csv'; write name=file"),
        (["a" * 300], f"{'a' * 300}: "),
        (["m\udcff=ours.csv"], "a model called 'm\\udcff', with bytes that are no character"),
        (["GPT=ours.csv", "--predictions", "gpt=theirs.jsonl"], "two models called 'GPT' and 'gpt': they differ in capitals alone"),
    ],
)
def test_predictions_whose_name_no_folder_can_have_are_one_clear_line(folder: Path, words: list[str], message: str) -> None:
    score = ("score", "--references", "references.csv", "--metrics", "rouge_l", "--draws", "20", "--out", "out")
    answer = benchmark_command(*score, "--predictions", *words, folder=folder, check=2)
    assert f"error: {message}" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (folder / "out").exists()


def test_predictions_may_have_a_name_that_is_longer_than_any_file_s(folder: Path) -> None:
    """By the word as a whole, of which a part may be a file, and by the name alone."""
    (folder / "=odd.csv").write_bytes((folder / "ours.csv").read_bytes())
    names = ["a" * 300, "a" * 250, "b"]
    words = [word for name in names for word in ("--predictions", f"{name}=ours.csv")]
    score = ("score", "--references", "references.csv", "--metrics", "rouge_l", "--draws", "20", "--out", "out", "--no-page")
    benchmark_command(*score, *words, "--predictions", "=odd.csv", folder=folder)
    assert {row["model"] for row in csv.DictReader((folder / "out/rows.csv").open()) if not row["p_value"]} == {*names, "=odd"}


def test_a_folder_of_another_run_is_refused(folder: Path) -> None:
    benchmark_command(*RUN, "--models", "constant", folder=folder)
    answer = benchmark_command(*RUN, "--models", "constant", "--limit", "3", folder=folder, check=2)
    assert "out holds another run: its limit is null, now it would be 3" in answer.stderr


def test_score_needs_no_model_and_matches_by_id(folder: Path) -> None:
    words = ("score", "--references", "references.csv", "--patient-column", "patient", "--draws", "50", "--out", "out")
    answer = benchmark_command(*words, "--text-column", "report", "-p", "ours=ours.csv", "-p", "theirs=theirs.jsonl", folder=folder)
    assert "6 cases of 5 patients" in answer.stdout
    rows = pd.read_csv(folder / "out" / "rows.csv")
    f1 = rows[(rows.metric == "rouge_l") & (rows.value_name == "f1")].set_index("model").value
    assert f1["ours"] == 1.0
    assert 0 < f1["theirs"] < 1
    assert f1["ours - theirs"] == pytest.approx(1 - f1["theirs"])


def test_score_again_with_other_predictions_replaces_the_numbers(folder: Path) -> None:
    words = ("score", "-r", "references.csv", "--text-column", "report", "-p", "ours.csv", "--metrics", "rouge_l", "--draws", "20")
    benchmark_command(*words, folder=folder)
    write_csv(folder / "ours.csv", [("id", "report"), *((name, "Clear lungs.") for name in REPORTS)])
    benchmark_command(*words, folder=folder)
    (run,) = (folder / "results" / "runs").iterdir()
    rows = pd.read_csv(run / "rows.csv")
    assert rows[rows.value_name == "f1"].value.iloc[0] < 1
    assert (run / "run.json").exists()


def test_blank_patients_are_drawn_each_on_its_own(folder: Path) -> None:
    write_csv(folder / "references.csv", [("id", "report", "patient"), *((name, text, "") for name, (text, _) in REPORTS.items())])
    words = ("score", "-r", "references.csv", "--text-column", "report", "--patient-column", "patient", "-p", "ours.csv", "--metrics", "rouge_l")
    assert "6 cases of 6 patients" in benchmark_command(*words, "--draws", "20", folder=folder).stdout


def test_a_column_of_another_name_can_be_named_for_each_side(folder: Path) -> None:
    write_csv(folder / "ours.csv", [("id", "output"), *((name, text) for name, (text, _) in REPORTS.items())])
    words = ("score", "-r", "references.csv", "-p", "ours.csv", "--metrics", "rouge_l", "--draws", "20", "--out", "out")
    assert "name one with --prediction-column" in benchmark_command(*words, folder=folder, check=2).stderr
    benchmark_command(*words, "--prediction-column", "output", folder=folder)


def test_predictions_without_a_reference_are_counted(folder: Path) -> None:
    write_csv(folder / "ours.csv", [("id", "report"), *((name, text) for name, (text, _) in REPORTS.items()), ("c9", "extra")])
    words = ("score", "-r", "references.csv", "-p", "ours.csv", "--metrics", "rouge_l", "--draws", "20", "--missing", "unscored")
    assert "1 predictions have no reference and are not used, the first 'c9'" in benchmark_command(*words, folder=folder).stdout


def test_score_refuses_other_ids_with_the_first_that_differ(folder: Path) -> None:
    write_csv(folder / "ours.csv", [("id", "report"), ("c1", "x"), ("c9", "y")])
    answer = benchmark_command("score", "-r", "references.csv", "-p", "ours.csv", "--out", "out", folder=folder, check=2)
    assert "c2" in answer.stderr
    assert "c9" in answer.stderr
    assert "--missing unscored" in answer.stderr
    answer = benchmark_command("score", "-r", "references.csv", "-p", "ours.csv", "--out", "out", "--missing", "unscored", folder=folder)
    rows = pd.read_csv(folder / "out" / "rows.csv")
    assert set(rows[rows.metric == "bleu"].scored) == {1}
    assert set(rows[rows.metric == "bleu"].unscored) == {5}


def test_empty_predictions_are_scored_as_empty_and_counted(folder: Path) -> None:
    write_csv(folder / "ours.csv", [("id", "report"), *((name, "" if name == "c1" else text) for name, (text, _) in REPORTS.items())])
    answer = benchmark_command("score", "-r", "references.csv", "-p", "ours.csv", "--draws", "20", "--out", "out", folder=folder)
    assert "1 reports are empty" in answer.stdout
    rows = pd.read_csv(folder / "out" / "rows.csv")
    f1 = rows[(rows.metric == "rouge_l") & (rows.value_name == "f1")].iloc[0]
    assert (f1.scored, f1.unscored) == (6, 0)
    assert f1.value == pytest.approx(5 / 6)


def test_generate_writes_reports_and_run_goes_on_from_there(folder: Path) -> None:
    words = ("--dataset", "manifest:cases.csv", "--out", "out", "--models", f"m=command:'{sys.executable} program.py'")
    answer = benchmark_command("generate", *words, folder=folder)
    assert "Report of c1" in answer.stdout
    assert not (folder / "out" / "run.json").exists()
    (folder / "forbidden").touch()
    benchmark_command("run", *words, "--draws", "20", folder=folder)
    assert (folder / "out" / "run.json").exists()


def test_a_model_may_not_learn_from_what_is_measured_by_whichever_name(folder: Path) -> None:
    for training in ((), ("--training", "manifest:cases.csv"), ("--training", "manifest:./cases.csv")):
        words = ("run", "--dataset", "manifest:cases.csv", "--draws", "20", "--split", "test", *training, "--models", "retrieval", "--out", "out")
        answer = benchmark_command(*words, folder=folder, check=2)
        assert "train" in answer.stderr, "there is no train split here, and the test split is not offered in its place"


def test_a_quoted_command_is_run_as_typed(folder: Path) -> None:
    (folder / "echo.py").write_text(
        "import json, sys\nfor line in sys.stdin:\n print(json.dumps({'id': json.loads(line)['id'], 'report': sys.argv[1]}))"
    )
    words = ("generate", "--dataset", "manifest:cases.csv", "--out", "out", "--models", f"command:'{sys.executable} -u echo.py 1,2'")
    assert "c1: 1,2" in benchmark_command(*words, folder=folder).stdout


def test_label_writes_14_lesions_for_each_report(folder: Path) -> None:
    answer = benchmark_command("label", "references.csv", "--out", "labels.jsonl", folder=folder)
    lines = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == list(REPORTS)
    assert all(len(line["lesions"]) == 14 for line in lines)
    positive = {lesion["name"]: lesion["side"] for lesion in lines[1]["lesions"] if lesion["status"] == "positive"}
    assert positive == {"pleural effusion": "left"}
    assert "labelled by rules" in answer.stdout


def test_label_takes_a_dataset_and_what_it_knows_itself(folder: Path) -> None:
    rows = [("image", "id", "report", *LESIONS), *((f"{name}.png", name, REPORTS[name][0], *["0"] * 13, "1") for name in REPORTS)]
    write_csv(folder / "known.csv", rows)
    positive = {}
    for labeller in ("truth", "rules"):
        words = ("label", "--dataset", "manifest:known.csv", "--labeller", labeller, "--out", f"{labeller}.jsonl")
        answer = benchmark_command(*words, folder=folder)
        assert f"labelled by {labeller}" in answer.stdout
        assert "the rationales quote reports whose text may not travel" in answer.stdout
        lines = [json.loads(line) for line in (folder / f"{labeller}.jsonl").read_text().splitlines()]
        assert [line["id"] for line in lines] == list(REPORTS)
        positive[labeller] = [[lesion["name"] for lesion in line["lesions"] if lesion["status"] == "positive"] for line in lines]
        assert (folder / f"{labeller}.jsonl").stat().st_mode & 0o077 == 0
    assert positive["truth"] == [["pneumonia"]] * 6
    assert positive["rules"] == [["cardiomegaly"], ["pleural effusion"], [], ["consolidation", "pneumonia"], [], ["pneumothorax"]]
    copied = ("label", "--dataset", "manifest:known.csv", "--labeller", "file:truth.jsonl", "--out", "copy.jsonl")
    benchmark_command(*copied, folder=folder)
    assert (folder / "copy.jsonl").read_text() == (folder / "truth.jsonl").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "label takes the reports of a file or of a dataset, found neither; write `label reports.csv` or `label --dataset phantom`"),
        (["references.csv", "--dataset", "manifest:cases.csv"], "found references.csv and manifest:cases.csv"),
        (["references.csv", "--labeller", "truth"], "rules, rules_as_chexbert; such labels are looked up by case"),
        (["--dataset", "manifest:cases.csv", "--labeller", "truth"], "truth: the dataset states no lesions for 6 of 6 cases, the first 'c1'"),
        (["--dataset", "manifest:cases.csv", "--labeller", "oracle"], "no labels named 'oracle'; known: truth, file:PATH, "),
        (["--dataset", "manifest:cases.csv", "--set", "rule.hedges=d15"], "'rule.hedges' is for nothing in this run (did you mean rules?)"),
        (["references.csv", "--set", "rule.hedges=d15"], "'rule.hedges' is for nothing in this run (did you mean rules?)"),
    ],
)
def test_what_cannot_be_labelled_is_told_in_one_line(folder: Path, words: list[str], message: str) -> None:
    answer = benchmark_command("label", *words, "--out", "labels.jsonl", folder=folder, check=2)
    assert message in answer.stderr
    assert not (folder / "labels.jsonl").exists()


def test_what_can_be_trained_is_listed_and_shows_its_own_settings(folder: Path) -> None:
    listed = benchmark_command("list", "trainers", folder=folder).stdout
    names = ["trainers:", "clala", "classifier", "cvt2distilgpt2", "detector", "r2gen", "rgrg", "tsget"]
    assert [line.split()[0] for line in listed.splitlines()] == names
    shown = benchmark_command("train", "clala", "--help", folder=folder).stdout
    assert "Settings of clala, written --name value:" in shown
    assert any(line.split() == ["--precision", "auto", "|", "no", "|", "bf16", "|", "fp16", "[auto]"] for line in shown.splitlines())
    assert "who says which lesions a training report states" in shown
    assert "`train NAME --help` shows the settings of one of them: clala, classifier," in benchmark_command("train", "--help", folder=folder).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clalla"], "no trainer named 'clalla' (did you mean 'clala'?); known: clala, classifier, cvt2distilgpt2, detector, r2gen, rgrg, tsget"),
        (["constant"], "model 'constant' cannot be trained here; these can: clala, classifier, cvt2distilgpt2, detector, r2gen, rgrg, tsget"),
        (["clala", "--epoch", "3"], "trainer 'clala' has no setting 'epoch'; it has: preset, labels, "),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line(folder: Path, words: list[str], message: str) -> None:
    assert message in benchmark_command("train", *words, folder=folder, check=2).stderr


def test_doctor_says_what_is_there_and_how_to_get_the_rest_and_no_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    answer = benchmark_command("doctor", folder=folder)
    assert not [needle for needle in NEEDLES if needle in answer.stdout + answer.stderr]
    assert "numpy" in answer.stdout
    assert "demo weights, trained on phantoms alone" in answer.stdout
    assert "phantom" in answer.stdout


def test_doctor_knows_a_package_by_whatever_brings_its_module() -> None:
    """The extra installs ``mlflow-skinny``, whose module is ``mlflow``; the whole of MLflow brings it too."""
    from importlib.util import find_spec

    from benchmark.doctor import EXTRAS, installed

    trackers, _ = EXTRAS["trackers"]
    there = [(spec := find_spec(module)) is not None and spec.origin is not None for module in ("mlflow", "wandb")]
    assert [installed(package) is not None for package in trackers] == there
    assert installed("no-such-package") is None


def test_an_image_that_cannot_be_read_costs_its_case_only(folder: Path) -> None:
    (folder / "c2.png").write_bytes((folder / "c2.png").read_bytes()[:200])
    (folder / "c3.png").unlink()
    answer = benchmark_command(*RUN, "--models", "constant", folder=folder)
    assert "c3" in answer.stdout + answer.stderr or "missing image" in answer.stdout
    assert json.loads((folder / "out" / "run.json").read_text())["dataset"]["cases"] == 4
    told = (folder / "out" / "problems.csv").read_text()
    assert "c2.png" in told
    assert "c3.png" in told
    answer = benchmark_command(*RUN, "--models", "constant", "--strict", "--out", "strict", folder=folder, check=2)
    assert "c2.png" in answer.stderr or "c3.png" in answer.stderr


def test_a_notebook_gets_a_frame() -> None:
    references = {name: text for name, (text, _) in REPORTS.items()}
    frame = benchmark.score(references, {"same": references, "none": dict.fromkeys(references, "")}, metrics=["rouge_l"], draws=20)
    f1 = frame[frame.value_name == "f1"].set_index("model").value
    assert f1["same"] == 1.0
    assert f1["none"] == 0.0
    assert f1["same - none"] == 1.0
    listed = benchmark.score(list(references.values()), list(references.values()), metrics=["rouge_l"], draws=20)
    assert set(listed.model) == {"predictions"}
    with pytest.raises(benchmark.UserError, match="no id is in both"):
        benchmark.score({"a": "x"}, {"b": "x"})


def test_a_notebook_s_missing_cells_are_empty_reports_and_its_mistakes_are_told(tmp_path: Path) -> None:
    references = pd.Series({"a": "Clear lungs.", "b": "Small effusion."})
    predictions = pd.Series({"b": pd.NA, "a": "Clear lungs."}, dtype="string")
    frame = benchmark.score(references, predictions, metrics="rouge_l", draws=20, patients=["p", "q"])
    assert frame[frame.value_name == "f1"].value.iloc[0] == 0.5
    assert benchmark.score(references, {"a": "Clear lungs.", "b": pd.NA}, metrics="rouge_l", draws=20).scored.iloc[0] == 2
    (tmp_path / "reports.jsonl").write_text('{"case_id": "a", "text": "Clear lungs."}\n{"case_id": "b", "text": "", "failure": "broken"}\n')
    frame = benchmark.score(references, tmp_path / "reports.jsonl", metrics="rouge_l", draws=20)
    assert (frame.scored.iloc[0], frame.unscored.iloc[0]) == (1, 1)
    (tmp_path / "ours.csv").write_text("id,text\na,Clear lungs.\nb,Small effusion.\n")
    files = {"ours": str(tmp_path / "ours.csv")}
    with pytest.raises(benchmark.UserError, match=r"'ours', and its text '.*ours\.csv' is the name of a file here; .* give paths: \{'ours': pathlib"):
        benchmark.score(references, files, metrics="rouge_l", draws=20)
    frame = benchmark.score(references, {model: Path(file) for model, file in files.items()}, metrics="rouge_l", draws=20)
    assert frame[frame.value_name == "f1"].value.iloc[0] == 1.0
    with pytest.raises(benchmark.UserError, match="patients has 1 entries beside 2 references"):
        benchmark.score(references, references, patients=["p"])
    with pytest.raises(benchmark.UserError, match="draws is at least 1"):
        benchmark.score(references, references, draws=0)
