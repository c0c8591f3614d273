"""A published network as transformers keeps it: a folder of the user's, one in the Hugging Face hub's cache, or one that is fetched if asked for.

Nothing is fetched unasked, and nothing in a folder is run: weights are safetensors, or read as tensors alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from benchmark.records import UserError

FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
"""what is fetched: sizes, vocabulary, weights, and no program"""
OLD_WEIGHTS = "pytorch_model*.bin"
"""as they were kept before safetensors; taken where nothing else is there"""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NoNetwork(UserError):
    """A network is not on this machine, or a folder holds none; the message says where it was looked for, and how to get it."""


def network_folder(name: str, setting: str, *, download: bool = False, files: Sequence[str] = FILES) -> Path:
    """The folder of a network that is named by its path or by its name on the hub.

    setting   what the user would type to name another: ``bertscore.model``
    download  fetch from the hub what is not on this machine

    Raises ``NoNetwork``.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _checked(folder, setting)
    if folder.exists() or not _HUB_NAME.fullmatch(name):
        raise NoNetwork(
            f"{setting}={name}: is no folder, nor the name of a model on the Hugging Face hub; name a folder with config.json and weights"
        )
    if importlib.util.find_spec("huggingface_hub") is None:
        raise NoNetwork(f"{setting}={name}: is no folder here, and huggingface_hub is not installed: pip install 'clala-benchmark[models]'")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(name, local_files_only=True))
        if not download or weights_files(cached):
            return _checked(cached, setting)
    except (LocalEntryNotFoundError, OSError) as error:
        if not download:
            own, _, option = setting.partition(".")
            raise NoNetwork(
                f"{setting}={name}: is neither a folder nor in the Hugging Face hub's cache; name a folder, --set {setting}=PATH, or fetch it, "
                f"--set {own}.{'download' if option != 'download' else option}=yes"
            ) from error
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(files)))
        return _checked(folder if weights_files(folder) else Path(snapshot_download(name, allow_patterns=[*files, OLD_WEIGHTS])), setting)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise NoNetwork(
            f"{setting}={name}: could not be fetched from the hub ({type(error).__name__}); get it where there is a network and name its folder, "
            f"--set {setting}=PATH"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """While transformers reads a network: without its bars, and without what it says of tensors that nobody looks at."""
    from transformers.utils import logging

    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()


def weights_files(folder: Path) -> list[Path]:
    """The files of weights, safetensors before all others."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob(OLD_WEIGHTS))


def weights_digest(folder: Path) -> str:
    """The first 12 hex digits of a checksum over all files of weights: which network it is."""
    return _digest(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in weights_files(folder)))


@lru_cache(maxsize=16)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    return hashlib.sha256("".join(_sha256(file) for file, _, _ in files).encode()).hexdigest()[:12]


def _sha256(file: Path) -> str:
    # The hub's cache names large files by their checksum: 14 GB need not be read for it.
    if _SHA256.fullmatch(file.resolve().name):
        return file.resolve().name
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _checked(folder: Path, setting: str) -> Path:
    if lacking := [
        what for what, is_there in (("config.json", (folder / "config.json").is_file()), ("weights", weights_files(folder))) if not is_there
    ]:
        raise NoNetwork(f"{setting}={folder.name}: that folder holds no {lacking[0]}; name one as transformers' save_pretrained leaves it")
    return folder
