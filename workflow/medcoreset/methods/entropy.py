import numpy as np

from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.registry import ranking


@ranking(
    "entropy",
    label="Entropy",
    keep="highest",
    needs=("final_probs",),
    reference="Coleman et al., ICLR 2020; DeepCore, Eq. 2",
    cost="O(N·C)",
    departs="code of CCS adds 1e-10 inside the logarithm; code of DeepCore, when not "
    "class-balanced, keeps the most confident",
)
def entropy(evidence: Evidence) -> np.ndarray:
    """Rate a sample by −Σ p ln p of the final model in evaluation mode, in nats."""
    return statistics.entropy(evidence["final_probs"].astype(np.float64))
