"""Words to word pieces, each word by itself, with the tokenizer of the network's BERT; and where that tokenizer is found.

The archive holds the weights of the BERT but not its tokenizer: its config.json names a model of the hub, or a folder. Looked for are a folder that
the user names, a list of word pieces in the archive itself, a folder of that name beside the archive, the hub's cache, and then the hub.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adapters.radgraph.archive import Archive, NotFetched, NotThere, fetched, in_hub_cache, lines_of
from benchmark.records import UserError

PIECES, TOKENIZER, SETTINGS, CONFIG = "vocab.txt", "tokenizer.json", "tokenizer_config.json", "config.json"
OWN_LIST = "tags"
"""file of vocabulary/ into which AllenNLP writes word pieces, if it does"""
SETTINGS_READ: Mapping[str, Any] = {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True}
"""of tokenizer_config.json, with what transformers takes where it does not say"""
REMEMBERED = 500_000
"""words whose pieces are kept; a memory that is full is emptied"""


class WrongTokenizer(UserError):
    """A tokenizer that cannot be read, or is not the network's."""


class Backbone(NamedTuple):
    """The files of a BERT that are not in the archive."""

    pieces: Path | None
    """vocab.txt"""
    tokenizer: Path | None
    """tokenizer.json, where there is no vocab.txt"""
    settings: Mapping[str, Any]
    """tokenizer_config.json, or nothing"""
    config: Mapping[str, Any]
    """config.json, or nothing"""


def find_backbone(archive: Archive, name: str, named: Path | None, *, needs_config: bool, download: bool) -> Backbone:
    """The backbone called ``name`` in the archive. Raises NotThere, NotFetched."""
    if named is not None:
        found = _of_folder(named)
        if found is None:
            what = f"that folder holds neither {PIECES} nor {TOKENIZER}" if named.is_dir() else "there is no such folder"
            raise NotThere(f"radgraph.backbone={named}: {what}; name the folder of {name}, or one that holds its files")
        return found
    if found := _of_folder(archive.path.parent / name):
        return found
    if not needs_config and len(archive.vocabulary.get(OWN_LIST, ())) > 1:
        config = archive.path.parent / name / CONFIG
        return Backbone(None, None, {}, _json(config if config.is_file() else in_hub_cache(name, CONFIG)))
    if cached := _of_files(lambda file: in_hub_cache(name, file), needs_config=needs_config):
        return cached
    if not download:
        raise NotThere(
            f"{archive.path}: its BERT is {name}, whose tokenizer is not on this machine; get {PIECES} or {TOKENIZER} of it and name their folder, "
            "--set radgraph.backbone=FOLDER, or have them fetched: --set radgraph.download=yes"
        )
    fetched_files = _of_files(lambda file: _fetched_or_none(name, file), needs_config=needs_config)
    if fetched_files is None:
        raise NotFetched(
            f"the tokenizer of {name}, the BERT of {archive.path.name}, could not be fetched from the hub; get {PIECES} or {TOKENIZER} of it where "
            "there is a network and name their folder: --set radgraph.backbone=FOLDER"
        )
    return fetched_files


class WordPieces:
    """Words to numbers."""

    def __init__(self, archive: Archive, backbone: Backbone, *, pieces: int, is_framed: bool) -> None:
        """``pieces`` is how many the network knows; ``is_framed`` see below. Raises WrongTokenizer."""
        self._tokenizer, self.sha256 = _tokenizer(archive, backbone)
        count = self._tokenizer.get_vocab_size(with_added_tokens=True)
        # ModernBERT has rows for none, which make up a round number: products are faster. Of others a line less would make pieces their neighbours.
        most_spare = 127 if pieces % 64 == 0 else 0
        if not 0 <= pieces - count <= most_spare:
            raise WrongTokenizer(
                f"{backbone.pieces or backbone.tokenizer or archive.path}: has {count:,} word pieces, the network has places for {pieces:,}; take "
                "the tokenizer of the BERT that the archive names, --set radgraph.backbone=FOLDER"
            )
        alone, framed = (list(self._tokenizer.encode("a", add_special_tokens=add).ids) for add in (False, True))
        if not alone or alone[0] not in framed:
            raise WrongTokenizer(
                f"{backbone.pieces or backbone.tokenizer or archive.path}: has no word piece for a letter; take the tokenizer of the BERT that the "
                "archive names, --set radgraph.backbone=FOLDER"
            )
        place = framed.index(alone[0])
        self.before, self.after = tuple(framed[:place]), tuple(framed[place + len(alone) :])
        self.is_framed = is_framed
        if not is_framed and (len(self.before), len(self.after)) != (1, 1):
            raise WrongTokenizer(
                f"{backbone.tokenizer or archive.path}: puts {len(self.before)} and {len(self.after)} marks around a text, and one and one are "
                "expected; take the tokenizer of the BERT that the archive names"
            )
        self.pad = self._tokenizer.token_to_id("[PAD]") or 0
        self._kept: dict[str, tuple[int, ...]] = {}

    def __call__(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """The pieces of each word by itself; none of a word of signs that the tokenizer drops."""
        if len(self._kept) >= REMEMBERED:
            self._kept.clear()
        if new := list(dict.fromkeys(word for word in words if word not in self._kept)):
            encoded = self._tokenizer.encode_batch(new, add_special_tokens=False)
            self._kept.update((word, tuple(one.ids)) for word, one in zip(new, encoded, strict=True))
        return [self._kept[word] for word in words]


def is_framed(backbone: Backbone, places: int | None, *, is_bert: bool) -> bool:
    """True if the network reads its marks ([CLS] and [SEP]) around a text.

    The package puts them there by a method that tokenizers of a class of their own have (BertTokenizer), and the general one lacks. Where config.json
    sets no greatest length, it does so by another way.
    """
    named = str(backbone.settings.get("tokenizer_class", "BertTokenizer" if is_bert else ""))
    return places is None or named.startswith("Bert")


def _tokenizer(archive: Archive, backbone: Backbone) -> tuple[Any, str]:
    """The tokenizer, and the checksum of what it was made from. Raises WrongTokenizer."""
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    where = backbone.tokenizer or backbone.pieces
    try:
        data = "\n".join(archive.vocabulary[OWN_LIST]).encode() if where is None else where.read_bytes()
        settings = {name: backbone.settings.get(name, default) for name, default in SETTINGS_READ.items()}
        sha256 = hashlib.sha256(data + json.dumps(settings, sort_keys=True).encode()).hexdigest()
        if backbone.tokenizer is not None:
            tokenizer = Tokenizer.from_str(data.decode("utf-8"))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            return tokenizer, sha256
        pieces = {piece: number for number, piece in enumerate(lines_of(data.decode("utf-8")))}
        options = {"lowercase": settings["do_lower_case"], "handle_chinese_chars": settings["tokenize_chinese_chars"]}
        return BertWordPieceTokenizer(pieces, strip_accents=settings["strip_accents"], **options), sha256
    except Exception as error:  # the library raises Exception itself
        raise WrongTokenizer(
            f"{where or archive.path}: cannot be read as a tokenizer ({error}); take that of the BERT that the archive names"
        ) from error


def _of_folder(folder: Path) -> Backbone | None:
    return _of_files(lambda file: folder / file if (folder / file).is_file() else None, needs_config=False)


def _of_files(find: Callable[[str], Path | None], *, needs_config: bool) -> Backbone | None:
    """The files that ``find`` finds, if there is a tokenizer among them, and a config.json where it is needed."""
    pieces = find(PIECES)
    tokenizer = None if pieces else find(TOKENIZER)
    config = find(CONFIG)
    if not (pieces or tokenizer) or (needs_config and not config):
        return None
    return Backbone(pieces, tokenizer, _json(find(SETTINGS)), _json(config))


def _fetched_or_none(name: str, file: str) -> Path | None:
    try:
        return fetched(name, file, "radgraph.backbone")
    except NotFetched:
        return None


def _json(file: Path | None) -> Mapping[str, Any]:
    """What a file says; nothing where there is none."""
    if file is None:
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WrongTokenizer(f"{file}: cannot be read as JSON ({error}); take that of the BERT that the archive names") from error
    return found if isinstance(found, Mapping) else {}
