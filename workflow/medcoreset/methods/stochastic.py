"""Stochastic greedy (Mirzasoleiman et al., AAAI 2015): each pick is the best of a random few."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.options import Range

if TYPE_CHECKING:
    from torch import Tensor

Epsilon = Annotated[
    float | None,
    Range(1e-9, 0.999),
    "a pick is the best of (N/M)·ln(1/ε) random samples; none: the best of all",
]

# Samples in memory at a time while all are gone through.
BLOCK = 4096


class Candidates:
    """The samples among which picks are made: for each, some of those that are not picked yet.

    They are (N/M)·ln(1/ε), drawn with replacement. Were the M best samples known, one of these would
    be drawn with a probability of 1 − ε while none of them is picked.
    """

    def __init__(
        self,
        evidence: Evidence,
        count: int,
        epsilon: float,
        rng: np.random.Generator,
    ) -> None:
        self.picks = evidence.preselected.tolist()
        self._count = count
        self._size = math.ceil(len(evidence) / count * math.log(1 / epsilon))
        self._open = np.setdiff1d(np.arange(len(evidence)), self.picks)
        self._left = len(self._open)
        self._rng = rng

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield candidates int64 (k,), of which one is to be picked, until all picks are made."""
        while len(self.picks) < self._count:
            self._drawn = self._rng.integers(self._left, size=self._size)
            yield self._open[self._drawn]

    def pick(self, place: int) -> int:
        """Pick the candidate in that place, and return it."""
        where = self._drawn[place]
        picked = int(self._open[where])
        self._left -= 1
        self._open[where] = self._open[self._left]
        self.picks.append(picked)
        return picked


def total(n: int, of: Callable[[np.ndarray], "Tensor"]) -> "Tensor":
    """Return the sum of what `of(samples)` returns of blocks of the samples 0 … n−1."""
    found = sum(of(np.arange(first, min(first + BLOCK, n))) for first in range(0, n, BLOCK))
    assert not isinstance(found, int)  # as it is of none
    return found
