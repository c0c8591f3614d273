"""Where CheXbert's weights and its vocabulary lie: named by the user, where programs keep them, or fetched if the user says so.

Nothing is fetched unasked. The file is under Stanford's licence for research, which whoever fetches it agrees to.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from benchmark.places import cache_folder
from benchmark.records import UserError

HUB_NAME, FILE = "StanfordAIMI/RRG_scorers", "chexbert.pth"
VOCABULARY_HUB_NAMES, VOCABULARY = ("google-bert/bert-base-uncased", "bert-base-uncased"), "vocab.txt"
WEIGHTS_NAMES = ("chexbert.safetensors", FILE)
"""what the file is called in a folder, the first of them taken"""


class NotThere(UserError):
    """A file that CheXbert needs is not on this machine; the message says where it was looked for, and how to get it."""


class NotFetched(UserError):
    """The hub did not give a file; the message says what to do instead."""


def weights_file(named: Path | None = None, *, download: bool = False) -> Path:
    """The file of weights: the one ``named``, or in the folder ``named``; else the first that is found on this machine; else it is fetched, if asked.

    Raises NotThere, NotFetched.
    """
    if named is not None:
        return _named(named, WEIGHTS_NAMES, "weights")
    if found := find_weights():
        return found
    if download:
        return _fetched(HUB_NAME, FILE, "chexbert.weights")
    raise NotThere(
        f"no CheXbert weights on this machine (looked for {FILE} in {_home(_own_folder())}, in the caches of f1chexbert and of the hub); "
        f"get {FILE} of {HUB_NAME} on the Hugging Face hub and name it, --set chexbert.weights=PATH, or have it fetched: --set chexbert.download=yes"
    )


def vocabulary_file(named: Path | None = None, *, beside: Path | None = None, download: bool = False) -> Path:
    """The list of word pieces, likewise; ``beside`` is the file of weights, in whose folder it may lie. Raises NotThere, NotFetched."""
    if named is not None:
        return _named(named, (VOCABULARY,), "vocab")
    if found := find_vocabulary(beside):
        return found
    if download:
        return _fetched(VOCABULARY_HUB_NAMES[0], VOCABULARY, "chexbert.vocab")
    raise NotThere(
        f"no vocabulary for CheXbert on this machine (looked for {VOCABULARY} beside the weights, in {_home(_own_folder())} and, as that of "
        f"{VOCABULARY_HUB_NAMES[0]}, in the Hugging Face hub's cache); get {VOCABULARY} of {VOCABULARY_HUB_NAMES[0]} and name it, "
        "--set chexbert.vocab=PATH, or have it fetched, --set chexbert.download=yes"
    )


def find_weights() -> Path | None:
    """The file of weights where it would lie if nobody names it, or None."""
    return next((path for path in _weights_places() if path.is_file()), None)


def find_vocabulary(beside: Path | None = None) -> Path | None:
    """The list of word pieces where it would lie if nobody names it, or None."""
    folders = [beside.parent] if beside else []
    own = next((folder / VOCABULARY for folder in (*folders, _own_folder()) if (folder / VOCABULARY).is_file()), None)
    return own or next((path for name in VOCABULARY_HUB_NAMES if (path := _in_hub_cache(name, VOCABULARY))), None)


def _weights_places() -> Iterator[Path]:
    yield from (_own_folder() / name for name in WEIGHTS_NAMES)
    # The package f1chexbert, and RadEval with it, keep the same file here.
    yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chexbert" / FILE
    if found := _in_hub_cache(HUB_NAME, FILE):
        yield found


def _own_folder() -> Path:
    return cache_folder() / "models" / "chexbert"


def _named(path: Path, names: tuple[str, ...], setting: str) -> Path:
    found = path if path.is_file() else next((path / name for name in names if (path / name).is_file()), None)
    if found is None:
        what = f"that folder holds no {' or '.join(names)}" if path.is_dir() else "there is no such file"
        raise NotThere(f"chexbert.{setting}={path}: {what}; name a file, or a folder that holds {' or '.join(names)}")
    return found


def _in_hub_cache(name: str, file: str) -> Path | None:
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file)
    return Path(found) if isinstance(found, str) else None


def _fetched(name: str, file: str, setting: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, file))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise NotFetched(
            f"{file} could not be fetched from {name} ({type(error).__name__}); get it where there is a network and name it, --set {setting}=PATH"
        ) from error


def _home(folder: Path) -> str:
    return f"~/{folder.relative_to(Path.home())}" if folder.is_relative_to(Path.home()) else str(folder)
