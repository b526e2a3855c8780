"""The dump of the dynamics, and scores from it, against the pickle of the public code."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

import clock
from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.selection.select import score
from medcoreset.selection.windows import grid, score_pairs, window_pairs
from medcoreset.training.dynamics import Recorder
from reference import dump, load
from table import Row

ORGAN_A = (200, 34561, 11)
"""Epochs, samples and classes of OrganAMNIST's surrogate."""
IMAGENET = (200, 1281167)
# The peak is read from /proc: getrusage would count the parent's memory, from before the exec.
SCORE_EVA = """
import re, sys, time
from pathlib import Path
from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.selection.select import score
eva = methods.get("eva")
began = time.perf_counter()
score(eva, Evidence.load(Path(sys.argv[1])), eva.parse_options({}))
seconds = time.perf_counter() - began
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(seconds, int(peak) * 1024 / 1e6)
"""


def organ_a() -> Iterator[Row]:
    """Bytes and seconds of a dump of OrganAMNIST's size, and seconds of every score from it."""
    epochs, samples, classes = ORGAN_A
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (samples,), generator=random)
    with tempfile.TemporaryDirectory() as folder:
        pickle, evidence = Path(folder) / "dynamics.pkl", Path(folder) / "evidence"
        recorder = Recorder(evidence, labels, classes=classes, epochs=epochs, probs_budget_mb=256)
        ours, lists = 0.0, []
        for epoch in range(epochs):
            logits = 3 * torch.randn(samples, classes, generator=random)
            order = torch.randperm(samples, generator=random)
            batches = [(indices, logits[indices]) for indices in map(torch.clone, order.split(256))]
            began = clock.seconds()
            for indices, rows in batches:
                recorder.record(indices, rows)
            recorder.finish_epoch(epoch)
            ours += clock.seconds() - began
            lists.append(
                [(indices, torch.log_softmax(rows, 1).half()) for indices, rows in batches]
            )
        np.save(evidence / "labels.npy", labels.numpy())
        theirs = _seconds(lambda: dump(pickle, lists), 1)
        probs = evidence / "probs.npy"
        # Raw: the bytes of the probabilities in float16, which is what both files must hold.
        raw = epochs * samples * classes * 2
        yield Row(
            "dump",
            "probabilities, file / raw bytes",
            "",
            probs.stat().st_size / raw,
            pickle.stat().st_size / raw,
        )
        total = sum(path.stat().st_size for path in evidence.iterdir()) / 1e6
        yield Row(
            "dump", "all statistics and probabilities", "MB", total, pickle.stat().st_size / 1e6
        )
        yield Row("dump", "writing (ours: statistics computed too)", "s", ours, theirs)
        reading = _seconds(lambda: load(pickle, samples, classes), 1)
        for name in ("eva", "el2n", "aum", "forgetting"):
            method = methods.get(name)

            def run(method=method) -> None:
                score(method, Evidence.load(evidence), method.parse_options({}))

            yield Row("scores", f"{name} from the dump", "s", _seconds(run), reading)
        options = methods.parse_options("eva", {})

        def windows() -> int:
            found = Evidence.load(evidence)
            pairs = window_pairs(grid(epochs, 10, 10), 10, epochs)
            return sum(len(row) for row in score_pairs(found, pairs, options))

        yield Row("scores", "all 190 pairs of windows", "s", _seconds(windows), None)


def imagenet() -> Iterator[Row]:
    """Seconds and peak memory of EVA on statistics of ImageNet's size, in a process of its own."""
    epochs, samples = IMAGENET
    with tempfile.TemporaryDirectory() as folder:
        rows = np.random.default_rng(0).random((1, samples), np.float32)
        errors = np.lib.format.open_memmap(
            Path(folder) / "error_norm.npy", mode="w+", dtype=np.float32, shape=(epochs, samples)
        )
        seen = np.lib.format.open_memmap(
            Path(folder) / "seen.npy", mode="w+", dtype=np.bool_, shape=(epochs, samples)
        )
        for epoch in range(epochs):
            errors[epoch] = np.roll(rows, epoch * 1000)
            seen[epoch] = True
        np.save(Path(folder) / "labels.npy", np.arange(samples) % 1000)
        done = subprocess.run(
            [sys.executable, "-c", SCORE_EVA, folder], check=True, capture_output=True, text=True
        )
        seconds, peak = map(float, done.stdout.split())
        yield Row("imagenet", "eva, 1,281,167 samples, 200 epochs", "s", seconds, None)
        yield Row("imagenet", "eva, the same, peak memory", "MB", peak, None)


def _seconds(run: Callable[[], object], rounds: int = 3) -> float:
    """Return the median of some runs."""
    found = []
    for _ in range(rounds):
        began = clock.seconds()
        run()
        found.append(clock.seconds() - began)
    return sorted(found)[rounds // 2]
