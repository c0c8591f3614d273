from __future__ import annotations

import builtins
import hashlib
import importlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_clala import BOXES, TINY

pytest.importorskip("torch")

from adapters.clala import CLALA, DEMO_WEIGHTS, index_lines, train
from benchmark.places import shipped
from benchmark.records import Case, ImageFile, Lesion, Reference, Report, UserError
from benchmark.vocabulary import LESIONS, PAPER_REGIONS
from clala.held import FolderInUse, held


class FakeDataset:
    """Six images of three patients; every second one has a left effusion."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for number in range(6):
            Image.fromarray(np.random.default_rng(number).integers(0, 255, (90, 80)).astype(np.uint8)).save(folder / f"{number}.png")

    def numbers(self, split: str) -> list[int]:
        return {"train": [0, 1, 2, 3], "validate": [4, 5]}[split]

    def cases(self, split: str) -> list[Case]:
        return [Case(f"c{n}", f"p{n // 2}", f"s{n}", (ImageFile(self.folder / f"{n}.png", "AP"),)) for n in self.numbers(split)]

    def references(self, split: str) -> list[Reference]:
        return [self.reference(n) for n in self.numbers(split)]

    def reference(self, number: int) -> Reference:
        sick = number % 2 == 1
        text = "There is a left pleural effusion." if sick else "The lungs are clear."
        lesions = tuple(
            Lesion(name, "positive" if sick and name == "pleural effusion" else "negative", "left" if name == "pleural effusion" else "not mentioned")
            for name in LESIONS
        )
        return Reference(f"c{number}", text, dict.fromkeys(BOXES, text), BOXES, lesions)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FakeDataset:
    return FakeDataset(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def weights(dataset: FakeDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("weights")
    return train(dataset, out=out, labels="truth", epochs=1, epochs_stage2=1, batch=4, workers=1, device="cpu", settings=TINY, command="a test")


@pytest.fixture(scope="module")
def model(weights: Path) -> CLALA:
    return CLALA(str(weights), device="cpu", batch_size=2)


def test_nobody_comes_between_the_index_and_the_record_of_its_labels(dataset: FakeDataset, tmp_path: Path) -> None:
    """Another training would put an index of its own there, and its lesions would be learnt as those of this one's labels."""
    out, entered, is_over = tmp_path / "out", list[bool](), threading.Event()

    def knock() -> None:
        while not (out / "work" / "index.jsonl").exists() and not is_over.wait(0.001):
            pass
        while not is_over.wait(0.002):
            with suppress(FolderInUse), held(out):
                entered.append((out / "about.json").exists() and "labels" in json.loads((out / "about.json").read_text()))

    other = threading.Thread(target=knock)
    other.start()
    try:
        train(dataset, out=out, labels="truth", epochs=0, epochs_stage2=0, batch=4, workers=1, device="cpu", settings=TINY)
    finally:
        is_over.set()
        other.join()
    assert all(entered)
    with held(out):
        assert json.loads((out / "about.json").read_text())["labels"]["source"] == "truth"


def test_there_is_one_report_per_case_in_order_with_its_regions_and_details(model: CLALA, dataset: FakeDataset) -> None:
    cases = dataset.cases("train")
    reports = list(model.generate(cases))
    assert [report.case_id for report in reports] == [case.id for case in cases]
    assert list(reports[0].regions) == [region for region in PAPER_REGIONS if region in BOXES]  # the others it has never seen
    assert list(reports[0].details["lesions"]) == list(LESIONS)
    assert all(len(box) == 4 for box in reports[0].details["boxes"].values())
    json.dumps(reports[0].details)


def test_reports_are_handed_out_batch_by_batch(model: CLALA, dataset: FakeDataset) -> None:
    asked = []

    class Watched(list[Case]):
        def __getitem__(self, index: Any) -> Any:
            asked.append(index)
            return super().__getitem__(index)

    reports: Iterator[Any] = model.generate(Watched(dataset.cases("train")))
    next(reports)
    assert asked == [slice(0, 2)]


def test_an_unreadable_image_fails_alone(model: CLALA, dataset: FakeDataset, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    first, second, _, _ = dataset.cases("train")
    broken = Case("broken", "p9", "s9", (ImageFile(tmp_path / "broken.png"),))
    alone = list(model.generate([first, second]))
    reports = list(model.generate([first, broken, Case("bare", "p9", "s9", ()), second]))
    assert "broken.png" in reports[1].failure
    assert reports[2].failure == "the case has no image"
    assert [reports[0].text, reports[3].text] == [report.text for report in alone]


def test_true_boxes_are_used_when_they_are_granted_and_asked_for(weights: Path, dataset: FakeDataset) -> None:
    case = dataset.cases("train")[0]
    model = CLALA(str(weights), device="cpu", boxes="truth")
    granted, bare = model.generate([Case(case.id, case.patient, case.study, case.images, boxes=BOXES), case])
    assert list(granted.regions) == ["left lung", "right lung", "cardiac silhouette"]
    assert bare.failure == "boxes=truth was asked for, but this case grants no boxes"
    assert sorted([*granted.details["boxes"], *granted.details["missing_regions"]]) == sorted(PAPER_REGIONS)  # what is not found is counted (D12)
    assert set(granted.details["boxes"]) == set(BOXES)


@pytest.mark.parametrize("shape", [(40, 700), (700, 40), (64, 64), (5, 5)])
def test_an_image_of_any_shape_gets_a_report(model: CLALA, tmp_path: Path, shape: tuple[int, int]) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)).save(tmp_path / "odd.png")
    report = next(model.generate([Case("odd", "p", "s", (ImageFile(tmp_path / "odd.png"),))]))
    assert not report.failure


def test_provenance_has_the_checksum_and_the_command_of_the_weights(model: CLALA, weights: Path) -> None:
    import hashlib

    about = model.provenance()
    assert about["weights_sha256"] == hashlib.sha256((weights / "weights.safetensors").read_bytes()).hexdigest()
    assert about["made_by"] == "a test"
    assert about["config"]["width"] == 32


def test_a_folder_without_weights_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"clala: no about\.json in"):
        CLALA(str(tmp_path))


def test_settings_that_make_no_sense_are_refused(weights: Path) -> None:
    with pytest.raises(UserError, match="beams is 0 and batch_size 16; both must be at least 1"):
        CLALA(str(weights), beams=0)
    with pytest.raises(UserError, match="boxes is 'gt'; it must be predicted or truth"):
        CLALA(str(weights), boxes="gt")  # type: ignore[arg-type]


def test_without_torch_the_remedy_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_torch(name: str, *rest: Any) -> Any:
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return original(name, *rest)

    original = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", without_torch)
    with pytest.raises(UserError, match=r"needs torch, which is not installed; install the extra: pip install 'clala-benchmark\[models\]'"):
        CLALA(str(weights))


def test_the_adapter_is_imported_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing models must not wait for it."""
    import sys

    import adapters.clala

    original = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        assert name.split(".")[0] not in ("torch", "timm", "transformers")
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "adapters.clala")
    importlib.import_module("adapters.clala")
    monkeypatch.setattr(builtins, "__import__", original)
    sys.modules["adapters.clala"] = adapters.clala


class Endpoint:
    """Behaves like a language model: writes every statement of its prompt, or what ``answers`` has for it."""

    def __init__(self, answers: Callable[[str], str] | None = None) -> None:
        self.answers, self.prompts = answers, list[str]()

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return self.answers(prompt) if self.answers else "Written. " + " ".join(re.findall(r"^- [a-z ]+: (.*)$", prompt, re.MULTILINE))


def first(model: CLALA, dataset: FakeDataset) -> Report:
    reports = model.generate(dataset.cases("train")[:1])
    return next(reports)


def test_a_language_model_makes_the_report_of_the_shipped_prompt(weights: Path, dataset: FakeDataset) -> None:
    endpoint = Endpoint()
    model = CLALA(str(weights), device="cpu", aggregator=endpoint)
    report = first(model, dataset)
    prompt = shipped("prompts", "aggregate.md").read_text(encoding="utf-8")
    assert report.text.startswith("Written. ")
    assert not report.failure
    (asked,) = endpoint.prompts
    assert asked == prompt.replace("{regions}", "\n".join(f"- {region}: {text}" for region, text in report.regions.items() if text))
    assert model.provenance()["aggregator"] == f"language_model|prompt:{hashlib.sha256(prompt.encode()).hexdigest()[:12]}"


def refuse(error: Exception) -> Callable[[str], str]:
    def answer(prompt: str) -> str:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answers", "failure"),
    [
        (refuse(TimeoutError("60 s")), "the language model gave no answer: TimeoutError: 60 s"),
        (lambda prompt: " ", "the language model answered with nothing"),
    ],
)
def test_an_answer_that_is_none_is_a_failed_case_and_its_sentences_are_kept(
    weights: Path, dataset: FakeDataset, answers: Callable[[str], str], failure: str
) -> None:
    report = first(CLALA(str(weights), device="cpu", aggregator=Endpoint(answers)), dataset)
    assert (report.text, report.failure) == ("", failure)
    assert report.regions


def test_a_report_that_lost_a_finding_is_a_failed_case(weights: Path, dataset: FakeDataset) -> None:
    model = CLALA(str(weights), device="cpu", aggregator=Endpoint(lambda prompt: "Normal chest."))
    assert model._put_together([{"left lung": "left pleural effusion."}]) == [
        ("", "the report lacks left pleural effusion, which the region sentences state")
    ]


def test_an_endpoint_that_is_not_to_be_had_stops_the_model_instead_of_failing_every_case(weights: Path, dataset: FakeDataset) -> None:
    model = CLALA(str(weights), device="cpu", aggregator=Endpoint(refuse(UserError("no endpoint named here; set one"))))
    with pytest.raises(UserError, match="no endpoint named here; set one"):
        first(model, dataset)


def test_the_index_holds_what_the_dataset_knows(dataset: FakeDataset) -> None:
    line = index_lines(dataset.cases("train"), dataset.references("train"), "train", "truth")[1]
    assert line.lesions == {"pleural effusion": "left"}
    assert line.roi_lesions == {"left lung": ("pleural effusion",), "right lung": (), "cardiac silhouette": ()}
    assert line.patient == "p0"


def test_the_rules_say_the_same_as_the_truth_of_plain_sentences(dataset: FakeDataset) -> None:
    lines = [index_lines(dataset.cases("train"), dataset.references("train"), "train", labels) for labels in ("truth", "rules")]
    assert lines[0] == lines[1]


def test_training_on_truth_that_is_not_there_is_refused(dataset: FakeDataset) -> None:
    bare = [Reference(r.case_id, r.report, r.region_sentences, r.boxes) for r in dataset.references("train")]
    with pytest.raises(UserError, match="truth: the dataset states no lesions for 4 of 4 cases, the first 'c0'; name another source of labels"):
        index_lines(dataset.cases("train"), bare, "train", "truth")


def test_an_unknown_setting_of_the_training_is_refused(dataset: FakeDataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train clala: no setting named 'colour'; known: "):
        train(dataset, out=tmp_path, settings="colour=blue")
    with pytest.raises(UserError, match=r"train clala: no preset named 'huge'; known: paper, demo"):
        train(dataset, out=tmp_path, preset="huge")


def test_stage_2_starts_from_a_folder_in_full_precision_and_says_which(dataset: FakeDataset, weights: Path, tmp_path: Path) -> None:
    """Together they are the training in one; the default, half precision, is refused."""
    from safetensors.torch import load_file

    how = {"labels": "truth", "batch": 4, "workers": 1, "device": "cpu", "settings": TINY}
    halved, full = (train(dataset, out=tmp_path / f"half-{half}", epochs=1, epochs_stage2=0, half=half, **how) for half in (True, False))
    with pytest.raises(UserError, match=r"train clala: .* stored in half precision, .* \(--no-half\)"):
        train(dataset, out=tmp_path / "refused", start=halved, epochs_stage2=1, **how)
    out = train(dataset, out=tmp_path / "out", start=full, epochs_stage2=1, **how)
    about = json.loads((out / "about.json").read_text())
    assert about["start"]["labels"]["source"] == "truth"
    one, other = (load_file(folder / "weights.safetensors") for folder in (out, weights))
    assert one.keys() == other.keys()
    assert all(bool((one[name] == other[name]).all()) for name in one)


@pytest.mark.skipif(not DEMO_WEIGHTS.exists(), reason="the demo weights are not in this checkout")
def test_the_demo_weights_are_small_and_say_how_they_were_made() -> None:
    assert sum(file.stat().st_size for file in DEMO_WEIGHTS.iterdir()) < 8 * 2**20
    assert CLALA(device="cpu").provenance()["made_by"].startswith("python -m benchmark train clala")


REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.skipif(not (REAL / "nih").exists() or not DEMO_WEIGHTS.exists(), reason="needs ../shared/data/nih and the demo weights")
def test_real_radiographs_get_a_report_with_lungs_on_their_own_sides() -> None:
    files = sorted((REAL / "nih").rglob("*.png"))[:3]
    reports = list(CLALA(device="cpu").generate([Case(file.stem, file.stem, file.stem, (ImageFile(file),)) for file in files]))
    for report in reports:
        assert report.text.endswith(".")
        right, left = report.details["boxes"]["right lung"], report.details["boxes"]["left lung"]
        assert right[0] < left[0]
        assert right[2] < left[2]
