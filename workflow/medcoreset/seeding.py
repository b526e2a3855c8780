"""One seed per run, one independent random stream per purpose."""

import zlib
from typing import Literal

import numpy as np

Purpose = Literal["initialisation", "order", "selection", "ties", "augmentation", "evaluation"]


def stream_seed(seed: int, purpose: Purpose, *counters: int) -> int:
    """Return a 63-bit seed for one purpose (and, say, epoch) of the run with seed `seed`.

    Streams of different purposes are independent, so changing how many numbers one of them draws
    (another augmentation, say) leaves the others as they were.
    """
    entropy = [seed, zlib.crc32(purpose.encode()), *counters]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


def generator(seed: int, purpose: Purpose, *counters: int) -> np.random.Generator:
    """Return numpy's generator for one purpose of the run with seed `seed`."""
    return np.random.default_rng(stream_seed(seed, purpose, *counters))
