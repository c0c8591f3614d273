"""Small trees in the layout of MIMIC-CXR-JPG and Chest ImaGenome, for tests. All patients, reports and boxes are invented."""

from __future__ import annotations

import csv
import gzip
import io
import json

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

SILVER = "chest-imagenome-dataset-1.0.0/silver_dataset"
REPORT = """                                 FINAL REPORT
 INDICATION: {indication}

 TECHNIQUE: Chest {view}.

 COMPARISON: None.

 FINDINGS: {findings}

 IMPRESSION: {impression}
"""
BOX = (8, 8, 24, 40)


class Tree:
    """Writes one dataset; each method adds or spoils one thing."""

    def __init__(self, root):
        self.root = root
        self.metadata, self.lists = [], {"train": [], "valid": [], "test": []}
        self.avoid = []
        self.official = {}  # dicom -> split of MIMIC-CXR-JPG, where that is not test
        (root / SILVER / "scene_graph").mkdir(parents=True)
        (root / SILVER / "splits").mkdir()

    def image(self, dicom, subject, study, *, split="test", view="PA", day=1, size=(64, 80), original=None, boxes=None, phrases=None, **report):
        """One image of ``size`` on disk, drawn on ``original``; listed in ``split`` unless that is None."""
        folder = self.root / f"files/p{subject[:2]}/p{subject}/s{study}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(size[::-1], 90, np.uint8)).save(folder / f"{dicom}.jpg")
        columns, rows = original or size
        self.metadata.append([dicom, subject, study, "CHEST", view, rows, columns, f"214401{day:02d}", f"{12 + day}0000.5", "", "", ""])
        words = {"indication": "Cough.", "view": view, "findings": f"Findings of {study}.", "impression": f"Impression of {study}."}
        folder.with_suffix(".txt").write_text(REPORT.format(**words | report))
        if split is not None:
            self.lists[split].append([len(self.lists[split]), subject, study, dicom, f"files/p{subject[:2]}/p{subject}/s{study}/{dicom}.dcm", view])
            self.graph(dicom, boxes or {"left lung": BOX}, phrases or {"left lung": ["the left lung is clear."]})
        return folder / f"{dicom}.jpg"

    def graph(self, dicom, boxes, phrases):
        objects = [
            {"bbox_name": name, **dict(zip(("original_x1", "original_y1", "original_x2", "original_y2"), box, strict=True))}
            for name, box in boxes.items()
        ]
        attributes = [{"bbox_name": name, "phrases": said, "attributes": [["nlp|yes|normal"]] * len(said)} for name, said in phrases.items()]
        self.graph_file(dicom).write_text(json.dumps({"image_id": dicom, "objects": objects, "attributes": attributes, "relationships": []}))

    def graph_file(self, dicom):
        return self.root / SILVER / "scene_graph" / f"{dicom}_SceneGraph.json"

    def report_file(self, subject, study):
        return self.root / f"files/p{subject[:2]}/p{subject}/s{study}.txt"

    def write(self):
        header = "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,a,b,c"
        lines = [header, *(",".join(map(str, row)) for row in self.metadata)]
        (self.root / "mimic-cxr-2.0.0-metadata.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
        for split, rows in self.lists.items():
            self.csv(self.root / SILVER / "splits" / f"{split}.csv", ["", "subject_id", "study_id", "dicom_id", "path", "ViewPosition"], rows)
        header = ["subject_id", "study_id", "dicom_id", "path", "ViewPosition"]
        self.csv(self.root / SILVER / "splits" / "images_to_avoid.csv", header, self.avoid)
        rows = [f"{dicom},{study},{subject},{self.official.get(dicom, 'test')}" for dicom, subject, study, *_ in self.metadata]
        (self.root / "mimic-cxr-2.0.0-split.csv.gz").write_bytes(gzip.compress("\n".join(["dicom_id,study_id,subject_id,split", *rows]).encode()))
        return self.root

    @staticmethod
    def csv(path, header, rows):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])


def dicom(pixels, syntax=ExplicitVRLittleEndian):
    """A radiograph of 8 bits as a DICOM file of 12, or as JPEG within one."""
    header = FileMetaDataset()
    header.TransferSyntaxUID = UID(syntax)
    header.MediaStorageSOPClassUID, header.MediaStorageSOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.1"), UID("1.2.3")
    dataset = FileDataset("", {}, file_meta=header, preamble=b"\0" * 128)
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.PixelData = pixels.astype(np.uint16).tobytes()
    if UID(syntax).is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG")
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = encapsulate([buffer.getvalue()])
        dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
