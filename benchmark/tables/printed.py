"""Printed tables, in the digits of print: read from CSV files with a ``sources.json`` beside them, and laid out as the paper has them.

Ours are in ``results/reported``, whose README says what shape a file has (``consistency.printed`` reads it); a folder of one's own has the same.
``sources.json`` has, of all files, ``citation`` and ``short``, and under ``files`` of each its ``table`` (number), ``what`` (stands in it) and
``keys`` (the columns that name a line). What else it may say:

    data, labeller, datasets   what the numbers were measured on and with; registered datasets that are these data
    models                     registered name -> the name in print
    words                      a column or a key as a file has it -> as a table prints it; of all files, or of one
    title                      of one file's table
    layout                     down: a line per key | across: the second key side by side | groups: the second key within the first |
                               curve: the first key across, the second down; by the number of keys if not said
    flags                      columns that say yes or no of a line, and are no numbers
    origin                     the column that says where a number stands, where that is not the table
    lower                      columns that are better the lower they are; all others are better high

What is best is worked out from the printed digits, never copied: a tie is told as a tie, whoever was bold in print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from benchmark.consistency.printed import FileLine, UnreadableTable, columns_of_numbers, is_summary, known_name, read_cell, read_lines
from benchmark.consistency.sources import SOURCES_FILE, read_sources
from benchmark.places import shipped
from benchmark.records import UserError
from benchmark.tables.table import Block, Cell, Column, Line, Note, Quoted, Table

NOT_PRINTED = "—"
ABREAST = 5
"""keys side by side: with three numbers each, what a page holds"""
TOLD_TIES = 20
"""more than that are counted, not listed"""
LAYOUTS = {"down": 1, "across": 2, "groups": 2, "curve": 2}
"""layout -> how many keys it is of"""


@dataclass(frozen=True)
class Printed:
    """One printed table."""

    name: str
    """of its file: ``table2a``"""
    number: str
    """``Table 2a``"""
    what: str
    """stands in it, in our words"""
    citation: str
    """of the paper"""
    short: str
    """of the paper, in two words and a year"""
    keys: tuple[str, ...]
    """columns that name a line"""
    lines: tuple[Mapping[str, str], ...]
    """column -> what is printed, digit by digit and without marks, in the order of print; empty where no number is"""
    numbers: tuple[str, ...]
    """the columns that are numbers, in the order of print"""
    title: str = ""
    """in words"""
    data: str = ""
    """what it was measured on"""
    labeller: str = ""
    """who turned reports into lesions"""
    datasets: tuple[str, ...] = ()
    """registered datasets that are these data"""
    models: Mapping[str, str] = field(default_factory=dict)
    """registered name -> the name in print"""
    words: Mapping[str, str] = field(default_factory=dict)
    """a column or a key of the file -> as a table prints it"""
    layout: str = "down"
    """one of ``LAYOUTS``"""
    flags: tuple[str, ...] = ()
    """columns that say yes or no of a line"""
    origin: str = ""
    """the column that says where a number stands; empty = all in the table"""
    lower: tuple[str, ...] = ()
    """columns that are better the lower they are"""

    @property
    def reference(self) -> str:
        """Paper and table, as it stands in a note."""
        return f"{self.citation}, {self.number}"

    def word(self, name: str) -> str:
        """A column or a key as a table prints it."""
        return self.words.get(name, name)

    def values(self, key: str) -> tuple[str, ...]:
        """What stands under a key, each once, in the order of print."""
        return tuple(dict.fromkeys(line[key] for line in self.lines))

    def line(self, **picks: str) -> Mapping[str, str]:
        """The line of those keys, empty if none is printed: ``line(lesion="Edema", model="RGRG")``."""
        return next((line for line in self.lines if all(line.get(key) == value for key, value in picks.items())), {})

    def cell(self, number: str, **picks: str) -> str:
        """The number of the line of those keys as it is printed, empty if it is not."""
        return self.line(**picks).get(number, "")


def reported_folder() -> Path:
    """Where the paper's tables lie."""
    return shipped("results", "reported")


def printed_names(folder: Path | None = None) -> tuple[str, ...]:
    """The tables of a folder, in the order of its ``sources.json``. Raises ``UnreadableTable``."""
    return tuple(name.removesuffix(".csv") for name in _sources(folder or reported_folder())["files"])


def read_printed(name: str, folder: Path | None = None) -> Printed:
    """One table of a folder, the paper's if none is given. Raises ``UnreadableTable``."""
    folder = folder or reported_folder()
    sources, file = _sources(folder), folder / f"{name}.csv"
    if file.name not in sources["files"]:
        raise UserError(f"no printed table {name!r}; {folder} has {', '.join(printed_names(folder))}")
    about = sources["files"][file.name]
    keys, flags, lower = (tuple(map(known_name, about.get(what, ()))) for what in ("keys", "flags", "lower"))
    origin = known_name(about.get("origin", ""))
    if not file.exists():
        raise UnreadableTable(f"{SOURCES_FILE} speaks of {file}, which is not there; put it there, or take it out of {SOURCES_FILE}")
    header, lines = read_lines(file)
    words = [*keys, *flags, *([origin] if origin else [])]
    if lacking := [one for one in (*words, *lower) if one not in header]:
        raise UnreadableTable(f"{file} is to have the column {lacking[0]!r}, and has {', '.join(header)}; mend it, or sources.json")
    numbers = columns_of_numbers(file, [one for one in header if one not in words], lines)
    found = Printed(
        name,
        about["table"],
        about.get("what", ""),
        sources["citation"],
        sources["short"],
        keys,
        tuple({**{one: line.cells[one] for one in words}, **{one: _text(file, line, one) for one in numbers}} for line in lines),
        numbers,
        about.get("title") or about.get("what", "").partition(":")[0].partition(".")[0],
        sources.get("data", ""),
        sources.get("labeller", ""),
        tuple(sources.get("datasets", ())),
        sources.get("models", {}),
        {spelt: word for one, word in {**sources.get("words", {}), **about.get("words", {})}.items() for spelt in (one, known_name(one))},
        about.get("layout") or ("down" if len(keys) == 1 else "across"),
        flags,
        origin,
        lower,
    )
    _check(found, file, lines)
    return found


def printed_table(printed: Printed) -> Table:
    """The table as the paper prints it: quoted in every look, best and second by the printed digits, and where it is from."""
    layouts = {"down": _down, "across": _across, "groups": _groups, "curve": _curve}
    blocks, ties, more = layouts[printed.layout](printed)
    quoted_from = f"† Quoted from {printed.short}" + (f" ({printed.data})" if printed.data else "")
    titles = (f"{block.title} {quoted_from}" if not block.title else f"{quoted_from}: {block.title}" for block in blocks)
    quoted = tuple(Block(block.columns, block.lines, title.strip(), is_quoted=True) for block, title in zip(blocks, titles, strict=True))
    has_marks = any(isinstance(cell, Quoted) and cell.rank for block in blocks for line in block.lines for cell in line.cells)
    notes = [Note(f"† {printed.reference}. {printed.what}".strip()), *more]
    if has_marks:
        lower = f"; lowest of {', '.join(map(printed.word, printed.lower))}" if printed.lower else ""
        second = "; underlined, where the format can: second of three or more" if _has_seconds(blocks) else ""
        notes.append(Note(f"Bold: highest as printed{lower}{second}. Worked out from the digits, whatever was bold in print."))
        notes += _told(ties)
    return Table(printed.name, printed.title, printed.number, quoted, tuple(notes), (), is_laid_out_as_csv=True, citation=printed.reference)


_Layout = tuple[list[Block], list[str], list[Note]]
"""blocks, ties for the best, and notes of its own"""


def _down(printed: Printed) -> _Layout:
    """A line for each key, best and second of each column."""
    (key,) = printed.keys
    columns = (_words(printed, key), *(_words(printed, flag) for flag in printed.flags), *(_number(printed, name) for name in printed.numbers))
    ranks = {name: ranked([line[name] for line in printed.lines], is_lower=name in printed.lower) for name in printed.numbers}
    lines = []
    for place, line in enumerate(printed.lines):
        cells = [_cell(line[name], ranks[name][place]) for name in printed.numbers]
        flags = [printed.word(line[flag]) for flag in printed.flags]
        lines.append(Line(printed.word(line[key]), (*flags, *cells), is_summary=is_summary(line[key])))
    labels = [printed.word(line[key]) for line in printed.lines]
    ties = [_tie(printed, name, [line[name] for line in printed.lines], ranks[name], labels) for name in printed.numbers]
    return [Block(columns, tuple(lines))], [tie for tie in ties if tie], []


def _across(printed: Printed) -> _Layout:
    """The first key down, the second side by side with its numbers; best and second among those of one line."""
    down, across = printed.keys
    heads = printed.values(across)
    by_key = {(line[down], line[across]): line for line in printed.lines}
    cells: dict[tuple[str, str, str], Cell] = {}
    ties = []
    for label in printed.values(down):
        for name in printed.numbers:
            texts = [by_key.get((label, head), {}).get(name, "") for head in heads]
            ranks = ranked(texts, is_lower=name in printed.lower)
            cells |= {(label, head, name): _cell(text, rank) for head, text, rank in zip(heads, texts, ranks, strict=True)}
            ties.append(_tie(printed, name, texts, ranks, [printed.word(head) for head in heads], of=printed.word(label)))
    blocks = []
    for part in (heads[start : start + ABREAST] for start in range(0, len(heads), ABREAST)):
        columns = (_words(printed, down), *(_number(printed, name, printed.word(head)) for head in part for name in printed.numbers))
        lines = [
            Line(printed.word(label), tuple(cells[label, head, name] for head in part for name in printed.numbers), is_summary=is_summary(label))
            for label in printed.values(down)
        ]
        blocks.append(Block(columns, tuple(lines), "" if len(heads) <= ABREAST else ", ".join(map(printed.word, part))))
    return blocks, [tie for tie in ties if tie], []


def _groups(printed: Printed) -> _Layout:
    """A line for each level of each factor, best and second among the levels of one."""
    factor, level = printed.keys
    title = f"{printed.word(factor)}: {printed.word(level).lower()}"
    columns = (Column(title, is_words=True), *(_number(printed, name) for name in printed.numbers))
    lines, ties = [], []
    for group in printed.values(factor):
        part = [line for line in printed.lines if line[factor] == group]
        ranks = {name: ranked([line[name] for line in part], is_lower=name in printed.lower) for name in printed.numbers}
        for place, line in enumerate(part):
            label = f"{printed.word(group)}: {printed.word(line[level])}"
            lines.append(Line(label, tuple(_cell(line[name], ranks[name][place]) for name in printed.numbers)))
        levels = [printed.word(line[level]) for line in part]
        found = [_tie(printed, name, [line[name] for line in part], ranks[name], levels, of=printed.word(group)) for name in printed.numbers]
        ties += [tie for tie in found if tie]
    return [Block(columns, tuple(lines))], ties, []


def _curve(printed: Printed) -> _Layout:
    """The first key across, the second down; each number with a mark that says where it stands. Nothing is marked as best."""
    across, down = printed.keys
    (name,) = printed.numbers
    origins = [one for one in dict.fromkeys(line.get(printed.origin, "") for line in printed.lines) if one]
    heads = printed.values(across)
    columns = (_words(printed, down), *(Column(head, group=printed.word(across)) for head in heads))
    lines = []
    for label in printed.values(down):
        found = [printed.line(**{across: head, down: label}) for head in heads]
        origin = [line.get(printed.origin, "") for line in found]
        cells = (
            Quoted(line[name], footnote=origins.index(where) + 1 if where else 0) if line.get(name) else NOT_PRINTED
            for line, where in zip(found, origin, strict=True)
        )
        lines.append(Line(printed.word(label), tuple(cells)))
    notes = [Note(f"{NOT_PRINTED} no number is printed."), *(Note(where, footnote) for footnote, where in enumerate(origins, start=1))]
    return [Block(columns, tuple(lines))], [], notes


def ranked(texts: Sequence[str], *, is_lower: bool = False) -> list[Literal[0, 1, 2]]:
    """1 for the best and 2 for the second of printed numbers, by their digits; of two there is no second, and of alike ones no best.

    What ties for the best is 1, each of it. Zero is nobody's best where high is good.
    """
    values = [Decimal(text) if text else None for text in texts]
    there = [value for value in values if value is not None]
    order = sorted({value for value in there if is_lower or value > 0}, reverse=not is_lower)
    if len(set(there)) < 2 or not order:
        return [0] * len(texts)
    second = order[1] if len(order) > 1 and len(there) > 2 else None
    return [0 if value is None else 1 if value == order[0] else 2 if value == second else 0 for value in values]


def _tie(printed: Printed, name: str, texts: Sequence[str], ranks: Sequence[int], labels: Sequence[str], of: str = "") -> str:
    """Who shares the best number; empty if nobody does."""
    best = [place for place, rank in enumerate(ranks) if rank == 1]
    there = [text for text in texts if text]
    what = f"{of} {printed.word(name)}".strip()
    if len(best) > 1:
        return f"{what} {texts[best[0]]} ({', '.join(labels[place] for place in best)})"
    is_tie_of_all = not best and len(there) > 1 and len({Decimal(text) for text in there}) == 1 and Decimal(there[0]) != 0
    return f"{what} {there[0]} (all alike, none bold)" if is_tie_of_all else ""


def _told(ties: Sequence[str]) -> list[Note]:
    if not ties:
        return []
    count = f"{len(ties)}, the first " if len(ties) > TOLD_TIES else ""
    return [Note(f"Ties for the best, nobody's win: {count}{'; '.join(ties[:TOLD_TIES])}.")]


def _has_seconds(blocks: Sequence[Block]) -> bool:
    return any(isinstance(cell, Quoted) and cell.rank == 2 for block in blocks for line in block.lines for cell in line.cells)


def _words(printed: Printed, name: str) -> Column:
    return Column(printed.word(name), is_words=True)


def _number(printed: Printed, name: str, group: str = "") -> Column:
    return Column(printed.word(name), group, direction="lower" if name in printed.lower else "higher")


def _cell(text: str, rank: Literal[0, 1, 2]) -> Cell:
    return Quoted(text, rank) if text else NOT_PRINTED


def _text(file: Path, line: FileLine, name: str) -> str:
    """What is printed in a cell; nothing where it is empty or says that there is no number."""
    cell = read_cell(file, line.number, name, line.cells[name])
    return cell.text if cell else ""


def _sources(folder: Path) -> dict[str, Any]:
    """What ``sources.json`` of a folder says, found to have what printing needs. Raises ``UnreadableTable``."""
    found = read_sources(folder)
    lacking = [name for name in ("citation", "short", "files") if not found.get(name)]
    lacking = lacking or [f"{name} of {each}" for each, about in found["files"].items() for name in ("table", "keys") if not about.get(name)]
    if lacking:
        file = folder / SOURCES_FILE
        raise UnreadableTable(f"{file} is to say {lacking[0]}, and does not; add it: README.md of results/reported shows what a source says")
    return found


def _check(printed: Printed, file: Path, lines: Sequence[FileLine]) -> None:
    """Layout, and a line for each key, before anything is laid out. Raises ``UnreadableTable``."""
    if LAYOUTS.get(printed.layout) != len(printed.keys):
        known = ", ".join(f"{name} (of {count} {'key' if count == 1 else 'keys'})" for name, count in LAYOUTS.items())
        raise UnreadableTable(f"{file}: no layout {printed.layout!r} of {len(printed.keys)} keys; sources.json may say {known}")
    if printed.layout == "curve" and len(printed.numbers) != 1:
        raise UnreadableTable(f"{file} is laid out as a curve, of one column of numbers, and has {len(printed.numbers)}; leave the others away")
    seen: dict[tuple[str, ...], int] = {}
    for line in lines:
        key = tuple(line.cells[name] for name in printed.keys)
        if key in seen:
            raise UnreadableTable(f"{file}, line {line.number} has the keys {' and '.join(key)} of line {seen[key]}; keep one of them")
        seen[key] = line.number
