"""Draw the default phantoms and, if asked, a contact sheet: ``python -m benchmark.datasets.phantom --sheet out.png``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.datasets.phantom import default_folder, generate
from benchmark.datasets.phantom.contact_sheet import contact_sheet
from benchmark.screen import say


def main() -> None:
    """Parse, generate, show where."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.datasets.phantom", description="Draw chest X-ray phantoms.")
    parser.add_argument("--folder", type=Path, help="where to write them (default: the cache)")
    parser.add_argument("--train", type=int, default=1200)
    parser.add_argument("--validate", type=int, default=150)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--size-px", type=int, default=512)
    parser.add_argument("--fast", action="store_true", help="tiny flat images, all the other files as usual")
    parser.add_argument("--archives", action="store_true", help="reports and scene graphs in zip archives; needs --folder")
    parser.add_argument("--sheet", type=Path, help="also write a page of them as PNG")
    parser.add_argument("--count", type=int, default=24, help="how many on the page")
    words = parser.parse_args()
    numbers = {"train": words.train, "validate": words.validate, "test": words.test, "seed": words.seed, "size_px": words.size_px}
    if words.archives and not words.folder:
        parser.error("--archives makes a tree to read from, not the dataset phantom; say where with --folder")
    folder = words.folder or default_folder(fast=words.fast, **numbers)
    generate(folder, fast=words.fast, archives=words.archives, **numbers)
    say(str(folder))
    if words.sheet:
        contact_sheet(folder, words.sheet, words.count)


if __name__ == "__main__":
    main()
