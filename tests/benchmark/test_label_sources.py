"""Labels of cases by the name of their source, and the file that carries them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmark.labelling.choose import labeller_named
from benchmark.labelling.label_file import UnreadableLabels, read_labels, write_labels
from benchmark.labelling.sources import FromReports, MissingLabels, label_source, short_name
from benchmark.records import Case, Lesion, Lesions, Reference, UserError
from benchmark.vocabulary import LESIONS


def stating(*names: str, side: str = "not mentioned") -> Lesions:
    return tuple(Lesion(name, "positive", side) if name in names else Lesion(name, "negative", certainty="not mentioned") for name in LESIONS)


# Two images of one study, which share a report, and a third of another.
CASES = [Case("a", "p", "s1", ()), Case("b", "p", "s1", ()), Case("c", "q", "s2", ())]
REFERENCES = [
    Reference("a", "Small left pleural effusion.", lesions=stating("mass")),
    Reference("b", "Small left pleural effusion.", lesions=stating("mass")),
    Reference("c", "The heart is enlarged.", lesions=stating()),
]


def positives(labels: list[Lesions]) -> list[set[str]]:
    return [{lesion.name for lesion in lesions if lesion.status == "positive"} for lesions in labels]


def test_each_source_says_what_it_knows(tmp_path: Path) -> None:
    write_labels(tmp_path / "made.jsonl", [("c", stating("hernia")), ("a", stating()), ("b", stating("nodule"))])
    assert positives(label_source("truth").lesions(CASES, REFERENCES)) == [{"mass"}, {"mass"}, set()]
    assert positives(label_source("rules").lesions(CASES, REFERENCES)) == [{"pleural effusion"}, {"pleural effusion"}, {"cardiomegaly"}]
    assert positives(label_source(f"file:{tmp_path / 'made.jsonl'}").lesions(CASES, REFERENCES)) == [set(), {"nodule"}, {"hernia"}]


def test_a_file_of_studies_serves_all_their_images(tmp_path: Path) -> None:
    write_labels(tmp_path / "studies.jsonl", [("s1", stating("edema")), ("s2", stating())])
    assert positives(label_source(f"file:{tmp_path / 'studies.jsonl'}").lesions(CASES, REFERENCES)) == [{"edema"}, {"edema"}, set()]


def test_a_labeller_takes_its_settings() -> None:
    hedged = [Reference("a", "Possible pneumonia.")]
    assert positives(label_source("rules").lesions(CASES[:1], hedged)) == [{"pneumonia"}]
    assert positives(label_source("rules", {"hedges": "gold_openi"}).lesions(CASES[:1], hedged)) == [set()]


@pytest.mark.parametrize(
    ("name", "references", "message"),
    [
        ("truth", [Reference("a", "x", lesions=stating()), Reference("b", "x"), Reference("c", "x")], "no lesions for 2 of 3 cases, the first 'b'"),
        ("rules", [Reference("a", "x"), Reference("b", " "), Reference("c", "x")], "rules: no reference report, .* for 1 of 3 cases, the first 'b'"),
    ],
)
def test_cases_that_a_source_does_not_know_are_counted_and_the_first_is_named(name: str, references: list[Reference], message: str) -> None:
    with pytest.raises(MissingLabels, match=rf"{message}; name another source of labels \(truth, file:PATH, .*rules.*\), or give it those too"):
        label_source(name).lesions(CASES, references)


def test_ids_that_a_file_lacks_are_counted_and_so_are_those_without_an_answer(tmp_path: Path) -> None:
    write_labels(tmp_path / "made.jsonl", [("a", stating()), ("b", ()), ("x", stating())])
    with pytest.raises(MissingLabels, match=r"^made\.jsonl has no labels for 2 of 3 cases, the first 'b'; name another source"):
        label_source(f"file:{tmp_path / 'made.jsonl'}").lesions(CASES, REFERENCES)


def test_a_labeller_that_does_not_answer_is_no_report_without_lesions() -> None:
    class Shy:
        def label(self, reports: list[str]) -> list[Lesions]:
            return [() if "heart" in report else stating() for report in reports]

        def signature(self) -> str:
            return "shy|v:1"

    with pytest.raises(MissingLabels, match="shy: no reference report, or no answer of the labeller, for 1 of 3 cases, the first 'c'"):
        FromReports(Shy()).lesions(CASES, REFERENCES)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["oracle", "file", "file:", "truth:x", "rules:x"])
def test_an_unknown_source_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match=f"no labels named '{name}'; known: truth, file:PATH, .*rules"):
        label_source(name)


@pytest.mark.parametrize("name", ["truth", "file:labels.jsonl"])
def test_labels_by_case_are_no_labeller_of_texts(name: str) -> None:
    with pytest.raises(UserError, match=rf"no labeller named '{name}'; known: .*rules.*; such labels are looked up by case and cannot read a text"):
        labeller_named(name)


def test_signatures_tell_the_sources_apart_and_name_no_folder(tmp_path: Path) -> None:
    for name, label in (("one", "edema"), ("other", "mass")):
        write_labels(tmp_path / f"{name}.jsonl", [("a", stating(label))])
    names = ["truth", "rules", f"file:{tmp_path / 'one.jsonl'}", f"file:{tmp_path / 'other.jsonl'}"]
    signatures = [label_source(name).signature() for name in names]
    assert len(set(signatures)) == 4
    assert str(tmp_path) not in " ".join(signatures)
    assert [short_name(name) for name in names] == ["truth", "rules", "file:one.jsonl", "file:other.jsonl"]


def test_a_file_of_labels_comes_back_as_it_was_written(tmp_path: Path) -> None:
    labels = {"a": stating("edema", side="left"), "b": (), "ü": stating()}
    write_labels(tmp_path / "deep" / "labels.jsonl", labels.items())
    assert read_labels(tmp_path / "deep" / "labels.jsonl").lesions == labels


def test_a_rationale_may_hold_signs_that_end_lines_elsewhere(tmp_path: Path) -> None:
    """U+2028, U+0085 and a carriage return, as texts copied from web pages and old systems have them."""
    quoted = tuple(Lesion(lesion.name, lesion.status, rationale="No\u2028edema\x85at\rall") for lesion in stating())
    write_labels(tmp_path / "labels.jsonl", [("a", quoted), ("b", stating())])
    assert read_labels(tmp_path / "labels.jsonl").lesions == {"a": quoted, "b": stating()}


def test_lesions_may_stand_in_any_order_and_need_no_more_than_name_and_status(tmp_path: Path) -> None:
    lesions = [{"name": name, "status": "positive" if name == "mass" else "negative"} for name in reversed(LESIONS)]
    (tmp_path / "labels.jsonl").write_text("\n" + json.dumps({"id": "a", "lesions": lesions}) + "\n\n")
    (read,) = read_labels(tmp_path / "labels.jsonl").lesions.values()
    assert tuple(lesion.name for lesion in read) == LESIONS
    assert read[LESIONS.index("mass")] == Lesion("mass", "positive")


GOOD = {"id": "b", "lesions": [asdict(lesion) for lesion in stating()]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Expecting property name"),
        ("3", r"not an object with an id \(a string\) and lesions \(a list\)"),
        (json.dumps({"lesions": []}), "'id' is missing"),
        (json.dumps({"id": "b"}), "'lesions' is missing"),
        (json.dumps({"id": 7, "lesions": []}), r"not an object with an id \(a string\)"),
        (json.dumps({**GOOD, "id": "a"}), "the id 'a' was there before; give each case one line"),
        (json.dumps({"id": "b", "lesions": GOOD["lesions"][1:]}), r"13 lesions where each of the 14 is due once \(there is no cardiomegaly\)"),
        (json.dumps({"id": "b", "lesions": [*GOOD["lesions"], GOOD["lesions"][0]]}), "15 lesions where each of the 14 is due once;"),
        (json.dumps({"id": "b", "lesions": [{"name": "flu", "status": "positive"}]}), "no lesion named 'flu'; known: cardiomegaly, "),
        (json.dumps({"id": "b", "lesions": [{"name": "mass", "status": "yes"}]}), "mass has status 'yes'; it is one of: positive, negative"),
        (json.dumps({"id": "b", "lesions": [{"name": "mass", "status": "positive", "side": "up"}]}), "mass has side 'up'; it is one of: left, "),
        (json.dumps({"id": "b", "lesions": [{"name": "mass"}]}), "missing 1 required positional argument: 'status'"),
    ],
)
def test_a_line_that_is_no_label_is_named_with_what_is_wrong(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "labels.jsonl").write_text(json.dumps({**GOOD, "id": "a"}) + "\n" + line + "\n")
    with pytest.raises(UnreadableLabels, match=rf"labels\.jsonl, line 2: .*{message}"):
        read_labels(tmp_path / "labels.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no labels in it; make them with `python -m benchmark label`"), (b"\xff\xfe\x00", "not UTF-8"), (None, "No such file")],
)
def test_a_file_that_holds_no_labels_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "labels.jsonl").write_bytes(content)
    with pytest.raises(UnreadableLabels, match=message):
        read_labels(tmp_path / "labels.jsonl")
