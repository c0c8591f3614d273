"""A radiograph as a model that was not made for them is shown it: three equal colours, no larger than asked for."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.datasets.images import read_radiograph
from benchmark.llm.questions import Picture

if TYPE_CHECKING:
    from PIL import Image

Format = Literal["jpeg", "png"]


def opened(path: Path, max_side_px: int) -> Image.Image:
    """The radiograph, grey, its longer side at most so many pixels; 0 = as it is. Raises ``UnreadableImage``."""
    from PIL import Image

    picture = Image.fromarray(read_radiograph(path))
    longer = max(picture.size)
    if not max_side_px or longer <= max_side_px:
        return picture
    width, height = (max(1, round(side * max_side_px / longer)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def encoded(picture: Image.Image, form: Format, quality: int) -> Picture:
    """The picture as a file that is sent. It holds pixels alone: no name, no date, no comment of the file that it came from."""
    content = io.BytesIO()
    if form == "png":
        picture.save(content, "PNG")
    else:
        picture.save(content, "JPEG", quality=quality)
    return Picture(content.getvalue(), f"image/{form}")
