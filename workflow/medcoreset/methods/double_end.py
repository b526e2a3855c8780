from typing import Annotated

import numpy as np

from medcoreset.methods import difficulty
from medcoreset.methods.ccs import without_hardest
from medcoreset.methods.registry import picking
from medcoreset.options import Range


@picking(
    "double_end",
    label="Double-End",
    scores_of=difficulty.scores,
    reference="Zheng et al. (ELFS), ICLR 2025",
    cost="O(T·N + N log N)",
)
def double_end(
    scores: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    of: difficulty.Ranking = "aum",
    beta: Annotated[float, Range(0, 1)] = 0.0,
) -> np.ndarray:
    """Drop the share `beta` of the most difficult samples, and keep the next.

    `of` is the ranking that says what is difficult: by AUM, the lowest. No more are dropped than
    leaves M. `beta` is to be searched per dataset and rate.
    """
    return without_hardest(-difficulty.difficulty(scores, of), count, rng, beta)[:count]
