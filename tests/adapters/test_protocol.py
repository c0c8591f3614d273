"""The cards of the guests that come with the project: what each learnt from, and what of the measured data that gives away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.command import Command
from adapters.constant import Constant
from adapters.protocol import IN_MIMIC_TRAIN, learnt_by_command, learnt_from
from adapters.reports_file import ReportsFile
from adapters.retrieval import Retrieval
from benchmark.records import Case, ImageFile, ProtocolCard, Reference

DEMO = Path(__file__).resolve().parents[2] / "clala" / "weights" / "demo"


class Training:
    def cases(self, split: str) -> list[Case]:
        return [Case("c1", "p1", "s1", (ImageFile(Path("a.png")),))]

    def references(self, split: str) -> list[Reference]:
        return [Reference("c1", "Clear lungs.")]


def test_a_model_trained_on_phantoms_leaks_in_the_splits_that_it_was_trained_with_alone() -> None:
    card = ProtocolCard(leaks=learnt_from("phantom:train=400").leaks)
    assert card.leak("phantom", "test") == ""
    assert card.leak("phantom", "train") == "it was trained with the train split itself"
    assert card.leak("phantom", "validate") == "it was trained with the validate split itself"
    assert learnt_from("phantom:train=400").training == "phantom (train=400), train split (validate split to choose by)"


def test_mimics_official_split_gives_chest_imagenomes_test_images_away() -> None:
    """47,393 test images, of which no more than MIMIC-CXR's 2,991 + 5,159 validate and test images can lie outside of its training split."""
    card = ProtocolCard(leaks=learnt_from("mimic_cxr:/somewhere").leaks)
    assert card.leak("chest_imagenome", "test") == IN_MIMIC_TRAIN
    assert f"{47_393 - 2_991 - 5_159:,}" in IN_MIMIC_TRAIN
    assert card.leak("mimic_cxr", "test") == ""
    assert card.leak("iu_xray", "test") == ""


def test_the_place_of_a_dataset_is_on_no_card() -> None:
    assert "/somewhere" not in learnt_from("mimic_cxr:/somewhere").training


@pytest.mark.parametrize(
    ("command", "training"),
    [
        ("python -m benchmark train clala --preset demo --dataset phantom --out w", "phantom"),
        ("python -m benchmark train clala -d chest_imagenome:/data", "chest_imagenome"),
        ("python -m benchmark train clala --dataset=iu_xray:/data", "iu_xray"),
        ("python -m benchmark train clala -dmimic_cxr:/x", "mimic_cxr"),
        ("python -m benchmark train clala", "phantom"),
        ("./own_script.py --dataset phantom", ""),
        ("train 'unclosed", ""),
        ("", ""),
    ],
)
def test_what_weights_learnt_from_is_read_from_the_command_that_made_them(command: str, training: str) -> None:
    learnt = learnt_by_command({"command": command})
    assert learnt.training.partition(",")[0] == training
    assert (learnt.leaks is None) == (training == ""), "not known is not clean"


def test_a_split_of_our_own_is_marked_where_that_dataset_is_measured() -> None:
    """Which rule the measured split goes by, a card cannot know: a mark too many is read, a leak without one is not."""
    command = "python -m benchmark train clala --dataset chest_imagenome:/data --set chest_imagenome.split_rule="
    for rule, is_marked in (("stratified", True), ("official", False)):
        card = ProtocolCard(leaks=learnt_by_command({"command": command + rule}).leaks)
        assert bool(card.leak("chest_imagenome", "test")) == is_marked


def here(dataset: str, **digests: str) -> ProtocolCard:
    """The card of weights that were trained here on a dataset."""
    data = {"data": {"dataset": dataset.partition(":")[0], "fingerprint": digests}} if digests else {}
    return ProtocolCard(leaks=learnt_by_command({"command": f"python -m benchmark train rgrg --dataset {dataset}", **data}).leaks)


@pytest.mark.parametrize(
    ("learnt", "measured"),
    [
        ("manifest:a.csv", "manifest:b.csv"),
        ("manifest:a.csv", "phantom"),
        ("phantom", "manifest:b.csv"),
        ("mimic_cxr:/data", "manifest:b.csv"),
        ("iu_xray:/data", "manifest:b.csv"),
        ("phantom", "chest_imagenome:/tree"),
        ("phantom", "mimic_cxr:/tree"),
        ("chest_imagenome:/tree", "phantom"),
        ("mimic_cxr:/tree", "phantom"),
        ("phantom", "elsewhere"),
        ("elsewhere", "phantom"),
    ],
)
def test_where_nobody_knows_whether_it_was_learnt_from_nothing_is_not_said(learnt: str, measured: str) -> None:
    assert here(learnt).leak(measured, "test") is None


def test_data_of_the_same_digest_are_the_same_data_by_whichever_name() -> None:
    for learnt in ("phantom", "manifest:a.csv", "iu_xray:/data"):
        for measured in ("chest_imagenome:/tree", "manifest:/b.csv", "phantom:seed=7"):
            assert here(learnt, train="abc", validate="def").leak(measured, "train", "abc") == "it was trained with the train split itself"


def test_phantoms_of_another_seed_are_not_those_that_were_learnt_from() -> None:
    card = here("phantom:seed=7")
    assert card.leak("phantom:seed=7", "train")
    assert card.leak("phantom", "train") is None
    assert card.leak("phantom", "test") == ""
    assert here("phantom").leak("phantom", "train")


def test_what_was_learnt_from_is_taken_from_the_data_on_record_and_not_from_the_words_of_a_command() -> None:
    about = {"command": "./my_script.py", "data": {"dataset": "mimic_cxr"}}
    assert learnt_by_command(about).training.startswith("mimic_cxr,")
    assert ProtocolCard(leaks=learnt_by_command(about).leaks).leak("chest_imagenome", "test") == IN_MIMIC_TRAIN


def test_the_demo_of_clala_learnt_from_phantoms() -> None:
    learnt = learnt_by_command(json.loads((DEMO / "about.json").read_text()))
    assert learnt.training.startswith("phantom, train split")


def test_the_floors_have_seen_nothing_of_what_they_are_measured_on(tmp_path: Path) -> None:
    constant, retrieval = Constant().card(), Retrieval(Training(), neighbours=3, cache=tmp_path).card()
    assert constant.leaks == retrieval.leaks == {}
    assert constant.inputs == ()
    assert retrieval.training == "looks up 1 cases of the training split"
    assert "one of the 3 nearest" in retrieval.decoding


def test_of_a_file_and_of_a_program_nothing_is_known_and_the_card_says_so(tmp_path: Path) -> None:
    file = tmp_path / "reports.csv"
    file.write_text("id,report\nc1,Clear.\n")
    for card in (ReportsFile(str(file)).card(), Command("python").card()):
        assert card.leak("phantom", "test") is None
        assert (card.target, card.inputs, card.training, card.licence) == ("unknown", None, "", "")
        assert "nobody said" in card.remarks[0]
