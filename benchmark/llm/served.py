"""Is the model that answered the one that was asked?"""

from __future__ import annotations

import functools
import re

_DATED = re.compile(r"[-@:](?:\d{4}-?\d{2}-?\d{2}|\d{3,4}|latest|v\d+(?::\d+)?)")


@functools.lru_cache(maxsize=1024)
def is_the_model(served: str, asked: str) -> bool:
    """True if the names agree but for a provider before them and a date or version behind."""
    served, asked = (name.rpartition("/")[2].lower() for name in (served, asked))
    return served == asked or (served.startswith(asked) and _DATED.fullmatch(served[len(asked) :]) is not None)
