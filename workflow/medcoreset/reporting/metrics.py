"""The metrics of a split, from its logits; of a coreset; and of a ranking that is to find wrong labels."""

from typing import Any

import numpy as np

from medcoreset.errors import UserError

OF_CORESETS = ("wrong_labels", "repeated")
"""Metrics of a coreset of a training set under conditions, see `of_coreset`."""
OF_LABELS = ("accuracy", "auc")
"""Metrics of data with several labels per sample; those of classes are not defined there."""
ECE_BINS = 15

METRICS = ("accuracy", "balanced_accuracy", "worst_recall", "auc", "macro_f1", "ece")
"""Metrics of a run that its table has: values of `evaluate`, and the lowest of its recalls."""


def evaluate(logits: Any, labels: Any) -> dict[str, Any]:
    """Return the metrics of a split; all but `n` are fractions in [0, 1].

    Args:
        logits: (n, C) scores before the softmax; an array or a tensor on the CPU.
        labels: (n,) integers in [0, C), or (n, C) zeros and ones, several labels per sample.

    Returns:
        `accuracy`; `balanced_accuracy`, the mean recall; `auc`, see `macro_auc`; `macro_f1`;
        `ece`, see `expected_calibration_error`; `recall`, a list with one value per class; `n`.
        A class without a sample in the split has the recall None and does not enter the balanced
        accuracy; `macro_f1` is over the classes that occur among labels or predictions. Both are
        as scikit-learn has them. Of several labels per sample those of `OF_LABELS`, see `_of_labels`.

    Raises:
        UserError: the split is empty, or a logit is not finite.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if len(labels) == 0:
        raise UserError("metrics: the split has no samples")
    if not np.isfinite(logits).all():
        raise UserError("metrics: a logit is not finite: training diverged; try a smaller lr")
    if labels.ndim == 2:
        return _of_labels(logits, labels)
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


def _of_labels(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the metrics of logits (n, L) for labels (n, L) of 0 and 1, as MedMNIST's evaluator does.

    `accuracy` is the mean over labels of the share of samples of which the label is right, predicted
    with a probability above ½; `auc` the mean of the labels' areas under the ROC curve, over those
    labels that some samples have and some have not, None without one; `labels` is L.
    """
    # The order is that of the sigmoids, which would round large logits to equal ones.
    areas = [
        auroc(scores, known.astype(bool)) for scores, known in zip(logits.T, labels.T, strict=True)
    ]
    defined = [area for area in areas if area is not None]
    return {
        "accuracy": float(np.mean((logits > 0) == labels.astype(bool))),
        "auc": float(np.mean(defined)) if defined else None,
        "labels": labels.shape[1],
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
    areas = [auroc(probs[:, c], labels == c) for c in columns]
    defined = [area for area in areas if area is not None]
    return float(np.mean(defined)) if defined else None


def worst_recall(recall: list[float | None]) -> float | None:
    """Return the lowest recall of a class; classes without a sample (None) do not count."""
    return min((value for value in recall if value is not None), default=None)


def of_coreset(wrong: np.ndarray, origin: np.ndarray, indices: np.ndarray) -> dict[str, float]:
    """Return what share of a coreset has wrong labels, and what share repeats another of its samples.

    `wrong` (N,) says of each training sample whether its label is wrong, `origin` (N,) of which image
    it is a copy; `indices` (M,) are the coreset's.
    """
    return {
        "wrong_labels": float(np.mean(wrong[indices])),
        "repeated": 1 - len(np.unique(origin[indices])) / len(indices),
        "n": len(indices),
    }


def detections(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many positives and how many negatives score at least each distinct score, from 0 on.

    Args:
        scores: (n,) higher for what is taken for positive; equal ones are taken together.
        positive: (n,) what is.

    Returns:
        Two arrays (K + 1,) of counts for K distinct scores, that begin with 0: all points of the ROC and
        of the precision–recall curve.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    found = np.cumsum(positive[order])[last]
    return np.append(0, found), np.append(0, last + 1 - found)


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Return Σ (R_k − R_{k−1})·P_k over the distinct scores, of recall R and precision P.

    As scikit-learn has it, without interpolation; None without a positive.
    """
    found, wrong = detections(scores, positive)
    if found[-1] == 0:
        return None
    precision = found[1:] / (found[1:] + wrong[1:])
    return float(np.sum(np.diff(found) * precision) / found[-1])


def auroc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Return P(score of a positive > score of a negative) + half of P(equal): Mann-Whitney's U.

    None without a positive or without a negative.
    """
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
