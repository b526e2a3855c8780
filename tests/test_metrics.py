"""The metrics against scikit-learn, MedMNIST's evaluator and their definitions."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset.errors import UserError
from medcoreset.reporting.metrics import (
    METRICS,
    auroc,
    average_precision,
    detections,
    evaluate,
    of_coreset,
    softmax,
    worst_recall,
)


def split(seed: int, n: int, classes: int, quantum: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that know a little of labels of unequal frequency; rounded to `quantum` for ties."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, size=n, p=(w := np.arange(1, classes + 1)) / w.sum())
    labels[:classes] = np.arange(classes)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    if quantum:
        logits = np.round(logits / quantum) * quantum
    return logits.astype(np.float32), labels


def test_every_metric_of_a_table_is_evaluated() -> None:
    metrics = evaluate(*split(0, 50, 3))
    metrics["worst_recall"] = worst_recall(metrics["recall"])
    assert all(0 <= metrics[metric] <= 1 for metric in METRICS)


@pytest.mark.parametrize("classes", [2, 3, 11])
@pytest.mark.parametrize("quantum", [0.0, 0.5])
def test_agrees_with_medmnist_evaluator(classes: int, quantum: float) -> None:
    evaluator = pytest.importorskip("medmnist.evaluator")
    logits, labels = split(classes, 700, classes, quantum)
    task = "binary-class" if classes == 2 else "multi-class"
    metrics = evaluate(logits, labels)
    probs = softmax(logits.astype(np.float64))
    assert metrics["auc"] == pytest.approx(evaluator.getAUC(labels, probs, task), abs=1e-12)
    assert metrics["accuracy"] == pytest.approx(evaluator.getACC(labels, probs, task), abs=1e-12)


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(12, 80),
    classes=st.integers(2, 6),
    quantum=st.sampled_from([0.0, 1.0]),
)
@settings(max_examples=40, deadline=None)
def test_agrees_with_scikit_learn(seed: int, n: int, classes: int, quantum: float) -> None:
    from sklearn import metrics as sklearn

    logits, labels = split(seed, n, classes, quantum)
    predicted = logits.argmax(axis=1)
    metrics = evaluate(logits, labels)
    assert metrics["accuracy"] == pytest.approx(sklearn.accuracy_score(labels, predicted))
    assert metrics["balanced_accuracy"] == pytest.approx(
        sklearn.balanced_accuracy_score(labels, predicted)
    )
    assert metrics["macro_f1"] == pytest.approx(
        sklearn.f1_score(labels, predicted, average="macro")
    )
    assert metrics["recall"] == pytest.approx(
        sklearn.recall_score(labels, predicted, average=None, labels=np.arange(classes))
    )


def test_ece_is_its_definition() -> None:
    logits, labels = split(3, 500, 7)
    probs = softmax(logits.astype(np.float64))
    confidence, predicted = probs.max(axis=1), probs.argmax(axis=1)
    expected = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            accuracy = np.mean(predicted[inside] == labels[inside])
            expected += inside.mean() * abs(accuracy - confidence[inside].mean())
    assert evaluate(logits, labels)["ece"] == pytest.approx(expected)


def test_ece_of_certain_and_of_blind_predictions() -> None:
    labels = np.array([0, 1, 2, 3] * 5)
    certain = 1000.0 * np.eye(4)[labels]
    assert evaluate(certain, labels)["ece"] == 0
    assert evaluate(-certain, labels)["ece"] == pytest.approx(1 / 3)  # 0 right at confidence 1/3
    assert evaluate(np.zeros((20, 4)), labels)["ece"] == pytest.approx(0)  # 1/4 right at 1/4


def test_an_absent_class_is_left_out() -> None:
    logits, labels = split(5, 300, 5)
    kept = labels != 2
    metrics = evaluate(logits[kept], labels[kept])
    assert metrics["recall"][2] is None
    present = [r for r in metrics["recall"] if r is not None]
    assert metrics["balanced_accuracy"] == pytest.approx(np.mean(present))

    from sklearn.metrics import roc_auc_score

    probs = softmax(logits[kept].astype(np.float64))
    areas = [roc_auc_score(labels[kept] == c, probs[:, c]) for c in (0, 1, 3, 4)]
    assert metrics["auc"] == pytest.approx(np.mean(areas))


def test_a_split_of_one_class_has_no_auc() -> None:
    metrics = evaluate(np.array([[0.0, 1.0, 0.0], [2.0, 1.0, 0.0]]), np.array([1, 1]))
    assert metrics["auc"] is None
    assert metrics["recall"] == [None, 0.5, None]
    assert metrics["n"] == 2
    json.dumps(metrics, allow_nan=False)


def test_takes_tensors_and_extreme_logits() -> None:
    torch = pytest.importorskip("torch")
    logits, labels = split(6, 50, 3)
    assert evaluate(torch.tensor(logits), torch.tensor(labels)) == evaluate(logits, labels)
    assert evaluate(np.array([[1e30, 0.0], [0.0, 1e30]]), np.array([0, 1]))["auc"] == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_diverged_logits_are_a_mistake_with_a_name(bad: float) -> None:
    with pytest.raises(UserError, match="diverged"):
        evaluate(np.array([[bad, 0.0]]), np.array([0]))


def test_an_empty_split_is_a_mistake_with_a_name() -> None:
    with pytest.raises(UserError, match="no samples"):
        evaluate(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))


@given(seed=st.integers(0, 2**32), n=st.integers(2, 60), quantum=st.sampled_from([0.0, 1.0]))
@settings(max_examples=60, deadline=None)
def test_detection_agrees_with_scikit_learn(seed: int, n: int, quantum: float) -> None:
    from sklearn import metrics as sklearn

    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    positive[:2] = True, False
    scores = rng.normal(size=n) + positive
    if quantum:
        scores = np.round(scores / quantum) * quantum
    assert auroc(scores, positive) == pytest.approx(sklearn.roc_auc_score(positive, scores))
    precision = sklearn.average_precision_score(positive, scores)
    assert average_precision(scores, positive) == pytest.approx(precision)
    found, wrong = detections(scores, positive)
    assert (found[-1], wrong[-1]) == (positive.sum(), n - positive.sum())
    for threshold, hits, misses in zip(np.unique(scores)[::-1], found[1:], wrong[1:], strict=True):
        assert hits == sum(positive[i] for i in range(n) if scores[i] >= threshold)
        assert misses == sum(not positive[i] for i in range(n) if scores[i] >= threshold)


def test_nothing_to_detect_is_no_number() -> None:
    scores, none = np.arange(4.0), np.zeros(4, bool)
    assert auroc(scores, none) is None
    assert auroc(scores, ~none) is None
    assert average_precision(scores, none) is None
    assert average_precision(scores, ~none) == 1


def test_what_a_coreset_holds() -> None:
    wrong = np.array([True, False, True, False, False])
    origin = np.array([7, 8, 7, 9, 8])
    assert of_coreset(wrong, origin, np.array([0, 2, 3])) == pytest.approx(
        {"wrong_labels": 2 / 3, "repeated": 1 / 3, "n": 3}
    )
    assert of_coreset(wrong, origin, np.arange(5)) == pytest.approx(
        {"wrong_labels": 0.4, "repeated": 0.4, "n": 5}
    )
    assert worst_recall([0.5, None, 0.25]) == 0.25
    assert worst_recall([None]) is None
