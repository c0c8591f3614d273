"""What was published of a model, where it is had and under which terms; and whether it is on this machine, for ``doctor``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from adapters.needed import packages_line
from adapters.pretrained import FILES, OLD_WEIGHTS, NoNetwork, network_folder
from adapters.vision_language.memory import Sizes, in_words

PACKAGES = ("torch", "transformers", "accelerate", "safetensors", "tokenizers", "PIL")
PATTERNS = (*FILES, OLD_WEIGHTS)


class Published(NamedTuple):
    """A model on the Hugging Face hub, at the revision that its adapter was written for."""

    name: str
    """``microsoft/llava-rad``"""
    revision: str
    """the whole commit; what is added to the hub later changes no number"""
    licence: str
    gigabytes: float
    """of what is fetched"""
    files: tuple[str, ...] = PATTERNS
    """patterns of what is fetched"""
    wanted: tuple[str, ...] = ()
    """files that must be there, where it is not kept as transformers' save_pretrained does"""
    is_gated: bool = False
    """True if the hub gives it only to those who have accepted the licence on its page"""

    def folder(self, named: str, setting: str, *, download: bool = False) -> Path:
        """The folder that the user names, by path or as name@revision; the published one if ``named`` is empty or its name. Raises ``NoNetwork``.

        setting  what was typed to name it: ``llava_rad.weights``
        """
        if not named or (named == self.name and not Path(named).is_dir()):
            named = f"{self.name}@{self.revision}"
        return network_folder(named, setting, download=download, files=self.files, wanted=self.wanted)

    def loaded(self, named: str, folder: Path) -> str:
        """What was loaded, for the card: of the hub a name and a revision, else only that the folder is the user's.

        named, folder  what ``folder`` was given, and what it gave
        """
        if named and Path(named).expanduser().is_dir():
            return f"{folder.name}, a folder that the user named"
        name, _, revision = named.partition("@")
        if name in ("", self.name) and not revision:
            name, revision = self.name, self.revision
        return f"{name}@{(revision or folder.name)[:12]}"  # the hub's cache names its folders by the revision

    def need(self, who: str) -> tuple[bool, str]:
        """For ``doctor``: whether it is here, what it is, and how to get it."""
        try:
            self.folder("", f"{who}.weights")
        except NoNetwork:
            gate = "accept its licence on its page of the hub and log in (hf auth login, or $HF_TOKEN), then " if self.is_gated else ""
            how = f"; {gate}--set {who}.download=yes fetches it" if gate else f"; fetched by --set {who}.download=yes"
            return False, f"{self.name} at {self.revision[:12]} ({self.licence}; {self.gigabytes:.1f} GB{', gated' if gate else ''}) is not here{how}"
        return True, f"{self.name} at {self.revision[:12]} ({self.licence})"


def needs_of(who: str, parts: Sequence[Published], sizes: Sizes, packages: Sequence[str] = PACKAGES) -> list[tuple[bool, str]]:
    """The lines for ``doctor``: packages, files, memory."""
    return [packages_line(packages), *(part.need(who) for part in parts), memory_line(sizes)]


def memory_line(sizes: Sizes) -> tuple[bool, str]:
    """For ``doctor``: memory by precision, which is said whether or not it is there."""
    return True, f"memory for one case at a time: {in_words(sizes)} (8bit and 4bit with bitsandbytes); less is refused before loading"
