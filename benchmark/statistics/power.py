"""What a comparison could have seen: the smallest true difference that its paired test would find four times in five.

A difference of D is found at two-sided level a with power 1 - b if D / SE is the noncentrality at which Student's t with P - 1 degrees of freedom
passes its critical value with that chance (Cohen, Statistical Power Analysis, 1988, chapter 2; for many patients D = (z(1-a/2) + z(1-b)) SE).
The standard error is that of the paired bootstrap by patient, so that it holds for means and for functions of sums alike. It says what a study of
this size can see, not whether the models differ: that is the interval's to say. The error is that of the two models as they are: where the spread of
a number grows as it falls (F1 does), models that are alike today are found a little less often once one of them is worse by D (73 % in place of 80
for D = 0.07 in F1: tests/benchmarks/interval_coverage.py).
"""

from __future__ import annotations

import numpy as np

NOISE = 1e-12  # of a number's size: what the order of summation may do to it


def standard_error(resampled: np.ndarray, patients: int) -> float:
    """Of a number, from its values in every draw of ``patients`` patients; NaN if fewer than two draws have it, or fewer than half.

    0 where every draw agrees but for the order of summation.
    """
    defined = resampled[~np.isnan(resampled)]
    if len(defined) < 2 or 2 * len(defined) < len(resampled) or patients < 2:
        return np.nan
    spread = defined.std(ddof=1)
    if spread <= NOISE * np.abs(defined).max():
        return 0.0
    return float(spread * np.sqrt(patients / (patients - 1)))  # drawn from P values, the variance is (P - 1) / P of the unbiased one


def minimum_detectable(error: float, patients: int, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest true difference that a two-sided test at 1 - ``level`` finds with that ``power``; NaN where the standard error is 0 or unknown.

    A standard error of 0 means that every draw agreed: too few differing cases to tell, not that anything would be seen.
    """
    if not error > 0 or patients < 2:
        return np.nan
    from scipy.special import nctdtrinc, ndtri, stdtrit

    freedom = patients - 1
    if freedom > 10_000:  # as good as normal, and the search for the noncentrality loses digits
        return float(error * (ndtri((1 + level) / 2) + ndtri(power)))
    critical = stdtrit(freedom, (1 + level) / 2)
    return float(error * nctdtrinc(freedom, 1 - power, critical))  # passing the other critical value, with the wrong sign, is no finding
