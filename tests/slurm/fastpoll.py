"""Snakemake that asks SLURM for the state of its jobs every second.

The plugin asks 10 s later with every round in which no job ended, and has no option against it. Of
a cluster of one's own one may ask more often; everything else is as it is for users.
"""

import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

SECONDS = 1

RemoteExecutor.next_seconds_between_status_checks = property(
    lambda executor: SECONDS, lambda executor, seconds: None
)

if __name__ == "__main__":
    sys.argv[0] = "snakemake"
    main()
