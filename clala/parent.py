"""Processes that end when the one that started them does, however that ends: what nobody waits for would train, or wait for work, for ever."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress


def end_with(parent: int, word: str = "") -> None:
    """From now on end this process, at once and with exit status 1, when ``parent``, which started it, is gone; ``word`` then goes to stderr."""

    def say() -> None:
        with suppress(OSError, ValueError):  # whoever read it may be gone too
            print(word, file=sys.stderr, flush=True)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        if word:
            saying = threading.Thread(target=say, daemon=True)
            saying.start()
            saying.join(1.0)  # and no longer: a pipe that is full and that nobody reads would keep the process for ever
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
