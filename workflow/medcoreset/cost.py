"""What a result took to make: seconds by stage, in a file beside it, for equal results are equal bytes.

`{"seconds": {STAGE: seconds}, "on": {STAGE: device}}`, of the stage itself and of all before it that
are known. A coreset so tells what its surrogate, its evidence and its scores took.
"""

import platform
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from medcoreset.atomic import write_json
from medcoreset.reading import file_of, read_json

FILE = "cost.json"
STAGES = ("surrogate", "evidence", "score", "selection")
WHAT = "a record of what a result took to make"


@dataclass(frozen=True)
class Cost:
    """Seconds by stage, and the device that each stage ran on; what is not known is absent."""

    seconds: dict[str, float] = field(default_factory=dict)
    on: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def adding(self, stage: str, *, threads: int, shares: int = 1) -> Iterator[None]:
        """Add the seconds of the block, which makes `shares` results, to each one's cost.

        The start of the process is not in them, that of torch is, where the block is the first to
        need it.
        """
        start = time.perf_counter()
        yield
        self.seconds[stage] = (time.perf_counter() - start) / shares
        self.on[stage] = _device(threads)

    def write(self, path: str | Path) -> None:
        """Write the record."""
        write_json(path, asdict(self))


def read(path: str | Path) -> Cost:
    """Read a record; UserError if there is none."""
    content = read_json(path, WHAT)
    with file_of(path, WHAT):
        return Cost(
            {stage: float(value) for stage, value in content["seconds"].items()}, content["on"]
        )


def beside(path: str | Path) -> Path:
    """Return where the record of a file of scores lies."""
    return Path(path).with_suffix(f".{FILE}")


def of_scores(path: str | Path) -> Cost:
    """Return what scores took; nothing is known of those that were made by hand."""
    return read(beside(path)) if beside(path).exists() else Cost()


def of_evidence(folders: Iterable[str | Path]) -> Cost:
    """Return what folders of evidence took together: their surrogates, and what was computed of them.

    Evidence that was computed of several surrogates has the first of them among its own.
    """
    every = [_of_folder(Path(folder)) for folder in folders]
    found = Cost()
    for one in every:
        for stage, seconds in one.seconds.items():
            if seconds >= found.seconds.get(stage, 0):
                found.seconds[stage], found.on[stage] = seconds, one.on[stage]
    return found


def of_surrogates(folders: Iterable[str | Path]) -> Cost:
    """Return what several surrogates took, one after the other."""
    every = [_of_folder(Path(folder, "evidence")) for folder in folders]
    known = [one for one in every if "surrogate" in one.seconds]
    if len(known) < len(every):
        return Cost()
    seconds = sum(one.seconds["surrogate"] for one in known)
    return Cost({"surrogate": seconds}, {"surrogate": known[0].on["surrogate"]})


def _of_folder(folder: Path) -> Cost:
    if (folder / FILE).exists():
        return read(folder / FILE)
    metrics = folder.parent / "metrics.json"  # of the surrogate whose evidence it is
    if not metrics.exists():
        return Cost()
    content = read_json(metrics, "the metrics of a surrogate")
    with file_of(metrics, "the metrics of a surrogate"):
        measured = content["measured"]
        seconds = sum(measured["seconds"].values())
        return Cost({"surrogate": seconds}, {"surrogate": measured["device"]})


def _device(threads: int) -> str:
    """Return what a block has computed on. Torch is looked at, and not imported: it takes seconds."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {threads} thread{'s' * (threads > 1)}"
