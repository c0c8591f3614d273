"""Prompts: what ships, what a user brings, and that what is filled in is never read as a place."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from benchmark.labelling.rules import RuleLabeller
from benchmark.llm.prompts import FIELDS, BadPrompt, Prompt, load
from benchmark.places import shipped
from benchmark.vocabulary import LESIONS


@pytest.mark.parametrize("name", FIELDS)
def test_every_prompt_ships_with_exactly_the_places_that_are_filled(name: str) -> None:
    prompt = load(name)
    assert prompt.fields == set(FIELDS[name])
    filled = prompt.fill(**dict.fromkeys(FIELDS[name], "<<here>>"))
    assert filled.count("<<here>>") == len(FIELDS[name])
    assert not re.search(r"\{[a-z_]+\}", filled)


@pytest.mark.parametrize("name", FIELDS)
def test_reports_come_last(name: str) -> None:
    """Providers take less for a beginning that all questions share."""
    text = load(name).text
    assert text.index("{") > 1000 or name == "aggregate"
    assert min(text.index(f"{{{place}}}") for place in FIELDS[name]) > 0.8 * len(text)


def test_the_hash_is_of_the_text_and_line_ends_do_not_change_it(tmp_path: Path) -> None:
    (tmp_path / "unix.md").write_bytes(b"Read.\n{report}\n")
    (tmp_path / "dos.md").write_bytes(b"\xef\xbb\xbfRead.\r\n{report}\r\n")
    unix, dos = load("label", tmp_path / "unix.md"), load("label", tmp_path / "dos.md")
    assert unix.sha256 == dos.sha256 == hashlib.sha256(b"Read.\n{report}\n").hexdigest()
    assert unix.digest == unix.sha256[:12]


def test_braces_in_a_report_and_in_the_prompt_stay_what_they_are() -> None:
    prompt = Prompt("green", 'Answer {"a": {}} to {reference} and {candidate}. {Not} a {place 2}.')
    filled = prompt.fill(reference="{candidate} \\1 {x}", candidate="{reference}")
    assert filled == 'Answer {"a": {}} to {candidate} \\1 {x} and {reference}. {Not} a {place 2}.'


def test_a_place_that_is_used_twice_is_filled_twice() -> None:
    assert Prompt("label", "{report}{report}").fill(report="a") == "aa"


@pytest.mark.parametrize("values", [{}, {"report": "a", "side": "b"}, {"side": "b"}])
def test_a_missing_or_unknown_value_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"prompt 'label' has the places \['report'\], values were given for"):
        Prompt("label", "{report}").fill(**values)


def test_a_prompt_of_the_users_own_is_checked_before_anything_is_asked(tmp_path: Path) -> None:
    mine = tmp_path / "mine.md"
    mine.write_text("Judge {candidate}.")
    with pytest.raises(BadPrompt, match=r"mine\.md has no place for the reference; write \{reference\} and \{candidate\} where it shall stand"):
        load("judge", mine)
    mine.write_text("Judge {candidate} by {reference} and {image}.")
    with pytest.raises(BadPrompt, match=r"has a place \{image\} that nothing fills; its places are \{reference\} and \{candidate\}"):
        load("judge", mine)
    mine.write_bytes(b"\xff\xfe{reference}")
    with pytest.raises(BadPrompt, match="is not UTF-8"):
        load("judge", mine)
    with pytest.raises(BadPrompt, match=r"nowhere\.md cannot be read \(No such file or directory\); give the path of a text file"):
        load("judge", tmp_path / "nowhere.md")


def test_the_prompt_of_the_labeller_names_the_14_lesions_in_their_order_with_expressions_for_and_against() -> None:
    text = shipped("prompts", "label.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^([a-z ]+)\n  positive: \"(.+?)\n  negative: \"", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == list(LESIONS)


def test_the_rules_read_every_expression_of_the_labellers_prompt_as_it_tells_a_model_to() -> None:
    """Two labellers with two conventions could not be held against each other."""
    text = shipped("prompts", "label.md").read_text(encoding="utf-8")
    listed = text.split("The 14 lesions, with expressions")[1].split("Answer with one JSON object")[0]
    quoted = []
    for lesion, positive, negative in re.findall(r"^([a-z ]+)\n  positive: (.+?)\n  negative: (.+?)\n(?=\S|\n)", listed, re.MULTILINE | re.DOTALL):
        for status, expressions in (("positive", positive), ("negative", negative)):
            quoted += [(lesion, status, " ".join(words.split())) for words in re.findall(r'"([^"]+)"', expressions)]
    assert {lesion for lesion, _, _ in quoted} == set(LESIONS)
    assert len(quoted) > 90
    labels = RuleLabeller().label([f"{words.capitalize()}." for _, _, words in quoted])
    read = [(lesion, found[LESIONS.index(lesion)].status, words) for (lesion, _, words), found in zip(quoted, labels, strict=True)]
    assert read == quoted
