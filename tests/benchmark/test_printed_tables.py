"""Printed tables: every digit as the file has it, in every format; what is best by the digits; and a folder of one's own."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.consistency.printed import UnreadableTable, read_table
from benchmark.records import UserError
from benchmark.tables import as_text
from benchmark.tables.printed import Printed, printed_names, printed_table, ranked, read_printed
from benchmark.tables.table import Quoted, Table
from benchmark.tables.terminal import show

REPORTED = Path(__file__).resolve().parents[2] / "results" / "reported"
FILES = sorted(file.stem for file in REPORTED.glob("*.csv"))
WORDS = ("lesion", "model", "config", "labels", "factor", "level", "llcl", "lca", "label_f1", "metric", "source")
"""columns of the files that are no numbers"""


def lines_of(name: str) -> list[dict[str, str]]:
    """A file as Python's own reader has it, without ours."""
    with (REPORTED / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digits_of(name: str) -> list[str]:
    """Every number of a file, as text, sorted."""
    return sorted(value for line in lines_of(name) for column, value in line.items() if column not in WORDS)


def table_of(name: str) -> Table:
    return printed_table(read_printed(name))


class CellsOfHtml(HTMLParser):
    """The text of every <td>, without raised marks."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "td" in self.inside and "sup" not in self.inside:
            self.cells[-1] += data


def numbers_in_markdown(text: str) -> list[str]:
    rows = [line for line in text.splitlines() if line.startswith("| *")]
    return [found[1] for line in rows for cell in line.split("|")[2:-1] if (found := re.fullmatch(r"\*+(\d+\.\d+)\*+[⁰¹²³⁴⁵⁶⁷⁸⁹]*", cell.strip()))]


def numbers_in_latex(text: str) -> list[str]:
    rows = [line for line in text.splitlines() if line.startswith(r"\textit{")]
    return [found[1] for line in rows for cell in line.split("&")[1:] if (found := re.search(r"\\textit\{(\d+\.\d+)\}", cell))]


def numbers_in_html(text: str) -> list[str]:
    parser = CellsOfHtml()
    parser.feed(text)
    return [cell for cell in parser.cells if re.fullmatch(r"\d+\.\d+", cell)]


def numbers_in_csv(text: str) -> list[str]:
    return [cell for line in list(csv.reader(io.StringIO(text)))[1:] for cell in line[1:] if re.fullmatch(r"\d+\.\d+", cell)]


def test_every_file_of_the_folder_is_a_table_and_every_table_a_file() -> None:
    assert sorted(printed_names()) == FILES
    assert len(FILES) == 8


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("ending", "numbers"), [("md", numbers_in_markdown), ("tex", numbers_in_latex), ("html", numbers_in_html), ("csv", numbers_in_csv)]
)
def test_each_format_has_every_number_of_the_file_with_its_digits_and_no_other(name, ending, numbers) -> None:
    """As text: 0.60 that became 0.6 would be another string."""
    assert sorted(numbers(as_text(table_of(name), ending))) == digits_of(name)


@pytest.mark.parametrize("name", FILES)
def test_each_number_stands_where_its_keys_say(name: str) -> None:
    """Through the cells as they are laid out: row by label, column by group and head."""
    printed = read_printed(name)
    found = {}
    for block in printed_table(printed).blocks:
        for line in block.lines:
            for column, cell in zip(block.columns[1:], line.cells, strict=True):
                if isinstance(cell, Quoted):
                    found[line.label, column.group, column.title] = cell.text
    word, expected = printed.word, {}
    for line in lines_of(name):
        for column, value in line.items():
            if column in WORDS:
                continue
            expected[
                {
                    "down": lambda line, column: (word(line[printed.keys[0]]), "", word(column)),
                    "across": lambda line, column: (word(line["lesion"]), word(line[printed.keys[1]]), word(column)),
                    "groups": lambda line, column: (f"{word(line['factor'])}: {word(line['level'])}", "", word(column)),
                    "curve": lambda line, column: (word(line["metric"]), word("label_f1"), line["label_f1"]),
                }[printed.layout](line, column)
            ] = value
    assert found == expected


@pytest.mark.parametrize("name", FILES)
def test_every_format_says_of_whom_the_numbers_are_and_which_table(name: str) -> None:
    number = json.loads((REPORTED / "sources.json").read_text())["files"][f"{name}.csv"]["table"]
    for ending in ("md", "tex", "html"):
        text = as_text(table_of(name), ending)
        assert f"Scientific Reports 16:4645 (2026), doi 10.1038/s41598-025-34799-2, {number}." in text
        assert "Quoted from Noh et al. 2026" in text
    console = Console(width=400, file=io.StringIO(), record=True)
    show(table_of(name), console)
    said = console.export_text()
    assert "† Quoted from Noh et al. 2026" in said
    assert f"34799-2, {number}." in said


def ranks_of(name: str, label: str) -> dict[tuple[str, str], int]:
    """(group, head) -> rank, of one line."""
    return {
        (column.group, column.title): cell.rank
        for block in table_of(name).blocks
        for line in block.lines
        if line.label == label
        for column, cell in zip(block.columns[1:], line.cells, strict=True)
        if isinstance(cell, Quoted)
    }


def test_three_models_that_tie_on_cardiomegaly_are_all_bold_and_the_note_names_them() -> None:
    """F1 .64 of RaDialog, LLaVA-Rad and CLALA-Net: the paper's own text calls one of them best."""
    ranks = {model: rank for (model, head), rank in ranks_of("table1", "Cardiomegaly").items() if head == "F1"}
    assert {model for model, rank in ranks.items() if rank == 1} == {"RaDialog", "LLaVA-Rad", "CLALA-Net"}
    assert {model for model, rank in ranks.items() if rank == 2} == {"TSGET"}  # .62
    (ties,) = [note.text for note in table_of("table1").notes if note.text.startswith("Ties")]
    assert "Cardiomegaly F1 0.64 (RaDialog, LLaVA-Rad, CLALA-Net)" in ties


def test_a_line_on_which_all_are_alike_has_no_best_and_says_so() -> None:
    """Table 3: pleural effusion has F1 .72 in all four variants."""
    assert {rank for (_, head), rank in ranks_of("table3", "Pleural effusion").items() if head == "F1"} == {0}
    assert any("Pleural effusion F1 0.72 (all alike, none bold)" in note.text for note in table_of("table3").notes)


def test_of_two_lines_the_lower_is_not_underlined_as_second() -> None:
    assert {cell.rank for line in table_of("table2c").blocks[0].lines for cell in line.cells if isinstance(cell, Quoted)} <= {0, 1}


def test_levels_are_ranked_within_their_factor() -> None:
    """Table 5: .43 is the better recall of the two region sets, though true boxes have another factor's .41."""
    ranks = {line.label: line.cells[1].rank for line in table_of("table5").blocks[0].lines}  # type: ignore[union-attr]
    assert ranks["Regions: all 29"] == ranks["Boxes: true"] == 1
    assert ranks["Regions: relevant 11"] == 0


@pytest.mark.parametrize(
    ("texts", "is_lower", "ranks"),
    [
        (["0.10", "0.30", "0.20"], False, [0, 1, 2]),
        (["0.10", "0.30", "0.20"], True, [1, 0, 2]),
        (["0.30", "0.3", "0.20"], False, [1, 1, 2]),  # the same number, though not the same digits
        (["0.30", "", "0.20"], False, [1, 0, 0]),  # two are there: no second
        (["0.00", "0.00"], False, [0, 0]),
        (["0.00", "0.00", "0.10"], False, [0, 0, 1]),  # zero is nobody's second
        (["0", "1", "2"], True, [1, 2, 0]),
        (["0.64"], False, [0]),
    ],
)
def test_best_and_second_by_the_printed_digits(texts, is_lower, ranks) -> None:
    assert ranked(texts, is_lower=is_lower) == ranks


def test_figure_3_says_of_each_number_where_it_stands_and_which_were_derived() -> None:
    table = table_of("fig3")
    notes = {note.footnote: note.text for note in table.notes if note.footnote}
    for line in lines_of("fig3"):
        (cell,) = [
            cell
            for row in table.blocks[0].lines
            for column, cell in zip(table.blocks[0].columns[1:], row.cells, strict=True)
            if isinstance(cell, Quoted) and (row.label, column.title) == (read_printed("fig3").word(line["metric"]), line["label_f1"])
        ]
        assert notes[cell.footnote] == line["source"]
    assert sum(text.startswith("derived") for text in notes.values()) == 2  # .57 from a gain, and the total of four axes


@pytest.mark.parametrize("name", FILES)
def test_the_latex_closes_what_it_opens(name: str) -> None:
    text = as_text(table_of(name), "tex")
    assert re.findall(r"\\begin\{(\w+)\}", text).count("tabular") == text.count(r"\toprule") == text.count(r"\bottomrule")
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    stack = []
    for kind, what in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            stack.append(what)
        else:
            assert stack.pop() == what
    assert not stack


@pytest.mark.parametrize("name", FILES)
def test_each_row_of_the_latex_has_a_cell_for_each_column(name: str) -> None:
    for alignment, body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", as_text(table_of(name), "tex"), re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) > 2
        for row in rows:
            spans = sum(int(count) - 1 for count in re.findall(r"\\multicolumn\{(\d+)\}", row))
            assert len(re.findall(r"(?<!\\)&", row)) + 1 + spans == len(alignment), row


# --- a folder of one's own


def own_folder(folder: Path, lines: str, about: dict[str, object] | None = None, **more: object) -> Path:
    (folder / "mine.csv").write_text(lines, encoding="utf-8")
    files = {"mine.csv": {"table": "Table 9", "what": "Errors.", "keys": ["model"], **(about or {})}}
    (folder / "sources.json").write_text(json.dumps({"citation": "Someone 2027", "short": "Someone 2027", "files": files, **more}))
    return folder


def test_a_table_of_ones_own_is_printed_with_its_own_citation_and_directions(tmp_path: Path) -> None:
    folder = own_folder(tmp_path, "model,f1,errors\na,0.50,2.10\nb,0.40,1.90\n", {"lower": ["errors"]}, words={"f1": "F1", "a": "A model"})
    table = printed_table(read_printed("mine", folder))
    assert [(line.label, [(cell.text, cell.rank) for cell in line.cells]) for line in table.blocks[0].lines] == [  # type: ignore[union-attr]
        ("A model", [("0.50", 1), ("2.10", 0)]),
        ("b", [("0.40", 0), ("1.90", 1)]),
    ]
    assert table.notes[0].text == "† Someone 2027, Table 9. Errors."
    assert table.blocks[0].columns[2].arrow


def test_a_number_that_is_not_printed_is_a_dash(tmp_path: Path) -> None:
    table = printed_table(read_printed("mine", own_folder(tmp_path, "model,f1\na,0.50\nb,\n")))
    assert table.blocks[0].lines[1].cells == ("—",)


def test_a_file_is_read_as_the_check_of_tables_reads_it(tmp_path: Path) -> None:
    """Semicolons, marks of print, dashes and names in the spelling of print, and what is no number behind the numbers; digits as they are."""
    lines = "Model;F1;ROUGE-L;Remark\na;**0.50**;-;good\nb;\\underline{0.40};0.230;\nAverage;0.45;n/a;\n"
    printed = read_printed("mine", own_folder(tmp_path, lines, {"keys": ["Model"], "words": {"F1": "F-score"}}))
    checked = read_table(tmp_path / "mine.csv", printed.keys)
    assert printed.numbers == checked.numbers == ("f1", "rouge_l")
    for line, row in zip(printed.lines, checked.rows, strict=True):
        assert {name: line[name] for name in printed.numbers if line[name]} == {name: cell.text for name, cell in row.cells.items()}
    table = printed_table(printed)
    assert [column.title for column in table.blocks[0].columns] == ["Model", "F-score", "rouge_l"]
    assert table.blocks[0].lines[0].cells == (Quoted("0.50", 1), "—")
    assert [line.is_summary for line in table.blocks[0].lines] == [False, False, True]


@pytest.mark.parametrize(
    ("lines", "about", "said"),
    [
        ("model,f1\na,0.5\na,0.6\n", {}, "line 3 has the keys a of line 2; keep one"),
        ("model,f1\na,high\n", {}, "line 2, column f1: 'high' is no number; write one number, or -"),
        ("name,f1\na,0.5\n", {}, "is to have the column 'model', and has name, f1; mend it"),
        ("model,f1\n", {}, "only a header in it; a header and rows are needed"),
        ("model,f1\na,0.5,0.6\n", {}, "line 2: 3 cells, and the header has 2; mend that line"),
        ("model,f1\na,0.5\nb\n", {}, "line 3: 1 cells, and the header has 2; mend that line"),
        ("model,f1,f1\na,0.5,0.6\n", {}, "2 columns are called 'f1'; give each its own name"),
        ("model,note\na,good\n", {}, "no column of numbers among model, note"),
        ("model,f1\na,0.5\n", {"keys": "model"}, "keys of mine.csv is 'model', and a list of its columns is needed"),
        ("model,f1\na,0.5\n", {"layout": "across"}, "no layout 'across' of 1 keys; sources.json may say down (of 1 key)"),
        ("model,f1\na,0.5\n", {"keys": []}, "is to say keys of mine.csv, and does not; add it"),
        ("x,model,f1,g\n1,a,0.5,1\n", {"keys": ["x", "model"], "layout": "curve"}, "of one column of numbers, and has 2"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_refused_with_what_to_do(tmp_path, lines, about, said) -> None:
    with pytest.raises(UnreadableTable) as error:
        read_printed("mine", own_folder(tmp_path, lines, about))
    assert said in str(error.value)


def test_a_folder_without_sources_and_a_file_that_is_not_there_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable, match=r"sources\.json cannot be read .*; write one: citation"):
        read_printed("mine", tmp_path)
    own_folder(tmp_path, "model,f1\na,0.5\n")
    (tmp_path / "mine.csv").unlink()
    with pytest.raises(UnreadableTable, match=r"speaks of .*mine\.csv, which is not there; put it there"):
        read_printed("mine", tmp_path)
    (tmp_path / "sources.json").write_text("{")
    with pytest.raises(UnreadableTable, match="is no JSON"):
        read_printed("mine", tmp_path)


def test_a_name_that_is_no_table_lists_those_that_are() -> None:
    with pytest.raises(UserError, match=r"no printed table 'table9'; .* has table1, table2a"):
        read_printed("table9")


def test_a_cell_is_found_by_its_keys() -> None:
    printed: Printed = read_printed("table3")
    assert printed.cell("f1", lesion="Mass", config="llcl_only") == "0.02"
    assert printed.cell("f1", lesion="Mass", config="nothing") == ""
    assert Decimal(read_printed("table1").cell("recall", lesion="Average", model="CLALA-Net")) == Decimal("0.40")
