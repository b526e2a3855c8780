from typing import TYPE_CHECKING, Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.dissimilarity import Dissimilarity, floored, nearest, squared_euclidean
from medcoreset.methods.greedy import rounded
from medcoreset.methods.registry import ranking
from medcoreset.options import Range

if TYPE_CHECKING:
    from torch import Tensor

# Rows and columns of the tiles in which distances are looked at: 9 MB of float32.
TILE = 1536


@ranking(
    "cal",
    label="CAL",
    keep="highest",
    needs=("features", "final_probs", "labels"),
    reference="Margatina et al., EMNLP 2021, Algorithm 1",
    cost="O(Σ N_c²·D) over classes of N_c samples",
    balance="class",
    departs="code of DeepCore keeps the lowest scores, finds neighbours by the features of a network "
    "trained on ImageNet, and yields NaN where a probability is 0",
)
def cal(evidence: Evidence, *, neighbors: Annotated[int, Range(1)] = 10) -> np.ndarray:
    """Average the symmetric KL divergence of p from those of the nearest neighbours.

    The neighbours are the `neighbors` samples of the same class with the nearest features
    (Euclidean), or all others of the class if they are fewer; a sample alone in its class scores 0.
    The divergence is ½ KL(p‖q) + ½ KL(q‖p); probabilities below 1e-12 count as 1e-12.
    """
    labels = evidence["labels"]
    scores = np.zeros(len(evidence))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) > 1:
            part = evidence.take(members)
            others = neighbors_of(part, min(neighbors, len(members) - 1))
            scores[members] = mean_divergence(*floored(part), others).cpu()
    return scores


def neighbors_of(evidence: Evidence, k: int) -> "Tensor":
    """Return the `k` < n other samples of the nearest features to each of n, int64 (n, k).

    Which samples these are is known from distances that are nearly known, unless the next is hardly
    any farther: of those samples, all distances are computed exactly.
    """
    distances = squared_euclidean(evidence)
    found, certain = nearly_nearest(distances, k)
    unsure = (~certain).nonzero()[:, 0]
    for some in unsure.split(distances.block(len(distances))):
        block = distances.to(rows=some)
        block[range(len(some)), some] = np.inf
        found[some] = nearest(rounded(block, distances.scale), k)
    return found


def nearly_nearest(distances: Dissimilarity, k: int) -> tuple["Tensor", "Tensor"]:
    """Return the `k` < n nearest others of each of n samples, ascending (n, k), and which are certain.

    Every pair is looked at once, in tiles: for the one and for the other.
    """
    import torch

    near, error = distances.nearly()
    values = near.own.new_full((len(near), k + 1), np.inf)
    places = torch.zeros_like(values, dtype=torch.int64)

    def look(rows: slice, columns: slice, tile: "Tensor") -> None:
        here, where = tile.topk(min(k + 1, tile.shape[1]), largest=False)
        both = torch.cat([values[rows], here], dim=1)
        values[rows], which = both.topk(k + 1, largest=False)
        both = torch.cat([places[rows], where + columns.start], dim=1)
        places[rows] = both.gather(1, which)

    tiles = [slice(first, first + TILE) for first in range(0, len(near), TILE)]
    for number, rows in enumerate(tiles):
        for columns in tiles[number:]:
            tile = near.to(columns, rows)
            if rows == columns:
                tile.fill_diagonal_(np.inf)
            else:
                look(columns, rows, tile.T.contiguous())
            look(rows, columns, tile)
    certain = values[:, k] - values[:, k - 1] > 2 * error
    return places[:, :k].sort(dim=1).values, certain


def mean_divergence(p: "Tensor", log_p: "Tensor", others: "Tensor") -> "Tensor":
    """Return the mean symmetric KL divergence (n,) of each p (n, C) from those at `others` (n, k)."""
    # ½ KL(p‖q) + ½ KL(q‖p) = ½ Σ (p − q)(ln p − ln q), of which no term is negative.
    total = p.new_zeros(len(p))
    for other in others.T:
        total += ((p - p[other]) * (log_p - log_p[other])).sum(dim=1) / 2
    return total / others.shape[1]
