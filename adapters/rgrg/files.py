"""Where RGRG's files lie: the published weights, GPT-2's word pieces, and the BERT that finds sentences alike. Nothing is fetched."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from benchmark.places import cache_folder
from benchmark.records import UserError

REPOSITORY = "https://github.com/ttanida/rgrg"
REMEDY = f"take the full model's checkpoint that {REPOSITORY} links to (4.2 GB), --weights PATH"
TOKENIZER_HUB_NAMES = ("healx/gpt-2-pubmed-medium", "openai-community/gpt2-medium", "gpt2-medium", "openai-community/gpt2", "gpt2")
"""whose word pieces are GPT-2's; the first is the authors'"""
TOKENIZER_FILES = ("vocab.json", "merges.txt")
BERT = "distilbert-base-uncased"
"""that the authors' program finds sentences alike with"""


class NotThere(UserError):
    """A file that RGRG needs is not on this machine; the message says where it was looked for, and what to do."""


def own_folder() -> Path:
    """Where weights and word pieces are looked for if nobody names them."""
    return cache_folder() / "models" / "rgrg"


def published_file() -> Path | None:
    """The published weights where they would lie if nobody names them, or None."""
    return next(iter(sorted(own_folder().glob("*.pt"))), None)


def tokenizer_folder(named: Path | None, beside: Path | None) -> Path:
    """The folder with GPT-2's word pieces: the one that is named, that of the weights, the project's own, or one in the hub's cache.

    Raises NotThere.
    """
    if named is not None:
        if not _has_pieces(named):
            raise NotThere(f"rgrg.tokenizer={named}: that folder holds no {' and '.join(TOKENIZER_FILES)}; name one that holds GPT-2's")
        return named
    folders = [folder for folder in (beside, own_folder(), *map(_in_hub_cache, TOKENIZER_HUB_NAMES)) if folder is not None]
    if found := next((folder for folder in folders if _has_pieces(folder)), None):
        return found
    raise NotThere(
        f"no word pieces for RGRG on this machine (looked for {' and '.join(TOKENIZER_FILES)} beside the weights, and for "
        f"{TOKENIZER_HUB_NAMES[0]} or gpt2 in the Hugging Face hub's cache); get both files of GPT-2 and name their folder, --set rgrg.tokenizer=PATH"
    )


def has_tokenizer() -> bool:
    """Whether GPT-2's word pieces would be found if nobody names them."""
    try:
        return bool(tokenizer_folder(None, None))
    except NotThere:
        return False


def _has_pieces(folder: Path) -> bool:
    return all((folder / name).is_file() for name in TOKENIZER_FILES)


def _in_hub_cache(name: str) -> Path | None:
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, TOKENIZER_FILES[0])
    return Path(found).parent if isinstance(found, str) else None
