"""medcoreset: from training images to coresets, retrained models, tables and figures.

The names of `__all__` are the package's Python interface. Everything else is private, and may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medcoreset.api import score, select
    from medcoreset.errors import UserError
    from medcoreset.evidence.evidence import Evidence
    from medcoreset.methods.registry import Method
    from medcoreset.recording.extract import extract
    from medcoreset.recording.indexed import IndexedDataset
    from medcoreset.recording.recorder import Recorder
    from medcoreset.selection.selection import Selection, load_coreset

    def methods() -> Mapping[str, Method]:
        """Return the methods by their names."""


__version__ = "0.1.0"

__all__ = [
    "Evidence",
    "IndexedDataset",
    "Recorder",
    "Selection",
    "UserError",
    "extract",
    "load_coreset",
    "methods",
    "score",
    "select",
]

# Imported when they are first asked for, since torch takes seconds.
_HOMES = {
    "Evidence": "evidence.evidence",
    "IndexedDataset": "recording.indexed",
    "Recorder": "recording.recorder",
    "Selection": "selection.selection",
    "UserError": "errors",
    "extract": "recording.extract",
    "load_coreset": "selection.selection",
    "score": "api",
    "select": "api",
}


if not TYPE_CHECKING:  # to which every name would then be one of the interface

    def __getattr__(name: str) -> Any:
        """Return a name of the interface. `methods` is the package of that name, which can be called."""
        if name == "methods":
            return import_module(f"{__name__}.methods")
        if name in _HOMES:
            return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the interface."""
    return [*__all__, "__version__"]
