"""A model learns from no case that it is measured on, by whichever name, table or link the case comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pluggy
import pytest
from PIL import Image

from benchmark import evaluator, hookspecs, registry
from benchmark.datasets.chest_imagenome import ChestImaGenome
from benchmark.datasets.manifest import Manifest
from benchmark.datasets.phantom.write import generate
from benchmark.datasets.plugin import register_datasets
from benchmark.hookspecs import hookimpl
from benchmark.inputs import HeldBack, learning_side
from benchmark.metrics.plugin import register_metrics
from benchmark.overlap import shared_places
from benchmark.records import Case, ImageFile, Report, RunConfig, TrainingData, UserError

CONFIG = RunConfig(("learns",), ("rouge_l",), "manifest", draws=20)
HEAD = "id,image,report,patient,split\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        Image.fromarray(np.full((20, 30), 90 + number, np.uint8)).save(tmp_path / f"{number}.png")
    return tmp_path


def table(folder: Path, name: str, rows: str) -> Path:
    (folder / name).write_text(HEAD + rows)
    return folder / name


def learnt(held: HeldBack, split: str = "train") -> list[str]:
    """Ids that may be learnt from, the references being of the same cases."""
    ids = [case.id for case in held.cases(split)]
    assert [reference.case_id for reference in held.references(split)] == ids
    return ids


def case(case_id: str, image: str = "", *, patient: str = "", image_id: str = "") -> Case:
    return Case(case_id, patient or case_id, case_id, (ImageFile(Path(image or f"{case_id}.png"), "", image_id),))


def test_the_same_tree_under_another_name_lends_no_measured_case(tmp_path: Path) -> None:
    """The reader of MIMIC-CXR takes the images that have no scene graph too: the fingerprints differ, the measured cases do not."""
    generate(tmp_path, train=4, validate=2, test=2, seed=5, fast=True, size_px=64)
    measured = ChestImaGenome(root=tmp_path, is_credentialed=False, note="")
    side = learning_side(measured, replace(CONFIG, split="train"), f"mimic_cxr:{tmp_path}")
    assert not {case.patient for case in side.cases("train")} & {case.patient for case in measured.cases("train")}
    assert learnt(side, "validate"), "those of other patients stay"


def test_data_that_are_measured_whole_are_refused_with_the_way_on(folder: Path) -> None:
    whole = table(folder, "a.csv", "0,0.png,Clear.,p0,train\n")
    part = table(folder, "b.csv", "0,0.png,Clear.,p0,test\n")
    with pytest.raises(
        UserError, match=r"'train' of manifest; all of its 1 cases share a patient, an id or an image .* name other data .*--training"
    ):
        learning_side(Manifest(part), CONFIG, f"manifest:{whole}").cases("train")


def test_rows_that_are_measured_are_taken_out_of_the_longer_table(folder: Path) -> None:
    whole = table(folder, "a.csv", "".join(f"{n},{n}.png,Clear.,p{n},train\n" for n in range(6)))
    part = table(folder, "b.csv", "0,0.png,Clear.,p0,test\n3,3.png,Clear.,p3,test\n")
    side = learning_side(Manifest(part), CONFIG, f"manifest:{whole}")
    assert learnt(side) == ["1", "2", "4", "5"]
    assert side.fingerprint("train") != Manifest(whole).fingerprint("train"), "weights keep it: other cases, other digest"
    (note,) = side.notes()
    assert "2 of 6 cases" in note
    assert "split train of manifest" in note


def test_a_patient_who_is_measured_is_taken_out_with_all_of_his_cases(folder: Path) -> None:
    whole = table(folder, "a.csv", "x,0.png,Clear.,ann,train\ny,1.png,Clear.,ann,train\nz,2.png,Clear.,bob,train\n")
    part = table(folder, "b.csv", "q,5.png,Clear.,ann,test\n")
    assert learnt(learning_side(Manifest(part), CONFIG, f"manifest:{whole}")) == ["z"]


def test_an_image_is_known_under_another_name_and_behind_a_link(folder: Path) -> None:
    (folder / "links").mkdir()
    (folder / "links" / "other.png").symlink_to(folder / "0.png")
    (folder / "tree").symlink_to(folder)
    cases = [case("a", str(folder / "links" / "other.png")), case("b", str(folder / "tree" / "1.png")), case("c", str(folder / "2.png"))]
    assert shared_places(cases, [case("m", str(folder / "0.png")), case("n", str(folder / "1.png"))]) == {0, 1}


def test_a_copy_of_an_image_is_known_by_its_id() -> None:
    assert shared_places([case("a", "there/1.jpg", image_id="dicom-1")], [case("m", "here/1.jpg", image_id="dicom-1")]) == {0}


def test_an_id_that_many_images_go_by_tells_nothing() -> None:
    """CheXpert calls an image of nearly every study view1_frontal: all of it would be taken out for one measured case."""
    many = [case(name, f"{name}/view1_frontal.jpg", image_id="view1_frontal") for name in "abc"]
    assert shared_places(many, [case("m", "m/view1_frontal.jpg", image_id="view1_frontal")]) == frozenset()


def test_nothing_is_compared_before_a_model_learns(folder: Path) -> None:
    def measured() -> Sequence[Case]:
        raise AssertionError("asked for what is measured")

    held = HeldBack(Manifest(table(folder, "a.csv", "0,0.png,Clear.,p0,train\n")), measured_cases=measured)
    assert held.notes() == []
    with pytest.raises(AssertionError):
        held.cases("train")


class Learns:
    """Writes down what it learnt from."""

    def __init__(self, training: TrainingData) -> None:
        self.ids = [case.id for case in training.cases("train")]

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        for case in cases:
            yield Report(case.id, " ".join(self.ids))


class Plugin:
    @hookimpl
    def register_models(self, register: hookspecs.Register) -> None:
        register("learns", Learns)

    @hookimpl
    def register_datasets(self, register: hookspecs.Register) -> None:
        register_datasets(register)

    @hookimpl
    def register_metrics(self, register: hookspecs.Register) -> None:
        register_metrics(register)


def test_what_was_taken_out_stands_under_the_tables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Plugin(), name="fakes")
    known = registry.collect(manager)
    monkeypatch.setattr(registry, "load", lambda: known)
    whole = table(folder, "a.csv", "".join(f"{n},{n}.png,Clear.,p{n},train\n" for n in range(6)))
    part = table(folder, "b.csv", "0,0.png,Clear.,p0,test\n")
    outcome = evaluator.run(replace(CONFIG, dataset=f"manifest:{part}"), folder / "run", training=f"manifest:{whole}")
    assert [report.text for report in outcome.reports["learns"]] == ["1 2 3 4 5"]
    assert "1 of 6 cases, which share a patient, an id or an image" in (folder / "run" / "summary.md").read_text()
    assert "1 of 6 cases" in (folder / "run" / "run.json").read_text()
