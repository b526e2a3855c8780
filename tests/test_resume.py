"""Jobs that are killed, stopped or extended go on to the bytes of one that never was."""

import dataclasses
import json
import multiprocessing
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess as Process
from pathlib import Path

import numpy as np
import pytest
import torch

from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.methods import variants
from medcoreset.selection.redraw import Redraw
from medcoreset.training.checkpoint import kept_folder, state_folder
from medcoreset.training.loop import Training
from medcoreset.training.options import as_flags
from medcoreset.training.run import Job, train_coresets, train_surrogate
from tests.any_evidence import arrays_of
from tests.training_cases import content, coresets, digits, job

pytestmark = [pytest.mark.long, pytest.mark.trains]

KILLS = 20

# A server that has imported torch already forks each process, so that a kill costs no start-up.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["medcoreset.training.run"])


def kill_until_done(start: Callable[[Job], Process], killed: Job, kills: int) -> dict[str, int]:
    """Start a job again and again; SIGKILL it, every other time while it writes a checkpoint.

    After `kills` kills it is left alone. Returns how many kills hit what.
    """
    state = state_folder(killed.out)
    chance, hits = random.Random(0), {"checkpoint": 0, "anywhere": 0}
    while sum(hits.values()) < kills:
        process = start(killed)
        process.start()
        if sum(hits.values()) % 2:
            moment = "checkpoint"
            patience = time.monotonic() + 10
            while process.is_alive() and time.monotonic() < patience:
                if any(state.glob(".seed*.partial*")):
                    break
        else:
            moment = "anywhere"
            process.join(chance.uniform(0.02, 0.25))
        if process.is_alive():
            process.kill()
            hits[moment] += 1
        process.join()
        if process.exitcode == 0:  # it was faster than its killer: from the start again
            shutil.rmtree(killed.out)
            for folder in (state, kept_folder(killed.out)):
                shutil.rmtree(folder, ignore_errors=True)
    process = start(dataclasses.replace(killed, checkpoint_seconds=1000))
    process.start()
    process.join()
    assert process.exitcode == 0
    return hits


def test_a_surrogate_killed_twenty_times_is_byte_identical(tmp_path):
    dataset = digits(train=120, held_out=40)

    def case(name: str) -> Job:
        options = {"epochs": 40, "augmentation": "crop_flip", "evaluate_every": 20}
        return job(tmp_path / name, dataset, network="lenet", **options)

    whole, killed = case("whole"), case("killed")
    train_surrogate(dataclasses.replace(whole, checkpoint_seconds=1000), 0, 10)
    hits = kill_until_done(
        lambda case: processes.Process(target=train_surrogate, args=(case, 0, 10)),
        killed,
        KILLS,
    )
    assert hits["checkpoint"] >= 5
    assert content(killed.out) == content(whole.out)
    assert not state_folder(killed.out).exists()


def test_killed_coreset_runs_are_byte_identical(tmp_path):
    dataset = digits(train=120, held_out=40)
    folder = coresets(tmp_path / "coresets", dataset, [0, 1], 60)

    def case(name: str) -> Job:
        return job(tmp_path / name, dataset, network="resnet18+width=4", epochs=4)

    whole, killed = case("whole"), case("killed")
    train_coresets(dataclasses.replace(whole, checkpoint_seconds=1000), [0, 1], folder)
    kill_until_done(
        lambda case: processes.Process(target=train_coresets, args=(case, [0, 1], folder)),
        killed,
        4,
    )
    assert content(killed.out) == content(whole.out)
    assert not state_folder(killed.out).exists()


@pytest.mark.parametrize(
    "variant",
    [*(each.name for each in methods.METHODS.values() if each.dynamic), "glister+reselect=2"],
)
def test_killed_runs_that_select_while_they_train_are_byte_identical(tmp_path, variant):
    dataset = digits(train=120, held_out=40)
    name, options = variants.parse(variant)
    arrays = arrays_of(methods.get(name).needed(options), 120)
    draw = Redraw(methods.get(name), options, 0.45, evidence=Evidence(arrays))

    def case(name: str) -> Job:
        one = job(tmp_path / name, dataset, network="resnet18+width=4", epochs=12)
        return dataclasses.replace(one, draw=draw)

    whole, killed = case("whole"), case("killed")
    train_coresets(dataclasses.replace(whole, checkpoint_seconds=1000), [0, 1], None)
    kill_until_done(
        lambda case: processes.Process(target=train_coresets, args=(case, [0, 1], None)),
        killed,
        4,
    )
    assert content(killed.out) == content(whole.out)
    assert not state_folder(killed.out).exists()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Job:
    """A surrogate that was never stopped."""
    one = job(tmp_path_factory.mktemp("whole"), digits(train=120, held_out=40), epochs=150)
    train_surrogate(dataclasses.replace(one, checkpoint_seconds=1000), 0, 256)
    return one


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_checkpoints_and_leaves_with_its_status(tmp_path, uninterrupted, number):
    one = dataclasses.replace(uninterrupted, out=tmp_path / "out", checkpoint_seconds=1000)
    command = [sys.executable, "-m", "medcoreset", "surrogate", "--dataset", str(one.dataset)]
    command += ["--protocol", "clean", "--network", one.network, "--seed", "0", "--device", "cpu"]
    command += ["--out", str(one.out), *as_flags(one.options).split()]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    recorded = state_folder(one.out) / "evidence" / "seen.npy"
    while not (recorded.exists() and 1 in recorded.read_bytes()[128:]):
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in said
    assert (state_folder(one.out) / "seed0.pt").exists()
    assert not one.out.exists()
    train_surrogate(one, 0, 256)
    found, expected = content(one.out), content(uninterrupted.out)
    for files in (found, expected):
        del files["metrics.json"]  # the command line's names the protocol
    assert found == expected


@contextmanager
def crash_after(steps: int) -> Iterator[None]:
    """Let every training raise after so many steps, its checkpoint left behind."""
    pause = Training.pause

    def crash(self: Training) -> None:
        pause(self)
        if self.done + self.step >= steps:
            raise RuntimeError("crash")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "pause", crash)
        with pytest.raises(RuntimeError, match="crash"):
            yield


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path, capfd):
    dataset = digits(train=120, held_out=40)
    with crash_after(4):
        train_surrogate(job(tmp_path / "a", dataset), 0, 10)
    other = job(tmp_path / "a", dataset, lr=0.05)
    train_surrogate(other, 0, 10)
    said = capfd.readouterr().err
    assert "is of another run (training.lr differ); starting anew" in said
    fresh = job(tmp_path / "b", dataset, lr=0.05)
    train_surrogate(fresh, 0, 10)
    assert content(other.out) == content(fresh.out)


def test_a_broken_checkpoint_is_refused(tmp_path, capfd):
    one = job(tmp_path, digits(train=120, held_out=40))
    state_folder(one.out).mkdir(parents=True)
    (state_folder(one.out) / "seed0.pt").write_bytes(b"half a checkpoint")
    train_surrogate(one, 0, 10)
    assert "cannot be read" in capfd.readouterr().err


def seconds(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())["measured"]["seconds"]


def test_a_seed_added_later_does_not_retrain_the_others(tmp_path):
    dataset = digits(train=120, held_out=40)
    folder = coresets(tmp_path / "coresets", dataset, [0, 1, 2], 60)
    one = job(tmp_path, dataset)
    train_coresets(one, [0, 1], folder)
    before = seconds(one.out)
    more = dataclasses.replace(one, out=one.out.parent / "more")
    train_coresets(more, [0, 1, 2], folder)
    after = seconds(more.out)
    assert {seed: after[seed] for seed in before} == before
    assert np.load(more.out / "predictions.npz")["seeds"].tolist() == [0, 1, 2]
    coresets(folder, dataset, [0, 1, 2], 50)
    train_coresets(more, [0, 1, 2], folder)
    assert all(seconds(more.out)[seed] != after[seed] for seed in after)


def test_dropout_goes_on_with_its_random_state(tmp_path):
    dataset = digits(train=32, held_out=10)
    names = ("train_images", "val_images", "test_images")
    larger = {name: getattr(dataset, name).repeat(2, 1).repeat(2, 2) for name in names}
    dataset = dataclasses.replace(dataset, **larger)
    whole = job(tmp_path / "whole", dataset, network="alexnet", batch_size=16, epochs=1)
    train_coresets(dataclasses.replace(whole, checkpoint_seconds=1000), [0], None)
    one = job(tmp_path / "stopped", dataset, network="alexnet", batch_size=16, epochs=1)
    with crash_after(1):
        train_coresets(one, [0], None)
    torch.manual_seed(1)
    train_coresets(one, [0], None)
    assert content(one.out) == content(whole.out)
