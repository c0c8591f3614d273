"""A tiny CLALA-Net and a dozen tiny images, so that every test of the package runs in seconds on one core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clala.checkpoint import Bundle, new_bundle
from clala.config import CLALAConfig, Recipe, preset, recipe
from clala.crops import cut_all
from clala.data import IndexLine, Samples, write_index
from clala.regions import LESIONS, roi_lesions
from clala.tokens import WordTokenizer

torch.set_num_threads(1)

SENTENCES = {
    "left lung": ("the left lung is clear.", "there is a left pleural effusion."),
    "right lung": ("the right lung is clear.", "there is a right pleural effusion."),
    "cardiac silhouette": ("heart size is normal.", "the heart is enlarged."),
}


@pytest.fixture(scope="session")
def tokenizer() -> WordTokenizer:
    return WordTokenizer.learn((text for pair in SENTENCES.values() for text in pair), least=1, always=LESIONS)


@pytest.fixture(scope="session")
def config(tokenizer: WordTokenizer) -> CLALAConfig:
    return preset(
        "demo",
        crop_px=32,
        crop_px_stage2=48,
        patch_px=8,
        width=32,
        heads=4,
        encoder_layers=2,
        text_layers=1,
        decoder_layers=2,
        max_tokens=16,
        word_dropout=0.0,
        projection=16,
        classifier_px=64,
        classifier_width=8,
        detector_px=64,
        detector_width=8,
        detector_modes=6,
        vocabulary_size=len(tokenizer),
    )


@pytest.fixture(scope="session")
def quick() -> Recipe:
    return recipe(
        "demo",
        batch=6,
        epochs_stage1=2,
        epochs_stage2=1,
        warmup_steps=2,
        normal_share=1.0,
        repeat_below=0.0,
        classifier_epochs=2,
        classifier_batch=6,
        detector_epochs=2,
    )


@pytest.fixture
def bundle(config: CLALAConfig, tokenizer: WordTokenizer) -> Bundle:
    torch.manual_seed(0)
    made = new_bundle(config, tokenizer).eval()
    with torch.no_grad():
        made.detector.mean.copy_(torch.tensor([0.2, 0.2, 0.7, 0.8]).repeat(29))
    return made


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[IndexLine]:
    """12 images of six patients: a bright square low on a side is an effusion there, a wide middle a large heart."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    made = []
    for number in range(12):
        image = rng.integers(40, 80, (90, 80)).astype(np.uint8)
        stated: dict[str, str] = {}
        if number % 3 == 1:
            stated["pleural effusion"] = "left"
            image[60:80, 45:75] = 220
        if number % 3 == 2:
            stated["cardiomegaly"] = "not mentioned"
            image[45:75, 20:65] = 180
        path = folder / f"{number}.png"
        Image.fromarray(image).save(path)
        boxes = {"right lung": (5.0, 10.0, 38.0, 80.0), "left lung": (42.0, 10.0, 76.0, 80.0), "cardiac silhouette": (20.0, 40.0, 65.0, 80.0)}
        carried = {name: roi_lesions(name, stated) for name in boxes}
        made.append(
            IndexLine(
                id=f"i{number}",
                patient=f"p{number // 2}",
                split="train" if number < 9 else "validate",
                image=path,
                boxes=boxes,
                sentences={name: SENTENCES[name][bool(carried[name])] for name in boxes},
                lesions=stated,
                roi_lesions=carried,
            )
        )
    return made


@pytest.fixture(scope="session")
def index(lines: list[IndexLine], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "index.jsonl"
    write_index(lines, path)
    return path


@pytest.fixture(scope="session")
def samples(lines: list[IndexLine], config: CLALAConfig, tokenizer: WordTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Samples:
    store = cut_all(
        [line.image for line in lines],
        [dict(line.boxes) for line in lines],
        tmp_path_factory.mktemp("crops"),
        crop_px=config.crop_px,
        margin=config.crop_margin,
        whole_px=config.classifier_px,
        workers=1,
    )
    return Samples(lines, store, config, tokenizer)
