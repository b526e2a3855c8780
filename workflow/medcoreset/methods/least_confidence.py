import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import ranking


@ranking(
    "least_confidence",
    label="Least Confidence",
    keep="highest",
    needs=("final_probs",),
    reference="Coleman et al., ICLR 2020; DeepCore, Eq. 2",
    cost="O(N·C)",
    balance="class",
    departs="code of DeepCore takes the largest logit in place of the probability and, when not "
    "class-balanced, keeps the most confident",
)
def least_confidence(evidence: Evidence) -> np.ndarray:
    """Rate a sample by 1 − max p of the final model in evaluation mode."""
    return 1 - evidence["final_probs"].astype(np.float64).max(axis=1)
