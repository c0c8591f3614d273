"""A published network as transformers keeps it: a folder of the user's, one in the Hugging Face hub's cache, or one that is fetched if asked for.

Nothing is fetched unasked, and nothing in a folder is run: weights are safetensors, or read as tensors alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmark.records import UserError

CONFIG = "config.json"
FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
"""what is fetched: sizes, vocabulary, weights, and no program"""
OLD_WEIGHTS = "pytorch_model*.bin"
"""as they were kept before safetensors; taken where nothing else is there"""
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
"""one of them holds the word pieces; without any, transformers makes up a tokenizer that knows none"""
TOKENIZER_FILES = (*VOCABULARIES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""what decides into which pieces a text is cut"""
_WHOLE_OR_INDEX = (  # in the order in which transformers looks for them
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NoNetwork(UserError):
    """A network is not on this machine, or a folder holds none; the message says where it was looked for, and how to get it."""


def network_folder(name: str, setting: str, *, download: bool = False, files: Sequence[str] = FILES, wanted: Sequence[str] = ()) -> Path:
    """The folder of a network that is named by its path or by its name on the hub, which may go on with ``@`` and a revision.

    setting   what the user would type to name another: ``bertscore.model``
    download  fetch from the hub what is not on this machine: that revision; without one the rest of the version that was begun, else the newest
    files     patterns of what is fetched
    wanted    files that must be there, where the network is not one as transformers' save_pretrained leaves it

    Raises ``NoNetwork``.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        remedy = f"name one with {', '.join(wanted)}" if wanted else "name one as transformers' save_pretrained leaves it"
        return _checked(folder, f"{setting}={folder.name}", remedy, wanted)
    name, _, revision = name.partition("@")
    if folder.exists() or not _HUB_NAME.fullmatch(name) or "--" in name or ".." in name:  # the hub gives no such names
        raise NoNetwork(
            f"{setting}={name}: is no folder, nor the name of a model on the Hugging Face hub; name a folder with config.json and weights"
        )
    if importlib.util.find_spec("huggingface_hub") is None:
        raise NoNetwork(f"{setting}={name}: is no folder here, and huggingface_hub is not installed: pip install 'clala-benchmark[models]'")
    cached = _in_cache(name, setting, revision)
    fetch = f"fetch it, --set {setting.partition('.')[0]}.download=yes"
    if download:
        return _fetched(name, setting, cached, files, revision, wanted)
    if cached is None:
        which = f"{name} (revision {revision[:12]})" if revision else name
        raise NoNetwork(
            f"{setting}={which}: is neither a folder nor in the Hugging Face hub's cache; name a folder, --set {setting}=PATH, or {fetch}"
        )
    return _checked(cached, f"{setting}={name}", f"it was not fetched whole: name another folder, --set {setting}=PATH, or {fetch}", wanted)


def _in_cache(name: str, setting: str, revision: str = "") -> Path | None:
    """The folder in the hub's cache, whole or begun; None if there is none with a config.json."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        # Of a folder that was fetched in part snapshot_download says in some versions that it is there, in others that it is not.
        found = try_to_load_from_cache(name, CONFIG, revision=revision or None)
    except HFValidationError as error:
        raise NoNetwork(f"{setting}={name}: is no folder, nor a name as the Hugging Face hub gives them; name a folder, or mend the name") from error
    return Path(found).parent if isinstance(found, str) else None


def _fetched(name: str, setting: str, cached: Path | None, files: Sequence[str], revision: str, wanted: Sequence[str]) -> Path:
    """The folder with all that the hub has; nothing is fetched twice. Raises ``NoNetwork``."""
    from huggingface_hub import snapshot_download

    which = revision or (cached.name if cached else None)  # a network that was begun stays the one that it is
    try:
        folder = Path(snapshot_download(name, revision=which, allow_patterns=list(files)))
        if not wanted and not weights_files(folder):
            folder = Path(snapshot_download(name, revision=which, allow_patterns=[*files, OLD_WEIGHTS]))
    except Exception as error:  # of the hub, of its client and of the disk, and between versions of the client they are other ones
        if cached is None or _lacking(cached, wanted):
            raise NoNetwork(f"{setting}={name}: {_why_not_fetched(error, name, setting, which)}") from error
        return cached
    remedy = f"the rest could not be fetched: get it where there is a network, or name another folder, --set {setting}=PATH"
    return _checked(folder, f"{setting}={name}", remedy, wanted)


def _why_not_fetched(error: Exception, name: str, setting: str, revision: str | None) -> str:
    """What the hub said, and what to do about it."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            "is given only to those who have accepted its licence, and this machine has not shown that it may; accept it on the page of the model, "
            f"then log in (hf auth login, or $HF_TOKEN) and run this again, or name a folder that has it, --set {setting}=PATH"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the hub has no revision {revision!r} of it; name one of its page's, --set {setting}={name}@REVISION, or a folder, {setting}=PATH"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the hub has no such model, or not for you; mend the name, log in (hf auth login, or $HF_TOKEN), or name a folder, --set {setting}=PATH"
        )
    kind = type(error).__name__
    return (
        f"could not be fetched from the hub ({kind}); get it where there is a network and name its folder, --set {setting}=PATH; "
        "what has come is kept, and the same command goes on from there"
    )


@contextmanager
def reading(what: str, folder: Path, who: str) -> Iterator[None]:
    """While transformers reads ``what`` of a folder: quiet, and whatever it raises of a damaged file is a ``NoNetwork``."""
    try:
        with quiet():
            yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # of transformers, tokenizers, safetensors and pickle, each has its own, and tokenizers raises Exception itself
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NoNetwork(f"{who}: {what} of {folder.name} cannot be read ({first}); take the folder whole") from error


def read_config(folder: Path, who: str) -> Any:
    """The sizes of a network, as transformers reads them. Raises ``NoNetwork``."""
    from transformers import AutoConfig

    with reading(CONFIG, folder, who):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)


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


def has_vocabulary(folder: Path) -> bool:
    """True if some file of the folder lists word pieces."""
    return any(any(folder.glob(pattern)) for pattern in VOCABULARIES)


def weights_digest(folder: Path) -> str:
    """The first 12 hex digits of a checksum over all files of weights: which network it is."""
    return _digest_of(weights_files(folder))


def reading_digest(folder: Path) -> str:
    """Likewise of config.json and the tokenizer's files: how the same weights are used, and what is read with them."""
    found = sorted({file for pattern in TOKENIZER_FILES for file in folder.glob(pattern)})
    named = {file.name: _digest_of([file]) for file in found}
    try:
        named[CONFIG] = config_digest(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise NoNetwork(f"{folder.name}: {CONFIG} cannot be read ({error}); take the folder whole") from error
    return config_digest(named)


def config_digest(config: Mapping[str, Any]) -> str:
    """Likewise of settings, in whatever order, without where they came from and who wrote them."""
    decides = {name: value for name, value in config.items() if not name.startswith("_") and name != "transformers_version"}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]


def file_digests(files: Sequence[Path]) -> dict[str, str]:
    """File name -> sha256: what made a report, told apart file by file. A file in the hub's cache is known by its name there, and not read for it."""
    return {file.name: _kept_sha256(file, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(files)}


@lru_cache(maxsize=256)
def _kept_sha256(file: Path, size: int, modified_ns: int) -> str:
    return _sha256(file)


def _digest_of(files: Sequence[Path]) -> str:
    return _digest(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=64)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    return hashlib.sha256("".join(_sha256(file) for file, _, _ in files).encode()).hexdigest()[:12]


def _sha256(file: Path) -> str:
    # The hub's cache names large files by their checksum: 14 GB need not be read for it.
    if _SHA256.fullmatch(file.resolve().name):
        return file.resolve().name
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _checked(folder: Path, asked: str, remedy: str, wanted: Sequence[str] = ()) -> Path:
    if lacking := _lacking(folder, wanted):
        raise NoNetwork(f"{asked}: that folder holds no {lacking}; {remedy}")
    return folder


def _lacking(folder: Path, wanted: Sequence[str] = ()) -> str:
    """What of a network is not there, empty if all is."""
    if wanted:
        return next((name for name in wanted if not (folder / name).is_file()), "")
    if not (folder / CONFIG).is_file():
        return CONFIG
    for whole, index in _WHOLE_OR_INDEX:
        if (folder / whole).is_file():
            return ""
        if (folder / index).is_file():
            try:
                parts = sorted(set(json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()))
                lacking = [part for part in parts if not (folder / part).is_file()]
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                return f"{index} that can be read"
            return f"{lacking[0]}, one of {len(lacking)} of {len(parts)} parts that are not there" if lacking else ""
    return "weights"
