"""Where and in which arithmetic a training runs."""

import platform
import resource
import sys

import numpy as np
import torch
from torch import nn

from medcoreset import __version__
from medcoreset.errors import UserError


def resolve(name: str, threads: int | None) -> torch.device:
    """Return the device called `auto`, `cpu` or `cuda`, and limit torch to `threads` threads, if given.

    Torch's own default of all cores makes jobs that share a machine several times slower than the
    threads that the scheduler gave them.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda is not available here; use cpu or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    return torch.device(name)


def arithmetic(precision: str, device: torch.device, network: nn.Module) -> torch.dtype:
    """Return the type in which a network's body computes; weights are float32 in any case.

    `auto` is bfloat16 where that is faster, float32 elsewhere: bfloat16 on a GPU and on a CPU that
    have instructions for it, but not on a CPU for depthwise convolutions (MobileNetV2 trains at 0.7
    of its float32 speed; ResNet-18 at 2.2, of width 8 at 1.3, LeNet at 1.1 to 1.4).
    """
    if precision == "float32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_instructions = (
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
        fast = has_instructions and not any(
            layer.groups > 1 for layer in network.modules() if isinstance(layer, nn.Conv2d)
        )
    return torch.bfloat16 if fast else torch.float32


def describe(device: torch.device) -> str:
    """Return the device's name for the record of a run."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory so far, in MB: of the accelerator, or resident of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def versions() -> dict[str, str]:
    """Return the versions that can change a result."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "medcoreset": __version__,
    }
