"""CheXbert F1: do the CheXpert observations that CheXbert finds in a report agree with those that it finds in the reference.

Smit et al., CheXbert, EMNLP 2020 (https://arxiv.org/abs/2004.09167); as a score of reports first in Miura et al., NAACL 2021
(https://arxiv.org/abs/2010.10042). Papers print one of many numbers by this name; here each has its own:

    micro, macro, weighted, samples   x   precision, recall, f1   x   14 (13 observations and No Finding) or 5 (those of Miura et al.)

Who labels: the CheXbert network (``chexbert.weights``, see ``adapters/chexbert``), a table of its answers (``chexbert.labels``), or, with
``by=labeller``, the labeller of the lesion table, from whose lesions the 5 can be read off: such numbers bear its name.

Conventions, those of the package f1chexbert and so of most papers: uncertain counts as positive, blank as negative; an average is of all 14 (or 5)
observations, and a share whose denominator is empty is 0. So an observation that occurs on neither side pulls ``macro`` down, and two reports
without any of the 5 agree with 0 in ``samples``. scikit-learn's ``classification_report`` gives the same numbers.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from benchmark.hookspecs import Labeller
from benchmark.labelling.choose import known_labellers, labeller_named
from benchmark.metrics.tokens import check_pairs
from benchmark.records import Lesions, UserError
from benchmark.shares import SHARE, share

VERSION = 2
OBSERVATIONS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)
"""The order of stanfordmlgroup/CheXbert @3ab882d; No Finding is the 14th of the 14."""
FIVE = ("Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion")  # Miura et al. 2021, Sect. 5
BLANK, POSITIVE, NEGATIVE, UNCERTAIN = range(4)
"""what a labeller's ``raw`` says, by CheXbert's numbers"""
AVERAGES = ("micro", "macro", "weighted", "samples")
SHARES = ("precision", "recall", "f1")
REPORT_COLUMN = "Report Impression"  # of the table that CheXbert's label.py writes
_IN_A_TABLE = {"": BLANK, "nan": BLANK, "1": POSITIVE, "0": NEGATIVE, "-1": UNCERTAIN}


class UnreadableTable(UserError):
    """A table of CheXbert's answers that cannot be read as one; the message names file and line."""


class NoChexbert(UserError):
    """Nothing here can say what CheXbert says of a report."""


class Observer(Protocol):
    """Says of each report what is observed in it."""

    groups: Mapping[str, tuple[str, ...]]
    """``14`` and ``5``, or ``5`` alone: the observations of each"""
    failures: Counter[str]
    """why how many of the texts of the last ``observe`` have no answer"""

    def observe(self, reports: Sequence[str]) -> np.ndarray:
        """(n, k) int8, see ``BLANK`` and its kind, in the order of the largest group; a row of -1 where there is no answer."""

    def signature(self) -> str:
        """Who says so, a field of its own: ``labels:(chexbert|...)``."""


class ChexbertF1:
    """Precision, recall and F1 over the observations that CheXbert finds in two reports."""

    name = "chexbert"

    def __init__(
        self,
        labeller: Labeller | None = None,
        *,
        by: Literal["chexbert", "labeller"] = "chexbert",
        labels: Path | None = None,
        uncertain: Literal["positive", "negative"] = "positive",
        device: str = "auto",
        weights: Path | None = None,
        vocab: Path | None = None,
        precision: Literal["fp32", "bf16"] = "fp32",
        batch_tokens: int | None = None,
        attention_heads: int | None = None,
        download: bool = False,
        trust_pickle: bool = False,
        runtime: Literal["auto", "torch", "onnx"] = "auto",
        mapping: str = "",
    ) -> None:
        """``labeller`` is that of the lesion table, asked only with ``by=labeller``.

        labels     a table with a row for every text, as CheXbert's label.py writes it, in place of the network
        uncertain  what an observation is that CheXbert calls uncertain
        mapping    a setting of the labeller of the same name, for the lesion table; no number here depends on it

        The others are those of the labeller ``chexbert``. Raises ``UserError`` where nothing can label.
        """
        if uncertain not in ("positive", "negative"):
            raise UserError(f"chexbert has no uncertain={uncertain!r}; known: positive, negative")
        if by not in ("chexbert", "labeller"):
            raise UserError(f"chexbert has no by={by!r}; known: chexbert, labeller")
        if by == "labeller" and labels is not None:
            raise UserError("chexbert: labels names a table of CheXbert's answers, and by=labeller asks somebody else; leave one of them out")
        self._uncertain = uncertain
        if by == "labeller":
            if labeller is None:
                raise NoChexbert("chexbert with by=labeller reads the lesions of a labeller, and was handed none; name one with --labeller")
            self._observer: Observer = LesionsAsObservations(labeller)
        elif labels is not None:
            self._observer = Table(labels)
        else:
            if self.name not in known_labellers():
                raise NoChexbert(
                    "chexbert needs the labeller of that name, which no plugin registered; install clala-benchmark again (pip install -e .), or name "
                    "a table of its answers: --set chexbert.labels=FILE"
                )
            settings = {
                "weights": weights,
                "vocab": vocab,
                "device": device,
                "precision": precision,
                "batch_tokens": batch_tokens,
                "attention_heads": attention_heads,
                "download": download,
                "trust_pickle": trust_pickle,
                "runtime": runtime,
            }
            self._observer = Network(labeller_named(self.name, available=settings))
        self._groups = self._observer.groups
        self._seen: dict[str, np.ndarray] = {}
        self._why = "no answer"
        self.failures: Counter[str] = Counter()
        """why how many cases of the last ``statistics`` have no score"""
        self._prefix = "" if by == "chexbert" else f"{_first(labeller)}."
        self.titles = {f"{self._prefix}{name}": title for name, title in self._titles(_first(labeller) if by == "labeller" else "")}
        self.ranges = dict.fromkeys(self.titles, SHARE)
        self.undirected = frozenset(f"{self._prefix}{name}.support" for name in map(str.lower, self._all))
        self.headlines = tuple(f"{self._prefix}micro_f1_{group}" for group in self._groups)

    @property
    def asks(self) -> bool:
        """True if the labeller sends questions to a language model."""
        return bool(getattr(self._observer, "asks", False))

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 1 + 3 k + 3 g) one; tp, fp, fn of k observations; precision, recall, F1 of the case in each of g groups.

        A row of NaN where a text has no labels.
        """
        check_pairs(hypotheses, references)
        if isinstance(self._observer, Table):
            self._observer.check((*hypotheses, *references))
        new = [text for text in dict.fromkeys((*hypotheses, *references)) if text not in self._seen]
        if new:
            self._seen.update(zip(new, self._observer.observe(new), strict=True))
        if not hypotheses:
            return np.empty((0, 1 + 3 * len(self._all) + 3 * len(self._groups)))
        ours, theirs = (np.stack([self._seen[text] for text in texts]) for texts in (hypotheses, references))
        said, true = self._is_positive(ours), self._is_positive(theirs)
        counts = np.stack([said & true, said & ~true, ~said & true], axis=1).astype(np.float64)
        of_case = [np.stack(_shares(*(counts[:, :, places].sum(axis=2).T)), axis=1) for places in self._places]
        rows = np.concatenate([np.ones((len(said), 1)), counts.reshape(len(said), -1), *of_case], axis=1)
        unlabelled = (ours < 0).any(axis=1) | (theirs < 0).any(axis=1)
        rows[unlabelled] = np.nan
        self._why = next(iter(self._observer.failures), self._why)  # what was silent before is not asked again, and is so for the same reason
        self.failures = Counter({self._why: int(unlabelled.sum())}) if unlabelled.any() else Counter()
        return rows

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``micro_f1_14`` and its kind, ``<observation>.precision``, ``.recall``, ``.f1`` and ``.support`` (positives of the references)."""
        sums = np.asarray(sums, dtype=np.float64)
        many = len(self._all)
        cases = sums[..., 0]
        tp, fp, fn = np.moveaxis(sums[..., 1 : 1 + 3 * many].reshape(*sums.shape[:-1], 3, many), -2, 0)
        of_case = sums[..., 1 + 3 * many :].reshape(*sums.shape[:-1], len(self._groups), 3)
        of_each = _shares(tp, fp, fn)
        found: dict[str, np.ndarray] = {}
        for place, (group, places) in enumerate(zip(self._groups, self._places, strict=True)):
            support = (tp + fn)[..., places]
            whole = np.stack([counts[..., places].sum(axis=-1) for counts in (tp, fp, fn)])
            averages = {
                "micro": _shares(*whole),
                "macro": [part[..., places].mean(axis=-1) for part in of_each],
                # Nothing to weigh by is 0, as in scikit-learn.
                "weighted": [np.nan_to_num(share((part[..., places] * support).sum(axis=-1), support.sum(axis=-1))) for part in of_each],
                "samples": [share(of_case[..., place, column], cases) for column in range(3)],
            }
            found |= {f"{average}_{name}_{group}": part for average in AVERAGES for name, part in zip(SHARES, averages[average], strict=True)}
        for column, name in enumerate(self._all):
            found |= {f"{name.lower()}.{what}": part[..., column] for what, part in zip(SHARES, of_each, strict=True)}
            found[f"{name.lower()}.support"] = (tp + fn)[..., column]
        return {f"{self._prefix}{name}": np.where(cases > 0, number, np.nan) for name, number in found.items()}

    def signature(self) -> str:
        """Who labels, and what counts."""
        counted = "+".join(self._groups)
        return f"chexbert|{self._observer.signature()}|observations:{counted}|uncertain:{self._uncertain}|blank:negative|zero_division:0|v{VERSION}"

    @property
    def _all(self) -> tuple[str, ...]:
        return next(iter(self._groups.values()))

    @property
    def _places(self) -> list[list[int]]:
        """Of each group, where its observations stand among all."""
        return [[self._all.index(name) for name in names] for names in self._groups.values()]

    def _is_positive(self, raw: np.ndarray) -> np.ndarray:
        return np.isin(raw, (POSITIVE, UNCERTAIN) if self._uncertain == "positive" else (POSITIVE,))

    def _titles(self, labeller: str) -> Iterator[tuple[str, str]]:
        who = f"F1 by {labeller}" if labeller else "CheXbert F1"
        for group in self._groups:
            for average in AVERAGES:
                yield f"{average}_f1_{group}", f"{who}, {average}-{group}"


class Network:
    """A labeller that says itself what CheXbert says: anything with ``raw``, ``observations`` and ``raw_signature``."""

    groups: Mapping[str, tuple[str, ...]] = {"14": OBSERVATIONS, "5": FIVE}

    def __init__(self, labeller: Any) -> None:
        """Raises ``NoChexbert`` for one that knows lesions alone."""
        if not all(hasattr(labeller, name) for name in ("raw", "raw_signature", "observations")) or set(labeller.observations) != set(OBSERVATIONS):
            raise NoChexbert(
                f"chexbert needs a labeller that tells the {len(OBSERVATIONS)} things that CheXbert observes, and {_first(labeller)!r} does not; "
                "it must have raw(reports), raw_signature() and the observations of CheXbert"
            )
        self._labeller = labeller
        self._order = [tuple(labeller.observations).index(name) for name in OBSERVATIONS]
        self.failures: Counter[str] = Counter()

    def observe(self, reports: Sequence[str]) -> np.ndarray:
        """(n, 14) int8."""
        return np.asarray(self._labeller.raw(reports), dtype=np.int8)[:, self._order]

    def signature(self) -> str:
        """Its weights, not how lesions are made of its answers."""
        return f"labels:({self._labeller.raw_signature()})"


class Table:
    """What CheXbert said, from a CSV that its label.py wrote: ``Report Impression`` and 14 columns of 1, 0, -1 or nothing. Reports are found by
    their words.

    An empty text that the table does not list mentions nothing, No Finding neither: were it unscored, a model would lose its worst cases by silence.
    (The network is asked of it as of any other text, as its authors' programs do; a table that they wrote has its answer.)
    """

    groups: Mapping[str, tuple[str, ...]] = {"14": OBSERVATIONS, "5": FIVE}

    def __init__(self, path: Path) -> None:
        """Raises ``UnreadableTable``."""
        self._path = path
        try:
            data = path.read_bytes()
            text = data.decode("utf-8-sig")
        except OSError as error:
            raise UnreadableTable(f"chexbert.labels={path}: cannot be read ({error.strerror}); give the path of a table of labels") from None
        except UnicodeDecodeError as error:
            raise UnreadableTable(f"chexbert.labels={path}: not UTF-8 ({error.reason}); save it as UTF-8") from None
        self._digest = hashlib.sha256(data).hexdigest()[:12]
        self._rows: dict[str, np.ndarray] = {}
        for line, row in list(self._read(text)):
            words, said = _words(row[REPORT_COLUMN]), [_IN_A_TABLE.get(row[name].strip().lower().removesuffix(".0")) for name in OBSERVATIONS]
            if None in said:
                wrong = OBSERVATIONS[said.index(None)]
                raise UnreadableTable(f"{path}, line {line}: {wrong} is {row[wrong]!r}; it is 1, 0, -1 (uncertain) or empty")
            codes = np.array(said, dtype=np.int8)
            if words in self._rows and not np.array_equal(self._rows[words], codes):
                raise UnreadableTable(f"{path}, line {line}: the same text was there before with other labels; keep one of the two rows")
            self._rows[words] = codes
        self.failures: Counter[str] = Counter()

    def _read(self, text: str) -> Iterator[tuple[int, dict[str, str]]]:
        """The rows, each with the line at which it begins. Raises ``UnreadableTable``."""
        # Lines are what csv takes for lines: a report may hold form feeds and other ends of line.
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header: list[str] | None = None
        line = 1
        limit = csv.field_size_limit(len(text) + 1)  # a long report is no fault of the table
        try:
            for cells in reader:
                if header is None:
                    header = self._header(cells)
                elif cells and len(cells) != len(header):
                    raise UnreadableTable(
                        f"{self._path}, line {line}: has {len(cells)} cells, and the header {len(header)}; write every row with all of them, and a "
                        "report with commas or ends of line in quotes"
                    )
                elif cells:
                    yield line, dict(zip(header, cells, strict=True))
                line = reader.line_num + 1
        except csv.Error as error:
            raise UnreadableTable(
                f"{self._path}, line {line}: the row that begins here cannot be read ({error}); look for a quote that is never closed"
            ) from None
        finally:
            csv.field_size_limit(limit)
        if header is None:
            self._header([])

    def _header(self, found: list[str]) -> list[str]:
        needed = (REPORT_COLUMN, *OBSERVATIONS)
        if lacking := [name for name in needed if name not in found]:
            raise UnreadableTable(
                f"{self._path}: has no column {lacking[0]!r}, found {', '.join(found) or 'nothing'}; a table is written as CheXbert's "
                f"label.py writes it, {REPORT_COLUMN} and the {len(OBSERVATIONS)} observations"
            )
        if twice := [name for name in needed if found.count(name) > 1]:
            raise UnreadableTable(f"{self._path}: has the column {twice[0]!r} {found.count(twice[0])} times; keep one of them")
        return found

    def check(self, reports: Sequence[str]) -> None:
        """Raises ``NoChexbert`` if the table has none of all the texts of a measurement: then it is another's."""
        wanted = {words for report in reports if (words := _words(report))}
        if wanted and self._rows.keys().isdisjoint(wanted):
            raise NoChexbert(
                f"chexbert.labels={self._path}: has {len(self._rows):,} texts, and none of the {len(wanted):,} that are measured; give a table with "
                "a row for every reference and every report"
            )

    def observe(self, reports: Sequence[str]) -> np.ndarray:
        """(n, 14) int8; a row of -1 for a text that is not in the table."""
        silent = np.full(len(OBSERVATIONS), BLANK, dtype=np.int8)
        rows = {"": silent} | self._rows
        found = [rows.get(_words(report)) for report in reports]
        missing = sum(row is None for row in found)
        self.failures = Counter({"not in the table": missing}) if missing else Counter()
        return np.stack([np.full(len(OBSERVATIONS), -1, dtype=np.int8) if row is None else row for row in found])

    def signature(self) -> str:
        """The file by its checksum, and what an empty text is."""
        return f"labels:(table|sha256:{self._digest}|empty:{'listed' if '' in self._rows else 'blank'})"


class LesionsAsObservations:
    """The lesions of any labeller: the 5 observations are lesions of the same name, and the only ones that are counted."""

    groups: Mapping[str, tuple[str, ...]] = {"5": FIVE}

    def __init__(self, labeller: Labeller) -> None:
        self._labeller = labeller
        self.asks = bool(getattr(labeller, "asks", False))
        self.failures: Counter[str] = Counter()

    def observe(self, reports: Sequence[str]) -> np.ndarray:
        """(n, 5) int8; what is hedged and yet positive is uncertain."""
        rows = np.array([_codes(lesions) for lesions in self._labeller.label(reports)], dtype=np.int8).reshape(len(reports), len(FIVE))
        why: Mapping[str, str] = getattr(self._labeller, "failed", {})
        self.failures = Counter(why.get(report, "no answer") for report, row in zip(reports, rows, strict=True) if (row < 0).any())
        return rows

    def signature(self) -> str:
        """The labeller's own."""
        return f"labeller:({self._labeller.signature()})"


def _codes(lesions: Lesions) -> list[int]:
    """Of the 5 observations, in their order; -1 where the labeller had no answer."""
    if not lesions:
        return [-1] * len(FIVE)
    of_name = {lesion.name: lesion for lesion in lesions}
    found = [of_name[name.lower()] for name in FIVE]
    return [NEGATIVE if one.status != "positive" else UNCERTAIN if one.certainty == "hedged" else POSITIVE for one in found]


def _shares(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1; 0 where there is nothing to share."""
    precision, recall, f1 = (np.nan_to_num(share(part, whole)) for part, whole in ((tp, tp + fp), (tp, tp + fn), (2 * tp, 2 * tp + fp + fn)))
    return precision, recall, f1


def _words(text: str) -> str:
    """What CheXbert reads of a text, and a CSV keeps: its words, one blank between any two."""
    return " ".join(text.split())


def _first(labeller: Any) -> str:
    """The name that a labeller gives itself."""
    return str(labeller.signature()).partition("|")[0]
