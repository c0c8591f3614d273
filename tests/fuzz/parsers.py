"""Everything of ours that reads what somebody else wrote, each as one function of bytes: for the property tests and for ``drive.py``.

A parser may refuse by the errors that it names, and by nothing else. Each has an example that it accepts: mutations of one reach further than noise.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from parsers_of_runs import OF_RUNS
from way_in import Parser, of_file

from benchmark.annotating import rules as entity_rules
from benchmark.annotating.annotation_file import AnnotationFile
from benchmark.datasets import mimic_reports
from benchmark.datasets.columns import read_rows
from benchmark.datasets.encodings import decode, foreign_lines
from benchmark.datasets.images import image_size_px, read_radiograph
from benchmark.datasets.iu_xray import IUXRay
from benchmark.datasets.r2gen_annotation import read_items
from benchmark.datasets.region_sentences import region_sentence
from benchmark.datasets.scene_graphs import UnreadableSceneGraph, parse
from benchmark.datasets.stores import Store, UnreadableMember
from benchmark.datasets.table_records import boxes_cell, read_records, sentences_cell, text_cell
from benchmark.datasets.truncation import is_cut_off
from benchmark.exchange.imported import import_file
from benchmark.experiments.definitions import PAPER, read_definitions
from benchmark.labelling.label_file import read_labels
from benchmark.labelling.language_model import read_lesions
from benchmark.labelling.rules import RuleLabeller
from benchmark.labelling.sentences import sentence_spans, split_sentences
from benchmark.llm.questions import Unusable
from benchmark.machine import read_config
from benchmark.meta_eval.readers import read_judgements
from benchmark.metrics import consistency_rules, green
from benchmark.metrics.consistency_judge import read_scores
from benchmark.metrics.green_rules import Rules
from benchmark.records import UserError
from benchmark.report_files import read_reports
from benchmark.viewer.spans import read_text
from benchmark.vocabulary import LESIONS

REPORT = """ FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  Dyspnea, pneumonia?

 FINDINGS:  The heart is mildly enlarged. There is a small left pleural effusion. No pneumothorax; 1.2 cm nodule
 in the right upper lobe cannot be excluded.

 IMPRESSION:  1. Small left effusion. 2. No acute process.
"""
GRAPH = {
    "image_id": "0a1b-2c3d",
    "objects": [{"bbox_name": "left lung", "original_x1": 1, "original_y1": 2, "original_x2": 30, "original_y2": 40.5}],
    "attributes": [{"bbox_name": "left lung", "phrases": ["Small effusion."], "attributes": [["anatomicalfinding|yes|pleural effusion"]]}],
}
SCORES = {axis: {"evidence": "alike", "score": 4} for axis in consistency_rules.AXES}
COUNTS = "\n".join(f"({letter}) Of this kind: 0. " for letter in "abcdef")
GREEN = (
    f"[Explanation]:\nAlike.\n\n[Clinically Significant Errors]:\n{COUNTS}\n\n[Clinically Insignificant Errors]:\n{COUNTS}\n\n"
    "[Matched Findings]:\n2. effusion; heart"
)
ENTITIES = {
    "0": {"text": "small effusion", "entities": {"1": {"tokens": "effusion", "label": "OBS-DP", "start_ix": 1, "end_ix": 1, "relations": []}}}
}
XML = (
    b'<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR1"/><AbstractText Label="FINDINGS">Clear lungs.</AbstractText>'
    b'<parentImage id="CXR1_IM-0001-3001"><caption>PA view</caption></parentImage></eCitation>'
)


def read_as_text(content: bytes) -> None:
    """Sections, sentences, lesions, entities, counts and places of a text; what must hold of them whatever it says."""
    text = decode(content)
    for study in ("", "s50525523"):
        mimic_reports.conclusion(text, study)
        mimic_reports.narrative(text, study)
    mimic_reports.indication(mimic_reports.sections(content))
    labeller = RuleLabeller()
    spans = sentence_spans(text)
    assert [" ".join(text[start:end].split()) for start, end in spans] == [" ".join(sentence.split()) for sentence in split_sentences(text)]
    assert all(start < end for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    (lesions,) = labeller.label([text])
    assert tuple(lesion.name for lesion in lesions) == LESIONS
    entities = entity_rules.annotate(text)["entities"]
    assert all(other in entities for one in entities.values() for _, other in one["relations"])
    shown = read_text(text, lesions, labeller)
    length = len(text.encode("utf-16-le", "surrogatepass")) // 2
    assert all(0 <= start < end <= length for start, end in shown["sentences"])
    assert all(lesion["start"] is not None for lesion in shown["lesions"])
    Rules().compare(text, REPORT)
    consistency_rules.RuleJudge().statistics([text, REPORT], [REPORT, text])
    region_sentence([text])


def read_answer(content: bytes) -> None:
    """Every reading of a language model's answer."""
    text = content.decode("utf-8", "replace")
    green.told(text, green.count_as_published(text))
    for read in (read_lesions, read_scores, green.read_counts):
        try:
            read(text)
        except Unusable as error:
            assert len(str(error)) < 2000, "the reason goes back to the model: it may not be the answer over again"  # noqa: PT017


def read_cells(content: bytes) -> None:
    """The cells of a manifest, from a value of JSON."""
    for _, record in read_records(Path("rows.jsonl"), content):
        for value in record.values():
            for read in (text_cell, boxes_cell, sentences_cell):
                try:
                    read(value, "here")
                except UserError:
                    continue


def read_zip(path: Path) -> None:
    store = Store([path])
    store.size("a/one.txt")
    store.read("a/one.txt")
    store.archive_stamp()


def read_image(path: Path) -> None:
    is_cut_off(path)
    try:
        image_size_px(path)
    except UserError:
        pass
    else:
        read_radiograph(path)


def read_collection(path: Path) -> None:
    """Indiana's reports: XML in a tar."""
    collection = IUXRay(str(path.parent))
    collection.references("test")


def packed(name: str, content: bytes, kind: str) -> bytes:
    """A zip or a tar of one file."""
    held = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=held, mode="w:gz" if kind == "tgz" else "w") as tar:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return held.getvalue()


def picture(kind: str) -> bytes:
    """A small image of a format."""
    from PIL import Image

    held = io.BytesIO()
    Image.new("L", (12, 10), 90).save(held, kind)
    return held.getvalue()


def dicom() -> bytes:
    """A small DICOM file."""
    import pydicom

    header = pydicom.Dataset()
    header.Rows, header.Columns, header.BitsAllocated, header.BitsStored, header.HighBit = 4, 5, 8, 8, 7
    header.SamplesPerPixel, header.PixelRepresentation, header.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    header.SOPClassUID, header.SOPInstanceUID = pydicom.uid.DigitalXRayImageStorageForPresentation, "1.2.3"
    header.WindowCenter, header.WindowWidth = "10", "20"
    header.PixelData = bytes(range(20))
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    held = io.BytesIO()
    pydicom.dcmwrite(held, header, enforce_file_format=True)
    return held.getvalue()


def parquet() -> bytes:
    """A small Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = io.BytesIO()
    pq.write_table(pa.table({"id": ["a", "b"], "report": ["clear", None]}), held)
    return held.getvalue()


def line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


CSV = b'id,report\na,"No effusion, clear."\n7.0,\n'
JUDGED = b"study,candidate,reference,report,rater,score\ns1,A,Clear.,No effusion.,r1,3\n"
LABELS = line({"id": "a", "lesions": [asdict(lesion) for lesion in RuleLabeller().label(["Left effusion."])[0]]})
REXRANK = line({"s1": {"case_id": "a", "section_findings": "Clear.", "section_impression": "", "model_prediction": "No effusion."}})
RADEVAL = line({"references": ["Clear.", "Dull."], "hypotheses": ["No effusion.", ""], "ids": [1, 2], "order": [2, 1], "failed": {}})
INSPECT = line(
    {
        "eval": {},
        "samples": [
            {"id": 1, "target": ["Clear."], "attachments": {"x": "No effusion."}, "output": {"choices": [{"message": {"content": "attachment://x"}}]}}
        ],
    }
)
LM_EVAL = line(
    {"doc_id": 0, "doc": {"id": "a"}, "target": "Clear.", "filtered_resps": ["No effusion."], "resps": [["No effusion."]], "filter": "none"}
)
CONFIG = b'[llm]\nmodel = "openai/x"\n[data_use]\n\n'
DEFINITIONS = PAPER.read_bytes()

ITEMS = line(
    {
        "train": [{"id": "p10/s1", "report": "Clear.", "image_path": ["a/0.png"]}],
        "val": [],
        "test": [{"id": "b", "report": "x", "image_path": ["b.png"]}],
    }
)

PARSERS: dict[str, Parser] = {
    "text": Parser(read_as_text, (), (REPORT.encode(), b"\xff\xfeN\0o\0", b"1. A. e.g. (a) ")),
    "answer": Parser(
        read_answer,
        (),
        (line(SCORES), GREEN.encode(), line({name: {"rationale": "", "status": "negative", "location": "not mentioned"} for name in LESIONS})),
    ),
    "scene_graph": Parser(parse, (UnreadableSceneGraph,), (line(GRAPH),)),
    "encoding": Parser(lambda content: (decode(content), foreign_lines(content)), (), (b"caf\xe9\n", "naïve\n".encode() + b"\xe9")),
    "reports_csv": Parser(of_file("r.csv", read_reports), (UserError,), (CSV, CSV.replace(b",", b";"))),
    "reports_gz": Parser(of_file("r.csv.gz", read_reports), (UserError,), (gzip.compress(CSV, mtime=0),)),
    "reports_json": Parser(of_file("r.json", read_reports), (UserError,), (b'{"a": "clear"}', b'{"predictions": [{"id": 1, "text": "x"}]}', b"[]")),
    "reports_jsonl": Parser(
        of_file("r.jsonl", read_reports), (UserError,), (b'{"id": "a", "report": "x", "failure": ""}\n{"id": 2, "report": null}\n',)
    ),
    "reports_parquet": Parser(of_file("r.parquet", read_reports), (UserError,), (parquet(),)),
    "table": Parser(of_file("t.csv", lambda path: list(read_rows(path))), (UserError,), (CSV, gzip.compress(CSV, mtime=0), CSV.replace(b",", b"\t"))),
    "cells": Parser(read_cells, (UserError,), (line({"boxes": {"left lung": [1, 2, 3, 4]}, "sentences": '{"left lung": "Clear."}', "id": 7.0}),)),
    "annotations": Parser(
        of_file("a.json", lambda path: AnnotationFile(str(path)).annotate(["small effusion"])),
        (UserError,),
        (line(ENTITIES), line(ENTITIES["0"]), line(ENTITIES["0"]) * 2),
    ),
    "labels": Parser(of_file("l.jsonl", read_labels), (UserError,), (LABELS,)),
    "r2gen": Parser(of_file("annotation.json", read_items), (UserError,), (ITEMS,)),
    "rexrank": Parser(of_file("x.json", lambda path: import_file(path, "rexrank")), (UserError,), (REXRANK,)),
    "radeval": Parser(of_file("x.json", lambda path: import_file(path, "radeval")), (UserError,), (RADEVAL,)),
    "inspect": Parser(of_file("x.json", lambda path: import_file(path, "inspect")), (UserError,), (INSPECT,)),
    "lm_eval": Parser(of_file("x.jsonl", lambda path: import_file(path, "lm-eval")), (UserError,), (LM_EVAL,)),
    "judgements": Parser(of_file("j.csv", read_judgements), (UserError,), (JUDGED,)),
    "config": Parser(of_file("benchmark.toml", read_config), (UserError,), (CONFIG,)),
    "definitions": Parser(of_file("d.toml", lambda path: read_definitions("tiny", path=path)), (UserError,), (DEFINITIONS,)),
    "picture": Parser(of_file("i.png", read_image), (UserError,), (picture("PNG"), picture("JPEG"), picture("TIFF"))),
    "dicom": Parser(of_file("i.dcm", read_image), (UserError,), (dicom(),)),
    "zip": Parser(of_file("z.zip", read_zip), (UserError, UnreadableMember), (packed("a/one.txt", b"clear", "zip"),)),
    "xml": Parser(lambda content: of_file("reports.tar", read_collection)(packed("1.xml", content, "tar")), (UserError,), (XML,)),
    "tar": Parser(of_file("reports.tgz", read_collection), (UserError,), (packed("ecgen-radiology/1.xml", XML, "tgz"),)),
} | OF_RUNS
