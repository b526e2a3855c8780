import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import ranking


@ranking(
    "deepfool",
    label="DeepFool",
    keep="lowest",
    needs=("perturbations",),
    reference="Ducoffe and Precioso, arXiv:1802.09841; Moosavi-Dezfooli et al., CVPR 2016",
    cost="O(N), after max_iterations·C backward passes",
    balance="class",
    departs="code of DeepCore fails on a CPU",
)
def deepfool(evidence: Evidence) -> np.ndarray:
    """Rate a sample by the squared norm of the smallest perturbation that changes its prediction."""
    return evidence["perturbations"].astype(np.float64)
