"""Farthest-point traversal (Gonzalez 1985), exact, at the speed of matrix products."""

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.dissimilarity import Dissimilarity

# Samples whose dissimilarities are kept up to date with every pick: 4 MB of 512 features.
POOL = 1024


def traverse(
    evidence: Evidence,
    between: Dissimilarity,
    count: int,
    rng: np.random.Generator,
    first: int | None,
) -> np.ndarray:
    """Return `count` samples, each the farthest from those before it; preselected ones first.

    Then comes the sample `first` of the whole evidence, if it is one of these; without any of
    them, a random one. Equally far samples are picked in an order drawn from `rng`.
    """
    order = rng.permutation(len(evidence))
    position = np.argsort(order)
    start = list(position[evidence.preselected])
    if first is not None and len(start) < count:
        start += [place for place in position[evidence.positions([first])] if place not in start]
    return order[farthest_first(between.take(order), start or [0], count)]


def farthest_first(between: Dissimilarity, start: list[int], count: int) -> np.ndarray:
    """Return `start` and then, one by one, the sample farthest from all before it, int64 (count,).

    How far a sample is from a set is its least dissimilarity to a member; of equally far samples
    the first is picked. Costs O(n·count·F) in matrix products, and O(n) memory and a block.
    """
    picks = list(start)
    distance = np.full(len(between), np.inf)
    new = picks
    while len(picks) < count:
        _approach(between, distance, np.array(new))
        new = _certain(between, distance, count - len(picks))
        picks += new
    return np.array(picks, dtype=np.int64)


def _approach(between: Dissimilarity, distance: np.ndarray, new: np.ndarray) -> None:
    """Lower `distance` (n,) to the set by its members `new`, whose own becomes −∞."""
    for rows in between.blocks(len(new)):
        np.minimum(distance[rows], between.to(new, rows).min(axis=1), out=distance[rows])
    distance[new] = -np.inf


def _certain(between: Dissimilarity, distance: np.ndarray, most: int) -> list[int]:
    """Return the next picks, as many as follow from a pool of the farthest samples; at least one.

    A pick can only lower the distance of the samples outside the pool. So as long as the farthest
    of the pool, whose distances are updated after every pick, is no nearer than the farthest
    outside was before, it is the farthest of all.
    """
    pool = _farthest(distance, POOL)
    outside = distance.copy()
    outside[pool] = -np.inf
    rival = int(outside.argmax())
    inside, distance = between.take(pool), distance[pool]
    picks: list[int] = []
    while len(picks) < most:
        best = int(distance.argmax())
        if (distance[best], -pool[best]) < (outside[rival], -rival):
            break
        picks.append(int(pool[best]))
        np.minimum(distance, inside.to(np.array([best]))[:, 0], out=distance)
        distance[best] = -np.inf
    return picks


def _farthest(distance: np.ndarray, size: int) -> np.ndarray:
    """Return the `size` samples of largest distance in ascending order, the first of equals."""
    if size >= len(distance):
        return np.arange(len(distance))
    least = np.partition(distance, -size)[-size]
    farther, equal = np.flatnonzero(distance > least), np.flatnonzero(distance == least)
    return np.sort(np.concatenate([farther, equal[: size - len(farther)]]))
