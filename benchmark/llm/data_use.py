"""Which text may go where.

A dataset says whether its text is credentialed, as that of MIMIC-CXR is: its licence forbids to send it to others. Such text goes to endpoints on
this machine alone, or to hosts that the configuration names as approved under the user's agreement. So does text of which nobody said that it may
travel: reports given in a file. Everything else is refused before a byte is sent.
https://physionet.org/news/post/gpt-responsible-use says what PhysioNet expects.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmark.machine import BadConfigFile, machine_table
from benchmark.records import UserError


class MayNotTravel(UserError):
    """Credentialed text was to leave this machine for a host that nobody approved; the message says which line would approve it."""


@dataclass(frozen=True)
class DataUse:
    """What may be sent of the text at hand."""

    is_confidential: bool
    """True unless somebody said that the text may travel"""
    what: str
    """whose text it is, for the message: ``the text of chest_imagenome``"""
    approved: Sequence[str] = ()
    """hosts (or, where LiteLLM knows the host, its providers: ``bedrock``) that may get confidential text all the same"""

    def check(self, host: str, *, provider: str = "", forwards_to: str = "") -> None:
        """Raises ``MayNotTravel``.

        host         as ``host_of`` gives it; empty if only LiteLLM knows it, by ``provider``
        forwards_to  name of those to whom that host hands on what it is asked, wherever it is; empty if it answers itself
        """
        if not self.is_confidential:
            return
        targets = [] if host and is_this_machine(host) else [host or provider]
        targets += [forwards_to] if forwards_to else []
        approved = {name.lower() for name in self.approved}
        refused = [target for target in targets if not target or target.lower() not in approved]
        if not refused:
            return
        named = " and ".join(
            f"{target} (what {host or 'the server'} is asked it hands on to others)"
            if target and target == forwards_to
            else target or "an unknown host"
            for target in refused
        )
        said = f"; approved are: {', '.join(self.approved)}" if self.approved else ""
        lines = ", ".join(f'"{target or "host.name"}"' for target in refused)
        raise MayNotTravel(
            f"{self.what} may not leave this machine, and {named} {'was' if len(refused) == 1 else 'were'} to be asked about it{said}; "
            "nothing was sent. Ask a model on this machine (--llm NAME --llm-url http://127.0.0.1:8000/v1), or, if your agreement allows it, "
            f"add to benchmark.toml under [data_use]: approved = [{lines}]"
        )


def approved_hosts() -> tuple[str, ...]:
    """The hosts that ``benchmark.toml`` approves. Raises ``BadConfigFile``."""
    table = machine_table("data_use")
    found = table.get("approved", [])
    if set(table) - {"approved"} or not isinstance(found, list) or not all(isinstance(host, str) and host for host in found):
        raise BadConfigFile('benchmark.toml, [data_use]: it holds one line, a list of hosts: approved = ["hospital.openai.azure.com"]')
    return tuple(found)


def host_of(url: str) -> str:
    """The host that a URL leads to, in lower case, without port and user; empty if there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def is_this_machine(host: str) -> bool:
    """True for ``localhost`` and loopback addresses alone. Another name may mean this machine today and another one tomorrow."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
