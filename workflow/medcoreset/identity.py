"""What a result is called: `NAME+key=value`, the one grammar of networks, datasets, methods, surrogates.

A name is a part of paths, so that what is the same has one spelling: options are sorted, and those
that have their defaults are left out.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from medcoreset.errors import UserError


def split(identity: str, what: str) -> tuple[str, dict[str, str]]:
    """Split `NAME+key=value+…` into the name and its options, whose values are text.

    Raises UserError, which says of `what` the identity is, for an option without a value or given
    twice.
    """
    name, *settings = identity.split("+")
    options: dict[str, str] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if not key or not value:
            raise UserError(f"{what} {identity!r}: {setting!r} is no option, expected KEY=VALUE")
        if key in options:
            raise UserError(f"{what} {identity!r}: option {key!r} is given twice")
        options[key] = value
    return name, options


def join(name: str, options: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> str:
    """Return `NAME+key=value+…`, of those options that have not their defaults, sorted."""
    usual = defaults or {}
    own = sorted(key for key in options if key not in usual or options[key] != usual[key])
    return "+".join([name, *(f"{key}={text(options[key])}" for key in own)])


def text(value: Any) -> str:
    """Return a value as it stands in an identity; `split` and the option's own type read it back."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    # `+` separates options, so that an exponent is written without it.
    return repr(value).replace("e+", "e") if isinstance(value, float) else str(value)


def digest(content: Any) -> str:
    """Return the SHA-256 of JSON-like content, the same for equal contents."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
