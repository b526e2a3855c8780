from typing import Literal

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import Picks, picking

# float16 knows no smaller probability above 0, and float32 no larger one below 1 than 1 − 2⁻²⁴.
CLIP = 2.0**-24

# What is drawn with a probability nearer to 1 than this is drawn: more than rounding errors, which
# could else draw it twice.
CERTAIN = 1e-9

Draws = Literal["systematic", "successive"]


def sensitivity(evidence: Evidence) -> np.ndarray:
    """Return the largest share that a sample had in an epoch's loss, float64 (N,) (Eq. 5).

    The loss is −ln p_y, with p_y clipped to [2⁻²⁴, 1 − 2⁻²⁴], so that each sample has some. An
    epoch's shares are of the loss of all samples that it recorded; a sample that no epoch recorded
    has none, NaN.
    """
    largest = np.full(len(evidence), np.nan)
    seen = evidence["seen"] if evidence.given("seen") else None
    for epoch in range(evidence.epochs):
        target = evidence.over_epochs("target_prob", lambda row: row[0], epoch, epoch + 1)
        loss = -np.log(np.clip(target, CLIP, 1 - CLIP))
        if seen is not None:
            loss[~seen[epoch].astype(bool)] = np.nan
        if not np.isnan(loss).all():
            largest = np.fmax(largest, loss / np.nansum(loss))
    return largest


@picking(
    "importance_sampling",
    label="Importance Sampling",
    scores_of=sensitivity,
    needs=("target_prob",),
    reference="Bachem et al., ICML 2015; DeepCore, Eq. 5",
    cost="O(T·N)",
    balance="class",
    weighted=True,
    drawn=True,
)
def importance_sampling(
    scores: np.ndarray, count: int, rng: np.random.Generator, *, draws: Draws = "systematic"
) -> Picks:
    """Draw samples by their sensitivity, the largest share they had in an epoch's loss.

    `draws: systematic` draws each sample with a probability π that is proportional to its score (in
    its class, when class-balanced) or 1, and gives it the weight 1/π (Horvitz & Thompson 1952), so
    that weighted sums over the picks are on average those over all samples; the weights add up to N.
    `successive` draws M samples one after the other with probabilities p of those that are left,
    and weights them by 1/(M·p), as if they were drawn with replacement (Bachem et al., ICML 2015);
    of distinct samples, that is biased.
    """
    if draws == "successive":
        p = scores / scores.sum()
        # The M first of exponential arrivals at rates p are M successive draws without replacement.
        drawn = np.argsort(rng.exponential(size=len(p)) / p)[:count]
        return Picks(drawn, 1 / (count * p[drawn]))
    pi = inclusion_probabilities(scores, count)
    drawn = systematic(pi, count, rng)
    return Picks(drawn, 1 / pi[drawn])


def inclusion_probabilities(scores: np.ndarray, count: int) -> np.ndarray:
    """Return π = min(1, c·score) (n,) for scores above 0, with the c for which Σ π = `count` ≤ n."""
    pi = np.ones(len(scores))
    free = np.arange(len(scores))
    while len(free):
        left = count - (len(scores) - len(free))
        share = scores[free] * (left / scores[free].sum())
        certain = share > 1 - CERTAIN
        if not certain.any():
            pi[free] = share
            break
        free = free[~certain]
    return pi


def systematic(pi: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` = Σ π positions, each of which is drawn with its probability π (n,), in random order.

    Madow's systematic sampling (Ann. Math. Stat. 1949) in a random order (Hartley & Rao 1962): laid
    end to end, the π reach from 0 to `count`, and those are drawn in which one of the points
    u, u + 1, … lies, u uniform in [0, 1).
    """
    order = rng.permutation(len(pi))
    certain = pi[order] == 1
    ends = np.cumsum(pi[order[~certain]])
    points = rng.random() + np.arange(count - np.count_nonzero(certain))
    # Of the last point, rounding errors may leave the end a little short.
    places = np.searchsorted(ends, points, side="right").clip(max=max(len(ends) - 1, 0))
    drawn = np.concatenate([order[certain], order[~certain][places]])
    return rng.permutation(drawn)
