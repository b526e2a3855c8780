"""The per-epoch statistics of the training dynamics, from softmax probabilities.

Each takes probabilities p (K, B, C) of K epochs and B samples, and labels (B,); it returns (K, B).
"""

from collections.abc import Callable

import numpy as np


def error_norm(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return ‖p − y‖₂, the norm of the error vector (EVA, Eq. 3)."""
    residual = p.copy()
    residual[:, np.arange(len(labels)), labels] -= 1
    return np.sqrt(np.einsum("kbc,kbc->kb", residual, residual))


def margin(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return p_y − max over k ≠ y of p_k; of logits, Eq. 1 of AUM (Pleiss et al. 2020)."""
    others = p.copy()
    others[:, np.arange(len(labels)), labels] = -np.inf
    return target_prob(p, labels) - others.max(axis=-1)


def target_prob(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return p_y, the probability of the label."""
    return p[:, np.arange(len(labels)), labels]


def entropy(p: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Return −Σ p ln p in nats, where 0 ln 0 = 0; p (…, C) → (…)."""
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)


def correct(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether the most probable class is the label; the first of equals is predicted."""
    return p.argmax(axis=-1) == labels


STATISTICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "error_norm": error_norm,
    "margin": margin,
    "logit_margin": margin,
    "target_prob": target_prob,
    "entropy": entropy,
    "correct": correct,
}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return softmax over the last axis, float64."""
    shifted = np.asarray(logits, dtype=np.float64)
    powers = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over epochs of values (K, B), where NaN marks what was not recorded.

    A sample without any record has the mean NaN.
    """
    with np.errstate(invalid="ignore"):
        found = values.sum(axis=0, dtype=np.float64) / len(values)
        # The sums of the others say so.
        gaps = np.isnan(found)
        if gaps.any():
            some = values[:, gaps]
            recorded = ~np.isnan(some)
            total = np.where(recorded, some, 0).sum(axis=0, dtype=np.float64)
            found[gaps] = total / recorded.sum(axis=0)
    return found


def variance(values: np.ndarray, ddof: int = 0) -> np.ndarray:
    """Return the variance over epochs of values (K, B), where NaN marks what was not recorded.

    The sum of squares is divided by the number of records less `ddof`; a sample with no more
    records than `ddof` has the variance NaN.
    """
    recorded = ~np.isnan(values)
    count = recorded.sum(axis=0)
    deviation = np.where(recorded, values - mean(values), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.einsum("kb,kb->b", deviation, deviation)
        return np.where(count > ddof, squares / (count - ddof), np.nan)
