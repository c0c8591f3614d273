"""An experiment as a table: what stands where, what is marked, and what a reader is told of seeds, pairs and printed numbers."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from benchmark.experiments.definitions import Experiment, Line, read_definitions
from benchmark.experiments.layouts import table_of
from benchmark.experiments.numbers import Numbers
from benchmark.records import Row
from benchmark.signatures import UnlikeSignatures
from benchmark.tables.latex import latex
from benchmark.tables.long_form import long_form
from benchmark.tables.markdown import markdown
from benchmark.tables.table import Block, Number, Table
from benchmark.vocabulary import LESIONS

NAN = math.nan
SEEDS = (42, 43)
SIGNATURES = {
    "lesions": "lesions|unit:case|labeller:(rules|v1)|v1",
    "consistency": "consistency|judge:rules|v1",
    "meteor": "meteor|variant:1.5|v1",
    "rouge_l": "rouge_l|variant:google|v1",
    "green": "green|backend:rules|v1",
    "radgraph": "radgraph|backend:rules|v1",
}
AXES = ("clinical_accuracy", "findings_completeness", "linguistic_quality", "report_structure", "total")
QUALITY = (
    *(("consistency", axis) for axis in AXES),
    ("meteor", "system"),
    ("rouge_l", "f1"),
    ("green", "rules.green"),
    ("radgraph", "rules.partial"),
)
LESION_NUMBERS = tuple(
    ("lesions", f"{of}{name}") for of in (*(f"{lesion}." for lesion in LESIONS), "macro_") for name in ("precision", "recall", "f1")
)


def numbers(
    arms: Mapping[str, Sequence[float]],
    pairs: Mapping[tuple[str, str], float] | None = None,
    *,
    wanted: Sequence[tuple[str, str]] = (*LESION_NUMBERS, *QUALITY),
    titles: Mapping[str, str] | None = None,
    positives: int = 12,
    facts: Mapping[str, Mapping[str, float]] | None = None,
) -> Numbers:
    """Every number of an arm is the mean of the values of its seeds, plus and minus 0.02; ``pairs``: first and second -> p-value."""
    rows, differences, by_seed = [], [], {}
    for arm, values in arms.items():
        mean = sum(values) / len(values)
        for metric, name in wanted:
            by_seed[arm, metric, name] = tuple(values)
            rows.append(Row(arm, metric, name, mean, mean - 0.02, mean + 0.02, 60, 0, SIGNATURES[metric], patients=40))
        rows += [Row(arm, "lesions", f"{lesion}.support", positives, NAN, NAN, 60, 0, SIGNATURES["lesions"], patients=40) for lesion in LESIONS]
    for (first, second), p in (pairs or {}).items():
        each = tuple(one - other for one, other in zip(arms[first], arms[second], strict=True))
        mean = sum(each) / len(each)
        for metric, name in wanted:
            by_seed[f"{first} - {second}", metric, name] = each
            differences.append(Row(f"{first} - {second}", metric, name, mean, mean - 0.03, mean + 0.01, 60, 0, SIGNATURES[metric], p_value=p))
    return Numbers(
        tuple(rows),
        tuple(differences),
        by_seed,
        {arm: SEEDS[: len(values)] for arm, values in arms.items()},
        titles or {},
        {"cases": 60, "patients": 40},
        "Drawn phantoms, not patients.",
        facts=facts or {},
    )


def experiment(layout: str, *lines: Line | str, pairs: Sequence[tuple[str, str]] = (), reported: str = "") -> Experiment:
    made = tuple(line if isinstance(line, Line) else Line(line) for line in lines)
    return Experiment("mine", "Table M", "Mine", layout, made, tuple(pairs), reported)  # type: ignore[arg-type]


def text(table: Table) -> str:
    return markdown(table)


def cells(block: Block, label: str) -> list[str]:
    """What stands in the line of that label, intervals included."""
    line = next(line for line in block.lines if line.label == label)
    return [f"{cell.text} {cell.interval}".strip() if isinstance(cell, Number) else getattr(cell, "text", cell) for cell in line.cells]


ABLATION = {"base": (0.30, 0.34), "llcl": (0.31, 0.37), "main": (0.40, 0.38)}


def test_an_arm_is_the_mean_of_its_seeds_with_its_interval():
    table = table_of(experiment("quality", "base", "main"), numbers(ABLATION))
    assert cells(table.blocks[0], "base")[0] == "0.32 [0.30, 0.34]"
    assert cells(table.blocks[0], "main")[-1] == "0.390 [0.370, 0.410]"


def test_a_difference_shows_interval_p_and_every_seed():
    """By hand: 0.40 - 0.30 and 0.38 - 0.34, mean 0.07; nine tests of p = 0.004, by Holm each 9 times that."""
    table = table_of(experiment("quality", "base", "main", pairs=[("main", "base")]), numbers(ABLATION, {("main", "base"): 0.004}))
    block = table.blocks[1]
    assert cells(block, "main − base") == ["Clinical accuracy", "+0.070 [+0.040, +0.080]", "0.004", "0.036", "+0.100 +0.040"]
    assert len(block.lines) == 9
    assert "corrected over the 9 tests of this table" in text(table)
    assert table.adjusted["main - base", "meteor", "system"] == pytest.approx(0.036)


def test_a_pair_that_was_measured_the_other_way_round_is_turned():
    table = table_of(experiment("quality", "base", "main", pairs=[("base", "main")]), numbers(ABLATION, {("main", "base"): 0.004}))
    assert cells(table.blocks[1], "base − main")[1:] == ["-0.070 [-0.080, -0.040]", "0.004", "0.036", "-0.100 -0.040"]


def test_intervals_are_said_to_be_over_patients_and_seeds():
    said = text(table_of(experiment("quality", "base", "main"), numbers(ABLATION)))
    assert "60 cases, 40 patients. Means over 2 trainings (seeds 42, 43). In brackets: 95 % intervals over patients and seeds" in said
    assert "1,000 bootstrap draws" in said
    assert "patients alone" not in said


def test_with_one_training_intervals_are_said_to_be_over_patients_alone_and_no_seeds_are_listed():
    once = numbers({"base": (0.3,), "main": (0.4,)}, {("main", "base"): 0.01})
    table = table_of(experiment("quality", "base", "main", pairs=[("main", "base")]), once)
    assert "In brackets: 95 % intervals over patients alone" in text(table)
    assert "another start of the training would give is not in them" in text(table)
    assert [column.title for column in table.blocks[1].columns] == ["Pair", "Number", "Difference", "p", "p (Holm)"]
    assert "reports swapped at random by patients" in text(table)


def test_an_arm_that_was_run_once_is_named_beside_those_that_were_trained_several_times():
    mixed = numbers({"constant": (0.1,), "main": (0.4, 0.38)}, titles={"constant": "Constant"})
    said = text(table_of(experiment("quality", "constant", "main", pairs=[("main", "constant")]), mixed))
    assert "One run, hence over patients alone: Constant." in said
    assert "Differences" not in said  # none was measured
    assert "not measured" in said


def test_what_was_simulated_of_patients_alone_is_not_said_of_intervals_over_seeds():
    """Nor is another kind of interval advised: ``reproduce`` has no choice of one."""
    rows = {count: numbers({"base": (0.3, 0.4)[:count]}, positives=4) for count in (1, 2)}
    few = {count: replace(one, rows=tuple(replace(row, patients=12) for row in one.rows)) for count, one in rows.items()}
    said = {count: text(table_of(experiment("lesions", "base"), one)) for count, one in few.items()}
    for one in said.values():
        assert "Only 12 patients" in one
        assert "Lesions with fewer than 10 positive references: 14." in one
        assert "--interval" not in one
    assert "92 in 100 hold the truth for 20 patients" in said[1]
    assert "92 in 100 hold the truth for the F1 of a lesion with 5, 89 for a macro F1 over several such lesions (simulated)." in said[1]
    assert "hold the truth" not in said[2]


def test_best_and_second_go_by_the_printed_digits_and_a_tie_is_nobodys_win():
    """0.3904 and 0.3896 print alike in three digits and in two: among two arms neither is best, above a third both are."""
    tied = {"a": (0.3904,), "b": (0.3896,)}
    two = table_of(experiment("quality", "a", "b"), numbers(tied))
    assert {cell.rank for line in two.blocks[0].lines for cell in line.cells if isinstance(cell, Number)} == {0}
    three = table_of(experiment("quality", "a", "b", "c"), numbers({**tied, "c": (0.2,)}))
    assert [[cell.rank for cell in line.cells if isinstance(cell, Number)][5] for line in three.blocks[0].lines] == [1, 1, 2]


def test_lesions_stand_below_each_other_with_positives_and_their_average_last():
    table = table_of(experiment("lesions", "base", "main"), numbers(ABLATION))
    (block,) = table.blocks
    assert [line.label for line in block.lines] == [*(lesion.capitalize() for lesion in LESIONS), "Average"]
    assert block.lines[-1].is_summary
    assert cells(block, "Mass")[:2] == ["12", "0.32 [0.30, 0.34]"]
    assert [column.title for column in block.columns] == ["Lesion", "Positives", "P", "R", "F1", "P", "R", "F1"]


def test_every_number_stands_in_its_own_cell():
    """Each value says where it belongs: 0.01 for the first lesion's P, 0.02 for its R, and so on."""
    plain = numbers(ABLATION)
    places = {name: place for place, (_, name) in enumerate(LESION_NUMBERS, start=1)}
    rows = tuple(replace(row, value=places[row.value_name] / 100) if row.value_name in places else row for row in plain.rows)
    (block,) = table_of(experiment("lesions", "base", "main"), replace(plain, rows=rows)).blocks
    shown = [[cell.value for cell in line.cells[1:] if isinstance(cell, Number)] for line in block.lines]
    assert shown == [[(3 * place + at) / 100 for at in (1, 2, 3)] * 2 for place in range(15)]


def test_four_arms_are_two_and_two_and_five_are_two_and_three():
    """Nine columns with intervals are what a page holds; two even halves are easier to read than three and one."""
    arms = dict.fromkeys("abcde", (0.3, 0.4))
    four, five = (table_of(experiment("lesions", *"abcde"[:count]), numbers(arms)) for count in (4, 5))
    assert [block.title for block in four.blocks] == ["Measured: a, b", "Measured: c, d"]
    assert sorted(len(block.columns) for block in five.blocks) == [8, 11]


def test_differences_by_lesion_are_of_f1_with_the_three_averages_below():
    pairs = [("llcl", "base"), ("main", "base"), ("main", "llcl")]
    table = table_of(experiment("lesions", *ABLATION, pairs=pairs), numbers(ABLATION, dict.fromkeys(pairs, 0.5)))
    blocks = [block for block in table.blocks if block.title.startswith("Paired differences, of F1")]
    assert [len(block.columns) for block in blocks] == [9, 5]
    assert [line.label for line in blocks[0].lines[-3:]] == ["Average F1", "Average P", "Average R"]
    assert cells(blocks[0], "Hernia")[:4] == ["+0.020 [-0.010, +0.030]", "0.500", "1.000", "+0.010 +0.030"]
    assert "corrected over the 51 tests" in text(table)  # 17 lines of 3 pairs


def test_arms_and_pairs_that_were_not_measured_are_said_to_be_so():
    by_line = table_of(experiment("quality", "base", "gone", pairs=[("gone", "base")]), numbers(ABLATION))
    assert [line.reason for line in by_line.blocks[0].lines] == ["", "not measured"]
    assert by_line.blocks[1].lines[0].reason == "not measured"
    by_lesion = text(table_of(experiment("lesions", "base", "gone", pairs=[("gone", "base")]), numbers(ABLATION)))
    assert "- Not measured: gone." in by_lesion
    assert "- Differences not measured: gone − base." in by_lesion


def test_a_metric_that_was_not_run_is_a_dash_and_is_named():
    few = numbers(ABLATION, wanted=[("meteor", "system")])
    table = table_of(experiment("quality", "base", "main"), few)
    assert cells(table.blocks[0], "base")[:6] == ["—"] * 5 + ["0.320 [0.300, 0.340]"]
    assert (
        "— not run: Clinical accuracy, Findings completeness, Linguistic quality, Report structure, Total (20), ROUGE-L, GREEN, F1-RadGraph."
        in text(table)
    )


def test_nothing_measured_at_all_is_a_table_that_says_so():
    for layout in ("lesions", "quality", "factors", "axes", "curve"):
        said = text(table_of(experiment(layout, Line("base", group="Parts"), pairs=[("main", "base")]), Numbers((), (), {}, {})))
        assert "ot measured" in said


def test_two_arms_of_one_title_go_by_their_names_in_the_notes():
    twins = numbers({"once": (0.1,), "main": (0.4, 0.38)}, titles={"once": "CLALA-Net", "main": "CLALA-Net"})
    assert "over patients alone: once." in text(table_of(experiment("quality", "once", "main"), twins))


def factors() -> Experiment:
    return experiment(
        "factors",
        Line("wide", group="Regions", title="All"),
        Line("main", group="Regions", title="Eleven"),
        Line("low", group="Pixels", title="64"),
        Line("main", group="Pixels", title="128"),
        pairs=[("main", "wide"), ("main", "low")],
    )


def test_a_factor_names_its_levels_and_the_best_is_among_them_alone():
    """The arm that all factors share is best of one factor and second of the other."""
    arms = {"wide": (0.5, 0.5), "main": (0.4, 0.4), "low": (0.2, 0.2)}
    table = table_of(factors(), numbers(arms, {("main", "wide"): 0.2, ("main", "low"): 0.2}))
    lines = table.blocks[0].lines
    assert [(line.label, line.cells[0]) for line in lines] == [("Regions", "All"), ("", "Eleven"), ("Pixels", "64"), ("", "128")]
    assert [line.cells[1].rank for line in lines if isinstance(line.cells[1], Number)] == [1, 2, 2, 1]
    assert [line.label for line in table.blocks[1].lines if line.label] == ["Eleven − All", "128 − 64"]


def test_a_table_by_factors_has_the_columns_of_table_5_and_one_by_axes_those_of_the_judge():
    arms = {"wide": (0.5, 0.5), "main": (0.4, 0.4), "low": (0.2, 0.2)}
    heads = [column.title for column in table_of(factors(), numbers(arms)).blocks[0].columns]
    expected = ["Macro precision", "Macro recall", "Macro F1", "Total (20)", "METEOR", "ROUGE-L", "GREEN (rules)", "F1-RadGraph (rules)"]
    assert heads == ["Factor", "Level", *expected]
    axes = table_of(replace(factors(), layout="axes"), numbers(arms)).blocks[0].columns
    assert [column.title for column in axes][2:] == [
        "Clinical accuracy",
        "Findings completeness",
        "Linguistic quality",
        "Report structure",
        "Total (20)",
    ]


def test_a_curve_shows_the_label_f1_that_was_asked_and_the_one_that_was_reached_and_marks_no_best():
    told = {"told_020": (0.2, 0.3), "told_100": (0.7, 0.8)}
    lines = [Line("base"), Line("told_020", {"label_f1": "0.20"}), Line("told_100", {"label_f1": "1.00"})]
    facts = {"told_020": {"label_f1": 0.2149}, "told_100": {"label_f1": 1.0}}
    table = table_of(experiment("curve", *lines), numbers({"base": (0.3, 0.3), **told}, facts=facts))
    for block in table.blocks:
        assert cells(block, "base")[:2] == ["—", "—"]
        assert cells(block, "told_020")[:2] == ["0.20", "0.21"]
        assert cells(block, "told_100")[:2] == ["1.00", "1.00"]
    assert len(table.blocks) == 2
    assert "**" not in text(table)


@pytest.mark.parametrize(
    ("reported", "layout", "there"),
    [("table2b", "quality", "14.02"), ("table3", "lesions", "0.02"), ("table5", "factors", "14.73"), ("fig3", "curve", "0.76")],
)
def test_printed_numbers_are_quoted_in_a_block_of_their_own_that_says_they_do_not_compare(reported, layout, there):
    made = experiment(layout, Line("base", group="Parts"), Line("main", group="Parts"), reported=reported)
    table = table_of(made, numbers(ABLATION))
    (quoted,) = [block for block in table.blocks if block.is_quoted]
    assert "not comparable" in quoted.title
    assert quoted.title.startswith("†")
    assert all(line.label.endswith("†") for line in quoted.lines)
    assert not any(isinstance(cell, Number) for line in quoted.lines for cell in line.cells)
    assert f"*{there}*" in text(table)
    assert {row.source for row in table.numbers} == {"measured", "quoted"}
    alone = table_of(made, numbers(ABLATION), beside=False)
    assert not any(block.is_quoted for block in alone.blocks)
    assert there not in text(alone)
    assert {row.source for row in alone.numbers} == {"measured"}


def test_every_printed_number_of_a_table_is_in_the_csv_as_quoted():
    """Table 3: 15 rows, 4 variants, 3 numbers."""
    table = table_of(experiment("lesions", "base", reported="table3"), numbers(ABLATION))
    quoted = [row for row in table.numbers if row.source == "quoted"]
    assert len(quoted) == 180
    assert [row.value for row in quoted if row.value_name == "mass.f1"] == [0.23, 0.02, 0.24, 0.24]


def test_arms_that_were_measured_unlike_are_refused():
    mixed = numbers(ABLATION)
    rows = tuple(replace(row, signature="meteor|variant:nltk|v1") if (row.model, row.metric) == ("main", "meteor") else row for row in mixed.rows)
    with pytest.raises(UnlikeSignatures, match="METEOR"):
        table_of(experiment("quality", "base", "main"), replace(mixed, rows=rows))


def test_same_numbers_same_bytes():
    pairs = [("main", "base")]
    made = experiment("lesions", *ABLATION, pairs=pairs, reported="table3")
    first, second = (table_of(made, numbers(ABLATION, {("main", "base"): 0.04})) for _ in range(2))
    for form in (markdown, latex, lambda table: long_form(table.numbers, table.adjusted, table.false_discovery)):
        assert form(first) == form(second)


def test_every_experiment_of_the_paper_can_be_laid_out_and_no_block_is_ragged():
    definitions = read_definitions("demo")
    arms = {name: (0.3 + place / 100, 0.3) for place, name in enumerate(definitions.arms)}
    for made in definitions.experiments.values():
        measured = numbers(arms, dict.fromkeys(made.pairs, 0.2), titles={name: arm.title for name, arm in definitions.arms.items()})
        table = table_of(made, measured)
        assert latex(table).startswith("%")
        assert table.heading.startswith(made.number)
        assert any(block.is_quoted for block in table.blocks) == bool(made.reported)
        for block in table.blocks:
            assert {len(line.cells) for line in block.lines} == {len(block.columns) - 1}, (made.name, block.title)
        assert not re.search(r"\b(told|llcl|low)_", text(table).split("\n- ")[0])  # titles, not the names of files


def test_above_printed_numbers_stands_only_what_is_known_to_keep_them_apart():
    """Rules label and judge here: on phantoms the data differ as well, on the data of the paper they do not; without a name nobody knows."""
    one = experiment("quality", "base", "main", reported="table2b")
    by_rules = numbers(ABLATION)
    titles = [table_of(one, replace(by_rules, measured_on=name)).blocks[-1].title for name in ("phantom", "chest_imagenome", "")]
    assert [title.partition("ImaGenome; ")[2].partition(":")[0] for title in titles] == [
        "other data, other judge",
        "other judge",
        "data here not named, other judge",
    ]
    lesions = experiment("lesions", "base", "main", reported="table3")
    assert (
        "(MIMIC-CXR / Chest ImaGenome; other data, other labeller: not"
        in table_of(lesions, replace(by_rules, measured_on="phantom")).blocks[-1].title
    )


def test_the_csv_of_a_table_keeps_the_digits_of_quoted_numbers():
    """Table 2b, as in the file: linguistic quality 4.30 and GREEN 0.260 are not 4.3 and 0.26."""
    table = table_of(experiment("quality", "base", reported="table2b"), numbers(ABLATION))
    lines = csv.DictReader(io.StringIO(long_form(table.numbers)))
    quoted = {(line["model"], line["value_name"]): line["value"] for line in lines if line["source"] == "quoted"}
    assert quoted["Neither", "linguistic_quality"] == "4.30"
    assert quoted["LLCL only", "partial"] == "0.260"
    assert len(quoted) == 4 * 9
