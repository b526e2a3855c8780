"""What a producer of evidence is, and the decorator that registers one."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence.arrays import ARRAYS
from medcoreset.options import Option, Range, options_of


@dataclass(frozen=True)
class Producer:
    """A registered producer of the array `name`, whose function gives it for one surrogate, (N, …).

    `models` is of how many surrogates a method asks for it unless told otherwise, where the array
    has a row for each; None where it is of one, or where each method says itself of how many. With
    `halves` it is of two surrogates that are trained on a half of the training set each: `compute` gives NaN
    for the samples that one was trained on, which have their values of the other.
    `options` are what the function takes.
    """

    name: str
    summary: str
    compute: Callable[..., np.ndarray]
    options: dict[str, Option]
    source: Path
    models: int | None = None
    halves: bool = False

    @property
    def of_several(self) -> bool:
        """Whether the array is of several surrogates."""
        return self.halves or ARRAYS[self.name].shape[0] == "R"

    @property
    def asked(self) -> dict[str, Option]:
        """Return the options of a method that needs the array: how it is made, and of how many."""
        if self.models is None:
            return self.options
        bounds, text = Range(1, unit="surrogates"), "Surrogates, of consecutive seeds."
        return self.options | {
            "models": Option("models", int, self.models, range=bounds, help=text)
        }

    def produce(self, sources: Sequence[Any], **options: Any) -> np.ndarray:
        """Return the array of some surrogates, each a `Source`: (R, N, …), or (N,) of the one it is of.

        Raises UserError if it is of one and there are several, or of halves and no surrogate was trained
        without some sample.
        """
        if not self.of_several and len(sources) > 1:
            raise UserError(
                f"{self.name} are of one surrogate, but --surrogate names {len(sources)}"
            )
        rows = [self.compute(source, **options) for source in sources]
        if not self.halves:
            return np.stack(rows) if self.of_several else rows[0]
        values = np.fmin.reduce(rows)
        if (trained := np.flatnonzero(np.isnan(values))).size:
            raise UserError(
                f"{self.name}: each --surrogate was trained on sample {trained[0]}; give those of both halves"
            )
        return values


PRODUCERS: dict[str, Producer] = {}


def get(name: str) -> Producer:
    """Return the producer of an array; a UserError lists the arrays if there is none."""
    if name not in PRODUCERS:
        raise UserError(f"no evidence {name!r} to compute (known: {', '.join(sorted(PRODUCERS))})")
    return PRODUCERS[name]


def producing(
    name: str, *, models: int | None = None, halves: bool = False
) -> Callable[[Callable[..., np.ndarray]], Callable[..., np.ndarray]]:
    """Register `compute(source, *, options) -> (N, …)`, which makes an array of `ARRAYS`."""

    def decorate(compute: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        source = Path(inspect.getfile(compute))
        if name in PRODUCERS:
            raise ValueError(f"two producers of {name}: {PRODUCERS[name].source} and {source}")
        shape = ARRAYS[name].shape
        if shape != ("N",) and (shape[:2] != ("R", "N") or (models and len(shape) > 2)):
            raise ValueError(f"{source}: {name} has the shape ({', '.join(shape)})")
        text = " ".join((inspect.getdoc(compute) or "").split())
        if not text:
            raise ValueError(f"{source}: {name} has no docstring, which says what it is")
        options = options_of(compute)
        PRODUCERS[name] = Producer(name, text, compute, options, source, models, halves)
        return compute

    return decorate
