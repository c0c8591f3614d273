"""``index.html``: template, style and script in one file, with the tables of the run as they are read without any script.

A policy within the page lets only this script and this style do anything: each is named by its hash, and nothing may be fetched from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from benchmark.tables.html import TABLES_STYLE, html_lines
from benchmark.tables.table import Table

STYLES = ("style.css", "overview.css")
SCRIPTS = (
    "store.js",
    "radiograph.js",
    "reports.js",
    "case_tables.js",
    "case.js",
    "find_cases.js",
    "cases.js",
    "plots.js",
    "forest.js",
    "heat.js",
    "look_first.js",
    "overview.js",
    "keys.js",
    "shell.js",
)
"""in the order in which they stand in one function; the last one starts the page"""
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def page_html(title: str, note: str, tables: Sequence[Table]) -> str:
    """The whole file."""
    script = "\n".join(['"use strict";', "(() => {", *map(_shipped, SCRIPTS), "})();"])
    style = "\n".join([TABLES_STYLE, *map(_shipped, STYLES)])
    if "</script" in script.lower() or "</style" in style.lower():
        raise ValueError("a script or style of the page holds the tag that ends it, and would be cut there")
    template = _shipped("page.html")
    given = {"style": style, "script": script, "title": escape(title), "note": escape(note), "tables": "\n".join(tables_html(tables))}
    return _filled(template, {**given, "csp": escape(_policy(template, given))})


def tables_html(tables: Sequence[Table]) -> list[str]:
    """The tables one below the other, each a section of its own; who hears the page finds them by their headings."""
    lines = ['<section class="tables" id="tables" aria-label="Tables">']
    for table in tables:
        name = escape(table.name)
        lines += [
            f'<section class="table" id="table-{name}" aria-labelledby="heading-{name}">',
            f'<h2 id="heading-{name}">{escape(table.heading)}</h2>',
        ]
        lines += [*html_lines(table), "</section>"]
    return [*lines, "</section>"]


def _shipped(name: str) -> str:
    return (files("benchmark.viewer") / name).read_text(encoding="utf-8").strip("\n")


def _filled(template: str, given: Mapping[str, str]) -> str:
    """The template with its places filled, all in one pass: what is put in is not looked through again."""
    return _PLACE.sub(lambda place: given[place[1]], template)


def _policy(template: str, given: Mapping[str, str]) -> str:
    """Only what is in this page, and files beside it, may run or be shown."""
    without_texts = _filled(template, {**given, "csp": "", "title": "", "note": "", "tables": ""})
    scripts, styles = (
        " ".join(_hash(content) for content in re.findall(rf"<{tag}>(.*?)</{tag}>", without_texts, re.DOTALL)) for tag in ("script", "style")
    )
    return (
        f"default-src 'none'; script-src {scripts} 'self' file:; style-src {styles}; img-src 'self' file: data:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode('ascii')}'"
