"""A page of phantoms with what they have, for the eye."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw

CELL_PX, CAPTION_PX = 300, 30


def contact_sheet(folder: Path, out: Path, count: int = 24) -> None:
    """Write a PNG of ``count`` images of a generated folder, spread evenly over its usable images, six in a row."""
    rows = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    rows = [row for row in rows if not row["fault"]]
    chosen = [rows[k * len(rows) // count] for k in range(min(count, len(rows)))]
    columns = min(6, max(len(chosen), 1))
    lines = -(-len(chosen) // columns)
    sheet = Image.new("L", (columns * CELL_PX, max(lines, 1) * (CELL_PX + CAPTION_PX)))
    draw = ImageDraw.Draw(sheet)
    for k, row in enumerate(chosen):
        x, y = k % columns * CELL_PX, k // columns * (CELL_PX + CAPTION_PX)
        with Image.open(folder / row["path"]) as image:
            image.thumbnail((CELL_PX - 4, CELL_PX - 4), Image.Resampling.LANCZOS)
            sheet.paste(image, (x + (CELL_PX - image.width) // 2, y + (CELL_PX - image.height) // 2))
        draw.multiline_text((x + 4, y + CELL_PX), _caption(row), fill=255, spacing=1)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)


def _caption(row: dict[str, object]) -> str:
    lesions = [x for x in row["lesions"] if x["status"] == "positive"]  # type: ignore[attr-defined]
    words = [f"{x['name']}{'' if x['side'] == 'not mentioned' else ' ' + x['side']} {'+' * x['severity']}" for x in lesions]
    first, second = ", ".join(words[:2]) or "no lesion", ", ".join(words[2:])
    return f"{row['view']}: {first}\n{second}"[:110]
