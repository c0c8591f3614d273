"""Which text may go to which host: the rule that no bug may bend."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.llm.data_use import DataUse, MayNotTravel, approved_hosts, host_of, is_this_machine
from benchmark.machine import BadConfigFile

WHOSE = "the text of mimic_cxr"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_a_loopback_address_is_this_machine(host: str) -> None:
    DataUse(True, WHOSE).check(host)


@pytest.mark.parametrize(
    "host",
    [
        "api.openai.com",
        "10.0.0.7",
        "192.168.1.4",
        "0.0.0.0",
        "localhost.example.org",
        "127.0.0.1.nip.io",
        "2130706433",
        "my-workstation",
        "::ffff:10.0.0.1",
    ],
)
def test_every_other_host_is_refused_with_the_line_that_would_approve_it(host: str) -> None:
    """A name may be pointed at this machine today and at another one tomorrow; an address of the local network is another machine."""
    with pytest.raises(MayNotTravel, match="nothing was sent") as refused:
        DataUse(True, WHOSE).check(host)
    assert f'approved = ["{host}"]' in str(refused.value)
    assert WHOSE in str(refused.value)


def test_a_provider_whose_host_nobody_knows_is_refused_too_and_approved_by_its_name() -> None:
    with pytest.raises(MayNotTravel, match='approved = \\["bedrock"\\]'):
        DataUse(True, WHOSE).check("", provider="bedrock")
    DataUse(True, WHOSE, ("bedrock",)).check("", provider="bedrock")


def test_nothing_known_of_the_endpoint_is_a_refusal() -> None:
    with pytest.raises(MayNotTravel, match="an unknown host"):
        DataUse(True, WHOSE, ("",)).check("")


def test_an_approved_host_is_approved_in_whatever_case_and_its_neighbours_are_not() -> None:
    use = DataUse(True, WHOSE, ("Hospital.OpenAI.Azure.com",))
    use.check("hospital.openai.azure.com")
    for other in ("other.openai.azure.com", "openai.azure.com", "evil-hospital.openai.azure.com", "hospital.openai.azure.com.evil.org"):
        with pytest.raises(MayNotTravel, match="approved are"):
            use.check(other)


def test_who_hands_text_on_needs_a_line_of_its_own_wherever_it_is() -> None:
    """That the host may have the text does not mean that those may to whom it is handed on."""
    for approved in ((), ("gateway.example.org",)):
        with pytest.raises(MayNotTravel, match="hands on to others"):
            DataUse(True, WHOSE, approved).check("127.0.0.1", forwards_to="litellm_proxy")
    use = DataUse(True, WHOSE, ("litellm_proxy",))
    use.check("127.0.0.1", forwards_to="litellm_proxy")
    with pytest.raises(MayNotTravel, match=r'approved = \["gateway\.example\.org"\]'):
        use.check("gateway.example.org", forwards_to="litellm_proxy")
    with pytest.raises(MayNotTravel, match=r'approved = \["gateway\.example\.org", "litellm_proxy"\]'):
        DataUse(True, WHOSE).check("gateway.example.org", forwards_to="litellm_proxy")
    DataUse(True, WHOSE, ("gateway.example.org", "LiteLLM_proxy")).check("gateway.example.org", forwards_to="litellm_proxy")


def test_public_text_goes_anywhere() -> None:
    DataUse(False, "the text of iu_xray").check("api.openai.com")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8000/v1", "127.0.0.1"),
        ("http://[::1]:8000/v1", "::1"),
        ("https://API.OpenAI.com./v1", "api.openai.com"),
        ("http://127.0.0.1@evil.org/v1", "evil.org"),
        ("http://localhost:80@evil.org/v1", "evil.org"),
        ("http://evil.org/?http://127.0.0.1", "evil.org"),
        ("127.0.0.1:8000", ""),
        ("http://[broken", ""),
        ("", ""),
    ],
)
def test_the_host_of_a_url_is_where_it_leads_not_what_it_looks_like(url: str, host: str) -> None:
    assert host_of(url) == host


def test_a_number_that_some_programs_read_as_an_address_is_not_this_machine() -> None:
    assert not is_this_machine("0x7f.1")
    assert not is_this_machine("")


def test_hosts_are_approved_in_the_machines_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "benchmark.toml"
    file.write_text('[data_use]\napproved = ["hospital.openai.azure.com", "bedrock"]\n')
    monkeypatch.setenv("CLALA_BENCHMARK_CONFIG", str(file))
    assert approved_hosts() == ("hospital.openai.azure.com", "bedrock")


@pytest.mark.parametrize("text", ['approved = "one.host"', "approved = [1]", 'approve = ["one.host"]', 'approved = [""]'])
def test_a_line_that_approves_nothing_is_refused_and_not_passed_over(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "benchmark.toml"
    file.write_text(f"[data_use]\n{text}\n")
    monkeypatch.setenv("CLALA_BENCHMARK_CONFIG", str(file))
    with pytest.raises(BadConfigFile, match="data_use"):
        approved_hosts()
