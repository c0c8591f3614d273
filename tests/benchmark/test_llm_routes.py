"""Where a question would go, from the name of a model and the environment alone."""

from __future__ import annotations

import pytest

from benchmark.llm.endpoint import Endpoint
from benchmark.llm.routes import NoEndpoint, route_of, secrets

KEY = "sk-test-0123456789"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_API_BASE", "HOSTED_VLLM_API_BASE", "HOSTED_VLLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["openai/gpt-4o-mini", "gpt-4o-mini", "o3-mini"])
def test_openai_is_spoken_to_directly_with_its_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    route = route_of(Endpoint(name))
    assert (route.transport, route.host, route.model, route.key) == ("direct", "api.openai.com", name.removeprefix("openai/"), KEY)
    assert not route.is_here


def test_openai_without_a_key_can_only_fail() -> None:
    assert route_of(Endpoint("openai/gpt-4o-mini")).needs_key


def test_where_the_environment_points_openai_elsewhere_that_host_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host that data use is checked against is the one that is asked."""
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example.org/v1/")
    route = route_of(Endpoint("openai/gpt-4o-mini"))
    assert (route.url, route.host, route.needs_key) == ("https://gateway.example.org/v1", "gateway.example.org", False)


def test_a_server_at_a_url_gets_the_whole_name_and_nobodys_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    route = route_of(Endpoint("Qwen/Qwen2.5-7B-Instruct", api_base="http://127.0.0.1:8000/v1/"))
    assert (route.transport, route.model, route.url, route.key, route.is_here) == (
        "direct",
        "Qwen/Qwen2.5-7B-Instruct",
        "http://127.0.0.1:8000/v1",
        "",
        True,
    )


def test_a_server_at_a_url_gets_the_key_that_was_named_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", KEY)
    assert route_of(Endpoint("qwen", api_base="http://127.0.0.1:8000/v1", key_env="OUR_KEY")).key == KEY


@pytest.mark.parametrize(
    ("name", "model"), [("hosted_vllm/Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B"), ("ollama/llama3.2", "llama3.2"), ("openai/local", "local")]
)
def test_a_provider_that_speaks_openais_protocol_is_no_part_of_the_name_that_is_sent(name: str, model: str) -> None:
    assert route_of(Endpoint(name, api_base="http://127.0.0.1:8000/v1")).model == model


def test_ollama_listens_on_this_machine_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert route_of(Endpoint("ollama/llama3.2")).url == "http://localhost:11434/v1"
    monkeypatch.setenv("OLLAMA_API_BASE", "http://10.0.0.7:11434")
    route = route_of(Endpoint("ollama/llama3.2"))
    assert (route.url, route.is_here) == ("http://10.0.0.7:11434/v1", False)


@pytest.mark.parametrize("name", ["anthropic/claude-sonnet-4-5", "bedrock/anthropic.claude-v2", "vertex_ai/gemini-2.0-flash"])
def test_every_other_provider_goes_through_litellm_and_its_host_is_unknown(name: str) -> None:
    route = route_of(Endpoint(name))
    assert (route.transport, route.provider, route.host, route.is_here) == ("litellm", name.partition("/")[0], "", False)


def test_a_provider_with_a_protocol_of_its_own_keeps_it_at_a_url() -> None:
    route = route_of(Endpoint("azure/our-deployment", api_base="https://hospital.openai.azure.com"))
    assert (route.transport, route.provider, route.host, route.model) == ("litellm", "azure", "hospital.openai.azure.com", "azure/our-deployment")


def test_litellm_can_be_had_for_a_url_too() -> None:
    route = route_of(Endpoint("qwen", api_base="http://127.0.0.1:8000/v1", transport="litellm"))
    assert (route.transport, route.model, route.host) == ("litellm", "openai/qwen", "127.0.0.1")


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (Endpoint("qwen"), "cannot tell where"),
        (Endpoint("hosted_vllm/qwen"), "say where"),
        (Endpoint("qwen", api_base="127.0.0.1:8000/v1"), "no URL"),
        (Endpoint("qwen", api_base="ftp://127.0.0.1/v1"), "no URL"),
        (Endpoint("qwen", api_base="http://127.0.0.1\\@evil.org/v1"), "no URL"),
        (Endpoint("qwen", api_base=f"http://me:{KEY}@host.org/v1"), "keys come from the environment alone"),
        (Endpoint("qwen", api_base=f"me:{KEY}@host.org"), "no URL"),
    ],
)
def test_what_leads_nowhere_is_refused_without_repeating_a_password(endpoint: Endpoint, said: str) -> None:
    with pytest.raises(NoEndpoint, match=said) as refused:
        route_of(endpoint)
    assert KEY not in str(refused.value)


def test_a_route_does_not_show_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert KEY not in repr(route_of(Endpoint("gpt-4o")))


def test_secrets_are_found_by_the_name_of_their_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abcdefgh12345678")
    monkeypatch.setenv("USE_TOKEN", "true")
    found = secrets()
    assert {KEY, "abcdefgh12345678"} <= set(found)
    assert "true" not in found
