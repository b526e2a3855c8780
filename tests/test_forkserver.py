"""A command that a server runs: the same output, status and signals as without one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medcoreset import forkserver
from medcoreset.datasets import canonical
from tests.training_cases import digits

ONE_THREAD = dict.fromkeys(forkserver.THREADS, "1")
HOLDER = (
    "import os, sys; from medcoreset import forkserver; forkserver.start(); "
    "print(os.environ[forkserver.ADDRESS], flush=True); sys.stdin.read()"
)


@pytest.fixture
def holder():
    """A process that has started a server; its environment holds the address."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.address = process.stdout.readline().strip()
    process.commands = []
    yield process
    for each in process.commands:
        each.kill()  # a failed test leaves no training behind
    process.stdin.close()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    canonical.write(digits(train=60, held_out=20), path)
    return path


def command(holder, *arguments: object, **environment: str) -> subprocess.Popen:
    known = {forkserver.ADDRESS: holder.address} if holder else {}
    process = subprocess.Popen(
        [sys.executable, "-m", "medcoreset", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ONE_THREAD | known | environment,
    )
    if holder:
        holder.commands.append(process)
    return process


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def training(dataset: Path, out: Path, epochs: int) -> list[object]:
    of_run = ["--surrogate", "none", "--method", "full", "--rate", 1, "--protocol", "clean"]
    of_run += ["--network", "lenet", "--epochs", epochs, "--seeds", 0, "--device", "cpu"]
    return ["train", "--dataset", dataset, *of_run, "--out", out]


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError


def working(holder) -> list[int]:
    """Return the server's processes that are neither it nor attend to a job."""
    server = children(holder.pid)
    return [work for each in server for attends in children(each) for work in children(attends)]


def children(process: int) -> list[int]:
    try:
        return [
            int(number)
            for task in Path(f"/proc/{process}/task").iterdir()
            for number in (task / "children").read_text().split()
        ]
    except FileNotFoundError:
        return []


@pytest.mark.parametrize(
    "arguments", [["methods"], ["train"], ["score", "none", "--out", "x"], ["--version"]]
)
def test_a_command_ends_as_it_does_without_a_server(holder, arguments):
    assert ended(command(holder, *arguments)) == ended(command(None, *arguments))


def test_the_first_job_finds_the_server_however_early_it_comes():
    connected = HOLDER.replace(
        "sys.stdin.read()",
        "import socket; socket.socket(socket.AF_UNIX).connect(os.environ[forkserver.ADDRESS])",
    )
    subprocess.run([sys.executable, "-c", connected], check=True, capture_output=True)


def test_a_training_is_run_by_the_server_to_the_same_bytes(holder, dataset, tmp_path):
    for server, name in ((holder, "served"), (None, "alone")):
        process = command(server, *training(dataset, tmp_path / name, 2))
        if server:
            wait_for(lambda: working(holder))
        assert ended(process)[0] == 0
    files = [(tmp_path / name / "predictions.npz").read_bytes() for name in ("served", "alone")]
    assert files[0] == files[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_command_is_one_to_its_work(holder, dataset, tmp_path, number):
    process = command(holder, *training(dataset, tmp_path / "out", 10**6))
    wait_for(lambda: working(holder))
    (worker,) = working(holder)
    time.sleep(2)  # signals are noted from when the training has begun
    process.send_signal(number)
    status, _, errors = ended(process)
    wait_for(lambda: worker not in working(holder))
    if number == signal.SIGTERM:
        assert status == 128 + number
        assert "run again to go on from" in errors
    else:
        assert status == -number


def test_work_that_crashes_ends_its_command_alone(holder, dataset, tmp_path):
    process = command(holder, *training(dataset, tmp_path / "out", 10**6))
    wait_for(lambda: working(holder))
    os.kill(working(holder)[0], signal.SIGSEGV)
    assert ended(process)[0] == -signal.SIGSEGV
    assert ended(command(holder, "--version"))[0] == 0


def test_who_is_not_served_works_alone(holder, dataset, tmp_path):
    for environment in ({"OMP_NUM_THREADS": "2"}, {forkserver.ADDRESS: str(tmp_path / "gone")}):
        process = command(holder, *training(dataset, tmp_path / "out", 1), **environment)
        assert ended(process)[0] == 0
    link = tmp_path / "medcoreset"
    link.symlink_to(Path(forkserver.__file__).parent)
    process = command(holder, "methods", PYTHONPATH=str(tmp_path))
    assert ended(process)[0] == 0


def test_a_server_ends_with_who_started_it(holder):
    wait_for(Path(holder.address).exists)
    holder.kill()
    wait_for(lambda: not Path(holder.address).parent.exists())
