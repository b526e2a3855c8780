"""k-center greedy and contextual diversity, and the traversal that both are."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.methods import dissimilarity, traversal
from medcoreset.methods.dissimilarity import Dissimilarity, squared_euclidean, symmetric_kl
from medcoreset.methods.traversal import farthest_first
from tests import oracles
from tests.method_cases import arrays_of, choose, evidence_of, ranks


def exhaustive(distances: np.ndarray, start: list[int], count: int) -> list[int]:
    """Return the traversal by its definition, from all distances (n, n)."""
    picks = list(start)
    while len(picks) < count:
        nearest = distances[:, picks].min(axis=1)
        nearest[picks] = -1
        picks.append(int(nearest.argmax()))
    return picks


def of_matrix(distances: np.ndarray) -> Dissimilarity:
    """Return any distances as they are, in exact arithmetic if they are small integers."""
    left = torch.tensor(-distances)
    return Dissimilarity(left.new_zeros(len(left)), left, torch.eye(len(left), dtype=left.dtype))


@pytest.fixture(scope="module")
def oracle() -> dict[str, np.ndarray]:
    return oracles.load("kcenter")


@pytest.fixture(params=[3, 17, 512])
def pool(request, monkeypatch) -> int:
    """Pools that are emptied by few picks, and one that holds all samples of a test."""
    monkeypatch.setattr(traversal, "POOL", request.param)
    return request.param


def test_kcenter_agrees_with_the_oracle(oracle, pool):
    evidence = Evidence({"features": oracle["X"]})
    options = {"first": str(oracle["first"])}
    found = choose("kcenter_greedy", evidence, 30, balance="global", options=options).indices
    assert list(found) == list(oracle["order"])
    distances = np.linalg.norm(oracle["X"][:, None] - oracle["X"][found], axis=2)
    assert distances.min(axis=1).max() == pytest.approx(float(oracle["radius30"]), rel=1e-5)


def test_kcenter_from_preselected_agrees_with_the_oracle(oracle, pool):
    evidence = Evidence({"features": oracle["X"], "preselected": oracle["pre"]})
    found = choose("kcenter_greedy", evidence, 23, balance="global").indices
    assert list(found[:3]) == list(oracle["pre"])
    assert set(found) == set(oracle["pre_plus20"])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_traversal_is_the_exhaustive_one_even_among_ties(data):
    n = data.draw(st.integers(1, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    distances = rng.integers(0, data.draw(st.integers(1, 40)), (n, n)).astype(float)
    distances = np.minimum(distances, distances.T) * (1 - np.eye(n))
    count = data.draw(st.integers(1, n))
    start = data.draw(st.permutations(range(n)))[: data.draw(st.integers(1, count))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traversal, "POOL", data.draw(st.integers(1, n)))
        patch.setattr(dissimilarity, "BLOCK", data.draw(st.integers(1, n * n)))
        found = farthest_first(of_matrix(distances), list(start), count)
    assert list(found) == exhaustive(distances, list(start), count)


def test_euclidean_by_brute_force(pool):
    features = arrays_of(120, size=8)["features"].astype(np.float32) + 1000
    exact = features.astype(np.float64)
    squares = ((exact[:, None] - exact) ** 2).sum(axis=2)
    between = squared_euclidean(Evidence({"features": features}))
    np.testing.assert_allclose(between.to(), squares, atol=1e-9)
    found = farthest_first(between, [7], 120)
    assert list(found) == exhaustive(squares, [7], 120)


def test_symmetric_kl_by_brute_force(pool):
    p = evidence_of(120)["final_probs"]
    ratio = np.log(p[:, None] / p)
    kl = (p[:, None] * ratio).sum(axis=2)
    evidence = Evidence({"final_probs": p})
    np.testing.assert_allclose(symmetric_kl(evidence).to(), (kl + kl.T) / 2, atol=1e-12)
    found = choose(
        "contextual_diversity", evidence, 60, balance="global", options={"first": 7}
    ).indices
    assert list(found) == exhaustive((kl + kl.T) / 2, [7], 60)


def test_symmetric_kl_of_probabilities_that_are_zero():
    corners = Evidence({"final_probs": np.repeat(np.eye(3), 2, axis=0)})
    distances = symmetric_kl(corners).to()
    assert distances.isfinite().all()
    assert distances.diagonal().abs().max() < 1e-12
    chosen = choose("contextual_diversity", corners, 3, balance="global").indices
    assert len(set(chosen // 2)) == 3  # one of each, no copy


def test_the_cover_radius_is_at_most_twice_the_best():
    features = np.concatenate(
        [np.random.default_rng(0).normal(c, 0.1, (20, 2)) for c in (0, 9, 50)]
    )
    chosen = choose("kcenter_greedy", Evidence({"features": features}), 3, balance="global").indices
    assert set(chosen // 20) == {0, 1, 2}


@pytest.mark.parametrize("seed", range(8))
def test_rounding_errors_decide_no_tie(seed, pool):
    ranked, rng = ranks(seed, 200), np.random.default_rng(seed)
    features = rng.integers(0, 4, (200, 3))
    squares = ((features[:, None] - features) ** 2).sum(axis=2)[np.ix_(ranked, ranked)]
    found = choose(
        "kcenter_greedy", Evidence({"features": features + 0.1}), 60, balance="global", seed=seed
    ).indices
    assert list(found) == list(ranked[exhaustive(squares, [0], 60)])

    few = statistics.softmax(rng.normal(size=(9, 4)))
    each = rng.integers(0, 9, 200)
    ratio = np.log(few[:, None] / few)
    kl = (few[:, None] * ratio).sum(axis=2)
    between = (kl + kl.T)[np.ix_(each[ranked], each[ranked])]
    found = choose(
        "contextual_diversity", Evidence({"final_probs": few[each]}), 60, balance="global",
        seed=seed,
    ).indices  # fmt: skip
    assert list(found) == list(ranked[exhaustive(between, [0], 60)])


def test_copies_come_last():
    arrays = arrays_of(40, copies=2)
    chosen = choose("kcenter_greedy", Evidence(arrays), 20, balance="global").indices
    assert len(np.unique(arrays["features"][chosen], axis=0)) == 20


@pytest.mark.parametrize("name", ["kcenter_greedy", "contextual_diversity"])
def test_first_is_a_sample_of_the_whole_set(name):
    evidence = evidence_of(60)
    labels = evidence["labels"]
    first = int(np.flatnonzero(labels == 1)[4])
    found = choose(name, evidence, 30, options={"first": first}).indices
    assert found[labels[found] == 1][0] == first
    assert list(choose(name, evidence, 1, balance="global", options={"first": first}).indices) == [
        first
    ]
    with pytest.raises(UserError, match="no sample 60, they are 0 to 59"):
        choose(name, evidence, 5, options={"first": 60})


def test_first_comes_after_what_is_preselected_once():
    arrays = arrays_of(40) | {"preselected": np.array([5, 9])}
    how = {"balance": "global"}
    for first, expected in ((9, [5, 9]), (2, [5, 9, 2])):
        found = choose("kcenter_greedy", Evidence(arrays), 6, options={"first": first}, **how)
        assert list(found.indices[: len(expected)]) == expected


def test_the_first_sample_is_the_seeds():
    evidence = evidence_of(60)
    firsts = {
        int(choose("kcenter_greedy", evidence, 1, balance="global", seed=seed).indices[0])
        for seed in range(8)
    }
    assert len(firsts) > 3
