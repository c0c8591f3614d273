"""The labeller by rules against experts: 1,927 reports of Indiana University (the even-numbered ones), labelled for exactly the 14 lesions.

The gold says what the whole report says; FINDINGS and IMPRESSION are read. Thresholds are those of the plan; the odd-numbered half is kept for
checking by others.
"""

from __future__ import annotations

import csv
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmark.labelling.rules import RuleLabeller
from benchmark.vocabulary import LESIONS

COLUMNS = {"pleural effusion": "Effusion", "pleural thickening": "Pleural_Thickening"}
"""columns of the gold that are not named as our lesion is"""

Labels = dict[str, dict[str, bool]]


@pytest.fixture(scope="module")
def iu_xray(real_data: Path) -> tuple[dict[str, str], Labels]:
    """Report text and expert labels by the name of the report."""
    folder = real_data / "iu_xray"
    if not (folder / "gold_labels_even.csv").is_file():
        pytest.skip("the expert labels of IU X-Ray are not in ../shared/data/iu_xray")
    with (folder / "gold_labels_even.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    gold = {row["filename"]: {name: row[COLUMNS.get(name, name.capitalize())] == "1" for name in LESIONS} for row in rows}
    texts = {}
    with tarfile.open(folder / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            name = "CXR" + Path(member.name).stem
            file = archive.extractfile(member) if name in gold else None
            if file is not None:
                parts = {part.get("Label"): part.text or "" for part in ET.fromstring(file.read()).iter("AbstractText")}
                texts[name] = f"FINDINGS: {parts.get('FINDINGS', '')}\n\nIMPRESSION: {parts.get('IMPRESSION', '')}"
    return texts, gold


def f1_scores(labeller: RuleLabeller, texts: dict[str, str], gold: Labels) -> tuple[float, float]:
    """Micro F1 over the 14 lesions, and macro F1 over the lesions with ten or more positives."""
    names = sorted(gold)
    labels = labeller.label([texts[name] for name in names])
    counts = {name: [0, 0, 0] for name in LESIONS}  # true positives, said, true
    for report, lesions in zip(names, labels, strict=True):
        for lesion in lesions:
            is_true, is_said = gold[report][lesion.name], lesion.status == "positive"
            for place, is_counted in enumerate((is_true and is_said, is_said, is_true)):
                counts[lesion.name][place] += is_counted
    both, said, true = map(sum, zip(*counts.values(), strict=True))
    frequent = [2 * b / (s + t) for b, s, t in counts.values() if t >= 10]
    assert len(frequent) == 12
    return 2 * both / (said + true), sum(frequent) / len(frequent)


def test_every_gold_label_has_its_report(iu_xray: tuple[dict[str, str], Labels]) -> None:
    texts, gold = iu_xray
    assert len(gold) == 1927
    assert texts.keys() == gold.keys()


def test_experts_and_rules_agree_under_the_experts_conventions(iu_xray: tuple[dict[str, str], Labels]) -> None:
    micro, macro = f1_scores(RuleLabeller(hedges="gold_openi", terms="gold_openi"), *iu_xray)
    assert micro >= 0.94
    assert macro >= 0.93


def test_the_experts_reading_of_hedges_alone_brings_agreement(iu_xray: tuple[dict[str, str], Labels]) -> None:
    micro, macro = f1_scores(RuleLabeller(hedges="gold_openi"), *iu_xray)
    assert micro >= 0.90
    assert macro >= 0.85


def test_our_own_conventions_find_what_the_experts_found(iu_xray: tuple[dict[str, str], Labels]) -> None:
    """Where ours differ they affirm more: weak hedges, hiatal hernias, nodular opacities."""
    micro, macro = f1_scores(RuleLabeller(), *iu_xray)
    assert micro >= 0.82
    assert macro >= 0.80
