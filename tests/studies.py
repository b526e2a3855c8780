"""Small studies of one experiment, as a user would write them in a folder of their own."""

from pathlib import Path
from typing import Any

import yaml

SMALLEST = {
    "title": "Smallest",
    "datasets": ["digits"],
    "protocols": ["tiny"],
    "surrogate": {"network": "lenet"},
    "networks": ["lenet"],
    "methods": {"random": {}},
    "rates": [0.1],
    "full": False,
    "seeds": [0],
}
"""An experiment whose one run takes a second."""
TINY = {
    "description": "Two epochs.",
    "report": "clean",
    "training": {"epochs": 2, "batch_size": 32},
}


def write_experiment(folder: Path, name: str, **changes: Any) -> str:
    """Write an experiment and its protocol into the folder of a study; return the folder."""
    write(folder, "protocols", "tiny", TINY)
    write(folder, "experiments", name, SMALLEST | changes)
    return str(folder)


def write(folder: Path, kind: str, name: str, content: dict[str, Any]) -> Path:
    """Write one file of a study; return its path."""
    path = folder / kind / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path
