"""The registered dataset ``phantom``: drawn on first use, read by the reader of Chest ImaGenome, with the truth added to the references."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from benchmark.datasets.account import Account
from benchmark.datasets.chest_imagenome import ChestImaGenome
from benchmark.datasets.phantom.write import default_folder, generate
from benchmark.records import Case, Lesion, Problem, Reference, UserError

SMALL = {"train": 160, "validate": 20, "test": 40}
"""images"""


class Phantom:
    """Drawn chest X-rays with known lesions.

    ``argument`` may change the numbers of images and the seed: ``phantom:train=400,test=100`` (the others stay as they are), or ``phantom:small``
    for 160, 20 and 40. ``boxes`` is handed to the reader: what boxes a model gets with its cases.
    """

    name = "phantom"
    is_credentialed = False
    note = "Drawn phantoms, not patients: scores compare designs on these drawings and say nothing about patients."

    def __init__(
        self,
        argument: str = "",
        *,
        train: int = 1200,
        validate: int = 150,
        test: int = 300,
        seed: int = 2026,
        boxes: Literal["none", "truth"] = "none",
    ) -> None:
        self.numbers = _parse(argument, {"train": train, "validate": validate, "test": test, "seed": seed})
        self.boxes = boxes
        self.folder = default_folder(fast=False, **self.numbers)
        self._reader: ChestImaGenome | None = None
        self._truth: dict[str, dict[str, Any]] | None = None

    def cases(self, split: str) -> list[Case]:
        """All usable images of a split in the reader's order."""
        return self._read().cases(split)

    def references(self, split: str) -> list[Reference]:
        """The reader's references with the 14 lesions as the reports state them."""
        known = self._by_image()
        return [
            replace(reference, lesions=_lesions(known[case.images[0].id]))
            for case, reference in zip(self._read().cases(split), self._read().references(split), strict=True)
        ]

    def truth(self, split: str) -> list[dict[str, Any]]:
        """What was drawn in each case, in the order of ``cases``: a line of truth.jsonl each."""
        known = self._by_image()
        return [known[case.images[0].id] for case in self._read().cases(split)]

    def fingerprint(self, split: str) -> str:
        """Of the files, as the reader sees them."""
        return self._read().fingerprint(split)

    def problems(self) -> list[Problem]:
        """The faults that were drawn in on purpose and stepped over by the reader."""
        return self._read().problems()

    def account(self, splits: Sequence[str]) -> Account:
        """The reader's; beside the counts of patients' data it has nothing to say."""
        return replace(self._read().account(splits), besides=(), notes=())

    def _read(self) -> ChestImaGenome:
        if self._reader is None:
            self._draw()
            self._reader = ChestImaGenome(root=self.folder, boxes=self.boxes, is_credentialed=False, note=self.note)
        return self._reader

    def _draw(self) -> None:
        n = self.numbers
        generate(self.folder, train=n["train"], validate=n["validate"], test=n["test"], seed=n["seed"])

    def _by_image(self) -> dict[str, dict[str, Any]]:
        if self._truth is None:
            self._draw()
            lines = (self.folder / "truth.jsonl").read_text().splitlines()
            self._truth = {row["dicom_id"]: row for row in map(json.loads, lines)}
        return self._truth


def _lesions(row: dict[str, Any]) -> tuple[Lesion, ...]:
    return tuple(Lesion(x["name"], x["status"], x["side"], x["certainty"], x["rationale"]) for x in row["lesions"])


def _parse(argument: str, numbers: dict[str, int]) -> dict[str, int]:
    """The numbers with those changed that the argument names. Raises UserError."""
    if argument.strip() == "small":
        return {**numbers, **SMALL}
    out = dict(numbers)
    named: set[str] = set()
    for part in filter(None, (part.strip() for part in argument.split(","))):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in out or not (value.isascii() and value.isdecimal()):
            takes = f"it takes 'small' alone, or whole numbers for {', '.join(out)}"
            raise UserError(f"phantom:{argument} has {part!r}; {takes}, e.g. phantom:train=400,test=100")
        if name in named:
            raise UserError(f"phantom:{argument} has {name} twice; name each number once, e.g. phantom:train=400,test=100")
        named.add(name)
        out[name] = int(value)
    return out
