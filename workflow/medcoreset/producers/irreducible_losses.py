import numpy as np

from medcoreset.producers.registry import producing
from medcoreset.producers.source import Source


@producing("irreducible_losses", halves=True)
def irreducible_losses(source: Source) -> np.ndarray:
    """Compute the loss of each training sample under that of two surrogates which was not trained on it, (N,).

    Each surrogate is trained on a half of the training set, and its outputs are in evaluation mode.
    The loss is that of a training (`objective.losses`), which it is compared with.
    """
    import torch

    from medcoreset import objective
    from medcoreset.evidence import Evidence

    folder, dataset, device, threads = source
    evidence = Evidence.load(folder / "evidence", device=device, threads=threads)
    evidence.require("logits", "labels", "members")
    evidence.check_labels(dataset.train_labels)
    logits, labels = (torch.from_numpy(np.array(evidence[name])) for name in ("logits", "labels"))
    losses = objective.losses(logits.double(), labels).numpy()
    # Rounding may take the loss of a certain prediction a little below 0.
    return np.where(evidence["members"].astype(bool), np.nan, np.maximum(losses, 0))
