"""What breaks a study in the middle: signals, a full disk, a second Snakemake, a read-only folder.

After each the same command ends with the bytes of a study that nothing happened to.
"""

import errno
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from medcoreset.atomic import replacing, write_json, write_npz
from medcoreset.errors import UserError
from medcoreset.recording.recorder import Recorder
from medcoreset.training.checkpoint import Checkpoint
from tests.conftest import ROOT, STUDY, digests

pytestmark = pytest.mark.long

JOBS = 9
SECONDS = 600
"""The longest that a Snakemake may take: about 25 on two idle cores, 200 beside much else."""


class Study:
    """The experiment `faults` in a folder of its own, made by a real Snakemake."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.said = ""

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def start(self) -> subprocess.Popen:
        """Start Snakemake as a terminal would: in a process group of its own, with its signals."""
        self.log = self.folder.parent / f"{self.folder.name}.log"
        with self.log.open("w") as log:
            return subprocess.Popen(
                self._command("faults"),
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def run(self, *arguments: str) -> int:
        """Run Snakemake to its end; return its exit status and keep what it said."""
        outcome = subprocess.run(
            self._command("faults", *arguments),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
        self.said = outcome.stdout
        return outcome.returncode

    def finished(self) -> int:
        """Return how many jobs had ended according to the Snakemake that was started."""
        return self.log.read_text().count("Finished jobid")

    def epochs(self) -> int:
        """Return how many epochs of the surrogate are recorded, while it is trained."""
        (*_, path) = [None, *self.results.glob("surrogates/*/*/.state-*/evidence/seen.npy")]
        try:
            return int(np.load(path).any(1).sum()) if path else 0
        except (OSError, ValueError, EOFError):
            return 0

    def wait_for_the_middle(self, running: subprocess.Popen) -> None:
        """Wait until one training has ended and the surrogate's is under way."""
        deadline = time.monotonic() + SECONDS
        while "(Rule: train_network)" not in self.log.read_text() or self.epochs() < 5:
            assert time.monotonic() < deadline
            assert running.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def made(self) -> dict[Path, int]:
        """Return when the outputs of the jobs that have ended were written, in ns."""
        patterns = ("data/*.npz", "runs/*/*/*/full/**/metrics.json", "experiments/*/plan.*.json")
        paths = [path for pattern in patterns for path in self.results.glob(pattern)]
        assert len(paths) == 3
        return {path: path.stat().st_mtime_ns for path in paths}

    def content(self) -> dict[str, str]:
        """Return the SHA-256 of every result, and of every kept seed."""
        rooms = ("data", "surrogates", "scores", "coresets", "runs", "experiments")
        found = {}
        for room in rooms:
            found |= digests(self.results, f"{room}/**/*.*")
        return {name: digest for name, digest in found.items() if "/.s" not in name}

    def leftovers(self) -> list[Path]:
        """Return half-written files and resume states."""
        return [
            path for pattern in (".*.partial*", ".state-*") for path in self.results.rglob(pattern)
        ]

    def _command(self, *arguments: str) -> list[str]:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--directory", str(self.folder), "--cores", "2", *arguments]
        return [*command, "--config", STUDY]


@dataclass(frozen=True)
class Kill:
    """A signal, and whether it goes to Snakemake alone or to all its processes too."""

    number: signal.Signals
    everyone: bool

    def send(self, running: subprocess.Popen) -> None:
        (os.killpg if self.everyone else os.kill)(running.pid, self.number)


@dataclass
class Outcome:
    """What came of a study that was killed and run again."""

    study: Study
    before: dict[Path, int]
    finished: int
    status: int
    epochs: int
    seconds: float


KILLS = {
    "Ctrl-C": Kill(signal.SIGINT, everyone=True),
    "SIGTERM": Kill(signal.SIGTERM, everyone=False),
    "SIGKILL": Kill(signal.SIGKILL, everyone=False),
    "SIGKILL to all": Kill(signal.SIGKILL, everyone=True),
}


def kill_and_run_again(study: Study, kill: Kill) -> Outcome:
    running = study.start()
    study.wait_for_the_middle(running)
    before, epochs = study.made(), study.epochs()
    kill.send(running)
    status = running.wait(SECONDS)
    finished, began = study.finished(), time.monotonic()
    if kill.number == signal.SIGKILL:
        assert study.run() != 0
        assert "--unlock" in study.said
        assert study.run("--unlock") == 0, study.said
    assert study.run() == 0, study.said
    return Outcome(study, before, finished, status, epochs, time.monotonic() - began)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Study:
    """A whole study; only a second Snakemake came by while it ran."""
    study = Study(tmp_path_factory.mktemp("faults") / "undisturbed")
    running = study.start()
    study.wait_for_the_middle(running)
    # Held, so that it has not ended by the time that the second one has started.
    os.killpg(running.pid, signal.SIGSTOP)
    try:
        assert study.run() == 1
    finally:
        os.killpg(running.pid, signal.SIGCONT)
    assert running.wait(SECONDS) == 0, study.log.read_text()
    return study


@pytest.fixture(scope="module")
def killed(undisturbed) -> Iterator[Callable[[str], Outcome]]:
    """Every kill of `KILLS`; two studies run at a time, because one leaves cores idle."""
    with ThreadPoolExecutor(2) as pool:
        outcomes = {
            name: pool.submit(kill_and_run_again, Study(undisturbed.folder.parent / name), kill)
            for name, kill in KILLS.items()
        }
        yield lambda name: outcomes[name].result(4 * SECONDS)


def test_a_second_snakemake_says_so_and_harms_nothing(undisturbed):
    assert "Directory cannot be locked" in undisturbed.said
    assert "Traceback" not in undisturbed.said
    assert undisturbed.finished() == JOBS
    assert not undisturbed.leftovers()


@pytest.mark.parametrize("name", KILLS)
def test_a_killed_study_goes_on_to_the_same_bytes(killed, undisturbed, name):
    outcome = killed(name)
    assert outcome.status != 0
    assert outcome.study.content() == undisturbed.content()
    assert not outcome.study.leftovers()
    assert {path: path.stat().st_mtime_ns for path in outcome.before} == outcome.before
    again = outcome.study.said.count("Finished jobid")
    assert outcome.finished + again == JOBS, "no job that had ended ran again"


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[..., Path]]:
    """Mount a file system of so many KB, or mount it again with another size or read-only."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(*options: str) -> Path:
        first = not os.path.ismount(disk)
        how = ",".join(options if first else ("remount", *options))
        command = ["mount", "-t", "tmpfs", "-o", how, "none", str(disk)]
        outcome = subprocess.run(command, capture_output=True, text=True)
        if outcome.returncode and first:
            pytest.skip(f"a small file system cannot be mounted here: {outcome.stderr.strip()}")
        assert outcome.returncode == 0, outcome.stderr
        return disk

    yield mount
    if os.path.ismount(disk):
        # Lazily: a caught exception may still hold a file mapped.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Take what is free on a file system."""
    with (disk / "fill").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_study_whose_disk_was_full_goes_on(undisturbed, small_disk):
    disk = small_disk("size=2500k")
    study = Study(disk)
    assert study.run() == 1
    reason = f".npy: {os.strerror(errno.ENOSPC).lower()}; make room"
    assert reason in (*study.results.glob("logs/train_surrogate/**/*.log"),)[0].read_text()
    assert reason in study.said
    assert "Traceback" not in study.said
    assert not [*study.results.glob("surrogates/**/*.npy")], "what cannot be used takes no space"
    before = study.made()

    fill(disk)
    assert study.run() == 1
    assert "is on a full disk; make room" in study.said.splitlines()[-1]
    assert "Traceback" not in study.said

    (disk / "fill").unlink()
    small_disk("size=100m")
    assert study.run() == 0, study.said
    assert study.content() == undisturbed.content()
    assert study.made() == before
    assert not study.leftovers()


def checkpoint(path: Path) -> None:
    Checkpoint(path, {}, 0).save({"weights": torch.zeros(100_000)})


def array(path: Path) -> None:
    with replacing(path) as temporary:
        np.save(temporary, np.zeros(100_000))


def arrays(path: Path) -> None:
    write_npz(path, logits=np.zeros(100_000))


def text(path: Path) -> None:
    write_json(path, ["0" * 1_000_000])


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (checkpoint, "seed0.pt"),
        (array, "features.npy"),
        (arrays, "predictions.npz"),
        (text, "metrics.json"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_the_old_file(small_disk, write, name):
    disk = small_disk("size=200k")
    (disk / name).write_text("old")
    with pytest.raises(UserError, match=f"{name}: no space left on device; make room"):
        write(disk / name)
    assert list(disk.iterdir()) == [disk / name]
    assert (disk / name).read_text() == "old"


def test_dynamics_that_will_not_fit_are_known_before_the_training(small_disk):
    """Memory-mapped files would end the process without a word, in some later epoch."""
    disk = small_disk("size=200k")
    labels = torch.zeros(10_000, dtype=torch.int64)
    with pytest.raises(UserError, match="npy: no space left on device; make room"):
        Recorder(disk / "evidence", labels, classes=2, epochs=10, probs_budget_mb=100)
    assert not list(disk.iterdir())


def test_a_file_size_limit_is_one_line(tmp_path):
    out = tmp_path / "digits.npz"
    command = f"ulimit -f 8 && exec {shlex.quote(sys.executable)} -m medcoreset dataset digits --out {out}"
    outcome = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 2
    assert outcome.stderr.count("\n") == 1
    assert f"{out}: {os.strerror(errno.EFBIG).lower()}; make room" in outcome.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("results", ["missing", "existing"])
def test_a_read_only_folder_is_one_line(small_disk, results):
    disk = small_disk("size=200k")
    if results == "existing":
        (disk / "results").mkdir()
        (disk / ".snakemake").mkdir()
    small_disk("ro")
    study = Study(disk)
    assert study.run() == 1
    assert "Traceback" not in study.said
    lines = [line for line in study.said.splitlines() if line.startswith("medcoreset: ")]
    place = disk / "results" if results == "existing" else disk
    assert lines == [
        f"medcoreset: {place} may not be written, and results/ is to be there; choose another "
        "working folder: snakemake --directory FOLDER"
    ]
