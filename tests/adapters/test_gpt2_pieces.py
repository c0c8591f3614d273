from __future__ import annotations

from pathlib import Path

import pytest

from adapters.gpt2_pieces import NotThere, own_folder, pieces_folder, tidied

HUB = ("nobody/has-such-pieces", "nobody/nor-these")


def filled(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("{}")
    return folder


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pieces but those of a test, whatever this machine has."""
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))


def test_they_are_looked_for_where_they_are_named_then_beside_the_weights_then_in_the_project_s_own_folder(tmp_path: Path) -> None:
    own = filled(own_folder("rgrg"), "vocab.json", "merges.txt")
    assert own.is_relative_to(tmp_path)
    beside, named = filled(tmp_path / "beside", "tokenizer.json"), filled(tmp_path / "named", "vocab.json", "merges.txt")
    assert pieces_folder("rgrg", named, beside, HUB) == named
    assert pieces_folder("rgrg", None, beside, HUB) == beside
    assert pieces_folder("rgrg", None, filled(tmp_path / "half", "vocab.json"), HUB) == own


def test_what_is_not_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    half = filled(tmp_path / "half", "merges.txt")
    with pytest.raises(NotThere, match=r"rgrg\.tokenizer=.*half: that folder holds neither vocab\.json and merges\.txt nor tokenizer\.json; name"):
        pieces_folder("rgrg", half, None, HUB)
    with pytest.raises(NotThere, match=r"rgrg: no word pieces .* for nobody/has-such-pieces or gpt2 in .*; get both .* --set rgrg\.tokenizer=PATH"):
        pieces_folder("rgrg", None, half, HUB)


def test_a_text_is_tidied_as_transformers_tidies_it() -> None:
    """Recorded from ``clean_up_tokenization`` of transformers 4.35.2."""
    assert tidied("is it , or is n't it ? yes ! the patient 's heart ' s size .") == "is it, or isn't it? yes! the patient's heart's size."
