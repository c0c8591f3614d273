"""The labeller by rules against the truth of the phantoms: whoever wrote the sentence knows what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmark.datasets.phantom import generate
from benchmark.labelling.rules import RuleLabeller
from benchmark.records import Lesion


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, dict[str, Lesion]]]:
    """FINDINGS sections with what they say of the 14 lesions, one of each examination."""
    folder = tmp_path_factory.mktemp("phantoms") / "told"
    generate(folder, train=250, validate=1, test=1, seed=5, fast=True, progress=False, workers=1)
    found: dict[int, tuple[str, dict[str, Lesion]]] = {}
    for line in (folder / "truth.jsonl").read_text().splitlines():
        row = json.loads(line)
        file = folder / Path(row["path"]).parents[1] / f"s{row['study_id']}.txt"
        section = re.search(r"FINDINGS:(.*?)(?:IMPRESSION:|\Z)", file.read_text() if file.is_file() else "", re.DOTALL)
        if section and not row["fault"]:
            found[row["study_id"]] = section[1], {x["name"]: Lesion(x["name"], x["status"], x["side"], x["certainty"]) for x in row["lesions"]}
    return list(found.values())


def test_status_and_side_are_what_the_writer_meant(told: list[tuple[str, dict[str, Lesion]]]) -> None:
    labels = RuleLabeller().label([text for text, _ in told])
    pairs = [(truth[lesion.name], lesion, text) for (text, truth), lesions in zip(told, labels, strict=True) for lesion in lesions]
    positive = [pair for pair in pairs if pair[0].status == "positive"]
    assert len(positive) > 200
    wrong = [(meant, read) for meant, read, _ in pairs if meant.status != read.status]
    assert len(wrong) <= 0.002 * len(pairs), wrong[:5]
    wrong = [(meant, read) for meant, read, _ in positive if read.status == "positive" and meant.side != read.side]
    assert len(wrong) <= 0.01 * len(positive), wrong[:5]
    wrong = [(meant, read) for meant, read, _ in positive if read.status == "positive" and meant.certainty != read.certainty]
    assert len(wrong) <= 0.03 * len(positive), wrong[:5]
