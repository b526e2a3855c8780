"""What several tests share: the real workflow, and the folder of real medical images."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

Snakemake = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="session")
def medical_data() -> Path:
    """Folder of official files, named by the environment variable MEDCORESET_DATA."""
    folder = os.environ.get("MEDCORESET_DATA")
    if not folder:
        pytest.skip(
            "set MEDCORESET_DATA to a folder with pneumoniamnist.npz, retinamnist.npz and "
            "FashionMNIST/raw/"
        )
    return Path(folder)


@pytest.fixture(scope="session")
def snakemake() -> Snakemake:
    """Run the project's Snakefile in a folder of its own: `snakemake(folder, "target", …)`."""

    def run(folder: Path, *arguments: str, timeout: int = 600) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--directory", str(folder), "--cores", "2", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT)

    return run
