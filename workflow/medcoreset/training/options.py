"""The options of a training: one dataclass that configuration, command line and loop all read."""

import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from medcoreset.errors import UserError

WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _option(
    default: Any,
    help: str,
    *,
    choices: tuple[str | int, ...] = (),
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """Declare an option: its default, what it means (with unit), and which values are allowed."""
    limits = {"above": above, "least": least, "most": most}
    return field(default=default, metadata={"help": help, "choices": choices, **limits})


@dataclass(frozen=True)
class TrainingOptions:
    """How a network is trained; the defaults are the protocol `clean` of EVA.

    Values are converted to their declared types and checked on construction: a bad one raises
    `UserError` with its key, its value and what is allowed.
    """

    optimizer: str = _option("sgd", "optimiser", choices=("sgd", "adam"))
    lr: float = _option(0.1, "learning rate at the first iteration", above=0)
    momentum: float = _option(0.9, "momentum of sgd", least=0, most=1)
    nesterov: bool = _option(True, "Nesterov momentum of sgd")
    weight_decay: float = _option(5e-4, "L2 penalty added to the gradient", least=0)
    batch_size: int = _option(256, "samples per batch; never more than the coreset has", least=16)
    min_batches: int = _option(
        4,
        "batches that an epoch of a small coreset has at least, unless they had under 16 samples",
        least=1,
    )
    epochs: int = _option(200, "epochs to train, with length epochs; 0 trains nothing", least=0)
    stop_after: int = _option(
        0,
        "epochs after which the training ends, with the learning rate of one that goes on; 0: none",
        least=0,
    )
    length: str = _option(
        "epochs", "what is fixed whatever the coreset's size", choices=("epochs", "iterations")
    )
    iterations: int = _option(40000, "optimiser steps to train, with length iterations", least=1)
    schedule: str = _option(
        "cosine", "learning rate over iterations", choices=("cosine", "constant", "multistep")
    )
    min_lr: float = _option(1e-4, "learning rate to which cosine anneals", least=0)
    milestones: tuple[float, ...] = _option(
        (), "fractions of the training at which multistep multiplies by gamma", above=0, most=1
    )
    gamma: float = _option(0.1, "factor of multistep", above=0)
    augmentation: str = _option(
        "none",
        "crop_flip: reflect-padded 4-pixel random crop and horizontal flip; resized_crop_flip, of "
        "streamed images: random crop of random size, and flip",
        choices=("none", "crop_flip", "resized_crop_flip"),
    )
    channels: int = _option(
        3,
        "channels that the network sees: grey images are replicated; 0: as the data has",
        choices=(0, 1, 3),
    )
    normalization: str = _option(
        "half",
        "half: (x/255 - 0.5)/0.5; dataset: by the training set's mean and deviation per channel",
        choices=("half", "dataset"),
    )
    last_batch: str = _option(
        "even",
        "even: near-equal batches; drop: full batches, what is left over is not trained on; keep: "
        "what is left over is a batch, however small",
        choices=("even", "drop", "keep"),
    )
    evaluate_every: int = _option(800, "iterations between evaluations, in whole epochs", least=1)
    record: str = _option(
        "train",
        "dynamics from the training step's own forward pass, or an evaluation-mode pass per epoch",
        choices=("train", "eval"),
    )
    precision: str = _option("auto", "arithmetic", choices=("auto", "float32", "bf16"))
    accumulate: bool = _option(
        False,
        "out of GPU memory, take batches in parts and add up their gradients; batch normalisation "
        "then sees the parts",
    )
    cuda_graph: bool = _option(
        False, "on a GPU, replay the training step from a CUDA graph (not yet tried on one)"
    )
    weighted_loss: str = _option(
        "false",
        "weight the loss by the coreset's weights; where_given: that of methods that give weights, and "
        "of no others",
        choices=("false", "true", "where_given"),
    )

    def __post_init__(self) -> None:
        for option in dataclasses.fields(self):
            value = _convert(option.name, type_of(option.name), getattr(self, option.name))
            _check(option, value)
            object.__setattr__(self, option.name, value)
        if self.nesterov and self.momentum == 0 and self.optimizer == "sgd":
            raise UserError("nesterov: true needs momentum above 0")
        if self.schedule == "multistep" and not self.milestones:
            raise UserError("milestones: schedule multistep needs at least one, such as 0.5,0.75")
        if self.schedule == "cosine" and self.min_lr > self.lr:
            raise UserError(f"min_lr: {self.min_lr} is above lr {self.lr}")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Build the options from configuration; a key that is no option raises `UserError`."""
        known = [option.name for option in dataclasses.fields(cls)]
        for key in mapping:
            if key not in known:
                raise UserError(f"training: unknown option {key!r}; known: {', '.join(known)}")
        return cls(**mapping)

    def as_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        values = dataclasses.asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}


def as_flags(options: TrainingOptions, *, without: Collection[str] = ()) -> str:
    """Return the command-line flags of the options that differ from their defaults.

    Those named by `without` are left out: they change nothing in what the flags are for.
    """
    flags = []
    for option in dataclasses.fields(options):
        value, name = getattr(options, option.name), option.name.replace("_", "-")
        if value == option.default or option.name in without:
            continue
        if isinstance(value, bool):
            flags.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, tuple):
            flags.append(f"--{name} {','.join(map(str, value))}")
        else:
            flags.append(f"--{name} {value}")
    return " ".join(flags)


@functools.cache
def type_of(name: str) -> type:
    """Return the plain type of an option (tuple for a list of numbers)."""
    annotation = typing.get_type_hints(TrainingOptions)[name]
    return typing.get_origin(annotation) or annotation


def _convert(key: str, kind: type, value: Any) -> Any:
    """Convert `value` to its declared type; YAML reads 5e-4 as text and 1 as an integer."""
    try:
        if kind is bool:
            return value if isinstance(value, bool) else WORDS[value.lower()]
        if kind is str and isinstance(value, bool):  # as YAML reads one of the choices
            return str(value).lower()
        if isinstance(value, bool) or value is None:
            raise ValueError
        if kind is tuple:
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(_finite(float(part)) for part in parts if str(part).strip())
        if kind is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        return _finite(kind(value)) if kind is float else kind(value)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        expected = {bool: "true or false", int: "an integer", float: "a number"}
        wanted = expected.get(kind, "a list of numbers" if kind is tuple else "a name")
        raise UserError(f"{key}: {value!r} is not {wanted}") from None


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError
    return number


def _check(option: dataclasses.Field[Any], value: Any) -> None:
    """Raise `UserError` unless `value` is among the choices and within the limits of `option`."""
    allowed = option.metadata["choices"]
    if allowed and value not in allowed:
        raise UserError(f"{option.name}: {value!r} is not one of {', '.join(map(str, allowed))}")
    limits: tuple[tuple[str, str, Callable[[float, float], bool]], ...] = (
        ("above", "above", lambda number, limit: number > limit),
        ("least", "at least", lambda number, limit: number >= limit),
        ("most", "at most", lambda number, limit: number <= limit),
    )
    numbers = value if isinstance(value, tuple) else (value,)
    for key, words, holds in limits:
        limit = option.metadata[key]
        if limit is not None and not all(holds(number, limit) for number in numbers):
            raise UserError(f"{option.name}: {value} must be {words} {limit:g}")
