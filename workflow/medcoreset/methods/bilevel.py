from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import first_best, shuffled
from medcoreset.methods.registry import selecting
from medcoreset.options import Range

if TYPE_CHECKING:
    from torch import Tensor


@selecting(
    "bilevel",
    label="Bilevel",
    needs=("features", "labels"),
    reference="Borsos et al., NeurIPS 2020 (greedy forward selection with a kernel for proxy)",
    cost="O(N·M·(D + M)·C), with kernel=rbf O(N²·(D + M·C)): for budgets of hundreds",
    departs="the authors' code optimises the weights of the picks besides (Adam, 40 steps of 0.01 from 1), "
    "looks at 200 random candidates for each pick, begins with random ones, and solves inner problem and "
    "hyper-gradient iteratively",
)
def bilevel(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    kernel: Annotated[Literal["linear", "rbf"], "k of the proxy, on features"] = "linear",
    gamma: Annotated[
        float | None, Range(1e-12), "of rbf, exp(−γ‖h − h'‖²); none: 1 / mean squared distance"
    ] = None,
    regularization: Annotated[float, Range(1e-9), "λ of the inner problem"] = 1e-2,
) -> np.ndarray:
    """Pick the sample whose weight lowers the loss on all samples fastest, for a model trained on the picks.

    Inner problem: f minimises Σ_j w_j ‖f(h_j) − y_j‖² + λ‖f‖², kernel ridge regression on one-hot labels y,
    with w = 1 for picks and 0 for others; outer loss: Σ_i ‖f(h_i) − y_i‖² over all samples among which is
    picked. By implicit differentiation its derivative with respect to the weight of a sample that is not
    picked is −2/λ r_jᵀ Σ_i P_ji r_i, where r = f − y and P = K − K_·S (K_SS + λ)⁻¹ K_S·. The sample where it
    is the least is picked; of equal ones, a random one. Features are taken in units of their root mean
    square norm, and the linear kernel is 1 + ⟨h, h'⟩. Picked class by class, a proxy sees one class alone
    and learns a constant: one budget for all is what the method is for.

    Raises UserError if the matrix K of rbf does not fit into memory.
    """
    import torch

    from medcoreset.evidence.gradients import one_hot

    order, evidence = shuffled(evidence, rng)
    times = _linear(evidence) if kernel == "linear" else _rbf(evidence, gamma)
    targets = one_hot(evidence.tensor("labels"), evidence.classes, torch.float64)
    residual = -targets
    factor = targets.new_zeros(count, len(targets))
    variance = times.diagonal.clone()
    picks: list[int] = []
    given = list(evidence.preselected)
    while len(picks) < count:
        done = len(picks)
        known = factor[:done]
        if done < len(given):
            pick = int(given[done])
        else:
            smoothed = times.product(residual) - known.T @ (known @ residual)
            gains = (residual * smoothed).sum(dim=1)
            scale = float(gains.abs().max())
            gains[picks] = -np.inf
            pick = first_best(gains, scale)
        # The next sample's label, of variance λ, tells of all others through their covariance with it.
        covariance = times.row(pick) - known[:, pick] @ known
        noise = float(variance[pick].clamp_min(0)) + regularization
        residual = residual - (covariance / noise)[:, None] * residual[pick]
        factor[done] = covariance / noise**0.5
        variance -= factor[done].square()
        picks.append(pick)
    return order[picks]


class _Kernel:
    """A kernel matrix K (N, N): its `diagonal` (N,), a `row` (N,) and a `product` with (N, C)."""

    def __init__(
        self,
        diagonal: "Tensor",
        row: Callable[[int], "Tensor"],
        product: Callable[["Tensor"], "Tensor"],
    ) -> None:
        self.diagonal, self.row, self.product = diagonal, row, product


def _linear(evidence: Evidence) -> _Kernel:
    from medcoreset.evidence.gradients import with_bias

    inputs = with_bias(_scaled(evidence))
    return _Kernel(
        inputs.square().sum(dim=1),
        lambda sample: inputs @ inputs[sample],
        lambda values: inputs @ (inputs.T @ values),
    )


def _rbf(evidence: Evidence, gamma: float | None) -> _Kernel:
    from medcoreset.memory import fits

    features = _scaled(evidence)
    size = 8 * len(features) ** 2
    if not fits(2 * size, features.device):
        raise UserError(
            f"bilevel: kernel=rbf of {len(features):,} samples takes {2 * size / 1e9:.0f} GB, which are not "
            "free; take kernel=linear, or fewer samples"
        )
    if gamma is None:
        # E‖h − h'‖² is twice the total variance.
        spread = 2 * float((features - features.mean(dim=0)).square().sum(dim=1).mean())
        gamma = 1 / spread if spread > 0 else 1.0
    squares = features.square().sum(dim=1)
    whole = (squares[:, None] + squares).addmm_(features, features.T, alpha=-2)
    whole = whole.clamp_min_(0).mul_(-gamma).exp_()
    whole.fill_diagonal_(1)
    return _Kernel(whole.diagonal(), lambda sample: whole[sample], lambda values: whole @ values)


def _scaled(evidence: Evidence) -> "Tensor":
    """Return the features (N, D) in units of their root mean square norm."""
    features = evidence.tensor("features")
    largest = features.abs().max()
    features /= largest.where(largest > 0, 1.0)  # so that squares are finite
    norm = features.square().sum(dim=1).mean().sqrt()
    return features / norm.where(norm > 0, 1.0)
