"""A case as a question in words: ``prompts/report.md``, or a text of the user's own, with what the case says put into its places.

Places are ``{images} {indication} {technique} {comparison} {prior_report}``, each as often as one likes or not at all. A line whose places all stay
empty is left out for that case: what a case does not have, or ``--context`` does not show, leaves no heading without text behind.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple

from benchmark.llm import prompts
from benchmark.llm.prompts import Prompt
from benchmark.records import Case, Input

Images = Literal["frontal", "all"]
"""frontal = the image that the report is asked for; all = further views and the previous examination too, where the case has them"""

INPUTS: dict[str, Input] = {"indication": "indication", "technique": "technique", "comparison": "comparison", "prior_report": "prior report"}
"""place -> what of a case it shows"""
_PLACE = re.compile(r"\{([a-z_]+)\}")


class Shown(NamedTuple):
    """An image that goes with the question."""

    path: Path
    words: str
    """what it is: ``this examination, PA view``"""


def prompt_of(path: Path | None) -> Prompt:
    """The text that ships, or the user's. Raises ``BadPrompt``."""
    return prompts.load("report", path)


def shown(case: Case, images: Images) -> list[Shown]:
    """The images of a case that go with its question, the one that the report is asked for first."""
    views = case.images[:1] if images == "frontal" else case.images
    found = [Shown(image.path, f"this examination{f', {image.view} view' if image.view else ''}") for image in views]
    if images == "all" and case.prior_image is not None:
        found.append(Shown(case.prior_image, "the previous examination of the same patient"))
    return found


def filled(prompt: Prompt, case: Case, images: list[Shown]) -> str:
    """What the model is asked about a case."""
    values = {
        "images": "\n".join(f"Image {number}: {image.words}." for number, image in enumerate(images, 1)),
        "indication": case.indication,
        "technique": case.technique,
        "comparison": case.comparison,
        "prior_report": case.prior_report,
    }
    values = {name: text.strip() for name, text in values.items()}
    lines = []
    for line in prompt.text.splitlines():
        places = _PLACE.findall(line)
        if not places or any(values[place] for place in places):
            lines.append(line)
    kept = Prompt(prompt.name, "\n".join(lines).strip())
    return kept.fill(**{place: values[place] for place in kept.fields})


def inputs_of(prompt: Prompt, images: Images) -> tuple[Input, ...]:
    """What such a question makes use of, for the card."""
    found: list[Input] = ["frontal image"]
    found += ["other views", "prior image"] if images == "all" else []
    return (*found, *(word for place, word in INPUTS.items() if place in prompt.fields))
