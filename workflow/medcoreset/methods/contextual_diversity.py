from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.dissimilarity import symmetric_kl
from medcoreset.methods.registry import selecting
from medcoreset.methods.traversal import traverse
from medcoreset.options import Range


@selecting(
    "contextual_diversity",
    label="Contextual Diversity",
    needs=("final_probs",),
    reference="Agarwal et al., ECCV 2020",
    cost="O(N·C·M)",
    balance="class",
    departs="code of DeepCore yields NaN where a probability is 0",
)
def contextual_diversity(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    first: Annotated[int | None, Range(0)] = None,
) -> np.ndarray:
    """Pick the sample farthest from those picked, by symmetric KL divergence of p, repeatedly.

    The divergence is ½ KL(p‖q) + ½ KL(q‖p); probabilities below 1e-12 count as 1e-12. The first
    pick is the sample `first`, or a random one.
    """
    return traverse(evidence, symmetric_kl, count, rng, first)
