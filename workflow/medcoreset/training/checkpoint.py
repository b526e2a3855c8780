"""Resume state: checkpoints beside the outputs, and stopping in good order on a signal."""

import io
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from medcoreset.atomic import replacing
from medcoreset.errors import say


def state_folder(out: Path) -> Path:
    """Return the folder of an output's resume state.

    It lies beside the output under a name of its own, because Snakemake deletes the declared
    outputs of a job that failed, and the state must outlive them.
    """
    return out.absolute().parent / f".state-{out.name}"


def kept_folder(out: Path) -> Path:
    """Return the folder that keeps finished seeds, and surrogates, for jobs started later.

    Outputs of one coreset specification and network differ in their seeds alone and lie side by
    side, so this folder is theirs together.
    """
    return out.absolute().parent / ".seeds"


class Checkpoint:
    """The checkpoint file of one training, bound to the identity of what is trained.

    `identity` is JSON-like and holds everything that the result depends on. A checkpoint of
    another identity, or one that cannot be read, is refused with a line that says why, and the
    training starts anew.
    """

    def __init__(self, path: Path, identity: dict[str, Any], seconds: float) -> None:
        self.path = path
        self.identity = json.loads(json.dumps(identity, sort_keys=True))
        self.seconds = seconds
        self.saved_at = time.monotonic()

    def due(self) -> bool:
        """Say whether the interval since the last checkpoint has passed."""
        return time.monotonic() - self.saved_at >= self.seconds

    def save(self, state: dict[str, Any]) -> None:
        """Write `state` atomically: after a crash there is the old checkpoint or the new one."""
        content = {"identity": json.dumps(self.identity, sort_keys=True), "state": state}
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        self.saved_at = time.monotonic()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the saved state of this identity, or None."""
        if not self.path.exists():
            return None
        try:
            content = torch.load(self.path, map_location=device, weights_only=True)
            identity = json.loads(content["identity"])
        except Exception as problem:
            say(f"checkpoint {self.path} cannot be read ({problem}); starting anew")
            return None
        differing = sorted(
            key
            for key in identity.keys() | self.identity.keys()
            if identity.get(key) != self.identity.get(key)
        )
        if differing:
            names = ", ".join(differing)
            say(f"checkpoint {self.path} is of another run ({names} differ); starting anew")
            return None
        return content["state"]

    def remove(self) -> None:
        """Delete the checkpoint of a finished training."""
        self.path.unlink(missing_ok=True)


class Interruption:
    """Whether SIGTERM or SIGINT has arrived; the training asks between steps."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; a second one of SIGINT stops at once."""
        if self.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.signal = number

    def leave(self, saved: Path) -> None:
        """End the process as a signal would, after its checkpoint was written."""
        assert self.signal is not None  # or nobody would leave
        say(f"stopped by {signal.Signals(self.signal).name}; run again to go on from {saved}")
        sys.exit(128 + self.signal)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn SIGTERM and SIGINT into a request to checkpoint and leave, for the block's duration."""
    interruption = Interruption()
    before = {
        number: signal.signal(number, interruption) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def state_bytes(tensors: dict[str, torch.Tensor]) -> bytes:
    """Serialise a state dict; equal tensors are equal bytes, whatever the file is called."""
    buffer = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in tensors.items()}, buffer)
    return buffer.getvalue()


def clean_partial(folder: Path) -> None:
    """Remove what a killed process left half-written below `folder`."""
    for partial in folder.rglob(".*.partial*"):
        partial.unlink()
