from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import ranking
from medcoreset.methods.sliding import check_window, deviation, over_windows
from medcoreset.options import Range


def check_epochs(total: int, *, window: int) -> None:
    """Raise a UserError unless a window fits into the dynamics."""
    check_window("dyn_unc", total, window=window)


@ranking(
    "dyn_unc",
    label="Dyn-Unc",
    keep="highest",
    needs=("target_prob",),
    reference="He et al., CVPR Workshops 2024",
    cost="O(T·window·N)",
    check_epochs=check_epochs,
    departs="the authors' code leaves out the last epoch, takes p_y = 0 for a sample that was not "
    "seen, and multiplies scores by 10, which ranks alike",
)
def dyn_unc(
    evidence: Evidence, *, window: Annotated[int, Range(2, unit="epochs")] = 10
) -> np.ndarray:
    """Average the standard deviation of p_y in a window of epochs over all windows.

    u_k is the standard deviation, with `window` − 1, of p_y in the epochs k … k + `window` − 1; the
    score is the mean of u_k over the T − `window` + 1 windows.
    """
    check_epochs(evidence.epochs, window=window)
    return evidence.over_epochs("target_prob", lambda p: over_windows(p, window, deviation))
