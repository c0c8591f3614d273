"""What a person reads in the terminal of `compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from benchmark.gate.compare import FAILING
from benchmark.gate.outputs import DIGITS, change, power_line, verdict_line
from benchmark.shows import console
from benchmark.tables.table import written, written_p

if TYPE_CHECKING:
    from benchmark.gate import Gate

STYLES = {"worse": "bold red", "not shown": "red", "better": "green", "not worse": "green"}


def show_gate(gate: Gate) -> None:
    """The verdict first, then what it rests on; lesions in which nothing was found are counted, not listed."""
    out = console()
    out.print(Text(verdict_line(gate), style="bold green" if gate.passes else "bold red"))
    listed = [one for one in gate.numbers if one.is_headline or one.margin is not None or one.verdict in (*FAILING, "better")]
    table = Table(box=None, pad_edge=False)
    for title in ("Model", "Number"):
        table.add_column(title)
    for title in ("Base", "Head", "Difference", "p"):
        table.add_column(title, justify="right")
    table.add_column("Verdict")
    for one in listed:
        p_value = written_p(one.p_holm if one.margin is None else one.p_not_worse)
        verdict = one.verdict + (f" (margin {one.margin:g})" if one.margin is not None else "")
        cells = (one.model, one.title, written(one.base, DIGITS), written(one.head, DIGITS), change(one), p_value)
        table.add_row(*map(Text, cells), Text(verdict, style=STYLES.get(one.verdict, "")))
    out.print(table)
    rest = [one for one in gate.numbers if one not in listed]
    undefined = sum(one.verdict == "not defined" for one in rest)
    if rest:
        without = f"; {undefined} are not defined in both" if undefined else ""
        out.print(f"{len(rest)} more numbers: in {len(rest) - undefined} no difference found{without}.")
    out.print(Text(power_line(gate)))
    for note in gate.notes:
        out.print(Text(note, style="yellow"))
