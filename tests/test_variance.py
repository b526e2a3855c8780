"""Variance components, the intervals that follow, and intervals within 0–100 %."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medcoreset.analysis.variance import Design, bounded, seeds_for, spread, test_set

test_set.__test__ = False


def units(*counts: int) -> pd.MultiIndex:
    """Of two counts, a selection for each training; of three, several trainings for each selection."""
    return with_selections(itertools.product(*map(range, counts)))


def with_selections(units) -> pd.MultiIndex:
    return pd.MultiIndex.from_tuples(
        [(s, *rest, t) if rest else (s, t, t) for s, *rest, t in units]
    )


def own_seeds(surrogates: int, seeds: int) -> pd.MultiIndex:
    return with_selections((s, seeds * s + t) for s in range(surrogates) for t in range(seeds))


def paired(surrogates: int, trainings: int) -> pd.MultiIndex:
    """A selection for each surrogate, and several trainings for each."""
    return with_selections(
        (s, s, 1000 * t + s) for s in range(surrogates) for t in range(trainings)
    )


@pytest.mark.parametrize(
    ("index", "design", "sources"),
    [
        (units(1, 1), "one run", ["training"]),
        (units(1, 5), "shared", ["training"]),
        (units(5, 1), "surrogates", ["surrogate"]),
        (own_seeds(5, 1), "paired", ["surrogate and training"]),
        (units(3, 4), "crossed", ["surrogate", "training", "surrogate × training"]),
        (own_seeds(3, 4), "nested", ["surrogate", "training"]),
        (units(3, 2, 2), "nested", ["surrogate", "selection", "training"]),
        (units(1, 3, 2), "nested", ["selection", "training"]),
        (paired(4, 2), "nested", ["surrogate", "training"]),
        (units(3, 4)[:-1], "unbalanced", ["surrogate", "training", "residual"]),
    ],
)
def test_the_design_is_found_in_the_seeds(index, design, sources):
    values = pd.Series(np.random.default_rng(0).normal(80, 1, len(index)), index)
    found = spread(values)
    assert (found.design, list(found.components)) == (design, sources)
    again = spread(values.sample(frac=1, random_state=1))  # whatever the order of the runs
    assert again.components == pytest.approx(found.components, rel=1e-4, abs=1e-6, nan_ok=True)
    assert again.mean.half_width() == pytest.approx(found.mean.half_width(), rel=1e-4, nan_ok=True)


def test_without_a_surrogate_only_the_training_varies():
    index = pd.MultiIndex.from_tuples([(np.nan, 0, 0), (np.nan, 1, 1), (np.nan, 2, 2)])
    found = spread(pd.Series([1.0, 2.0, 6.0], index))
    assert (found.design, found.components) == ("shared", {"training": 7.0})


@given(st.lists(st.floats(0, 100), min_size=2, max_size=9))
def test_one_surrogate_gives_students_interval(values):
    found = spread(pd.Series(values, units(1, len(values))))
    half, sem = found.mean.half_width(), stats.sem(values)
    assert half == pytest.approx(stats.t.ppf(0.975, len(values) - 1) * sem, abs=1e-9)
    assert found.new.variance == pytest.approx(np.var(values, ddof=1) * (1 + 1 / len(values)))
    if sem > 1e-6:
        expected = stats.ttest_1samp(values, 50).pvalue
        assert found.mean.p_value(np.mean(values) - 50) == pytest.approx(expected, abs=1e-9)


def test_the_sums_of_squares_of_a_textbook():
    """Montgomery, Design and Analysis of Experiments, random looms: strength of four samples each."""
    runs = np.array([[98, 97, 99, 96], [91, 90, 93, 92], [96, 95, 97, 95], [95, 96, 99, 98]])
    found = spread(pd.Series(runs.ravel().astype(float), own_seeds(4, 4)))
    # Mean squares 29.73 of looms and 1.90 of error.
    assert found.components == pytest.approx({"surrogate": 6.96, "training": 1.90}, abs=0.01)
    assert found.mean.variance == pytest.approx(29.729 / 16, abs=1e-3)
    assert found.mean.freedom == 3


@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_crossed_squares_by_brute_force(surrogates, seeds, seed):
    """Every sum of squares is a squared length of a projection onto its effect."""
    y = np.random.default_rng(seed).normal(size=(surrogates, seeds))
    found = Design.of(units(surrogates, seeds)).spread(y.ravel())
    total = ((y - y.mean()) ** 2).sum()
    of_s = sum(seeds * (row.mean() - y.mean()) ** 2 for row in y)
    of_r = sum(surrogates * (column.mean() - y.mean()) ** 2 for column in y.T)
    ms_s, ms_r = of_s / (surrogates - 1), of_r / (seeds - 1)
    ms_e = (total - of_s - of_r) / ((surrogates - 1) * (seeds - 1))
    expected = [(ms_s - ms_e) / seeds, (ms_r - ms_e) / surrogates, ms_e]
    assert list(found.components.values()) == pytest.approx(np.maximum(expected, 0), abs=1e-9)


PLANTED = {"surrogate": 1.5, "training": 0.8, "rest": 0.5}


def planted(random: np.random.Generator, surrogates: int, seeds: int) -> np.ndarray:
    """Return 80 % and the planted deviations of surrogates, trainings and single runs."""
    of_s, of_t = (
        random.normal(0, PLANTED[name], n)
        for name, n in (("surrogate", surrogates), ("training", seeds))
    )
    return 80 + of_s[:, None] + of_t + random.normal(0, PLANTED["rest"], (surrogates, seeds))


def test_planted_components_are_found_on_average():
    random, design = np.random.default_rng(0), Design.of(units(6, 5))
    found = [design.spread(planted(random, 6, 5).ravel()).components for _ in range(1500)]
    mean = pd.DataFrame(found).mean().to_numpy()
    np.testing.assert_allclose(mean, np.square(list(PLANTED.values())), rtol=0.08)


def test_an_unbalanced_design_is_fitted_to_the_same_components():
    random = np.random.default_rng(1)
    values = pd.Series(planted(random, 25, 20).ravel(), units(25, 20))
    whole, part = spread(values), spread(values[random.random(len(values)) < 0.9])
    assert (whole.design, part.design) == ("crossed", "unbalanced")
    mine, theirs = list(part.components.values()), list(whole.components.values())
    np.testing.assert_allclose(mine, theirs, rtol=0.15)
    assert part.mean.variance == pytest.approx(whole.mean.variance, rel=0.15)


@pytest.mark.parametrize("index", [units(1, 3), own_seeds(5, 1), units(3, 3), own_seeds(4, 3)])
def test_intervals_hold_what_they_are_of(index):
    """At least 93 of 100 intervals hold the mean, and a new surrogate's new run."""
    random, design, tries = np.random.default_rng(2), Design.of(index), 2000
    labels = index.to_frame(index=False)
    shared = labels[0].nunique() == 1
    held = np.zeros(2)
    for _ in range(tries):
        of_s = 0 if shared else random.normal(0, 1.5, 100)
        of_t = random.normal(0, 0.8, 100)
        rest = random.normal(0, 0.5, len(labels) + 1)
        values = (0 if shared else of_s[labels[0]]) + of_t[labels[1]] + rest[:-1]
        new = (0 if shared else of_s[-1]) + of_t[-1] + rest[-1]
        found = design.spread(values)
        held[0] += abs(found.average) < found.mean.half_width()
        held[1] += abs(found.average - new) < found.new.half_width()
    assert (held / tries > 0.93).all(), held / tries


@given(st.floats(0, 100), st.floats(0, 500))
def test_intervals_of_percentages_stay_within_0_and_100(mean, half):
    low, high = bounded(mean, half)
    if 0 < mean / 100 < 1:
        assert 0 <= low <= mean + 1e-9
        assert mean - 1e-9 <= high <= 100
    elif half == mean == 0:
        assert (low, high) == (mean, mean)


def test_a_bounded_interval_is_rs_svyciprop():
    """A Wald interval of the logit, near Student's where that is far from 0 and 100.

    plogis(qlogis(p) + c(-1, 1) * qt(.975, 4) * se / (p * (1 - p))) with p = .92 and se = .013.
    """
    low, high = bounded(92.0, 100 * stats.t.ppf(0.975, 4) * 0.013)
    logit = np.log(0.92 / 0.08)
    step = 2.7764451 * 0.013 / (0.92 * 0.08)
    expected = [100 / (1 + np.exp(-logit - sign * step)) for sign in (-1, 1)]
    assert (low, high) == pytest.approx(expected, abs=1e-4)
    assert bounded(50.0, 0.5) == pytest.approx((49.5, 50.5), abs=1e-4)


@pytest.mark.parametrize(("n", "accuracy"), [(3, 0.9), (5, 0.97), (10, 0.6)])
def test_a_bounded_interval_covers_as_students_does(n, accuracy):
    """Accuracies of 300 images whose true value varies between seeds, on the logit scale."""
    random, tries = np.random.default_rng(3), 4000
    true = 1 / (1 + np.exp(-np.log(accuracy / (1 - accuracy)) - random.normal(0, 0.2, (tries, n))))
    values = 100 * random.binomial(300, true) / 300
    long = 1 / (1 + np.exp(-np.log(accuracy / (1 - accuracy)) - random.normal(0, 0.2, 10**6)))
    halves = stats.t.ppf(0.975, n - 1) * values.std(axis=1, ddof=1) / np.sqrt(n)
    ends = np.array([bounded(*both) for both in zip(values.mean(axis=1), halves, strict=True)])
    held = (ends[:, 0] <= 100 * long.mean()) & (100 * long.mean() <= ends[:, 1])
    assert 0.93 < held.mean() < 0.97


def test_the_test_images_vary_as_a_binomial():
    random = np.random.default_rng(4)
    drawn = 100 * random.binomial(250, 0.9, 200_000) / 250
    assert test_set(90.0, 250) == pytest.approx(drawn.var(), rel=0.02)


@pytest.mark.parametrize(
    ("difference", "deviation", "pairs"),
    [(1, 1, 10), (0.5, 1, 34), (1, 4, 128), (1, 0.0, 2), (1, 1e-6, 2)],
)
def test_how_many_seeds_show_a_difference(difference, deviation, pairs):
    """R: power.t.test(delta = 1, sd = 1, power = .8, type = "paired") has n = 9.94; G*Power 34."""
    assert seeds_for(difference, deviation) == pairs


@pytest.mark.parametrize(("effect", "alpha"), [(0.7, 0.05), (3, 0.002), (5, 0.05), (5.7, 0.002)])
def test_so_many_pairs_and_no_fewer_have_the_power(effect, alpha):
    """By draws: T is (Z + d √n) / √(χ² / (n − 1))."""
    random, pairs = np.random.default_rng(0), seeds_for(effect, 1.0, alpha=alpha)
    for n, suffices in ((pairs, True), (pairs - 1, False)):
        if n < 2:
            continue
        freedom = n - 1
        z = random.normal(size=200_000) + effect * np.sqrt(n)
        t = z / np.sqrt(random.chisquare(freedom, 200_000) / freedom)
        power = np.mean(np.abs(t) > stats.t.ppf(1 - alpha / 2, freedom))
        assert power > 0.795 if suffices else power < 0.805


def test_differences_that_are_far_above_their_deviation_need_few_pairs():
    assert [seeds_for(each, 1.0, alpha=0.002) for each in (40, 60, 1000, 1e6)] == [3, 3, 2, 2]
