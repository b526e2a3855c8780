"""Dissimilarities of samples that are an inner product at heart, so that blocks are BLAS calls."""

from dataclasses import dataclass
from typing import Self

import numpy as np

# Probabilities below this count as this: the symmetric KL divergence is infinite where one of the
# two is 0. Far below what a trained network puts out, and 27.6 nats below 1.
SMALLEST = 1e-12

# Values of a block of dissimilarities: 32 MB of float64.
BLOCK = 2**22


@dataclass(frozen=True)
class Dissimilarity:
    """d(i, j) = own_i + own_j − left_i · right_j between n samples.

    Arrays are float64: `own` (n,), `left` and `right` (n, F).
    """

    own: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def __len__(self) -> int:
        """Return n."""
        return len(self.own)

    def take(self, samples: np.ndarray) -> Self:
        """Return the dissimilarity among `samples`, int (k,), numbered 0 … k−1."""
        left = self.left[samples]
        right = left if self.right is self.left else self.right[samples]
        return type(self)(self.own[samples], left, right)

    def to(self, samples: np.ndarray, rows: slice = slice(None)) -> np.ndarray:
        """Return d between the samples in `rows` and `samples` (k,), float64 (rows, k), 0 or more."""
        product = self.left[rows] @ self.right[samples].T
        distances = np.subtract(self.own[rows, None] + self.own[samples], product, out=product)
        return np.maximum(distances, 0, out=distances)

    def blocks(self, columns: int) -> list[slice]:
        """Return slices of the samples, for blocks of bounded memory against `columns` others."""
        size = max(1, BLOCK // max(1, columns))
        return [slice(first, first + size) for first in range(0, len(self), size)]


def squared_euclidean(features: np.ndarray) -> Dissimilarity:
    """Return ‖x_i − x_j‖² between rows of features (n, D), which ranks as the distance does."""
    # Moving the origin into the data changes no distance, and keeps the digits that the squares
    # of features far away from it would cost.
    left = features.astype(np.float64)
    left -= left.mean(axis=0)
    left *= np.sqrt(2)
    return Dissimilarity(np.einsum("nd,nd->n", left, left) / 2, left, left)


def symmetric_kl(p: np.ndarray) -> Dissimilarity:
    """Return ½ KL(p_i‖p_j) + ½ KL(p_j‖p_i) between rows of probabilities (n, C), in nats."""
    p, log_p = floored(p)
    return Dissimilarity(
        own=np.einsum("nc,nc->n", p, log_p) / 2,
        left=np.hstack([p, log_p]),
        right=np.hstack([log_p, p]) / 2,
    )


def floored(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of at least `SMALLEST` and their logarithms, float64."""
    p = np.maximum(p.astype(np.float64), SMALLEST)
    return p, np.log(p)
