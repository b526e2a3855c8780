"""What a trained model makes of samples, as the evidence of methods on features, logits and gradients."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from medcoreset.atomic import check_output, replacing
from medcoreset.errors import UserError
from medcoreset.objective import probabilities
from medcoreset.reading import map_npy


class Outputs(NamedTuple):
    """Labels (n,) or (n, C), features (n, D) and logits (n, C) of samples, with logits = head(features)."""

    labels: Tensor
    features: Tensor
    logits: Tensor


def write_outputs(folder: Path, train: Outputs, val: Outputs | None = None) -> None:
    """Write `labels`, `logits`, `features` and, with `val`, `val_labels`, `val_probs`, `val_features`.

    UserError if the folder has evidence of other labels.
    """
    check_output(folder, folder=True)
    arrays = {"labels": train.labels, "logits": train.logits, "features": train.features}
    if val is not None:
        arrays |= {
            "val_labels": val.labels,
            "val_probs": probabilities(val.logits, val.labels),
            "val_features": val.features,
        }
    there = folder / "labels.npy"
    if there.exists():
        labels = map_npy(there, "an array of labels")
        if not np.array_equal(labels, train.labels.cpu().numpy()):
            raise UserError(
                f"{there} holds other labels than these, which are of {len(train.labels)} samples: "
                "choose another folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        with replacing(folder / f"{name}.npy") as temporary:
            np.save(temporary, array.cpu().numpy(), allow_pickle=False)
