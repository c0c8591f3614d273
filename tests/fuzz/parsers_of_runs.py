"""More ways in: finished runs that somebody sent, the words of servers and programs, what lies beside weights, tables of the published data sets."""

from __future__ import annotations

import atexit
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from way_in import Parser, of_file

from adapters import command
from adapters.pretrained import NoNetwork
from adapters.prompted.answer import findings_of
from adapters.prompted.answer import read_answer as read_written
from adapters.radgraph.archive import CONFIG, VOCABULARY, WEIGHTS, WrongArchive, read_archive
from adapters.vision_language.pieces import read_pieces
from benchmark import evaluator
from benchmark.datasets.columns import read_rows
from benchmark.datasets.imagenome_gold import read_annotations
from benchmark.datasets.lesion_columns import BadLabel, lesion_columns, lesions_named, lesions_of
from benchmark.datasets.mimic_metadata import read_metadata, view_counts
from benchmark.gate.sealed import read_sealed
from benchmark.llm.failures import read_failure
from benchmark.llm.openai_wire import read_reply
from benchmark.llm.wire import Trouble
from benchmark.records import RunConfig, UserError
from benchmark.runs import ModelFolder
from benchmark.screen import visible
from benchmark.tables import ENDINGS, as_text, tables_of
from benchmark.tables.finished import as_material, read_finished
from benchmark.viewer.data_files import column, read_column, read_part, script
from benchmark.viewer.read_back import KeptReports, kept_cases
from benchmark.vocabulary import LESIONS
from clala import aggregate


@lru_cache(maxsize=1)
def small_run() -> Path:
    """A run of three cases and two models, made once for all."""
    place = Path(tempfile.mkdtemp(prefix="clala-fuzz-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    texts = {"a": "Small left effusion.", "b": "Clear lungs.", "c": "No pneumothorax."}
    config = RunConfig((), ("rouge_l",), "", draws=10, seed=1, strata=False)
    evaluator.score_reports(texts, {"one": texts, "two": dict.fromkeys(texts, "Clear.")}, config, place / "run")
    return place / "run"


def in_run(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A parser of the bytes of one file in a run whose checksums are those of the bytes: who makes up a file makes up its checksum too."""

    def read_bytes(content: bytes) -> object:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(shutil.copytree(small_run(), Path(place, "run")))
            (folder / name).write_bytes(content)
            if name != "run.json":
                record = json.loads((folder / "run.json").read_text())
                record["files"][name] = hashlib.sha256(content).hexdigest()
                (folder / "run.json").write_text(json.dumps(record))
            return read(folder)

    return read_bytes


def read_run(folder: Path) -> None:
    """Everything that is made of a run without measuring it anew."""
    given = as_material(read_finished(folder))
    for table in tables_of(given):
        for ending in ENDINGS:
            as_text(table, ending)
    sealed = read_sealed(folder)
    cases = kept_cases(folder)
    assert [case.id for case in cases] == list(sealed.cases), "an order of their own"
    for model in sealed.models:
        written = sealed.reports(model)
        kept = KeptReports(sealed.folder(model).reports_file, list(sealed.references.values()))
        assert list(kept) == written == [kept[place] for place in range(len(kept))]


def read_kept_statistics(content: bytes) -> None:
    """What a run folder keeps of a metric, or nothing: never another's."""
    with tempfile.TemporaryDirectory() as place:
        Path(place, "m.npz").write_bytes(content)
        found = ModelFolder(Path(place)).read_statistics("m", "this")
        assert found is None or isinstance(found, np.ndarray)


def statistics() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        ModelFolder(Path(place)).write_statistics("m", np.ones((2, 3)), "this")
        return Path(place, "m.npz").read_bytes()


def read_page(path: Path) -> None:
    """A part of a page; what is read is written as it was."""
    name, value = read_part(path)
    if isinstance(name, str):
        again = path.with_name("again.js")
        again.write_text(script(name, value), encoding="ascii")
        assert read_part(again) == (name, value)


def read_completion(content: bytes) -> None:
    """What a server answers with, of any status."""
    failure = read_failure(content)
    assert all(isinstance(part, str) for part in failure)
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return
    if isinstance(body, dict):
        assert isinstance(read_reply(body).text, str)


def read_program_line(content: bytes) -> None:
    """A line of a program that is a model: nothing, a report that can be kept, or a failure that says why."""
    answer = command._parse(content)
    if answer is not None:
        report = command.read_answer("a", answer)
        assert report.case_id == "a"
        assert not (report.failure and report.text)
        json.dumps(vars(report), ensure_ascii=False).encode()


def read_written_report(content: bytes) -> None:
    """An answer in words: a part of what was written, and of a report nothing is left when it is read again but the same."""
    text = content.decode("utf-8", "replace")
    for section in ("findings", "whole"):
        answer = read_written(text, section)  # type: ignore[arg-type]
        assert answer.text in text
    assert findings_of(findings_of(text)) in text
    assert visible(visible(text)) == visible(text)
    assert aggregate.lost_findings([text], text) == [], "a report lost its own findings"


def read_labelled(path: Path) -> None:
    """The 14 lesions as CheXpert, NIH and others put them into tables."""
    for line, row in read_rows(path):
        columns = lesion_columns(row)
        readings = [partial(lesions_named, cell, "here") for cell in row.values()]
        if columns:
            readings.append(partial(lesions_of, row, columns, f"line {line}"))
        for read in readings:
            try:
                found = read()
            except BadLabel:
                continue
            assert found is None or tuple(lesion.name for lesion in found) == LESIONS


def read_shots(path: Path) -> None:
    """MIMIC-CXR-JPG's metadata."""
    shots = read_metadata(path, {"10", "11"})
    assert shots.keys() <= {"10", "11"}
    view_counts(path)


def read_gold(path: Path) -> None:
    """Chest ImaGenome's gold standard: boxes and attributes, here in one table."""
    read_annotations(path, path)


def archive() -> bytes:
    """A network of RadGraph without weights worth the name."""
    import torch

    held, weights = io.BytesIO(), io.BytesIO()
    torch.save({"a": torch.zeros(1)}, weights)
    files = {CONFIG: b"{}", WEIGHTS: weights.getvalue(), f"{VOCABULARY}/tokens.txt": b"a\nb\n"}
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return held.getvalue()


def pieces() -> bytes:
    """A vocabulary of SentencePiece, as a protobuf message."""
    import struct

    found = b""
    for text, kind in ((b"<unk>", 2), (b"<s>", 3), (b"</s>", 3), (b"a", 1)):
        one = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", -1.0) + b"\x18" + bytes([kind])
        found += b"\x0a" + bytes([len(one)]) + one
    return found


def of_run(name: str) -> bytes:
    return (small_run() / name).read_bytes()


LABELLED = (",".join(["id", "finding", *LESIONS]) + "\nx,Effusion|Mass," + ",".join(["1", "-1", "", *["0"] * 11]) + "\n").encode()
METADATA = (
    b"dicom_id,subject_id,study_id,ViewPosition,Rows,Columns,StudyDate,StudyTime\n"
    b"0a,10,50,PA,10,20,21800101,120000.5\n0b,p11,s51,LATERAL,x,,2180,99\n"
)
GOLD = (
    b"image_id,bbox_name,original_x1,original_y1,original_x2,original_y2,patient_id,study_id,relation,context,bbox,row_id,sentence,attribute\n"
    b"a.dcm,left lung,1,2,3,4,10,50,1,yes,left lung,1|2,Clear.,abnormal\n"
)
COMPLETION = b'{"model": "m", "choices": [{"message": {"content": "Clear."}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}'
ANSWER = b'{"id": "a", "report": "Clear.", "regions": {"left lung": "Clear."}, "details": {"seconds": 1.5}}'
WRITTEN = b"<think>A heart.</think>\n**FINDINGS:**\nSmall left effusion. No pneumothorax.\n\n**IMPRESSION:** Effusion.\n"
PAGE = script("cases", {"n": 2, "is": column(np.array([1, 2]), "u8")}).encode("ascii")

OF_RUNS: dict[str, Parser] = {
    "run_record": Parser(in_run("run.json", read_run), (UserError,), (of_run("run.json"),)),
    "run_rows": Parser(in_run("rows.csv", read_run), (UserError,), (of_run("rows.csv"),)),
    "run_cases": Parser(in_run("cases.jsonl", read_run), (UserError,), (of_run("cases.jsonl"),)),
    "run_references": Parser(in_run("references.jsonl", read_run), (UserError,), (of_run("references.jsonl"),)),
    "run_reports": Parser(in_run("one/reports.jsonl", read_run), (UserError,), (of_run("one/reports.jsonl"),)),
    "run_statistics": Parser(read_kept_statistics, (), (statistics(),)),
    "page": Parser(of_file("cases.js", read_page), (UserError,), (PAGE,)),
    "page_column": Parser(lambda content: read_column({"type": "u8", "data": content.decode("latin-1")}), (ValueError,), (b"AQI=",)),
    "completion": Parser(read_completion, (Trouble,), (COMPLETION, b'{"error": {"message": "no", "code": "x", "param": null}}', b'[{"error": 3}]')),
    "program": Parser(read_program_line, (), (ANSWER, b'{"id": "a", "failure": "no"}')),
    "written": Parser(read_written_report, (), (WRITTEN, b"I'm sorry, but I cannot interpret this image.")),
    "labelled": Parser(of_file("l.csv", read_labelled), (UserError,), (LABELLED,)),
    "metadata": Parser(of_file("m.csv", read_shots), (UserError,), (METADATA,)),
    "gold": Parser(of_file("g.csv", read_gold), (UserError,), (GOLD,)),
    "sentencepieces": Parser(of_file("tokenizer.model", lambda path: read_pieces(path.parent, "someone")), (NoNetwork,), (pieces(),)),
    "tokenizer": Parser(
        of_file("tokenizer.json", lambda path: read_pieces(path.parent, "someone")),
        (NoNetwork,),
        (b'{"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"}}',),
    ),
    "radgraph": Parser(of_file("r.tar.gz", read_archive), (WrongArchive,), (archive(),)),
}
