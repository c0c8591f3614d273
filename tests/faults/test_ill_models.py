"""Models that are ill at one case: what it costs is the case or the model, never the run; well again, the same command ends as if nothing had been.

Every fault is a model of its own, all of them in one command. The plugin ``faulty_models`` has them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from folders import contents, seal_is_true
from forked import Commands, Ended
from hospital import CASES, RUN, moved_into

GENERATE = ("generate", "--dataset", "manifest:cases.csv", "--out", "out", "--retry-failed")
GIB = 2**30
STOPPED = {
    "raises": "stopped at case 18 of 24: RuntimeError: no such layer (traceback in failure.txt)",
    "exits": "stopped at case 18 of 24: WouldEndAll: SystemExit: 0",
    "panics": "stopped at case 18 of 24: WouldEndAll: PanicException: index out of bounds",
    "memory": "stopped at case 18 of 24: MemoryError: Unable to allocate 16.0 GiB",
    "cuda_memory": "stopped at case 18 of 24: OutOfMemoryError: CUDA out of memory",
    "other_id": "stopped at case 18 of 24: answered case 'somebody else' where 'c17' was due",
    "too_few": "stopped at case 18 of 24: gave 17 reports and then no more; case 'c17' has none",
    "too_many": "stopped at case 24 of 24: answered more than the 24 cases it was given (then came",
    "ends_badly": "stopped at case 24 of 24: RuntimeError: cannot close the session",
    "no_report": "stopped at case 18 of 24: gave a str where a benchmark.Report was due",
    "nothing": "stopped at case 18 of 24: gave a NoneType where",
    "number": "stopped at case 18 of 24: gave a report whose text is a int",
    "bytes": "stopped at case 18 of 24: gave a report whose text is a bytes",
    "failure_number": "stopped at case 18 of 24: gave a report whose failure is a int",
    "regions_list": "stopped at case 18 of 24: gave a report whose regions is a list",
    "regions_number": "stopped at case 18 of 24: gave a report whose regions are not texts",
    "details_text": "stopped at case 18 of 24: gave a report whose details is a str",
    "details_object": "stopped at case 18 of 24: gave details or regions that are not JSON",
    "details_loop": "stopped at case 18 of 24: gave details or regions that are not JSON",
    "hangs": "stopped at case 18 of 24: gave no report for 2 s, and --patience is no longer",
}
FAILED = {
    "nul": "the text holds NUL bytes",
    "long": "the text has 10,800,000 characters, more than 1,000,000",
    "surrogate": "the text holds half characters (lone surrogates)",
    "long_failure": "out of luck out of luck",
    "nul_failure": "out of luck",
}
KEPT = ("long_details",)


def words(*faults: str) -> str:
    return ",".join(["constant", *(f"{fault}=faulty:{fault}" for fault in faults)])


def reports(folder: Path, model: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "out" / model / "reports.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def ward(hospital: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder for all tests of the module."""
    folder = moved_into(hospital, tmp_path_factory.mktemp("ward"))
    (folder / "ill").touch()
    return folder


@pytest.fixture(scope="module")
def ill(ward: Path, commands: Commands) -> Ended:
    """All of them, ill."""
    return commands.run(*GENERATE, "--models", words(*STOPPED, *FAILED, *KEPT), "--patience", "2", folder=ward, memory=6 * GIB)


@pytest.fixture(scope="module")
def again(ill: Ended, ward: Path, commands: Commands) -> Ended:
    """Typed again while they are ill."""
    return commands.run(*GENERATE, "--models", words(*STOPPED), "--patience", "2", folder=ward, memory=6 * GIB)


@pytest.mark.parametrize("fault", STOPPED)
def test_a_model_that_cannot_go_on_is_stopped_with_the_reason_and_keeps_what_it_wrote(ill: Ended, ward: Path, fault: str) -> None:
    assert ill.status == 1, ill.stderr[-3000:]
    assert STOPPED[fault] in " ".join(ill.stdout.split()), ill.stdout
    assert len(reports(ward, fault)) == (CASES - 1 if "case 24" in STOPPED[fault] else 17)


@pytest.mark.parametrize("fault", STOPPED)
def test_a_model_that_is_still_ill_is_still_stopped(again: Ended, ward: Path, fault: str) -> None:
    """Asked for the rest alone, it fails at the first of it; and nothing of it is counted twice."""
    assert again.status == 1
    kept = len(reports(ward, fault))
    said = STOPPED[fault].partition(": ")[2].replace("more than the 24", "more than the 1").replace("gave 17 reports", "gave 0 reports")
    assert f"stopped at case 1 of {CASES - kept}: {said}" in " ".join(again.stdout.split()), again.stdout
    assert len({report["case_id"] for report in reports(ward, fault)}) == kept == (CASES - 1 if "case 24" in STOPPED[fault] else 17)


@pytest.mark.parametrize("fault", FAILED)
def test_an_answer_that_no_metric_could_read_costs_its_case(ill: Ended, ward: Path, fault: str) -> None:
    found = reports(ward, fault)
    assert len(found) == CASES
    (failed,) = [report for report in found if report["failure"]]
    assert failed["case_id"] == "c17"
    assert failed["text"] == ""
    assert str(failed["failure"]).startswith(FAILED[fault])
    assert len(str(failed["failure"])) < 2_010


def test_details_of_ten_megabytes_are_not_kept_and_the_report_is(ill: Ended, ward: Path) -> None:
    (found,) = [report for report in reports(ward, "long_details") if report["case_id"] == "c17"]
    assert found["text"]
    assert "10,000,0" in str(found["details"])
    assert (ward / "out/long_details/reports.jsonl").stat().st_size < 100_000


def test_well_again_each_of_them_ends_as_if_nothing_had_been(again: Ended, ward: Path, commands: Commands) -> None:
    (ward / "ill").unlink()
    try:
        well = commands.run(*GENERATE, "--models", f"{words(*STOPPED, *FAILED)},never=steady", folder=ward)
    finally:
        (ward / "ill").touch()
    assert well.status == 0, well.stdout
    undisturbed = (ward / "out/never/reports.jsonl").read_bytes()
    for fault in (*STOPPED, *FAILED):
        assert (ward / "out" / fault / "reports.jsonl").read_bytes() == undisturbed, fault
        assert not (ward / "out" / fault / "failure.txt").exists(), fault


def test_the_tables_of_a_run_say_who_failed_and_are_those_of_an_undisturbed_one_once_all_are_well(place: Path, commands: Commands) -> None:
    run = (*RUN, "--retry-failed", "--models", words("raises", "too_many", "nul"))
    assert commands.run(*run, folder=place).status == 0
    (place / "out").rename(place / "undisturbed")
    (place / "ill").touch()
    assert commands.run(*run, folder=place).status == 1
    table = (place / "out/summary.md").read_text()
    assert "no such layer" in table
    assert "answered more than the 24 cases" in table
    record = json.loads((place / "out/run.json").read_text())
    assert record["models"]["nul"]["failures"] == 1
    (place / "ill").unlink()
    assert commands.run(*run, folder=place).status == 0
    assert contents(place / "out") == contents(place / "undisturbed")


@pytest.mark.parametrize("fault", ["other_id", *(pytest.param(fault, marks=pytest.mark.slow) for fault in STOPPED if fault != "other_id")])
def test_a_run_of_one_model_that_is_stopped_is_a_whole_run_whose_tables_say_why(place: Path, commands: Commands, fault: str) -> None:
    """With nobody beside it there is no number at all, in no part of the cases; they are of two views, which part them even so."""
    header, *rows = (place / "cases.csv").read_text().splitlines()
    (place / "cases.csv").write_text("\n".join([f"{header},view", *(f"{row},{'AP' if number % 2 else 'PA'}" for number, row in enumerate(rows))]))
    (place / "ill").touch()
    ended = commands.run(*RUN, "--models", f"alone=faulty:{fault}", "--patience", "2", folder=place, memory=6 * GIB)
    assert ended.status == 1, ended.stderr[-3000:]
    assert "Traceback" not in ended.stderr
    assert STOPPED[fault] in " ".join(json.loads((place / "out/run.json").read_text())["models"]["alone"]["failed"].split())
    assert STOPPED[fault].partition(": ")[0] in (place / "out/summary.md").read_text()
    seal_is_true(place / "out")


PROGRAM = """
import json, pathlib, resource, sys, time

fault = sys.argv[1] if pathlib.Path("ill").exists() else ""
for number, line in enumerate(sys.stdin):
    case = json.loads(line)["id"]
    text = "The lungs are clear. Study " + case
    if case == "c17" and fault == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        held = [bytearray(2**27) for _ in range(100)]
    if case == "c17" and fault == "hangs":
        time.sleep(3600)
    if case == "c17" and fault == "dies":
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    print(json.dumps({"id": case, "report": text}), flush=True)
"""


@pytest.mark.parametrize(
    ("fault", "said"), [("memory", "MemoryError"), ("hangs", "gave no answer for 5 s"), ("dies", "was ended by signal 9 (SIGKILL)")]
)
def test_a_program_that_dies_or_hangs_at_one_case_costs_that_case(place: Path, commands: Commands, fault: str, said: str) -> None:
    """A program can be started again, so that the others are answered; what else it may do is tried in tests/adapters/test_command.py."""
    (place / "program.py").write_text(PROGRAM)
    model = f"other=command:'{sys.executable} program.py {fault}'"
    run = (*GENERATE, "--models", model, "--set", "other.timeout=1", "--set", "other.startup=5")
    (place / "ill").touch()
    assert commands.run(*run, folder=place).status == 0
    (failed,) = [report for report in reports(place, "other") if report["failure"]]
    assert failed["case_id"] == "c17"
    assert said in str(failed["failure"])
    assert len(reports(place, "other")) == CASES
    (place / "ill").unlink()
    assert commands.run(*run, folder=place).status == 0
    assert [report["text"] for report in reports(place, "other")] == [f"The lungs are clear. Study c{number}" for number in range(CASES)]
