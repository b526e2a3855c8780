from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.eva import eva
from medcoreset.methods.registry import Method, Picks
from medcoreset.selection.budget import budget, class_budgets, expected_size, nearest_budgets
from medcoreset.selection.drop import drop_weights
from medcoreset.selection.select import score, select
from medcoreset.selection.windows import grid, score_pairs, window_pairs
from tests import oracles


def evidence_of(n: int, seed: int = 0, classes: int = 4, epochs: int = 12, **more) -> Evidence:
    """Return dynamics and a final model of `n` samples, with classes of unequal size."""
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.geometric(0.4, n) - 1, classes - 1)
    logits = rng.normal(size=(epochs, n, classes)) * 2
    logits[:, np.arange(n), labels] += rng.normal(size=n)
    arrays = {"labels": labels, "probs": statistics.softmax(logits), "logits": logits[-1]}
    return Evidence(arrays | more)


# --- budgets


@pytest.mark.parametrize("rounding", ["ceil", "floor", "nearest"])
def test_budgets_of_published_rates(rounding):
    official = oracles.load("budget_rounding")
    for i, n in enumerate(official["N"]):
        for j, rate in enumerate(official["alpha"]):
            floor, _, rounded = official["int_ceil_round"][i, j]
            exact = Fraction(str(rate)) * int(n)
            expected = {
                "ceil": -(-exact // 1),
                "floor": floor,
                "nearest": max(1, rounded),
            }[rounding]
            assert budget(float(rate), int(n), rounding) == expected


def test_ceil_is_free_of_binary_artefacts():
    assert budget(0.07, 100) == 7
    assert 0.07 * 100 > 7
    assert budget(0.29, 100, "floor") == 28  # as the authors' int(0.29 * 100)
    assert budget(0.29, 100) == 29
    assert budget(1, 9) == budget(1.0, 9, "floor") == 9
    assert budget(1e-9, 50) == 1


@pytest.mark.parametrize("rate", [0, -0.1, 1.0001, float("nan"), float("inf")])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(UserError, match="rate is"):
        budget(rate, 100)


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(UserError, match="no sample"):
        budget(0.001, 100, "floor")


def test_nearest_budgets_are_of_each_class_by_itself():
    sizes = np.array([1300, 732, 0, 1, 500, 300])
    assert nearest_budgets(0.001, sizes).tolist() == [1, 1, 0, 1, 1, 1]
    # 6.5, 3.66, 0.005, 2.5 and 1.5, half to even
    assert nearest_budgets(0.005, sizes).tolist() == [6, 4, 0, 1, 2, 2]
    assert nearest_budgets(1, sizes).tolist() == sizes.tolist()
    assert expected_size(0.001, 1_281_167, 1000, "nearest", "class") == 1000
    assert expected_size(0.001, 1_281_167, 1000, "nearest", "global") == 1281
    assert expected_size(0.001, 1_281_167, 1000, "ceil", "class") == 1282


def test_given_budgets_of_classes():
    evidence = evidence_of(60)
    sizes = np.bincount(evidence["labels"])
    budgets = nearest_budgets(0.3, sizes)
    for name in ("random", "el2n"):
        found = select(methods.get(name), evidence, budgets, balance="class")
        assert np.bincount(evidence["labels"][found.indices]).tolist() == budgets.tolist()
        found = select(methods.get(name), evidence, budgets, balance="global")
        assert len(found.indices) == budgets.sum()


@settings(max_examples=300)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=8).filter(any), st.data())
def test_class_budgets(sizes, data):
    sizes = np.array(sizes)
    count = data.draw(st.integers(1, int(sizes.sum())))
    taken = np.array([data.draw(st.integers(0, int(size))) for size in sizes])
    while taken.sum() > count:
        taken //= 2
    budgets = class_budgets(sizes, count, taken)
    assert budgets.sum() == count
    assert (budgets <= sizes).all()
    assert (budgets >= taken).all()
    if np.maximum(taken, sizes > 0).sum() <= count:
        assert (budgets[sizes > 0] > 0).all()
    free = class_budgets(sizes, count)
    shares = [Fraction(count * int(size), int(sizes.sum())) for size in sizes]
    if all(share >= 1 for share, size in zip(shares, sizes, strict=True) if size):
        assert all(abs(b - share) < 1 for b, share in zip(free, shares, strict=True))


def test_class_budgets_are_hamiltons():
    sizes = [47, 16, 16, 12, 6, 3]
    np.testing.assert_array_equal(class_budgets(sizes, 5), [2, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(class_budgets(sizes, 50), [24, 8, 8, 6, 3, 1])
    # The two small classes get one each, the others share 8 in proportion.
    np.testing.assert_array_equal(class_budgets(sizes, 10), [4, 2, 1, 1, 1, 1])
    np.testing.assert_array_equal(class_budgets([50, 50], 3), [2, 1])
    np.testing.assert_array_equal(class_budgets([0, 1, 99], 2), [0, 1, 1])
    np.testing.assert_array_equal(class_budgets([1, 1, 98], 2), [0, 0, 2])


def of_drop(sizes, recall, density) -> np.ndarray:
    """Return the numbers of samples by DRoP's Algorithm 1, without rounding."""
    kept, excess = np.zeros(len(sizes)), density * sum(sizes)
    open_ = np.ones(len(sizes), dtype=bool)
    while excess > 1e-9:
        weights = np.where(open_, 1 - recall, 0)
        kept += weights * excess / (sizes * weights).sum()
        excess = (sizes * np.maximum(kept - 1, 0)).sum()
        open_ &= kept <= 1
        kept = np.minimum(kept, 1)
    return kept * sizes


def drop_evidence(sizes, wrong, of=20, **more) -> Evidence:
    """Return evidence of classes of which `wrong` of as many validation samples each are not recognised."""
    classes = len(sizes)
    val_labels = np.repeat(np.arange(classes), of)
    predicted = np.where(np.arange(classes * of) % of < np.repeat(wrong, of), -1, 0) + val_labels
    labels = np.repeat(np.arange(classes), sizes)
    arrays = {"labels": labels, "val_labels": val_labels, "val_probs": np.eye(classes)[predicted]}
    return Evidence(arrays | more)


def test_budgets_of_drop_on_three_classes():
    sizes, recall = np.array([100, 50, 10]), np.array([0.95, 0.8, 0.2])
    np.testing.assert_allclose(of_drop(sizes, recall, 0.5), [70 / 3, 140 / 3, 10])
    evidence = drop_evidence(sizes, [1, 4, 16])
    weights = drop_weights(evidence, sizes)
    assert weights == [5, 10, 8]
    np.testing.assert_array_equal(class_budgets(sizes, 80, weights=weights), [23, 47, 10])
    found = select(methods.get("random"), evidence, 80, balance="drop").indices
    np.testing.assert_array_equal(np.bincount(evidence["labels"][found]), [23, 47, 10])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_budgets_of_drop_by_its_algorithm(data):
    classes = data.draw(st.integers(2, 6))
    draw = st.lists(st.integers(1, 60), min_size=classes, max_size=classes)
    sizes, wrong = np.array(data.draw(draw)), np.array(data.draw(draw))
    weights = [Fraction(int(w * n), 60) for w, n in zip(wrong, sizes, strict=True)]
    count = data.draw(st.integers(classes, int(sizes.sum())))
    budgets = class_budgets(sizes, count, weights=weights)
    assert budgets.sum() == count
    assert (budgets <= sizes).all()
    assert budgets.min() >= 1
    expected = of_drop(sizes, 1 - wrong / 60, count / sizes.sum())
    if expected.min() >= 1:
        assert np.abs(budgets - expected).max() < 1 + 1e-6


def test_a_class_without_errors_keeps_one_sample_until_the_others_have_no_more():
    sizes, weights = np.array([30, 20, 10, 0]), [Fraction(0), Fraction(3), Fraction(0), Fraction(0)]
    for count, budgets in ((12, [1, 10, 1, 0]), (22, [1, 20, 1, 0]), (40, [15, 20, 5, 0])):
        found = class_budgets(sizes, count, weights=weights)
        np.testing.assert_array_equal(found, budgets)
    none = [Fraction(0)] * 4
    np.testing.assert_array_equal(class_budgets(sizes, 30, weights=none), [15, 10, 5, 0])
    given = class_budgets(sizes, 12, np.array([6, 0, 0, 0]), weights)
    np.testing.assert_array_equal(given, [6, 5, 1, 0])


@pytest.mark.parametrize("name", ["el2n", "ccs", "kcenter_greedy"])
def test_drop_is_of_any_method(name):
    sizes = [40, 30, 20]
    rng = np.random.default_rng(0)
    more = {
        "error_norm": rng.random((10, 90)),
        "margin": rng.random((10, 90)),
        "features": rng.normal(size=(90, 3)),
    }
    given = np.array([3, 80, 81])
    evidence = drop_evidence(sizes, [2, 5, 9], **more, preselected=given)
    found = select(methods.get(name), evidence, 30, balance="drop").indices
    assert set(found[:3]) == set(given)
    assert len(set(found)) == 30
    weights = [Fraction(2 * 40), Fraction(5 * 30), Fraction(9 * 20)]
    expected = class_budgets(sizes, 30, np.array([1, 0, 2]), weights)
    np.testing.assert_array_equal(np.bincount(evidence["labels"][found]), expected)


def test_drop_without_validation_data_is_one_line():
    labels = np.repeat([0, 1], 9)
    line = "^balance is drop, by recall on validation data, but evidence lacks val_probs"
    with pytest.raises(UserError, match=line):
        select(methods.get("random"), Evidence({"labels": labels}), 5, balance="drop")
    probs = {"val_probs": np.eye(2)[[0, 0]], "val_labels": np.array([0, 0])}
    with pytest.raises(UserError, match=r"^evidence: balance is drop, .* no sample of class 1$"):
        select(methods.get("random"), Evidence({"labels": labels} | probs), 5, balance="drop")


# --- the driver


def test_ties_are_broken_by_seed_and_not_by_position():
    counts = np.zeros((4, 200))
    counts[::2, :] = 1  # every sample is forgotten, and so equally often …
    counts[0, 0] = 0  # … but for one.
    evidence = Evidence({"labels": np.zeros(200, int), "correct": counts.astype(bool)})
    method = methods.get("forgetting")
    chosen = [select(method, evidence, 50, seed=seed).indices for seed in (0, 0, 1)]
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert set(chosen[0]) != set(chosen[2])
    assert 0 not in chosen[0]
    assert chosen[0].max() > 150
    smaller = select(method, evidence, 20, seed=0).indices
    np.testing.assert_array_equal(smaller, chosen[0][:20])


def test_scores_computed_before_give_the_same_coreset():
    method, evidence = methods.get("ccs"), evidence_of(40)
    scores = score(method, evidence, {"beta": 0.2})
    labels = Evidence({"labels": evidence["labels"]})
    ours = select(method, labels, 9, options={"beta": 0.2}, scores=scores, balance="class")
    whole = select(method, evidence, 9, options={"beta": 0.2}, balance="class")
    np.testing.assert_array_equal(ours.indices, whole.indices)


def test_ccs_is_defined_for_constant_scores_and_the_others_are_not():
    still = Evidence({"labels": np.arange(30) % 3, "margin": np.ones((5, 30))}, name="phantom")
    assert len(select(methods.get("ccs"), still, 12, options={"beta": 0.9}).indices) == 12
    with pytest.raises(UserError, match="aum on phantom: all scores are equal"):
        select(methods.get("aum"), still, 12)


def test_a_sample_that_was_never_seen_has_no_score():
    seen = np.ones((12, 20), dtype=bool)
    seen[:, 7] = False
    with pytest.raises(UserError, match="1 of 20 samples are NaN, first that of sample 7"):
        select(methods.get("el2n"), evidence_of(20, seen=seen), 5)


@pytest.mark.parametrize("count", [0, -1, 21])
def test_a_count_outside_1_to_n_is_refused(count):
    with pytest.raises(UserError, match=f"count is {count}"):
        select(methods.get("random"), evidence_of(20), count)


def test_more_preselected_than_selected_is_refused():
    with pytest.raises(UserError, match="3 samples are preselected"):
        select(methods.get("random"), evidence_of(20, preselected=np.arange(3)), 2)


def test_balance_needs_labels():
    unlabelled = Evidence({"features": np.ones((9, 2))})
    assert len(select(methods.get("random"), unlabelled, 3).indices) == 3
    with pytest.raises(UserError, match="lacks labels"):
        select(methods.get("random"), unlabelled, 3, balance="class")


def method_that(pick) -> Method:
    """Return a method that selects by `pick(evidence, count, rng)`."""
    about = {"summary": "Pick.", "reference": "", "cost": "", "options": {}, "source": Path()}
    return Method(name="mine", label="mine", needs=(), balance="class", select=pick, **about)


def test_weights_of_selecting_methods_follow_their_samples():
    def by_label(evidence, count, rng):
        rest = np.setdiff1d(np.arange(len(evidence)), evidence.preselected)
        indices = np.concatenate([evidence.preselected, rest])[:count]
        return Picks(indices, 1.0 + evidence["labels"][indices])

    evidence = evidence_of(30, preselected=np.array([8, 3]))
    selection = select(replace(method_that(by_label), weighted=True), evidence, 12)
    assert set(selection.indices[:2].tolist()) == {8, 3}
    np.testing.assert_array_equal(selection.weights, 1 + evidence["labels"][selection.indices])


def test_weights_of_a_method_that_says_it_has_none_are_a_bug():
    erring = method_that(lambda evidence, count, rng: Picks(np.arange(count), np.ones(count)))
    with pytest.raises(AssertionError, match="not registered as weighted"):
        select(erring, evidence_of(30), 3)


@pytest.mark.parametrize(
    "picked", [[0, 0, 1], [0, 1], [1, 2, 3]], ids=["twice", "too few", "not the preselected"]
)
def test_a_method_that_errs_is_found_out(picked):
    erring = method_that(lambda evidence, count, rng: np.array(picked))
    evidence = Evidence({"labels": np.zeros(5, int), "preselected": np.array([0])})
    with pytest.raises(AssertionError, match="mine did not pick 3"):
        select(erring, evidence, 3)


# --- windows


def test_the_grid_of_200_epochs_has_190_pairs():
    starts = grid(200, 10, 10)
    assert starts == list(range(1, 192, 10))
    assert len(window_pairs(starts, 10, 200)) == 190


def test_pairs_do_not_overlap():
    assert window_pairs([100, 1, 90, 95], 10, 200) == [
        (1, 90),
        (1, 95),
        (1, 100),
        (90, 100),
    ]
    with pytest.raises(UserError, match="195 to 204"):
        window_pairs([1, 195], 10, 200)
    with pytest.raises(UserError, match="no two windows of length 10 fit in 15 epochs"):
        window_pairs(grid(15, 10, 10), 10, 15)


@pytest.mark.parametrize("combine", ["sum", "normalized"])
def test_scores_of_pairs_are_those_of_eva(combine):
    evidence = evidence_of(30)
    options = {"length": 3, "combine": combine, "weight": 0.3, "ddof": 1}
    pairs = window_pairs(grid(12, 3, 3), 3, 12)
    every = score_pairs(evidence, pairs, methods.parse_options("eva", options))
    for (early, late), scores in zip(pairs, every, strict=True):
        expected = eva(evidence, early=early, late=late, **options)
        np.testing.assert_array_equal(scores, expected)
