"""What a dataset is called and where it comes from. Imports nothing heavy: workflows read it.

An identity is a name and options after `+`, as in `organsmnist_64` or `cifar10+train=6000+val=0`:

- `val`: the fraction of the official training set that is held out, stratified, as the validation
  set of a source that comes without one (default 0.1; 0 holds nothing out, and reporting rules
  that need a validation set then fail). The official test set is never split.
- `train`: train on a stratified subset of this many samples.
- `noise`, `asymmetric`, `imbalance`, `duplicates`, `noisy_val`, `condition_seed`: the conditions
  under which the training set is used, as in `cifar10+noise=0.2`; see `Conditions`.
- `stream=decoded`: decode images that stay in their files once, into one file (`decoded`).
"""

import difflib
import re
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from medcoreset.errors import UserError
from medcoreset.identity import join, split

Reader = Literal[
    "digits", "medmnist", "torchvision", "tinyimagenet", "imagenet", "braintumor", "own"
]

Stream = Literal["files", "decoded"]

DEFAULT_VAL = 0.1


@dataclass(frozen=True)
class Source:
    """A source of images: what is known of it before a file of it is read.

    `counts` are the official numbers of images per split (of `braintumor` about). `class_shares` says in which proportion
    the classes of the training set are, roughly. Images are `image_size` pixels high and wide, of
    sources of JPEGs as they are trained on; with three `dimensions` they are volumes, as deep as wide. `files` are patterns of its files in a `data_dir`, as
    archives and unpacked (not ImageNet's: that is too much to be read in order to plan). With
    `multilabel` there are several labels per image, and `class_shares` say how many have each. Licence and
    citation go into reports. (MedMNIST's licences come with its package.)
    """

    reader: Reader
    counts: dict[str, int]
    class_shares: tuple[int, ...]
    image_size: int
    colour: bool = False
    has_val: bool = False
    licence: str = ""
    citation: str = ""
    files: tuple[str, ...] = ()
    dimensions: int = 2
    multilabel: bool = False

    @property
    def streamed(self) -> bool:
        """Whether its images stay in their files."""
        return self.reader == "imagenet"


# Colour or not, images per class of the training set (of the last two, in an earlier release), and
# the official numbers of images in the three splits.
_MEDMNIST: dict[str, tuple[bool, tuple[int, ...], tuple[int, int, int]]] = {
    "pathmnist": (
        True,
        (9366, 9509, 10360, 10401, 8006, 12182, 7886, 9401, 12885),
        (89_996, 10_004, 7_180),
    ),
    "dermamnist": (True, (228, 359, 769, 80, 779, 4693, 99), (7_007, 1_003, 2_005)),
    "octmnist": (False, (33484, 10213, 7754, 46026), (97_477, 10_832, 1_000)),
    "pneumoniamnist": (False, (1214, 3494), (4_708, 524, 624)),
    "retinamnist": (True, (486, 128, 206, 194, 66), (1_080, 120, 400)),
    "breastmnist": (False, (147, 399), (546, 78, 156)),
    "bloodmnist": (
        True,
        (852, 2181, 1085, 2026, 849, 993, 2330, 1643),
        (11_959, 1_712, 3_421),
    ),
    "tissuemnist": (
        False,
        (53075, 7814, 5866, 15406, 11789, 7705, 39203, 24608),
        (165_466, 23_640, 47_280),
    ),
    "organamnist": (
        False,
        (1956, 1390, 1357, 1474, 3963, 3817, 6164, 3919, 3929, 3031, 3561),
        (34_561, 6_491, 17_778),
    ),
    "organcmnist": (
        False,
        (1148, 619, 600, 698, 1088, 1170, 2986, 1002, 1022, 1173, 1486),
        (12_975, 2_392, 8_216),
    ),
    "organsmnist": (
        False,
        (1148, 637, 615, 721, 1132, 1119, 3464, 741, 803, 2004, 1556),
        (13_932, 2_452, 8_827),
    ),
}
IMAGE_SIZES = (28, 64, 128, 224)

# Of the sets of volumes, how many of each class there are is in print of the vessels alone.
_VOLUMES: dict[str, tuple[tuple[int, ...], tuple[int, int, int]]] = {
    "organmnist3d": ((1,) * 11, (971, 161, 610)),
    "nodulemnist3d": ((1, 1), (1_158, 165, 310)),
    "adrenalmnist3d": ((1, 1), (1_188, 98, 298)),
    "fracturemnist3d": ((1, 1, 1), (1_027, 103, 240)),
    "vesselmnist3d": ((1694, 215), (1_335, 191, 382)),
    "synapsemnist3d": ((1, 1), (1_230, 177, 352)),
}
VOLUME_SIZES = (28, 64)

# Of the 78,468 training images of ChestMNIST, how many have each of the 14 findings.
_FINDINGS = (7996, 1950, 9261, 13914, 3988, 4375, 978, 3705, 3263, 1690, 1799, 1158, 2279, 144)
_CHEST = (78_468, 11_219, 22_433)
MEDMNIST = (*_MEDMNIST, "chestmnist", *_VOLUMES)


def _sized(name: str, size: int) -> str:
    return name if size == 28 else f"{name}_{size}"


def _medmnist(name: str, size: int, counts: tuple[int, int, int], **facts: Any) -> Source:
    """Return what is known of one of MedMNIST's sets at a size in pixels."""
    return Source(
        "medmnist",
        dict(zip(("train", "val", "test"), counts, strict=True)),
        image_size=size,
        has_val=True,
        citation="Yang et al., MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D "
        "biomedical image classification, Scientific Data 10:41, 2023, "
        "doi:10.1038/s41597-022-01721-8",
        files=(f"{_sized(name, size)}.npz",),
        **facts,
    )


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
    "braintumor": "Brain tumours",
}

SOURCES: dict[str, Source] = {
    "digits": Source(
        "digits",
        {"train": 1_077, "val": 360, "test": 360},
        (1,) * 10,
        8,
        has_val=True,
        licence="CC BY 4.0",
        citation="Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine "
        "Learning Repository, 1998, doi:10.24432/C50P49",
    ),
    **{
        _sized(name, size): _medmnist(name, size, counts, class_shares=shares, colour=colour)
        for name, (colour, shares, counts) in _MEDMNIST.items()
        for size in IMAGE_SIZES
    },
    **{
        _sized("chestmnist", size): _medmnist(
            "chestmnist", size, _CHEST, class_shares=_FINDINGS, multilabel=True
        )
        for size in IMAGE_SIZES
    },
    **{
        _sized(name, size): _medmnist(name, size, counts, class_shares=shares, dimensions=3)
        for name, (shares, counts) in _VOLUMES.items()
        for size in VOLUME_SIZES
    },
    "cifar10": Source(
        "torchvision",
        {"train": 50_000, "test": 10_000},
        (1,) * 10,
        32,
        colour=True,
        licence="none stated; made for research",
        citation="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        files=("cifar-10-python.tar.gz", "cifar-10-batches-py/*"),
    ),
    "cifar100": Source(
        "torchvision",
        {"train": 50_000, "test": 10_000},
        (1,) * 100,
        32,
        colour=True,
        licence="none stated; made for research",
        citation="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        files=("cifar-100-python.tar.gz", "cifar-100-python/*"),
    ),
    "svhn": Source(
        "torchvision",
        {"train": 73_257, "test": 26_032},
        (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
        32,
        colour=True,
        licence="non-commercial use only",
        citation="Netzer et al., Reading digits in natural images with unsupervised feature "
        "learning, NIPS Workshop on Deep Learning and Unsupervised Feature Learning, 2011",
        files=("train_32x32.mat", "test_32x32.mat"),
    ),
    "mnist": Source(
        "torchvision",
        {"train": 60_000, "test": 10_000},
        (1,) * 10,
        28,
        licence="CC BY-SA 3.0",
        citation="LeCun et al., Gradient-based learning applied to document recognition, "
        "Proceedings of the IEEE 86(11), 1998",
        files=("MNIST/raw/*",),
    ),
    "qmnist": Source(
        "torchvision",
        {"train": 60_000, "test": 60_000},
        (1,) * 10,
        28,
        licence="BSD 3-Clause",
        citation="Yadav & Bottou, Cold case: the lost MNIST digits, NeurIPS 2019",
        files=("QMNIST/raw/*",),
    ),
    "fashionmnist": Source(
        "torchvision",
        {"train": 60_000, "test": 10_000},
        (1,) * 10,
        28,
        licence="MIT",
        citation="Xiao, Rasul & Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking "
        "machine learning algorithms, arXiv:1708.07747, 2017",
        files=("FashionMNIST/raw/*",),
    ),
    "tinyimagenet": Source(
        "tinyimagenet",
        {"train": 100_000, "test": 10_000},
        (1,) * 200,
        64,
        colour=True,
        licence="ImageNet's terms: non-commercial research and education",
        citation="Le & Yang, Tiny ImageNet visual recognition challenge, CS 231N, 2015",
        files=("tiny-imagenet-200.zip", "tiny-imagenet-200/*.txt", "tiny-imagenet-200/*/**/*"),
    ),
    "imagenet": Source(
        "imagenet",
        {"train": 1_281_167, "test": 50_000},
        (1,) * 1000,
        224,
        colour=True,
        licence="ImageNet's terms: non-commercial research and education",
        citation="Russakovsky et al., ImageNet large scale visual recognition challenge, "
        "International Journal of Computer Vision 115, 2015",
    ),
    **{
        # Of its five folds three are the training set; how many slices each has is not in print.
        _sized("braintumor", size): Source(
            "braintumor",
            {"train": 1_838, "val": 613, "test": 613},
            (708, 1426, 930),
            size,
            has_val=True,
            licence="CC BY 4.0",
            citation="Cheng, Brain tumor dataset, figshare, 2017, doi:10.6084/m9.figshare.1512427; "
            "Cheng et al., Enhanced performance of brain tumor classification via tumor region "
            "augmentation and partition, PLoS ONE 10(10), 2015",
            files=("braintumor/**/*.mat", "braintumor/*.zip"),
        )
        for size in IMAGE_SIZES
    },
}

OWN = Source("own", {}, (), 0)
NAMES = tuple(SOURCES)


@dataclass(frozen=True)
class Conditions:
    """What a training set is changed to, so as to see which methods bear it; the default is nothing.

    `noise` is the share of training samples whose label is wrong, any other class being as likely;
    `asymmetric` the share whose label is that of the next class. `imbalance` is the size of the
    smallest class over that of the largest, those between in a geometric series. `duplicates` is
    the share of training samples that are exact copies of others, whose place they take. Test and
    validation data stay as they are; with `noisy_val` the labels of the validation data are as noisy
    as those of the training set. `condition_seed` is that of all these draws.

    How each is made is in `conditions`.
    """

    noise: float = 0.0
    asymmetric: float = 0.0
    imbalance: float | None = None
    duplicates: float = 0.0
    noisy_val: bool = False
    condition_seed: int = 0

    @property
    def wrong(self) -> float:
        """The share of training samples whose label is made wrong."""
        return self.noise + self.asymmetric

    @property
    def given(self) -> dict[str, Any]:
        """Those that are not the default."""
        return {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        }


CONDITIONS = tuple(each.name for each in fields(Conditions))


@dataclass(frozen=True)
class Identity:
    """A parsed dataset identity: the source's name and the options that were given."""

    base: str
    source: Source
    val: float = DEFAULT_VAL
    train: int | None = None
    conditions: Conditions = field(default_factory=Conditions)
    stream: Stream = "files"

    @property
    def name(self) -> str:
        """Return the canonical spelling: sorted options, and only those that are not the default."""
        return join(
            self.base,
            {
                "train": self.train,
                "val": self.val,
                "stream": self.stream,
                **asdict(self.conditions),
            },
            {"train": None, "val": DEFAULT_VAL, "stream": "files", **asdict(Conditions())},
        )

    @property
    def clean(self) -> "Identity":
        """The dataset that the conditions change, which is the dataset itself if there are none.

        It stays in its files, where what the conditions make of it is decoded.
        """
        if not self.conditions.given:
            return self
        return replace(self, conditions=Conditions(), stream="files")

    @property
    def decoded(self) -> bool:
        """Whether trainings read a file of decoded images."""
        return self.stream == "decoded"


def parse(identity: str, own: Collection[str] = ()) -> Identity:
    """Parse a dataset identity; `own` are the names of the user's own data.

    Raises UserError for a name that is neither known nor own, and for a wrong option.
    """
    base, settings = split(identity, "dataset")
    source = OWN if base in own else _known(base)
    options = {key: _option(identity, key, text) for key, text in settings.items()}
    if "val" in options and source.has_val:
        raise UserError(f"dataset {identity!r}: {base} has its own validation set, so no val=")
    given = {key: options.pop(key) for key in CONDITIONS if key in options}
    if given and source.multilabel:
        raise UserError(
            f"dataset {identity!r}: {', '.join(given)} is for one label per image, and {base} has several"
        )
    conditions = Conditions(**given)
    _check_together(identity, conditions, options.get("val", DEFAULT_VAL) or source.has_val)
    parsed = Identity(base, source, **options, conditions=conditions)
    if source is not OWN:
        check_stream(parsed, streamed=source.streamed)
    return parsed


def check_stream(identity: Identity, *, streamed: bool) -> None:
    """Raise UserError for `stream=decoded` of images that are read into memory, not `streamed`."""
    if identity.decoded and not streamed:
        own = f"; datasets.{identity.base} has no stream: true" * (identity.source is OWN)
        raise UserError(
            f"dataset {identity.name}: stream=decoded is for images that stay in their files{own}"
        )


def conditions_of(identity: str) -> Conditions:
    """Return the conditions that are part of a dataset's name, whoever's the data are."""
    return parse(identity, own=[split(identity, "dataset")[0]]).conditions


def _check_together(identity: str, conditions: Conditions, has_val: float | bool) -> None:
    """Raise UserError for conditions that exclude, or say nothing without, each other."""
    where, given = f"dataset {identity!r}", conditions.given
    if conditions.wrong >= 1:
        raise UserError(f"{where}: noise and asymmetric are together to be under 1")
    if conditions.noisy_val and not conditions.wrong:
        raise UserError(f"{where}: noisy_val=true is for noise or asymmetric, and there is neither")
    if conditions.noisy_val and not has_val:
        raise UserError(f"{where}: noisy_val=true, and there are no validation data")
    if given.keys() == {"condition_seed"}:
        raise UserError(f"{where}: condition_seed is for one of {', '.join(CONDITIONS[:4])}")


def label(identity: Identity) -> str:
    """Return the name that a dataset has in tables and figures."""
    base, _, size = identity.base.partition("_")
    medmnist = identity.base
    if base in MEDMNIST:
        organ, _, volumes = base.partition("mnist")
        medmnist = f"{organ.capitalize()}MNIST{volumes.upper()}"
    named = _LABELS.get(base, medmnist)
    details = [f"{size} pixels"] if size and identity.source is not OWN else []
    details += [f"{identity.train:,} training images"] if identity.train else []
    details += [_WORDS[key](value) for key, value in identity.conditions.given.items()]
    details += ["decoded once"] if identity.decoded else []
    return f"{named} ({', '.join(details)})" if details else named


def check_own_name(name: str) -> None:
    """Raise UserError unless `name` can name the user's own data (it becomes part of paths)."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name):
        raise UserError(
            f"dataset name {name!r}: use lower-case letters, digits and underscores only"
        )
    if name in SOURCES:
        raise UserError(f"dataset name {name!r} is taken by a public dataset: choose another")


def _known(name: str) -> Source:
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=3)
        known = ", ".join(each for each in SOURCES if "_" not in each)
        hint = f"did you mean {' or '.join(near)}" if near else f"known are {known}"
        raise UserError(
            f"unknown dataset {name!r}: {hint} (MedMNIST's and braintumor also at _64, _128 and _224 pixels, "
            "MedMNIST's volumes at _64)"
        )
    return SOURCES[name]


def _option(identity: str, key: str, text: str) -> Any:
    if key not in _OPTIONS:
        raise UserError(
            f"dataset {identity!r}: unknown option {key!r}; options are {', '.join(_OPTIONS)}"
        )
    read, allowed = _OPTIONS[key]
    try:
        return read(text)
    except ValueError:
        raise UserError(f"dataset {identity!r}: {key} is {allowed}, not {text!r}") from None


def _stream(text: str) -> str:
    if text not in get_args(Stream):
        raise ValueError
    return text


def _share(text: str) -> float:
    """Return a number from 0 to under 1; ValueError for another."""
    share = float(text)
    if not 0 <= share < 1:
        raise ValueError
    return share + 0.0  # -0 is 0


def _ratio(text: str) -> float:
    ratio = float(text)
    if not 0 < ratio <= 1:
        raise ValueError
    return ratio


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ValueError
    return int(text)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ValueError
    return int(text)


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


_OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "train": (_count, "a number of samples"),
    "val": (_share, "a fraction in [0, 1)"),
    "stream": (_stream, " or ".join(get_args(Stream))),
    "noise": (_share, "a share of the training samples in [0, 1)"),
    "asymmetric": (_share, "a share of the training samples in [0, 1)"),
    "imbalance": (_ratio, "smallest class over largest, in (0, 1]"),
    "duplicates": (_share, "a share of the training samples in [0, 1)"),
    "noisy_val": (_truth, "true or false"),
    "condition_seed": (_seed, "a whole number of at most 18 digits"),
}
"""Option of a dataset → how its text is read, and what is allowed."""

_WORDS: dict[str, Callable[[Any], str]] = {
    "noise": lambda share: f"{100 * share:g} % label noise",
    "asymmetric": lambda share: f"{100 * share:g} % asymmetric label noise",
    "imbalance": lambda ratio: f"imbalance {ratio:g}",
    "duplicates": lambda share: f"{100 * share:g} % duplicates",
    "noisy_val": lambda _: "noisy validation labels",
    "condition_seed": lambda seed: f"condition seed {seed}",
}
"""Condition → what it is called in tables and figures."""
