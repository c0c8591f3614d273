"""A small version of the whole command: Table 5 from nothing, each step a process of its own, to tables, figures, claims and the record."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.runs import sha256

DATASET = "phantom:train=40,validate=10,test=20"
"""few images: most of what is left is the start of eleven processes"""
STEPS = ["detector", "classifier", *(f"stage1-{arm}-42" for arm in ("all_29", "main"))]
STEPS += [f"stage2-{arm}-42" for arm in ("all_29", "main", "low_resolution")]
STEPS += [f"reports-{arm}-42" for arm in ("all_29", "main", "low_resolution", "true_boxes")]
PAIRS = ("main - all_29", "main - low_resolution", "true_boxes - main")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_table_5_is_made_from_nothing_by_one_command(tmp_path: Path) -> None:
    out, published = tmp_path / "out", tmp_path / "published"
    words = ["reproduce", "table5", "--profile", "tiny", "--dataset", DATASET, "--seeds", "1", "--out", str(out), "--publish", str(published)]
    made = subprocess.run([sys.executable, "-m", "benchmark", *words], capture_output=True, text=True, timeout=1700, check=False)
    assert made.returncode == 0, made.stderr[-3000:]
    assert "What is claimed, in print and here" in made.stdout

    files = {file.name for file in published.iterdir()}
    tables = {f"{name}.{ending}" for name in ("table5", "claims") for ending in ("md", "csv", "tex", "html")}
    figures = {f"table5{part}.{ending}" for part in ("", "_differences") for ending in ("svg", "png")}
    assert files == {*tables, *figures, "numbers.csv", "README.md", "index.html", "run.json"}
    assert files == {file.name for file in (out / "tables").iterdir()}

    record = json.loads((published / "run.json").read_text(encoding="utf-8"))
    assert sorted(record["steps"]) == sorted(STEPS)
    assert all(step["seconds"] > 0 and step["command"].startswith("python -m benchmark ") for step in record["steps"].values())
    assert record["failed"] == record["left_out"] == {}
    assert record["files"] == {name: sha256(published / name) for name in sorted(files - {"run.json"})}

    with (published / "numbers.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for pair in PAIRS:
        values = {(row["metric"], row["number"]): float(row["mean"] or "nan") for row in rows if row["model"] == pair}
        assert not math.isnan(values["lesions", "macro_f1"]), pair
        assert not math.isnan(values["rouge_l", "f1"]), pair

    page = (published / "README.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("# ")] == ["# Tables and figures of the paper, made again on phantom"]
    assert page.splitlines()[2].startswith("**Drawn phantoms, not patients")
    assert f"`python -m benchmark reproduce table5 --dataset {DATASET} --seeds 1 --profile tiny`" in page
    for name in files:
        if not name.endswith(".png"):
            assert str(tmp_path) not in (published / name).read_text(encoding="utf-8"), name
