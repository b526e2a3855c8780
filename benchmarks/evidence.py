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
from medcoreset.recording.recorder import Recorder
from medcoreset.selection.select import score
from medcoreset.selection.windows import grid, score_pairs, window_pairs
from reference import dump, load
from table import Goal, Row

ORGAN_A = (200, 34561, 11)
"""Epochs, samples and classes of OrganAMNIST's surrogate."""
IMAGENET = (200, 1281167)
# The peak is read from /proc: getrusage would count the parent's memory, from before the exec.
SCORE = """
import re, sys, time
from pathlib import Path
from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.selection.select import score
folder, method, array = Path(sys.argv[1]), methods.get(sys.argv[2]), sys.argv[3]
score(method, Evidence.load(folder / "few"), method.parse_options({}))

def reading():
    began = time.process_time()
    with open(folder / f"{array}.npy", "rb", buffering=0) as file:
        block = bytearray(1 << 24)
        while file.readinto(block):
            pass
    return time.process_time() - began

reading()
read = reading()
began = time.process_time()
score(method, Evidence.load(folder), method.parse_options({}))
seconds = time.process_time() - began
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(seconds, read, int(peak) * 1024 / 1e6)
"""
STATISTICS = {"eva": "error_norm", "aum": "margin", "forgetting": "correct"}
"""The statistic (T, N) that a method reads."""
FEW = 1000


def organ_a() -> Iterator[Row]:
    """Bytes and seconds of a dump of OrganAMNIST's size, and seconds of every score from it."""
    epochs, samples, classes = ORGAN_A
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (samples,), generator=random)
    with tempfile.TemporaryDirectory() as folder:
        pickle, evidence = Path(folder) / "dynamics.pkl", Path(folder) / "evidence"
        recorder = Recorder(evidence, labels, classes=classes, epochs=epochs, probs_budget_mb=256)
        ours, lists = 0.0, []
        for _ in range(epochs):
            logits = 3 * torch.randn(samples, classes, generator=random)
            order = torch.randperm(samples, generator=random)
            batches = [(indices, logits[indices]) for indices in map(torch.clone, order.split(256))]
            began = clock.seconds()
            for indices, rows in batches:
                recorder.record(indices, rows)
            recorder.end_epoch()
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
    """Seconds and peak memory of scores of ImageNet's size, each in a process of its own.

    The reference is the time to read the statistic's bytes from the page cache.
    """
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for samples, into in ((FEW, folder / "few"), (IMAGENET[1], folder)):
            into.mkdir(exist_ok=True)
            np.save(into / "labels.npy", np.arange(samples) % 1000)
        for method, array in STATISTICS.items():
            kind = np.bool_ if array == "correct" else np.float32
            for samples, into in ((FEW, folder / "few"), (IMAGENET[1], folder)):
                row = random.random(samples, np.float32)
                row = row < 0.8 if array == "correct" else row
                for file, value in ((array, kind), ("seen", np.bool_)):
                    saved = np.lib.format.open_memmap(
                        into / f"{file}.npy", mode="w+", dtype=value, shape=(IMAGENET[0], samples)
                    )
                    for epoch in range(IMAGENET[0]):
                        saved[epoch] = True if file == "seen" else np.roll(row, 997 * epoch)
            done = subprocess.run(
                [sys.executable, "-c", SCORE, name, method, array],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            (folder / f"{array}.npy").unlink()
            seconds, reading, peak = map(float, done.stdout.split())
            case = f"{method}, {IMAGENET[1]:,} samples, {IMAGENET[0]} epochs"
            yield Row("imagenet", case, "s", seconds, reading, Goal("<=", 3))
            yield Row("imagenet", f"{case}, peak memory", "MB", peak)


def _seconds(run: Callable[[], object], rounds: int = 3) -> float:
    """Return the median of some runs."""
    found = []
    for _ in range(rounds):
        began = clock.seconds()
        run()
        found.append(clock.seconds() - began)
    return sorted(found)[rounds // 2]
