"""Candidates with exactly one known error: each maker takes a report and gives it back with one statement made wrong, or nothing.

A maker edits plain sentences alone (see ``findings``) and leaves everything else as it was. What it cannot do in good English it does not do:
a report to which an error does not apply has no such candidate, and is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from benchmark.audit.findings import (
    AFFIRMABLE,
    AIRSPACE,
    COMPARES,
    affirmed,
    fits,
    is_named,
    is_only_mention,
)
from benchmark.audit.text import Sentence, capitalised, followed, is_followed_up, replaced, sentences_of, uncapitalised, with_articles, without

T = TypeVar("T")


class Edit(NamedTuple):
    """What was done to a report."""

    text: str
    """the whole candidate"""
    before: str
    """the words that were changed; empty where some were added"""
    after: str
    """what stands there now; empty where they were left out"""
    what: str
    """in words: ``pleural effusion: affirmed -> denied``"""
    lesions: tuple[str, ...] = ()
    """of the 14, those whose status or side is another now"""


Maker = Callable[[str, np.random.Generator], Edit | None]

_SEVERITY = {
    "mild": "severe",
    "minimal": "marked",
    "minor": "extensive",
    "slight": "marked",
    "subtle": "extensive",
    "small": "large",
    "tiny": "large",
    "trace": "large",
    "faint": "extensive",
    "early": "extensive",
    "moderate": "severe",
    "moderate-sized": "tiny",
    "large": "small",
    "very large": "small",
    "massive": "small",
    "severe": "mild",
    "marked": "minimal",
    "extensive": "minimal",
    "advanced": "mild",
    "florid": "minimal",
    "dense": "subtle",
    "mildly": "severely",
    "minimally": "markedly",
    "slightly": "markedly",
    "moderately": "severely",
    "severely": "mildly",
    "markedly": "mildly",
    "massively": "mildly",
}
_SEVERITY_WORD = re.compile(
    rf"(?<!to )(?<!to-)(?<!-)\b({'|'.join(sorted(map(re.escape, _SEVERITY), key=len, reverse=True))})\b(?!-to)(?! to |-)", re.IGNORECASE
)
_SIZED = {"pleural effusion", "pneumothorax", "hernia", "nodule", "mass"}
"""what is small or large; where a moderate one is made worse it is large, not severe"""

_SWAPS = (
    ("right middle lobe", "lingula"),
    ("right upper", "left upper"),
    ("right lower", "left lower"),
    ("rul", "lul"),
    ("rll", "lll"),
    ("rml", "lingula"),
    ("right", "left"),
)
_OTHER_SIDE = {**dict(_SWAPS), **{b: a for a, b in reversed(_SWAPS)}, "lingula": "right middle lobe", "lingular": "right middle lobe"}
_SIDED = re.compile(r"\b(right middle lobe|rul|rll|rml|lul|lll|lingular|lingula|right|left)\b", re.IGNORECASE)
_ONE_SIDED_ANATOMY = re.compile(
    r"minor fissure|horizontal fissure|azygos|stomach|heart border|\bboth\b|bilateral|middle lung zone|than", re.IGNORECASE
)

_DEGREE = re.compile(
    r"\b(?:very large|moderate-sized|small|tiny|trace|minimal|mild|minor|slight|subtle|moderate|large|massive|severe|marked|extensive|advanced|"
    r"florid|dense|faint|early|solitary|multiple|several|scattered|some|few|borderline)\b ?(?:amount of )?",
    re.IGNORECASE,
)
_MEASURE = re.compile(
    r"\b\d+(?:\.\d+)?[ -]?(?:mm|cm|millimeters?|centimeters?)\b ?|,? measuring (?:approximately |about |up to )?\d+(?:\.\d+)? ?(?:mm|cm)"
)
_SEEN = r"(?:seen|noted|identified|present|visualized|demonstrated|evident|appreciated|observed)"
_THERE_IS = re.compile(r"^There (?P<verb>is|are)(?: also)? (?:an? |some )?(?P<what>.+)$", re.IGNORECASE)
_IS_SEEN = re.compile(rf"^(?:An? |The )?(?P<what>.+?) (?P<verb>is|are) (?P<seen>{_SEEN})$", re.IGNORECASE)
_SHOWS = re.compile(
    r"^(?P<who>The (?:study|examination|radiograph|chest radiograph)) (?P<verb>demonstrates|shows) (?:an? )?(?P<what>.+)$", re.IGNORECASE
)
_BARE = re.compile(r"^(?:An? )?(?P<what>[^,;:]+)$", re.IGNORECASE)
_HEART_IS = re.compile(
    r"^(?P<who>(?:The )?(?:heart|heart size|cardiac silhouette|cardiac size)) (?P<verb>is|appears|remains) (?:\w+ly |borderline )?"
    r"(?P<how>enlarged|increased)(?: in size)?$",
    re.IGNORECASE,
)
_NOT_IN_A_DENIAL = re.compile(
    r"[,;:]|\b(?:with|and|consistent|compatible|keeping|reflect\w*|suggest\w*|represent\w*|may|might|likely|probabl[ey]|possibl[ey]|suspect\w*|is|are|"
    r"was|were|has|have|had|appears?|due|which|that|concern\w*|related|secondary|only|visible|continu\w+)\b",
    re.IGNORECASE,
)

_NO = re.compile(
    rf"^(?P<lead>(?:There (?:is|are) )?no (?:(?:radiographic |convincing |definite |definitive )?evidence (?:of|for) )?|Negative for )"
    rf"(?P<items>.+?)(?P<tail> (?:is|are) (?:clearly )?{_SEEN}| {_SEEN})?$",
    re.IGNORECASE,
)
_BETWEEN_ITEMS = re.compile(r",? (?:or|and|nor) |, ")
_DENIED: tuple[tuple[str, str, str], ...] = (
    # lesion, how a list of denials names it, how it reads where it is there
    ("pleural effusion", r"(?:pleural )?effusions?", "a pleural effusion"),
    ("pneumothorax", r"pneumothorax|pneumothoraces", "a pneumothorax"),
    ("consolidation", r"consolidations?", "a focal consolidation"),
    ("edema", r"(?:pulmonary |interstitial )?edema", "pulmonary edema"),
    ("pneumonia", r"pneumonia", "pneumonia"),
    ("infiltration", r"infiltrates?", "an infiltrate"),
    ("nodule", r"(?:pulmonary |lung )?nodules?", "a pulmonary nodule"),
    ("mass", r"(?:pulmonary |lung )?mass(?:es)?", "a lung mass"),
    ("atelectasis", r"atelectasis", "atelectasis"),
    ("fibrosis", r"(?:pulmonary )?fibrosis", "pulmonary fibrosis"),
    ("emphysema", r"emphysema", "emphysema"),
    ("pleural thickening", r"pleural thickening", "pleural thickening"),
    ("hernia", r"(?:hiatal |hiatus )?hernia", "a hiatal hernia"),
)
_BEFORE_DENIED = (
    r"(?:(?:evidence of|areas? of|signs? of|focal|lobar|confluent|large|small|significant|acute|overt|definite|appreciable|suspicious|frank|obvious|"
    r"right|left|developing|discrete|radiographic|visible|gross|other) )*"
)
_NORMAL_HEART = re.compile(
    r"^(?:(?:The )?(?:heart|heart size|cardiac size|cardiac silhouette|cardiac silhouette size) (?:is |appears |are |remains )?"
    r"(?:normal|within normal limits|unremarkable|not enlarged)(?: (?:in|for) size)?|Normal heart(?: size)?|No cardiomegaly|"
    r"No cardiac enlargement|"
    r"There is no (?:evidence of )?(?:cardiomegaly|cardiac enlargement))$",
    re.IGNORECASE,
)

_INSERTED: Mapping[str, tuple[str, ...]] = {
    "cardiomegaly": ("The heart is moderately enlarged", "There is moderate cardiomegaly"),
    "emphysema": ("There is moderate emphysema", "Emphysematous changes are noted"),
    "pleural effusion": (
        "There is a small left pleural effusion",
        "A moderate right pleural effusion is present",
        "There are small bilateral pleural effusions",
    ),
    "hernia": ("A moderate hiatal hernia is noted", "There is a large hiatal hernia"),
    "nodule": ("There is an 8 mm nodule in the right upper lobe", "A 12 mm nodule is seen in the left lower lobe"),
    "pneumothorax": ("There is a small right apical pneumothorax", "A small left pneumothorax is present"),
    "atelectasis": ("There is atelectasis at the left lung base", "Right lower lobe atelectasis is noted"),
    "pleural thickening": ("There is mild left apical pleural thickening", "Right apical pleural thickening is noted"),
    "mass": ("There is a 4 cm mass in the left upper lobe", "A 5 cm mass is seen in the right lower lobe"),
    "edema": ("There is mild pulmonary edema", "Moderate interstitial pulmonary edema is present"),
    "consolidation": ("There is consolidation in the right lower lobe", "A focal consolidation is seen in the left lower lobe"),
    "infiltration": ("There is a patchy infiltrate in the left lower lobe", "A patchy infiltrate is seen in the right upper lobe"),
    "fibrosis": ("There is mild fibrosis at both lung bases", "Moderate pulmonary fibrosis is noted"),
    "pneumonia": ("There is a right lower lobe pneumonia", "Findings in the left lower lobe are consistent with pneumonia"),
}

_REPLACED: tuple[tuple[str, str, str, str], ...] = (
    # lesion, pattern, what stands in its place, the lesion that this is (empty: none of the 14)
    ("pleural effusion", r"\bpleural effusions\b|\beffusions\b", "pneumothoraces", "pneumothorax"),
    ("pleural effusion", r"\bpleural effusion\b|\beffusion\b", "pneumothorax", "pneumothorax"),
    ("pneumothorax", r"\bpneumothoraces\b", "pleural effusions", "pleural effusion"),
    ("pneumothorax", r"\bpneumothorax\b", "pleural effusion", "pleural effusion"),
    ("atelectasis", r"(?<!linear )(?<!like )(?<!discoid )(?<!segmental )\batelectasis\b", "consolidation", "consolidation"),
    ("consolidation", r"(?<!focal )(?<!airspace )(?<!of )(?<!small )(?<!dense )\bconsolidation\b", "atelectasis", "atelectasis"),
    ("nodule", r"(?<!pulmonary )\bnodule\b", "granuloma", ""),
    ("mass", r"(?<=cm )mass\b|(?<=lobe )mass\b|(?<=lung )mass\b", "cavity", ""),
    ("mass", r"(?<=lobulated )mass\b|(?<=spiculated )mass\b", "nodule", "nodule"),
    ("edema", r"\bedema\b", "fibrosis", "fibrosis"),
    ("fibrosis", r"(?<!pulmonary )(?<!interstitial )\bfibrosis\b", "atelectasis", "atelectasis"),
    ("pneumonia", r"\bpneumonia\b", "atelectasis", "atelectasis"),
    ("emphysema", r"(?<!centrilobular )(?<!bullous )\bemphysema\b", "fibrosis", "fibrosis"),
    ("cardiomegaly", r"\bcardiomegaly\b", "pulmonary edema", "edema"),
    ("hernia", r"\b(?:hiatal|hiatus) hernia\b", "pericardial effusion", ""),
    ("pleural thickening", r"\bpleural thickening\b", "pulmonary scarring", ""),
)
_NOT_REPLACEABLE = re.compile(
    r"blunt|layer|fissur|visible|apical pneumo|lobar pneumo|multifocal|predominant|flattened|sliding|retrocardiac|with |kerley|bronchogram|honeycomb|"
    r"peri?hilar (?:haze|pulmonary)|asymmetric|congestion|consistent|compatible|keeping|reflect|represent|suggest|coarse|reticul",
    re.IGNORECASE,
)

_COUNTED = re.compile(r"\ban? (?:[\w-]+ )*$", re.IGNORECASE)
"""an article before the name: "a large consolidation" cannot become "a large atelectasis" """

_NUMBER = re.compile(
    r"(?<![\dx.×/-] )(?<![\d.x×/-])\b(\d{1,3}(?:\.\d{1,2})?)( ?(?:mm|cm|millimeters?|centimeters?)\b)(?! (?:x|by|×)\b)(?!\s?[x×])", re.IGNORECASE
)
_TAILS = (
    ", increased compared to the prior study",
    ", decreased since the prior examination",
    ", unchanged from the prior study",
    ", new since the prior examination",
)
_WHOLE = (
    "There has been no significant change since the prior study",
    "Findings are unchanged compared to the prior examination",
    "The appearance of the chest is stable since the prior radiograph",
)


def negated(report: str, rng: np.random.Generator) -> Edit | None:
    """A finding that is affirmed is denied: "There is a small right pleural effusion" -> "There is no right pleural effusion"."""
    found = []
    for sentence, lesion in affirmed(report):
        if (new := _denial(sentence.text)) is not None and not COMPARES.search(sentence.text):
            found.append((sentence, lesion, new))
    if not found:
        return None
    sentence, lesion, new = _one(found, rng)
    return Edit(replaced(report, sentence, new), sentence.text, new, f"{lesion}: affirmed -> denied", (lesion,))


def affirmed_instead(report: str, rng: np.random.Generator) -> Edit | None:
    """A finding that is denied is affirmed: "No effusion or pneumothorax" -> "No effusion. There is a pneumothorax"."""
    found: list[tuple[Sentence, str, str, str]] = []
    for sentence in sentences_of(report):
        if _NORMAL_HEART.match(sentence.text) and is_only_mention("cardiomegaly", sentence, report):
            found.append((sentence, "cardiomegaly", "The heart is enlarged", ""))
        found += [
            (sentence, lesion, first, second)
            for lesion, first, second in _affirmations(sentence.text)
            if is_only_mention(lesion, sentence, report) and _agrees_without(lesion, sentence, report)
        ]
    if not found:
        return None
    sentence, lesion, first, second = _one(found, rng)
    text = replaced(report, sentence, first)
    if second:
        shorter = next(one for one in sentences_of(text) if one.start == sentence.start)
        text = followed(text, shorter, second)
    return Edit(text, sentence.text, f"{first}. {second}" if second else first, f"{lesion}: denied -> affirmed", (lesion,))


def side_swapped(report: str, rng: np.random.Generator) -> Edit | None:
    """Left is right and right is left, in a sentence that affirms a lesion on one side."""
    found = []
    for sentence, lesion in affirmed(report):
        sides = {_is_right(match[1]) for match in _SIDED.finditer(sentence.text)}
        if lesion != "cardiomegaly" and len(sides) == 1 and not _ONE_SIDED_ANATOMY.search(sentence.text):
            found.append((sentence, lesion, with_articles(_SIDED.sub(_swap, sentence.text)), "right -> left" if True in sides else "left -> right"))
    if not found:
        return None
    sentence, lesion, new, which = _one(found, rng)
    return Edit(replaced(report, sentence, new), sentence.text, new, f"{lesion}: {which}", (lesion,))


def severity_changed(report: str, rng: np.random.Generator) -> Edit | None:
    """Mild is severe, large is small: in a sentence that affirms one lesion and has one word for its degree."""
    found = []
    for sentence, lesion in affirmed(report):
        words = list(_SEVERITY_WORD.finditer(sentence.text))
        name = AFFIRMABLE[lesion].search(sentence.text)
        if len(words) != 1 or name is None or not _is_of(words[0], name, sentence.text):
            continue
        word = words[0][1]
        other = "large" if word.lower() == "moderate" and lesion in _SIZED else _SEVERITY[word.lower()]
        new = sentence.text[: words[0].start()] + (capitalised(other) if word[0].isupper() else other) + sentence.text[words[0].end() :]
        found.append((sentence, lesion, with_articles(new), f"{word.lower()} -> {other}"))
    if not found:
        return None
    sentence, lesion, new, which = _one(found, rng)
    return Edit(replaced(report, sentence, new), sentence.text, new, f"{lesion}: {which}")


def dropped(report: str, rng: np.random.Generator) -> Edit | None:
    """The sentence that affirms a lesion is left out."""
    sentences = sentences_of(report)
    found = affirmed(report)
    if len(sentences) < 2 or not found:
        return None
    sentence, lesion = _one(found, rng)
    return Edit(without(report, sentence), sentence.text, "", f"{lesion}: left out", (lesion,))


def inserted(report: str, rng: np.random.Generator) -> Edit | None:
    """A lesion of which the report says nothing is affirmed in a sentence of its own."""
    sentences = sentences_of(report)
    lesions = [lesion for lesion in _INSERTED if not is_named(lesion, report) and fits(lesion, report)]
    if any(is_named(lesion, report) for lesion in AIRSPACE):
        lesions = [lesion for lesion in lesions if lesion not in AIRSPACE]  # one of them is denied or explained already: another would be an argument
    if not sentences or not lesions:
        return None
    lesion = _one(lesions, rng)
    new, place = _one(_INSERTED[lesion], rng), _one([one for one in sentences if not is_followed_up(one, sentences)], rng)
    return Edit(followed(report, place, new), "", new, f"{lesion}: made up", (lesion,))


def replaced_by_another(report: str, rng: np.random.Generator) -> Edit | None:
    """A lesion that is affirmed goes under the name of another finding, of which the report says nothing."""
    found = []
    for sentence, lesion in affirmed(report):
        for old, pattern, new, becomes in _REPLACED:
            matches = list(re.finditer(pattern, sentence.text, re.IGNORECASE)) if old == lesion else []
            if len(matches) != 1 or _NOT_REPLACEABLE.search(sentence.text):
                continue
            if new == "atelectasis" and _COUNTED.search(sentence.text[: matches[0].start()]):
                continue
            if becomes and (is_named(becomes, report) or not fits(becomes, report)):
                continue
            if not becomes and re.search(rf"\b{new.split()[-1]}", report, re.IGNORECASE):
                continue
            start, end = matches[0].span()
            put = capitalised(new) if sentence.text[start].isupper() else new
            changed = with_articles(sentence.text[:start] + put + sentence.text[end:])
            found.append((sentence, changed, f"{lesion} -> {becomes or new}", (lesion, becomes) if becomes else (lesion,)))
            break
    if not found:
        return None
    sentence, changed, what, lesions = _one(found, rng)
    return Edit(replaced(report, sentence, changed), sentence.text, changed, what, lesions)


def measurement_changed(report: str, rng: np.random.Generator) -> Edit | None:
    """One length in mm or cm is another, two and a half times as long or as short."""
    found = [(sentence, match) for sentence in sentences_of(report) for match in _NUMBER.finditer(sentence.text)]
    if not found:
        return None
    sentence, match = _one(found, rng)
    number, decimals = float(match[1]), len(match[1].partition(".")[2])
    limit = 30 if match[2].strip().lower().startswith(("mm", "milli")) else 3
    other = f"{number * 2.5:.{decimals}f}" if number < limit else f"{number / 2.5:.{decimals}f}"
    if float(other) == number or float(other) == 0:
        return None
    new = with_articles(sentence.text[: match.start(1)] + other + sentence.text[match.end(1) :])
    return Edit(replaced(report, sentence, new), sentence.text, new, f"{match[0]} -> {other}{match[2]}")


def false_comparison(report: str, rng: np.random.Generator) -> Edit | None:
    """A report that compares with nothing tells of a change since an earlier examination."""
    sentences = sentences_of(report)
    if not sentences or COMPARES.search(report):
        return None
    plain = [sentence for sentence, lesion in affirmed(report) if "," not in sentence.text and lesion != "cardiomegaly"]
    if plain:
        sentence = _one(plain, rng)
        new = sentence.text + _one(_TAILS, rng)
        return Edit(replaced(report, sentence, new), sentence.text, new, "a change of a finding, made up")
    new = _one(_WHOLE, rng)
    return Edit(followed(report, sentences[-1], new), "", new, "a change of the whole, made up")


ERRORS: Mapping[str, Maker] = {
    "negated": negated,
    "affirmed": affirmed_instead,
    "side": side_swapped,
    "severity": severity_changed,
    "dropped": dropped,
    "inserted": inserted,
    "replaced": replaced_by_another,
    "measurement": measurement_changed,
    "comparison": false_comparison,
}
"""in the order of the tables"""


def _denial(sentence: str) -> str | None:
    """The sentence that denies what this one affirms; None where that would not be plain English."""
    if match := _HEART_IS.match(sentence):
        return f"{match['who']} is not {match['how']}"
    if re.fullmatch(r"Cardiomegaly is \w+", sentence, re.IGNORECASE):
        return "There is no cardiomegaly"
    for pattern, form in (
        (_THERE_IS, "There {verb} no {what}"),
        (_SHOWS, "{who} {verb} no {what}"),
        (_IS_SEEN, "No {what} {verb} {seen}"),
        (_BARE, "No {what}"),
    ):
        match = pattern.match(sentence)
        if match is None:
            continue
        what = _DEGREE.sub("", _MEASURE.sub("", match["what"])).strip()
        if pattern is _IS_SEEN or pattern is _BARE:
            what = uncapitalised(what)
        if not what or _NOT_IN_A_DENIAL.search(what) or what.split()[0].lower() in ("the", "this", "these"):
            return None
        return form.format(**{**match.groupdict(), "what": what})
    return None


def _affirmations(sentence: str) -> list[tuple[str, str, str]]:
    """For each lesion that a plain list of denials names: lesion, the sentence without it, and the one that affirms it.

    Where the list has no other item, the affirming sentence comes first and nothing second.
    """
    match = _NO.match(sentence)
    if match is None:
        return []
    items = _BETWEEN_ITEMS.split(match["items"])
    found = []
    for place, item in enumerate(items):
        lesion, there = next(
            ((lesion, there) for lesion, name, there in _DENIED if re.fullmatch(rf"{_BEFORE_DENIED}(?:{name})", item, re.IGNORECASE)), ("", "")
        )
        if not lesion or NOT_IN_ITEMS.search(match["items"]):
            continue
        rest = items[:place] + items[place + 1 :]
        affirmation = f"There is {there}"
        if not rest:
            found.append((lesion, affirmation, ""))
            continue
        if place == 0 and item.split()[0].lower() in ("evidence", "sign", "signs"):
            continue  # "no evidence of effusion or pneumothorax": those words are of the whole list
        listed = rest[0] if len(rest) == 1 else f"{', '.join(rest[:-1])} or {rest[-1]}"
        tail = match["tail"] or ""
        found.append((lesion, f"{match['lead']}{listed}{tail}", affirmation))
    return found


NOT_IN_ITEMS = re.compile(
    r"\b(?:is|are|but|with|to|that|which|seen|change|although|other than|except|however|new|in|on|at|if)\b|[;:/(]", re.IGNORECASE
)
"""words that show that what follows "no" is more than a list"""


def _agrees_without(lesion: str, sentence: Sentence, report: str) -> bool:
    """True if the rest of the report says nothing against the lesion."""
    return fits(lesion, report[: sentence.start] + report[sentence.stop :])


def _is_of(word: re.Match[str], name: re.Match[str], sentence: str) -> bool:
    """True if the word of degree stands before the lesion's name in one noun phrase, or is said of it: "cardiomegaly is mild", "mildly enlarged"."""
    if name.start() <= word.start() < name.end():
        return True
    between = sentence[word.end() : name.start()] if word.end() <= name.start() else sentence[name.end() : word.start()]
    if word.end() <= name.start():
        return not re.search(r"[,;:]|\b(?:with|and|in|at|of the|changes? of|consistent|compatible|keeping|scoliosis|degenerative)\b", between)
    return bool(re.fullmatch(r" (?:is|are|appears|remains) ", between))


def _is_right(side: str) -> bool:
    return side.lower() in ("right", "right middle lobe", "rul", "rll", "rml")


def _swap(match: re.Match[str]) -> str:
    side = match[1]
    other = _OTHER_SIDE[side.lower()]
    if side.isupper() and len(side) == 3 and len(other) == 3:
        return other.upper()
    return capitalised(other) if side[0].isupper() else other


def _one(things: Sequence[T], rng: np.random.Generator) -> T:
    return things[int(rng.integers(len(things)))]
