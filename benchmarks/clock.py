"""The clock of the measurements: the wall's, or the processor time of this process.

Processor time is for a machine that does other work meanwhile, and honest for one thread only.
"""

import time

seconds = time.perf_counter


def use_processor_time() -> None:
    """Count the seconds that this process computes from now on."""
    global seconds
    seconds = time.process_time
