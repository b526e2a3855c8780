import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import Picks, picking

# float16 knows no smaller probability above 0, and float32 no larger one below 1 than 1 − 2⁻²⁴.
CLIP = 2.0**-24


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
)
def importance_sampling(scores: np.ndarray, count: int, rng: np.random.Generator) -> Picks:
    """Draw samples by their sensitivity, the largest share they had in an epoch's loss.

    They are drawn without replacement with probabilities p proportional to the scores (within the
    class, when class-balanced) and have the weights 1/(M·p), where M is the number of draws.
    """
    p = scores / scores.sum()
    # The M first of exponential arrivals at rates p are M successive draws without replacement.
    drawn = np.argsort(rng.exponential(size=len(p)) / p)[:count]
    return Picks(drawn, 1 / (count * p[drawn]))
