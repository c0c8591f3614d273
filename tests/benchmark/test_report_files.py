"""Files as people write them, by Excel, pandas, R and hand: read exactly, or refused in one line that names the place."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.datasets.parquet_size import unpacks_to_more
from benchmark.records import UserError
from benchmark.report_files import MismatchedIds, UnreadableReports, match, read_reports

TEXTS = {"007": "The heart is normal.", "008": 'Said "no effusion", twice.\nSecond line; with signs.', "9": "Ødem – mild."}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, **columns: str) -> str:
    with pytest.raises(UnreadableReports) as caught:
        read_reports(path, **columns)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message.replace(str(path), "FILE")


def frame() -> pd.DataFrame:
    return pd.DataFrame({"study_id": list(TEXTS), "report": list(TEXTS.values())})


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_is_read_with_any_usual_delimiter(tmp_path: Path, separator: str) -> None:
    frame().to_csv(tmp_path / "r.csv", sep=separator, index=False)
    assert read_reports(tmp_path / "r.csv").texts == TEXTS


@pytest.mark.parametrize("name", ["r.csv", "r.tsv", "r.json", "r.jsonl", "r.ndjson", "r.parquet", "r.csv.gz", "r.tsv.gz", "r.json.gz", "r.jsonl.gz"])
def test_every_format_gives_the_same_reports(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if ".csv" in name or ".tsv" in name:
        frame().to_csv(path, sep="\t" if ".tsv" in name else ",", index=False)
    elif ".parquet" in name:
        frame().to_parquet(path)
    else:
        frame().to_json(path, orient="records", lines=".json." not in name and not name.endswith(".json"))
    read = read_reports(path)
    assert read.texts == TEXTS
    assert list(read.texts) == list(TEXTS), "in file order"
    assert read.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (read.empty, read.failures, read.warnings) == ((), {}, ())


def test_of_a_table_in_parquet_only_those_columns_count_that_are_read(tmp_path: Path) -> None:
    """Reports are often kept with what a network made of the image: lists and objects, of names that begin as another's does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    vectors = [[0.1 * number] * 2_000 for number in range(50)]
    columns = {"id": list(map(str, range(50))), "report": ["Clear lungs."] * 50, "report2": [[{"text": "x" * 5_000}]] * 50, "vector": vectors}
    pq.write_table(pa.table(columns), tmp_path / "r.parquet", use_dictionary=False, compression="none")
    content = (tmp_path / "r.parquet").read_bytes()
    assert not unpacks_to_more(content, 10_000, ["id", "report"])
    for chosen in (["id", "report", "vector"], ["report2"], None):
        assert unpacks_to_more(content, 100_000, chosen), chosen


@pytest.mark.parametrize(
    "content",
    [
        TEXTS,
        [{"uid": name, "findings": text} for name, text in TEXTS.items()],
        {"model": "m", "predictions": [{"uid": name, "findings": text} for name, text in TEXTS.items()]},
    ],
    ids=["object", "array", "one list within an object"],
)
def test_json_is_read_in_its_usual_shapes(tmp_path: Path, content: object) -> None:
    assert read_reports(write(tmp_path, "r.json", json.dumps(content))).texts == TEXTS


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_reports(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", b"\xef\xbb\xbfid,report\r\n1,Normal.\r\n2,Clear.\r\n\r\n")
    assert read_reports(path).texts == {"1": "Normal.", "2": "Clear."}


def test_utf16_is_read_by_its_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", "id\treport\n1\tØdem.\n".encode("utf-16"))
    assert read_reports(path).texts == {"1": "Ødem."}


def test_windows_1252_is_read_with_a_warning_that_names_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", "id,report\n1,Normal.\n2,Effusion – small.\n3,38°\n".encode("cp1252"))
    read = read_reports(path)
    assert read.texts["2"] == "Effusion – small."
    assert read.warnings == (f"{path.name} is not UTF-8; read as Windows-1252 (2 lines with such signs, the first is line 3)",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,report\n1,é\n".encode() + b"2,\xe9\n", "FILE, line 3: byte 0xe9 is not UTF-8, though other lines are"),
        (b"id,report\n1,\x81\n", "FILE, line 2: byte 0x81 is neither UTF-8 nor Windows-1252; save the file as UTF-8"),
        ("id,report\n1,a\n".encode("utf-16-le"), "FILE, line 1: NUL bytes in the text (UTF-16 without its byte order mark?)"),
        (b"id,report\n1,a\n2,b\0c\n", "FILE, line 3: NUL bytes"),
        ("id,report\n1,a\n".encode("utf-16") + b"\x41", "FILE, line 3: broken UTF-16"),
    ],
    ids=["mixed", "no sign of Windows-1252", "UTF-16 without mark", "NUL", "half a UTF-16 unit"],
)
def test_a_wrong_encoding_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in refusal(write(tmp_path, "r.csv", content))


def test_ids_stay_as_written_but_for_whole_numbers_that_pandas_made_floats(tmp_path: Path) -> None:
    assert list(read_reports(write(tmp_path, "a.csv", "id,report\n007,a\n1e5,b\n 8,c\n12.0,d\n")).texts) == ["007", "1e5", " 8", "12.0"]
    assert list(read_reports(write(tmp_path, "b.csv", "id,report\n12.0,a\n7.0,b\n")).texts) == ["12", "7"]
    pd.DataFrame({"id": [12.0, 7.0], "report": ["a", "b"]}).to_parquet(tmp_path / "c.parquet")
    assert list(read_reports(tmp_path / "c.parquet").texts) == ["12", "7"]
    assert list(read_reports(write(tmp_path, "d.json", '[{"id": 12, "report": "a"}, {"id": 1.5, "report": "b"}]')).texts) == ["12", "1.5"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", "id,report\n1,\n2,nan\n3,Normal.\n,\n4, \n"),
        ("r.json", '{"1": null, "2": NaN, "3": "Normal.", "4": " "}'),
        ("r.jsonl", '{"id": 1}\n{"id": 2, "report": null}\n{"id": 3, "report": "Normal."}\n{"id": 4, "report": " "}\n'),
    ],
)
def test_a_missing_text_is_an_empty_report_and_counted(tmp_path: Path, name: str, content: str) -> None:
    read = read_reports(write(tmp_path, name, content))
    assert read.texts == {"1": "", "2": "", "3": "Normal.", "4": " "}
    assert read.empty == ("1", "2", "4")


def test_a_missing_text_in_parquet_is_an_empty_report(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["1", "2"], "report": ["Normal.", None]}).to_parquet(tmp_path / "r.parquet")
    assert read_reports(tmp_path / "r.parquet").empty == ("2",)


def test_a_row_with_a_failure_is_no_report(tmp_path: Path) -> None:
    """Else a model that failed would be scored as if it had written an empty report."""
    path = write(tmp_path, "reports.jsonl", '{"case_id": "1", "text": "", "failure": "no image"}\n{"case_id": "2", "text": "", "failure": ""}\n')
    read = read_reports(path)
    assert (read.texts, read.failures, read.empty) == ({"2": ""}, {"1": "no image"}, ("2",))


def test_a_very_long_report_is_read(tmp_path: Path) -> None:
    """Python's csv refuses more than 128 kB in a cell unless told otherwise."""
    assert len(read_reports(write(tmp_path, "r.csv", "id,report\n1," + "word " * 100_000 + "\n")).texts["1"]) == 500_000


def test_a_named_column_wins_over_the_known_names(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", "subject,id,report,impression\np1,1,a,b\n")
    assert read_reports(path, id_column="subject", text_column="impression").texts == {"p1": "b"}


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("study_id,dicom_id,report\n1,2,a\n", {}, "FILE: several columns could hold the id (study_id, dicom_id); say which with --id-column"),
        ("id,reference,prediction\n1,2,a\n", {}, "several columns could hold the text (reference, prediction); say which with --text-column"),
        ("nr,report\n1,a\n", {}, "its columns are 'nr', 'report'; name one with --id-column"),
        ("id,report\n1,a\n", {"text_column": "txt"}, "FILE: no column 'txt'; its columns are 'id', 'report'; name one with --text-column"),
        ("id,report,report\n1,a,b\n", {"text_column": "report"}, "2 columns are called 'report'; rename all but one"),
    ],
    ids=["two ids", "two texts", "no id", "named but absent", "twice"],
)
def test_an_unclear_column_is_never_guessed(tmp_path: Path, content: str, columns: dict[str, str], message: str) -> None:
    assert message in refusal(write(tmp_path, "r.csv", content), **columns)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.csv", "", "FILE: the file is empty; expected reports with an id each"),
        ("r.csv", "id,report\n", "FILE: holds no reports"),
        ("r.json", "[]", "FILE: holds no reports"),
        ("r.json", "3", "FILE: holds a number; expected an object id -> text or an array of objects"),
        ("r.json", '{"a": 1,\n "b" 2}', "FILE, line 2, column 6: broken JSON (Expecting ':' delimiter)"),
        ("r.json", '{"id": "1"}\n{"id": "2"}', "one object per line is JSON lines: call the file .jsonl"),
        ("r.json", "[" * 100_000, "FILE: JSON nested too deeply"),
        ("r.json", '{"train": [{"id": 1}], "test": [{"id": 2}]}', "FILE: 2 lists of objects ('train', 'test'); keep the one that is meant"),
        ("r.json", '{"1": ["a", "b"]}', "FILE, entry '1' (id '1'): the report is a list, not text"),
        ("r.json", '{"1": "a\\u0000b"}', "FILE, entry '1' (id '1'): NUL characters in the report"),
        ("r.json", '{"1": "a\\ud800"}', "FILE, entry '1' (id '1'): half a surrogate pair in the report"),
        ("r.json", '[{"id": 1, "text": "a"}, "b"]', "FILE, row 2: a text; expected an object with an id and a text"),
        ("r.json", '[{"id": [1], "text": "a"}]', "FILE, row 1: the id is a list; write ids as text"),
        ("r.json", '[{"id": 1e300, "text": "a"}]', "the id 1e+300 is a floating-point number that has lost digits"),
        ("r.jsonl", '{"id": "1", "text": "a"}\n{"id": "2", "te', "FILE, line 2: the last line is half-written; delete it or write the file again"),
        ("r.jsonl", '{"id": "1", text}\n{"id": "2", "text": "a"}\n', "FILE, line 1, column 13: broken JSON"),
        ("r.jsonl", '{"id": "1", "text": 5}\n', "FILE, line 1 (id '1'): the report is a number, not text"),
        (
            "r.csv",
            "id,report\n1,Heart, lungs\n",
            "FILE, line 2: 3 cells where the header has 2; a report with a comma in it must stand in double quotes",
        ),
        ("r.csv", 'id,report\n1,"a\nb"\n2\n', "FILE, line 4: 1 cells where the header has 2"),
        ("r.csv", 'id,report\n1,a\n2,"never closed\n3,b\n', "FILE, line 3: broken CSV (unexpected end of data)"),
        ("r.csv", "id,report\n1,a\n2,b\n1,c\n2,d\n", "FILE: 2 ids occur more than once ('1', '2'); keep one report for each"),
        ("r.json", '{"1": "a", "1": "b"}', "FILE: 1 ids occur more than once ('1')"),
        ("r.csv", "id,report\n1,a\n,b\nnan,c\n", "FILE: 2 reports have no id (line 3, line 4); give each its case's id"),
        ("r.xlsx", "PK", "FILE: cannot tell the format by the name; known endings: .csv, .tsv"),
        ("reports", "id,report", "FILE: cannot tell the format by the name"),
        ("r.csv.gz", "id,report\n1,a\n", "FILE: broken gzip file"),
        ("r.csv.gz", gzip.compress(b"id,report\n1,a\n" * 99, mtime=0)[:-9], "FILE: broken gzip file"),
        ("r.parquet", "PAR1 but no more", "FILE: broken Parquet file"),
        ("r.parquet.gz", "x", "FILE: Parquet is compressed within; unpack the .gz"),
    ],
)
def test_bad_input_gets_one_line_that_names_the_place(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    assert message in refusal(write(tmp_path, name, content))


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    assert refusal(tmp_path / "r.csv") == "FILE: no such file; give the path of a file of reports"
    (tmp_path / "r.csv").mkdir()
    assert refusal(tmp_path / "r.csv") == "FILE: is a folder; give one file of reports"


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda name: name.strip() and name[0] not in "nN<"),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        min_size=1,
    )
)
def test_what_is_written_as_json_lines_is_read_back_sign_by_sign(tmp_path_factory: pytest.TempPathFactory, texts: Mapping[str, str]) -> None:
    lines = "".join(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n" for name, text in texts.items())
    path = write(tmp_path_factory.mktemp("lines"), "r.jsonl", lines)
    assert read_reports(path).texts == texts


def test_reports_are_paired_by_id_whatever_their_order() -> None:
    matched = match({"1": "a", "2": "b", "3": "c"}, {"3": "C", "1": "A", "2": "B"})
    assert matched.ids == ["1", "2", "3"]
    assert list(zip(matched.references, matched.predictions, strict=True)) == [("a", "A"), ("b", "B"), ("c", "C")]
    assert (matched.unscored, matched.unused) == ([], [])


def test_ids_on_one_side_only_are_refused_with_the_first_of_each() -> None:
    references = {str(number): "" for number in range(10)}
    with pytest.raises(MismatchedIds) as caught:
        match(references, {"0": "", "x": ""})
    assert str(caught.value) == (
        "1 ids are in both references and predictions, but 9 references have no prediction ('1', '2', '3', '4', '5', ...) and "
        "1 predictions have no reference ('x'); add what is missing, or score what both have and count the rest as unscored with --missing unscored"
    )


def test_missing_predictions_can_be_counted_as_unscored() -> None:
    matched = match({"1": "a", "2": "b"}, {"2": "B", "x": "X"}, missing="unscored")
    assert (matched.ids, matched.unscored, matched.unused) == (["2"], ["1"], ["x"])


@pytest.mark.parametrize("missing", ["fail", "unscored"])
@pytest.mark.parametrize(("references", "predictions"), [({"1": "a"}, {"01": "a"}), ({}, {"1": "a"}), ({"1": "a"}, {}), ({}, {})])
def test_two_sides_without_a_common_id_are_always_refused(missing: str, references: dict[str, str], predictions: dict[str, str]) -> None:
    with pytest.raises(MismatchedIds, match="no id is in both references and predictions"):
        match(references, predictions, missing=missing)  # type: ignore[arg-type]


def test_an_unknown_word_for_missing_is_refused() -> None:
    with pytest.raises(UserError, match="missing='skip': what to do with ids that one side lacks is either fail or unscored"):
        match({"1": ""}, {"1": ""}, missing="skip")  # type: ignore[arg-type]
