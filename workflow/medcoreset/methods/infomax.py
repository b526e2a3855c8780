from typing import TYPE_CHECKING, Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods import difficulty
from medcoreset.methods.greedy import shuffled
from medcoreset.methods.neighbors import cosine_graph
from medcoreset.methods.registry import selecting
from medcoreset.options import Range

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Steps of bisection, after which the sum of the shares is exact to rounding.
HALVINGS = 100

# Shares and gains that differ by less are equal: copies are told apart by chance, not by rounding.
DECIMALS = 9


def information(evidence: Evidence, *, of: str) -> np.ndarray:
    """Return how difficult samples (N,) are, from 0 to 1 over the training set."""
    values = difficulty.difficulty(difficulty.scores(evidence, of=of), of)
    low, high = values.min(), values.max()
    return np.zeros(len(values)) if low == high else (values - low) / (high - low)


@selecting(
    "infomax",
    label="InfoMax",
    scores_of=information,
    needs=("features",),
    reference="Tan et al., ICLR 2025",
    cost="O(Σ N_c²·D) over classes of N_c samples, and O(N·neighbors) per iteration",
    balance="class",
    departs="no public code was found, and of the paper the objective was read, not its solver's formula",
)
def infomax(
    evidence: Evidence,
    scores: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    of: difficulty.Ranking = "el2n",
    alpha: Annotated[float, Range(0)] = 0.3,
    neighbors: Annotated[int, Range(1)] = 5,
    iterations: Annotated[int, Range(1)] = 50,
) -> np.ndarray:
    """Maximise Σ I_i over picks i, less `alpha` times Σ K_ij over pairs of picks, I information, K cosines.

    I are the scores of the ranking `of`, from 0 to 1 over the training set, so that `alpha` means the same for
    any. K_ij is the cosine of features of i and j ≠ i where one is among the `neighbors` nearest of
    the other, else 0; pairs are ordered. As in the paper, the picks X ∈ {0, 1} are relaxed to shares in
    [0, 1] that add up to M, and the M largest are taken. The solver is projected gradient ascent,
    whose steps 1/L never lower the objective; then picks are swapped for others, the best swap first, while
    one raises it.
    """
    from scipy.sparse import csr_array

    order, evidence = shuffled(evidence, rng)
    joined, cosine = cosine_graph(evidence, neighbors)
    kernel = csr_array((cosine, joined.columns, joined.starts), shape=(len(order), len(order)))
    gain, given = scores[order], evidence.preselected
    shares = relaxed(gain, alpha * kernel, count, given, iterations)
    shares[given] = np.inf
    # Of equal shares, as of all that are 1, the more informative is first.
    ranked = np.lexsort((-gain, -np.round(shares, DECIMALS)))
    picked = exchanged(gain, alpha * kernel, ranked[:count], given)
    others = ranked[picked[ranked] & ~np.isin(ranked, given)]
    return order[np.concatenate([given, others])]


def relaxed(
    gain: np.ndarray, penalty: "csr_array", count: int, given: np.ndarray, iterations: int
) -> np.ndarray:
    """Return shares x (n,) in [0, 1] of sum `count`, 1 for those `given`, of large ⟨gain − penalty·x, x⟩."""
    shares = np.full(len(gain), count / len(gain))
    slope = 2 * float(np.abs(penalty).sum(axis=1).max())
    if not slope:
        return gain.copy()
    for _ in range(iterations):
        shares = projected(shares + (gain - 2 * (penalty @ shares)) / slope, count, given)
    return shares


def projected(values: np.ndarray, count: int, given: np.ndarray) -> np.ndarray:
    """Return the nearest shares to `values` (n,): in [0, 1], of sum `count`, and 1 for those `given`."""
    low, high = values.min() - 1, values.max()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = np.clip(values - middle, 0, 1)
        found[given] = 1
        low, high = (middle, high) if found.sum() > count else (low, middle)
    return found


def exchanged(
    gain: np.ndarray, penalty: "csr_array", picks: np.ndarray, given: np.ndarray
) -> np.ndarray:
    """Return which samples (n,) are picks when no pick, but for those `given`, is swapped to advantage.

    A swap of pick i for j raises the objective by left_j − left_i + 2·penalty_ij, where left is what a sample
    adds to the picks, or a pick to the others.
    """
    inside = np.zeros(len(gain), dtype=bool)
    inside[picks] = True
    fixed = np.zeros_like(inside)
    fixed[given] = True
    left = gain - 2 * (penalty @ inside)
    edges = penalty.tocoo()
    while (inside & ~fixed).any() and not inside.all():
        rounded = np.round(left, DECIMALS)
        worst = int(np.where(inside & ~fixed, rounded, np.inf).argmin())
        best = int(np.where(inside, -np.inf, rounded).argmax())
        # The best swap is that of the worst and the best, or one of neighbours.
        near = np.flatnonzero((inside & ~fixed)[edges.row] & ~inside[edges.col])
        out = np.append(edges.row[near], worst)
        into = np.append(edges.col[near], best)
        apart = np.append(edges.data[near], penalty[worst, best])
        raised = np.round(left[into] - left[out] + 2 * apart, DECIMALS)
        swap = int(raised.argmax())
        if raised[swap] <= 0:
            break
        inside[out[swap]], inside[into[swap]] = False, True
        for sample, sign in ((out[swap], 1), (into[swap], -1)):
            part = slice(penalty.indptr[sample], penalty.indptr[sample + 1])
            left[penalty.indices[part]] += sign * 2 * penalty.data[part]
    return inside
