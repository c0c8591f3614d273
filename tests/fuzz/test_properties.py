"""What must hold of a text whatever it says: it is read as it was written, shown without being obeyed, and kept under a name that is its own."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from parsers_of_runs import of_run, read_run, small_run

from benchmark.labelling.label_file import read_labels, write_labels
from benchmark.labelling.rules import RuleLabeller
from benchmark.records import Report, UserError
from benchmark.report_files import read_reports
from benchmark.runs import ModelFolder, folder_name
from benchmark.screen import visible
from benchmark.tables.latex import ESCAPES
from benchmark.tables.latex import escaped as for_tex
from benchmark.tables.markdown import escaped as for_markdown
from benchmark.viewer.data_files import read_part, write_part

QUICK = settings(max_examples=60, derandomize=True, deadline=None, database=None)
SIGNS = st.text(st.one_of(st.characters(), st.sampled_from("\x1b\r\n\t\0|`\\*_[](){}<>#$%&^~\"'=,;:\u2028\u202e\ud800/.")), max_size=40)
WHOLE = SIGNS.filter(lambda text: not re.search("[\0\ud800-\udfff]", text))
"""of a NUL, and of half a character, a file of predictions is refused"""
ODD: tuple[Any, ...] = (None, 3, "x", [], {}, -1.5, True, [[1]], {"a": None})
OF_THE_RUN = ("run.json", "settings.json", "cases.jsonl", "references.jsonl", "problems.csv", "index.html", "page", ".lock", "summary.md", "rows.csv")


@QUICK
@given(st.lists(st.tuples(SIGNS, SIGNS), max_size=5))
@example([("c\ud800", "half a sign: \udfff")])
def test_reports_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, str]]) -> None:
    """Half a character, which no file can hold, comes back as its escape."""
    folder = ModelFolder(tmp_path_factory.mktemp("run") / "model")
    folder.path.mkdir()
    reports = [Report(case, text) for case, text in written]
    folder.rewrite(reports)
    if not re.search("[\ud800-\udfff]", "".join(map("".join, written))):
        assert folder.reports() == reports
    assert len(folder.reports()) == len(reports)


@QUICK
@given(st.dictionaries(WHOLE.filter(str.strip), WHOLE, min_size=1, max_size=5))
def test_a_file_of_predictions_keeps_ids_apart_and_in_order(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> None:
    file = tmp_path_factory.mktemp("reports") / "r.jsonl"
    file.write_text("".join(json.dumps({"id": name, "report": text}) + "\n" for name, text in texts.items()), encoding="utf-8")
    try:
        found = read_reports(file).texts
    except UserError:  # ids that differ by blanks around them alone
        assert len({name.strip() for name in texts}) < len(texts)
        return
    assert [name.strip() for name in found] == [name.strip() for name in texts]


@QUICK
@given(st.lists(SIGNS, min_size=1, max_size=3))
@example(["half a sign: \ud800", "\udfff"])
def test_labels_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    file = tmp_path_factory.mktemp("labels") / "l.jsonl"
    found = [(str(number), lesions) for number, lesions in enumerate(RuleLabeller().label([f"Small left effusion. {text}" for text in texts]))]
    write_labels(file, found)
    assert list(read_labels(file).lesions.items()) == found


@QUICK
@given(
    SIGNS,
    st.recursive(st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), SIGNS), lambda inner: st.lists(inner, max_size=3), max_leaves=9),
)
@example("half a sign: \ud800", ["\udfff"])
def test_a_part_of_the_page_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, text: str, value: Any) -> None:
    file = write_part(tmp_path_factory.mktemp("page"), "cases", {"text": text, "value": value})
    assert read_part(file) == ("cases", {"text": text, "value": value})
    assert "<" not in file.read_text(encoding="ascii")


@QUICK
@given(SIGNS)
@example("\x1b]0;a title\x07\x1b[31mred\x9b2J\r\u202e")
@example("half a sign: \ud800")
def test_what_is_shown_in_a_terminal_gives_it_no_orders(text: str) -> None:
    shown = visible(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert visible(shown) == shown
    if text.isprintable():
        assert shown == text


@QUICK
@given(SIGNS)
@example(r"\input{/etc/passwd}")
@example("\ud800|\udfff")
@example("a|b`c`<img src=x>](javascript:1)")
def test_no_text_leaves_its_cell(text: str) -> None:
    """TeX is given no command of its own and no comment, Markdown neither a cell nor a line nor a tag."""
    tex = for_tex(text)
    for own in sorted({value for value in ESCAPES.values() if "\\" in value}, key=len, reverse=True):
        tex = tex.replace(own, "")
    assert not re.search(r"[\\%#&~^]", tex)
    plain = re.sub(r"\\.", "", for_markdown(text))
    assert not re.search(r"[|`\n]|<[A-Za-z/!?]|\]\(", plain)


@QUICK
@given(st.lists(SIGNS, max_size=6, unique=True))
@example(["a\ud800", "a\udfff", "a", "a" * 101, "a" * 102, "a" * 300])
@example([*OF_THE_RUN, *(name.upper() for name in OF_THE_RUN), "..", ".", "", "../../x", "/etc/passwd", "a/b", "a-b", "a\0b", "rouge_l.npz"])
def test_a_label_is_a_folder_of_its_own_that_lies_in_the_run(labels: list[str]) -> None:
    names = [folder_name(label) for label in labels]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name)
        assert name.lower() not in OF_THE_RUN


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield before
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*before, key))


def test_a_record_of_a_run_with_anything_in_any_place_is_read_or_refused(tmp_path: Path) -> None:
    """``run.json`` vouches for all other files, and nobody for it. All of its places were tried with all of these once; here a part of them."""
    folder = Path(shutil.copytree(small_run(), tmp_path / "run"))
    record = json.loads(of_run("run.json"))
    places = [path for path in paths(record) if path and path[0] not in ("provenance", "stages", "language_models", "seconds", "started", "files")]
    assert len(places) > 50
    of_tables = [path for path in places if path[0] == "tables"]
    tried = [(path, ODD[number % len(ODD)]) for number, path in enumerate(places[::2])]
    tried += [(path, value) for path in of_tables[::2] for value in (None, "x", {"a": None})]
    refused = 0
    for path, value in tried:
        changed = copy.deepcopy(record)
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (folder / "run.json").write_text(json.dumps(changed))
        try:
            read_run(folder)
        except UserError as error:
            refused += 1
            assert str(folder) in str(error)  # noqa: PT017
    assert refused > len(tried) // 5
