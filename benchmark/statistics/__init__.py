"""How far a number could move: intervals, tests and their power, by patients and not by images.

``bootstrap`` measures, ``draws`` says which patients are drawn or swapped, ``intervals``, ``corrections``, ``power`` and ``mcnemar`` are what it
and the tables need. Pure functions of arrays; nothing here knows a metric or a model.
"""

from benchmark.statistics.bootstrap import Compared, Difference, Differences, Estimate, Measured, PatientBootstrap, Scores, Values, flips_for
from benchmark.statistics.corrections import benjamini_hochberg, holm
from benchmark.statistics.draws import draw_counts, flip_signs, patient_numbers, patient_sums, scored_rows
from benchmark.statistics.intervals import Method, interval, p_value, p_within
from benchmark.statistics.mcnemar import mcnemar, mcnemar_by_patient
from benchmark.statistics.power import minimum_detectable

__all__ = [
    "Compared",
    "Difference",
    "Differences",
    "Estimate",
    "Measured",
    "Method",
    "PatientBootstrap",
    "Scores",
    "Values",
    "benjamini_hochberg",
    "draw_counts",
    "flip_signs",
    "flips_for",
    "holm",
    "interval",
    "mcnemar",
    "mcnemar_by_patient",
    "minimum_detectable",
    "p_value",
    "p_within",
    "patient_numbers",
    "patient_sums",
    "scored_rows",
]
