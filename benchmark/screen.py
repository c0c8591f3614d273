"""A terminal that shows what it is given: control signs in it appear as their codes.

Names of models, ids and words of servers come from files and machines of others. A terminal would obey what they hold: colours, a new title, text
that is written over, words that run from right to left.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# All of C0 and C1 but the tab and the end of a line, what turns the direction of writing, and halves of characters, which cannot be written at all.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with its control signs as a programmer writes them: ``\\x1b`` for an escape."""
    return _OBEYED.sub(lambda sign: ascii(sign[0])[1:-1], text)


def say(text: str, *, err: bool = False) -> None:
    """Print a line, or several, at once. Whatever this package prints goes through here or through a ``screen``."""
    print(visible(text), file=sys.stderr if err else sys.stdout, flush=True)


def say_as_file(text: str) -> None:
    """Print what a file would hold: sign by sign where a file or a program takes it, which find names again by them and obey none."""
    print(visible(text) if sys.stdout.isatty() else text, flush=True)


def screen(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console of rich that shows them likewise, wherever in a table they stand."""
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Screen(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=visible(segment.text))

    return Screen(highlight=False, stderr=stderr, width=width)
