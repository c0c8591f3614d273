"""What models say of themselves, under the numbers: a block for each, a mark beside the name of one that has learnt from what it is measured on.

Two marks: ``LEAKS`` where the card names the data that are measured here, ``UNKNOWN`` where nobody says what the model has learnt from.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from benchmark.records import ProtocolCard
from benchmark.tables.table import Note

LEAKS, UNKNOWN = "‡", "§"
NOT_KNOWN = "not known"
COLUMNS = ("model", "target", "inputs", "decoding", "training", "leak", "licence", "weights", "remarks")


def mark_of(card: ProtocolCard | None, measured: str) -> str:
    """The mark beside the model's name; none without a card, or where the model has learnt from other data. ``measured``: see ``write_tables``."""
    leak = "" if card is None else card.leak(*_dataset_and_split(measured))
    return UNKNOWN if leak is None else LEAKS if leak else ""


def mark_notes(cards: Mapping[str, ProtocolCard], models: Iterable[str], measured: str) -> list[Note]:
    """What the marks mean, of the models that have one; stands under every table with such a name in it."""
    carded = [(model, cards[model]) for model in models if model in cards]
    notes = [
        Note(f"{LEAKS} {model} has learnt from what it is measured on: {leak.rstrip('.')}.")
        for model, card in carded
        if (leak := card.leak(*_dataset_and_split(measured)))
    ]
    if unknown := [model for model, card in carded if mark_of(card, measured) == UNKNOWN]:
        notes.append(Note(f"{UNKNOWN} Whether it has learnt from what it is measured on is not known: {', '.join(unknown)}."))
    return notes


def card_notes(cards: Mapping[str, ProtocolCard], models: Iterable[str], measured: str) -> list[Note]:
    """A block for each model, under the numbers."""
    return [Note(in_words(cards[model], measured), label=model) for model in models if model in cards]


def in_words(card: ProtocolCard, measured: str) -> str:
    """The whole card on a line."""
    if replace(card, remarks=()) == ProtocolCard():
        return " ".join(("nothing is known of its training, inputs, decoding and licence.", *card.remarks))
    said = "; ".join(f"{name}: {value}" for name, value in parts_of(card, measured).items())
    return " ".join((f"{said}.", *card.remarks))


def parts_of(card: ProtocolCard, measured: str) -> dict[str, str]:
    """What is asked of a model -> what its card says of it; the remarks are not among them."""
    leak = card.leak(*_dataset_and_split(measured))
    parts = {
        "writes": {"unknown": "", "any": "whatever the training reports are"}.get(card.target, card.target),
        "from": _inputs(card),
        "decoding": card.decoding,
        "learnt from": card.training,
        "of which measured here": leak if leak or leak is None else "nothing",
        "licence": card.licence,
        "weights": card.weights,
    }
    return {name: value or NOT_KNOWN for name, value in parts.items()}


def cards_csv(cards: Mapping[str, ProtocolCard], measured: str) -> str:
    """A line for each model; what is not known is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for model, card in cards.items():
        leak = card.leak(*_dataset_and_split(measured))
        told: list[Any] = [card.target, _inputs(card), card.decoding, card.training, "" if leak is None else leak or "none"]
        writer.writerow([model, *told, card.licence, card.weights, " ".join(card.remarks)])
    return out.getvalue()


def _inputs(card: ProtocolCard) -> str:
    return "" if card.inputs is None else ", ".join(card.inputs) or "nothing of the case"


def _dataset_and_split(measured: str) -> tuple[str, str, str]:
    """Dataset as typed, split and fingerprint of ``dataset/split@fingerprint``; an argument may be a path."""
    dataset, _, rest = measured.rpartition("/")
    split, _, fingerprint = rest.partition("@")
    return dataset, split, fingerprint
