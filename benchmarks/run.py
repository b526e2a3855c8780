"""Measure the engine beside the field's plain loop: `make benchmark`, or one section of it.

    python benchmarks/run.py [SECTION …] [--threads 2]

Prints a table, each goal beside what was reached, and writes it to benchmarks/results/MACHINE.csv,
where a section that is measured again replaces its rows. The machine should do nothing else meanwhile.
A larger CPU measures as one with AVX2 alone under ONEDNN_MAX_CPU_ISA=AVX2.
--device cuda measures a GPU.
"""

import os
import platform
import re
import sys
from pathlib import Path

import click

SECTIONS = (
    "step",
    "recording",
    "allocator",
    "peak",
    "convolution",
    "start",
    "evidence",
    "imagenet",
    "selection",
)
KINDS = {"amx_tile": "amx", "avx512_bf16": "avx512bf16", "avx512f": "avx512", "avx2": "avx2"}
"""What a processor can do, the best first, and its name."""
RESULTS = Path(__file__).parent / "results"


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(SECTIONS))
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--processor-time", is_flag=True, help="On a busy machine, with --threads 1: see clock.py."
)
@click.option("--machine", help="Name of the CSV; the processor's by default.")
def main(
    sections: tuple[str, ...],
    device: str,
    threads: int,
    rounds: int,
    processor_time: bool,
    machine: str | None,
) -> None:
    """Measure the named sections, all of them by default."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import allocator
    import clock
    import evidence
    import layers
    import selection
    import start
    import steps
    import table
    from medcoreset.device import resolve

    resolve(device, threads)
    if processor_time:
        clock.use_processor_time()
    measurements = {
        "step": lambda: steps.against_reference(device, rounds),
        "recording": lambda: steps.recording(device, rounds),
        "allocator": lambda: allocator.kept(rounds),
        "peak": lambda: start.peak(device),
        "convolution": lambda: layers.passes(device),
        "start": lambda: start.job(device),
        "evidence": evidence.organ_a,
        "imagenet": evidence.imagenet,
        "selection": selection.goals,
    }
    path = RESULTS / f"{machine or _machine(device, threads)}.csv"
    for section in sections or SECTIONS:
        rows = []
        for row in measurements[section]():
            rows.append(row)
            sys.stderr.write(f"{' | '.join(row.cells())}\n")
        shown = table.write(path, rows)
    sys.stdout.write(f"{shown}\n\n{path}\n")


def _machine(device: str, threads: int) -> str:
    """Return a file name for this kind of machine."""
    if device == "cuda":
        import torch

        name = torch.cuda.get_device_name()
    else:
        model = re.search(r"model name\s*:\s*(.+)", _cpuinfo())
        best = next((name for flag, name in KINDS.items() if flag in _cpuinfo().split()), "")
        kind = os.environ.get("ONEDNN_MAX_CPU_ISA", best)
        name = f"{model[1] if model else platform.machine()} {kind} {threads} threads"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    main()
