"""Work without Python's collector of cycles, where millions of small objects are made and none of them points back: to look at them takes as long as
the work itself, and finds nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Within it, what is no longer used goes by its count of references alone. For short pieces of work: cycles of others wait meanwhile."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
