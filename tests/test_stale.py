"""No number is shown that the plan does not ask for, and no damage goes unnoticed."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.test_reruns import PROTOCOL, SECOND, Project, finished

pytestmark = pytest.mark.long

RUN = "results/runs/mine/short/none/random/0.3/lenet/0/metrics.json"
TABLE = "results/experiments/second/table.csv"
SURROGATE = "results/surrogates/digits/short/lenet+seed=0"


@pytest.fixture(scope="module")
def project(snakemake, tmp_path_factory) -> Project:
    return finished(snakemake, tmp_path_factory.mktemp("stale") / "project")


@pytest.fixture
def copied(project, tmp_path) -> Project:
    """The finished project in another place, as somebody has it who was given a copy."""
    again = replace(project, root=tmp_path / "copied")
    subprocess.run(["cp", "--archive", project.root, again.root], check=True)  # links stay links
    return again


def outcome(project: Project, *arguments: str):
    given = ("--snakefile", str(project.root / "Snakefile"))
    given += ("--configfile", str(project.root / "own.yaml"))
    return project.snakemake(project.root, *arguments, *given)


def said(project: Project, rule: str) -> str:
    logs = sorted((project.root / "results/logs" / rule).rglob("*.log"))
    return "".join(path.read_text() for path in logs)


def flip(path: Path, place: int = -100) -> None:
    """Change one byte of a file where it lies, as a failing disk does."""
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    with path.open("r+b") as file:  # in place: links to the file see it too
        file.write(content)


@pytest.mark.parametrize("how", ["forgotten", "touched"])
def test_results_of_another_plan_are_refused_and_made_again_on_demand(copied, how):
    """Snakemake's own memory is lost, or told that all is up to date: what results say counts."""
    shutil.rmtree(copied.root / ".snakemake")
    assert "Nothing to be done" in outcome(copied, "second", "-n").stdout
    before = (copied.root / TABLE).read_text()
    copied.edit(PROTOCOL, "epochs: 5", "epochs: 6")
    if how == "touched":
        assert outcome(copied, "second", "--touch").returncode == 0
    refused = outcome(copied, "second")
    assert refused.returncode != 0
    line = said(copied, "make_table")
    assert f"{RUN} does not fit the plan" in line
    assert "--forceall" in line
    assert "Traceback" not in line
    made = outcome(copied, "second", "--forceall")
    assert made.returncode == 0, made.stderr[-3000:]
    assert json.loads((copied.root / RUN).read_text())["training"]["epochs"] == 6
    assert (copied.root / TABLE).read_text() != before


def test_a_plan_that_was_had_before_is_made_again(copied):
    """To a change and back again, the table is of the plan that stands."""
    title = (copied.root / TABLE).with_suffix(".md")
    for new in ("My data", "Own data"):
        old = {"My data": "Own data", "Own data": "My data"}[new]
        copied.edit(SECOND, old, new)
        shutil.rmtree(copied.root / ".snakemake", ignore_errors=True)
        assert outcome(copied, "second").returncode == 0
        assert new in title.read_text()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("evidence/error_norm.npy", "score_samples"),
        ("evidence/seal.json", "score_samples"),
    ],
)
def test_damage_to_evidence_is_found_and_healed(copied, name, rule):
    """What is kept of a surrogate is the same file: it is not taken over with its damage."""
    path = copied.root / SURROGATE / name
    whole = path.read_bytes()
    flip(path, place=len(whole) // 2)
    again = ("--forcerun", rule)
    assert outcome(copied, "first", *again).returncode != 0
    line = said(copied, rule)
    assert name in line
    assert "Traceback" not in line
    made = outcome(copied, "first", "--forcerun", "train_surrogate")
    assert made.returncode == 0, made.stderr[-3000:]
    assert path.read_bytes() == whole
    assert "the surrogate is trained again" in said(copied, "train_surrogate")


def test_damage_to_a_kept_seed_is_found_and_healed(copied):
    folder = copied.root / RUN
    for kept in folder.parents[1].glob(".seeds/*.npz"):
        flip(kept)
    made = outcome(copied, "second", "--forcerun", "train_network")
    assert made.returncode == 0, made.stderr[-3000:]
    assert "seed 0 is trained again" in said(copied, "train_network")


def test_damage_to_metrics_is_one_line(copied):
    (copied.root / RUN).write_text('{"recipe": ')
    assert outcome(copied, "second").returncode != 0
    line = said(copied, "make_table")
    assert RUN in line
    assert "Traceback" not in line
