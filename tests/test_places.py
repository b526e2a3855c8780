"""The workflow from anywhere: odd folders, another working folder, a module of another workflow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import ROOT, in_ascii_place
from tests.studies import write_experiment

pytestmark = pytest.mark.long

ODD = "wörk {dir} 'q' \"d\" $HOME `w` #1 %s"
"""A folder's name in which a shell, Snakemake and str.format would all see something."""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder as a user does, who has not installed the package."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        command,
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
    )


def clone(folder: Path) -> Path:
    """Copy what a clone of the project has that a workflow needs."""
    for name in ("workflow", "config", "envs", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    return folder


def test_no_name_reaches_a_shell_unquoted(tmp_path):
    place = tmp_path / ODD
    here = clone(tmp_path / ODD.replace("{dir}", "clone"))
    random = np.random.default_rng(0)
    own = place / "my $f {y}.npz"
    studies = write_experiment(place / "studies {a} 'b'", "small", datasets=["mine"])
    arrays = {f"{split}_labels": np.arange(40) % 2 for split in ("train", "val", "test")}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = random.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(own, **arrays)
    content = {"studies": [studies], "datasets": {"mine": {"path": str(own)}}, "cache": "a {b} 'c'"}
    (place / "own.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    study = ("-s", str(here / "Snakefile"), "--configfile", str(place / "own.yaml"))

    outcome = run(place, "small", *study)

    assert outcome.returncode == 0, outcome.stderr[-3000:]
    assert (place / "results" / "experiments" / "small" / "table.csv").is_file()
    np.savez(own, **arrays | {"train_labels": np.arange(40) // 20})
    again = run(place, "-n", "small", *study)
    assert "prepare_dataset" in again.stdout, "a dataset that changed is made anew"


@pytest.mark.parametrize("name", ["a {b}", "a:b"])
def test_a_clone_that_cannot_be_named_is_refused(tmp_path, name):
    here = clone(tmp_path / name)
    outcome = run(tmp_path, "-n", "-s", str(here / "Snakefile"))
    assert outcome.returncode == 1
    assert f"medcoreset: rename {here}: " in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_the_working_folder_is_another(tmp_path):
    folder = write_experiment(tmp_path / "studies", "small")
    study = ("--config", f"studies=['{folder}']")
    (tmp_path / "from").mkdir()
    outcome = run(
        tmp_path / "from", "small", "-s", str(ROOT / "Snakefile"), "--directory", "../to", *study
    )
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    assert (tmp_path / "to" / "results" / "experiments" / "small" / "table.csv").is_file()
    assert not list((tmp_path / "from").iterdir())


MODULE = """
module medcoreset:
    snakefile: {snakefile!r}
    config: {{"studies": [{studies!r}]}}
    {more}

use rule * from medcoreset as {name}

rule count:
    input: "results/experiments/small/table.csv"
    output: "count.txt"
    shell: "false | wc -l < {{input}} > {{output}}"
"""


@pytest.fixture
def outer(tmp_path):
    """Return a function that writes a workflow of which this one is a module."""
    studies = write_experiment(tmp_path / "studies", "small")

    def write(name: str, more: str = "") -> Path:
        snakefile = str(ROOT / "Snakefile")
        text = MODULE.format(snakefile=snakefile, studies=studies, name=name, more=more)
        path = tmp_path / "Snakefile"
        path.write_text(text.replace("as *", ""), encoding="utf-8")
        return tmp_path

    return write


def test_another_workflow_uses_it_as_a_module(outer):
    folder = outer("coreset_*")
    outcome = run(folder, "coreset_small")
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    assert (folder / "results" / "experiments" / "small" / "table.csv").is_file()
    failed = run(folder, "count")
    assert failed.returncode == 1, "a rule of the other workflow fails as it does without this one"
    dry = run(folder, "-n")
    assert dry.returncode == 0, dry.stderr[-3000:]
    assert "coreset_demo" in dry.stdout


def test_a_module_may_keep_its_names(outer):
    folder = outer("*")
    outcome = run(folder, "-n", "small")
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    assert "make_table" in outcome.stdout


def test_a_module_has_no_prefix(outer):
    outcome = run(outer("coreset_*", 'prefix: "below"'), "-n")
    assert outcome.returncode == 1
    assert "medcoreset: prefix: " in outcome.stderr
    assert "Traceback" not in outcome.stderr


@in_ascii_place
def test_neither_a_home_folder_nor_its_alphabet_is_needed(tmp_path):
    folder = write_experiment(tmp_path / "studies", "small", title="Größe ≥ 1")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    home = {"HOME": "/proc/none", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    study = ("-s", str(ROOT / "Snakefile"), "--config", f"studies=['{folder}']")
    outcome = run(tmp_path, "small", *study, **locale, **home)
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    table = (tmp_path / "results" / "experiments" / "small" / "table.md").read_text("utf-8")
    assert "Größe ≥ 1" in table
