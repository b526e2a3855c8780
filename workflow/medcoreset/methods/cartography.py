from functools import partial
from typing import Literal

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.registry import ranking

Region = Literal["ambiguous", "hard", "easy"]


def check_epochs(total: int, *, region: Region) -> None:
    """Raise a UserError unless there are two epochs between which p_y can vary."""
    if region == "ambiguous" and total < 2:
        raise UserError(
            f"cartography: region=ambiguous needs training dynamics of 2 epochs, these have {total}"
        )


@ranking(
    "cartography",
    label="Cartography",
    keep="highest",
    needs=("target_prob",),
    reference="Swayamdipta et al., EMNLP 2020, Section 2",
    cost="O(T·N)",
    check_epochs=check_epochs,
    departs="the authors' code can leave out late epochs and correct the variability for small "
    "numbers of epochs",
)
def cartography(evidence: Evidence, *, region: Region = "ambiguous") -> np.ndarray:
    """Rate a sample by where it lies on the data map of confidence and variability.

    Confidence is the mean of p_y over the epochs, variability its standard deviation (with T).
    `region: ambiguous` scores variability, `easy` confidence and `hard` 1 − confidence.
    """
    check_epochs(evidence.epochs, region=region)
    if region == "ambiguous":
        return np.sqrt(evidence.over_epochs("target_prob", partial(statistics.variance, ddof=0)))
    confidence = evidence.over_epochs("target_prob", statistics.mean)
    return confidence if region == "easy" else 1 - confidence
