"""The functions of the package's Python interface; the command line and the pipeline go through them."""

import copy
import os
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods import get
from medcoreset.methods.registry import Balance
from medcoreset.options import Device
from medcoreset.seeding import LARGEST
from medcoreset.selection import select as driver
from medcoreset.selection.budget import budget
from medcoreset.selection.selection import Selection

Given = str | os.PathLike[str] | Evidence | Mapping[str, Any]


def select(
    method: str,
    evidence: Given,
    *,
    rate: float | None = None,
    count: int | None = None,
    balance: Balance | None = None,
    seed: int = 0,
    device: Device = "auto",
    threads: int | None = None,
    **options: Any,
) -> Selection:
    """Return a coreset of N samples: ⌈`rate`·N⌉ of them, or `count`, selected by a method.

    `method` is a name of `medcoreset.methods()`, and `options` are its own (`early=1`). `evidence` is the
    path of a folder (of a `Recorder`, or of `extract`) or of an `.npz` file, an `Evidence`, or a mapping from
    names to arrays or tensors, such as `{"labels": (N,), "features": (N, D)}`; `ARRAYS` in
    `evidence/arrays.py` says what each is.

    `rate` is above 0 and at most 1. `balance` is `global` (among all samples), `class` (within each class, in
    proportion to its size) or `drop` (more of classes of low recall on validation data); the default is the
    method's own. Equal `seed`s, from 0 to 2⁶³ − 1, give equal coresets. `device` (`auto`, `cpu`, `cuda`) and
    `threads` say on what methods compute that use tensors; an `Evidence` has its own of them unless
    they are given. With `threads`, torch is limited to so many from then on, and a GPU is claimed, as in
    a job of the pipeline.

    The result is the one of `medcoreset select`, byte for byte if both compute on the same device and
    threads. Raises UserError for an unknown method or option, a value that is not allowed, evidence that
    is missing or cannot be, and scores that rank nothing.
    """
    found = _evidence(evidence, device, threads)
    if (rate is None) == (count is None):
        raise UserError(f"give either rate or count: rate is {rate!r}, count is {count!r}")
    if balance is not None and balance not in get_args(Balance):
        raise UserError(
            f"balance is {balance!r}, but it is to be {', '.join(get_args(Balance))} or None"
        )
    if not _is_integer(seed) or not 0 <= seed <= LARGEST:
        raise UserError(f"seed is {seed!r}, but it is to be an integer from 0 to 2⁶³ − 1")
    if count is None:
        count = budget(_number("rate", rate), len(found))
    elif not _is_integer(count):
        raise UserError(f"count is {count!r}, but it is to be an integer from 1 to {len(found)}")
    return driver.select(
        get(method), found, int(count), balance=balance, seed=int(seed), options=options
    )


def score(
    method: str,
    evidence: Given,
    *,
    device: Device = "auto",
    threads: int | None = None,
    **options: Any,
) -> np.ndarray:
    """Return the scores of the samples, float64 (N,): the raw values of the method's definition.

    Arguments are those of `select`. Whether high or low scores are kept first is the method's `keep`.
    Raises UserError as `select` does, and for a method that selects without scores.
    """
    return driver.score(get(method), _evidence(evidence, device, threads), options)


def _evidence(given: Given, device: Device, threads: int | None) -> Evidence:
    if device not in get_args(Device):
        raise UserError(f"device is {device!r}, but it is to be {', '.join(get_args(Device))}")
    if threads is not None and (not _is_integer(threads) or threads < 1):
        raise UserError(f"threads is {threads!r}, but it is to be an integer from 1, or None")
    how: dict[str, Any] = {"device": device, "threads": threads}
    if isinstance(given, Evidence):
        if device == "auto" and threads is None:
            return given
        found = copy.copy(given)
        found.device, found.threads = device, threads
        return found
    if isinstance(given, str | os.PathLike):
        return Evidence.load(given, **how)
    if isinstance(given, Mapping):
        return Evidence({name: _array(array) for name, array in given.items()}, **how)
    raise UserError(
        f"evidence is a {type(given).__name__}, but it is to be a path, an Evidence or a mapping from "
        "names to arrays"
    )


def _array(given: Any) -> np.ndarray:
    """Return an array on the host; numpy has no bfloat16."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.float() if str(given.dtype) == "torch.bfloat16" else given
        array: np.ndarray = given.numpy()
        return array
    return np.asarray(given)


def _number(name: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float | np.number):
        raise UserError(f"{name} is {given!r}, but it is to be a number above 0 and at most 1")
    return float(given)


def _is_integer(given: Any) -> bool:
    return isinstance(given, int | np.integer) and not isinstance(given, bool)
