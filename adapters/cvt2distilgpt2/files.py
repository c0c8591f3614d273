"""Where the files of CvT2DistilGPT2 lie: the authors' checkpoint is named by the user, GPT-2's pieces are looked for. Nothing is fetched."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from adapters.cvt2distilgpt2.pieces import FILE, HUB_NAME, MERGES, VOCABULARY
from benchmark.places import cache_folder
from benchmark.records import UserError

DOI = "10.25919/ng3g-aj81"
"""of the authors' weights, CSIRO Data Access Portal"""
HUB_NAMES = (HUB_NAME, "distilgpt2", "openai-community/gpt2", "gpt2")
"""whose pieces are GPT-2's; the first is the authors'"""


class NotThere(UserError):
    """A file that is needed is not on this machine; the message says where it was looked for, and what to do."""


def own_folder() -> Path:
    """Where the authors' files are looked for if nobody names them."""
    return cache_folder() / "models" / "cvt2distilgpt2"


def vocabulary_folder(named: Path | None = None, *, beside: Path | None = None) -> Path:
    """The folder with GPT-2's pieces: the one that is named, that of the weights, the project's own, or one in the hub's cache. Raises NotThere."""
    if named is not None:
        if not _holds(named):
            raise NotThere(f"cvt2distilgpt2.tokenizer={named}: that folder holds neither {VOCABULARY} and {MERGES} nor {FILE}; name one with GPT-2's")
        return named
    folders = [folder for folder in (beside, own_folder(), *map(_in_hub_cache, HUB_NAMES)) if folder is not None]
    if found := next((folder for folder in folders if _holds(folder)), None):
        return found
    raise NotThere(
        f"cvt2distilgpt2: no vocabulary for the published weights on this machine (looked for {VOCABULARY} and {MERGES} beside them and in "
        f"{_home(own_folder())}, and for {HUB_NAME} or gpt2 in the Hugging Face hub's cache); get both files of {HUB_NAME} and name their folder, "
        "--set cvt2distilgpt2.tokenizer=PATH"
    )


def has_vocabulary() -> bool:
    """Whether GPT-2's pieces would be found if nobody names them."""
    try:
        return bool(vocabulary_folder())
    except NotThere:
        return False


def _holds(folder: Path) -> bool:
    return (folder / FILE).is_file() or all((folder / name).is_file() for name in (VOCABULARY, MERGES))


def _in_hub_cache(name: str) -> Path | None:
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = next((path for file in (VOCABULARY, FILE) if isinstance(path := try_to_load_from_cache(name, file), str)), None)
    return Path(found).parent if found else None


def _home(folder: Path) -> str:
    return f"~/{folder.relative_to(Path.home())}" if folder.is_relative_to(Path.home()) else str(folder)
