"""A matplotlib figure that shows itself in a notebook, with the same bytes on every machine and whatever the notebook's own settings are."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

SHOWN_DPI = 120
"""two columns of print, 183 mm, are 865 pixels then"""
SHOWN_COLOURS = 256
"""a third of the bytes, and no eye sees it"""
OF_PRINT_DPI = 300
"""from here on hinting moves no letter by what the eye could see, and files that were published stay the same to the byte"""


class Picture(Figure):
    """As any figure, to be saved or changed; its window is the notebook."""

    def draw(self, renderer: Any) -> None:
        """On whatever it is drawn, by ``savefig`` or by the notebook: hinted type is wider on a screen than in print, for which lines were broken."""
        from matplotlib import rc_context

        with rc_context({} if self.dpi >= OF_PRINT_DPI else {"text.hinting": "none"}):
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        """What IPython asks for."""
        from PIL import Image

        from benchmark.figures.sheet import ready

        drawn, small = io.BytesIO(), io.BytesIO()
        with ready():
            self.savefig(drawn, format="png", dpi=SHOWN_DPI, metadata={"Software": None})
        with Image.open(drawn) as picture:
            few = picture.convert("RGB").quantize(SHOWN_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(small, format="png", optimize=True)
        return small.getvalue()
