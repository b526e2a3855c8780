"""CLD against numpy's correlation, sample by sample."""

import numpy as np
import pytest

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.selection.select import score
from tests.any_evidence import arrays_of, needed

CLD = methods.get("cld")


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return arrays_of(needed(CLD), 40, epochs=9)


def changes_of(arrays: dict[str, np.ndarray], label: int) -> np.ndarray:
    ours = arrays["val_labels"] == label
    losses = -np.log(np.maximum(arrays["val_target_prob"], 1e-12))
    return np.diff(losses[:, ours if ours.any() else slice(None)].mean(axis=1))


def test_it_is_the_correlation_of_changes(arrays):
    arrays["target_prob"][:, 5] = 0.3  # never changes
    arrays["target_prob"][2, 6] = 0.0
    found = score(CLD, Evidence(arrays))
    losses = -np.log(np.maximum(arrays["target_prob"], 1e-12))
    for i, label in enumerate(arrays["labels"]):
        expected = (
            np.corrcoef(np.diff(losses[:, i]), changes_of(arrays, label))[0, 1] if i != 5 else 0
        )
        assert found[i] == pytest.approx(expected, abs=1e-6)


def test_a_class_without_validation_samples_is_compared_with_all(arrays):
    arrays["val_labels"][arrays["val_labels"] == 1] = 0
    found = score(CLD, Evidence(arrays))
    of_class = np.flatnonzero(arrays["labels"] == 1)
    i = of_class[0]
    expected = np.corrcoef(np.diff(-np.log(arrays["target_prob"][:, i])), changes_of(arrays, 1))
    assert found[i] == pytest.approx(expected[0, 1], abs=1e-6)


def test_epochs_that_left_a_sample_out_have_no_change(arrays):
    seen = np.ones((9, 40), dtype=bool)
    seen[3, 7] = False
    found = score(CLD, Evidence(arrays | {"seen": seen}))
    changes = np.diff(-np.log(arrays["target_prob"][:, 7]))
    known = np.array([0, 1, 4, 5, 6, 7])  # all but 2 → 3 and 3 → 4
    of = changes_of(arrays, arrays["labels"][7])
    assert found[7] == pytest.approx(np.corrcoef(changes[known], of[known])[0, 1], abs=1e-6)


def test_too_few_epochs(arrays):
    short = {name: a[:2] if len(a) == 9 else a for name, a in arrays.items()}
    with pytest.raises(UserError, match=r"^cld: correlates differences of 3 epochs"):
        score(CLD, Evidence(short))


def test_a_wrong_value_of_the_validation_samples_is_named(arrays):
    arrays["val_target_prob"][4, 2] = 1.5
    with pytest.raises(UserError, match=r"val_target_prob\[4, 2\] is 1.5"):
        Evidence(arrays | {"seen": np.ones((9, 40), dtype=bool)})
