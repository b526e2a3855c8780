"""What is free, by files such as Linux has them."""

import pytest
import torch

from medcoreset import memory

CPU = torch.device("cpu")
GB = 10**9


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Return a function that writes files of the system, which are all that there are."""
    monkeypatch.setattr(memory, "SYSTEM", tmp_path)

    def write(**files: str) -> None:
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

    return lambda files: write(**files)


MACHINE = {"proc/meminfo": "MemTotal:  64000000 kB\nMemAvailable:  32000000 kB\nBuffers: 1 kB"}
SECOND = {
    "proc/self/cgroup": "0::/slurm/job_7/step_0",
    "sys/fs/cgroup/slurm/job_7/step_0/memory.max": "max",
    "sys/fs/cgroup/slurm/job_7/step_0/memory.current": f"{GB}",
    "sys/fs/cgroup/slurm/job_7/memory.max": f"{4 * GB}",
    "sys/fs/cgroup/slurm/job_7/memory.current": f"{2 * GB}",
    "sys/fs/cgroup/slurm/job_7/memory.stat": f"active_file 5\ninactive_file {GB}\nslab 3",
}
FIRST = {
    "proc/self/cgroup": "5:cpu:/\n4:memory:/docker/abc",
    "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{3 * GB}",
    "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": f"{GB}",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "5",
}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        (MACHINE, 32_768_000_000),
        (MACHINE | SECOND, 3 * GB),
        (MACHINE | FIRST, 2 * GB),
        (MACHINE | {"proc/self/cgroup": "0::/"}, 32_768_000_000),
    ],
)
def test_free_is_what_the_machine_and_every_control_group_leave(system, files, free):
    system(files)
    assert memory.free_bytes(CPU) == free
    assert memory.fits(free // 2, CPU)
    assert not memory.fits(free // 2 + 1, CPU)


def test_a_system_that_does_not_say_has_half_of_its_memory_free(system):
    assert memory.free_bytes(CPU) > 0


def test_this_machine_has_some_memory():
    assert memory.fits(1, CPU)
    assert not memory.fits(2**60, CPU)
