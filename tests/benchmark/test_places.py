"""Words that go elsewhere name no folder of this machine."""

from __future__ import annotations

import time

import pytest

from benchmark.places import without_places

SAID = {
    "a file": ("cannot read /home/ada/w.pt: gone", "cannot read w.pt: gone"),
    "one in quotes": ("[Errno 2] No such file: '/home/ada/my data/w.pt'", "[Errno 2] No such file: w.pt"),
    "a folder with a blank": ("open /srv/my data/w.pt failed", "open w.pt failed"),
    "a command": ("command:/home/ada/run --weights /home/ada/w.pt", "command:run --weights w.pt"),
    "a setting": ("--weights=/home/ada/w.pt", "--weights=w.pt"),
    "a dataset": ("manifest:/data/ada/cases.csv", "manifest:cases.csv"),
    "home": ("in ~/ada/x and ~ada/y", "in x and y"),
    "an address of a file": ("see file:///home/ada/x.html", "see x.html"),
    "another system": (r"C:\Users\ada\w.pt and \\host\ada\w.pt", "w.pt and w.pt"),
    "several": ("/a/ada:/b/c", "ada:c"),
}
KEPT = ("and/or, 5/5, 3 / 4", "https://huggingface.co/a/b and http://127.0.0.1:9/v1/models", "12/11/2026", "StanfordAIMI/GREEN", "<td></td>", "a:b")


@pytest.mark.parametrize(("text", "expected"), SAID.values(), ids=SAID)
def test_of_a_place_its_last_name_is_left(text: str, expected: str) -> None:
    assert without_places(text) == expected


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_place_stays(text: str) -> None:
    assert without_places(text) == text


def test_long_words_take_no_long_time() -> None:
    begun = time.process_time()
    for text in ("/" * 20_000, "/a b" * 5_000, "'/" * 5_000, "/" + "x" * 20_000, "\\" * 20_000):
        without_places(text)
    assert time.process_time() - begun < 2
