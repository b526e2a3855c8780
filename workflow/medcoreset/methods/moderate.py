from typing import Literal

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import picking

Reading = Literal["band", "median"]


def distance(evidence: Evidence) -> np.ndarray:
    """Return ‖h_i − median of its class‖₂ (N,), the median of each coordinate of the features."""
    features, labels = evidence["features"].astype(np.float64), evidence["labels"]
    found = np.zeros(len(features))
    for label in np.unique(labels):
        own = labels == label
        found[own] = np.linalg.norm(features[own] - np.median(features[own], axis=0), axis=1)
    return found


@picking(
    "moderate",
    label="Moderate",
    scores_of=distance,
    needs=("features", "labels"),
    reference="Xia et al., ICLR 2023",
    cost="O(N·D + N log N)",
    departs="the authors' code can return one sample less than asked for, fails for a class of one "
    "sample, and takes features of the checkpoint of best test accuracy",
)
def moderate(
    scores: np.ndarray, count: int, rng: np.random.Generator, *, reading: Reading = "band"
) -> np.ndarray:
    """Keep the samples whose features are about as far from their class's median as is usual.

    The distance is ‖h − median‖₂ of features, with the median of each coordinate in the class.
    `reading: band` keeps the M in the middle of the ranking by distance, as the authors' code;
    `median` those whose distance is nearest to the median distance. The ranking is of all classes
    together unless class-balanced.
    """
    order = rng.permutation(len(scores))
    if reading == "median":
        order = order[np.argsort(np.abs(scores - np.median(scores))[order], kind="stable")]
        return order[:count]
    order = order[np.argsort(scores[order], kind="stable")]
    first = round((len(scores) - count) / 2)
    return order[first : first + count]
