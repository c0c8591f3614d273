"""A case as a picture: radiograph, boxes, sentences, report; what one looks at before trusting a reader."""

from __future__ import annotations

import colorsys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.data_check import at_root
from benchmark.datasets.images import UnreadableImage, read_radiograph
from benchmark.inputs import open_dataset
from benchmark.records import Case, Reference, UserError
from benchmark.runs import writing
from benchmark.vocabulary import PAPER_REGIONS, REGIONS

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
    Colour = tuple[int, int, int]

RADIOGRAPH_PX, ASIDE_PX, MARGIN_PX = 1000, 320, 16
"""longest side of the radiograph, width of the column with the other images, and the space around things"""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MOST_CASES = 12
GROUND, INK, FAINT, EMPTY = (18, 18, 20), (235, 235, 235), (150, 150, 155), (70, 70, 74)


class Drawn(NamedTuple):
    """What is in the picture."""

    ids: list[str]
    faults: list[str]
    """a sentence for each image that could not be read; a grey field stands in its place"""


class NoSuchCase(UserError):
    """A case that the split does not have."""


def draw_cases(
    dataset: str,
    out: Path,
    ids: Sequence[str] = (),
    *,
    split: str = "test",
    count: int = 1,
    options: Mapping[str, str] | None = None,
    root: Path | None = None,
) -> Drawn:
    """One picture of some cases side by side, in ``out``; without ids of ``count`` cases spread over the split.

    Raises NoSuchCase, CannotWrite, and what the reader raises.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"the picture was to be written to {out}; give it a name that ends in {', '.join(SUFFIXES)}")
    opened = open_dataset(at_root(dataset, root), options or {})
    cases, references = opened.cases(split), opened.references(split)
    chosen = _chosen([case.id for case in cases], ids, min(count, MOST_CASES), f"split {split!r} of {dataset}")
    faults: list[str] = []
    pictures = [draw_case(cases[place], references[place], faults) for place in chosen]
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        if opened.is_credentialed:  # for this user's eyes, from its first byte on
            out.touch(mode=0o600)
            out.chmod(0o600)
        _side_by_side(pictures).save(out)
    return Drawn([cases[place].id for place in chosen], faults)


def draw_case(case: Case, reference: Reference, faults: list[str] | None = None) -> Image.Image:
    """The radiograph with its boxes, the other images beside it, and all texts beneath in the colours of the boxes.

    Of an image that cannot be read an empty field is drawn with the reason, which is added to the ``faults``: the rest is what one looks for it in.
    """
    from PIL import Image

    boxes = dict(reference.boxes or case.boxes or {})
    colours = colours_of([*boxes, *(name for name in reference.region_sentences if name not in boxes)])
    faults = [] if faults is None else faults
    left = _radiograph(case, boxes, colours, faults)
    aside = _aside(case, faults)
    width = RADIOGRAPH_PX + (ASIDE_PX + MARGIN_PX if aside else 0) + 2 * MARGIN_PX
    texts = _texts(case, reference, colours, width - 2 * MARGIN_PX)
    height = max(left.height, aside.height if aside else 0)
    page = Image.new("RGB", (width, height + texts.height + 3 * MARGIN_PX), GROUND)
    page.paste(left, (MARGIN_PX + (RADIOGRAPH_PX - left.width) // 2, MARGIN_PX))
    if aside:
        page.paste(aside, (RADIOGRAPH_PX + 2 * MARGIN_PX, MARGIN_PX))
    page.paste(texts, (MARGIN_PX, height + 2 * MARGIN_PX))
    return page


def colours_of(names: Sequence[str]) -> dict[str, Colour]:
    """A bright colour for each name; a region has the same one in every picture."""
    order = [*PAPER_REGIONS, *(name for name in (*REGIONS, *names) if name not in PAPER_REGIONS)]
    golden = 0.618034  # the first dozen end up far apart on the wheel, and so do neighbours in the list
    found = {}
    for name in names:
        red, green, blue = colorsys.hsv_to_rgb(order.index(name) * golden % 1, 0.5, 1.0)
        found[name] = (round(255 * red), round(255 * green), round(255 * blue))
    return found


def _chosen(known: Sequence[str], ids: Sequence[str], count: int, where: str) -> list[int]:
    """Places of the cases that are asked for."""
    place_of = {case_id: place for place, case_id in enumerate(known)}
    if not known:
        raise NoSuchCase(f"there is no case in {where}; `data check` says why")
    if not ids:
        return sorted({number * len(known) // count for number in range(count)})
    if unknown := [case_id for case_id in ids if case_id not in place_of]:
        raise NoSuchCase(f"no case {unknown[0]!r} in {where}; its {len(known):,} cases are called like {known[0]!r}")
    if len(ids) > MOST_CASES:
        raise UserError(f"{len(ids)} cases in one picture are too many to look at; name {MOST_CASES} at most")
    return [place_of[case_id] for case_id in ids]


def _radiograph(case: Case, boxes: Mapping[str, tuple[float, float, float, float]], colours: Mapping[str, Colour], faults: list[str]) -> Image.Image:
    from PIL import Image, ImageDraw

    try:
        grey = Image.fromarray(read_radiograph(case.images[0].path))
    except UnreadableImage as error:
        faults.append(f"{case.id}: {error}")
        return _empty_field(RADIOGRAPH_PX, RADIOGRAPH_PX // 2, str(error))
    scale = RADIOGRAPH_PX / max(grey.size)
    shown = grey.resize((max(1, round(grey.width * scale)), max(1, round(grey.height * scale))), Image.Resampling.LANCZOS).convert("RGB")
    draw = ImageDraw.Draw(shown)
    # The paper's regions and whatever is no region are drawn last and broad: 29 boxes of one look are a hedge.
    ranked = sorted(boxes, key=lambda name: name in PAPER_REGIONS or name not in REGIONS)
    corners = {}
    for name in ranked:
        is_main = name in PAPER_REGIONS or name not in REGIONS
        box = [value * scale for value in boxes[name]]
        draw.rectangle((box[0], box[1], max(box[2] - 1, box[0]), max(box[3] - 1, box[1])), outline=colours[name], width=3 if is_main else 1)
        corners[name] = (box[0], box[1])
    _name_boxes(draw, shown.size, corners, colours)
    return shown


def _name_boxes(draw: ImageDraw.ImageDraw, size: tuple[int, int], corners: Mapping[str, tuple[float, float]], colours: Mapping[str, Colour]) -> None:
    """Each name at the upper left corner of its box, moved down until it covers no other name."""
    taken: list[tuple[float, float, float, float]] = []
    for name, (x, y) in corners.items():
        font = _font(15 if name in PAPER_REGIONS or name not in REGIONS else 12)
        left, top, right, bottom = draw.textbbox((0, 0), name, font=font)
        wide, high = right - left + 6, bottom - top + 5
        x, y = min(max(x, 0), size[0] - wide), min(max(y, 0), size[1] - high)
        while any(x < c and a < x + wide and y < d and b < y + high for a, b, c, d in taken) and y + 2 * high < size[1]:
            y += high / 2
        taken.append((x, y, x + wide, y + high))
        draw.rectangle((x, y, x + wide, y + high), fill=GROUND)
        draw.text((x + 3 - left, y + 2 - top), name, fill=colours[name], font=font)


def _empty_field(width: int, height: int, why: str) -> Image.Image:
    """What stands in the place of an image that cannot be read."""
    from PIL import Image, ImageDraw

    field, font = Image.new("RGB", (width, height), EMPTY), _font(16)
    # A path is one long word: it is broken wherever the line ends.
    for number, line in enumerate(_wrapped(why, font, width - 2 * MARGIN_PX)):
        ImageDraw.Draw(field).text((MARGIN_PX, MARGIN_PX + 22 * number), line, fill=INK, font=font)
    return field


def _aside(case: Case, faults: list[str]) -> Image.Image | None:
    """The study's other images and the prior one, small, beneath each other; None if there is none."""
    from PIL import Image, ImageDraw

    others = [(image.path, f"other view: {image.view or 'not said'}") for image in case.images[1:]]
    others += [(case.prior_image, "prior image")] if case.prior_image else []
    if not others:
        return None
    tiles = []
    for path, caption in others:
        try:
            picture = Image.fromarray(read_radiograph(path)).convert("RGB")
        except UnreadableImage as error:
            faults.append(f"{case.id}, {caption}: {error}")
            picture = _empty_field(ASIDE_PX, ASIDE_PX, str(error))
        picture.thumbnail((ASIDE_PX, ASIDE_PX * 2), Image.Resampling.LANCZOS)
        tile = Image.new("RGB", (ASIDE_PX, picture.height + 28), GROUND)
        tile.paste(picture)
        ImageDraw.Draw(tile).text((0, picture.height + 4), caption, fill=FAINT, font=_font(16))
        tiles.append(tile)
    column = Image.new("RGB", (ASIDE_PX, sum(tile.height for tile in tiles)), GROUND)
    y = 0
    for tile in tiles:
        column.paste(tile, (0, y))
        y += tile.height
    return column


def _texts(case: Case, reference: Reference, colours: Mapping[str, Colour], width: int) -> Image.Image:
    """Who it is, the context, the report, the sentences by region."""
    from PIL import Image, ImageDraw

    image = case.images[0]
    file = "" if image.path.stem == case.id else f"   {image.path.name}"
    who = f"{case.id}   patient {case.patient}   study {case.study}   {image.view or 'view not said'}{file}"
    paragraphs: list[tuple[str, str, Colour]] = [("case", who, INK)]
    contexts = (("indication", case.indication), ("technique", case.technique), ("comparison", case.comparison), ("prior report", case.prior_report))
    paragraphs += [(name, text, FAINT) for name, text in contexts if text]
    paragraphs.append(("report", reference.report or "(none)", INK))
    if reference.lesions is not None:
        affirmed = [f"{one.name} ({one.side})" if one.side != "not mentioned" else one.name for one in reference.lesions if one.status == "positive"]
        paragraphs.append(("lesions", ", ".join(affirmed) or "none of the 14", INK))
    paragraphs += [(name, said, colours[name]) for name, said in reference.region_sentences.items() if said]
    font, high, indent = _font(18), 24, 230
    lines: list[tuple[str, str, Colour]] = []
    for name, text, colour in paragraphs:
        lines += [(name if not number else "", line, colour) for number, line in enumerate(_wrapped(text, font, width - indent))]
    panel = Image.new("RGB", (width, high * len(lines) + 4), GROUND)
    draw = ImageDraw.Draw(panel)
    for number, (name, line, colour) in enumerate(lines):
        draw.text((0, number * high), name, fill=colour, font=font)
        draw.text((indent, number * high), line, fill=colour, font=font)
    return panel


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    """The text in lines that are no wider than so many pixels; a word that is wider by itself is broken."""
    characters = max(8, int(width / font.getlength("n") * 1.05))
    return textwrap.wrap(text, characters) or [""]


def _side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    from PIL import Image

    sheet = Image.new("RGB", (sum(one.width for one in pictures), max(one.height for one in pictures)), GROUND)
    x = 0
    for one in pictures:
        sheet.paste(one, (x, 0))
        x += one.width
    return sheet


def _font(size: int) -> Font:
    from PIL import ImageFont

    return ImageFont.load_default(size)
