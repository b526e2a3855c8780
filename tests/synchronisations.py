"""Counts what a GPU would wait for the end of: that the host reads what the device computes.

On a CPU nothing waits, but the same calls are made, and two modes of torch see them: one the calls
from Python, one the operations, whoever called them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

# To the host's memory: on a CPU these are no operations.
READS = {"cpu", "numpy", "tolist", "__array__"}

# A number for the host, or a result whose size the host has to know.
OPERATIONS = {
    aten._local_scalar_dense,
    aten.equal,
    aten.masked_select,
    aten.nonzero,
    aten.repeat_interleave,
    aten._unique2,
    aten.unique_dim,
}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}


@contextmanager
def synchronisations() -> Iterator[list[str]]:
    """Yield a list that gets the name of every synchronisation in the block, as it happens."""
    found: list[str] = []
    with _Calls(found), _Operations(found):
        yield found


class _Calls(TorchFunctionMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = getattr(function, "__name__", "")
        if name in READS or (name == "to" and "cpu" in args[1:]):
            self.found.append(name)
        return function(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        packet = operation.overloadpacket
        if packet in OPERATIONS or (packet in INDEXING and _has_mask(args[1])):
            self.found.append(str(packet).removeprefix("aten."))
        return operation(*args, **(kwargs or {}))


def _has_mask(indices: list[torch.Tensor | None]) -> bool:
    """A mask is looked for its true entries, whose number the host must know."""
    return any(index is not None and index.dtype == torch.bool for index in indices)
