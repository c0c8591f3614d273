"""What LCA is told in place of what the classifier sees: at generation if the run grants it, and in training; made wrong to a chosen F1 if asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_clala import BOXES, TINY

pytest.importorskip("torch")

from adapters.clala import CLALA, index_lines, train
from adapters.clala_told import names_of, rows_of, told_lesions
from benchmark import evaluator
from benchmark.labelling.label_file import write_labels
from benchmark.records import Case, ImageFile, Lesion, Lesions, Reference, Report, RunConfig, UserError
from benchmark.shows import show_trained
from benchmark.training import Trained
from benchmark.vocabulary import LESIONS
from clala.data import read_index

NUMBERS = {"train": range(8), "validate": range(8, 12), "test": range(12, 20)}


def stating(*names: str) -> Lesions:
    return tuple(Lesion(name, "positive", "left") if name in names else Lesion(name, "negative", certainty="not mentioned") for name in LESIONS)


class FakeDataset:
    """Twenty images, of as many patients; every second one has a left effusion."""

    name, is_credentialed, note = "fake", False, ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for number in range(20):
            Image.fromarray(np.random.default_rng(number).integers(0, 255, (90, 80)).astype(np.uint8)).save(folder / f"{number}.png")

    def cases(self, split: str) -> list[Case]:
        return [Case(f"c{n}", f"p{n}", f"s{n}", (ImageFile(self.folder / f"{n}.png", "AP"),)) for n in NUMBERS[split]]

    def references(self, split: str) -> list[Reference]:
        texts = ["The lungs are clear.", "There is a left pleural effusion."]
        known = [stating(), stating("pleural effusion")]
        return [Reference(f"c{n}", texts[n % 2], dict.fromkeys(BOXES, texts[n % 2]), BOXES, known[n % 2]) for n in NUMBERS[split]]


class Grant:
    """Hands out what the references say, and keeps what it was asked."""

    def __init__(self, dataset: FakeDataset) -> None:
        self.dataset, self.asked, self.said = dataset, list[str](), list[str]()

    def lesions(self, source: str) -> dict[str, Lesions]:
        self.asked.append(source)
        return {reference.case_id: reference.lesions or () for reference in self.dataset.references("test")}

    def made_of_them(self, said: str) -> None:
        self.said.append(said)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FakeDataset:
    return FakeDataset(tmp_path_factory.mktemp("images"))


def fit(dataset: FakeDataset, out: Path, **settings: Any) -> Path:
    named = {"labels": "truth", "epochs": 1, "epochs_stage2": 1, "batch": 4, "workers": 1, "device": "cpu", "settings": TINY, **settings}
    return train(dataset, out=out, **named)


@pytest.fixture(scope="module")
def weights(dataset: FakeDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(dataset, tmp_path_factory.mktemp("weights"))


def told(reports: Sequence[Report]) -> list[list[str]]:
    return [report.details["told"] for report in reports]


def test_lca_is_told_the_labels_that_are_granted_and_each_case_keeps_what_it_was_told(weights: Path, dataset: FakeDataset) -> None:
    grant = Grant(dataset)
    model = CLALA(str(weights), device="cpu", lesions="truth", granted=grant, batch_size=3)
    reports = list(model.generate(dataset.cases("test")))
    assert told(reports) == [[], ["pleural effusion"]] * 4
    assert "lesions" not in reports[0].details, "no probabilities: the classifier was not asked"
    assert (grant.asked, grant.said) == (["truth"], [])
    assert model.provenance()["lesions"] == "truth"


def test_what_lca_is_told_changes_what_is_decoded(weights: Path, dataset: FakeDataset) -> None:
    import torch

    case = dataset.cases("test")[:1]
    model = CLALA(str(weights), device="cpu", lesions="truth", granted=Grant(dataset))
    with torch.inference_mode():
        memories = []
        for row in (np.zeros(14, np.float32), np.ones(14, np.float32)):
            model.told = {case[0].id: row}
            hints = torch.from_numpy(row[None])
            crops = torch.full((1, 1, 32, 32), 0.5)
            memories.append(model.bundle.model.memory(model.bundle.model.encoder(crops), hints, thresholds=torch.full((14,), 0.5)))
            assert told(list(model.generate(case))) == [list(names_of(row))]
    assert not torch.equal(*memories)


def test_labels_are_made_wrong_over_all_cases_and_the_reached_f1_is_on_record(weights: Path, dataset: FakeDataset) -> None:
    grant = Grant(dataset)
    model = CLALA(str(weights), device="cpu", lesions="rules", label_f1=0.5, granted=grant, seed=3)
    reports = list(model.generate(dataset.cases("test")))
    # by hand: four positives, two of them kept, and two of the four others switched on
    truth = {f"c{number}" for number in NUMBERS["test"] if number % 2}
    said = {report.case_id for report in reports if report.details["told"] == ["pleural effusion"]}
    assert (len(said & truth), len(said - truth)) == (2, 2)
    about = model.provenance()
    assert (about["lesions"], about["label_f1"], about["label_seed"]) == ("rules", 0.5, 3)
    assert about["label_f1_reached"] == {"macro_f1": 0.5, "f1": {"pleural effusion": 0.5}}
    assert grant.said == ["corrupted to F1 0.50 (reached: 0.50, mean of 1 lesions, 8 cases)"]


def test_a_run_that_goes_on_tells_each_case_the_same(weights: Path, dataset: FakeDataset) -> None:
    cases = dataset.cases("test")
    whole, rest = (CLALA(str(weights), device="cpu", lesions="truth", label_f1=0.5, granted=Grant(dataset)) for _ in range(2))
    assert told(list(whole.generate(cases)))[5:] == told(list(rest.generate(cases[5:])))


def test_a_case_that_no_label_was_granted_for_has_failed(weights: Path, dataset: FakeDataset) -> None:
    model = CLALA(str(weights), device="cpu", lesions="truth", granted=Grant(dataset))
    (report,) = model.generate(dataset.cases("train")[:1])
    assert report.failure == "no labels were granted for this case"


def test_by_default_lca_is_told_what_the_classifier_sees(weights: Path, dataset: FakeDataset) -> None:
    model = CLALA(str(weights), device="cpu", granted=Grant(dataset), threshold=0.0)
    (report,) = model.generate(dataset.cases("test")[:1])
    assert report.details["told"] == list(LESIONS)
    assert list(report.details["lesions"]) == list(LESIONS)
    assert model.provenance()["lesions"] == "predicted"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_f1": 0.7}, "label_f1=0.7 makes labels wrong that are handed in, but lesions=predicted takes the classifier's; name labels too"),
        ({"lesions": "truth", "label_f1": 70}, "label_f1 is 70; it must be a share between 0 and 1: 0.70"),
        ({"lesions": "truth", "granted": None}, "lesions=truth needs what the references say; give granted"),
        ({"aggregator": "gpt"}, "aggregator is 'gpt'; it must be rules or language_model, or in Python a function that asks one"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(weights: Path, dataset: FakeDataset, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        CLALA(str(weights), device="cpu", **{"granted": Grant(dataset), **settings})


def test_weights_without_lca_cannot_be_told_anything(dataset: FakeDataset, tmp_path: Path) -> None:
    bare = fit(dataset, tmp_path, lca=False, epochs_stage2=0)
    with pytest.raises(UserError, match="lesions=truth, but these weights have no lesion cross-attention that could be told"):
        CLALA(str(bare), device="cpu", lesions="truth", granted=Grant(dataset))


def test_a_run_from_the_command_line_s_settings_tells_it_under_its_tables(weights: Path, dataset: FakeDataset, tmp_path: Path) -> None:
    rows = [f"{n}.png,c{n},{dataset.references('test')[k].report},p{n}" for k, n in enumerate(NUMBERS["test"])]
    (dataset.folder / "cases.csv").write_text("image,id,report,patient\n" + "\n".join(rows) + "\n")
    options = {"clala.lesions": "rules", "low.label_f1": "0.25", "high.label_f1": "0.75", "clala.weights": str(weights)}
    models = ("low=clala", "high=clala")
    config = RunConfig(models, ("rouge_l",), f"manifest:{dataset.folder / 'cases.csv'}", options=options, draws=20, device="cpu", grant=("lesions",))
    outcome = evaluator.run(config, tmp_path / "run")
    assert not outcome.failed
    for name, f1 in (("low", "0.25"), ("high", "0.75")):
        said = f"{name} was told lesions of the references: rules, corrupted to F1 {f1} (reached: {f1}, mean of 1 lesions, 8 cases)."
        assert said in (tmp_path / "run" / "summary.md").read_text()
    hits = {name: {r.case_id for r in outcome.reports[name] if r.details["told"] and int(r.case_id[1:]) % 2} for name in ("low", "high")}
    assert hits["low"] < hits["high"], "the levels are nested"


def test_rows_and_names_are_two_ways_of_writing_the_same() -> None:
    rows = rows_of([stating("mass", "edema"), stating()])
    assert rows.shape == (2, 14)
    assert [names_of(row) for row in rows] == [("mass", "edema"), ()]
    assert rows_of([]).shape == (0, 14)
    untouched = told_lesions(rows, None, seed=1)
    assert np.array_equal(untouched.rows, rows)
    assert untouched.f1 == {"mass": 1.0, "edema": 1.0}


def test_in_training_lca_alone_is_told_wrong_labels_and_the_weights_say_so(dataset: FakeDataset, tmp_path: Path) -> None:
    out = fit(dataset, tmp_path, label_f1=0.5)
    lines = read_index(out / "work" / "index.jsonl")
    plain = [line for split in ("train", "validate") for line in index_lines(dataset.cases(split), dataset.references(split), split, "truth")]
    assert [(line.lesions, line.roi_lesions, line.sentences) for line in lines] == [(one.lesions, one.roi_lesions, one.sentences) for one in plain]
    told_of = {split: [line for line in lines if line.split == split and line.told] for split in ("train", "validate")}
    assert [len(told_of[split]) for split in ("train", "validate")] == [4, 2], "the prevalence stays, in each split"
    assert [sum(bool(line.lesions) for line in told_of[split]) for split in ("train", "validate")] == [2, 1], "half of them are right"
    labels = json.loads((out / "about.json").read_text())["labels"]
    assert (labels["source"], labels["label_f1"]) == ("truth", 0.5)
    assert labels["reached_train"] == labels["reached_validate"] == {"macro_f1": 0.5, "f1": {"pleural effusion": 0.5}}
    assert CLALA(str(out), device="cpu").provenance()["labels_in_training"] == labels


def test_without_a_corruption_the_weights_name_the_source_alone(weights: Path) -> None:
    assert json.loads((weights / "about.json").read_text())["labels"] == {"source": "truth", "signature": "truth|of the dataset"}
    assert '"told"' not in (weights / "work" / "index.jsonl").read_text()


def test_training_takes_labels_from_a_file(dataset: FakeDataset, tmp_path: Path) -> None:
    ids = [case.id for split in ("train", "validate") for case in dataset.cases(split)]
    write_labels(tmp_path / "made.jsonl", [(name, stating("hernia")) for name in ids])
    (line, *_) = index_lines(dataset.cases("train"), dataset.references("train"), "train", f"file:{tmp_path / 'made.jsonl'}")
    assert line.lesions == {"hernia": "left"}
    write_labels(tmp_path / "made.jsonl", [(name, stating()) for name in ids[3:]])
    with pytest.raises(UserError, match=r"made\.jsonl has no labels for 3 of 8 cases, the first 'c0'; name another source"):
        fit(dataset, tmp_path / "out", labels=f"file:{tmp_path / 'made.jsonl'}")


def test_what_learns_from_boxes_alone_needs_no_labels(dataset: FakeDataset) -> None:
    silent = [Reference(reference.case_id, "", boxes=BOXES) for reference in dataset.references("train")]
    lines = index_lines(dataset.cases("train"), silent, "train", None)
    assert [line.lesions for line in lines] == [{}] * 8


def test_a_detector_that_is_trained_apart_is_asked_for_before_anything_is_read(dataset: FakeDataset, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="the preset 'demo' has the detector yolov10, which is trained apart: `train detector`, then --detector FOLDER"
    ):
        fit(dataset, tmp_path, settings=f"{TINY};detector=yolov10")


def test_another_training_in_the_same_folder_is_refused_in_one_line(dataset: FakeDataset, tmp_path: Path) -> None:
    """And leaves the index of the first as it is, which that one needs to go on."""
    fit(dataset, tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "work").iterdir() if path.is_file()}
    with pytest.raises(UserError, match=r"train clala: .*holds the states of a training with other settings or another index"):
        fit(dataset, tmp_path, label_f1=0.5)
    assert {path.name: path.read_bytes() for path in (tmp_path / "work").iterdir() if path.is_file()} == before


def test_what_is_prepared_is_what_a_training_reads_and_no_part_need_be_there(dataset: FakeDataset, tmp_path: Path) -> None:
    index = fit(dataset, tmp_path, prepare=True, settings=f"{TINY};detector=yolov10")
    assert index == tmp_path / "work" / "index.jsonl"
    assert not (tmp_path / "about.json").exists()
    crops = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("crops.npy")}
    assert crops
    written = index.read_bytes()
    assert fit(dataset, tmp_path) == tmp_path
    assert index.read_bytes() == written
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("crops.npy")} == crops


def test_what_was_prepared_is_not_said_to_be_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "index.jsonl").touch()
    show_trained(Trained(tmp_path / "index.jsonl", {}, 3.4))
    assert capsys.readouterr().out == f"prepared in 3 s; what is to be learnt from stands in {tmp_path / 'index.jsonl'}\n"
