"""Annotators: by rules, from a file, and what is kept of those that take long."""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.annotating.annotation_file import AnnotationFile, NotAnnotated, UnreadableAnnotations
from benchmark.annotating.annotations import Annotation, fault_of
from benchmark.annotating.once import BATCH, annotate_once
from benchmark.annotating.rules import RuleAnnotator, annotate
from benchmark.datasets.phantom import generate

A, O = "Anatomy::definitely present", "Observation::definitely present"  # noqa: E741
ABSENT, UNCERTAIN = "Observation::definitely absent", "Observation::uncertain"


def said(report: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Token -> label and relations, by words instead of keys."""
    entities = annotate(report)["entities"]
    return {one["tokens"]: (one["label"], [(kind, entities[other]["tokens"]) for kind, other in one["relations"]]) for one in entities.values()}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            "Small right pleural effusion.",
            {
                "Small": (O, [("modify", "effusion")]),
                "right": (A, [("modify", "pleural")]),
                "pleural": (A, []),
                "effusion": (O, [("located_at", "pleural")]),
            },
        ),
        ("No pneumothorax.", {"pneumothorax": (ABSENT, [])}),
        ("No effusion but stable cardiomegaly.", {"effusion": (ABSENT, []), "stable": (O, [("modify", "cardiomegaly")]), "cardiomegaly": (O, [])}),
        ("Possible nodule.", {"nodule": (UNCERTAIN, [])}),
        ("Pneumonia cannot be excluded.", {"Pneumonia": (UNCERTAIN, [])}),
        ("Effusion has resolved.", {"Effusion": (ABSENT, [])}),
        ("The lungs are clear.", {"lungs": (A, []), "clear": (O, [("located_at", "lungs")])}),
        (
            "Opacity at the left base, suggesting pneumonia.",
            {
                "Opacity": (O, [("located_at", "base"), ("suggestive_of", "pneumonia")]),
                "left": (A, [("modify", "base")]),
                "base": (A, []),
                "pneumonia": (UNCERTAIN, [("located_at", "base")]),
            },
        ),
        ("", {}),
        (" \n", {}),
        ("Здравствуйте. 胸部", {}),
    ],
    ids=lambda value: repr(value)[:30] if isinstance(value, str) else "",
)
def test_rules_find_entities_and_relations_as_radgraph_describes_them(report: str, expected: dict[str, Any]) -> None:
    """Read by hand after the examples of Jain et al. 2021: modifiers modify, an observation lies at its anatomy."""
    assert said(report) == expected


def test_a_decimal_point_ends_no_sentence_and_places_count_tokens_of_the_whole_report() -> None:
    found = annotate("No effusion of 1.5 cm or mass. Edema.")
    assert found["text"] == "No effusion of 1 . 5 cm or mass . Edema ."
    assert [(one["tokens"], one["label"], one["start_ix"]) for one in found["entities"].values()] == [
        ("effusion", ABSENT, 1),
        ("mass", ABSENT, 8),
        ("Edema", O, 10),
    ]


def test_what_rules_say_is_an_annotation_of_the_packages_form(tmp_path: Path) -> None:
    generate(tmp_path / "phantoms", train=12, validate=1, test=1, seed=5, fast=True, progress=False, workers=1)
    reports = [file.read_text(encoding="utf-8") for file in sorted((tmp_path / "phantoms").rglob("s*.txt"))]
    found = RuleAnnotator().annotate(reports)
    assert [fault_of(annotation) for annotation in found] == [""] * len(reports)
    assert sum(len(annotation["entities"]) for annotation in found) > 10 * len(reports)
    for annotation in found:
        tokens = annotation["text"].split(" ")
        assert all(tokens[entity["start_ix"]] == entity["tokens"] for entity in annotation["entities"].values())


ENTITY = {"tokens": "effusion", "label": ABSENT, "start_ix": 1, "end_ix": 1, "relations": []}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"0": {"text": "No effusion .", "entities": {"1": ENTITY}}}),
        json.dumps({"No effusion.": {"entities": {"1": ENTITY}}}),
        json.dumps({"report": "No effusion.", "entities": {"1": ENTITY}}) + "\n",
        json.dumps({"text": "No effusion .", "entities": {"1": ENTITY}}) + "\n\n" + json.dumps({"report": "Edema.", "entities": {}}),
    ],
    ids=["as the package returns it", "by report", "a report a line", "a text a line"],
)
def test_a_file_is_read_in_the_forms_that_annotations_are_kept_in(tmp_path: Path, content: str) -> None:
    file = tmp_path / "annotations.json"
    file.write_text(content, encoding="utf-8")
    found = AnnotationFile(str(file)).annotate(["No effusion.", ""])
    assert [list(annotation["entities"].values()) for annotation in found] == [[ENTITY], []]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no annotations in it; write what the package radgraph returns"),
        ("{]", "line 1: not JSON"),
        (json.dumps({"0": {"text": "a"}}), "key '0': not an object with entities"),
        (json.dumps({"a": {"entities": {"1": {"tokens": "a"}}}}), "key 'a': entity '1' has no tokens and label that are text"),
        (json.dumps({"a": {"entities": {"1": {**ENTITY, "relations": [["modify", "9"]]}}}}), "there is no entity '9'"),
        (json.dumps({"a": {"entities": {"1": {**ENTITY, "relations": [["modify", ["1"]]]}}}}), r"and there is no entity \['1'\]"),
        (json.dumps({"a": {"entities": {"1": {**ENTITY, "relations": [["likes", "1"]]}}}}), "known kinds are modify, located_at, suggestive_of"),
        (json.dumps({"a": {"entities": {"1": {**ENTITY, "relations": ["modify"]}}}}), r"which is not \[kind, key of the other entity\]"),
        (json.dumps({"entities": {}}), "line 1: says of no report what it annotates"),
        (
            json.dumps({"report": "a", "entities": {}}) + "\n" + json.dumps({"report": "a", "entities": {"1": ENTITY}}),
            "line 2: annotates the report that begins 'a' otherwise than a place before it",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "annotations.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UnreadableAnnotations, match=message):
        AnnotationFile(str(file))


def test_a_missing_file_and_a_report_that_was_not_annotated_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAnnotations, match=r"cannot be read .*radgraph.annotator=file:PATH"):
        AnnotationFile(str(tmp_path / "none.json"))
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps({"Edema.": {"entities": {}}}), encoding="utf-8")
    with pytest.raises(NotAnnotated, match=r"has 1 annotations, and none of 1 of 2 reports, the first of which begins 'Mass.'"):
        AnnotationFile(str(file)).annotate(["Edema.", "Mass."])


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["", "with a byte order mark"])
def test_an_object_is_read_alike_in_parts_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None, is_ascii: bool, mark: bytes
) -> None:
    """Reports with signs of two, three and four bytes, quotes and braces, so that a part ends within each of them."""
    monkeypatch.setattr("benchmark.annotating.annotation_file.CHUNK", chunk)
    reports = ["Café: 3\u2009cm {nodule}.", 'The "heart" is \\ large.', "\U0001fac1 clear, }", "x" * 300]
    said = {report: {"text": report, "entities": {"1": {**ENTITY, "tokens": report}}} for report in reports}
    file = tmp_path / "annotations.json"
    file.write_bytes(mark + json.dumps(said, indent=indent, ensure_ascii=is_ascii).encode())
    assert AnnotationFile(str(file)).annotate(reports[::-1]) == [said[report] for report in reports[::-1]]
    file.write_bytes(mark + "\n\n".join(json.dumps({"report": r, **a}, ensure_ascii=is_ascii) for r, a in said.items()).encode())
    assert [one["text"] for one in AnnotationFile(str(file)).annotate(reports)] == reports


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": {"entities": {}}, "b": {"enti', r"not JSON \(the object breaks off, or is none\)"),
        (b'{"a": {"entities": {}}, "a": {"entities": {"1": %s}}}' % json.dumps(ENTITY).encode(), "annotates the report that begins 'a' otherwise"),
        (b'{"a": {"entities": {}}} {"b": {"entities": {}}}', r"not JSON \(there is more behind the object\)"),
        (b'{"a": {"entities": {}}; "b": {"entities": {}}}', "not JSON"),
        (b'{"a": {"entities": {}}, "caf\xe9": {"entities": {}}}', "not UTF-8"),
        (b'{"report": "caf\xe9", "entities": {}}', "not UTF-8"),
        (b'{"report": "a", "entities": ' + b"[" * 100_000, "line 1: not JSON"),
        (b"[1, 2]", "line 1: says of no report what it annotates"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "annotations.json"
    file.write_bytes(content)
    with pytest.raises(UnreadableAnnotations, match=message):
        AnnotationFile(str(file))


def test_a_file_that_changed_after_it_was_looked_through_is_not_read_from(tmp_path: Path) -> None:
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps({"Edema.": {"entities": {}}}), encoding="utf-8")
    found = AnnotationFile(str(file))
    file.write_text(json.dumps({"Clear.": {}, "Edema.": {"entities": {"1": ENTITY}}}), encoding="utf-8")
    with pytest.raises(UnreadableAnnotations, match="was changed since this command began to read it"):
        found.annotate(["Edema."])


class Slow:
    """An annotator that is worth keeping, stops dead at its ``breaks_at``-th batch, and says what it was asked."""

    def __init__(self, name: str = "slow", breaks_at: int = -1) -> None:
        self.name, self.breaks_at, self.asked = name, breaks_at, list[list[str]]()

    def annotate(self, reports: Sequence[str]) -> list[Annotation]:
        if len(self.asked) == self.breaks_at:
            raise KeyboardInterrupt
        self.asked.append(list(reports))
        return [{"text": f"{self.name} {report}", "entities": {}} for report in reports]

    def signature(self) -> str:
        return f"{self.name}|v1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path))
    return tmp_path


def test_a_run_that_was_killed_goes_on_where_it_stopped_the_longest_reports_first(folder: Path) -> None:
    reports = ["x" * length for length in range(1, 2 * BATCH + 2)]
    killed, again = Slow(breaks_at=1), Slow()
    with pytest.raises(KeyboardInterrupt):
        dict(annotate_once(killed, reports))
    found = dict(annotate_once(again, reports))
    assert [len(report) for report in killed.asked[0]] == list(range(2 * BATCH + 1, BATCH + 1, -1))
    assert [len(batch) for batch in again.asked] == [BATCH, 1]
    assert found == {report: {"text": f"slow {report}", "entities": {}} for report in reports}


def test_what_one_annotator_said_is_not_taken_for_what_another_would_say(folder: Path) -> None:
    assert dict(annotate_once(Slow("first"), ["a"])) != dict(annotate_once(Slow("second"), ["a"]))
    second = Slow("second")
    assert dict(annotate_once(second, ["a"]))["a"]["text"] == "second a"
    assert second.asked == []


def test_the_file_of_annotations_is_its_owners_alone(folder: Path) -> None:
    """It holds the text of reports."""
    dict(annotate_once(Slow(), ["a"]))
    assert (folder / "annotations" / "annotations.sqlite").stat().st_mode & 0o077 == 0


def test_where_nothing_can_be_kept_it_is_said_and_annotated_all_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "annotations").write_text("a file where the folder would be")
    assert dict(annotate_once(Slow(), ["a"]))["a"]["text"] == "slow a"
    assert "annotations are not kept, and another run will make them again" in capsys.readouterr().err
