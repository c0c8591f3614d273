"""Printed tables are doubted only where no rounding explains them, and then with file, line and column."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmark.consistency.arithmetic import check_averages, check_f1, check_totals
from benchmark.consistency.check import TableCheck, check_files, check_tables
from benchmark.consistency.claims import UnreadableClaims
from benchmark.consistency.printed import Cell, PrintedTable, Row, UnreadableTable, read_table
from benchmark.records import UserError

AXES = ("clinical_accuracy", "findings_completeness", "linguistic_quality", "report_structure")
WAYS = ("half up", "half to even", "cut off", "cut off, in floats")


def printed(value: Fraction, digits: int, way: str) -> str:
    """The number as an author's program prints it."""
    if way == "cut off":
        return f"{Decimal(math.floor(value * 10**digits)).scaleb(-digits):f}"
    if way == "cut off, in floats":
        return f"{Decimal(math.floor(float(value) * 10**digits)).scaleb(-digits):f}"
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return f"{exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP if way == 'half up' else ROUND_HALF_EVEN):f}"


def f1(p: Fraction, r: Fraction) -> Fraction:
    return 2 * p * r / (p + r) if p + r else Fraction(0)


def table_of(*rows: dict[str, str], keys: tuple[str, ...] = ("model",)) -> PrintedTable:
    """A table of printed numbers, without a file."""
    numbers = tuple(dict.fromkeys(name for row in rows for name in row if name not in keys))
    made = [
        Row(
            line, {key: row.get(key, str(line)) for key in keys}, {name: Cell(row[name], Decimal(row[name]), line) for name in numbers if name in row}
        )
        for line, row in enumerate(rows, 2)
    ]
    return PrintedTable("t", Path("t.csv"), keys, numbers, tuple(made))


def lesion_table(p: str, r: str, f: str) -> PrintedTable:
    return table_of({"precision": p, "recall": r, "f1": f})


shares = st.fractions(0, 1, max_denominator=100_000)


@settings(deadline=None, max_examples=250)
@given(shares, shares, st.integers(1, 4), st.sampled_from(WAYS))
@example(Fraction(1, 2), Fraction(1, 2), 2, "cut off")
@example(Fraction(0), Fraction(0), 2, "half up")
@example(Fraction(1), Fraction(1, 200), 2, "half up")
@example(Fraction(29, 100), Fraction(29, 100), 2, "cut off, in floats")
def test_an_f1_that_was_computed_and_printed_is_never_called_impossible(p: Fraction, r: Fraction, digits: int, way: str) -> None:
    table = lesion_table(*(printed(value, digits, way) for value in (p, r, f1(p, r))))
    assert not check_f1([table]).findings


@settings(deadline=None, max_examples=250)
@given(shares, shares, st.integers(2, 4), st.sampled_from(WAYS), st.integers(4, 200), st.booleans())
def test_an_f1_that_is_off_by_more_than_print_explains_is_always_found(p: Fraction, r: Fraction, digits: int, way: str, steps: int, up: bool) -> None:
    """F1 moves by at most as much as P and R together, so with its own print 3.5 units are the most that either way of printing explains."""
    true = printed(f1(p, r), digits, way)
    planted = Decimal(true) + (steps if up else -steps) * Decimal(1).scaleb(-digits)
    table = lesion_table(printed(p, digits, way), printed(r, digits, way), f"{planted:f}")
    assert len(check_f1([table]).findings) == 1


@settings(deadline=None, max_examples=120)
@given(st.lists(st.fractions(1, 5, max_denominator=10_000), min_size=4, max_size=4), st.sampled_from(WAYS), st.sampled_from([1, 4]))
def test_a_total_that_was_computed_and_printed_is_never_doubted(axes: list[Fraction], way: str, parts: int) -> None:
    """Whether it is a sum or a mean."""
    row = {name: printed(axis, 2, way) for name, axis in zip(AXES, axes, strict=True)}
    assert not check_totals([table_of({**row, "total": printed(sum(axes, Fraction(0)) / parts, 2, way)})]).findings


@settings(deadline=None, max_examples=120)
@given(st.lists(shares, min_size=2, max_size=3), st.integers(1, 4), st.sampled_from(WAYS))
def test_an_average_of_few_rows_that_was_computed_and_printed_is_never_doubted(rows: list[Fraction], digits: int, way: str) -> None:
    mean = sum(rows, Fraction(0)) / len(rows)
    lines = [{"lesion": str(place), "recall": printed(row, digits, way)} for place, row in enumerate(rows)]
    table = table_of(*lines, {"lesion": "Average", "recall": printed(mean, digits, way)}, keys=("lesion",))
    assert check_averages([table]).looked_at == 1
    assert not check_averages([table]).findings


def test_an_average_of_many_rows_is_doubted_as_rarely_as_is_said_and_two_units_off_always() -> None:
    """Three sigma: one in 370; the print of the average itself forgives most of those."""
    generator = random.Random(5)
    doubted = off = 0
    for draw in range(400):
        rows = [Fraction(generator.randrange(100_000), 100_000) for _ in range(14)]
        way, mean = WAYS[draw % 3], sum(rows, Fraction(0)) / 14
        lines = [{"lesion": str(place), "recall": printed(row, 2, way)} for place, row in enumerate(rows)]
        average = printed(mean, 2, way)
        doubted += len(check_averages([table_of(*lines, {"lesion": "Average", "recall": average}, keys=("lesion",))]).findings)
        planted = f"{Decimal(average) + Decimal('0.02'):f}"
        off += len(check_averages([table_of(*lines, {"lesion": "Average", "recall": planted}, keys=("lesion",))]).findings)
    assert doubted <= 400 / 370
    assert off == 400


@pytest.mark.parametrize(
    ("precision", "recall", "impossible", "possible"),
    [
        ("0.50", "0.50", ["0.48", "0.52"], ["0.49", "0.50", "0.51"]),  # 0.495 to 0.505 rounded, 0.50 to 0.51 cut off
        ("0.66", "0.15", ["0.23", "0.26"], ["0.24", "0.25"]),
        ("0.44", "0.01", ["0.00", "0.04"], ["0.01", "0.02", "0.03"]),  # 0.0099 to 0.0290 rounded, 0.0196 to 0.0383 cut off
        ("0.00", "0.00", ["0.02"], ["0.00", "0.01"]),
        ("62.0", "67.0", ["64.2", "64.7"], ["64.4", "64.5"]),  # 64.4031 per hundred
    ],
)
def test_what_p_and_r_can_make_agrees_with_a_calculation_by_hand(precision: str, recall: str, impossible: list[str], possible: list[str]) -> None:
    assert all(check_f1([lesion_table(precision, recall, value)]).findings for value in impossible)
    assert not any(check_f1([lesion_table(precision, recall, value)]).findings for value in possible)


# --- one table in a file after the other


def check(folder: Path, text: str, claims: str = "", name: str = "mine.csv", keys: tuple[str, ...] = ()) -> TableCheck:
    (folder / name).write_text(text)
    if claims:
        (folder / "claims.toml").write_text(claims)
    return check_files([folder / name], keys=keys)


def found(checked: TableCheck) -> list[tuple[str, int, str]]:
    return [(finding.check, finding.line, finding.number) for finding in checked.findings]


def test_a_clean_table_has_no_finding(tmp_path: Path) -> None:
    assert found(check(tmp_path, "model,precision,recall,f1,speed\nours,0.50,0.50,0.50,12\ntheirs,0.40,0.60,0.48,7\n")) == []


def test_unknown_columns_are_just_numbers(tmp_path: Path) -> None:
    checked = check(tmp_path, "model,parameters,bleu\nours,125,31.4\ntheirs,-3,99.9\n")
    assert checked.tables[0].numbers == ("parameters", "bleu")
    assert found(checked) == []


def test_a_total_off_its_axes_is_found_with_what_it_could_be(tmp_path: Path) -> None:
    head = f"model,{','.join(AXES)},total\n"
    # Rounded, the axes add up to 12.98 to 13.02 and print so; cut off, to 13.00 to 13.04.
    checked = check(tmp_path, head + "a,3.00,3.00,4.00,3.00,13.00\nb,3.00,3.00,4.00,3.00,13.05\n")
    (finding,) = checked.findings
    assert (finding.check, finding.line, finding.printed, finding.expected) == ("totals", 3, "13.05", "12.98 to 13.04")


def test_totals_that_are_means_are_held_against_the_mean(tmp_path: Path) -> None:
    head = f"model,{','.join(AXES)},total\n"
    checked = check(tmp_path, head + "a,3.00,3.00,4.00,3.00,3.25\nb,2.00,2.00,2.00,2.00,2.00\nc,2.00,2.00,2.00,2.00,2.50\n")
    assert found(checked) == [("totals", 4, "total")]


def test_an_average_row_is_the_mean_of_its_own_model_and_micro_averages_are_none_of_its_rows(tmp_path: Path) -> None:
    rows = "".join(
        f"{lesion},{model},{value}\n" for model, values in (("a", (0.2, 0.4)), ("b", (0.6, 0.8))) for lesion, value in zip("xy", values, strict=True)
    )
    averages = "Average,a,0.3\nAverage,b,0.3\nMicro average,a,0.9\nMicro average,b,0.9\n"
    checked = check(tmp_path, "lesion,model,recall\n" + rows + averages)
    assert found(checked) == [("averages", 7, "recall")]
    assert "mean of 0.70" in checked.findings[0].says


def test_an_average_f1_that_is_the_f1_of_averages_is_no_fault_but_told(tmp_path: Path) -> None:
    """P 0.90 and 0.10, R 0.10 and 0.90: both F1s are 0.18, and the F1 of the averages is 0.50."""
    rows = "x,0.90,0.10,0.18\ny,0.10,0.90,0.18\n"
    harmonic = check(tmp_path, f"lesion,precision,recall,f1\n{rows}Macro avg.,0.50,0.50,0.50\n")
    mean = check(tmp_path, f"lesion,precision,recall,f1\n{rows}Macro avg.,0.50,0.50,0.18\n")
    neither = check(tmp_path, f"lesion,precision,recall,f1\n{rows}Macro avg.,0.50,0.50,0.30\n")
    assert [finding.check for finding in (*harmonic.findings, *mean.findings)] == ["kind_of_average"] * 2
    assert "average F1 is the F1 of average P and R" in harmonic.findings[0].says
    assert "average F1 is the mean of the rows' F1" in mean.findings[0].says
    assert found(neither) == [("averages", 4, "f1")]
    assert not harmonic.faults


@pytest.mark.parametrize("label", ["Std", "Weighted avg", "Median", "Overall", "Macro-average", "SD of seeds"])
def test_the_f1_of_a_line_that_sums_others_up_need_not_be_that_of_its_p_and_r(tmp_path: Path, label: str) -> None:
    """The mean of two F1s of 0.18 is 0.18, and the F1 of mean P and R 0.50; the deviation of an F1 is not the F1 of deviations either."""
    rows = "lesion,precision,recall,f1\nx,0.90,0.10,0.18\ny,0.10,0.90,0.18\n"
    assert not [one for one in check(tmp_path, f"{rows}{label},0.50,0.50,0.18\n").findings if one.check == "f1"]
    (finding,) = [one for one in check(tmp_path, f"{rows}Micro average,0.50,0.50,0.18\n").findings if one.check == "f1"]
    assert finding.row == "Micro average", "counts that are pooled have the F1 of their P and R"


def test_all_29_regions_are_no_sum_of_the_others(tmp_path: Path) -> None:
    (finding,) = check(tmp_path, "regions,precision,recall,f1\nall 29,0.90,0.10,0.50\nAll,0.90,0.10,0.50\n").findings
    assert finding.row == "all 29"


def test_a_table_without_rows_to_average_is_told_that_its_f1_may_be_a_mean(tmp_path: Path) -> None:
    (finding,) = check(tmp_path, "model,precision,recall,f1\nours,0.90,0.10,0.30\n").findings
    assert finding.says.endswith("if it is a mean of F1s, call the column macro_f1")
    assert not check(tmp_path, "model,precision,recall,macro_f1\nours,0.90,0.10,0.30\n").findings


@pytest.mark.parametrize(("step", "side"), [("0.01", "upwards"), ("-0.01", "downwards")])
def test_totals_that_all_lie_on_one_side_are_told_from_eight_on(tmp_path: Path, step: str, side: str) -> None:
    head = f"model,{','.join(AXES)},total\n"
    rows = [f"m{n},2.{n}0,3.00,4.00,3.00,{Decimal(12) + Decimal(n) / 10 + Decimal(step)}\n" for n in range(8)]
    assert not check(tmp_path, head + "".join(rows[:7])).findings
    (finding,) = check(tmp_path, head + "".join(rows)).findings
    assert (finding.check, finding.is_note, side in finding.says) == ("sides_of_totals", True, True)
    either = [*rows[:7], f"m7,2.70,3.00,4.00,3.00,{Decimal('12.7') - Decimal(step)}\n"]
    assert not check(tmp_path, head + "".join(either)).findings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model,recall\na,1.20\nb,0.40\nc,0.50\n", [("range", 2, "recall")]),
        ("model,recall\na,120.0\nb,40.0\nc,50.0\n", [("range", 2, "recall")]),  # per hundred
        ("model,recall\na,-0.10\nb,0.40\n", [("range", 2, "recall")]),
        ("model,green,clinical_accuracy\na,0.40,5.10\n", [("range", 2, "clinical_accuracy")]),
        ("model,total\na,20.01\n", [("range", 2, "total")]),
        ("model,recall\na,0.4\nb,0.41\nc,0.52\n", [("decimals", 2, "recall")]),
        ("model,loss\na,0.123456789\nb,0.1\nc,0.52\n", []),  # full precision
        ("model,recall,f1\na,0.40,\nb,0.50,0.30\nc,0.50,\n", [("missing", 2, "f1")]),
        ("model,recall,f1\na,0.40,-\nb,n/a,0.30\nc,—,0.20\n", []),  # said to be missing
        ("model,recall\na,0.40\nb,0.50\na,0.40\n", [("duplicates", 4, "")]),
        ("lesion,model,recall\nx,a,0.20\ny,a,0.40\nx,b,0.20\ny,b,0.40\nz,b,0.30\nAverage,a,0.30\nAverage,b,0.30\n", [("missing", 7, "")]),
    ],
)
def test_what_can_be_seen_without_arithmetic_is_found_where_it_stands(tmp_path: Path, text: str, expected: list[tuple[str, int, str]]) -> None:
    assert found(check(tmp_path, text)) == expected


def test_a_line_that_stands_twice_says_whether_with_other_numbers(tmp_path: Path) -> None:
    wide = check(tmp_path, "model,recall\na,0.40\na,0.50\n")
    long = check(tmp_path, "model,metric,value\na,recall,0.40\na,f1,0.30\na,recall,0.40\n")
    assert "line 2 already, with other numbers" in wide.findings[0].says
    assert "with the same numbers" in long.findings[0].says
    assert found(long) == [("duplicates", 4, "")]


def test_the_long_form_is_read_as_one_line_of_many_numbers(tmp_path: Path) -> None:
    text = "model,metric,value,remark\na,precision,0.50,\na,recall,0.50,\na,f1,0.40,\nb,precision,0.50,\nb,recall,0.50,\nb,f1,0.40,derived by us\n"
    assert found(check(tmp_path, text)) == [("f1", 4, "f1")], "what was derived takes no part in arithmetic"


def test_keys_that_look_like_numbers_are_named_on_the_command_line_or_in_sources(tmp_path: Path) -> None:
    text = "fold,year,recall\n1,2024,0.40\n1,2025,0.50\n2,2024,0.40\n"
    assert check(tmp_path, text).tables[0].keys == ("fold",)
    assert check(tmp_path, text, keys=("fold", "year")).tables[0].keys == ("fold", "year")
    (tmp_path / "sources.json").write_text(json.dumps({"files": {"mine.csv": {"keys": ["fold", "year"]}}}))
    assert found(check(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ('{"files": [}', r"sources\.json is no JSON .*; mend that place"),
        ('{"keys": ["fold"]}', r"is to have, under files, an object for each CSV file"),
        ('{"files": {"mine.csv": ["fold"]}}', r"is to say of mine\.csv what is known of it as an object"),
        ('{"files": {"mine.csv": {"keys": "fold"}}}', r"keys of mine\.csv is 'fold', and a list of its columns is needed"),
        ('{"files": {"mine.csv": {"keys": ["fould"]}}}', r"no column 'fould' to name a row; its columns are fold, recall"),
    ],
)
def test_sources_that_cannot_be_meant_are_refused_and_not_passed_over(tmp_path: Path, sources: str, said: str) -> None:
    (tmp_path / "sources.json").write_text(sources)
    with pytest.raises(UnreadableTable, match=said):
        check(tmp_path, "fold,recall\n1,0.40\n")


def test_semicolons_byte_order_marks_and_marks_of_print_are_read(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("\ufeffmodel;precision;recall;f1\nours;**50.0%**;\\textbf{50.0};\\underline{40.0}\n", encoding="utf-8")
    (finding,) = check_files([tmp_path / "mine.csv"]).findings
    assert (finding.check, finding.printed) == ("f1", "40.0")


def test_known_numbers_are_known_in_the_spelling_of_print(tmp_path: Path) -> None:
    checked = check(tmp_path, "Model,Precision,Recall,F1,ROUGE-L,Clinical accuracy,Speed\nours,0.50,0.50,0.40,0.20,3.00,7\n")
    assert checked.tables[0].numbers == ("precision", "recall", "f1", "rouge_l", "clinical_accuracy", "Speed")
    assert found(checked) == [("f1", 2, "f1")]


def test_bold_is_the_best_of_those_that_are_compared_and_all_of_the_best(tmp_path: Path) -> None:
    text = "lesion,model,f1\nx,a,**0.64**\nx,b,0.64\nx,c,0.60\ny,a,0.30\ny,b,**0.20**\nz,a,0.10\nz,b,**0.50**\n"
    checked = check(tmp_path, text)
    assert found(checked) == [("bold", 3, "f1"), ("bold", 5, "f1"), ("bold", 6, "f1")]
    assert "as good as any, but not bold" in checked.findings[0].says
    assert "bold, but the best is 0.30" in checked.findings[2].says


def test_bold_may_be_said_in_the_claims_and_the_best_may_be_the_lowest(tmp_path: Path) -> None:
    claims = 'lower_is_better = ["loss"]\n[[bold]]\ntable = "mine"\nnumbers = ["loss", "f1"]\nlines = [{model = "a"}]\n'
    assert found(check(tmp_path, "model,loss,f1\na,0.10,0.50\nb,0.20,0.60\n", claims)) == [("bold", 2, "f1"), ("bold", 3, "f1")]


# --- claims

TWO = "lesion,model,f1,recall\nx,ours,0.50,0.60\nx,a,0.40,0.60\nx,b,0.50,0.50\ny,ours,0.30,0.70\ny,a,0.20,0.60\ny,b,0.10,0.90\n"


def claim(relation: str = "higher", second: str = '"all others"', rows: str = '"each lesion"', numbers: str = '["f1"]', more: str = "") -> str:
    return (
        f'[[claim]]\nid = "c"\ntable = "mine"\nwhere = "Sect. 1"\nsays = "Ours is better."\nfirst = {{model = "ours"}}\nsecond = {second}\n'
        f'rows = {rows}\nnumbers = {numbers}\nrelation = "{relation}"\n{more}\n'
    )


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (claim(second='{model = "a"}'), "holds"),
        (claim(), "tie"),  # x: 0.50 and 0.50
        (claim(more='quantifier = "most"'), "tie"),  # one of two is not more than half
        (claim(rows='["y"]'), "holds"),
        (claim("not_lower"), "holds"),
        (claim("not_lower", numbers='["f1", "recall"]'), "fails"),  # y: recall 0.70 and 0.90
        (claim("lower", second='{model = "b"}', rows='["y"]', numbers='["recall"]'), "holds"),
        (claim("lower", rows='["y"]', numbers='["recall"]'), "fails"),  # a has 0.60
        (claim("lower", second='{model = "a"}', rows='["x"]', numbers='["recall"]'), "tie"),
        (claim("comparable", rows='["x"]'), "holds"),  # 0.50, median 0.45
        (claim("comparable", rows='["y"]', numbers='["recall"]'), "fails"),  # 0.70, median 0.75
        (claim(second='[{model = "a"}, {model = "b"}]', rows='["y"]'), "holds"),
        (claim().replace('table = "mine"', 'table = "other"'), "not given"),
    ],
)
def test_a_claim_is_judged_by_what_is_printed(tmp_path: Path, said: str, verdict: str) -> None:
    checked = check(tmp_path, TWO, said)
    assert [told.verdict for told in checked.told] == [verdict]
    assert [finding.check for finding in checked.faults] == (["claims"] if verdict in ("tie", "fails") else [])


def test_a_claim_on_most_rows_that_holds_leaves_its_exceptions_as_a_note(tmp_path: Path) -> None:
    checked = check(tmp_path, TWO + "z,ours,0.90,0.90\nz,a,0.10,0.10\nz,b,0.10,0.10\n", claim(more='quantifier = "most"'))
    (finding,) = checked.findings
    assert (checked.told[0].verdict, finding.is_note, finding.row) == ("holds", True, "x")
    assert "x f1 0.50 against 0.50 (b)" in finding.says


def test_a_claim_of_lower_names_the_lowest_of_the_others(tmp_path: Path) -> None:
    """A 0.50, B 0.30, C 0.70: that A is lowest is contradicted by B, whoever is highest."""
    said = claim("lower", rows="[]").replace('"ours"', '"A"')
    (finding,) = check(tmp_path, "model,f1\nA,0.50\nB,0.30\nC,0.70\n", said).findings
    assert finding.says.endswith("Not in 1: f1 0.50 against 0.30 (B), rank 2 of 3 from below.")
    tied = check(tmp_path, "lesion,model,f1\nx,A,0.30\nx,B,0.30\nx,C,0.70\ny,A,0.10\ny,B,0.30\ny,C,0.20\n", said).findings[0]
    assert "A tie, no win, in 1: x f1 0.30 against 0.30 (B)." in tied.says
    assert tied.says.endswith("Where it holds, it is by -0.10.")


def test_averages_are_no_lesion(tmp_path: Path) -> None:
    text = "lesion,model,f1\nx,ours,0.50\nx,a,0.40\nAverage,ours,0.50\nAverage,a,0.90\n"
    (told,) = check(tmp_path, text, claim()).told
    assert [one.row for one in told.comparisons] == ["x"]


def test_a_number_that_is_not_printed_on_one_side_is_counted_and_not_judged(tmp_path: Path) -> None:
    (told,) = check(tmp_path, "lesion,model,f1\nx,ours,0.50\nx,a,-\ny,ours,0.30\ny,a,0.20\n", claim()).told
    assert (told.verdict, told.missing) == ("holds", ("x f1",))


def test_one_measurement_must_print_the_same_in_two_tables(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("lesion,model,f1\nx,ours,0.50\ny,ours,0.30\n")
    (tmp_path / "two.csv").write_text("lesion,variant,f1\ny,full,0.31\nx,full,0.50\nx,none,0.10\n")
    lines = '[{table = "one", model = "ours"}, {table = "two", variant = "full"}]'
    (tmp_path / "claims.toml").write_text(f'[[same]]\nid = "s"\nsays = "our model"\nlines = {lines}\n')
    (finding,) = check_files([tmp_path]).findings
    assert (finding.check, finding.table, finding.line, finding.printed, finding.expected) == ("same", "two", 2, "0.31", "0.30")
    assert "0.30 in one, line 3" in finding.says


def test_a_number_that_is_not_made_as_the_text_says_is_one_finding(tmp_path: Path) -> None:
    said = '[[definition]]\nid = "d"\nwhere = "Sect. 2"\nsays = "The score is the mean."\nnumber = "score"\nparts = ["a", "b"]\nmade_as = "mean"\n'
    assert found(check(tmp_path, "model,a,b,score\nx,1.0,2.0,1.5\ny,2.0,2.0,2.0\n", said)) == []
    (finding,) = check(tmp_path, "model,a,b,score\nx,1.0,2.0,3.0\ny,2.0,2.0,4.0\n", said).findings
    assert "not the mean in 2 of 2 lines, and is the sum in 2" in finding.says


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("[[claim]\n", r"claims\.toml: not TOML .*line 1.*; mend that place"),
        ("[[claims]]\n", r"has 'claims'; known are \[\[claim\]\]"),
        ("[[claim]]\n", r"\[\[claim\]\] number 1: has no first; add it"),
        (claim("better"), r"\[\[claim\]\] c: relation is 'better'; known: higher, not_lower, lower, comparable"),
        (claim(more='quantifer = "most"'), r"has 'quantifer'; known: first, id, "),
        (claim(rows="3"), r"rows is 3, and a list of texts is needed"),
        (claim(second='"base"'), r"second is 'base', and columns with their cells are needed"),
        (claim(second='{model = "c"}'), r"mine\.csv has no line with model = 'c'; there is model: ours, a, b"),
        (claim(second='{modell = "a"}'), r"has no key column 'modell'; its key columns are lesion, model"),
        (claim(rows='["w"]'), r"there is no row 'w'; there is x, y"),
        (claim(numbers='["f2"]'), r"has no number 'f2'; its numbers are f1, recall"),
        (claim() + claim(), r"the id 'c' stands more than once"),
        ('[[same]]\nid = "s"\nsays = "x"\nlines = [{model = "a"}]\n', r"names no table; add table"),
    ],
)
def test_claims_that_cannot_be_meant_are_refused_with_the_entry(tmp_path: Path, said: str, message: str) -> None:
    with pytest.raises(UnreadableClaims, match=message):
        check(tmp_path, TWO, said)


# --- files that cannot be read, and the command


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,f1\na,0.4x\nb,0.50\n", r"mine\.csv, line 2, column f1: '0\.4x' is no number; write one number"),
        ('model,f1\na,"0,41"\nb,0.50\n', r"line 2, column f1: '0,41' is no number; write a point before the decimals"),
        ("model,f1\na,0.40 ± 0.02\n", r"column f1: '0\.40 ± 0\.02' is no number; write one number, or - where there is none"),
        ("model,f1\na,1e999999999\n", r"column f1: '1e999999999' is no number"),  # which as a fraction would fill the memory
        ("model,f1\na,0.40,0.50\n", r"line 2: 3 cells, and the header has 2; mend that line"),
        ("model,f1,f1\na,0.40,0.50\n", r"line 1: 2 columns are called 'f1'; give each its own name"),
        ("model,f1\n", r"only a header in it; a header and rows are needed"),
        ("", r"nothing in it; a header and rows are needed"),
        ("model,note\na,good\n", r"no column of numbers among model, note; after the columns that say what a row is, numbers are needed"),
        ('model,f1\n"a,0.40\n', r"line 2: not CSV .*; mend that line"),
    ],
)
def test_a_file_that_holds_no_table_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(UnreadableTable, match=message):
        read_table(tmp_path / "mine.csv")


def test_what_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("model,f1\nö,0.40\n".encode("latin-1"))
    with pytest.raises(UnreadableTable, match=r"latin\.csv: not UTF-8 .*; save it as UTF-8"):
        read_table(tmp_path / "latin.csv")
    with pytest.raises(UnreadableTable, match=r"gone\.csv: cannot be read .*; name a CSV file or a folder of them"):
        read_table(tmp_path / "gone.csv")
    with pytest.raises(UserError, match=r"no table in it; name CSV files or a folder of them"):
        check_files([tmp_path / "latin.csv"][:0] or [_empty(tmp_path)])


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.csv").write_text("model,f1\nx,0.40\n")
    with pytest.raises(UserError, match=r"two files are called t, and claims go by that name"):
        check_files([tmp_path / "a", tmp_path / "b"])


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmark", "check-tables", *words], capture_output=True, text=True, timeout=60)


def test_the_command_exits_with_0_1_or_2(tmp_path: Path) -> None:
    (tmp_path / "clean.csv").write_text("model,precision,recall,f1\nours,0.50,0.50,0.50\n")
    (tmp_path / "wrong.csv").write_text("model,precision,recall,f1\nours,0.50,0.50,0.40\n")
    (tmp_path / "broken.csv").write_text("model,precision,recall,f1\nours,0.50,0.50,zero\n")
    clean, wrong = command(str(tmp_path / "clean.csv")), command(str(tmp_path / "wrong.csv"), "--json", str(tmp_path / "found.json"))
    broken = command(str(tmp_path / "broken.csv"))
    assert (clean.returncode, wrong.returncode, broken.returncode) == (0, 1, 2), clean.stderr + wrong.stderr + broken.stderr
    assert "no inconsistency" in clean.stdout
    assert "0.49 to 0.51" in wrong.stdout
    assert "1 inconsistency" in wrong.stdout
    assert json.loads((tmp_path / "found.json").read_text())["findings"][0]["line"] == 2
    assert broken.stderr.count("\n") == 1
    assert "broken.csv, line 2, column f1: 'zero' is no number" in broken.stderr


def test_of_no_table_nothing_is_found_and_nothing_was_looked_at() -> None:
    checked = check_tables([])
    assert (checked.findings, checked.told, set(checked.counts.values())) == ((), (), {0})
