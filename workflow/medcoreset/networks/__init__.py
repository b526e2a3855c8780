"""The networks by name, what each takes, and the grammar of a network id; imports no torch."""

from dataclasses import dataclass, field

from medcoreset import identity
from medcoreset.errors import UserError

Options = dict[str, int | str]


@dataclass(frozen=True)
class Architecture:
    """One network: the module of its family, its options, the smallest image it takes, in pixels.

    `options` maps a name to its default: an int for any positive integer, a tuple of strings for a
    choice of which the first is the default. A `width` is a multiple of `multiple`, and `narrow`
    is the one to try a study with, where time counts and accuracy does not. A network of three
    `dimensions` is for volumes.
    """

    family: str
    options: dict[str, int | tuple[str, ...]] = field(default_factory=dict)
    smallest: int = 8
    narrow: int = 4
    multiple: int = 1
    dimensions: int = 2


_RESNET: dict[str, int | tuple[str, ...]] = {"width": 64, "stem": ("3x3", "7x7")}

# `width` is always the number of channels (units of the `mlp`) of the first layer; all others scale.
ARCHITECTURES = {
    "mlp": Architecture("mlp", {"width": 128}, narrow=16),
    "lenet": Architecture("lenet", {"width": 6}),
    "alexnet": Architecture("alexnet", smallest=15),
    "vgg11": Architecture("vgg", {"width": 64}),
    "vgg16": Architecture("vgg", {"width": 64}),
    # The published numbers of channels are multiples of 16 beside a first layer of 32.
    "inception_v3": Architecture("inception_v3", {"width": 32}, smallest=9, narrow=2, multiple=2),
    "resnet18": Architecture("resnet", _RESNET),
    "resnet34": Architecture("resnet", _RESNET),
    "resnet50": Architecture("resnet", _RESNET),
    "resnet18_3d": Architecture("resnet", {"width": 64}, dimensions=3),
    # Its second layer is eight times as wide as its first.
    "wrn16_8": Architecture("wrn", {"width": 16}, narrow=1),
    "mobilenet_v2": Architecture("mobilenet_v2", {"width": 32}),
    "mobilenet_v3": Architecture("mobilenet_v3", {"size": ("large", "small")}),
}
NAMES = tuple(ARCHITECTURES)
KINDS = {2: "images", 3: "volumes"}
"""What data are called, by their dimensions."""


def parse(network_id: str) -> tuple[str, Options]:
    """Split a network id such as `resnet18+width=8` into its name and all its options.

    Options that the id leaves out have their defaults.

    Raises:
        UserError: an unknown name or option, a value that the option does not take, or an option
            given twice.
    """
    name, settings = identity.split(network_id, "network")
    if name not in ARCHITECTURES:
        raise UserError(
            f"network {network_id!r}: no network {name!r}; there are {', '.join(NAMES)}"
        )
    allowed = ARCHITECTURES[name].options
    given: Options = {}
    for option, value in settings.items():
        if option not in allowed:
            raise UserError(
                f"network {network_id!r}: {name} has no option {option!r}; "
                f"it takes {', '.join(allowed) or 'none'}"
            )
        given[option] = _value(network_id, option, value, allowed[option])
    multiple = ARCHITECTURES[name].multiple
    if given.get("width", 0) % multiple:
        raise UserError(
            f"network {network_id!r}: width is a multiple of {multiple}, not {given['width']}"
        )
    return name, {option: given.get(option, _default(allowed[option])) for option in allowed}


def check(network_id: str, image_size: int | None = None, dimensions: int | None = None) -> str:
    """Return the canonical spelling of a network id: options that differ from the default, sorted.

    Raises:
        UserError: as `parse`, or the network does not take images of `image_size` pixels, or data of
            so many `dimensions`.
    """
    name, options = parse(network_id)
    network = ARCHITECTURES[name]
    if dimensions is not None and dimensions != network.dimensions:
        others = [key for key, each in ARCHITECTURES.items() if each.dimensions == dimensions]
        raise UserError(
            f"network {network_id!r}: {name} takes {KINDS[network.dimensions]}, not "
            f"{KINDS[dimensions]}, which are for {', '.join(others)}"
        )
    if image_size is not None and image_size < network.smallest:
        raise UserError(
            f"network {network_id!r}: {KINDS[network.dimensions]} of {image_size} pixels are too small; "
            f"{name} takes {network.smallest} pixels or more"
        )
    return _spelled(name, options)


def dimensions_of(network_id: str) -> int:
    """Return the dimensions of what a network takes: 2 of images, 3 of volumes."""
    return ARCHITECTURES[parse(network_id)[0]].dimensions


def narrowest(network_id: str) -> str:
    """Return the canonical id of the narrow form of a network, to try a study with.

    An option `width` is lowered to the registry's `narrow`, never raised. Other options stay, and
    so does a network without a width.

    Raises:
        UserError: as `parse`.
    """
    name, options = parse(network_id)
    if "width" in options:
        options["width"] = min(options["width"], ARCHITECTURES[name].narrow)
    return _spelled(name, options)


def _spelled(name: str, options: Options) -> str:
    allowed = ARCHITECTURES[name].options
    return identity.join(name, options, {option: _default(allowed[option]) for option in allowed})


def _default(default: int | tuple[str, ...]) -> int | str:
    return default if isinstance(default, int) else default[0]


def _value(network_id: str, option: str, value: str, default: int | tuple[str, ...]) -> int | str:
    if isinstance(default, int):
        if value.isascii() and value.isdigit() and int(value) > 0:
            return int(value)
        allowed = "a positive integer"
    else:
        if value in default:
            return value
        allowed = " or ".join(default)
    raise UserError(f"network {network_id!r}: {option} is {allowed}, not {value!r}")
