"""A table as a page of its own: one file with its style inside, light or dark as the reader's machine is, and fit to be printed.

Nothing is fetched and nothing runs. Every text is escaped: a model named ``<script>`` stays text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import groupby, pairwise

from benchmark.tables.table import NOT_RUN, UNDEFINED, Block, Cell, Column, Line, Note, Quoted, Table

_BIDI_CONTROLS = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
WIDE = 10
"""columns from which a page is printed across"""
_FRAME = """
:root { color-scheme: light dark; --page: #fbfaf7; --sheet: #ffffff; --ink: #1c1b19; --soft: #6a665e; --rule: #1c1b19; --hair: #e4e0d7;
  --hover: #f4f1ea; --quote: #6b4a1f; --quote-sheet: #fdf8ee; --quote-edge: #d9b36c; --accent: #0b5c8a; }
@media (prefers-color-scheme: dark) { :root { --page: #141518; --sheet: #1b1d21; --ink: #e9e6df; --soft: #a09b91; --rule: #cfcac0; --hair: #2e3137;
  --hover: #24272c; --quote: #e2c48d; --quote-sheet: #211f1a; --quote-edge: #8a6d35; --accent: #7fc1ea; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { width: fit-content; min-width: min(100%, 46rem); max-width: 100%; margin: 0 auto; padding: 2.6rem 1.6rem 3.2rem; }
h1 { margin: 0 0 1.3rem; font: 600 1.45rem/1.25 Charter, "Iowan Old Style", "Palatino Linotype", Georgia, serif; text-wrap: balance; }
h1 .number { color: var(--accent); }
"""
TABLES_STYLE = """
.sheet { margin: 0 0 1.5rem; padding: 1rem 1.3rem 1.2rem; background: var(--sheet); border: 1px solid var(--hair); border-radius: 10px;
  overflow-x: auto; }
.sheet:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.sheet.quoted { background: var(--quote-sheet); border-left: 4px solid var(--quote-edge); }
table { border-collapse: collapse; min-width: 100%; font-variant-numeric: tabular-nums lining-nums; }
caption { padding: 0 0 .65rem; color: var(--soft); font-size: .87rem; text-align: left; }
.unseen { position: absolute; width: 1px; height: 1px; padding: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.quoted caption { color: var(--quote); font-style: italic; }
thead tr:first-child > * { border-top: 2px solid var(--rule); }
thead tr:last-child > * { border-bottom: 1px solid var(--rule); }
tbody tr:last-child > * { border-bottom: 2px solid var(--rule); }
th, td { padding: .3rem .62rem; vertical-align: baseline; text-align: right; white-space: nowrap; }
thead th { font-weight: 600; font-size: .87rem; vertical-align: bottom; white-space: normal; }
thead th[scope=colgroup] { padding-bottom: .1rem; text-align: center; }
thead th[scope=colgroup] span { display: block; padding: 0 .3rem .2rem; border-bottom: 1px solid var(--soft); }
tbody th { position: sticky; left: 0; background: var(--sheet); font-weight: 500; }
.quoted tbody th { background: var(--quote-sheet); }
thead .word { white-space: nowrap; }
th.words, td.words { text-align: left; }
tbody th, td.words { max-width: 25rem; min-width: 7.5rem; white-space: normal; }
.opens { padding-left: 1.15rem; }
tbody tr:hover > * { background: var(--hover); }
tr.summary > * { border-top: 1px solid var(--rule); }
tr.summary th { font-weight: 700; }
td small { display: block; color: var(--soft); font-size: .74rem; line-height: 1.2; }
td.absent { color: var(--soft); }
td.reason { color: var(--soft); font-style: italic; text-align: left; white-space: normal; }
b.best { font-weight: 700; }
u.second { text-decoration-thickness: 1px; text-underline-offset: 3px; }
sup { line-height: 0; font-size: .7em; font-style: normal; }
td sup { display: inline-block; width: 0; }
.quoted tbody th, .quoted td, i { font-style: italic; }
td i, .quoted td { color: var(--quote); }
.notes { max-width: 62rem; width: 0; min-width: 100%; margin: 0; padding: 0; color: var(--soft); font-size: .84rem; list-style: none; }
.notes li { margin: 0 0 .4rem; padding-left: 1.1rem; text-indent: -1.1rem; overflow-wrap: anywhere; }
.notes li::before { content: "·"; display: inline-block; width: 1.1rem; text-indent: 0; }
.notes li.footnote::before { content: attr(data-number); font-size: .78em; vertical-align: .35em; line-height: 0; }
.notes b { color: var(--ink); font-weight: 600; }
code { font: .93em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
""".strip()
"""the look of tables and of the notes under them, for a page that has its own frame and names the same colours"""
_REST = """
.lead { max-width: 62rem; }
.list { margin: 0; padding: 0; list-style: none; }
.list li { margin: 0; padding: .75rem 0; border-top: 1px solid var(--hair); }
.list a { color: var(--accent); font-weight: 600; text-decoration: none; }
.list a:hover { text-decoration: underline; }
.list p { margin: .15rem 0 0; color: var(--soft); font-size: .87rem; max-width: 62rem; }
@media print {
  :root { --page: #fff; --sheet: #fff; --ink: #000; --soft: #444; --rule: #000; --hair: #bbb; --hover: #fff; --quote: #333; --quote-sheet: #fff;
    --quote-edge: #999; --accent: #000; }
  body { font-size: 9pt; }
  main { width: auto; padding: 0; }
  .sheet { padding: 0 0 0 .5rem; border: 0; overflow: visible; }
  th, td { padding: .14rem .3rem; }
  tbody th { position: static; }
  thead { display: table-header-group; }
  tr, .notes li { break-inside: avoid; }
}
"""
STYLE = "\n".join((_FRAME.strip(), TABLES_STYLE, _REST.strip()))


def html(table: Table) -> str:
    """The whole file."""
    number = f'<span class="number">{_text(table.number)}.</span> ' if table.number else ""
    body = [f"<h1>{number}{_text(table.title)}</h1>", *html_lines(table)]
    is_wide = any(len(block.columns) > WIDE for block in table.blocks)
    return page(table.heading, body, "@page { size: landscape; }" if is_wide else "")


def html_lines(table: Table) -> list[str]:
    """Its blocks and the notes under them, without heading and frame: to stand in another page."""
    lines = [line for block in table.blocks for line in _block(block, table.heading)]
    return [*lines, '<ul class="notes">', *map(_note, table.notes), "</ul>"] if table.notes else lines


def html_index(tables: Sequence[Table], title: str, lead: str = "") -> str:
    """The page that leads to the others: ``<name>.html`` of each table, what its data are worth and the first of its notes, ``lead`` first."""
    items = []
    for table in tables:
        data, others = ([note.text for note in table.notes if note.is_of_data == of_data] for of_data in (True, False))
        said = f"<p>{_text(' '.join([*data, *others[:1]]))}</p>" if table.notes else ""
        items.append(f'<li><a href="{_text(table.name)}.html">{_text(table.heading)}</a>{said}</li>')
    before = [f'<p class="lead">{_text(lead)}</p>'] if lead else []
    return page(title, [f"<h1>{_text(title)}</h1>", *before, '<ul class="list">', *items, "</ul>"])


def page(title: str, body: Sequence[str], more_style: str = "") -> str:
    """A file around lines that are HTML already."""
    head = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{_text(title)}</title>",
        f"<style>\n{STYLE}\n{more_style}</style>" if more_style else f"<style>\n{STYLE}\n</style>",
        "</head>",
        "<body>",
        "<main>",
    ]
    return "\n".join([*head, *body, "</main>", "</body>", "</html>", ""])


def _block(block: Block, heading: str) -> list[str]:
    name = block.title or heading
    lines = [
        # a table wider than the window is scrolled within its sheet, by keys as well
        f'<div class="sheet{" quoted" if block.is_quoted else ""}" tabindex="0" role="region" aria-label="{_text(name)}">',
        "<table>",
        f"<caption{_class('' if block.title else 'unseen')}>{_text(name)}</caption>",  # the heading says it already, but not to who hears the table
        "<thead>",
    ]
    opens = _opens(block.columns)
    lines += [*_groups(block.columns, opens), "<tr>"]
    lines += [_head(column, is_quoted, is_open) for column, is_quoted, is_open in zip(block.columns, _quoted_columns(block), opens, strict=True)]
    lines += ["</tr>", "</thead>", "<tbody>"]
    lines += [_line(line, block, opens) for line in block.lines]
    return [*lines, "</tbody>", "</table>", "</div>"]


def _opens(columns: Sequence[Column]) -> list[bool]:
    """Where a group of columns begins: a little room sets it off."""
    return [False, *(bool(column.group) and column.group != before.group for before, column in pairwise(columns))]


def _groups(columns: Sequence[Column], opens: Sequence[bool]) -> list[str]:
    """The row above the heads, which names what columns side by side have in common."""
    if not any(column.group for column in columns):
        return []
    cells, place = [], 0
    for group, together in groupby(columns, key=lambda column: column.group):
        count = len(list(together))
        look = ' class="opens"' if opens[place] else ""
        cells.append(f'<th scope="colgroup" colspan="{count}"{look}><span>{_text(group)}</span></th>' if group else f'<td colspan="{count}"></td>')
        place += count
    return ["<tr>", *cells, "</tr>"]


def _quoted_columns(block: Block) -> list[bool]:
    """Which columns hold printed numbers alone, in a block of measured ones."""
    if block.is_quoted:
        return [False] * len(block.columns)
    columns = [[line.cells[place] for line in block.lines if line.cells] for place in range(len(block.columns) - 1)]
    return [False, *(any(isinstance(cell, Quoted) for cell in column) for column in columns)]


def _head(column: Column, is_quoted: bool, is_open: bool) -> str:
    look = " ".join(filter(None, ("words" if column.is_words else "", "opens" if is_open else "")))
    arrow = f' <span title="the lower the better">{_text(column.arrow.strip())}</span>' if column.arrow else ""
    mark = f"<sup>{column.footnote}</sup>" if column.footnote else ""
    *words, last = column.title.split() or [""]
    # no line breaks within ROUGE-L, nor between the last word and its marks
    title = " ".join([*(_unbroken(_text(word)) for word in words), _unbroken(_text(last) + arrow + mark)])
    return f'<th scope="col"{_class(look)}>{f"<i>{title}</i>" if is_quoted else title}</th>'


def _unbroken(word: str) -> str:
    return f'<span class="word">{word}</span>' if "-" in word or "<" in word else word


def _line(line: Line, block: Block, opens: Sequence[bool]) -> str:
    label = f'<th scope="row" class="words">{_text(line.label)}</th>'
    if line.reason:
        return f'<tr>{label}<td class="reason" colspan="{len(block.columns) - 1}">{_text(line.reason)}</td></tr>'
    columns = zip(line.cells, block.columns[1:], opens[1:], strict=True)
    cells = "".join(_cell(cell, column, is_open) for cell, column, is_open in columns)
    return f"<tr{_class('summary' if line.is_summary else '')}>{label}{cells}</tr>"


def _cell(cell: Cell, column: Column, is_open: bool) -> str:
    is_absent = (cell if isinstance(cell, str) else cell.text) in (NOT_RUN, UNDEFINED)
    look = " ".join(filter(None, ("words" if column.is_words else "", "opens" if is_open else "", "absent" if is_absent else "")))
    if isinstance(cell, str):
        return f"<td{_class(look)}>{_text(cell)}</td>"
    if isinstance(cell, Quoted):
        text = _ranked(_text(cell.text), cell.rank)
        return f"<td{_class(look)}><i>{text}</i>{f'<sup>{cell.footnote}</sup>' if cell.footnote else ''}</td>"
    text = _ranked(_signed(cell.text), cell.rank)
    interval = f" <small>{_signed(cell.interval)}</small>" if cell.interval else ""
    return f"<td{_class(look)}>{text}{interval}</td>"


def _signed(number: str) -> str:
    """With a minus as wide as the plus."""
    return _text(number).replace("-", "−")


def _ranked(text: str, rank: int) -> str:
    return {0: text, 1: f'<b class="best">{text}</b>', 2: f'<u class="second">{text}</u>'}[rank]


def _note(note: Note) -> str:
    label = f"<b>{_text(note.label)}</b> " if note.label else ""
    signature = f" <code>{_text(note.signature).replace('|', '|<wbr>')}</code>" if note.signature else ""
    look = f' class="footnote" data-number="{note.footnote}"' if note.footnote else ""
    return f"<li{look}>{label}{_text(note.text)}{signature}</li>"


def _text(text: str) -> str:
    """Escaped; marks that would turn round the words after them (of a model's name, say) stand as what they are."""
    return _BIDI_CONTROLS.sub(lambda mark: f"\u27e8U+{ord(mark[0]):04X}\u27e9", escape(text))


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""
