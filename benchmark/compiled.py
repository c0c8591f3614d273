"""``kernel``: a function compiled by numba, its machine code kept on disk, free of the interpreter lock.

The first call of a kernel on a machine compiles it (seconds); later processes load it (milliseconds). The code is kept beside the module,
or under ``places.cache_folder() / "numba"`` where that folder cannot be written; a ``NUMBA_CACHE_DIR`` of the user's wins over both. No command fails
for want of kept code: a file that is damaged is compiled anew, and where nothing can be kept, every process compiles.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

from benchmark.places import cache_folder

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """The compiled twin of ``function``; no fast-math, so that a number does not depend on the compiler's mood."""
    if not numba.config.CACHE_DIR and not os.access(Path(__file__).parent, os.W_OK):
        numba.config.CACHE_DIR = str(cache_folder() / "numba")
    compiled = numba.njit(nogil=True)(function)
    if hasattr(compiled, "enable_caching"):  # not under NUMBA_DISABLE_JIT
        with suppress(RuntimeError):  # what numba raises where no folder can be written
            compiled._cache = _KeptCode(function)
    return cast(Callable[P, R], compiled)


class _KeptCode(FunctionCache):  # type: ignore[misc]  # numba has no types
    """numba's own files, under the same names. What a damaged or an unwritable one raises would else come out of the call of the kernel, for ever:
    an empty index, as a machine that lost its power leaves it, is https://github.com/numba/numba/issues/10434.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The code that was kept, or None."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # half a pickle raises nearly anything
            with suppress(OSError):
                self.flush()  # else the damaged index would be read again when the new code is kept
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code, if that can be done."""
        with suppress(OSError, EOFError):
            super().save_overload(sig, data)
