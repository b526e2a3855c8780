"""Covering many samples part by part, for facility location and CRAIG where N² is too much.

Parts are of similar samples, since samples of random parts are covered anew by each of them (GreeDi,
Mirzasoleiman et al., NeurIPS 2013): of samples in clusters, M / P picks from each of P random parts covered
fewer than M picks at random. A graph of nearest neighbours has a bound in terms of the best cover (Lindgren
et al., NeurIPS 2016), but finding them exactly takes the N²·D that are too much.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeGuard

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.options import Range

if TYPE_CHECKING:
    from medcoreset.evidence.kernels import Kernel

Kernels = Callable[[Evidence], "Kernel"]

PartSize = Annotated[
    int | None,
    Range(2),
    "samples are covered within parts of at most so many; none: within all, exactly",
]

# Samples that say along which direction a part differs most, and samples that are compared with
# them at a time.
ANCHORS = 128
BLOCK = 4096


def divides(size: int | None, evidence: Evidence) -> TypeGuard[int]:
    """Return whether there are more samples than a part may have."""
    return size is not None and len(evidence) > size


def cover_in_parts(
    evidence: Evidence, kernel: Kernels, count: int, size: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return picks for Σ_i max s_ij over picks j of i's own part, int64 (count,), and the parts.

    Preselected samples come first, then one pick of each part, then those of largest gain in any.
    Parts are those of `divided`; the samples are to be in random order.

    With f the sum over all picks, and f' ≤ f that over picks of i's own part, this is the greedy
    algorithm for f', but for the first pick of each of the P parts. So for s ≥ 0, without preselected
    samples, f(S) ≥ f'(S) ≥ (1 − exp(P/M − 1)) max f' (as Nemhauser et al. 1978). There is no bound in terms
    of max f, which may be far above max f' where optimal picks cover samples across parts.
    """
    given = evidence.preselected
    parts = divided(evidence, kernel, size, max(1, count - len(given)))
    # Twice its share, and what it has already.
    most = [
        min(
            len(part),
            count,
            -(-2 * count * len(part) // len(evidence)) + np.isin(given, part).sum(),
        )
        for part in parts
    ]
    picks = [np.empty(0, dtype=np.int64)] * len(parts)
    gains = [np.empty(0)] * len(parts)
    short: Sequence[int] = range(len(parts))
    # A part of which all picks are among the best may have more of these.
    while short:
        for number in short:
            picks[number], gains[number] = _greedy(evidence, kernel, parts[number], most[number])
        best, of_part = _best(evidence, picks, gains, count)
        taken = np.bincount(of_part, minlength=len(parts))
        short = [
            number
            for number, part in enumerate(parts)
            if taken[number] == most[number] < min(len(part), count)
        ]
        for number in short:
            most[number] = min(2 * most[number], len(parts[number]), count)
    return best, parts


def cluster_sizes(
    evidence: Evidence, kernel: Kernels, picks: np.ndarray, parts: list[np.ndarray]
) -> np.ndarray:
    """Return how many samples of its part are most similar to each pick, itself included, int64.

    Of equally similar picks, the first has the sample. Sums to N, if every part has a pick.
    """
    sizes = np.zeros(len(picks), dtype=np.int64)
    of_part = _places(parts, len(evidence))[picks]
    for number, part in enumerate(parts):
        mine = np.flatnonzero(of_part == number)
        own = np.searchsorted(part, picks[mine])
        nearest = kernel(evidence.take(part)).rows(own.tolist()).argmax(dim=0).cpu().numpy()
        nearest[own] = np.arange(len(own))
        sizes[mine] = np.bincount(nearest, minlength=len(own))
    return sizes


def divided(evidence: Evidence, kernel: Kernels, size: int, most: int) -> list[np.ndarray]:
    """Return the samples in parts of similar ones: ascending numbers, all but one equally many.

    A part has at most `size` samples, or as many as it takes to have no more than `most` parts. Samples are
    split in two, again and again, by their place along the first principal component that
    `ANCHORS` of them have in the space of the kernel (Nyström's approximation of it). Costs
    O(N·ANCHORS·D·log P) for P parts, and the memory of a block.
    """
    count = min(-(-len(evidence) // size), most)
    return _split(evidence, kernel, np.arange(len(evidence)), count)


def _split(
    evidence: Evidence, kernel: Kernels, samples: np.ndarray, count: int
) -> list[np.ndarray]:
    if count == 1:
        return [samples]
    left = count // 2
    along = _principal(evidence, kernel, samples).argsort(kind="stable")
    # So neither side has more samples than its parts may have together.
    middle = len(samples) * left // count
    return [
        *_split(evidence, kernel, np.sort(samples[along[:middle]]), left),
        *_split(evidence, kernel, np.sort(samples[along[middle:]]), count - left),
    ]


def _principal(evidence: Evidence, kernel: Kernels, samples: np.ndarray) -> np.ndarray:
    """Return the place (n,) of the samples along their first principal component, up to a constant."""
    import torch

    # The order is random, so these are a random sample.
    anchors = samples[:ANCHORS]
    number = len(anchors)
    among = kernel(evidence.take(anchors)).rows(slice(None)).double()
    among = among - among.mean(dim=0)
    among = among - among.mean(dim=1, keepdim=True)
    direction = torch.linalg.eigh(among).eigenvectors[:, -1]
    places = []
    for first in range(0, len(samples), BLOCK):
        block = kernel(evidence.take(np.concatenate([anchors, samples[first : first + BLOCK]])))
        rows = block.block(slice(number), slice(number, None)).double()
        places.append((direction @ rows).mul_(block.unit).cpu().numpy())
    return np.concatenate(places)


def _greedy(
    evidence: Evidence, kernel: Kernels, part: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the greedy picks of a part (k,), preselected ones first, and their gains (k,).

    Gains never grow; that of a preselected sample, and of the part's first pick, is ∞.
    """
    from medcoreset.evidence.kernels import total
    from medcoreset.methods.facility_location import cover

    within = evidence.take(part)
    start = within.preselected
    whole = kernel(within).kept()
    picks, _ = cover(whole, count, start)
    values = total(whole.rows(picks.tolist()).cummax(dim=0).values).cpu().numpy()
    gains = np.diff(values * whole.unit, prepend=-np.inf)
    gains[: len(start)] = np.inf
    return part[picks], np.minimum.accumulate(gains)


def _best(
    evidence: Evidence, picks: list[np.ndarray], gains: list[np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `count` picks of largest gain (count,), preselected first, and the part of each."""
    every = np.concatenate(picks)
    of_part = np.repeat(np.arange(len(picks)), [len(some) for some in picks])
    given = np.full(len(evidence), len(evidence.preselected))
    given[evidence.preselected] = np.arange(len(evidence.preselected))
    first = np.lexsort((-np.concatenate(gains), given[every]))[:count]
    return every[first], of_part[first]


def _places(parts: list[np.ndarray], n: int) -> np.ndarray:
    """Return the number of the part (n,) in which each sample is."""
    places = np.empty(n, dtype=np.int64)
    for number, part in enumerate(parts):
        places[part] = number
    return places
