"""Paired differences, the rows that may be the best, and mean ranks, on made-up runs."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medcoreset.analysis import comparison
from medcoreset.analysis.aggregate import SEEDS


def runs(values: dict[str, np.ndarray], **place) -> list[dict]:
    """Return lines of single runs: values (S, R) by method; (R,) without a surrogate."""
    where = {"dataset": "d", "protocol": "p", "network": "n", "rate": 0.1, "metric": "accuracy"}
    return [
        where
        | {
            "surrogate": "none" if array.ndim == 1 else "net",
            "surrogate_seed": np.nan if array.ndim == 1 else s,
            "method": method,
            "selection_seed": seed,
            "seed": seed,
            "value": value,
            "samples": 500,
        }
        | place
        for method, array in values.items()
        for s, row in enumerate(np.atleast_2d(array))
        for seed, value in enumerate(row)
    ]


def frame(lines: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=SEEDS)


@settings(max_examples=25)
@given(st.integers(3, 8), st.integers(0, 2**32 - 1))
def test_differences_are_scipys_paired_t_test(n, seed):
    random = np.random.default_rng(seed)
    shared = random.normal(80, 3, n)
    rows = {"random": shared + random.normal(0, 1, n)}
    rows |= {key: (shared + random.normal(1, 1, n))[None] for key in ("el2n", "eva")}
    found = comparison.paired(frame(runs(rows))).set_index("method")
    p = []
    for key in ("el2n", "eva"):
        expected = stats.ttest_rel(rows[key][0], rows["random"])
        low, high = expected.confidence_interval(0.95)
        row = found.loc[key]
        assert row["p"] == pytest.approx(expected.pvalue, rel=1e-6)
        assert (row["gain_low"], row["gain_high"]) == pytest.approx((low, high))
        assert (row["pairs"], row["reference"], row["surrogate"]) == (n, "random", "net")
        p.append(row["p"])
    # Holm by hand: the smaller of two is doubled, the larger at least as much.
    smaller, larger = sorted(p)
    expected = [min(2 * smaller, 1), min(max(2 * smaller, larger), 1)]
    assert sorted(found["p_holm"]) == pytest.approx(expected)


def test_any_row_can_be_the_reference_and_cells_are_apart():
    rows = {"random": np.array([1.0, 2, 3]), "eva": np.array([[2.0, 4, 6]])}
    lines = runs(rows) + runs({key: row + 10 for key, row in rows.items()}, rate=0.2)
    lines += runs({"full": np.array([9.0, 9, 9.5])}, rate=1.0)
    found = comparison.paired(frame(lines), "eva")
    assert found[["method", "rate", "gain"]].to_numpy().tolist() == [
        ["random", 0.1, -2.0],
        ["random", 0.2, -2.0],
    ]
    found = comparison.paired(frame(lines), "full").set_index(["method", "rate"])["gain"]
    assert found["eva", 0.1] == pytest.approx(4 - 27.5 / 3)
    assert found["random", 0.2] == pytest.approx(12 - 27.5 / 3)
    assert comparison.paired(frame(lines), "aum").empty


def test_only_shared_seeds_are_pairs():
    lines = runs({"random": np.array([1.0, 2, 3, 90]), "eva": np.array([[2.0, 4, 6]])})
    (row,) = comparison.paired(frame(lines)).to_dict("records")
    assert (row["pairs"], row["gain"]) == (3, pytest.approx(2))


def test_one_pair_and_equal_differences_have_no_p_value():
    for values, pairs in ((np.array([[2.0]]), 1), (np.array([[2.0, 3, 4]]), 3)):
        lines = runs({"random": np.arange(1.0, 1 + pairs), "eva": values})
        (row,) = comparison.paired(frame(lines)).to_dict("records")
        assert (row["pairs"], row["gain"]) == (pairs, 1)
        assert np.isnan([row["p"], row["p_holm"]]).all()


def test_random_is_paired_with_every_surrogate():
    random = np.random.default_rng(0)
    free, selected = random.normal(80, 1, 4), random.normal(81, 1, (3, 4))
    (row,) = comparison.paired(frame(runs({"random": free, "eva": selected}))).to_dict("records")
    assert row["pairs"] == 12
    assert row["gain"] == pytest.approx((selected - free).mean())
    # Of twelve differences that are crossed, not independent, the error is larger.
    naive = (selected - free).std(ddof=1) / np.sqrt(12)
    of_surrogates = (selected - free).mean(axis=1).std(ddof=1) / np.sqrt(3)
    assert row["gain_se"] >= max(of_surrogates, 0.5 * naive)


def test_intervals_of_crossed_differences_hold_the_gain():
    """Surrogates shift a method's gain, and seeds the reference's runs."""
    random, lines = np.random.default_rng(1), []
    for i in range(300):
        free = random.normal(80, 1, 4)
        selected = 80 + random.normal(1, 1, (4, 1)) + random.normal(0, 0.5, (4, 4))
        lines += runs({"random": free, "eva": selected}, dataset=f"d{i}")
    found = comparison.paired(frame(lines))
    assert len(found) == 300
    held = (found["gain"] - 1).abs() <= found["gain_high"] - found["gain"]
    assert held.mean() > 0.93


def test_rows_without_a_surrogate_are_paired_by_their_other_seeds():
    lines = runs({"random": np.array([1.0, 2, 3]), "other": np.array([2.0, 4, 6])})
    (row,) = comparison.paired(frame(lines)).to_dict("records")
    assert (row["pairs"], row["gain"]) == (3, pytest.approx(2))


def test_the_table_has_each_cells_difference():
    rows = {"random": np.array([1.0, 2, 3]), "eva": np.array([[2.0, 4, 6]])}
    seeds = frame(runs(rows) + runs(rows, metric="auc"))
    place = {"dataset": "d", "protocol": "p", "network": "n", "rate": 0.1}
    table = pd.DataFrame(
        [
            place | {"surrogate": surrogate, "method": method, "metric": metric}
            for surrogate, method in (("none", "random"), ("net", "eva"))
            for metric in ("accuracy", "auc", "recall_0")
        ]
    )
    found = comparison.compare(table, seeds, "random")
    assert found["gain"].fillna(0).tolist() == [0, 0, 0, 2, 2, 0]
    back = comparison.compare(table, seeds, "eva")
    assert back["gain"].fillna(0).tolist() == [-2, -2, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("gain", "p_holm", "better"),
    [(2, 0.01, True), (2, 0.06, False), (-2, 0.01, False), (np.nan, np.nan, False)],
)
def test_better_is_what_the_corrected_comparison_shows(gain, p_holm, better):
    assert comparison.is_better(pd.Series({"gain": gain, "p_holm": p_holm})) == better


def test_findings_name_the_sources_of_variance():
    random = np.random.default_rng(4)
    for surrogates, design in ((1, "shared"), (3, "crossed")):
        lines = runs({"eva": random.normal(80, 1, (surrogates, 3)), "random": np.ones(3)})
        found = comparison.findings(frame(lines))
        assert found.designs == {design}
        assert "training" in found.deviations
    assert found.test_set == pytest.approx(100 * np.sqrt(0.8 * 0.2 / 500), rel=3)


def test_ranks_of_demsars_example():
    """Demšar, JMLR 7, 2006, Table 6: four variants of C4.5 on 14 data sets."""
    auc = """.763 .768 .771 .798 .599 .591 .590 .569 .954 .971 .968 .967 .628 .661 .654 .657
    .882 .888 .886 .898 .936 .931 .916 .931 .661 .668 .609 .685 .583 .583 .563 .625
    .775 .838 .866 .875 1.000 1.000 1.000 1.000 .940 .962 .965 .962 .619 .666 .614 .669
    .972 .981 .9751 .975 .957 .978 .946 .970"""
    means = pd.DataFrame(np.array(auc.split(), float).reshape(14, 4), columns=list("abcd"))
    found = comparison.ranks(means)
    assert found.mean.tolist() == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=6e-4)
    assert found.blocks == 14
    assert found.critical == pytest.approx(1.25, abs=0.005)
    by_hand = 12 * 14 / (4 * 5) * ((found.mean**2).sum() - 4 * 25 / 4)
    assert by_hand == pytest.approx(9.28, abs=0.005)
    equal = [np.unique(row, return_counts=True)[1] for row in means.to_numpy()]
    ties = 1 - sum((counts**3 - counts).sum() for counts in equal) / (14 * 4 * 15)
    assert found.p == pytest.approx(stats.chi2.sf(by_hand / ties, 3))
    assert comparison.groups(found.mean.sort_values(), found.critical) == [(0, 3)]


@given(st.lists(st.floats(1, 8), min_size=2, max_size=8), st.floats(0.1, 5))
def test_bars_join_what_is_not_told_apart(ranks, critical):
    ordered = pd.Series(sorted(ranks))
    bars = comparison.groups(ordered, critical)
    for i in range(len(ranks)):
        for j in range(i + 1, len(ranks)):
            joined = any(first <= i and j <= last for first, last in bars)
            assert joined == (ordered[j] <= ordered[i] + critical)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(bars))
