"""Compiled kernels whose files are damaged are compiled anew, and where none can be kept they work all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# A kernel that is made again is looked for on disk again: one process can play many.
KERNEL = """
import sys
from pathlib import Path

import numpy as np
from benchmark.compiled import kernel

def doubled(numbers):
    out = np.empty_like(numbers)
    for place in range(len(numbers)):
        out[place] = 2 * numbers[place]
    return out

HARMS = {
    "emptied": lambda file: file.write_bytes(b""),
    "halved": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "zeroed": lambda file: file.write_bytes(bytes(file.stat().st_size)),
}

def found() -> bool:
    made = kernel(doubled)
    assert made(np.arange(3)).tolist() == [0, 2, 4]
    return bool(made.stats.cache_hits)

print("first", found(), found())
for name, harm in HARMS.items():
    for ending in sys.argv[1:]:
        (file,) = Path("kept").rglob(f"*.{ending}")
        harm(file)
        print(ending, name, found(), found())
"""


def said(folder: Path, *words: str, **environment: str) -> list[str]:
    where = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kept"), **environment}
    (folder / "kernels.py").write_text(KERNEL)
    done = subprocess.run([sys.executable, "kernels.py", *words], cwd=folder, env=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_damaged_file_is_compiled_anew_and_kept_again(tmp_path: Path) -> None:
    harms = [f"{ending} {harm} False True" for harm in ("emptied", "halved", "zeroed") for ending in ("nbi", "nbc")]
    assert said(tmp_path, "nbi", "nbc") == ["first False True", *harms]


def test_where_nothing_can_be_kept_it_is_compiled_each_time(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("no folder")
    assert said(tmp_path, NUMBA_CACHE_LOCATOR_CLASSES="UserProvidedCacheLocator") == ["first False False"]
