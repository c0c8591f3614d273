"""What is said of printed tables, in a file that a program can read: ``claims.toml``.

Four kinds of entries: ``[[claim]]`` (this is higher than that), ``[[same]]`` (these lines are one and the same measurement, printed more than once),
``[[definition]]`` (this number is the mean, or the sum, of those) and ``[[bold]]`` (these lines are set in bold). Whether a claim holds is never
stored; it is computed, from the printed numbers (``consistency.told``) or from measured ones.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from benchmark.records import UserError

Relation = Literal["higher", "not_lower", "lower", "comparable"]
"""comparable = not below the middle one (the median) of those that it is compared with"""

Quantifier = Literal["all", "most"]
"""most = more than half"""

Selector = Mapping[str, str]
"""column -> cell, of key columns; ``table`` beside them names another table than the claim's"""

EACH_LESION = "each lesion"
ALL_OTHERS = "all others"


class UnreadableClaims(UserError):
    """A file of claims that cannot be read as one; the message names the entry."""


@dataclass(frozen=True)
class Claim:
    """One sentence about a table."""

    id: str
    """unique in the file"""
    table: str
    """the CSV without its ending: ``table3``"""
    where: str
    """the place in the paper"""
    says: str
    """the claim in our words"""
    first: Selector
    """the line that is praised"""
    second: tuple[Selector, ...]
    """the lines that it is compared with; empty = all others of the table"""
    rows: tuple[str, ...]
    """cells of the key column that the selectors leave open, an average among them; empty = every one but averages, or there is no such column"""
    numbers: tuple[str, ...]
    """columns that are compared"""
    relation: Relation
    """of the first to the second"""
    quantifier: Quantifier = "all"
    """of how many rows and numbers it is said"""

    @property
    def is_against_all(self) -> bool:
        """Compared with every other line of the table."""
        return not self.second

    def table_of(self, selector: Selector) -> str:
        """The table that a selector picks lines of."""
        return selector.get("table", self.table)


@dataclass(frozen=True)
class Same:
    """Lines of one measurement: what several of them print must agree."""

    id: str
    """unique in the file"""
    says: str
    """what it is"""
    lines: tuple[Selector, ...]
    """each with ``table``; where they leave a key column open, equal cells of it belong together"""


@dataclass(frozen=True)
class Definition:
    """How the text says that one number is made of others of its line."""

    id: str
    """unique in the file"""
    where: str
    """the place in the paper"""
    says: str
    """the definition in our words"""
    number: str
    """the column that is defined"""
    parts: tuple[str, ...]
    """the columns that it is made of"""
    made_as: Literal["mean", "sum"]
    """how"""


@dataclass(frozen=True)
class Bold:
    """Lines that are set in bold in some columns."""

    table: str
    """the CSV without its ending"""
    numbers: tuple[str, ...]
    """columns"""
    lines: tuple[Selector, ...]
    """of each, every line that it picks"""


@dataclass(frozen=True)
class Claims:
    """All that a file says."""

    path: Path | None = None
    """None = nothing was said"""
    claims: tuple[Claim, ...] = ()
    """in file order"""
    same: tuple[Same, ...] = ()
    """in file order"""
    definitions: tuple[Definition, ...] = ()
    """in file order"""
    bold: tuple[Bold, ...] = ()
    """in file order"""
    lower_is_better: frozenset[str] = frozenset()
    """columns whose best number is the lowest"""


def read_claims(path: Path) -> Claims:
    """The file, looked over entry by entry. Raises ``UnreadableClaims``."""
    try:
        loaded = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UnreadableClaims(f"{path}: cannot be read ({error.strerror}); name a file of claims: --claims PATH") from None
    except UnicodeDecodeError as error:
        raise UnreadableClaims(f"{path}: not UTF-8 ({error.reason}); save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UnreadableClaims(f"{path}: not TOML ({error}); mend that place") from None
    readers = {"claim": _claim, "same": _same, "definition": _definition, "bold": _bold}
    if unknown := sorted(set(loaded) - set(readers) - {"lower_is_better"}):
        raise UnreadableClaims(f"{path}: has {unknown[0]!r}; known are {', '.join(f'[[{name}]]' for name in readers)} and lower_is_better")
    found = {
        kind: tuple(read(_Entry(path, kind, place, one)) for place, one in enumerate(_list(path, loaded, kind), 1)) for kind, read in readers.items()
    }
    ids = [entry.id for kind in ("claim", "same", "definition") for entry in cast("tuple[Claim, ...]", found[kind])]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise UnreadableClaims(f"{path}: the id {twice[0]!r} stands more than once; give each entry its own")
    return Claims(
        path,
        cast("tuple[Claim, ...]", found["claim"]),
        cast("tuple[Same, ...]", found["same"]),
        cast("tuple[Definition, ...]", found["definition"]),
        cast("tuple[Bold, ...]", found["bold"]),
        frozenset(loaded.get("lower_is_better", ())),
    )


def _list(path: Path, loaded: Mapping[str, Any], kind: str) -> list[Any]:
    value = loaded.get(kind, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UnreadableClaims(f"{path}: {kind} is no list of entries; head each one with [[{kind}]]")
    return value


class _Entry:
    """One entry with its place, for messages."""

    def __init__(self, path: Path, kind: str, place: int, content: Mapping[str, Any]) -> None:
        self.where = f"{path}, [[{kind}]] {content.get('id', f'number {place}')}"
        self._content = content
        self._asked: set[str] = set()

    def text(self, name: str, default: str | None = None) -> str:
        """A text."""
        value = self._get(name, default)
        if not isinstance(value, str):
            raise UnreadableClaims(f"{self.where}: {name} is {value!r}, and a text is needed; put it in quotes")
        return value

    def one_of(self, name: str, known: tuple[str, ...], default: str | None = None) -> str:
        """A text out of a few."""
        value = self.text(name, default)
        if value not in known:
            raise UnreadableClaims(f"{self.where}: {name} is {value!r}; known: {', '.join(known)}")
        return value

    def texts(self, name: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of texts."""
        value = self._get(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise UnreadableClaims(f'{self.where}: {name} is {value!r}, and a list of texts is needed: ["f1", "recall"]')
        return tuple(value)

    def selectors(self, name: str) -> tuple[Selector, ...]:
        """One selector or several."""
        value = self._get(name, None)
        several = value if isinstance(value, list) else [value]
        if not several or not all(isinstance(one, dict) and all(isinstance(cell, str) for cell in one.values()) for one in several):
            raise UnreadableClaims(f'{self.where}: {name} is {value!r}, and columns with their cells are needed: {{config = "base"}}')
        return tuple(several)

    def raw(self, name: str) -> Any:
        """As it stands in the file, None if it does not."""
        return self._content.get(name)

    def done(self) -> None:
        """Refuse what nobody asked for: a misspelt name would be passed over in silence."""
        if unknown := sorted(set(self._content) - self._asked):
            raise UnreadableClaims(f"{self.where}: has {unknown[0]!r}; known: {', '.join(sorted(self._asked))}")

    def _get(self, name: str, default: Any) -> Any:
        self._asked.add(name)
        value = self._content.get(name, default)
        if value is None:
            raise UnreadableClaims(f"{self.where}: has no {name}; add it")
        return value


def _claim(entry: _Entry) -> Claim:
    first = entry.selectors("first")
    if len(first) > 1:
        raise UnreadableClaims(f"{entry.where}: first picks {len(first)} lines; a claim is about one, write a claim for each")
    against_all = entry.raw("second") == ALL_OTHERS and entry.text("second")
    each = entry.raw("rows") == EACH_LESION and entry.text("rows")
    claim = Claim(
        entry.text("id"),
        entry.text("table"),
        entry.text("where"),
        entry.text("says"),
        first[0],
        () if against_all else entry.selectors("second"),
        () if each else entry.texts("rows", ()),
        entry.texts("numbers"),
        cast("Relation", entry.one_of("relation", get_args(Relation))),
        cast("Quantifier", entry.one_of("quantifier", get_args(Quantifier), "all")),
    )
    entry.done()
    return claim


def _same(entry: _Entry) -> Same:
    same = Same(entry.text("id"), entry.text("says"), entry.selectors("lines"))
    if nowhere := [line for line in same.lines if "table" not in line]:
        raise UnreadableClaims(f'{entry.where}: the line {dict(nowhere[0])} names no table; add table = "table1" to it')
    entry.done()
    return same


def _definition(entry: _Entry) -> Definition:
    names = (entry.text("id"), entry.text("where"), entry.text("says"), entry.text("number"), entry.texts("parts"))
    definition = Definition(*names, cast("Literal['mean', 'sum']", entry.one_of("made_as", ("mean", "sum"))))
    entry.done()
    return definition


def _bold(entry: _Entry) -> Bold:
    bold = Bold(entry.text("table"), entry.texts("numbers"), entry.selectors("lines"))
    entry.done()
    return bold
