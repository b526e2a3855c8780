"""What a result is called: `NAME+key=value`, the one grammar of networks, datasets, methods, surrogates.

A name is a part of paths, so that what is the same has one spelling: options are sorted, and those
that have their defaults are left out.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from medcoreset.errors import UserError


def split(identity: str, what: str) -> tuple[str, dict[str, str]]:
    """Split `NAME+key=value+…` into the name and its options, whose values are text.

    Raises UserError, which says of `what` the identity is, for an option without a value or given
    twice.
    """
    name, *settings = identity.split("+")
    return name, pairs(settings, f"{what} {identity!r}")


def pairs(settings: Iterable[str], where: str) -> dict[str, str]:
    """Return `KEY=VALUE` settings as a mapping; UserError for one without a value or given twice."""
    options: dict[str, str] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if not key or not value:
            raise UserError(f"{where}: {setting!r} is no option, expected KEY=VALUE")
        if key in options:
            raise UserError(f"{where}: option {key!r} is given twice")
        options[key] = value
    return options


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
    if isinstance(value, float):
        return repr(value).removesuffix(".0").replace("e+", "e")
    return str(value)


def digest(content: Any) -> str:
    """Return the SHA-256 of JSON-like content, the same for equal contents."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


APART = 1000


def beside(seed: int, count: int) -> list[int]:
    """Return `count` seeds of what is repeated for one seed, that one first.

    They lie so far apart that those of neighbouring seeds are others.
    """
    return [seed + i * APART for i in range(count)]


OWN = ("seed", "epochs", "until", "half")
"""Options in the name of a surrogate that are not its network's."""


@dataclass(frozen=True)
class Surrogate:
    """A network trained on the training set, `NETWORK[+epochs=E][+half=H][+until=U]+seed=S` in paths.

    `epochs` is None where the protocol says how long it is trained: one training has one name. `until`
    is the epoch after which it is left as it is, None if it is trained to the end, `half` which of two
    halves of the training set it is trained on, 1 or 2, None if on all of it.
    """

    network: str
    seed: int
    epochs: int | None = None
    until: int | None = None
    half: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the surrogate that `name` names."""
        name, options = split(text, "surrogate")
        own = {key: int(options.pop(key)) for key in OWN if key in options}
        return cls(join(name, options), **own)

    @property
    def model(self) -> str:
        """Return the identity without the seed, of which the papers say nothing."""
        own = {"epochs": self.epochs, "half": self.half, "until": self.until}
        known = (f"+{key}={value}" for key, value in own.items() if value is not None)
        return self.network + "".join(known)

    @property
    def name(self) -> str:
        """Return the identity as it stands in paths."""
        return f"{self.model}+seed={self.seed}"

    def beside(self, count: int) -> list[Self]:
        """Return `count` surrogates that differ in their seeds alone, this one first."""
        return [replace(self, seed=seed) for seed in beside(self.seed, count)]

    def halves(self) -> list[Self]:
        """Return the two surrogates of its seed that are trained on a half each."""
        return [replace(self, half=half) for half in (1, 2)]
