"""Tables as pages: nothing breaks out, nothing is fetched, everything is named for who cannot see it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from benchmark.records import Row
from benchmark.tables import as_text, tables_of
from benchmark.tables.html import html, html_index
from benchmark.tables.material import material
from benchmark.tables.printed import printed_names, printed_table, read_printed
from benchmark.tables.table import Block, Column, Line, Note, Number, Quoted, Table

NASTY = """<script>alert("1")</script> & 'x' </td></table>"""
VOID = {"meta", "wbr"}


class Tree(HTMLParser):
    """Checks that every element is closed in its turn, and keeps what is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[int] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.seen.append((tag, found))
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += int(found.get("colspan") or 1)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def tree(text: str) -> Tree:
    found = Tree()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def nasty_table() -> Table:
    """Every text of a table, and each kind of cell."""
    columns = (Column(NASTY, is_words=True), Column(NASTY, NASTY, 1, direction="lower"), Column(NASTY, NASTY), Column(NASTY, is_words=True))
    lines = (
        Line(NASTY, (Number(-0.5, -0.75, 0.25, rank=1), Quoted("0.60", 2, 3), NASTY)),
        Line(NASTY, reason=NASTY),
        Line("sum", (Number(math.nan), Quoted(NASTY), ""), is_summary=True),
    )
    blocks = (Block(columns, lines, NASTY), Block(columns, lines, "", is_quoted=True))
    return Table("nasty", NASTY, NASTY, blocks, (Note(NASTY, 1, f"a|b|{NASTY}", NASTY),), ())


def test_a_model_named_script_stays_text() -> None:
    text = html(nasty_table())
    assert "<script" not in text
    found = tree(text)
    assert found.text.count(NASTY) > 12
    assert {tag for tag, _ in found.seen} <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "div", "table", "caption", "thead", "tbody", "tr", "th", "td"),
        *("span", "sup", "small", "b", "u", "i", "ul", "li", "code", "wbr"),
    }
    assert "<script" not in html_index([nasty_table()], NASTY)
    tree(html_index([nasty_table()], NASTY))


def test_every_row_has_as_many_cells_as_the_table_has_columns() -> None:
    for table in (nasty_table(), *(printed_table(read_printed(name)) for name in printed_names())):
        widths = [len(block.columns) for block in table.blocks]
        assert set(tree(html(table)).rows) <= set(widths)


def test_nothing_is_fetched_and_nothing_runs() -> None:
    text = html(nasty_table())
    assert not re.search(r"https?://|url\(|@import|javascript:", text)
    assert not {name for _, attributes in tree(text).seen for name in attributes} & {"src", "href", "onclick", "onload", "style"}


def test_a_reader_who_hears_the_table_gets_a_caption_and_the_scope_of_every_head() -> None:
    found = tree(html(printed_table(read_printed("table1"))))
    assert sum(tag == "caption" for tag, _ in found.seen) == sum(tag == "table" for tag, _ in found.seen) == 2
    scopes = [attributes.get("scope") for tag, attributes in found.seen if tag == "th"]
    assert set(scopes) == {"col", "row", "colgroup"}
    assert scopes.count("row") == 2 * 15
    assert scopes.count("colgroup") == 10
    assert next(attributes for tag, attributes in found.seen if tag == "html")["lang"] == "en"


def test_the_page_follows_the_readers_light_or_dark_and_prints_in_black() -> None:
    text = html(nasty_table())
    assert "@media (prefers-color-scheme: dark)" in text
    assert '<meta name="color-scheme" content="light dark">' in text
    assert "@media print" in text


def colours(text: str) -> list[dict[str, str]]:
    """The variables of the style: light, dark, printed."""
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block)) for block in re.findall(r":root \{(.*?)\}", text, re.DOTALL)]


def luminance(colour: str) -> float:
    """Relative, as WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    linear = [channel / 12.92 if channel <= 0.03928 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_text_stands_out_from_its_ground_in_light_dark_and_print() -> None:
    """A contrast of 4.5 to 1, what WCAG 2 asks of text."""
    looks = colours(html(nasty_table()))
    assert len(looks) == 3
    pairs = [
        ("ink", "page"),
        ("ink", "sheet"),
        ("soft", "page"),
        ("soft", "sheet"),
        ("quote", "quote-sheet"),
        ("soft", "quote-sheet"),
        ("accent", "page"),
    ]
    for look in looks:
        for text, ground in [*pairs, ("quote", "sheet"), ("ink", "hover"), ("quote", "hover")]:
            light, dark = sorted((luminance(look[text]), luminance(look[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground, look)


def test_best_is_bold_second_underlined_the_interval_small_and_a_minus_wide() -> None:
    text = html(nasty_table())
    assert '<b class="best">−0.500</b> <small>[−0.750, 0.250]</small>' in text
    assert '<i><u class="second">0.60</u></i><sup>3</sup>' in text


def test_a_quoted_block_has_a_look_of_its_own_and_measured_ones_do_not_have_it() -> None:
    rows = [Row("clala", "lesions", "macro_f1", 0.5, 0.4, 0.6, 20, 0, "lesions|labeller:(rules|v1)|v1")]
    given = material(rows, ["clala"], {}, note="", counts={}, level=None, draws=None, decimals={})
    text = as_text({table.name: table for table in tables_of(given)}["table1"], "html")
    measured, quoted = text.split('<div class="sheet quoted"')
    assert "†" not in measured
    assert "† Quoted from Noh et al. 2026" in quoted
    assert "not comparable with the rows above" in quoted


def test_a_wide_table_is_printed_across() -> None:
    assert "size: landscape" in html(printed_table(read_printed("table1")))
    assert "size: landscape" not in html(printed_table(read_printed("fig3")))


def test_the_index_leads_to_every_page() -> None:
    tables = [printed_table(read_printed(name)) for name in printed_names()]
    found = tree(html_index(tables, "Tables"))
    assert [attributes["href"] for tag, attributes in found.seen if tag == "a"] == [f"{name}.html" for name in printed_names()]


@pytest.mark.parametrize("name", ["table1", "fig3"])
def test_same_table_same_bytes(name: str) -> None:
    assert html(printed_table(read_printed(name))) == html(printed_table(read_printed(name)))


def test_the_index_says_first_what_the_data_of_a_table_are_worth() -> None:
    notes = (Note("Claims: 3."), Note("Drawn phantoms, not patients.", is_of_data=True), Note("In brackets: intervals."))
    table = Table("t", "Mine", "Table M", (), notes, ())
    said = re.findall(r"<p>(.*?)</p>", html_index([table, replace(table, notes=notes[2:]), replace(table, notes=())], "Tables"))
    assert said == ["Drawn phantoms, not patients. Claims: 3.", "In brackets: intervals."]


def test_the_note_of_the_dataset_is_known_as_such_in_the_tables_of_a_run() -> None:
    rows = [Row("a", "lesions", "macro_f1", 0.5, 0.4, 0.6, 20, 0, "lesions|v1")]
    given = material(rows, ["a"], {}, note="Drawn phantoms.", counts={}, level=None, draws=None, decimals={})
    for table in tables_of(given):
        assert [note.text for note in table.notes if note.is_of_data] == ["Drawn phantoms."]
