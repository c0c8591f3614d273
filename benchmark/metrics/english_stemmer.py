"""The Snowball English stemmer (Porter2) as it stood before Snowball 3.0: the one inside METEOR 1.5.

M. Porter, https://snowballstem.org/algorithms/english/stemmer.html. Snowball 3.0 (2025) changed 182 of 87,791 words tried, "interval", "internal"
and "lateral" among them, and radiology is full of those: PyStemmer 3 would give another METEOR. Equal to PyStemmer 2.2.0.3.
"""

from __future__ import annotations

from functools import lru_cache

VOWELS = "aeiouy"
DOUBLES = ("bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt")
VALID_LI = "cdeghkmnrt"
WHOLE_WORDS = {
    "skis": "ski", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "idly": "idl", "gently": "gentl", "ugly": "ugli",
    "early": "earli", "only": "onli", "singly": "singl", "sky": "sky", "news": "news", "howe": "howe", "atlas": "atlas", "cosmos": "cosmos",
    "bias": "bias", "andes": "andes",
}  # fmt: skip
KEPT_AFTER_PLURAL = ("inning", "outing", "canning", "herring", "earring", "proceed", "exceed", "succeed")
REGION_PREFIXES = ("gener", "commun", "arsen")  # 3.0 adds more, among them "inter", "intern" and "later"

# The longest ending that fits decides; it must lie in R1 to be replaced.
STEP_2 = {
    "ization": "ize", "ational": "ate", "fulness": "ful", "ousness": "ous", "iveness": "ive", "tional": "tion", "biliti": "ble",
    "lessli": "less", "entli": "ent", "ation": "ate", "alism": "al", "aliti": "al", "ousli": "ous", "iviti": "ive", "fulli": "ful",
    "enci": "ence", "anci": "ance", "abli": "able", "izer": "ize", "ator": "ate", "alli": "al", "bli": "ble", "ogi": "og", "li": "",
}  # fmt: skip
STEP_3 = {
    "ational": "ate", "tional": "tion", "alize": "al", "icate": "ic", "iciti": "ic", "ative": "", "ical": "ic", "ness": "", "ful": "",
}  # fmt: skip
STEP_4 = (
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "ion", "al", "er", "ic",
)  # fmt: skip
# Most words have no such ending, and one question finds that out: a text of a megabyte may have a hundred thousand different words.
STEP_2_ENDINGS, STEP_3_ENDINGS = tuple(STEP_2), tuple(STEP_3)


@lru_cache(maxsize=1 << 17)
def english_stem(word: str) -> str:
    """Stem of a lower-case word."""
    if word in WHOLE_WORDS:
        return WHOLE_WORDS[word]
    if len(word) <= 2:
        return word
    word = _mark_consonant_y(word.removeprefix("'"))
    r1, r2 = _regions(word)
    word = _plural(_possessive(word))
    if word in KEPT_AFTER_PLURAL:
        return word
    word = _final_y(_past(word, r1))
    word = _derivation(word, r1)
    word = _longer_suffix(word, r1, r2)
    word = _bare_suffix(word, r2)
    return _final_e_or_l(word, r1, r2).replace("Y", "y")


def _mark_consonant_y(word: str) -> str:
    """Y for a y that opens the word or follows a vowel: there it is a consonant."""
    letters = list(word)
    for place, letter in enumerate(letters):
        if letter == "y" and (place == 0 or letters[place - 1] in VOWELS):
            letters[place] = "Y"
    return "".join(letters)


def _regions(word: str) -> tuple[int, int]:
    """Where R1 and R2 begin: after the first consonant that follows a vowel, and after the next such one."""
    for prefix in REGION_PREFIXES:
        if word.startswith(prefix):
            return len(prefix), _after_vowel_consonant(word, len(prefix))
    r1 = _after_vowel_consonant(word, 0)
    return r1, _after_vowel_consonant(word, r1)


def _after_vowel_consonant(word: str, start: int) -> int:
    for place in range(start + 1, len(word)):
        if word[place] not in VOWELS and word[place - 1] in VOWELS:
            return place + 1
    return len(word)


def _has_vowel(text: str) -> bool:
    return any(letter in VOWELS for letter in text)


def _ends_short(text: str) -> bool:
    """Ends in a short syllable: vowel and consonant at the start, or consonant, vowel, consonant other than w, x, Y."""
    if len(text) == 2:
        return text[0] in VOWELS and text[1] not in VOWELS
    return len(text) > 2 and text[-3] not in VOWELS and text[-2] in VOWELS and text[-1] not in VOWELS + "wxY"


def _possessive(word: str) -> str:
    for ending in ("'s'", "'s", "'"):
        if word.endswith(ending):
            return word.removesuffix(ending)
    return word


def _plural(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith(("us", "ss")):
        return word
    return word[:-1] if word.endswith("s") and _has_vowel(word[:-2]) else word


def _past(word: str, r1: int) -> str:
    for ending in ("eedly", "eed"):
        if word.endswith(ending):
            return word.removesuffix(ending) + "ee" if len(word) - len(ending) >= r1 else word
    for ending in ("ingly", "edly", "ing", "ed"):
        if word.endswith(ending):
            break
    else:
        return word
    stem = word.removesuffix(ending)
    if not _has_vowel(stem):
        return word
    if stem.endswith(("at", "bl", "iz")):
        return stem + "e"
    if stem.endswith(DOUBLES):
        return stem[:-1]
    return stem + "e" if len(stem) <= r1 and _ends_short(stem) else stem


def _final_y(word: str) -> str:
    return word[:-1] + "i" if len(word) > 2 and word[-1] in "yY" and word[-2] not in VOWELS else word


def _derivation(word: str, r1: int) -> str:
    if not word.endswith(STEP_2_ENDINGS):
        return word
    for ending, replacement in STEP_2.items():
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            fits = len(stem) >= r1
            if ending == "ogi":
                fits = fits and stem.endswith("l")
            if ending == "li":
                fits = fits and stem[-1:] in tuple(VALID_LI)
            return stem + replacement if fits else word
    return word


def _longer_suffix(word: str, r1: int, r2: int) -> str:
    if not word.endswith(STEP_3_ENDINGS):
        return word
    for ending, replacement in STEP_3.items():
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            return stem + replacement if len(stem) >= (r2 if ending == "ative" else r1) else word
    return word


def _bare_suffix(word: str, r2: int) -> str:
    if not word.endswith(STEP_4):
        return word
    for ending in STEP_4:
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            goes = len(stem) >= r2 and (ending != "ion" or stem[-1:] in ("s", "t"))
            return stem if goes else word
    return word


def _final_e_or_l(word: str, r1: int, r2: int) -> str:
    stem = word[:-1]
    if word.endswith("e"):
        return stem if len(stem) >= r2 or (len(stem) >= r1 and not _ends_short(stem)) else word
    return stem if word.endswith("ll") and len(stem) >= r2 else word
