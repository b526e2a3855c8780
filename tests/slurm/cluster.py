"""A private SLURM cluster on this machine: munge, a controller, two nodes with two fake GPUs each.

No systemd, cgroups or database. It lives in the folder that `tests/slurm/private` made.
"""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

NODES = ("n1", "n2")

# A job that ended stays visible to squeue for MinJobAge seconds, which the plugin must be able to
# rely on. OverMemoryKill enforces memory without cgroups.
CONFIGURATION = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_min_interval=0,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=600
KillWait=5
OverTimeLimit=0
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1_port} CPUs=8 RealMemory=20000 Gres=gpu:fake:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n2_port} CPUs=8 RealMemory=20000 Gres=gpu:fake:2
PartitionName=work Nodes=n[1-2] Default=YES DefaultTime=60 State=UP PriorityTier=1
PartitionName=urgent Nodes=n[1-2] DefaultTime=60 State=UP PriorityTier=10 PreemptMode=OFF
"""


class Cluster:
    """The daemons of the cluster, by name: `munged`, `slurmctld`, and a `slurmd` per node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen] = {}
        for name in ("run", "log", "state", "gpus", *(f"spool.{node}" for node in NODES)):
            (folder / name).mkdir()
        # A GPU's device file has to be a character device; these two are.
        for number, device in enumerate(("/dev/null", "/dev/zero")):
            (folder / "gpus" / str(number)).symlink_to(device)
        key = folder / "run" / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        ports = _free_ports(3)
        (folder / "etc" / "slurm.conf").write_text(
            CONFIGURATION.format(
                folder=folder,
                host=socket.gethostname().split(".")[0],
                controller_port=ports[0],
                n1_port=ports[1],
                n2_port=ports[2],
            )
        )
        (folder / "etc" / "gres.conf").write_text(
            f"AutoDetect=off\nName=gpu Type=fake File={folder}/gpus/[0-1]\n"
        )

    def start(self) -> None:
        """Start every daemon that is not running, and wait until both nodes are up."""
        run, log = self.folder / "run", self.folder / "log"
        self._start(
            *("munged", "--foreground", f"--key-file={run}/munge.key"),
            *(f"--socket={run}/munge.sock", f"--pid-file={run}/munged.pid"),
            *(f"--log-file={log}/munged.log", f"--seed-file={run}/munged.seed"),
        )
        wait_until(lambda: (run / "munge.sock").exists(), 10, "munged answers")
        self._start("slurmctld", "-D")
        wait_until(lambda: "UP" in slurm("scontrol", "ping", check=False), 20, "slurmctld answers")
        for node in NODES:
            self._start("slurmd", "-D", "-N", node, name=node)
        wait_until(self.up, 30, "both nodes are up")

    def stop(self) -> None:
        """Cancel all jobs and stop the daemons."""
        if self.running("slurmctld"):
            slurm("scancel", "--user", str(os.getuid()), check=False)
            wait_until(lambda: not jobs(), 60, "no job is left")
        for name in reversed(list(self.daemons)):
            self.kill(name, hard=False)

    def kill(self, name: str, *, hard: bool = True) -> None:
        """Stop a daemon and wait for its end; `hard` as a crash would."""
        daemon = self.daemons.pop(name)
        if hard:
            daemon.kill()
        else:
            daemon.terminate()
        daemon.wait(30)

    def crash(self, node: str, job: str) -> None:
        """Stop a node as a power cut would, with every process of the `job` that runs there."""
        self.kill(node)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environment = (process / "environ").read_bytes().split(b"\0")
                command = (process / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            of_job = f"SLURM_JOB_ID={job}".encode() in environment
            if of_job or command.startswith(f"slurmstepd: [{job}.".encode()):
                os.kill(int(process.name), signal.SIGKILL)

    def running(self, name: str) -> bool:
        """Say whether a daemon runs."""
        return name in self.daemons and self.daemons[name].poll() is None

    def up(self) -> bool:
        """Say whether both nodes answer and take jobs."""
        states = slurm("sinfo", "--noheader", "--Node", "--partition=work", "--format=%T")
        return all(state in ("idle", "mixed", "allocated") for state in states.split())

    def _start(self, program: str, *arguments: str, name: str | None = None) -> None:
        name = name or program
        if not self.running(name):
            log = (self.folder / "log" / f"{name}.out").open("a")
            self.daemons[name] = subprocess.Popen(
                [program, *arguments], stdout=log, stderr=log, start_new_session=True
            )


def slurm(*command: str, check: bool = True) -> str:
    """Return what one of SLURM's commands prints."""
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=check)
    return outcome.stdout


def jobs(state: str = "all") -> dict[str, str]:
    """Return the jobs that wait or run: comment (rule and wildcards) by job id."""
    states = () if state == "all" else ("--states", state)
    listed = slurm("squeue", "--noheader", *states, "--format=%i %k").splitlines()
    return dict(line.split(maxsplit=1) for line in listed)


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until `condition` holds and return how long it took, in seconds."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.2)
    return time.monotonic() - start


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports
