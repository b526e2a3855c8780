"""Configuration, protocols and experiments: read, validated, and resolved before any job starts."""

import csv
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any

from medcoreset import methods, networks
from medcoreset.datasets import catalog
from medcoreset.errors import UserError
from medcoreset.figures import FIGURES
from medcoreset.study.schema import ROOT, read_yaml, typed, validated
from medcoreset.training.options import TrainingOptions
from medcoreset.training.reporting import RULES

PUBLISHED = ROOT / "config" / "published"
PUBLISHED_TABLES = [PUBLISHED / "eva.csv", PUBLISHED / "deepcore.csv"]


@dataclass(frozen=True)
class Protocol:
    """How a number is obtained: training, selection, and the rule that its own column has."""

    name: str
    description: str
    training: TrainingOptions
    surrogate: TrainingOptions
    report: str
    rounding: str = "ceil"
    balance: str = "global"
    missing: str = "masked"


@dataclass(frozen=True)
class Experiment:
    """One table with its figures, as its file states it, with the defaults filled in."""

    name: str
    source: Path
    content: dict[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    @property
    def has_table(self) -> bool:
        """Whether networks are trained; a figure of the surrogates alone has no table."""
        return bool(self["networks"] and self["seeds"])

    def surrogates(self, protocol: Protocol) -> list[str]:
        """Return the identities of the surrogates, `NETWORK[+epochs=E]+seed=S`.

        A length that is the protocol's own is not spelled out: one training has one name.
        """
        given, usual = self["surrogate"], protocol.surrogate.epochs
        names = [networks.check(name) for name in listed(given["network"])]
        lengths = listed(given.get("epochs", usual))
        spelled = ["" if epochs == usual else f"+epochs={epochs}" for epochs in lengths]
        return [f"{name}{length}+seed={given['seed']}" for name in names for length in spelled]


def split_surrogate(identity: str) -> tuple[str, dict[str, int]]:
    """Split a surrogate's identity into its network's and what is its own: epochs, seed."""
    name, *options = identity.split("+")
    own = {"epochs", "seed"}
    pairs = [option.partition("=") for option in options]
    network = "+".join([name, *(f"{key}={value}" for key, _, value in pairs if key not in own)])
    return network, {key: int(value) for key, _, value in pairs if key in own}


def surrogate_epochs(protocol: Protocol, surrogate: str) -> int:
    """Return for how many epochs a surrogate is trained under a protocol."""
    return split_surrogate(surrogate)[1].get("epochs", protocol.surrogate.epochs)


@dataclass(frozen=True)
class Study:
    """Everything that was configured; experiments and protocols by name."""

    config: dict[str, Any]
    folders: list[Path] = field(default_factory=list)

    root = "results"
    """Folder of everything that is made, below the working folder."""
    rehearses = False

    def path(self, pattern: str) -> str:
        """Return where a result lies, given its place below the root."""
        return f"{self.root}/{pattern}"

    @cached_property
    def protocol_files(self) -> dict[str, Path]:
        """Files of the protocols by name."""
        return self._files("protocols")

    @cached_property
    def _protocol_contents(self) -> dict[str, dict[str, Any]]:
        files = self.protocol_files.items()
        return {name: validated(read_yaml(path), "protocol", path) for name, path in files}

    @cached_property
    def protocols(self) -> dict[str, Protocol]:
        """Protocols by name, with the values of those that they extend."""
        found: dict[str, Protocol] = {}
        for name in self.protocol_files:
            # Ancestors first, so that a mistake is said to be in the file that has it.
            for each in reversed(self.lineage(name)):
                found[each] = found.get(each) or self._protocol(each)
        return found

    def lineage(self, name: str) -> list[str]:
        """Return a protocol's name and those of the protocols that it extends, nearest first."""
        chain = [name]
        while parent := self._protocol_contents[chain[-1]].get("extends"):
            source = f"{self.protocol_files[chain[-1]]}: extends"
            _known(source, "protocol", parent, self.protocol_files)
            if parent in chain:
                raise UserError(f"{source}: {name} extends itself through {parent}")
            chain.append(parent)
        return chain

    def _protocol(self, name: str) -> Protocol:
        merged: dict[str, dict[str, Any]] = {"training": {}, "surrogate": {}, "selection": {}}
        report = "clean"
        for ancestor in reversed(self.lineage(name)):
            content = self._protocol_contents[ancestor]
            for section, values in merged.items():
                values |= content.get(section, {})
            report = content.get("report", report)
        _known(f"{self.protocol_files[name]}: report", "reporting rule", report, RULES)
        source, options = f"{self.protocol_files[name]}", TrainingOptions.from_mapping
        return Protocol(
            name,
            self._protocol_contents[name]["description"],
            _checked(source, options, merged["training"]),
            _checked(source, options, merged["training"] | merged["surrogate"]),
            report,
            **merged["selection"],
        )

    @cached_property
    def experiments(self) -> dict[str, Experiment]:
        """Experiments by name, each checked against everything that it names."""
        found = {}
        for name, path in self._files("experiments").items():
            content = validated(read_yaml(path), "experiment", path)
            found[name] = Experiment(name, path, content | self._canonical(content, path))
            self._check(found[name])
        return found

    def _canonical(self, content: dict[str, Any], source: Path) -> dict[str, list[str]]:
        """Return datasets and networks as paths spell them: one run has one name."""
        own = self.config["datasets"]
        return {
            "datasets": [
                _checked(f"{source}: datasets", catalog.parse, name, own).name
                for name in content["datasets"]
            ],
            "networks": [
                _checked(f"{source}: networks", networks.check, name)
                for name in content["networks"]
            ],
        }

    def of_group(self, group: str) -> list[str]:
        """Return the names of the experiments of a paper, of both with `all`, or `every` one."""
        groups = {"all": ("eva", "deepcore")}.get(group, (group,))
        every = self.experiments.items()
        return [name for name, each in every if group == "every" or each["group"] in groups]

    def named(self, targets: Collection[str]) -> list[str]:
        """Return the experiments that targets name, by themselves or as a group."""
        names = [
            name
            for target in targets or ["demo"]
            for name in ([target] if target in self.experiments else self.of_group(target))
        ]
        return list(dict.fromkeys(names))

    def split_protocol(self, column: str) -> tuple[Protocol, str]:
        """Return the protocol and the reporting rule of `RECIPE` or `RECIPE:RULE`."""
        recipe, _, rule = column.partition(":")
        protocol = self.protocols[recipe]
        return protocol, rule or protocol.report

    def options(
        self, experiment: Experiment, key: str, dataset: str, protocol: str, rate: float
    ) -> list[dict[str, Any]]:
        """Return the method's options in one cell; several where windows are to be searched.

        An option may be given per dataset, protocol and rate, as nested mappings of these names.
        """
        where = {"dataset": dataset, "protocol": protocol, "rate": f"{rate:g}"}
        entry = {
            name: _looked_up(value, where, f"{experiment.source}: methods.{key}.{name}")
            for name, value in experiment["methods"][key].items()
        }
        method = entry.pop("method", key)
        for other in ("label", "surrogate_epochs"):
            entry.pop(other, None)
        pairs = entry.pop("window_pairs", None)
        source = f"{experiment.source}: methods.{key}"
        if pairs is None:
            return [_checked(source, methods.parse_options, method, entry)]
        if method != "eva":
            raise UserError(f"{source}: window_pairs are of the method eva, not of {method}")
        if pairs == "published":
            official = experiment["published_as"].get(dataset, dataset)
            pairs = [[*published_windows(official, rate, source)]]
        if not (isinstance(pairs, list) and pairs and all(map(_is_pair, pairs))):
            raise UserError(
                f"{source}.window_pairs is {pairs!r}, must be published or pairs of start epochs, "
                "[[1, 190]]"
            )
        candidates = [entry | {"early": early, "late": late} for early, late in pairs]
        return [_checked(source, methods.parse_options, method, each) for each in candidates]

    def surrogates_of(self, experiment: Experiment, key: str, protocol: Protocol) -> list[str]:
        """Return the surrogates that a row's coresets are selected with; none for e.g. random."""
        if not methods.get(self.method_of(experiment, key)).uses_surrogate:
            return []
        lengths = experiment["methods"][key].get("surrogate_epochs")
        every = experiment.surrogates(protocol)
        if lengths is None:
            return every
        return [each for each in every if surrogate_epochs(protocol, each) in lengths]

    def method_of(self, experiment: Experiment, key: str) -> str:
        """Return the name of the method behind a row."""
        return experiment["methods"][key].get("method", key)

    def window_grid(self) -> tuple[int, int]:
        """Return length and step of the windows that are scored in pairs, in epochs."""
        return 10, 10

    def surrogate_training(self, protocol: Protocol, surrogate: str) -> TrainingOptions:
        """Return how a surrogate is trained under a protocol."""
        return replace(protocol.surrogate, epochs=surrogate_epochs(protocol, surrogate))

    def _files(self, kind: str) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in [ROOT / "config", *self.folders]:
            for path in sorted((folder / kind).glob("*.yaml")):
                if path.stem in found:
                    raise UserError(f"{path}: {found[path.stem]} has the same name")
                found[path.stem] = path
        return found

    def _check(self, experiment: Experiment) -> None:
        """Raise a UserError for whatever in an experiment does not exist or cannot be done."""
        source = experiment.source
        for column in experiment["protocols"]:
            recipe, _, rule = column.partition(":")
            _known(f"{source}: protocols", "protocol", recipe, self.protocols)
            if rule:
                _known(f"{source}: protocols", "reporting rule", rule, RULES)
            self._check_val(experiment, column)
        for name in listed(experiment["surrogate"]["network"]):
            _checked(f"{source}: surrogate.network", networks.check, name)
        for figure in experiment["figures"]:
            _known(f"{source}: figures", "figure", figure, FIGURES)
        for table in experiment["published"]:
            _known(f"{source}: published", "published table", table, published_tables())
        for key in experiment["methods"]:
            _known(f"{source}: methods", "method", self.method_of(experiment, key), methods.METHODS)
            self._check_options(experiment, key)

    def _check_val(self, experiment: Experiment, column: str) -> None:
        rule = self.split_protocol(column)[1]
        for dataset in experiment["datasets"] if RULES[rule].needs_val else []:
            if not self.has_val(dataset):
                allowed = ", ".join(name for name, each in RULES.items() if not each.needs_val)
                raise UserError(
                    f"{experiment.source}: protocols: {column} is reported by {rule}, which looks "
                    f"at validation data, and {dataset} has none (rules that do not: {allowed})"
                )

    def has_val(self, dataset: str) -> bool:
        """Say whether a dataset will have a validation split, its source's or a held-out one.

        Own data that bring one are refused with `+val=0`, so that this is known beforehand.
        """
        identity = catalog.parse(dataset, self.config["datasets"])
        return identity.source.has_val or identity.val > 0

    def _check_options(self, experiment: Experiment, key: str) -> None:
        method = methods.get(self.method_of(experiment, key))
        source = f"{experiment.source}: methods.{key}"
        protocols = {self.split_protocol(column)[0].name for column in experiment["protocols"]}
        for name in sorted(protocols):
            surrogates = self.surrogates_of(experiment, key, self.protocols[name])
            lengths = {surrogate_epochs(self.protocols[name], each) for each in surrogates}
            for dataset, rate in product(experiment["datasets"], experiment["rates"]):
                candidates = self.options(experiment, key, dataset, name, rate)
                if len(candidates) > 1 and not self.has_val(dataset):
                    raise UserError(
                        f"{source}: {len(candidates)} pairs of windows, of which one is chosen on "
                        f"validation data, and {dataset} has none; give one pair"
                    )
                for options, epochs in product(candidates, lengths if method.check_epochs else ()):
                    _checked(source, method.check_epochs, epochs, **options)


def load(config: Mapping[str, Any]) -> Study:
    """Return the study that `config` (config/config.yaml, overridden by `--config`) describes.

    Raises UserError, one line, for any mistake in it, in a protocol or in an experiment.
    """
    filled = validated(typed(dict(config), "config"), "config", "configuration")
    for name, own in filled["datasets"].items():
        _checked("configuration: datasets", catalog.check_own_name, name)
        own.setdefault("stream", False)
        own.setdefault("duplicates", "keep")
        if not own["path"].endswith(".npz") and "image_size" not in own:
            raise UserError(
                f"configuration: datasets.{name}: {own['path']} is a folder of images, give its "
                "image_size in pixels (or the path of an .npz)"
            )
    for folder in filled["studies"]:
        if not Path(folder).is_dir():
            raise UserError(f"configuration: studies: no such folder: {folder}")
    study = Study(filled, [Path(folder) for folder in filled["studies"]])
    _ = study.experiments
    return study


def published_tables() -> set[str]:
    """Return the names of the tables in config/published/."""
    return {row["table"] for path in PUBLISHED_TABLES for row in _rows(path)}


def published_rows(tables: list[str]) -> list[dict[str, str]]:
    """Return the published numbers of these tables."""
    return [row for path in PUBLISHED_TABLES for row in _rows(path) if row["table"] in tables]


def published_windows(dataset: str, rate: float, source: str) -> tuple[int, int]:
    """Return the start epochs of EVA's windows that the paper's appendix G lists."""
    rows = [row for row in _rows(PUBLISHED / "eva_windows.csv") if row["dataset"] == dataset]
    for row in rows:
        if float(row["rate"]) == rate:
            return int(row["early_start"]), int(row["late_start"])
    listed = ", ".join(row["rate"] for row in rows) or "no rate at all"
    raise UserError(
        f"{source}: no published windows for {dataset} at rate {rate:g} (listed: {listed}); "
        "give window_pairs: [[EARLY, LATE]]"
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, int) for v in value)


def listed(value: Any) -> list[Any]:
    """Return a list as it is, and anything else as the one entry of a list."""
    return value if isinstance(value, list) else [value]


@cache
def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _looked_up(value: Any, where: Mapping[str, str], source: str) -> Any:
    """Descend through mappings by dataset, protocol and rate until a value is reached."""
    while isinstance(value, dict):
        keyed = {f"{key:g}" if isinstance(key, float | int) else key: v for key, v in value.items()}
        key = next((name for name in where.values() if name in keyed), None)
        if key is None:
            cell = ", ".join(f"{axis} {name}" for axis, name in where.items())
            raise UserError(f"{source}: nothing for {cell} (given: {', '.join(keyed)})")
        value = keyed[key]
    return value


def _known(source: str, what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise UserError(f"{source}: unknown {what} {name!r} (known: {', '.join(sorted(known))})")


def _checked(source: str, function: Any, *arguments: Any, **named: Any) -> Any:
    """Call `function`; let its UserError say where the value stands."""
    try:
        return function(*arguments, **named)
    except UserError as mistake:
        raise UserError(f"{source}: {mistake}") from None
