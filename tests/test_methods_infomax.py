"""InfoMax, by its objective."""

from itertools import combinations

import numpy as np
import pytest
from scipy.sparse import csr_array

from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.methods import infomax
from medcoreset.methods.neighbors import cosine_graph
from medcoreset.selection.select import select

SIX = np.array([[0.0, 0], [1, 0], [0, 2], [3, 3], [1, 1], [4, 3]]) + 1
INFORMATION = np.array([1.0, 2, 3, 1, 0, 2])


def features_of(n: int, seed: int = 0, size: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, size)) + 0.7


def kernel_of(features: np.ndarray, k: int) -> np.ndarray:
    """Return K (n, n): cosines of neighbours, 0 elsewhere and on the diagonal."""
    joined, cosine = cosine_graph(Evidence({"features": features}), k)
    kernel = np.zeros((len(features), len(features)))
    kernel[joined.rows, joined.columns] = cosine
    return kernel


def objective(information: np.ndarray, kernel: np.ndarray, picks, alpha: float) -> float:
    picks = list(picks)
    return information[picks].sum() - alpha * kernel[np.ix_(picks, picks)].sum()


def test_the_objective_on_six_samples():
    assert objective(INFORMATION, kernel_of(SIX, 5), [0, 3, 5], 0.3) == pytest.approx(2.207340)


def test_a_step_never_lowers_the_objective():
    kernel = csr_array(0.8 * kernel_of(features_of(40), 5))
    gain = np.random.default_rng(0).random(40)
    values = []
    for iterations in range(1, 40):
        x = infomax.relaxed(gain, kernel, 10, np.array([4]), iterations)
        assert x.sum() == pytest.approx(10)
        assert x[4] == 1
        assert 0 <= x.min() <= x.max() <= 1
        values.append(gain @ x - x @ (kernel @ x))
    assert (np.diff(values) > -1e-12).all()
    assert values[-1] > values[0]


def test_the_nearest_shares():
    rng = np.random.default_rng(0)
    values = rng.normal(size=12)
    found = infomax.projected(values, 4, np.array([7]))
    assert found.sum() == pytest.approx(4)
    for _ in range(200):
        other = rng.dirichlet(np.ones(12)) * 4
        other[7] = 1
        if other.max() <= 1 and (left := np.delete(other, 7)).sum() > 0:
            other[np.arange(12) != 7] = left * 3 / left.sum()
            if other.max() <= 1:
                assert ((other - values) ** 2).sum() >= ((found - values) ** 2).sum()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 2.0])
def test_infomax_is_near_the_best_of_all(alpha):
    best_ones = 0
    for seed in range(20):
        features = features_of(11, seed, 3)
        arrays = {"features": features, "error_norm": np.random.default_rng(seed).random((10, 11))}
        options = {"alpha": alpha, "neighbors": 3}
        found = select(
            methods.get("infomax"), Evidence(arrays), 4, balance="global", options=options
        )
        assert (found.scores.min(), found.scores.max()) == (0, 1)
        kernel = kernel_of(features, 3)
        every = [objective(found.scores, kernel, s, alpha) for s in combinations(range(11), 4)]
        reached = objective(found.scores, kernel, found.indices, alpha)
        assert np.mean(np.array(every) > reached + 1e-9) < 0.1
        best_ones += reached > max(every) - 1e-9
    assert best_ones >= (20 if alpha == 0 else 18)


def test_of_copies_one_is_taken():
    features = np.concatenate([np.eye(6), np.eye(6)])
    errors = np.tile(np.linspace(0.5, 1, 6), (10, 2))
    arrays = {"features": features, "error_norm": errors}
    options = {"alpha": 1.0, "neighbors": 1}
    found = select(methods.get("infomax"), Evidence(arrays), 6, balance="global", options=options)
    assert set(found.indices % 6) == set(range(6))
