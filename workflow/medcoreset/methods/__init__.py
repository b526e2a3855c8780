"""Coreset selection methods, one file each; a file in this folder is a registered method."""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from medcoreset.methods.registry import METHODS, Method, get

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["METHODS", "Method", "get", "parse_options"]


def parse_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a method, those in `given` (strings or values) parsed and checked."""
    return get(name).parse_options(given)
