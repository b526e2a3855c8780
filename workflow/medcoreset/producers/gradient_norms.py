from typing import Annotated, Literal

import numpy as np

from medcoreset.producers.registry import producing
from medcoreset.producers.source import Source


@producing("gradient_norms", models=10)
def gradient_norms(
    source: Source,
    *,
    layers: Annotated[
        Literal["last", "all"], "Parameters that the gradients are with respect to."
    ] = "last",
) -> np.ndarray:
    """Compute ‖∇ℓ‖₂ of each training sample's loss under each surrogate, (R, N), for `grand`."""
    return _all_layers(source) if layers == "all" else _last_layer(source)


def _last_layer(source: Source) -> np.ndarray:
    from medcoreset.evidence import Evidence
    from medcoreset.evidence.gradients import Gradients

    folder, dataset, device, threads = source
    evidence = Evidence.load(folder / "evidence", device=device, threads=threads)
    evidence.require("features", "final_probs", "labels")
    evidence.check_labels(dataset.train_labels)
    return Gradients.of_last_layer(evidence).norms.cpu().numpy()


def _all_layers(source: Source) -> np.ndarray:
    from medcoreset.device import resolve
    from medcoreset.evidence import sample_gradients, surrogate

    folder, dataset, device, threads = source
    trained = surrogate.load(folder, dataset, resolve(device, threads))
    return sample_gradients.all_layers(trained).numpy()
