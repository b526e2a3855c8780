from typing import Annotated, Literal

import numpy as np

from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.registry import selecting
from medcoreset.methods.sliding import check_window, deviation, over_windows
from medcoreset.options import Range

Sampling = Literal["top", "beta"]
Epochs = Annotated[int, Range(2, unit="epochs")]

# Σ of the Beta distribution's parameters less 1, and the samples of highest score whose mean p_y
# anchors it.
CONCENTRATION = 15
ANCHORS = 10

# The density of a mean p_y of 0 or 1 would be 0 or infinite.
CLIP = 1e-6


def check_epochs(total: int, *, epochs: int, window: int, **_: object) -> None:
    """Raise a UserError unless a window fits into the epochs that are used, and they are there."""
    check_window("dual", total, window=window, epochs=epochs)


def score(evidence: Evidence, *, window: Epochs = 10, epochs: Epochs = 30) -> np.ndarray:
    """Return the mean over windows of std(p_y)·(1 − mean(p_y)) in the first `epochs`, (N,)."""
    check_epochs(evidence.epochs, epochs=epochs, window=window)

    def of_window(p: np.ndarray) -> np.ndarray:
        return deviation(p) * (1 - statistics.mean(p))

    return evidence.over_epochs(
        "target_prob", lambda p: over_windows(p, window, of_window), stop=epochs
    )


@selecting(
    "dual",
    label="DUAL",
    scores_of=score,
    needs=("target_prob",),
    reference="Cho et al., ICML 2025",
    cost="O(epochs·window·N)",
    check_epochs=check_epochs,
    departs="the README of the authors' code passes sample numbers for scores, and its draw fails "
    "where too few samples have a mean p_y between 0 and 1; it multiplies scores by 10, which ranks "
    "alike",
)
def dual(
    evidence: Evidence,
    scores: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    sampling: Sampling = "top",
    c_d: Annotated[float, Range(0)] = 4.0,
    epochs: Epochs = 30,
) -> np.ndarray:
    """Keep what is uncertain and difficult: high std(p_y)·(1 − mean(p_y)) in windows early in training.

    The score is the mean of that product over all windows of `window` epochs within the first
    `epochs`. `sampling: top` keeps the highest. `beta`, for low rates, draws samples with
    probabilities in proportion to score·Beta(μ; 16 − b, b), without replacement: μ is the mean p_y
    of a sample, b = 15 (1 − μ_D)(1 − r^`c_d`), μ_D the mean μ of the ten highest scores and r
    the share that is left out.
    """
    given = evidence.preselected
    rest = rng.permutation(np.setdiff1d(np.arange(len(evidence)), given))
    if sampling == "top":
        order = np.argsort(-scores[rest], kind="stable")
    else:
        mu = evidence.over_epochs("target_prob", statistics.mean, stop=epochs)
        weights = log_weights(scores, mu, 1 - count / len(evidence), c_d)[rest]
        # The M largest of these are M draws, one after the other, without replacement.
        order = np.argsort(-(weights + rng.gumbel(size=len(rest))), kind="stable")
    return np.concatenate([given, rest[order][: count - len(given)]])


def log_weights(scores: np.ndarray, mu: np.ndarray, pruned: float, c_d: float) -> np.ndarray:
    """Return ln(score·Beta(μ; a, b)) (n,) but for a constant; −∞ for a score of 0.

    `pruned` is the share of the samples that is left out.
    """
    anchor = mu[np.argsort(-scores, kind="stable")[:ANCHORS]].mean()
    b = CONCENTRATION * (1 - anchor) * (1 - pruned**c_d)
    a = CONCENTRATION + 1 - b
    mu = np.clip(mu, CLIP, 1 - CLIP)
    with np.errstate(divide="ignore"):
        return (a - 1) * np.log(mu) + (b - 1) * np.log1p(-mu) + np.log(scores)
