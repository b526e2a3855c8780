"""What one process may have at a time: an output, a place on a GPU.

The operating system gives a lock back when its process ends, however it ends.
"""

import errno
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from medcoreset.errors import say

POLL_SECONDS = 0.5
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def sole(out: Path, does: str = "trains") -> Iterator[None]:
    """Let one process at a time work on the output `out`; a second one says what is done, and waits.

    The jobs of a Snakemake that was killed go on by themselves, and would meet the same jobs
    started again. The lock's file, beside the output, stays: were it deleted, a process that waits
    for the old file and one that makes a new one would both go ahead. On a file system without
    locks the work goes on unlocked, after a line that says so.
    """
    path = out.absolute().parent / f".lock-{out.name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    # A lock that is a file's existence would outlive a killed process.
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"waiting for the process that already {does} {out}")
        lock.acquire(poll_interval=POLL_SECONDS)
    except OSError as problem:
        if problem.errno not in WITHOUT_LOCKS:
            raise
        say(f"{path.parent} has no file locks: make sure that nothing else {does} {out}")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def claim(devices: Sequence[str], slots: int, folder: Path) -> Iterator[str]:
    """Yield one of `devices`, to which at most `slots` processes have a claim at a time.

    Devices fill evenly; while all are taken the process waits, after a line that says so. `folder`
    is that of the locks, one for all processes of a machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    locks = [
        (device, FileLock(folder / f"{device}-{slot}.lock", fallback_to_soft=False))
        for slot in range(slots)
        for device in devices
    ]
    waits = False
    while True:
        for device, lock in locks:
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            try:
                yield device
            finally:
                lock.release()
            return
        if not waits:
            say(f"waiting for a GPU: {slots} jobs run on each of {len(devices)}")
            waits = True
        time.sleep(POLL_SECONDS)
