from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import ranking
from medcoreset.options import Range
from medcoreset.seeding import generator


@ranking(
    "zcore",
    label="ZCore",
    keep="highest",
    needs=("features",),
    reference="Griffin et al., WACV 2026",
    cost="O(draws·N²)",
    departs="the authors' code makes a million draws whatever N, adds a uniform random number to every "
    "score, and sets no seed, so that processes that it forks make the same draws; the paper "
    "takes features of CLIP and of a network trained on ImageNet, here they are those that are given",
)
def zcore(
    evidence: Evidence,
    *,
    draws: Annotated[int, Range(1), "draws per sample"] = 1,
    neighbors: Annotated[int, Range(1)] = 1000,
) -> np.ndarray:
    """Count how often a sample covers a random point of two features, less how near it is to such ones.

    Each draw takes two features and a point of them, of triangular distributions over their least, median
    and largest value. The sample nearest to the point in these two (L1) scores 1, and its `neighbors`
    nearest share −1 in proportion to d⁻⁴, d their distance from it. Of samples at the same place, each is
    as likely to score 1 as −1, which adds up to 0. The draws are the same for every seed.
    """
    columns = np.ascontiguousarray(evidence["features"].T, dtype=np.float64)
    rng = generator(0, "selection")
    pairs = some_pairs(len(columns), draws * len(evidence), rng)
    points = some_points(columns, pairs, rng)
    scores = np.zeros(len(evidence))
    k = min(neighbors, len(evidence) - 1)
    for pair, point in zip(pairs, points, strict=True):
        x, y = columns[pair]
        nearest = int((np.abs(x - point[0]) + np.abs(y - point[1])).argmin())
        apart = np.abs(x - x[nearest]) + np.abs(y - y[nearest])
        if np.count_nonzero(apart) < len(apart) - 1:
            continue
        scores[nearest] += 1
        if k:
            apart[nearest] = np.inf
            # Those that are as near as the last are too, lest their place in the file decides.
            near = np.flatnonzero(apart <= np.partition(apart, k - 1)[k - 1])
            weights = (apart[near].min() / apart[near]) ** 4
            scores[near] -= weights / np.sort(weights).sum()
    return scores


def some_pairs(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` pairs of two of `size` features, int (count, 2); of one, twice the same."""
    first = rng.integers(size, size=count)
    further = rng.integers(1, max(size, 2), size=count)
    return np.stack([first, (first + further) % size], axis=1)


def some_points(columns: np.ndarray, pairs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a point of each pair (count, 2) of features (D, N), triangular over their values."""
    low, high = columns.min(axis=1)[pairs], columns.max(axis=1)[pairs]
    mode = np.median(columns, axis=1)[pairs]
    u, width = rng.random(pairs.shape), high - low
    # The inverse of the distribution function, of which a feature without any width has none.
    left = u * width < mode - low
    from_low = low + np.sqrt(u * width * (mode - low))
    return np.where(left, from_low, high - np.sqrt((1 - u) * width * (high - mode)))
