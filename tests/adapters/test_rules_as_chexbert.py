"""Rules in CheXbert's classes: what a report is left with, by hand."""

from __future__ import annotations

import pytest

from adapters.chexbert.observations import MAPPINGS
from benchmark.labelling.choose import labeller_named
from benchmark.records import Case, Lesion, Reference
from benchmark.signatures import parse
from benchmark.tables.material import LABELLERS
from benchmark.vocabulary import LESIONS


def label(report: str) -> dict[str, Lesion]:
    return {lesion.name: lesion for lesion in labeller_named("rules_as_chexbert").label([report])[0]}


@pytest.mark.parametrize(
    ("report", "positive"),
    [
        ("There is a nodule in the left upper lobe.", {"nodule", "mass"}),
        ("There is a mass in the right lung.", {"nodule", "mass"}),
        ("There is left apical pleural thickening.", {"pleural thickening"}),
        ("There is an infiltrate in the right lower lobe.", {"infiltration"}),
        ("There is severe emphysema with pulmonary fibrosis. There is a large hiatal hernia.", set()),
        (
            "There is a small left pleural effusion. Bibasilar atelectasis. The heart is enlarged.",
            {"pleural effusion", "atelectasis", "cardiomegaly"},
        ),
        ("Possible pneumonia in the left lower lobe.", {"pneumonia"}),
        ("No pneumothorax. No nodule.", set()),
        ("No mass. There is a nodule in the left lung.", {"nodule", "mass"}),
        ("", set()),
    ],
)
def test_lesions_that_share_a_class_come_together_and_those_without_one_never(report: str, positive: set[str]) -> None:
    found = label(report)
    assert tuple(found) == LESIONS
    assert {name for name, lesion in found.items() if lesion.status == "positive"} == positive
    assert {lesion.side for lesion in found.values()} == {"not mentioned"}


def test_how_certain_and_by_which_words_stays() -> None:
    """A stated nodule beats a possible mass, of one class; the words are those of the report."""
    found = label("Possible mass in the right lung. There is a nodule in the left lung.")
    assert found["mass"].certainty == found["nodule"].certainty == "stated"
    assert found["mass"].rationale == found["nodule"].rationale == label("There is a nodule in the left lung.")["nodule"].rationale
    assert label("Possible pneumonia.")["pneumonia"].certainty == "hedged"
    assert label("No pneumothorax.")["pneumothorax"].certainty == "stated"
    assert label("There is emphysema.")["emphysema"].certainty == "not mentioned"


def test_what_chexbert_knows_by_the_same_name_is_what_the_rules_say() -> None:
    report = "Small right pneumothorax. Bilateral pleural effusions, left greater than right. No consolidation. Possible edema."
    rules = {lesion.name: lesion for lesion in labeller_named("rules").label([report])[0]}
    assert rules["pneumothorax"].side == "right"
    for name in MAPPINGS["exact7"]:
        assert (label(report)[name].status, label(report)[name].certainty) == (rules[name].status, rules[name].certainty)


def test_nobody_takes_it_for_chexbert() -> None:
    signature = parse(labeller_named("rules_as_chexbert").signature())
    assert signature["name"] == "rules_as_chexbert"
    assert signature["stands_in_for"] == "chexbert"
    assert signature["read_by"] == "rules"
    assert signature["read_by.hedges"] == "d15"
    assert signature["always_negative"] == "emphysema+hernia+fibrosis"
    assert LABELLERS["rules_as_chexbert"].endswith("not by CheXbert")


def test_training_takes_it_as_labels_without_sides() -> None:
    """Without a side a lesion is carried by every region that it can be in; the variant is trained with llcl_by_region=false."""
    from adapters.clala import index_lines
    from benchmark.records import ImageFile

    boxes = {"left lung": (0.0, 0.0, 40.0, 80.0), "right lung": (40.0, 0.0, 80.0, 80.0)}
    case, reference = Case("c", "p", "s", (ImageFile("c.png", "AP"),)), Reference("c", "There is a mass in the left lung.", {}, boxes, None)
    line = index_lines([case], [reference], "train", "rules_as_chexbert")[0]
    assert line.lesions == {"nodule": "not mentioned", "mass": "not mentioned"}
    assert {name: set(lesions) for name, lesions in line.roi_lesions.items()} == {"left lung": {"nodule", "mass"}, "right lung": {"nodule", "mass"}}
