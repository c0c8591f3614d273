"""One event loop in a thread of its own, for everything that waits for endpoints; a cached run never starts it."""

from __future__ import annotations

import asyncio
import os
import threading

_lock = threading.Lock()
_running: tuple[int, asyncio.AbstractEventLoop] | None = None
"""process and loop: a fork has neither the thread nor, therefore, the loop"""


def event_loop() -> asyncio.AbstractEventLoop:
    """The loop; the thread does not keep the process alive."""
    global _running
    with _lock:
        if _running is None or _running[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="language models", daemon=True).start()
            _running = os.getpid(), loop
        return _running[1]
