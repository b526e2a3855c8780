from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence, statistics
from medcoreset.methods import difficulty
from medcoreset.methods.ccs import without_hardest
from medcoreset.methods.greedy import shuffled
from medcoreset.methods.neighbors import Graph, graph
from medcoreset.methods.registry import get, selecting
from medcoreset.options import Range


def needs(beta: float, **_: object) -> tuple[str, ...]:
    """Return the arrays that the method needs, besides those of the ranking."""
    return ("features", "margin") if beta else ("features",)


def importance(evidence: Evidence, *, of: str) -> np.ndarray:
    """Return the difficulty of samples (N,), the most difficult the highest and none negative.

    Where a ranking keeps the lowest, it is how far each is below the largest.
    """
    values = difficulty.scores(evidence, of=of)
    if get(of).keep == "highest":
        return values
    # Of a single class the margin is infinite, and so is the largest.
    largest = values == values.max()
    return np.subtract(values.max(), values, out=np.zeros_like(values), where=~largest)


@selecting(
    "d2",
    label="D2",
    scores_of=importance,
    needs=needs,
    reference="Maharana et al., ICLR 2024",
    cost="O(Σ N_c²·D) over classes of N_c samples, and O(M·N_c)",
    balance="class",
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
    of: difficulty.Ranking = "forgetting",
    neighbors: Annotated[int, Range(1)] = 5,
    gamma: Annotated[float, Range(0)] = 0.1,
    beta: Annotated[float, Range(0, 1)] = 0.0,
) -> np.ndarray:
    """Pass difficulty to neighbours, then pick the largest and take it from theirs, repeatedly.

    In the graph that joins each sample to its `neighbors` nearest by features, x_i ← x_i +
    Σ_j exp(−d_ij)·x_j over neighbours j; then, for each pick i of largest x, x_j ← x_j −
    exp(−`gamma`·d_ij)·x_i. `of` is the ranking whose scores x are to begin with; of one that keeps the lowest,
    as AUM, how far they are below the largest. The share `beta` of lowest AUM is dropped
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
    density = density.copy()
    found: list[int] = []
    open_ = np.zeros(len(density))
    while len(found) < count:
        best = int(start[len(found)] if len(found) < len(start) else (density + open_).argmax())
        found.append(best)
        open_[best] = -np.inf
        others, lengths = joined.of(best)
        density[others] -= np.exp(-gamma * lengths) * density[best]
    return np.array(found, dtype=np.int64)
