"""Files of a run folder and of the cache that were damaged afterwards: made again, or named with what to do. Never a number made of half a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from folders import contents
from forked import Commands
from hospital import CASES, RUN, moved_into

WORDS = (*RUN, "--models", "constant,steady")
NO_REPORTS = {
    "half": b'{"case_id": "c7", "te\n',
    "blank": b"\n",
    "zeros": bytes(40) + b"\n",
    "null": b"null\n",
    "list": b'["c7"]\n',
    "no id": b'{"text": "of nobody"}\n',
    "number": b'{"case_id": "c7", "text": 7}\n',
    "regions": b'{"case_id": "c7", "regions": []}\n',
    "other field": b'{"case_id": "c7", "txt": ""}\n',
    "latin-1": b'{"case_id": "c7", "text": "caf\xe9"}\n',
    "deep": b"[" * 99_999 + b"\n",
}


@pytest.fixture(scope="module")
def finished(hospital: Path, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a run in it that came to its end."""
    folder = moved_into(hospital, tmp_path_factory.mktemp("finished"))
    assert commands.run(*WORDS, folder=folder).status == 0
    return folder


@pytest.fixture
def copy(finished: Path, place: Path) -> Path:
    """A copy of it to do something to."""
    shutil.copytree(finished / "out", place / "out")
    return place


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "out/steady/reports.jsonl").read_bytes().splitlines(keepends=True)


def test_half_a_line_at_the_end_is_cut_off_and_its_case_is_written_anew(copy: Path, finished: Path, commands: Commands) -> None:
    lines = lines_of(copy)
    (copy / "out/steady/reports.jsonl").write_bytes(b"".join(lines[:9]) + lines[9][:20])
    assert commands.run(*WORDS, folder=copy).status == 0
    assert contents(copy / "out") == contents(finished / "out")


def test_lines_that_are_there_twice_are_counted_once(copy: Path, finished: Path, commands: Commands) -> None:
    lines = lines_of(copy)
    (copy / "out/steady/reports.jsonl").write_bytes(b"".join([*lines, *lines[3:6]]))
    assert commands.run(*WORDS, folder=copy).status == 0
    assert contents(copy / "out") == contents(finished / "out")


@pytest.mark.parametrize("line", NO_REPORTS.values(), ids=NO_REPORTS)
def test_a_line_in_the_middle_that_is_no_report_is_named_with_what_to_do(copy: Path, finished: Path, commands: Commands, line: bytes) -> None:
    lines = lines_of(copy)
    (copy / "out/steady/reports.jsonl").write_bytes(b"".join([*lines[:7], line, *lines[8:]]))
    refused = commands.run(*RUN, "--models", "steady", folder=copy)
    assert refused.status == 2, refused.stderr
    assert "steady/reports.jsonl, line 8 is not a report" in refused.stderr
    assert "delete that line and run again: its case is written anew" in refused.stderr
    # As it says:
    (copy / "out/steady/reports.jsonl").write_bytes(b"".join([*lines[:7], *lines[8:]]))
    assert commands.run(*WORDS, folder=copy).status == 0
    assert contents(copy / "out") == contents(finished / "out")


def test_a_damaged_line_of_one_model_leaves_the_others_their_numbers(copy: Path, commands: Commands) -> None:
    (copy / "out/steady/reports.jsonl").write_bytes(b"".join(lines_of(copy)[:7]) + b"{}\n")
    assert commands.run(*WORDS, folder=copy).status == 1
    record = json.loads((copy / "out/run.json").read_text())
    assert "line 8 is not a report" in record["models"]["steady"]["failed"]
    assert record["models"]["constant"]["reports"] == CASES


@pytest.mark.parametrize("keep", [0, 100], ids=["empty", "truncated"])
def test_every_other_file_of_a_run_is_made_again_or_named(copy: Path, finished: Path, commands: Commands, keep: int) -> None:
    """All at once but for the three that say which run this is; those one by one."""
    named = ("settings.json", "constant/model.json", "steady/model.json")
    for file in (copy / "out").rglob("*"):
        if file.is_file() and str(file.relative_to(copy / "out")) not in (*named, "steady/reports.jsonl", "constant/reports.jsonl"):
            file.write_bytes(file.read_bytes()[:keep])
    assert commands.run(*WORDS, folder=copy).status == 0
    assert contents(copy / "out") == contents(finished / "out")
    for name in named:
        file = copy / "out" / name
        whole = file.read_bytes()
        file.write_bytes(whole[: min(keep, len(whole) // 2)])
        refused = commands.run(*RUN, "--models", Path(name).parent.name or "steady", folder=copy)
        assert refused.status == 2, refused.stderr
        assert f"cannot read out/{name}" in refused.stderr
        assert "the folder is damaged: choose another with --out, or delete it" in refused.stderr
        file.write_bytes(whole)
