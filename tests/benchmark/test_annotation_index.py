"""Places of annotations in a large file: found once, kept by the file's checksum, and believed only where they can be."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.annotating.annotation_file import AnnotationFile, UnreadableAnnotations, _read_through
from benchmark.annotating.annotation_index import KEPT_FROM, NOWHERE, PART_SECONDS, VERSION, Digests, digest_of

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


@pytest.mark.parametrize("damage", ["half", "empty", "no zip", "one array", "unknown packing", "locked", "beyond the file", "a place twice"])
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
    if damage == "one array":
        with kept.open("wb") as out:
            np.save(out, arrays["starts"])
    if damage in ("unknown packing", "locked"):  # a byte of what the archive says of its last member, which no checksum covers
        place, byte = {"locked": (8, b"\x01"), "unknown packing": (10, b"\x63")}[damage]
        at = content.rindex(b"PK\x01\x02") + place
        kept.write_bytes(content[:at] + byte + content[at + 1 :])
    found_again = again(large, "other.jsonl")
    assert [token(found_again.annotate([report(number)])) for number in range(COUNT)] == [f"t{number}" for number in range(COUNT)]
    assert kept_file(tmp_path).read_bytes()[:2] == b"PK"
    assert len(kept_file(tmp_path).read_bytes()) == len(content)


def test_half_files_of_killed_processes_go_and_those_of_others_that_write_stay(large: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "annotations"
    folder.mkdir(parents=True)
    old, fresh, others = (folder / name for name in ("index-1-aa.npz.4711.part", "index-1-bb.npz.4712.part", "kept.jsonl.part"))
    for part in (old, fresh, others):
        part.write_bytes(b"half")
    an_hour_ago = time.time() - PART_SECONDS - 60
    for part in (old, others):
        os.utime(part, (an_hour_ago, an_hour_ago))
    AnnotationFile(str(large))
    assert {path.name for path in folder.glob("*.part")} == {fresh.name, others.name}


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


TAKEN = (
    b'{"report": "No effusion.", "entities": {}}\n\n {"report": "No  effusion.", "entities": {}} \n',
    b'\xef\xbb\xbf{"text": "No effusion .", "entities": {"1": {"tokens": "effusion", "label": "OBS-DA", "relations": []}}}\r\n',
    '{"0": {"text": "é ü", "entities": {}}, "Ödem.": {"entities": {}},\n"1": {"text": "éü", "entities": {}}}'.encode(),
    b'{"a": {"entities": {"1": {"tokens": "x", "label": "y", "relations": [["modify", "1"]]}}, "text": 3}}',
    b'{"report": 7, "text": "seven", "entities": {}}\n{"report": "7", "entities": {}}',
)
REFUSED = (
    b"",
    b"{}",
    b"[]",
    b'{"report": "a", "entities": []}',
    b'{"entities": {}}',
    b'{"report": "a", "entities": {"1": {"tokens": "x", "label": "y"}}}',
    b'{"report": "a", "entities": {"1": {"tokens": "x", "label": "y", "relations": [["modify", "2"]]}}}',
    b'{"report": "a", "entities": {"1": {"tokens": "x", "label": "y", "relations": [["suggests", "1"]]}}}',
    b'{"report": "a", "entities": {}}\n{"report": "a", "entities": {"1": {"tokens": "x", "label": "y", "relations": []}}}',
)


def test_what_is_kept_is_of_the_version_that_its_name_says(tmp_path: Path) -> None:
    """An index that an earlier program kept is believed while VERSION stays. So whatever is read otherwise, taken or refused otherwise, needs another
    VERSION, and its digest here.
    """
    digest, file = hashlib.sha256(), tmp_path / "annotations.json"
    for content in TAKEN:
        file.write_bytes(content)
        index = _read_through(file, "")
        for numbers in (index.starts, index.sizes, *index.by_report, *index.by_letters):
            digest.update(f"{len(numbers)}:".encode() + numbers.astype(numbers.dtype.newbyteorder("<")).tobytes())
    for content in REFUSED:
        file.write_bytes(content)
        with pytest.raises(UnreadableAnnotations):
            _read_through(file, "")
    assert (VERSION, digest.hexdigest()[:16]) == (1, "ce869f3c76c4f362")
