"""Selections that are approximate where they are asked to be: within parts, or among a random few."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset.evidence import Evidence
from medcoreset.evidence.kernels import proximity, similarity
from medcoreset.methods import parts, stochastic
from medcoreset.methods.parts import cluster_sizes, cover_in_parts, divided
from medcoreset.seeding import generator
from tests.gradient_cases import arrays_of, choose, cosine_similarity, written_out
from tests.test_submodular import value

PARTS = {"facility_location": similarity, "craig": proximity}
WAYS = [
    ("facility_location", {"part_size": 7}),
    ("facility_location", {"part_size": 7, "precision": "single"}),
    ("craig", {"part_size": 7}),
    ("craig", {"part_size": 7, "precision": "single"}),
    ("graph_cut", {"epsilon": 0.2}),
    ("herding", {"epsilon": 0.2}),
]
WHOLE = {"balance": "global"}


def clustered(n: int, clusters: int = 12) -> dict[str, np.ndarray]:
    """Return gradients in clusters of unequal size and width."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, clusters + 1)
    cluster = rng.choice(clusters, n, p=share / share.sum())
    centres, width = rng.normal(size=(clusters, 6), scale=2), rng.gamma(1, 0.6, clusters)
    return {"gradients": centres[cluster] + rng.normal(size=(n, 6)) * width[cluster, None]}


def whole(kernel, evidence: Evidence) -> np.ndarray:
    return kernel(evidence).rows(slice(None)).cpu().numpy()


def within(s: np.ndarray, division: list[np.ndarray], apart: float) -> np.ndarray:
    """Return s (n, n) of samples of the same part, and `apart` of others."""
    of_part = np.empty(len(s), dtype=int)
    for number, part in enumerate(division):
        of_part[part] = number
    return np.where(of_part[:, None] == of_part, s, apart)


@pytest.mark.parametrize(("name", "options"), WAYS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_exactly_m_distinct_samples_preselected_first(name, options, data):
    n = data.draw(st.integers(1, 40))
    arrays = arrays_of(
        n,
        seed=data.draw(st.integers(0, 99)),
        classes=data.draw(st.integers(1, 3)),
        copies=data.draw(st.sampled_from([1, 2, n])),
    )
    if data.draw(st.booleans()):
        # Certain and right: gradients of zero.
        arrays["logits"] = 1e4 * np.eye(arrays["logits"].shape[1])[arrays["labels"]]
    count = data.draw(st.integers(1, n))
    first = data.draw(st.permutations(range(n)))[: data.draw(st.integers(0, count))]
    arrays["preselected"] = np.array(first, dtype=np.int64)
    balance = data.draw(st.sampled_from(["class", "global"]))
    how = {"balance": balance, "seed": data.draw(st.integers(0, 3)), "options": options}
    found = choose(name, arrays, count, **how)
    assert len(found.indices) == len(set(found.indices)) == count
    assert set(found.indices[: len(first)]) == set(first)
    if balance == "global":
        assert found.indices[: len(first)].tolist() == first
    np.testing.assert_array_equal(choose(name, arrays, count, **how).indices, found.indices)
    if name == "craig":
        represented = np.isin(arrays["labels"], arrays["labels"][found.indices])
        assert found.weights.sum() == (n if balance == "global" else represented.sum())
        assert (found.weights >= 1).all()


@pytest.mark.parametrize(("name", "options"), WAYS)
def test_seeds_differ_and_classes_have_their_shares(name, options):
    arrays = arrays_of(200)
    found = [choose(name, arrays, 60, seed=seed, options=options).indices for seed in (0, 1)]
    assert set(found[0]) != set(found[1])
    shares = np.bincount(arrays["labels"][found[0]])
    assert np.abs(shares - np.bincount(arrays["labels"]) * 60 / 200).max() < 1


# --- parts


@pytest.mark.parametrize("name", PARTS)
def test_as_many_samples_as_a_part_may_have_are_covered_exactly(name):
    arrays = arrays_of(60)
    exact = choose(name, arrays, 20, **WHOLE)
    found = choose(name, arrays, 20, **WHOLE, options={"part_size": 60})
    np.testing.assert_array_equal(found.indices, exact.indices)
    np.testing.assert_array_equal(found.weights, exact.weights)


@given(n=st.integers(1, 60), size=st.integers(2, 30), most=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_parts_are_no_larger_and_no_more_than_they_may_be(n, size, most):
    division = divided(Evidence(arrays_of(n)), similarity, size, most)
    assert sorted(np.concatenate(division)) == list(range(n))
    assert len(division) == min(-(-n // size), most)
    sizes = [len(part) for part in division]
    assert max(sizes) - min(sizes) <= 1 or max(sizes) <= size
    assert max(sizes) <= -(-n // len(division))


def test_parts_are_of_similar_samples(monkeypatch):
    # Blocks and anchors of less than a part show nothing else.
    monkeypatch.setattr(parts, "BLOCK", 7)
    monkeypatch.setattr(parts, "ANCHORS", 20)
    rng = np.random.default_rng(0)
    corner = rng.permutation(np.arange(80) % 4)
    places = 10 * np.array([[0, 0], [0, 1], [2, 0], [2, 1]])[corner]
    gradients = places + rng.normal(size=(80, 2))
    division = divided(Evidence({"gradients": gradients}), proximity, 20, 80)
    assert [len(set(corner[part])) for part in division] == [1, 1, 1, 1]


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("name", PARTS)
def test_picks_are_the_greedy_ones_for_covers_within_parts(name, precision):
    # Norms that differ between parts, as units of float32 do.
    arrays = clustered(80)
    evidence = Evidence(arrays)

    def kernel(part: Evidence):
        return PARTS[name](part, precision)

    found, division = cover_in_parts(evidence, kernel, 30, 12)
    number = len(division)
    s = within(whole(PARTS[name], evidence), division, apart=-1e4)
    assert all(np.isin(part, found[:number]).sum() == 1 for part in division)
    for done in range(number, 30):
        picks = found[:done].tolist()
        reached = value("facility_location", s, [*picks, found[done]])
        best = max(value("facility_location", s, [*picks, j]) for j in range(80))
        assert reached == pytest.approx(best, abs=1e-4 if precision == "single" else 1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(2, 6), size=st.integers(4, 6))
def test_the_bound_of_covers_within_parts(seed, count, size):
    evidence = Evidence(arrays_of(11, seed=seed))
    s = whole(similarity, evidence)
    found, division = cover_in_parts(evidence, similarity, count, size)
    inner = within(s, division, apart=0)
    sets = map(list, combinations(range(11), count))
    most = max(value("facility_location", inner, some) for some in sets)
    reached = value("facility_location", inner, found.tolist())
    assert reached >= (1 - np.exp(-(count - len(division)) / count)) * most - 1e-9
    assert value("facility_location", s, found.tolist()) >= reached - 1e-9


@pytest.mark.parametrize("rate", [0.05, 0.2])
@pytest.mark.parametrize("name", PARTS)
def test_parts_reach_most_of_what_exact_covers_do(name, rate):
    arrays, count = clustered(1000), int(1000 * rate)
    s = whole(PARTS[name], Evidence(arrays))

    def reached(picks: np.ndarray) -> float:
        return value("facility_location", s, picks.tolist())

    exact = reached(choose(name, arrays, count, **WHOLE).indices)
    found = reached(choose(name, arrays, count, **WHOLE, options={"part_size": 200}).indices)
    rng = np.random.default_rng(0)
    chance = np.mean([reached(rng.choice(1000, count, replace=False)) for _ in range(10)])
    assert found - chance > 0.8 * (exact - chance)


@pytest.mark.parametrize("given", [[], [40, 3, 8]])
def test_weights_are_the_sizes_of_clusters_within_parts(given):
    arrays = clustered(80) | {"preselected": np.array(given, dtype=np.int64)}
    evidence = Evidence(arrays)
    picks, division = cover_in_parts(evidence, proximity, 20, 15)
    assert picks[: len(given)].tolist() == given
    nearest = within(whole(proximity, evidence), division, apart=-1e4)[:, picks].argmax(axis=1)
    expected = np.bincount(nearest, minlength=20)
    found = cluster_sizes(evidence, proximity, picks, division)
    np.testing.assert_array_equal(found, expected)


def test_a_similarity_that_is_given_is_covered_in_the_same_parts():
    arrays = clustered(90)
    how = {**WHOLE, "options": {"part_size": 20}}
    expected = choose("facility_location", arrays, 30, **how).indices
    s = cosine_similarity(arrays["gradients"])
    found = choose("facility_location", {"similarity": s}, 30, **how).indices
    assert set(found) == set(expected)


# --- a random few


def test_candidates_are_those_not_picked():
    evidence = Evidence(arrays_of(50) | {"preselected": np.array([4, 7])})
    candidates = stochastic.Candidates(evidence, 20, 0.1, generator(0, "selection"))
    for drawn in candidates:
        assert len(drawn) == np.ceil(50 / 20 * np.log(10))
        assert not set(drawn) & set(candidates.picks)
        candidates.pick(len(drawn) // 2)
        assert candidates.picks[-1] == drawn[len(drawn) // 2]
    assert candidates.picks[:2] == [4, 7]
    assert len(set(candidates.picks)) == 20


def test_candidates_hold_one_of_the_m_best_with_the_probability_that_epsilon_says():
    evidence = Evidence(arrays_of(200))
    held = 0
    for seed in range(2000):
        candidates = stochastic.Candidates(evidence, 20, 0.25, generator(seed, "selection"))
        held += (next(iter(candidates)) < 20).any()
    # ε is 5 standard deviations from what would be found by chance.
    assert abs(held / 2000 - 0.75) < 5 * (0.25 * 0.75 / 2000) ** 0.5 + 0.02


@pytest.mark.parametrize("given", [[], [5], [5, 17]])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("graph_cut", {}),
        ("graph_cut", {"lam": 0.3}),
        ("herding", {}),
        ("herding", {"take": "farthest"}),
    ],
)
def test_among_so_many_that_all_are_drawn_the_best_is_picked(name, options, given, monkeypatch):
    monkeypatch.setattr(stochastic, "BLOCK", 7)
    arrays = arrays_of(40) | {"preselected": np.array(given, dtype=np.int64)}
    exact = choose(name, arrays, 3, **WHOLE, options=options).indices
    found = choose(name, arrays, 3, **WHOLE, options=options | {"epsilon": 1e-9}).indices
    np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("epsilon", [0.3, 0.05])
def test_the_bound_of_stochastic_graph_cut_on_average(epsilon):
    arrays = arrays_of(16, seed=3)
    s = cosine_similarity(written_out(arrays))
    count, lam = 4, 4.0
    # So no gain is negative.
    assert (lam * s.sum(axis=1)).min() >= 4 * count + 1
    sets = map(list, combinations(range(16), count))
    best = max(value("graph_cut", s, some, lam) for some in sets)
    how = {**WHOLE, "options": {"lam": lam, "epsilon": epsilon}}
    found = [
        value(
            "graph_cut",
            s,
            choose("graph_cut", arrays, count, seed=seed, **how).indices.tolist(),
            lam,
        )
        for seed in range(60)
    ]
    assert np.mean(found) >= (1 - 1 / np.e - epsilon) * best


def test_few_candidates_reach_most_of_what_all_do():
    arrays = clustered(1000)
    s, features = cosine_similarity(arrays["gradients"]), arrays["gradients"]
    rng = np.random.default_rng(0)

    def cut(picks: np.ndarray) -> float:
        return value("graph_cut", s, list(picks))

    def closeness(picks: np.ndarray) -> float:
        return -np.linalg.norm(features[picks].mean(axis=0) - features.mean(axis=0))

    for name, reached in (("graph_cut", cut), ("herding", closeness)):
        given = arrays if name == "graph_cut" else {"features": features}
        exact = reached(choose(name, given, 100, **WHOLE).indices)
        found = reached(choose(name, given, 100, **WHOLE, options={"epsilon": 0.05}).indices)
        chance = np.mean([reached(rng.choice(1000, 100, replace=False)) for _ in range(10)])
        assert found - chance > 0.85 * (exact - chance)


def test_graph_cut_of_a_similarity_that_is_given_is_exact():
    s = cosine_similarity(written_out(arrays_of(50)))
    exact = choose("graph_cut", {"similarity": s}, 20, **WHOLE).indices
    how = {**WHOLE, "options": {"epsilon": 0.5}}
    np.testing.assert_array_equal(choose("graph_cut", {"similarity": s}, 20, **how).indices, exact)
