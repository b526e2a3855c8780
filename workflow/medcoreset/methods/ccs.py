from decimal import Decimal
from typing import Annotated

import numpy as np

from medcoreset.methods import difficulty
from medcoreset.methods.registry import picking
from medcoreset.options import Range


@picking(
    "ccs",
    label="CCS",
    scores_of=difficulty.scores,
    reference="Zheng et al., ICLR 2023, Algorithm 1",
    cost="O(T·N + N log N)",
    drawn=True,
    departs="code of CCS returns too few samples when α + β > 1 or scores are constant",
)
def ccs(
    scores: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    of: difficulty.Ranking = "aum",
    beta: Annotated[float, Range(0, 1)] = 0.0,
    strata: Annotated[int, Range(1)] = 50,
) -> np.ndarray:
    """Drop the share `beta` of the most difficult, then draw evenly from equal-width strata of the rest.

    `of` is the ranking that says what is difficult: by AUM, the lowest. No more are dropped than
    leaves `count`. With constant scores there is one stratum. Within each class (`balance: class`), it is
    CCS-CP (Tsai et al., arXiv:2507.10904), whose classes keep their shares.
    """
    easy = -difficulty.difficulty(scores, of)
    rest = without_hardest(easy, count, rng, beta)
    stratum = equal_width_strata(easy[rest], strata)
    budgets = stratum_budgets(np.bincount(stratum, minlength=strata), count)
    return np.concatenate(
        [
            rng.choice(rest[stratum == index], budget, replace=False)
            for index, budget in enumerate(budgets)
        ]
    )


def without_hardest(
    scores: np.ndarray, count: int, rng: np.random.Generator, beta: float
) -> np.ndarray:
    """Return the samples in ascending order of scores (n,), without the share `beta` of the lowest.

    No more are left out than leaves `count`; equal ones are in an order drawn from `rng`.
    """
    hardest_first = np.lexsort((rng.permutation(len(scores)), scores))
    # β·N in decimal: in binary floating point, 0.29 · 100 is less than 29.
    dropped = min(int(Decimal(str(beta)) * len(scores)), len(scores) - count)
    return hardest_first[dropped:]


def equal_width_strata(scores: np.ndarray, strata: int) -> np.ndarray:
    """Return the stratum, 0 … strata−1, of each score, for strata of equal width over their range."""
    low, high = scores.min(), scores.max()
    if low == high:
        return np.zeros(len(scores), dtype=np.int64)
    return np.minimum((scores - low) / (high - low) * strata, strata - 1).astype(np.int64)


def stratum_budgets(sizes: np.ndarray, count: int) -> np.ndarray:
    """Share `count` ≤ Σ sizes evenly among strata; what a small one cannot use goes to larger ones.

    In ascending size, each takes min(size, rest // strata left); this uses up `count` exactly.
    """
    budgets = np.zeros_like(sizes)
    rest = count
    for left, index in zip(range(len(sizes), 0, -1), np.argsort(sizes, kind="stable"), strict=True):
        budgets[index] = min(sizes[index], rest // left)
        rest -= budgets[index]
    return budgets
