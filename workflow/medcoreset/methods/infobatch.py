from typing import Annotated

import numpy as np

from medcoreset.methods.registry import Picks, pruning
from medcoreset.options import Range


@pruning(
    "infobatch",
    label="InfoBatch",
    reference="Qin et al., ICLR 2024 (soft pruning below the mean loss)",
    cost="O(N) per epoch",
    departs="the authors' code prunes a share of exactly `ratio`, rounded, in place of every sample with "
    "that probability",
)
def infobatch(
    losses: np.ndarray,
    share: float,
    rng: np.random.Generator,
    *,
    ratio: Annotated[float, Range(0, 0.9), "probability of pruning"] = 0.5,
    delta: Annotated[float, Range(0, 1), "share of the training that prunes"] = 0.875,
) -> Picks:
    """Prune samples whose last loss was below the mean at random, and weight those that stay for them.

    A sample z with H(z) < mean H is left out of an epoch with probability r (`ratio`); the gradient of
    one that is not is multiplied by 1/(1 − r), so that the expected gradient is that of the full set.
    The last 1 − δ (`delta`) of the training is on the full set.
    """
    learned = losses < losses.mean(dtype=np.float64)
    if share >= delta or not ratio:
        learned[:] = False
    kept = np.flatnonzero(~learned | (rng.random(len(losses)) >= ratio))
    return Picks(kept, np.where(learned[kept], 1 / (1 - ratio), 1.0))
