from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clala.config import CLALAConfig, Recipe
from clala.data import NO_LESION, BadIndex, IndexLine, Samples, read_index, write_index
from clala.regions import LESIONS
from clala.tokens import WordTokenizer


def test_an_index_comes_back_as_it_was_written(index: Path, lines: list[IndexLine]) -> None:
    assert read_index(index) == lines


GOOD = {"id": "a", "patient": "p", "split": "train", "image": "a.png", "boxes": {}, "sentences": {}, "lesions": {}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "index.jsonl, line 2: no JSON object"),
        (json.dumps({"id": "b"}), "line 2: '(patient|boxes)' is missing; needed are id, patient"),
        (json.dumps(GOOD), "line 2: id 'a' was there before"),
        (json.dumps(GOOD | {"id": "b", "split": "test"}), "line 2: split is 'test'; it must be train or validate"),
        (json.dumps(GOOD | {"id": "b", "boxes": {"lung": [1, 2, 3, 4]}}), "line 2: no region named 'lung'; known: right lung"),
        (json.dumps(GOOD | {"id": "b", "boxes": {"left lung": [1, 2, 3]}}), "line 2: box of left lung has 3 numbers"),
        (json.dumps(GOOD | {"id": "b", "lesions": {"flu": "left"}}), "line 2: no lesion named 'flu'"),
        (json.dumps(GOOD | {"id": "b", "told": ["flu"]}), "line 2: no lesion named 'flu'"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "index.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + text + "\n")
    with pytest.raises(BadIndex, match=message):
        read_index(path)


def test_an_empty_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.jsonl").touch()
    with pytest.raises(BadIndex, match="no line in it"):
        read_index(tmp_path / "index.jsonl")


def test_a_partner_is_another_patients_same_region_with_a_lesion_in_common(samples: Samples) -> None:
    rng = np.random.default_rng(0)
    for row in range(len(samples)):
        for _ in range(5):
            partner = samples.partner(row, rng)
            assert partner >= 0
            assert samples.patients[partner] != samples.patients[row]
            assert samples.regions[partner] == samples.regions[row]
            assert (samples.carried[partner] & samples.carried[row]).any()


def test_by_presence_alone_a_partner_may_be_any_region(
    lines: list[IndexLine], samples: Samples, config: CLALAConfig, tokenizer: WordTokenizer
) -> None:
    by_presence = Samples(lines, samples.store, replace(config, llcl_by_region=False), tokenizer)
    rng = np.random.default_rng(0)
    partners = [by_presence.partner(0, rng) for _ in range(50)]
    assert len({int(by_presence.regions[partner]) for partner in partners}) > 1


def test_a_lesion_that_one_patient_alone_has_leaves_its_regions_without_partner(
    lines: list[IndexLine], samples: Samples, config: CLALAConfig, tokenizer: WordTokenizer
) -> None:
    changed = [replace(lines[0], roi_lesions={"left lung": ("mass",)}), *lines[1:]]
    alone = Samples(changed, samples.store, config, tokenizer)
    row = next(row for row in range(len(alone)) if alone.images[row] == 0 and alone.carried[row, 8])
    assert alone.partner(row, np.random.default_rng(0)) == -1
    assert not alone.batch([row], crop_px=32).has_partner[0]


def test_without_the_normal_class_a_region_without_lesion_has_no_partner(
    lines: list[IndexLine], samples: Samples, config: CLALAConfig, tokenizer: WordTokenizer
) -> None:
    strict = Samples(lines, samples.store, replace(config, llcl_normal=False), tokenizer)
    assert not strict.carried[:, NO_LESION].any()
    assert strict.partner(0, np.random.default_rng(0)) == -1


def test_regions_that_are_not_spoken_of_are_candidates_but_no_anchors(
    lines: list[IndexLine], samples: Samples, config: CLALAConfig, tokenizer: WordTokenizer
) -> None:
    silent = [replace(line, sentences={"left lung": line.sentences["left lung"]}) for line in lines]
    fewer = Samples(silent, samples.store, config, tokenizer)
    assert len(fewer) == len(samples)
    assert len(fewer.with_sentence()) == len(lines)


def test_an_epoch_draws_each_region_once_in_an_order_of_its_own(samples: Samples, quick: Recipe) -> None:
    one, same, other = (samples.epoch(quick, seed=1, epoch=epoch) for epoch in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.array_equal(np.sort(one), samples.with_sentence())


def test_normal_regions_can_be_thinned_and_abnormal_ones_are_not(samples: Samples, quick: Recipe) -> None:
    rows = samples.epoch(replace(quick, normal_share=0.5), seed=1, epoch=0)
    normal = samples.carried[:, NO_LESION]
    assert (~normal[rows]).sum() == (~normal).sum()
    assert 0 < normal[rows].sum() < normal.sum()


def test_regions_with_a_rare_lesion_are_repeated_by_the_root_of_its_rarity(samples: Samples, quick: Recipe) -> None:
    """Each of the two lesions is carried by 4 of 36 regions: sqrt(1 / (4 / 36)) = 3 times each, and the others once."""
    rows, times = np.unique(samples.epoch(replace(quick, repeat_below=1.0), seed=1, epoch=0), return_counts=True)
    assert np.array_equal(rows, samples.with_sentence())
    assert np.array_equal(times, np.where(samples.carried[rows, NO_LESION], 1, 3))
    common = samples.epoch(replace(quick, repeat_below=4 / 36), seed=1, epoch=0)
    assert np.array_equal(np.sort(common), samples.with_sentence())


def test_several_processes_share_a_step_without_overlap(samples: Samples, quick: Recipe) -> None:
    half = replace(quick, batch=3)
    parts = [list(samples.batches(half, seed=0, epoch=0, crop_px=32, llcl=False, shard=(rank, 2))) for rank in range(2)]
    whole = list(samples.batches(quick, seed=0, epoch=0, crop_px=32, llcl=False))
    assert len(parts[0]) == len(parts[1]) == len(whole)
    assert sorted(parts[0][0].regions.tolist() + parts[1][0].regions.tolist()) == sorted(whole[0].regions.tolist())


def test_the_same_seed_gives_the_same_batch(samples: Samples, quick: Recipe) -> None:
    one, same, other = (samples.batch([0, 1, 2], crop_px=32, recipe=quick, seed=(seed,)) for seed in (1, 1, 2))
    assert torch.equal(one.crops, same.crops)
    assert torch.equal(one.comparisons, same.comparisons)
    assert not torch.equal(one.crops, other.crops)


def test_what_lca_is_told_may_differ_and_llcl_and_classifier_keep_to_the_report(
    lines: list[IndexLine], samples: Samples, config: CLALAConfig, tokenizer: WordTokenizer, tmp_path: Path
) -> None:
    changed = [replace(lines[0], told=("mass", "hernia")), replace(lines[1], told=()), *lines[2:]]
    write_index(changed, tmp_path / "index.jsonl")
    assert read_index(tmp_path / "index.jsonl") == changed
    told = Samples(changed, samples.store, config, tokenizer)
    assert [LESIONS[k] for k in np.flatnonzero(told.image_lesions[0])] == ["hernia", "mass"]
    assert not told.image_lesions[1].any()
    assert np.array_equal(told.image_lesions[2:], samples.image_lesions[2:])
    assert np.array_equal(told.carried, samples.carried)
    assert [line.lesion_row() for line in changed] == [line.lesion_row() for line in lines]
