"""Dissimilarities of samples that are an inner product at heart, so that blocks are BLAS calls."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import ROUNDING, rough, rounding

if TYPE_CHECKING:
    from torch import Tensor

# Probabilities below this count as this: the symmetric KL divergence is infinite where one of the
# two is 0. Far below what a trained network puts out, and 27.6 nats below 1.
SMALLEST = 1e-12

# Values of a block of dissimilarities: 32 MB of float64.
BLOCK = 2**22

ALL = slice(None)


@dataclass(frozen=True)
class Dissimilarity:
    """d(i, j) = own_i + own_j − left_i · right_j between n samples.

    Tensors are float64: `own` (n,), `left` and `right` (n, F).
    """

    own: "Tensor"
    left: "Tensor"
    right: "Tensor"

    def __len__(self) -> int:
        """Return n."""
        return len(self.own)

    @cached_property
    def scale(self) -> float:
        """The largest size that left_i · right_j can have, with which rounding errors grow."""
        return float(self.left.norm(dim=1).max() * self.right.norm(dim=1).max())

    def take(self, samples: "Tensor") -> Self:
        """Return the dissimilarity among `samples`, int (k,), numbered 0 … k−1."""
        left = self.left[samples]
        right = left if self.right is self.left else self.right[samples]
        return type(self)(self.own[samples], left, right)

    def nearly(self) -> tuple[Self, float]:
        """Return d in units of `scale`, nearly known, and an error: half of how far two may be apart.

        Of two dissimilarities that are farther apart than twice the error, `rounded` too has the
        larger one larger.
        """
        from medcoreset.evidence.gradients import in_unit

        kind = rough(self.left)
        left = in_unit(self.left).to(kind)
        right = left if self.right is self.left else in_unit(self.right).to(kind)
        # No term is above 1, since own_i is half of left_i · right_i: d(i, i) is 0.
        own = (self.own / (self.scale or 1.0)).to(kind)
        return type(self)(own, left, right), rounding(left.shape[1] + 4, kind) + ROUNDING

    def to(
        self, samples: "Tensor | slice | list[int]" = ALL, rows: "Tensor | slice" = ALL
    ) -> "Tensor":
        """Return d between the samples in `rows` and `samples` (k,), float64 (rows, k), 0 or more."""
        distances = self.own[rows, None] + self.own[samples]
        return distances.addmm_(self.left[rows], self.right[samples].T, alpha=-1).clamp_min_(0)

    def block(self, columns: int) -> int:
        """Return how many samples a block of bounded memory has against `columns` others."""
        return max(1, BLOCK // max(1, columns))

    def blocks(self, columns: int) -> list[slice]:
        """Return slices of the samples, for blocks of bounded memory against `columns` others."""
        size = self.block(columns)
        return [slice(first, first + size) for first in range(0, len(self), size)]


def squared_euclidean(evidence: Evidence) -> Dissimilarity:
    """Return ‖x_i − x_j‖² of features, which ranks as the distance does."""
    features = evidence.tensor("features")
    # Moving the origin into the data changes no distance, and keeps the digits that the squares
    # of features far away from it would cost.
    features -= features.mean(dim=0)
    features *= 2**0.5
    return Dissimilarity(features.norm(dim=1).square() / 2, features, features)


def symmetric_kl(evidence: Evidence) -> Dissimilarity:
    """Return ½ KL(p_i‖p_j) + ½ KL(p_j‖p_i) of the probabilities of the scoring model, in nats."""
    import torch

    p, log_p = floored(evidence)
    return Dissimilarity(
        own=(p * log_p).sum(dim=1) / 2,
        left=torch.cat([p, log_p], dim=1),
        right=torch.cat([log_p, p], dim=1) / 2,
    )


def floored(evidence: Evidence) -> tuple["Tensor", "Tensor"]:
    """Return the probabilities (n, C) of the scoring model, at least `SMALLEST`, and their logarithms."""
    p = evidence.tensor("final_probs").clamp_min_(SMALLEST)
    return p, p.log()


def nearest(distances: "Tensor", k: int) -> "Tensor":
    """Return the places of the `k` smallest in each row (n, m), ascending int64 (n, k), k ≤ m.

    Of equal ones, the first are taken.
    """
    values, places = distances.topk(min(k + 1, distances.shape[1]), largest=False)
    # Which of equal ones `topk` takes is not defined, and differs between devices.
    tied = (values[:, k - 1 : -1] == values[:, k:]).any(dim=1)
    places[tied] = distances[tied].argsort(dim=1, stable=True)[:, : places.shape[1]]
    return places[:, :k].sort(dim=1).values
