"""Texts <-> token ids of a LLaMA's vocabulary, from tokenizer.json or straight from SentencePiece's tokenizer.model; and prompts around images.

transformers 5 reads a tokenizer.model only where the package sentencepiece is installed. The format is a list of pieces with scores, and its merging
of neighbours by score is what the library tokenizers does by rank.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adapters.pretrained import NoNetwork, reading
from adapters.running import whole_signs

IMAGE = "<image>"
SPACE = "▁"  # SentencePiece's sign for a blank
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6  # kinds of pieces; sentencepiece_model.proto


class Piece(NamedTuple):
    """One piece of a SentencePiece model."""

    text: str
    score: float
    kind: int


def read_pieces(folder: Path, who: str) -> Any:
    """The vocabulary as a ``tokenizers.Tokenizer``; begin and end are not put in by it. Raises ``NoNetwork``."""
    from tokenizers import Tokenizer

    if (file := folder / "tokenizer.json").is_file():
        with reading(file.name, folder, who):
            return Tokenizer.from_file(str(file))
    if not (file := folder / "tokenizer.model").is_file():
        raise NoNetwork(f"{who}: {folder.name} holds no vocabulary, tokenizer.json or tokenizer.model; take the folder whole")
    with reading(file.name, folder, who):
        return _tokenizer(list(sentencepieces(file.read_bytes())))


def number_of(pieces: Any, sign: str, who: str) -> int:
    """The id of a sign that the model was trained with. Raises ``NoNetwork``."""
    number = pieces.token_to_id(sign)
    if number is None or ids_of(pieces, f"a{sign}b").count(number) != 1:  # in the list, but cut up where it stands in a text, it would be none
        raise NoNetwork(f"{who}: the vocabulary has no {sign}, which the model was trained with; take the one that was published with it")
    return int(number)


def signs_of(pieces: Any) -> list[str]:
    """What a vocabulary takes as a sign wherever it stands in a text: begin, end, images, boxes. The longest come first."""
    return sorted({sign.content for sign in pieces.get_added_tokens_decoder().values() if sign.content.strip()}, key=len, reverse=True)


def without_signs(text: str, signs: Sequence[str]) -> str:
    """The text with a blank for each sign, so that what is around one never makes another: a case may say ``<im<image>age>``, and shows no image."""
    while found := [sign for sign in signs if sign in text]:
        for sign in found:
            text = text.replace(sign, " ")
    return text


def check_rows(pieces: Any, rows: int, who: str) -> None:
    """Raise ``NoNetwork`` unless each id of the vocabulary has one of the embedding's rows; the run would end at the first report that needs it."""
    numbers = pieces.get_vocab(with_added_tokens=True)
    last = max(numbers, key=numbers.__getitem__)
    if numbers[last] >= rows:
        raise NoNetwork(
            f"{who}: the vocabulary goes up to the id {numbers[last]} ({last}), the model has rows for {rows}; take the one published with it"
        )


def ids_of(pieces: Any, text: str) -> list[int]:
    """The ids of a text alone, without begin and end."""
    return list(pieces.encode(whole_signs(text), add_special_tokens=False).ids)


def around_images(pieces: Any, prompt: str, begin: int, image: str = IMAGE) -> list[list[int]]:
    """The ids between the images of a prompt, one list more than it has images: each text is cut into pieces by itself, as the LLaVA family does.

    So each begins with a blank that the prompt does not have (SentencePiece puts one before every text); the first begins with ``begin``.
    """
    first, *others = (ids_of(pieces, text) for text in prompt.split(image))
    return [[begin, *first], *others]


def split_at(ids: Sequence[int], image: int | Sequence[int]) -> list[list[int]]:
    """The same for a prompt that was cut into pieces as one text, with a sign for each image."""
    signs = {image} if isinstance(image, int) else set(image)
    chunks: list[list[int]] = [[]]
    for number in ids:
        if number in signs:
            chunks.append([])
        else:
            chunks[-1].append(number)
    return chunks


def sentencepieces(content: bytes) -> Iterator[Piece]:
    """The pieces of a tokenizer.model: a protobuf message whose field 1 repeats (1 text, 2 score, 3 kind)."""
    for field, value in _fields(content):
        if field == 1 and isinstance(value, bytes):
            one = dict(_fields(value))
            yield Piece(bytes(one[1]).decode(), struct.unpack("<f", one[2])[0] if 2 in one else 0.0, int(one.get(3, NORMAL)))


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protobuf message."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = 0
        for shift in range(0, 70, 7):  # a number of 64 bits takes ten bytes; one of a million would be made anew at each
            if place == len(content):
                raise ValueError("the file ends early")
            byte = content[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError(f"a number of more than 64 bits before byte {place}: no protobuf message")

    while place < len(content):
        head = varint()
        if (wire := head & 7) == 0:
            yield head >> 3, varint()
            continue
        if wire not in (1, 2, 5):
            raise ValueError(f"wire type {wire} at byte {place}: no protobuf message")
        size = varint() if wire == 2 else 8 if wire == 1 else 4
        if place + size > len(content):
            raise ValueError("the file ends early")
        yield head >> 3, content[place : place + size]
        place += size


def _tokenizer(found: Sequence[Piece]) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    if not found:
        raise ValueError("no pieces are in it")
    number_of_piece = {piece.text: number for number, piece in enumerate(found)}
    # Pairs are merged in the order of the score of what they become; among equals the piece that stands first.
    ranked: list[tuple[float, int, tuple[str, str]]] = []
    for piece in found:
        if piece.kind == NORMAL and len(piece.text) > 1:
            rank = (-piece.score, number_of_piece[piece.text])
            halves = ((piece.text[:cut], piece.text[cut:]) for cut in range(1, len(piece.text)))
            ranked += [(*rank, pair) for pair in halves if pair[0] in number_of_piece and pair[1] in number_of_piece]
    ranked.sort(key=lambda one: (one[0], one[1], number_of_piece[one[2][0]], number_of_piece[one[2][1]]))
    unknown = next((piece.text for piece in found if piece.kind == UNKNOWN), "<unk>")
    has_bytes = any(piece.kind == BYTE for piece in found)
    tokenizer = Tokenizer(models.BPE(number_of_piece, [pair for _, _, pair in ranked], unk_token=unknown, fuse_unk=True, byte_fallback=has_bytes))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)]
    )
    signs = [piece.text for piece in found if piece.kind in (UNKNOWN, CONTROL)]
    tokenizer.add_special_tokens([AddedToken(sign, normalized=False, special=True) for sign in signs])
    if own := [piece.text for piece in found if piece.kind == USER_DEFINED]:
        tokenizer.add_tokens([AddedToken(sign, normalized=False, special=False) for sign in own])
    return tokenizer
