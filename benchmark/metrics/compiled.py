"""Where the metrics find ``kernel``; it stands on the first floor, since the bootstrap's draws are compiled too."""

from benchmark.compiled import kernel

__all__ = ["kernel"]
