"""What a dataset is called and where it comes from. Imports nothing heavy: workflows read it.

An identity is a name and options after `+`, as in `organsmnist_64` or `cifar10+train=6000+val=0`:

- `val`: the fraction of the official training set that is held out, stratified, as the validation
  set of a source that comes without one (default 0.1; 0 holds nothing out, and reporting rules
  that need a validation set then fail). The official test set is never split.
- `train`: train on a stratified subset of this many samples.
"""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from medcoreset.errors import UserError

Reader = Literal["digits", "medmnist", "torchvision", "tinyimagenet", "imagenet", "own"]

DEFAULT_VAL = 0.1


@dataclass(frozen=True)
class Source:
    """A source of images; `counts` are the official ones, where its reader does not know them.

    Licence and citation go into reports. (MedMNIST's licences and counts come with its package.)
    """

    reader: Reader
    has_val: bool = False
    licence: str = ""
    citation: str = ""
    counts: dict[str, int] | None = None


MEDMNIST = (
    "pathmnist",
    "dermamnist",
    "octmnist",
    "pneumoniamnist",
    "retinamnist",
    "breastmnist",
    "bloodmnist",
    "tissuemnist",
    "organamnist",
    "organcmnist",
    "organsmnist",
)
MEDMNIST_SIZES = (28, 64, 128, 224)

_LABELS = {
    "digits": "Digits",
    "octmnist": "OCTMNIST",
    "organamnist": "OrganAMNIST",
    "organcmnist": "OrganCMNIST",
    "organsmnist": "OrganSMNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "mnist": "MNIST",
    "svhn": "SVHN",
    "qmnist": "QMNIST",
    "fashionmnist": "FashionMNIST",
    "tinyimagenet": "TinyImageNet",
    "imagenet": "ImageNet-1K",
}

SOURCES: dict[str, Source] = {
    "digits": Source(
        "digits",
        has_val=True,
        licence="CC BY 4.0",
        citation="Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine "
        "Learning Repository, 1998, doi:10.24432/C50P49",
    ),
    **{
        name if size == 28 else f"{name}_{size}": Source(
            "medmnist",
            has_val=True,
            citation="Yang et al., MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D "
            "biomedical image classification, Scientific Data 10:41, 2023, "
            "doi:10.1038/s41597-022-01721-8",
        )
        for name in MEDMNIST
        for size in MEDMNIST_SIZES
    },
    "cifar10": Source(
        "torchvision",
        licence="none stated; made for research",
        citation="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        counts={"train": 50_000, "test": 10_000},
    ),
    "cifar100": Source(
        "torchvision",
        licence="none stated; made for research",
        citation="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        counts={"train": 50_000, "test": 10_000},
    ),
    "svhn": Source(
        "torchvision",
        licence="non-commercial use only",
        citation="Netzer et al., Reading digits in natural images with unsupervised feature "
        "learning, NIPS Workshop on Deep Learning and Unsupervised Feature Learning, 2011",
        counts={"train": 73_257, "test": 26_032},
    ),
    "mnist": Source(
        "torchvision",
        licence="CC BY-SA 3.0",
        citation="LeCun et al., Gradient-based learning applied to document recognition, "
        "Proceedings of the IEEE 86(11), 1998",
        counts={"train": 60_000, "test": 10_000},
    ),
    "qmnist": Source(
        "torchvision",
        licence="BSD 3-Clause",
        citation="Yadav & Bottou, Cold case: the lost MNIST digits, NeurIPS 2019",
        counts={"train": 60_000, "test": 60_000},
    ),
    "fashionmnist": Source(
        "torchvision",
        licence="MIT",
        citation="Xiao, Rasul & Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking "
        "machine learning algorithms, arXiv:1708.07747, 2017",
        counts={"train": 60_000, "test": 10_000},
    ),
    "tinyimagenet": Source(
        "tinyimagenet",
        licence="ImageNet's terms: non-commercial research and education",
        citation="Le & Yang, Tiny ImageNet visual recognition challenge, CS 231N, 2015",
        counts={"train": 100_000, "test": 10_000},
    ),
    "imagenet": Source(
        "imagenet",
        licence="ImageNet's terms: non-commercial research and education",
        citation="Russakovsky et al., ImageNet large scale visual recognition challenge, "
        "International Journal of Computer Vision 115, 2015",
        counts={"train": 1_281_167, "test": 50_000},
    ),
}

OWN = Source("own")
NAMES = tuple(SOURCES)


@dataclass(frozen=True)
class Identity:
    """A parsed dataset identity: the source's name and the options that were given."""

    base: str
    source: Source
    val: float = DEFAULT_VAL
    train: int | None = None

    @property
    def name(self) -> str:
        """Return the canonical spelling: sorted options, and only those that are not the default."""
        given = [f"train={self.train}"] if self.train is not None else []
        given += [f"val={self.val:g}"] if self.val != DEFAULT_VAL else []
        return "+".join([self.base, *given])


def parse(identity: str, own: Collection[str] = ()) -> Identity:
    """Parse a dataset identity; `own` are the names of the user's own data.

    Raises UserError for a name that is neither known nor own, and for a wrong option.
    """
    base, *pairs = identity.split("+")
    source = OWN if base in own else _known(base)
    options: dict[str, float | int] = {}
    for pair in pairs:
        key, _, text = pair.partition("=")
        if key in options:
            raise UserError(f"dataset {identity!r}: option {key!r} is given twice")
        options[key] = _option(identity, key, text)
    if "val" in options and source.has_val:
        raise UserError(f"dataset {identity!r}: {base} has its own validation set, so no val=")
    return Identity(base, source, **options)


def label(identity: Identity) -> str:
    """Return the name that a dataset has in tables and figures."""
    base, _, size = identity.base.partition("_")
    medmnist = f"{base[:-5].capitalize()}MNIST" if base in MEDMNIST else identity.base
    named = _LABELS.get(base, medmnist)
    details = [f"{size} pixels"] if size and identity.source.reader == "medmnist" else []
    details += [f"{identity.train:,} training images"] if identity.train else []
    return f"{named} ({', '.join(details)})" if details else named


def check_own_name(name: str) -> None:
    """Raise UserError unless `name` can name the user's own data (it becomes part of paths)."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name):
        raise UserError(
            f"dataset name {name!r}: use lower-case letters, digits and underscores only"
        )
    if name in SOURCES or name.startswith("chestmnist"):
        raise UserError(f"dataset name {name!r} is taken by a public dataset: choose another")


def _known(name: str) -> Source:
    if name.startswith("chestmnist"):
        raise UserError(
            f"dataset {name!r} is multi-label (14 findings per image), and coreset selection here "
            "is for single-label data: choose another MedMNIST set"
        )
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=3)
        known = ", ".join(each for each in SOURCES if "_" not in each)
        hint = f"did you mean {' or '.join(near)}" if near else f"known are {known}"
        raise UserError(
            f"unknown dataset {name!r}: {hint} (MedMNIST's also at _64, _128 and _224 pixels)"
        )
    return SOURCES[name]


def _option(identity: str, key: str, text: str) -> float | int:
    if key == "val":
        try:
            fraction = float(text)
        except ValueError:
            fraction = -1.0
        if not 0 <= fraction < 1:
            raise UserError(f"dataset {identity!r}: val is a fraction in [0, 1), not {text!r}")
        return fraction
    if key == "train":
        if not text.isdecimal() or int(text) == 0:
            raise UserError(f"dataset {identity!r}: train is a number of samples, not {text!r}")
        return int(text)
    raise UserError(f"dataset {identity!r}: unknown option {key!r}; options are train and val")
