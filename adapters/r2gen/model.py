"""R2Gen as a model of the benchmark: cases to reports.

python -m benchmark run --models r2gen                                                             the demo weights, trained on phantoms alone
python -m benchmark run --models r2gen:model_mimic_cxr.pth --set r2gen.vocab=annotation.json       the published weights
python -m benchmark train r2gen --preset demo --dataset phantom --out path/to/weights

Chen et al., Generating Radiology Reports via Memory-driven Transformer, EMNLP 2020 (https://arxiv.org/abs/2010.16056). Equal to the authors' program
(cuhksz-nlp/R2Gen at 5a2e63f) from the image file to the tokens. Where it is not, or may surprise:

- beams is 3, the default of their program; the test script for MIMIC-CXR in the author's later repository (zhjohnchan/R2Gen) has 2;
- block_trigrams acts with one beam alone, as there. With one beam their program draws words at random unless told to be greedy; this one is greedy;
- a lateral image that comes first is read like any other, as there; the details of a report say which views were read;
- a case whose image cannot be read, or has fewer than 8 pixels on a side, is a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adapters.chen_text import Manner
from adapters.r2gen.card import card_of, check_packages, needs
from benchmark.records import Case, ProtocolCard, Report

DEMO_WEIGHTS = Path(__file__).resolve().parent / "weights" / "demo"
PAGE = "https://github.com/cuhksz-nlp/R2Gen (data/r2gen.md)"
LICENCE = "none stated (code and weights)"


class R2Gen:
    """Writes findings word by word, from one image or two."""

    def __init__(
        self,
        argument: str = "",
        *,
        device: str = "auto",
        weights: Path | None = None,
        vocab: Path | None = None,
        trained_on: Manner | None = None,
        beams: int = 3,
        max_length: int = 0,
        block_trigrams: bool = True,
        heads: int | None = None,
        batch_size: int = 16,
    ) -> None:
        """Load the weights: a published file or a folder of our own, ``argument`` or ``weights``; the demo's if neither is given.

        vocab           of a published file: words, one a line, or the annotation.json that it was trained with
        trained_on      whose reports a published file learnt from: mimic_cxr (one image, 100 tokens) or iu_xray (two images, 60 tokens);
                        None = iu_xray for an embedding of 761 rows, mimic_cxr for any other
        beams           1 = greedy
        max_length      tokens of a report; 0 = as it was trained
        block_trigrams  with one beam: a word that already followed the same two words becomes a quarter as probable
        heads           attention heads of a published file; None = 8
        batch_size      cases

        Raises UserError for what is not there or does not fit.
        """
        check_packages("r2gen")
        from adapters.r2gen.weights import R2GEN, load
        from adapters.r2gen.writing import Writer

        path = Path(argument) if argument else weights or DEMO_WEIGHTS
        loaded = load(R2GEN, path, vocab=vocab, trained_on=trained_on, heads=heads)
        self.writer = Writer("r2gen", loaded, device=device, beams=beams, max_length=max_length, block_trigrams=block_trigrams, batch_size=batch_size)

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        published = "published weights (no licence stated; 80 million numbers, 0.3 GB, and 1.3 GB with the optimizer's state)"
        return [
            *needs("r2gen", DEMO_WEIGHTS),
            (False, f"{published}: get model_mimic_cxr.pth or model_iu_xray.pth as {PAGE} says, and name it: r2gen:PATH"),
            (False, "their vocabulary, which is not in them: the annotation.json of the same page, --set r2gen.vocab=PATH"),
        ]

    @property
    def cases_together(self) -> int:
        """A report's last digits may depend on these."""
        return self.writer.cases_together

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order, handed out batch by batch."""
        return self.writer.generate(cases)

    def provenance(self) -> dict[str, Any]:
        """What decides the reports: checksum of the weights, and how they are used."""
        return self.writer.provenance()

    def card(self) -> ProtocolCard:
        """What its numbers must be read with."""
        return card_of(self.writer, True, LICENCE, PAGE)
