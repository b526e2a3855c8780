"""Whole studies on a real cluster, through the profile, against the same on this machine."""

import re

import pytest

from tests.conftest import digests
from tests.slurm.cluster import jobs, slurm, wait_until
from tests.slurm.conftest import STUDY

RESULTS = (
    *("data/*", "surrogates/**/*", "scores/**/*", "coresets/**/*", "experiments/**/*"),
    *("runs/**/metrics.json", "runs/**/predictions.npz"),
)


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    ("study", "made", "submissions"),
    [
        # A surrogate, 3 scores, 8 selections, and 16 trainings of 8 at a time.
        pytest.param("small", 34, 5, id="small"),
        # A surrogate, 9 scores, 21 selections in two waves, and 44 trainings of 8 at a time.
        pytest.param("demo", 85, 10, id="demo", marks=pytest.mark.full),
    ],
)
def test_a_study_gives_the_bytes_of_a_local_run_in_few_submissions(
    workflow, snakemake, tmp_path, study, made, submissions
):
    workflow.start(study, *STUDY)
    wait_until(lambda: batch_of_trainings(), 600, "a batch of trainings runs")
    asked = slurm("scontrol", "show", "job", batch_of_trainings())
    # One after the other: the memory and the GPU of one training, the time of eight.
    assert "TimeLimit=00:40:00" in asked
    assert "MinMemoryNode=2000M" in asked
    assert "TresPerJob=gres:gpu:1" in asked
    assert workflow.finish(1800) == 0, workflow.output
    assert not jobs()

    assert workflow.output.count("Finished jobid") == made
    assert len(workflow.submissions) == submissions

    local = tmp_path / "local"
    outcome = snakemake(local, study, *STUDY, timeout=1200)
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    for pattern in RESULTS:
        expected = digests(local / "results", pattern)
        assert expected
        assert digests(workflow.folder / "results", pattern) == expected, pattern

    workflow.start(study, *STUDY)
    assert workflow.finish(120) == 0
    assert "Nothing to be done" in workflow.output


def batch_of_trainings() -> str | None:
    """Return the id of a running submission that holds trainings."""
    running = jobs("running").items()
    return next((job for job, rule in running if rule.startswith("rule_training_")), None)


def test_the_profile_has_one_place_for_partition_and_gpu_syntax(workflow, surrogate):
    """The lines that a user uncomments, uncommented."""
    profile = workflow.profile.read_text()
    theirs = re.sub(
        r"^( *)# ( *(slurm_partition|set-resources|\w+: \{gpu))", r"\1\2", profile, flags=re.M
    )
    assert theirs.count("gres:") == 3
    workflow.profile = workflow.folder / "profile" / "config.yaml"
    workflow.profile.parent.mkdir()
    workflow.profile.write_text(theirs.replace("\"'gpu'\"", "\"'urgent'\""))
    surrogate.epochs = 1
    workflow.start(surrogate.target, *STUDY)
    wait_until(jobs, 60, "a job")
    asked = slurm("scontrol", "show", "job", next(iter(jobs())))
    assert "Partition=urgent" in asked
    assert "TresPerNode=gres:gpu:1" in asked
    assert workflow.finish() == 0, workflow.output
