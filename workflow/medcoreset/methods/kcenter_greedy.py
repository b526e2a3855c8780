from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.dissimilarity import squared_euclidean
from medcoreset.methods.registry import selecting
from medcoreset.methods.traversal import traverse
from medcoreset.options import Range


@selecting(
    "kcenter_greedy",
    label="k-Center Greedy",
    needs=("features",),
    reference="Sener and Savarese, ICLR 2018, Algorithm 1; DeepCore, Eq. 1",
    cost="O(N·D·M)",
    balance="class",
    departs="code of DeepCore takes the features of a network trained on ImageNet, and fails for "
    "budgets of 0 and 1",
)
def kcenter_greedy(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    first: Annotated[int | None, Range(0)] = None,
) -> np.ndarray:
    """Pick the sample farthest from those picked, by Euclidean distance of features, repeatedly.

    The first pick is the sample `first`, or a random one. The cover radius is at most twice the
    least possible (Gonzalez 1985).
    """
    return traverse(evidence, squared_euclidean, count, rng, first)
