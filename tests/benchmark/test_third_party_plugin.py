"""The door that plugins come in by, proven with packages that know nothing of this checkout: built, installed and used from the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"

[project.entry-points.clala_benchmark]
{name} = "{name}"

[tool.hatch.build.targets.wheel]
packages = ["{name}.py"]
only-include = ["{name}.py"]
"""

# The README's dozen lines, and a dataset, a metric, a labeller and a trainer so that all five hooks are used.
AVIARY = """
import json
from pathlib import Path

import numpy as np
from benchmark import Case, Lesion, Reference, Report, hookimpl
from benchmark.vocabulary import LESIONS

class Parrot:
    def __init__(self, words: int = 5) -> None:
        self.words = words

    def generate(self, cases):
        for case in cases:
            yield Report(case.id, " ".join(["lungs"] * self.words))

class Cages:
    name, is_credentialed, note = "cages", False, "Three cages."

    def cases(self, split):
        return [Case(id=f"c{n}", patient=f"p{n}", study=f"s{n}", images=()) for n in range(3)]

    def references(self, split):
        return [Reference(f"c{n}", "The lungs are clear.") for n in range(3)]

    def fingerprint(self, split):
        return "cages"

    def problems(self):
        return []

class Length:
    name = "length"

    def statistics(self, hypotheses, references):
        return np.array([[len(text.split()), 1.0] for text in hypotheses], dtype=float).reshape(-1, 2)

    def values(self, sums):
        return {"words": sums[..., 0] / sums[..., 1]}

    def signature(self):
        return "length|by:space|v:1"

class Ears:
    def __init__(self, word: str, device: str = "auto") -> None:
        self.word, self.device = word, device

    def label(self, reports):
        return [tuple(Lesion(name, "positive" if self.word in report else "negative") for name in LESIONS) for report in reports]

    def signature(self):
        return f"ears|word:{self.word}|device:{self.device}"

def teach(training, *, out: Path, words: int = 3) -> Path:
    "Teach a parrot from what it hears."
    heard = [reference.report for reference in training.references("train")]
    out.mkdir(parents=True, exist_ok=True)
    (out / "about.json").write_text(json.dumps({"heard": heard, "summary": {"words": words}}))
    return out

@hookimpl
def register_models(register):
    register("parrot", Parrot, summary="says lungs")

@hookimpl
def register_trainers(register):
    register("lesson", "aviary:teach", summary="teaches a parrot")

@hookimpl
def register_labellers(register):
    register("ears", "aviary:Ears", summary="hears one word")

@hookimpl
def register_datasets(register):
    register("cages", Cages, summary="three cages")

@hookimpl
def register_metrics(register):
    register("length", "aviary:Length", summary="words in a report")
"""

MISSPELT = """
from benchmark import hookimpl

@hookimpl
def register_model(register):
    register("parrot", object)
"""


def install(folder: Path, name: str, source: str) -> Path:
    """Build the package of one module and install it; the folder to put on the path."""
    package, target = folder / f"{name} source", folder / f"{name} installed"
    package.mkdir()
    (package / "pyproject.toml").write_text(PYPROJECT.format(name=name))
    (package / f"{name}.py").write_text(source)
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([*words, "--target", str(target), str(package)], check=True, capture_output=True, text=True)
    return target


def benchmark(folder: Path, target: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``python -m benchmark`` with the plugin on the path, in a folder that is not this checkout."""
    environment = {**os.environ, "PYTHONPATH": str(target), "CLALA_BENCHMARK_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "benchmark", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plugins")


@pytest.fixture(scope="module")
def aviary(folder: Path) -> Path:
    return install(folder, "aviary", AVIARY)


def test_what_an_installed_plugin_registers_is_listed_among_ours(folder: Path, aviary: Path) -> None:
    for kind, line in (("models", "parrot "), ("datasets", "cages "), ("metrics", "length "), ("labellers", "ears "), ("trainers", "lesson ")):
        listed = benchmark(folder, aviary, "list", kind)
        assert listed.returncode == 0, listed.stderr
        assert any(found.strip().startswith(line) for found in listed.stdout.splitlines()), listed.stdout
    models = benchmark(folder, aviary, "list", "models").stdout
    assert re.search(r"^  parrot +says lungs", models, re.MULTILINE)
    assert "constant " in models


def test_without_the_plugin_its_names_are_unknown(folder: Path) -> None:
    refused = benchmark(folder, folder, "run", "--models", "parrot")
    assert refused.returncode == 2
    assert "no model named 'parrot'" in refused.stderr


def test_a_plugins_model_runs_on_a_plugins_dataset_by_a_plugins_metric(folder: Path, aviary: Path) -> None:
    words = ["run", "--models", "parrot,constant", "--dataset", "cages", "--metrics", "length,rouge_l", "--set", "parrot.words=7", "--workers", "1"]
    done = benchmark(folder, aviary, *words, "--out", "run")
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in (folder / "run" / "parrot" / "reports.jsonl").read_text().splitlines()]
    assert [report["text"] for report in reports] == ["lungs lungs lungs lungs lungs lungs lungs"] * 3
    assert (folder / "run" / "run.json").exists()
    rows = (folder / "run" / "rows.csv").read_text()
    assert "length|by:space|v:1" in rows
    [mean] = [line for line in rows.splitlines() if line.startswith("parrot,length,words,")]
    assert mean.split(",")[3] in ("7", "7.0")


def test_a_plugins_labeller_labels_a_file_and_measures_a_run(folder: Path, aviary: Path) -> None:
    (folder / "heard.csv").write_text("id,report\na,The lungs are clear.\nb,The heart is large.\n")
    done = benchmark(folder, aviary, "label", "heard.csv", "--labeller", "ears", "--set", "ears.word=heart", "--out", "heard.jsonl")
    assert done.returncode == 0, done.stderr
    assert "labelled by ears|word:heart|device:auto" in done.stdout
    lines = [json.loads(line) for line in (folder / "heard.jsonl").read_text().splitlines()]
    assert [(line["id"], {lesion["status"] for lesion in line["lesions"]}) for line in lines] == [("a", {"negative"}), ("b", {"positive"})]
    words = ["run", "--models", "parrot", "--dataset", "cages", "--metrics", "lesions", "--labeller", "ears", "--device", "cpu", "--workers", "1"]
    refused = benchmark(folder, aviary, *words, "--out", "unheard")
    assert refused.returncode == 2
    assert "labeller 'ears' needs the setting 'word' (--set NAME.word=...)" in refused.stderr
    assert not (folder / "unheard").exists()
    done = benchmark(folder, aviary, *words, "--set", "ears.word=lungs", "--out", "heard")
    assert done.returncode == 0, done.stderr
    rows = (folder / "heard" / "rows.csv").read_text()
    assert "labeller:(ears|word:lungs|device:cpu)" in rows
    [f1] = [line for line in rows.splitlines() if line.startswith("parrot,lesions,macro_f1,")]
    assert f1.split(",")[3] in ("1", "1.0")


def test_a_plugins_model_runs_beside_a_dataset_of_ours(folder: Path, aviary: Path) -> None:
    from PIL import Image

    lines = ["id,image,report,patient"]
    for number in range(3):
        Image.new("L", (64, 64), 40 * number).save(folder / f"{number}.png")
        lines.append(f"m{number},{number}.png,The lungs are clear.,p{number}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    words = ["run", "--models", "parrot", "--dataset", "manifest:cases.csv", "--metrics", "rouge_l", "--workers", "1", "--out", "ours"]
    done = benchmark(folder, aviary, *words)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in (folder / "ours" / "parrot" / "reports.jsonl").read_text().splitlines()]
    assert [(report["case_id"], report["text"]) for report in reports] == [(f"m{number}", "lungs lungs lungs lungs lungs") for number in range(3)]


def test_a_plugins_trainer_trains_on_a_plugins_dataset_and_says_what_came_of_it(folder: Path, aviary: Path) -> None:
    done = benchmark(folder, aviary, "train", "lesson", "--dataset", "cages", "--words", "5", "--out", "taught")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "trained in 0 s: words 5; weights in taught"
    assert json.loads((folder / "taught" / "about.json").read_text())["heard"] == ["The lungs are clear."] * 3
    shown = benchmark(folder, aviary, "train", "lesson", "--help").stdout
    assert "Teach a parrot from what it hears." in shown
    assert "--words  whole number  [3]" in shown
    refused = benchmark(folder, aviary, "train", "lession")
    assert refused.returncode == 2
    known = "clala, classifier, cvt2distilgpt2, detector, lesson, r2gen, rgrg, tsget"
    assert f"no trainer named 'lession' (did you mean 'lesson'?); known: {known}" in refused.stderr


def test_a_misspelt_hook_is_refused_with_the_names_of_plugin_and_hook(folder: Path) -> None:
    """Else its author would look for the fault in the model."""
    refused = benchmark(folder, install(folder, "misspelt", MISSPELT), "list", "models")
    assert refused.returncode == 2
    [line] = refused.stderr.strip().splitlines()
    assert "plugin 'misspelt'" in line
    assert "register_model'" in line
    assert "the hooks are register_models, register_metrics, register_datasets" in line


def test_a_plugin_that_cannot_be_imported_leaves_the_others_alone(folder: Path) -> None:
    target = install(folder, "broken_wing", "raise RuntimeError('no feathers')")
    assert "constant " in benchmark(folder, target, "list", "models").stdout
    refused = benchmark(folder, target, "run", "--models", "parrot")
    assert "plugin 'broken_wing' could not be loaded: RuntimeError: no feathers" in refused.stderr
