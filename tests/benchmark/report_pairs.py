"""Pairs of reports to try lexical metrics on: real ones, drawn ones, and odd ones that break tokenisers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np

from benchmark.datasets.phantom import anatomy, lesions, reports

Pairs = list[tuple[str, str]]
"""hypothesis, reference"""

ODD: Pairs = [
    ("", "The lungs are clear."),
    ("clear", "clear"),
    ("lungs", "lung"),
    ("a", "b"),
    ("no", "no no no"),
    ("no no no no", "no no"),
    ("no no no no no no", "no effusion no no pneumothorax no"),
    ("the the cat", "the cat sat on the the mat"),
    ("Été naïve café 肺 µ 37° clear", "été naïve cafe 肺 µ 37 ° clear"),
    ("\u212aelvin \u0130stanbul ΑΣ", "kelvin i̇stanbul ας"),
    ("肺 clear 正常 “quoted” \u2013 dash", '肺 clear 正常 "quoted" - dash'),
    ("a\u00a0b\u2003c\u3000d", "a b c d"),
    ("Lungs are clear.\nNo effusion.\r\n\nHeart\tnormal.", "Lungs are clear. No effusion. Heart normal."),
    ("pneumo-\nthorax is seen", "pneumothorax is seen"),
    ("two  spaces   here ", " two spaces  here"),
    ("... !!! ,", "clear ."),
    (".", ". . ."),
    ("!?", "!? !? --"),
    ("3.5-cm mass, T11-T12; 1,000 x 2.5. (No. 5) 50%/60%", "A 3.5 cm mass at T11 - T12, 1000 by 2.5 (number 5), 50 % / 60 %."),
    ("x &amp; y &lt;b&gt; &quot;z&quot; <skipped>", 'x & y <b> "z"'),
    ("a||| b |c", "a ||| b | c"),
    ("It's the patient's; isn't 'fine' ''either''", "it is the patient 's , is n't fine either"),
    ("Cardiomegaly.Stable.No change", "Cardiomegaly. Stable. No change"),
    ("THE LUNGS ARE CLEAR", "the lungs are clear"),
    ("same text, word for word.", "same text, word for word."),
    ("one two three", "three two one"),
    ("[{(~^_`*+=@#$)}]\\/", "[ { ( ~ ^ _ ` * + = @ # $ ) } ] \\ /"),
    ("No acute findings. " * 40, "No acute findings."),
    (" ".join(f"w{i % 61} v{i % 13}" for i in range(1000)), " ".join(f"w{i % 61} v{i % 17}" for i in range(1000))),
    ("long " * 1999, "long " * 2000),
]


def real_pairs(data: Path, per_way: int | None = None) -> Pairs:
    """IU X-Ray's reports against other ones: the next in the file, and any."""
    parts = json.loads((data / "iu_xray" / "r2gen_annotation.json").read_text(encoding="utf-8"))
    texts = [case["report"] for cases in parts.values() for case in cases]
    shuffled = random.Random(11).sample(texts, len(texts))
    neighbours = list(zip(texts[1:] + texts[:1], texts, strict=True))
    return neighbours[:per_way] + list(zip(shuffled, texts, strict=True))[:per_way]


def phantom_pairs(count: int) -> Pairs:
    """Reports of phantoms, each against one of another examination with some of the same findings."""
    rng = np.random.default_rng(7)
    pairs = []
    for _ in range(count):
        person, findings = anatomy.sample_patient(rng), lesions.sample(rng)
        seen = [finding for finding in findings if rng.random() < 0.7]
        pairs.append((_written(rng, person, seen), _written(rng, person, findings)))
    return pairs


def _written(rng: np.random.Generator, person: anatomy.Patient, findings: list[lesions.Finding]) -> str:
    study = reports.Study(person, "AP", False, findings, None, ())
    return " ".join(sentence.text for sentence in reports.findings_section(rng, study))
