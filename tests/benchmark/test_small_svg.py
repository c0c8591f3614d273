"""A smaller SVG is the same picture: every line and letter of what matplotlib wrote stands where it stood."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from benchmark.figures.sheet import Sheet, ready
from benchmark.figures.small_svg import small_svg

SVG, HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"


def matrix(element: Element) -> np.ndarray:
    """(3, 3) of its transform and, of what is drawn by name, its place."""
    found = np.eye(3)
    for kind, words in re.findall(r"(\w+)\(([^)]*)\)", element.get("transform", "")):
        numbers = [float(word) for word in words.replace(",", " ").split()]
        one = np.eye(3)
        if kind == "translate":
            one[:2, 2] = [*numbers, 0.0][:2]
        else:
            assert kind == "scale", kind
            one[0, 0], one[1, 1] = numbers[0], numbers[-1]
        found = found @ one
    if element.tag == f"{SVG}use":
        place = np.eye(3)
        place[:2, 2] = float(element.get("x", 0)), float(element.get("y", 0))
        found = found @ place
    return found


def drawn(root: Element) -> Iterator[tuple[str, str, np.ndarray]]:
    """Commands, look and (n, 2) points in points of the page, of each path in the order of painting."""
    signs = {element.get("id"): element for element in root.iter() if element.get("id")}

    def walk(element: Element, at: np.ndarray, look: str) -> Iterator[tuple[str, str, np.ndarray]]:
        if element.tag == f"{SVG}defs":
            return
        at, look = at @ matrix(element), f"{look};{element.get('style', '')};{'clipped' if element.get('clip-path') else ''}"
        if element.tag == f"{SVG}use":
            yield from walk(signs[str(element.get(HREF))[1:]], at, look)
        elif element.tag == f"{SVG}path":
            points = np.array([float(number) for number in re.findall(r"-?[\d.]+", element.get("d", ""))]).reshape(-1, 2)
            commands = "".join(re.findall(r"[A-Za-z]", element.get("d", "")))
            yield commands, look.replace(";", " ").strip(), (np.column_stack([points, np.ones(len(points))]) @ at.T)[:, :2]
        for child in element:
            yield from walk(child, at, look)

    yield from walk(root, np.eye(3), "")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture as matplotlib writes it: words in two weights, a mark several times, a clipped line, ticks."""
    file = tmp_path_factory.mktemp("svg") / "a.svg"
    with ready():
        sheet = Sheet(120, 60)
        axes = sheet.axes(10, 10, 80, 30)
        axes.plot([0, 1, 2], [0.123456789, 3, 1], marker="o", clip_on=True)
        axes.plot([0, 1], [2, 2], marker="o", color="#D55E00")
        axes.set(xlim=(0, 1.5))
        sheet.write(5, 5, "F1 0.123 [−0.001, 0.250] † of nobody", is_bold=True)
        sheet.write(5, 55, "F1 0.123 of somebody")
        sheet.figure.savefig(file)
    return file.read_text(encoding="utf-8")


def test_every_line_and_letter_stands_where_it_stood(written: str) -> None:
    small = small_svg(written, "A title", "What is to be seen")
    before, after = (list(drawn(ElementTree.fromstring(text))) for text in (written, small))
    assert len(before) == len(after) > 50
    for (commands, look, points), (commands_after, look_after, points_after) in zip(before, after, strict=True):
        assert (commands, look) == (commands_after, look_after)
        np.testing.assert_allclose(points, points_after, rtol=0, atol=0.05)  # points: a fiftieth of a millimetre


def test_it_is_much_smaller_and_the_same_each_time(written: str) -> None:
    small = small_svg(written, "A title", "What is to be seen")
    assert len(small) < 0.7 * len(written)
    assert small == small_svg(written, "A title", "What is to be seen")


def test_letters_keep_names_of_their_own_so_that_pictures_on_one_page_leave_each_other_alone(written: str, tmp_path: Path) -> None:
    with ready():
        sheet = Sheet(50, 20)
        sheet.write(5, 5, "1F of another")
        sheet.figure.savefig(tmp_path / "other.svg")
    other = small_svg((tmp_path / "other.svg").read_text(encoding="utf-8"), "", "")
    letters = [
        {
            element.get("id"): element.get("d")
            for element in ElementTree.fromstring(text).iter(f"{SVG}path")
            if re.match(r"[bd][0-9a-f]+$", element.get("id", ""))
        }
        for text in (small_svg(written, "", ""), other)
    ]
    shared = letters[0].keys() & letters[1].keys()
    assert len(shared) >= 5
    assert all(letters[0][name] == letters[1][name] for name in shared)


def test_titles_are_text_whatever_is_in_them(written: str) -> None:
    root = ElementTree.fromstring(small_svg(written, "a < b & c />", "0.12345 stays as it is"))
    assert (root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")) == ("a < b & c />", "0.12345 stays as it is")
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
