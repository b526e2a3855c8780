"""What makes selection fast changes no pick: symmetry, rows ahead, float32 where it is certain."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from medcoreset import memory, methods
from medcoreset.evidence import Evidence, kernels, statistics
from medcoreset.evidence.gradients import Gradients, in_unit
from medcoreset.methods import cal, greedy, herding
from medcoreset.methods.dissimilarity import nearest, squared_euclidean
from medcoreset.selection.select import select
from tests.gradient_cases import arrays_of as layer_of
from tests.gradient_cases import cosine_similarity, written_out
from tests.test_methods_herding import exhaustive

SIZES = {
    "n": st.integers(2, 90),
    "seed": st.integers(0, 2**32 - 1),
    "kind": st.sampled_from(["random", "clustered", "copies", "far", "alike"]),
}
GREEDY = ("graph_cut", "log_det", "gradmatch", "glister", "herding", "facility_location", "craig")


def features_of(n: int, seed: int, kind: str, size: int = 6) -> np.ndarray:
    """Rows of all kinds: spread, in clusters of 1e-6 of their distance, with copies, far from 0."""
    rng = np.random.default_rng(seed)
    spread = rng.normal(size=(n, size))
    near = spread[rng.integers(0, max(1, n // 5), n)]
    if kind == "clustered":
        return near + 1e-6 * rng.normal(size=(n, size))
    if kind == "alike":
        return np.ones((n, size))
    return {"random": spread, "copies": near, "far": 1e8 + 1e-3 * spread}[kind]


def evidence_of(n: int, seed: int, kind: str, validation: int = 4) -> Evidence:
    """A last layer's view of such samples, of few classes."""
    features = features_of(n + validation, seed, kind)
    rng = np.random.default_rng([seed, 1])
    probs = statistics.softmax(3 * (features - features.mean(axis=0)) @ rng.normal(size=(6, 3)))
    labels = rng.integers(0, 3, n + validation)
    return Evidence(
        {
            "labels": labels[:n],
            "features": features[:n],
            "final_probs": probs[:n],
            "val_features": features[n:],
            "val_probs": probs[n:],
            "val_labels": labels[n:],
        }
    )


def picks(name: str, evidence: Evidence, count: int, **options) -> np.ndarray:
    return select(methods.get(name), evidence, count, balance="global", options=options).indices


@settings(max_examples=60, deadline=None)
@given(**SIZES, name=st.sampled_from(["graph_cut", "log_det", "gradmatch"]), share=st.floats(0, 1))
def test_rows_that_are_computed_ahead_change_no_pick(n, seed, kind, name, share):
    evidence, count = evidence_of(n, seed, kind), max(1, round(share * n))
    found = []
    for ahead, most in ((0, 0), (4, 8 * n * 6), (15, 2**28)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels, "AHEAD", ahead)
            patch.setattr(kernels, "AHEAD_BYTES", most)
            found.append(picks(name, evidence, count).tolist())
    assert found[0] == found[1] == found[2]


@settings(max_examples=60, deadline=None)
@given(**SIZES, name=st.sampled_from(GREEDY))
def test_picks_are_the_same_with_little_memory(n, seed, kind, name):
    # Of distances of 1e-6 the roots of rounding errors are more than ties may differ by.
    assume(not (name == "craig" and kind == "clustered"))
    evidence = evidence_of(n, seed, kind)
    expected = picks(name, evidence, n // 2 + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "free_bytes", lambda device: 0)
        np.testing.assert_array_equal(picks(name, evidence, n // 2 + 1), expected)


@settings(max_examples=80, deadline=None)
@given(**SIZES, take=st.sampled_from(["nearest", "farthest"]), method=st.sampled_from(["herding", "glister"]))  # fmt: skip
def test_picks_that_float32_finds_are_those_of_float64(n, seed, kind, take, method):
    evidence = evidence_of(n, seed, kind)
    options = {"take": take} if method == "herding" else {"eta": 1.0}
    expected = picks(method, evidence, n // 2 + 1, **options)
    with pytest.MonkeyPatch.context() as patch:
        for module in (herding, methods.glister):
            patch.setattr(module, "rough", lambda like: torch.float64)
        np.testing.assert_array_equal(picks(method, evidence, n // 2 + 1, **options), expected)


# Of two samples, both are as near to their mean.
@given(
    n=st.integers(3, 90), seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-30, 1, 1e30])
)
def test_herding_of_any_unit_is_that_of_its_definition(n, seed, scale):
    features = features_of(n, seed, "random")
    found = picks("herding", Evidence({"features": scale * features}), n // 2 + 1)
    assert found.tolist() == exhaustive(features, [], n // 2 + 1)


@settings(max_examples=80, deadline=None)
@given(**SIZES, tile=st.integers(5, 40), data=st.data())
def test_neighbours_that_are_certain_are_those_of_all_distances(n, seed, kind, tile, data):
    k = data.draw(st.integers(1, n - 1))
    distances = squared_euclidean(Evidence({"features": features_of(n, seed, kind)}))
    whole = greedy.rounded(distances.to().fill_diagonal_(np.inf), distances.scale)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cal, "TILE", tile)
        found, certain = cal.nearly_nearest(distances, k)
    assert torch.equal(found[certain], nearest(whole, k)[certain])
    if kind == "random" and k == 1:
        assert certain.double().mean() > 0.5


def test_neighbours_among_copies_are_the_first():
    evidence = Evidence({"features": np.repeat(np.arange(4.0), 20)[:, None]})
    found = cal.neighbors_of(evidence, 3)
    assert found[0].tolist() == [1, 2, 3]
    assert found[79].tolist() == [60, 61, 62]


@given(values=st.lists(st.floats(-1, 1), min_size=1, max_size=30), error=st.floats(0, 0.5), seed=st.integers(0, 99))  # fmt: skip
def test_the_best_of_gains_that_are_nearly_known(values, error, seed):
    gains = torch.tensor(values, dtype=torch.float64)
    noise = torch.tensor(np.random.default_rng(seed).uniform(-error, error, len(values)))
    found = greedy.best_of_near(gains + noise, error, lambda places: gains[places], 1.0)
    assert found == greedy.first_best(gains, 1.0)


@given(terms=st.integers(1, 600), seed=st.integers(0, 2**32 - 1))
def test_rounding_is_within_its_bound(terms, seed):
    rng = np.random.default_rng(seed)
    # Of sizes so different that float32 does not hold all; it does those that matter.
    size = rng.gamma(0.1, size=(2, 8, 1)) * rng.gamma(0.1, size=terms)
    a, b = map(in_unit, torch.tensor(rng.normal(size=(2, 8, terms)) * size))
    error = (a @ b.T - a.float() @ b.float().T).abs()
    assert error.max() <= greedy.rounding(terms, torch.float32)


# --- kernels


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), seed=st.integers(0, 999), strip=st.integers(1, 70))
def test_a_kept_kernel_is_the_kernel_of_all_pairs(n, seed, strip):
    arrays = layer_of(n, seed=seed)
    g = written_out(arrays)
    distances = -np.linalg.norm(g[:, None] - g, axis=2)
    for make, expected in ((kernels.similarity, cosine_similarity(g)), (kernels.proximity, distances)):  # fmt: skip
        for precision, error in (("double", 1e-7), ("single", 3e-3)):
            kernel = make(Evidence(arrays), precision)
            unit = 1.0
            if make is kernels.proximity and precision == "single":
                own = Gradients.of(Evidence(arrays))
                unit = float(own.left.norm(dim=1).max() * own.right.norm(dim=1).max())
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(kernels, "STRIP", strip)
                kept = kernel.kept()
            np.testing.assert_allclose(unit * kept.whole, expected, atol=error * unit)
            np.testing.assert_allclose(kept.whole, kept.whole.T, atol=error)
            for each in (kernel, kept):
                sums = expected.sum(axis=1)
                np.testing.assert_allclose(unit * each.sums(), sums, atol=n * error * unit)
            assert kept.whole.diagonal().numpy() == pytest.approx(kernel.diagonal.numpy(), abs=1e-6)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("n", [1, 31, 32, 1000])
def test_sums_of_float32_are_as_good_as_its_numbers(rows, n):
    numbers = torch.rand(rows, n, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(kernels.total(numbers), numbers.double().sum(dim=1), rtol=1e-6)


@pytest.mark.parametrize("balance", ["class", "global"])
@pytest.mark.parametrize("name", ["facility_location", "craig"])
def test_single_precision_picks_nearly_the_same(name, balance):
    evidence = evidence_of(300, 0, "random")
    one, other = (
        select(methods.get(name), evidence, 60, balance=balance, options={"precision": precision})
        for precision in ("double", "single")
    )
    assert len(set(one.indices) & set(other.indices)) >= 58
    if one.weights is not None:
        assert other.weights.sum() == one.weights.sum()


def test_single_precision_holds_gradients_of_any_size():
    gradients = np.random.default_rng(0).normal(size=(50, 4))
    found = [
        picks("craig", Evidence({"gradients": scale * gradients}), 9, precision="single").tolist()
        for scale in (1, 2.0**100, 2.0**-100)
    ]
    assert found[0] == found[1] == found[2]


# --- GLISTER


@pytest.mark.parametrize("validation", [2, 5, 6, 7, 40])
def test_glister_in_either_coordinates(validation, monkeypatch):
    evidence = evidence_of(60, 3, "random", validation=validation)
    found = picks("glister", evidence, 30, eta=0.5)
    monkeypatch.setattr(methods.glister.Validating, "coordinates", lambda self, train: train)
    np.testing.assert_array_equal(found, picks("glister", evidence, 30, eta=0.5))
