"""The stream of numpy's ``Generator(SFC64(seed)).integers(0, P, dtype=int32)``, counted while it is drawn: the same numbers, four times as fast.

SFC64: Doty-Humphrey, PractRand. Bounded integers: Lemire, ACM Transactions on Modeling and Computer Simulation 29:3 (2019); of each 64 bits the
lower half comes first, as in numpy. Since the stream is written out here, a seed's draws do not depend on numpy's version.
"""

from __future__ import annotations

import numpy as np

from benchmark.compiled import kernel

HALF = np.uint64(32)
LOWER = np.uint64(0xFFFFFFFF)
ZERO, ONE, R3, R11, R24, R40 = (np.uint64(number) for number in (0, 1, 3, 11, 24, 40))


def state_of(seed: int) -> np.ndarray:
    """(6,) uint64: the generator's four words, whether half a word is left over, and that half."""
    words = np.random.SFC64(seed).state["state"]["state"]
    return np.concatenate([words, np.zeros(2, dtype=np.uint64)])


@kernel
def count_draws(state: np.ndarray, counts: np.ndarray) -> None:
    """Add to each row of ``counts`` (R, P) uint8 how often each of P is drawn in P draws, P from 2; ``state`` moves on."""
    a, b, c, w, has_half, half = state[0], state[1], state[2], state[3], state[4], state[5]
    rows, patients = counts.shape
    bound = np.uint64(patients)
    refused_below = ((ONE << HALF) - bound) % bound
    for row in range(rows):
        line = counts[row]
        drawn = 0
        while drawn < patients:
            if has_half == ONE:
                has_half = ZERO
                scaled = half * bound
            else:
                word = a + b + w
                w += ONE
                a = b ^ (b >> R11)
                b = c + (c << R3)
                c = ((c << R24) | (c >> R40)) + word
                half = word >> HALF
                scaled = (word & LOWER) * bound
                if drawn + 1 < patients:  # both halves will be wanted: the first at once, without asking again who is next
                    if (scaled & LOWER) >= refused_below:
                        line[scaled >> HALF] += np.uint8(1)
                        drawn += 1
                    scaled = half * bound
                else:
                    has_half = ONE
            if (scaled & LOWER) >= refused_below:
                line[scaled >> HALF] += np.uint8(1)
                drawn += 1
    state[0], state[1], state[2], state[3], state[4], state[5] = a, b, c, w, has_half, half
