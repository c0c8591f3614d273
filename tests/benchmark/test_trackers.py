"""`log`: a run in MLflow and in Weights & Biases, by their own packages and read back by them; once, without texts, and with nothing sent."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner
from waiting import until

from benchmark.cli import app
from benchmark.evaluator import score_reports
from benchmark.gate.sealed import EditedRun
from benchmark.loaded_run import LoadedRun, load_run
from benchmark.records import RunConfig
from benchmark.registry import UnknownName
from benchmark.trackers import RunMayNotTravel, TrackerRefused
from benchmark.trackers import mlflow as to_mlflow
from benchmark.trackers import wandb as to_wandb
from benchmark.trackers.what_is_logged import name_of, what_is_logged, without_logins

SECRET = "There is a small left pleural effusion beside the azygos lobe."
REFERENCES = {"1": SECRET, "2": "The lungs are clear.", "3": "Right pneumothorax."}
GOOD = {"1": SECRET, "2": "Clear lungs.", "3": "Right pneumothorax."}
POOR = {"1": "The lungs are clear.", "2": "Large effusion.", "3": ""}
NOWHERE = "http://127.0.0.1:9"
MACHINE = "ward-7-of-dr-jones"
MARKS = ("dr.smith", "hunter2secret", "mrn-4711")
"""in the dataset's path, in a command line, in the run folder's name"""
PROGRAM = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"id": json.loads(line)["id"], "report": "The lungs are clear."}), flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models over three cases, of which nobody said that their text may travel."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    score_reports(REFERENCES, {"good": GOOD, "poor one": POOR}, RunConfig((), ("lesions", "rouge_l"), "", strata=False, draws=20, context=""), folder)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> LoadedRun:
    return load_run(folder)


def private_run(home: Path, models: str) -> Path:
    """A run on a table of somebody's own, by a model in a program that is called with a key; all of them have marked names."""
    from PIL import Image

    place = home / "dr.smith"
    place.mkdir()
    Image.new("L", (32, 32), 90).save(place / "a.png")
    (place / "program.py").write_text(PROGRAM)
    lines = [f'{case},a.png,"{text}",p{case}' for case, text in REFERENCES.items()]
    (place / "cases.csv").write_text("\n".join(["id,image,report,patient", *lines]))
    words = ["run", "--models", models.replace("PROGRAM", f"'{sys.executable} {place / 'program.py'} --token hunter2secret'")]
    words += ["--dataset", f"manifest:{place / 'cases.csv'}", "--metrics", "lesions,rouge_l", "--draws", "20", "--no-page"]
    words += ["--set", f"command.log={place / 'log.txt'}", "--set", "command.window=2", "--out", str(home / "mrn-4711")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return home / "mrn-4711"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private run, of a program that was given a name."""
    return private_run(tmp_path_factory.mktemp("named"), "constant,ours=command:PROGRAM")


@pytest.fixture(scope="module")
def unnamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private run, of a program that is called by its command line."""
    return private_run(tmp_path_factory.mktemp("unnamed"), "constant,command:PROGRAM")


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server on this machine that has nothing for anybody, and the first bytes of everybody who came."""
    came: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    came.append(connection.recv(4096))
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                except OSError:
                    came.append(b"")

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", came
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(60)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every address beyond this machine that this process asks for; none is answered."""
    asked: list[Any] = []

    def refused(host: Any, *rest: Any, **named: Any) -> Any:
        if host in ("localhost", "127.0.0.1", "::1", None, ""):
            return known(host, *rest, **named)
        asked.append(host)
        raise socket.gaierror(f"no network in this test: {host}")

    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    yield asked
    assert asked == []


@pytest.fixture
def stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own, for what trackers write where they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    monkeypatch.delenv("CLALA_BENCHMARK_CONFIG", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_SERVICE", raising=False)  # by which a program of a test would write through the process of the tests before it
    return tmp_path


def everything_under(folder: Path) -> bytes:
    return b"\n".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def command(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_each_headline_has_its_interval_as_numbers_and_what_is_undefined_is_left_out(run: LoadedRun) -> None:
    """By hand: the good model repeats the first and the last reference; no reference speaks of a hernia."""
    good, poor = what_is_logged(run)
    assert good.numbers["lesions.micro_f1"] == 1.0
    assert good.numbers["lesions.pleural_effusion.f1"] == 1.0
    assert poor.numbers["lesions.pneumothorax.f1"] == 0.0
    assert {"rouge_l.f1", "rouge_l.f1_low", "rouge_l.f1_high"} <= set(good.numbers)
    assert good.numbers["rouge_l.f1_low"] <= good.numbers["rouge_l.f1"] <= good.numbers["rouge_l.f1_high"]
    assert "lesions.hernia.f1" not in good.numbers
    assert (poor.numbers["reports"], poor.numbers["failures"], poor.numbers["empty"]) == (3, 0, 1)
    assert good.parameters["labeller"] == "rules"
    assert good.parameters["signature.rouge_l"] == run.signatures["rouge_l"]


def test_a_model_has_its_own_identity_and_keeps_it(run: LoadedRun, folder: Path, tmp_path: Path) -> None:
    """The same run in another folder, with a page beside its tables and a new seal, is the same run."""
    first, second = what_is_logged(run)
    assert first.id != second.id
    copy = Path(shutil.copytree(folder, tmp_path / "moved"))
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**record, "files": {**record["files"], "index.html": "0" * 64}}))
    assert [one.id for one in what_is_logged(load_run(copy))] == [first.id, second.id]


def test_names_are_such_as_every_tracker_takes_and_unlike_ones_stay_unlike() -> None:
    assert name_of("lesions.pleural effusion.f1") == "lesions.pleural_effusion.f1"
    assert name_of("mine[a].x") != name_of("mine(a).x")
    assert set("[]()<>") & set(name_of("mine[a].<x>")) == set()


def test_an_edited_table_is_not_logged_and_an_unknown_model_lists_the_known(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "summary.md").write_text("everything is better")
    with pytest.raises(EditedRun, match=r"summary\.md was edited since it was sealed"):
        what_is_logged(load_run(copy))
    with pytest.raises(UnknownName, match=r"no model 'best' came to the end in .*; known: good, poor one"):
        what_is_logged(load_run(folder), ["best"])


def test_mlflow_reads_back_what_was_logged_and_has_it_once(run: LoadedRun, folder: Path, stays: Path, no_network: list[Any]) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'clala-benchmark[trackers]'")
    first = command("log", folder, "--to", "mlflow", "--experiment", "reports")
    assert first.exit_code == 0, first.output
    assert "good: logged as" in first.output
    again = command("log", folder, "--to", "mlflow", "--experiment", "reports")
    assert "good: is there already" in again.output
    with to_mlflow.environment({**to_mlflow.QUIET, **to_mlflow.FOLDERS}):
        client = mlflow.MlflowClient(tracking_uri=(stays / "mlruns").as_uri())
        experiment = client.get_experiment_by_name("reports")
        kept = {one.data.tags["clala.model"]: one for one in client.search_runs([experiment.experiment_id])}
        assert len(client.search_runs([experiment.experiment_id])) == 2
        for one in what_is_logged(run):
            data = kept[one.model].data
            assert data.metrics == pytest.approx(dict(one.numbers))
            assert data.params == dict(one.parameters)
            assert data.tags["clala.id"] == one.id
            assert kept[one.model].info.status == "FINISHED"
        artifacts = {file.path for kind in ("tables", "figures", "texts") for file in client.list_artifacts(kept["good"].info.run_id, kind)}
    assert {"tables/rows.csv", "tables/summary.md", "figures/summary.png", "figures/lesions.png"} <= artifacts
    assert not any(path.startswith("texts") for path in artifacts)
    assert SECRET.encode() not in everything_under(stays)


def test_mlflow_gets_texts_when_that_is_said_and_their_folder_is_closed(run: LoadedRun, stays: Path, no_network: list[Any]) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'clala-benchmark[trackers]'")
    to_mlflow.log_run(run, "store", "reports", models=["good"])
    assert SECRET.encode() not in everything_under(stays)
    added = to_mlflow.log_run(run, "store", "reports", models=["good"], with_text=True)
    assert SECRET.encode() in everything_under(stays)
    assert (stays / "store" / ".gitignore").read_text() == "*\n"
    assert (stays / "store").stat().st_mode & 0o077 == 0
    assert to_mlflow.log_run(run, "store", "reports", models=["good"], with_text=True) == [added[0]._replace(is_new=False)]


def test_what_was_killed_half_way_is_logged_anew(run: LoadedRun, stays: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'clala-benchmark[trackers]'")
    one = what_is_logged(run, ["good"])[0]
    with to_mlflow.environment({**to_mlflow.QUIET, **to_mlflow.FOLDERS}):
        client = mlflow.MlflowClient(tracking_uri=(stays / "store").as_uri())
        experiment = client.create_experiment("reports")
        half = client.create_run(experiment, tags=dict(one.tags)).info.run_id
        made = to_mlflow.log_run(run, "store", "reports", models=["good"])[0]
        assert made.is_new
        assert [found.info.run_id for found in client.search_runs([experiment])] == [made.where] != [half]


@pytest.mark.parametrize("with_text", [False, True])
def test_a_private_run_goes_to_no_tracker_elsewhere_unless_its_host_is_approved(
    run: LoadedRun, stays: Path, no_network: list[Any], with_text: bool
) -> None:
    """Numbers alone neither: those of three patients tell of patients. Refused before anything is asked of anybody.

    With texts offline too, for what Weights & Biases writes there is written to be sent.
    """
    logs = [
        lambda: to_mlflow.log_run(run, "https://tracker.example.org", "reports", with_text=with_text),
        lambda: to_mlflow.log_run(run, "databricks://localhost", "reports", with_text=with_text),
        lambda: to_wandb.log_run(run, "reports", stays, mode="online", with_text=with_text),
        *([lambda: to_wandb.log_run(run, "reports", stays, with_text=True)] if with_text else []),
    ]
    for log in logs:
        with pytest.raises(RunMayNotTravel, match=r"nothing was logged, .* \(--uri mlruns\), or, .* \[data_use\]: approved = \["):
            log()
    assert everything_under(stays) == b""


def test_tables_of_a_private_run_go_to_no_store_elsewhere_behind_an_experiment_that_lies_here(run: LoadedRun, stays: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'clala-benchmark[trackers]'")
    with to_mlflow.environment({**to_mlflow.QUIET, **to_mlflow.FOLDERS}):
        mlflow.MlflowClient(tracking_uri=(stays / "store").as_uri()).create_experiment("reports", "s3://bucket/runs")
    with pytest.raises(RunMayNotTravel, match=r"to be logged to s3://bucket/runs.*approved = \[\"bucket\"\]"):
        to_mlflow.log_run(run, "store", "reports")


def test_an_approved_host_may_have_the_texts(run: LoadedRun, stays: Path) -> None:
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install 'clala-benchmark[trackers]'")
    (stays / "benchmark.toml").write_text('[data_use]\napproved = ["api.wandb.ai"]\n')
    to_wandb.log_run(run, "reports", stays, models=["good"], with_text=True)
    assert SECRET.encode() in everything_under(stays / "wandb")
    assert (stays / "wandb").stat().st_mode & 0o077 == 0


def test_places_on_this_machine_are_told_from_hosts() -> None:
    for place in (
        "mlruns",
        "file:///data/mlruns",
        "sqlite:///mlflow.db",
        "sqlite:////srv/mlflow.db",
        r"C:\runs",
        "http://127.0.0.1:5000",
        "http://localhost:5000",
        "mlflow-artifacts:/1",
    ):
        assert to_mlflow.host_away(place) == "", place
    for place, host in {
        "s3://bucket/runs": "bucket",
        "https://tracker.example.org/x": "tracker.example.org",
        "file://filer/runs": "filer",
        "databricks://team": "team",
        "databricks": "databricks",
        "databricks://localhost": "databricks",
        "s3://localhost/runs": "s3",
        "postgresql://user@localhost/runs": "postgresql",
        "mlflow-artifacts://127.0.0.1:5000/1": "mlflow-artifacts",
        "//filer/runs": "filer",
        r"\\filer\runs": "filer",
        "file:////filer/runs": "filer",
        r"sqlite:///\\filer\runs.db": "filer",
    }.items():
        assert to_mlflow.host_away(place) == host, place


def test_a_server_that_does_not_answer_is_said_in_one_line(folder: Path, stays: Path, no_network: list[Any]) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'clala-benchmark[trackers]'")
    with pytest.raises(TrackerRefused, match=r"is to be logged to MLflow at http://127\.0\.0\.1:9, and it said: "):
        to_mlflow.log_run(load_run(folder), NOWHERE, "reports", models=["good"])


def test_an_offline_run_of_weights_and_biases_holds_the_numbers_and_is_written_once(
    folder: Path, run: LoadedRun, stays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the machine's name: one of our choice, which its Python could ask for, and the true one unless it may stand there as a word, too."""
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install 'clala-benchmark[trackers]'")
    known = socket.gethostname
    monkeypatch.setattr(socket, "gethostname", lambda: MACHINE)
    monkeypatch.setattr(platform, "node", lambda: MACHINE)
    first = command("log", folder, "--to", "wandb", "--project", "reports", "--models", "good")
    assert first.exit_code == 0, first.output
    assert "nothing was sent; wandb sync FOLDER sends one of them, which your data use agreement may forbid" in first.output
    again = command("log", folder, "--to", "wandb", "--project", "reports", "--models", "good")
    assert "good: is there already" in again.output
    made = list((stays / "wandb").glob("offline-run-*"))
    assert len(made) == 1
    one = what_is_logged(run, ["good"])[0]
    summary, settings, project = read_offline(next(made[0].glob("*.wandb")))
    assert {name: value for name, value in summary.items() if not name.startswith("_")} == pytest.approx(dict(one.numbers))
    assert {name: settings[name] for name in one.parameters} == dict(one.parameters)
    assert settings["clala.id"] == one.id
    assert project == "reports"
    assert SECRET.encode() not in everything_under(stays)
    texts = list(texts_of_offline(next(made[0].glob("*.wandb"))))
    assert "not said" in texts
    # As a word: a short name stands in its random ids by chance, where no other letter is beside it too seldom to meet.
    machines = [MACHINE, *([name] if re.search(r"[\d-]", name := known()) and len(name) > 7 else [])]
    assert not [text for text in texts if re.search(rf"\b(?:{'|'.join(map(re.escape, machines))})\b", text)]


def records_of(file: Path) -> Iterator[bytes]:
    """The records of an offline run: after 7 bytes of head LevelDB's log format, blocks of 32 KiB with pieces of (checksum, length, kind)."""
    data = file.read_bytes()
    assert data[:4] == b":W&B"
    place, begun = 7, b""
    while place + 7 <= len(data):
        room = 32768 - place % 32768
        if room < 7:
            place += room
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        begun += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield begun
            begun = b""


def texts_of_offline(file: Path) -> Iterator[str]:
    """Every text in the records of an offline run."""
    from google.protobuf.json_format import MessageToDict
    from wandb.proto import wandb_internal_pb2

    def texts_in(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from texts_in(part)

    for data in records_of(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        yield from texts_in(MessageToDict(record))


def read_offline(file: Path) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Summary, configuration and project of an offline run, by the package's own description of its records."""
    from wandb.proto import wandb_internal_pb2

    summary: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    project = ""
    for data in records_of(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.HasField("run"):
            project = record.run.project
            settings |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        if record.HasField("summary"):
            summary |= {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.summary.update}
    return summary, settings, project


@pytest.mark.parametrize("to", ["mlflow", "wandb"])
def test_no_place_no_command_line_and_no_folder_of_a_private_run_is_in_any_byte_that_is_logged(named: Path, stays: Path, to: str) -> None:
    """Of a program that was given a name; so its tables and figures go along."""
    pytest.importorskip(to, reason=f"{to} is not installed: pip install 'clala-benchmark[trackers]'")
    done = command("log", named, "--to", to)
    assert done.exit_code == 0, done.output
    assert "left out" not in done.output
    held, ours = everything_under(stays), what_is_logged(load_run(named), ["ours"])[0]
    names = b"\n".join(str(path.relative_to(stays)).encode() for path in stays.rglob("*"))
    for mark in MARKS:
        assert (named.parent / mark).exists() or mark == "hunter2secret"
        assert mark.encode() not in held, mark
        assert mark.encode() not in names, mark
    assert ours.parameters["dataset"] == "manifest"
    assert ours.parameters["split"] == "test"
    assert len(ours.parameters["fingerprint"]) == 64
    assert "argument" not in ours.parameters
    assert {name: value for name, value in ours.parameters.items() if name.startswith("option.")} == {"option.window": "2"}
    assert ours.title == f"ours {ours.tags['clala.run'][:12]}"
    assert b"summary.md" in (names if to == "mlflow" else held)


@pytest.mark.parametrize("to", ["mlflow", "wandb"])
def test_a_model_called_by_its_command_line_has_a_digest_for_a_name_and_tables_with_it_stay_here(unnamed: Path, stays: Path, to: str) -> None:
    pytest.importorskip(to, reason=f"{to} is not installed: pip install 'clala-benchmark[trackers]'")
    done = command("log", unnamed, "--to", to)
    assert done.exit_code == 0, done.output
    assert re.search(r"left out: cards\.csv, .*, figures, .*rows\.csv.*give models and metrics a name of their own", done.output)
    held = everything_under(stays)
    for mark in MARKS:
        assert mark.encode() not in held, mark
    _, program = what_is_logged(load_run(unnamed))
    assert re.fullmatch(r"command-[0-9a-f]{12}", program.name)
    assert program.name.encode() in held


def test_a_title_of_a_figure_names_the_dataset_and_not_where_it_lies(named: Path) -> None:
    run = load_run(named)
    for figure in (run.plot_forest(), run.plot_differences(), run.plot_lesions(), run.plot_per_case("rouge_l.f1", "lesions.micro_f1")):
        words = " ".join(text.get_text() for text in figure.texts)
        assert "manifest/test" in words
        assert not any(mark in words for mark in (*MARKS, "cases.csv"))
    assert "manifest/test" in repr(run)
    assert "dr.smith" not in repr(run) + run._repr_html_()


def test_a_server_that_the_environment_names_is_not_asked(folder: Path, stays: Path, listener: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been set for another project, and ``log`` says that it writes to this machine; with ``--uri`` the same server is asked."""
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'clala-benchmark[trackers]'")
    address, came = listener
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", address)
    done = command("log", folder, "--to", "mlflow", "--models", "good")
    assert done.exit_code == 0, done.output
    assert (stays / "mlruns").is_dir()
    assert came == []
    assert command("log", folder, "--to", "mlflow", "--models", "good", "--uri", address).exit_code != 0
    assert b"/api/2.0/mlflow/experiments/get-by-name" in came[0]


STANDING = """
import os, signal, sys
import benchmark.trackers.wandb as to_wandb
from benchmark.cli import main
name_of = to_wandb.folder_name
def stands(name):
    os.kill(os.getpid(), signal.SIGSTOP)
    return name_of(name)
to_wandb.folder_name = stands
main()
"""
"""the program, which stands still where it names the first table, its run begun and its numbers handed over"""


def test_a_tracker_whose_process_is_lost_is_said_in_one_line_and_logged_anew(folder: Path, stays: Path) -> None:
    """Killed while the command stands still, as by a machine without memory; what lies there then is no run that was logged."""
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install 'clala-benchmark[trackers]'")
    words = [sys.executable, "-c", STANDING, "log", str(folder), "--to", "wandb", "--models", "good"]
    root = str(Path(__file__).resolve().parents[2])
    begun = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": root}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    itself = psutil.Process(begun.pid)
    until(lambda: itself.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE))
    writers = itself.children(recursive=True)
    for one in writers:
        one.kill()
    begun.send_signal(signal.SIGCONT)
    out, err = begun.communicate(timeout=120)
    assert writers, "its own process is no child any more: the test shows nothing"
    assert begun.returncode == 2, out + err
    assert re.fullmatch(r"error: .* is to be logged to Weights & Biases \(offline\), and its own process.*the same command logs anew.*\n", err), err
    assert not list(stays.glob("wandb/offline-run-*/clala-logged"))
    again = command("log", folder, "--to", "wandb", "--models", "good")
    assert "good: logged as" in again.output
    assert len(list(stays.glob("wandb/offline-run-*/clala-logged"))) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_stops_a_command_that_waits_for_a_silent_server_is_answered_and_nothing_of_it_runs_on(
    folder: Path, stays: Path, number: signal.Signals
) -> None:
    """The tracker's own process would try for minutes, and the command wait for it at exit."""
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install 'clala-benchmark[trackers]'")
    words = [sys.executable, "-m", "benchmark", "log", str(folder), "--to", "wandb", "--models", "good", "--mode", "online"]
    with socket.create_server(("127.0.0.1", 0)) as silent, (stays / "said").open("w") as said:
        silent.settimeout(120)
        where = {"WANDB_BASE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "WANDB_API_KEY": "0" * 40}
        root = str(Path(__file__).resolve().parents[2])
        begun = subprocess.Popen(words, env={**os.environ, **where, "PYTHONPATH": root}, stdout=said, stderr=said)
        connection, _ = silent.accept()
        with connection:
            writers = psutil.Process(begun.pid).children(recursive=True)
            begun.send_signal(number)
            begun.wait(30)
    assert begun.returncode == 128 + number
    assert (stays / "said").read_text() == (
        "waiting for 127.0.0.1, which may take a minute or two\ninterrupted; what was done is kept, the same command goes on from there\n"
    )
    assert writers
    assert not [one for one in writers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_an_address_with_a_password_is_refused_and_not_repeated(folder: Path, stays: Path) -> None:
    for uri in (
        "http://user:pwsecret99@127.0.0.1:9",
        "https://pwsecret99@tracker.example.org",
        "postgresql://user:pwsecret99@localhost/runs",
        "postgresql://localhost/runs?user=me&password=pwsecret99",
    ):
        done = command("log", folder, "--to", "mlflow", "--uri", uri)
        assert isinstance(done.exception, to_mlflow.PasswordInAddress)
        assert re.search("put them into the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD", str(done.exception))
        assert "pwsecret99" not in str(done.exception)
    assert everything_under(stays) == b""


def test_what_a_tracker_says_is_told_without_keys_and_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as stand in the addresses of stores that only the server knows."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pwsecret99")
    said = "no route to ftp://user:p@ss@filer/runs, nor to s3://bucket/runs; write to me@example.org; pwsecret99 is no password"
    assert without_logins(said) == "no route to ftp://[login]@filer/runs, nor to s3://bucket/runs; write to me@example.org; [key] is no password"


def test_an_offline_run_of_weights_and_biases_opens_no_connection(folder: Path, stays: Path, listener: Any) -> None:
    """Its writing is done by a process of its own, so the whole family is watched by ``strace``, and a proxy stands where its requests would pass."""
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install 'clala-benchmark[trackers]'")
    strace = shutil.which("strace")
    if not strace:
        pytest.skip("needs strace, which watches other processes")
    address, came = listener
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), address)
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_PROXY", "no_proxy")}
    words = [
        strace,
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "trace=connect,sendto",
        "-o",
        str(stays / "calls"),
        sys.executable,
        "-m",
        "benchmark",
        "log",
        str(folder),
    ]
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [*words, "--to", "wandb", "--models", "good"], env={**kept, **proxies, "PYTHONPATH": root}, capture_output=True, text=True, timeout=120
    )
    if "ptrace" in done.stderr:
        pytest.skip("strace may not watch processes here")
    assert done.returncode == 0, done.stdout + done.stderr
    calls = (stays / "calls").read_text()
    assert re.search(r"connect\(.*AF_UNIX.*wandb", calls), "the tracker's own process was not watched"
    assert re.findall(r".*AF_INET.*", calls) == []
    assert came == []


def test_an_online_run_asks_the_server_that_was_checked_and_no_other(folder: Path, stays: Path, listener: Any) -> None:
    """The same proxy, to show that it would have seen a connection: a server on this machine is named, and it is asked."""
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install 'clala-benchmark[trackers]'")
    address, came = listener
    words = [sys.executable, "-m", "benchmark", "log", str(folder), "--to", "wandb", "--models", "good", "--mode", "online"]
    variables = {**os.environ, "WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40, "WANDB_INIT_TIMEOUT": "5", "WANDB__GRAPHQL_RETRY_MAX": "0"}
    done = subprocess.run(
        words, env={**variables, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert b"/graphql" in came[0]
