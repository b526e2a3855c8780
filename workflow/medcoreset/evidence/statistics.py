"""The per-epoch statistics of the training dynamics, from softmax probabilities.

Each takes probabilities p (K, B, C) of K epochs and B samples, and labels (B,); it returns (K, B).
Labels (B, C) of 0 and 1 are several per sample, and p the probability of each: rows of them are the
classes then (the label powerset), of a probability that is the product of those of the labels.
"""

from collections.abc import Callable

import numpy as np


def error_norm(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return ‖p − y‖₂, the norm of the error vector (EVA, Eq. 3)."""
    if labels.ndim == 2:
        residual = p - labels.astype(p.dtype)
    else:
        residual = p.copy()
        residual[:, np.arange(len(labels)), labels] -= 1
    return np.sqrt(np.einsum("kbc,kbc->kb", residual, residual))


def margin(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return p_y − max over k ≠ y of p_k; of logits, Eq. 1 of AUM (Pleiss et al. 2020)."""
    if labels.ndim == 2:
        return _margin_of_labels(_of_given(p, labels))
    others = p.copy()
    others[:, np.arange(len(labels)), labels] = -np.inf
    return target_prob(p, labels) - others.max(axis=-1)


def target_prob(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return p_y, the probability of the label."""
    if labels.ndim == 2:
        return _of_given(p, labels).prod(axis=-1)
    return p[:, np.arange(len(labels)), labels]


def entropy(p: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Return −Σ p ln p in nats, where 0 ln 0 = 0; p (…, C) → (…)."""
    found = p * np.log(np.where(p > 0, p, 1))
    if labels is not None and labels.ndim == 2:
        found = found + (1 - p) * np.log(np.where(p < 1, 1 - p, 1))
    return -found.sum(axis=-1)


def correct(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether the most probable class is the label; the first of equals is predicted."""
    if labels.ndim == 2:
        return ((p > 0.5) == labels.astype(bool)).all(axis=-1)
    return p.argmax(axis=-1) == labels


def _of_given(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the probability of what is given for each label, (K, B, L)."""
    return np.where(labels.astype(bool), p, 1 - p)


def _margin_of_labels(q: np.ndarray) -> np.ndarray:
    """Return the probability of the given row of labels, less that of the most probable other one.

    `q` (K, B, L) are the probabilities of what is given. Where all are the more probable ones, the
    other row differs in the least sure label, else it is that of all the more probable ones.
    """
    own, likeliest = q.prod(axis=-1), np.maximum(q, 1 - q).prod(axis=-1)
    least = q.min(axis=-1)
    second = own * (1 - least) / np.maximum(least, 0.5)
    return own - np.where(least >= 0.5, second, likeliest)


STATISTICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "error_norm": error_norm,
    "margin": margin,
    "logit_margin": margin,
    "target_prob": target_prob,
    "entropy": entropy,
    "correct": correct,
}


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + e^−z) of logits z, float64."""
    shrunk = np.exp(-np.abs(np.asarray(logits, dtype=np.float64)))
    return np.where(np.asarray(logits) >= 0, 1, shrunk) / (1 + shrunk)


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
