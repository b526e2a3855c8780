"""Training steps in a process that keeps the memory it frees, beside glibc's defaults.

    python benchmarks/allocator.py NETWORK SIZE BATCH BATCHES KEEP

A process for each measurement, since the settings are the whole process's.
"""

import json
import re
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from table import Row

# network, pixels a side, batch, batches of a measurement
CASES = (
    ("lenet", 28, 64, 60),
    ("resnet18+width=8", 8, 256, 20),
    ("resnet18+width=8", 28, 32, 30),
    ("resnet18+width=8", 28, 256, 5),
    ("resnet18", 28, 32, 4),
)
UNITS = {"ms": "ms/step", "faults": "faults/step", "peak": "MB"}


def kept(rounds: int) -> Iterator[Row]:
    """Processor time and page faults of a step, and peak memory, of both in turn: medians."""
    for case in CASES:
        found = [[_measured(*case, keep) for keep in (1, 0)] for _ in range(rounds)]
        network, size, batch, _ = case
        for name, unit in UNITS.items():
            ours, theirs = (
                statistics.median(each[name] for each in way) for way in zip(*found, strict=True)
            )
            yield Row("allocator", f"{network}, {size}×{size}, batch {batch}", unit, ours, theirs)


def _measured(*case: str | int) -> dict[str, float]:
    command = [sys.executable, __file__, *map(str, case)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def measure(network: str, size: int, batch: int, batches: int, keep: bool) -> dict[str, float]:
    """Train on `batches` batches, once to warm up; return what a step took, and the peak."""
    import torch

    from engine import Engine, images
    from medcoreset.device import keep_freed_memory

    torch.set_num_threads(1)
    if keep:
        keep_freed_memory()
    pixels, labels = images(batch * batches, size=size)
    engine = Engine(network, pixels, labels, batch, "cpu", precision="float32", record=False)
    engine.epochs(1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    engine.epochs(1)
    after = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text()
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {
        "ms": seconds / batches * 1e3,
        "faults": (after.ru_minflt - before.ru_minflt) / batches,
        # Of /proc: getrusage would count the parent's memory, from before the exec.
        "peak": int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024 / 1e6,
    }


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    print(json.dumps(measure(name, *map(int, numbers))))
