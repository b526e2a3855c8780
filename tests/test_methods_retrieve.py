"""RETRIEVE: GLISTER's loop over unlabelled samples, against an implementation that writes all out."""

import numpy as np
import pytest

from medcoreset.evidence import Evidence, statistics
from tests.gradient_cases import arrays_of, choose, gradients_of
from tests.method_cases import ranks


def written_out(arrays: dict[str, np.ndarray], count: int, eta: float, threshold: float) -> list:
    """Return the picks, by gradients of the labelled loss at parameters that are stepped one by one."""
    probs = statistics.softmax(arrays["logits"])
    hypothesised = probs.argmax(axis=1)
    gradients = gradients_of(arrays["features"], probs, hypothesised)
    gradients[probs.max(axis=1) < threshold] = 0
    inputs = np.hstack([np.ones((30, 1)), arrays["val_features"]])
    logits = np.log(arrays["val_probs"])
    picks: list[int] = []
    for _ in range(count):
        p = statistics.softmax(logits)
        error = p - np.eye(p.shape[1])[arrays["val_labels"]]
        gains = gradients @ (error.T @ inputs).ravel()
        gains[picks] = -np.inf
        pick = int(gains.argmax())
        picks.append(pick)
        logits = logits - eta * inputs @ gradients[pick].reshape(p.shape[1], -1).T
    return picks


@pytest.mark.parametrize("threshold", [0.0, 0.6])
@pytest.mark.parametrize("seed", range(2))
def test_picks_are_those_of_the_loop_written_out(seed, threshold):
    arrays = arrays_of(60, seed=seed)
    options = {"eta": 0.3, "threshold": threshold}
    expected = written_out(arrays, 10, options["eta"], threshold)
    found = choose("retrieve", arrays, 10, balance="global", options=options).indices.tolist()
    unsure = statistics.softmax(arrays["logits"]).max(axis=1) < threshold
    # Samples without a loss are equal, and of equal ones a random one is picked.
    decided = next((i for i, pick in enumerate(expected) if unsure[pick]), 10)
    assert decided >= 3
    assert found[:decided] == expected[:decided]


def test_labels_of_the_samples_are_not_looked_at():
    arrays = arrays_of(60)
    without = {name: values for name, values in arrays.items() if name != "labels"}
    mixed = arrays | {"labels": arrays["labels"][ranks(0, 60)]}
    picks = [
        choose("retrieve", each, 10, balance="global").indices.tolist()
        for each in (arrays, mixed, without)
    ]
    assert picks[0] == picks[1] == picks[2]
    assert not Evidence(without).has("labels")
