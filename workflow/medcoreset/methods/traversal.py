"""Farthest-point traversal (Gonzalez 1985), exact, at the speed of matrix products."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.dissimilarity import Dissimilarity, nearest
from medcoreset.methods.greedy import rounded, shuffled

if TYPE_CHECKING:
    from torch import Tensor

# Samples whose dissimilarities are kept up to date with every pick: 2 MB for those to each other.
POOL = 512


def traverse(
    evidence: Evidence,
    dissimilarity: Callable[[Evidence], Dissimilarity],
    count: int,
    rng: np.random.Generator,
    first: int | None,
) -> np.ndarray:
    """Return `count` samples, each the farthest from those before it; preselected ones first.

    Then comes the sample `first` of the whole evidence, if it is one of these; without any of
    them, a random one. Equally far samples are picked in an order drawn from `rng`.
    """
    order, evidence = shuffled(evidence, rng)
    start = evidence.preselected.tolist()
    if first is not None and len(start) < count:
        start += [
            place for place in evidence.positions(np.array([first])).tolist() if place not in start
        ]
    return order[farthest_first(dissimilarity(evidence), start or [0], count)]


def farthest_first(between: Dissimilarity, start: list[int], count: int) -> np.ndarray:
    """Return `start` and then, one by one, the sample farthest from all before it, int64 (count,).

    How far a sample is from a set is its least dissimilarity to a member; of samples that are equally
    far, but for rounding errors, the first is picked. Costs O(n·count·F) in matrix products, and
    O(n) memory and a block.
    """
    picks = list(start)
    distance = between.own.new_full((len(between),), np.inf)
    new = picks
    while len(picks) < count:
        _approach(between, distance, new)
        new = _certain(between, distance, count - len(picks))
        picks += new
    return np.array(picks, dtype=np.int64)


def _approach(between: Dissimilarity, distance: "Tensor", new: list[int]) -> None:
    """Lower `distance` (n,) to the set by its members `new`, whose own becomes −∞."""
    for rows in between.blocks(len(new)):
        least = between.to(new, rows).amin(dim=1)
        distance[rows] = distance[rows].minimum(rounded(least, between.scale))
    distance[new] = -np.inf


def _certain(between: Dissimilarity, distance: "Tensor", most: int) -> list[int]:
    """Return the next picks, as many as follow from a pool of the farthest samples; at least one.

    A pick can only lower the distance of the samples outside the pool. So as long as the farthest
    of the pool, whose distances are updated after every pick, is no nearer than the farthest
    outside was before, it is the farthest of all.
    """
    pool = nearest(-distance[None], min(POOL, len(distance)))[0]
    rest = distance.index_fill(0, pool, -np.inf)
    rival = int(rest.argmax())
    outside = (float(rest[rival]), -rival)
    inside = rounded(between.take(pool).to(), between.scale)
    distance, numbers = distance[pool], pool.tolist()
    picks: list[int] = []
    while len(picks) < most:
        # Of equally far samples, `argmax` returns the first.
        best = int(distance.argmax())
        if (float(distance[best]), -numbers[best]) < outside:
            break
        picks.append(numbers[best])
        distance = distance.minimum(inside[best])
        distance[best] = -np.inf
    return picks
