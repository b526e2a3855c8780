from typing import Annotated

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.registry import ranking
from medcoreset.options import Range


def check_epochs(total: int, *, epochs: int) -> None:
    """Raise a UserError unless the dynamics have the `epochs` epochs to average over."""
    if epochs > total:
        raise UserError(
            f"el2n: averages over {epochs} epochs, but the training dynamics have {total} "
            f"(option epochs={epochs})"
        )


@ranking(
    "el2n",
    label="EL2N",
    keep="highest",
    needs=("error_norm",),
    reference="Paul et al., NeurIPS 2021, Definition 2.3",
    cost="O(epochs·N)",
    check_epochs=check_epochs,
    departs="code of CCS sums over the epochs and does not average, which ranks alike",
)
def el2n(evidence: Evidence, *, epochs: Annotated[int, Range(1, unit="epochs")] = 10) -> np.ndarray:
    """Average ‖p − y‖₂ over the first `epochs` epochs."""
    check_epochs(evidence.epochs, epochs=epochs)
    return evidence.over_epochs("error_norm", statistics.mean, stop=epochs)
