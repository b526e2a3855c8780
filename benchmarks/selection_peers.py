"""One measurement of selection.py: `selection_peers.py PEER METHOD FILE COUNT`.

FILE has the similarity, or for CAL features; of CAL, peers do no more than to find the neighbours.
Needs numpy and the peer alone, so that it runs in an environment of theirs. Linux only, as what
counts memory is.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

NEIGHBORS = 10

Picks = Callable[[], np.ndarray]


def measured(select: Picks) -> dict[str, object]:
    """Return seconds of the clock and of the processor, megabytes added at the peak, and picks."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is the present from here on
    before = _megabytes("VmRSS")
    clock, processor = time.perf_counter(), time.process_time()
    picks = select()
    return {
        "seconds": time.perf_counter() - clock,
        "processor_seconds": time.process_time() - processor,
        "memory_mb": _megabytes("VmHWM") - before,
        "picks": picks.tolist(),
    }


def _megabytes(of: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{of}:\s+(\d+) kB", status)[1]) / 1024


def apricot(method: str, s: np.ndarray, count: int) -> np.ndarray:
    """Return apricot's picks."""
    from apricot import FacilityLocationSelection, GraphCutSelection

    classes = {"facility_location": FacilityLocationSelection, "graph_cut": GraphCutSelection}
    options = {"alpha": 1} if method == "graph_cut" else {}
    selector = classes[method](count, metric="precomputed", optimizer="lazy", **options)
    return np.asarray(selector.fit(s).ranking)


def submodlib(method: str, s: np.ndarray, count: int) -> np.ndarray:
    """Return submodlib's picks."""
    import submodlib as lib

    n = len(s)
    functions = {
        "facility_location": lambda: lib.FacilityLocationFunction(
            n=n, mode="dense", separate_rep=False, sijs=s
        ),
        "graph_cut": lambda: lib.GraphCutFunction(
            n=n, mode="dense", lambdaVal=1, separate_rep=False, ggsijs=s
        ),
        "log_det": lambda: lib.LogDeterminantFunction(n=n, mode="dense", lambdaVal=1e-6, sijs=s),
    }
    found = functions[method]().maximize(
        budget=count,
        optimizer="LazyGreedy",
        stopIfZeroGain=False,
        stopIfNegativeGain=False,
        show_progress=False,
    )
    return np.array([sample for sample, _ in found])


def faiss(method: str, features: np.ndarray, count: int) -> np.ndarray:
    """Return the nearest of the neighbours that faiss finds, of float32, class by class."""
    import faiss as lib

    def nearest(part: np.ndarray) -> np.ndarray:
        index = lib.IndexFlatL2(part.shape[1])
        index.add(part)
        return index.search(part, NEIGHBORS + 1)[1][:, 1]

    lib.omp_set_num_threads(1)
    return np.concatenate([nearest(np.ascontiguousarray(f)) for f in by_class(features)])


def scikit_learn(method: str, features: np.ndarray, count: int) -> np.ndarray:
    """Return the nearest of the neighbours that scikit-learn finds, of float64, class by class."""
    from sklearn.neighbors import NearestNeighbors

    def nearest(part: np.ndarray) -> np.ndarray:
        found = NearestNeighbors(n_neighbors=NEIGHBORS, algorithm="brute").fit(part)
        return found.kneighbors(return_distance=False)[:, 0]

    return np.concatenate([nearest(f.astype(np.float64)) for f in by_class(features)])


def by_class(features: np.ndarray) -> list[np.ndarray]:
    """Return the features of each of the classes, of which every tenth sample is one."""
    return [features[label::10] for label in range(10)]


def main() -> None:
    """Select, and print what was measured as JSON."""
    peer, method, path, count = sys.argv[1:]
    select = {each.__name__: each for each in (apricot, submodlib, faiss, scikit_learn)}[peer]
    s = np.load(path)
    # Once before, so that apricot has compiled itself.
    select(method, np.ascontiguousarray(s[:200] if method == "cal" else s[:50, :50]), 5)
    print(json.dumps(measured(lambda: select(method, s, int(count)))))


if __name__ == "__main__":
    main()
