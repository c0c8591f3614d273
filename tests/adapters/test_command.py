"""The command adapter against real little programs: well-behaved, slow, dying, hanging, talking nonsense."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import until

from adapters.command import BrokenProtocol, Command, describe
from adapters.line_program import LineProgram, ProgramNotFound
from benchmark.records import Case, ImageFile, Report, UserError

ECHO = """
import json, sys, time, os
for line in sys.stdin:
    case = json.loads(line)
    {before}
    print(json.dumps({{"id": case["id"], "report": "about " + case["id"]}}))
    {after}
"""


def cases(count: int) -> list[Case]:
    return [
        Case(id=f"c{number}", patient=f"p{number}", study=f"s{number}", images=(ImageFile(Path(f"{number}.png"), "PA"),)) for number in range(count)
    ]


def command(folder: Path, source: str, **settings: Any) -> Command:
    program = folder / "model.py"
    program.write_text(source)
    return Command(f"{shlex.quote(sys.executable)} {shlex.quote(str(program))}", log=folder / "log", **settings)


def echo(folder: Path, before: str = "pass", after: str = "pass", **settings: Any) -> Command:
    return command(folder, ECHO.format(before=before, after=after), **settings)


def ask(model: Command, count: int) -> list[Report]:
    asked = cases(count)
    reports = list(model.generate(asked))
    assert [report.case_id for report in reports] == [case.id for case in asked], "one report per case, in order"
    return reports


def texts(count: int) -> list[str]:
    return [f"about c{number}" for number in range(count)]


def is_running(pid: int) -> bool:
    """A zombie that nobody has collected yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("count", [0, 1, 64, 300])
def test_a_well_behaved_program_answers_every_case_in_one_start(tmp_path: Path, count: int) -> None:
    model = echo(tmp_path)
    assert [report.text for report in ask(model, count)] == texts(count)
    assert model.starts == min(count, 1)


def test_answers_may_come_in_any_order_within_the_window(tmp_path: Path) -> None:
    """It answers in pairs, the later first, and gets the odd one out by the end of its input."""
    source = """
import json, sys
held = []
for line in sys.stdin:
    held.append(json.loads(line)["id"])
    if len(held) == 2:
        for name in reversed(held): print(json.dumps({"id": name, "report": "about " + name}))
        held = []
for name in held: print(json.dumps({"id": name, "report": "about " + name}))
"""
    assert [report.text for report in ask(command(tmp_path, source, window=8, timeout=60), 31)] == texts(31)


def test_no_more_cases_than_the_window_are_sent_ahead(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    model = echo(tmp_path, before=f"open({str(seen)!r}, 'a').write(case['id'] + ' ')", window=4)
    answers = model.generate(cases(50))
    next(answers)
    deadline = time.monotonic() + 60
    while len(seen.read_text().split()) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # for a fifth to come, if it should
    assert seen.read_text().split() == ["c0", "c1", "c2", "c3"]
    answers.close()


def test_a_program_that_wants_all_its_input_first_is_run_without_a_window(tmp_path: Path) -> None:
    source = """
import json, sys
names = [json.loads(line)["id"] for line in sys.stdin]
print("\\n".join(json.dumps({"id": name, "report": "about " + name}) for name in names))
"""
    assert [report.text for report in ask(command(tmp_path, source, window=0), 200)] == texts(200)


def test_huge_cases_and_huge_answers_do_not_block_each_other(tmp_path: Path) -> None:
    """64 cases of 100 kB are more than any pipe holds; the program floods stderr as well."""
    model = echo(tmp_path, before="sys.stderr.write('noise ' * 20000); case['id'] + ''", after="sys.stdout.write(' ' * 100000)", timeout=20)
    asked = [Case(case.id, case.patient, case.study, case.images, prior_report="x" * 100_000) for case in cases(100)]
    assert [report.text for report in model.generate(asked)] == texts(100)


def test_a_slow_caller_is_not_the_programs_fault(tmp_path: Path) -> None:
    model = echo(tmp_path, timeout=5, window=1)
    answers = model.generate(cases(3))
    next(answers)
    time.sleep(5.5)
    assert next(answers).text == "about c1"
    assert model.starts == 1
    answers.close()


def test_regions_details_and_failures_come_through(tmp_path: Path) -> None:
    source = """
import json, sys
answers = [{"report": "a", "regions": {"left lung": "Clear."}, "details": {"score": float("nan")}}, {"failure": "no image"}, {"report": ""}]
for line, answer in zip(sys.stdin, answers):
    print(json.dumps({"id": json.loads(line)["id"], **answer}))
"""
    first, second, third = ask(command(tmp_path, source), 3)
    assert first == Report("c0", "a", regions={"left lung": "Clear."}, details={"score": None})
    assert second == Report("c1", failure="no image")
    assert third == Report("c2", ""), "an empty report is an answer"


def test_the_program_sees_the_case_and_no_reference(tmp_path: Path) -> None:
    case = Case("c", "p", "s", (ImageFile(Path("x.png"), "AP", "i"),), "cough", "AP.", "None.", "Old.", Path("old.png"), {"left lung": (1, 2, 3, 4)})
    source = "import json, sys\nfor line in sys.stdin: print(json.dumps({'id': 'c', 'report': line}))"
    [report] = command(tmp_path, source).generate([case])
    seen = json.loads(report.text)
    assert seen == describe(case)
    assert seen["images"] == [{"path": str(Path("x.png").absolute()), "view": "AP", "id": "i"}]
    assert set(seen) == {"id", "patient", "study", "images", "indication", "technique", "comparison", "prior_report", "prior_image", "boxes"}


def test_words_are_split_as_in_a_shell_but_no_shell_runs(tmp_path: Path) -> None:
    program = tmp_path / "my model.py"
    program.write_text("import sys\nopen(sys.argv[1], 'w').write(repr(sys.argv[2:]))\n" + ECHO.format(before="pass", after="pass"))
    line = shlex.join([sys.executable, str(program), str(tmp_path / "argv")]) + " '$HOME; a b' | cat"
    assert ask(Command(line, log=tmp_path / "log"), 1)[0].text == "about c0"
    assert (tmp_path / "argv").read_text() == "['$HOME; a b', '|', 'cat']"


def test_a_case_that_kills_the_program_is_found_and_the_others_are_answered(tmp_path: Path) -> None:
    model = echo(tmp_path, before="case['id'] == 'c17' and sys.exit('out of memory')")
    reports = ask(model, 100)
    assert [report.case_id for report in reports if report.failure] == ["c17"]
    assert reports[17].failure == (
        "the program ended with exit code 1; its last words: out of memory; log: log; so it did when it was given this case alone"
    )
    assert [report.text for report in reports if not report.failure] == [text for text in texts(100) if text != "about c17"]
    assert model.starts == 3


def test_two_neighbours_that_kill_the_program_are_both_found(tmp_path: Path) -> None:
    model = echo(tmp_path, before="case['id'] in ('c17', 'c18') and os.kill(os.getpid(), 9)")
    reports = ask(model, 40)
    assert [report.case_id for report in reports if report.failure] == ["c17", "c18"]
    assert reports[17].failure.startswith("the program was ended by signal 9 (SIGKILL); log: log")


def test_a_program_that_dies_now_and_then_loses_no_case(tmp_path: Path) -> None:
    """Twenty answers and then out of memory: no case is to blame, each start makes progress."""
    model = echo(tmp_path, after="globals().__setitem__('n', globals().get('n', 0) + 1); n == 20 and sys.exit(3)", window=8)
    assert [report.text for report in ask(model, 90)] == texts(90)
    assert model.starts == 5


def test_a_program_that_answers_one_case_per_start_is_served(tmp_path: Path) -> None:
    model = echo(tmp_path, after="break", window=2)
    assert [report.text for report in ask(model, 6)] == texts(6)


def test_a_program_that_never_answers_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    model = command(tmp_path, "raise SystemExit('no weights in ./weights')")
    reports = ask(model, 80)
    assert model.starts == 3, "two restarts"
    assert reports[79].failure == (
        "the program ended with exit code 1; its last words: no weights in ./weights; log: log; given up after 2 restarts without an answer"
    )
    assert all(report.failure for report in reports)
    assert (tmp_path / "log").read_text() == "no weights in ./weights\n" * 3


def test_a_program_that_breaks_for_good_keeps_what_it_had_answered(tmp_path: Path) -> None:
    """As when the disk or the GPU goes: after some starts in vain the rest is given up, not tried case by case."""
    model = echo(
        tmp_path,
        before=f"int(case['id'][1:]) >= 10 and open({str(tmp_path / 'gone')!r}, 'w'); os.path.exists({str(tmp_path / 'gone')!r}) and sys.exit(1)",
    )
    reports = ask(model, 200)
    assert [report.text for report in reports[:10]] == texts(10)
    assert all(report.failure for report in reports[10:])
    assert model.starts <= 5


def test_without_a_window_all_that_is_owed_is_sent_again(tmp_path: Path) -> None:
    model = echo(
        tmp_path,
        before=f"case['id'] == 'c5' and not os.path.exists({str(tmp_path / 'x')!r}) and (open({str(tmp_path / 'x')!r}, 'w'), sys.exit(1))",
        window=0,
    )
    assert [report.text for report in ask(model, 20)] == texts(20)
    assert model.starts == 2


def test_a_case_at_which_it_hangs_fails_and_the_others_are_answered(tmp_path: Path) -> None:
    model = echo(tmp_path, before="case['id'] == 'c3' and time.sleep(600)", timeout=2, startup=6)  # startup is what this case has alone
    start = time.monotonic()
    reports = ask(model, 8)
    assert [report.case_id for report in reports if report.failure] == ["c3"]
    assert reports[3].failure.startswith("the program gave no answer for 6 s (does it flush its output after each line?); log: log")
    assert time.monotonic() - start < 300


def test_a_case_that_is_passed_over_in_silence_fails_and_the_others_are_answered(tmp_path: Path) -> None:
    model = echo(tmp_path, before="\n    if case['id'] == 'c3': continue", timeout=60, startup=120)
    assert [report.case_id for report in ask(model, 8) if report.failure] == ["c3"]


def test_a_program_that_ignores_the_polite_signal_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    source = f"""
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"])
open({str(pids)!r}, "a").write(f"{{os.getpid()}} {{child.pid}} ")
time.sleep(600)
"""
    [report] = ask(command(tmp_path, source, startup=6, restarts=0), 1)
    assert "gave no answer for 6 s" in report.failure
    pids_seen = [int(pid) for pid in pids.read_text().split()]
    deadline = time.monotonic() + 120  # the kernel ends an orphan in its own time; left alone the child would sleep on for ten minutes
    while any(map(is_running, pids_seen)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in pids_seen if is_running(pid)] == []


def test_a_program_that_talks_without_end_and_never_answers_is_ended_in_time(tmp_path: Path) -> None:
    model = command(tmp_path, "while True: print('loading')", startup=1.0, restarts=0)
    start = time.monotonic()
    assert "gave no answer for 1 s" in ask(model, 2)[0].failure
    assert time.monotonic() - start < 120


@pytest.mark.parametrize("closed", ["os.close(1)", "os.close(0); os.close(1); os.close(2)"], ids=["mute", "deaf and mute"])
def test_a_program_that_closed_its_output_but_lives_on_is_ended_and_started_again(tmp_path: Path, closed: str) -> None:
    model = echo(tmp_path, before=f"\n    if case['id'] == 'c3': {closed}; time.sleep(600)")
    reports = ask(model, 6)
    assert [report.case_id for report in reports if report.failure] == ["c3"]
    assert reports[3].failure.startswith("the program closed its output but runs on")


CHATTED = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_command import ask, echo, texts

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

model = echo(Path(sys.argv[2]), before="case['id'] == 'c1' and [print('x' * 10**5) for _ in range(500)] and print('y' * (5 * 10**7))")
before = peak()
assert [report.text for report in ask(model, 3)] == texts(3)
print(json.dumps([model.skipped_lines, peak() - before]))
"""


def test_a_hundred_megabytes_of_chatter_cost_time_alone(tmp_path: Path) -> None:
    """In lines, and in one: neither is held in memory. In a process of its own: a peak is of a whole life, and this one has had others."""
    root = Path(__file__).parents[2]
    where = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    words = [sys.executable, "-c", CHATTED, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(words, env=where, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    skipped, kibibytes = json.loads(done.stdout)
    assert skipped == 501
    assert kibibytes < 80 * 1024


def test_lines_that_are_no_answers_are_skipped_and_counted(tmp_path: Path) -> None:
    chatter = (
        "print('Loading weights: 100%'); print('{\"id\": '); print('[1]'); print(); sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.buffer.flush()"
    )
    model = echo(tmp_path, before=chatter)
    assert [report.text for report in ask(model, 3)] == texts(3)
    assert (model.skipped_lines, model.first_skipped_line) == (15, "Loading weights: 100%")


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ({}, "the program's answer has neither a report nor a failure"),
        ({"report": None}, "the program's report is null, not text"),
        ({"report": ["a"]}, "the program's report is a list, not text"),
        ({"report": 3}, "the program's report is a number, not text"),
        ({"report": "a\0b"}, "the program's report holds NUL characters"),
        ({"report": "\ud800"}, "the program's answer holds half a surrogate pair"),
        ({"report": "a", "regions": ["left lung"]}, "the program's regions are not an object of texts"),
        ({"report": "a", "regions": {"left lung": 1}}, "the program's regions are not an object of texts"),
        ({"report": "a", "details": "b"}, "the program's details are text, not an object"),
    ],
)
def test_an_answer_that_is_no_report_fails_its_case_alone(tmp_path: Path, answer: dict[str, Any], failure: str) -> None:
    source = f"""
import json, sys
for line in sys.stdin:
    name = json.loads(line)["id"]
    print(json.dumps({{"id": name, **({answer!r} if name == "c1" else {{"report": "about " + name}})}}))
"""
    model = command(tmp_path, source)
    reports = ask(model, 3)
    assert [report.failure for report in reports] == ["", failure, ""]
    assert model.starts == 1


def test_a_report_of_ten_megabytes_fails_its_case_alone(tmp_path: Path) -> None:
    source = ECHO.format(before="if case['id'] == 'c1': print(json.dumps({'id': 'c1', 'report': 'x' * 10**7})); continue", after="pass")
    reports = ask(command(tmp_path, source), 3)
    assert [report.failure for report in reports] == ["", "the program's report has 10,000,000 characters, more than 1,000,000", ""]


def test_a_line_longer_than_memory_should_hold_is_thrown_away(tmp_path: Path) -> None:
    model = echo(tmp_path, before="print('x' * 40_000_000)")
    assert [report.text for report in ask(model, 2)] == texts(2)
    assert model.first_skipped_line == "(a line of more than 16 MiB)"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (['{"id": "c99", "report": "a"}'], "answered case 'c99', which it was not asked; asked was 'c0', 'c1', 'c2'; ids are repeated as they came"),
        (['{"id": 0, "report": "a"}'], "answered case '0', which it was not asked"),
        (['{"report": "a"}'], "gave an answer without an id; each answer repeats the id of its case"),
        (['{"id": "c0", "report": "a"}', '{"id": "c0", "report": "b"}'], "answered case 'c0' twice, and not alike; one line for each case"),
    ],
    ids=["unknown id", "id of another type", "no id", "contradiction"],
)
def test_answers_that_nobody_asked_for_end_the_run(tmp_path: Path, answers: list[str], message: str) -> None:
    """A shifted pairing gives plausible numbers, the worst kind."""
    with pytest.raises(BrokenProtocol) as caught:
        list(command(tmp_path, f"import time\nfor line in {answers!r}: print(line)\ntime.sleep(9)").generate(cases(5)))
    assert message in str(caught.value)


def test_an_answer_too_many_after_the_last_is_noticed(tmp_path: Path) -> None:
    model = command(tmp_path, ECHO.format(before="pass", after="pass") + "\nprint(json.dumps({'id': 'extra', 'report': ''}))")
    answers = model.generate(cases(2))
    assert [next(answers).text, next(answers).text] == texts(2)
    with pytest.raises(BrokenProtocol, match="answered case 'extra', which it was not asked; asked was nothing more"):
        next(answers)


def test_the_same_answer_twice_is_skipped(tmp_path: Path) -> None:
    model = echo(tmp_path, after="print(json.dumps({'id': case['id'], 'report': 'about ' + case['id']}))")
    assert [report.text for report in ask(model, 5)] == texts(5)
    assert model.skipped_lines == 5


def test_half_an_answer_is_no_answer(tmp_path: Path) -> None:
    """Killed in the middle of a line: the case is asked again."""
    once = f"os.path.exists({str(tmp_path / 'x')!r}) or (open({str(tmp_path / 'x')!r}, 'w'), print('{{\"id\": \"c0\", \"rep', end=''), os._exit(1))"
    model = echo(tmp_path, before=once.replace("{{", "{").replace("}}", "}"))
    assert [report.text for report in ask(model, 3)] == texts(3)
    assert model.starts == 2


def test_ending_the_iteration_early_ends_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    once = f"import os\nwith open({str(pid)!r}, 'w') as file: file.write(str(os.getpid()))\n"
    answers = command(tmp_path, once + ECHO.format(before="pass", after="pass")).generate(cases(1000))
    next(answers)
    assert is_running(int(pid.read_text()))
    answers.close()
    assert not is_running(int(pid.read_text()))


ASKED = """
import sys, time
from adapters.command import Command
from benchmark.records import Case

command = Command(sys.argv[1] + " program.py")
for _ in command.generate([Case("c1", "p1", "s1", ())]):
    pass
"""
DEAF = """
import os, pathlib, signal, subprocess, time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"])
pathlib.Path("pids.new").write_text(f"{os.getpid()} {child.pid}")
pathlib.Path("pids.new").rename("pids")
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_never_reads_does_not_outlive_who_asks_it_and_nor_do_its_children(tmp_path: Path, number: signal.Signals) -> None:
    """It would keep its GPU for ever: who is killed closes nothing."""
    (tmp_path / "program.py").write_text(DEAF)
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "CLALA_BENCHMARK_CACHE": str(tmp_path)}
    asking = subprocess.Popen([sys.executable, "-c", ASKED, shlex.quote(sys.executable)], cwd=tmp_path, env=where)
    until((tmp_path / "pids").exists)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(map(is_running, pids))
    asking.send_signal(number)
    asking.wait()
    until(lambda: not any(map(is_running, pids)))


def test_nothing_of_a_program_that_was_ended_stays(tmp_path: Path) -> None:
    """Nor of what would have ended it."""
    before = psutil.Process().children()
    assert len(ask(echo(tmp_path), 3)) == 3
    ask(command(tmp_path, "raise SystemExit(3)", restarts=2), 3)
    with pytest.raises(ProgramNotFound):
        LineProgram([str(tmp_path / "log")], None)
    assert psutil.Process().children() == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no-such-program-anywhere --fast", "cannot start 'no-such-program-anywhere': it is not on PATH"),
        ("./no/such/file", "cannot start './no/such/file': no such file"),
        ("python 'unclosed", 'cannot split "python \'unclosed" into words (No closing quotation); check its quotes'),
        ("  ", "no program named; write command:'python my_model.py'"),
    ],
)
def test_a_command_that_cannot_be_started_is_refused_at_once(line: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        Command(line)
    assert message in str(caught.value)


def test_a_file_that_is_no_program_is_told_from_one_that_may_not_run(tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_text("print('no first line that names an interpreter')\n")
    with pytest.raises(ProgramNotFound, match="the file is there but is not executable; chmod \\+x it"):
        Command(str(file))
    file.chmod(0o755)
    with pytest.raises(ProgramNotFound, match="Exec format error; is it a program, with a first line that names its interpreter"):
        list(Command(str(file), log=tmp_path / "log").generate(cases(1)))


@pytest.mark.parametrize("settings", [{"timeout": 0.0}, {"startup": -1.0}, {"restarts": -1}, {"window": -1}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="timeout and startup are seconds above 0, restarts and window are 0 or more"):
        Command("python x.py", **settings)


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    model = Command(shlex.quote(sys.executable), log=tmp_path / "file" / "log")
    with pytest.raises(UserError, match=r"cannot write the log .*; name another with --set command.log=FILE"):
        list(model.generate(cases(1)))


def test_provenance_names_the_program_by_checksum_and_stays_the_same(tmp_path: Path) -> None:
    """It is part of what a resumed run is compared with."""
    model = echo(tmp_path)
    before = model.provenance()
    ask(model, 1)
    assert model.provenance() == before
    assert {"model.py", os.path.basename(sys.executable)} <= set(before["sha256"])  # noqa: PTH119
