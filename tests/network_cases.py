"""The networks that the tests try."""

import itertools

from medcoreset import networks


def narrow_forms() -> list[str]:
    """Return the narrow form of every registered network, with each choice of its options."""
    found = []
    for name, architecture in networks.ARCHITECTURES.items():
        choices = [
            [f"+{option}={value}" for value in allowed]
            for option, allowed in architecture.options.items()
            if not isinstance(allowed, int)
        ]
        found += [
            networks.narrowest(name + "".join(chosen)) for chosen in itertools.product(*choices)
        ]
    return found
