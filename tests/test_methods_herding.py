import numpy as np
import pytest

from medcoreset.evidence import Evidence
from tests.method_cases import arrays_of, choose, ranks


def exhaustive(
    features: np.ndarray, start: list[int], count: int, take: str = "nearest"
) -> list[int]:
    """Return herding's picks by its definition, or as the code of DeepCore has it."""
    picks, mean = list(start), features.mean(axis=0)
    while len(picks) < count:
        wanted = (len(picks) + 1) * mean - features[picks].sum(axis=0)
        distances = np.linalg.norm(wanted - features, axis=1)
        distances = distances if take == "nearest" else -distances
        distances[picks] = np.inf
        picks.append(int(distances.argmin()))
    return picks


@pytest.mark.parametrize("take", ["nearest", "farthest"])
@pytest.mark.parametrize("start", [[], [3, 11]])
def test_brute_force(start, take):
    features = arrays_of(70)["features"] + 100
    evidence = Evidence({"features": features, "preselected": np.array(start, dtype=int)})
    how = {"balance": "global", "options": {"take": take}}
    found = choose("herding", evidence, 70, **how).indices
    assert list(found[:50]) == exhaustive(features, start, 50, take)


@pytest.mark.parametrize("seed", range(8))
def test_rounding_errors_decide_no_tie(seed):
    ranked, features = ranks(seed, 100), np.random.default_rng(seed).integers(0, 3, (100, 3))
    picks: list[int] = []
    for _ in range(50):
        wanted = (len(picks) + 1) * features.sum(axis=0) - 100 * features[picks].sum(axis=0)
        squares = ((wanted - 100 * features[ranked]) ** 2).sum(axis=1)
        squares[np.isin(ranked, picks)] = np.iinfo(np.int64).max
        picks.append(int(ranked[squares.argmin()]))
    evidence = Evidence({"features": features + 0.1})
    assert list(choose("herding", evidence, 50, balance="global", seed=seed).indices) == picks


def test_each_class_is_herded_to_its_own_mean():
    arrays = arrays_of(90)
    found = choose("herding", Evidence(arrays), 40).indices
    for label in range(4):
        members = np.flatnonzero(arrays["labels"] == label)
        picks = found[arrays["labels"][found] == label]
        expected = exhaustive(arrays["features"][members], [], len(picks))
        assert list(picks) == list(members[expected])


def test_the_error_is_below_that_of_1000_random_subsets():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 16)) ** 3

    def error(chosen: np.ndarray) -> float:
        return np.linalg.norm(features[chosen].mean(axis=0) - features.mean(axis=0))

    for count in (5, 25, 100):
        found = choose("herding", Evidence({"features": features}), count, balance="global")
        random = [error(rng.choice(500, count, replace=False)) for _ in range(1000)]
        assert error(found.indices) < min(random)


def test_the_first_pick_is_the_nearest_to_the_mean():
    features = np.array([[0.0], [10], [11], [4], [5.5]])  # of mean 6.1
    found = choose("herding", Evidence({"features": features}), 1, balance="global")
    assert list(found.indices) == [4]
