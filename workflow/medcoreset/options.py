"""Options of methods and of producers: keyword-only parameters, whose annotations say what is allowed.

`epochs: Annotated[int, Range(1)] = 10`, `space: Literal["probability", "logits"] = "probability"`,
`first: Annotated[int | None, Range(0)] = None`, `of: Annotated[str, NAMES] = "aum"` with the names that
are allowed; a text in the annotation is the option's help.
"""

import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from medcoreset.errors import UserError

Device = Literal["auto", "cpu", "cuda"]
"""Where to compute; `auto` is a GPU if there is one."""

Unit = Literal["", "epoch", "epochs", "surrogates", "checkpoint"]


class Range(NamedTuple):
    """The least and the greatest value that an option may have, both included, and its unit.

    An `epoch` is a position in the training dynamics, counted from 1, `epochs` are a length;
    `surrogates` are trained for the method, and a `checkpoint` is the epoch after which they are looked
    at. A rehearsal makes all of them smaller.
    """

    low: float = -math.inf
    high: float = math.inf
    unit: Unit = ""


ANY = Range()


@dataclass(frozen=True)
class Option:
    """One option: its type (int, float, bool or str), its default, what is allowed, and a help text."""

    name: str
    type: type
    default: Any
    choices: Sequence[str] = ()
    range: Range = ANY
    optional: bool = False
    help: str = ""

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


def parse_all(
    owner: str, options: Mapping[str, Option], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of all options, those in `given` parsed and the others at their defaults.

    Raises UserError, which names the `owner`, for an unknown option or a value that is not allowed.
    """
    values = {name: option.default for name, option in options.items()}
    for name, value in given.items():
        if name not in options:
            allowed = ", ".join(options) or "none"
            raise UserError(f"{owner}: unknown option {name!r} (its options: {allowed})")
        try:
            values[name] = options[name].parse(value)
        except (ValueError, KeyError):
            raise UserError(
                f"{owner}: {name} is {value!r}, allowed: {options[name].allowed}"
            ) from None
    return values


def taken_by(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of a function's keyword-only parameters."""
    parameters = inspect.signature(function).parameters.values()
    return frozenset(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """Return the options of a function, which are its keyword-only parameters that have a default.

    Raises TypeError for one without an annotation, or with one that says no type of an option.
    """
    # Other parameters may be of types that are known to type checkers alone, such as those of torch.
    own = inspect.unwrap(function)
    given = {name: own.__annotations__[name] for name in taken_by(own) & own.__annotations__.keys()}
    options = types.SimpleNamespace(__annotations__=given)
    hints = get_type_hints(options, own.__globals__, include_extras=True)
    parameters = inspect.signature(function).parameters
    found = {}
    for name, parameter in parameters.items():
        if name in taken_by(function) and parameter.default is not parameter.empty:
            if name not in hints:
                raise TypeError(f"option {name} has no annotation, which says what is allowed")
            found[name] = _option(name, hints[name], parameter.default)
    return found


def _option(name: str, hint: Any, default: Any) -> Option:
    about: list[Any] = []
    if get_origin(hint) is Annotated:
        hint, *about = get_args(hint)
    bounds = next((each for each in about if isinstance(each, Range)), ANY)
    text = next((each for each in about if isinstance(each, str)), "")
    if get_origin(hint) is Literal:
        return Option(name, str, default, choices=get_args(hint), help=text)
    if hint is str and (names := [each for each in about if _are_names(each)]):
        return Option(name, str, default, choices=names[0], help=text)
    optional = get_origin(hint) in (Union, types.UnionType)
    if optional:
        (hint,) = (member for member in get_args(hint) if member is not type(None))
    if hint not in (int, float, bool):
        raise TypeError(f"option {name}: {hint} is none of int, float, bool and Literal")
    return Option(name, hint, default, range=bounds, optional=optional, help=text)


def _are_names(about: Any) -> bool:
    return isinstance(about, Sequence) and not isinstance(about, str | Range)
