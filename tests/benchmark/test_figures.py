"""Figures: what is drawn stands where it should, is all there, and is the same again; looked at by eye once, held by structure here."""

from __future__ import annotations

import math
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.experiments.definitions import Experiment, Line
from benchmark.experiments.numbers import Numbers
from benchmark.figures import ONE_COLUMN_MM, TWO_COLUMNS_MM, Curve, Forest, draw, figure3, figures_of, forests_of, forests_of_run
from benchmark.figures import curve as curves
from benchmark.figures import forest as forests
from benchmark.figures.curve import CurvePanel, Point, Series, spread
from benchmark.figures.forest import Entry, Estimate, Group, Panel
from benchmark.figures.sheet import SMALL_PT, Sheet, ready, width_mm, wrapped
from benchmark.records import Row
from benchmark.signatures import UnlikeSignatures
from benchmark.tables.material import material
from benchmark.tables.printed import read_printed
from benchmark.vocabulary import LESIONS

Text = pytest.importorskip("matplotlib.text").Text
NAN = math.nan
NOTE = "Drawn phantoms, not patients: scores compare designs on these drawings and say nothing about patients."


def a_forest(**named: Any) -> Forest:
    """Three lines, two panels: one measured with seeds and quoted, one without interval, one not measured."""
    entries = (
        Entry("Base", (Estimate(0.30, 0.25, 0.35, (0.29, 0.30, 0.31), 0.31, "0.31"), Estimate(0.16, 0.15, 0.17))),
        Entry("Both", (Estimate(0.50, 0.45, 0.55), Estimate(NAN))),
        Entry("Neither of them", (None, None)),
    )
    given = {"panels": (Panel("Macro F1", 2), Panel("METEOR 1.5")), "groups": (Group("", entries),), "notes": (NOTE,), **named}
    return Forest("levels", "Table 9. A title", **given)


def a_curve(**named: Any) -> Curve:
    told = tuple(Point(x, 0.1 + x / 2, x / 2, 0.2 + x / 2) for x in (1.0, 0.2, 0.44))
    f1 = Series("Macro F1", told, Point(0.55, 0.4, 0.35, 0.45), Point(NAN, 0.22, 0.2, 0.24), ((0.2, 0.23), (1.0, 0.76)), 2)
    recall = Series("Macro recall", told[:1], quoted=((0.43, 0.40),))
    return Curve("figure3", "Figure 3. A title", "F1 of the labels", (CurvePanel("Lesions", (f1, recall), 0.0, 1.0),), notes=(NOTE,), **named)


def drawn(sheet: Sheet, label: str, panel: int = 0) -> list[tuple[list[float], list[float]]]:
    """x and y of everything of that label in one panel."""
    lines = [line for line in sheet.figure.axes[panel].get_lines() if line.get_label() == label]
    return [([float(x) for x in line.get_xdata()], [float(y) for y in line.get_ydata()]) for line in lines]


def words(sheet: Sheet) -> list[str]:
    return [text.get_text() for text in sheet.figure.texts]


def boxes(sheet: Sheet) -> list[tuple[str, Any]]:
    """Every text with the rectangle that it fills, in pixels; labels of ticks that lie outside an axis are not drawn."""
    sheet.figure.draw_without_rendering()
    found = [(text.get_text(), text.get_window_extent()) for text in sheet.figure.texts]
    for axes in (axes for axes in sheet.figure.axes if axes.axison):
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, sorted(axes.get_ylim()))):
            ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            found += [(label.get_text(), label.get_window_extent()) for place, label in ticks if low <= place <= high]
    return [(text, box) for text, box in found if text.strip()]


def assert_readable(sheet: Sheet) -> None:
    """No text leaves the sheet, none lies on another, none is smaller than six points."""
    texts, found = zip(*boxes(sheet), strict=True)
    left, low, right, high = np.array([box.extents for box in found]).T
    outside = (left < 0) | (low < 0) | (right > sheet.figure.bbox.width) | (high > sheet.figure.bbox.height)
    assert [texts[place] for place in np.flatnonzero(outside)] == []
    wide = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    tall = np.minimum.outer(high, high) - np.maximum.outer(low, low)
    touching = (wide > 1) & (tall > 0.25 * np.minimum.outer(high - low, high - low))  # lines may share some of the room between them
    assert [(texts[one], texts[other]) for one, other in np.argwhere(np.triu(touching, 1))] == []
    drawn_texts = [*sheet.figure.texts, *(text for axes in sheet.figure.axes for text in axes.findobj(Text) if axes.axison and text.get_text())]
    assert min(text.get_fontsize() for text in drawn_texts) >= 6


# --- forest plots -----------------------------------------------------------------------------------------------------------------------------------


def test_every_number_is_drawn_once_where_it_belongs() -> None:
    with ready():
        sheet = forests.sheet_of(a_forest(), TWO_COLUMNS_MM)
    assert [x for x, _ in drawn(sheet, "measured")] == [[0.30], [0.50]]
    assert [x for x, _ in drawn(sheet, "interval")] == [[0.25, 0.35], [0.45, 0.55]]
    assert [x for x, _ in drawn(sheet, "seeds")] == [[0.29, 0.30, 0.31]]
    assert [x for x, _ in drawn(sheet, "quoted")] == [[0.31]]
    assert drawn(sheet, "zero") == []
    (_, base), (_, both) = drawn(sheet, "measured")
    assert base[0] < both[0]  # millimetres from above, in the order of the lines
    (_, seeds), (_, printed) = drawn(sheet, "seeds")[0], drawn(sheet, "quoted")[0]
    assert seeds[0] < base[0] < printed[0] < both[0]  # seeds above, the printed number below, never on the interval
    assert [x for x, _ in drawn(sheet, "measured", panel=1)] == [[0.16]]  # NaN and None are not drawn


def test_the_digits_at_the_right_are_those_of_the_table() -> None:
    with ready():
        said = words(forests.sheet_of(a_forest(), TWO_COLUMNS_MM))
    for text in ("0.30 [0.25, 0.35]", "†0.31", "0.160 [0.150, 0.170]", "n/a", "Neither of them", NOTE):
        assert text in said
    assert said.count("—") == 2


def test_a_difference_has_a_line_at_zero_and_signs_also_far_from_it() -> None:
    panel = Panel("GREEN (rules)", 3, "higher", is_difference=True)
    given = Forest("d", "D", (panel,), (Group("", (Entry("A - B", (Estimate(0.5, 0.4, 0.6, quoted=-0.01, quoted_text="-0.01"),)),)),))
    with ready():
        sheet = forests.sheet_of(given, ONE_COLUMN_MM)
    assert [x for x, _ in drawn(sheet, "zero")] == [[0.0, 0.0]]
    low, high = sheet.figure.axes[0].get_xlim()
    assert low < -0.01 < 0 < 0.6 < high
    assert {"+0.500 [+0.400, +0.600]", "†−0.01", "← worse", "better →"} <= set(words(sheet))


def test_an_arrow_says_which_way_is_better_where_one_is() -> None:
    said = []
    for direction in ("higher", "lower", ""):
        with ready():
            one = a_forest(panels=(Panel("A", 2, direction), Panel("B", 2, "")))  # type: ignore[arg-type]
            said.append([word for word in words(forests.sheet_of(one, TWO_COLUMNS_MM)) if "→" in word or "←" in word])
    assert said == [["better →"], ["← better"], []]


def test_panels_on_one_scale_span_the_same() -> None:
    with ready():
        own = forests.sheet_of(a_forest(), TWO_COLUMNS_MM)
        shared = forests.sheet_of(a_forest(has_one_scale=True), TWO_COLUMNS_MM)
    assert own.figure.axes[0].get_xlim() != own.figure.axes[1].get_xlim()
    assert shared.figure.axes[0].get_xlim() == shared.figure.axes[1].get_xlim()


@pytest.mark.parametrize("width", [ONE_COLUMN_MM, TWO_COLUMNS_MM])
@pytest.mark.parametrize(
    "entries",
    [
        (),
        (Entry("alone", (Estimate(0.4),) * 5),),
        (Entry("one seed", (Estimate(0.4, 0.3, 0.5, (0.4,)),) * 5),),
        (Entry("nothing", (Estimate(NAN, NAN, NAN, (NAN, NAN), NAN),) * 5),),
        (Entry("endless", (Estimate(math.inf, -math.inf, math.inf),) * 5),),
        (Entry("a very long name of an arm that nobody would give and somebody will, with_an_unbroken_word_" + "x" * 60, (Estimate(0.4),) * 5),),
        (Entry("costs 5$ and $x^2$, ü, ≥", (Estimate(0.4, 0.3, 0.5),) * 5),),
        tuple(Entry(f"arm {number}", (Estimate(number / 30, number / 31, number / 29, (0.1, 0.9), 0.5),) * 5) for number in range(30)),
    ],
    ids=["none", "one arm", "one seed", "NaN", "infinite", "long name", "dollars", "30 arms"],
)
def test_degenerate_lines_are_drawn_readably(entries: tuple[Entry, ...], width: float) -> None:
    titles = ("Macro F1", "F1-RadGraph (rules, partial, lower)", "METEOR 1.5", "ROUGE-L (google, stem)", "GREEN (rules)")
    given = a_forest(panels=tuple(Panel(title) for title in titles), groups=(Group("A factor", entries), Group("", ())))
    with ready():
        sheet = forests.sheet_of(given, width)
        assert_readable(sheet)
    assert all(entry.label.split(" ")[0] in " ".join(words(sheet)) for entry in entries)
    if entries and entries[0].label == "one seed":
        assert drawn(sheet, "seeds") == []  # a single seed is the number itself


def test_a_line_that_has_not_one_number_for_each_panel_is_refused(tmp_path: Path) -> None:
    given = a_forest(groups=(Group("", (Entry("Base", (None,)),)),))
    with pytest.raises(ValueError, match="the line 'Base' of the figure 'levels' has 1 numbers, but there are 2 panels; give one for each"):
        draw([given], tmp_path)


# --- Figure 3 ---------------------------------------------------------------------------------------------------------------------------------------


def test_the_line_joins_the_corrupted_labels_alone_in_their_order() -> None:
    with ready():
        sheet = curves.sheet_of(a_curve(), TWO_COLUMNS_MM)
    first, second = drawn(sheet, "told")
    assert first == ([0.2, 0.44, 1.0], pytest.approx([0.2, 0.32, 0.6]))
    assert second[0] == [1.0]
    assert drawn(sheet, "own") == [([0.55], [0.4])]
    assert drawn(sheet, "ring") == [([0.55], [0.4])]
    styles = {line.get_label(): line.get_linestyle() for line in sheet.figure.axes[0].get_lines()}
    assert (styles["own"], styles["quoted"]) == ("None", "None")


def test_the_level_without_labels_goes_across_from_before_the_axis() -> None:
    with ready():
        sheet = curves.sheet_of(a_curve(), TWO_COLUMNS_MM)
    level, sign = drawn(sheet, "without")
    assert level[1] == [0.22, 0.22]
    assert level[0][0] == sign[0][0] < 0
    assert level[0][1] == sheet.figure.axes[0].get_xlim()[1]
    assert [label.get_text() for label in sheet.figure.axes[0].get_xticklabels()] == ["no\nlabels", "0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert ([sign[0][0]] * 2, [0.2, 0.24]) in drawn(sheet, "interval")


def test_what_was_printed_elsewhere_is_hollow_has_no_line_and_its_dagger_in_the_key_alone() -> None:
    """Two daggers side by side would be a double dagger."""
    with ready():
        sheet = curves.sheet_of(a_curve(), TWO_COLUMNS_MM)
    axes = sheet.figure.axes[0]
    quoted = [line for line in axes.get_lines() if line.get_label() == "quoted"]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in quoted] == [(0.2, 0.23), (1.0, 0.76), (0.43, 0.40)]  # type: ignore[index]
    assert {line.get_markerfacecolor() for line in quoted} == {"white"}
    assert [text.get_text() for text in axes.texts] == []
    assert [word for word in words(sheet) if "†" in word] == ["† printed, see below"]
    told = [line for line in axes.get_lines() if line.get_label() == "told"]
    assert len({line.get_marker() for line in told}) == len({line.get_color() for line in told}) == 2  # shape says what colour says


def test_the_vertical_axis_begins_where_the_number_does() -> None:
    judged = CurvePanel("Axes", (Series("Accuracy", (Point(0.5, 3.0), Point(1.0, 3.1))),), 1.0, 5.0)
    lexical = CurvePanel("Words", (Series("METEOR", (Point(0.5, 0.160), Point(1.0, 0.174))),))
    beyond = CurvePanel("Out", (Series("F1", (Point(0.5, 0.02, -0.01, 0.05),)),), 0.0, 1.0)
    with ready():
        sheet = curves.sheet_of(replace(a_curve(), panels=(judged, lexical, beyond)), TWO_COLUMNS_MM)
    spans = [axes.get_ylim() for axes in sheet.figure.axes if axes.axison]
    assert spans[0] == (1.0, 5.0)
    assert spans[1] == (0.0, pytest.approx(0.2))
    assert spans[2] == (-0.01, 1.0)  # an interval that leaves the scale is not cut


@pytest.mark.parametrize("width", [ONE_COLUMN_MM, TWO_COLUMNS_MM])
@pytest.mark.parametrize(
    "series",
    [
        (),
        (Series("F1"),),
        (Series("F1", (Point(NAN, 0.4), Point(0.4, NAN), Point(0.5, 0.0, 0.0, 0.0))),),
        (Series("A number whose name goes on and on, (variant: one, stem: yes)", (Point(0.4, 0.5),), Point(0.4, 0.5), Point(NAN, 0.5)),) * 4,
    ],
    ids=["no series", "no point", "NaN and zero", "four alike"],
)
def test_degenerate_series_are_drawn_readably(series: tuple[Series, ...], width: float) -> None:
    with ready():
        assert_readable(curves.sheet_of(replace(a_curve(), panels=(CurvePanel("A panel", series),) * 3), width))


def test_more_series_than_can_be_told_apart_are_refused() -> None:
    panel = CurvePanel("Axes", (Series("one"),) * 5)
    with ready(), pytest.raises(ValueError, match="the panel 'Axes' of the figure 'figure3' has 5 series; more than 4 cannot be told apart"):
        curves.sheet_of(replace(a_curve(), panels=(panel,)), TWO_COLUMNS_MM)


@pytest.mark.parametrize(
    ("wanted", "middles"),
    [
        ([5.0, 20.0], [5.0, 20.0]),
        ([10.0, 10.0], [9.0, 11.0]),
        ([11.0, 10.0], [11.5, 9.5]),
        ([10.0, 10.0, 13.0], [9.0, 11.0, 13.0]),
        ([10.0, 11.5, 13.0, 40.0], [9.5, 11.5, 13.5, 40.0]),
        ([0.0, 0.5, 42.0], [1.0, 3.0, 41.0]),
        ([42.0, 41.5, 38.5], [41.0, 39.0, 37.0]),
        ([], []),
    ],
)
def test_labels_that_would_touch_are_moved_as_little_as_can_be(wanted: list[float], middles: list[float]) -> None:
    """Each is 2 high, all have 42; by hand."""
    assert spread(wanted, [2.0] * len(wanted), 42.0) == pytest.approx(middles)


# --- from numbers -----------------------------------------------------------------------------------------------------------------------------------

ARMS = {"base": 0.20, "told_020": 0.25, "told_100": 0.70, "main": 0.45}
FACTS = {"told_020": 0.22, "told_100": 1.0, "main": 0.55}
AXES = ("clinical_accuracy", "findings_completeness", "linguistic_quality", "report_structure")
VALUES = [
    *(("lesions", f"macro_{name}", f"Macro {name}") for name in ("precision", "recall", "f1")),
    *(("lesions", f"{lesion}.f1", f"{lesion} F1") for lesion in LESIONS),
    *(
        ("consistency", f"rules.{name}", "")
        for name in ("clinical_accuracy", "findings_completeness", "linguistic_quality", "report_structure", "total")
    ),
    ("meteor", "system", "METEOR 1.5"),
    ("green", "rules.green", "GREEN (rules)"),
]


def some_numbers(seeds: Sequence[int] = (1, 2, 3), **named: Any) -> Numbers:
    """Numbers of four arms and of the pairs with ``base``, the third of them turned round; seed s has 0.01 more for each step from the middle one."""
    rows, differences, by_seed = [], [], {}
    for metric, value_name, title in VALUES:
        kind = {"title": title, "direction": "higher", "is_headline": value_name in ("rules.green", "system"), "patients": 176}
        signature = f"{metric}|judge:rules|v1" if metric != "lesions" else "lesions|labeller:(rules|v1)|v1"
        for arm, value in ARMS.items():
            rows.append(Row(arm, metric, value_name, value, value - 0.05, value + 0.05, 300, 0, signature, **kind))  # type: ignore[arg-type]
            by_seed[arm, metric, value_name] = tuple(value + 0.01 * (place - 1) for place, _ in enumerate(seeds))
        for pair, value in (("main - base", 0.25), ("told_020 - base", 0.05), ("base - told_100", -0.5)):
            differences.append(Row(pair, metric, value_name, value, value - 0.1, value + 0.1, 300, 0, signature, p_value=0.03, **kind))  # type: ignore[arg-type]
            by_seed[pair, metric, value_name] = tuple(value + 0.01 * (place - 1) for place, _ in enumerate(seeds))
    facts = {arm: {"label_f1": f1} for arm, f1 in FACTS.items()}
    given = {"titles": {"base": "Neither", "main": "CLALA-Net"}, "counts": {"cases": 300, "patients": 176}, "note": NOTE, "facts": facts, **named}
    return Numbers(tuple(rows), tuple(differences), by_seed, {arm: tuple(seeds) for arm in ARMS}, **given)


TABLE_3 = Experiment(
    "table3",
    "Table 3",
    "Lesions, without and with LLCL and LCA",
    "lesions",
    (Line("base", {"config": "base"}), Line("main", {"config": "llcl_lca"}, "LCA and LLCL")),
    (("main", "base"),),
    "table3",
)
FIGURE_3 = Experiment(
    "figure3",
    "Figure 3",
    "Reports by the F1 of the labels",
    "curve",
    (
        Line("base"),
        Line("told_020", {"label_f1": "0.20"}),
        Line("told_100", {"label_f1": "1.00"}),
        Line("main", title="Told by its classifier"),
    ),
    (("told_020", "base"), ("told_100", "base")),
    "fig3",
)
QUALITY = replace(TABLE_3, name="table2b", number="Table 2b", layout="quality", reported="table2b")
FACTORS = replace(
    TABLE_3,
    name="table5",
    layout="factors",
    reported="table5",
    lines=(
        Line("base", {"factor": "resolution", "level": "256"}, group="Crops"),
        Line("main", {"factor": "resolution", "level": "384"}, "Full", "Crops"),
        Line("told_100", {"factor": "box_source", "level": "gt"}, group="Boxes"),
        Line("main", {"factor": "box_source", "level": "predicted"}, "Predicted", "Boxes"),
    ),
)


def test_a_table_by_lesion_becomes_its_averages_and_the_differences_of_every_lesion() -> None:
    levels, differences = forests_of(TABLE_3, some_numbers(), read_printed("table3"))
    assert (levels.name, differences.name) == ("table3", "table3_differences")
    assert [panel.title for panel in levels.panels] == ["Macro F1", "Macro precision", "Macro recall"]
    base, main = levels.groups[0].entries
    assert (base.label, main.label) == ("Neither", "LCA and LLCL")
    assert main.estimates[0] == Estimate(0.45, 0.45 - 0.05, 0.45 + 0.05, (0.44, 0.45, 0.46), 0.40, "0.40")  # 0.40: printed in Table 3
    assert [panel.title for panel in differences.panels] == ["LCA and LLCL − Neither"]
    labels = [entry.label for entry in differences.groups[0].entries]
    assert labels == [*(lesion.capitalize() for lesion in LESIONS), "Macro F1", "Macro precision", "Macro recall"]
    nodule = differences.groups[0].entries[labels.index("Nodule")].estimates[0]
    assert nodule is not None
    assert (nodule.value, nodule.seeds) == (0.25, (0.24, 0.25, 0.26))
    assert nodule.quoted_text == "+0.15"  # printed: .18 and .03
    effusion = differences.groups[0].entries[labels.index("Pleural effusion")].estimates[0]
    assert effusion is not None
    assert effusion.quoted_text == "0.00"  # printed: .72 and .72


def test_what_rules_say_is_called_so_and_the_drawings_are_called_drawings() -> None:
    for forest in forests_of(QUALITY, some_numbers(), read_printed("table2b")):
        titles = [panel.title for panel in forest.panels]
        assert titles[:2] == ["Clinical accuracy (rules)", "Findings completeness (rules)"]
        assert "GREEN (rules)" in titles
        assert all("rules" in title for title in titles if title != "METEOR 1.5")
        assert NOTE in forest.notes
        assert any("by embedded rules, which are not the published model" in note for note in forest.notes)
        assert any(note.startswith("†") and "Scientific Reports 16:4645 (2026)" in note and "Table 2b" in note for note in forest.notes)
        assert any("300 cases, 176 patients." in note for note in forest.notes)


def test_a_table_by_factors_keeps_its_factors_apart() -> None:
    levels = forests_of(FACTORS, some_numbers(), read_printed("table5"))[0]
    assert [(group.title, [entry.label for entry in group.entries]) for group in levels.groups] == [
        ("Crops", ["Neither", "Full"]),
        ("Boxes", ["told_100", "Predicted"]),
    ]
    f1 = [panel.title for panel in levels.panels].index("Macro F1")
    estimates = [entry.estimates[f1] for group in levels.groups for entry in group.entries]
    assert [one.quoted_text for one in estimates if one] == ["0.39", "0.40", "0.42", "0.40"]


def test_without_printed_numbers_none_are_drawn_and_none_are_spoken_of() -> None:
    for forest in forests_of(TABLE_3, some_numbers()):
        assert all(math.isnan(one.quoted) for group in forest.groups for entry in group.entries for one in entry.estimates if one)
        assert not any("†" in note for note in forest.notes)


def test_arms_without_numbers_are_named_and_nothing_measured_gives_no_figure() -> None:
    numbers = some_numbers()
    part = replace(numbers, rows=tuple(row for row in numbers.rows if row.model != "base"), differences=())
    (levels,) = forests_of(TABLE_3, part, read_printed("table3"))
    assert any("not measured: Neither" in note for note in levels.notes)
    assert forests_of(TABLE_3, replace(numbers, rows=(), differences=()), read_printed("table3")) == []
    assert forests_of(FIGURE_3, replace(numbers, rows=(), differences=())) == []


def test_arms_that_were_not_measured_alike_share_no_figure() -> None:
    numbers = some_numbers()
    other = tuple(replace(row, signature=row.signature.replace("v1", "v2")) if row.model == "main" else row for row in numbers.rows)
    with pytest.raises(UnlikeSignatures):
        forests_of(TABLE_3, replace(numbers, rows=other))
    with pytest.raises(UnlikeSignatures):
        figure3(FIGURE_3, replace(numbers, rows=other))


def test_figure_3_stands_over_the_f1_that_was_reached_and_the_printed_over_the_printed() -> None:
    found = figure3(FIGURE_3, some_numbers(), read_printed("fig3"))
    lesions, axes, entities, lexical = found.panels
    f1 = lesions.series[2]
    assert f1.title == "Macro F1"
    assert [(point.x, point.value) for point in f1.points] == [(0.22, 0.25), (1.0, 0.70)]
    assert f1.own is not None
    assert (f1.own.x, f1.own.value) == (0.55, 0.45)
    assert f1.without is not None
    assert f1.without.value == 0.20
    assert f1.quoted == ((0.20, 0.23), (1.00, 0.76))  # the paper's text, section 5.2
    assert axes.series[0].title == "Clinical accuracy (rules)"
    assert (axes.lowest, axes.highest) == (1.0, 5.0)
    assert [series.title for series in entities.series] == ["GREEN (rules)"]  # F1-RadGraph was not run, and makes no empty series
    assert [series.title for series in lexical.series] == ["METEOR 1.5"]
    assert found.own_title == "told by its classifier"
    assert not any("What is printed at" in note for note in found.notes)
    lines = (*FIGURE_3.lines, Line("told_043", {"label_f1": "0.43"}))
    with_main = figure3(replace(FIGURE_3, lines=lines), some_numbers(), read_printed("fig3"))
    assert "What is printed at 0.43 is of the model told by its own classifier." in with_main.notes


def test_a_point_whose_labels_are_of_unknown_f1_is_not_placed_but_named() -> None:
    facts = {"told_020": {"label_f1": 0.22}, "told_100": {}}
    found = figure3(FIGURE_3, some_numbers(facts=facts, titles={"told_100": "Told the truth"}))
    assert any(note.startswith("Not drawn") and "Told the truth, Told by its classifier" in note for note in found.notes)
    with ready():
        sheet = curves.sheet_of(found, TWO_COLUMNS_MM)
    assert drawn(sheet, "told")[0][0] == [0.22]
    assert drawn(sheet, "own") == []


def test_every_table_has_its_figures_by_one_call() -> None:
    numbers = some_numbers()
    assert [one.name for one in figures_of(TABLE_3, numbers)] == ["table3", "table3_differences"]
    assert [one.name for one in figures_of(FIGURE_3, numbers)] == ["figure3", "figure3_differences"]
    assert figures_of(FIGURE_3, replace(numbers, rows=(), differences=())) == []


def test_a_pair_that_was_measured_the_other_way_round_serves() -> None:
    (differences,) = forests_of(FIGURE_3, some_numbers())
    f1 = [panel.title for panel in differences.panels].index("Macro F1")
    estimate = differences.groups[0].entries[1].estimates[f1]
    assert estimate == Estimate(0.5, pytest.approx(0.4), pytest.approx(0.6), (0.51, 0.5, 0.49))


@pytest.mark.parametrize(("seeds", "width"), [((7,), ONE_COLUMN_MM), ((1, 2, 3), TWO_COLUMNS_MM)])
def test_figures_of_experiments_are_readable(seeds: tuple[int, ...], width: float) -> None:
    numbers = some_numbers(seeds)
    with ready():
        for experiment in (TABLE_3, QUALITY, FACTORS, FIGURE_3):
            for forest in forests_of(experiment, numbers, read_printed(experiment.reported)):
                assert_readable(forests.sheet_of(forest, width))
        assert_readable(curves.sheet_of(figure3(FIGURE_3, numbers, read_printed("fig3")), width))


# --- from a run -------------------------------------------------------------------------------------------------------------------------------------


def a_run(models: Sequence[str], pairs: Sequence[str] = ()) -> Any:
    rows = [
        Row(name, metric, value, 0.3, 0.2, 0.4, 300, 0, f"{metric}|v1", title=title, direction="higher", is_headline=True)
        for name in (*models, *pairs)
        for metric, value, title in (("lesions", "macro_f1", "Macro F1"), ("meteor", "system", "METEOR 1.5"))
    ]
    counts = {"cases": 300, "patients": 176}
    return material(rows, models, {"broken": "no reports"}, note=NOTE, counts=counts, level=0.95, draws=1000, decimals={}, measured="phantom/test@ab")


def test_a_run_becomes_its_summary_and_its_pairs() -> None:
    summary, differences = forests_of_run(a_run(["constant", "clala"], ["clala - constant"]))
    assert (summary.name, differences.name) == ("summary", "differences")
    assert summary.title == "Summary, phantom/test"
    assert [panel.title for panel in summary.panels] == ["Macro F1", "METEOR 1.5"]
    assert [entry.label for entry in summary.groups[0].entries] == ["constant", "clala"]
    assert [entry.label for entry in differences.groups[0].entries] == ["clala - constant"]
    assert all(panel.is_difference for panel in differences.panels)
    assert NOTE in summary.notes


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [((0.0, 0.0), 0.0, 0.01), ((1.0, 1.0), 0.95, 1.0), ((0.02, 0.98), 0.0, 1.0), ((0.0, 3.0), 0.0, 3.18), ((-1, 1), -1.12, 1.12)],
)
def test_the_scale_of_a_run_s_numbers_ends_where_shares_do(values: tuple[float, float], low: float, high: float) -> None:
    """No share is below 0 or above 1; a padding of 6 % is added only where the number could be."""
    rows = [
        Row(model, "mine", "x", value, value, value, 300, 0, "", direction="higher", title="X", is_headline=True)
        for model, value in zip("ab", values, strict=True)
    ]
    given = material(rows, ["a", "b"], {}, note="", counts={"cases": 300}, level=0.95, draws=1000, decimals={})
    with ready():
        sheet = forests.sheet_of(forests_of_run(given)[0], TWO_COLUMNS_MM)
        assert sheet.figure.axes[0].get_xlim() == pytest.approx((low, high))


def test_of_many_pairs_those_with_the_first_model_are_drawn() -> None:
    models = [f"model{number}" for number in range(9)]
    pairs = [f"{first} - {second}" for place, first in enumerate(models) for second in models[place + 1 :]]
    differences = forests_of_run(a_run(models, pairs))[1]
    assert [entry.label for entry in differences.groups[0].entries] == pairs[:8]
    assert any("Of 36 pairs those with model0" in note for note in differences.notes)


def test_a_run_without_numbers_has_no_figure() -> None:
    assert forests_of_run(a_run([])) == []


# --- files ------------------------------------------------------------------------------------------------------------------------------------------


def test_the_same_numbers_give_the_same_bytes_whatever_the_user_has_set(tmp_path: Path) -> None:
    import matplotlib

    files = [draw([a_forest(), a_curve()], tmp_path / "a")]
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.fonttype": "none", "axes.facecolor": "red", "savefig.dpi": 50}):
        files.append(draw([a_forest(), a_curve()], tmp_path / "b"))
        assert matplotlib.rcParams["font.size"] == 20  # and the user's settings are as they were
    assert [file.name for file in files[0]] == ["levels.png", "levels.svg", "figure3.png", "figure3.svg"]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("width", [ONE_COLUMN_MM, TWO_COLUMNS_MM])
def test_files_are_as_wide_as_a_column_of_print_and_hold_no_date_or_version(tmp_path: Path, width: float) -> None:
    png, svg = draw([a_forest()], tmp_path, width=width)
    head = png.read_bytes()
    assert struct.unpack(">I", head[16:20])[0] == pytest.approx(width / 25.4 * 300, abs=1)
    assert b"pHYs" in head
    assert b"Software" not in head
    assert b"tEXt" not in head
    root = ElementTree.parse(svg).getroot()
    assert float(str(root.get("width")).removesuffix("pt")) == pytest.approx(width / 25.4 * 72, abs=0.01)
    text = svg.read_text()
    assert not re.search(r"\d{4}-\d\d-\d\dT|Matplotlib v", text)
    assert "<text" not in text  # outlines: no font of the reader's is needed


def test_few_colours_are_the_right_colours(tmp_path: Path) -> None:
    with Image.open(draw([a_curve()], tmp_path)[0]) as picture:
        found = {colour for _, colour in picture.convert("RGB").getcolors(10**6) or []}
    for wanted in ("#000000", "#FFFFFF", "#0072B2", "#D55E00"):
        nearest = min(max(abs(int(wanted[place : place + 2], 16) - colour[place // 2]) for place in (1, 3, 5)) for colour in found)
        assert nearest <= 2, wanted


def test_who_cannot_see_the_figure_is_told_its_numbers(tmp_path: Path) -> None:
    svg = draw([a_forest()], tmp_path)[1]
    root = ElementTree.parse(svg).getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.findtext(f"{name}title") == "Table 9. A title"
    assert "Macro F1: Base 0.30 [0.25, 0.35] †0.31; Both 0.50 [0.45, 0.55]; Neither of them —." in str(root.findtext(f"{name}desc"))
    told = ElementTree.parse(draw([replace(a_curve(), title="a < b & c")], tmp_path)[1]).getroot()
    assert told.findtext(f"{name}title") == "a < b & c"
    assert "no labels 0.22 [0.20, 0.24]; printed at 0.2 †0.23" in str(told.findtext(f"{name}desc"))


def test_lines_are_broken_to_fit_and_a_number_keeps_its_per_cent() -> None:
    text = "Intervals of 95 % over patients, " * 4 + "y" * 90
    lines = wrapped(text, 40.0, SMALL_PT)
    assert all(width_mm(line, SMALL_PT) <= 40.0 for line in lines)
    assert "".join(lines).replace("\N{NO-BREAK SPACE}", "").replace(" ", "") == text.replace(" ", "")
    assert not any(line.startswith("%") for line in lines)


def test_nothing_is_imported_before_something_is_drawn() -> None:
    code = "import sys, benchmark.figures, benchmark.audit.plot; print([name for name in sys.modules if name.split('.')[0] == 'matplotlib'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip() == "[]"
    code = "import sys; from benchmark.figures.sheet import ready\nwith ready(): pass\nprint('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip() == "False"
