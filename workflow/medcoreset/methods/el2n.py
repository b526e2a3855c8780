from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.options import Range
from medcoreset.methods.registry import ranking


@ranking(
    "el2n",
    label="EL2N",
    keep="highest",
    needs=("error_norm",),
    reference="Paul et al., NeurIPS 2021, Definition 2.3",
    cost="O(epochs·N)",
    departs="code of CCS sums over the epochs and does not average, which ranks alike",
)
def el2n(evidence: Evidence, *, epochs: Annotated[int, Range(1)] = 10) -> np.ndarray:
    """Average ‖p − y‖₂ over the first `epochs` epochs (over all, if there are fewer)."""
    return evidence.over_epochs("error_norm", statistics.mean, stop=min(epochs, evidence.epochs))
