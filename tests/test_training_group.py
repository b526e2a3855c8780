"""Two processes train one surrogate as one process does; `torchrun` starts them, on a CPU."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcoreset.errors import UserError
from medcoreset.recording.statistics import STATISTICS
from medcoreset.training.checkpoint import state_folder
from medcoreset.training.group import Group
from medcoreset.training.options import as_flags
from medcoreset.training.run import Job, train_coresets, train_surrogate
from tests.training_cases import content, digits, job, training

pytestmark = pytest.mark.long


@given(st.integers(0, 1000), st.integers(0, 500), st.integers(1, 9))
def test_the_parts_of_a_batch_are_all_of_it_and_near_equal(start, samples, size):
    batch = slice(start, start + samples)
    parts = [Group(rank, size).part(batch) for rank in range(size)]
    assert [position for part in parts for position in range(part.start, part.stop)] == list(
        range(batch.start, batch.stop)
    )
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 1


@contextmanager
def started(one: Job) -> Iterator[subprocess.Popen]:
    """Start a surrogate's job in two processes; none of them outlives the block."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "medcoreset", "surrogate", "--dataset", str(one.dataset), "--seed", "0"]
    command += ["--network", one.network, "--device", "cpu", "--protocol", "clean"]
    command += ["--out", str(one.out), *as_flags(one.options).split()]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()  # torchrun ends those that it started
        process.wait()


def run(one: Job) -> str:
    """Run a job in two processes to its end; return what they said."""
    with started(one) as process:
        said = process.communicate()[1]
    assert process.returncode == 0, said
    return said


def dynamics(one: Job) -> dict[str, np.ndarray]:
    return {name: np.load(one.out / "evidence" / f"{name}.npy") for name in (*STATISTICS, "logits")}


def test_two_processes_compute_what_one_does(tmp_path):
    """Up to the order of sums: without batch normalisation, with parts of different lengths."""
    options = {"batch_size": 64, "last_batch": "keep", "augmentation": "crop_flip", "lr": 0.02}
    one = job(tmp_path, digits(train=299), network="lenet", **options)
    train_surrogate(one, 0, 256)
    alone = dataclasses.replace(one, out=one.out.rename(tmp_path / "alone"))
    said = run(one)
    assert "taken over" not in said  # what one process trained is something else
    assert said.count("epoch 1, step") == 1  # one of them speaks
    found, expected = dynamics(one), dynamics(alone)
    assert found["seen"].all()
    for name in ("error_norm", "target_prob", "entropy", "logit_margin", "logits"):
        np.testing.assert_allclose(found[name], expected[name], atol=2e-4, err_msg=name)
    assert np.mean(found["correct"] == expected["correct"]) > 0.99
    metrics = [json.loads((each.out / "metrics.json").read_text()) for each in (one, alone)]
    assert [each["measured"]["processes"] for each in metrics] == [2, 1]
    losses = [[e["train_loss"] for e in each["seeds"]["0"]["history"]] for each in metrics]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    models = [torch.load(each.out / "model.pt", weights_only=True) for each in (one, alone)]
    for name, tensor in models[1].items():
        torch.testing.assert_close(models[0][name], tensor, atol=1e-4, rtol=1e-3)


def test_a_signal_to_one_process_stops_all_and_they_go_on_to_the_same_bytes(tmp_path):
    """With batch normalisation, whose statistics are of parts, and dropout, each its own."""
    options = {"epochs": 10, "batch_size": 48, "optimizer": "adam", "lr": 1e-3, "record": "eval"}
    whole = job(tmp_path, digits(90, 20), network="mobilenet_v3+size=small", **options)
    stopped = dataclasses.replace(whole, out=tmp_path / "stopped")
    run(whole)
    recorded = state_folder(stopped.out) / "evidence" / "seen.npy"
    with started(stopped) as process:
        while not (recorded.exists() and 1 in recorded.read_bytes()[128:]):
            time.sleep(0.01)
            assert process.poll() is None
        of_rank = {int(child.environ()["RANK"]): child for child in children(process)}
        of_rank[1].send_signal(signal.SIGTERM)
        said = process.communicate()[1]
    assert process.returncode != 0
    assert said.count("stopped by SIGTERM") == 2
    assert (state_folder(stopped.out) / "seed0.pt").exists()
    assert not stopped.out.exists()
    assert run(stopped).count("resuming at step") == 1
    assert content(stopped.out) == content(whole.out)


def children(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def test_a_batch_of_too_few_images_for_the_processes_is_refused(tmp_path):
    with pytest.raises(UserError, match="a batch of 44 images for 23 processes: each needs 2"):
        training(tmp_path, "cpu", group=Group(0, 23))


def test_coresets_are_not_trained_together(tmp_path, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    one = job(tmp_path, digits())
    with pytest.raises(UserError, match="torchrun is for the stage surrogate"):
        train_coresets(one, [0], None)
    assert not one.out.exists()
