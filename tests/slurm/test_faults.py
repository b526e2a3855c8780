"""Trainings on a real cluster that are disturbed: they end with the bytes of one that was not."""

import json
import re
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import digests
from tests.slurm.cluster import jobs, slurm, wait_until
from tests.slurm.conftest import STUDY, STUDY_FILE, Surrogate, Workflow

PATTERN = "surrogates/**/*"


@pytest.fixture(scope="module")
def undisturbed(snakemake, tmp_path_factory):
    """The folder of a surrogate that was trained here, without a cluster, by number of epochs."""
    found: dict[int, Path] = {}

    def folder_of(epochs: int) -> Path:
        if epochs not in found:
            folder = tmp_path_factory.mktemp("undisturbed")
            outcome = snakemake(folder, Surrogate(folder, epochs).target, *STUDY)
            assert outcome.returncode == 0, outcome.stderr[-3000:]
            found[epochs] = folder
        return found[epochs]

    return folder_of


@pytest.fixture
def whole(workflow, surrogate, undisturbed):
    """Check that the last call ends well, with the results of the undisturbed training."""

    def check(seconds: float = 300) -> None:
        assert workflow.finish(seconds) == 0, workflow.output
        found = digests(workflow.folder / "results", PATTERN)
        assert found == digests(undisturbed(surrogate.epochs) / "results", PATTERN)
        assert not surrogate.checkpoint.parent.exists()

    return check


def begin(workflow: Workflow, surrogate: Surrogate, *arguments: str) -> str:
    """Start the training and return its SLURM id once it is under way."""
    workflow.start(surrogate.target, *STUDY, *arguments)
    wait_until(surrogate.trains, 90, "the surrogate trains")
    return next(iter(jobs("running")))


def with_resources(workflow: Workflow, **resources: int) -> list[str]:
    """Return the arguments of the study with other resources of the surrogate."""
    changed = workflow.folder / "resources.yaml"
    changed.write_text(json.dumps({"resources": {"surrogate": resources}}))
    return ["--configfile", str(STUDY_FILE), str(changed), *STUDY[2:]]


def times(folder: Path) -> dict[Path, int]:
    """Return when the results that precede the training were made."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("results/data/*")}


def start_now(job: str) -> None:
    """Spare a test the two minutes that SLURM lets a requeued job wait."""
    slurm("scontrol", "update", f"JobId={job}", "StartTime=now")


def trains_again(surrogate: Surrogate, seconds: float = 120) -> float:
    """Wait until another attempt goes on from the checkpoint; return the seconds it took."""
    return wait_until(lambda: surrogate.resumed_at() > 0, seconds, "an attempt goes on")


def finds_all_done(workflow: Workflow, surrogate: Surrogate) -> float:
    """Call Snakemake again, which has nothing to do; return the seconds it took to see that."""
    start = time.monotonic()
    workflow.start(surrogate.target, *STUDY)
    assert workflow.finish(60) == 0
    assert "Nothing to be done" in workflow.output
    return time.monotonic() - start


def test_cancelled_job_is_submitted_again_and_goes_on(workflow, surrogate, whole, fault):
    job = begin(workflow, surrogate)
    slurm("scancel", job)
    seconds = trains_again(surrogate)
    whole()
    assert len(workflow.submissions) == 2
    fault("scancel of a running job", "submitted again, went on", seconds, "nothing")


@pytest.mark.full
def test_cancelled_batch_keeps_what_its_jobs_have_finished(workflow, snakemake, tmp_path, fault):
    def kept() -> dict[Path, int]:
        seeds = workflow.folder.glob("results/runs/**/.seeds/*.npz")
        return {path: path.stat().st_mtime_ns for path in seeds}

    workflow.start("batch", *STUDY)
    wait_until(lambda: len(kept()) >= 2, 120, "two of four trainings have ended")
    before = kept()
    slurm("scancel", *jobs("running"))
    start = time.monotonic()
    wait_until(lambda: len(kept()) == 4, 120, "all trainings have ended")
    seconds = time.monotonic() - start
    assert workflow.finish() == 0, workflow.output
    assert kept().items() >= before.items(), "none of them was repeated"
    outcome = snakemake(tmp_path / "local", "batch", *STUDY)
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    pattern = "runs/**/*s.*"  # metrics and predictions
    expected = digests(tmp_path / "local" / "results", pattern)
    assert len(expected) == 8
    assert digests(workflow.folder / "results", pattern) == expected
    seen = f"submitted again; the {len(before)} finished trainings were taken over"
    fault("scancel of a batch of 4 trainings", seen, seconds, "nothing")


@pytest.mark.full
def test_preempted_job_is_requeued_and_goes_on(workflow, surrogate, whole, fault):
    job = begin(workflow, surrogate)
    start = time.monotonic()
    urgent = slurm(
        *("sbatch", "--parsable", "--partition=urgent", "--nodes=2", "--exclusive"),
        *("--output=/dev/null", "--wrap=sleep 2"),
    ).strip()
    wait_until(lambda: job in jobs("pending"), 60, "the surrogate is pushed out")
    wait_until(lambda: urgent not in jobs(), 60, "the urgent job has ended")
    start_now(job)
    trains_again(surrogate)
    seconds = time.monotonic() - start
    whole()
    assert workflow.submissions == [job], "SLURM requeues it; no retry is used"
    fault("preemption (requeue)", "requeued by SLURM, went on", seconds, "nothing")


def test_job_out_of_time_gets_more_and_goes_on(workflow, surrogate, undisturbed, whole, fault):
    """A limit of one minute, the least that SLURM knows, for a training that takes two."""
    metrics = json.loads((undisturbed(surrogate.epochs) / surrogate.target).read_text())
    surrogate.epochs = round(120 / metrics["measured"]["seconds"]["0"] * surrogate.epochs)
    workflow.start(surrogate.target, *with_resources(workflow, runtime=1))
    wait_until(lambda: "TIMEOUT" in workflow.output, 200, "the first attempt is out of time")
    assert surrogate.log.splitlines()[-1] in workflow.output, "its log is shown"
    assert "stopped by SIGTERM" in surrogate.log
    start = time.monotonic()
    wait_until(lambda: len(workflow.submissions) == 2, 60, "a second attempt")
    assert slurm("squeue", "--noheader", "--format=%l").split() == ["2:00"]
    trains_again(surrogate)
    seconds = time.monotonic() - start
    whole(700)
    fault("time limit", "TIMEOUT, submitted again with twice the time, went on", seconds, "nothing")


@pytest.mark.full
def test_job_out_of_memory_says_so_and_gets_more(workflow, surrogate, whole, fault):
    """The least memory that the configuration allows is too little for torch."""
    little = with_resources(workflow, mem_mb=500)
    workflow.start(surrogate.target, *little, "--retries", "0")
    assert workflow.finish() == 1
    assert "At least one job did not complete successfully" in workflow.output
    said = Path(re.search(r"\S+/slurm_logs/\S+\.log(?= \(check)", workflow.output).group())
    assert "memory limit" in said.read_text()
    workflow.start(surrogate.target, *little)
    wait_until(lambda: "Error in rule" in workflow.output, 100, "the first attempt is killed")
    start = time.monotonic()
    wait_until(lambda: len(workflow.submissions) == 2, 60, "a second attempt")
    assert slurm("squeue", "--noheader", "--format=%m").split() == ["1000M"]
    wait_until(surrogate.trains, 120, "the second attempt trains")
    seconds = time.monotonic() - start
    whole()
    fault("memory limit", "killed, submitted again with twice the memory", seconds, "nothing")


@pytest.mark.full
def test_job_of_a_node_that_fails_goes_on_at_another(cluster, workflow, surrogate, whole, fault):
    job = begin(workflow, surrogate)
    node = slurm("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip()
    start = time.monotonic()
    cluster.crash(node, job)
    wait_until(lambda: job in jobs("pending"), 60, "the job is requeued")
    start_now(job)
    trains_again(surrogate)
    seconds = time.monotonic() - start
    other = slurm("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip()
    assert other not in ("", node)
    whole()
    assert workflow.submissions == [job], "SLURM requeues it; no retry is used"
    fault(
        "node down",
        "requeued by SLURM on the other node, went on",
        seconds,
        "≤ 1 checkpoint interval",
    )


@pytest.mark.full
def test_scheduler_that_restarts_is_waited_for(cluster, workflow, surrogate, whole, fault):
    begin(workflow, surrogate)
    cluster.kill("slurmctld")
    time.sleep(4)
    cluster.start()
    start = time.monotonic()
    wait_until(lambda: jobs("running"), 60, "the job is still known")
    seconds = time.monotonic() - start
    whole()
    assert len(workflow.submissions) == 1
    fault("restart of the scheduler", "the job ran on, its end was seen", seconds, "nothing")


@pytest.mark.full
def test_long_outage_of_the_scheduler_loses_no_result(cluster, workflow, surrogate, whole, fault):
    """Without accounting the plugin then waits for ever; interrupted and called again, it goes on."""
    begin(workflow, surrogate)
    cluster.kill("slurmctld")
    time.sleep(30)
    cluster.start()
    wait_until(lambda: not jobs(), 120, "the job has ended")
    assert workflow.calls[-1].poll() is None
    workflow.calls[-1].send_signal(signal.SIGINT)
    assert workflow.finish(60) == 1
    seconds = finds_all_done(workflow, surrogate)
    whole()
    seen = "the job ran to its end; Snakemake waited until interrupted; called again, it found all done"
    fault("outage of the scheduler, 30 s", seen, seconds, "nothing")


@pytest.mark.full
def test_snakemake_that_is_interrupted_goes_on(workflow, surrogate, whole, fault):
    begin(workflow, surrogate)
    workflow.calls[-1].send_signal(signal.SIGINT)
    assert workflow.finish(60) == 1
    wait_until(lambda: not jobs(), 60, "its job is cancelled")
    assert not (workflow.folder / surrogate.target).exists()
    made = times(workflow.folder)
    start = time.monotonic()
    workflow.start(surrogate.target, *STUDY)
    trains_again(surrogate)
    seconds = time.monotonic() - start
    whole()
    assert times(workflow.folder) == made
    fault("SIGINT to Snakemake", "job cancelled; called again, it went on", seconds, "nothing")


@pytest.mark.full
def test_snakemake_that_is_terminated_waits_for_its_jobs(workflow, surrogate, whole, fault):
    begin(workflow, surrogate)
    workflow.calls[-1].send_signal(signal.SIGTERM)
    assert workflow.finish() == 1
    assert "Will exit after finishing currently running jobs" in workflow.output
    seconds = finds_all_done(workflow, surrogate)
    whole()
    seen = "its job ran to its end, no other was started; called again, it found all done"
    fault("SIGTERM to Snakemake", seen, seconds, "nothing")


def test_snakemake_that_is_killed_goes_on_beside_the_job_it_left(workflow, surrogate, whole, fault):
    left = begin(workflow, surrogate)
    workflow.calls[-1].kill()
    workflow.finish()
    assert list(jobs()) == [left], "nobody has told the job"
    made = times(workflow.folder)
    start = time.monotonic()
    workflow.start("--unlock")
    assert workflow.finish(60) == 0
    workflow.start(surrogate.target, *STUDY)
    wait_until(lambda: "waiting for the process" in surrogate.log, 60, "the second job waits")
    seconds = time.monotonic() - start
    whole()
    assert "taken over" in surrogate.log
    assert times(workflow.folder) == made
    seen = "the job ran on; after --unlock the second one waited and took its result over"
    fault("SIGKILL to Snakemake", seen, seconds, "nothing")
