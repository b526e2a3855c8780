"""Several labels per sample: loss, dynamics, metrics and evidence against definitions and MedMNIST's evaluator."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medcoreset import methods, objective
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.evidence.arrays import of_classes
from medcoreset.evidence.gradients import Gradients
from medcoreset.recording import statistics as dynamics
from medcoreset.reporting.metrics import OF_LABELS, evaluate
from medcoreset.selection.select import score, select

OF_ROWS = ("margin", "logit_margin", "target_prob", "entropy", "correct")
"""Statistics that are those of the classes that rows of labels are."""


def sample(seed: int, n: int, labels: int, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    known = random.integers(0, 2, (n, labels))
    return (scale * random.normal(size=(n, labels)) + known).astype(np.float32), known


def powerset(logits: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits (n, 2^L) of all rows of labels as classes, and which the given ones are (n,)."""
    rows = np.array(list(itertools.product((0, 1), repeat=labels.shape[1])))
    joint = torch.from_numpy(
        logits.astype(np.float64) @ rows.T
    )  # of independent labels: Σ of those that are 1
    own = (labels[:, None] == rows).all(2).argmax(1)
    return joint, torch.from_numpy(own)


@settings(max_examples=40)
@given(seed=st.integers(0, 999), labels=st.integers(2, 6), scale=st.sampled_from([0.1, 2, 12]))
def test_dynamics_are_those_of_rows_of_labels_as_classes(seed, labels, scale):
    logits, known = sample(seed, 12, labels, scale)
    found = dynamics.statistics(torch.from_numpy(logits), torch.from_numpy(known))
    expected = dynamics.statistics(*powerset(logits, known))
    for name in OF_ROWS:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-4, atol=2e-5, err_msg=name)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    np.testing.assert_allclose(found["probs"], p, rtol=1e-5)
    np.testing.assert_allclose(found["error_norm"], np.sqrt(((p - known) ** 2).sum(1)), rtol=1e-4)


@settings(max_examples=40)
@given(seed=st.integers(0, 999), labels=st.integers(2, 6), scale=st.sampled_from([0.1, 2, 8]))
def test_evidence_derives_what_the_training_records(seed, labels, scale):
    logits, known = sample(seed, 12, labels, scale)
    recorded = dynamics.statistics(torch.from_numpy(logits), torch.from_numpy(known))
    p = statistics.sigmoid(logits)[None]
    for name in ("error_norm", "margin", "target_prob", "entropy", "correct"):
        derived = statistics.STATISTICS[name](p, known)[0]
        np.testing.assert_allclose(derived, recorded[name], rtol=2e-4, atol=2e-5, err_msg=name)


def test_margins_of_right_and_wrong_rows_by_hand():
    logits = torch.tensor([[2.0, -1.0, 3.0], [2.0, -1.0, 3.0]])
    labels = torch.tensor([[1, 0, 1], [0, 0, 0]])
    found = dynamics.statistics(logits, labels)
    # All right: the least sure label is the second. Two wrong: both would be turned.
    assert found["logit_margin"].tolist() == [1.0, -5.0]
    assert found["correct"].tolist() == [True, False]


def test_the_loss_is_the_mean_of_the_binary_cross_entropies():
    logits, known = map(torch.from_numpy, sample(0, 9, 14))
    found = objective.losses(logits, known)
    medmnist = nn.BCEWithLogitsLoss()(logits, known.float())
    torch.testing.assert_close(found.mean(), medmnist)
    recorded = dynamics.statistics(logits, known)["target_prob"]
    torch.testing.assert_close(-recorded.log(), 14 * found, rtol=1e-4, atol=1e-4)


def test_of_one_label_the_objective_is_torchs_to_the_bit():
    logits, labels = torch.randn(50, 7), torch.arange(50) % 7
    expected = nn.functional.cross_entropy(logits, labels, reduction="none")
    assert torch.equal(objective.losses(logits, labels), expected)
    assert torch.equal(objective.probabilities(logits, labels), torch.softmax(logits, 1))
    assert torch.equal(objective.right(logits, labels), logits.argmax(1) == labels)


@pytest.mark.parametrize("labels", [2, 14])
def test_metrics_are_those_of_medmnists_evaluator(labels):
    evaluator = pytest.importorskip("medmnist.evaluator")
    logits, known = sample(1, 300, labels)
    logits[:40] = np.round(logits[:40])  # ties
    found = evaluate(logits, known)
    task, p = "multi-label, binary-class", statistics.sigmoid(logits)
    assert found["auc"] == pytest.approx(evaluator.getAUC(known, p, task), abs=1e-12)
    assert found["accuracy"] == pytest.approx(evaluator.getACC(known, p, task), abs=1e-12)
    assert set(found) == {*OF_LABELS, "labels", "n"}
    assert (found["labels"], found["n"]) == (labels, 300)


def test_a_label_that_no_sample_has_is_left_out_of_the_auc():
    logits, known = sample(2, 60, 3)
    known[:, 1] = 0
    assert evaluate(logits, known)["auc"] == pytest.approx(
        evaluate(logits[:, [0, 2]], known[:, [0, 2]])["auc"]
    )
    assert evaluate(logits, np.zeros_like(known))["auc"] is None


def evidence(**more: np.ndarray) -> Evidence:
    random = np.random.default_rng(0)
    logits, known = sample(3, 40, 5)
    probs = statistics.sigmoid(random.normal(size=(12, 40, 5))).astype(np.float16)
    arrays = {"labels": known, "probs": probs, "logits": logits}
    return Evidence(arrays | {"features": random.normal(size=(40, 6))} | more)


def test_gradients_are_those_of_the_summed_loss():
    given = evidence()
    features = torch.from_numpy(given["features"])
    labels = given.tensor("labels")
    head = nn.Linear(6, 5).double()
    logits = head(features)
    arrays = {"labels": given["labels"], "features": given["features"]}
    found = Gradients.of_last_layer(Evidence(arrays | {"logits": logits.detach().numpy()}))
    for i in (0, 17):
        head.zero_grad()
        (5 * objective.losses(head(features[i : i + 1]), labels[i : i + 1])).sum().backward()
        own = torch.cat([head.bias.grad[:, None], head.weight.grad], dim=1)
        torch.testing.assert_close(found.sum([i]), own, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", sorted(methods.METHODS))
def test_every_method_selects_or_is_refused_in_one_line(name):
    """By what it needs: no list of them stands anywhere."""
    method = methods.get(name)
    options = method.parse_options({"epochs": 8} if "epochs" in method.options else {})
    if "window" in method.options:
        options["window"] = 4
    if name == "eva":
        options |= {"early": 1, "late": 7, "length": 5}
    needed = method.needed(options)
    if any(map(of_classes, needed)):
        with pytest.raises(UserError, match=r"looks at classes .*several labels per sample$"):
            method.check_labels(options)
        return
    method.check_labels(options)
    if not method.selects:
        return
    more = {}
    if "gradient_norms" in needed:
        more["gradient_norms"] = np.random.default_rng(1).random((options["models"], 40))
    if "logit_margin" in needed or name == "memorization":
        return  # of evidence that is not made here
    found = select(method, evidence(**more), 9, balance="global", options=options)
    assert len(set(found.indices.tolist())) == 9


def test_which_methods_are_refused():
    def refused(name: str, **options) -> bool:
        method = methods.get(name)
        try:
            method.check_labels(method.parse_options(options))
        except UserError:
            return True
        return False

    allowed = {
        "random",
        "el2n",
        "aum",
        "eva",
        "cartography",
        "dual",
        "dyn_unc",
        "forgetting",
        "ccs",
    }
    allowed |= {
        "herding",
        "kcenter_greedy",
        "facility_location",
        "craig",
        "grand",
        "infobatch",
        "rs2",
    }
    assert not {name for name in allowed if refused(name)}
    assert {
        name for name in ("cal", "moderate", "entropy", "tdds", "deepfool") if not refused(name)
    } == set()
    # It is the evidence of an option that counts.
    assert refused("fass")
    assert not refused("fass", of="el2n")


def test_a_budget_per_class_is_refused():
    with pytest.raises(UserError, match="balance is class, and with several labels per sample"):
        select(methods.get("random"), evidence(), 9, balance="class")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": np.full((40, 5), 2)}, r"labels has shape \(40, 5\).* are rows of 0 and 1"),
        ({"labels": np.eye(5, dtype=int)[np.arange(40) % 5]}, r"labels has shape \(40, 5\)"),
        ({"val_labels": np.full((7, 5), 3)}, r"val_labels\[0, 0\] is 3: of several labels"),
        ({"labels": np.zeros((40, 4), int)}, "C is 4 in labels"),
        ({"probs": np.full((12, 40, 5), 1.5)}, "probs.* is 1.5, but .* is from 0 to 1"),
        ({"log_probs": np.full((12, 40, 5), -1.0)}, "log_probs are of classes"),
        ({"error_norm": np.full((12, 40), 2.5)}, "error_norm.* is from 0 to 2.23607"),
        (
            {"val_labels": np.zeros(7, int)},
            r"val_labels has shape \(7,\), but it is to be \(V, C\)",
        ),
    ],
)
def test_evidence_that_is_wrong(changed, said):
    with pytest.raises(UserError, match=said):
        evidence(**changed)


def test_scores_by_probs_and_by_what_the_training_recorded_are_the_same():
    given = evidence()
    p = given["probs"].astype(np.float32)
    recorded = {
        name: statistics.STATISTICS[name](p, given["labels"])
        for name in ("error_norm", "margin", "target_prob", "correct")
    }
    lean = Evidence({"labels": given["labels"], **recorded})
    for name in ("el2n", "aum", "forgetting", "dyn_unc"):
        method = methods.get(name)
        options = method.parse_options({"window": 4} if "window" in method.options else {})
        np.testing.assert_allclose(
            score(method, given, options), score(method, lean, options), rtol=1e-6
        )
