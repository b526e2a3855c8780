"""Where and in which arithmetic a training runs."""

import ctypes
import os
import platform
import re
import resource
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import nn

from medcoreset import __version__
from medcoreset.errors import UserError
from medcoreset.locks import claim
from medcoreset.options import Device

JOBS_PER_GPU = "MEDCORESET_JOBS_PER_GPU"

_LIBRARIES = {
    "blas": r"BLAS_INFO=(\w+)",
    "mkl": r"Math Kernel Library Version ([\d.]+)",
    "onednn": r"MKL-DNN v([\d.]+)",
}
"""Libraries of kernels → where the description of torch's build tells their version."""

_EXTENSIONS = ("avx", "amx", "sve")
"""What the names of vector and matrix instructions begin with."""

_LIMITS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`, from its malloc.h."""

LARGEST_KEPT, MOST_KEPT = 2**25, 2**30
"""Bytes of a freed block, and of all at the heap's end, that a process keeps. With larger blocks than
these 32 MiB the heap would grow in pieces that do not fit the next ones."""

# What was claimed, kept until the process ends.
_claims = ExitStack()
_claimed: list[torch.device] = []


def resolve(name: str, threads: int | None) -> torch.device:
    """Return the device called `auto`, `cpu` or `cuda`, and limit torch to `threads` threads, if given.

    Torch's own default of all cores makes jobs that share a machine several times slower than the
    threads that the scheduler gave them. A GPU is the process's own until it ends, or shared
    by as many as the environment variable MEDCORESET_JOBS_PER_GPU says; others wait. A process that
    is given threads is a job of ours, and keeps the memory that it frees. One that is not is the user's: its
    GPU is the one it computes on, and no setting of torch is changed.
    """
    if name not in get_args(Device):
        raise UserError(f"device is {name!r}, but it is to be {', '.join(get_args(Device))}")
    if threads is not None:
        torch.set_num_threads(threads)
        keep_freed_memory()
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda is not available here; use cpu or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and threads is None:
        return torch.device("cuda", torch.cuda.current_device())
    if name == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        return _own_gpu()
    return torch.device(name)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees; where the C library is not glibc, do nothing.

    By default glibc returns what is free at the heap's end to the system, and a training may get it
    back at every step, page by page: thousands of faults, a tenth of a narrow network's step.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
        library.mallopt(_M_TRIM_THRESHOLD, MOST_KEPT)


def _own_gpu() -> torch.device:
    """Claim one of the GPUs that this process can see, unless it has done so before.

    The GPU becomes torch's current one, because by now it is too late for CUDA_VISIBLE_DEVICES to
    hide the others. A lock is of the GPU's UUID, since each process numbers those that it sees.
    """
    if _claimed:
        return _claimed[0]
    count, chosen = torch.cuda.device_count(), 0
    # A cluster's job that was given one GPU has nothing to choose, and may share it on purpose.
    if count > 1 or "SLURM_JOB_GPUS" not in os.environ:
        slots = os.environ.get(JOBS_PER_GPU, "1")
        if not slots.isdecimal() or int(slots) < 1:
            raise UserError(f"{JOBS_PER_GPU} is {slots!r}, must be an integer of at least 1")
        names = [str(torch.cuda.get_device_properties(number).uuid) for number in range(count)]
        folder = Path(tempfile.gettempdir()) / f"medcoreset-gpus-{os.getuid()}"
        chosen = names.index(_claims.enter_context(claim(names, int(slots), folder)))
    torch.cuda.set_device(chosen)
    _claimed.append(torch.device("cuda", chosen))
    return _claimed[0]


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
    threads = torch.get_num_threads()
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} CPU, {instructions}, {threads} thread{'s' * (threads > 1)}"


def kernels(device: torch.device) -> dict[str, Any]:
    """Return what the choice of kernels depends on, and with it the last digits of a number.

    The same job gives the same bytes where all of this is equal; elsewhere sums are rounded in
    another order, which a training makes grow. `instructions` is the set that torch uses,
    `extensions` are those of the processor that oneDNN and MKL choose among, `limits` are the
    environment variables that forbid some of them.
    """
    cpu = torch.cpu.get_capabilities()
    built = torch.__config__.show()
    versions = {name: re.search(pattern, built) for name, pattern in _LIBRARIES.items()}
    found = {
        "cpu": cpu.get("cpu_name", platform.processor()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "extensions": sorted(name for name in cpu if name[:3] in _EXTENSIONS and cpu[name]),
        "limits": {name: os.environ[name] for name in _LIMITS if name in os.environ},
        "threads": torch.get_num_threads(),
        **{name: version[1] for name, version in versions.items() if version},
    }
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        found["compute_capability"] = ".".join(map(str, capability))
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found


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
