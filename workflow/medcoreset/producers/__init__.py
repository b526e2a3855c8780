"""What makes evidence that a training does not leave behind, one file per array; imports no torch."""

import importlib
import pkgutil

from medcoreset.producers.registry import PRODUCERS, Producer, get

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["PRODUCERS", "Producer", "get"]
