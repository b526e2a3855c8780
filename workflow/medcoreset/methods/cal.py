from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.dissimilarity import floored, squared_euclidean
from medcoreset.methods.options import Range
from medcoreset.methods.registry import ranking


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
    builds_on=(squared_euclidean,),
)
def cal(evidence: Evidence, *, neighbors: Annotated[int, Range(1)] = 10) -> np.ndarray:
    """Average the symmetric KL divergence of p from those of the nearest neighbours.

    The neighbours are the `neighbors` samples of the same class with the nearest features
    (Euclidean), or all others of the class if they are fewer; a sample alone in its class scores 0.
    The divergence is ½ KL(p‖q) + ½ KL(q‖p); probabilities below 1e-12 count as 1e-12.
    """
    p, log_p = floored(evidence["final_probs"])
    labels = evidence["labels"]
    scores = np.zeros(len(evidence))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) > 1:
            features = evidence.take(members)["features"]
            nearest = nearest_neighbors(features, min(neighbors, len(members) - 1))
            scores[members] = mean_divergence(p[members], log_p[members], nearest)
    return scores


def nearest_neighbors(features: np.ndarray, k: int) -> np.ndarray:
    """Return the `k` < n other rows nearest to each row of features (n, D), int64 (n, k)."""
    distances = squared_euclidean(features)
    everyone = np.arange(len(features))
    found = []
    for rows in distances.blocks(len(features)):
        block = distances.to(everyone, rows)
        members = everyone[rows]
        block[np.arange(len(members)), members] = np.inf
        found.append(np.argpartition(block, k - 1, axis=1)[:, :k])
    return np.concatenate(found)


def mean_divergence(p: np.ndarray, log_p: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the mean symmetric KL divergence (n,) of each p (n, C) from those at `others` (n, k)."""
    # ½ KL(p‖q) + ½ KL(q‖p) = ½ Σ (p − q)(ln p − ln q), of which no term is negative.
    total = np.zeros(len(p))
    for other in others.T:
        total += np.einsum("nc,nc->n", p - p[other], log_p - log_p[other]) / 2
    return total / others.shape[1]
