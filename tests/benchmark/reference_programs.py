"""The programs that our lexical metrics reproduce, each run as its users run it, beside the metric of ours that must equal it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from benchmark.hookspecs import Metric
from benchmark.metrics.bleu import Bleu
from benchmark.metrics.cider import CiderD
from benchmark.metrics.meteor import Meteor
from benchmark.metrics.meteor_jar import jar_scores
from benchmark.metrics.meteor_nltk import MeteorNltk
from benchmark.metrics.rouge import RougeL
from benchmark.metrics.rouge_coco import RougeLCoco
from benchmark.metrics.rouge_n import rouge_1, rouge_2
from benchmark.metrics.sacrebleu import SacreBleu


class Missing(Exception):
    """A reference program is not here; says what is missing."""


class Scores(NamedTuple):
    """What a program says of some pairs."""

    cases: np.ndarray
    """(n, k) of each pair"""
    corpus: np.ndarray
    """(m,) of all of them together, empty where that is no more than the mean"""
    seconds: float
    """CPU, importing and loading of resources left out"""


@dataclass(frozen=True)
class Reference:
    """A metric of ours, and the program that it equals."""

    title: str
    package: str
    """on PyPI"""
    make: Callable[[], Metric]
    run: Callable[[Sequence[str], Sequence[str]], Scores]
    columns: Sequence[int]
    """of our statistics that equal ``Scores.cases``; empty: our values of single cases do"""
    corpus: Sequence[str] = field(default=())
    """our values that equal ``Scores.corpus``"""
    is_slow_on_long_texts: bool = False
    """the program's time grows as one text's length times the other's"""

    def version(self) -> str:
        """As installed. Raises ``Missing``."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            raise Missing(f"{self.package} is not installed") from None

    def compare(self, hypotheses: Sequence[str], references: Sequence[str]) -> tuple[np.ndarray, Scores]:
        """Largest difference of each pair, then of the corpus where there is a corpus number; and what the program said. Raises ``Missing``."""
        theirs = self.run(hypotheses, references)
        metric = self.make()
        rows = metric.statistics(hypotheses, references)
        ours = rows[:, self.columns] if self.columns else np.column_stack(list(metric.values(rows).values()))
        apart = np.abs(ours - theirs.cases).max(axis=1)
        is_scored = ~np.isnan(rows).all(axis=1)
        apart = apart[is_scored]
        if self.corpus:
            values = metric.values(rows[is_scored].sum(axis=0))
            apart = np.append(apart, np.abs(np.array([values[name] for name in self.corpus]) - theirs.corpus).max())
        return apart, theirs


NOTHING = np.empty(0)


def rouge_score(kind: str, stem: bool) -> Callable[[Sequence[str], Sequence[str]], Scores]:
    """Google's: F1, precision and recall."""

    def run(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
        _need("rouge_score")
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer([kind], use_stemmer=stem)
        start = time.process_time()
        scores = [scorer.score(reference, hypothesis)[kind] for hypothesis, reference in zip(hypotheses, references, strict=True)]
        seconds = time.process_time() - start
        return Scores(np.array([(score.fmeasure, score.precision, score.recall) for score in scores]), NOTHING, seconds)

    return run


def coco_rouge(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
    """pycocoevalcap's ROUGE_L."""
    _need("pycocoevalcap")
    from pycocoevalcap.rouge.rouge import Rouge

    start = time.process_time()
    _, cases = Rouge().compute_score(*_as_captions(hypotheses, references))
    return Scores(np.array(cases)[:, None], NOTHING, time.process_time() - start)


def coco_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
    """pycocoevalcap's BLEU-1 to 4."""
    _need("pycocoevalcap")
    from pycocoevalcap.bleu.bleu import Bleu as CocoBleu

    start = time.process_time()
    corpus, cases = CocoBleu(4).compute_score(*_as_captions(hypotheses, references), verbose=0)
    return Scores(np.array(cases).T, np.array(corpus), time.process_time() - start)


def coco_cider(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
    """pycocoevalcap's CIDEr-D."""
    _need("pycocoevalcap")
    from pycocoevalcap.cider.cider import Cider

    start = time.process_time()
    _, cases = Cider().compute_score(*_as_captions(hypotheses, references))
    return Scores(np.array(cases)[:, None], NOTHING, time.process_time() - start)


def sacrebleu(lowercase: bool) -> Callable[[Sequence[str], Sequence[str]], Scores]:
    """sacreBLEU of sentences and corpus; the seconds are those of the corpus alone, by tokenisers that remember nothing yet."""

    def run(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
        _need("sacrebleu")
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
        from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

        for tokenizer in (Tokenizer13a, TokenizerRegexp):
            tokenizer.__call__.cache_clear()
        start = time.process_time()
        corpus = BLEU(lowercase=lowercase).corpus_score(hypotheses, [references]).score / 100
        seconds = time.process_time() - start
        single = BLEU(lowercase=lowercase, effective_order=True)
        cases = [single.sentence_score(hypothesis, [reference]).score / 100 for hypothesis, reference in zip(hypotheses, references, strict=True)]
        return Scores(np.array(cases)[:, None], np.array([corpus, np.mean(cases)]), seconds)

    return run


def nltk_meteor(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
    """nltk's METEOR on ``.split()`` words, with WordNet 3.0."""
    try:
        from nltk.translate.meteor_score import single_meteor_score

        single_meteor_score(["chest"], ["thorax"])
    except (ImportError, LookupError) as error:
        raise Missing(f"nltk with WordNet 3.0 under NLTK_DATA ({type(error).__name__})") from None
    start = time.process_time()
    scores = [single_meteor_score(reference.split(), hypothesis.split()) for hypothesis, reference in zip(hypotheses, references, strict=True)]
    return Scores(np.array(scores)[:, None], NOTHING, time.process_time() - start)


def jar_meteor(*options: str) -> Callable[[Sequence[str], Sequence[str]], Scores]:
    """METEOR's jar: each case and the system; the seconds are all of its process, start and table included."""

    def run(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
        _need("pycocoevalcap")
        if shutil.which("java") is None:
            raise Missing("java")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = jar_scores(hypotheses, references, *options)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Scores(found.scores[:, None], np.array([found.system]), seconds)

    return run


REFERENCES = (
    Reference("rouge_1, stemmed", "rouge-score", rouge_1, rouge_score("rouge1", True), (0, 1, 2)),
    Reference("rouge_1", "rouge-score", lambda: rouge_1(stem=False), rouge_score("rouge1", False), (0, 1, 2)),
    Reference("rouge_2, stemmed", "rouge-score", rouge_2, rouge_score("rouge2", True), (0, 1, 2)),
    Reference("rouge_2", "rouge-score", lambda: rouge_2(stem=False), rouge_score("rouge2", False), (0, 1, 2)),
    Reference("rouge_l, stemmed", "rouge-score", RougeL, rouge_score("rougeL", True), (0, 1, 2), is_slow_on_long_texts=True),
    Reference("rouge_l", "rouge-score", lambda: RougeL(stem=False), rouge_score("rougeL", False), (0, 1, 2), is_slow_on_long_texts=True),
    Reference("rouge_l_coco", "pycocoevalcap", RougeLCoco, coco_rouge, (0,), is_slow_on_long_texts=True),
    Reference("bleu", "pycocoevalcap", Bleu, coco_bleu, (), tuple(f"bleu_{order}" for order in range(1, 5))),
    Reference("sacrebleu", "sacrebleu", SacreBleu, sacrebleu(False), (10,), ("corpus", "sentence")),
    Reference("sacrebleu, lowercase", "sacrebleu", lambda: SacreBleu(lowercase=True), sacrebleu(True), (10,), ("corpus", "sentence")),
    Reference("cider_d", "pycocoevalcap", CiderD, coco_cider, (0,)),
    Reference("meteor_nltk", "nltk", MeteorNltk, nltk_meteor, (0,)),
    Reference("meteor", "pycocoevalcap", Meteor, jar_meteor(), (23,), ("system",), is_slow_on_long_texts=True),
)
WITHOUT_PARAPHRASES = Reference(
    "meteor without paraphrases", "pycocoevalcap", lambda: Meteor(paraphrase=False), jar_meteor("-m", "exact stem synonym"), (23,), ("system",), True
)
"""The jar without its table starts in half a second."""


def reference(title: str) -> Reference:
    """The one of that title."""
    return next(one for one in REFERENCES if one.title == title)


def _as_captions(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    return {case: [text] for case, text in enumerate(references)}, {case: [text] for case, text in enumerate(hypotheses)}


def _need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise Missing(f"{package} is not installed")
