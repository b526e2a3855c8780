"""The greedy bilevel coresets: hyper-gradients against finite differences, picks against exhaustive ones."""

import numpy as np
import pytest

from medcoreset.errors import UserError
from tests.method_cases import arrays_of, choose, evidence_of, ranks

LAMBDA = 0.05


def kernel_of(features: np.ndarray, kind: str, gamma: float | None = None) -> np.ndarray:
    h = features / np.sqrt((features**2).sum(axis=1).mean())
    if kind == "linear":
        return 1 + h @ h.T
    squared = ((h[:, None] - h) ** 2).sum(axis=2)
    return np.exp(-squared * (1 / squared.mean() if gamma is None else gamma))


def outer_loss(k: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Return Σ ‖f(x_i) − y_i‖² of the f that minimises Σ w_j ‖f(x_j) − y_j‖² + λ‖f‖²."""
    alpha = np.linalg.solve(weights[:, None] * k + LAMBDA * np.eye(len(k)), weights[:, None] * y)
    return float(((k @ alpha - y) ** 2).sum())


def derivative(k: np.ndarray, y: np.ndarray, weights: np.ndarray, j: int) -> float:
    """Return how the outer loss changes with the weight of sample j, by a difference."""
    step = 1e-5 * np.eye(len(k))[j]
    ahead, far = (outer_loss(k, y, weights + times * step) for times in (1, 2))
    return (4 * ahead - far - 3 * outer_loss(k, y, weights)) / 2e-5


@pytest.mark.parametrize("kind", ["linear", "rbf"])
def test_picks_lower_the_outer_loss_fastest(kind):
    arrays = arrays_of(24)
    k, y = kernel_of(arrays["features"], kind), np.eye(4)[arrays["labels"]]
    options = {"kernel": kind, "regularization": LAMBDA}
    found = choose("bilevel", evidence_of(24), 8, balance="global", options=options).indices
    weights = np.zeros(24)
    for pick in found:
        slopes = np.array([derivative(k, y, weights, j) for j in range(24)])
        slopes[weights > 0] = np.inf
        assert slopes[pick] < slopes.min() + 1e-4 * abs(slopes.min())
        weights[pick] = 1
    # And a model of them does better than one of as many at random.
    rng = np.random.default_rng(0)
    chance = [
        outer_loss(k, y, np.isin(np.arange(24), rng.permutation(24)[:8]).astype(float))
        for _ in range(20)
    ]
    assert outer_loss(k, y, weights) < np.mean(chance)


def test_a_given_width_of_the_kernel():
    arrays = arrays_of(24)
    k, y = kernel_of(arrays["features"], "rbf", 3.0), np.eye(4)[arrays["labels"]]
    options = {"kernel": "rbf", "gamma": 3.0, "regularization": LAMBDA}
    (first,) = choose("bilevel", evidence_of(24), 1, balance="global", options=options).indices
    slopes = [derivative(k, y, np.zeros(24), j) for j in range(24)]
    assert first == np.argmin(slopes)


def test_equal_samples_are_picked_in_the_order_of_the_seed():
    evidence = evidence_of(40, copies=2)
    for seed in range(3):
        (first,) = choose("bilevel", evidence, 1, balance="global", seed=seed).indices
        rank = np.argsort(ranks(seed, 40))
        assert rank[first] < rank[(first + 20) % 40]


def test_preselected_samples_are_trained_on():
    arrays = arrays_of(24)
    given = {"preselected": np.array([3, 5])}
    options = {"regularization": LAMBDA}
    evidence = type(evidence_of(24))(arrays | given)
    third = choose("bilevel", evidence, 3, balance="global", options=options).indices[2]
    k, y = kernel_of(arrays["features"], "linear"), np.eye(4)[arrays["labels"]]
    weights = np.isin(np.arange(24), [3, 5]).astype(float)
    slopes = [derivative(k, y, weights, j) if not weights[j] else np.inf for j in range(24)]
    assert third == np.argmin(slopes)


def test_a_matrix_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr("medcoreset.memory.free_bytes", lambda device: 1000)
    with pytest.raises(UserError, match=r"^bilevel: kernel=rbf of 24 samples takes .* GB"):
        choose("bilevel", evidence_of(24), 3, balance="global", options={"kernel": "rbf"})
