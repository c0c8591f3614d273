"""What `reproduce` makes of what is asked, in process and without training: refusals beforehand, what is published, what is lost with a seed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.experiments.publish import check_publish, publish
from benchmark.experiments.reproduce import Outline, Request, command_of, is_on_gpu, outline, published_reason, said_of_lost
from benchmark.experiments.unplaced import unplaced, unplaced_command, unplaced_record
from benchmark.records import UserError
from benchmark.shows_paper import show_outline


@pytest.fixture
def request_for(tmp_path: Path) -> Request:
    return Request(("table3",), "phantom:small", tmp_path / "out", 2, profile="tiny")


def test_the_outline_is_there_in_a_moment_and_touches_nothing(request_for: Request, tmp_path: Path) -> None:
    outline(request_for)  # what is imported is imported now
    began = time.process_time()
    found = outline(request_for)
    assert time.process_time() - began < 1.5
    assert isinstance(found, Outline)
    assert len(found.plan.steps) == 2 + 2 * 4 * 3  # detector and classifier once; two stages and reports of four arms, with two seeds
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"experiments": ("table9",)}, "no experiment named 'table9'"),
        ({"seeds": 0}, "at least one training"),
        ({"dataset": "nowhere:x"}, "no dataset named 'nowhere'"),
        ({"dataset": "phantom:huge"}, "phantom:huge has 'huge'"),
        ({"labeller": "nobody"}, "known: "),
        ({"labeller": "truth"}, "no labeller named 'truth'"),
        ({"judge": "me"}, "no judge named 'me'"),
        ({"device": "abacus"}, "no device 'abacus'"),
        ({"metrics": ("lesions", "beauty")}, "no metric named 'beauty'"),
        ({"metrics": ("better=lesions",)}, "a metric keeps its own name"),
        ({"models": ("constant", "oracle")}, "no model named 'oracle'"),
        ({"models": ("a=constant:x",), "experiments": ("table1",)}, "takes nothing behind a colon"),
        ({"options": {"main.colour": "red"}}, "has no setting 'colour'"),
        ({"options": {"main.beams": "many"}}, "'many' is not a whole number"),
        ({"options": {"mian.beams": "3"}}, "did you mean main"),
        ({"options": {"told_020.beams": "3"}}, "is for nothing in this run"),  # an arm of Figure 3, which was not asked for
        ({"options": {"phantom.colour": "red"}}, "has no setting 'colour'"),
        ({"limit": 5, "sample": 5}, "both say how many cases"),
        ({"judge": "language_model"}, "none is named; give --llm"),
        ({"profile": "paper", "labeller": "rules_as_chexbert", "experiments": ("table4",), "options": {"llm.colour": "x"}}, "colour"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(request_for: Request, tmp_path: Path, asked: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        outline(replace(request_for, **asked))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_two_models_of_one_kind_may_stand_beside_each_other(request_for: Request) -> None:
    found = outline(replace(request_for, experiments=("table1",), models=("a=constant", "b=constant")))
    assert {"a", "b", "main"} == set(found.plan.runs)


def test_a_device_without_gpu_has_a_step_on_each_core(request_for: Request, tmp_path: Path) -> None:
    dev = tmp_path / "dev"
    dev.mkdir()
    assert not is_on_gpu("auto", dev, "0")
    (dev / "nvidiactl").touch()
    assert not is_on_gpu("auto", dev, "0")
    (dev / "nvidia3").touch()
    assert is_on_gpu("auto", dev, "0")
    assert not is_on_gpu("auto", dev, "-1")
    assert not is_on_gpu("auto", dev, "")
    assert not is_on_gpu("cpu", dev, "0")
    assert is_on_gpu("cuda:1", dev, "1")
    (dev / "nvidia3").rename(dev / "dxg")
    assert is_on_gpu("auto", dev, "0")
    assert (outline(replace(request_for, device="cuda")).jobs, outline(replace(request_for, device="cpu", jobs=3)).jobs) == (1, 3)


def test_no_place_of_the_machine_is_published() -> None:
    words = (
        "generate",
        "--models",
        "base=clala:/home/me/out/weights/a",
        "--dataset",
        "chest_imagenome:/data/physionet",
        "--out",
        "/home/me/out/reports/b",
    )
    command = unplaced_command(
        (*words, "--set", "llm.api_base=http://10.0.0.7:8000/v1", "--set", "llm.model=openai/gpt-4o-mini"), Path("/home/me/out")
    )
    assert command == (
        "python -m benchmark generate --models base=clala:OUT/weights/a --dataset chest_imagenome:PLACE --out OUT/reports/b "
        "--set llm.api_base=PLACE --set llm.model=openai/gpt-4o-mini"
    )
    assert unplaced("out2/weights", Path("out")) == "out2/weights", "another folder that begins alike"
    assert unplaced("--out", Path("out")) == "--out"
    assert unplaced("mine=command:'/opt/mine/bin/write --fast'") == "mine=command:PLACE"
    assert unplaced("file:/data/labels.jsonl") == "file:PLACE"
    assert unplaced("a=1;start=~/weights;b=2") == "a=1;start=PLACE;b=2"
    assert unplaced("phantom:train=40,test=20") == "phantom:train=40,test=20"
    assert unplaced_record({"models": ("constant", "x=reports_file:/data/r.csv"), "n": 3}) == {"models": ["constant", "x=reports_file:PLACE"], "n": 3}


def test_the_command_of_the_page_is_the_one_that_was_typed(tmp_path: Path) -> None:
    assert command_of(Request(("table3",))) == "python -m benchmark reproduce table3 --dataset phantom --seeds 3"
    plain = Request(("table1", "s1"), "chest_imagenome:/data/x", tmp_path, 2, "tiny", ("a=clala:/w",), 4, "cuda:0", metrics=("lesions",), limit=7)
    assert command_of(replace(plain, options={"a.beams": "3"}, draws=50, level=0.9, definitions=tmp_path / "own.toml", publish=tmp_path)) == (
        "python -m benchmark reproduce table1 s1 --dataset chest_imagenome:PLACE --seeds 2 --profile tiny --models a=clala:PLACE --device cuda:0 "
        "--draws 50 --level 0.9 --limit 7 --metrics lesions --set a.beams=3 --definitions PLACE"
    )


def test_of_a_step_that_failed_its_status_is_published_and_not_its_log() -> None:
    assert published_reason("ended with status 2: no file /data/secret.csv (the rest in steps/x.log)") == "ended with status 2"
    assert published_reason("was killed (SIGKILL, often for want of memory): /data/x") == "was killed (SIGKILL)"
    assert published_reason("not begun: stage1-main-42 failed") == "not begun: stage1-main-42 failed"
    assert published_reason("every case failed, all 40 of them, the first: the patient in /data/x") == "every case failed"
    assert published_reason("/data/secret.csv") == "failed"


def test_the_plan_says_what_takes_how_long_and_calls_a_guess_a_guess(request_for: Request, capsys: pytest.CaptureFixture[str]) -> None:
    asked = outline(replace(request_for, profile="paper", jobs=1, device="cpu", seeds=1, experiments=("table2c",), models=("constant",)))
    show_outline(replace(asked, definitions=replace(asked.definitions, profile=replace(asked.definitions.profile, name="mine"))))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0].strip() for line in lines[1:7]] == [
        "1 region detector",
        "2 lesion classifiers",
        "2 trainings of stage 1",
        "2 trainings of stage 2",
        "2 sets of reports",
        "measuring and drawing",
    ]
    parts = [step.minutes for step in asked.plan.steps]
    assert asked.minutes == pytest.approx(sum(parts) + asked.plan.measure_minutes)  # one at a time
    assert lines[7].strip().startswith("1 step at a time: about 15 days left, in ")  # 21,030 minutes
    assert all("of one core" in line for line in lines[1:6])
    show_outline(replace(asked, on_gpu=True))
    guessed = capsys.readouterr().out
    assert "of a GPU" in guessed
    assert "left (a guess: nobody has timed this profile), in" in guessed


def test_what_is_lost_with_a_seed_is_said() -> None:
    wanted = {"base": (42, 43, 44), "main": (42, 43, 44), "lca_only": (42, 43, 44)}
    titles = {"base": "Neither", "main": "CLALA-Net", "lca_only": "LCA only"}
    assert said_of_lost(wanted, wanted, [], titles) == ""
    left = {"base": (44, 42), "main": (42, 43, 44), "lca_only": (43,)}
    assert said_of_lost(left, wanted, [("base", "lca_only")], titles) == (
        "Since steps failed, there are fewer trainings than asked of Neither: seeds 42, 44 of 3; LCA only: seed 43 of 3. "
        "A difference is of the seeds that both have. Neither and LCA only have no seed in common and are not compared."
    )


def published(folder: Path, experiments: list[str], dataset: str = "phantom") -> Path:
    folder.mkdir()
    (folder / "old.md").write_text("a table")
    (folder / "run.json").write_text(json.dumps({"files": {"old.md": "0"}, "experiments": experiments, "dataset": dataset}))
    return folder


def test_a_set_takes_the_place_of_one_that_it_covers_and_of_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    earlier = published(tmp_path / "earlier", ["table1", "table3"])
    check_publish(earlier, out, "phantom", ["table3", "table1", "s1"])
    check_publish(tmp_path / "new", out, "phantom", ["table3"])
    with pytest.raises(UserError, match="name table1 too, or another folder"):
        check_publish(earlier, out, "phantom", ["table3"])
    with pytest.raises(UserError, match="made on phantom, and this one is on chest_imagenome"):
        check_publish(earlier, out, "chest_imagenome", ["table1", "table3"])
    with pytest.raises(UserError, match="lies in the folder of everything"):
        check_publish(out / "tables", out, "phantom", ["table3"])
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/one.txt").write_text("dear to somebody")
    with pytest.raises(UserError, match="holds no earlier set"):
        check_publish(tmp_path / "thesis", out, "phantom", ["table3"])
    with pytest.raises(UserError, match="there is a file of that name"):
        check_publish(tmp_path / "thesis/one.txt", out, "phantom", ["table3"])

    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/new.md").write_text("a table")
    (earlier / "theirs.txt").write_text("put there by somebody")
    publish(tmp_path / "tables", earlier)
    assert sorted(file.name for file in earlier.iterdir()) == ["new.md", "theirs.txt"]


def test_a_record_that_names_files_elsewhere_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "dear.txt").write_text("dear to somebody")
    earlier = published(tmp_path / "earlier", ["table3"])
    (earlier / "run.json").write_text(json.dumps({"files": {"../dear.txt": "0"}, "experiments": ["table3"], "dataset": "phantom"}))
    with pytest.raises(UserError, match="holds no earlier set"):
        publish(tmp_path, earlier)
    assert (tmp_path / "dear.txt").exists()


def test_publishing_is_refused_before_anything_is_trained(request_for: Request, tmp_path: Path) -> None:
    earlier = published(tmp_path / "earlier", ["table1", "table3"])
    with pytest.raises(UserError, match="name table1 too"):
        outline(replace(request_for, publish=earlier))
