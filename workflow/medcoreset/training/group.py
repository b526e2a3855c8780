"""Processes that train one network together, each on its part of every batch; `torchrun` starts them.

Between two steps all have the same network, optimiser and results, so what one of them knows all
know; the first of them writes. Batch normalisation sees the parts, and its running statistics are
the mean of theirs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from medcoreset.device import JOBS_PER_GPU
from medcoreset.errors import UserError

PATIENCE = timedelta(days=7)
"""For how long a process waits for the others; one that fails `torchrun` answers by ending all."""


@dataclass(frozen=True)
class Group:
    """The 0-based number of this process among those that train together; by default it is alone."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Say whether this is the process that writes."""
        return self.rank == 0

    def part(self, batch: slice) -> slice:
        """Return the positions of a batch that are this process's, near-equally many for each."""
        samples = batch.stop - batch.start
        start, stop = (samples * bound // self.size for bound in (self.rank, self.rank + 1))
        return slice(batch.start + start, batch.start + stop)

    def add(self, tensors: list[Tensor]) -> None:
        """Replace float32 tensors, on one device, by their sums over the processes."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        sums = flat.split([tensor.numel() for tensor in tensors])
        for tensor, total in zip(tensors, sums, strict=True):
            tensor.copy_(total.view(tensor.shape))

    def most(self, *numbers: int) -> list[int]:
        """Return the largest over the processes of each number; no GPU waits for it."""
        if self.size == 1:
            return list(numbers)
        largest = torch.tensor(numbers, dtype=torch.int64)
        distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
        return largest.tolist()

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors on the CPU, of one shape and type, of all processes."""
        if self.size == 1:
            return [tensor]
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        distributed.all_gather(found, tensor)
        return found


ALONE = Group()


def started() -> Group:
    """Return the processes that `torchrun` started, this one among them; else this one alone."""
    if not distributed.is_torchelastic_launched():
        return ALONE
    return Group(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def check_gpus(group: Group, device: str) -> None:
    """Raise `UserError` unless every process of the group can have a GPU, if it is to use one.

    It would wait for one for ever.
    """
    if group.size == 1 or device == "cpu" or not torch.cuda.is_available():
        return
    here, count = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if here > count:
        raise UserError(f"{here} processes, but {count} GPUs here; start torchrun with {count}")
    if os.environ.get(JOBS_PER_GPU, "1") != "1":
        raise UserError(f"{JOBS_PER_GPU} must be 1 for processes that train together")


@contextmanager
def connected(group: Group, device: torch.device) -> Iterator[None]:
    """Let the processes of a group talk to each other within the block."""
    if group.size == 1:
        yield
        return
    # Numbers of the host go another way than those of the GPU, so that it need not wait.
    backend = "gloo" if device.type == "cpu" else f"cpu:gloo,{device.type}:nccl"
    distributed.init_process_group(backend, timeout=PATIENCE)
    yield
    distributed.destroy_process_group()
