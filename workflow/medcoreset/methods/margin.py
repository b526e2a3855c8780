import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.registry import ranking


@ranking(
    "margin",
    label="Margin",
    keep="highest",
    needs=("final_probs",),
    reference="Coleman et al., ICLR 2020; DeepCore, Eq. 2",
    cost="O(N·C)",
    balance="class",
    departs="code of DeepCore, when not class-balanced, keeps the most confident",
)
def margin(evidence: Evidence) -> np.ndarray:
    """Rate a sample by 1 − (largest p − second largest p) of the final model in evaluation mode."""
    p = evidence["final_probs"].astype(np.float64)
    if p.shape[1] < 2:
        raise UserError(f"margin on {evidence.name}: final_probs are of one class, it needs two")
    second, largest = np.partition(p, [-2, -1], axis=1)[:, -2:].T
    return 1 - (largest - second)
