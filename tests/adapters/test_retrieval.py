"""The floor that looks things up: it finds the like, and never the patient's own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adapters import retrieval
from adapters.radiograph_features import BLOCKS, WIDTH, describe_radiograph, letterbox
from adapters.retrieval import NothingToRetrieve, Retrieval, _Index, describe_images
from benchmark.records import Case, ImageFile, Reference, UserError

PLACES = {"upper left": (60, 60), "upper right": (60, 180), "lower left": (180, 60), "lower right": (180, 180)}


def draw(place: str, seed: int, shape: tuple[int, int] = (240, 240)) -> np.ndarray:
    """A noisy grey field with a bright disc: which quarter it lies in is all there is to see."""
    rng = np.random.default_rng(seed)
    y, x = PLACES[place]
    rows, columns = np.indices(shape)
    disc = np.hypot(rows - y - rng.integers(-12, 13), columns - x - rng.integers(-12, 13)) < 30
    return np.clip(rng.normal(90, 12, shape) + 110 * disc, 0, 255).astype(np.uint8)


class Training:
    """Twenty-eight patients, seven for each place; their report names the place."""

    def __init__(self, folder: Path) -> None:
        self.known: list[tuple[Case, str]] = []
        for number in range(28):
            place = list(PLACES)[number % 4]
            path = folder / f"{number}.png"
            Image.fromarray(draw(place, number)).save(path)
            self.known.append((case(f"t{number}", path), f"A disc in the {place}."))

    def cases(self, split: str) -> list[Case]:
        assert split == "train"
        return [known for known, _ in self.known]

    def references(self, split: str) -> list[Reference]:
        assert split == "train"
        return [Reference(known.id, report) for known, report in self.known]


def case(name: str, path: Path) -> Case:
    return Case(id=name, patient=f"patient of {name}", study=f"study of {name}", images=(ImageFile(path, "PA", f"image of {name}"),))


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path)


@pytest.fixture
def queries(tmp_path: Path) -> dict[str, Case]:
    found = {}
    for number, place in enumerate(PLACES):
        path = tmp_path / f"q{number}.png"
        Image.fromarray(draw(place, 1000 + number)).save(path)
        found[place] = case(f"q{number}", path)
    return found


def test_the_report_of_the_image_most_alike_is_returned(training: Training, queries: dict[str, Case], tmp_path: Path) -> None:
    reports = list(Retrieval(training, cache=tmp_path).generate(list(queries.values())))
    assert [report.case_id for report in reports] == [query.id for query in queries.values()]
    assert [report.text for report in reports] == [f"A disc in the {place}." for place in queries]
    assert all(report.details["neighbour"].startswith("t") and 0 < report.details["similarity"] <= 1 for report in reports)


def test_an_image_finds_itself_if_nothing_forbids_it(training: Training, tmp_path: Path) -> None:
    """A copy under another name and of another patient is the most alike there can be."""
    copy = tmp_path / "copy.png"
    copy.write_bytes((tmp_path / "5.png").read_bytes())
    [report] = Retrieval(training, cache=tmp_path).generate([case("q", copy)])
    assert report.details["neighbour"] == "t5"
    assert report.details["similarity"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shared", ["patient", "image", "file"])
def test_training_cases_of_the_same_patient_image_or_file_are_passed_over(training: Training, tmp_path: Path, shared: str) -> None:
    own = training.cases("train")[5]
    copy = tmp_path / "copy.png"
    copy.write_bytes(own.images[0].path.read_bytes())
    query = case("q", copy)
    if shared == "patient":
        query = replace(query, patient=own.patient)
    elif shared == "image":
        query = replace(query, images=(replace(query.images[0], id=own.images[0].id),))
    else:
        query = replace(query, images=(replace(query.images[0], path=own.images[0].path),))
    [report] = Retrieval(training, cache=tmp_path).generate([query])
    assert report.details["neighbour"] != "t5"


def test_patients_and_images_without_a_name_share_nothing(training: Training, tmp_path: Path) -> None:
    """Else a dataset that names no patients would have no neighbours at all."""
    training.known = [(replace(known, patient="", images=(replace(known.images[0], id=""),)), report) for known, report in training.known]
    copy = tmp_path / "copy.png"
    copy.write_bytes((tmp_path / "5.png").read_bytes())
    [report] = Retrieval(training, cache=tmp_path).generate([Case("q", "", "", (ImageFile(copy),))])
    assert report.details["neighbour"] == "t5"


def test_a_query_whose_patient_is_all_of_the_training_set_has_failed(training: Training, tmp_path: Path) -> None:
    training.known = training.known[:1]
    [report] = Retrieval(training, cache=tmp_path).generate([training.known[0][0]])
    assert (report.text, report.failure) == ("", "no training case of another patient")


def test_together_or_alone_a_query_gets_the_same_report(training: Training, queries: dict[str, Case], tmp_path: Path) -> None:
    model = Retrieval(training, cache=tmp_path)
    together = list(model.generate(list(queries.values()) * 40))
    alone = [report for query in queries.values() for report in model.generate([query])]
    assert [report.text for report in together] == [report.text for report in alone] * 40
    assert [report.details["similarity"] for report in together[:4]] == pytest.approx([report.details["similarity"] for report in alone], abs=1e-5)


def test_of_several_neighbours_the_report_that_the_others_agree_with_is_taken(training: Training, queries: dict[str, Case], tmp_path: Path) -> None:
    place = "lower left"
    [nearest] = Retrieval(training, cache=tmp_path).generate([queries[place]])
    training.known = [(known, "Nothing alike." if known.id == nearest.details["neighbour"] else report) for known, report in training.known]
    [odd] = Retrieval(training, cache=tmp_path).generate([queries[place]])
    [agreed] = Retrieval(training, neighbours=3, cache=tmp_path).generate([queries[place]])
    assert odd.text == "Nothing alike."
    assert agreed.text == f"A disc in the {place}."
    assert agreed.details["neighbours"][0]["neighbour"] == nearest.details["neighbour"]
    assert len(agreed.details["neighbours"]) == 3


def test_more_neighbours_than_there_are_is_all_of_them(training: Training, queries: dict[str, Case], tmp_path: Path) -> None:
    training.known = training.known[:2]
    [report] = Retrieval(training, neighbours=9, cache=tmp_path).generate([queries["upper left"]])
    assert len(report.details["neighbours"]) == 2


def test_unreadable_queries_fail_alone(training: Training, queries: dict[str, Case], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    good = queries["upper left"]
    asked = [case("a", broken), good, case("b", tmp_path / "none.png"), Case("c", "p", "s", ())]
    reports = list(Retrieval(training, cache=tmp_path).generate(asked))
    assert [bool(report.failure) for report in reports] == [True, False, True, True]
    assert "broken.png" in reports[0].failure
    assert "none.png" in reports[2].failure
    assert reports[3].failure == "the case has no image"
    assert [report.failure != "" for report in Retrieval(training, cache=tmp_path).generate(asked[:1])] == [True]


def test_unreadable_training_images_are_left_out_and_counted(
    training: Training, queries: dict[str, Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0.png").write_bytes(b"not an image")
    (tmp_path / "1.png").unlink()
    model = Retrieval(training, cache=tmp_path)
    texts = [report.text for report in model.generate(list(queries.values()))]
    assert texts == [f"A disc in the {place}." for place in queries], "the places after the gap still go with their reports"
    assert [Path(problem.where).name for problem in model.skipped] == ["0.png", "1.png"]
    assert "retrieval: 2 of 28 training images cannot be read, first" in capsys.readouterr().err


def test_training_cases_without_a_report_are_left_out_and_counted(training: Training, tmp_path: Path) -> None:
    training.known = [(known, " " if known.id == "t0" else report) for known, report in training.known]
    assert Retrieval(training, cache=tmp_path).provenance()["training_cases_left_out"] == 1


def test_no_training_images_is_the_users_to_mend(training: Training, tmp_path: Path) -> None:
    for file in tmp_path.glob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(NothingToRetrieve, match=r"none of the 28 training images can be read, the first is .*0\.png; run doctor, or check"):
        list(Retrieval(training, cache=tmp_path).generate([case("q", tmp_path / "0.png")]))
    training.known = []
    with pytest.raises(NothingToRetrieve, match="none of the 0 training cases has an image and a report; it needs a dataset with a train split"):
        Retrieval(training, cache=tmp_path)
    with pytest.raises(UserError, match="neighbours is 0; it takes at least 1"):
        Retrieval(training, neighbours=0, cache=tmp_path)


def test_references_in_another_order_than_the_cases_are_refused(training: Training, tmp_path: Path) -> None:
    class Shuffled(Training):
        def references(self, split: str) -> list[Reference]:
            return super().references(split)[::-1]

    with pytest.raises(ValueError, match="the training references are not in the order of the training cases, first at 't0'"):
        Retrieval(Shuffled(tmp_path), cache=tmp_path)


def test_features_are_made_once_and_again_when_a_file_changes(training: Training, queries: dict[str, Case], tmp_path: Path) -> None:
    asked = [queries["upper left"]]

    def run() -> set[str]:
        list(Retrieval(training, cache=tmp_path / "cache").generate(asked))
        return {file.name for file in (tmp_path / "cache" / "retrieval").iterdir()}

    first = run()
    assert len(first) == 1
    kept = tmp_path / "cache" / "retrieval" / first.pop()
    features = np.load(kept)
    assert features.shape == (28, WIDTH)
    np.save(kept, features[::-1])
    [report] = Retrieval(training, cache=tmp_path / "cache").generate(asked)
    assert report.text != "A disc in the upper left.", "what is kept is used: here the features were kept in reverse"
    Image.fromarray(draw("lower right", 99)).save(tmp_path / "0.png")
    assert len(run()) == 2


def test_a_cut_off_cache_file_is_made_again(training: Training, queries: dict[str, Case], tmp_path: Path) -> None:
    asked = [queries["upper left"]]
    list(Retrieval(training, cache=tmp_path).generate(asked))
    [kept] = (tmp_path / "retrieval").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    assert [report.text for report in Retrieval(training, cache=tmp_path).generate(asked)] == ["A disc in the upper left."]
    assert kept.read_bytes() == whole


def test_an_interrupted_first_pass_goes_on_where_it_was(training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """28 images in parts of 8; Ctrl-C comes in the third part. Saved only at the end, all was lost."""
    expected = Retrieval(training, cache=tmp_path / "whole")._training_features()
    described: list[str] = []

    def describe(paths: list[Path], *, before: int) -> np.ndarray:
        if len(described) >= before:
            raise KeyboardInterrupt
        described.extend(path.name for path in paths)
        return describe_images(paths)

    monkeypatch.setattr(retrieval, "IMAGES_PER_PART", 8)
    monkeypatch.setattr(retrieval, "IMAGES_PER_TASK", 4)
    monkeypatch.setattr(retrieval, "describe_images", partial(describe, before=20))
    with pytest.raises(KeyboardInterrupt):
        Retrieval(training, cache=tmp_path / "parts")._training_features()
    kept = sorted((tmp_path / "parts" / "retrieval").iterdir())
    assert [np.load(part).shape for part in kept] == [(8, WIDTH)] * 2, "whole parts, and nothing that is half-written"
    described.clear()
    monkeypatch.setattr(retrieval, "describe_images", partial(describe, before=28))
    assert np.array_equal(Retrieval(training, cache=tmp_path / "parts")._training_features(), expected)
    assert described == [f"{number}.png" for number in range(16, 28)]
    described.clear()
    assert np.array_equal(Retrieval(training, cache=tmp_path / "parts")._training_features(), expected)
    assert described == []
    (tmp_path / "9.png").write_bytes((tmp_path / "8.png").read_bytes())
    changed = Retrieval(training, cache=tmp_path / "parts")._training_features()
    assert described == [f"{number}.png" for number in range(8, 16)], "one file changed: its part is made again"
    assert np.array_equal(changed[9], expected[8])
    assert np.array_equal(np.delete(changed, 9, 0), np.delete(expected, 9, 0))


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(training: Training, queries: dict[str, Case], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    [report] = Retrieval(training, cache=tmp_path / "cache").generate([queries["upper left"]])
    assert report.text == "A disc in the upper left."


def test_many_images_are_described_by_other_processes_alike(training: Training, queries: dict[str, Case], tmp_path: Path) -> None:
    """More than 128: the pool. A repeated image must come out as it did in this process."""
    twice = Training(tmp_path)
    twice.known = [(replace(known, id=f"{known.id} {turn}"), report) for turn in range(5) for known, report in training.known]
    few, many = Retrieval(training, cache=tmp_path / "a"), Retrieval(twice, cache=tmp_path / "b")
    small, large = few._training_features(), many._training_features()
    assert np.array_equal(np.tile(small, (5, 1)), large)


def test_provenance_follows_what_is_looked_up(training: Training, tmp_path: Path) -> None:
    before = Retrieval(training, cache=tmp_path).provenance()
    assert before == Retrieval(training, cache=tmp_path / "elsewhere").provenance(), "no path of this machine"
    training.known[3] = (training.known[3][0], "Another report.")
    assert Retrieval(training, cache=tmp_path).provenance()["training_reports_sha256"] != before["training_reports_sha256"]


def test_no_cases_need_no_training_images(training: Training, tmp_path: Path) -> None:
    assert list(Retrieval(training, cache=tmp_path / "cache").generate([])) == []
    assert not (tmp_path / "cache").exists()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 3), st.booleans())
def test_features_are_finite_for_any_shape_of_image(height: int, width: int, seed: int, is_flat: bool) -> None:
    grey = np.full((height, width), 7, np.uint8) if is_flat else np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    features = describe_radiograph(grey)
    assert features.shape == (WIDTH,) == (sum(BLOCKS),)
    assert np.isfinite(features).all()


def test_exposure_does_not_change_the_features() -> None:
    """Darker and flatter, the same chest; up to the rounding to 256 grey levels."""
    grey = draw("upper left", 1)
    exposed = (grey * 0.6 + 30).astype(np.uint8)
    change = np.abs(describe_radiograph(grey) - describe_radiograph(exposed)).mean()
    assert change < 0.1 * np.abs(describe_radiograph(grey) - describe_radiograph(draw("lower right", 1))).mean()


def test_the_whole_image_is_in_the_letterbox() -> None:
    grey = np.full((100, 50), 200, np.uint8)
    grey[:, :10] = 0
    square = letterbox(grey)
    assert square.shape == (256, 256)
    assert (square[:, :64] == np.float32(200 / 255)).all(), "beside the image lies its median"
    assert (square[:, 64:88] == 0).all()


def test_an_edge_is_counted_where_it_points() -> None:
    """A bright half on the right: only the horizontal gradient, only in the two middle columns of cells."""
    grey = np.zeros((256, 256), np.uint8)
    grey[:, 128:] = 255
    edges = describe_radiograph(grey)[BLOCKS[0] : BLOCKS[0] + BLOCKS[1]].reshape(8, 8, 8)
    assert (edges[0, :, 3:5] > 0.1).all()
    assert edges[1:].max() == 0
    assert np.delete(edges[0], [3, 4], axis=1).max() == 0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_training_images_are_enough_to_search_in(count: int) -> None:
    """Fewer than there are directions to whiten."""
    features = np.stack([describe_radiograph(draw("upper left", seed)) for seed in range(count)])
    similarities = _Index(features, np.arange(count), [case(str(row), Path(str(row))) for row in range(count)]).similarities(features)
    assert np.isfinite(similarities).all()
    assert count == 1 or (similarities.argmax(axis=1) == np.arange(count)).all()
