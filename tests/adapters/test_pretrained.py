"""Networks in the Hugging Face hub's cache: whole, begun, or not there; and a hub, on this machine, that gives the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

pytest.importorskip("huggingface_hub")

from adapters.pretrained import NoNetwork, config_digest, network_folder, reading_digest, weights_digest

NAME, OLD, NEW = "acme/tiny", "a" * 40, "b" * 40
PARTS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
PUBLISHED = {
    "config.json": b'{"model_type": "bert"}',
    "vocab.txt": b"[PAD]",
    "run_me.py": b"raise SystemExit",
    "model.safetensors.index.json": json.dumps({"weight_map": {f"tensor{number}": part for number, part in enumerate(PARTS)}}).encode(),
    **{part: part.encode() for part in PARTS},
}


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache on a machine without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def begun(cache: Path, *files: str, commit: str = OLD) -> Path:
    """The network as the hub's client leaves it when it is stopped after some files."""
    folder = cache / "models--acme--tiny" / "snapshots" / commit
    folder.mkdir(parents=True)
    (cache / "models--acme--tiny" / "refs").mkdir()
    (cache / "models--acme--tiny" / "refs" / "main").write_text(commit)
    blobs = cache / "models--acme--tiny" / "blobs"
    blobs.mkdir()
    for file in files:
        blob = blobs / hashlib.sha256(PUBLISHED[file]).hexdigest()
        blob.write_bytes(PUBLISHED[file])
        (folder / file).symlink_to(blob)
    return folder


class Hub(ThreadingHTTPServer):
    """Gives the published files, and remembers which were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.given: list[tuple[str, str]] = []
        """(commit, file)"""


class Answer(BaseHTTPRequestHandler):
    """What the hub's client asks: the newest commit, the list of files, and each file."""

    server: Hub

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            listed = [{"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()} for file, data in PUBLISHED.items()]
            is_tree = "tree" in parts
            self._say(json.dumps(listed if is_tree else {"id": NAME, "sha": NEW, "siblings": [{"rfilename": file} for file in PUBLISHED]}).encode())
        else:
            commit, file = parts[3:5]
            if self.command == "GET":
                self.server.given.append((commit, file))
            self._say(PUBLISHED[file], {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(PUBLISHED[file]).hexdigest()}"'})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _say(self, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
        yield server
        server.shutdown()
        thread.join()


def test_a_whole_network_in_the_cache_is_taken_with_or_without_a_network(hub_cache: Path) -> None:
    folder = begun(hub_cache, "config.json", "model.safetensors.index.json", *PARTS)
    assert network_folder(NAME, "bertscore.model") == network_folder(NAME, "bertscore.model", download=True) == folder


def test_a_download_that_was_stopped_is_not_taken_for_a_network(hub_cache: Path) -> None:
    begun(hub_cache, "config.json", "model.safetensors.index.json", PARTS[0])
    with pytest.raises(NoNetwork, match=r"acme/tiny: that folder holds no model-00002-of-00003.safetensors, one of 2 of 3 parts .*download=yes"):
        network_folder(NAME, "bertscore.model")
    with pytest.raises(
        NoNetwork, match=r"acme/tiny: that folder holds no model-00002-of-.* the rest could not be fetched: get it where there is a network"
    ):
        network_folder(NAME, "bertscore.model", download=True)


@pytest.mark.parametrize("files", [("config.json", PARTS[0]), ("config.json",)])
def test_parts_without_their_list_and_a_config_alone_are_no_network(hub_cache: Path, files: tuple[str, ...]) -> None:
    begun(hub_cache, *files)
    with pytest.raises(NoNetwork, match=r"acme/tiny: that folder holds no weights; it was not fetched whole: .*--set bertscore.download=yes"):
        network_folder(NAME, "bertscore.model")


def test_weights_without_a_config_are_as_good_as_nothing(hub_cache: Path) -> None:
    begun(hub_cache, "model.safetensors.index.json", *PARTS)
    with pytest.raises(NoNetwork, match=r"is neither a folder nor in the Hugging Face hub's cache; .*--set bertscore.download=yes"):
        network_folder(NAME, "bertscore.model")


def test_a_list_of_parts_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    for text in ("{", "[]", '{"weight_map": 1}'):
        (tmp_path / "model.safetensors.index.json").write_text(text)
        with pytest.raises(NoNetwork, match=r"that folder holds no model.safetensors.index.json that can be read"):
            network_folder(str(tmp_path), "bertscore.model")


@pytest.mark.parametrize("files", [("config.json", "model.safetensors.index.json", PARTS[0]), ("config.json",)])
def test_what_is_lacking_is_fetched_of_the_version_that_was_begun(hub_cache: Path, hub: Hub, files: tuple[str, ...]) -> None:
    """The hub has a newer one: a network of parts of both would be none."""
    folder = begun(hub_cache, *files)
    assert network_folder(NAME, "bertscore.model", download=True) == folder
    assert set(hub.given) == {(OLD, file) for file in PUBLISHED if file not in files and file != "run_me.py"}
    assert [(folder / part).read_bytes() for part in PARTS] == [PUBLISHED[part] for part in PARTS]


@pytest.mark.parametrize("files", [(), ("model.safetensors.index.json", *PARTS)])
def test_what_was_not_begun_or_lacks_its_config_is_fetched_and_is_there_from_then_on(
    hub_cache: Path, hub: Hub, files: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if files:
        begun(hub_cache, *files)
    folder = network_folder(NAME, "bertscore.model", download=True)
    assert sorted(file.name for file in folder.iterdir()) == sorted(set(PUBLISHED) - {"run_me.py"}), "no program is fetched"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert network_folder(NAME, "bertscore.model") == folder
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    before = len(hub.given)
    assert network_folder(NAME, "bertscore.model", download=True) == folder
    assert len(hub.given) == before, "nothing is fetched twice"


def test_a_checksum_is_of_what_decides_and_of_all_of_it(tmp_path: Path) -> None:
    files = {**PUBLISHED, "tokenizer_config.json": b"{}", "merges.txt": b"a b", "spiece.model": b"x", "added_tokens.json": b"{}"}
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    found = {reading_digest(tmp_path)}
    weights = weights_digest(tmp_path)
    for file in ("vocab.txt", "tokenizer_config.json", "merges.txt", "spiece.model", "added_tokens.json"):
        (tmp_path / file).write_bytes(files[file] + b" ")
        found.add(reading_digest(tmp_path))
    (tmp_path / "README.md").write_text("words")
    assert len(found) == 6
    assert reading_digest(tmp_path) in found
    assert weights_digest(tmp_path) == weights
    assert config_digest({"a": 1, "b": 2, "_name_or_path": "x"}) == config_digest({"transformers_version": "5", "b": 2, "a": 1})
    assert config_digest({"a": 1}) != config_digest({"a": 2})
