"""The prompts: files of plain text in ``prompts/``, or a file of the user's own. A hash of the text stands in every signature.

A place to fill is one word in braces, ``{report}``. All other braces are text, and so is everything that is filled in: a report that holds
``{reference}`` is quoted as it is.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.places import shipped
from benchmark.records import UserError

FIELDS = {
    "label": ("report",),
    "judge": ("reference", "candidate"),
    "green": ("reference", "candidate"),
    "aggregate": ("regions",),
}
"""prompt -> its places, each of which must be in the text"""
MAY_HAVE = {"report": ("images", "indication", "technique", "comparison", "prior_report")}
"""prompt -> places that may be in the text, or may not"""

_PLACE = re.compile(r"\{([a-z_]+)\}")


class BadPrompt(UserError):
    """A prompt that cannot be used: a file that cannot be read, or a text without the places that are to be filled."""


@dataclass(frozen=True)
class Prompt:
    """One prompt."""

    name: str
    """label | judge | green | aggregate | report"""
    text: str
    """with its places not yet filled; line ends are single line feeds, however the file was checked out"""
    sha256: str = field(init=False)
    """of the text in UTF-8"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", hashlib.sha256(self.text.encode()).hexdigest())

    @property
    def digest(self) -> str:
        """The first 12 hex digits, as they stand in signatures."""
        return self.sha256[:12]

    @property
    def fields(self) -> frozenset[str]:
        """The places in the text."""
        return frozenset(_PLACE.findall(self.text))

    def fill(self, **values: str) -> str:
        """The text with every place filled, in one pass: braces within a value stay what they are. Raises ``ValueError``."""
        if values.keys() != self.fields:
            wrong = sorted(values.keys() ^ self.fields)
            raise ValueError(f"prompt {self.name!r} has the places {sorted(self.fields)}, values were given for {sorted(values)}: mind {wrong}")
        return _PLACE.sub(lambda place: values[place[1]], self.text)


def load(name: str, path: Path | None = None) -> Prompt:
    """The prompt that ships under that name, or the user's text at ``path`` in its stead. Raises ``BadPrompt``."""
    file = path or shipped("prompts", f"{name}.md")
    try:
        prompt = Prompt(name, file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadPrompt(f"prompt {name!r}: {file} cannot be read ({error.strerror}); give the path of a text file") from None
    except UnicodeDecodeError as error:
        raise BadPrompt(f"prompt {name!r}: {file} is not UTF-8 ({error.reason}); save it as UTF-8") from None
    due, may_be = FIELDS.get(name, ()), MAY_HAVE.get(name, ())
    listed = " and ".join(f"{{{place}}}" for place in (*due, *may_be))
    if missing := [place for place in due if place not in prompt.fields]:
        raise BadPrompt(f"prompt {name!r}: {file} has no place for the {missing[0]}; write {listed} where it shall stand")
    if strange := sorted(prompt.fields.difference(due, may_be)):
        raise BadPrompt(f"prompt {name!r}: {file} has a place {{{strange[0]}}} that nothing fills; its places are {listed}")
    return prompt
