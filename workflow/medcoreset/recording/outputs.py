"""What a trained model makes of samples, as the evidence of methods on features, logits and gradients."""

from collections.abc import Mapping
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


def arrays_of(train: Outputs, val: Outputs | None = None) -> dict[str, Tensor]:
    """Return `labels`, `logits`, `features` and, with `val`, `val_labels`, `val_probs`, `val_features`."""
    arrays = {"labels": train.labels, "logits": train.logits, "features": train.features}
    if val is not None:
        arrays |= {
            "val_labels": val.labels,
            "val_probs": probabilities(val.logits, val.labels),
            "val_features": val.features,
        }
    return arrays


def write_arrays(folder: Path, arrays: Mapping[str, Tensor]) -> None:
    """Write arrays as evidence; UserError if the folder has evidence of other labels."""
    check_output(folder, folder=True)
    there = folder / "labels.npy"
    if there.exists():
        labels = map_npy(there, "an array of labels")
        if not np.array_equal(labels, arrays["labels"].cpu().numpy()):
            raise UserError(
                f"{there} holds other labels than these, which are of {len(arrays['labels'])} samples: "
                "choose another folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        with replacing(folder / f"{name}.npy") as temporary:
            np.save(temporary, array.cpu().numpy(), allow_pickle=False)
