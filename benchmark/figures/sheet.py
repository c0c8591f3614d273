"""A sheet of paper for a figure: sizes in millimetres, type, palette, and files with the same bytes for the same drawing.

Type is DejaVu Sans out of matplotlib's own folder, whatever the machine has. In an SVG letters are outlines: a file that only names its font is set
in another one where that is missing, wider or narrower, and numbers run into what stands beside them. What a screen reader needs of the words is in
``<title>`` and ``<desc>``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.figures.small_svg import small_svg
from benchmark.records import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

ONE_COLUMN_MM, TWO_COLUMNS_MM = 89.0, 183.0
"""widths of print of Nature Portfolio journals, Scientific Reports among them"""
TITLE_PT, HEAD_PT, TEXT_PT, SMALL_PT = 8.0, 7.0, 6.5, 6.0
"""none below 6 points, so that nothing is lost at the size of print"""
CAPITALS = 0.73
"""height of DejaVu's capitals, of the size of type"""
PNG_DPI = 300
COLOURS = 128
"""of a PNG: a dozen, and what lies between each and white at the edges of letters"""
MM_PER_INCH, MM_PER_PT = 25.4, 25.4 / 72

BLACK, BLUE, VERMILLION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
"""of the palette of Okabe and Ito (2008), which colour-blind readers tell apart; shapes tell the same apart in grey"""
GREY, FAINT = "#595959", "#DCDCDC"
"""words beside the data (7 to 1 on white), and guides under it"""


class NoMatplotlib(UserError):
    """The picture needs a package of the extra ``viewer``."""


@contextmanager
def ready() -> Iterator[None]:
    """matplotlib as it ships, whatever the user's own settings say; within this a figure is made, drawn and written. Raises ``NoMatplotlib``."""
    try:
        from matplotlib import style
    except ImportError as error:
        raise NoMatplotlib(
            f"no picture was drawn: {error}; install it with pip install 'clala-benchmark[viewer]' and run the same command"
        ) from error
    with style.context(["default", {"svg.hashsalt": "clala-benchmark", "svg.fonttype": "path"}], after_reset=True):
        yield


@cache
def type_of(points: float, is_bold: bool = False) -> FontProperties:
    """The font at a size."""
    import matplotlib
    from matplotlib.font_manager import FontProperties

    name = "DejaVuSans-Bold.ttf" if is_bold else "DejaVuSans.ttf"
    return FontProperties(fname=str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size=points)


@cache
def width_mm(text: str, points: float, is_bold: bool = False) -> float:
    """How wide the longest line of a text is set."""
    from matplotlib.textpath import text_to_path

    font = type_of(points, is_bold)
    return max(float(text_to_path.get_text_width_height_descent(line, font, False)[0]) for line in text.split("\n")) * MM_PER_PT


def line_mm(points: float) -> float:
    """From one line of a text to the next."""
    return 1.22 * points * MM_PER_PT


def wrapped(text: str, most_mm: float, points: float, is_bold: bool = False) -> list[str]:
    """A text in lines that fit a width; a word that alone is wider is broken, and a number stays with its per cent."""
    lines = [""]
    for word in text.replace(" %", "\N{NO-BREAK SPACE}%").split(" "):
        while width_mm(word, points, is_bold) > most_mm and len(word) > 1:
            room = next(end for end in range(len(word) - 1, 0, -1) if end == 1 or width_mm(word[:end], points, is_bold) <= most_mm)
            lines += [word[:room]] if lines[-1] else []
            lines[-1] = lines[-1] or word[:room]
            lines.append("")
            word = word[room:]
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_mm(longer, points, is_bold) > most_mm:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


class Sheet:
    """A figure on which things are placed in millimetres from the upper left corner. Lives within ``ready``."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from benchmark.figures.picture import Picture

        self.width, self.height = width, height
        self.figure = Picture(figsize=(width / MM_PER_INCH, height / MM_PER_INCH), dpi=PNG_DPI)
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes without frame but for the line below."""
        axes = self.figure.add_axes((left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height))
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_linewidth(0.6)
        axes.tick_params(width=0.6, length=2, pad=1.5)
        axes.patch.set_visible(False)
        return axes

    def drawing_board(self, left: float, top: float, width: float, height: float) -> Axes:
        """A part of the sheet to draw signs on, in millimetres from its own upper left corner."""
        axes = self.figure.add_axes((left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height))
        axes.set_axis_off()
        axes.set(xlim=(0, width), ylim=(height, 0))
        return axes

    def write(self, x: float, y: float, text: str, points: float = TEXT_PT, *, is_bold: bool = False, **named: Any) -> None:
        """Set a line with its left end at x and the middle of its capitals at y, whatever hangs below them. Dollar signs are dollar signs."""
        look = {"ha": "left", "va": "baseline", "color": BLACK, **named}
        baseline = y + CAPITALS / 2 * points * MM_PER_PT
        self.figure.text(x / self.width, 1 - baseline / self.height, text, fontproperties=type_of(points, is_bold), parse_math=False, **look)

    def write_lines(self, x: float, top: float, lines: Sequence[str], points: float, *, is_bold: bool = False, **named: Any) -> float:
        """Set lines under one another; returns where the next would begin."""
        for place, line in enumerate(lines):
            self.write(x, top + (place + 0.5) * line_mm(points), line, points, is_bold=is_bold, **named)
        return top + len(lines) * line_mm(points)

    def save(self, folder: Path, name: str, *, title: str, description: str) -> list[Path]:
        """Write ``name.png`` and ``name.svg``."""
        files = save(self.figure, folder, name, title=title, description=description)
        _few_colours(files[0])
        return files


def save(figure: Figure, folder: Path, name: str, *, title: str, description: str, dpi: int = PNG_DPI) -> list[Path]:
    """Write a figure as ``name.png`` and ``name.svg``; neither holds a date or a version. The SVG has title and description. Within ``ready``."""
    files = [folder / f"{name}.png", folder / f"{name}.svg"]
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(files[0], dpi=dpi, metadata={"Software": None})
    figure.savefig(files[1], metadata={"Date": None, "Creator": None})
    files[1].write_text(small_svg(files[1].read_text(encoding="utf-8"), title, description), encoding="utf-8", newline="\n")
    return files


def _few_colours(file: Path) -> None:
    """Write a picture of few colours with few: half as large, and no eye sees it."""
    from PIL import Image

    with Image.open(file) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True, dpi=(PNG_DPI, PNG_DPI))


def plain(value: float) -> str:
    """A number at a tick, as short as it can be, with a real minus sign."""
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")
