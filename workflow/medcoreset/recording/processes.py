"""The processes of `torch.distributed` that record one training, each its part of every epoch."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, distributed

from medcoreset.errors import UserError

T = TypeVar("T")


class Processes:
    """All processes of the default group if there is one and they are `together`, else this one alone."""

    def __init__(self, *, together: bool) -> None:
        several = together and distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if several else 0
        self.size = distributed.get_world_size() if several else 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def after_first(self, act: Callable[[], T]) -> T:
        """Let the first process act; return in all what that gave, or raise what it refused."""
        found: Any = None
        refused = None
        if self.first:
            try:
                found = act()
            except UserError as mistake:
                refused = str(mistake)
                if self.size == 1:
                    raise
        if self.size > 1:
            told = [found, refused]
            distributed.broadcast_object_list(told, src=0)
            found, refused = told
        if refused is not None:
            raise UserError(refused)
        result: T = found
        return result

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over the processes of a tensor, of one shape and type in all."""
        return self._reduced(tensor, "SUM")

    def least(self, tensor: Tensor) -> Tensor:
        """Return the least, entry by entry, over the processes."""
        return self._reduced(tensor, "MIN")

    def most(self, tensor: Tensor) -> Tensor:
        """Return the largest, entry by entry, over the processes."""
        return self._reduced(tensor, "MAX")

    def _reduced(self, tensor: Tensor, operation: str) -> Tensor:
        if self.size == 1:
            return tensor
        found = tensor.clone()
        if found.device.type == "cpu" and distributed.get_backend() == "nccl":
            found = found.cuda()
        distributed.all_reduce(found, op=getattr(distributed.ReduceOp, operation))
        return found.to(tensor.device)
