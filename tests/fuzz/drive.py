"""Fuzzing guided by coverage, by hand: ``python tests/fuzz/drive.py reports_json --seconds 300``; without names all parsers in turn.

Needs atheris (pip install atheris; Linux), which is no part of the project. What a parser refuses by its own errors is no finding. One is written
to ``--corpus``: cut it down, put it under ``tests/fuzz/corpus/<parser>/`` with a name that says what is wrong, and mend the parser: the test of that
folder then holds it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

WATCHED = ["benchmark", "adapters", "json", "csv", "tomllib", "zipfile", "tarfile"]


def compiled() -> list[str]:
    """Modules with compiled kernels: calls that report coverage cannot be compiled."""
    root = HERE.parents[1]
    files = (file for place in ("benchmark", "adapters") for file in (root / place).rglob("*.py"))
    own = [file for file in files if "benchmark.compiled" in file.read_text(encoding="utf-8")]
    return [".".join(file.relative_to(root).with_suffix("").parts) for file in own]


def fuzz(name: str, folder: Path, seconds: int) -> None:
    """One parser in this process; never returns."""
    import atheris

    with atheris.instrument_imports(include=WATCHED, exclude=compiled()):
        from parsers import PARSERS
    parser = PARSERS[name]
    for number, example in enumerate(parser.examples):
        (folder / f"example-{number}").write_bytes(example)

    def one(content: bytes) -> None:
        try:
            parser.read(content)
        except parser.refuses:
            return

    words = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=4096", "-max_len=20000", f"-artifact_prefix={folder}/finding-", str(folder)]
    atheris.Setup([sys.argv[0], *words], one)
    atheris.Fuzz()


def main() -> None:
    """Each parser in a process of its own: one that breaks ends its own turn alone."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("names", nargs="*", help="parsers; all if none is named")
    words.add_argument("--seconds", type=int, default=300, help="for each")
    words.add_argument("--corpus", type=Path, default=Path("fuzz-corpus"), help="what was found on the way, kept for the next time")
    words.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.one:
        fuzz(asked.names[0], asked.corpus, asked.seconds)
    names = asked.names
    if not names:
        from parsers import PARSERS

        names = list(PARSERS)
    broken = []
    for name in names:
        folder = asked.corpus / name
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, name, "--one", "--seconds", str(asked.seconds), "--corpus", str(folder.resolve())]
        with (folder.parent / f"{name}.log").open("wb") as log:
            ended = subprocess.run(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode
        print(f"{name}: {'nothing found' if ended == 0 else f'ended with {ended}, see {log.name}'}", flush=True)
        broken += [name] if ended else []
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
