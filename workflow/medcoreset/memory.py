"""How much memory this process may still take."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import device as Device

SYSTEM = Path("/")


def fits(size: int, device: "Device") -> bool:
    """Return whether `size` bytes are no more than half of what is free on a device.

    The other half is for what other processes take meanwhile.
    """
    return 2 * size <= free_bytes(device)


def free_bytes(device: "Device") -> int:
    """Return the bytes that are free on a device.

    On a CPU, that is what the machine can give without swapping, and no more than the limits of the
    control groups of the process leave: Slurm and containers set them. Where a system does not say
    what is free, it is half of what there is.
    """
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    found = re.search(r"^MemAvailable: +(\d+) kB$", _text("proc/meminfo"), re.MULTILINE)
    if found is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return min([1024 * int(found[1]), *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Yield what each limited control group has left, the process's own and those that hold it."""
    for line in _text("proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            root, limit, used = "sys/fs/cgroup/memory", "limit_in_bytes", "usage_in_bytes"
        elif not controllers:
            root, limit, used = "sys/fs/cgroup", "max", "current"
        else:
            continue
        group = Path(path.lstrip("/"))
        for place in (f"{root}/{each}" for each in (group, *group.parents)):
            most, taken = (_text(f"{place}/memory.{what}").strip() for what in (limit, used))
            if most.isdigit() and taken.isdigit():
                # What was read from files, and not again for long, is given up first.
                stat = _text(f"{place}/memory.stat")
                idle = re.search(r"^(?:total_)?inactive_file (\d+)$", stat, re.MULTILINE)
                yield int(most) - int(taken) + (int(idle[1]) if idle else 0)


def _text(path: str) -> str:
    """Return what the system says in a file, or nothing if there is none."""
    try:
        return (SYSTEM / path).read_text(encoding="utf-8")
    except OSError:
        return ""
