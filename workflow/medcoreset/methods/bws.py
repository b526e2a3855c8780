from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods import difficulty
from medcoreset.methods.registry import selecting
from medcoreset.options import Range

if TYPE_CHECKING:
    from torch import Tensor


@selecting(
    "bws",
    label="BWS",
    scores_of=difficulty.scores,
    needs=("features", "labels"),
    reference="Choi et al., ICML 2024",
    cost="O((M·D² + N·D·C)/step)",
    balance="class",
    # Forgetting events are few: most of what a window ends in is equally difficult.
    drawn=True,
    together=True,
    departs="no public code was found; step, λ, the bias and the order of equal windows are not the paper's",
)
def bws(
    evidence: Evidence,
    scores: np.ndarray,
    count: int | np.ndarray,
    rng: np.random.Generator,
    *,
    of: difficulty.Ranking = "forgetting",
    step: Annotated[
        float, Range(0.001, 1), "share of the samples from a window to the next"
    ] = 0.05,
    lam: Annotated[float, Range(1e-9), "ridge λ"] = 1.0,
) -> np.ndarray:
    """Keep the window of a ranking from which ridge regression recognises the most training samples.

    Samples are ordered by the ranking `of`, the most difficult first; a window is M that follow each other,
    from 0, `step`, 2·`step` … of the way on. Each is rated by kernel ridge regression, with a linear
    kernel, from its features (and a bias) to its classes, one-hot: by how many of all training samples the
    result recognises. Of equal windows, the first is kept. Class-balanced, a window is of every class, with its
    budget and as far on. Preselected samples are in every window.
    """

    from medcoreset.evidence.gradients import with_bias

    inputs = with_bias(evidence.tensor("features"))
    labels = evidence.tensor("labels").long()
    hard = difficulty.difficulty(scores, of)
    found, best = np.empty(0, dtype=np.int64), -1
    for window in windows(evidence, hard, count, rng, step):
        right = int((fitted(inputs, labels, window, lam).argmax(dim=1) == labels).sum())
        if right > best:
            found, best = window, right
    return found


def windows(
    evidence: Evidence,
    hard: np.ndarray,
    count: int | np.ndarray,
    rng: np.random.Generator,
    step: float,
) -> list[np.ndarray]:
    """Return the windows, preselected samples first, then the most difficult of each, int64 (M,).

    `count` is M, or that of each class (C,). Equally difficult samples are in an order drawn from `rng`.
    """
    given = evidence.preselected
    order = rng.permutation(len(hard))
    order = order[np.argsort(-hard[order], kind="stable")]
    groups = evidence["labels"] if np.ndim(count) else np.zeros(len(hard), dtype=np.int64)
    taken = np.bincount(groups[given], minlength=np.size(count))
    left = np.atleast_1d(count) - taken
    open_ = order[~np.isin(order, given)]
    rest = [open_[groups[open_] == group] for group in range(len(left))]
    found: list[np.ndarray] = []
    for number in range(int(1 / Decimal(str(step))) + 1):
        share = number * Decimal(str(step))
        starts = [
            min(int(share * len(some)), len(some) - int(most))
            for some, most in zip(rest, left, strict=True)
        ]
        parts = [
            some[start : start + int(most)]
            for some, start, most in zip(rest, starts, left, strict=True)
        ]
        window = np.concatenate([given, *parts])
        if not found or not np.array_equal(window, found[-1]):
            found.append(window)
    return found


def fitted(inputs: "Tensor", labels: "Tensor", window: np.ndarray, lam: float) -> "Tensor":
    """Return what ridge regression on a window says of all samples, (N, C)."""
    import torch

    from medcoreset.evidence.gradients import one_hot

    own = inputs[window]
    targets = one_hot(labels[window], int(labels.max()) + 1, own.dtype)
    gram = own.T @ own
    gram.diagonal().add_(lam)
    weights, singular = torch.linalg.solve_ex(gram, own.T @ targets)
    if singular:  # λ is lost in the rounding of large features, so that it is as good as 0
        weights = torch.linalg.pinv(gram, hermitian=True) @ (own.T @ targets)
    return inputs @ weights
