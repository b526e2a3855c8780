"""Jobs that start in milliseconds: a process that has imported torch, and forks for each of them.

To import torch and the package takes longer than many a training of a small study. Snakemake starts
one server (`start`), beside itself and for as long as it runs. A job's command, the same as
without a server, hands itself to it (`delegate`): the server forks, and the fork runs the command in the
job's folder, with its environment and its output, as a process of its own. The command waits for it,
passes signals on and ends as it ends. Where there is no server, or one of another Python or
installation, the command runs itself.
"""

# What only the server needs is imported there: every job imports this module.
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, NoReturn

ADDRESS = "MEDCORESET_FORKSERVER"
"""Environment variable with the server's socket."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What libraries read when they are loaded: the server serves jobs of one thread."""
STREAMS = (1, 2)
"""Standard output and error; no job reads standard input."""
GROUP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that a terminal or a scheduler sends to all processes of a group."""
WHO = [sys.executable, sys.prefix, __file__]
"""A server serves the same Python and the same installation only."""


def start() -> None:
    """Start a server that lives as long as this process, and let its jobs find it."""
    import subprocess
    import tempfile

    address = os.path.join(tempfile.mkdtemp(prefix="medcoreset-"), "server")
    package = os.path.dirname(os.path.dirname(__file__))
    own = {"PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))}
    reading, _ = os.pipe()  # whose end says that this process has ended
    with socket.socket(socket.AF_UNIX) as listening:
        # From here on a job waits for the server to be ready, however early it comes.
        listening.bind(address)
        listening.listen(socket.SOMAXCONN)
        subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(listening.fileno())],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            pass_fds=[listening.fileno()],
            env=os.environ | dict.fromkeys(THREADS, "1") | own,
        )
    os.close(reading)
    os.environ[ADDRESS] = address


def delegate() -> None:
    """Let the server run this command, and end this process as it ends; return if there is none."""
    address = os.environ.pop(ADDRESS, None)
    if address is None or any(os.environ.get(name) != "1" for name in THREADS):
        return
    job = {"who": WHO, "argv": sys.argv, "cwd": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
            socket.send_fds(server, [b"."], list(STREAMS))
            server.sendall(json.dumps(job).encode() + b"\n")
            answers = server.makefile()
            number = int(answers.readline() or 0)
        except (OSError, ValueError):
            return
        if not number:
            return
        # Ctrl-C reaches every process of the group, and the one that works is of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for passed in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(passed, lambda which, _: _send(number, which))
        status = int(answers.readline() or -signal.SIGKILL)
    _end(status)


def _send(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _end(status: int) -> NoReturn:
    """End with a status; a negative one is the number of the signal that ended the work."""
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    os._exit(status)


def serve(listening: socket.socket) -> None:
    """Answer at a socket until standard input ends; every job gets a process that attends to it."""
    from multiprocessing.connection import wait

    # Signals to the group are for the jobs, which end well or not; the server ends with Snakemake.
    for number in GROUP:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how those that attend ended
    address = listening.getsockname()
    from medcoreset.training import run  # noqa: F401

    end = sys.stdin.fileno()
    while end not in wait([listening, end]):
        job, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _attend(job)
        job.close()
    os.unlink(address)
    os.rmdir(os.path.dirname(address))


def _attend(job: socket.socket) -> NoReturn:
    """Run a job in a process, say which and how it ended; kill it if whoever asked for it dies."""
    import multiprocessing
    from multiprocessing.connection import wait

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(job, 1, len(STREAMS))
    told = json.loads(job.makefile().readline())
    if told["who"] == WHO:
        worker = multiprocessing.get_context("fork").Process(target=_work, args=(told, streams))
        worker.start()
        job.sendall(f"{worker.pid}\n".encode())
        if worker.sentinel not in wait([job, worker.sentinel]):
            worker.kill()
        worker.join()
        with suppress(OSError):
            job.sendall(f"{worker.exitcode}\n".encode())
    os._exit(0)


def _work(told: dict[str, Any], streams: list[int]) -> None:
    """Be the process that the command would have been."""
    for each in GROUP:
        signal.signal(each, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, number in zip(streams, STREAMS, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    # The server's own are of another kind of file, which they were told once.
    sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, closefd=False) for n in STREAMS)
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["environment"])
    sys.argv = told["argv"]
    from medcoreset.__main__ import main

    main()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as server:
        serve(server)
