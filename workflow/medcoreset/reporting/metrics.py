"""The metrics of a split, from its logits."""

from typing import Any

import numpy as np

from medcoreset.errors import UserError

ECE_BINS = 15


def evaluate(logits: Any, labels: Any) -> dict[str, Any]:
    """Return the metrics of a split; all but `n` are fractions in [0, 1].

    Args:
        logits: (n, C) scores before the softmax; an array or a tensor on the CPU.
        labels: (n,) integers in [0, C).

    Returns:
        `accuracy`; `balanced_accuracy`, the mean recall; `auc`, see `macro_auc`; `macro_f1`;
        `ece`, see `expected_calibration_error`; `recall`, a list with one value per class; `n`.
        A class without a sample in the split has the recall None and does not enter the balanced
        accuracy; `macro_f1` is over the classes that occur among labels or predictions. Both are
        as scikit-learn has them.

    Raises:
        UserError: the split is empty, or a logit is not finite.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if len(labels) == 0:
        raise UserError("metrics: the split has no samples")
    if not np.isfinite(logits).all():
        raise UserError("metrics: a logit is not finite: training diverged; try a smaller lr")
    classes = logits.shape[1]
    probs = softmax(logits)
    predicted = logits.argmax(axis=1)
    hit = np.bincount(labels[predicted == labels], minlength=classes)
    of_class = np.bincount(labels, minlength=classes)
    as_class = np.bincount(predicted, minlength=classes)
    recall = [float(h / n) if n else None for h, n in zip(hit, of_class, strict=True)]
    occurs = of_class + as_class > 0
    return {
        "accuracy": float(np.mean(predicted == labels)),
        "balanced_accuracy": float(np.mean([r for r in recall if r is not None])),
        "auc": macro_auc(probs, labels),
        "macro_f1": float(np.mean(2 * hit[occurs] / (of_class + as_class)[occurs])),
        "ece": expected_calibration_error(probs, labels),
        "recall": recall,
        "n": len(labels),
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax over the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def macro_auc(probs: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the area under the ROC curve as MedMNIST's evaluator computes it.

    Args:
        probs: (n, C) softmax probabilities.
        labels: (n,) integers in [0, C).

    Returns:
        For two classes the AUC of class 1, for more the unweighted mean of the one-vs-rest AUCs.
        MedMNIST's evaluator fails where a class is absent; here such a class (and one that has all
        samples) is left out of the mean, and the result is None if no class remains.
    """
    columns = [1] if probs.shape[1] == 2 else range(probs.shape[1])
    areas = [_auc(probs[:, c], labels == c) for c in columns]
    defined = [area for area in areas if area is not None]
    return float(np.mean(defined)) if defined else None


def _auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Return P(score of a positive > score of a negative) + half of P(equal): Mann-Whitney's U."""
    positives = np.count_nonzero(positive)
    negatives = len(positive) - positives
    if positives == 0 or negatives == 0:
        return None
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = np.cumsum(sizes) - (sizes - 1) / 2
    u = midranks[group[positive]].sum() - positives * (positives + 1) / 2
    return float(u / (positives * negatives))


def expected_calibration_error(
    probs: np.ndarray, labels: np.ndarray, bins: int = ECE_BINS
) -> float:
    """Return Σ_b |B_b|/n · |accuracy(B_b) − confidence(B_b)| (Guo et al., ICML 2017, Eq. 3).

    Args:
        probs: (n, C) softmax probabilities; the confidence is their maximum.
        labels: (n,) integers in [0, C).
        bins: number of bins ((b−1)/bins, b/bins] of equal width.
    """
    confidence = probs.max(axis=1)
    correct = probs.argmax(axis=1) == labels
    bin_of = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    gap = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))
