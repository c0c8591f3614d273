"""Reports to words, as the annotators of RadGraph saw them: one way for the first model, another for those of RadGraph-XL.

Both follow ``preprocess_reports`` of the package radgraph 0.1.18. It cuts echograph's reports as XL's, for a condition there is always true.
"""

from __future__ import annotations

import re

_MARKS = re.compile(r"([/,:.!?()])")
_WORDS = re.compile(r"\w+|[^\w\s]+")  # what nltk's wordpunct_tokenize finds
# Text that went through JSON twice still shows its escapes; they are blanks and quotes again.
_ESCAPES = (("\\n", "  "), ("\\f", "  "), ("\\u2122", " "), ('\\"', "``"))
_JOINED = ((").", ") ."), ("%.", "% ."), (".'", ". '"), ("%,", "% ,"), ("%)", "% )"))
"""runs of marks that are cut, one after the other; any other run (``/.``) stays one word"""


def words_v1(report: str) -> list[str]:
    """What stands between blanks once each of the marks ``/ , : . ! ? ( )`` stands alone."""
    return _MARKS.sub(r" \1 ", report).split()


def words_xl(report: str) -> list[str]:
    """Runs of letters and digits, and runs of anything else, of which a few are cut."""
    for written, meant in _ESCAPES:
        report = report.replace(written, meant)
    text = " ".join(_WORDS.findall(report))
    for joined, apart in _JOINED:
        text = text.replace(joined, apart)
    return text.split()
