"""The identity of a method with its options, as it stands in paths: `eva+early=31+late=101`."""

from collections.abc import Mapping
from typing import Any

from medcoreset import identity
from medcoreset.methods.registry import get


def format(name: str, options: Mapping[str, Any]) -> str:
    """Return the variant: the name, and those options that differ from their defaults, sorted."""
    method = get(name)
    return identity.join(name, method.parse_options(options), method.defaults())


def parse(variant: str) -> tuple[str, dict[str, Any]]:
    """Return the method's name and all of its options, the ones not in `variant` at their defaults.

    Raises UserError for what `format` could not have written.
    """
    name, options = identity.split(variant, "variant")
    return name, get(name).parse_options(options)
