"""The stress test of metrics: candidates with exactly one known error, candidates with none, and which of the two a metric prefers."""
