"""Options of methods: keyword-only parameters, whose annotations say what is allowed.

`epochs: Annotated[int, Range(1)] = 10`, `space: Literal["probability", "logits"] = "probability"`,
`first: Annotated[int | None, Range(0)] = None`.
"""

import inspect
import math
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from medcoreset.errors import UserError

Unit = Literal["", "epoch", "epochs", "surrogates"]


class Range(NamedTuple):
    """The least and the greatest value that an option may have, both included, and its unit.

    An `epoch` is a position in the training dynamics, counted from 1, `epochs` are a length;
    `surrogates` are trained for the method. A rehearsal makes all of them smaller.
    """

    low: float = -math.inf
    high: float = math.inf
    unit: Unit = ""


ANY = Range()


@dataclass(frozen=True)
class Option:
    """One option: its type (int, float, bool or str), its default, and what is allowed."""

    name: str
    type: type
    default: Any
    choices: tuple[str, ...] = ()
    range: Range = ANY
    optional: bool = False

    @property
    def allowed(self) -> str:
        """Return in words which values are allowed."""
        if self.choices:
            return "|".join(self.choices)
        if self.type is bool:
            return "true|false"
        kind = "integer" if self.type is int else "number"
        low, high, _ = self.range
        if low > -math.inf and high < math.inf:
            kind += f" from {low:g} to {high:g}"
        elif low > -math.inf:
            kind += f", at least {low:g}"
        elif high < math.inf:
            kind += f", at most {high:g}"
        return kind + (", or none" if self.optional else "")

    def parse(self, value: Any) -> Any:
        """Return the value that `value` (a string, or a value from YAML or JSON) stands for.

        Raises ValueError if it is not allowed.
        """
        text = "none" if value is None else str(value).strip()
        if self.optional and text.lower() == "none":
            return None
        if self.choices:
            return self.choices[self.choices.index(text)]
        if self.type is bool:
            return {"true": True, "false": False}[text.lower()]
        number = float(text)
        if not math.isfinite(number) or not self.range.low <= number <= self.range.high:
            raise ValueError(f"{text} is out of range")
        if self.type is int and number != int(number):
            raise ValueError(f"{text} is not an integer")
        return self.type(number)


def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """Return the options of a function, which are its keyword-only parameters."""
    hints = get_type_hints(function, include_extras=True)
    return {
        name: _option(name, hints[name], parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def _option(name: str, hint: Any, default: Any) -> Option:
    bounds = ANY
    if get_origin(hint) is Annotated:
        hint, bounds = get_args(hint)
    if get_origin(hint) is Literal:
        return Option(name, str, default, choices=get_args(hint))
    optional = get_origin(hint) in (Union, types.UnionType)
    if optional:
        (hint,) = (member for member in get_args(hint) if member is not type(None))
    if hint not in (int, float, bool):
        raise TypeError(f"option {name}: {hint} is none of int, float, bool and Literal")
    return Option(name, hint, default, range=bounds, optional=optional)


def split_settings(settings: Iterable[str]) -> dict[str, str]:
    """Return `KEY=VALUE` settings as a mapping; UserError for one without `=` or given twice."""
    options: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UserError(f"--set {setting}: expected KEY=VALUE")
        if key in options:
            raise UserError(f"--set {setting}: {key} is set twice")
        options[key] = value
    return options
