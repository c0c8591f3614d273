"""The cases in which labellers disagree, each with the sentence of the report that it is about.

They disagree about a lesion of a case by its status or, where all affirm it, by its side. Certainty is told and makes no disagreement: labellers
draw that line where they like. Who had no answer does not disagree, and who never states a side does not disagree about one.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmark.kappa import differing
from benchmark.labelling.sentences import split_sentences
from benchmark.records import Lesion, Lesions
from benchmark.vocabulary import LESIONS

FIELDS = ("status", "side", "certainty", "rationale")
_EDGES = " .,;:!?\"'()[]"


class Disagreement(NamedTuple):
    """One lesion of one case."""

    case_id: str
    lesion: str
    about: str
    """status or side"""
    said: tuple[Lesion | None, ...]
    """by each labeller, None where it had no answer"""
    sentence: str
    """of the report; empty where the report is not at hand"""


def disagreements(
    labels: Sequence[Sequence[Lesions]], codes: Sequence[np.ndarray], ids: Sequence[str], agreement: Mapping[str, float], texts: Mapping[str, str]
) -> list[Disagreement]:
    """All of them: the lesion with the worst agreement first, within it status before side, then in the order of the cases.

    labels      each labeller's lesions of each case, an empty tuple where it had no answer
    codes       the same as ``kappa.coded`` gives them
    agreement   lesion -> how well they agree, 1 at best; NaN comes last
    texts       id -> report, of those that are at hand
    """
    found = []
    by_status, by_side = differing(codes)
    for place in sorted(range(len(LESIONS)), key=lambda place: _nan_last(agreement[LESIONS[place]])):
        for about, differs in (("status", by_status), ("side", by_side)):
            for case in np.flatnonzero(differs[:, place]).tolist():
                said = tuple(lesions[case][place] if lesions[case] else None for lesions in labels)
                text = texts.get(ids[case])
                sentence = "" if text is None else sentence_of(text, [lesion.rationale for lesion in said if lesion])
                found.append(Disagreement(ids[case], LESIONS[place], about, said, sentence))
    return found


def sentence_of(report: str, quotes: Iterable[str]) -> str:
    """The sentences of the report that hold one of the quotations, in its order; all of its text where none is found."""
    sentences = split_sentences(report)
    plain = [_plain(sentence) for sentence in sentences]
    wanted = [words for quote in quotes if (words := _plain(quote))]
    held = {place for place, said in enumerate(plain) for words in wanted if words in said}
    if not held:  # a quotation may be longer than a sentence
        held = {place for place, said in enumerate(plain) for words in wanted if said in words}
    return " … ".join(_one_line(sentences[place]) for place in sorted(held)) or _one_line(report)


def written(found: Iterable[Disagreement], names: Sequence[str]) -> str:
    """The whole CSV file: id, lesion, what it is about, the sentence, and what each labeller said."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "lesion", "about", "sentence", *(f"{name}_{field}" for name in names for field in FIELDS)])
    for one in found:
        cells = [getattr(lesion, field) if lesion else "" for lesion in one.said for field in FIELDS]
        writer.writerow([one.case_id, one.lesion, one.about, one.sentence, *cells])
    return out.getvalue()


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _plain(text: str) -> str:
    return _one_line(text).casefold().strip(_EDGES)


def _one_line(text: str) -> str:
    return " ".join(text.split())
