from typing import TYPE_CHECKING, Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.dissimilarity import floored, nearest, squared_euclidean
from medcoreset.methods.greedy import rounded
from medcoreset.methods.registry import ranking
from medcoreset.options import Range

if TYPE_CHECKING:
    from torch import Tensor


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
    """Return the `k` < n other samples of the nearest features to each of n, int64 (n, k)."""
    import torch

    distances = squared_euclidean(evidence)
    found = []
    for rows in distances.blocks(len(distances)):
        block = distances.to(rows=rows)
        block.diagonal(rows.start).fill_(np.inf)
        found.append(nearest(rounded(block, distances.scale), k))
    return torch.cat(found)


def mean_divergence(p: "Tensor", log_p: "Tensor", others: "Tensor") -> "Tensor":
    """Return the mean symmetric KL divergence (n,) of each p (n, C) from those at `others` (n, k)."""
    # ½ KL(p‖q) + ½ KL(q‖p) = ½ Σ (p − q)(ln p − ln q), of which no term is negative.
    total = p.new_zeros(len(p))
    for other in others.T:
        total += ((p - p[other]) * (log_p - log_p[other])).sum(dim=1) / 2
    return total / others.shape[1]
