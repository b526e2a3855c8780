from typing import Annotated, Literal

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import first_best, shuffled
from medcoreset.methods.registry import selecting
from medcoreset.options import Range


@selecting(
    "log_det",
    label="Log Determinant",
    needs=("similarity",),
    reference="Iyer et al., ALT 2021; Chen et al., NeurIPS 2018, Algorithm 1",
    cost="O(N_c·(D + M_c)·M_c) per class of N_c samples, M_c of them picked",
    balance="class",
    departs="code of DeepCore has the sign of the gain flipped",
)
def log_det(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    regularization: Annotated[float, Range(0)] = 1e-6,
    gain: Literal["largest", "smallest"] = "largest",
) -> np.ndarray:
    """Greedily maximise log det (S + r·I) of the picks, with s = ½ + ½ cos of last-layer gradients.

    Each pick is the one of largest gain; of equal gains, a random one. The gain is the logarithm of
    a sample's variance, given the picks, in a Gaussian process of covariance S + r·I.
    `gain: smallest` picks the sample of smallest gain, as the code of DeepCore, where the sign of the
    variance is flipped. Raises
    UserError if a given similarity cannot be a covariance.
    """
    import torch

    from medcoreset.evidence.kernels import Rows, similarity

    order, evidence = shuffled(evidence, rng)
    kernel = similarity(evidence)
    variance = kernel.diagonal + regularization
    scale = float(variance.abs().max())
    # Row by row the Cholesky factor of the picks, extended to all samples: (picks, N).
    factor = variance.new_empty(count, len(kernel))
    taken = torch.zeros_like(variance, dtype=torch.bool)
    rows = Rows(kernel)
    picks: list[int] = []
    given = list(evidence.preselected)
    while len(picks) < count:
        done = len(picks)
        wanted = variance if gain == "largest" else torch.where(taken, variance, -variance)
        pick = int(given[done]) if done < len(given) else first_best(wanted, scale)
        # What is left of a variance is never below 0, but for rounding; NaN is no number at all.
        if not float(variance[pick]) >= -scale:
            raise UserError(
                f"log_det: {evidence.name}: similarity is to be a covariance, positive semi-definite"
            )
        row = rows.row(pick, wanted) - factor[:done, pick] @ factor[:done]
        # Of a pick that those before determine, rounding may leave nothing or less.
        row /= variance[pick].clamp_min(torch.finfo(row.dtype).eps * scale).sqrt()
        factor[done] = row
        variance -= row.square_()
        variance[pick] = -torch.inf
        taken[pick] = True
        picks.append(pick)
    return order[picks]
