"""Where a question would go, from the name of a model and the environment alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from benchmark.doctor import _language_models as language_models
from benchmark.llm.data_use import DataUse, MayNotTravel
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.models import LanguageModels, check_use
from benchmark.llm.prices import price_of
from benchmark.llm.routes import NoEndpoint, route_of, secrets
from benchmark.registry import BadOption

KEY = "sk-test-0123456789"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if re.search(r"_(API_BASE|BASE_URL|URL|ENDPOINT|API_KEY)$", name):
            monkeypatch.delenv(name)


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
    ("provider", "variable"),
    [
        ("anthropic", "ANTHROPIC_API_BASE"),
        ("anthropic", "ANTHROPIC_BASE_URL"),
        ("bedrock/claude_platform", "ANTHROPIC_AWS_BASE_URL"),
        ("azure", "AZURE_API_BASE"),
        ("bedrock", "AWS_BEDROCK_RUNTIME_ENDPOINT"),
        ("gemini", "GEMINI_API_BASE"),
        ("groq", "GROQ_API_BASE"),
        ("mistral", "MISTRAL_AZURE_API_BASE"),
        ("ollama_chat", "OLLAMA_API_BASE"),
        ("openrouter", "OPENROUTER_API_BASE"),
        ("vertex_ai", "VERTEXAI_API_BASE"),
        ("watsonx", "WX_URL"),
    ],
)
def test_where_the_environment_leads_a_provider_of_litellm_elsewhere_that_host_counts(
    provider: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names are those that LiteLLM 1.97 reads. What it would find there is handed over, so that it finds nothing else."""
    monkeypatch.setenv(variable, "https://gateway.example.org/somewhere/")
    route = route_of(Endpoint(f"{provider}/any"))
    assert (route.transport, route.host, route.url) == ("litellm", "gateway.example.org", "https://gateway.example.org/somewhere")


def test_litellm_is_told_the_url_of_who_speaks_openais_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    route = route_of(Endpoint("gpt-4o", transport="litellm"))
    assert (route.model, route.url, route.key, route.needs_key) == ("openai/gpt-4o", "https://api.openai.com/v1", KEY, False)
    assert route_of(Endpoint("ollama/llama3.2", transport="litellm")).url == "http://localhost:11434"


def test_a_url_that_litellm_would_pass_over_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text would go to Amazon, and be checked against the host of the URL."""
    for name in ("sagemaker/ours", "sagemaker_chat/ours"):
        with pytest.raises(NoEndpoint, match="leave the URL out"):
            route_of(Endpoint(name, api_base="http://127.0.0.1:8000"))
    monkeypatch.setenv("AWS_BEDROCK_RUNTIME_ENDPOINT", "https://gateway.example.org")
    with pytest.raises(NoEndpoint, match="AWS_BEDROCK_RUNTIME_ENDPOINT leads elsewhere"):
        route_of(Endpoint("bedrock/anthropic.claude-v2", api_base="http://127.0.0.1:8000"))


@pytest.mark.parametrize(
    ("endpoint", "whose"),
    [
        (Endpoint("litellm_proxy/gpt-4o", api_base="http://127.0.0.1:4000"), "litellm_proxy"),
        (Endpoint("litellm_proxy/gpt-4o", api_base="http://127.0.0.1:4000", transport="litellm"), "litellm_proxy"),
        (Endpoint("ollama/gpt-oss:120b-cloud"), "ollama_cloud"),
        (Endpoint("ollama/glm-4.6:cloud"), "ollama_cloud"),
        (Endpoint("ollama_chat/gpt-oss:120b-cloud"), "ollama_cloud"),
        (Endpoint("gpt-oss:120b-cloud", api_base="http://127.0.0.1:11434/v1"), "ollama_cloud"),
        (Endpoint("openai/gpt-oss:120b-Cloud", api_base="http://127.0.0.1:11434/v1"), "ollama_cloud"),
    ],
)
def test_a_server_on_this_machine_that_hands_text_on_to_others_is_not_this_machine(endpoint: Endpoint, whose: str) -> None:
    route = route_of(endpoint)
    assert (route.forwards_to, route.is_here) == (whose, False)
    with pytest.raises(MayNotTravel, match=rf'add to benchmark\.toml under \[data_use\]: approved = \["{whose}"\]'):
        check_use(DataUse(True, "the text of mimic_cxr"), route)
    check_use(DataUse(True, "the text of mimic_cxr", (whose,)), route)
    assert price_of(endpoint) is None


@pytest.mark.parametrize("name", ["ollama/llama3.2", "ollama/cloudy", "ollama/cloud-7b"])
def test_an_ollama_on_this_machine_that_answers_itself_is_this_machine(name: str) -> None:
    assert (route_of(Endpoint(name)).forwards_to, route_of(Endpoint(name)).is_here) == ("", True)


@pytest.mark.parametrize(
    ("endpoint", "gets"),
    [
        (Endpoint("openai/qwen", api_base="http://lab:8000/v1"), ""),
        (Endpoint("openai/qwen", api_base="http://lab:8000/v1", transport="litellm"), ""),
        (Endpoint("qwen", api_base="http://lab:8000/v1", transport="litellm"), ""),
        (Endpoint("openai/qwen", api_base="https://api.openai.com.lab.org/v1"), ""),
        (Endpoint("openai/qwen", api_base="http://lab:8000/v1", key_env="OUR_KEY"), "ours-0123456789"),
        (Endpoint("openai/gpt-4o", api_base="https://api.openai.com/v1"), KEY),
        (Endpoint("gpt-4o", api_base="https://eu.api.openai.com/v1"), KEY),
        (Endpoint("hosted_vllm/qwen", api_base="http://lab:8000/v1"), "vllm-0123456789"),
        (Endpoint("azure/ours", api_base="https://hospital.openai.azure.com"), ""),  # LiteLLM looks for Azure's own
    ],
)
def test_openais_key_is_for_openai_and_other_servers_get_theirs(endpoint: Endpoint, gets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("OPENAI_API_KEY", KEY), ("OUR_KEY", "ours-0123456789"), ("HOSTED_VLLM_API_KEY", "vllm-0123456789")):
        monkeypatch.setenv(name, value)
    assert route_of(endpoint).key == gets


def test_who_points_openai_elsewhere_by_its_own_variable_sends_the_key_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example.org/v1")
    assert [route_of(Endpoint("gpt-4o", transport=by)).key for by in ("auto", "litellm")] == [KEY, KEY]  # type: ignore[arg-type]


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}\t"])
def test_a_key_that_was_read_from_a_file_loses_its_line_break(around: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No header can carry one."""
    monkeypatch.setenv("OPENAI_API_KEY", around.format(KEY))
    assert route_of(Endpoint("gpt-4o")).key == KEY
    assert KEY in secrets()


def test_a_key_with_a_line_break_within_is_refused_without_being_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nsecond line")
    with pytest.raises(NoEndpoint, match="OPENAI_API_KEY holds a sign that no key has") as refused:
        route_of(Endpoint("gpt-4o"))
    assert KEY not in str(refused.value)


SECRETS = {
    "api_base": (f"https://me:{KEY}@host.org/v1", f"https://host.org/v1?key={KEY}", f"https://host.org/v1#{KEY}", KEY),
    "key_env": (KEY, "hf_0123456789abcdefABCDEF", "a0123456789abcdef0123456789abcde", "A" * 61, "two words", "1ST"),
}


@pytest.mark.parametrize(("setting", "value"), [(setting, value) for setting, values in SECRETS.items() for value in values])
@pytest.mark.parametrize("task", ["", "judge."])
def test_a_key_among_the_settings_is_refused_before_anything_is_asked_or_kept(
    setting: str, value: str, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that asks nobody would keep it in run.json all the same."""
    with pytest.raises(BadOption) as typed:
        LanguageModels({f"llm.{task}{setting}": value}, DataUse(False, ""))
    (tmp_path / "benchmark.toml").write_text(f'[llm]\nmodel = "qwen"\n{task}{setting} = "{value}"\n')
    monkeypatch.setenv("CLALA_BENCHMARK_CONFIG", str(tmp_path / "benchmark.toml"))
    with pytest.raises(BadOption) as written:
        LanguageModels({}, DataUse(False, "")).endpoint("label")
    for said in (str(typed.value), str(written.value)):
        assert value not in said
        assert KEY not in said
        assert setting in said


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "hf_token", "_ours", "KEY_OF_THE_HOSPITAL_2"])
def test_the_name_of_a_variable_and_no_url_are_no_keys(name: str) -> None:
    LanguageModels(
        {"llm.key_env": name, "llm.judge.key_env": "", "llm.api_base": "https://host.org/v1", "llm.judge.api_base": ""}, DataUse(False, "")
    )


def test_doctor_says_any_text_where_any_text_would_be_sent_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Approved is the host, in whatever case; the provider's name approves no host that is known."""
    settings = {
        "label": ("azure/ours", "https://hospital.openai.azure.com", True),
        "judge": ("azure/theirs", "https://other.openai.azure.com", False),
        "green": ("litellm_proxy/gpt-4o", "http://127.0.0.1:4000", False),
        "aggregate": ("bedrock/anthropic.claude-v2", "", True),
    }
    lines = ["[data_use]", 'approved = ["Hospital.OpenAI.Azure.com", "azure", "Bedrock"]']
    for task, (model, url, _) in settings.items():
        lines += [f"[llm.{task}]", f'model = "{model}"', f'api_base = "{url}"']
    (tmp_path / "benchmark.toml").write_text("\n".join(lines))
    monkeypatch.setenv("CLALA_BENCHMARK_CONFIG", str(tmp_path / "benchmark.toml"))
    said = {finding.name: finding.what for finding in language_models()}
    assert {task: "any text" in what for task, what in said.items()} == {task: may for task, (_, _, may) in settings.items()}


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (Endpoint("qwen"), "cannot tell where"),
        (Endpoint("hosted_vllm/qwen"), "say where"),
        (Endpoint("qwen", api_base="127.0.0.1:8000/v1"), "no URL"),
        (Endpoint("qwen", api_base="ftp://127.0.0.1/v1"), "no URL"),
        (Endpoint("qwen", api_base="http://127.0.0.1\\@evil.org/v1"), "no URL"),
        (Endpoint("qwen", api_base=f"http://me:{KEY}@host.org/v1"), "keys come from the environment alone"),
        (Endpoint("qwen", api_base=f"http://host.org/v1?key={KEY}"), "keys come from the environment alone"),
        (Endpoint("azure/gpt", api_base="https://host.org/openai?api-version=2024-10-21"), "put the version into AZURE_API_VERSION"),
        (Endpoint("azure/gpt", api_base=f"http://me:{KEY}@host.org/v1?api-version=1"), "keys come from the environment alone"),
        (Endpoint("qwen", api_base=KEY), "no URL"),
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
