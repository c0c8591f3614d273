"""A case as a picture: boxes where they are and in their colours, texts beneath, other images beside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.case_picture import ASIDE_PX, EMPTY, MARGIN_PX, RADIOGRAPH_PX, NoSuchCase, colours_of, draw_case, draw_cases
from benchmark.records import Case, ImageFile, Lesion, Reference, UserError
from benchmark.vocabulary import LESIONS, REGIONS


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Five cases of one black image each, the first with a second view and a box."""
    rows = ["image,id,report,boxes"]
    for name in "abcde":
        Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / f"{name}.png")
        boxes = '"{""left lung"": [10, 5, 30, 25]}"' if name == "a" else ""
        rows.append(f"{'a.png;b.png' if name == 'a' else f'{name}.png'},case-{name},Clear lungs.,{boxes}")
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "cases.csv"


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(int)


def is_colour(picture: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    """Where the picture has exactly this colour."""
    return (pixels(picture) == np.array(colour)).all(axis=2)


def case(folder: Path, size: tuple[int, int] = (50, 40), **more: object) -> Case:
    Image.fromarray(np.zeros(size[::-1], np.uint8)).save(folder / "one.png")
    return Case("one", "p", "s", (ImageFile(folder / "one.png", "PA"),), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(50, 40), (40, 50), (2000, 1000)])
def test_a_box_is_drawn_where_it_is_on_the_radiograph(tmp_path: Path, size: tuple[int, int]) -> None:
    """Whatever size the file has: the frame's outer edges, scaled to the picture, are the box to a pixel."""
    box = (size[0] * 0.2, size[1] * 0.5, size[0] * 0.6, size[1] * 0.9)
    reference = Reference("one", "", {}, {"left lung": box})
    rows, columns = np.nonzero(is_colour(draw_case(case(tmp_path, size), reference), colours_of(["left lung"])["left lung"]))
    shown = (size[0] * RADIOGRAPH_PX / max(size), size[1] * RADIOGRAPH_PX / max(size))
    left = MARGIN_PX + (RADIOGRAPH_PX - shown[0]) / 2
    found = ((columns.min() - left) / shown[0], (rows.min() - MARGIN_PX) / shown[1], (columns.max() + 1 - left) / shown[0])
    assert found == pytest.approx((0.2, 0.5, 0.6), abs=1.5 / min(shown))
    assert (rows.max() + 1 - MARGIN_PX) / shown[1] == pytest.approx(0.9, abs=1.5 / min(shown))


def test_a_region_has_one_colour_in_every_picture_and_no_two_have_the_same() -> None:
    colours = colours_of([*REGIONS, "a lesion"])
    assert len(set(colours.values())) == 30
    assert colours_of(["spine"])["spine"] == colours["spine"]


def test_sentences_stand_beneath_in_the_colour_of_their_box(tmp_path: Path) -> None:
    reference = Reference("one", "", {"left lung": "The left lung is clear."}, {"left lung": (10, 5, 30, 25)})
    colour = colours_of(["left lung"])["left lung"]
    height = 40 * RADIOGRAPH_PX // 50
    with_sentence = is_colour(draw_case(case(tmp_path), reference), colour)[height + MARGIN_PX :]
    without = is_colour(draw_case(case(tmp_path), Reference("one", "", {}, reference.boxes)), colour)[height + MARGIN_PX :]
    assert with_sentence.sum() > 20
    assert without.sum() == 0


def test_more_text_makes_a_taller_page_and_never_a_wider_one(tmp_path: Path) -> None:
    short = draw_case(case(tmp_path), Reference("one", "Clear."))
    lesions = tuple(Lesion(name, "positive", "left") for name in LESIONS)
    context = {"indication": "Cough. " * 40, "technique": "PA.", "comparison": "None.", "prior_report": "Ödem, 25 %. " * 60}
    long = draw_case(case(tmp_path, **context), Reference("one", "Clear. " * 200, lesions=lesions))
    assert long.width == short.width == RADIOGRAPH_PX + 2 * MARGIN_PX
    assert long.height > short.height + 300


def test_other_views_and_the_prior_image_stand_beside(tmp_path: Path) -> None:
    Image.fromarray(np.full((60, 30), 255, np.uint8)).save(tmp_path / "lateral.png")
    one = case(tmp_path)
    both = Case("one", "p", "s", (*one.images, ImageFile(tmp_path / "lateral.png", "LATERAL")), prior_image=tmp_path / "lateral.png")
    picture = draw_case(both, Reference("one", ""))
    assert picture.width == RADIOGRAPH_PX + ASIDE_PX + 3 * MARGIN_PX
    white = is_colour(picture, (255, 255, 255))[:, RADIOGRAPH_PX + 2 * MARGIN_PX :]
    assert white.sum() == 2 * 60 * 30  # both, unspoiled and not blown up


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text("<html>"), lambda path: path.write_bytes(bytes(500))])
def test_an_image_that_cannot_be_read_leaves_an_empty_field_and_the_rest_is_drawn(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    one = case(tmp_path)
    for name in ("lateral", "prior"):
        Image.fromarray(np.full((60, 30), 255, np.uint8)).save(tmp_path / f"{name}.png")
    both = Case("one", "p", "s", (*one.images, ImageFile(tmp_path / "lateral.png", "LATERAL")), prior_image=tmp_path / "prior.png")
    reference = Reference("one", "Clear.", {"left lung": "Clear."}, {"left lung": (10, 5, 30, 25)})
    colour = colours_of(["left lung"])["left lung"]
    spoil(tmp_path / "prior.png")
    faults: list[str] = []
    picture = draw_case(both, reference, faults)
    assert [fault.partition(": radiograph")[0] for fault in faults] == ["one, prior image"]
    assert is_colour(picture, EMPTY).any()
    assert is_colour(picture, (255, 255, 255)).sum() == 60 * 30  # the lateral
    assert is_colour(picture, colour)[: 40 * RADIOGRAPH_PX // 50].any()  # the box
    spoil(tmp_path / "one.png")
    assert draw_case(both, reference, faults).width == picture.width
    assert [fault.partition(": radiograph")[0] for fault in faults] == ["one, prior image", "one", "one, prior image"]


def test_cases_by_id_stand_side_by_side_in_their_order(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "look" / "at.png"
    assert draw_cases("manifest", out, ["case-b", "case-a"], root=table).ids == ["case-b", "case-a"]
    with Image.open(out) as picture:
        assert picture.width == (RADIOGRAPH_PX + 2 * MARGIN_PX) + (RADIOGRAPH_PX + ASIDE_PX + 3 * MARGIN_PX)
        columns = np.nonzero(is_colour(picture, colours_of(["left lung"])["left lung"]))[1]
        assert columns.min() > RADIOGRAPH_PX + 2 * MARGIN_PX
    assert out.stat().st_mode & 0o077 == 0  # a manifest is private unless somebody says otherwise


def test_without_ids_cases_are_spread_over_the_split(table: Path, tmp_path: Path) -> None:
    assert draw_cases("manifest", tmp_path / "look.png", count=2, root=table).ids == ["case-a", "case-c"]
    assert draw_cases("manifest", tmp_path / "look.png", count=9, root=table).ids == [f"case-{name}" for name in "abcde"]


def test_what_cannot_be_drawn_is_said(table: Path, tmp_path: Path) -> None:
    with pytest.raises(NoSuchCase, match=r"no case 'case-x' in split 'test' of manifest; its 5 cases are called like 'case-a'"):
        draw_cases("manifest", tmp_path / "look.png", ["case-x"], root=table)
    with pytest.raises(NoSuchCase, match="there is no case in split 'train'"):
        draw_cases("manifest", tmp_path / "look.png", split="train", root=table)
    with pytest.raises(UserError, match=r"give it a name that ends in \.png"):
        draw_cases("manifest", tmp_path / "look.txt", root=table)
    with pytest.raises(UserError, match="13 cases in one picture are too many"):
        draw_cases("manifest", tmp_path / "look.png", ["case-a"] * 13, root=table)


def test_the_command_says_what_it_could_not_draw(table: Path, tmp_path: Path) -> None:
    rows = table.read_text().replace("a.png;b.png", "a.png;b.png;broken.png")
    Image.fromarray(np.random.default_rng(0).integers(256, size=(300, 200)).astype(np.uint8)).save(tmp_path / "broken.png")
    whole = (tmp_path / "broken.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[:1000] + bytes(20_000) + whole[21_000:])  # its end is where it should be: no reader notices
    table.write_text(rows)
    words = ("data", "show", "--dataset", "manifest", "--root", str(table), "--case", "case-a", "--out", str(tmp_path / "look.png"))
    answer = subprocess.run([sys.executable, "-m", "benchmark", *words], capture_output=True, text=True, timeout=120)
    assert (answer.returncode, answer.stdout) == (0, f"case-a: {tmp_path / 'look.png'}\n")
    (line,) = [line for line in answer.stderr.splitlines() if line.startswith("not drawn: ")]
    assert line.startswith("not drawn: case-a, other view: not said: radiograph ")
    assert "broken.png: the file is truncated or damaged" in line
    with Image.open(tmp_path / "look.png") as picture:
        assert is_colour(picture, EMPTY).any()


def test_the_command_says_which_cases_are_in_the_picture(table: Path, tmp_path: Path) -> None:
    words = ("data", "show", "--dataset", "manifest", "--root", str(table), "--case", "case-c,case-d", "--out", str(tmp_path / "look.jpg"))
    answer = subprocess.run([sys.executable, "-m", "benchmark", *words], capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == f"case-c, case-d: {tmp_path / 'look.jpg'}\n"
    assert "Clear lungs" not in answer.stdout + answer.stderr
    with Image.open(tmp_path / "look.jpg") as picture:
        assert picture.format == "JPEG"
