"""What one process may have at a time, tried by real processes that are really killed."""

import dataclasses
import errno
import multiprocessing
import os
import shutil
import time
from collections import Counter
from multiprocessing.process import BaseProcess as Process
from pathlib import Path

import pytest
import torch

from medcoreset import device
from medcoreset.locks import claim
from medcoreset.training import run
from medcoreset.training.checkpoint import state_folder
from medcoreset.training.run import Job, train_coresets, train_surrogate
from tests.training_cases import content, coresets, digits, job

pytestmark = pytest.mark.long

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["medcoreset.training.run"])


def wait_until(condition, process: Process | None = None, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.is_alive()
        time.sleep(0.01)


def hold(devices: list[str], slots: int, folder: Path, journal: Path, seconds: float) -> None:
    """Claim a device until all have been claimed and so many seconds passed; keep a journal."""
    with claim(devices, slots, folder / "locks") as mine, journal.open("a", buffering=1) as lines:
        lines.write(f"+ {mine}\n")
        wait_until(lambda: journal.read_text().count("+") >= slots * len(devices))
        time.sleep(seconds)
        lines.write(f"- {mine}\n")


def holders(devices: list[str], slots: int, folder: Path, count: int, seconds: float):
    """Start so many processes that claim a device; return them and their common journal."""
    journal = folder / "journal"
    started = [
        processes.Process(target=hold, args=(devices, slots, folder, journal, seconds))
        for _ in range(count)
    ]
    for process in started:
        process.start()
    return started, journal


def test_no_device_has_more_processes_than_places(tmp_path):
    slots = 2
    devices = ["GPU-a", "GPU-b", "GPU-c"]
    started, journal = holders(devices, slots, tmp_path, 3 * slots * len(devices), 0.1)
    for process in started:
        process.join(60)
        assert process.exitcode == 0
    there, most = Counter(), Counter()
    for sign, name in map(str.split, journal.read_text().splitlines()):
        there[name] += 1 if sign == "+" else -1
        most[name] = max(most[name], there[name])
    assert most == dict.fromkeys(devices, slots), "every place was used, and none twice at a time"


def test_processes_spread_over_the_devices_before_they_share_one(tmp_path):
    started, journal = holders(["GPU-a", "GPU-b"], 2, tmp_path, 2, 30)
    wait_until(lambda: journal.exists() and journal.read_text().count("+") == 2)
    for process in started:
        process.kill()
    assert sorted(journal.read_text().splitlines()) == ["+ GPU-a", "+ GPU-b"]


def test_a_killed_process_gives_its_device_back(tmp_path):
    (first,), journal = holders(["GPU-a"], 1, tmp_path, 1, 60)
    wait_until(journal.exists)
    (second,), _ = holders(["GPU-a"], 1, tmp_path, 1, 0)
    time.sleep(0.5)
    assert journal.read_text() == "+ GPU-a\n"
    first.kill()
    second.join(10)
    assert second.exitcode == 0
    assert journal.read_text() == "+ GPU-a\n+ GPU-a\n- GPU-a\n"


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    """Torch as it answers on a machine of two GPUs; yields what `set_device` was called with."""

    @dataclasses.dataclass
    class Properties:
        uuid: str

    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: Properties(f"GPU-{n}"))
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(device, "_claimed", [])
    monkeypatch.setattr(device.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_GPUS", raising=False)
    with device.ExitStack() as claims:
        monkeypatch.setattr(device, "_claims", claims)
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark)
        yield chosen
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


def test_a_job_takes_a_gpu_that_no_other_process_has(two_gpus, tmp_path, monkeypatch):
    assert device.resolve("auto", 1) == torch.device("cuda", 0)
    assert device.resolve("cuda", 1) == torch.device("cuda", 0), "a process claims once"
    monkeypatch.setattr(device, "_claimed", [])  # as in another process
    assert device.resolve("auto", 1) == torch.device("cuda", 1)
    monkeypatch.setattr(device, "_claimed", [])
    monkeypatch.setenv("MEDCORESET_JOBS_PER_GPU", "2")
    assert device.resolve("auto", 1) == torch.device("cuda", 0)
    assert two_gpus == [0, 1, 0]


def test_a_users_own_process_computes_on_its_gpu_and_claims_none(two_gpus, tmp_path, monkeypatch):
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert device.resolve("auto", None) == torch.device("cuda", 1)
    assert two_gpus == []
    assert not list(tmp_path.iterdir())
    assert (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark) == before


def test_the_one_gpu_that_a_cluster_gave_is_taken_without_a_claim(two_gpus, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("SLURM_JOB_GPUS", "3")
    assert device.resolve("auto", 1) == torch.device("cuda", 0)
    assert not list(tmp_path.iterdir())


def surrogate(one: Job, folder: Path, log: Path) -> None:
    os.dup2(os.open(log, os.O_CREAT | os.O_WRONLY), 2)
    train_surrogate(one, 0, 10)


def networks(one: Job, folder: Path, log: Path) -> None:
    os.dup2(os.open(log, os.O_CREAT | os.O_WRONLY), 2)
    train_coresets(one, [0, 1], folder)


WAITS = "waiting for the process that already trains"


@pytest.fixture(params=[surrogate, networks])
def case(request, tmp_path):
    """A job that takes seconds, its undisturbed result, and how to start a process on it."""
    dataset = digits(train=300, held_out=100)
    folder = coresets(tmp_path / "coresets", dataset, [0, 1], 200)

    def prepared(name: str) -> Job:
        options = {"network": "lenet", "epochs": 80, "evaluate_every": 1000}
        one = job(tmp_path / name, dataset, **options)
        return dataclasses.replace(one, checkpoint_seconds=0.2)

    whole, shared = prepared("whole"), prepared("shared")

    def start(name: str, one: Job = shared) -> tuple[Process, Path]:
        log = tmp_path / f"{name}.log"
        process = processes.Process(target=request.param, args=(one, folder, log))
        process.start()
        return process, log

    start("whole", whole)[0].join(60)
    return shared, content(whole.out), start


def together(case) -> tuple[Process, Process, Path]:
    """Start one process, and when it has a checkpoint a second, which waits."""
    shared, _, start = case
    first, _ = start("first")
    wait_until(lambda: any(state_folder(shared.out).glob("seed*.pt")), first)
    second, log = start("second")
    wait_until(lambda: log.exists() and WAITS in log.read_text(), first)
    return first, second, log


def test_of_two_processes_on_one_run_the_second_waits_and_takes_over(case):
    shared, expected, _ = case
    first, second, log = together(case)
    first.join(60)
    second.join(60)
    assert (first.exitcode, second.exitcode) == (0, 0), log.read_text()
    assert content(shared.out) == expected
    assert "epoch" not in log.read_text(), "nothing was trained twice"
    assert not state_folder(shared.out).exists()


def test_a_process_that_waited_goes_on_from_where_the_other_was_killed(case):
    shared, expected, _ = case
    first, second, log = together(case)
    first.kill()
    second.join(60)
    assert second.exitcode == 0, log.read_text()
    assert content(shared.out) == expected
    assert "resuming at step" in log.read_text()
    assert not state_folder(shared.out).exists()


def test_a_surrogate_of_another_identity_is_trained_in_its_place(tmp_path, capfd):
    dataset = digits(train=120, held_out=40)
    train_surrogate(job(tmp_path / "a", dataset), 0, 10)
    other = job(tmp_path / "a", dataset, lr=0.05)
    train_surrogate(other, 0, 10)
    assert "taken over" not in capfd.readouterr().err
    fresh = job(tmp_path / "b", dataset, lr=0.05)
    train_surrogate(fresh, 0, 10)
    assert content(other.out) == content(fresh.out)


def test_a_surrogate_half_replaced_is_not_taken_for_a_whole_one(tmp_path, monkeypatch):
    """A process that dies between the new model and its metrics leaves no metrics behind."""
    dataset = digits(train=120, held_out=40)
    train_surrogate(job(tmp_path, dataset), 0, 10)

    def crash(*_) -> None:
        raise RuntimeError("crash")

    other = job(tmp_path, dataset, lr=0.05)
    with monkeypatch.context() as patch:
        patch.setattr(run._Bench, "write", crash)
        with pytest.raises(RuntimeError, match="crash"):
            train_surrogate(other, 0, 10)
    assert (other.out / "model.pt").exists()
    assert not (other.out / "metrics.json").exists()


def test_a_finished_surrogate_whose_outputs_snakemake_deleted_is_taken_over(tmp_path, capfd):
    """As after a kill of Snakemake that its job survived: it takes the outputs for half-made."""
    one = job(tmp_path, digits(train=120, held_out=40))
    train_surrogate(one, 0, 10)
    expected, wrote = content(one.out), (one.out / "model.pt").stat().st_mtime_ns
    shutil.rmtree(one.out)
    train_surrogate(one, 0, 10)
    said = capfd.readouterr().err
    assert "was trained before and is taken over" in said
    assert "epoch" in said.partition("taken over")[0]
    assert "epoch" not in said.partition("taken over")[2]
    assert content(one.out) == expected
    assert (one.out / "model.pt").stat().st_mtime_ns > wrote, "newer than its inputs"
    assert not state_folder(one.out).exists()


def test_a_file_system_without_hard_links_keeps_no_surrogate(tmp_path, monkeypatch):
    def refuse(*_, **__) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    one = job(tmp_path, digits(train=120, held_out=40))
    with monkeypatch.context() as patch:
        patch.setattr(run.os, "link", refuse)
        train_surrogate(one, 0, 10)
    expected = content(one.out)
    shutil.rmtree(one.out)
    train_surrogate(one, 0, 10)
    assert content(one.out) == expected
