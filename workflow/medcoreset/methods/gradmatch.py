from typing import TYPE_CHECKING, Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.memory import fits
from medcoreset.methods.greedy import first_best, shuffled
from medcoreset.methods.registry import Picks, selecting
from medcoreset.options import Range

if TYPE_CHECKING:
    from torch import Tensor

    from medcoreset.evidence.gradients import Gradients

# Relative to its squared norm: what is left of a gradient that the picks determine.
DEPENDENT = 1e-12

UNMATCHED = 0.9
"""Share of the target's norm above which what the weighted picks leave of it counts as all of it."""
STATIC = (
    f"the weighted gradients leave more than {UNMATCHED:.0%} of the mean gradient, so that nothing was "
    "matched and the picks are those of largest inner product with it: lam outweighs the gradients, "
    "give a smaller one, or relative=true"
)


@selecting(
    "gradmatch",
    label="GradMatch",
    needs=("gradients",),
    reference="Killamsetty et al., ICML 2021, Algorithm 2",
    cost="O(N_c·(D + C + M_c)·M_c + M_c³) per class of N_c samples, M_c of them picked",
    balance="class",
    weighted=True,
    departs="code of DeepCore divides gradients by the batch size, so that λ outweighs them, calls a "
    "function that torch has removed, and returns fewer samples than asked for",
)
def gradmatch(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    lam: Annotated[float, Range(0)] = 1.0,
    relative: bool = False,
) -> Picks:
    """Match the mean of last-layer gradients by orthogonal matching pursuit with weights ≥ 0.

    Minimises ‖Σ w_j g_j − mean g‖² + λ‖w‖². How much the ridge λ shrinks the weights depends on the
    size of the gradients, and those of a converged network are small: with `relative: true`, λ is
    `lam` times the mean of ‖g‖² (of the class, when class-balanced), the mean diagonal of the Gram
    matrix. Where the weights leave more than `UNMATCHED` of the mean gradient, the order of picking
    is nearly that of ⟨g_j, mean g⟩, whatever was picked before, and a warning says so. Samples of weight 0 are not selected, and random ones
    fill up to `count`; these, and preselected ones of weight 0, get the mean of the other weights.
    Class-balanced, a class's weights are multiplied by its share of the samples, so that the
    weighted sum of all picks is near the mean of all gradients.
    """
    from medcoreset.evidence.gradients import Gradients

    share = evidence.share
    order, evidence = shuffled(evidence, rng)
    gradients = Gradients.of(evidence)
    given = evidence.preselected
    target = gradients.sum() / len(gradients)
    ridge = lam * float(gradients.norms.square().mean()) if relative else lam
    matched, weights = matching_pursuit(gradients, target, count, ridge, given)
    left = target - gradients.sum(matched, target.new_tensor(weights))
    static = ridge > 0 and len(matched) > 1 and left.norm() > UNMATCHED * target.norm()
    weight = np.zeros(len(gradients))
    weight[matched] = weights
    picks = np.concatenate([given, matched[(weights > 0) & ~np.isin(matched, given)]])
    # The rest in the shuffled order is random.
    rest = np.setdiff1d(np.arange(len(gradients)), picks)
    picks = np.concatenate([picks, rest[: count - len(picks)]])
    positive = weight > 0
    weight[~positive] = weight[positive].mean() if positive.any() else 1.0
    return Picks(order[picks], share * weight[picks], STATIC if static else "")


def matching_pursuit(
    gradients: "Gradients", target: "Tensor", count: int, lam: float, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return picks int64 (k,), `start` first, and weights w ≥ 0 (k,) with Σ w_j g_j near `target`.

    Each pick has the largest inner product with the residual, signed, since weights are to be
    positive; then the weights of all picks are refitted: (AᵀA + λI)·w = Aᵀ·target, with the picks'
    gradients as columns of A. The first step is without the ridge λ; the last is the minimum of
    ‖A·w − target‖² + λ‖w‖² over w ≥ 0. A single pick has the weight 1. `target` is (C, 1 + D).
    Only with λ = 0, k is less than `count` if the gradients of others, or of some in `start`, depend
    linearly on those of the picks: they can add nothing.

    The inner products with the residual follow from those of all gradients with the picks', which are
    kept in memory if they fit and are no more than what a gradient written out has.
    """
    from medcoreset.evidence.kernels import Kernel, Rows

    fit = RidgeFit(count, lam)
    products, squares = gradients.dot(target), gradients.norms**2
    scale = float(products.abs().max())
    residual, closed = products.clone(), products.isinf()
    keeps = count <= gradients.size and fits(8 * count * len(gradients), target.device)
    kept = products.new_empty(count, len(gradients)) if keeps else None
    rows = Rows(Kernel(gradients.inner, squares))
    queue, room = list(start), count
    picks: list[int] = []
    while room and not closed.all():
        given = bool(queue)
        residual[closed] = -np.inf
        pick = int(queue.pop(0)) if given else first_best(residual, scale)
        closed[pick] = True
        if kept is None:
            between = gradients.inner([pick], picks)[0]
        else:
            row = rows.row(pick, residual)
            between = row[picks]
        added = fit.add(between.cpu().numpy(), float(squares[pick]), float(products[pick]))
        room -= given or added
        if not added:
            continue
        picks.append(pick)
        weights = target.new_tensor(fit.weights())
        if kept is None:
            residual = gradients.dot(target - gradients.sum(picks, weights))
        else:
            kept[len(picks) - 1] = row
            residual = products - weights @ kept[: len(picks)]
    return np.array(picks, dtype=np.int64), fit.nonnegative()


class RidgeFit:
    """Least squares with a ridge, on columns a_j that arrive one by one, from inner products only.

    Keeps the Cholesky factor R, RᵀR = AᵀA + λI, in packed columns, to which a column is appended,
    and z = R⁻ᵀ·Aᵀb.
    """

    def __init__(self, most: int, lam: float) -> None:
        self.lam = lam
        self.size = 0
        self._factor = np.empty(most * (most + 1) // 2)
        self._z = np.empty(most)
        self._first = 0.0

    def add(self, between: np.ndarray, square: float, product: float) -> bool:
        """Add a column a, by ⟨a_j, a⟩ of those there (k,), ‖a‖² and ⟨a, b⟩; False if it depends on them."""
        from scipy.linalg.blas import dtpsv

        size = self.size
        column = dtpsv(size, self._factor, between, trans=1) if size else between
        rest = square + self.lam - column @ column
        if rest <= DEPENDENT * (square + self.lam):
            return False
        if not size:
            self._first = product / square if square else 0.0
        pivot = np.sqrt(rest)
        end = (size + 1) * (size + 2) // 2
        self._factor[end - size - 1 : end - 1], self._factor[end - 1] = column, pivot
        self._z[size] = (product - column @ self._z[:size]) / pivot
        self.size += 1
        return True

    def weights(self) -> np.ndarray:
        """Return the w (k,) that minimise ‖A·w − b‖² + λ‖w‖²; without the ridge if k is 1."""
        from scipy.linalg.blas import dtpsv

        if self.size == 1:
            return np.array([self._first])
        return dtpsv(self.size, self._factor, self._z[: self.size])

    def nonnegative(self) -> np.ndarray:
        """Return the w ≥ 0 (k,) that minimise ‖A·w − b‖² + λ‖w‖²; 1 if k is 1."""
        from scipy.optimize import nnls

        size = self.size
        if size <= 1:
            return np.ones(size)
        if (weights := self.weights()).min() >= 0:
            return weights
        # ‖A·w − b‖² + λ‖w‖² is ‖R·w − z‖² and a constant.
        factor = np.zeros((size, size))
        factor[np.tril_indices(size)] = self._factor[: size * (size + 1) // 2]
        return nnls(factor.T, self._z[:size], maxiter=10 * size)[0]
