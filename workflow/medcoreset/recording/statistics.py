"""The statistics of the training dynamics, from logits, on the device that made them."""

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from medcoreset.objective import right

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

    Of several labels per sample, (B, L), see `_of_labels`.
    """
    logits = logits.float()
    if labels.ndim == 2:
        return _of_labels(logits, labels)
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


def _of_labels(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the statistics (B,) of logits (B, L) with respect to labels (B, L) of 0 and 1, and `probs`.

    `error_norm` is ‖p − y‖₂ of the sigmoids p. All others are those of the 2^L classes that rows of
    labels are (the label powerset: Tsoumakas and Katakis, IJDWM 2007), where the
    probability of a row is the product of those of its labels. So `target_prob` is the product over
    labels of the probability of what is given, −ln of it the sum of the binary cross-entropies,
    `entropy` the sum of the labels' entropies, `correct` whether all labels are right, and the
    margins are from the given row to the most probable other one. With m_k = ±z_k, the logit of what
    is given for label k, that of logits is min m_k if all are right, else the sum of the negative m_k.
    """
    given = torch.where(labels.bool(), logits, -logits)
    log_target = logsigmoid(given).sum(1)
    lowest = given.min(1).values
    margin = torch.where(lowest >= 0, lowest, given.clamp(max=0).sum(1))
    probs = torch.sigmoid(logits)
    entropies = probs * logsigmoid(logits) + torch.sigmoid(-logits) * logsigmoid(-logits)
    return {
        "error_norm": torch.linalg.vector_norm(torch.sigmoid(-given), dim=1),
        "margin": log_target.exp() - (log_target - margin).exp(),
        "logit_margin": margin,
        "target_prob": log_target.exp(),
        "entropy": -entropies.sum(1),
        "correct": right(logits, labels).all(1),
        "probs": probs,
    }
