"""The page of a run that a language model labelled: it shows what was answered, and asks, sends and pays nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from llm_server import serve

from benchmark import evaluator
from benchmark.records import RunConfig
from benchmark.viewer.data_files import read_column, read_part
from benchmark.viewer.opening import page_of
from benchmark.vocabulary import LESIONS

REFERENCES = {"1": "Small left pleural effusion.", "2": "Right pneumothorax."}
OURS = {"1": "Left effusion seen.", "2": "No pneumothorax."}


def labels(positive: str = "", side: str = "not mentioned") -> str:
    nowhere = {"rationale": "", "status": "negative", "location": "not mentioned"}
    found = {name.replace(" ", "_"): {"rationale": "r", "status": "positive", "location": side} if name == positive else nowhere for name in LESIONS}
    return json.dumps(found)


ANSWERS = {
    "Small left pleural effusion.": labels("pleural effusion", "left"),
    "Left effusion seen.": labels("pleural effusion", "left"),
    "Right pneumothorax.": labels("pneumothorax", "right"),
    "No pneumothorax.": labels(),
}


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("CLALA_BENCHMARK_CONFIG", "OPENAI_API_KEY"):
        if name in os.environ:
            monkeypatch.delenv(name)


def positive(run: Path) -> list[list[str]]:
    """Of each case, what its reference is shown to affirm."""
    block = read_part(run / "page" / "block-0.js")[1]
    return [[one["name"] for one in case["reference"]["lesions"] if one["status"] == "positive"] for case in block]


def test_a_page_shows_the_kept_answers_and_asks_for_none(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with serve(tmp_path / "server", answers=ANSWERS) as server:
        options = {"llm.model": "qwen", "llm.api_base": server.url}
        config = RunConfig((), ("lesions",), "", options=options, labeller="language_model", draws=20, strata=False)
        evaluator.score_reports(REFERENCES, {"ours": OURS}, config, run, page="auto")
        asked = len(server.requests())
        assert asked == 4  # each text once, for its numbers
        assert positive(run) == [["pleural effusion"], ["pneumothorax"]]
        assert page_of(run, again=True).notes == ()
        assert len(server.requests()) == asked
    # The server is gone, and the page is the same.
    assert page_of(run, again=True).notes == ()
    assert positive(run) == [["pleural effusion"], ["pneumothorax"]]


def test_answers_that_are_gone_leave_the_errors_and_the_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is right and wrong comes from the run's own statistics; where it is said in the text nobody knows any more."""
    run = tmp_path / "run"
    with serve(tmp_path / "server", answers=ANSWERS) as server:
        options = {"llm.model": "qwen", "llm.api_base": server.url}
        config = RunConfig((), ("lesions",), "", options=options, labeller="language_model", draws=20, strata=False)
        evaluator.score_reports(REFERENCES, {"ours": OURS}, config, run)
        asked = len(server.requests())
        monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "another"))
        page_of(run)
        assert len(server.requests()) == asked
    assert positive(run) == [[], []]
    model = read_part(run / "page" / "model-0.js")[1]
    bit = {name: 1 << place for place, name in enumerate(LESIONS)}
    assert read_column(model["hit"]).tolist() == [bit["pleural effusion"], 0]
    assert read_column(model["missed"]).tolist() == [0, bit["pneumothorax"]]
