"""Whole jobs on real images: outputs, determinism, rules, messages."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from medcoreset.device import arithmetic
from medcoreset.errors import UserError
from medcoreset.networks.factory import build
from medcoreset.reporting.metrics import evaluate
from medcoreset.training.checkpoint import Checkpoint, Interruption
from medcoreset.training.data import resident
from medcoreset.training.loop import Subset, Training
from medcoreset.training.model import Model
from medcoreset.training.options import TrainingOptions
from medcoreset.training.progress import Progress
from medcoreset.training.run import train_coresets, train_surrogate
from tests.training_cases import content, coresets, digits, job

pytestmark = pytest.mark.long


def metrics(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def surrogate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("surrogate")
    train_surrogate(job(folder, digits(), epochs=8, evaluate_every=10), 0, probs_budget_mb=10)
    return folder / "out"


def test_a_surrogate_leaves_its_evidence_and_no_resume_state(surrogate):
    assert sorted(path.name for path in surrogate.iterdir()) == [
        "evidence",
        "metrics.json",
        "model.pt",
        "predictions.npz",
    ]
    assert not (surrogate.parent / ".state-out").exists()
    shapes = {path.stem: np.load(path).shape for path in (surrogate / "evidence").glob("*.npy")}
    assert shapes["error_norm"] == shapes["seen"] == (8, 300)
    assert shapes["probs"] == (8, 300, 10)
    assert shapes["logits"] == (300, 10)
    assert shapes["features"] == (300, 16)
    assert shapes["val_features"] == (100, 16)
    assert shapes["val_probs"] == (100, 10)
    assert shapes["labels"] == (300,)
    assert np.load(surrogate / "evidence" / "seen.npy").all()


def test_final_logits_are_the_head_of_the_features(surrogate):
    evidence = surrogate / "evidence"
    state = torch.load(surrogate / "model.pt", weights_only=True)
    features = np.load(evidence / "features.npy")
    logits = features @ state["head.weight"].numpy().T + state["head.bias"].numpy()
    np.testing.assert_allclose(logits, np.load(evidence / "logits.npy"), atol=1e-4)


def test_dynamics_are_those_of_the_step_and_history_agrees(surrogate):
    correct = np.load(surrogate / "evidence" / "correct.npy").mean(1)
    history = metrics(surrogate)["seeds"]["0"]["history"]
    np.testing.assert_allclose([entry["train_accuracy"] for entry in history], correct, atol=1e-9)
    target = np.load(surrogate / "evidence" / "target_prob.npy").astype(float)
    losses = [entry["train_loss"] for entry in history]
    np.testing.assert_allclose(losses, -np.log(target).mean(1), rtol=1e-4)


def test_the_rules_report_what_they_say(surrogate):
    found = metrics(surrogate)["seeds"]["0"]
    rules, history = found["rules"], found["history"]
    evaluated = {entry["epoch"]: entry for entry in history if "val_accuracy" in entry}
    assert sorted(evaluated) == [2, 4, 6, 8]
    best = max(evaluated, key=lambda epoch: evaluated[epoch]["val_accuracy"])
    assert rules["clean"]["epoch"] == 8
    assert rules["best_val"]["epoch"] == rules["published"]["epoch"] == best
    assert rules["published"]["reports"] == "val"
    assert rules["best_val"]["test"]["accuracy"] == evaluated[best]["test_accuracy"]
    predictions = np.load(surrogate / "predictions.npz")
    again = evaluate(predictions["test_logits"][0], predictions["test_labels"])
    assert again == rules["clean"]["test"]


def test_the_published_rule_drops_the_last_incomplete_batch(tmp_path):
    small = job(tmp_path, digits(train=100, held_out=600), epochs=1)
    train_coresets(small, [0], None)
    rules = metrics(small.out)["seeds"]["0"]["rules"]
    assert rules["published"]["val"]["n"] == 512
    assert rules["best_val"]["val"]["n"] == 600


@pytest.mark.parametrize("network", ["mlp+width=16", "resnet18+width=4"])
def test_equal_seeds_are_equal_bytes(tmp_path, network):
    dataset, outs = digits(train=80, held_out=40), []
    for name in ("a", "b"):
        one = job(tmp_path / name, dataset, network=network, augmentation="crop_flip", epochs=2)
        train_surrogate(one, 1, probs_budget_mb=10)
        outs.append(content(one.out))
    assert outs[0] == outs[1]


def test_seeds_differ_in_initialisation_and_order(tmp_path):
    one = job(tmp_path, digits(train=80, held_out=40), epochs=1)
    train_coresets(one, [0, 1], None)
    logits = np.load(one.out / "predictions.npz")["test_logits"]
    assert not np.allclose(logits[0], logits[1])


def test_several_trainings_of_a_coreset_differ_in_their_seeds(tmp_path):
    one = job(tmp_path, digits(), epochs=1)
    folder = coresets(tmp_path / "coresets", digits(), seeds=[0, 1], size=60)
    train_coresets(one, [0, 1], folder, trainings=2)
    found = metrics(one.out)
    assert list(found["seeds"]) == ["0", "1", "1000", "1001"]
    of = found["coreset_sha256"]
    assert (of["0"], of["1"]) == (of["1000"], of["1001"])
    assert of["0"] != of["1"]
    logits = np.load(one.out / "predictions.npz")["test_logits"]
    assert len({each.tobytes() for each in logits}) == 4


def test_no_retraining_is_the_surrogate_of_its_seed(tmp_path):
    """Nor of any other small seed: the full training set's network is another one."""
    surrogate = job(tmp_path, digits(), epochs=0)
    train_surrogate(surrogate, 0, 0)
    full = dataclasses.replace(surrogate, out=tmp_path / "full")
    train_coresets(full, list(range(50)), None)
    logits = [np.load(each.out / "predictions.npz")["test_logits"] for each in (surrogate, full)]
    assert np.abs(logits[1] - logits[0]).max(axis=(1, 2)).min() > 1e-3


def test_recording_in_evaluation_mode_does_not_change_the_training(tmp_path):
    dataset = digits(train=80, held_out=40)
    ways = {}
    for record in ("train", "eval"):
        one = job(tmp_path / record, dataset, record=record)
        train_surrogate(one, 0, probs_budget_mb=10)
        ways[record] = content(one.out)
    assert ways["train"]["model.pt"] == ways["eval"]["model.pt"]
    logits = np.load(tmp_path / "eval" / "out" / "evidence" / "logits.npy")
    labels = np.load(tmp_path / "eval" / "out" / "evidence" / "labels.npy")
    correct = np.load(tmp_path / "eval" / "out" / "evidence" / "correct.npy")
    assert (correct[-1] == (logits.argmax(1) == labels)).all()


def test_a_training_that_stops_is_one_that_went_on_until_there(tmp_path):
    dataset = digits(train=80, held_out=40)
    made = {}
    for stop_after in (0, 2):
        one = job(tmp_path / str(stop_after), dataset, stop_after=stop_after, record="eval")
        train_surrogate(one, 0, probs_budget_mb=10)
        made[stop_after] = one.out / "evidence"
    whole, part = (np.load(folder / "target_prob.npy") for folder in made.values())
    assert (len(whole), len(part)) == (3, 2)
    np.testing.assert_array_equal(part, whole[:2])
    left = np.argmax(np.load(made[2] / "logits.npy"), axis=1)
    np.testing.assert_array_equal(left == dataset.train_labels, np.load(made[0] / "correct.npy")[1])


def test_dropping_the_last_batch_leaves_samples_unseen(tmp_path):
    one = job(tmp_path, digits(), last_batch="drop")
    train_surrogate(one, 0, probs_budget_mb=0)
    seen = np.load(one.out / "evidence" / "seen.npy")
    assert (seen.sum(1) == 300 // 64 * 64).all()
    assert seen.any(0).mean() > 0.9


def test_a_length_in_iterations_is_the_same_for_any_coreset(tmp_path):
    dataset = digits()
    folder = coresets(tmp_path / "coresets", dataset, [0], 40)
    one = job(tmp_path, dataset, length="iterations", iterations=7)
    train_coresets(one, [0], folder)
    found = metrics(one.out)
    assert found["run"]["coreset_size"] == 40
    assert len(found["seeds"]["0"]["history"]) == 4  # 2 batches of 20 an epoch


def test_weights_of_the_coreset_weight_the_loss(tmp_path):
    dataset = digits(train=80, held_out=40)
    losses = {}
    name_of = {"equal": "where_given", "one": True}
    for name, weights in (("equal", np.full(40, 3.0)), ("one", np.eye(40)[0])):
        folder = coresets(tmp_path / name, dataset, [0], 40, weights=weights)
        one = job(tmp_path / name, dataset, weighted_loss=name_of[name], epochs=30, lr=0.1)
        train_coresets(one, [0], folder)
        losses[name] = metrics(one.out)["seeds"]["0"]["history"][-1]
    assert losses["equal"]["train_accuracy"] > 0.9
    assert losses["one"]["train_accuracy"] < 0.5
    unweighted = coresets(tmp_path / "none", dataset, [0], 40)
    with pytest.raises(UserError, match="weighted_loss: this coreset has no weights"):
        train_coresets(job(tmp_path / "none", dataset, weighted_loss=True), [0], unweighted)
    results = {}
    for value in ("false", "where_given"):
        one = job(tmp_path / value, dataset, weighted_loss=value)
        train_coresets(one, [0], unweighted)
        results[value] = metrics(one.out)["seeds"]["0"]["history"]
    assert [each["train_loss"] for each in results["false"]] == [
        each["train_loss"] for each in results["where_given"]
    ]


def test_a_coreset_of_other_data_is_refused(tmp_path):
    dataset = digits()
    folder = coresets(tmp_path / "coresets", dataset, [0], 40, dataset_sha256="0" * 64)
    one = job(tmp_path, dataset)
    with pytest.raises(UserError, match="was selected from other data"):
        train_coresets(one, [0], folder)
    assert not one.out.exists()


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([3], "at least 2"),
        ([3, 3], "names a sample twice"),
        ([3, 300], "outside 0 … 299"),
    ],
)
def test_a_broken_coreset_is_refused(tmp_path, indices, message):
    dataset = digits()
    folder = coresets(tmp_path / "coresets", dataset, [0], 2, indices=np.array(indices))
    with pytest.raises(UserError, match=message):
        train_coresets(job(tmp_path, dataset), [0], folder)


def test_a_loss_that_is_not_finite_says_where_and_what_to_try(tmp_path):
    one = job(tmp_path, digits(), lr=1e20, min_lr=0)
    with pytest.raises(UserError, match=r"epoch 1, step \d of 5, lr \S+e\+19; try a lower lr"):
        train_coresets(one, [0], None)
    assert not one.out.exists()


def test_bf16_agrees_with_float32_within_seed_noise(tmp_path, medical_data):
    """On PneumoniaMNIST, the difference of the means is below twice the seeds' deviation."""
    from medcoreset.datasets.canonical import Dataset

    with np.load(medical_data / "pneumoniamnist.npz") as file:
        parts = [
            (file[f"{split}_images"][:count], file[f"{split}_labels"][:count, 0].astype(np.int64))
            for split, count in (("train", 320), ("val", 200), ("test", 100))
        ]
    dataset = Dataset("pneumoniamnist", *parts[0], *parts[1], *parts[2], {})
    accuracy = {}
    for precision in ("float32", "bf16"):
        one = job(
            tmp_path / precision,
            dataset,
            network="resnet18+width=4",
            precision=precision,
            channels=3,
            epochs=5,
            lr=0.05,
        )
        train_coresets(dataclasses.replace(one, checkpoint_seconds=60), [0, 1, 2], None)
        seeds = metrics(one.out)["seeds"]
        accuracy[precision] = [seed["rules"]["clean"]["val"]["accuracy"] for seed in seeds.values()]
    noise = max(np.std(values, ddof=1) for values in accuracy.values())
    difference = np.mean(accuracy["float32"]) - np.mean(accuracy["bf16"])
    assert abs(difference) <= max(2 * noise, 0.02)


def test_a_mistake_on_the_command_line_is_one_line(tmp_path):
    one = job(tmp_path, digits())
    command = [sys.executable, "-m", "medcoreset", "surrogate", "--dataset", str(one.dataset)]
    command += ["--protocol", "clean", "--network", "mlp", "--seed", "0", "--optimizer", "lion"]
    done = subprocess.run([*command, "--out", str(one.out)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "medcoreset: optimizer: 'lion' is not one of sgd, adam\n"


def test_auto_precision_leaves_depthwise_convolutions_alone_on_a_cpu():
    size = {"channels": 3, "classes": 5, "image_size": 28}
    cpu, depthwise = torch.device("cpu"), build("mobilenet_v2+width=8", **size)
    assert arithmetic("auto", cpu, depthwise) == torch.float32
    assert arithmetic("bf16", cpu, depthwise) == torch.bfloat16
    assert arithmetic("float32", cpu, build("lenet", **size)) == torch.float32


@pytest.mark.parametrize("parts", [2, 3])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(tmp_path, parts):
    """Without batch normalisation, whose statistics are those of the parts."""
    dataset, options = digits(), TrainingOptions(channels=0, batch_size=50, accumulate=True)
    found = []
    for count in (1, parts):
        torch.manual_seed(0)
        network = build("lenet", channels=1, classes=10, image_size=8)
        training = Training(
            Model(network, torch.device("cpu"), torch.float32),
            resident(dataset, options, torch.device("cpu")),
            Subset(0, np.arange(len(dataset.train_labels))),
            options,
            checkpoint=Checkpoint(tmp_path / "seed0.pt", {}, 1000),
            interruption=Interruption(),
            progress=Progress("lenet"),
        )
        training.parts = count
        indices = torch.arange(50)
        images, labels = training.data.train.batch(indices), training.data.train.labels[indices]
        loss, logits = training._gradients(images, labels, torch.linspace(0, 2, 50))
        found.append((loss, logits, *(parameter.grad for parameter in network.parameters())))
    for whole, summed in zip(*found, strict=True):
        torch.testing.assert_close(whole, summed)
