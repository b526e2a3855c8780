"""BWS: windows of a ranking, and the ridge regression that chooses among them, by definition."""

import numpy as np
import pytest
import torch

from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.methods.bws import fitted, windows
from medcoreset.selection.budget import class_budgets
from medcoreset.selection.select import select


def arrays_of(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.geometric(0.4, n) - 1, 2)
    features = rng.normal(size=(n, 4)) + 1.2 * np.eye(4)[labels]
    return {"labels": labels, "features": features, "error_norm": rng.random((10, n))}


def recognised(arrays: dict[str, np.ndarray], window: list[int], lam: float) -> int:
    """Return how many samples ridge regression in its dual form recognises from a window."""
    inputs = np.concatenate([np.ones((len(arrays["labels"]), 1)), arrays["features"]], axis=1)
    kernel = inputs @ inputs[window].T
    targets = np.eye(3)[arrays["labels"][window]]
    dual = np.linalg.solve(kernel[window] + lam * np.eye(len(window)), targets)
    return int(((kernel @ dual).argmax(axis=1) == arrays["labels"]).sum())


@pytest.mark.parametrize("lam", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("balance", ["global", "class"])
def test_the_window_that_recognises_most(balance, lam):
    arrays = arrays_of(80)
    hardest = np.argsort(-arrays["error_norm"].mean(axis=0))
    labels, count = arrays["labels"], 16
    sizes = np.bincount(labels)
    groups = labels if balance == "class" else np.zeros(80, dtype=int)
    budgets = class_budgets(sizes, count) if balance == "class" else [count]
    found, best = None, -1
    for tenth in range(11):
        window = []
        for group, budget in enumerate(budgets):
            own = hardest[groups[hardest] == group]
            start = min(tenth * len(own) // 10, len(own) - budget)
            window += own[start : start + budget].tolist()
        if (right := recognised(arrays, window, lam)) > best:
            found, best = window, right
    how = {"balance": balance, "options": {"of": "el2n", "step": 0.1, "lam": lam}}
    chosen = select(methods.get("bws"), Evidence(arrays), count, **how)
    assert chosen.indices.tolist() == found
    order = np.random.default_rng(1).permutation(80)
    other = {name: a[:, order] if name == "error_norm" else a[order] for name, a in arrays.items()}
    again = select(methods.get("bws"), Evidence(other), count, **how)
    assert order[again.indices].tolist() == found


def test_windows_reach_from_the_most_difficult_to_the_least():
    arrays = arrays_of(20) | {"preselected": np.array([3])}
    hard = np.arange(20.0)
    rng = np.random.default_rng(0)
    found = windows(Evidence(arrays), hard, 5, rng, 0.3)
    rest = [i for i in range(19, -1, -1) if i != 3]
    expected = [[3, *rest[start : start + 4]] for start in (0, 5, 11, 15)]
    assert [window.tolist() for window in found] == expected


def test_budgets_by_recall_go_to_a_method_of_all_classes():
    arrays = arrays_of(80)
    val = {
        "val_labels": np.repeat([0, 1, 2], 4),
        "val_probs": np.eye(3)[[0, 0, 0, 0] + [1, 1, 0, 0] * 2],
    }
    found = select(
        methods.get("bws"), Evidence(arrays | val), 20, balance="drop", options={"of": "el2n"}
    )
    shares = np.bincount(arrays["labels"][found.indices])
    assert shares[0] == 1
    assert shares.sum() == 20


def test_features_beside_which_the_ridge_is_nothing_are_fitted():
    """The ridge is lost in rounding, and without one the fit is as near as it can be."""
    one = torch.tensor([[1.0, -1.4e10, -1.2e10]], dtype=torch.float64)
    found = fitted(one, torch.tensor([0]), np.array([0]), 1.0)
    np.testing.assert_allclose(found, [[1.0]])
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 3
    spread = 1e12 * (np.eye(3)[labels] + 0.1 * rng.normal(size=(12, 3)))
    found = fitted(torch.from_numpy(spread), torch.from_numpy(labels), np.arange(12), 1.0)
    np.testing.assert_array_equal(found.argmax(dim=1), labels)
