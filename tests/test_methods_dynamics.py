"""Methods that look at windows of the training dynamics, by their definitions."""

import math

import numpy as np
import pytest
from scipy.stats import beta

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.methods import dual
from medcoreset.methods.tdds import changes, unsteadiness
from medcoreset.selection.select import score, select

T, N, C = 14, 40, 3

# Four epochs of four samples, small enough to be followed by hand; expected values are rounded.
LABELS = np.array([0, 1, 2, 0])
PROBS = np.array(
    [
        [[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3]],
        [[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.5, 0.2, 0.3], [0.3, 0.4, 0.3]],
        [[0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.2, 0.6, 0.2]],
        [[0.95, 0.03, 0.02], [0.1, 0.8, 0.1], [0.3, 0.1, 0.6], [0.25, 0.5, 0.25]],
    ]
)


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    probs = statistics.softmax(2 * rng.normal(size=(T, N, C)))
    return {"labels": rng.integers(0, C, N), "probs": probs}


@pytest.fixture(scope="module")
def target(arrays) -> np.ndarray:
    return arrays["probs"][:, np.arange(N), arrays["labels"]]


def values(name: str, evidence: Evidence, **options) -> np.ndarray:
    return score(methods.get(name), evidence, options)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("dyn_unc", {"window": 3}, [0.166144, 0.236371, 0.208167, 0.053868]),
        ("dual", {"window": 3, "epochs": 4}, [0.039922, 0.108426, 0.104083, 0.040882]),
        ("cartography", {}, [0.178098, 0.206155, 0.158114, 0.041458]),
        ("cartography", {"region": "easy"}, [0.7625, 0.55, 0.5, 0.2375]),
        ("cartography", {"region": "hard"}, [0.2375, 0.45, 0.5, 0.7625]),
        ("tdds", {"window": 3, "epochs": 4}, [0.159557, 0.052090, 0.188238, 0.141400]),
    ],
)
def test_four_samples(name, options, expected):
    for names in (("labels", "probs"), ("labels", "log_probs")):
        given = {"labels": LABELS, "probs": PROBS, "log_probs": np.log(PROBS)}
        found = values(name, Evidence({key: given[key] for key in names}), **options)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("window", [2, 5, T])
def test_dyn_unc_by_its_definition(arrays, target, window):
    expected = np.zeros(N)
    for i in range(N):
        starts = range(T - window + 1)
        expected[i] = np.mean([np.std(target[k : k + window, i], ddof=1) for k in starts])
    found = values("dyn_unc", Evidence(arrays), window=window)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_dual_by_its_definition(arrays, target):
    expected = np.zeros(N)
    for i in range(N):
        windows = [target[k : k + 3, i] for k in range(9 - 3 + 1)]
        expected[i] = np.mean([w.std(ddof=1) * (1 - w.mean()) for w in windows])
    evidence = Evidence(arrays)
    np.testing.assert_allclose(values("dual", evidence, window=3, epochs=9), expected, atol=1e-6)
    top = select(methods.get("dual"), evidence, 7, options={"window": 3, "epochs": 9})
    assert top.indices.tolist() == np.argsort(-expected)[:7].tolist()


def test_the_beta_density_of_dual(arrays, target, monkeypatch):
    monkeypatch.setattr(dual, "ANCHORS", 2)
    scores = np.array([0.039922, 0.108426, 0.104083, 0.040882])
    mu = np.array([0.7625, 0.55, 0.5, 0.2375])
    p = np.exp(dual.log_weights(scores, mu, 0.75, 4))
    expected = [0.353872, 0.416797, 0.229086, 0.000245]
    np.testing.assert_allclose(p / p.sum(), expected, atol=1e-5)
    assert pytest.approx(11.129395) == 16 - 15 * (1 - 0.525) * (1 - 0.75**4)
    density = beta.pdf(mu, 11.129395, 4.870605) * scores
    np.testing.assert_allclose(p / p.sum(), density / density.sum(), rtol=1e-5)


def test_dual_draws_by_that_density(arrays):
    evidence, options = Evidence(arrays), {"window": 3, "epochs": 9, "sampling": "beta"}
    method = methods.get("dual")
    draws = [
        int(select(method, evidence, 1, seed=s, options=options).indices[0]) for s in range(600)
    ]
    scores = values("dual", evidence, window=3, epochs=9)
    mu = evidence.over_epochs("target_prob", statistics.mean, stop=9)
    p = np.exp(dual.log_weights(scores, mu, 1 - 1 / N, 4))
    p /= p.sum()
    share = np.bincount(draws, minlength=N) / 600
    assert (np.abs(share - p) <= 5 * np.sqrt(p * (1 - p) / 600) + 1e-3).all()


def test_dual_draws_enough_where_hardly_any_density_is_left(arrays):
    certain = np.zeros((T, N))
    certain[:, ::2] = 1
    certain[0, :3] = 0.5
    evidence = Evidence({"labels": arrays["labels"], "target_prob": certain})
    options = {"window": 3, "epochs": 9, "sampling": "beta"}
    found = select(methods.get("dual"), evidence, 30, options=options).indices
    assert len(set(found)) == 30
    assert set(range(3)) <= set(found)


@pytest.mark.parametrize(("epochs", "window"), [(14, 4), (9, 9), (6, 3)])
def test_tdds_by_its_definition(arrays, epochs, window):
    p = arrays["probs"]
    expected = np.zeros(N)
    for i in range(N):
        d = [
            sum(abs(p[t + 1, i, c] * math.log(p[t + 1, i, c] / p[t, i, c])) for c in range(C))
            for t in range(epochs - 1)
        ]
        for k in range(epochs - window + 1):
            part = np.array(d[k : k + window - 1])
            norm = np.linalg.norm(part - part.mean())
            expected[i] += 0.7 * 0.3 ** (epochs - window - k) * norm
    found = values("tdds", Evidence(arrays), epochs=epochs, window=window, decay=0.7)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_tdds_of_probabilities_that_are_zero():
    p = np.eye(3)[[[0, 1], [1, 1], [0, 1]]]
    d = changes(p)
    np.testing.assert_allclose(d, [[-math.log(1e-8), 0]] * 2)
    assert unsteadiness(d, 3, 0.9).tolist() == [0, 0]


def test_records_that_are_missing_are_passed_over(arrays, target):
    seen = np.random.default_rng(1).random((T, N)) < 0.8
    evidence = Evidence(arrays | {"seen": seen})
    found = values("dyn_unc", evidence, window=5)
    for i in range(N):
        windows = [target[k : k + 5, i][seen[k : k + 5, i]] for k in range(T - 4)]
        expected = np.mean([w.std(ddof=1) for w in windows if len(w) > 1])
        assert found[i] == pytest.approx(expected, abs=1e-6)
    whole = values("tdds", Evidence(arrays), epochs=14, window=4, decay=0.2)
    partly = values("tdds", evidence, epochs=14, window=4, decay=0.2)
    complete = seen.all(axis=0)
    np.testing.assert_allclose(partly[complete], whole[complete])


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("dyn_unc", {"window": 15}, r"window of 15 epochs does not fit into 14 \(option window=15"),
        ("dual", {}, r"looks at 30 epochs, but the training dynamics have 14"),
        ("dual", {"epochs": 9}, "window of 10 epochs does not fit into 9"),
        ("tdds", {"epochs": 15}, r"looks at 15 epochs, .* have 14 \(option epochs=15\)"),
    ],
)
def test_windows_that_do_not_fit(arrays, name, options, line):
    with pytest.raises(UserError, match=f"^{name}: .*{line}"):
        values(name, Evidence(arrays), **options)
