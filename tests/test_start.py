"""What a job imports: a study has thousands of short ones, and some libraries take seconds."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medcoreset.datasets import canonical
from medcoreset.selection.files import write_scores
from tests.small_study import PUBLISHED, save_plan, write_study
from tests.training_cases import coresets, digits

SLOW = {"matplotlib", "medmnist", "pandas", "scipy", "sklearn", "torch", "torchvision"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    canonical.write(digits(train=60, held_out=20), path)
    return path


def imported(*arguments: object) -> set[str]:
    """Run a stage in a process of its own; return the names of the modules that it imported."""
    command = [sys.executable, "-X", "importtime", "-m", "medcoreset", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr.splitlines()[-1]
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_training_imports_torch_without_its_compiler(optimizer, dataset, tmp_path):
    coresets(tmp_path / "coresets", canonical.load(dataset), seeds=[0, 1], size=40)
    of_run = ["--coresets", tmp_path / "coresets", "--surrogate", "none", "--method", "random"]
    of_run += ["--rate", 0.5, "--protocol", "clean", "--network", "lenet", "--epochs", 2]
    of_run += ["--seeds", "0,1", "--optimizer", optimizer, "--device", "cpu"]

    names = imported("train", "--dataset", dataset, *of_run, "--out", tmp_path / "out")

    assert SLOW & names == {"torch"}
    assert not {"torch._dynamo", "torch._inductor", "sympy"} & names


def test_a_coreset_from_scores_waits_for_none_of_them(dataset, tmp_path):
    scores = np.random.default_rng(0).random(60)
    sha256 = canonical.load_info(dataset)["sha256"]
    write_scores(tmp_path / "scores.npz", scores, "aum", {"space": "probability"}, sha256, "")
    of_rate = ["--scores", tmp_path / "scores.npz", "--rate", 0.5, "--seeds", "0,1"]

    names = imported("coreset", "aum", "--dataset", dataset, *of_rate, "--out", tmp_path / "out")

    assert not SLOW & names


def test_a_table_does_not_wait_for_torch(tmp_path):
    plan = save_plan(write_study(tmp_path), tmp_path)

    (tmp_path / "published.csv").write_text(PUBLISHED)
    files = ["--plan", plan, "--published", tmp_path / "published.csv"]

    names = imported("table", *files, "--out", tmp_path / "out")

    assert SLOW & names == {"pandas", "scipy"}
