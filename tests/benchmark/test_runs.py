"""The run folder keeps what it was given, and refuses what would mix two runs."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.records import Case, Reference, Report, UserError
from benchmark.runs import (
    CannotWrite,
    DamagedRun,
    FolderInUse,
    ModelFolder,
    NoRunFolder,
    OtherRun,
    RunFolder,
    check_apart,
    folder_name,
    opened,
    repair_last_line,
)

CASES = [Case("a", "p1", "s1", ()), Case("b", "p2", "s2", ())]
REFERENCES = [Reference("a", "Clear lungs."), Reference("b", "Épanchement à droite.")]


def begun(folder: Path, fingerprint: str = "f1", *, is_private: bool = False) -> None:
    with opened(folder) as run:
        run.begin({"fingerprint": fingerprint}, CASES, REFERENCES, is_private=is_private)


def test_reports_come_back_as_they_were_written(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path / "m")
    folder.begin({"model": "m"})
    reports = [Report("a", "Größe normal.\nZweite Zeile", regions={"left lung": "Clear."}), Report("b", failure="no image", details={"p": [0.5]})]
    with folder.appending() as writer:
        for report in reports:
            writer.write(report)
    assert folder.reports() == reports


def test_half_a_line_at_the_end_is_cut_off_and_the_rest_is_kept(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    with folder.appending() as writer:
        writer.write(Report("a", "first"))
    with folder.reports_file.open("a", encoding="utf-8") as file:
        file.write('{"case_id": "b", "te')
    assert [report.case_id for report in folder.reports()] == ["a"]
    with folder.appending() as writer:
        writer.write(Report("b", "second"))
    assert [report.text for report in folder.reports()] == ["first", "second"]


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b""), (b"abc", b""), (b"a\n", b"a\n"), (b"a\nbc", b"a\n"), (b"x" * 200_000 + b"\ny", b"x" * 200_000 + b"\n")]
)
def test_repairing_cuts_behind_the_last_whole_line(tmp_path: Path, before: bytes, after: bytes) -> None:
    file = tmp_path / "lines"
    file.write_bytes(before)
    assert repair_last_line(file) is (before != after)
    assert file.read_bytes() == after


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    folder.reports_file.write_text('{"case_id": "a", "text": "x"}\nnot json\n{"case_id": "b", "text": "y"}\n')
    with pytest.raises(DamagedRun, match=r"reports\.jsonl, line 2 is not a report"):
        folder.reports()


def test_two_runs_into_one_folder_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "run"), pytest.raises(FolderInUse, match=rf"being written by process {os.getpid()}.*--out"), opened(tmp_path / "run"):
        pass
    with opened(tmp_path / "run"):
        pass  # free again


def test_the_lock_of_a_killed_process_does_not_stay(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from benchmark.runs import opened
with opened(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    with pytest.raises(FolderInUse), opened(tmp_path / "run"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with opened(tmp_path / "run"):
        pass


def test_a_folder_of_other_data_is_refused_with_the_difference(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    begun(tmp_path / "run")  # the same again is a resumption
    with pytest.raises(OtherRun, match=r'fingerprint is "f1", now it would be "f2".*--out'):
        begun(tmp_path / "run", "f2")


def test_a_model_with_other_weights_is_not_resumed(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    folder.begin({"model": "m", "provenance": {"sha256": "1"}})
    with pytest.raises(OtherRun, match="provenance"):
        folder.begin({"model": "m", "provenance": {"sha256": "2"}})


def test_a_folder_without_the_seal_is_unfinished_and_the_seal_has_checksums_of_all(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as run:
        run.begin({}, CASES, REFERENCES, is_private=False)
        assert not run.is_sealed
        run.seal({"seconds": 1})
        assert run.is_sealed
    sealed = json.loads((tmp_path / "run" / "run.json").read_text())
    assert set(sealed["files"]) == {"cases.jsonl", "references.jsonl", "settings.json"}
    assert all(len(digest) == 64 for digest in sealed["files"].values())


def test_the_seal_stays_on_while_nothing_changes_and_comes_off_before_anything_does(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.begin({}, CASES, REFERENCES, is_private=False)
        run.model("m").begin({"model": "m"})
        run.model("m").rewrite([Report("a", "x")])
        run.seal({})
        run.begin({}, CASES, REFERENCES, is_private=False)
        run.model("m").rewrite([Report("a", "x")])
        with pytest.raises(OtherRun):
            run.model("m").begin({"model": "other"})
        assert run.is_sealed, "a refused or idle command must not cost a finished run its seal"
        with run.model("m").appending():
            assert not run.is_sealed


def test_a_folder_that_holds_other_things_is_not_taken_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(NoRunFolder, match=r"no run folder and not empty \(it holds thesis\.txt\)"), opened(tmp_path) as run:
        run.begin({}, CASES, REFERENCES, is_private=True)
    assert not (tmp_path / ".gitignore").exists()


def test_an_error_of_the_model_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="read timed out"), ModelFolder(tmp_path).appending():
        raise TimeoutError("read timed out")


def test_half_a_character_survives_as_its_escape(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    with folder.appending() as writer:
        writer.write(Report("a", failure="cannot read caf\udce9.png"))
    assert folder.reports() == [Report("a", failure="cannot read caf\udce9.png")]


def test_a_line_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    folder.reports_file.write_bytes(b'{"case_id": "a", "text": "x"}\n{"case_id": "b", "text": "\xe9"}\n')
    with pytest.raises(DamagedRun, match="line 2 is not a report"):
        folder.reports()


def test_text_of_credentialed_data_is_kept_from_commits(tmp_path: Path) -> None:
    begun(tmp_path / "open")
    begun(tmp_path / "closed", is_private=True)
    assert not (tmp_path / "open" / ".gitignore").exists()
    assert (tmp_path / "closed").stat().st_mode & 0o077 == 0, "nor may other users of the machine read it"
    assert (tmp_path / "closed" / ".gitignore").read_text() == "*\n"


def test_statistics_are_read_again_only_if_made_of_the_same(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    kept = np.array([[1.0, np.nan], [0.0, 2.0]])
    folder.write_statistics("rouge_l", kept, "made of this")
    np.testing.assert_array_equal(folder.read_statistics("rouge_l", "made of this"), kept)
    assert folder.read_statistics("rouge_l", "made of that") is None
    assert folder.read_statistics("bleu", "made of this") is None
    whole = (tmp_path / "rouge_l.npz").read_bytes()
    for damaged in (whole[:50], whole[:60] + b"\xff" * 40 + whole[100:], b""):
        (tmp_path / "rouge_l.npz").write_bytes(damaged)
        assert folder.read_statistics("rouge_l", "made of this") is None


def test_a_metric_with_a_path_in_its_name_stays_in_the_folder(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path)
    folder.write_statistics("green:../../models/green7b", np.ones((1, 1)), "made of this")
    assert folder.read_statistics("green:../../models/green7b", "made of this") is not None
    assert [file.parent for file in tmp_path.rglob("*.npz")] == [tmp_path]


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full to stand for a full disk")
    folder = ModelFolder(tmp_path)
    folder.reports_file.symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match="No space left on device; what was written before is kept"), folder.appending() as writer:
        writer.write(Report("a", "text"))


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="cannot write to"), opened(tmp_path / "file" / "run"):
        pass


@pytest.mark.parametrize(("label", "name"), [("clala", "clala"), ("my-model.v2", "my-model.v2")])
def test_a_plain_label_is_its_own_folder(label: str, name: str) -> None:
    assert folder_name(label) == name


def test_labels_that_look_alike_as_folders_stay_apart() -> None:
    odd = ("reports_file:a/b.csv", "reports_file:a-b.csv", "../../etc", "ü", ".", "..", "", "m\udcff", "a" * 500, "a" * 101, "a" * 100)
    names = [folder_name(label) for label in odd]
    assert len(set(names)) == len(names)
    assert not any("/" in name or len(name) > 100 for name in names)
    assert all(name[0].isalnum() for name in names), "nothing that a program takes for an option, or a shell for hidden"


def test_labels_that_differ_in_capitals_alone_are_refused_unless_their_folders_do_not() -> None:
    with pytest.raises(UserError, match=r"two models called 'GPT' and 'gpt': they differ in capitals alone.*another label, first="):
        check_apart(["clala", "GPT", "gpt"])
    check_apart(["GPT", "gpt2", "reports_file:a.csv", "reports_file:A.csv"])


@pytest.mark.parametrize(
    ("label", "name"), [("ours.csv", "ours.csv"), ("baseline_2.md", "baseline_2.md"), ("..", "-5ec1f7e7"), ("b" * 120, "b" * 120)]
)
def test_a_model_s_reports_of_before_its_folder_was_called_otherwise_are_found(tmp_path: Path, label: str, name: str) -> None:
    """``5ec1f7e7`` are the first signs of what ``printf .. | sha256sum`` says."""
    before = ModelFolder(tmp_path / name)
    before.begin({"model": "m"})
    before.rewrite([Report("a", "Clear lungs.")])
    run = RunFolder(tmp_path)
    assert run.model(label).reports() == [Report("a", "Clear lungs.")]
    assert run.others([label]) == []
    assert run.others([]) == [name]
    now = ModelFolder(tmp_path / folder_name(label))
    assert now.path != before.path
    now.begin({"model": "m"})
    assert run.model(label).path == now.path, "one that is called as it would be now comes first"


def test_copies_of_images_are_vouched_for_and_are_no_wait_of_which_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(tmp_path) as run:
        run.begin({}, CASES, REFERENCES, is_private=False)
        run.seal({})
        run.seal_page([])
        assert "seal images" not in capsys.readouterr().err
        (tmp_path / "page/images").mkdir(parents=True)
        names = ["index.html", "page/images/0-0.jpg", "page/images/1-0.jpg"]
        for name in names:
            (tmp_path / name).write_text(name)
        run.seal_page(names)
    assert "seal images: 2/2 images" in capsys.readouterr().err
    files = json.loads((tmp_path / "run.json").read_text())["files"]
    assert {name: files[name] for name in names} == {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    assert list(files) == sorted(files)


def test_who_only_reads_changes_nothing_and_takes_half_a_line_for_none(tmp_path: Path) -> None:
    """The folder may be a read-only archive, and the half line one that another process is writing: cut off, its other half would be alone."""
    folder = ModelFolder(tmp_path)
    with folder.appending() as writer:
        writer.write(Report("a", "first"))
        writer.file.write('{"case_id": "b", "te')
        writer.file.flush()
        assert [report.case_id for report in folder.reports()] == ["a"]
        writer.file.write('xt": "second"}\n')
    assert [report.text for report in folder.reports()] == ["first", "second"]


def reads(run: RunFolder) -> None:
    """What a command reads of a folder that it goes on with."""
    run.begin({"dataset": "a"}, [], [], is_private=False)
    run.model("m").begin({"weights": 1})
    run.model("m").reports()


@pytest.mark.parametrize("name", ["settings.json", "m/model.json", "m/reports.jsonl"])
@pytest.mark.parametrize(("put", "what"), [(os.mkfifo, "no file"), (os.mkdir, "a folder")], ids=["pipe", "folder"])
def test_what_is_no_file_where_one_is_to_be_is_named(tmp_path: Path, name: str, put: Callable[[Path], None], what: str) -> None:
    """A pipe would be waited for for ever."""
    with opened(tmp_path / "run") as run:
        reads(run)
        (run.path / name).unlink(missing_ok=True)
        put(run.path / name)
        with pytest.raises(DamagedRun, match=f"{name} is {what}, where a file of the run is to be: move it away, then run again"):
            reads(run)
