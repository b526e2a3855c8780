import numpy as np
import pytest

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.importance_sampling import (
    CLIP,
    importance_sampling,
    inclusion_probabilities,
)
from medcoreset.selection.select import score
from tests.method_cases import arrays_of, choose, evidence_of

METHOD = methods.get("importance_sampling")


def sensitivity(target: np.ndarray, seen: np.ndarray) -> list[float]:
    """Return Eq. 5 by its definition, over the epochs that recorded a sample."""
    loss = -np.log(target)
    totals = [loss[t][seen[t]].sum() for t in range(len(loss))]
    return [
        max(loss[t, i] / totals[t] for t in range(len(loss)) if seen[t, i])
        for i in range(loss.shape[1])
    ]


@pytest.mark.parametrize("missing", ["masked", "zero"])
def test_equation_5(missing):
    arrays = arrays_of(30)
    seen = np.random.default_rng(0).random((6, 30)) < 0.7
    seen[0] = True
    seen[3] = False
    everything = np.ones_like(seen)
    np.testing.assert_allclose(
        score(METHOD, Evidence(arrays, missing=missing)),
        sensitivity(arrays["target_prob"], everything),
    )
    np.testing.assert_allclose(
        score(METHOD, Evidence(arrays | {"seen": seen}, missing=missing)),
        sensitivity(arrays["target_prob"], seen),
    )


def test_losses_are_of_all_samples_also_when_class_balanced():
    evidence = evidence_of(60)
    found = choose("importance_sampling", evidence, 20)
    np.testing.assert_array_equal(found.scores, score(METHOD, evidence))


def test_probabilities_of_0_and_1_are_clipped():
    target = np.array([[0.0, 0.5, 1.0]])
    found = score(METHOD, Evidence({"labels": np.array([0, 0, 0]), "target_prob": target}))
    loss = -np.log([CLIP, 0.5, 1 - CLIP])
    np.testing.assert_allclose(found, loss / loss.sum())
    assert found.min() > 0


def inclusion(p: np.ndarray, count: int) -> np.ndarray:
    """Return min(1, c·p) with the c for which they add up to `count`, found by bisection."""
    low, high = 0.0, count / p.min()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(1, middle * p).sum() < count else (low, middle)
    return np.minimum(1, high * p)


def test_weights_within_each_class():
    evidence = evidence_of(80)
    found, labels = choose("importance_sampling", evidence, 30), evidence["labels"]
    for label in range(4):
        own = labels[found.indices] == label
        pi = np.full(80, np.nan)
        pi[labels == label] = inclusion(found.scores[labels == label], own.sum())
        np.testing.assert_allclose(found.weights[own], 1 / pi[found.indices[own]], rtol=1e-9)


@pytest.mark.parametrize(
    ("p", "count"),
    [
        ([0.5, 0.3, 0.2], 1),
        ([0.5, 0.3, 0.2], 2),
        ([0.9, 0.05, 0.03, 0.02], 2),  # the first is certain
        ([0.7, 0.2, 0.05, 0.03, 0.01, 0.01], 4),  # and so is, once it is, the second
        ([1.0, 1.0, 1.0, 1.0], 4),
        ([1e-9, 1.0, 1e-9, 1.0], 3),
    ],
)
def test_every_sample_is_drawn_with_the_probability_of_which_its_weight_is_the_inverse(p, count):
    p, rng = np.array(p), np.random.default_rng(0)
    pi = inclusion(p, count)
    np.testing.assert_allclose(inclusion_probabilities(p, count), pi, rtol=1e-9)
    draws = [importance_sampling(p, count, rng) for _ in range(4000)]
    times = np.bincount(np.concatenate([drawn.indices for drawn in draws]), minlength=len(p))
    # Within 5 standard deviations of a binomial count.
    assert (np.abs(times / len(draws) - pi) <= 5 * np.sqrt(pi * (1 - pi) / len(draws)) + 1e-9).all()
    assert {len(set(drawn.indices)) for drawn in draws} == {count}
    for drawn in draws[:100]:
        np.testing.assert_allclose(drawn.weights, 1 / pi[drawn.indices], rtol=1e-9)


@pytest.mark.parametrize("balance", ["global", "class"])
def test_weighted_sums_are_those_of_all_samples_on_average(balance):
    evidence = evidence_of(60)
    values = np.random.default_rng(1).normal(loc=[0, 5, 1], size=(60, 3))
    values[:, 2] = 1  # whose weighted sum is that of the weights
    draws = [
        choose("importance_sampling", evidence, 30, balance=balance, seed=seed)
        for seed in range(500)
    ]
    sums = np.array([drawn.weights @ values[drawn.indices] for drawn in draws])
    error = sums.std(axis=0, ddof=1) / len(draws) ** 0.5
    assert (np.abs(sums.mean(axis=0) - values.sum(axis=0)) <= 4 * error).all()
    assert np.abs(sums[:, 2] / 60 - 1).mean() < 0.15


def test_many_samples_of_nearly_certain_draws():
    p = np.random.default_rng(0).gamma(0.3, size=200_000) + 1e-12
    drawn = importance_sampling(p, 150_000, np.random.default_rng(0))
    assert len(set(drawn.indices.tolist())) == 150_000
    assert drawn.weights.min() >= 1


def test_a_preselected_sample_stands_for_itself():
    arrays = arrays_of(80)
    whole = arrays["labels"] == 2
    given = np.append(np.flatnonzero(whole), np.flatnonzero(~whole)[:3])
    found = choose("importance_sampling", Evidence(arrays | {"preselected": given}), 50)
    preselected = np.isin(found.indices, given)
    assert (found.weights[preselected] == 1).all()
    assert (found.weights[~preselected] >= 1).all()
    assert found.weights[~preselected].max() > 1


def test_successive_draws_have_the_weights_of_draws_with_replacement():
    # The probability of a pair, of successive draws: p_i p_j / (1 − p_i) + p_j p_i / (1 − p_j).
    p = np.array([0.5, 0.3, 0.2])
    rng = np.random.default_rng(0)
    draws = [
        frozenset(importance_sampling(p, 2, rng, draws="successive").indices) for _ in range(20_000)
    ]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        exact = p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j]))
        assert draws.count(frozenset({i, j})) / len(draws) == pytest.approx(exact, abs=0.015)
    drawn = importance_sampling(p, 2, rng, draws="successive")
    np.testing.assert_allclose(drawn.weights, 1 / (2 * p[drawn.indices]))


def test_a_sample_that_was_never_seen_is_an_error():
    arrays = arrays_of(10)
    seen = np.ones((6, 10), dtype=bool)
    seen[:, 4] = False
    with pytest.raises(UserError, match="first that of sample 4"):
        choose("importance_sampling", Evidence(arrays | {"seen": seen}), 3)
