"""One measurement of selection.py or approximate.py, in a process of its own.

`selection_worker.py CASE_AS_JSON`
"""

import json
import sys

import numpy as np

from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.selection.select import select
from selection_peers import measured

CLASSES = 10
VALIDATION = 2000


def evidence(n: int, dimensions: int) -> dict[str, np.ndarray]:
    """Return features as behind a rectifier, and the outputs of a last layer that is mostly right."""
    rng = np.random.default_rng(0)
    labels = np.arange(n + VALIDATION) % CLASSES
    centres = rng.normal(size=(CLASSES, dimensions), scale=(8 / dimensions) ** 0.5)
    features = rng.standard_normal((n + VALIDATION, dimensions), dtype=np.float32)
    features = np.maximum(features + centres.astype(np.float32)[labels], 0)
    logits = features @ centres.T
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    return {
        "labels": labels[:n],
        "features": features[:n],
        "final_probs": probs[:n],
        "val_features": features[n:],
        "val_probs": probs[n:],
        "val_labels": labels[n:],
    }


def clustered(n: int, dimensions: int) -> dict[str, np.ndarray]:
    """Return features, gradients too, in 100 clusters of unequal size and width in 16 dimensions."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 101)
    cluster = rng.choice(100, n, p=share / share.sum())
    centres = rng.normal(size=(100, 16), scale=2)
    inner = centres[cluster] + rng.normal(size=(n, 16)) * rng.gamma(1, 0.6, size=(100, 1))[cluster]
    features = np.tanh(inner @ rng.normal(size=(16, dimensions)) / 4)
    features += rng.normal(size=(n, dimensions), scale=0.05)
    return {"labels": cluster, "features": features, "gradients": features}


DATA = {"rectified": evidence, "clustered": clustered}


def main() -> None:
    """Select, and print what was measured as JSON."""
    case = json.loads(sys.argv[1])
    method = methods.get(case["method"])
    if path := case["similarity"]:
        arrays = {"similarity": np.load(path)}
        few = {"similarity": arrays["similarity"][:50, :50]}
    else:
        made = DATA[case.get("data", "rectified")]
        arrays = made(case["samples"], case["dimensions"])
        few = made(50, case["dimensions"])
    options = case.get("options")
    # Once before, so that libraries have started.
    select(method, Evidence(few), 5, balance="global", options=options)
    how = {"balance": case["balance"], "options": options}
    print(
        json.dumps(measured(lambda: select(method, Evidence(arrays), case["count"], **how).indices))
    )


if __name__ == "__main__":
    main()
