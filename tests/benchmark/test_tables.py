"""Tables: what may stand beside what, what a reader is told, and that no format lets a name run wild."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.labelling.rules import RuleLabeller
from benchmark.metrics.lesions import LesionScores
from benchmark.records import Row
from benchmark.scoring import presented
from benchmark.tables import ENDINGS, UnlikeSignatures, print_summary, quoted_rows, write_tables
from benchmark.tables.latex import escaped as latex_escaped
from benchmark.tables.latex import latex
from benchmark.tables.markdown import escaped as markdown_escaped
from benchmark.tables.material import in_words
from benchmark.tables.table import Block, Column, Line, Note, Table, written, written_p
from benchmark.vocabulary import LESIONS

RULES = "lesions|macro:mean_of_lesions|labeller:(rules|hedged:positive|v1)|v1"
METEOR = "meteor|1.5|stages:exact,stem|v1"
NAN = math.nan


def lesion_rows(model: str, f1: float, *, signature: str = RULES, scored: int = 20, unscored: int = 0) -> list[Row]:
    """All numbers of the lesion table, every precision, recall and F1 the same; no hernia anywhere."""
    rows = []
    for lesion in LESIONS:
        value, support = (NAN, 0) if lesion == "hernia" else (f1, 4)
        rows += [
            Row(model, "lesions", f"{lesion}.{name}", value, value, value, scored, unscored, signature) for name in ("precision", "recall", "f1")
        ]
        rows.append(Row(model, "lesions", f"{lesion}.support", support, 1, 7, scored, unscored, signature))
    names = [f"{average}_{name}" for average in ("macro", "micro") for name in ("precision", "recall", "f1")]
    return rows + [Row(model, "lesions", name, f1, f1 - 0.1, f1 + 0.1, scored, unscored, signature) for name in names]


def one(model: str, value: float, metric: str = "meteor", name: str = "system", *, signature: str = METEOR, scored: int = 20) -> Row:
    return Row(model, metric, name, value, value - 0.01, value + 0.01, scored, 20 - scored, signature)


def difference(pair: str, value: float, p: float, name: str = "macro_f1") -> Row:
    return Row(pair, "lesions", name, value, value - 0.02, value + 0.02, 20, 0, RULES, p_value=p)


def two_models() -> list[Row]:
    return [*lesion_rows("clala", 0.5), one("clala", 0.3004), *lesion_rows("rgrg", 0.25), one("rgrg", 0.2996)]


def written_text(folder: Path, name: str, rows: Sequence[Row], models: Sequence[str] = ("clala", "rgrg"), **more: object) -> str:
    write_tables(rows, folder, models=models, **more)  # type: ignore[arg-type]
    return (folder / name).read_text(encoding="utf-8")


def markdown_cells(text: str, label: str) -> list[str]:
    """The cells of the first Markdown row of that label."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} "))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[2:-1]]


def test_the_files_of_a_run_are_listed_and_there(tmp_path):
    paths = write_tables([*two_models(), difference("clala - rgrg", 0.25, 0.01)], tmp_path, models=["clala", "rgrg"])
    names = {f"{table}.{ending}" for table in ("summary", "table1", "table2a", "lesions", "differences") for ending in ENDINGS}
    assert {path.name for path in paths} == names | {"rows.csv"}
    assert all(path.is_file() for path in paths)


def test_same_rows_same_bytes(tmp_path):
    rows = [*two_models(), difference("clala - rgrg", 0.25, 0.01)]
    first, second = (write_tables(rows, tmp_path / name, models=["clala", "rgrg"], note="A note.") for name in ("a", "b"))
    for ours, theirs in zip(first, second, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()


def test_the_summary_has_a_line_per_model_with_rounded_numbers_and_intervals(tmp_path):
    text = written_text(tmp_path, "summary.md", two_models())
    assert markdown_cells(text, "clala") == ["**0.50** [0.40, 0.60]", "**0.50** [0.40, 0.60]", "0.300 [0.290, 0.310]", "20", "0"]
    assert markdown_cells(text, "rgrg")[0] == "0.25 [0.15, 0.35]"


def test_a_tie_in_print_is_nobodys_win(tmp_path):
    """0.3004 and 0.2996 both print as 0.300: neither is bold; with a third model below, both are."""
    assert "**0.300**" not in written_text(tmp_path, "summary.md", two_models())
    text = written_text(tmp_path, "summary.md", [*two_models(), one("constant", 0.1)], ("clala", "rgrg", "constant"))
    assert text.count("**0.300**") == 2


def test_second_is_underlined_in_latex_best_is_bold_intervals_are_small(tmp_path):
    text = written_text(tmp_path, "summary.tex", two_models())
    assert r"\textbf{0.50} {\scriptsize [0.40, 0.60]}" in text
    assert r"\underline{0.25} {\scriptsize [0.15, 0.35]}" in text


def test_no_best_among_models_scored_on_unlike_numbers_of_cases(tmp_path):
    rows = [*lesion_rows("clala", 0.5), *lesion_rows("rgrg", 0.25, scored=18, unscored=2)]
    text = written_text(tmp_path, "summary.md", rows)
    assert "**" not in text
    assert "No best is marked" in text
    assert "Unscored cases (no report, or no answer by the metric): rgrg 2." in text
    assert markdown_cells(text, "rgrg")[-2:] == ["18", "2"]


def test_zero_is_nobodys_best(tmp_path):
    text = written_text(tmp_path, "summary.md", [one("clala", 0.0), one("rgrg", -0.1)])
    assert "**" not in text


def test_a_metric_that_we_do_not_know_gets_a_column_but_no_best():
    """Whether higher is better, nobody said."""
    console = Console(width=140, record=True, file=io.StringIO())
    print_summary([one("clala", 1.5, "errors", "per_report"), one("rgrg", 2.5, "errors", "per_report")], console, models=["clala", "rgrg"])
    text = console.export_text()
    assert "errors per_report" in text
    assert "Bold" not in text


def titled(model: str, value: float, direction: str, name: str = "errors", *, scored: int = 20) -> Row:
    row = Row(model, "judge", name, value, value, value + 1, scored, 0, "judge|v1", title=f"{name.capitalize()} (per case)", is_headline=True)
    return replace(row, direction=direction)  # type: ignore[arg-type]


def test_a_metric_heads_its_own_columns_and_all_its_headlines_stand_in_the_summary(tmp_path):
    rows = [titled("a", 0.5, "higher", "right"), titled("a", 0.2, "lower"), replace(titled("a", 9, "", "count"), is_headline=False)]
    text = written_text(tmp_path, "summary.md", rows, ["a"])
    heads = next(line for line in text.splitlines() if line.startswith("|")).split("|")
    assert [head.strip() for head in heads[2:4]] == ["Right (per case)¹", "Errors (per case) ↓¹"]
    assert "Count" not in text.split("\n- ")[0]


def test_where_lower_is_better_the_lowest_is_best_zero_included_and_an_arrow_says_so(tmp_path):
    text = written_text(tmp_path, "summary.md", [titled("a", 0.0, "lower"), titled("b", 2.0, "lower")], ["a", "b"])
    assert "**0.000**" in text
    assert "Bold: best as printed (highest; lowest under ↓)" in text
    tex = (tmp_path / "summary.tex").read_text()
    assert r"Errors (per case) $\downarrow$\textsuperscript{1}" in tex
    assert r"\underline{2.000}" in tex


def test_a_number_with_a_title_and_no_direction_has_no_best(tmp_path):
    text = written_text(tmp_path, "summary.md", [titled("a", 1.0, ""), titled("b", 2.0, "")], ["a", "b"])
    assert "**" not in text
    assert "↓" not in text


def test_the_paper_s_columns_say_which_variant_fills_them(tmp_path):
    """METEOR 1.5, not METEOR; F1-RadGraph by rules where it was by rules."""
    meteor = replace(one("a", 0.3), title="METEOR 1.5", direction="higher", is_headline=True)
    graph = replace(one("a", 0.4, "radgraph", "rules.partial_lower"), title="F1-RadGraph (partial, lower, rules)", is_headline=True)
    head = next(line for line in written_text(tmp_path, "table2a.md", [meteor, graph], ["a"]).splitlines() if line.startswith("| Model"))
    assert "METEOR 1.5¹" in head
    assert "F1-RadGraph (partial, lower, rules)¹" in head


def errors_of(model: str, *, sides: bool = True) -> list[Row]:
    """The lesion table's numbers from counting real texts, so that all are there."""
    metric = LesionScores(RuleLabeller())
    said = ["Large left pleural effusion.", "Right pleural effusion. Edema.", "The lungs are clear."]
    true = ["Large left pleural effusion.", "Left pleural effusion.", "Right lower lobe pneumonia."]
    values = metric.values(metric.statistics(said, true).sum(axis=0))
    return [
        Row(model, "lesions", name, float(value), NAN, NAN, 3, 0, RULES, **presented(metric, name))
        for name, value in values.items()
        if sides or not name.startswith("side.")
    ]


def test_the_table_of_lesion_errors_counts_what_is_invented_left_out_or_elsewhere(tmp_path):
    """Two hits of effusion, one on the wrong side; edema invented; pneumonia missed."""
    text = written_text(tmp_path, "lesions.md", errors_of("clala"), ["clala"])
    assert markdown_cells(text, "clala") == ["0.67", "0.33", "0.03", "0.33", "0.50", "0.00", "0.33", "0.33", "0.33"]
    assert markdown_cells(text, "Pleural effusion") == ["2", "1.00", "0.50", "0.00", "0.00", "2", "0.50", "0.00"]
    assert markdown_cells(text, "Edema") == ["0", "0.00", "0.00", "0.33", "n/a", "0", "n/a", "n/a"]
    assert markdown_cells(text, "Pneumonia")[:5] == ["1", "0.00", "0.00", "0.00", "1.00"]
    assert markdown_cells(text, "Left") == ["1", "1", "0", "0"]
    assert "Omission ↓¹" in text
    assert "Hernia" not in text
    assert "Without a line, since neither references nor reports have it (clala): " in text
    assert "hernia" in text.partition("(clala): ")[2].partition(".")[0].split(", ")


def test_the_table_of_lesion_errors_is_there_only_where_lesions_were_counted(tmp_path):
    write_tables(errors_of("clala"), tmp_path, models=["clala"])
    assert {file.name for file in tmp_path.glob("lesions.*")} == {f"lesions.{ending}" for ending in ENDINGS}
    write_tables([one("clala", 0.3)], tmp_path, models=["clala"])
    assert not list(tmp_path.glob("lesions.*"))


def test_numbers_that_an_older_run_has_not_are_dashes_in_the_table_of_lesion_errors(tmp_path):
    text = written_text(tmp_path, "lesions.md", two_models())
    assert markdown_cells(text, "Edema")[:3] == ["4", "0.50 [0.50, 0.50]", "—"]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_terminal_has_the_errors_of_all_lesions_in_one_line_per_model(width):
    console = Console(width=width, record=True, file=io.StringIO())
    print_summary([*errors_of("clala"), *errors_of("rgrg")], console, models=["clala", "rgrg"])
    text = console.export_text()
    assert "Lesion by lesion: lesions.md" in re.sub(r"\s+", " ", text)
    assert all(len(line) <= width for line in text.splitlines())
    if width > 60:
        assert re.search(r"clala +0\.33 +0\.03 +0\.33 +0\.50", text)


def in_part(model: str, stratum: str, value: float, *, scored: int = 20, p_value: float | None = None, name: str = "macro_f1") -> Row:
    title, direction = {"macro_f1": ("Macro F1", "higher"), "micro_hallucination": ("Hallucination", "lower")}[name]
    row = Row(model, "lesions", name, value, value - 0.1, value + 0.1, scored, 2, RULES, p_value=p_value, title=title, stratum=stratum)
    return replace(row, direction=direction, is_headline=name == "macro_f1")  # type: ignore[arg-type]


def test_parts_of_the_cases_stand_in_a_table_of_their_own_and_nowhere_else(tmp_path):
    parts = [in_part("clala", "normal (no lesion)", 0.0), in_part("clala", "abnormal", 0.4), in_part("rgrg", "abnormal", 0.3)]
    parts.append(in_part("clala", "normal (no lesion)", 0.05, name="micro_hallucination"))
    rows = [replace(row, title="Macro F1", is_headline=True) if row.value_name == "macro_f1" else row for row in two_models()]
    before = {name: written_text(tmp_path / "a", name, rows) for name in ("summary.md", "table1.md", "rows.csv")}
    text = written_text(tmp_path / "b", "strata.md", [*rows, *parts])
    assert {name: (tmp_path / "b" / name).read_text(encoding="utf-8") for name in before} == before
    normal, abnormal = text.split("## abnormal: 22 cases")
    assert markdown_cells(normal, "clala") == ["n/a", "0.05 [-0.05, 0.15]", "—", "20"]
    assert markdown_cells(abnormal, "clala")[0] == "**0.40** [0.30, 0.50]"
    lines = list(csv.DictReader(io.StringIO((tmp_path / "b" / "strata.csv").read_text())))
    assert [line["stratum"] for line in lines] == ["normal (no lesion)", "abnormal", "abnormal", "normal (no lesion)"]


def test_a_part_with_few_patients_has_its_number_and_its_count_without_an_interval(tmp_path):
    few = replace(in_part("clala", "abnormal", 0.4, scored=3), low=NAN, high=NAN)
    text = written_text(tmp_path, "strata.md", [*lesion_rows("clala", 0.5), few], ["clala"])
    assert "abnormal: 5 cases" in text
    assert markdown_cells(text, "clala")[0] == "0.40"


def test_the_table_of_parts_names_models_that_one_report_for_everyone_matches(tmp_path):
    worse = [in_part("rgrg - constant", "abnormal", 0.05, p_value=0.4)]
    parts = [in_part(model, "abnormal", 0.3) for model in ("rgrg", "constant")]
    rows = [*lesion_rows("rgrg", 0.5), *lesion_rows("constant", 0.5)]
    text = written_text(tmp_path, "strata.md", [*rows, *parts, *worse], ("rgrg", "constant"))
    assert (
        "- rgrg is not shown to be better on the abnormal cases (20) than constant, one report for everyone: Macro F1 +0.050 [-0.050, +0.150]" in text
    )


def test_unlike_signatures_in_one_column_are_refused_with_the_difference(tmp_path):
    other = RULES.replace("rules", "language_model")
    rows = [*lesion_rows("clala", 0.5), *lesion_rows("rgrg", 0.25, signature=other)]
    with pytest.raises(UnlikeSignatures) as refusal:
        write_tables(rows, tmp_path, models=["clala", "rgrg"])
    assert "of clala and of rgrg would stand in one column" in str(refusal.value)
    assert "(labeller: rules against language_model); score both with the same settings" in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (RULES, "Macro F1: lesions labelled by rules, not by a language model."),
        ("lesions|labeller:(language_model|gpt)|v1", "Macro F1: lesions labelled by the language model gpt."),
        ("lesions|labeller:(mine)|v1", "Macro F1: lesions labelled by mine."),
        (
            "lesions|unit:case|labeller:(language_model|openai/gpt-4o-mini|temperature:0|prompt:0123|v1)|v1",
            "Macro F1: lesions labelled by the language model gpt-4o-mini.",
        ),
        ("consistency|judge:rules|scale:1-5|v1", "Macro F1: by embedded rules, which are not the published model."),
        ("consistency|judge:language_model|models:(openai/a|temperature:0)+(b)|prompt:01|scale:1-5|v1", "Macro F1: judged by a, b."),
        ("green|judge:language_model|model:(qwen|temperature:0|max_tokens:9)|prompt:01|words:300|v1", "Macro F1: judged by qwen."),
        ("green|backend:rules|v1", "Macro F1: by embedded rules, which are not the published model."),
        ("radgraph|annotator:(rules|v1|lexicon:57)|case:lower|v1", "Macro F1: by embedded rules, which are not the published model."),
        ("green|judge:rules|labeller:(rules|v1)|v1", "Macro F1: by embedded rules, which are not the published model."),
        ("meteor|1.5|v1", "Macro F1:"),
        ("a foreign (metric", "Macro F1:"),
    ],
)
def test_the_back_end_is_named_in_words(signature, words):
    assert in_words(signature, ["Macro F1"]) == words


@pytest.mark.parametrize("name", ["summary", "table1", "table2a", "differences"])
@pytest.mark.parametrize("ending", ["md", "tex"])
def test_the_note_of_the_dataset_and_every_signature_stand_under_every_table(tmp_path, name, ending):
    rows = [*two_models(), difference("clala - rgrg", 0.25, 0.01)]
    text = written_text(tmp_path, f"{name}.{ending}", rows, note="Phantoms say nothing about patients.")
    assert "Phantoms say nothing about patients." in text
    if name == "table2a":
        assert "exact,stem" in text
    else:
        assert "lesions labelled by rules, not by a language model." in text
        assert "labeller:(rules" in text


def test_what_was_measured_and_how_sure_is_said_once_it_is_known(tmp_path):
    text = written_text(tmp_path, "summary.md", two_models(), counts={"cases": 31255, "patients": 2000}, level=0.95, draws=1000)
    assert "31,255 cases, 2,000 patients. In brackets: 95 % intervals from 1,000 bootstrap draws of patients." in text


def test_what_was_not_run_is_a_dash_and_named_never_a_number(tmp_path):
    text = written_text(tmp_path, "table2a.md", two_models())
    assert markdown_cells(text, "clala") == ["—", "—", "—", "—", "—", "0.300 [0.290, 0.310]", "—", "—", "—"]
    assert (
        "— not run: Clinical accuracy, Findings completeness, Linguistic quality, Report structure, Total (20), ROUGE-L, GREEN, F1-RadGraph." in text
    )
    assert "— not run: lesions." in written_text(tmp_path, "table1.md", [one("clala", 0.3)], ["clala"])


@pytest.mark.parametrize("name", ["summary.md", "table1.md", "table2a.md", "summary.tex", "table1.tex"])
def test_a_model_without_numbers_says_why(tmp_path, name):
    text = written_text(tmp_path, name, lesion_rows("clala", 0.5), skipped={"rgrg": "no weights"})
    assert "not scored: no weights" in text
    assert any("rgrg" in line and "no weights" in line and "0." not in line for line in text.splitlines())


def test_a_skipped_model_prints_no_number_even_if_it_has_some(tmp_path):
    text = written_text(tmp_path, "summary.md", two_models(), skipped={"rgrg": "died half way"})
    assert "| rgrg  | *not scored: died half way* |" in text
    assert "0.25" not in text


def test_table_1_has_every_lesion_its_positives_and_the_average(tmp_path):
    text = written_text(tmp_path, "table1.md", two_models())
    assert markdown_cells(text, "Edema") == ["4", *["**0.50** [0.50, 0.50]"] * 3, *["0.25 [0.25, 0.25]"] * 3]
    assert markdown_cells(text, "Hernia") == ["0", *["n/a"] * 6]
    assert markdown_cells(text, r"\*\*Average\*\*".replace("\\", "")) == ["", *["**0.50** [0.40, 0.60]"] * 3, *["0.25 [0.15, 0.35]"] * 3]
    assert "n/a: nothing to count" in text
    assert "An interval without width" in text


def test_table_1_leaves_positives_out_where_models_saw_other_cases(tmp_path):
    rows = [row for row in two_models() if (row.model, row.value_name) != ("rgrg", "mass.support")]
    assert "Positives" not in written_text(tmp_path, "table1.md", rows)


def test_table_1_of_many_models_is_cut_into_parts_that_fit_a_page(tmp_path):
    models = [f"model{number}" for number in range(5)]
    text = written_text(tmp_path, "table1.md", [row for model in models for row in lesion_rows(model, 0.5)], models)
    assert "## Measured: model0, model1, model2" in text
    assert "## Measured: model3, model4" in text


def test_quoted_numbers_are_the_papers_digit_by_digit(tmp_path):
    """Table 1 of the paper: CLALA-Net on cardiomegaly .62 .67 .64; averages .41 .40 .40; Table 2a: total 14.32, METEOR .165."""
    rows = {(row.model, row.value_name): row for row in quoted_rows("table1")}
    assert len(rows) == 15 * 10 * 3
    assert [rows["CLALA-Net", f"cardiomegaly.{name}"].value for name in ("precision", "recall", "f1")] == [0.62, 0.67, 0.64]
    assert [rows["CLALA-Net", f"macro_{name}"].value for name in ("precision", "recall", "f1")] == [0.41, 0.40, 0.40]
    text = written_text(tmp_path, "table2a.md", two_models())
    assert "*14.32* | *0.165* | *0.218* | *0.441* |" in text
    assert "*R2Gen†*" in text


@pytest.mark.parametrize("table", ["table1", "table2a"])
def test_quoted_and_measured_never_share_a_look(tmp_path, table):
    """A block of its own, italics, dagger, citation; no bold and no interval."""
    text = written_text(tmp_path, f"{table}.md", two_models())
    measured, quoted = text.split("## † Quoted from Noh et al. 2026")
    assert "not comparable with the rows above" in quoted
    assert "Scientific Reports 16:4645 (2026), doi 10.1038/s41598-025-34799-2, Table" in quoted
    assert "†" not in measured
    rows = [line for line in quoted.splitlines() if line.startswith("| *")]
    assert len(rows) in (10, 15)
    for line in rows:
        assert "**" not in line
        assert "[" not in line
        assert all(cell.strip().startswith("*") and cell.strip().endswith("*") for cell in line.strip("|").split("|"))


def test_the_csv_has_full_precision_and_says_where_each_number_is_from(tmp_path):
    rows = [Row("clala", "meteor", "system", 0.1 + 0.2, 0.1, NAN, 20, 1, METEOR)]
    lines = list(csv.DictReader(io.StringIO(written_text(tmp_path, "table2a.csv", rows, ["clala"]))))
    measured, quoted = lines[0], lines[-1]
    assert (measured["value"], measured["low"], measured["high"]) == ("0.30000000000000004", "0.1", "")
    assert (measured["scored"], measured["unscored"], measured["signature"], measured["source"]) == ("20", "1", METEOR, "measured")
    assert (quoted["source"], quoted["low"], quoted["scored"], quoted["signature"]) == ("quoted", "", "", "")
    assert [line["value"] for line in lines if line["model"] == "MAIRA-2" and line["metric"] == "radgraph"] == ["0.130"], "the digits of print"
    assert "16:4645" in quoted["citation"]


def test_rows_csv_has_every_number(tmp_path):
    rows = [*two_models(), difference("clala - rgrg", 0.25, 0.01)]
    lines = list(csv.DictReader(io.StringIO(written_text(tmp_path, "rows.csv", rows))))
    assert [(line["model"], line["value_name"]) for line in lines] == [(row.model, row.value_name) for row in rows]


def test_differences_are_signed_and_their_p_values_adjusted_over_the_table(tmp_path):
    """Holm by hand over two tests: 0.01 * 2 and 0.04; a p-value that was not asked for in the table takes no part."""
    rows = [
        *two_models(),
        difference("clala - rgrg", 0.25, 0.01),
        difference("clala - rgrg", -0.1, 0.04, "micro_f1"),
        difference("clala - rgrg", 0.1, 0.5, "mass.f1"),
    ]
    text = written_text(tmp_path, "differences.md", rows)
    assert markdown_cells(text, "clala - rgrg") == ["Macro F1¹", "+0.250 [+0.230, +0.270]", "0.010", "0.020", "0.020", "n/a", "20"]
    assert "| Micro F1¹ | -0.100 [-0.120, -0.080] | 0.040 |    0.040 |  0.040 |        n/a |    20 |" in text
    assert "over the 2 tests of this table" in text
    lines = list(csv.DictReader(io.StringIO((tmp_path / "differences.csv").read_text())))
    assert [(line["value_name"], line["p_holm"]) for line in lines] == [("macro_f1", "0.02"), ("micro_f1", "0.04"), ("mass.f1", "")]


def test_differences_of_an_earlier_run_do_not_stay_behind(tmp_path):
    write_tables([*two_models(), difference("clala - rgrg", 0.25, 0.01)], tmp_path, models=["clala", "rgrg"])
    write_tables(lesion_rows("clala", 0.5), tmp_path, models=["clala"])
    assert not list(tmp_path.glob("differences.*"))


NASTY = r"a|b_c*d & 50% #1 $x ~^ {y} \z [1](u) <b> `q`"


def test_no_name_breaks_out_of_its_markdown_cell(tmp_path):
    text = written_text(tmp_path, "summary.md", [one(NASTY, 0.3)], [NASTY], skipped={"next\nline | x": "two\nlines | and a bar"})
    rows = [line for line in text.splitlines() if line.startswith("|")]
    counts = [len(re.findall(r"(?<!\\)\|", line)) for line in rows]
    assert counts == [5, 5, 5, 3]
    assert r"a\|b_c\*d" in text
    assert r"\<b>" in text
    assert r"[1\](u)" in text


def test_markdown_leaves_plain_text_alone():
    assert markdown_escaped("rouge_l of cvt2distilgpt2 <0.001 [0.1, 0.2]") == "rouge_l of cvt2distilgpt2 <0.001 [0.1, 0.2]"
    assert markdown_escaped("_loud_") == r"\_loud\_"


def test_every_latex_row_has_as_many_cells_as_columns_and_braces_close(tmp_path):
    """No TeX at hand: count what TeX would."""
    rows = [*lesion_rows(NASTY, 0.5), *lesion_rows("* x", 0.4), one(NASTY, 0.3)]
    write_tables(rows, tmp_path, models=[NASTY, "* x"], skipped={"[gone]": NASTY}, note=NASTY)
    for file in tmp_path.glob("*.tex"):
        text = file.read_text(encoding="utf-8")
        bare = re.sub(r"\\[\\{}&%$#_]", "", text.replace(r"\\", ""))
        assert bare.count("{") == bare.count("}")
        assert bare.count("$") % 2 == 0
        assert "|" not in bare
        columns = 0
        for line in text.splitlines():
            assert not line.startswith(("[", "*"))
            if found := re.search(r"\\begin\{tabular\}\{(\w+)\}", line):
                columns = len(found[1])
            elif line.endswith(r" \\"):
                spanned = sum(int(count) - 1 for count in re.findall(r"\\multicolumn\{(\d+)\}", line))
                assert len(re.findall(r"(?<!\\)&", line)) + 1 + spanned == columns


def pages_of(text: str) -> list[str]:
    """What stands within each floating table."""
    return re.findall(r"\\begin\{table\}(.*?)\\end\{table\}", text, re.DOTALL)


def long_table(*blocks: int, notes: int = 2) -> Table:
    """Blocks of so many lines, numbered through."""
    columns = (Column("Line", is_words=True), Column("F1", "A model"))
    lines = [Line(f"line{place}", ("0.50",)) for place in range(sum(blocks))]
    made = [Block(columns, tuple(lines[sum(blocks[:place]) :][:count]), f"block{place}") for place, count in enumerate(blocks)]
    return Table("long", "A long table", "", tuple(made), tuple(Note(f"note{place} {'word ' * 60}") for place in range(notes)), ())


@pytest.mark.parametrize("blocks", [(20, 15), (15,) * 6, (130,), (3, 44, 3), (1, 1)])
def test_a_table_longer_than_a_page_is_several_that_continue_each_other_in_latex(blocks: tuple[int, ...]) -> None:
    """Each of at most 45 rows, heads included; every line and note once and in order; one number and one label each."""
    text = latex(long_table(*blocks))
    pages = pages_of(text)
    for page in pages:
        assert page.count(r"\\") + page.count(r"\par\smallskip{") <= 45
        assert page.count(r"\begin{tabular}") == page.count(r"\toprule") == page.count("A model")
    assert re.findall(r"line\d+", text) == [f"line{place}" for place in range(sum(blocks))]
    assert re.findall(r"note\d+", text) == ["note0", "note1"]
    assert text.index("note0") > text.rindex(r"\end{tabular}")
    assert re.findall(r"\\label\{(.*?)\}", text) == ["tab:long", *(f"tab:long-{place}" for place in range(2, len(pages) + 1))]
    assert re.findall(r"\\caption\{(.*?)\}", text) == ["A long table", *["A long table (continued)"] * (len(pages) - 1)]
    assert [page.count(r"\addtocounter{table}{-1}") for page in pages] == [0, *[1] * (len(pages) - 1)]
    assert (len(pages) == 1) == (sum(blocks) + 4 * len(blocks) < 40)


def test_a_block_that_is_cut_says_in_its_title_that_it_goes_on() -> None:
    titles = re.findall(r"\\small (block.*?)\}\\par", latex(long_table(100)))
    assert titles == ["block0", "block0 (continued)", "block0 (continued)"]


def test_notes_that_do_not_fit_below_the_last_block_get_pages_of_their_own() -> None:
    pages = pages_of(latex(long_table(35, notes=30)))
    assert len(pages) == 4  # 30 notes of four lines in small type, 96 rows
    assert [page.count(r"\begin{tabular}") for page in pages] == [1, 0, 0, 0]
    assert [page.count(r"\begin{minipage}") for page in pages] == [1, 1, 1, 1]


def test_latex_escapes_what_would_be_a_command():
    assert latex_escaped(r"50% & a_b \c") == r"50\% \& a\_b \textbackslash{}c"
    assert latex_escaped("METEOR²") == r"METEOR\textsuperscript{2}"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_shows_numbers_intervals_reasons_and_words_at_any_width(width):
    rows = [*two_models(), difference("clala - rgrg", 0.25, 0.01)]
    console = Console(width=width, record=True, file=io.StringIO())
    print_summary(rows, console, models=["clala", "rgrg"], note="Phantoms.", skipped={"[bold]gone": "no weights"})
    text = console.export_text()
    for expected in ("0.50", "0.40", "0.300", "Phantoms.", "[bold]gone not scored: no weights", "+0.250"):
        assert expected in text
    assert "labelled by rules" in re.sub(r"\s+", " ", text)
    assert all(len(line) <= width for line in text.splitlines())


def test_more_columns_than_a_window_holds_stand_in_parts_with_every_head_and_number_whole():
    rows = [titled(model, 0.1 + number / 1000, "higher", f"metric number {number}") for model in ("a model", "b") for number in range(12)]
    console = Console(width=80, record=True, file=io.StringIO())
    print_summary(rows, console, models=["a model", "b"])
    lines = console.export_text().splitlines()
    assert sum(line.startswith("a model") for line in lines) > 1
    for number in range(12):
        assert any(re.search(rf"Metric number {number}( |$)", line) for line in lines)
        assert any(re.search(rf"^a model.* {0.1 + number / 1000:.3f}( |$)", line) for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_many_differences_are_left_to_the_file():
    models = [f"m{number}" for number in range(7)]
    pairs = [difference(f"{first} - {second}", 0.1, 0.5) for first in models for second in models if first < second]
    console = Console(width=100, record=True, file=io.StringIO())
    print_summary([*(row for model in models for row in lesion_rows(model, 0.5)), *pairs], console, models=models)
    assert "Paired differences: 21 of them, see differences.md" in re.sub(r"\s+", " ", console.export_text())


@pytest.mark.parametrize(
    "rows",
    [[], [one("clala", NAN, scored=0)], lesion_rows("clala", NAN, scored=0, unscored=20)],
    ids=["no row", "every case unscored", "no lesion anywhere"],
)
def test_nothing_measured_is_written_as_nothing(tmp_path, rows):
    for path in write_tables(rows, tmp_path, models=["clala"]):
        measured = path.read_text(encoding="utf-8").split("Quoted from")[0]
        assert not re.search(r"\b0\.\d", measured) or path.suffix == ".csv"
        assert "nan" not in measured


@pytest.mark.parametrize(
    ("value", "decimals", "is_signed", "text"),
    [(0.125, 2, False, "0.12"), (-0.0004, 3, True, "0.000"), (0.0004, 3, True, "0.000"), (0.5, 2, True, "+0.50"), (NAN, 2, True, "n/a")],
)
def test_numbers_are_rounded_once_and_zero_has_no_sign(value, decimals, is_signed, text):
    assert written(value, decimals, is_signed=is_signed) == text


def test_a_p_value_is_never_printed_as_zero():
    assert [written_p(p) for p in (1 / 10_001, 0.0123, None, NAN)] == ["<0.001", "0.012", "n/a", "n/a"]


def test_digits_are_as_in_the_paper_unless_asked_otherwise(tmp_path):
    assert "0.5000 [0.4000, 0.6000]" in written_text(tmp_path, "summary.md", lesion_rows("clala", 0.5), ["clala"], decimals={"lesions": 4})
