"""GPT-2's word pieces: where they lie on this machine, and how a text of them is tidied. Nothing is fetched.

RGRG's and CvT2DistilGPT2's published weights are for these pieces (Radford et al., 2019), and hold none themselves.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from benchmark.places import cache_folder
from benchmark.records import UserError

FILE, VOCABULARY, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
UNTIDY = (
    *((f" {sign}", sign) for sign in (".", "?", "!", ",")),
    (" ' ", "'"),
    *((f" {ending}", ending) for ending in ("n't", "'m", "'s", "'ve", "'re")),
)
"""what transformers 4 takes out of a decoded text that it cleans up, in this order: spaces before signs, and within short forms"""


class NotThere(UserError):
    """The pieces are not on this machine; the message says where they were looked for, and what to do."""


def pieces_folder(who: str, named: Path | None, beside: Path | None, hub_names: Sequence[str]) -> Path:
    """The folder with the pieces for ``who``: the one that is named, that of the weights, the project's own, or one in the hub's cache.

    hub_names  of networks with GPT-2's pieces, the authors' first

    Raises NotThere.
    """
    if named is not None:
        if not _holds(named):
            raise NotThere(f"{who}.tokenizer={named}: that folder holds neither {VOCABULARY} and {MERGES} nor {FILE}; name one with GPT-2's")
        return named
    own = own_folder(who)
    folders = [folder for folder in (beside, own, *map(_in_hub_cache, hub_names)) if folder is not None]
    if found := next((folder for folder in folders if _holds(folder)), None):
        return found
    raise NotThere(
        f"{who}: no word pieces for the published weights on this machine (looked for {VOCABULARY} and {MERGES} beside them and in "
        f"{_from_home(own)}, and for {hub_names[0]} or gpt2 in the Hugging Face hub's cache); get both files of {hub_names[0]} and name their "
        f"folder, --set {who}.tokenizer=PATH"
    )


def has_pieces(who: str, hub_names: Sequence[str]) -> bool:
    """Whether they would be found if nobody names them."""
    try:
        return bool(pieces_folder(who, None, None, hub_names))
    except NotThere:
        return False


def own_folder(who: str) -> Path:
    """Where the authors' files are looked for if nobody names them."""
    return cache_folder() / "models" / who


def tidied(text: str) -> str:
    """The text as transformers 4 gives it back with ``clean_up_tokenization_spaces``."""
    for untidy, tidy in UNTIDY:
        text = text.replace(untidy, tidy)
    return text


def _holds(folder: Path) -> bool:
    return (folder / FILE).is_file() or all((folder / name).is_file() for name in (VOCABULARY, MERGES))


def _in_hub_cache(name: str) -> Path | None:
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = next((path for file in (VOCABULARY, FILE) if isinstance(path := try_to_load_from_cache(name, file), str)), None)
    return Path(found).parent if found else None


def _from_home(folder: Path) -> str:
    return f"~/{folder.relative_to(Path.home())}" if folder.is_relative_to(Path.home()) else str(folder)
