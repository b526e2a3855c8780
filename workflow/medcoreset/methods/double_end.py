from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods import difficulty
from medcoreset.methods.ccs import without_hardest
from medcoreset.methods.registry import picking
from medcoreset.options import Range


def check_epochs(total: int, *, score: difficulty.Score, **_: object) -> None:
    """Raise a UserError if the dynamics are too short for the score."""
    difficulty.check_epochs("double_end", total, score)


def scores_of(evidence: Evidence, *, score: difficulty.Score = "aum") -> np.ndarray:
    """Return how difficult samples (N,) are, the most difficult the highest."""
    check_epochs(evidence.epochs, score=score)
    return difficulty.difficulty(evidence, score)


@picking(
    "double_end",
    label="Double-End",
    scores_of=scores_of,
    needs=lambda score, **_: difficulty.needs(score),
    reference="Zheng et al. (ELFS), ICLR 2025",
    cost="O(T·N + N log N)",
    check_epochs=check_epochs,
)
def double_end(
    scores: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    beta: Annotated[float, Range(0, 1)] = 0.0,
) -> np.ndarray:
    """Drop the share `beta` of the most difficult samples, and keep the next.

    `score` says by what: `aum` is the lowest AUM, the others are the highest of `forgetting`, `el2n`
    or `dyn_unc`. No more are dropped than leaves M. `beta` is to be searched per dataset and rate.
    """
    return without_hardest(-scores, count, rng, beta)[:count]
