import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, evidence, statistics
from tests import oracles

T, N, C = 6, 9, 4


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "labels": rng.integers(0, C, N),
        "probs": statistics.softmax(rng.normal(size=(T, N, C)) * 3),
        "seen": rng.random((T, N)) < 0.7,
    }


def per_epoch(arrays: Evidence, statistic: str) -> np.ndarray:
    """Return a statistic as (T, N), epoch by epoch."""
    return np.stack(
        [
            arrays.over_epochs(statistic, lambda rows: rows[0], t, t + 1)
            for t in range(arrays.epochs)
        ]
    )


def test_statistics_are_those_of_the_definitions(arrays):
    del arrays["seen"]
    p, labels = arrays["probs"], arrays["labels"]
    expected = {name: np.empty((T, N)) for name in statistics.STATISTICS}
    for t in range(T):
        for i, y in enumerate(labels):
            others = [p[t, i, k] for k in range(C) if k != y]
            one_hot = np.eye(C)[y]
            expected["error_norm"][t, i] = np.linalg.norm(p[t, i] - one_hot)
            expected["margin"][t, i] = p[t, i, y] - max(others)
            expected["logit_margin"][t, i] = np.log(p[t, i, y]) - np.log(max(others))
            expected["target_prob"][t, i] = p[t, i, y]
            expected["entropy"][t, i] = -sum(q * np.log(q) for q in p[t, i])
            expected["correct"][t, i] = p[t, i, y] > max(others)
    of_probs = Evidence(arrays)
    of_logs = Evidence({"labels": labels, "log_probs": np.log(p)})
    for name, values in expected.items():
        np.testing.assert_allclose(per_epoch(of_logs, name), values, rtol=1e-4, atol=1e-6)
        if name != "logit_margin":
            np.testing.assert_allclose(per_epoch(of_probs, name), values, rtol=1e-4, atol=1e-6)
    with pytest.raises(UserError, match="lacks logit_margin or log_probs and labels"):
        per_epoch(of_probs, "logit_margin")


def test_entropy_of_a_certain_prediction_is_zero():
    assert statistics.entropy(np.array([0.0, 1.0])) == 0


def test_error_norm_agrees_with_the_authors_code():
    official = oracles.load("eva_official")
    ours = Evidence({"labels": official["y"], "log_probs": official["out16"]})
    np.testing.assert_allclose(per_epoch(ours, "error_norm"), official["S"], rtol=1e-4, atol=1e-6)


def test_recorded_statistics_are_preferred_to_derived_ones(arrays):
    recorded = Evidence({**arrays, "margin": np.full((T, N), 0.25)})
    values = recorded.over_epochs("margin", statistics.mean)
    assert set(values[~np.isnan(values)]) == {0.25}


@pytest.mark.parametrize("ddof", [0, 1])
def test_unseen_records_are_left_out_or_zero(arrays, ddof):
    rows = statistics.error_norm(arrays["probs"].astype(np.float32), arrays["labels"])
    rows, seen = rows.astype(np.float64), arrays["seen"]
    masked = Evidence(arrays)
    zero = Evidence(arrays, missing="zero")

    def variance(values):
        return statistics.variance(values, ddof)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy, of samples with too few records
        expected_mean = np.nanmean(np.where(seen, rows, np.nan), axis=0)
        expected = np.nanvar(np.where(seen, rows, np.nan), axis=0, ddof=ddof)
    np.testing.assert_allclose(masked.over_epochs("error_norm", statistics.mean), expected_mean)
    np.testing.assert_allclose(masked.over_epochs("error_norm", variance), expected)
    of_zeros = zero.over_epochs("error_norm", variance)
    np.testing.assert_allclose(of_zeros, (rows * seen).var(axis=0, ddof=ddof))
    # A prediction that was not recorded is not a wrong one.
    assert np.isnan(per_epoch(zero, "correct")[~seen]).all()


def test_values_where_nothing_was_seen_do_not_matter(arrays):
    expected = Evidence(arrays).over_epochs("error_norm", statistics.mean)
    arrays["probs"][~arrays["seen"]] = np.nan
    np.testing.assert_array_equal(
        Evidence(arrays).over_epochs("error_norm", statistics.mean), expected
    )


def test_blocks_do_not_change_a_value(arrays, monkeypatch):
    whole = Evidence(arrays).over_epochs("margin", statistics.mean)
    monkeypatch.setattr(evidence, "BLOCK", 50)
    np.testing.assert_array_equal(Evidence(arrays).over_epochs("margin", statistics.mean), whole)


def test_a_folder_holds_the_same_evidence_as_an_npz(arrays, tmp_path):
    arrays["features"] = np.random.default_rng(0).normal(size=(N, 5))
    np.savez(tmp_path / "evidence.npz", **arrays, remarks=np.array("kept by the user"))
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    ours = [Evidence.load(tmp_path / "evidence.npz"), Evidence.load(folder)]
    for name in ("features", "labels"):
        np.testing.assert_array_equal(ours[0][name], ours[1][name])
    values = [each.over_epochs("entropy", statistics.mean) for each in ours]
    np.testing.assert_array_equal(*values)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_taking_samples_takes_them_from_everything(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    full = Evidence(
        {
            "labels": np.arange(N) % C,
            "probs": statistics.softmax(rng.normal(size=(T, N, C))),
            "logits": rng.normal(size=(N, C)),
            "similarity": rng.random((N, N)),
            "preselected": np.array([7, 2, 5]),
            "val_labels": np.array([0, 1]),
        }
    )
    rows = np.array(data.draw(st.lists(st.integers(0, N - 1), unique=True, min_size=1)))
    part = full.take(rows)
    again = part.take(np.arange(len(rows))[::-1])
    assert len(part) == len(rows)
    np.testing.assert_array_equal(part["labels"], full["labels"][rows])
    np.testing.assert_array_equal(part["final_probs"], full["final_probs"][rows])
    np.testing.assert_array_equal(part["similarity"], full["similarity"][np.ix_(rows, rows)])
    np.testing.assert_array_equal(part["val_labels"], [0, 1])
    mean = full.over_epochs("margin", statistics.mean)
    np.testing.assert_array_equal(part.over_epochs("margin", statistics.mean), mean[rows])
    np.testing.assert_array_equal(again.over_epochs("margin", statistics.mean), mean[rows][::-1])
    assert [int(rows[i]) for i in part.preselected] == [i for i in (7, 2, 5) if i in rows]
    assert part.classes == C


def test_what_follows_from_what():
    features = {"features": np.ones((N, 2)), "labels": np.zeros(N, int)}
    assert not Evidence(features).has("similarity")
    model = Evidence({**features, "logits": np.zeros((N, C))})
    assert model.has("gradients")
    assert model.has("similarity")
    np.testing.assert_allclose(model["final_probs"], 1 / C)


BROKEN = {
    "NaN": ("probs", lambda a: a["probs"].__setitem__((4, 2, 1), np.nan), r"probs\[4, 2\] has NaN"),
    "no probabilities": ("probs", lambda a: a.update(probs=a["probs"] * 2), "must add up to 1"),
    "label too high": (
        "labels",
        lambda a: a["labels"].__setitem__(3, C),
        r"labels\[3\] is 4, out of range: allowed are 0 to 3",
    ),
    "negative label": ("labels", lambda a: a["labels"].__setitem__(0, -1), "out of range"),
    "real labels": ("labels", lambda a: a.update(labels=a["labels"] * 1.0), "float64"),
    "labels as a column": ("labels", lambda a: a.update(labels=a["labels"][:, None]), "shape"),
    "too few labels": ("labels", lambda a: a.update(labels=a["labels"][1:]), "shape"),
    "infinite features": ("features", lambda a: a.update(features=np.full((N, 2), np.inf)), "inf"),
    "log of nothing": ("log_probs", lambda a: a.update(log_probs=a["probs"]), "log-probabilities"),
    "preselected twice": ("preselected", lambda a: a.update(preselected=[1, 1]), "twice"),
    "preselected beyond": ("preselected", lambda a: a.update(preselected=[0, N]), "out of range"),
    "no sample": ("labels", lambda a: a.update(labels=a["labels"][:0]), "shape|empty"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_evidence_is_named(arrays, what):
    name, spoil, message = BROKEN[what]
    arrays["seen"][4, 2] = True
    spoil(arrays)
    with pytest.raises(UserError, match=message) as mistake:
        Evidence({key: np.asarray(array) for key, array in arrays.items()}, name="mine.npz")
    assert name in str(mistake.value)
    assert "mine.npz" in str(mistake.value)


def test_nan_in_a_memory_map_is_found_where_it_is_read(tmp_path):
    rows = np.random.default_rng(0).random((T, N))
    rows[4, 1] = np.nan
    np.save(tmp_path / "error_norm.npy", rows)
    mapped = Evidence.load(tmp_path)
    assert np.isfinite(mapped.over_epochs("error_norm", statistics.mean, stop=4)).all()
    with pytest.raises(UserError, match=r"error_norm\[4, 1\] has NaN"):
        mapped.over_epochs("error_norm", statistics.mean)


def test_files_that_are_no_evidence_are_named(tmp_path):
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, labels=np.array([{}]), allow_pickle=True)
    text = tmp_path / "text.npz"
    text.write_text("labels")
    other = tmp_path / "other.npz"
    np.savez(other, x=np.ones(3))
    for path in (pickled, text, other, tmp_path / "absent.npz"):
        with pytest.raises(UserError, match=path.name):
            Evidence.load(path)
