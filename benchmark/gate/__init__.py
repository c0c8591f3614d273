"""A change held against what was before: two runs compared patient by patient, for a CI job that must say yes or no.

``sealed`` reads a run and refuses one that was edited; ``compare`` decides; ``outputs`` writes it for a pull request, for a CI server, for programs.
"""

from benchmark.gate.compare import CannotCompare, Compared, Gate, compare

__all__ = ["CannotCompare", "Compared", "Gate", "compare"]
