"""How far a number could move: intervals, tests and their power, by patients and not by images.

``bootstrap`` measures, ``seeds`` does so over several trainings of one design, ``draws`` says which patients are drawn or swapped, ``intervals``,
``corrections``, ``power`` and ``mcnemar`` are what they and the tables need. Pure functions of arrays; nothing here knows a metric or a model.
"""

from benchmark.statistics.bootstrap import Compared, Difference, Differences, Estimate, Measured, PatientBootstrap, Scores, Values, flips_for
from benchmark.statistics.corrections import benjamini_hochberg, holm
from benchmark.statistics.draws import draw_counts, flip_signs, patient_numbers, patient_sums, scored_rows
from benchmark.statistics.intervals import Method, interval, p_value, p_within
from benchmark.statistics.mcnemar import mcnemar, mcnemar_by_patient
from benchmark.statistics.power import minimum_detectable
from benchmark.statistics.seeds import OverSeeds, over_seeds, paired_seeds

__all__ = [
    "Compared",
    "Difference",
    "Differences",
    "Estimate",
    "Measured",
    "Method",
    "OverSeeds",
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
    "over_seeds",
    "p_value",
    "p_within",
    "paired_seeds",
    "patient_numbers",
    "patient_sums",
    "scored_rows",
]
