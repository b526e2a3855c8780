"""Several labels per image: what is refused before the first job, and the whole workflow on a file of them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from medcoreset.datasets import sources
from medcoreset.datasets.canonical import SPLITS
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.reporting.metrics import evaluate
from medcoreset.study import configuration
from tests.studies import TINY, write, write_experiment

EL2N = {"el2n": {"epochs": 1}}


def loaded(folder: Path, *, own: dict | None = None, **changes) -> configuration.Experiment:
    path = write_experiment(folder, "small", **changes)
    per_class = TINY | {"selection": {"balance": "class"}}
    write(folder, "protocols", "per_class", per_class)
    study = configuration.load({"studies": [path], "datasets": own or {}})
    return study.experiments["small"]


@pytest.mark.parametrize("own", [False, True], ids=["chestmnist", "own"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": {"moderate": {}}}, ["methods.moderate", "looks at classes (labels)"]),
        ({"methods": {"entropy": {}}}, ["methods.entropy", "looks at classes (final_probs)"]),
        ({"methods": {"deepfool": {}}}, ["methods.deepfool", "looks at classes (perturbations)"]),
        ({"methods": {"glister": {}}}, ["methods.glister", "looks at classes"]),
        (
            {"methods": {"eva": {"balance": "class"}}},
            ["methods.eva", "balance is class", "take balance global"],
        ),
        ({"methods": {"random": {"balance": "drop"}}}, ["methods.random", "balance is drop"]),
        ({"protocols": ["per_class"]}, ["methods.random", "balance is class"]),
        ({"methods": EL2N, "figures": ["gallery"]}, ["figures", "gallery shows classes"]),
    ],
)
def test_what_needs_classes_is_one_line_before_the_first_job(tmp_path, own, changes, words):
    if "eva" in changes.get("methods", {}):
        changes = {"methods": {"eva": {"early": 1, "late": 2, "length": 1, "balance": "class"}}}
    given = {"findings": {"path": "findings.npz", "multilabel": True}} if own else None
    name = "findings" if own else "chestmnist"
    with pytest.raises(UserError) as mistake:
        loaded(tmp_path, own=given, datasets=[name], **changes)
    assert all(word in str(mistake.value) for word in [*words, name]), mistake.value
    assert "\n" not in str(mistake.value)


def test_what_needs_none_is_not_refused(tmp_path):
    rows = {"random": {}, "aum": {}, "herding": {}, "kcenter_greedy": {}, "craig": {}, **EL2N}
    assert loaded(tmp_path, datasets=["chestmnist"], methods=rows)["datasets"] == ["chestmnist"]


def test_own_conditions_and_folders_are_refused(tmp_path):
    own = {"findings": {"path": "findings.npz", "multilabel": True}}
    with pytest.raises(UserError, match="noise is for one label per image"):
        loaded(tmp_path, own=own, datasets=["findings+noise=0.1"])
    with pytest.raises(UserError, match=r"multilabel is for an \.npz"):
        configuration.load(
            {"datasets": {"slides": {"path": "slides", "image_size": 8, "multilabel": True}}}
        )


@pytest.mark.long
def test_the_workflow_on_a_file_with_several_labels(snakemake, tmp_path):
    """A file as ChestMNIST's is, of digits one over the other."""
    made = sources.read_stand_in("chestmnist", 300, tmp_path)
    arrays = {f"{split}_images": made.images(split) for split in SPLITS}
    arrays |= {f"{split}_labels": made.labels(split).astype(np.uint8) for split in SPLITS}
    np.savez_compressed(tmp_path / "findings.npz", **arrays)
    rows = {
        "random": {},
        "el2n": {"epochs": 2},
        "aum": {},
        "grand": {"models": 1, "layers": "all"},
        "herding": {},
        "facility_location": {},
        "infobatch": {},
        "rs2": {},
        "craig": {"reselect": 1},
        "rho_loss": {"at": 1},
    }
    folder = write_experiment(
        tmp_path / "own",
        "findings",
        datasets=["findings"],
        methods=rows,
        protocols=["tiny", "tiny:medmnist"],
        rates=[0.2],
        full=True,
        figures=["accuracy_over_rate"],
    )
    own = {"findings": {"path": str(tmp_path / "findings.npz"), "multilabel": True}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"datasets": own, "studies": [folder]}))
    outcome = snakemake(tmp_path, "findings", "--configfile", str(tmp_path / "own.yaml"))
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    results = tmp_path / "results"
    table = pd.read_csv(results / "experiments" / "findings" / "table.csv")
    assert set(table["metric"]) == {"accuracy", "auc"}
    assert set(table["method"]) == {*rows, "full"}
    assert "AUC" in (results / "experiments" / "findings" / "table.md").read_text()
    surrogate = results / "surrogates" / "findings" / "tiny" / "lenet+seed=0"
    evidence = Evidence.load(surrogate / "evidence")
    assert evidence.multilabel
    assert np.asarray(evidence["error_norm"]).max() > 1
    # What is reported is what the predictions give.
    metrics = json.loads((surrogate / "metrics.json").read_text())
    with np.load(surrogate / "predictions.npz") as predictions:
        found = evaluate(predictions["test_logits"][0], predictions["test_labels"])
    assert metrics["seeds"]["0"]["rules"]["clean"]["test"] == pytest.approx(found)
