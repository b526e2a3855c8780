"""The statistics of the training dynamics, from logits, on the device that made them."""

import numpy as np
import torch

STATISTICS = {
    "error_norm": np.float32,
    "margin": np.float32,
    "logit_margin": np.float32,
    "target_prob": np.float32,
    "entropy": np.float32,
    "correct": np.bool_,
    "seen": np.bool_,
}
"""The statistics of a sample and epoch, as the evidence names them, with their types."""


def statistics(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the statistics (B,) of logits (B, C) with respect to labels (B,), and `probs` (B, C).

    With p = softmax(logits) and y one-hot: `error_norm` ‖p − y‖₂ (EL2N's and EVA's error vector),
    `margin` p_y − max_{k≠y} p_k and `logit_margin` the same of logits (AUM), `target_prob` p_y,
    `entropy` −Σ p ln p in nats, `correct` whether the label has the largest logit.
    """
    logits = logits.float()
    log_probs = torch.log_softmax(logits, dim=1)
    probs = log_probs.exp()
    target = labels[:, None]
    error = probs.scatter_add(1, target, torch.full_like(target, -1, dtype=probs.dtype))
    others = logits.scatter(1, target, -torch.inf)
    best_other = others.max(1)
    target_prob = probs.gather(1, target)[:, 0]
    return {
        "error_norm": torch.linalg.vector_norm(error, dim=1),
        "margin": target_prob - probs.gather(1, best_other.indices[:, None])[:, 0],
        "logit_margin": logits.gather(1, target)[:, 0] - best_other.values,
        "target_prob": target_prob,
        "entropy": -(probs * log_probs).sum(1),
        "correct": logits.argmax(1) == labels,
        "probs": probs,
    }
