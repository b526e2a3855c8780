from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.registry import ranking
from medcoreset.methods.sliding import check_window
from medcoreset.options import Range

# Probabilities below this count as this, in logarithms.
SMALLEST = 1e-8


def check_epochs(total: int, *, epochs: int, window: int, **_: object) -> None:
    """Raise a UserError unless a window fits into the epochs that are used, and they are there."""
    check_window("tdds", total, window=window, epochs=epochs)


@ranking(
    "tdds",
    label="TDDS",
    keep="highest",
    needs=("probs",),
    reference="Zhang et al., CVPR 2024",
    cost="O(epochs·(C + window)·N)",
    check_epochs=check_epochs,
    departs="the authors' code adds 1e-8 to probabilities, and trains with a learning rate that it "
    "modulates per batch by mean scores, which is no part of the selection; code of DUAL takes logits for "
    "probabilities and makes every window the first",
)
def tdds(
    evidence: Evidence,
    *,
    epochs: Annotated[int, Range(3, unit="epochs")] = 30,
    window: Annotated[int, Range(3, unit="epochs")] = 10,
    decay: Annotated[float, Range(0, 1)] = 0.9,
) -> np.ndarray:
    """Add up, with weights that decay into the past, how unsteadily p changes within windows.

    d_t = Σ_c |p_c (ln p_c − ln q_c)| of the outputs p at epoch t + 1 and q at epoch t; a window k of
    J = `window` epochs has J − 1 of them, and R_k is the norm of their deviations from their
    mean. The score is Σ_k decay·(1 − decay)^(T − J − k)·R_k over the windows k = 0 … T − J of the
    first T = `epochs` epochs. With a `decay` of 0.9, the last window has nine tenths of the weight.
    The authors choose `epochs` and `window` per dataset and rate.
    """
    check_epochs(evidence.epochs, epochs=epochs, window=window)

    def of_block(p: np.ndarray) -> np.ndarray:
        return unsteadiness(changes(p), window, decay)

    return evidence.over_epochs("probs", of_block, stop=epochs)


def changes(p: np.ndarray) -> np.ndarray:
    """Return d_t (K − 1, B) of probabilities (K, B, C), NaN where one of the two was not recorded."""
    p = p.astype(np.float64)  # they may be saved in half of single precision
    logarithms = np.log(np.maximum(p, SMALLEST))
    return np.abs(p[1:] * (logarithms[1:] - logarithms[:-1])).sum(axis=2)


def unsteadiness(d: np.ndarray, window: int, decay: float) -> np.ndarray:
    """Return Σ_k of the weighted R_k (B,) of changes d (K − 1, B).

    Of a window with fewer records, R_k is what it would be if the others deviated as much; the
    weight of a window without any is shared by the others.
    """
    last = len(d) + 1 - window
    total, weight, whole = np.zeros(d.shape[1]), np.zeros(d.shape[1]), 0.0
    for k in range(last + 1):
        share = decay * (1 - decay) ** (last - k)
        variance = statistics.variance(d[k : k + window - 1])
        recorded = ~np.isnan(variance)
        total += share * np.sqrt((window - 1) * np.where(recorded, variance, 0))
        weight += share * recorded
        whole += share
    return np.divide(total * whole, weight, out=np.full_like(total, np.nan), where=weight > 0)
