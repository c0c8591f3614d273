"""Porter's stemmer with nltk's extensions, the one that google's rouge-score and nltk's METEOR use.

After M. Porter, "An algorithm for suffix stripping", Program 14.3 (1980), with the departures that nltk documents for its default mode:
a table of irregular words, words of one or two letters left alone, ``dies -> die`` and ``died -> die``, y -> i only after a consonant,
``bli``, ``fulli`` and ``logi`` in step 2, and a two-letter stem of vowel and consonant counted as short. Equal to nltk 3.10.4 on every word
tried (tests/benchmark/test_rouge.py); it is written anew because nltk takes 1.6 s to import.
"""

from __future__ import annotations

from functools import lru_cache

IRREGULAR = {
    "sky": "sky", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news", "innings": "inning", "inning": "inning",
    "outings": "outing", "outing": "outing", "cannings": "canning", "canning": "canning", "howe": "howe", "proceed": "proceed",
    "exceed": "exceed", "succeed": "succeed",
}  # fmt: skip

# Steps 2 and 3: the first ending that fits decides; it is replaced where something with a vowel-consonant turn stands before it.
STEP_2 = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("bli", "ble"), ("alli", "al"),
    ("entli", "ent"), ("eli", "e"), ("ousli", "ous"), ("ization", "ize"), ("ation", "ate"), ("ator", "ate"), ("alism", "al"),
    ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"), ("fulli", "ful"),
    ("logi", "log"),
)  # fmt: skip
STEP_3 = (("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", ""))
STEP_4 = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti", "ous", "ive", "ize",
)  # fmt: skip
# Most words have no such ending, and one question finds that out: a text of a megabyte may have a hundred thousand different words.
STEP_2_ENDINGS, STEP_3_ENDINGS = (tuple(ending for ending, _ in step) for step in (STEP_2, STEP_3))


@lru_cache(maxsize=1 << 17)
def porter_stem(word: str) -> str:
    """Stem of a word, lower-cased."""
    lower = word.lower()
    if lower in IRREGULAR:
        return IRREGULAR[lower]
    if len(word) <= 2:
        return lower
    for step in (_plural, _past, _final_y, _double_suffix, _suffix, _bare_suffix, _final_e, _final_ll):
        lower = step(lower)
    return lower


def _shape(text: str) -> str:
    """``c`` for every consonant, ``v`` for every vowel; y is a vowel after a consonant."""
    shape = ""
    for letter in text:
        is_vowel = letter in "aeiou" or (letter == "y" and shape[-1:] == "c")
        shape += "v" if is_vowel else "c"
    return shape


def _measure(text: str) -> int:
    """How often a vowel is followed by a consonant: Porter's m."""
    return _shape(text).count("vc")


def _is_short(text: str) -> bool:
    """Ends consonant, vowel, consonant other than w, x, y (Porter's ``*o``); or is just vowel and consonant (nltk)."""
    shape = _shape(text)
    return shape == "vc" or (shape.endswith("cvc") and text[-1] not in "wxy")


def _plural(word: str) -> str:
    if word.endswith("ies") and len(word) == 4:
        return word[:-1]
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past(word: str) -> str:
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for ending in ("ed", "ing"):
        stem = word.removesuffix(ending)
        if stem != word and "v" in _shape(stem):
            break
    else:
        return word
    if stem.endswith(("at", "bl", "iz")):
        return stem + "e"
    if len(stem) > 1 and stem[-1] == stem[-2] and _shape(stem)[-1] == "c":
        return stem if stem[-1] in "lsz" else stem[:-1]
    return stem + "e" if _measure(stem) == 1 and _is_short(stem) else stem


def _final_y(word: str) -> str:
    return word[:-1] + "i" if len(word) > 2 and word[-1] == "y" and _shape(word[:-1])[-1] == "c" else word


def _double_suffix(word: str) -> str:
    if not word.endswith(STEP_2_ENDINGS):
        return word
    if word.endswith("alli") and _measure(word[:-4]) > 0:
        return _double_suffix(word[:-2])
    for ending, replacement in STEP_2:
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            measured = word[:-3] if ending == "logi" else stem  # the l counts with the stem, so that geology stems like archaeology
            return stem + replacement if _measure(measured) > 0 else word
    return word


def _suffix(word: str) -> str:
    if not word.endswith(STEP_3_ENDINGS):
        return word
    for ending, replacement in STEP_3:
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            return stem + replacement if _measure(stem) > 0 else word
    return word


def _bare_suffix(word: str) -> str:
    if not word.endswith(STEP_4):
        return word
    for ending in STEP_4:
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            goes = _measure(stem) > 1 and (ending != "ion" or stem[-1] in "st")
            return stem if goes else word
    return word


def _final_e(word: str) -> str:
    if not word.endswith("e"):
        return word
    stem = word[:-1]
    turns = _measure(stem)
    return stem if turns > 1 or (turns == 1 and not _is_short(stem)) else word


def _final_ll(word: str) -> str:
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word
