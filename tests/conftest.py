"""What several tests share: the real workflow, and the folder of real medical images."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.side_by_side import pytest_xdist_make_scheduler  # noqa: F401, a hook

# Before anything loads a library that reads them. Tests run side by side, and torch's own default of
# all cores makes two processes many times slower than one. What a test starts inherits it.
for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]

in_ascii_place = pytest.mark.skipif(
    not sys.prefix.isascii() and sys.version_info < (3, 13),
    reason="before 3.13, Python in an ASCII locale cannot read the paths of its own packages here",
)

STUDY = f"studies=['{ROOT / 'tests' / 'study'}']"
"""What `--config` is given for the experiments in tests/study."""

Snakemake = Callable[..., subprocess.CompletedProcess]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of trainings, and let the longest files start first.

    No core is then left alone with a long one at the end.
    """
    for item in items:
        if item.path.stem.startswith("test_training_"):
            item.add_marker("trains")
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def _gpu_is_given_back() -> Iterator[None]:
    """A claim to a GPU ends with its process, but this one goes on to tests that start others."""
    yield
    if device := sys.modules.get("medcoreset.device"):
        device._claims.close()
        device._claimed.clear()


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


def digests(folder: Path, pattern: str) -> dict[str, str]:
    """SHA-256 of the files of a results folder, without what was measured."""
    found = {}
    for path in sorted(filter(Path.is_file, folder.glob(pattern))):
        if path.name.endswith("cost.json"):
            continue
        content = path.read_bytes()
        if path.name == "metrics.json":
            metrics = json.loads(content)
            metrics.pop("measured")
            content = json.dumps(metrics, sort_keys=True).encode()
        found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


@pytest.fixture(scope="session")
def snakemake() -> Snakemake:
    """Run the project's Snakefile in a folder of its own: `snakemake(folder, "target", …)`."""

    def run(folder: Path, *arguments: str, timeout: int = 600) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--directory", str(folder), "--cores", "2", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT)

    return run
