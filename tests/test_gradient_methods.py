import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.evidence.gradients import Gradients
from medcoreset.evidence.kernels import proximity
from medcoreset.methods.gradmatch import matching_pursuit
from medcoreset.seeding import generator
from tests import oracles
from tests.gradient_cases import arrays_of, choose, gradients_of, written_out

NONE = np.array([], dtype=np.int64)


# --- last-layer gradients


@pytest.fixture
def autograd() -> tuple[Gradients, np.ndarray]:
    """Return gradients of a linear layer as ours, and as torch differentiates the loss (N, G)."""
    arrays = arrays_of(20, classes=4)
    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 4, dtype=torch.float64)
    features, labels = torch.tensor(arrays["features"]), torch.tensor(arrays["labels"])
    rows = []
    for h, y in zip(features, labels, strict=True):
        layer.zero_grad()
        torch.nn.functional.cross_entropy(layer(h), y, reduction="sum").backward()
        rows.append(torch.cat([layer.bias.grad[:, None], layer.weight.grad], dim=1).ravel())
    evidence = Evidence(arrays | {"logits": layer(features).detach().numpy()})
    return Gradients.of(evidence), torch.stack(rows).numpy()


def test_gradients_are_those_of_autograd(autograd):
    ours, expected = autograd
    full = torch.einsum("nc,nd->ncd", ours.left, ours.right).flatten(1)
    np.testing.assert_allclose(full, expected, atol=1e-12)


def test_products_of_gradients_that_are_not_written_out(autograd):
    ours, g = autograd
    direction = torch.randn(4, 6, dtype=torch.float64)
    some, weights = torch.tensor([3, 1, 4]), torch.tensor([0.5, 2.0, -1.0]).double()
    np.testing.assert_allclose(ours.inner(), g @ g.T, atol=1e-12)
    np.testing.assert_allclose(ours.inner(some, slice(2, 7)), g[[3, 1, 4]] @ g[2:7].T, atol=1e-12)
    np.testing.assert_allclose(ours.norms, np.linalg.norm(g, axis=1))
    np.testing.assert_allclose(ours.unit().norms, 1)
    np.testing.assert_allclose(ours.sum().ravel(), g.sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(
        ours.sum(some, weights).ravel(), [0.5, 2, -1] @ g[[3, 1, 4]], atol=1e-12
    )
    np.testing.assert_allclose(ours.dot(direction), g @ direction.ravel().numpy(), atol=1e-12)


def test_given_gradients_come_before_those_of_the_last_layer():
    g = np.random.default_rng(0).normal(size=(20, 3))
    g[4] = 0
    ours = Gradients.of(Evidence(arrays_of(20) | {"gradients": g}))
    np.testing.assert_allclose(ours.inner(), g @ g.T)
    np.testing.assert_allclose(ours.unit().norms, np.arange(20) != 4)


def test_distances_of_gradients():
    g = np.random.default_rng(0).normal(size=(20, 3)) + 1000
    g[7] = g[3]
    found = proximity(Evidence({"gradients": g})).rows(slice(None)).numpy()
    expected = np.linalg.norm(g[:, None] - g, axis=2)
    np.testing.assert_allclose(-found, expected, atol=1e-5)
    assert not found.diagonal().any()
    assert found[3, 7] == 0


# --- CRAIG


def literal_craig(g: np.ndarray, count: int, ranked: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Return picks and cluster sizes by exhaustive greedy on max d − d + 1e-3.

    Of equal picks, the first in `ranked` (N,).
    """
    d = np.linalg.norm(g[:, None] - g, axis=2)
    s = d.max() - d + 1e-3
    picks: list[int] = []
    while len(picks) < count:
        rest = [j for j in ranked.tolist() if j not in picks]
        values = np.array([s[:, [*picks, j]].max(axis=1).sum() for j in rest])
        picks.append(rest[int(np.argmax(values > values.max() - 1e-9))])
    return picks, np.bincount(s[:, picks].argmax(axis=1), minlength=count)


@pytest.mark.parametrize("seed", range(3))
def test_craig_is_facility_location_of_distances(seed):
    arrays = arrays_of(60, seed=seed)
    picks, sizes = literal_craig(
        written_out(arrays), 20, generator(seed, "selection").permutation(60)
    )
    found = choose("craig", arrays, 20, balance="global", seed=seed)
    assert found.indices.tolist() == picks
    np.testing.assert_array_equal(found.weights, sizes)


def test_craig_weights_add_up_to_the_size_of_each_class():
    arrays = arrays_of(100, copies=2)
    found = choose("craig", arrays, 40)
    for label, size in enumerate(np.bincount(arrays["labels"])):
        ours = arrays["labels"][found.indices] == label
        assert found.weights[ours].sum() == size
    assert found.weights.min() >= 1
    assert choose("craig", arrays, 100).weights.tolist() == [1.0] * 100
    assert choose("craig", arrays, 1).weights.tolist() == [np.bincount(arrays["labels"]).max()]


def test_craig_with_what_the_code_of_deepcore_adds():
    arrays = arrays_of(60)
    found, coded = (choose("craig", arrays, 12, options={"added": each}) for each in (0, 1))
    np.testing.assert_array_equal(coded.weights, found.weights + 1)
    np.testing.assert_array_equal(coded.indices, found.indices)


def test_craig_counts_preselected_samples_as_medoids():
    arrays = arrays_of(60) | {"preselected": np.array([5, 9])}
    found = choose("craig", arrays, 12, balance="global")
    assert found.indices[:2].tolist() == [5, 9]
    d = np.linalg.norm(written_out(arrays)[:, None] - written_out(arrays), axis=2)
    sizes = np.bincount(d[:, found.indices].argmin(axis=1), minlength=12)
    np.testing.assert_array_equal(found.weights, sizes)


# --- GradMatch


def literal_pursuit(a: np.ndarray, b: np.ndarray, count: int, lam: float):
    """Return picks and weights by refitting from scratch after every pick; a is (G, N)."""
    picks, residual = [], b
    for step in range(count):
        products = a.T @ residual
        products[picks] = -np.inf
        picks.append(int(products.argmax()))
        chosen = a[:, picks]
        ridge = np.sqrt(lam if step else 0) * np.eye(len(picks))
        padded, target = np.vstack([chosen, ridge]), np.concatenate([b, np.zeros(len(picks))])
        residual = b - chosen @ np.linalg.lstsq(padded, target)[0]
    if count == 1:
        return picks, np.ones(1)
    return picks, nnls(padded, target)[0]


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_the_order_and_weights_of_published_matching_pursuit(lam):
    official = oracles.load("gradmatch_omp")
    gradients = Gradients.of(Evidence({"gradients": official["A"].T}))
    target = torch.tensor(official["b"])[None]
    budget = int(official["budget"])
    picks, weights = matching_pursuit(gradients, target, budget, lam, NONE)
    np.testing.assert_array_equal(picks, official[f"order_lam{lam}"])
    found = np.zeros(len(gradients))
    found[picks] = weights
    np.testing.assert_allclose(found, official[f"x_lam{lam}"], atol=1e-5)
    picks, weights = matching_pursuit(gradients, target, 1, lam, NONE)
    np.testing.assert_array_equal(weights, official["x_budget1"][picks])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lam", [1e-3, 1.0])
def test_matching_pursuit_against_a_direct_solve(seed, lam):
    rng = np.random.default_rng(seed)
    # Gradients that point everywhere: some of the refitted weights are negative.
    a, b = rng.normal(size=(15, 60)), rng.normal(size=15)
    gradients = Gradients.of(Evidence({"gradients": a.T}))
    for count in (2, 8, 25, 60):
        expected, expected_weights = literal_pursuit(a, b, count, lam)
        picks, weights = matching_pursuit(gradients, torch.tensor(b)[None], count, lam, NONE)
        assert picks.tolist() == expected
        np.testing.assert_allclose(weights, expected_weights, atol=1e-6)
    assert (weights == 0).any()


def test_gradmatch_matches_the_mean_gradient():
    arrays = arrays_of(80)
    g = written_out(arrays)
    picks, weights = literal_pursuit(g.T, g.mean(axis=0), 15, 1.0)
    found = choose("gradmatch", arrays, 15, balance="global")
    selected = [pick for pick, weight in zip(picks, weights, strict=True) if weight > 1e-9]
    assert found.indices[: len(selected)].tolist() == selected
    np.testing.assert_allclose(found.weights[: len(selected)], weights[weights > 1e-9], atol=1e-6)
    assert found.weights.min() > 0


def test_gradmatch_by_class_gives_each_class_its_share():
    arrays = arrays_of(200)
    g, labels = written_out(arrays), arrays["labels"]
    found = choose("gradmatch", arrays, 60)
    for label, size in enumerate(np.bincount(labels)):
        weights = found.weights[labels[found.indices] == label]
        alone = {"gradients": g[labels == label]}
        expected = choose("gradmatch", alone, len(weights), balance="global").weights
        np.testing.assert_allclose(np.sort(weights), np.sort(expected) * size / 200, rtol=1e-6)


def test_gradmatch_fills_up_at_random_with_the_mean_weight():
    # Only samples 0 and 1 point to where the mean does; the others cancel.
    g = np.zeros((40, 2))
    g[0], g[1] = (5, 0), (0, 4)
    g[2:21], g[21:] = (0.0, 1e-3), (0.0, -1e-3)
    runs = [
        choose("gradmatch", {"gradients": g}, 10, balance="global", seed=seed, options={"lam": 0})
        for seed in range(2)
    ]
    for found in runs:
        assert set(found.indices[:2]) == {0, 1}
        np.testing.assert_allclose(found.weights[2:], found.weights[:2].mean())
    assert set(runs[0].indices) != set(runs[1].indices)


def test_gradmatch_without_any_gradient_is_random():
    found = choose("gradmatch", {"gradients": np.zeros((9, 3))}, 5, balance="global")
    assert len(set(found.indices)) == 5
    assert found.weights.tolist() == [1.0] * 5


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_gradmatch_keeps_preselected_samples_that_depend_on_each_other(lam):
    arrays = {"gradients": np.ones((12, 2)), "preselected": np.array([4, 2, 9])}
    found = choose("gradmatch", arrays, 6, balance="global", options={"lam": lam})
    assert found.indices[:3].tolist() == [4, 2, 9]
    assert found.weights.min() > 0


# --- GLISTER


def literal_glister(arrays, count: int, eta: float, validation: str) -> list[int]:
    """Return the picks, with the last layer's parameters and all gradients written out."""
    h, labels = arrays["features"], arrays["labels"]
    inputs = np.hstack([np.ones((len(h), 1)), h])
    theta = np.linalg.lstsq(inputs, arrays["logits"])[0].T
    g = written_out(arrays)
    val_h, val_labels = h, labels
    if validation == "val":
        val_h, val_labels = arrays["val_features"], arrays["val_labels"]
    val_inputs = np.hstack([np.ones((len(val_h), 1)), val_h])
    picks: list[int] = []
    while len(picks) < count:
        probs = statistics.softmax(val_inputs @ theta.T)
        products = g @ gradients_of(val_h, probs, val_labels).sum(axis=0)
        products[picks] = -np.inf
        picks.append(int(products.argmax()))
        theta = theta - eta * g[picks[-1]].reshape(theta.shape)
    return picks


@pytest.mark.parametrize("eta", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("validation", ["val", "train"])
def test_glister_steps_the_parameters_after_every_pick(validation, eta):
    arrays = arrays_of(70)
    options = {"eta": eta, "validation": validation}
    found = choose("glister", arrays, 20, balance="global", options=options).indices
    assert found.tolist() == literal_glister(arrays, 20, eta, validation)
    if eta:
        assert found.tolist() != literal_glister(arrays, 20, 0.0, validation)


def test_glister_by_class_validates_on_that_class():
    arrays = arrays_of(90)
    found = choose("glister", arrays, 30).indices
    for label in range(3):
        members = np.flatnonzero(arrays["labels"] == label)
        part = {name: arrays[name][members] for name in ("labels", "features", "logits")}
        theirs = arrays["val_labels"] == label
        part |= {name: arrays[name][theirs] for name in ("val_features", "val_probs", "val_labels")}
        ours = found[arrays["labels"][found] == label]
        assert ours.tolist() == members[literal_glister_of(part, arrays, len(ours))].tolist()


def literal_glister_of(part, arrays, count: int) -> list[int]:
    """Return `literal_glister` among some samples, with the last layer that all determine."""
    # Samples of weight 0 would not change the fit of the last layer: it is exact.
    inputs = np.hstack([np.ones((len(arrays["features"]), 1)), arrays["features"]])
    theta = np.linalg.lstsq(inputs, arrays["logits"])[0]
    part_inputs = np.hstack([np.ones((len(part["features"]), 1)), part["features"]])
    return literal_glister(part | {"logits": part_inputs @ theta}, count, 0.1, "val")


def test_glister_without_validation_samples_of_a_class_takes_all():
    arrays = arrays_of(60)
    rare = arrays["val_labels"] != 2
    arrays |= {name: arrays[name][rare] for name in ("val_features", "val_probs", "val_labels")}
    assert len(set(choose("glister", arrays, 20).indices)) == 20


def test_glister_tells_samples_apart_when_all_errors_have_vanished():
    arrays = arrays_of(200, classes=2)
    options = {"eta": 100.0}
    one, other = (
        choose("glister", arrays, 100, seed=seed, options=options).indices for seed in range(2)
    )
    np.testing.assert_array_equal(one, other)


def shrunk(arrays: dict[str, np.ndarray], factor: float) -> dict[str, np.ndarray]:
    """Return given gradients of so many times the size, as a network on its way to converging has."""
    return {"labels": arrays["labels"], "gradients": factor * written_out(arrays)}


def test_a_relative_ridge_does_not_depend_on_the_size_of_the_gradients(capsys):
    arrays = arrays_of(60)
    g = written_out(arrays)
    own = (g**2).sum(axis=1).mean()
    found = choose("gradmatch", arrays, 12, balance="global", options={"lam": 0.3 * own})
    for factor in (1, 1e-4, 1e4):
        how = {"balance": "global", "options": {"lam": 0.3, "relative": True}}
        again = choose("gradmatch", shrunk(arrays, factor), 12, **how)
        assert again.indices.tolist() == found.indices.tolist()
        np.testing.assert_allclose(again.weights, found.weights, rtol=1e-6)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("balance", ["global", "class"])
def test_gradmatch_that_matches_nothing_says_so_in_one_line(balance, capsys):
    arrays = shrunk(arrays_of(60), 1e-3)
    found = choose("gradmatch", arrays, 12, balance=balance)
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing was matched" in line
    assert "relative=true" in line
    assert ("of 3 classes" in line) == (balance == "class")
    if balance == "global":
        products = arrays["gradients"] @ arrays["gradients"].mean(axis=0)
        # The second pick alone follows a step without the ridge.
        assert len(set(found.indices) - set(np.argsort(-products)[:12])) <= 1
    choose("gradmatch", arrays, 12, balance=balance, options={"lam": 0})
    assert not capsys.readouterr().err


# --- options


@pytest.mark.parametrize("balance", ["class", "global"])
@pytest.mark.parametrize("copies", [1, 3])
def test_weights_of_craig_count_who_is_represented(balance, copies):
    arrays = arrays_of(40, classes=4, copies=copies)
    for count in (2, 11, 40):
        found = choose("craig", arrays, count, balance=balance)
        represented = np.isin(arrays["labels"], arrays["labels"][found.indices])
        assert found.weights.sum() == (40 if balance == "global" else represented.sum())


def test_glister_needs_a_validation_set_unless_it_is_the_training_set():
    arrays = {k: v for k, v in arrays_of(30).items() if not k.startswith("val_")}
    with pytest.raises(UserError, match="val_features"):
        choose("glister", arrays, 5)
    assert len(choose("glister", arrays, 5, options={"validation": "train"}).indices) == 5


@pytest.mark.parametrize(
    ("name", "option", "default"),
    [
        ("graph_cut", "lam", 1.0),
        ("gradmatch", "lam", 1.0),
        ("glister", "eta", 0.1),
        ("glister", "validation", "val"),
        ("log_det", "regularization", 1e-6),
    ],
)
def test_options_and_their_defaults(name, option, default):
    assert methods.parse_options(name, {})[option] == default
    with pytest.raises(UserError, match=option):
        methods.parse_options(name, {option: -1})
