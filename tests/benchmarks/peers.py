"""CPU seconds of other toolkits, run by a Python that has them: pairs as JSON on stdin, one JSON object on stdout. ``metrics.py`` calls it.

Toolkits cannot be installed beside one another, nor beside us: RadEval replaces torch and pins others. So they run apart, with nothing of ours.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable

Texts = list[str]


def radeval_bleu(hypotheses: Texts, references: Texts) -> object:
    """BLEU-1 to 4, as RadEval runs it by default."""
    from radeval.metrics.bleu.adapter import BleuMetric

    return BleuMetric()._compute_raw(references, hypotheses)["bleu"]["aggregate"]


def radeval_rouge(hypotheses: Texts, references: Texts) -> object:
    """ROUGE-1, 2 and L, stemmed."""
    from radeval.metrics.rouge.adapter import RougeMetric

    return RougeMetric()._compute_raw(references, hypotheses)["rougeL"]["aggregate"]


def torchmetrics_rouge(hypotheses: Texts, references: Texts) -> object:
    """ROUGE-L, stemmed."""
    from torchmetrics.functional.text import rouge_score

    return float(rouge_score(hypotheses, references, use_stemmer=True, rouge_keys="rougeL")["rougeL_fmeasure"])


def torchmetrics_bleu(hypotheses: Texts, references: Texts) -> object:
    """BLEU-4 of the corpus, words between spaces."""
    from torchmetrics.functional.text import bleu_score

    return float(bleu_score(hypotheses, [[reference] for reference in references]))


def torchmetrics_sacrebleu(hypotheses: Texts, references: Texts) -> object:
    """sacreBLEU's BLEU-4 of the corpus."""
    from torchmetrics.functional.text import sacre_bleu_score

    return float(sacre_bleu_score(hypotheses, [[reference] for reference in references]))


PEERS: dict[str, tuple[str, Callable[[Texts, Texts], object]]] = {
    "RadEval BLEU-1 to 4": ("radeval", radeval_bleu),
    "RadEval ROUGE-1, 2, L": ("radeval", radeval_rouge),
    "torchmetrics ROUGE-L": ("torchmetrics", torchmetrics_rouge),
    "torchmetrics BLEU": ("torchmetrics", torchmetrics_bleu),
    "torchmetrics sacreBLEU": ("torchmetrics", torchmetrics_sacrebleu),
}


def main() -> None:
    """Measure each, once a few pairs have loaded what it needs."""
    given = json.load(sys.stdin)
    hypotheses, references = given["hypotheses"], given["references"]
    found: dict[str, dict[str, object]] = {}
    for name, (package, work) in PEERS.items():
        try:
            version = importlib.metadata.version(package)
            work(hypotheses[:3], references[:3])
            start = time.process_time()
            value = work(hypotheses, references)
            found[name] = {"version": version, "seconds": time.process_time() - start, "value": value}
        except Exception as error:  # whatever a toolkit dies of is what a user of it would see
            found[name] = {"reason": f"{type(error).__name__}: {error}"[:160]}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
