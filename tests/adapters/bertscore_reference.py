"""What the package bert-score says of the pairs in ``bertscore_golden.json`` with the networks of ``tiny_bert.py``: makes its numbers anew.

Run in an environment that has bert-score 0.3.13, transformers 4.57.6 and torch. Every pair is a batch of its own, for the package fills short texts
of a batch with cosines of 0, which win where every true one is negative:

    python bertscore_reference.py          writes the file
    python bertscore_reference.py check    says how far its numbers lie from those that the package gives here
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tiny_bert import tiny_bert, tiny_roberta

GOLDEN = Path(__file__).parent / "bertscore_golden.json"
PACKAGES = ("bert-score", "transformers", "torch", "numpy")


def numbers(inputs: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Scores by network, weights of pieces and scale, and the tokens of the candidates by network."""
    from bert_score import score
    from bert_score.utils import get_tokenizer, sent_encode

    candidates, references = map(list, zip(*inputs["pairs"], strict=True))
    tiny_bert(folder / "bert")
    tiny_roberta(folder / "roberta")
    baseline = folder / "baseline.tsv"  # the package takes the row by its number
    row = ",".join(map(str, inputs["baseline"]))
    baseline.write_text("LAYER,P,R,F\n" + "".join(f"{layer},{row}\n" for layer in range(inputs["layer"] + 1)), encoding="utf-8")
    scores: dict[str, list[list[float]]] = {}
    tokens: dict[str, list[list[int]]] = {}
    for family in ("bert", "roberta"):
        model = str(folder / family)
        tokens[family] = [list(sent_encode(get_tokenizer(model), text)) for text in candidates]
        for idf in (False, True):
            for rescaled in (False, True):
                found = score(
                    candidates,
                    references,
                    model_type=model,
                    num_layers=inputs["layer"],
                    idf=idf,
                    batch_size=1,
                    device="cpu",
                    lang="en",
                    rescale_with_baseline=rescaled,
                    baseline_path=str(baseline),
                )
                rows = np.stack([part.numpy() for part in found], axis=1)
                scores[f"{family}|{'idf' if idf else 'plain'}|{'rescaled' if rescaled else 'raw'}"] = [
                    [round(float(number), 7) for number in pair] for pair in rows
                ]
    return {"scores": scores, "tokens": tokens}


def main() -> None:
    """See the head of the file."""
    kept = json.loads(GOLDEN.read_text(encoding="utf-8"))
    inputs = {name: kept[name] for name in ("pairs", "baseline", "layer")}
    with tempfile.TemporaryDirectory() as folder:
        found = numbers(inputs, Path(folder))
    if sys.argv[1:] == ["check"]:
        furthest = max(float(np.abs(np.subtract(found["scores"][which], kept["scores"][which])).max()) for which in kept["scores"])
        print(f"scores differ by {furthest:.1e} at most, tokens are {'the same' if found['tokens'] == kept['tokens'] else 'other ones'}")
        return
    made_by = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
    made = {"made_by": f"{made_by}, one pair per batch", **inputs, **found}
    GOLDEN.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
