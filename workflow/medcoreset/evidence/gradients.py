"""Per-sample gradients of the loss in the last layer, known by their inner products."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from medcoreset.evidence.evidence import Evidence

Samples = Tensor | slice | list[int] | np.ndarray
ALL = slice(None)


@dataclass(frozen=True)
class Gradients:
    """Gradients g_i = left_i ⊗ right_i of N samples; the product is never written out.

    The gradient of a sample's cross-entropy (the loss summed over samples, not averaged) with
    respect to the biases and weights of the last layer is (p − y) ⊗ [1, h], so that `left` (N, C)
    is p − y and `right` (N, 1 + D) is [1, h]. ⟨g_i, g_j⟩ = ⟨left_i, left_j⟩·⟨right_i, right_j⟩
    takes C + D multiplications in place of C·D. Of several labels per sample, p are sigmoids, and the
    loss is the sum of the labels' binary cross-entropies. Any other gradients (N, G) are `right` with
    `left` = 1. A sum of gradients is a matrix (C, 1 + D). All are float64.
    """

    left: Tensor
    right: Tensor

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """Return the evidence's `gradients`, or those of the last layer if none are given."""
        if not evidence.given("gradients"):
            return cls.of_last_layer(evidence)
        right = evidence.tensor("gradients")
        return cls(right.new_ones(len(right), 1), right)

    @classmethod
    def of_last_layer(cls, evidence: Evidence) -> Self:
        """Return the gradients from `features`, `final_probs` and `labels`."""
        left = evidence.tensor("final_probs")
        if evidence.multilabel:
            left -= evidence.tensor("labels")
        else:
            left[np.arange(len(left)), evidence["labels"]] -= 1
        return cls(left, with_bias(evidence.tensor("features")))

    def __len__(self) -> int:
        """Return N."""
        return len(self.right)

    @property
    def size(self) -> int:
        """Return C·(1 + D), the numbers that a gradient written out would have."""
        return self.left.shape[1] * self.right.shape[1]

    @property
    def norms(self) -> Tensor:
        """Return ‖g_i‖₂ (N,)."""
        return self.left.norm(dim=1) * self.right.norm(dim=1)

    def unit(self) -> Self:
        """Return g_i / ‖g_i‖; a gradient of zero remains zero."""
        return type(self)(_unit(self.left), _unit(self.right))

    def to(self, kind: torch.dtype) -> Self:
        """Return the gradients in another type."""
        return type(self)(self.left.to(kind), self.right.to(kind))

    def inner(self, rows: Samples = ALL, columns: Samples = ALL) -> Tensor:
        """Return ⟨g_i, g_j⟩ of the samples in `rows` and `columns` (rows, columns)."""
        product = self.right[rows] @ self.right[columns].T
        return product.mul_(self.left[rows] @ self.left[columns].T)

    def sum(self, samples: Samples = ALL, weights: Tensor | float = 1.0) -> Tensor:
        """Return Σ w_i g_i over `samples` (k,), with weights (k,), as a matrix (C, 1 + D)."""
        return (self.left[samples].T * weights) @ self.right[samples]

    def dot(self, direction: Tensor, samples: Samples = ALL) -> Tensor:
        """Return ⟨g_i, direction⟩ of `samples` (k,) for a direction (C, 1 + D)."""
        # So, not the other way round, products are fast though `direction` has few rows.
        return (direction @ self.right[samples].T).mul_(self.left[samples].T).sum(dim=0)


def with_bias(features: Tensor) -> Tensor:
    """Return [1, h] (n, 1 + D) of features h (n, D): the inputs of the last layer's parameters."""
    return torch.nn.functional.pad(features, (1, 0), value=1.0)


def in_unit(vectors: Tensor) -> Tensor:
    """Return vectors (n, F) over the largest of their norms, so that float32 holds their squares."""
    largest = vectors.norm(dim=1).max()
    return vectors / largest.where(largest > 0, 1.0)


def _unit(vectors: Tensor) -> Tensor:
    norms = vectors.norm(dim=1, keepdim=True)
    return vectors / norms.where(norms > 0, 1.0)


def one_hot(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Return labels (N,) as rows (N, classes) of ones among zeros, on their device."""
    rows = labels.new_zeros((len(labels), classes), dtype=dtype)
    return rows.scatter_(1, labels.long()[:, None], 1)
