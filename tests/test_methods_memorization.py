"""Memorization as Feldman and Zhang estimate it, of models of random subsets."""

import numpy as np
import pytest

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.selection.select import score
from tests.method_cases import choose

MEMORIZATION = methods.get("memorization")


def evidence_of(members: np.ndarray, correct: np.ndarray) -> Evidence:
    labels = np.zeros(members.shape[1], dtype=int)
    return Evidence({"labels": labels, "subset_members": members, "subset_correct": correct})


def test_four_models_of_four_samples():
    """Worked out by hand: each sample is in two or three of the subsets."""
    members = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 1], [0, 0, 1, 1]], dtype=bool)
    correct = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 1, 1, 1]], dtype=bool)
    found = score(MEMORIZATION, evidence_of(members, correct))
    np.testing.assert_allclose(found, [1 - 1 / 2, 1 / 2 - 1, 1 - 1, 1 / 2 - 0])


def test_numbers_are_as_good_as_flags():
    rng = np.random.default_rng(0)
    members, correct = rng.random((2, 50, 30)) < 0.7
    flags = score(MEMORIZATION, evidence_of(members, correct))
    numbers = score(MEMORIZATION, evidence_of(members.astype(np.uint8), correct.astype(np.int64)))
    np.testing.assert_array_equal(flags, numbers)
    for i in range(30):
        inside, outside = correct[members[:, i], i], correct[~members[:, i], i]
        assert flags[i] == pytest.approx(inside.mean() - outside.mean())


def test_what_is_learned_by_heart_is_kept_first():
    """Forty nearest-neighbour models of noisy labels: a wrong label is right only where it was seen."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 2)) + 6 * np.eye(2)[np.arange(60) % 2]
    labels = np.arange(60) % 2
    wrong = np.arange(0, 60, 10)
    labels[wrong] = 1 - labels[wrong]
    members = rng.random((40, 60)) < 0.7
    distances = ((features[:, None] - features) ** 2).sum(axis=2)
    correct = np.array(
        [labels[np.where(kept, distances, np.inf).argmin(axis=1)] == labels for kept in members]
    )
    evidence = Evidence({"labels": labels, "subset_members": members, "subset_correct": correct})
    assert set(choose("memorization", evidence, 6, balance="global").indices) == set(wrong)


@pytest.mark.parametrize("value", [True, False])
def test_a_sample_that_is_in_all_or_in_none_is_named(value):
    members = np.random.default_rng(0).random((30, 9)) < 0.5
    members[:, 4] = value
    with pytest.raises(UserError, match=rf"sample 4 is in {30 * value} of the 30 subsets"):
        score(MEMORIZATION, evidence_of(members, members))
