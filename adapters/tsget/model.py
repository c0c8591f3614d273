"""TSGET as a model of the benchmark: cases to reports.

python -m benchmark run --models tsget                                                          the demo weights, trained on phantoms alone
python -m benchmark run --models tsget:my_model.pth --set tsget.vocab=annotation.json           weights that its own program trained
python -m benchmark train tsget --preset demo --dataset phantom --out path/to/weights

Yi et al., TSGET: Two-Stage Global Enhanced Transformer for Automatic Radiology Report Generation, IEEE JBHI 28(4), 2024. No weights of it are
published, so no number here is the paper's. Equal to its program (SKD-HPC/TSGET at 4feeffb) from the image file to the tokens, on whatever weights
that has trained with a ResNet: depth and widths are read from the file. Reading, searching and bad input are R2Gen's, see ``r2gen/model.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adapters.chen_text import Manner
from adapters.r2gen.card import card_of, check_packages, needs
from benchmark.records import Case, ProtocolCard, Report

DEMO_WEIGHTS = Path(__file__).resolve().parent / "weights" / "demo"
LICENCE = "none stated (code)"


class TSGET:
    """Writes findings word by word, the whole image before it at every layer."""

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
        """Load the weights: a file of TSGET's program or a folder of our own, ``argument`` or ``weights``; the demo's if neither is given.

        vocab           of such a file: words, one a line, or the annotation.json that it was trained with
        trained_on      whose reports such a file learnt from: mimic_cxr (one image, 100 tokens) or iu_xray (two images, 60 tokens);
                        None = iu_xray for an embedding of 761 rows, mimic_cxr for any other
        beams           1 = greedy
        max_length      tokens of a report; 0 = as it was trained
        block_trigrams  with one beam: a word that already followed the same two words becomes a quarter as probable
        heads           attention heads of such a file; None = 8
        batch_size      cases

        Raises UserError for what is not there or does not fit.
        """
        check_packages("tsget")
        from adapters.r2gen.weights import load
        from adapters.r2gen.writing import Writer
        from adapters.tsget.weights import TSGET as FAMILY

        path = Path(argument) if argument else weights or DEMO_WEIGHTS
        loaded = load(FAMILY, path, vocab=vocab, trained_on=trained_on, heads=heads)
        self.writer = Writer("tsget", loaded, device=device, beams=beams, max_length=max_length, block_trigrams=block_trigrams, batch_size=batch_size)

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        """For ``doctor``: whether a thing is there, what it is, and how to get it."""
        return [
            *needs("tsget", DEMO_WEIGHTS),
            (
                False,
                "weights of patients: none are published (nor is a licence stated); train some with the program, "
                "https://github.com/SKD-HPC/TSGET (about 1 GB with the optimizer's state), and name them and the annotation.json: tsget:PATH, "
                "--set tsget.vocab=PATH",
            ),
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
        """What its numbers must be read with; of a file that somebody trained nobody here knows on what."""
        return card_of(self.writer, False, LICENCE, "trained by whoever named the file; TSGET's authors have published none")
