import warnings
from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import ranking
from medcoreset.options import Range
from medcoreset.seeding import generator

# Runs of k-means from different seeds of its own, of which the best is taken.
STARTS = 10

# Rounding errors must not tell copies apart.
DECIMALS = 12


@ranking(
    "ssp",
    label="SSP",
    keep="highest",
    needs=("features", "labels"),
    reference="Sorscher et al., NeurIPS 2022, Section 5",
    cost="O(N·D·clusters) per step of k-means",
    departs="the paper takes features of a self-supervised network (SwAV); here they are those that "
    "are given",
)
def ssp(evidence: Evidence, *, clusters: Annotated[int | None, Range(1)] = None) -> np.ndarray:
    """Rate a sample by 1 − cos of its features and the nearest centroid of k-means.

    There are `clusters` centroids, or as many as classes. The highest are far from all prototypes
    and hard; `keep: lowest` keeps the easy ones, which is better where there are few data.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    features = evidence["features"].astype(np.float64)
    wanted = clusters or len(np.unique(evidence["labels"]))
    # In an order that does not depend on that of the file, which k-means would depend on.
    order = np.argsort(features @ generator(0, "selection").normal(size=features.shape[1]))
    kmeans = KMeans(min(wanted, len(features)), n_init=STARTS, random_state=0)
    with warnings.catch_warnings():
        # Of copies, there can be fewer centroids than asked for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        centroids = kmeans.fit(features[order]).cluster_centers_
    return np.round(1 - (unit(features) @ unit(centroids).T).max(axis=1), DECIMALS)


def unit(rows: np.ndarray) -> np.ndarray:
    """Return rows (n, D) of length 1; those of zeros stay zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
