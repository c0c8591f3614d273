"""The page's files: data that any text leaves whole, copies of images, and a page in which nothing runs but its own script."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
import shutil
import stat
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.records import Case, ImageFile
from benchmark.tables.table import Block, Column, Line, Note, Table
from benchmark.viewer.data_files import NoPart, codes, column, number, read_column, read_part, script, write_part
from benchmark.viewer.page import page_html
from benchmark.viewer.radiographs import MOST_CASES, Before, copy_images

HOSTILE = {
    "a script": "</script><script>alert(1)</script>",
    "a comment": "<!-- <script>",
    "line ends of JavaScript": "one\u2028two\u2029three",
    "half a character": "\ud83e alone",
    "a NUL": "before\0after",
    "quotes": "\"'`\\ ${1}",
    "far away": "🫁 القلب متضخم",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_part_gives_back_whatever_text_it_was_given_and_is_plain_ascii(text: str, tmp_path: Path) -> None:
    file = write_part(tmp_path, "block-0", [{"text": text, text[:3] or "x": 1}])
    content = file.read_bytes()
    assert content.isascii()
    assert b"<" not in content
    assert b"\0" not in content
    assert content.count(b"\n") == 1
    assert read_part(file) == ("block-0", [{"text": text, text[:3]: 1}])


def test_a_browser_s_own_language_reads_a_part_as_it_was_written(tmp_path: Path) -> None:
    """Node is the reader from outside: it runs the statement and gives back what it was handed."""
    if (node := shutil.which("node")) is None:
        pytest.skip("node is not installed")
    write_part(tmp_path, "cases", list(HOSTILE.values()))
    (tmp_path / "read.js").write_text(
        "const CLALA = {part: (name, value) => console.log(JSON.stringify([name, value.map((text) => [...Array(text.length).keys()]"
        ".map((place) => text.charCodeAt(place)))]))};\n" + (tmp_path / "cases.js").read_text()
    )
    name, found = json.loads(subprocess.run([node, tmp_path / "read.js"], capture_output=True, text=True, check=True, timeout=60).stdout)
    assert name == "cases"
    # What JavaScript counts are UTF-16 code units.
    assert [np.array(units, dtype="<u2").tobytes() for units in found] == [text.encode("utf-16-le", "surrogatepass") for text in HOSTILE.values()]


def test_a_number_that_json_does_not_have_is_refused_or_said_to_be_none() -> None:
    with pytest.raises(ValueError):
        script("run", {"value": math.nan})
    assert [number(value) for value in (math.nan, math.inf, -math.inf, None, 0.5)] == [None, None, None, None, 0.5]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("u8", [0, 255], b"\x00\xff"),
        ("u16", [1, 0x3FFF], b"\x01\x00\xff\x3f"),
        ("u32", [1], b"\x01\x00\x00\x00"),
        ("f32", [1.0, math.nan], b"\x00\x00\x80\x3f\x00\x00\xc0\x7f"),
    ],
)
def test_a_column_is_base64_of_little_endian_numbers(kind: str, values: list[float], expected: bytes) -> None:
    packed = column(np.array(values), kind)  # type: ignore[arg-type]
    assert base64.b64decode(packed["data"]) == expected
    assert np.array_equal(read_column(packed), np.array(values), equal_nan=True)


def test_words_are_written_once_and_cases_say_which() -> None:
    found = codes(["PA", "", "AP", "PA"])
    assert found["words"] == ["", "PA", "AP"]
    assert (found["codes"]["type"], read_column(found["codes"]).tolist()) == ("u8", [1, 0, 2, 1])
    many = codes([f"view {number}" for number in range(300)])
    assert (many["codes"]["type"], read_column(many["codes"]).tolist()) == ("u16", list(range(1, 301)))


def test_half_a_part_is_no_part(tmp_path: Path) -> None:
    file = write_part(tmp_path, "cases", {"ids": ["c1"]})
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(NoPart, match="write the page anew"):
        read_part(file)


def test_a_part_replaces_a_link_and_does_not_write_through_it(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    (tmp_path / "run.js").symlink_to(precious)
    write_part(tmp_path, "run", {}, 0o600)
    assert precious.read_text() == "mine"
    assert stat.S_IMODE((tmp_path / "run.js").stat().st_mode) == 0o600


# ---- images


def case_with(*files: Path) -> Case:
    return Case("c", "p", "s", tuple(ImageFile(file) for file in files))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    Image.fromarray(np.tile(np.arange(250, dtype=np.uint8), (2100, 6))).save(tmp_path / "film.png")  # 1,500 wide, 2,100 high
    return tmp_path / "film.png"


def test_a_copy_is_small_and_keeps_its_shape(film: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    part = copy_images([case_with(film)], tmp_path / "images", "auto", is_private=False).part
    assert (part["how"], part["absent"]) == ("copies", {})
    with Image.open(tmp_path / "images" / "0-0.jpg") as copy:
        assert (copy.format, copy.mode, copy.size) == ("JPEG", "L", (731, 1024))  # 1500 * 1024 / 2100 = 731.4


def test_a_missing_or_broken_image_is_named_in_its_place_without_the_folder_and_the_others_are_copied(film: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    cases = [case_with(tmp_path / "gone.png"), case_with(film, tmp_path / "broken.png")]
    part = copy_images(cases, tmp_path / "images", "embed", is_private=True).part
    assert part["absent"] == {"0-0": "the file gone.png is missing", "1-1": "the file broken.png cannot be read as an image"}
    assert [file.name for file in (tmp_path / "images").iterdir()] == ["1-0.jpg"]
    assert stat.S_IMODE((tmp_path / "images" / "1-0.jpg").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "images").stat().st_mode) == 0o700


def test_images_are_copied_unasked_only_where_anyone_may_see_them_and_there_are_not_too_many(film: Path, tmp_path: Path) -> None:
    for cases, images, is_private, words in (
        ([case_with(film)], "auto", True, "not copied unless that is asked for"),
        ([case_with(film)] * (MOST_CASES + 1), "auto", False, "more than 1,000 cases"),
        ([case_with(film)], "none", False, "without images"),
        ([case_with()], "embed", False, "came without images"),
    ):
        part = copy_images(cases, tmp_path / "images", images, is_private=is_private).part  # type: ignore[arg-type]
        assert part["how"] == "none"
        assert words in part["why"]
    assert not (tmp_path / "images").exists()


def test_a_copy_of_an_image_that_is_unchanged_is_taken_as_it_is_unless_somebody_changed_it(film: Path, tmp_path: Path) -> None:
    first = copy_images([case_with(film)], tmp_path / "old", "embed", is_private=False)
    before = Before(tmp_path / "old", first.made_of)
    copy = (tmp_path / "old" / "0-0.jpg").read_bytes()
    marked = first.made_of["0-0"][0], hashlib.sha256(b"it was taken").hexdigest()
    (tmp_path / "old" / "0-0.jpg").write_bytes(b"it was taken")
    cases = [case_with(film)]
    assert copy_images(cases, tmp_path / "new", "embed", is_private=False, before=Before(before.folder, {"0-0": marked})).made_of["0-0"] == marked
    assert (tmp_path / "new" / "0-0.jpg").read_bytes() == b"it was taken"
    again = copy_images(cases, tmp_path / "new", "embed", is_private=False, before=before)  # its digest is another than the copy's
    assert (again, (tmp_path / "new" / "0-0.jpg").read_bytes()) == (first, copy)
    os.utime(film, (1, 1))
    assert copy_images(cases, tmp_path / "new", "embed", is_private=False, before=Before(before.folder, {"0-0": marked})).made_of != first.made_of
    assert (tmp_path / "new" / "0-0.jpg").read_bytes() == copy


# ---- the page


class Page(HTMLParser):
    """What a browser would find: the policy, scripts, styles, and the text that is read."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.policy, self.inside, self.scripts, self.styles, self.texts, self.tags = "", "", list[str](), list[str](), list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.tags.append(tag)
        if dict(attributes).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attributes)["content"] or ""
        assert not [name for name, _ in attributes if name.startswith("on") or name == "style"], "the policy would block it"

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        {"script": self.scripts, "style": self.styles}.get(self.inside, self.texts).append(data)


TABLE = Table(
    "summary",
    "Summary",
    "",
    (Block((Column("Model", is_words=True), Column("F1")), (Line("<script>alert(1)</script>", ("0.5",)),)),),
    (Note("On {{script}} and <b>."),),
    (),
)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(page_html("<script>title</script> {{style}}", "Drawn, not <i>patients</i>.", [TABLE]))


def test_only_the_page_s_own_script_and_style_may_run_and_nothing_is_fetched(page: Page) -> None:
    rules = {words[0]: words[1:] for words in (rule.split() for rule in page.policy.split(";"))}
    for name, contents in (("script-src", page.scripts), ("style-src", page.styles)):
        hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" for content in contents}
        assert len(contents) == 1
        assert {word for word in rules[name] if word.startswith("'sha")} == hashes
        assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "http:", "https:"} & set(rules[name])
    for name in ("default-src", "connect-src", "base-uri", "form-action"):
        assert rules[name] == ["'none'"]
    assert set(rules["img-src"]) == {"'self'", "file:", "data:"}


def test_texts_stay_texts_whatever_they_look_like_and_tables_are_read_without_a_script(page: Page) -> None:
    text = " ".join(page.texts)
    assert "<script>title</script> {{style}}" in text
    assert "Drawn, not <i>patients</i>." in text
    assert "<script>alert(1)</script>" in text
    assert "On {{script}} and <b>." in text
    assert {"table", "caption", "th"} <= set(page.tags)
    assert page.tags.count("script") == 1


def test_the_page_names_no_other_server() -> None:
    addresses = set(re.findall(r"https?://[^\s\"'`)<]+", page_html("t", "", [])))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name of drawings, not an address that is opened
