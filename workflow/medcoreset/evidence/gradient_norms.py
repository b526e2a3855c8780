"""Norms of per-sample gradients of the last layer, which features and outputs give."""

import numpy as np

from medcoreset.evidence.evidence import Evidence


def last_layer(evidence: Evidence) -> np.ndarray:
    """Return ‖(p − y) ⊗ [1, h]‖₂ = ‖p − y‖ · √(1 + ‖h‖²), float64 (N,).

    It is the norm of the gradient of each sample's cross-entropy with respect to the weights and
    biases of the last layer, from its features h (N, D), outputs p (N, C) and labels.
    """
    error = evidence["final_probs"].astype(np.float64)
    error[np.arange(len(error)), evidence["labels"]] -= 1
    features = evidence["features"].astype(np.float64)
    squared = np.einsum("nd,nd->n", features, features)
    return np.linalg.norm(error, axis=1) * np.sqrt(1 + squared)
