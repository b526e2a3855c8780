"""The clock of the measurements: the wall's, or the processor time of this process.

Processor time is for a machine that does other work meanwhile, and honest for one thread only.
"""

import resource
import time
from collections.abc import Callable

seconds = time.perf_counter


def of_children() -> Callable[[], float]:
    """Return the clock that counts what commands take that this process waits for."""
    return seconds if seconds is time.perf_counter else _children


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def use_processor_time() -> None:
    """Count the seconds that this process computes from now on."""
    global seconds
    seconds = time.process_time
