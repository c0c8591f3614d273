from __future__ import annotations

import pytest

from clala.tokens import SPECIAL, WordTokenizer, from_json


@pytest.fixture
def words() -> WordTokenizer:
    return WordTokenizer.learn(["There is a 5 mm nodule, left-sided.", "there is (possibly) a 5 mm nodule."], least=2, always=["hernia"])


def test_a_sentence_comes_back_as_one_would_type_it() -> None:
    text = "there is a left-sided effusion, new since ___ (small, 3.5 cm)."
    tokenizer = WordTokenizer.learn([text], least=1)
    assert tokenizer.text(tokenizer.for_decoder(text, 64)) == text


def test_rare_words_are_unknown_and_never_written(words: WordTokenizer) -> None:
    assert "possibly" not in words.words
    assert words.text(words.for_decoder("there is possibly a nodule.", 64)) == "there is a nodule."


def test_asked_for_words_are_known_however_rare(words: WordTokenizer) -> None:
    assert "hernia" in words.words


def test_a_long_sentence_is_cut_but_keeps_its_end(words: WordTokenizer) -> None:
    row = words.for_decoder("there is a nodule.", 4)
    assert len(row) == 4
    assert (row[0], row[-1]) == (words.begin, words.end)


def test_nothing_after_the_end_is_read(words: WordTokenizer) -> None:
    row = words.for_decoder("there is", 64)
    assert words.text([*row, *row]) == "there is"


def test_a_vocabulary_survives_json(words: WordTokenizer) -> None:
    again = from_json(words.to_json())
    assert again.for_decoder("there is a nodule", 64) == words.for_decoder("there is a nodule", 64)


def test_a_vocabulary_without_the_special_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"begins with \[PAD\].*this one begins with heart"):
        WordTokenizer(["heart"])
    assert len(WordTokenizer(list(SPECIAL))) == 5
