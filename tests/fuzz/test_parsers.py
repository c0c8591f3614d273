"""Whatever bytes a parser is given, it reads them or refuses them by an error of its own.

More of it: ``CLALA_FUZZ_EXAMPLES=2000 pytest tests/fuzz``; guided by coverage, for as long as you like: ``python tests/fuzz/drive.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parsers import PARSERS

EXAMPLES = int(os.environ.get("CLALA_FUZZ_EXAMPLES", "25"))
CORPUS = Path(__file__).with_name("corpus")
MANY = settings(
    max_examples=EXAMPLES,
    derandomize="CLALA_FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
OF_RUNS = ("run_record", "run_rows", "run_cases", "run_references", "run_reports")
SLOW = {"xml": 5, "tar": 5, "dicom": 2, "definitions": 2, **dict.fromkeys(OF_RUNS, 5)}
"""how many times longer than others one reading takes"""

DEEP_AND_LONG = (b"[" * 3000, b'{"a":' * 3000, b"9" * 5000, b"a" * 2000, b". " * 500, b",,,,", b"1e999", b"-0.0", b"NaN", b"null")
HALVES_AND_SIGNS = (b"", b"\0", b'"', b'"\\ud800"', b"\xff\xfe", b"\r", b"\n\n", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"\xcc\x81", b"\xc4\xb0")
OPENINGS = (b"</", b"<!DOCTYPE a [", b"%PDF", b"\x1f\x8b", b"PK\x03\x04")
NASTY = st.sampled_from((*DEEP_AND_LONG, *HALVES_AND_SIGNS, *OPENINGS))
"""what breaks readers: depth, sizes, halves of characters, the openings of other formats"""


@st.composite
def damaged(draw: st.DrawFn, examples: tuple[bytes, ...]) -> bytes:
    """Bytes of any kind, or one of the examples with some places cut, doubled or overwritten."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=200))
    content = draw(st.sampled_from(examples))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        put = draw(st.one_of(st.just(b""), NASTY, st.binary(max_size=4), st.just(content[start:end] * 2)))
        content = content[:start] + put + content[end:]
    return content


def check(name: str, content: bytes) -> None:
    parser = PARSERS[name]
    try:
        parser.read(content)
    except parser.refuses as error:
        assert str(error).strip(), "a refusal says why"  # noqa: PT017


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_reads_its_own_examples(name: str) -> None:
    """Else mutations of them are refused at the door, and show nothing."""
    PARSERS[name].read(PARSERS[name].examples[0])


@pytest.mark.parametrize("name", PARSERS)
def test_no_bytes_break_a_parser(name: str) -> None:
    """A file is damaged, cut off or hostile; the user gets one line, and no traceback."""

    @settings(MANY, max_examples=max(5, EXAMPLES // SLOW.get(name, 1)))
    @given(damaged(PARSERS[name].examples))
    def holds(content: bytes) -> None:
        check(name, content)

    holds()


@pytest.mark.parametrize("file", sorted(CORPUS.glob("*/*")), ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_broke_a_parser_once_does_not_again(file: Path) -> None:
    """Each was a fault; the folder is the parser's name, the file's name what was wrong."""
    check(file.parent.name, file.read_bytes())
