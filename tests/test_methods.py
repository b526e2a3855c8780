from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.ccs import ccs, equal_width_strata, stratum_budgets
from medcoreset.methods.eva import eva, window_statistic
from medcoreset.methods.forgetting import events
from medcoreset.selection.select import score
from tests import oracles

CLOSE = {"rtol": 1e-4, "atol": 1e-6}


@pytest.fixture(scope="module")
def official() -> dict[str, np.ndarray]:
    return oracles.load("eva_official")


@pytest.fixture(scope="module")
def dynamics(official) -> Evidence:
    return Evidence({"labels": official["y"], "log_probs": official["out16"]})


@pytest.fixture(scope="module")
def of_ccs() -> dict[str, np.ndarray]:
    return oracles.load("ccs_scores")


@pytest.fixture(scope="module")
def ccs_dynamics(of_ccs) -> Evidence:
    return Evidence({"labels": of_ccs["y"], "log_probs": of_ccs["out16"]})


AUTHORS = {"combine": "normalized", "ddof": 1}


@pytest.mark.parametrize(
    ("expected", "options"),
    [
        ("A_eva", {"early": 1, "late": 31}),
        ("B_eva", {"early": 1, "late": 31, "weight": 0.3}),
        ("D_eva", {"early": 11, "late": 21}),
    ],
)
def test_eva_agrees_with_the_authors_code(official, dynamics, expected, options):
    ours = eva(dynamics, **AUTHORS, **options)
    # Scores of N samples add up to 1; they are compared at the scale of a single one.
    np.testing.assert_allclose(ours * len(ours), official[expected] * len(ours), **CLOSE)


def test_eva_scores_unseen_records_zero_as_the_authors_do(official):
    arrays = {"labels": official["y"], "log_probs": official["out16"], "seen": official["seen_C"]}
    zero = eva(Evidence(arrays, missing="zero"), early=1, late=31, **AUTHORS)
    np.testing.assert_allclose(zero * len(zero), official["C_eva"] * len(zero), **CLOSE)
    masked = eva(Evidence(arrays), early=1, late=31, **AUTHORS)
    assert np.abs(masked - zero).max() * len(zero) > 0.1


def test_eva_scores_a_window_that_ends_at_the_last_epoch(official, dynamics):
    assert not official["E_eva"].any()
    ours = eva(dynamics, early=1, late=33)
    expected = official["S"][:10].var(axis=0) + official["S"][32:42].var(axis=0)
    np.testing.assert_allclose(ours, expected, **CLOSE)


@pytest.mark.parametrize("rate", ["0.02", "0.05", "0.1", "0.3", "0.335"])
def test_eva_selects_what_the_authors_code_selects(official, dynamics, rate):
    chosen = official[f"sel_official_{rate}"]
    scores = eva(dynamics, early=1, late=31, **AUTHORS)
    assert set(np.argsort(-scores)[: len(chosen)]) == set(chosen)


def test_eva_is_equation_6(dynamics, official):
    errors = official["S"].astype(np.float64)
    expected = np.zeros(errors.shape[1])
    for start in (3, 20):
        window = [errors[t - 1] for t in range(start, start + 5)]
        average = sum(window) / 5
        expected += sum((row - average) ** 2 for row in window) / 5
    np.testing.assert_allclose(eva(dynamics, early=3, late=20, length=5), expected, **CLOSE)


def test_eva_ablations(dynamics, official):
    errors = official["S"]
    for options, expected in [
        ({"windows": "single", "early": 5}, errors[4:14].var(axis=0)),
        ({"windows": "entire"}, errors.var(axis=0)),
        ({"windows": "entire", "statistic": "mean"}, errors.mean(axis=0)),
        (
            {"early": 1, "late": 20, "statistic": "mean"},
            errors[:10].mean(axis=0) + errors[19:29].mean(axis=0),
        ),
    ]:
        np.testing.assert_allclose(eva(dynamics, **options), expected, **CLOSE)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"early": 1, "late": 10}, ("10", "1")),
        ({"early": 20, "late": 5}, ("5", "20", "29")),
        ({"early": 1, "late": 34}, ("34", "43", "42")),
        ({"early": 0, "late": 20}, ("0", "42")),
        ({"early": 1, "late": 190}, ("190", "199", "42")),
    ],
)
def test_eva_refuses_windows_that_are_not_there(dynamics, options, numbers):
    with pytest.raises(UserError) as mistake:
        eva(dynamics, **options)
    for number in numbers:
        assert f" {number}" in str(mistake.value)


def test_a_window_without_variance_cannot_be_normalized():
    still = Evidence({"labels": np.zeros(3, int), "error_norm": np.ones((20, 3))})
    with pytest.raises(UserError, match="without any variance"):
        eva(still, early=1, late=11, combine="normalized")


def test_window_statistic_leaves_out_what_was_not_seen():
    rows = np.array([[1.0, 1.0], [9.0, 3.0], [3.0, 8.0]]) / 8
    seen = np.array([[1, 1], [0, 1], [1, 1]], dtype=bool)
    part = Evidence({"error_norm": rows, "seen": seen})
    assert window_statistic(part, 1, 3)[0] == 1 / 8**2  # of 1 / 8 and 3 / 8


def test_scores_from_dynamics_agree_with_code_of_ccs(of_ccs, ccs_dynamics):
    t = len(of_ccs["out16"])
    forgetting = methods.get("forgetting").score
    np.testing.assert_array_equal(forgetting(ccs_dynamics), of_ccs["forgetting"])
    first = forgetting(ccs_dynamics, never_learned="inf")
    never = of_ccs["forgetting_toneva"] == t
    np.testing.assert_array_equal(np.isinf(first), never)
    np.testing.assert_array_equal(first[~never], of_ccs["forgetting_toneva"][~never])
    aum, el2n = methods.get("aum").score, methods.get("el2n").score
    np.testing.assert_allclose(aum(ccs_dynamics) * t, of_ccs["aum_sum"], **CLOSE)
    np.testing.assert_allclose(el2n(ccs_dynamics) * 10, of_ccs["el2n_sum10"], **CLOSE)


def test_entropy_agrees_with_code_of_ccs(of_ccs):
    logits = of_ccs["probe_X"] @ of_ccs["probe_W"].T + of_ccs["probe_b"]
    ours = methods.get("entropy").score(Evidence({"logits": logits}))
    np.testing.assert_allclose(ours, of_ccs["entropy"], **CLOSE)
    probs = Evidence({"final_probs": statistics.softmax(logits)})
    np.testing.assert_allclose(methods.get("entropy").score(probs), ours)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("aum", "sel10_accumulated_margin"), ("el2n", "sel10_el2n")],
)
def test_rankings_agree_with_code_of_ccs(of_ccs, ccs_dynamics, method, expected):
    ranked = methods.get(method)
    scores = ranked.score(ccs_dynamics)
    order = np.argsort(-scores if ranked.keep == "highest" else scores)
    assert set(order[:24]) == set(of_ccs[expected])


def test_el2n_averages_its_first_epochs(dynamics, official):
    el2n = methods.get("el2n").score
    errors = official["S"]
    np.testing.assert_allclose(el2n(dynamics, epochs=3), errors[:3].mean(axis=0), **CLOSE)
    with pytest.raises(UserError, match="500 epochs, but the training dynamics have"):
        el2n(dynamics, epochs=500)


def test_el2n_of_models_is_the_mean_of_their_error_norms():
    """Two models, four samples; worked out by hand from the definition."""
    probs = np.array(
        [
            [[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.2, 0.2, 0.6], [0.3, 0.6, 0.1]],
            [[0.9, 0.05, 0.05], [0.3, 0.6, 0.1], [0.4, 0.2, 0.4], [0.2, 0.7, 0.1]],
        ]
    )
    labels = np.array([0, 1, 2, 0])
    evidence = Evidence({"labels": labels, "run_probs": probs})
    found = score(methods.get("el2n"), evidence, {"runs": 2})
    one = np.sqrt([0.06, 0.38, 0.24, 0.86])
    other = np.sqrt([0.015, 0.26, 0.56, 1.14])
    np.testing.assert_allclose(found, (one + other) / 2, **CLOSE)
    with pytest.raises(UserError, match="run_probs are of 2 models, not 10"):
        score(methods.get("el2n"), evidence, {"runs": 10})
    with pytest.raises(UserError, match="lacks run_probs"):
        score(methods.get("el2n"), Evidence({"labels": labels}), {"runs": 2})


def test_aum_of_logits_is_the_mean_margin_of_logits():
    logits = np.random.default_rng(1).normal(size=(5, 8, 3)) * 4
    labels = np.arange(8) % 3
    log_probs = np.log(statistics.softmax(logits))
    expected = [
        np.mean([z[i, y] - np.delete(z[i], y).max() for z in logits]) for i, y in enumerate(labels)
    ]
    ours = Evidence({"labels": labels, "log_probs": log_probs})
    aum = methods.get("aum")
    np.testing.assert_allclose(aum.score(ours, space="logits"), expected, rtol=1e-4)
    recorded = Evidence({"logit_margin": np.full((5, 8), 2.0) + np.arange(8)})
    np.testing.assert_allclose(score(aum, recorded, {"space": "logits"}), 2.0 + np.arange(8))
    with pytest.raises(UserError, match="lacks margin"):
        score(aum, recorded)


@given(st.lists(st.sampled_from([0.0, 1.0, np.nan]), max_size=12))
def test_forgetting_events_are_falls_between_consecutive_records(records):
    kept = [record for record in records if not np.isnan(record)]
    falls = sum(before == 1 and after == 0 for before, after in pairwise(kept))
    column = np.array(records, dtype=float).reshape(-1, 1)
    np.testing.assert_equal(events(column)[0], falls if kept else np.nan)


# --- CCS


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.data())
def test_stratum_budgets_use_up_the_count(sizes, data):
    sizes = np.array(sizes)
    count = data.draw(st.integers(0, int(sizes.sum())))
    budgets = stratum_budgets(sizes, count)
    assert budgets.sum() == count
    assert (budgets <= sizes).all()
    # What is not exhausted is shared evenly.
    open_ones = budgets[budgets < sizes]
    if len(open_ones):
        assert open_ones.max() - open_ones.min() <= len(sizes)
        assert budgets.max() <= open_ones.max() + 1


def test_strata_have_equal_width():
    scores = np.array([0.0, 0.19, 0.2, 0.59, 0.6, 0.99, 1.0])
    np.testing.assert_array_equal(equal_width_strata(scores, 5), [0, 0, 1, 2, 3, 4, 4])


def test_ccs_drops_the_hardest():
    scores = np.arange(100.0)
    picked = ccs(scores, 20, np.random.default_rng(0), beta=0.29)
    assert min(picked) >= 29
    everything = ccs(scores, 71, np.random.default_rng(0), beta=0.29)
    assert set(everything) == set(range(29, 100))


def test_ccs_covers_the_range():
    scores = np.concatenate([np.zeros(900), np.linspace(0.5, 1, 100)])
    picked = ccs(scores, 50, np.random.default_rng(0), strata=10)
    assert (picked < 900).sum() <= 10


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.floats(0, 1),
    st.sampled_from([1, 3, 50]),
    st.booleans(),
    st.data(),
)
def test_ccs_returns_exactly_count(n, beta, strata, constant, data):
    count = data.draw(st.integers(1, n))
    rng = np.random.default_rng(n)
    scores = np.full(n, 0.1) if constant else rng.normal(size=n)
    picked = ccs(scores, count, rng, beta=beta, strata=strata)
    assert len(set(picked.tolist())) == len(picked) == count
