"""`load_run`: what a run measured, as frames and pictures, and the refusal of a run that is not what was sealed."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchmark
from benchmark.evaluator import score_reports
from benchmark.gate.sealed import EditedRun
from benchmark.loaded_run import LoadedRun
from benchmark.records import RunConfig, UserError
from benchmark.registry import UnknownName
from benchmark.tables.finished import NoFinishedRun
from benchmark.vocabulary import LESIONS

REFERENCES = {
    "1": "There is a small left pleural effusion.",
    "2": "The lungs are clear. No pneumothorax.",
    "3": "Right pneumothorax. Mild cardiomegaly.",
    "4": "Mild cardiomegaly.",
}
GOOD = {"1": "Small left pleural effusion.", "2": "The lungs are clear.", "3": "Right pneumothorax.", "4": "Mild cardiomegaly."}
POOR = {"1": "The lungs are clear.", "2": "Large right pneumothorax.", "3": "The lungs are clear.", "4": ""}
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models over four cases of three patients; the first failed at one, the second has an unkind name."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = RunConfig((), ("lesions", "rouge_l"), "", draws=20, context="")
    predictions = {"good": {case: text for case, text in GOOD.items() if case != "4"}, SCRIPT: POOR}
    patients = {"1": "a", "2": "b", "3": "c", "4": "c"}
    score_reports(REFERENCES, predictions, config, folder, patients=patients, failures={"good": {"4": "out of memory"}})
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> LoadedRun:
    return benchmark.load_run(folder)


def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_every_line_of_the_runs_file_is_in_one_frame_with_its_interval(run: LoadedRun, folder: Path) -> None:
    """Read with the standard library: not by what is tested."""
    with (folder / "rows.csv").open(newline="") as lines:
        written = list(csv.DictReader(lines))
    assert len(run.numbers) + len(run.differences) == len(written)
    for frame, model in ((run.numbers, "good"), (run.differences, f"good - {SCRIPT}")):
        line = next(line for line in written if line["model"] == model and line["value_name"] == "f1")
        found = frame[(frame["metric"] == "rouge_l") & (frame["name"] == "f1")].iloc[0]
        assert (found["value"], found["low"], found["high"]) == tuple(float(line[name]) for name in ("value", "low", "high"))
        assert (found["scored"], found["unscored"], found["better"]) == (3, 1, "higher")
    assert list(run.numbers["model"].unique()) == ["good", SCRIPT]


def test_p_values_after_holm_are_those_that_the_table_prints(run: LoadedRun, folder: Path) -> None:
    with (folder / "differences.csv").open(newline="") as lines:
        printed = {(line["metric"], line["value_name"]): line["p_holm"] for line in csv.DictReader(lines)}
    frame = run.differences
    assert list(zip(frame["first"], frame["second"], strict=True)) == [("good", SCRIPT)] * len(frame)
    for line in frame.itertuples():
        said = printed[line.metric, line.name]
        assert np.isnan(line.p_holm) if said == "" else line.p_holm == pytest.approx(float(said))
    assert frame["p_holm"].notna().any()


def test_lesions_are_counted_as_by_hand(run: LoadedRun) -> None:
    """The first found the effusion and the pneumothorax and failed where cardiomegaly stood alone; it left out that of the third case."""
    frame = run.lesions.set_index(["model", "lesion"])
    assert len(frame) == 2 * len(LESIONS)
    assert frame.loc[("good", "pleural effusion"), "f1"] == 1.0
    assert frame.loc[("good", "cardiomegaly"), "recall"] == 0.0
    assert frame.loc[(SCRIPT, "pneumothorax"), "precision"] == 0.0
    assert np.isnan(frame.loc[("good", "hernia"), "f1"])
    assert frame.loc[(SCRIPT, "cardiomegaly"), "support"] == 2


def test_reports_cases_and_references_are_those_that_were_given(run: LoadedRun) -> None:
    reports = run.reports.set_index(["model", "case"])
    assert reports.loc[("good", "4"), "failure"] == "out of memory"
    assert reports.loc[(SCRIPT, "4"), "failure"] == ""
    assert {case: reports.loc[(SCRIPT, case), "text"] for case in POOR} == POOR
    assert dict(zip(run.references["case"], run.references["text"], strict=True)) == REFERENCES
    assert list(run.cases["patient"]) == ["a", "b", "c", "c"]
    assert run.config.draws == 20
    assert set(run.signatures) == {"lesions", "rouge_l"}


def test_the_numbers_of_a_case_average_to_the_number_of_the_run(run: LoadedRun) -> None:
    frame = run.per_case()
    assert len(frame) == 8
    means = frame.groupby("model")["rouge_l.f1"].mean()
    assert means["good"] == pytest.approx(run.numbers.query("model == 'good' and metric == 'rouge_l' and name == 'f1'")["value"].item())
    assert np.isnan(frame.query("model == 'good' and case == '4'")["rouge_l.f1"].item())
    assert frame[(frame["model"] == SCRIPT) & (frame["case"] == "4")]["rouge_l.f1"].item() == 0.0
    assert frame.attrs["measured_again"] == []


def test_statistics_that_are_gone_are_measured_again_to_the_same_numbers_and_nothing_is_written(run: LoadedRun, folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path)
    for file in copy.rglob("*.npz"):
        file.unlink()
    before = sorted(copy.rglob("*"))
    again = benchmark.load_run(copy).per_case()
    assert again.attrs["measured_again"] == ["lesions", "rouge_l"]
    assert again.equals(run.per_case())
    assert sorted(copy.rglob("*")) == before


def test_a_number_that_there_is_not_is_refused_with_those_that_there_are(run: LoadedRun) -> None:
    with pytest.raises(UserError, match=r"no number 'bleu.bleu_4' to look at; .* one of: lesions, rouge_l"):
        run.per_case("bleu.bleu_4")
    with pytest.raises(UnknownName, match=r"no number 'rouge' in .*; its headlines: lesions, rouge_l"):
        run.plot_forest("rouge")
    with pytest.raises(UnknownName, match="no model 'best' came to the end"):
        run.plot_differences(against="best")


def test_texts_of_strangers_stay_text_in_a_notebook(run: LoadedRun) -> None:
    shown = run._repr_html_()
    assert SCRIPT not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert "4 cases of 3 patients" in shown
    assert "4 cases of 3 patients" in repr(run)


@pytest.mark.parametrize("name", ["rows.csv", "good/reports.jsonl", "references.jsonl"])
def test_an_edited_run_is_refused_by_the_name_of_the_file(folder: Path, tmp_path: Path, name: str) -> None:
    copy = copied(folder, tmp_path)
    text = (copy / name).read_text()
    (copy / name).write_text(text.replace("effusion", "oedema") if "effusion" in text and not name.endswith("csv") else text + "\n")
    with pytest.raises(EditedRun, match=f"{name} was edited since it was sealed"):
        benchmark.load_run(copy)


def test_an_unfinished_run_and_one_of_a_newer_version_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path)
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(NoFinishedRun, match=r"newer version \(format 99"):
        benchmark.load_run(copy)
    (copy / "run.json").write_text(json.dumps({name: value for name, value in record.items() if name != "files"}))
    with pytest.raises(NoFinishedRun, match="no checksums of cases and reports"):
        benchmark.load_run(copy)
    (copy / "run.json").unlink()
    with pytest.raises(NoFinishedRun, match=r"has no run\.json yet"):
        benchmark.load_run(copy)


def test_pictures_are_drawn_the_same_twice_and_show_themselves(run: LoadedRun) -> None:
    for draw in (run.plot_forest, run.plot_lesions, run.plot_differences, lambda: run.plot_per_case("rouge_l.f1", "lesions.micro_f1")):
        first, second = (draw()._repr_png_() for _ in range(2))
        assert first.startswith(b"\x89PNG")
        assert first == second


def test_a_cell_of_the_heat_map_is_as_dark_as_its_number_and_empty_where_there_is_none(run: LoadedRun) -> None:
    from matplotlib.patches import Rectangle

    from benchmark.figures.lesion_heat import colour_of

    figure = run.plot_lesions()
    cells = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert len(cells) == 2 * len(LESIONS)
    values = run.lesions.pivot(index="lesion", columns="model", values="f1").reindex(index=list(LESIONS), columns=run.models).to_numpy().ravel()
    for cell, value in zip(cells, values, strict=True):
        assert cell.get_fill() is not np.isnan(value) or cell.get_facecolor()[3] == 0
        if not np.isnan(value):
            assert cell.get_facecolor()[:3] == pytest.approx(colour_of(value))
    assert sum(colour_of(0.2)) > sum(colour_of(0.8))


def words_of(figure: Any) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def test_every_pair_against_a_model_is_another_minus_it(run: LoadedRun) -> None:
    """The run has good minus the other; against good it is turned round: sign, ends of the interval and all."""
    kept = run.differences[run.differences["metric"] == "rouge_l"].set_index("name").loc["f1"]
    for against, sign in ((SCRIPT, 1), ("good", -1)):
        figure = run.plot_differences("rouge_l", against=against)
        lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
        assert lines["measured"].get_xdata()[0] == pytest.approx(sign * kept["value"])
        assert sorted(lines["interval"].get_xdata()) == pytest.approx(sorted((sign * kept["low"], sign * kept["high"])))
        first = SCRIPT if against == "good" else "good"
        assert "".join(f"{first} - {against}".split()) in "".join(words_of(figure).split())
        assert ("← worse" in words_of(figure)) is ("better →" in words_of(figure)) is True


def test_beside_hallucination_stand_the_references_that_lack_the_lesion(run: LoadedRun) -> None:
    """Of four references one affirms an effusion, and three of the good model's cases were scored; of the other's four."""
    figure = run.plot_lesions("hallucination")
    assert "Cases: references that lack the lesion." in words_of(figure)
    at = {text.get_text(): text.get_position()[1] for text in figure.texts}
    beside = [
        text.get_text() for text in figure.texts if text.get_color() == "#595959" and abs(text.get_position()[1] - at["Pleural effusion"]) < 0.01
    ]
    assert beside[0] == "3"
    assert "Cases: references that affirm the lesion." in words_of(run.plot_lesions("omission"))


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.0, 0.04, 0.28], (0.0, 0.3)),
        ([0.011, 0.034], (0.01, 0.04)),
        ([0.0, 0.0], (0.0, 0.01)),
        ([1.0], (0.99, 1.0)),
        ([0.1, 0.9], (0.1, 0.9)),
        ([], (0, 1)),
    ],
)
def test_colours_span_the_numbers_with_round_ends(values: list[float], scale: tuple[float, float]) -> None:
    from benchmark.figures.lesion_heat import scale_of

    assert scale_of([[*values, float("nan")]]) == pytest.approx(scale)


def test_cases_in_one_place_are_moved_apart_alike_at_every_drawing_and_those_without_a_number_are_counted(run: LoadedRun) -> None:
    """Of the other model ROUGE-L is 0 in two cases whose lesions are all wrong too; good has no report for one case, and one is without lesions."""
    first, second = (run.plot_per_case("rouge_l.f1", "lesions.micro_f1") for _ in range(2))
    for model, drawn in (("good", 2), (SCRIPT, 4)):
        dots = [next(line for axes in one.axes for line in axes.get_lines() if line.get_label() == model) for one in (first, second)]
        assert len(dots[0].get_xdata()) == drawn
        assert (dots[0].get_xdata() == dots[1].get_xdata()).all()
        assert len(set(zip(*dots[0].get_data(), strict=True))) == drawn
    said = words_of(first)
    assert "Not drawn of good: 2 of 4 cases, 1 without a report, 1 where Lesion micro F1" in said
    assert "F1 of lesions is not defined where neither text has one." in said
    assert "dots are moved at random" in said


@pytest.mark.parametrize("dpi", [72, 90, 110, 150])
def test_no_text_is_cut_off_at_a_border_at_any_size_of_picture(run: LoadedRun, dpi: int) -> None:
    import io

    import matplotlib
    from PIL import Image

    with matplotlib.rc_context({"text.hinting": "force_autohint"}):
        for figure in (run.plot_forest(), run.plot_differences(), run.plot_lesions(), run.plot_per_case("rouge_l.f1", "lesions.micro_f1")):
            drawn = io.BytesIO()
            figure.savefig(drawn, format="png", dpi=dpi)
            dark = np.asarray(Image.open(drawn).convert("L")) < 200
            assert dark.any()
            assert not dark[:, [0, 1, -2, -1]].any()
            assert not dark[[0, 1, -2, -1]].any()


def test_the_note_of_phantoms_goes_with_every_frame(tmp_path: Path) -> None:
    """Numbers on drawings say nothing about patients, and a notebook is where that is forgotten first."""
    from typer.testing import CliRunner

    from benchmark.cli import app

    words = [
        "run",
        "--models",
        "constant",
        "--dataset",
        "phantom:train=8,validate=4,test=8",
        "--metrics",
        "rouge_l",
        "--draws",
        "10",
        "--out",
        str(tmp_path / "run"),
    ]
    assert CliRunner().invoke(app, words).exit_code == 0
    run = benchmark.load_run(tmp_path / "run")
    assert "say nothing about patients" in run.numbers.attrs["note"]
    assert "say nothing about patients" in repr(run)
    assert run.lesions.empty
    assert run.differences.empty
    with pytest.raises(UserError, match="measured without lesions"):
        run.plot_lesions()
    with pytest.raises(UserError, match="no pair of models"):
        run.plot_differences()
