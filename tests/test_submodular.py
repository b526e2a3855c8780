from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as array_of

from medcoreset.errors import UserError
from medcoreset.seeding import generator
from tests import oracles
from tests.gradient_cases import SUBMODULAR, arrays_of, choose, cosine_similarity, written_out

REGULARIZATION = 1e-6


def value(name: str, s: np.ndarray, picks: list[int], lam: float = 1.0) -> float:
    """Return f(picks) as it is defined; 0 for no picks."""
    among = s[np.ix_(picks, picks)]
    if not picks:
        return 0.0
    if name == "facility_location":
        return float(s[:, picks].max(axis=1).sum())
    if name == "graph_cut":
        return float(lam * s[:, picks].sum() - among.sum())
    return float(np.linalg.slogdet(among + REGULARIZATION * np.eye(len(picks)))[1])


def naive_greedy(name: str, s: np.ndarray, count: int, ranked: np.ndarray, start=(), **options):
    """Return the picks of exhaustive greedy maximisation: f of every extension, every time.

    Of equal ones, the first in `ranked` (N,). Facility location has such ties by nature: where two
    samples cover only themselves and each other better, either gains as much.
    """
    picks = list(start)
    while len(picks) < count:
        rest = [j for j in ranked.tolist() if j not in picks]
        values = np.array([value(name, s, [*picks, j], **options) for j in rest])
        picks.append(rest[int(np.argmax(values > values.max() - 1e-10))])
    return picks


def ranks(seed: int, n: int, *label: int) -> np.ndarray:
    """Return the order in which a run takes equals: a permutation from the seed's own stream."""
    return generator(seed, "selection", *label).permutation(n)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SUBMODULAR)
def test_picks_are_those_of_exhaustive_greedy(name, seed):
    arrays = arrays_of(70, seed=seed)
    s = cosine_similarity(written_out(arrays))
    found = choose(name, arrays, 25, balance="global", seed=seed).indices
    assert found.tolist() == naive_greedy(name, s, 25, ranks(seed, 70))


@pytest.mark.parametrize("name", SUBMODULAR)
def test_class_balanced_picks_are_those_of_each_class(name):
    arrays = arrays_of(90)
    s = cosine_similarity(written_out(arrays))
    found = choose(name, arrays, 30).indices
    for label in range(3):
        members = np.flatnonzero(arrays["labels"] == label)
        ours = found[arrays["labels"][found] == label]
        part, ranked = s[np.ix_(members, members)], ranks(0, len(members), label)
        expected = naive_greedy(name, part, len(ours), ranked)
        assert ours.tolist() == members[expected].tolist()


@pytest.mark.parametrize("name", SUBMODULAR)
def test_gradients_or_similarity_in_place_of_features(name):
    arrays = arrays_of(60)
    gradients = written_out(arrays)
    expected = choose(name, arrays, 20, balance="global").indices
    by_gradients = choose(name, {"gradients": gradients}, 20, balance="global").indices
    s = cosine_similarity(gradients)
    by_similarity = choose(name, {"similarity": s}, 20, balance="global").indices
    np.testing.assert_array_equal(by_gradients, expected)
    np.testing.assert_array_equal(by_similarity, expected)


@pytest.mark.parametrize("name", SUBMODULAR)
def test_preselected_samples_come_first_and_count(name):
    arrays = arrays_of(60)
    start = (7, 3, 50)
    s = cosine_similarity(written_out(arrays))
    found = choose(name, arrays | {"preselected": np.array(start)}, 12, balance="global").indices
    assert found.tolist() == naive_greedy(name, s, 12, ranks(0, 60), start)


@pytest.mark.parametrize("name", SUBMODULAR)
def test_kernels_that_are_not_kept_pick_the_same(name, monkeypatch):
    arrays = arrays_of(80)
    expected = choose(name, arrays, 30, balance="global").indices
    monkeypatch.setattr("medcoreset.memory.free_bytes", lambda device: 0)
    monkeypatch.setattr("medcoreset.evidence.kernels.BLOCK_BYTES", 8 * 80 * 7)
    found = choose(name, arrays, 30, balance="global").indices
    np.testing.assert_array_equal(found, expected)


# --- published reference code


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("facility_location", {}, "FacilityLocation"),
        ("graph_cut", {}, "GraphCut"),
        ("graph_cut", {"lam": 2}, "GraphCut2"),
    ],
)
def test_the_order_of_submodlib(name, options, expected):
    official = oracles.load("submodular_fl_gc")
    s, order = official["S"], official[f"{expected}_order"]
    arrays = {"similarity": s}
    found = choose(name, arrays, len(order), balance="global", options=options).indices
    np.testing.assert_array_equal(found, order)
    values = [value(name, s, found[: k + 1].tolist(), **options) for k in range(len(order))]
    np.testing.assert_allclose(values, official[f"{expected}_value"])


def test_greedy_facility_location_is_near_the_best_possible():
    official = oracles.load("submodular_fl_gc")
    s = official["S"][:12, :12]
    found = choose("facility_location", {"similarity": s}, 4, balance="global").indices
    best = max(value("facility_location", s, list(some)) for some in combinations(range(12), 4))
    assert value("facility_location", s, found.tolist()) >= (1 - 1 / np.e) * best
    assert best == pytest.approx(float(official["FL12_opt_value"]))
    greedy = float(official["FL12_greedy_value"])
    assert value("facility_location", s, found.tolist()) == pytest.approx(greedy)


# --- ties, signs, degenerate similarities


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(["facility_location", "graph_cut"]))
def test_each_pick_is_a_best_one_among_ties(data, name):
    n = data.draw(st.integers(1, 12))
    half = data.draw(array_of(np.float64, (n, n), elements=st.integers(-2, 3).map(float)))
    s = half + half.T
    found = choose(name, {"similarity": s}, n, balance="global").indices.tolist()
    assert sorted(found) == list(range(n))
    for k, pick in enumerate(found):
        extended = {j: value(name, s, [*found[:k], j]) for j in range(n) if j not in found[:k]}
        assert extended[pick] == pytest.approx(max(extended.values()))


@pytest.mark.parametrize("name", SUBMODULAR)
def test_equal_samples_are_picked_in_a_seeded_order(name):
    one = arrays_of(1, classes=1, size=40)
    arrays = {key: np.repeat(values, 100, axis=0) for key, values in one.items()}
    orders = [choose(name, arrays, 100, seed=seed).indices for seed in (0, 0, 1)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] == orders[2]).sum() < 10
    assert sorted(orders[0]) == list(range(100))
    assert np.abs(np.corrcoef(orders[0], np.arange(100))[0, 1]) < 0.5


def test_a_gradient_of_zero_is_as_near_to_all_as_a_perpendicular_one():
    gradients = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 3, 0.1]])
    s = cosine_similarity(gradients)
    assert set(s[0]) == {0.5}
    for name in SUBMODULAR:
        found = choose(name, {"gradients": gradients}, 4, balance="global").indices
        values = [value(name, s, [int(found[0])]), max(value(name, s, [j]) for j in range(4))]
        assert values[0] == pytest.approx(values[1])
        assert sorted(found) == [0, 1, 2, 3]


def test_log_det_passes_over_copies():
    arrays = arrays_of(30, size=12, copies=3)
    found = choose("log_det", arrays, 10, balance="global").indices
    assert len(set(found % 10)) == 10


@pytest.mark.parametrize("gain", ["largest", "smallest"])
def test_log_det_of_either_sign_by_its_definition(gain):
    # The code of DeepCore maximises s_xA·S_A⁻¹·s_Ax: of equal s_xx, that is the smallest gain.
    arrays = arrays_of(25, size=30)
    s = cosine_similarity(written_out(arrays)) + 1e-6 * np.eye(25)
    options = {"gain": gain}
    found = choose("log_det", arrays, 8, balance="global", options=options).indices.tolist()
    for done in range(1, 8):
        picks, rest = found[:done], [i for i in range(25) if i not in found[:done]]
        between = s[np.ix_(picks, rest)]
        variance = s[rest, rest] - (
            between * np.linalg.solve(s[np.ix_(picks, picks)], between)
        ).sum(axis=0)
        best = variance.argmax() if gain == "largest" else variance.argmin()
        assert found[done] == rest[best]


def test_a_similarity_that_is_not_symmetric_is_refused():
    s = np.eye(5)
    s[1, 2] = 0.5
    with pytest.raises(UserError, match="similarity is to be symmetric"):
        choose("graph_cut", {"similarity": s}, 2, balance="global")
