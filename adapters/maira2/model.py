"""MAIRA-2 as a model of the benchmark: cases to findings, with boxes if asked.

python -m benchmark run --models maira2 --set maira2.download=yes                    fetches 27.5 GB once, after its licence was accepted on the hub
python -m benchmark run --models maira2 --set maira2.weights=PATH --set maira2.grounding=yes
python -m benchmark run --models maira2 --context none                               the frontal image alone

Bannur et al., MAIRA-2: Grounded Radiology Report Generation, 2024 (https://arxiv.org/abs/2406.04449). Equal to the authors' processor and model
(microsoft/maira-2 at 795a2b1 on the Hugging Face hub: prompt, image, features, greedy tokens), but for this:

- it is computed in bf16 unless told otherwise; the published weights have 32 bits;
- batches are filled up on the left, where theirs answers one case at a time;
- texts of the case are said on one line, for MIMIC-CXR's have breaks wherever a line was full; signs of the vocabulary in them (``</s>``, ``<box>``)
  become blanks, where its processor reads them as signs;
- a case of lateral images alone is asked about the first of them, in the words for a frontal one: its report's details say so;
- an output that its own reader cannot read is kept as it came and counted, where theirs stops; boxes are in pixels of the image file, not cut down to
  whole ones, and one whose edges are the wrong way round is kept so and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapters.maira2.grounding import Unread, on_image, read_phrases
from adapters.pretrained import file_digests, weights_files
from adapters.protocol import learnt_from
from adapters.vision_language.fitting import check_packages, device_and_precision, fitted
from adapters.vision_language.loading import DeviceMap, Precision
from adapters.vision_language.memory import Sizes
from adapters.vision_language.pieces import IMAGE, check_rows, ids_of, number_of, read_pieces, signs_of, split_at, without_signs
from adapters.vision_language.pixels import middle, normalised, short_side_to, spread_to_255
from adapters.vision_language.published import Published, needs_of
from adapters.vision_language.writing import Asked, Writer, Written, reports
from benchmark.datasets.images import image_size_px, read_radiograph
from benchmark.records import Case, ImageFile, ProtocolCard, Report, UserError

WEIGHTS = Published("microsoft/maira-2", "795a2b1cd4a310624b4e3d14b5a23e41fd273deb", "MSRLA, research only", 27.5, is_gated=True)
PUBLISHED_SIZES = Sizes(
    matrices=6_476_005_376,  # 32 layers of 4 x 4096 x 4096 + 3 x 4096 x 11008
    others=404_179_456,  # embeddings and head of 32,207 words, ViT-B, projector of four layers
    cache=2 * 32 * 4096,
    work=6 * 4096 + 3 * 11008,
    eyes=1369 * (8 * 768 + 3072),
    tokens=3 * 1369 + 800 + 300,
    images=3,
)
MEAN, DEVIATION = (0.5307,) * 3, (0.2583,) * 3  # its preprocessor_config.json
SYSTEM = "You are an expert radiology assistant tasked with interpreting a chest X-ray study. "
# What it was trained on, processing_maira2.py: each word, and each blank, is part of the question.
QUESTION = " Provide a structured description of the findings in the radiology study in comparison to the prior frontal image."
PLACES = (
    " Each finding should be described as a self-contained plain-text sentence. If the finding is groundable, locate the finding in the current "
    "frontal chest X-ray image, with bounding boxes indicating all locations where it can be seen in the current frontal image. Otherwise, generate "
    "just the ungrounded finding without bounding boxes."
)
MISSING = "N/A"
LONGEST, LONGEST_WITH_PLACES = 300, 450  # tokens of an answer, by its card
AT_MOST = 8
LATERAL = ("LATERAL", "LL")


class MAIRA2:
    """Writes findings, and says where they are if asked."""

    def __init__(
        self,
        argument: str = "",
        *,
        device: str = "auto",
        weights: str = "",
        download: bool = False,
        precision: Precision = "auto",
        batch_size: int = 0,
        grounding: bool = False,
        max_tokens: int = 0,
        device_map: DeviceMap = "",
    ) -> None:
        """Load the published files, or those that are named.

        weights     folder of MAIRA-2, or its name on the Hugging Face hub with @ and a revision; ``argument`` is the same
        download    fetch what is not on this machine; its licence must have been accepted on the hub
        precision   auto = bf16; 8bit and 4bit need bitsandbytes
        batch_size  cases at once; 0 = as many as fit, 8 at most
        grounding   ask for a sentence per finding with boxes on the frontal image: they are kept in the report's details
        max_tokens  of a report; 0 = 300, or 450 with boxes
        device_map  spread the network over devices by accelerate; empty = all of it on one

        Raises UserError for what is not there, does not fit, or is another model's.
        """
        check_packages("maira2")
        if max_tokens < 0:
            raise UserError(f"maira2: max_tokens is {max_tokens}; it must be at least 1, or 0 for the usual number")
        from adapters.maira2.network import Network, open_files, read_settings, sizes_of
        from adapters.vision_language.loading import empty, load

        where, kind = device_and_precision("maira2", device, precision)
        self.folder = WEIGHTS.folder(argument or weights, "maira2.weights", download=download)
        self.loaded = WEIGHTS.loaded(argument or weights, self.folder)
        self.pieces = read_pieces(self.folder, "maira2")
        self.begin, end, self.image = (number_of(self.pieces, sign, "maira2") for sign in ("<s>", "</s>", IMAGE))
        settings = read_settings(self.folder)
        check_rows(self.pieces, settings.language.vocab_size, "maira2")
        self.signs = signs_of(self.pieces)
        self.grounding, self.max_tokens = grounding, max_tokens or (LONGEST_WITH_PLACES if grounding else LONGEST)
        network = empty(lambda: Network(settings))
        sizes = sizes_of(settings, network, self.max_tokens)
        run = fitted(sizes, "maira2", device=where, precision=kind, batch_size=batch_size, at_most=AT_MOST, device_map=device_map)
        stored = open_files(self.folder)
        self.network = load(network, stored, "maira2", precision=run.precision, device=run.device, small="language.model", device_map=device_map)
        self.precision, self.settings = run.precision, settings
        self.writer = Writer(
            self.network.language,
            self.network.see,
            self.pieces,
            end=[end],
            most=self.max_tokens,
            batch_size=run.batch_size,
            who="maira2",
            longest=settings.longest,
        )

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        return needs_of("maira2", (WEIGHTS,), PUBLISHED_SIZES)

    @property
    def cases_together(self) -> int:
        """A report's last digits may depend on these."""
        return self.writer.cases_together

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order."""
        return reports(self.writer, cases, self.ask, self.finish)

    def ask(self, case: Case) -> Asked | str:
        """What the model is asked about a case, or why it cannot be."""
        if not case.images:
            return "the case has no image"
        frontal, lateral = views_of(case)
        paths = [path for path in (frontal.path, lateral.path if lateral else None, case.prior_image) if path is not None]
        ids = [self.begin, *ids_of(self.pieces, prompt(case, has_lateral=lateral is not None, grounding=self.grounding, signs=self.signs))]
        return Asked(split_at(ids, self.image), lambda: [self.picture(path) for path in paths], self.settings.patches)

    def picture(self, path: Path) -> np.ndarray:
        """An image file -> (3, S, S) float32."""
        side = self.settings.tower.image_size
        return normalised(middle(short_side_to(spread_to_255(read_radiograph(path)), side), side, odd="down"), MEAN, DEVIATION)

    def finish(self, case: Case, written: Written) -> Report:
        """The report of what was written."""
        details: dict[str, Any] = {"cut_at_tokens": len(written.ids)} if written.is_cut else {}
        frontal, _ = views_of(case)
        if is_lateral(frontal):
            details["asked_as_frontal"] = f"a lateral view ({frontal.view}), for the case has no other"
        text = written.text.strip()
        try:
            phrases = read_phrases(text)
        except Unread as error:
            self.writer.rate.unread["its phrases and boxes could not be read"] += 1
            return Report(case.id, text=text, details={**details, "unread": str(error)})
        if phrases is None:
            return Report(case.id, text=text, details=details)
        size_px = image_size_px(frontal.path)
        details["phrases"] = [
            {
                "text": phrase.text,
                "boxes": None if phrase.shares is None else [[round(edge, 1) for edge in on_image(box, size_px)] for box in phrase.shares],
            }
            for phrase in phrases
        ]
        if turned := sum(phrase.turned for phrase in phrases):
            details["boxes_turned"] = turned
            self.writer.rate.unread["they have boxes whose edges are the wrong way round"] += 1
        if frontal is not case.images[0]:
            details["boxes_on"] = frontal.id or frontal.path.name
        return Report(case.id, text=" ".join(phrase.text for phrase in phrases if phrase.text), details=details)

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: checksums of all files, and how they are used."""
        vocabulary = [self.folder / name for name in ("tokenizer.json", "tokenizer.model") if (self.folder / name).is_file()][:1]
        return {
            "files_sha256": file_digests([*weights_files(self.folder), self.folder / "config.json", *vocabulary]),
            "precision": self.precision,
            "max_tokens": self.max_tokens,
            "grounding": self.grounding,
        }

    def card(self) -> ProtocolCard:
        """What is to be known before its numbers are set beside another's."""
        own = ("It was asked for a sentence per finding with boxes, not for a report.",) if self.grounding else ()
        small = (f"The language model's matrices were kept in {self.precision}.",) if self.precision in ("8bit", "4bit") else ()
        return ProtocolCard(
            target="findings",
            inputs=("frontal image", "other views", "indication", "technique", "comparison", "prior report", "prior image"),
            decoding=f"greedy, at most {self.max_tokens} tokens",
            training="MIMIC-CXR, train split, findings, among other data; Vicuna-7B v1.5 and RAD-DINO, which had learnt before",
            leaks=learnt_from("mimic_cxr").leaks,
            licence="MSRLA, research only (weights)",
            weights=self.loaded,
            remarks=(
                "Its published numbers are of studies with their lateral and prior images, prior report, indication, technique and comparison: shown "
                "less, it writes worse, by its authors' own account.",
                *own,
                *small,
            ),
        )


def views_of(case: Case) -> tuple[ImageFile, ImageFile | None]:
    """The frontal image that is asked about, and a lateral one of the study if there is one."""
    frontal = next((image for image in case.images if not is_lateral(image)), case.images[0])
    return frontal, next((image for image in case.images if is_lateral(image) and image is not frontal), None)


def is_lateral(image: ImageFile) -> bool:
    """True if its view says so; one that says nothing is taken as frontal."""
    return image.view.upper() in LATERAL


def prompt(case: Case, *, has_lateral: bool, grounding: bool, signs: Sequence[str] = (IMAGE,)) -> str:
    """The whole prompt, with a sign for each image; ``signs`` are those that the case's texts may not hold."""

    def said(section: str) -> str:
        """On one line; what is not there has a sign of its own."""
        return " ".join(without_signs(section, signs).split()) or MISSING

    has_prior = case.prior_image is not None
    if not has_lateral and not has_prior:
        images = f"Given the current frontal image only{IMAGE}"
    elif not has_prior:
        images = f"Given the current frontal image{IMAGE} and the current lateral image{IMAGE}"
    else:
        lateral = f" the current lateral image{IMAGE}" if has_lateral else ""
        images = f"Given the current frontal image{IMAGE}{lateral} and the prior frontal image{IMAGE} PRIOR_REPORT: {said(case.prior_report)}"
    sections = f" INDICATION: {said(case.indication)} TECHNIQUE: {said(case.technique)} COMPARISON: {said(case.comparison)}"
    return f"{SYSTEM} USER:  {images}{QUESTION}{PLACES if grounding else ''}{sections}  ASSISTANT: "
