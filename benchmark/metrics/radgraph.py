"""F1-RadGraph: the entities and relations that two reports have in common, at three levels, as the package ``radgraph`` counts them.

J.-B. Delbrouck et al. (Findings of EMNLP 2022, https://arxiv.org/abs/2210.12186); S. Jain et al., "RadGraph" (NeurIPS datasets 2021). What enters
at which level, and which of the two casings that bear the same version number, ``radgraph_levels`` says; the names of the numbers say it too:
``partial_lower`` is what most papers call F1-RadGraph, computed as the repository does today, ``partial_cased`` as PyPI's 0.1.18 and RadEval do.

The number is of the annotator first, and then of the metric: ``rules`` are embedded, need no download, and are no RadGraph; their numbers are
called ``rules.partial_lower`` and compare with nothing but themselves.

A report without entities scores 0, against another one without entities too: so does the package. An empty one has none, though the package's
networks, asked for its entities alone, read it as the word None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmark.annotating.annotations import Annotation
from benchmark.annotating.choose import annotator_named
from benchmark.annotating.once import annotate_once, kept_annotations
from benchmark.metrics.radgraph_levels import LEVELS, Case, Levels, Sets, joined, matches
from benchmark.metrics.tokens import check_pairs
from benchmark.records import Evidence, UserError
from benchmark.shares import SHARE, share
from benchmark.uncollected import uncollected

VERSION = 1
REMEMBERED = 10_000
"""texts whose entities are kept for evidence; their sets are kept for all"""
Entities = dict[tuple[str, str, bool], str]
"""(tokens, label, whether it has a relation) as ``partial`` compares them -> the entity for people"""
READ_TOGETHER = 2_000
"""annotations that are held at a time: of each no more than its sets is kept"""


class RadGraph:
    """F1, precision and recall at three levels, means over cases."""

    name = "radgraph"

    def __init__(
        self,
        device: str = "auto",
        *,
        annotator: str = "rules",
        case: Case = "lower",
        weights: Path | None = None,
        backbone: Path | None = None,
        runtime: Literal["auto", "torch", "onnx"] | None = None,
        download: bool | None = None,
    ) -> None:
        """Make the annotator ready.

        annotator  rules | radgraph | radgraph-xl | modern-radgraph-xl | file:PATH | package:MODEL, or what a plugin brings
        case       whether tokens are compared in lower case, or as they are written
        weights    archive of a published model (radgraph-xl.tar.gz), or its folder; None = where programs keep it
        backbone   folder with the tokenizer of the model's BERT; None = where programs keep it
        runtime    what computes the BERT: torch, or onnxruntime, which is faster on some CPUs; None = the annotator decides
        download   fetch from the Hugging Face hub what is not on this machine; None = the annotator decides

        Raises UserError for what is not there or does not fit.
        """
        if case not in ("lower", "cased"):
            raise UserError(f"radgraph has no case={case!r}; known: lower, cased")
        given = {"weights": weights, "backbone": backbone, "runtime": runtime, "download": download}
        self._annotator = annotator_named(annotator, {name: value for name, value in given.items() if value is not None}, device=device)
        self._case: Case = case
        self._signature = self._annotator.signature()
        self._backend = self._signature.partition("|")[0]
        self._levels = Levels(case)
        self._places: dict[str, int] = {}  # text -> its place in the sets: a text that recurs, in another model too, is read once
        self._sets: tuple[Sets, ...] = self._levels.sets([])
        self._entities_of: dict[str, Entities] = {}  # text -> its entities, for evidence: a case's reference is in each model's

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 10) F1, precision and recall of simple, partial and complete, and 1; zeros for a pair in which one text has no entities."""
        check_pairs(hypotheses, references)
        self._read([*hypotheses, *references])
        pairs = np.array([[self._places[text] for text in texts] for texts in (hypotheses, references)], dtype=np.int64).T
        ones = np.ones((len(pairs), 1))
        return np.concatenate([*(matches(sets, sets, pairs) for sets in self._sets), ones], axis=1)

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Means over cases: ``partial_lower`` (F1), ``partial_lower.precision``, ``.recall``, so for each level and casing; shares in [0, 1]."""
        sums = np.asarray(sums, dtype=np.float64)
        means = share(sums[..., :-1], sums[..., -1:])
        return {name: means[..., column] for column, name in enumerate(self._names())}

    @property
    def titles(self) -> Mapping[str, str]:
        """Heads of columns: level, casing and annotator are in each."""
        of = self._backend if self._backend != "radgraph" else "radgraph v1"
        heads = {}
        for name in self._names():
            level, _, what = name.removeprefix("rules.").partition(".")
            heads[name] = f"{what.capitalize() or 'F1'}-RadGraph ({level.replace('_', ', ')}, {of})"
        return heads

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """All are shares."""
        return dict.fromkeys(self._names(), SHARE)

    @property
    def headlines(self) -> Sequence[str]:
        """What most papers report."""
        return [name for name in self._names() if name.endswith(f"partial_{self._case}")]

    def signature(self) -> str:
        """Annotator and its own signature in brackets, casing, and the package whose convention it is."""
        return f"radgraph|annotator:({self._signature})|case:{self._case}|unit:set|no_entities:0|average:cases|as:radgraph-0.1.18|v{VERSION}"

    def annotations(self, reports: Sequence[str]) -> list[Any]:
        """What the annotator finds in each report, in order; for reading single cases."""
        found = dict(self._annotated(list(dict.fromkeys(reports))))
        return [found[report] for report in reports]

    @property
    def evidence_title(self) -> str:
        """With the annotator."""
        return f"F1-RadGraph ({self._backend if self._backend != 'radgraph' else 'radgraph v1'})"

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        """Of each case which entities both reports have and which one alone, as ``partial`` compares them, the headline: an entity is another one
        if it stands in a relation. None where a network's are not kept."""
        check_pairs(hypotheses, references)
        wanted = dict.fromkeys((*hypotheses, *references))
        new = [text for text in wanted if text not in self._entities_of]
        if len(self._entities_of) + len(new) > REMEMBERED:
            self._entities_of, new = {}, list(wanted)
        self._entities_of |= {text: {} for text in new if not text.strip()}
        for text, annotation in kept_annotations(self._annotator, [text for text in new if text.strip()]):
            self._entities_of[text] = self._entities(annotation)
        found = self._entities_of
        return [
            _compared(found[text], found[reference]) if text in found and reference in found else []
            for text, reference in zip(hypotheses, references, strict=True)
        ]

    def _entities(self, annotation: Annotation) -> Entities:
        """What ``partial`` compares -> for people."""
        found: Entities = {}
        for entity in annotation["entities"].values():
            tokens = entity["tokens"].lower() if self._case == "lower" else entity["tokens"]
            found[tokens, entity["label"], bool(entity["relations"])] = _in_words(entity["tokens"], entity["label"])
        return found

    def _annotated(self, reports: Sequence[str]) -> Iterator[tuple[str, Annotation]]:
        """Each of the reports, which are distinct, with its annotation, in some order; of blanks alone nobody is asked."""
        yield from ((report, Annotation(text="", entities={})) for report in reports if not report.strip())
        yield from annotate_once(self._annotator, [report for report in reports if report.strip()])

    def _read(self, reports: Sequence[str]) -> None:
        """Find the sets of those reports that are new."""
        new = [text for text in dict.fromkeys(reports) if text not in self._places]
        annotated = self._annotated(new)
        parts = [self._sets]
        more = True
        while more:
            with nullcontext() if getattr(self._annotator, "is_kept", True) else uncollected():  # a network may leave cycles
                held = list(islice(annotated, READ_TOGETHER))
                parts.append(self._levels.sets([annotation for _, annotation in held]))
                self._places.update((text, place) for place, (text, _) in enumerate(held, start=len(self._places)))
                more = bool(held)
                del held
        self._sets = tuple(joined(level) for level in zip(*parts, strict=True))

    def _names(self) -> list[str]:
        before = "rules." if self._backend == "rules" else ""
        return [f"{before}{level}_{self._case}{what}" for level in LEVELS for what in ("", ".precision", ".recall")]


def _compared(ours: Entities, theirs: Entities) -> list[Evidence]:
    parts = (
        ("In both", [words for key, words in theirs.items() if key in ours]),
        ("In the reference alone", _alone(theirs, ours)),
        ("In the report alone", _alone(ours, theirs)),
    )
    return [Evidence(head, str(len(words)), ", ".join(words)) for head, words in parts]


def _alone(ours: Entities, theirs: Entities) -> list[str]:
    """Those that the other has not; of one that it has but for the relation, that is said."""
    found = []
    for (tokens, label, is_related), words in ours.items():
        if (tokens, label, is_related) not in theirs:
            differs = (tokens, label, not is_related) in theirs
            found.append(f"{words} ({'with' if is_related else 'without'} a relation)" if differs else words)
    return found


@lru_cache(maxsize=REMEMBERED)
def _in_words(tokens: str, label: str) -> str:
    """An entity for people. Labels are of the first model (``OBS-DA``) or of the later ones (``Observation::definitely absent``)."""
    if label.endswith(("DA", "absent")):
        return f"no {tokens}"
    return f"{tokens} (uncertain)" if label.endswith(("-U", "uncertain")) else tokens
