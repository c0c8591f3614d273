"""Places of annotations in a large file: found once, kept by the file's checksum, and believed only where they can be."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.annotating.annotation_file import AnnotationFile
from benchmark.annotating.annotation_index import KEPT_FROM, NOWHERE, Digests, digest_of

COUNT = 40


def report(number: int) -> str:
    return f"Report number {number}."


def annotation(number: int) -> dict[str, Any]:
    return {"report": report(number), "text": "", "entities": {"1": {"tokens": f"t{number}", "label": "OBS-DP", "relations": []}}}


def token(annotations: list[Any]) -> str:
    return str(annotations[0]["entities"]["1"]["tokens"])


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is worth keeping places of, and a cache of its own."""
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    filling = "x" * (KEPT_FROM // COUNT)
    file = tmp_path / "annotations.jsonl"
    file.write_text("".join(json.dumps({**annotation(number), "filling": filling}) + "\n" for number in range(COUNT)))
    return file


def kept_file(folder: Path) -> Path:
    (found,) = (folder / "cache" / "annotations").iterdir()
    return found


def again(file: Path, name: str) -> AnnotationFile:
    """The same bytes under another name: as another process sees them, which remembers nothing of this one."""
    os.link(file, file.with_name(name))
    return AnnotationFile(str(file.with_name(name)))


def test_places_of_a_large_file_are_kept_for_its_owner_alone_and_found_by_its_content(large: Path, tmp_path: Path) -> None:
    first = AnnotationFile(str(large))
    kept = kept_file(tmp_path)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    content = kept.read_bytes()
    assert b"Report number" not in content
    second = again(large, "other.jsonl")
    assert second.signature() == first.signature()
    assert [token(second.annotate([report(number)])) for number in (0, 17, COUNT - 1)] == ["t0", "t17", f"t{COUNT - 1}"]
    assert kept_file(tmp_path).read_bytes() == content


def test_what_was_kept_is_not_found_out_again(large: Path, tmp_path: Path) -> None:
    """Two places changed for each other in the kept file come back as they are there."""
    AnnotationFile(str(large))
    kept = kept_file(tmp_path)
    with np.load(kept) as found:
        arrays = dict(found)
    for name in ("starts", "sizes"):
        arrays[name][[0, 1]] = arrays[name][[1, 0]]
    np.savez(kept, **arrays)
    assert token(again(large, "other.jsonl").annotate([report(0)])) == "t1"


@pytest.mark.parametrize("damage", ["half", "empty", "no zip", "beyond the file", "a place twice"])
def test_a_kept_file_that_is_damaged_is_made_anew(large: Path, tmp_path: Path, damage: str) -> None:
    AnnotationFile(str(large))
    kept = kept_file(tmp_path)
    content = kept.read_bytes()
    with np.load(kept) as found:
        arrays = dict(found)
    if damage == "beyond the file":
        arrays["starts"][3] = large.stat().st_size
    if damage == "a place twice":
        arrays["by_report"][2, 0] = arrays["by_report"][2, 1]
    np.savez(kept, **arrays)
    if damage in ("half", "empty", "no zip"):
        kept.write_bytes({"half": content[: len(content) // 2], "empty": b"", "no zip": b"x" * 100}[damage])
    found_again = again(large, "other.jsonl")
    assert [token(found_again.annotate([report(number)])) for number in range(COUNT)] == [f"t{number}" for number in range(COUNT)]
    assert kept_file(tmp_path).read_bytes()[:2] == b"PK"
    assert len(kept_file(tmp_path).read_bytes()) == len(content)


def test_where_nothing_can_be_kept_the_file_is_read_all_the_same(large: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert token(AnnotationFile(str(large)).annotate([report(5)])) == "t5"


def test_a_small_file_is_not_worth_keeping_places_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "small.jsonl").write_text(json.dumps(annotation(1)))
    assert token(AnnotationFile(str(tmp_path / "small.jsonl")).annotate([report(1)])) == "t1"
    assert not (tmp_path / "cache").exists()


def test_digests_that_begin_alike_are_told_apart() -> None:
    """Half a digest that two others share, before and behind: 2^64 reports would be needed to see it happen."""
    texts = ["a", "b", "c"]
    wanted = digest_of("b")
    known = {wanted[:8] + b"\0" * 8: 5, wanted: 6, wanted[:8] + b"\xff" * 8: 7, digest_of("c"): 8}
    assert Digests.of(known).find(texts).tolist() == [NOWHERE, 6, 8]
    assert Digests.of({}).find(texts).tolist() == [NOWHERE] * 3
    assert Digests.of(known).find([]).tolist() == []
