"""R2Gen's cleaning, by its program's own answers (cuhksz-nlp/R2Gen at 5a2e63f, ``Tokenizer.clean_report_*``), and its vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.chen_text import Manner, Vocabulary, WrongVocabulary, clean, read_vocabulary, vocabulary_of

CLEANED: list[tuple[Manner, str, str]] = [
    ("mimic_cxr", "The lungs are clear. No pneumothorax.", "the lungs are clear . no pneumothorax ."),
    ("iu_xray", "The lungs are clear. No pneumothorax.", "the lungs are clear . no pneumothorax ."),
    (
        "mimic_cxr",
        "1. Mild edema.  2. Small left-sided effusion. 3. Heart size: normal.",
        "mild edema . small left-sided effusion . heart size normal .",
    ),
    (
        "iu_xray",
        "1. Mild edema.  2. Small left-sided effusion. 3. Heart size: normal.",
        "mild edema .  . small left-sided effusion . heart size normal .",
    ),
    (
        "mimic_cxr",
        'FINDINGS:\nAP view @ ___ shows (mild)  cardiomegaly, 3.5 cm; "stable".. See s/p CABG....',
        "findings ap view   shows mild cardiomegaly 35 cm stable . see sp cabg .",
    ),
    (
        "iu_xray",
        'FINDINGS:\nAP view @ ___ shows (mild)  cardiomegaly, 3.5 cm; "stable".. See s/p CABG....',
        "findings\nap view   shows mild  cardiomegaly 35 cm stable . see sp cabg .",
    ),
    ("mimic_cxr", "Right-sided PICC [tip] in SVC = good; <5 mm & 10% of T12 \\ L1.", "right-sided picc tip in svc  good 5 mm  10 of t12  l1 ."),
    ("iu_xray", "Right-sided PICC [tip] in SVC = good; <5 mm & 10% of T12 \\ L1.", "right-sided picc tip in svc  good 5 mm  10 of t12  l1 ."),
    ("mimic_cxr", "", " ."),
    ("iu_xray", "", " ."),
    ("mimic_cxr", "No change", "no change ."),
    ("iu_xray", "No change", "no change ."),
    ("mimic_cxr", "Café — röntgen; naïve?  .  ends. ", "café — röntgen naïve . ends ."),
    ("iu_xray", "Café — röntgen; naïve?  .  ends. ", "café — röntgen naïve . ends ."),
    ("mimic_cxr", "XXXX is 2. 3. 4. 5. 6. done. 11. x", "xxxx is . 6 . done . 1x ."),
    ("iu_xray", "XXXX is 2. 3. 4. 5. 6. done. 11. x", "xxxx is . 6 . done . 1x ."),
    ("mimic_cxr", "_________ and ................ dots", " and . dots ."),
    ("iu_xray", "_________ and ................ dots", " and  . dots ."),
]


@pytest.mark.parametrize(("manner", "report", "expected"), CLEANED)
def test_a_report_is_cleaned_as_r2gen_cleans_it(manner: Manner, report: str, expected: str) -> None:
    assert clean(report, manner) == expected


def test_words_that_occur_often_enough_are_numbered_by_code_point_from_one() -> None:
    """The unknown word is one of them, and stands where its bracket puts it."""
    vocabulary = vocabulary_of(["No edema. No effusion.", "No edema."], "mimic_cxr", 2)
    assert vocabulary.words == [".", "<unk>", "edema", "no"]
    assert vocabulary.rows == 5
    assert vocabulary.encode("No large effusion.") == [0, 4, 2, 2, 1, 0]
    assert vocabulary.decode([4, 3, 1, 0, 4]) == "no edema ."


def test_a_report_that_is_too_long_loses_its_end() -> None:
    """The original cuts after the 0 was put behind, so that a model learns to stop only from reports that fit."""
    vocabulary = vocabulary_of(["a b c d"], "iu_xray", 1)
    assert vocabulary.encode("a b c d", "iu_xray", longest=4) == [0, 3, 4, 5]


def test_r2gen_s_thresholds_are_the_default() -> None:
    reports = ["effusion edema"] * 9 + ["edema"]
    assert vocabulary_of(reports, "mimic_cxr").words == [".", "<unk>", "edema"]
    assert vocabulary_of(reports, "iu_xray").words == [".", "<unk>", "edema", "effusion"]


def test_a_vocabulary_is_read_from_a_list_or_from_an_annotation(tmp_path: Path) -> None:
    """Of the annotation the split train alone counts, as in the original."""
    entries = {"train": [{"report": "No edema. No edema. No edema."}], "val": [{"report": "pneumonia " * 50}], "test": []}
    (tmp_path / "annotation.json").write_text(json.dumps(entries), encoding="utf-8")
    vocabulary = read_vocabulary(tmp_path / "annotation.json", "iu_xray")
    assert vocabulary.words == [".", "<unk>", "edema", "no"]
    vocabulary.write(tmp_path / "words.txt")
    assert read_vocabulary(tmp_path / "words.txt", "mimic_cxr").words == vocabulary.words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["<unk>", "b", "b"], "'b' among them twice; give each word one line"),
        (["a", "b"], "no <unk> among them; R2Gen's has one: take the whole of it"),
        (["<unk>", "b", "a"], "not in order, first at line 2 ('b' before 'a')"),
    ],
)
def test_a_list_that_r2gen_could_not_have_made_is_refused(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(WrongVocabulary) as error:
        Vocabulary(words)
    assert said in str(error.value)
    (tmp_path / "words.txt").write_text("\n".join(words), encoding="utf-8")
    with pytest.raises(WrongVocabulary, match=r"words\.txt"):
        read_vocabulary(tmp_path / "words.txt", "mimic_cxr")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.txt", None, "cannot be read (No such file or directory); name a file with one word a line, or R2Gen's annotation.json"),
        ("bytes.txt", b"\xff\xfe\x00", "cannot be read (it is no text in UTF-8)"),
        ("half.json", b'{"train": [', "is no annotation.json of R2Gen (JSONDecodeError"),
        ("other.json", b'{"test": []}', "(KeyError: 'train'); expected is an object with a list under train, each with a report"),
        ("numbers.json", b'{"train": [{"report": 7}]}', "(TypeError: a report is int)"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused(name: str, content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WrongVocabulary) as error:
        read_vocabulary(tmp_path / name, "mimic_cxr")
    assert said in str(error.value)
