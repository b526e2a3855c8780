from typing import Literal

import numpy as np

from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.registry import ranking

MARGINS = {"probability": "margin", "logits": "logit_margin"}


@ranking(
    "aum",
    label="AUM",
    keep="lowest",
    needs=lambda space: (MARGINS[space],),
    reference="Pleiss et al., NeurIPS 2020, Eq. 1–2; of probabilities as in EVA and CCS",
    cost="O(T·N)",
    departs="code of CCS sums over the epochs and does not average, which ranks alike",
)
def aum(
    evidence: Evidence, *, space: Literal["probability", "logits"] = "probability"
) -> np.ndarray:
    """Average the margin, p_y − max over k ≠ y of p_k, over all epochs.

    `space: logits` takes the margin of the logits, as the original does.
    """
    return evidence.over_epochs(MARGINS[space], statistics.mean)
