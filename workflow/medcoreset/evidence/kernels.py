"""Similarities between all pairs of samples, in memory as far as there is room."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from medcoreset.errors import UserError
from medcoreset.evidence.evidence import Evidence
from medcoreset.evidence.gradients import ALL, Gradients, Samples, in_unit
from medcoreset.memory import fits

# Rows in memory at a time while a kernel is gone through; three times as much with what they are
# computed from.
BLOCK_BYTES = 2**26

# Rows of a kernel that are computed at a time to be kept: their products are as fast as those of
# larger blocks, and what the symmetry saves is more.
STRIP = 512

# Rows that are computed ahead at a time, and the memory of all that wait.
AHEAD = 15
AHEAD_BYTES = 2**28

# Numbers of float32 that are added in float32.
FEW = 32

# A similarity that is given may differ from its transpose by this, relative to the largest value;
# and rows and columns of the tiles in which the two are compared, since a cache holds these.
ASYMMETRY = 1e-4
TILE = 256

# Relative to ‖g_i‖² + ‖g_j‖², in units of the last place of the type: a squared distance below this
# is what rounding leaves of zero (float64: 1e-13).
ROUNDING = 450

Precision = Literal["double", "single"]


class Kernel:
    """A symmetric matrix s (N, N) of similarities, float64 or float32, of which rows are asked for.

    `block(rows, columns)` computes s of some samples and others; `whole` (N, N) is s, if it is in
    memory. `diagonal` (N,) is s_ii, and no s_ij is below `floor` ≤ s_ij. `sums()` returns Σ_j s_ij
    (N,), if there is a faster way than by all s_ij. s is in units of `unit`.
    """

    def __init__(
        self,
        block: Callable[[Samples, Samples], Tensor],
        diagonal: Tensor,
        floor: float = 0.0,
        sums: Callable[[], Tensor] | None = None,
        whole: Tensor | None = None,
        unit: float = 1.0,
    ) -> None:
        self.block = block
        self.diagonal = diagonal
        self.floor = floor
        self.whole = whole
        self.unit = unit
        self._sums = sums

    @classmethod
    def of(cls, whole: Tensor, floor: float, unit: float = 1.0) -> "Kernel":
        """Return the kernel of a matrix (N, N) in memory."""

        def block(rows: Samples, columns: Samples) -> Tensor:
            return whole[rows][:, columns]

        return cls(block, whole.diagonal(), floor, whole=whole, unit=unit)

    def __len__(self) -> int:
        """Return N."""
        return len(self.diagonal)

    def rows(self, samples: Samples) -> Tensor:
        """Return s_ij of the samples i and all j (samples, N)."""
        if self.whole is None:
            return self.block(samples, ALL)
        # As whole[samples], but faster.
        if isinstance(samples, Tensor):
            return self.whole.index_select(0, samples)
        return self.whole[samples]

    def sums(self) -> Tensor:
        """Return Σ_j s_ij (N,), float64."""
        if self._sums is not None:
            return self._sums()
        size = max(1, BLOCK_BYTES // (self.diagonal.element_size() * len(self)))
        return torch.cat([total(self.rows(block)) for block in self._blocks(size)])

    def kept(self) -> "Kernel":
        """Return the same kernel in memory, if it fits."""
        size = len(self)
        needed = self.diagonal.element_size() * size**2
        if self.whole is not None or not fits(needed, self.diagonal.device):
            return self
        whole = _zeros(size, self.diagonal)
        for rows in self._blocks(STRIP):
            rest = slice(rows.start, size)
            strip = self.block(rows, rest)
            whole[rest, rows] = strip.T
            whole[rows, rest] = strip
        return Kernel.of(whole, self.floor, self.unit)

    def _blocks(self, size: int) -> list[slice]:
        return [slice(first, first + size) for first in range(0, len(self), size)]


class Capped(Kernel):
    """min(s_ij, high_j) − low_j, at least 0, of samples i (rows) and all j: it is not symmetric.

    `low` ≤ `high` are (N,).
    """

    def __init__(self, kernel: Kernel, low: Tensor, high: Tensor) -> None:
        self.kernel, self.low, self.high = kernel, low, high

        def block(rows: Samples, columns: Samples) -> Tensor:
            low, high = self.low[columns], self.high[columns]
            return torch.clamp(self.kernel.block(rows, columns), low, high).sub_(low)

        super().__init__(block, torch.clamp(kernel.diagonal, low, high).sub_(low))

    def rows(self, samples: Samples) -> Tensor:
        """Return the rows of some samples (samples, N)."""
        return torch.clamp(self.kernel.rows(samples), self.low, self.high).sub_(self.low)

    def kept(self) -> "Capped":
        """Return the same, with the kernel in memory, if it fits."""
        return Capped(self.kernel.kept(), self.low, self.high)


class Rows:
    """Rows of a kernel, each asked for once, some of them computed ahead.

    A row alone takes about as long as all samples take to be read, and so do a few together. So with
    the row that is asked for come those of the samples that are likely to be asked for soon, and wait;
    but no more wait than were asked for, so that little is in vain if they are not, and no more than
    `AHEAD_BYTES` hold.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._asked = 0
        self._waiting: dict[int, Tensor] = {}
        self._most = AHEAD_BYTES // (kernel.diagonal.element_size() * len(kernel))

    def row(self, sample: int, gains: Tensor) -> Tensor:
        """Return s_ij of the sample i and all j (N,); those of the largest gains (N,) may be next."""
        if self.kernel.whole is not None:
            return self.kernel.whole[sample]
        if sample not in self._waiting:
            samples = [sample, *self._likely(sample, gains)]
            # Each by itself, so that its memory is free when it was used.
            self._waiting |= zip(samples, map(Tensor.clone, self.kernel.rows(samples)), strict=True)
        self._asked += 1
        return self._waiting.pop(sample)

    def _likely(self, sample: int, gains: Tensor) -> list[int]:
        waiting = len(self._waiting)
        if waiting + AHEAD > min(self._asked + AHEAD, self._most):
            return []
        best = gains.topk(min(waiting + AHEAD + 1, len(gains))).indices.tolist()
        return [other for other in best if other != sample and other not in self._waiting][:AHEAD]


def total(rows: Tensor) -> Tensor:
    """Return the sums of rows (n, N), float64 (n,); of float32, few are added before."""
    if rows.dtype == torch.float64:
        return rows.sum(dim=1)
    # torch takes several times as long to add one by one what it is to convert.
    whole = rows.shape[1] // FEW * FEW
    few = rows[:, :whole].unflatten(1, (FEW, -1)).sum(dim=1)
    return few.double().sum(dim=1) + rows[:, whole:].double().sum(dim=1)


def similarity(evidence: Evidence, precision: Precision = "double") -> Kernel:
    """Return the evidence's `similarity`, or ½ + ½ cos of gradients if none is given.

    The cosine with a gradient of zero is 0. Raises UserError if the given one is not symmetric.
    """
    if not evidence.given("similarity"):
        unit = Gradients.of(evidence).unit().to(_kind(precision))
        half = unit.left.new_tensor(0.5)

        def block(rows: Samples, columns: Samples) -> Tensor:
            cosine = unit.inner(rows, columns)
            return torch.add(half, cosine, alpha=0.5, out=cosine)

        def sums() -> Tensor:
            return unit.dot(unit.sum()).mul_(0.5).add_(0.5 * len(unit))

        # Those of float32 are not the sums of its rounded s_ij.
        return Kernel(
            block, 0.5 + 0.5 * unit.norms**2, sums=sums if precision == "double" else None
        )
    given = evidence.tensor("similarity")
    if _asymmetry(given) > ASYMMETRY * float(given.abs().max()):
        raise UserError(f"{evidence.name}: similarity is to be symmetric, and is not")
    return Kernel.of(given.to(_kind(precision)), min(0.0, float(given.min())))


def proximity(evidence: Evidence, precision: Precision = "double") -> Kernel:
    """Return −‖g_i − g_j‖₂ of gradients; with `precision: single`, in units of about the largest."""
    gradients = Gradients.of(evidence)
    unit = 1.0
    if precision == "single":
        unit = float(gradients.left.norm(dim=1).max() * gradients.right.norm(dim=1).max())
        gradients = Gradients(in_unit(gradients.left), in_unit(gradients.right)).to(torch.float32)
    squares = gradients.norms**2
    least = ROUNDING * torch.finfo(squares.dtype).eps

    def block(rows: Samples, columns: Samples) -> Tensor:
        both = squares[rows, None] + squares[columns]
        squared = torch.add(both, gradients.inner(rows, columns), alpha=-2)
        squared.masked_fill_(squared < both.mul_(least), 0)
        return squared.sqrt_().neg_()

    floor = -2 * float(gradients.norms.max())
    return Kernel(block, torch.zeros_like(squares), floor, unit=unit)


def _kind(precision: Precision) -> torch.dtype:
    return torch.float32 if precision == "single" else torch.float64


def _zeros(size: int, like: Tensor) -> Tensor:
    """Return zeros (size, size) that take their memory at once: who looks next sees it taken."""
    if like.device.type != "cpu":
        return like.new_zeros(size, size)
    # numpy asks for large pages, without which the memory takes several times as long to arrive.
    return torch.from_numpy(np.full((size, size), 0.0, like.cpu().numpy().dtype))


def _asymmetry(matrix: Tensor) -> float:
    """Return the largest |s_ij − s_ji|."""
    tiles = [slice(first, first + TILE) for first in range(0, len(matrix), TILE)]
    return max(
        float((matrix[rows, columns] - matrix[columns, rows].T).abs().max())
        for index, rows in enumerate(tiles)
        for columns in tiles[: index + 1]
    )
