"""Speed of the labeller by rules: python tests/benchmarks/labelling.py [pairs]

Three loads, CPU seconds of one process: a test split with the reports of ten models, made of sentences that repeat as those of reports do; the same
reports when every sentence is known; and, where it lies beside the checkout, the real text of IU X-Ray, read for the first time.
"""

from __future__ import annotations

import random
import resource
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from benchmark.labelling.rules import RuleLabeller

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "iu_xray" / "NLMCXR_reports.tgz"
MODELS = 10
SENTENCES_IN_REPORT = 8

SIZES = ("", "small ", "minimal ", "mild ", "moderate ", "large ")
PLACES = ("left ", "right ", "bilateral ", "left basilar ", "right upper lobe ", "right lower lobe ", "lingular ", "")
THINGS = ("pleural effusion", "atelectasis", "consolidation", "pneumothorax", "opacity", "nodule", "infiltrate", "pleural thickening", "scarring")
FRAMES = (
    "There is {}.",
    "No {}.",
    "{} is unchanged.",
    "Possible {}.",
    "{} has resolved.",
    "There is no evidence of {}, and the heart is normal in size.",
    "Opacity that may represent {} versus edema.",
    "The bones are intact, without {}.",
)


def main(pairs: int = 31_255) -> None:
    """Print one line per load."""
    phrases = [size + place + thing for size in SIZES for place in PLACES for thing in THINGS]
    sentences = [frame.format(phrase) for frame in FRAMES for phrase in phrases]
    generator = random.Random(0)
    reports = [" ".join(generator.choices(sentences, k=SENTENCES_IN_REPORT)) for _ in range(pairs * (1 + MODELS))]
    labeller = RuleLabeller()
    seconds = cpu_seconds(labeller, reports)
    print(f"{pairs} references and {MODELS} models: {len(reports)} distinct reports, {len(sentences)} sentences")
    print(f"  {seconds:.1f} s, {len(reports) / seconds:,.0f} reports/s, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    seconds = cpu_seconds(labeller, reports)
    print(f"  once more: {seconds:.2f} s, {len(reports) / seconds:,.0f} reports/s")
    if not REAL.is_file():
        print("IU X-Ray: not in ../shared/data, not measured")
        return
    real = real_reports()
    seconds = min(cpu_seconds(RuleLabeller(), real) for _ in range(3))
    print(f"IU X-Ray, cold: {len(real)} reports, {seconds:.2f} s, {len(real) / seconds:,.0f} reports/s")


def cpu_seconds(labeller: RuleLabeller, reports: list[str]) -> float:
    """CPU seconds of labelling."""
    start = time.process_time()
    labeller.label(reports)
    return time.process_time() - start


def real_reports() -> list[str]:
    """FINDINGS and IMPRESSION of every report."""
    reports = []
    with tarfile.open(REAL) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and member.name.endswith(".xml"):
                parts = {part.get("Label"): part.text or "" for part in ET.fromstring(file.read()).iter("AbstractText")}
                reports.append(f"FINDINGS: {parts.get('FINDINGS', '')}\n\nIMPRESSION: {parts.get('IMPRESSION', '')}")
    return reports


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
