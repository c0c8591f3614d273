"""Writes the report of a study: sentences that know which lesion they assert or deny, of which side, how surely, and about which regions.

The truth of a study is what its FINDINGS say (``truth``): a lesion that is drawn is always mentioned, affirmed plainly or with a hedge; one that is
not drawn is denied, left in doubt ("cannot be excluded", which counts as negative), reported as resolved, or not mentioned.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.datasets.phantom import wording
from benchmark.datasets.phantom.anatomy import SIDES, Patient
from benchmark.datasets.phantom.devices import Device
from benchmark.datasets.phantom.lesions import Finding
from benchmark.records import Lesion
from benchmark.vocabulary import LESIONS


@dataclass(frozen=True)
class Said:
    """One statement about one lesion."""

    lesion: str
    status: str
    """positive | negative"""
    side: str
    """left | right | bilateral | not mentioned"""
    certainty: str
    """stated | hedged"""


@dataclass(frozen=True)
class Sentence:
    """One sentence of a report."""

    text: str
    says: tuple[Said, ...] = ()
    """statements about lesions"""
    regions: tuple[str, ...] = ()
    """the regions of the scene graph it belongs to"""
    attributes: tuple[str, ...] = ()
    """Chest ImaGenome's ``category|yes|label`` strings"""
    severity: str = ""
    """cue word, if any"""
    change: str = ""
    """unchanged | increased | decreased | new | resolved, if it compares"""


@dataclass(frozen=True)
class Study:
    """What the writer is told about an examination."""

    patient: Patient
    view: str
    """AP or PA of the frontal image"""
    has_lateral: bool
    findings: Sequence[Finding]
    previous: Sequence[Finding] | None
    """findings of the study before; None for a first study"""
    devices: Sequence[Device]


LABELS = {
    "cardiomegaly": "anatomicalfinding|{}|enlarged cardiac silhouette",
    "emphysema": "disease|{}|copd/emphysema",
    "pleural effusion": "anatomicalfinding|{}|pleural effusion",
    "hernia": "anatomicalfinding|{}|hernia",
    "nodule": "anatomicalfinding|{}|mass/nodule (not otherwise specified)",
    "pneumothorax": "anatomicalfinding|{}|pneumothorax",
    "atelectasis": "anatomicalfinding|{}|atelectasis",
    "pleural thickening": "anatomicalfinding|{}|pleural/parenchymal scarring",
    "mass": "anatomicalfinding|{}|mass/nodule (not otherwise specified)",
    "edema": "anatomicalfinding|{}|pulmonary edema/hazy opacity",
    "consolidation": "anatomicalfinding|{}|consolidation",
    "infiltration": "anatomicalfinding|{}|infiltration",
    "fibrosis": "disease|{}|interstitial lung disease",
    "pneumonia": "disease|{}|pneumonia",
}
OPACITY = "anatomicalfinding|yes|lung opacity"
OPAQUE = ("atelectasis", "mass", "nodule", "edema", "consolidation", "infiltration", "fibrosis", "pneumonia")
HEDGE_RATE = (0.0, 0.24, 0.12, 0.05)
ZONE_REGION = {"apical": "apical zone", "upper": "upper lung zone", "mid": "mid lung zone", "lower": "lower lung zone", "base": "lower lung zone"}
AIRSPACE = frozenset(LESIONS) - {"cardiomegaly", "pleural effusion", "hernia", "pneumothorax", "pleural thickening"}


def findings_section(rng: np.random.Generator, study: Study) -> list[Sentence]:
    """The sentences of FINDINGS, in order."""
    present = {finding.name for finding in study.findings}
    lungs, pleura, heart = _joined(rng, study)
    done = {said.lesion for sentence in (*lungs, *pleura, *heart) for said in sentence.says}
    for finding in study.findings:
        if finding.name in done:
            continue
        where = (
            heart if finding.name in ("cardiomegaly", "hernia") else pleura if "pleur" in finding.name or finding.name == "pneumothorax" else lungs
        )
        where.extend(_positive(rng, finding, study.previous is not None, present))
    resolved = [
        _resolved(rng, gone) for gone in study.previous or () if gone.name not in present and gone.name in wording.NOUNS and rng.random() < 0.85
    ]
    lungs.extend(sentence for sentence in resolved if sentence.says[0].lesion in AIRSPACE)
    pleura.extend(sentence for sentence in resolved if sentence.says[0].lesion not in AIRSPACE)
    thick = next((f for f in study.findings if f.name == "pleural thickening" and f.sites[0].zone == "lower" and f.side in SIDES), None)
    if thick and "pleural effusion" not in present and rng.random() < 0.4:
        said = Said("pleural thickening", "positive", thick.side, "stated"), Said("pleural effusion", "negative", "not mentioned", "stated")
        text = _choice(rng, wording.RATHER_THAN_FLUID).format(side=thick.side)
        pleura.append(Sentence(text, said, (f"{thick.side} lung", f"{thick.side} costophrenic angle"), _labels(said)))
    _deny(rng, study, present, lungs, pleura, heart)
    blocks = [lungs, pleura, heart]
    if rng.random() < 0.35:
        blocks = [heart, lungs, pleura]
    opening = [
        _choice(rng, wording.VIEWS).format(View="Portable AP" if study.view == "AP" else "PA and lateral" if study.has_lateral else "Single PA")
    ]
    sentences = [Sentence(opening[0])] if rng.random() < 0.15 else []
    sentences += [device_sentence(rng, device) for device in study.devices if device.kind != "ecg leads"]
    for tube in (device for device in study.devices if device.has_air_in_the_wall):
        text = _choice(rng, wording.AIR_IN_THE_WALL).format(side=tube.side)
        sentences.append(Sentence(text, (), (f"{tube.side} lung",), ("nlp|yes|abnormal", "anatomicalfinding|yes|subcutaneous air")))
    for block in blocks:
        sentences.extend(block)
    sentences.extend(_rest(rng, study))
    return [replace(sentence, text=_tidy(sentence.text)) for sentence in sentences]


def impression_section(rng: np.random.Generator, study: Study, findings: Sequence[Sentence]) -> list[Sentence]:
    """The sentences of IMPRESSION: the positive findings in short, or that there is nothing acute."""
    sure = {said.lesion: said.certainty for sentence in findings for said in sentence.says if said.status == "positive"}
    lines = []
    for finding in sorted(study.findings, key=lambda f: -f.severity)[:4]:
        if finding.name == "cardiomegaly":
            lines.append(_heart_enlarged(rng, finding, hedged=False, compared=False))
            continue
        frames = ("Possible {np}.", "Likely {np}.") if sure[finding.name] == "hedged" else ("{np}.",)
        lines.append(_framed(rng, finding, frames, "hedged" if sure[finding.name] == "hedged" else "stated", ""))
    if not lines:
        lines = [Sentence(_choice(rng, wording.NOTHING_ACUTE), (), ("right lung", "left lung") if rng.random() < 0.5 else (), ("nlp|yes|normal",))]
    return [replace(line, text=_tidy(line.text)) for line in lines]


def truth(sentences: Sequence[Sentence]) -> tuple[Lesion, ...]:
    """What the sentences say of all 14 lesions: one affirmation outweighs denials, left and right make bilateral."""
    out = []
    for name in LESIONS:
        said = [(s, sentence.text) for sentence in sentences for s in sentence.says if s.lesion == name]
        positive = [(s, text) for s, text in said if s.status == "positive"]
        deciding = positive or said
        if not deciding:
            out.append(Lesion(name, "negative", "not mentioned", "not mentioned", ""))
            continue
        certainty = "stated" if any(s.certainty == "stated" for s, _ in deciding) else "hedged"
        words = " ".join(dict.fromkeys(text for _, text in deciding))
        sides = {s.side for s, _ in positive} - {"not mentioned"}
        side = "not mentioned" if not sides else "bilateral" if len(sides) > 1 else sides.pop()
        out.append(Lesion(name, "positive" if positive else "negative", side, certainty, words))
    return tuple(out)


def device_sentence(rng: np.random.Generator, device: Device) -> Sentence:
    """Where a tube or line ends."""
    side, cm = device.side, f"{device.number:.1f}"
    texts, regions, label = {
        "endotracheal tube": (
            (
                f"The endotracheal tube terminates {cm} cm above the carina.",
                f"ET tube tip is {cm} cm from the carina.",
                f"Endotracheal tube in standard position, {cm} cm above the carina.",
            ),
            ("trachea", "carina"),
            "endotracheal tube",
        ),
        "central line": (
            (
                f"A {side} internal jugular central venous catheter terminates in the low SVC.",
                f"{side} IJ line tip projects over the mid SVC.",
                f"{side} central venous catheter ends at the cavoatrial junction.",
            ),
            ("svc", "mediastinum", "cavoatrial junction"),
            "internal jugular line" if side == "right" else "subclavian line",
        ),
        "picc": (
            (f"A {side}-sided PICC line ends in the mid SVC.", f"{side} PICC terminates at the cavoatrial junction."),
            ("svc", "mediastinum"),
            "picc",
        ),
        "pacemaker": (
            (
                f"{side}-sided pacemaker with leads in expected position.",
                f"A {side} chest wall pacer device is in place.",
                f"{side} pectoral dual lead pacemaker is unchanged in position.",
            ),
            ("cardiac silhouette", "right atrium"),
            "cardiac pacer and wires",
        ),
        "sternal wires": (
            ("Median sternotomy wires are intact.", "The patient is status post median sternotomy.", "Sternotomy wires are aligned."),
            ("mediastinum",),
            "sternotomy wires",
        ),
        "nasogastric tube": (
            (
                "An enteric tube courses below the diaphragm, out of view.",
                "Nasogastric tube tip projects over the stomach.",
                "The NG tube passes into the stomach.",
            ),
            ("mediastinum", "abdomen"),
            "enteric tube",
        ),
        "chest tube": (
            (f"A {side} chest tube is in place.", f"{side}-sided pleural drain is unchanged.", f"{side} apical chest tube is noted."),
            (f"{side} lung", f"{side} apical zone"),
            "chest tube",
        ),
    }[device.kind]
    category = "device" if device.kind in ("pacemaker", "sternal wires") else "tubesandlines"
    return Sentence(_choice(rng, texts), (), tuple(regions), (f"{category}|yes|{label}",))


def _joined(rng: np.random.Generator, study: Study) -> tuple[list[Sentence], list[Sentence], list[Sentence]]:
    """Sentences that tell two lesions in one breath, as reports love to."""
    by = {finding.name: finding for finding in study.findings if finding.change in ("", "unchanged")}
    lungs: list[Sentence] = []
    pleura: list[Sentence] = []
    heart: list[Sentence] = []
    fluid, plates, air = by.get("pleural effusion"), by.get("atelectasis"), by.get("pneumothorax")
    if fluid and air and fluid.side == air.side != "bilateral" and rng.random() < 0.35:
        said = _say(fluid, "positive"), _say(air, "positive")
        text = f"{_severity(rng, fluid)} {fluid.side} hydropneumothorax"
        pleura.append(
            _sentence(_choice(rng, ("{A~} {np} is seen.", "There is {a~} {np}.")), text, "one", said, _regions(rng, fluid) + _regions(rng, air))
        )
    elif fluid and plates and fluid.side == plates.side and rng.random() < 0.4:
        said = _say(fluid, "positive"), _say(plates, "positive")
        link = _choice(
            rng,
            (
                "with adjacent atelectasis",
                "with associated compressive atelectasis",
                "and overlying atelectasis",
                "with adjacent basilar atelectasis",
            ),
        )
        both = fluid.side == "bilateral"
        text = f"{_severity(rng, fluid)} {fluid.side} pleural effusion{'s' if both else ''} {link}"
        frame = _choice(rng, ("There {is} {a~} {np}.", "{A~} {np}.", "{A~} {np} {is} present."))
        pleura.append(_sentence(frame, text, "many" if both else "one", said, _regions(rng, fluid) + _regions(rng, plates)))
    big, wet = by.get("cardiomegaly"), by.get("edema")
    if big and wet and wet.side == "bilateral" and rng.random() < 0.3:
        said = _say(big, "positive"), replace(_say(wet, "positive"), side="not mentioned")
        sev = _severity(rng, wet)
        texts = (
            f"Cardiomegaly with {sev} pulmonary edema.",
            f"Findings consistent with congestive heart failure including cardiomegaly and {sev} pulmonary edema.",
            f"The heart is enlarged and there is {sev} interstitial edema.",
        )
        heart.append(_sentence(_choice(rng, texts), "", "mass", said, _regions(rng, big) + _regions(rng, wet)))
    used = {said.lesion for sentence in (*pleura, *heart) for said in sentence.says}
    free = [finding for finding in by.values() if finding.name not in used and finding.name != "cardiomegaly"]
    if len(free) > 1 and rng.random() < 0.3:
        lungs.append(_pair(rng, free[0], free[1]))
    return lungs, pleura, heart


def _pair(rng: np.random.Generator, first: Finding, second: Finding) -> Sentence:
    """Two findings, each with its own place, in one sentence."""
    one, other = _framed(rng, first, ("{a~} {np}",), "stated", ""), _framed(rng, second, ("{a~} {np}",), "stated", "")
    frames = ("{} and {} are present.", "{} as well as {}.", "{} and {} are noted.", "{}, along with {}.", "There is {} and {}.")
    frame = _choice(rng, frames if one.text.startswith("a~") else frames[:-1])  # "there is" wants a singular
    says = (*one.says, *other.says)
    return Sentence(frame.format(one.text, other.text), says, tuple(dict.fromkeys(one.regions + other.regions)), _labels(says))


def _positive(rng: np.random.Generator, finding: Finding, compared: bool, present: set[str]) -> list[Sentence]:
    """One sentence about a lesion that is there, or one for each side."""
    hedged = rng.random() < HEDGE_RATE[finding.severity] and finding.change in ("", "new")
    if finding.name == "cardiomegaly":
        return [_heart_enlarged(rng, finding, hedged=hedged, compared=compared and finding.change == "unchanged")]
    certainty = "hedged" if hedged else "stated"
    frames: tuple[str, ...] = (
        wording.HEDGED if hedged else wording.CHANGED[finding.change] if finding.change and rng.random() < 0.8 else wording.STATED
    )
    change = finding.change if frames is wording.CHANGED.get(finding.change) else ""
    splits = finding.side == "bilateral" and finding.name not in ("edema", "nodule", "mass") and rng.random() < 0.18
    parts = [replace(finding, side=side, sites=tuple(s for s in finding.sites if s.side == side)) for side in SIDES] if splits else [finding]
    made = [_framed(rng, part, frames, certainty, change) for part in parts]
    if frames is wording.STATED and rng.random() < 0.14:
        made[-1] = _with_denial(rng, made[-1], present)
    return made


def _with_denial(rng: np.random.Generator, sentence: Sentence, present: set[str]) -> Sentence:
    """The same sentence with a tail that denies something else."""
    absent = [name for name in ("pneumothorax", "pleural effusion", "consolidation", "edema", "pneumonia") if name not in present]
    if not absent:
        return sentence
    name = absent[int(rng.integers(len(absent)))]
    tail = _choice(rng, (" without {}.", ", without {}.", ", but no {}.", "; no {}.")).format(_choice(rng, wording.ABSENT[name]))
    said = Said(name, "negative", "not mentioned", "stated")
    return replace(
        sentence,
        text=sentence.text.removesuffix(".") + tail,
        says=(*sentence.says, said),
        attributes=(*sentence.attributes, LABELS[name].format("no")),
    )


def _heart_enlarged(rng: np.random.Generator, finding: Finding, *, hedged: bool, compared: bool) -> Sentence:
    texts = wording.HEART_ENLARGED_HEDGED if hedged else wording.HEART_ENLARGED_STABLE if compared and rng.random() < 0.7 else wording.HEART_ENLARGED
    sev = _severity(rng, finding)
    text = _choice(rng, texts).format(sev=sev, Sev=sev.capitalize(), adv=wording.ADVERB[sev])
    said = Said("cardiomegaly", "positive", "not mentioned", "hedged" if hedged else "stated")
    return Sentence(text, (said,), _regions(rng, finding), _labels((said,)), sev, "unchanged" if texts is wording.HEART_ENLARGED_STABLE else "")


def _framed(rng: np.random.Generator, finding: Finding, frames: Sequence[str], certainty: str, change: str) -> Sentence:
    noun, number = _noun(rng, finding)
    side = "not mentioned" if number.endswith("0") else "bilateral" if number.endswith("!") else finding.side
    said = Said(finding.name, "positive", side, certainty)
    made = _sentence(_choice(rng, frames), noun, number.rstrip("01!"), (said,), _regions(rng, finding))
    word = next((w for w in wording.SEVERITY.get(finding.name, ((), (), ()))[finding.severity - 1] if w and w in noun), "")
    return replace(made, severity=word, change=change)


def _resolved(rng: np.random.Generator, gone: Finding) -> Sentence:
    noun, number = _noun(rng, gone)
    said = Said(gone.name, "negative", "not mentioned", "stated")
    return replace(_sentence(_choice(rng, wording.RESOLVED), noun, number.rstrip("01!"), (said,), _regions(rng, gone)), change="resolved")


def _noun(rng: np.random.Generator, finding: Finding) -> tuple[str, str]:
    """A noun phrase and its number."""
    allowed = {"left": ("", "1"), "right": ("", "1"), "bilateral": ("", "!", "0"), "not mentioned": ("0", "!")}[finding.side]
    choices = [(text, number) for text, number in wording.NOUNS[finding.name] if number.lstrip("manyoes") in allowed]
    text, number = choices[int(rng.integers(len(choices)))]
    site = finding.sites[0]
    place = finding.side if finding.side in ("left", "right", "bilateral") else "bilateral"
    zone = "pleura" if finding.name == "pleural thickening" and site.zone == "lower" else site.zone
    size = max(s.size_cm for s in finding.sites) * 2
    filled = text.format(
        sev=_severity(rng, finding),
        side=place,
        adj=_choice(rng, wording.PLACE_BEFORE[zone][place]),
        at=_choice(rng, wording.PLACE_AFTER[zone][place]),
        mm=round(size * 10),
        cm=f"{size:.1f}",
        **{"a~": "a~"},
    )
    return filled, number


def _sentence(frame: str, noun: str, number: str, says: tuple[Said, ...], regions: Sequence[str]) -> Sentence:
    article = "a~" if number == "one" else ""
    verbs = {"is": "are", "has": "have"} if number == "many" else {"is": "is", "has": "has"}
    text = frame.format(np=noun, **{"a~": article, "A~": article}, **verbs)
    return Sentence(text, says, tuple(dict.fromkeys(regions)), _labels(says))


def _labels(says: Sequence[Said]) -> tuple[str, ...]:
    """ImaGenome's strings for what is said, the overall abnormality first."""
    abnormal = any(said.status == "positive" for said in says)
    out = ["nlp|yes|abnormal" if abnormal else "nlp|yes|normal"]
    if any(said.status == "positive" and said.lesion in OPAQUE for said in says):
        out.append(OPACITY)
    out.extend(LABELS[said.lesion].format("yes" if said.status == "positive" else "no") for said in says)
    return tuple(dict.fromkeys(out))


def _say(finding: Finding, status: str) -> Said:
    return Said(finding.name, status, finding.side, "stated")


def _regions(rng: np.random.Generator, finding: Finding) -> tuple[str, ...]:
    """The regions that a sentence about a finding is filed under."""
    name = finding.name
    sides = SIDES if finding.side not in SIDES else (finding.side,)
    if name == "cardiomegaly":
        return ("cardiac silhouette", "mediastinum") if rng.random() < 0.35 else ("cardiac silhouette",)
    if name == "hernia":
        return ("mediastinum", "cardiac silhouette") if rng.random() < 0.4 else ("mediastinum",)
    out: list[str] = []
    zone = finding.sites[0].zone
    for side in sides:
        out.append(f"{side} lung")
        if name == "pleural effusion" or (name == "pleural thickening" and zone == "lower"):
            out.append(f"{side} costophrenic angle")
        if name in ("pleural effusion", "atelectasis") and finding.severity > 1:
            out.append(f"{side} lower lung zone")
        if name == "pneumothorax" or (name == "pleural thickening" and zone == "apical"):
            out.append(f"{side} apical zone")
        if name == "edema":
            out.append(f"{side} hilar structures")
        if name not in ("pleural effusion", "pneumothorax", "pleural thickening", "edema", "emphysema"):
            out.append(f"{side} {ZONE_REGION[zone]}")
        if name in ("mass", "nodule") and finding.sites[0].across < 0.42:
            out.append(f"{side} hilar structures")
    return tuple(out)


def _deny(rng: np.random.Generator, study: Study, present: set[str], lungs: list[Sentence], pleura: list[Sentence], heart: list[Sentence]) -> None:
    """What is not there: the clear lungs, the dry angles, the normal heart, and the doubts that remain."""
    if not present & AIRSPACE and rng.random() < 0.75:
        lungs.insert(0, Sentence(_choice(rng, wording.LUNGS_CLEAR), (), ("right lung", "left lung"), ("nlp|yes|normal",)))
    absent = [name for name in ("consolidation", "pleural effusion", "pneumothorax", "edema", "pneumonia", "infiltration") if name not in present]
    told = [
        name for name in absent if rng.random() < {"pleural effusion": 0.95, "pneumothorax": 0.9, "consolidation": 0.6, "edema": 0.35}.get(name, 0.18)
    ]
    rare = [name for name in ("nodule", "mass", "atelectasis", "fibrosis", "emphysema", "pleural thickening", "hernia") if name not in present]
    told += [name for name in rare if rng.random() < 0.035]
    while told:  # one to three denials in a sentence, in the order in which radiologists list them
        count = min(len(told), int(rng.choice((1, 2, 3), p=(0.3, 0.4, 0.3))))
        pleura.append(_denial(rng, told[:count]))
        told = told[count:]
    for name, base in (
        ("pleural effusion", 0.06),
        ("pneumothorax", 0.04 if study.view == "AP" else 0.0),
        ("pneumonia", 0.05),
        ("consolidation", 0.03),
    ):
        denied = any(said.lesion == name for sentence in (*lungs, *pleura) for said in sentence.says)
        chance = 0.35 if name == "pneumonia" and present & {"atelectasis", "infiltration", "consolidation"} else base
        if name not in present and not denied and rng.random() < chance:
            said = Said(name, "negative", "not mentioned", "hedged")
            lungs.append(Sentence(_choice(rng, wording.NOT_EXCLUDED[name]), (said,), ("right lung", "left lung"), ("nlp|yes|abnormal",)))
    if present & {"pleural effusion"} and rng.random() < 0.3:
        (fluid,) = (finding for finding in study.findings if finding.name == "pleural effusion")
        if fluid.side in SIDES:
            other = "left" if fluid.side == "right" else "right"
            said = Said("pleural effusion", "negative", "not mentioned", "stated")
            text = _choice(
                rng, (f"No {other} pleural effusion.", f"There is no effusion on the {other}.", f"The {other} costophrenic angle is sharp.")
            )
            pleura.append(Sentence(text, (said,), (f"{other} lung", f"{other} costophrenic angle"), _labels((said,))))
    if "cardiomegaly" not in present:
        _normal_heart(rng, heart)
    elif rng.random() < 0.5:
        heart.append(_contours(rng))


def _denial(rng: np.random.Generator, names: Sequence[str]) -> Sentence:
    words = [_choice(rng, wording.ABSENT[name]) for name in names]
    words = [word if k == 0 else word.removeprefix("evidence of ") for k, word in enumerate(words)]
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])}{',' if len(words) > 2 else ''} or {words[-1]}"
    frame = _choice(rng, wording.DENIALS)
    if len(words) == 1 and words[0].endswith(("effusions", "nodules")):
        frame = frame.replace(" is ", " are ")
    if "evidence" in listed:
        frame = _choice(rng, wording.DENIALS[:2])
    says = tuple(Said(name, "negative", "not mentioned", "stated") for name in names)
    regions: list[str] = []
    for name in names:
        regions += [f"{side} lung" for side in SIDES]
        if name == "pleural effusion":
            regions += [f"{side} costophrenic angle" for side in SIDES]
        elif name == "pneumothorax" and rng.random() < 0.15:
            regions += [f"{side} apical zone" for side in SIDES]
        elif name == "edema" and rng.random() < 0.5:
            regions += [f"{side} hilar structures" for side in SIDES]
        elif name == "consolidation" and rng.random() < 0.3:
            regions += [f"{side} lower lung zone" for side in SIDES]
    return Sentence(frame.format(listed), says, tuple(dict.fromkeys(regions)), _labels(says))


def _normal_heart(rng: np.random.Generator, heart: list[Sentence]) -> None:
    said = (Said("cardiomegaly", "negative", "not mentioned", "stated"),)
    if rng.random() < 0.4:
        regions = (
            "cardiac silhouette",
            "mediastinum",
            "right hilar structures",
            "left hilar structures",
            *(("upper mediastinum",) if rng.random() < 0.5 else ()),
        )
        text = _choice(rng, wording.CARDIOMEDIASTINAL_NORMAL)
        heart.insert(0, Sentence(text, said, regions if "hilar" in text else tuple(r for r in regions if "hilar" not in r), _labels(said)))
        return
    if rng.random() < 0.85:
        heart.insert(0, Sentence(_choice(rng, wording.HEART_NORMAL), said, ("cardiac silhouette",), _labels(said)))
    if rng.random() < 0.8:
        heart.append(_contours(rng))


def _contours(rng: np.random.Generator) -> Sentence:
    regions = ("mediastinum", "right hilar structures", "left hilar structures", *(("upper mediastinum",) if rng.random() < 0.6 else ()))
    return Sentence(_choice(rng, wording.MEDIASTINUM_NORMAL), (), regions, ("nlp|yes|normal",))


def _rest(rng: np.random.Generator, study: Study) -> list[Sentence]:
    out = []
    if study.patient.age > 55 and rng.random() < 0.25:
        out.append(
            Sentence(
                _choice(rng, wording.AORTA),
                (),
                ("aortic arch", "upper mediastinum", "mediastinum"),
                ("nlp|yes|abnormal", "anatomicalfinding|yes|tortuous aorta"),
            )
        )
    if rng.random() < 0.45:
        text = _choice(rng, wording.BONES)
        out.append(
            Sentence(
                text,
                (),
                ("spine",) if "spine" in text else (),
                ("nlp|yes|normal",) if text.startswith(("No", "The", "Bony")) else ("nlp|yes|abnormal",),
            )
        )
    if rng.random() < 0.2:
        out.append(Sentence(_choice(rng, wording.ABDOMEN), (), ("abdomen",), ("nlp|yes|normal",)))
    return out


def _severity(rng: np.random.Generator, finding: Finding) -> str:
    words = wording.SEVERITY.get(finding.name)
    return _choice(rng, words[finding.severity - 1]) if words else ""


def _choice(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


_ARTICLE = re.compile(r"\ba~ +(\w)")


def _tidy(text: str) -> str:
    """Articles, doubled blanks, the capital at the start."""
    text = re.sub(r"\s+", " ", text).strip()
    text = _ARTICLE.sub(lambda m: ("an " if m[1] in "aeiou8" else "a ") + m[1], text)
    text = re.sub(r" ([.,])", r"\1", text)
    return text[:1].upper() + text[1:]


def layout(rng: np.random.Generator, study: Study, findings: Sequence[Sentence], impression: Sequence[Sentence], style: str = "usual") -> str:
    """The report file: centred title, headers behind one blank, lines of at most 79 characters.

    ``style``: usual | merged (FINDINGS AND IMPRESSION) | impression only | empty findings.
    """
    view = "PORTABLE AP" if study.view == "AP" else "PA AND LATERAL" if study.has_lateral else "PA"
    said, concluded = " ".join(s.text for s in findings), [s.text for s in impression]
    numbered = len(concluded) > 1 and rng.random() < 0.6
    conclusion = "\n".join(f"{k}. {text}" for k, text in enumerate(concluded, 1)) if numbered else " ".join(concluded)
    parts: list[tuple[str, str]] = []
    if rng.random() < 0.85:
        parts.append(
            (
                "EXAMINATION",
                _choice(rng, (f"CHEST ({view})", f"Chest radiograph, {view.lower().replace('pa', 'PA').replace('ap', 'AP')}", f"CHEST {view}")),
            )
        )
    parts.append((_choice(rng, ("INDICATION", "INDICATION", "HISTORY", "REASON FOR EXAM")), indication(rng, study)))
    if rng.random() < 0.7:
        parts.append(
            (
                "TECHNIQUE",
                _choice(rng, ("Chest {}.", "{} view(s) of the chest.", "Single frontal view, {}.")).format(
                    {"PORTABLE AP": "portable AP", "PA AND LATERAL": "PA and lateral"}.get(view, view)
                ),
            )
        )
    parts.append(
        (
            "COMPARISON",
            _choice(rng, ("___", "Chest radiograph ___.", "Prior study from ___."))
            if study.previous is not None
            else _choice(rng, ("None.", "None available.", "No prior.")),
        )
    )
    parts += {
        "usual": [("FINDINGS", said), ("IMPRESSION", conclusion)],
        "merged": [("FINDINGS AND IMPRESSION", f"{said} {conclusion}")],
        "impression only": [("IMPRESSION", conclusion)],
        "empty findings": [("FINDINGS", "___"), ("IMPRESSION", conclusion)],
    }[style]
    body = "\n \n".join(_section(name, text, rng.random() < 0.8) for name, text in parts)
    lines = [" " * 33 + "FINAL REPORT", body]
    if rng.random() < 0.05:
        wet = _fill(concluded[0], 76, "  ")
        lines = [
            f" WET READ: ___ ___ ___ {int(rng.integers(1, 12))}:{int(rng.integers(10, 59))} {_choice(rng, ('AM', 'PM'))}",
            wet,
            " " + "_" * 78,
            *lines,
        ]
    elif rng.random() < 0.03:
        lines = [" ADDENDUM  Findings discussed with Dr. ___ by telephone at ___.", " " + "_" * 78, *lines]
    return "\n".join(lines) + "\n"


def indication(rng: np.random.Generator, study: Study) -> str:
    """Why the examination was asked for; it names diseases that need not be there."""
    person = "woman" if study.patient.sex == "F" else "man"
    text = _choice(rng, wording.INDICATIONS)
    return text.format(person=person, Person=person.capitalize(), p=study.patient.sex)


def _section(name: str, text: str, own_line: bool) -> str:
    paragraphs = text.split("\n")
    if own_line and name.startswith(("FINDINGS", "IMPRESSION")):
        return f" {name}:\n \n" + "\n".join(_fill(p, 79, " ") for p in paragraphs)
    first = _fill(f"{name}: {paragraphs[0]}", 79, " ")
    return "\n".join([first, *(_fill(p, 79, " ") for p in paragraphs[1:])])


def _fill(text: str, width: int, indent: str) -> str:
    """Wrapped lines; words are not cut at their hyphens."""
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
