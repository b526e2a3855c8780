"""The identity of a method with its options, as it stands in paths: `eva+early=31+late=101`."""

from collections.abc import Mapping
from typing import Any

from medcoreset.errors import UserError
from medcoreset.methods.registry import get


def format(name: str, options: Mapping[str, Any]) -> str:
    """Return the variant: the name, and those options that differ from their defaults, sorted."""
    method = get(name)
    values = method.parse_options(options)
    defaults = method.defaults()
    own = sorted(key for key in values if values[key] != defaults[key])
    return "+".join([name, *(f"{key}={_text(values[key])}" for key in own)])


def parse(variant: str) -> tuple[str, dict[str, Any]]:
    """Return the method's name and all of its options, the ones not in `variant` at their defaults.

    Raises UserError for what `format` could not have written.
    """
    name, *settings = variant.split("+")
    options: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key in options:
            raise UserError(f"variant {variant!r}: {setting!r} is no option, or given twice")
        options[key] = value
    return name, get(name).parse_options(options)


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    # `+` separates options, so that an exponent is written without it.
    return repr(value).replace("e+", "e") if isinstance(value, float) else str(value)
