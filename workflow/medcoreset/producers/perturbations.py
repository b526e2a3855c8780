from typing import Annotated

import numpy as np

from medcoreset.options import Range
from medcoreset.producers.registry import producing
from medcoreset.producers.source import Source


@producing("perturbations")
def perturbations(
    source: Source,
    *,
    max_iterations: Annotated[int, Range(1), "Steps of the search for a perturbation."] = 50,
) -> np.ndarray:
    """Compute the squared L2 norm of DeepFool's perturbation of each training sample, (N,)."""
    from medcoreset.device import resolve
    from medcoreset.evidence import perturbations, surrogate

    folder, dataset, device, threads = source
    trained = surrogate.load(folder, dataset, resolve(device, threads))
    return perturbations.squared_norms(trained, max_iterations).numpy()
