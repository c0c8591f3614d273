"""No key and no text of a report in anything that is said, whatever a server repeats of what it was sent."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path

import pytest
from llm_server import serve

from benchmark.llm.budget import Budget
from benchmark.llm.cache import AnswerCache
from benchmark.llm.client import Client
from benchmark.llm.discretion import told, told_of_answer, without_prompt, without_secrets
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.failures import EndpointRefuses, read_failure
from benchmark.llm.questions import Failed, Question
from benchmark.llm.routes import route_of
from benchmark.llm.served import is_the_model

KEY = "sk-not-a-real-key-7Qx"
REPORT = (
    'FINDINGS: The heart is enlarged.\nThere is a "small" pleural effusion on the left; Ångström\'s sign is positive.\n\nIMPRESSION: Cardiomegaly.'
)
PROMPT = f"Label this report.\n\n{REPORT}\n\nAnswer in JSON."


@pytest.mark.parametrize(
    ("message", "clean"),
    [
        (f"Incorrect API key provided: {KEY}.", "Incorrect API key provided: [key]."),
        ("Incorrect API key provided: sk-proj-ab********************wxyz. See", "Incorrect API key provided: [key] See"),
        ("header Authorization: Bearer abcdef was refused", "header Authorization: Bearer [key] was refused"),
        ("hf_abcdefghijklmnop is unknown", "[key] is unknown"),
        ("the key is wrong", "the key is wrong"),
    ],
)
def test_keys_and_what_looks_like_one_are_taken_out(message: str, clean: str) -> None:
    assert without_secrets(message, ["", KEY]) == clean


def test_a_key_that_begins_another_does_not_leave_the_rest_of_it() -> None:
    assert without_secrets("abcdefghXYZ", ["abcdefgh", "abcdefghXYZ"]) == "[key]"


@pytest.mark.parametrize(
    "repeated",
    [
        REPORT,
        REPORT.upper(),
        " ".join(REPORT.split()),
        json.dumps(REPORT),
        json.dumps(json.dumps(REPORT)),
        json.dumps({"messages": [{"role": "user", "content": PROMPT}]}),
        repr(REPORT),
        REPORT[10:60],
    ],
)
def test_what_repeats_the_prompt_is_taken_out_however_it_is_written(repeated: str) -> None:
    clean = without_prompt(f"invalid input: {repeated} is not allowed here", [PROMPT])
    assert clean.startswith("invalid input")
    assert clean.endswith("is not allowed here")
    for word in ("heart", "enlarged", "effusion", "ngstr", "Cardiomegaly", "left"):
        assert word.lower() not in clean.lower()


def test_what_does_not_repeat_the_prompt_stays() -> None:
    message = "This model's maximum context length is 8192 tokens, however you requested 9001 tokens"
    assert told(message, [KEY], [PROMPT]) == message


def test_messages_are_short() -> None:
    assert len(told("word " * 10_000, [], [PROMPT])) <= 200


def test_a_key_at_the_end_of_what_is_shown_is_not_shown_in_part() -> None:
    for start in range(150, 210):
        assert "sk-not" not in told("x" * start + KEY, [KEY], [])


def test_a_complaint_about_an_answer_keeps_its_own_words_and_loses_the_report_s() -> None:
    problem = 'answer in JSON; the status is "a small pleural effusion on the left", it must be positive'
    assert told_of_answer(problem, [], [PROMPT]) == 'answer in JSON; the status is "[...]", it must be positive'


@pytest.mark.parametrize("order", ["400 echo=1", "401 echo=1", "500 echo=1", "429 echo=1", "404 echo=1"])
def test_a_server_that_repeats_key_and_report_gives_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, order: str
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("PHANTOM_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    cache = AnswerCache(tmp_path / "answers" / "answers.sqlite")
    with serve(tmp_path, key=KEY) as server:
        endpoint = Endpoint("phantom-1", api_base=server.url, key_env="PHANTOM_KEY", retries=0)
        ask = Client(endpoint, route_of(endpoint), cache=cache, budget=Budget(None), first_pause=0.01)
        try:
            (outcome,) = ask([Question("label", f"{{{{{order}}}}} {PROMPT}"), Question("label", "well")][:1], str)
            assert isinstance(outcome, Failed)
            said = outcome.what
        except EndpointRefuses as error:
            said = "".join(traceback.format_exception(error)) + repr(error.__context__)
        list(ask([Question("label", "well")], str))
        assert all(request["authorization"] == f"Bearer {KEY}" for request in server.requests())
    everything = [said, caplog.text, repr(ask), repr(vars(ask)), ask.line(), json.dumps(ask.record()), ask.signature()]
    everything += [file.read_bytes().decode("latin-1") for file in cache.file.parent.iterdir()]
    for text in everything:
        assert KEY not in text
        assert "effusion" not in text
    assert order.split()[0] in said


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ('{"error": {"message": "no", "type": "t", "code": "c"}}', "no", "c t"),
        ('{"object": "error", "message": "no", "type": "t", "code": 400}', "no", "400 t"),
        ('{"error": "no", "error_type": "validation"}', "no", "validation"),
        ('{"detail": "Not Found"}', "Not Found", ""),
        ('{"detail": [{"loc": ["body"], "msg": "no"}]}', '[{"loc": ["body"], "msg": "no"}]', ""),
        ('[{"error": {"message": "no", "status": "INVALID_ARGUMENT"}}]', "no", "INVALID_ARGUMENT"),
        ('{"type": "error", "error": {"type": "overloaded_error", "message": "no"}}', "no", "overloaded_error"),
        ("upstream is away", "upstream is away", ""),
        ("<html><h1>502</h1></html>", "", ""),
        ("", "", ""),
    ],
)
def test_errors_are_read_in_the_shapes_that_servers_have_for_them(body: str, message: str, code: str) -> None:
    """OpenAI, vLLM, text-generation-inference, FastAPI (twice), Gemini, Anthropic, gateways."""
    assert read_failure(body.encode())[:2] == (message, code)


@pytest.mark.parametrize(
    ("served", "asked", "agree"),
    [
        ("gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini", True),
        ("gpt-4o-mini", "openai/gpt-4o", False),
        ("Qwen/Qwen2.5-7B-Instruct", "hosted_vllm/Qwen/Qwen2.5-7B-Instruct", True),
        ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5", True),
        ("llama3:latest", "ollama/llama3", True),
        ("gpt-4-0613", "gpt-4", True),
        ("gpt-3.5-turbo", "gpt-4", False),
    ],
)
def test_a_date_or_a_provider_does_not_make_another_model(served: str, asked: str, agree: bool) -> None:
    assert is_the_model(served, asked) is agree


@pytest.mark.parametrize("head", ["data:image/png;base64,", ""])
def test_an_image_that_a_server_repeats_is_not_told(head: str) -> None:
    assert told(f"cannot decode {head}{'iVBORw0KGgo+/' * 20}== as an image", [], ["Write."]) == "cannot decode [image] as an image"
