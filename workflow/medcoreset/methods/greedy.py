"""What the greedy methods share: which of equal gains is taken."""

from typing import TYPE_CHECKING

import numpy as np

from medcoreset.evidence import Evidence

if TYPE_CHECKING:
    from torch import Tensor

# Gains that differ by less than this, relative to the largest, are equal: duplicates would else be
# ordered by the rounding errors of matrix products, which depend on the position in the file.
ROUNDING = 1e-13


def shuffled(evidence: Evidence, rng: np.random.Generator) -> tuple[np.ndarray, Evidence]:
    """Return a random order (N,) and the evidence in it, of which the first of equals is taken."""
    order = rng.permutation(len(evidence))
    return order, evidence.take(order)


def rounded(gains: "Tensor", scale: float) -> "Tensor":
    """Return gains (n,) in whole multiples of `ROUNDING` times `scale`, their largest size."""
    return gains.div(max(scale, np.finfo(np.float64).tiny) * ROUNDING).round_()


def first_best(gains: "Tensor", scale: float) -> int:
    """Return the position of the largest of the gains (n,), the first of equals."""
    return int(rounded(gains, scale).argmax())
