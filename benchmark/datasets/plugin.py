"""The datasets that come with the project."""

from __future__ import annotations

from benchmark.hookspecs import Register, hookimpl


@hookimpl
def register_datasets(register: Register) -> None:
    """The embedded phantoms, and readers for what people have."""
    register("phantom", "benchmark.datasets.phantom:Phantom", summary="drawn chest X-rays with known lesions, made on first use; the default")
    register(
        "chest_imagenome", "benchmark.datasets.chest_imagenome:ChestImaGenome", summary="MIMIC-CXR-JPG with Chest ImaGenome's regions (credentialed)"
    )
    register(
        "chest_imagenome_gold",
        "benchmark.datasets.imagenome_gold:ChestImaGenomeGold",
        summary="its 1,000 images with boxes and sentences by people, all of them test (credentialed)",
    )
    register(
        "mimic_cxr",
        "benchmark.datasets.mimic_cxr:MimicCXR",
        summary="MIMIC-CXR-JPG with its reports, official split or R2Gen's (credentialed)",
    )
    register("iu_xray", "benchmark.datasets.iu_xray:IUXRay", summary="IU X-Ray (Open-i): XML reports with their radiographs")
    register("manifest", "benchmark.datasets.manifest:Manifest", summary="a table of one's own: manifest:cases.csv with image, report, patient")
