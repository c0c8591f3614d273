"""Text files of any origin."""

from __future__ import annotations

import pytest

from benchmark.datasets.encodings import decode, foreign_lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_a_text_is_read_whatever_its_encoding(encoding):
    assert decode("Größe 3 cm, façade".encode(encoding)) == "Größe 3 cm, façade"


def test_bytes_that_no_encoding_knows_are_still_read():
    assert decode(b"effusion \x81 left") == "effusion \x81 left"


def test_line_ends_become_newlines_and_nul_bytes_go():
    assert decode(b"a\r\nb\rc\0d") == "a\nb\ncd"


def test_an_empty_file_is_an_empty_text():
    assert decode(b"") == ""


def test_a_text_of_two_encodings_is_read_line_by_line_and_the_foreign_lines_are_named():
    content = "Größe\nplain\n".encode() + "façade\n".encode("cp1252") + "Höhe".encode()
    assert decode(content) == "Größe\nplain\nfaçade\nHöhe"
    assert foreign_lines(content) == [3]


@pytest.mark.parametrize("content", [b"", b"plain", "Größe\nHöhe".encode(), "Größe\nHöhe".encode("cp1252"), "Größe".encode("utf-16"), b"PAR1\0\xe9"])
def test_a_text_of_one_encoding_has_no_foreign_lines(content):
    assert foreign_lines(content) == []
