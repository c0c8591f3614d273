"""What a person reads in the terminal of a page to read cases on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from benchmark.shows import absent_in_words, console

if TYPE_CHECKING:
    from benchmark.viewer.opening import Opened


def show_page(page: Opened) -> None:
    """Where it is, and what it has to do without."""
    out = console()
    for note in page.notes:
        out.print(escape(note), style="yellow")
    if page.absent:
        out.print(escape(absent_in_words(page.absent)), style="yellow")
    # Not folded: it is to be copied.
    out.print(f"page{', written now' if page.is_new else ''}: [bold]{escape(str(page.file))}[/]", soft_wrap=True)
