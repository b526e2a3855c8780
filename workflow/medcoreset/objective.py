"""What a network is trained for: one class per sample, or several labels that are each there or not.

Everywhere it is the labels that say which: classes (B,), or rows (B, L) of 0 and 1. Of classes the
outputs are a softmax, of labels each a sigmoid of its own.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


def losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss (B,) of each sample, of logits (B, C).

    Cross-entropy −ln p_y of a class; of L labels the mean of their binary cross-entropies, as in the
    benchmark of MedMNIST (Yang et al., Scientific Data 2023).
    """
    if labels.ndim == 1:
        return cross_entropy(logits, labels, reduction="none")
    each = binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
    return each.mean(1)


def probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the probabilities (B, C) of logits (B, C), of samples with labels like `labels`."""
    return torch.softmax(logits, 1) if labels.ndim == 1 else torch.sigmoid(logits)


def right(logits: Tensor, labels: Tensor) -> Tensor:
    """Return which predictions are right: of each class (B,), or of each label (B, L).

    A label is predicted with a probability above ½.
    """
    return logits.argmax(1) == labels if labels.ndim == 1 else (logits > 0) == labels.bool()
