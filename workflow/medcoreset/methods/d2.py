from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence, statistics
from medcoreset.methods import difficulty
from medcoreset.methods.ccs import without_hardest
from medcoreset.methods.greedy import shuffled
from medcoreset.methods.neighbors import Graph, graph
from medcoreset.methods.registry import selecting
from medcoreset.options import Range


def check_epochs(total: int, *, score: difficulty.Score, **_: object) -> None:
    """Raise a UserError if the dynamics are too short for the score."""
    difficulty.check_epochs("d2", total, score)


def needs(score: difficulty.Score, beta: float, **_: object) -> tuple[str, ...]:
    """Return the arrays that the method needs."""
    cut = ("margin",) if beta else ()
    return tuple(dict.fromkeys(["features", *difficulty.needs(score), *cut]))


def scores_of(evidence: Evidence, *, score: difficulty.Score = "forgetting") -> np.ndarray:
    """Return how difficult samples (N,) are, the most difficult the highest."""
    check_epochs(evidence.epochs, score=score)
    return difficulty.difficulty(evidence, score)


@selecting(
    "d2",
    label="D2",
    scores_of=scores_of,
    needs=needs,
    reference="Maharana et al., ICLR 2024",
    cost="O(Σ N_c²·D) over classes of N_c samples, and O(M·N_c)",
    balance="class",
    check_epochs=check_epochs,
    departs="the authors' code holds all distances in memory, ignores them where its sampling is "
    "`absolute`, does not make a precomputed graph symmetric, and drops the hardest 40 % by AUM before "
    "(`beta=0.4`)",
)
def d2(
    evidence: Evidence,
    scores: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    neighbors: Annotated[int, Range(1)] = 5,
    gamma: Annotated[float, Range(0)] = 0.1,
    beta: Annotated[float, Range(0, 1)] = 0.0,
) -> np.ndarray:
    """Pass difficulty to neighbours, then pick the largest and take it from theirs, repeatedly.

    In the graph that joins each sample to its `neighbors` nearest by features, x_i ← x_i +
    Σ_j exp(−d_ij)·x_j over neighbours j; then, for each pick i of largest x, x_j ← x_j −
    exp(−`gamma`·d_ij)·x_i. `score` is the difficulty x to begin with: that of `forgetting`, `el2n`
    or `dyn_unc`, or how far the AUM is below the largest. The share `beta` of lowest AUM is dropped
    before, but no more than leaves M.
    """
    order, evidence = shuffled(evidence, rng)
    given = evidence.preselected
    if beta:
        margins = evidence.over_epochs("margin", statistics.mean)
        margins[given] = np.inf
        kept = np.sort(without_hardest(margins, count, rng, beta))
        given = np.searchsorted(kept, given)
        order, evidence = order[kept], evidence.take(kept)
    joined = graph(evidence, neighbors)
    density = scores[order] + received(joined, scores[order])
    return order[picks(joined, density, count, given, gamma)]


def received(joined: Graph, x: np.ndarray) -> np.ndarray:
    """Return Σ_j exp(−d_ij)·x_j over the neighbours of each sample, (n,)."""
    sent = np.exp(-joined.lengths) * x[joined.columns]
    return np.bincount(joined.rows, weights=sent, minlength=len(x))


def picks(
    joined: Graph, density: np.ndarray, count: int, start: np.ndarray, gamma: float
) -> np.ndarray:
    """Return `start` and then, one by one, the sample of largest density, int64 (count,)."""
    density, found = density.copy(), []
    open_ = np.zeros(len(density))
    while len(found) < count:
        best = int(start[len(found)] if len(found) < len(start) else (density + open_).argmax())
        found.append(best)
        open_[best] = -np.inf
        others, lengths = joined.of(best)
        density[others] -= np.exp(-gamma * lengths) * density[best]
    return np.array(found, dtype=np.int64)
