import numpy as np
import pytest

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.importance_sampling import CLIP, importance_sampling
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


def test_weights_within_each_class():
    evidence = evidence_of(80)
    found, labels = choose("importance_sampling", evidence, 30), evidence["labels"]
    for label in range(4):
        own = labels[found.indices] == label
        p = found.scores[found.indices[own]] / found.scores[labels == label].sum()
        np.testing.assert_allclose(found.weights[own], 1 / (own.sum() * p))


def test_a_preselected_sample_stands_for_itself():
    arrays = arrays_of(80)
    whole = arrays["labels"] == 2
    given = np.append(np.flatnonzero(whole), np.flatnonzero(~whole)[:3])
    found = choose("importance_sampling", Evidence(arrays | {"preselected": given}), 50)
    preselected = np.isin(found.indices, given)
    assert (found.weights[preselected] == 1).all()
    assert (found.weights[~preselected] != 1).all()


def test_samples_are_drawn_by_sensitivity_without_replacement():
    # The probability of a pair, of successive draws: p_i p_j / (1 − p_i) + p_j p_i / (1 − p_j).
    p = np.array([0.5, 0.3, 0.2])
    rng = np.random.default_rng(0)
    draws = [frozenset(importance_sampling(p, 2, rng).indices) for _ in range(20_000)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        exact = p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j]))
        assert draws.count(frozenset({i, j})) / len(draws) == pytest.approx(exact, abs=0.015)


def test_the_weighted_sum_of_one_draw_is_unbiased():
    p, values = np.array([0.5, 0.3, 0.2]), np.array([1.0, -4.0, 7.0])
    rng = np.random.default_rng(0)
    draws = [importance_sampling(p, 1, rng) for _ in range(20_000)]
    estimates = [values[drawn.indices] @ drawn.weights for drawn in draws]
    assert np.mean(estimates) == pytest.approx(values.sum(), abs=0.5)


def test_a_sample_that_was_never_seen_is_an_error():
    arrays = arrays_of(10)
    seen = np.ones((6, 10), dtype=bool)
    seen[:, 4] = False
    with pytest.raises(UserError, match="first that of sample 4"):
        choose("importance_sampling", Evidence(arrays | {"seen": seen}), 3)
