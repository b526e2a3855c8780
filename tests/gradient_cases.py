"""Small last layers, and their gradients written out in full, to check methods on gradients with."""

import numpy as np

from medcoreset import methods
from medcoreset.evidence import Evidence, statistics
from medcoreset.selection.select import Selection, select

SUBMODULAR = ("facility_location", "graph_cut", "log_det")


def arrays_of(
    n: int, seed: int = 0, classes: int = 3, size: int = 5, validation: int = 30, copies: int = 1
) -> dict[str, np.ndarray]:
    """Return a last layer's view of `n` samples, each `copies` times or so, and of validation ones."""
    rng = np.random.default_rng(seed)
    different = -(-n // copies)
    total = different + validation
    labels = np.minimum(rng.geometric(0.4, total) - 1, classes - 1)
    features = rng.normal(size=(total, size)) + labels[:, None]
    logits = features @ rng.normal(size=(size, classes)) + rng.normal(size=classes)
    again = np.tile(np.arange(different), copies)[:n]
    return {
        "labels": labels[again],
        "features": features[again],
        "logits": logits[again],
        "val_features": features[different:],
        "val_probs": statistics.softmax(logits[different:]),
        "val_labels": labels[different:],
    }


def gradients_of(features: np.ndarray, probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return (p − y) ⊗ [1, h] of each sample as a row (N, C · (1 + D))."""
    error = probs - np.eye(probs.shape[1])[labels]
    inputs = np.hstack([np.ones((len(features), 1)), features])
    return np.stack([np.outer(e, x).ravel() for e, x in zip(error, inputs, strict=True)])


def written_out(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return the gradients of the training samples of `arrays_of`, one per row."""
    probs = statistics.softmax(arrays["logits"])
    return gradients_of(arrays["features"], probs, arrays["labels"])


def cosine_similarity(gradients: np.ndarray) -> np.ndarray:
    """Return ½ + ½ cos of rows (N, G); the cosine with zero is 0."""
    norms = np.linalg.norm(gradients, axis=1)
    scale = np.outer(norms, norms)
    cosine = np.divide(gradients @ gradients.T, scale, out=np.zeros_like(scale), where=scale > 0)
    return 0.5 + 0.5 * cosine


def choose(name: str, arrays: dict[str, np.ndarray], count: int, **how) -> Selection:
    """Return what a method selects."""
    return select(methods.get(name), Evidence(arrays), count, **how)
