"""The table ``strata``: the headline numbers in parts of the cases, each part a block with all its models."""

from __future__ import annotations

from dataclasses import replace

from benchmark.records import Row
from benchmark.strata import BESIDE, FEW_PATIENTS, NORMAL, no_better
from benchmark.tables.material import Footnotes, Material, Wanted, common_notes, drawn_of, headlines, marked, said_count
from benchmark.tables.table import UNDEFINED, Block, Column, Line, Note, Number, Table


def strata(given: Material) -> Table:
    """A block for each part; marks of best and second are within it."""
    single = [row for row in given.strata if row.model in given.models and row.model not in given.skipped]
    footnotes = Footnotes(replace(given, rows=tuple(single), differences=()))
    wanted = _wanted(given)
    blocks = []
    for name in dict.fromkeys(row.stratum for row in single):
        part = replace(given, rows=tuple(row for row in single if row.stratum == name), differences=())
        columns = (Column("Model", is_words=True), *(footnotes.column(one) for one in wanted), Column("Scored"))
        cells = marked(part, wanted)
        lines = []
        for model in part.measured():
            found = [row for one in wanted if (row := part.row(model, one.metric, one.value_name))]
            shown = [UNDEFINED if name == NORMAL and needs_lesions(one) else cell for one, cell in zip(wanted, cells[model], strict=True)]
            lines.append(Line(given.name(model), (*shown, f"{max((row.scored for row in found), default=0):,}")))
        cases = max(row.scored + row.unscored for row in part.rows)
        blocks.append(Block(columns, tuple(lines), f"{name}: {said_count(cases, 'cases')}"))
    who = drawn_of(given)
    notes = [Note(said) for said in no_better(given.strata, given.models)]
    notes += [
        Note("Normal: none of the 14 lesions in the reference, by the labeller of the lesion table; such a case may have a fracture or a catheter."),
        Note(
            f"Under normal, F1 and omission are {UNDEFINED}: there is no lesion to find, and one false alarm would make F1 zero. Hallucination is "
            "what can go wrong there."
        ),
        Note(f"Numbers of fewer than {FEW_PATIENTS} {who} have no interval. All parts are measured by the same draws of {who} as the whole."),
    ]
    if any(isinstance(cell, Number) and cell.rank for block in blocks for line in block.lines for cell in line.cells):
        notes.append(Note("Bold: best of its part as printed; underlined, where the format can: second."))
    notes += common_notes(given, single, footnotes, ranks=())
    return Table("strata", "Parts of the cases", "", tuple(blocks), tuple(notes), given.strata)


def _wanted(given: Material) -> list[Wanted]:
    """The headlines, and beside them what has a meaning where there is no lesion."""
    found = headlines(given)
    titles = {(row.metric, row.value_name): row.title for row in given.strata}
    for metric in given.metrics():
        for name in BESIDE.get(metric.partition(":")[0], ()):
            if (metric, name) in titles:
                place = max(place for place, one in enumerate(found) if one.metric == metric) + 1
                found.insert(place, Wanted(metric, name, titles[metric, name]))
    return found


def needs_lesions(one: Wanted | Row) -> bool:
    """True of what a case without a lesion has nothing to say about."""
    return one.metric.partition(":")[0] == "lesions" and "hallucination" not in one.value_name
