"""The real Snakefile on real images, from the dataset to the figures, with tiny settings."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from medcoreset.evidence import Evidence
from medcoreset.selection.budget import class_budgets
from medcoreset.selection.drop import drop_weights
from tests.conftest import ROOT, STUDY, digests

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def results(snakemake, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("workflow")
    outcome = snakemake(folder, "tiny", "--config", STUDY)
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    return folder / "results"


def test_table_holds_every_cell_of_the_experiment(results):
    table = pd.read_csv(results / "experiments" / "tiny" / "table.csv")
    accuracy = table[table.metric == "accuracy"]
    methods = {"random", "forgetting", "entropy", "el2n", "aum", "ccs", "eva", "full"}
    for _, of_protocol in accuracy.groupby("protocol"):
        assert set(of_protocol.method) == methods
        assert len(of_protocol) == 7 * 2 + 1
    assert set(accuracy.protocol) == {"tiny", "tiny:published"}
    assert (accuracy.n == 2).all()
    assert accuracy["mean"].between(0, 100).all()
    tuned = accuracy["method"] == "eva"
    assert (accuracy["candidates"] == tuned + 1).all()
    candidates = {"eva+late=5+length=2", "eva+early=2+late=4+length=2"}
    assert set(accuracy["variant"][tuned]) <= candidates
    text = (results / "experiments" / "tiny" / "table.md").read_text()
    assert "EVA among 2. Not tuned: Random, Forgetting, Entropy, EL2N, AUM, CCS." in text
    full = accuracy[(accuracy.method == "full") & (accuracy.protocol == "tiny")]["mean"].item()
    assert full > 50, "a network that learned digits is far better than chance"


def test_figures_and_tables_are_all_there(results):
    made = {path.name for path in (results / "experiments" / "tiny").iterdir()}
    wanted = {f"table.{suffix}" for suffix in ("csv", "md", "html", "tex")}
    for figure in ("accuracy_over_rate", "score_evolution", "gallery", "score_distribution"):
        wanted |= {f"{figure}.{suffix}" for suffix in ("svg", "pdf", "png")}
    assert wanted <= made
    assert not list(results.rglob("*partial*"))


def test_coresets_have_exactly_the_budget(results):
    labels = json.loads((results / "data" / "digits.json").read_text())["counts"]["train"]
    coresets = sorted(results.glob("coresets/**/seed*.npz"))
    assert len(coresets) == (6 * 2 + 2 * 2) * 2  # EVA has two candidates
    for path in coresets:
        rate = float(path.parent.parent.name)
        indices = np.load(path)["indices"]
        assert len(indices) == int(np.ceil(np.round(rate * labels, 9)))
        assert len(np.unique(indices)) == len(indices)


def test_a_finished_study_has_nothing_to_do(results, snakemake):
    outcome = snakemake(results.parent, "tiny", "--config", STUDY, "-n")
    assert "Nothing to be done" in outcome.stderr + outcome.stdout


def test_same_seeds_give_the_same_bytes(results, snakemake, tmp_path):
    outcome = snakemake(tmp_path, "tiny", "--config", STUDY)
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    patterns = ("data/*", "scores/**/*.npz", "coresets/**/*.npz", "experiments/**/*.*")
    for pattern in (*patterns, "runs/**/metrics.json", "runs/**/predictions.npz"):
        first, second = digests(results, pattern), digests(tmp_path / "results", pattern)
        assert first
        assert first == second, pattern


def test_real_medical_images_under_both_protocols(snakemake, medical_data, tmp_path):
    outcome = snakemake(
        tmp_path, "tiny_medical", "--config", STUDY, f"data_dir={medical_data}", timeout=900
    )
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    table = pd.read_csv(tmp_path / "results" / "experiments" / "tiny_medical" / "table.csv")
    accuracy = table[table.metric == "accuracy"]
    assert set(accuracy.dataset) == {"pneumoniamnist", "retinamnist"}
    assert set(accuracy.protocol) == {"tiny", "tiny_published"}
    full = accuracy[(accuracy.dataset == "pneumoniamnist") & (accuracy.method == "full")]
    published = full[full.protocol == "tiny_published"]
    # 512 of the 524 validation images are reported, as the authors' code does.
    assert (published["mean"] * 512 / 100).sub(
        (published["mean"] * 512 / 100).round()
    ).abs().max() < 1e-6


def test_budgets_by_recall_of_rows_that_score_and_of_those_that_do_not(snakemake, tmp_path):
    content = {
        "title": "DRoP",
        "datasets": ["digits+train=300"],
        "protocols": ["tiny"],
        "surrogate": {"network": "mlp"},
        "networks": ["mlp"],
        "full": False,
        "methods": {
            "random": {"balance": "drop"},
            "el2n": {"balance": "drop", "epochs": 3},
            "herding": {"balance": "drop"},
        },
        "rates": [0.2],
        "seeds": [0],
    }
    shutil.copytree(ROOT / "tests" / "study" / "protocols", tmp_path / "own" / "protocols")
    (tmp_path / "own" / "experiments").mkdir()
    path = tmp_path / "own" / "experiments" / "drop.yaml"
    path.write_text(yaml.safe_dump(content))
    outcome = snakemake(tmp_path, "drop", "--config", f"studies=['{tmp_path / 'own'}']")
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    (evidence,) = (tmp_path / "results" / "surrogates").glob("*/*/*/evidence")
    arrays = Evidence.load(evidence)
    sizes = np.bincount(arrays["labels"])
    budgets = class_budgets(sizes, 60, weights=drop_weights(arrays, sizes))
    assert budgets.tolist() != class_budgets(sizes, 60).tolist()
    coresets = list((tmp_path / "results" / "coresets").glob("**/0.2+balance=drop/0/seed0.npz"))
    assert len(coresets) == 3
    for coreset in coresets:
        labels = arrays["labels"][np.load(coreset)["indices"]]
        np.testing.assert_array_equal(np.bincount(labels, minlength=len(sizes)), budgets)


def test_wrong_data_folder_is_one_line_and_leaves_nothing(snakemake, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = snakemake(
        tmp_path, "results/data/organsmnist.npz", "--config", f"data_dir={tmp_path / 'empty'}"
    )
    assert outcome.returncode != 0
    log = (tmp_path / "results" / "logs" / "prepare_dataset" / "organsmnist.log").read_text()
    assert log.count("\n") == 1
    assert "organsmnist.npz" in log
    assert not (tmp_path / "results" / "data" / "organsmnist.npz").exists()


def test_own_images_in_a_folder_become_a_dataset(snakemake, tmp_path):
    random = np.random.default_rng(0)
    for name in ("benign", "malign"):
        for number in range(20):
            path = tmp_path / "slides" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (9, 9), dtype=np.uint8)).save(path)
    own = {"slides": {"path": str(tmp_path / "slides"), "image_size": 8}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"datasets": own}))
    configuration = ("--configfile", str(tmp_path / "own.yaml"))
    outcome = snakemake(tmp_path, "results/data/slides.npz", *configuration)
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    info = json.loads((tmp_path / "results" / "data" / "slides.json").read_text())
    assert info["class_names"] == ["benign", "malign"]
    assert sum(info["counts"].values()) == 40
