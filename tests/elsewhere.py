"""A device that every machine has: CPU memory that only other tensors of it can meet.

Code that mixes devices, which goes unnoticed on a CPU, fails on it as it would on a GPU.
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

aten = torch.ops.aten

# On a GPU too, these take an index from the CPU, or copy from one device to the other.
BETWEEN = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten.copy_)


class Distant(torch.Tensor):
    """A tensor elsewhere; `near` is its memory."""

    near: torch.Tensor

    @staticmethod
    def __new__(cls, near: torch.Tensor) -> Self:
        """Return the tensor `near` as if it were not."""
        distant = torch.Tensor._make_wrapper_subclass(
            cls, near.shape, strides=near.stride(), dtype=near.dtype
        )
        distant.near = near
        return distant

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: tuple, kwargs: dict | None = None
    ) -> Any:
        """Run an operation on the memory; that it meets another tensor, but a number, is an error."""

        def near(value: Any) -> Any:
            if isinstance(value, Distant):
                return value.near
            if isinstance(value, torch.Tensor) and value.dim():
                assert operation.overloadpacket in BETWEEN, f"{operation} on two devices"
            return value

        def distant(value: Any) -> Any:
            return Distant(value) if isinstance(value, torch.Tensor) else value

        return tree_map(distant, operation(*tree_map(near, args), **tree_map(near, kwargs or {})))


class Elsewhere(TorchFunctionMode):
    """While entered, the two ways between the devices that no operation is."""

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Bring a tensor here, or make one there of what is here."""
        kwargs = kwargs or {}
        if args and isinstance(args[0], Distant):
            if function in (torch.Tensor.cpu, torch.Tensor.tolist):
                return function(args[0].near.clone())
            if function is torch.Tensor.new_tensor:
                return Distant(args[0].near.new_tensor(*args[1:], **kwargs))
        return function(*args, **kwargs)
