"""A sample stands for the whole: of each lesion its share, to two or three cases; the same one for the same seed; in the dataset's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmark.inputs import read, with_unit
from benchmark.records import Case, Lesion, Lesions, Problem, Reference, RunConfig, UserError
from benchmark.sampling import choose, sample
from benchmark.vocabulary import LESIONS

PREVALENCE = np.array([0.2, 0.02, 0.25, 0.01, 0.05, 0.03, 0.22, 0.03, 0.02, 0.15, 0.05, 0.3, 0.1, 0.01])


def population(count: int, seed: int = 0) -> np.ndarray:
    """(n, 14) labels that go together: the sicker the patient, the more of everything."""
    rng = np.random.default_rng(seed)
    return rng.random((count, 14)) < PREVALENCE * np.exp(rng.normal(scale=0.5, size=(count, 1)))


def lesions_of(positive: Sequence[bool]) -> Lesions:
    return tuple(Lesion(name, "positive" if present else "negative") for name, present in zip(LESIONS, positive, strict=True))


class Dataset:
    """As many cases as asked, with lesions that the dataset knows or with reports to be read."""

    name, is_credentialed, note = "drawn", False, "Drawn."

    def __init__(self, count: int, *, knows: bool = True) -> None:
        self.labels, self.knows = population(count), knows

    def cases(self, split: str) -> list[Case]:
        return [Case(f"c{number}", f"p{number // 2}", f"s{number}", ()) for number in range(len(self.labels))]

    def references(self, split: str) -> list[Reference]:
        texts = [" ".join(f"There is {name}." for name, present in zip(LESIONS, row, strict=True) if present) for row in self.labels]
        return [
            Reference(f"c{number}", text or "Clear.", lesions=lesions_of(row) if self.knows else None)
            for number, (row, text) in enumerate(zip(self.labels, texts, strict=True))
        ]

    def fingerprint(self, split: str) -> str:
        return "of the files"

    def problems(self) -> list[Problem]:
        return []


CONFIG = RunConfig((), (), "drawn", sample=60, seed=7)


@pytest.mark.parametrize(("count", "size"), [(300, 1), (300, 50), (300, 299), (300, 300), (5000, 500)])
def test_exactly_so_many_cases_and_each_lesion_and_the_normal_within_three_of_their_share(count: int, size: int) -> None:
    labels = population(count)
    labels = np.column_stack([labels, ~labels.any(axis=1)])
    chosen = choose(labels[:, :14], size, seed=7)
    assert chosen.sum() == size
    assert np.abs(labels[chosen].sum(axis=0) - labels.sum(axis=0) * size / count).max() < 3


def test_a_plain_random_sample_is_far_from_that() -> None:
    """The bound means something: of 50 random samples not one comes near it."""
    labels = population(3000)
    rng = np.random.default_rng(1)
    worst = [np.abs(labels[rng.permutation(3000)[:500]].sum(axis=0) - labels.sum(axis=0) / 6).max() for _ in range(50)]
    ours = [np.abs(labels[choose(labels, 500, seed)].sum(axis=0) - labels.sum(axis=0) / 6).max() for seed in range(3)]
    assert max(ours) < 3
    assert min(worst) > 2 * max(ours)


def test_each_case_has_the_same_chance_to_be_taken() -> None:
    """Else numbers would be of a kind of case. 30 of 150 over 300 seeds are 60 times each, give or take 7 by chance; a greedy choice misses by 50."""
    labels = population(150)[:, [0, 2, 6, 11]]
    times = sum(choose(labels, 30, seed).astype(int) for seed in range(300))
    assert np.sum(times) == 300 * 30
    spread = np.std(times)
    assert spread < 1.2 * np.sqrt(300 * 0.2 * 0.8)
    assert np.abs(times - 60).max() < 4.5 * np.sqrt(300 * 0.2 * 0.8)


def test_one_seed_is_one_sample_and_the_order_is_the_datasets() -> None:
    first, again, other = (read(Dataset(300), replace(CONFIG, seed=seed)) for seed in (7, 7, 8))
    assert first.cases == again.cases
    assert first.fingerprint == again.fingerprint
    assert first.cases != other.cases
    places = [int(case.id[1:]) for case in first.cases]
    assert places == sorted(places)
    assert len(places) == 60
    assert [case.id for case in first.cases] == [reference.case_id for reference in first.references]


def test_another_sample_is_other_data() -> None:
    """With as many cases of the same split, the fingerprint alone tells two runs apart."""
    whole = read(Dataset(300), replace(CONFIG, sample=None)).fingerprint
    prints = {read(Dataset(300), replace(CONFIG, seed=seed)).fingerprint for seed in (7, 8, 9)}
    assert len(prints | {whole}) == 4


def test_the_note_says_how_many_of_how_many_by_whose_labels() -> None:
    said = "A sample of 60 of 300 cases, stratified by lesion, seed 7; lesions"
    assert read(Dataset(300), CONFIG).note == f"Drawn. {said} as the dataset has them."
    assert read(Dataset(300, knows=False), CONFIG).note == f"Drawn. {said} by rules from the reference reports."


def test_labels_that_some_cases_lack_are_read_from_all_reports() -> None:
    """Two kinds of label in one stratum would be no stratum."""
    references = Dataset(20).references("test")
    references[3] = replace(references[3], lesions=None)
    assert "by rules" in sample(references, 5, 7).said


def test_more_cases_than_there_are_cannot_be_asked() -> None:
    with pytest.raises(UserError, match="--sample 400 was asked of 300 cases; leave it away for all of them, or ask for 1 to 300"):
        read(Dataset(300), replace(CONFIG, sample=400))


def test_sample_and_limit_together_are_refused() -> None:
    with pytest.raises(UserError, match=r"--sample 60 and --limit 5 both say how many cases; give --sample for cases that stand for the whole"):
        read(Dataset(300), replace(CONFIG, limit=5))


def test_unit_is_a_setting_of_the_datasets_that_have_it() -> None:
    assert with_unit({}, "chest_imagenome:/data", "study") == {"chest_imagenome.unit": "study"}
    assert with_unit({"llm.model": "m"}, "phantom", "") == {"llm.model": "m"}


@pytest.mark.parametrize(
    ("dataset", "what"), [("phantom:small", "the dataset 'phantom' has cases of one kind only"), ("", "reports in a file are what they are")]
)
def test_unit_is_refused_for_others_with_the_names_of_those_that_have_it(dataset: str, what: str) -> None:
    asked = f"--unit image was asked, but {what}; leave it away, or take a dataset that knows both: .*chest_imagenome"
    with pytest.raises(UserError, match=asked):
        with_unit({}, dataset, "image")


def test_unit_does_not_overrule_a_setting_given_in_full() -> None:
    with pytest.raises(UserError, match=r"--set chest_imagenome.unit=image and --unit study say different things; give one"):
        with_unit({"chest_imagenome.unit": "image"}, "chest_imagenome:/data", "study")


def test_a_sample_does_not_follow_the_order_of_the_rows() -> None:
    """The same table, sorted anew, has the same cases: nobody's sample depends on how a spreadsheet was saved."""
    references = [Reference(f"c{number}", "Pleural effusion." if number % 3 else "Clear lungs.") for number in range(60)]
    turned = references[::-1]
    taken = {references[place].case_id for place in sample(references, 20, 7).places}
    assert {turned[place].case_id for place in sample(turned, 20, 7).places} == taken


def test_a_sample_of_all_cases_is_all_cases() -> None:
    """By the fingerprint too: else a model that learnt from these very data would go without its mark."""
    whole = read(Dataset(60), replace(CONFIG, sample=None))
    assert read(Dataset(60), replace(CONFIG, sample=60)).fingerprint == whole.fingerprint
    assert read(Dataset(60), replace(CONFIG, sample=59)).fingerprint != whole.fingerprint
