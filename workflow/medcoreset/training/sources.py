"""The code that a training is computed by; imports no torch, for the workflow asks too."""

from medcoreset.networks import ARCHITECTURES, parse
from medcoreset.sources import PACKAGE, digest


def training_code(network_id: str) -> str:
    """Return the SHA-256 of the code that trains a network, with its family and no other."""
    family = ARCHITECTURES[parse(network_id)[0]].family
    return digest(PACKAGE / "training" / "run.py", PACKAGE / "networks" / f"{family}.py")
