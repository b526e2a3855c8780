"""The private cluster, Snakemake on it through the profile, and the table of the faults."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.slurm.cluster import Cluster, jobs, slurm, wait_until

HERE = Path(__file__).parent
STUDY_FILE = HERE / "study" / "cluster.yaml"
STUDY = ("--configfile", str(STUDY_FILE), "--config", f"studies=['{HERE}/study']")

FAULTS = pytest.StashKey[list[tuple[str, ...]]]()


@pytest.fixture(scope="session")
def _started() -> Iterator[Cluster]:
    folder = os.environ.get("MEDCORESET_SLURM")
    if not folder:
        pytest.exit("these tests start a cluster: run `make test-slurm`", returncode=2)
    cluster = Cluster(Path(folder))
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(_started) -> Iterator[Cluster]:
    """The cluster, whole and idle before and after each test."""
    _started.start()
    yield _started
    _started.start()
    slurm("scancel", "--user", str(os.getuid()))
    wait_until(lambda: not jobs(), 60, "no job is left")


@dataclass
class Workflow:
    """One call of Snakemake after the other in a folder of its own, on the cluster."""

    folder: Path
    profile: Path = ROOT / "workflow" / "profiles" / "slurm" / "config.yaml"
    calls: list[subprocess.Popen] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake through the profile."""
        program = [sys.executable, HERE / "fastpoll.py", "--snakefile", ROOT / "Snakefile"]
        program += ["--profile", self.profile.parent, "--jobs", "2"]
        with self._log(len(self.calls)).open("w") as log:
            call = subprocess.Popen(
                [*program, "--directory", self.folder, *arguments],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | {"MEDCORESET_CHECKPOINT_SECONDS": "1"},
                # Its own process group, and SIGINT as a terminal would deliver it.
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        self.calls.append(call)
        return call

    def finish(self, seconds: float = 300) -> int:
        """Wait for the last call, which the plugin can make wait for ever, and return its status."""
        try:
            return self.calls[-1].wait(seconds)
        except subprocess.TimeoutExpired:
            self.calls[-1].kill()
            raise AssertionError(f"Snakemake hangs:\n{self.output}") from None

    @property
    def output(self) -> str:
        """What the last call has printed."""
        return self._log(len(self.calls) - 1).read_text()

    @property
    def submissions(self) -> list[str]:
        """SLURM's ids of the jobs that the last call has submitted."""
        return re.findall(r"submitted with SLURM jobid (\d+)", self.output)

    def _log(self, call: int) -> Path:
        return self.folder / f"call{call}.out"


@pytest.fixture
def workflow(cluster, tmp_path) -> Iterator[Workflow]:
    workflow = Workflow(tmp_path)
    yield workflow
    for call in workflow.calls:
        if call.poll() is None:
            call.kill()


@dataclass
class Surrogate:
    """A training to disturb: the surrogate of the study `faults` with so many epochs."""

    folder: Path
    epochs: int = 100

    @property
    def path(self) -> str:
        """Where its results are."""
        identity = f"resnet18+width=4+epochs={self.epochs}+seed=0"
        return f"results/surrogates/digits/faults/{identity}"

    @property
    def target(self) -> str:
        """The file to ask Snakemake for."""
        return f"{self.path}/metrics.json"

    @property
    def log(self) -> str:
        """What the training has said in its current attempt."""
        path = self.folder / f"{self.path.replace('surrogates', 'logs/train_surrogate')}.log"
        return path.read_text() if path.exists() else ""

    @property
    def checkpoint(self) -> Path:
        """Its resume state."""
        out = self.folder / self.path
        return out.parent / f".state-{out.name}" / "seed0.pt"

    def trains(self) -> bool:
        """Say whether an attempt is under way that has written a checkpoint."""
        return "epoch" in self.log and self.checkpoint.exists()

    def resumed_at(self) -> int:
        """Return the step from which the current attempt went on, 0 if it began anew."""
        found = re.search(r"resuming at step (\d+)", self.log)
        return int(found.group(1)) if found else 0


@pytest.fixture
def surrogate(workflow) -> Surrogate:
    return Surrogate(workflow.folder)


@pytest.fixture
def fault(request):
    """Note a row of the table of faults: what was done, what was seen, how long, what was lost."""
    rows = request.config.stash.setdefault(FAULTS, [])

    def note(done: str, seen: str, seconds: float, lost: str) -> None:
        rows.append((done, seen, f"{seconds:.0f} s", lost))

    return note


def pytest_terminal_summary(terminalreporter, config) -> None:
    """Print the table of faults, as Markdown."""
    rows = config.stash.get(FAULTS, [])
    if rows:
        terminalreporter.section("faults")
        terminalreporter.line("| fault | what was seen | time to recover | lost |")
        terminalreporter.line("|---|---|---|---|")
        for row in rows:
            terminalreporter.line(f"| {' | '.join(row)} |")
