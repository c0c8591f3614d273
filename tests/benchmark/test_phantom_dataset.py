"""The registered dataset ``phantom``: it draws itself on first use and comes in through the reader of the real data."""

import pytest

from benchmark.datasets.phantom import Phantom
from benchmark.records import UserError
from benchmark.vocabulary import LESIONS, PAPER_REGIONS


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Phantom("train=12,validate=3,test=5", boxes="truth")


def test_it_has_exactly_the_cases_that_were_asked_for(phantom):
    assert [len(phantom.cases(split)) for split in ("train", "validate", "test")] == [12, 3, 5]


def test_references_carry_the_truth_in_the_order_of_the_cases(phantom):
    cases, references, truth = phantom.cases("train"), phantom.references("train"), phantom.truth("train")
    for case, reference, row in zip(cases, references, truth, strict=True):
        assert case.id == reference.case_id == case.images[0].id == row["dicom_id"]
        assert case.patient == str(row["subject_id"])
        assert tuple(lesion.name for lesion in reference.lesions) == LESIONS
        assert [lesion.status for lesion in reference.lesions] == [x["status"] for x in row["lesions"]]
        for lesion in reference.lesions:
            assert all(part.strip(". ") in reference.report for part in lesion.rationale.split(". "))
        assert set(reference.boxes) & set(PAPER_REGIONS)
        assert case.boxes
        assert case.images[0].path.is_file()


def test_the_reader_meets_every_kind_of_fault_and_steps_over_it(phantom):
    phantom.cases("train")
    kinds = {problem.kind for problem in phantom.problems()}
    assert {"missing scene graph", "no findings", "image to avoid", "no valid box"} <= kinds


def test_the_fingerprint_is_the_same_for_the_same_numbers_and_another_for_others(phantom):
    assert phantom.fingerprint("test") == Phantom("train=12,validate=3,test=5", boxes="truth").fingerprint("test")
    assert phantom.fingerprint("test") != Phantom("train=12,validate=3,test=6").fingerprint("test")


def test_it_says_what_its_scores_are_worth():
    assert not Phantom.is_credentialed
    assert "nothing about patients" in Phantom.note


@pytest.mark.parametrize(
    ("argument", "numbers"),
    [
        ("", (1200, 150, 300, 2026)),
        ("small", (160, 20, 40, 2026)),
        ("train=400,test=100", (400, 150, 100, 2026)),
        (" train = 400 , test=100, seed=7,", (400, 150, 100, 7)),
        ("validate=0", (1200, 0, 300, 2026)),
    ],
)
def test_the_argument_changes_the_numbers_that_it_names(argument, numbers):
    assert tuple(Phantom(argument).numbers.values()) == numbers


@pytest.mark.parametrize("argument", ["big", "train", "train=many", "images=3", "small,test=3", "train=-1", "train=\N{SUPERSCRIPT TWO}"])
def test_an_argument_that_it_does_not_know_is_refused_with_what_it_takes(argument):
    with pytest.raises(UserError) as caught:
        Phantom(argument)
    part = argument.split(",")[0]
    takes = "it takes 'small' alone, or whole numbers for train, validate, test, seed, e.g. phantom:train=400,test=100"
    assert str(caught.value) == f"phantom:{argument} has {part!r}; {takes}"


def test_a_number_that_is_named_twice_is_refused():
    with pytest.raises(UserError, match="phantom:train=1,train=2 has train twice; name each number once"):
        Phantom("train=1,train=2")
