from functools import partial

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.registry import ranking

# A probability below counts as this, so that a loss is finite.
LEAST = 1e-12


def check_epochs(total: int) -> None:
    """Raise a UserError unless there are two differences of losses, which can be correlated."""
    if total < 3:
        raise UserError(f"cld: correlates differences of 3 epochs or more, and there are {total}")


@ranking(
    "cld",
    label="CLD",
    keep="highest",
    needs=("target_prob", "labels", "val_target_prob", "val_labels"),
    reference="Nagaraj et al., TMLR 2025 (arXiv:2508.20230)",
    cost="O(T·(N + V)) for V validation samples",
    balance="class",
    check_epochs=check_epochs,
)
def cld(evidence: Evidence) -> np.ndarray:
    """Correlate how a sample's loss changes from epoch to epoch with how that of its class's validation does.

    With ℓ_t = −ln p_y after epoch t and L_t its mean over the validation samples of the class (all, if it has
    none), Pearson's correlation of ℓ_{t+1} − ℓ_t and L_{t+1} − L_t over t; 0 where either never changes.
    A probability below 1e-12 counts as 1e-12. An epoch that left a sample out has no difference. The paper
    evaluates checkpoints; losses of training steps (`record: train`) are those before each step.
    """
    check_epochs(evidence.epochs)
    labels, val_labels = evidence["labels"], evidence["val_labels"].astype(np.int64)
    val_losses = losses(evidence["val_target_prob"])
    scores = np.zeros(len(evidence))
    for label in np.unique(labels):
        ours = val_labels == label
        changes = np.diff(val_losses[:, ours if ours.any() else slice(None)].mean(axis=1))
        members = np.flatnonzero(labels == label)
        scores[members] = evidence.take(members).over_epochs(
            "target_prob", partial(_correlation, of=changes)
        )
    return scores


def _correlation(target_prob: np.ndarray, of: np.ndarray) -> np.ndarray:
    return correlation(np.diff(losses(target_prob), axis=0), of)


def losses(target_prob: np.ndarray) -> np.ndarray:
    """Return −ln p_y, float64; NaN where p_y is."""
    return -np.log(np.maximum(target_prob.astype(np.float64), LEAST))


def correlation(changes: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation (B,) of changes (K, B), NaN where unknown, with those `of` others (K,).

    A sample of which no change is known has NaN, one that never changes 0.
    """
    known = ~np.isnan(changes)
    count = known.sum(axis=0)
    x, y = np.where(known, changes, 0), np.where(known, of[:, None], 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = np.where(known, x - x.sum(axis=0) / count, 0)
        y = np.where(known, y - y.sum(axis=0) / count, 0)
    products, scale = (x * y).sum(axis=0), np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    found = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    return np.where(count > 0, np.clip(found, -1, 1), np.nan)
