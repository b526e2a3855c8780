"""A small real study: softmax regression on handwritten digits, over methods, rates and seeds."""

import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from medcoreset import cost
from medcoreset.atomic import write_json
from medcoreset.datasets import canonical, catalog, conditions
from medcoreset.plan import FILES, FULL, NO_SURROGATE
from medcoreset.provenance import seal
from medcoreset.reporting.metrics import evaluate, of_coreset, softmax
from medcoreset.selection.coreset import coreset_digest

EPOCHS = 40
RATES = (0.05, 0.1, 0.3)
SEEDS = (0, 1, 2)
LABELS = {"random": "Random", "el2n": "EL2N", "aum": "AUM", "eva": "EVA", FULL: "Full"}
RECIPE = "a" * 64
WINDOWS = [(1, 11), (1, 31), (11, 21), (21, 31)]


def digits(parity: bool) -> canonical.Dataset:
    """Return the digits in three splits, labelled 0–9, or even and odd."""
    data = load_digits()
    images = (data.images * 15).astype(np.uint8)
    labels = data.target % 2 if parity else data.target
    names = ["even", "odd"] if parity else [str(digit) for digit in range(10)]
    bounds = (slice(0, 900), slice(900, 1200), slice(1200, None))
    arrays = [array[part] for part in bounds for array in (images, labels.astype(np.int64))]
    name = "parity" if parity else "digits"
    return canonical.Dataset(name, *arrays, info={"class_names": names})


def regress(x: np.ndarray, labels: np.ndarray, classes: int, seed: int) -> tuple:
    """Train softmax regression; return its weights and its training dynamics (T, N, C)."""
    weights = np.random.default_rng(seed).normal(0, 0.1, (x.shape[1], classes))
    dynamics = []
    for epoch in range(EPOCHS):
        order = np.random.default_rng([seed, epoch]).permutation(len(x))
        dynamics.append(softmax(x @ weights))
        for batch in np.array_split(order, max(1, len(x) // 32)):
            error = softmax(x[batch] @ weights) - np.eye(classes)[labels[batch]]
            weights = weights - 0.5 * x[batch].T @ error / len(batch)
    return weights, np.stack(dynamics)


def features(images: np.ndarray, network: str) -> np.ndarray:
    """Return the inputs of a 'network': all pixels, or the means of 2 × 2."""
    x = images.astype(float) / 255
    if network == "pooled":
        x = x.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    return np.concatenate([x.reshape(len(x), -1), np.ones((len(x), 1))], axis=1)


def _metrics(dataset: canonical.Dataset, network: str, kept: list[np.ndarray]) -> dict:
    """Return metrics.json of runs on the coresets `kept`, one per seed."""
    seeds = {}
    for seed, indices in zip(SEEDS, kept, strict=True):
        x, labels = dataset.train_images[indices], dataset.train_labels[indices]
        weights, _ = regress(features(x, network), labels, dataset.classes, seed)
        both = {
            split: evaluate(
                features(dataset.images(split), network) @ weights, dataset.labels(split)
            )
            for split in ("val", "test")
        }
        rules = {"published": "val", "clean": "test", "best_val": "test"}
        seeds[str(seed)] = {
            "rules": {
                rule: {"epoch": EPOCHS, "reports": split, **both} for rule, split in rules.items()
            },
            "history": [],
        }
    run = {"dataset": dataset.name, "network": network, "dataset_sha256": dataset.sha256}
    digests = {str(s): coreset_digest(i, None) for s, i in zip(SEEDS, kept, strict=True)}
    found = {"run": run, "seeds": seeds, "recipe": RECIPE, "coreset_sha256": digests}
    if dataset.corrupted is None:
        return found
    parts = (dataset.corrupted, dataset.train_origin)
    held = {str(s): of_coreset(*parts, i) for s, i in zip(SEEDS, kept, strict=True)}
    return found | {"coreset": held}


def _scores(dataset: canonical.Dataset, folder: Path) -> dict[str, np.ndarray]:
    """Train the surrogate; write its evidence, return the methods' scores, highest kept first."""
    x = features(dataset.train_images, "pixels")
    _, probs = regress(x, dataset.train_labels, dataset.classes, 0)
    truth = np.eye(dataset.classes)[dataset.train_labels]
    error = np.linalg.norm(probs - truth, axis=2)
    target = (probs * truth).sum(axis=2)
    folder.mkdir(parents=True)
    seen = np.random.default_rng(0).random(error.shape) > 0.02
    np.save(folder / "labels.npy", dataset.train_labels)
    np.save(folder / "error_norm.npy", error.astype(np.float32))
    np.save(folder / "seen.npy", seen)
    np.save(folder / "features.npy", features(dataset.train_images, "pooled").astype(np.float32))
    np.save(folder / "target_prob.npy", target.astype(np.float32))
    np.save(folder / "correct.npy", probs.argmax(2) == dataset.train_labels)
    pairs = np.array(
        [error[a - 1 : a + 9].var(0) + error[b - 1 : b + 9].var(0) for a, b in WINDOWS]
    )
    rows = pairs.astype(np.float32)
    np.savez(folder.parent / "windows.npz", scores=rows, pairs=WINDOWS, recipe=RECIPE)
    names = [path.name for path in folder.glob("*.npy")]
    seal(folder, names, RECIPE, dataset.sha256)
    margin = (target - (probs - truth).max(axis=2)).mean(axis=0)
    return {"el2n": error[:10].mean(0), "aum": -margin, "eva": pairs[1]}


def noisy() -> list[canonical.Dataset]:
    """Return the digits with few and with many wrong labels."""
    names = ("digits+noise=0.1", "digits+noise=0.4")
    return [conditions.applied(digits(False), catalog.parse(name)) for name in names]


def write_study(
    folder: Path, *, published: bool = True, datasets: list[canonical.Dataset] | None = None
) -> dict:
    """Compute the study into `folder` and return its plan."""
    plan = {
        "name": "small_study",
        "rehearsal": False,
        "title": "Softmax regression on digits & parity",
        "published": ["eva_table1"] if published else [],
        "published_as": {},
        "tolerance": 1.0,
        "reference": "random",
        "notes": ["The paper's 100 % is a_b."],
        "dynamic": [],
        "methods": [{"key": key, "label": label} for key, label in LABELS.items()],
        "datasets": [],
        "rates": list(RATES),
        "columns": [
            {"key": "clean:published", "rule": "published"},
            {"key": "clean", "rule": "clean"},
        ],
        "networks": ["pixels", "pooled"],
        **{name: [] for name in FILES},
    }
    for dataset in datasets or (digits(False), digits(True)):
        _dataset(plan, dataset, folder / dataset.name)
    return plan


def _dataset(plan: dict, dataset: canonical.Dataset, folder: Path) -> None:
    dataset.info["recipe"] = RECIPE
    canonical.write(dataset, folder / "data.npz")
    about = {"label": dataset.name.capitalize(), "recipe": RECIPE}
    plan["datasets"].append({"key": dataset.name, "path": str(folder / "data.npz"), **about})
    scores = _scores(dataset, folder / "evidence")
    place = {"dataset": dataset.name, "protocol": "clean", "surrogate": "pixels+seed=0"}
    place |= {"recipe": RECIPE}
    plan["sources"].append({**place, "path": str(folder / "evidence")})
    plan["windows"].append({**place, "path": str(folder / "windows.npz")})
    for method, values in scores.items():
        np.savez(folder / f"{method}.npz", scores=values, method=method, recipe=RECIPE)
        path = str(folder / f"{method}.npz")
        for kind in ("scores", "rankings"):
            plan[kind].append({**place, "method": method, "variant": method, "path": path})
    for network in ("pixels", "pooled"):
        for method in LABELS:
            for rate in RATES if method != FULL else (1.0,):
                kept = [_select(scores.get(method), dataset, rate, seed) for seed in SEEDS]
                path = folder / network / method / str(rate) / "metrics.json"
                took = {str(seed): 10.0 * rate + seed for seed in SEEDS}
                measured = {"measured": {"seconds": took, "device": "CPU"}}
                write_json(path, _metrics(dataset, network, kept) | measured)
                coresets = "" if method == FULL else str(path.parent)
                for seed, indices in zip(SEEDS, kept if coresets else (), strict=False):
                    about = {"indices": indices, "dataset_sha256": dataset.sha256}
                    np.savez(Path(coresets, f"seed{seed}.npz"), **about)
                stages = ("surrogate", "score", "selection") if method in scores else ("selection",)
                of_coresets = cost.Cost(dict.fromkeys(stages, 4.0), dict.fromkeys(stages, "CPU"))
                if coresets:
                    of_coresets.write(Path(coresets, cost.FILE))
                for column in ("clean:published", "clean"):
                    own = {} if method in scores else {"surrogate": NO_SURROGATE}
                    run = {**place, **own, "variant": method, "rate": rate, "network": network}
                    run |= {
                        "seeds": list(SEEDS),
                        "trainings": 1,
                        "column": column,
                        "method": method,
                    }
                    plan["runs"].append(
                        {**run, "metrics": str(path), "coresets": coresets, "balance": ""}
                    )


def _select(
    scores: np.ndarray | None, dataset: canonical.Dataset, rate: float, seed: int
) -> np.ndarray:
    n = len(dataset.train_labels)
    count = int(np.ceil(rate * n))
    if scores is None:
        return np.random.default_rng(seed).permutation(n)[:count]
    return np.argsort(-scores, kind="stable")[:count]


def save_plan(plan: dict, folder: Path) -> Path:
    """Write the plan."""
    path = folder / "plan.json"
    path.write_text(json.dumps(plan))
    return path


PUBLISHED = """\
table,dataset,surrogate,network,method,rate,accuracy_mean,accuracy_std
eva_table1,digits,pixels,pixels,random,0.05,80.0,0.5
eva_table1,digits,pixels,pixels,eva,0.05,99.9,
eva_table1,digits,pixels,pixels,full,1.0,94.0,9.0
eva_table2,digits,pixels,pixels,eva,0.1,50.0,0.5
"""
