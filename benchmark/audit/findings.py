"""What the errors are about: how 14 lesions are named, when a sentence affirms one of them, and with what else in a report it would not agree.

Deliberately not the lexicon of the labeller by rules: a metric on that labeller's lesions is among those that are tested, and would be tested on
sentences picked by itself. Here little is understood and nothing is guessed: a sentence that is not plain is left alone.
"""

from __future__ import annotations

import re
from functools import lru_cache

from benchmark.audit.text import REMEMBERED, Sentence, is_followed_up, on_one_line, sentences_of

NAMED: dict[str, re.Pattern[str]] = {
    # any mention, in whatever manner
    lesion: re.compile(pattern, re.IGNORECASE)
    for lesion, pattern in {
        "cardiomegaly": r"\bhearts?\b|\bcardiac\b|cardiomegal|cardiomediast|cardiothoracic",
        "emphysema": r"emphysem|\bcopd\b|hyperinflat|hyperexpan",
        "pleural effusion": r"effusion|(?<!air-)(?<!air )\bfluid\b(?! overload| level)|hydropneumo|h(?:a?e)mothora|hydrothora|\bblunt",
        "hernia": r"hernia",
        "nodule": r"nodul|granulom",
        "pneumothorax": r"pneumothora|\bptx\b",
        "atelectasis": r"atelect|collaps|volume loss",
        "pleural thickening": r"thicken|\bcap(?:s|ping)?\b|pleural scar",
        "mass": r"\bmass|neoplas|tumou?r|malignan|lesion",
        "edema": r"o?edema|vascular congestion|fluid overload|failure",
        "consolidation": r"consolidat",
        "infiltration": r"infiltrat",
        "fibrosis": r"fibro|interstitial lung disease|honeycomb",
        "pneumonia": r"pneumoni|infect",
    }.items()
}

AFFIRMABLE: dict[str, re.Pattern[str]] = {
    # names that, in a sentence that denies and doubts nothing, state the lesion
    lesion: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)
    for lesion, pattern in {
        "cardiomegaly": r"cardiomegaly|(?:heart|heart size|cardiac silhouette|cardiac size) (?:is|appears|remains)(?: \w+)? (?:enlarged|increased)"
        r"|(?:cardiac enlargement|enlargement of the cardiac silhouette)",
        "emphysema": r"emphysema|emphysematous changes?",
        "pleural effusion": r"(?:pleural )?effusions?|pleural fluid",
        "hernia": r"hernia",
        "nodule": r"nodules?",
        "pneumothorax": r"pneumothorax|pneumothoraces",
        "atelectasis": r"atelectasis|atelectatic changes?",
        "pleural thickening": r"pleural thickening",
        "mass": r"mass(?:es)?",
        "edema": r"o?edema",
        "consolidation": r"consolidations?",
        "infiltration": r"infiltrates?",
        "fibrosis": r"fibrosis|fibrotic changes?",
        "pneumonia": r"pneumonia",
    }.items()
}

OTHER_THINGS = re.compile(
    r"subcutaneous|soft tissue|pericardial|mass effect|cystic fibrosis|peribronchial|bronchial|thyroid|\bribs?\b|umbilical|inguinal|ventral|"
    r"body mass|breast|failure|ventric|atri(?:um|al)|aort|hilar|hilum|mediastinal (?:mass|widening)|fracture|lymph",
    re.IGNORECASE,
)
"""words in whose company a lesion's name means something else, or a side is that of another thing"""

NOT_PLAIN = re.compile(
    r"\b(?:no|not|non|without|negative|absent|absence|free|clear(?:ed|ing|s)?|resol\w+|exclu\w+|unlikely|rather|evaluat\w+|history|previously|"
    r"if|versus|vs|or|question\w*|rule|post|old|remote|healed|former|removed|removal|resect\w+|longer|neither|nor|cannot|can't|doubt\w*|"
    r"differential|obscur\w+|limit\w*|but|however|although|though|whether|suspicio\w+)\b|/|\?",
    re.IGNORECASE,
)
"""words that deny, doubt, date or weigh"""

COMPARES = re.compile(
    r"\b(?:prior|previous\w*|compar\w+|interval\w*|unchanged|stable|stably|again|new|newly|increas\w+|decreas\w+|improv\w+|worse\w*|persist\w*|"
    r"progress\w+|remain\w*|residual|since|chang\w+|resol\w+|clear(?:ed|ing)|before|larger|smaller|develop\w+|redemonstrat\w+|similar|earlier|"
    r"continu\w+|last|today|still|now|longer|recent\w*|ago|old|residua\w*|follow\w*)\b|___",
    re.IGNORECASE,
)
"""words that speak of an earlier examination, or could"""

LUNG = frozenset(("nodule", "mass", "atelectasis", "consolidation", "infiltration", "pneumonia", "edema", "fibrosis", "emphysema"))
ACUTE = frozenset(("pleural effusion", "pneumothorax", "consolidation", "infiltration", "pneumonia", "edema", "mass"))
AIRSPACE = frozenset(("consolidation", "infiltration", "pneumonia", "atelectasis"))
DISAGREES: tuple[tuple[frozenset[str], re.Pattern[str]], ...] = tuple(
    (lesions, re.compile(pattern, re.IGNORECASE))
    for lesions, pattern in (
        (
            LUNG,
            r"\b(?:lungs?|lung fields)\b[^.]*\b(?:clear|normal|unremarkable)\b|\b(?:clear|normal|unremarkable)\b(?: \w+)? (?:lungs?|lung fields)\b",
        ),
        (LUNG, r"\blungs? (?:are|is) (?:otherwise )?free\b|without (?:focal )?(?:airspace|abnormalit)"),
        (ACUTE, r"\b(?:no|without)(?: \w+){0,4} (?:acute|active)\b(?! (?:osseous|bony|skeletal|displaced|rib|fracture|bone|abnormalities of the))"),
        (ACUTE, r"\b(?:normal|negative|unremarkable) (?:chest|study|exam|radiograph|film)"),
        (
            AIRSPACE,
            r"\bno(?: \w+){0,3} (?:opacit|airspace|air space|alveolar|consolidat|infiltrat|pneumoni|parenchymal)|\bfree of(?: \w+){0,2} airspace",
        ),
        (frozenset(("nodule", "mass")), r"\bno(?: \w+){0,4} (?:nodul|mass|lesion)|\b(?:suspicious|dominant)\b"),
        (frozenset(("edema",)), r"vascula\w+[^.]*\b(?:normal|unremarkable|not)|(?:normal|unremarkable|no)\b[^.]*vascula"),
        (
            frozenset(("pleural effusion", "pneumothorax", "pleural thickening")),
            r"pleural spaces?|pleural surface|\bno pleural (?:abnormal|disease)|pleura (?:is|are)",
        ),
        (frozenset(("pleural effusion",)), r"costophrenic"),
        (
            frozenset(("emphysema",)),
            r"lung volumes|well[- ](?:expanded|inflated|aerated)|\b(?:fully|normally) (?:expanded|inflated)|low volume|hypoinflat",
        ),
    )
)
"""lesions, and what a report must not say beside them: it would not be one error but a contradiction"""

SIDES = re.compile(
    r"\b(?:left|right|bilateral\w*|both|either|bibas\w+|biapical|bihilar|lul|lll|rul|rml|rll|lingul\w+)\b",
    re.IGNORECASE,
)


def named_in(sentence: str) -> list[str]:
    """The lesions whose names stand in the sentence."""
    return [lesion for lesion, pattern in NAMED.items() if pattern.search(sentence)]


@lru_cache(maxsize=REMEMBERED)
def affirmed(report: str) -> tuple[tuple[Sentence, str], ...]:
    """Sentences that plainly affirm one lesion and name no other, where the whole report speaks of that lesion in this sentence alone."""
    found: list[tuple[Sentence, str]] = []
    sentences = sentences_of(report)
    for sentence in sentences:
        if NOT_PLAIN.search(sentence.text) or OTHER_THINGS.search(sentence.text):
            continue
        stated = [lesion for lesion, pattern in AFFIRMABLE.items() if pattern.search(sentence.text)]
        is_plain = len(stated) == 1 and set(named_in(sentence.text)) <= {stated[0]} and not is_followed_up(sentence, sentences)
        if is_plain and is_only_mention(stated[0], sentence, report):
            found.append((sentence, stated[0]))
    return tuple(found)


def is_only_mention(lesion: str, sentence: Sentence, report: str) -> bool:
    """True if nothing else in the report, sections that assert nothing included, names the lesion."""
    return not any(NAMED[lesion].search(on_one_line(part)) for part in (report[: sentence.start], report[sentence.end :]))


def fits(lesion: str, report: str) -> bool:
    """True if the report says nothing that would contradict the lesion, as far as can be seen."""
    text = on_one_line(report)
    return not any(lesion in lesions and pattern.search(text) for lesions, pattern in DISAGREES)


def is_named(lesion: str, report: str) -> bool:
    """True if the report names the lesion anywhere, in whatever manner."""
    return bool(NAMED[lesion].search(on_one_line(report)))
