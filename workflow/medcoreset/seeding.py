"""One seed per run, one independent random stream per purpose."""

import re
import zlib
from typing import Literal

import numpy as np

from medcoreset.errors import UserError

LARGEST = 2**63 - 1
MOST = 1000
"""Seeds that one job may have."""

Purpose = Literal[
    "initialisation",
    "order",
    "selection",
    "redraw",
    "ties",
    "augmentation",
    "evaluation",
    "surrogate",
    "halves",
    "conditions",
]


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of `0-4,7,9-11`, in that order; UserError for what is no list of different ones."""
    seeds: list[int] = []
    for part in text.split(","):
        # No more digits than the largest has, and no other alphabet's.
        match = re.fullmatch(r"([0-9]{1,19})(?:-([0-9]{1,19}))?", part.strip())
        first, last = map(int, (match[1], match[2] or match[1])) if match else (0, -1)
        if not first <= last <= LARGEST:
            raise UserError(
                f"seeds: {part[:40]!r} must be an integer from 0 to 2⁶³ − 1, or a range such as 0-4"
            )
        if len(seeds) + last - first + 1 > MOST:
            raise UserError(f"seeds: {text[:40]!r} are more than {MOST:,}")
        seeds += range(first, last + 1)
    if len(set(seeds)) != len(seeds):
        twice = next(seed for i, seed in enumerate(seeds) if seed in seeds[:i])
        raise UserError(f"seeds: {twice} stands twice in {text[:40]!r}")
    return seeds


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
