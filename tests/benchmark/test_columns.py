"""CSV files as people send them."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmark.datasets.columns import BadTable, read_cells, read_rows


def test_rows_come_with_their_line_and_by_column(tmp_path):
    (tmp_path / "t.csv").write_text('id, text \na," two\nlines "\n\nb,"a, comma"\nc\n')
    assert list(read_rows(tmp_path / "t.csv", ["id"])) == [
        (3, {"id": "a", "text": "two\nlines"}),
        (5, {"id": "b", "text": "a, comma"}),
        (6, {"id": "c", "text": ""}),
    ]


def test_a_tab_separated_table_is_known_by_its_header(tmp_path):
    (tmp_path / "t.tsv").write_text("id\ttext\na\tone, two\n")
    assert list(read_rows(tmp_path / "t.tsv")) == [(2, {"id": "a", "text": "one, two"})]


def test_a_table_with_semicolons_is_known_by_its_header(tmp_path):
    """What Excel writes where the comma is the decimal sign."""
    (tmp_path / "t.csv").write_text('id;text, as read;score\na;one, two;"3;4"\n')
    assert list(read_rows(tmp_path / "t.csv")) == [(2, {"id": "a", "text, as read": "one, two", "score": "3;4"})]
    (tmp_path / "t.csv").write_text("id,a;b,c;d\n1,2,3\n")
    assert list(read_rows(tmp_path / "t.csv", ["id"])) == [(2, {"id": "1", "a;b": "2", "c;d": "3"})]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('id,text\na,one\nb,"two\nc,three\nd,four\n', "line 3: a quote that is opened here is never closed; close the quote"),
        ('id,text\na,one\nb,"two\nc,"three"\nd,four\n', "line 3: broken CSV, ',' expected after '\"'"),
        ('id,"text\na,one\n', "line 1: a quote that is opened here is never closed"),
        ('id;text\n\n"a\n";"one\nb;two\n', "line 3: a quote that is opened here is never closed"),
    ],
)
def test_a_quote_that_is_never_closed_swallows_no_rows_in_silence(tmp_path, content, words):
    """Lenient reading made two rows of the first table's four."""
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(BadTable) as caught:
        list(read_rows(tmp_path / "t.csv"))
    assert f"{tmp_path / 't.csv'}, {words}" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_the_encoding_does_not_matter(tmp_path, encoding):
    (tmp_path / "t.csv").write_bytes("id,text\r\na,Größe\r\n".encode(encoding))
    assert list(read_rows(tmp_path / "t.csv")) == [(2, {"id": "a", "text": "Größe"})]


def test_gzip_is_known_by_its_content(tmp_path):
    (tmp_path / "t.csv").write_bytes(gzip.compress(b"id\na\n"))
    assert list(read_rows(tmp_path / "t.csv")) == [(2, {"id": "a"})]


def test_a_very_long_cell_is_read(tmp_path):
    (tmp_path / "t.csv").write_text("id\n" + "x" * 200_000 + "\n")
    assert len(next(read_rows(tmp_path / "t.csv"))[1]["id"]) == 200_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "needs the column 'id', found an empty file"),
        (b"name,text\n", "needs the column 'id', found name, text"),
        (b"id,text\na,b,c\n", "line 2: 3 cells in a table of 2 columns"),
        (b"id;text\na;b;c\n", "line 2: 3 cells in a table of 2 columns; put quotes around a text with semicolons"),
        (b"\x1f\x8b\x08\x00half", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path, content, words):
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(BadTable) as caught:
        list(read_rows(tmp_path / "t.csv", ["id"]))
    assert words in str(caught.value)
    assert str(tmp_path / "t.csv") in str(caught.value)


CELL = st.text('a ,;\t"\0ä', max_size=3)
LINES = st.lists(st.lists(CELL, max_size=4).map(",".join), max_size=5).map("\n".join)


@settings(deadline=None, max_examples=150)
@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@example("", "\n", False)
@example("a\n\n,b,\n c ,d", "\n", True)
def test_a_plain_table_is_read_as_the_same_one_in_quotes(tmp_path_factory, rows, end, is_plain):
    """Tables without quotes take a shorter way; a quoted header sends them the long one."""
    rows = rows.replace('"', "").replace("\0", "") if is_plain else rows
    found = []
    for number, header in enumerate(("id,text", '"id",text')):
        file = tmp_path_factory.getbasetemp() / f"table{number}.csv"
        file.write_bytes(f"{header}\n{rows}\n".replace("\n", end).encode())
        try:
            wholes, cells = list(read_rows(file, ["id"])), list(read_cells(file, ["id"], ["text", "no such column"]))
            assert cells == [(line, (row["id"], row["text"], "")) for line, row in wholes]
            found.append(wholes)
        except BadTable as error:
            found.append(str(error).replace(file.name, "table.csv"))
    assert found[0] == found[1]
