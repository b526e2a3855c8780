"""How much memory this process may still take."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import device as Device

GROUPS = Path("/proc/self/cgroup")
CONTROL = Path("/sys/fs/cgroup")


def fits(size: int, device: "Device") -> bool:
    """Return whether `size` bytes are no more than half of what is free on a device.

    The other half is for what other processes take meanwhile.
    """
    return 2 * size <= free_bytes(device)


def free_bytes(device: "Device") -> int:
    """Return the bytes that are free on a device.

    On a CPU, that is what the machine can give without swapping, and no more than the limits of the
    control groups of the process leave: a scheduler such as Slurm, or a container, sets them.
    """
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return min([psutil.virtual_memory().available, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Yield what each limited control group, from the process's own up to the root, has left."""
    if not GROUPS.exists():
        return
    for line in GROUPS.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            root, limit, used = CONTROL / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        elif not controllers:
            root, limit, used = CONTROL, "memory.max", "memory.current"
        else:
            continue
        folder = root / path.lstrip("/")
        for group in (folder, *folder.parents):
            if not group.is_relative_to(root):
                break
            try:
                most, taken = (group / limit).read_text(), int((group / used).read_text())
                stat = (group / "memory.stat").read_text()
            except (OSError, ValueError):
                continue
            if most.strip() != "max":
                # Files that were read and not again for long are given up first.
                cached = re.search(r"^(?:total_)?inactive_file (\d+)$", stat, re.MULTILINE)
                yield int(most) - taken + (int(cached[1]) if cached else 0)
