"""Methods that look at features alone, or at features and a ranking, by their definitions."""

import numpy as np
import pytest

from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.methods import d2, dissimilarity, graph_coverage
from medcoreset.methods.moderate import moderate
from medcoreset.methods.neighbors import graph
from medcoreset.methods.ssp import unit
from medcoreset.selection.select import score, select
from tests.method_cases import ranks

X = np.array([[0.0, 0], [1, 0], [0, 2], [3, 3], [1, 1], [4, 3]])
CLASSES = np.array([0, 0, 0, 1, 1, 1])


def features_of(n: int, seed: int = 0, size: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    return {"labels": labels, "features": rng.normal(size=(n, size)) + 2 * labels[:, None]}


# --- the graph of neighbours


@pytest.mark.parametrize("block", [1, 100, 2**22])
@pytest.mark.parametrize("k", [1, 5, 100])
def test_the_graph_by_brute_force(k, block, monkeypatch):
    monkeypatch.setattr(dissimilarity, "BLOCK", block)
    features = features_of(40)["features"]
    distances = np.linalg.norm(features[:, None] - features, axis=2)
    joined = np.zeros((40, 40), dtype=bool)
    for i in range(40):
        joined[i, [j for j in np.argsort(distances[i]) if j != i][:k]] = True
    joined |= joined.T
    found = graph(Evidence({"features": features}), k)
    np.testing.assert_array_equal(np.stack([found.rows, found.columns]), np.nonzero(joined))
    np.testing.assert_allclose(found.lengths, distances[joined], rtol=1e-12)
    for i in range(40):
        others, lengths = found.of(i)
        np.testing.assert_array_equal(others, np.flatnonzero(joined[i]))
        np.testing.assert_allclose(lengths, distances[i, others])


def test_copies_are_no_distance_apart():
    features = np.repeat(features_of(5)["features"] + 1e3, 4, axis=0)
    assert graph(Evidence({"features": features}), 3).lengths.max() == 0
    assert len(graph(Evidence({"features": features[:1]}), 3).rows) == 0


# --- Moderate


def test_distance_to_the_median_of_the_class():
    evidence = Evidence({"labels": CLASSES, "features": X})
    found = score(methods.get("moderate"), evidence)
    np.testing.assert_allclose(found, [0, 1, 2, 0, 2.828427, 1], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_two_readings_of_moderate(seed):
    distances = np.array([0, 1, 2, 0, 2.828427, 1])
    band = moderate(distances, 2, np.random.default_rng(seed))
    assert set(band) == {1, 5}
    nearest = moderate(distances, 3, np.random.default_rng(seed), reading="median")
    assert set(nearest) > {1, 5}
    assert set(moderate(distances, 4, np.random.default_rng(seed))) > {1, 2, 5}


def test_the_readings_differ_where_distances_are_skewed():
    distances = np.concatenate([np.linspace(0, 1, 60), np.linspace(2, 50, 40)])
    ranked = np.random.default_rng(0).permutation(100)
    rng = np.random.default_rng(0)
    band = np.sort(moderate(distances[ranked], 40, rng))
    near = np.sort(moderate(distances[ranked], 40, rng, reading="median"))
    assert np.sort(ranked[band]).tolist() == list(range(30, 70))
    gap = np.abs(distances - np.median(distances))
    assert set(ranked[near]) == set(np.argsort(gap)[:40])


# --- SSP


def test_prototypes_of_groups_that_are_far_apart():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 30)
    features = rng.normal(size=(90, 5)) * 0.1 + np.eye(5)[labels] * 4
    features[7] = [1, 0, 0, 0, 1]
    found = score(methods.get("ssp"), Evidence({"labels": labels, "features": features}))
    centroids = np.stack([features[labels == k].mean(axis=0) for k in range(3)])
    expected = 1 - (unit(features) @ unit(centroids).T).max(axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found.argmax() == 7


def test_more_prototypes_than_different_samples():
    features = np.repeat(np.eye(3), 4, axis=0)
    evidence = Evidence({"labels": np.zeros(12, int), "features": features})
    found = methods.get("ssp").score(evidence, clusters=8)
    np.testing.assert_allclose(found, 0, atol=1e-12)


# --- D2


def test_d2_on_six_samples():
    joined = graph(Evidence({"features": X}), 2)
    importance = np.array([1.0, 2, 3, 1, 0, 2])
    density = importance + d2.received(joined, importance)
    expected = [2.141765, 2.367879, 3.135335, 1.735759, 1.821676, 2.367879]
    np.testing.assert_allclose(density, expected, atol=1e-6)
    assert d2.picks(joined, density, 3, np.array([], int), 0.5).tolist() == [2, 1, 5]


def by_definition(features, importance, k, gamma, count):
    """Return the picks of D2 from all distances."""
    distances = np.linalg.norm(features[:, None] - features, axis=2)
    joined = np.zeros(distances.shape, dtype=bool)
    for i in range(len(features)):
        joined[i, [j for j in np.argsort(distances[i]) if j != i][:k]] = True
    joined |= joined.T
    x = importance + (joined * np.exp(-distances) * importance).sum(axis=1)
    found = []
    for _ in range(count):
        left = [i for i in range(len(x)) if i not in found]
        best = max(left, key=lambda i: x[i])
        found.append(best)
        for j in np.flatnonzero(joined[best]):
            x[j] -= np.exp(-gamma * distances[best, j]) * x[best]
    return found


@pytest.mark.parametrize("gamma", [0.0, 0.1, 2.0])
def test_d2_by_its_definition(gamma):
    arrays = features_of(50)
    epochs = np.random.default_rng(1).random((10, 50))
    evidence = Evidence(arrays | {"error_norm": epochs})
    options = {"of": "el2n", "gamma": gamma, "neighbors": 4}
    found = select(methods.get("d2"), evidence, 30, balance="global", options=options)
    expected = by_definition(arrays["features"], epochs.mean(axis=0), 4, gamma, 30)
    assert found.indices.tolist() == expected
    np.testing.assert_allclose(found.scores, epochs.mean(axis=0))


def test_d2_of_a_ranking_that_keeps_the_lowest():
    margin = np.random.default_rng(1).uniform(-1, 1, (10, 50))
    arrays = features_of(50)
    evidence = Evidence(arrays | {"margin": margin})
    options = {"of": "aum", "neighbors": 4}
    found = select(methods.get("d2"), evidence, 30, balance="global", options=options)
    below = margin.mean(axis=0).max() - margin.mean(axis=0)
    np.testing.assert_allclose(found.scores, below)
    assert found.indices.tolist() == by_definition(arrays["features"], below, 4, 0.1, 30)


def test_d2_runs_within_each_class():
    arrays = features_of(60)
    epochs = np.random.default_rng(1).random((10, 60))
    evidence = Evidence(arrays | {"error_norm": epochs})
    found = select(methods.get("d2"), evidence, 24, options={"of": "el2n"}).indices
    for label in range(3):
        members = np.flatnonzero(arrays["labels"] == label)
        ours = found[arrays["labels"][found] == label]
        part = by_definition(
            arrays["features"][members], epochs.mean(axis=0)[members], 5, 0.1, len(ours)
        )
        assert ours.tolist() == members[part].tolist()


def test_d2_drops_the_lowest_aum_before():
    arrays = features_of(40)
    rng = np.random.default_rng(1)
    margin, epochs = rng.uniform(-1, 1, (10, 40)), rng.random((10, 40))
    hardest = np.argsort(margin.mean(axis=0))
    given = hardest[2:3]  # which is kept nevertheless
    evidence = Evidence(arrays | {"margin": margin, "error_norm": epochs, "preselected": given})
    options = {"of": "el2n", "beta": 0.25}
    found = select(methods.get("d2"), evidence, 25, balance="global", options=options).indices
    assert found[0] == given[0]
    assert not set(found[1:]) & set(hardest[:11])
    kept = np.sort([*hardest[11:], *given])
    joined = graph(Evidence({"features": arrays["features"][kept]}), 5)
    x = epochs.mean(axis=0)[kept]
    start = np.searchsorted(kept, given)
    expected = d2.picks(joined, x + d2.received(joined, x), 25, start, 0.1)
    assert found.tolist() == kept[expected].tolist()


# --- graph coverage


def kernel_of(features: np.ndarray, k: int) -> np.ndarray:
    """Return K = S + S² (n, n) by its definition."""
    length = unit(features)
    cosine = length @ length.T
    joined = np.zeros(cosine.shape, dtype=bool)
    for i in range(len(features)):
        joined[i, [j for j in np.argsort(-cosine[i]) if j != i][:k]] = True
    adjacency = np.where(joined | joined.T, np.clip(cosine, 0, 1), 0)
    degrees = adjacency.sum(axis=1)
    step = adjacency / np.sqrt(np.outer(degrees, degrees))
    return step + step @ step


@pytest.mark.parametrize("start", [[], [4, 9]])
@pytest.mark.parametrize("k", [2, 10])
def test_graph_coverage_by_exhaustive_greedy(k, start):
    features = features_of(60, size=8)["features"]
    kernel = kernel_of(features, k)
    evidence = Evidence({"features": features, "preselected": np.array(start, dtype=int)})
    np.testing.assert_allclose(graph_coverage.kernel(evidence, k).toarray(), kernel, atol=1e-12)
    picks, ranked = list(start), ranks(0, 60).tolist()
    while len(picks) < 25:
        covered = kernel[:, picks].max(axis=1, initial=0)
        rest = [j for j in ranked if j not in picks]
        gains = np.array([np.maximum(kernel[:, j] - covered, 0).sum() for j in rest])
        picks.append(rest[int(np.argmax(gains > gains.max() - 1e-10))])
    how = {"balance": "global", "options": {"neighbors": k}}
    assert select(methods.get("graph_coverage"), evidence, 25, **how).indices.tolist() == picks
