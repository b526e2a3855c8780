import numpy as np

from medcoreset.producers.registry import producing
from medcoreset.producers.source import Source


@producing("run_probs")
def run_probs(source: Source) -> np.ndarray:
    """Return the softmax outputs of each surrogate for the training samples, in evaluation mode, (R, N, C)."""
    from medcoreset.evidence import Evidence

    folder, dataset, device, threads = source
    evidence = Evidence.load(folder / "evidence", device=device, threads=threads)
    evidence.require("final_probs", "labels")
    evidence.check_labels(dataset.train_labels)
    return evidence["final_probs"].astype(np.float32)
