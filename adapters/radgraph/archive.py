"""The published archives: where they lie, and what is in them.

``<model>.tar.gz`` of StanfordAIMI/RRG_scorers on the Hugging Face hub holds config.json, vocabulary/ and weights.th, as AllenNLP leaves a trained
DyGIE++. It is read where it lies: nothing is unpacked, and nothing in it is run. The folder into which the package radgraph unpacks it will do too.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from benchmark.places import cache_folder
from benchmark.records import UserError

HUB_NAME = "StanfordAIMI/RRG_scorers"
CONFIG, WEIGHTS, VOCABULARY = "config.json", "weights.th", "vocabulary"
MOST_TEXT, MOST_BYTES = 64 * 2**20, 8 * 2**30
"""bytes of all files but the weights, of which the published ones have some thousand; and of the weights, of which they have 440 million"""


class NotThere(UserError):
    """A file that a RadGraph network needs is not on this machine; the message says where it was looked for, and how to get it."""


class NotFetched(UserError):
    """The hub did not give a file; the message says what to do instead."""


class WrongArchive(UserError):
    """A file or folder that is no archive of a RadGraph network: names it, what was found and what to do."""


@dataclass(frozen=True)
class Archive:
    """What an archive holds."""

    path: Path
    config: Mapping[str, Any]
    """config.json"""
    vocabulary: Mapping[str, list[str]]
    """file of vocabulary/ without its ending -> its lines"""
    state: Mapping[str, Any]
    """tensors of weights.th by name"""
    sha256: str
    """of config.json, weights.th and vocabulary/, the same for the archive and its folder"""


def archive_path(model: str, named: Path | None = None, *, download: bool = False) -> Path:
    """The archive or folder of a model (``radgraph-xl``): the one ``named``, else the first found on this machine, else fetched if ``download``.

    Raises NotThere, NotFetched.
    """
    if named is not None:
        for path in (named, named / f"{model}.tar.gz", named / model):
            if path.is_file() or (path / WEIGHTS).is_file():
                return path
        what = f"that folder holds neither {WEIGHTS} nor {model}.tar.gz" if named.is_dir() else "there is no such file or folder"
        raise NotThere(f"radgraph.weights={named}: {what}; name {model}.tar.gz of {HUB_NAME}, or the folder into which it was unpacked")
    if found := find_archive(model):
        return found
    if download:
        return fetched(HUB_NAME, f"{model}.tar.gz", "radgraph.weights")
    raise NotThere(
        f"no weights of {model} on this machine (looked for {model}.tar.gz in this program's cache, the package radgraph's and the hub's); "
        f"get it from {HUB_NAME} on the Hugging Face hub and name it, --set radgraph.weights=PATH, or have it fetched: --set radgraph.download=yes"
    )


def find_archive(model: str) -> Path | None:
    """The archive or its folder where it would lie if nobody names it, or None."""
    own = cache_folder() / "models" / "radgraph"
    theirs = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "radgraph"
    for folder in (own / model, *sorted(theirs.glob(f"*/{model}"), reverse=True)):
        if all((folder / name).is_file() for name in (CONFIG, WEIGHTS)):
            return folder
    archive = own / f"{model}.tar.gz"
    return archive if archive.is_file() else in_hub_cache(HUB_NAME, archive.name)


def read_archive(path: Path) -> Archive:
    """Everything in it. Raises WrongArchive."""
    files = _of_folder(path) if path.is_dir() else _of_tar(path)
    lacking = [name for name in (CONFIG, WEIGHTS) if name not in files]
    if lacking or not any(name.startswith(f"{VOCABULARY}/") for name in files):
        first = lacking[0] if lacking else f"{VOCABULARY}/"
        raise WrongArchive(f"{path}: holds {', '.join(sorted(files)[:5]) or 'nothing of a network'}, but no {first}; {remedy(path)}")
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}:{len(files[name])}:".encode())
        digest.update(files[name])
    try:
        config = json.loads(files[CONFIG])
        vocabulary = {PurePosixPath(name).stem: lines_of(files[name].decode("utf-8")) for name in files if name.startswith(f"{VOCABULARY}/")}
    except (ValueError, RecursionError) as error:
        raise WrongArchive(f"{path}: {CONFIG} or {VOCABULARY}/ cannot be read ({error}); {remedy(path)}") from None
    if not isinstance(config, Mapping):
        raise WrongArchive(f"{path}: {CONFIG} holds a {type(config).__name__}, expected is an object; {remedy(path)}")
    return Archive(path, config, vocabulary, _tensors(path, files.pop(WEIGHTS)), digest.hexdigest())


def lines_of(text: str) -> list[str]:
    """Lines of a vocabulary, the first of which may be empty; a line end at the very end ends the last one."""
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def fetched(name: str, file: str, setting: str) -> Path:
    """A file of the hub, fetched unless it was before. Raises NotFetched."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ModuleNotFoundError:
        raise NotFetched(
            f"{file} of {name} is not on this machine, and huggingface_hub, which fetches it, is not installed: pip install "
            f"'clala-benchmark[models]', or get it by hand and name it, --set {setting}=PATH"
        ) from None
    try:
        return Path(hf_hub_download(name, file))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise NotFetched(
            f"{file} could not be fetched from {name} ({type(error).__name__}); get it where there is a network and name it, --set {setting}=PATH"
        ) from error


def in_hub_cache(name: str, file: str) -> Path | None:
    """A file of the hub that was fetched before, or None."""
    try:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError
    except ModuleNotFoundError:
        return None
    try:
        found = try_to_load_from_cache(name, file)
    except HFValidationError:  # the name of a folder of whoever trained the network
        return None
    return Path(found) if isinstance(found, str) else None


def remedy(path: Path) -> str:
    """What to do about a file that is none."""
    model = path.name.removesuffix(".tar.gz")
    known = model if model in ("radgraph", "radgraph-xl", "modern-radgraph-xl") else "radgraph-xl"
    return f"take {known}.tar.gz of {HUB_NAME} on the Hugging Face hub"


def _of_folder(path: Path) -> dict[str, bytes]:
    wanted = [path / CONFIG, path / WEIGHTS, *sorted((path / VOCABULARY).glob("*.txt"))]
    try:
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in wanted if file.is_file()}
    except OSError as error:
        raise WrongArchive(f"{path}: cannot be read ({error.strerror}); {remedy(path)}") from error


def _of_tar(path: Path) -> dict[str, bytes]:
    """The wanted members by name. A member that points out of the archive is no archive's that was published: the whole of it is refused."""
    found: dict[str, bytes] = {}
    text = 0
    try:
        with tarfile.open(path, "r:*") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise WrongArchive(f"{path}: holds {member.name!r}, which leads out of it, and is not opened; {remedy(path)}")
                is_wanted = str(name) in (CONFIG, WEIGHTS) or (str(name.parent) == VOCABULARY and name.suffix == ".txt")
                if not is_wanted or not member.isfile():  # a link would be read wherever it leads
                    continue
                text += member.size if str(name) != WEIGHTS else 0
                if member.size > MOST_BYTES:
                    raise WrongArchive(f"{path}: {name} unpacks to {member.size:,} bytes, and no such network has as many; {remedy(path)}")
                if text > MOST_TEXT:
                    raise WrongArchive(f"{path}: {CONFIG} and {VOCABULARY}/ are more than {MOST_TEXT:,} bytes, and not read; {remedy(path)}")
                data = tar.extractfile(member)
                assert data is not None
                found[str(name)] = data.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise WrongArchive(f"{path}: cannot be read as an archive ({error}); {remedy(path)}") from error
    return found


def _tensors(path: Path, data: bytes) -> Mapping[str, Any]:
    import torch

    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WrongArchive(
            f"{path}: {WEIGHTS} holds more than tensors and plain values, or is no PyTorch file, and is not opened, for it could run code; "
            f"{remedy(path)}"
        ) from error
    except Exception as error:  # of damaged bytes torch raises whatever it stumbles over, IndexError too
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise WrongArchive(f"{path}: {WEIGHTS} cannot be read ({first}); {remedy(path)}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WrongArchive(f"{path}: {WEIGHTS} holds a {type(state).__name__}, expected are tensors by name; {remedy(path)}")
    return state
