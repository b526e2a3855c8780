"""The graph of nearest neighbours, of features, in bounded memory."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.dissimilarity import nearest, squared_euclidean
from medcoreset.methods.greedy import rounded

if TYPE_CHECKING:
    from torch import Tensor


class Graph(NamedTuple):
    """The edges of an undirected graph of n samples, each in both directions, ordered by `rows`.

    `rows` and `columns` (E,) are samples, `lengths` (E,) how far apart the two are; those of sample i
    are at `starts`[i] … `starts`[i + 1] − 1, `starts` (n + 1,).
    """

    rows: np.ndarray
    columns: np.ndarray
    lengths: np.ndarray
    starts: np.ndarray

    def of(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the neighbours of a sample, and how far they are."""
        part = slice(self.starts[sample], self.starts[sample + 1])
        return self.columns[part], self.lengths[part]


def graph(evidence: Evidence, k: int) -> Graph:
    """Return the graph in which each sample is joined to its `k` nearest by features (Euclidean).

    To all others if they are fewer. Of equally near ones, the first are taken. Costs O(n²·D) in
    matrix products, and O(n·k) memory and a block.
    """
    others = _nearest_neighbors(evidence, min(k, len(evidence) - 1))
    features = evidence.tensor("features")
    # Not from inner products, which leave rounding errors where two samples nearly meet.
    lengths = [(features - features[other]).norm(dim=1).cpu().numpy() for other in others.T]
    n, columns = len(evidence), others.cpu().numpy()
    here = np.repeat(np.arange(n), columns.shape[1])
    there = columns.ravel()
    apart = np.stack(lengths, axis=1).ravel() if lengths else np.empty(0)
    edges, first = np.unique(
        np.concatenate([here * n + there, there * n + here]), return_index=True
    )
    rows = edges // n
    starts = np.searchsorted(rows, np.arange(n + 1))
    return Graph(rows, edges % n, np.concatenate([apart, apart])[first], starts)


def cosine_graph(evidence: Evidence, k: int) -> tuple[Graph, np.ndarray]:
    """Return the graph that joins each sample to its `k` nearest by the cosine, and the cosines (E,).

    The cosine with features of zeros is 0.
    """
    features = evidence["features"].astype(np.float64)
    norms = np.linalg.norm(features, axis=1)
    unit = np.divide(
        features, norms[:, None], out=np.zeros_like(features), where=norms[:, None] > 0
    )
    of_unit = Evidence({"features": unit}, device=evidence.device, threads=evidence.threads)
    joined = graph(of_unit, k)
    # Of two vectors of length 1, ‖a − b‖² = 2 − 2 cos.
    cosine = 1 - joined.lengths**2 / 2
    cosine[(norms[joined.rows] == 0) | (norms[joined.columns] == 0)] = 0
    return joined, cosine


def _nearest_neighbors(evidence: Evidence, k: int) -> "Tensor":
    """Return the `k` < n other samples of the nearest features to each of n, int64 (n, k)."""
    import torch

    between = squared_euclidean(evidence)
    found = []
    for rows in between.blocks(len(between)):
        block = between.to(rows=rows)
        block.diagonal(rows.start).fill_(np.inf)
        block = rounded(block, between.scale)
        found.append(nearest(block, k) if k else block.argsort(dim=1)[:, :0])
    return torch.cat(found)
