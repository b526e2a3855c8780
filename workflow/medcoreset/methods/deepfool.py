from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.options import Range
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
def deepfool(evidence: Evidence, *, max_iterations: Annotated[int, Range(1)] = 50) -> np.ndarray:
    """Rate a sample by the squared norm of the smallest perturbation that changes its prediction.

    `max_iterations` is that of the search which made the perturbations, `medcoreset evidence
    perturbations --max-iterations`; it identifies them and changes nothing here.
    """
    return evidence["perturbations"].astype(np.float64)
