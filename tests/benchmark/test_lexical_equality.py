"""Every lexical metric beside the program that it reproduces, on real, drawn and odd pairs; ``tests/benchmarks/equality.py`` does it on thousands."""

import numpy as np
import pytest
from reference_programs import REFERENCES, WITHOUT_PARAPHRASES, Missing, Reference
from report_pairs import ODD, phantom_pairs, real_pairs

QUICK = [one for one in REFERENCES if one.title != "meteor"] + [WITHOUT_PARAPHRASES]


@pytest.mark.parametrize("reference", QUICK, ids=lambda reference: reference.title)
@pytest.mark.parametrize("kind", ["made_up", "real"])
def test_a_metric_equals_the_program_that_it_reproduces(reference: Reference, kind: str, request: pytest.FixtureRequest) -> None:
    """To 1e-9: every case, and the number of the corpus where the program has one. Versions as in constraints.txt."""
    if kind == "made_up":
        pairs = [pair for pair in ODD if len(pair[1]) < 3000 or not reference.is_slow_on_long_texts] + phantom_pairs(80)
    else:
        pairs = real_pairs(request.getfixturevalue("real_data"), 60)
    try:
        apart, _ = reference.compare(*map(list, zip(*pairs, strict=True)))
    except Missing as missing:
        pytest.skip(f"{missing}, which {reference.title} is compared with")
    assert len(apart) >= len(pairs) - 4  # a reference of signs alone has no word for some
    assert apart.max() < 1e-9


def test_odd_pairs_are_as_odd_as_they_are_meant_to_be() -> None:
    words = [len(reference.split()) for _, reference in ODD]
    assert max(words) >= 2000
    assert min(words) == 1
    assert any(not text for text, _ in ODD)
    assert any(one == other for one, other in ODD)
    assert any("\n" in text for text, _ in ODD)
    assert any(not np.array([sign.isalnum() for sign in text]).any() for text, _ in ODD if text)
    assert any(not text.isascii() for text, _ in ODD)
