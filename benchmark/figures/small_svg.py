"""An SVG as matplotlib writes it, in far fewer bytes: the same picture, with title and description. These files are committed.

Most of such a file says where each letter stands, to eleven digits and by the letter's long name. Here numbers end at a hundredth of a point, groups
that have no effect are left away, and each sign is drawn once. A letter's name is still its own: two pictures on one page do not change each other's.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
HREF = f"{{{XLINK}}}href"
LONG = re.compile(r"scale\([^)]*\)|-?\d+\.\d{3,}")
"""numbers that are longer than need be; a scale is not, since it is multiplied with much"""
AT = re.compile(r"translate\(([-\d.]+) 0\)")
PLACES = ("d", "x", "y", "width", "height", "viewBox", "transform")
"""attributes that are of numbers"""
SHORT_NAMES = (("DejaVuSans-Bold-", "b"), ("DejaVuSans-", "d"))


def small_svg(drawn: str, title: str, description: str) -> str:
    """The file of the same picture; ``title`` and ``description`` are for who cannot see it."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(drawn)
    root.set("role", "img")
    signs = Element(f"{{{SVG}}}defs")
    _flatten(root, signs)
    names = _drawn_once(signs)
    for element in (*root.iter(), *signs.iter()):
        _shorten(element, names)
    for place, (name, text) in enumerate((("title", title), ("desc", description))):
        said = Element(f"{{{SVG}}}{name}")
        said.text = text
        root.insert(place, said)
    root.insert(2, signs)
    ElementTree.indent(root, "")
    text = ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _flatten(element: Element, signs: Element) -> None:
    """Take out what has no effect, and gather in ``signs`` what is drawn by name."""
    kept: list[Element] = []
    for child in element:
        tag = child.tag.removeprefix(f"{{{SVG}}}")
        if tag == "defs":
            signs.extend(child)
        elif tag != "metadata":
            _flatten(child, signs)
            kept += child if tag == "g" and not set(child.attrib) - {"id"} else [child]
    for child in list(element):
        element.remove(child)
    element.extend(kept)
    if element.tag == f"{{{SVG}}}g":
        element.attrib.pop("id", None)


def _drawn_once(signs: Element) -> dict[str, str]:
    """Leave each sign but once; its name, or that of one that looks the same -> the name of the one that is left."""
    names: dict[str, str] = {}
    left: dict[str, str] = {}
    for sign in list(signs):
        name = sign.attrib.pop("id", "")
        looks = ElementTree.tostring(sign, encoding="unicode").strip()
        if looks in left:
            signs.remove(sign)
        else:
            left[looks] = next((short + name.removeprefix(long) for long, short in SHORT_NAMES if name.startswith(long)), name)
            if name:
                sign.set("id", left[looks])
        names[name] = left[looks]
    return names


def _shorten(element: Element, names: dict[str, str]) -> None:
    """A sign by the name that it has now, a letter's place without words, numbers as long as an eye can tell."""
    if target := element.get(HREF):
        element.set(HREF, f"#{names.get(target[1:], target[1:])}")
    if clip := element.get("clip-path"):
        element.set("clip-path", re.sub(r"#([^)]+)", lambda found: f"#{names.get(found[1], found[1])}", clip))
    if (at := AT.fullmatch(element.get("transform", ""))) and element.tag == f"{{{SVG}}}use" and not set(element.attrib) & {"x", "y"}:
        del element.attrib["transform"]
        element.set("x", str(round(float(at[1]))))  # hundredths of the size of type
    for name in PLACES:
        if value := element.get(name):
            element.set(name, LONG.sub(_rounded, " ".join(value.split())))


def _rounded(found: re.Match[str]) -> str:
    if found[0].startswith("scale"):
        return found[0]
    text = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
