"""Similarities between all pairs of samples, in bounded memory."""

from collections.abc import Callable

import torch
from torch import Tensor

from medcoreset.errors import UserError
from medcoreset.evidence.evidence import Evidence
from medcoreset.evidence.gradients import Gradients, Samples

# A kernel that takes no more than this is computed once (float64: up to 11,585 samples); the rows
# of a larger one are computed whenever they are asked for.
WHOLE_BYTES = 2**30

# Rows in memory at a time while a kernel is gone through; three times as much with what they are
# computed from.
BLOCK_BYTES = 2**26

# A similarity that is given may differ from its transpose by this, relative to the largest value;
# and rows and columns of the tiles in which the two are compared, since a cache holds these.
ASYMMETRY = 1e-4
TILE = 256

# Relative to ‖g_i‖² + ‖g_j‖²: a squared distance below this is what rounding leaves of zero.
ROUNDING = 1e-13


class Kernel:
    """A symmetric matrix s (N, N) of similarities, float64, of which rows are asked for.

    `rows` computes them; `diagonal` (N,) is s_ii, and no s_ij is below `floor` ≤ s_ij.
    """

    def __init__(
        self, rows: Callable[[Samples], Tensor], diagonal: Tensor, floor: float = 0.0
    ) -> None:
        self.rows = rows
        self.diagonal = diagonal
        self.floor = floor

    def __len__(self) -> int:
        """Return N."""
        return len(self.diagonal)

    def sums(self) -> Tensor:
        """Return Σ_j s_ij (N,)."""
        return torch.cat([self.rows(block).sum(dim=1) for block in self._blocks()])

    def kept(self) -> "Kernel":
        """Return the same kernel with its rows in memory, if all fit in `WHOLE_BYTES`."""
        size = len(self)
        if self.diagonal.element_size() * size**2 > WHOLE_BYTES:
            return self
        whole = self.diagonal.new_empty(size, size)
        for block in self._blocks():
            whole[block] = self.rows(block)
        return Kernel(whole.__getitem__, self.diagonal, self.floor)

    def _blocks(self) -> list[slice]:
        size = max(1, BLOCK_BYTES // (self.diagonal.element_size() * len(self)))
        return [slice(first, first + size) for first in range(0, len(self), size)]


def similarity(evidence: Evidence) -> Kernel:
    """Return the evidence's `similarity`, or ½ + ½ cos of gradients if none is given.

    The cosine with a gradient of zero is 0. Raises UserError if the given one is not symmetric.
    """
    if not evidence.given("similarity"):
        unit = Gradients.of(evidence).unit()
        return Kernel(lambda rows: unit.inner(rows).mul_(0.5).add_(0.5), 0.5 + 0.5 * unit.norms**2)
    given = evidence.tensor("similarity")
    if _asymmetry(given) > ASYMMETRY * float(given.abs().max()):
        raise UserError(f"{evidence.name}: similarity is to be symmetric, and is not")
    return Kernel(given.__getitem__, given.diagonal(), min(0.0, float(given.min())))


def proximity(evidence: Evidence) -> Kernel:
    """Return −‖g_i − g_j‖₂ of gradients."""
    gradients = Gradients.of(evidence)
    squares = gradients.norms**2

    def rows(samples: Samples) -> Tensor:
        both = squares[samples, None] + squares
        squared = gradients.inner(samples).mul_(-2).add_(both)
        squared[squared < both.mul_(ROUNDING)] = 0
        return squared.sqrt_().neg_()

    return Kernel(rows, torch.zeros_like(squares), -2 * float(gradients.norms.max()))


def _asymmetry(matrix: Tensor) -> float:
    """Return the largest |s_ij − s_ji|."""
    tiles = [slice(first, first + TILE) for first in range(0, len(matrix), TILE)]
    return max(
        float((matrix[rows, columns] - matrix[columns, rows].T).abs().max())
        for index, rows in enumerate(tiles)
        for columns in tiles[: index + 1]
    )
