"""Everything that an experiment's table and figures are made of, made up in the form that jobs leave.

So each table and figure can be made before a study trains for days, and not only those of studies
that are small enough to be run.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset import cost
from medcoreset.atomic import write_json, write_npz
from medcoreset.datasets import canonical, sources
from medcoreset.figures import FIGURES
from medcoreset.plan import Plan, Reported
from medcoreset.provenance import seal
from medcoreset.reporting.rules import RULES, possible
from medcoreset.selection.coreset import read_coreset
from medcoreset.study import configuration, planning, results
from medcoreset.study.configuration import Experiment, Study
from medcoreset.study.recipes import Recipes

EPOCHS = 12
"""Epochs of the made-up training dynamics."""


def write(study: Study, experiment: Experiment) -> Plan:
    """Write the inputs below the working folder, and return the experiment's plan."""
    plan = planning.of(Recipes(study), experiment)
    datasets = {}
    for name in experiment["datasets"]:
        path = Path(study.path(results.DATASET).format(dataset=name))
        datasets[name] = sources.read_stand_in(name, 1, path.with_suffix(""))
        canonical.write(datasets[name], path)
    for entry in plan.datasets.values():
        _told(canonical.description_path(entry.path), recipe=entry.recipe)
    for run in plan.runs:
        classes, has_val = datasets[run.dataset].classes, study.has_val(run.dataset)
        content = metrics(run, classes, has_val, several=datasets[run.dataset].multilabel)
        about = {"recipe": run.recipe, "run": {"dataset_sha256": datasets[run.dataset].sha256}}
        if datasets[run.dataset].corrupted is not None:
            held = {"wrong_labels": 0.1 + run.rate / 2, "repeated": 0.05, "n": 60}
            about["coreset"] = {str(seed): held for seed in run.trained}
        if run.coresets and any(
            FIGURES[figure] >= {"sources", "runs"} for figure in experiment["figures"]
        ):
            about["coreset_sha256"] = _write_coresets(run, datasets[run.dataset])
        write_json(run.metrics, content | about)
        if run.coresets:
            stages = cost.STAGES[-1:] if run.method == "random" else cost.STAGES
            on = dict.fromkeys(stages, "CPU")
            cost.Cost(dict.fromkeys(stages, 5.0), on).write(Path(run.coresets, cost.FILE))
    _write_scores(plan, datasets)
    return plan


def _write_coresets(run: Reported, dataset: canonical.Dataset) -> dict[str, str]:
    """Write the coreset of each seed; return the digest of that of each training."""
    found = {}
    for seed, selected in run.trained.items():
        path = Path(run.coresets, f"seed{selected}.npz")
        indices = np.random.default_rng(selected).permutation(len(dataset.train_labels))[:20]
        write_npz(path, indices=indices, dataset_sha256=np.array(dataset.sha256))
        found[str(seed)] = read_coreset(path).sha256
    return found


def _told(path: Path, **more: str) -> None:
    write_json(path, json.loads(path.read_text()) | more)


def metrics(run: Reported, classes: int, has_val: bool, *, several: bool = False) -> dict[str, Any]:
    """Return metrics.json of a run, under every rule that its data allow."""
    random = np.random.default_rng(zlib.crc32(run.metrics.encode()))
    splits = ("val", "test") if has_val else ("test",)
    made = _split_of_labels if several else _split
    return {
        "measured": {
            "seconds": {str(seed): 60.0 * run.rate for seed in run.trained},
            "device": "CPU",
        },
        "seeds": {
            str(seed): {
                "rules": {
                    rule: {
                        "epoch": EPOCHS,
                        "reports": RULES[rule].split,
                        **{split: made(random, run.rate, classes) for split in splits},
                    }
                    for rule in possible(has_val=has_val)
                }
            }
            for seed in run.trained
        },
    }


def _split(random: np.random.Generator, rate: float, classes: int) -> dict[str, Any]:
    accuracy = 0.4 + 0.5 * rate**0.25 + random.normal(0, 0.01)
    value = dict.fromkeys(("accuracy", "balanced_accuracy", "auc", "macro_f1"), accuracy)
    return {**value, "ece": 0.1, "recall": [accuracy] * classes, "n": 60}


def _split_of_labels(random: np.random.Generator, rate: float, labels: int) -> dict[str, Any]:
    accuracy = 0.4 + 0.5 * rate**0.25 + random.normal(0, 0.01)
    return {"accuracy": accuracy, "auc": accuracy, "labels": labels, "n": 60}


def _write_scores(plan: Plan, datasets: dict[str, canonical.Dataset]) -> None:
    random = np.random.default_rng(0)
    for source in plan.sources:
        labels = datasets[source.dataset].train_labels
        folder = Path(source.path)
        folder.mkdir(parents=True, exist_ok=True)
        shape = (EPOCHS, len(labels))
        np.save(folder / "labels.npy", labels)
        np.save(folder / "error_norm.npy", random.random(shape, np.float32))
        np.save(folder / "seen.npy", random.random(shape) > 0.02)
        np.save(folder / "features.npy", random.random((len(labels), 8), np.float32))
        np.save(folder / "target_prob.npy", random.random(shape, np.float32))
        np.save(folder / "correct.npy", random.random(shape) > 0.4)
        names = [path.name for path in folder.glob("*.npy")]
        seal(folder, names, source.recipe, datasets[source.dataset].sha256)
    for entry in (*plan.scores, *plan.rankings):
        samples = len(datasets[entry.dataset].train_labels)
        made = {"method": entry.method, "recipe": entry.recipe}
        write_npz(entry.path, scores=random.random(samples), **made)
    for entry in plan.windows:
        samples = len(datasets[entry.dataset].train_labels)
        pairs = np.array([(1, 101), (1, 191), (91, 101), (91, 191), (101, 191)])
        scores = random.random((len(pairs), samples), np.float32)
        write_npz(entry.path, scores=scores, pairs=pairs, recipe=entry.recipe)


def every_experiment() -> dict[str, Experiment]:
    """Return the experiments of the project by name."""
    return configuration.load({}).experiments
