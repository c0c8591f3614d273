"""LiteLLM as the carrier: the same server, the same outcomes, no trying again of its own, no redirect followed, nothing given away."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from llm_server import SCHEMA, Server, serve

from benchmark.llm.budget import Budget
from benchmark.llm.cache import AnswerCache
from benchmark.llm.client import Client
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.failures import EndpointRefuses
from benchmark.llm.questions import Answered, Failed, Question
from benchmark.llm.routes import route_of

pytest.importorskip("litellm")
KEY = "sk-not-a-real-key-7Qx"


@pytest.fixture
def ask(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("PHANTOM_KEY", KEY)
    return client(server, tmp_path)


def client(server: Server, folder: Path, **more: Any) -> Client:
    settings = {"model": "phantom-1", "api_base": server.url, "key_env": "PHANTOM_KEY", "transport": "litellm", "timeout": 10.0, "retries": 1}
    endpoint = Endpoint(**{**settings, **more})
    cache = AnswerCache(folder / "answers" / "answers.sqlite")
    return Client(endpoint, route_of(endpoint), cache=cache, budget=Budget(None), first_pause=0.02)


def test_the_same_is_asked_as_by_the_direct_way(server: Server, ask: Client, tmp_path: Path) -> None:
    question = Question("label", "both ways", SCHEMA)
    outcomes = [*ask([question], str), *client(server, tmp_path / "direct", transport="direct")([question], str)]
    through, direct = (request for request in server.requests() if request["prompt"] == "both ways")
    assert through["body"] == direct["body"]
    assert through["authorization"] == direct["authorization"] == f"Bearer {KEY}"
    assert outcomes[0] == outcomes[1]
    assert isinstance(outcomes[0], Answered)


@pytest.mark.parametrize(
    ("order", "kind", "tries"),
    [
        ("429", "rate limit", 2),
        ("500", "server error", 2),
        ("503", "server error", 2),
        ("cut before", "unreachable", 2),
        ("cut", "unreachable", 2),
        ("half", "server error", 2),
        ("empty text", "empty", 2),
        ("400 code=context_length_exceeded", "rejected", 1),
        ("length", "cut short", 1),
        ("filter", "refused", 1),
        ("refusal", "refused", 1),
    ],
)
def test_it_tries_as_often_as_is_counted_and_fails_by_kind(server: Server, ask: Client, order: str, kind: str, tries: int) -> None:
    prompt = f"{{{{{order}}}}} through litellm"
    (outcome,) = ask([Question("label", prompt)], str)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, server.asked()[prompt]) == (kind, tries)


def test_a_slow_answer_is_a_timeout(server: Server, tmp_path: Path) -> None:
    (outcome,) = client(server, tmp_path, timeout=0.3, retries=0)([Question("label", "{{slow 3}} through litellm")], str)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.what) == ("timeout", "no whole answer within 0.3 s (llm.timeout)")


def test_what_the_endpoint_asks_to_wait_is_waited(server: Server, ask: Client) -> None:
    prompt = "{{429 times=1 retry-after=0.5}} through litellm"
    (outcome,) = ask([Question("label", prompt)], str)
    assert isinstance(outcome, Answered)
    first, second = (request["at"] for request in server.requests() if request["prompt"] == prompt)
    assert second - first >= 0.5


@pytest.mark.parametrize("order", ["401 echo=1", "404 echo=1", "400 echo=1", "500 echo=1"])
def test_it_gives_neither_key_nor_report_away(ask: Client, order: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Its own exceptions quote the question, and its log quotes everything."""
    caplog.set_level(logging.DEBUG)
    prompt = f"{{{{{order}}}}} There is a small pleural effusion on the left."
    try:
        (outcome,) = ask([Question("label", prompt)], str)
        assert isinstance(outcome, Failed)
        said = outcome.what
    except EndpointRefuses as error:
        said = "".join(traceback.format_exception(error)) + repr(error.__context__)
    assert order.split()[0] in said
    for text in (said, caplog.text, *capfd.readouterr()):
        assert KEY not in text
        assert "effusion" not in text


@pytest.mark.parametrize("model", ["phantom-1", "anthropic/claude-sonnet-4-5"])
def test_a_redirect_is_not_followed(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """By neither of the two ways in which LiteLLM sends: the openai package and its own."""
    monkeypatch.setenv("PHANTOM_KEY", KEY)
    url = server.url if model == "phantom-1" else server.url.removesuffix("/v1")
    ask = client(server, tmp_path, model=model, api_base=url)
    with serve(tmp_path / "other") as other:
        prompt = f"{{{{redirect {other.url}/chat/completions}}}} There is a small pleural effusion."
        with pytest.raises(EndpointRefuses, match="which is not followed"):
            list(ask([Question("label", prompt)], str))
        assert other.requests() == []


def test_a_provider_at_a_url_is_asked_with_its_own_key(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the environment leads it there, and never with OpenAI's."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "anthropics-own-0123456789")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    url = server.url.removesuffix("/v1")
    before = len(server.requests(path="/v1/messages"))
    list(client(server, tmp_path, model="anthropic/claude-sonnet-4-5", api_base=url, key_env="", retries=0)([Question("label", "{{500}} one")], str))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    list(client(server, tmp_path, model="anthropic/claude-sonnet-4-5", api_base="", key_env="", retries=0)([Question("label", "{{500}} two")], str))
    assert [request["authorization"] for request in server.requests(path="/v1/messages")[before:]] == ["anthropics-own-0123456789"] * 2


@pytest.mark.parametrize("model", ["qwen", "openai/qwen", "litellm_proxy/qwen", "groq/qwen"])
def test_openais_key_is_not_for_a_server_at_a_url(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """LiteLLM falls back on it for many providers."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("GROQ_API_KEY", "LITELLM_PROXY_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    prompt = f"without a key, {model}"
    list(client(server, tmp_path, model=model, key_env="", retries=0)([Question("label", prompt)], str))
    assert [request["authorization"] for request in server.requests() if request["prompt"] == prompt] == ["Bearer none"]


ELSEWHERE = """
import os, sys
from pathlib import Path
from benchmark.llm.budget import Budget
from benchmark.llm.cache import AnswerCache
from benchmark.llm.client import Client
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.questions import Question
from benchmark.llm.routes import route_of
for model, url in (("phantom-1", sys.argv[1]), ("anthropic/claude-sonnet-4-5", "")):
    endpoint = Endpoint(model, api_base=url, transport="litellm", timeout=20.0, retries=0)
    ask = Client(endpoint, route_of(endpoint), cache=AnswerCache(Path("answers") / "a.sqlite"), budget=Budget(None))
    print(*[type(outcome).__name__ for outcome in ask([Question("label", f"led nowhere else, {model}")], str)])
print("ANTHROPIC_BASE_URL" in os.environ)
"""


def test_nothing_leads_litellm_to_another_host_than_was_checked(server: Server, tmp_path: Path) -> None:
    """A .env that lies about, its own switch for a proxy of its kind, and proxies of the environment: the one for HTTPS, through which Anthropic
    is asked, leads nowhere."""
    (tmp_path / ".env").write_text("ANTHROPIC_BASE_URL=https://elsewhere.invalid\n")
    nowhere = "http://127.0.0.1:9"
    led = {"USE_LITELLM_PROXY": "True", "LITELLM_PROXY_API_BASE": server.url, "AIOHTTP_TRUST_ENV": "True", "LITELLM_MODE": "DEV"}
    led |= {"http_proxy": nowhere, "https_proxy": nowhere, "ANTHROPIC_API_KEY": "anthropics-own", "LITELLM_PROXY_API_KEY": "a-proxys-own"}
    kept = {name: value for name, value in os.environ.items() if name not in ("ANTHROPIC_BASE_URL", "no_proxy", "NO_PROXY")}
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", ELSEWHERE, server.url]
    answer = subprocess.run(command, cwd=tmp_path, env={**kept, **led, **path}, capture_output=True, text=True, timeout=120)
    assert answer.stdout.split() == ["Answered", "Failed", "False"], answer.stderr
    assert [request["prompt"] for request in server.requests() if "led nowhere" in request["prompt"]] == ["led nowhere else, phantom-1"]


def test_nobody_else_in_the_program_is_told_of_questions(server: Server, ask: Client, tmp_path: Path) -> None:
    """What LiteLLM was told elsewhere to report every question to: a service, mostly."""
    import litellm

    told: list[object] = []
    for listeners in (litellm.input_callback, litellm.success_callback, litellm.callbacks, litellm._async_success_callback):
        listeners.append(lambda *of_a_question: told.append(of_a_question))
    again = client(server, tmp_path / "again")
    assert [type(outcome) for outcome in again([Question("label", "told to nobody")], str)] == [Answered]
    assert told == []


def test_a_server_on_this_machine_is_spoken_to_without_a_proxy(ask: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert [type(outcome) for outcome in ask([Question("label", "without a proxy")], str)] == [Answered]
