"""Coreset selection methods, one file each; a file in this folder is a registered method."""

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from medcoreset.methods.registry import METHODS, Method, get

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["METHODS", "Method", "get", "parse_options"]


def parse_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a method, those in `given` (strings or values) parsed and checked."""
    return get(name).parse_options(given)


class _Package(ModuleType):
    """This package, which can be called: `medcoreset.methods()` is part of the Python interface."""

    def __call__(self) -> Mapping[str, Method]:
        """Return the methods by their names, sorted.

        Of a method, `summary`, `reference`, `cost`, `departs` and `keep` say what it is, `needed()` which
        evidence it takes, and `options` what can be set: each option's `default`, `allowed` and `help`.
        """
        return MappingProxyType(dict(sorted(METHODS.items())))


sys.modules[__name__].__class__ = _Package
