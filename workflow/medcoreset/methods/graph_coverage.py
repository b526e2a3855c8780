from typing import TYPE_CHECKING, Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import ROUNDING, shuffled
from medcoreset.methods.neighbors import cosine_graph
from medcoreset.methods.registry import selecting
from medcoreset.options import Range

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@selecting(
    "graph_coverage",
    label="Graph Coverage",
    needs=("features",),
    reference="Rustamov et al., MICCAI 2026",
    cost="O(Σ N_c²·D) over classes of N_c samples, and O(neighbors²) per gain",
    balance="class",
    departs="the paper takes features of a foundation model (UNI); here they are those that are given",
)
def graph_coverage(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    neighbors: Annotated[int, Range(1)] = 10,
) -> np.ndarray:
    """Greedily maximise Σ_i max K_ij over picks j, where K = S + S² of the graph of neighbours.

    The graph joins each sample to its `neighbors` nearest by the cosine of features; A is that cosine,
    0 where it is negative, and S = D^(−½)·A·D^(−½) with the degrees D. Of equal gains, a random one is
    picked.
    """
    order, evidence = shuffled(evidence, rng)
    return order[cover(kernel(evidence, neighbors), count, evidence.preselected)]


def kernel(evidence: Evidence, neighbors: int) -> "csr_array":
    """Return K = S + S² (n, n), sparse."""
    from scipy.sparse import csr_array, diags_array

    joined, cosine = cosine_graph(evidence, neighbors)
    n = len(evidence)
    adjacency = csr_array((np.clip(cosine, 0, 1), joined.columns, joined.starts), shape=(n, n))
    degrees = np.asarray(adjacency.sum(axis=1))
    scale = np.divide(1, np.sqrt(degrees), out=np.zeros(n), where=degrees > 0)
    step = diags_array(scale) @ adjacency @ diags_array(scale)
    return csr_array(step + step @ step)


def cover(k: "csr_array", count: int, start: np.ndarray) -> np.ndarray:
    """Return the greedy picks for Σ_i max k_ij of a symmetric k ≥ 0, `start` first, int64 (count,).

    Lazy (Minoux 1978): gains never grow, so that a gain of before is a bound of the present one.
    """
    covered = np.zeros(k.shape[0])
    bounds = np.asarray(k.sum(axis=1)) if k.nnz else np.zeros(k.shape[0])
    # In whole multiples of what rounding errors may be, so that copies tie.
    unit = max(float(bounds.max()), np.finfo(np.float64).tiny) * ROUNDING
    bounds = np.rint(bounds / unit) + 1
    fresh = np.zeros(len(bounds), dtype=bool)
    found: list[int] = []
    while len(found) < count:
        best = int(start[len(found)] if len(found) < len(start) else bounds.argmax())
        part = slice(k.indptr[best], k.indptr[best + 1])
        own, values = k.indices[part], k.data[part]
        if len(found) >= len(start) and not fresh[best]:
            bounds[best] = np.rint(np.maximum(values - covered[own], 0).sum() / unit)
            fresh[best] = True
            continue
        found.append(best)
        covered[own] = np.maximum(covered[own], values)
        bounds[best] = -np.inf
        fresh[:] = False
    return np.array(found, dtype=np.int64)
