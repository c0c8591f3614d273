"""The question that the published GREEN model was trained on, to the byte: it answers to no other as it was measured.

The text is the authors' (make_prompt of green_score, github.com/Stanford-AIMI/GREEN, at d72c195) and not ours to repeat: it is taken from their
package where that is installed, or from a file of the user's, and refused where it is another text.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from pathlib import Path

from benchmark.records import UserError

SHA256 = "20e8af6880baefc7d610eebe6f7c7bde49564d25461c19d220ae3069051e256a"  # of the text with {REF} and {CAND} for the reports, 1,855 characters
REFERENCE, CANDIDATE = "{REF}", "{CAND}"
PACKAGE = "green_score"


class WrongPrompt(UserError):
    """The published question is not here, or what is here is another text; the message says how to get it."""


class PublishedPrompt:
    """The question, to be filled."""

    def __init__(self, text: str, where: str, sha256: str = SHA256) -> None:
        """``where`` is for the message. Raises ``WrongPrompt`` for any other text."""
        found = hashlib.sha256(text.encode()).hexdigest()
        if found != sha256:
            raise WrongPrompt(
                f"green: the prompt of {where} is not the published one (sha256 {found[:12]}, expected {sha256[:12]}), and the model was measured "
                f"with that alone; take make_prompt of {PACKAGE} at d72c195 with {REFERENCE} and {CANDIDATE} for the two reports"
            )
        before, _, rest = text.partition(REFERENCE)
        between, _, after = rest.partition(CANDIDATE)
        self._parts = (before, between, after)
        self.digest = found[:12]

    def fill(self, reference: str, candidate: str) -> str:
        """The question about two reports; braces within them stay what they are."""
        before, between, after = self._parts
        return f"{before}{reference}{between}{candidate}{after}"


def published_prompt(file: Path | None = None, sha256: str = SHA256) -> PublishedPrompt:
    """The question of the user's file, or of the installed package. Raises ``WrongPrompt``."""
    if file is not None:
        try:
            return PublishedPrompt(file.read_bytes().decode("utf-8"), str(file), sha256)
        except OSError as error:
            raise WrongPrompt(f"green.prompt={file}: cannot be read ({error.strerror}); give the path of a text file") from None
        except UnicodeDecodeError as error:
            raise WrongPrompt(f"green.prompt={file}: is not UTF-8 ({error.reason}); save it as UTF-8") from None
    if importlib.util.find_spec(PACKAGE) is None:
        raise WrongPrompt(
            "green: the published model answers to its own prompt alone, which is its authors' and does not ship here; install their "
            f"package (pip install git+https://github.com/Stanford-AIMI/GREEN), or save what its make_prompt gives for {REFERENCE!r} and "
            f"{CANDIDATE!r} in a file and name that: --set green.prompt=FILE"
        )
    try:
        made = importlib.import_module(f"{PACKAGE}.utils").make_prompt(REFERENCE, CANDIDATE)
    except Exception as error:  # whatever a package does that was made for another environment
        first = (str(error).splitlines() or [""])[0]
        raise WrongPrompt(
            f"green: {PACKAGE} is installed, and its make_prompt cannot be had ({type(error).__name__}: {first}); where it works, save what it gives "
            f"for {REFERENCE!r} and {CANDIDATE!r} in a file and name that: --set green.prompt=FILE"
        ) from error
    return PublishedPrompt(str(made), f"the package {PACKAGE}", sha256)
