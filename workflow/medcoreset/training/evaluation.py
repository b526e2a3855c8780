"""Evaluation-mode outputs of a split."""

from collections.abc import Callable

import torch

from medcoreset.training.data import Split
from medcoreset.training.model import Model

BATCH = 512


@torch.inference_mode()
def predict(
    model: Model, split: Split, between_batches: Callable[[], None]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features (n, D) and logits (n, classes) of a split in evaluation mode.

    Both are float32 and on the device. `between_batches` is called before each batch and may raise
    to stop.
    """
    model.eval()
    found = []
    between_batches()
    for images in split.batches(torch.arange(len(split), device=split.labels.device).split(BATCH)):
        found.append(model(images))
        between_batches()
    features, logits = zip(*found, strict=True)
    return torch.cat(features), torch.cat(logits)
