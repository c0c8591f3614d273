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

from adapters.pretrained import NoNetwork, config_digest, file_digests, network_folder, reading_digest, weights_digest

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
        self.refuses: dict[str, tuple[int, str]] = {}
        """commit or name -> status and code with which it is refused"""


class Answer(BaseHTTPRequestHandler):
    """What the hub's client asks: the newest commit, the list of files, and each file."""

    server: Hub

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if refused := next((why for part, why in self.server.refuses.items() if part in parts), None):
            self._say(b"{}", {"X-Error-Code": refused[1], "X-Error-Message": "no"}, refused[0])
        elif parts[:2] == ["api", "models"]:
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

    def _say(self, data: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
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


def test_a_pinned_revision_is_the_one_that_is_taken_and_fetched(hub_cache: Path, hub: Hub) -> None:
    """What the hub gained since then changes nothing; a revision that is here is taken even if the hub no longer gives it."""
    other = begun(hub_cache, "config.json", "model.safetensors.index.json", *PARTS)
    with pytest.raises(
        NoNetwork, match=rf"acme/tiny \(revision {NEW[:12]}\): is neither a folder nor in the Hugging Face hub's cache; .*m.download=yes"
    ):
        network_folder(f"{NAME}@{NEW}", "m.weights")
    folder = network_folder(f"{NAME}@{NEW}", "m.weights", download=True)
    assert folder.name == NEW != other.name
    before = len(hub.given)
    hub.refuses[NEW] = (403, "")
    assert network_folder(f"{NAME}@{NEW}", "m.weights", download=True) == network_folder(f"{NAME}@{NEW}", "m.weights") == folder
    assert len(hub.given) == before
    assert network_folder(f"{NAME}@{OLD}", "m.weights") == other


def test_files_that_a_network_of_another_layout_needs_are_looked_for_by_name(hub_cache: Path, hub: Hub, tmp_path: Path) -> None:
    folder = network_folder(f"{NAME}@{NEW}", "m.weights", download=True, files=("config.json", "vocab.txt"), wanted=("config.json", "vocab.txt"))
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "vocab.txt"]
    with pytest.raises(NoNetwork, match=r"that folder holds no adapter_model.bin; the rest could not be fetched"):
        network_folder(f"{NAME}@{NEW}", "m.weights", download=True, files=("config.json",), wanted=("config.json", "adapter_model.bin"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(NoNetwork, match=r"m.weights=.*: that folder holds no vocab.txt; name one with config.json, vocab.txt"):
        network_folder(str(tmp_path), "m.weights", wanted=("config.json", "vocab.txt"))


def test_a_download_that_breaks_off_says_so_and_goes_on_from_where_it_was(hub_cache: Path, hub: Hub) -> None:
    hub.refuses["vocab.txt"] = (403, "")
    with pytest.raises(NoNetwork, match=r"could not be fetched from the hub .* what has come is kept, and the same command goes on from there"):
        network_folder(f"{NAME}@{NEW}", "m.weights", download=True)
    hub.refuses = {}
    folder = network_folder(f"{NAME}@{NEW}", "m.weights", download=True)
    assert {file.name for file in folder.iterdir()} == set(PUBLISHED) - {"run_me.py"}
    assert len(hub.given) == len(set(hub.given)), "nothing is fetched twice"


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        (
            "GatedRepo",
            403,
            r"given only to those who have accepted its licence.*accept it on the page of the model, then log in \(hf auth login, or \$HF_",
        ),
        ("RevisionNotFound", 404, rf"the hub has no revision '{NEW}' of it; name one of its page's, --set m.weights=acme/tiny@REVISION"),
        ("RepoNotFound", 401, "the hub has no such model, or not for you; mend the name, log in"),
    ],
)
def test_what_the_hub_refuses_is_said_with_the_way_in(hub_cache: Path, hub: Hub, code: str, status: int, said: str) -> None:
    hub.refuses = {NAME.partition("/")[2]: (status, code)}
    with pytest.raises(NoNetwork, match=f"m.weights=acme/tiny: .*{said}"):
        network_folder(f"{NAME}@{NEW}", "m.weights", download=True)


def test_checksums_are_kept_file_by_file_and_the_hubs_own_names_are_believed(hub_cache: Path, tmp_path: Path) -> None:
    """A file of the cache lies there under its sha256: 14 GB need not be read again for it."""
    folder = begun(hub_cache, "vocab.txt", "config.json")
    assert file_digests([folder / "vocab.txt"]) == {"vocab.txt": hashlib.sha256(PUBLISHED["vocab.txt"]).hexdigest()}
    (tmp_path / "vocab.txt").write_bytes(b"other")
    assert file_digests([tmp_path / "vocab.txt"]) == {"vocab.txt": hashlib.sha256(b"other").hexdigest()}
    (tmp_path / "vocab.txt").write_bytes(b"another")
    assert file_digests([tmp_path / "vocab.txt"]) == {"vocab.txt": hashlib.sha256(b"another").hexdigest()}
