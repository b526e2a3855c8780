"""ZCore, by its definition."""

import numpy as np
import pytest
from scipy.stats import kstest, triang

from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.methods import zcore
from medcoreset.seeding import generator
from medcoreset.selection.select import score


def features_of(n: int, seed: int = 0, size: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, size)) + 0.7


@pytest.mark.parametrize("k", [1, 7, 1000])
def test_zcore_by_its_definition(k):
    features = features_of(30)
    rng = generator(0, "selection")
    pairs = zcore.some_pairs(4, 90, rng)
    points = zcore.some_points(np.ascontiguousarray(features.T), pairs, rng)
    expected = np.zeros(30)
    for pair, point in zip(pairs, points, strict=True):
        place = features[:, pair]
        nearest = np.abs(place - point).sum(axis=1).argmin()
        apart = np.abs(place - place[nearest]).sum(axis=1)
        others = [i for i in np.argsort(apart) if i != nearest][:k]
        expected[nearest] += 1
        expected[others] -= apart[others] ** -4.0 / (apart[others] ** -4.0).sum()
    evidence = Evidence({"features": features})
    found = score(methods.get("zcore"), evidence, {"draws": 3, "neighbors": k})
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert abs(found.sum()) < 1e-9


def test_points_are_triangular_between_the_ends():
    columns = np.stack([np.array([0.0, 1, 5, 6, 10]), np.full(5, 2.0)])
    pairs = np.tile([0, 1], (4000, 1))
    points = zcore.some_points(columns, pairs, np.random.default_rng(0))
    assert kstest(points[:, 0], triang(0.5, 0, 10).cdf).pvalue > 0.01
    assert (points[:, 1] == 2).all()
    pairs = zcore.some_pairs(5, 1000, np.random.default_rng(0))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert set(pairs.ravel()) == set(range(5))


def test_copies_neither_gain_nor_lose():
    features = np.concatenate([features_of(20), np.repeat(features_of(1, seed=5), 3, axis=0)])
    copies = score(methods.get("zcore"), Evidence({"features": features}), {"draws": 50})[20:]
    alone = score(methods.get("zcore"), Evidence({"features": features[:21]}), {"draws": 50})[20]
    # What they gain, they lose to each other; near others, they lose as one alone.
    assert np.ptp(copies) == 0
    assert copies[0] < alone
