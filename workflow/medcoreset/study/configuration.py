"""Configuration, protocols and experiments: read, validated, and resolved before any job starts."""

import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any, TypeVar, get_args

import medcoreset.methods as methods
from medcoreset import identity, networks
from medcoreset.datasets import catalog
from medcoreset.errors import UserError
from medcoreset.figures import FIGURES
from medcoreset.identity import Surrogate
from medcoreset.methods.eva import WINDOW_STARTS, CountFrom, first_epoch
from medcoreset.methods.registry import RESELECT
from medcoreset.plan import FULL, NO_SURROGATE
from medcoreset.reporting.rules import RULES
from medcoreset.selection.budget import Rounding
from medcoreset.study import feasible
from medcoreset.study.documents import read_yaml
from medcoreset.study.schema import ROOT, schema, typed, validated
from medcoreset.training.options import TrainingOptions

ROW = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
ALL = "all"
"""The row that stands for every method that no other row has."""
RESERVED = (FULL, NO_SURROGATE)
"""The row of the full training set, and the surrogate of what has none."""

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
    rounding: Rounding = "ceil"
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
        return [
            Surrogate(networks.check(name), seed, None if epochs == usual else epochs).name
            for name in listed(given["network"])
            for epochs in listed(given.get("epochs", usual))
            for seed in self.surrogate_seeds
        ]

    @property
    def surrogate_seeds(self) -> list[int]:
        """The seeds of every surrogate, of which figures show the first."""
        given = self["surrogate"]["seeds"]
        if given == "paired":
            return self["seeds"] or [0]  # a figure of surrogates alone trains nothing else
        return [0] if given == "shared" else given

    def seeds_with(self, surrogate: str) -> tuple[int, ...]:
        """Return the seeds that are trained on a surrogate's coresets, or without a surrogate."""
        if surrogate != NO_SURROGATE and self["surrogate"]["seeds"] == "paired":
            return (Surrogate.parse(surrogate).seed,)
        return tuple(sorted(self["seeds"]))


def surrogate_epochs(protocol: Protocol, surrogate: str) -> int:
    """Return for how many epochs a surrogate is trained under a protocol."""
    epochs = Surrogate.parse(surrogate).epochs
    return protocol.surrogate.epochs if epochs is None else epochs


Each = TypeVar("Each")


class Named(Mapping[str, Each]):
    """What files describe, by name, made when it is asked for: a mistake in one file is its own."""

    def __init__(self, names: Iterable[str], make: Callable[[str], Each]) -> None:
        self._names, self._make = list(names), make
        self._made: dict[str, Each | UserError] = {}

    def __getitem__(self, name: str) -> Each:
        """Return one; raises UserError if there is a mistake in it."""
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            try:
                self._made[name] = self._make(name)
            except UserError as mistake:
                self._made[name] = mistake
        made = self._made[name]
        if isinstance(made, UserError):
            raise UserError(str(made))
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def mistakes(self) -> dict[str, UserError]:
        """Return the mistakes, by the name of what they are in."""
        self.sound()
        return {name: made for name, made in self._made.items() if isinstance(made, UserError)}

    def sound(self) -> dict[str, Each]:
        """Return those without a mistake."""
        for name in self._names:
            with suppress(UserError):
                _ = self[name]
        made = {name: self._made[name] for name in self._names}
        return {name: each for name, each in made.items() if not isinstance(each, UserError)}


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
    def protocols(self) -> Named[Protocol]:
        """Protocols by name, with the values of those that they extend."""
        return Named(self._protocol_files, self._protocol)

    @cached_property
    def _protocol_files(self) -> dict[str, list[Path]]:
        return self._files("protocols")

    @cached_property
    def _protocol_contents(self) -> Named[dict[str, Any]]:
        def read(name: str) -> dict[str, Any]:
            files = self._protocol_files[name]
            return validated(_read(files, "protocol"), "protocol", files[0])

        return Named(self._protocol_files, read)

    def lineage(self, name: str) -> list[str]:
        """Return a protocol's name and those of the protocols that it extends, nearest first."""
        chain = [name]
        while parent := self._protocol_contents[chain[-1]].get("extends"):
            source = f"{self._protocol_files[chain[-1]][0]}: extends"
            _known(source, "protocol", parent, self._protocol_files)
            if parent in chain:
                raise UserError(f"{source}: {name} extends itself through {parent}")
            chain.append(parent)
        return chain

    def _protocol(self, name: str) -> Protocol:
        merged: dict[str, dict[str, Any]] = {"training": {}, "surrogate": {}, "selection": {}}
        report, source = "clean", self._protocol_files[name][0]
        for ancestor in reversed(self.lineage(name)):
            if ancestor != name:
                # So that a mistake is said to be in the file that has it.
                _ = self.protocols[ancestor]
            content = self._protocol_contents[ancestor]
            for section, values in merged.items():
                values |= content.get(section, {})
            report = content.get("report", report)
        _known(f"{source}: report", "reporting rule", report, RULES)
        options = TrainingOptions.from_mapping
        return Protocol(
            name,
            self._protocol_contents[name]["description"],
            _checked(source, options, merged["training"]),
            _checked(source, options, merged["training"] | merged["surrogate"]),
            report,
            **merged["selection"],
        )

    @cached_property
    def experiments(self) -> Named[Experiment]:
        """Experiments by name, each checked against everything that it names."""
        return Named(self._experiment_files, self._experiment)

    @cached_property
    def _experiment_files(self) -> dict[str, list[Path]]:
        return self._files("experiments")

    def _experiment(self, name: str) -> Experiment:
        path = self._experiment_files[name][0]
        content = validated(self._experiment_contents[name], "experiment", path)
        content["methods"] = _every_row(content["methods"], path)
        experiment = Experiment(name, path, content | self._canonical(content, path))
        self._check(experiment)
        return experiment

    @cached_property
    def _experiment_contents(self) -> Named[dict[str, Any]]:
        files = self._experiment_files
        return Named(files, lambda name: _read(files[name], "experiment"))

    def _canonical(self, content: dict[str, Any], source: Path) -> dict[str, list[str]]:
        """Return datasets and networks as paths spell them: one run has one name."""
        own = self.config["datasets"]
        spelled = {
            "datasets": [
                _checked(f"{source}: datasets", catalog.parse, name, own).name
                for name in content["datasets"]
            ],
            "networks": [
                _checked(f"{source}: networks", networks.check, name)
                for name in content["networks"]
            ],
        }
        for key, names in spelled.items():
            for i, name in enumerate(names):
                if name in names[:i]:
                    raise UserError(f"{source}: {key} has {content[key][i]!r} twice, as {name}")
        return spelled

    @cached_property
    def claim_files(self) -> list[Path]:
        """The files of what papers claim, the project's own and those of further folders."""
        return [path for paths in self._files("claims").values() for path in paths]

    def of_group(self, group: str) -> list[str]:
        """Return the names of the experiments of a paper, of both with `all`, or `every` one."""
        groups = {"all": ("eva", "deepcore")}.get(group, (group,))
        contents = self._experiment_contents.sound()
        # Of a file that cannot be read, no one knows whether the group lacks it.
        return [
            name
            for name in self.experiments
            if group == "every" or name not in contents or _group(contents[name]) in groups
        ]

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
        """Return the method's options in one cell; several where they are candidates.

        An option, and the list of candidates, may be given per dataset, protocol and rate, as
        nested mappings of these names.
        """
        row, source = experiment["methods"][key], f"{experiment.source}: methods.{key}"
        where = {"dataset": dataset, "protocol": protocol, "rate": identity.text(rate)}
        own = {name: value for name, value in row.items() if name not in _row_keys()}
        shared = _each_looked_up(own, where, source)
        candidates = _looked_up(row.get("candidates", [{}]), where, f"{source}.candidates")
        if not _are_candidates(candidates):
            raise UserError(
                f"{source}.candidates is {candidates!r}, must be a list of options, as "
                "[{OPTION: VALUE}, {OPTION: VALUE}]"
            )
        known = methods.get(self.method_of(experiment, key)).options
        found: list[dict[str, Any]] = []
        for i, candidate in enumerate(candidates):
            place = f"{source}.candidates[{i}]"
            for name in candidate:
                _known(place, "option", name, known)
                if name in shared:
                    raise UserError(f"{place}: {name} is given for all candidates, at {source}")
            given = shared | _each_looked_up(candidate, where, place)
            options = self._parsed(experiment, key, given, where)
            if options in found:
                first = f"candidates[{found.index(options)}]"
                raise UserError(f"{place} is {candidate}, the same as {first} at rate {rate:g}")
            found.append(options)
        return found

    def _parsed(
        self, experiment: Experiment, key: str, given: dict[str, Any], where: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return all of a method's options; the starts of EVA's windows counted from 1."""
        row, source = experiment["methods"][key], f"{experiment.source}: methods.{key}"
        method = self.method_of(experiment, key)
        if method != "eva":
            if "count_from" in row:
                raise UserError(f"{source}: count_from is of the method eva, not of {method}")
            return _checked(source, methods.parse_options, method, given)
        count_from = _looked_up(row.get("count_from", "paper"), where, f"{source}.count_from")
        if count_from not in get_args(CountFrom):
            raise UserError(
                f"{source}.count_from is {count_from!r}, must be {' or '.join(get_args(CountFrom))}"
            )
        if asked := [name for name in WINDOW_STARTS["dual"] if given.get(name) == "published"]:
            official = experiment["published_as"].get(where["dataset"], where["dataset"])
            printed = published_windows(official, float(where["rate"]), source)
            given = given | {name: printed[name] for name in asked}
        options = _checked(source, methods.parse_options, method, given)
        used = WINDOW_STARTS[options["windows"]]
        return options | {name: first_epoch(options[name], count_from) for name in used}

    def surrogates_of(self, experiment: Experiment, key: str, protocol: Protocol) -> list[str]:
        """Return the surrogates that a row's coresets are selected with; none for e.g. random."""
        if not self._uses_surrogate(experiment, key, protocol):
            return []
        lengths = experiment["methods"][key].get("surrogate_epochs")
        every = experiment.surrogates(protocol)
        if lengths is None:
            return every
        return [each for each in every if surrogate_epochs(protocol, each) in lengths]

    def selects_anew(self, experiment: Experiment, key: str) -> bool:
        """Whether a row selects while its networks train, so that it stores all samples."""
        dynamic = methods.get(self.method_of(experiment, key)).dynamic
        return dynamic or self._reselects(experiment, key)

    def _reselects(self, experiment: Experiment, key: str) -> bool:
        row = experiment["methods"][key]
        candidates = _values(row.get("candidates", []))
        given = [each.get(RESELECT.name) for each in (row, *candidates) if isinstance(each, dict)]
        return any(value not in (None, "none") for each in given for value in _values(each))

    def _uses_surrogate(self, experiment: Experiment, key: str, protocol: Protocol) -> bool:
        if self._reselects(experiment, key):  # by the network that is trained itself
            return False
        uses = methods.get(self.method_of(experiment, key)).uses_surrogate
        return uses or self._balance(experiment, key, protocol) == "drop"

    def _balance(self, experiment: Experiment, key: str, protocol: Protocol) -> str:
        return experiment["methods"][key].get("balance", protocol.balance)

    def method_of(self, experiment: Experiment, key: str) -> str:
        """Return the name of the method behind a row."""
        return experiment["methods"][key].get("method", key)

    def own_balance(self, experiment: Experiment, key: str, protocol: Protocol) -> str:
        """Return a row's class balance as a part of paths, "" if it is that of the protocol."""
        own = self._balance(experiment, key, protocol)
        return "" if own == protocol.balance else identity.join("", {"balance": own})

    def stand_in_samples(self, dataset: str) -> int | None:
        """Return how many training images a dataset's stand-in is to have; None: it stands for itself."""
        return None

    def window_grid(self) -> tuple[int, int]:
        """Return length and step of the windows that are scored in pairs, in epochs."""
        return 10, 10

    def surrogate_training(self, protocol: Protocol, surrogate: str) -> TrainingOptions:
        """Return how a surrogate is trained under a protocol."""
        training = replace(protocol.surrogate, epochs=surrogate_epochs(protocol, surrogate))
        until = Surrogate.parse(surrogate).until
        return training if until is None else replace(training, stop_after=until)

    def _files(self, kind: str) -> dict[str, list[Path]]:
        """Return the files of a kind by name: of a name that more than one has, all."""
        found: dict[str, list[Path]] = {}
        for folder in dict.fromkeys(each.resolve() for each in [ROOT / "config", *self.folders]):
            for path in sorted((folder / kind).glob("*.yaml")):
                found.setdefault(path.stem, []).insert(0, path)
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
        if experiment["networks"] and not experiment["seeds"]:
            raise UserError(f"{source}: seeds is empty, and networks names what is to be trained")
        if experiment.has_table and not (experiment["full"] or experiment["methods"]):
            raise UserError(f"{source}: methods is empty and full is false, so there is no row")
        if not (experiment.has_table or experiment["figures"]):
            raise UserError(f"{source}: neither networks with seeds nor figures, nothing to make")
        for table in experiment["published"]:
            _known(f"{source}: published", "published table", table, published_tables())
        if experiment["seeds"]:
            given = ("seeds", "trainings", experiment["seeds"], experiment["trainings"])
            _checked(f"{source}", feasible.check_apart, *given)
        self._check_rows(experiment)
        rows = [*experiment["methods"], *(["full"] if experiment["full"] else [])]
        if experiment["reference"] not in (*rows, "random"):
            _known(f"{source}: reference", "row", experiment["reference"], rows)
        for key in experiment["methods"]:
            self._check_options(experiment, key)
        self._check_weights(experiment)
        self._check_figures(experiment)
        for dataset in experiment["datasets"]:
            self._check_data(experiment, dataset)

    def _check_weights(self, experiment: Experiment) -> None:
        rows = {
            f"methods.{key}": methods.get(self.method_of(experiment, key)).weighted
            for key in experiment["methods"]
        }
        if experiment["full"]:
            rows["full"] = False
        for column in experiment["protocols"] if experiment.has_table else ():
            protocol = self.split_protocol(column)[0]
            for row, gives in rows.items():
                given = (row, gives, protocol.name, protocol.training)
                _checked(f"{experiment.source}", feasible.check_weights, *given)

    def _check_figures(self, experiment: Experiment) -> None:
        rows = {
            key: None
            if self.selects_anew(experiment, key)
            else methods.get(self.method_of(experiment, key))
            for key in experiment["methods"]
        }
        protocols = [self.split_protocol(column)[0] for column in experiment["protocols"]]
        for figure in experiment["figures"]:
            check = partial(_checked, f"{experiment.source}")
            check(feasible.check_figure, figure, rows, experiment.has_table, experiment["datasets"])
            for protocol in protocols if "windows" in FIGURES[figure] else ():
                for surrogate in experiment.surrogates(protocol):
                    epochs = surrogate_epochs(protocol, surrogate)
                    check(feasible.check_windows, figure, *self.window_grid(), epochs)

    def _check_data(self, experiment: Experiment, dataset: str) -> None:
        """Raise a UserError if what is known of a dataset does not fit the experiment."""
        check, own = partial(_checked, f"{experiment.source}"), self.config["datasets"]
        check(feasible.check_split, dataset, own)
        surrogate_networks = listed(experiment["surrogate"]["network"])
        check(feasible.check_images, dataset, own, [*experiment["networks"], *surrogate_networks])
        if feasible.is_multilabel(dataset, own):
            self._check_labels(experiment, dataset)
        known = feasible.facts_of(dataset, own)
        for column in experiment["protocols"] if known else ():
            protocol = self.split_protocol(column)[0]
            for options in (protocol.training, protocol.surrogate):
                check(feasible.check_training, dataset, known, options)
            rows = experiment["methods"].values()
            balances = dict.fromkeys(row.get("balance", protocol.balance) for row in rows)
            for rate, balance in product(experiment["rates"], balances):
                given = (rate, protocol.rounding, balance, protocol.training)
                check(feasible.check_rate, dataset, known, *given)

    def _check_labels(self, experiment: Experiment, dataset: str) -> None:
        """Raise a UserError for what needs classes, of a dataset with several labels per image."""
        source = experiment.source
        for figure in experiment["figures"]:
            _checked(source, feasible.check_figure_of_labels, figure, dataset)
        for key, column in product(experiment["methods"], experiment["protocols"]):
            protocol = self.split_protocol(column)[0]
            method = methods.get(self.method_of(experiment, key))
            place, balance = f"methods.{key}", self._balance(experiment, key, protocol)
            _checked(source, feasible.check_balance_of_labels, place, balance, dataset)
            for rate in experiment["rates"]:
                for options in self.options(experiment, key, dataset, protocol.name, rate):
                    _checked(f"{source}: {place}: {dataset}", method.check_labels, options)

    def _check_rows(self, experiment: Experiment) -> None:
        """Raise a UserError for rows that a reader, or the analysis, could take for others."""
        shown: dict[str, str] = {}
        for key in experiment["methods"]:
            source, method = f"{experiment.source}: methods.{key}", self.method_of(experiment, key)
            _known(f"{experiment.source}: methods", "method", method, methods.METHODS)
            if not ROW.fullmatch(key):
                raise UserError(
                    f"{source}: a row's key has letters, digits, _, - and . only; its name is label"
                )
            if key in RESERVED or (key in methods.METHODS and key != method):
                whose = "not a method's" if key in RESERVED else f"the method {key}'s"
                raise UserError(f"{source}: that key is {whose}, so choose another for {method}")
            label = " ".join(self.label(experiment, key).split()).casefold()
            if label in shown:
                raise UserError(
                    f"{source}: its label is that of {shown[label]} too: give it another"
                )
            shown[label] = key

    def label(self, experiment: Experiment, key: str) -> str:
        """Return the name that a row has in tables and figures, if need be made of its key."""
        method = self.method_of(experiment, key)
        usual = methods.get(method).label
        return experiment["methods"][key].get("label") or (
            usual if key == method else f"{usual} ({key})"
        )

    def _check_val(self, experiment: Experiment, column: str) -> None:
        rule = self.split_protocol(column)[1]
        for dataset in experiment["datasets"] if RULES[rule].needs_val else []:
            if not self.has_val(dataset):
                allowed = ", ".join(name for name, each in RULES.items() if not each.needs_val)
                raise UserError(
                    f"{experiment.source}: protocols: {column} is reported by {rule}, which looks "
                    f"at validation data, and {dataset} has none (rules that do not: {allowed})"
                )

    def base(self, dataset: str) -> str:
        """Return the name of a dataset without its options."""
        return catalog.parse(dataset, self.config["datasets"]).base

    def clean(self, dataset: str) -> str:
        """Return the name of a dataset without its conditions, of which it is made."""
        return catalog.parse(dataset, self.config["datasets"]).clean.name

    def own(self, dataset: str) -> dict[str, Any] | None:
        """Return what the configuration says of a dataset, if it is the user's own."""
        return self.config["datasets"].get(self.base(dataset))

    def is_decoded(self, dataset: str) -> bool:
        """Say whether the images of a dataset are decoded once."""
        return catalog.parse(dataset, self.config["datasets"]).decoded

    def has_val(self, dataset: str) -> bool:
        """Say whether a dataset will have a validation split, its source's or a held-out one.

        Own data that bring one are refused with `+val=0`, so that this is known beforehand.
        """
        named = catalog.parse(dataset, self.config["datasets"])
        return named.source.has_val or named.val > 0

    def _check_options(self, experiment: Experiment, key: str) -> None:
        source = f"{experiment.source}: methods.{key}"
        protocols = {self.split_protocol(column)[0].name for column in experiment["protocols"]}
        for name in sorted(protocols):
            surrogates = self.surrogates_of(experiment, key, self.protocols[name])
            lengths = {surrogate_epochs(self.protocols[name], each) for each in surrogates}
            if not surrogates and self._uses_surrogate(experiment, key, self.protocols[name]):
                every = {
                    surrogate_epochs(self.protocols[name], each)
                    for each in experiment.surrogates(self.protocols[name])
                }
                raise UserError(
                    f"{source}.surrogate_epochs: none of the surrogates, which are of "
                    f"{', '.join(map(str, sorted(every)))} epochs"
                )
            drop = self._balance(experiment, key, self.protocols[name]) == "drop"
            if drop and self.selects_anew(experiment, key):
                raise UserError(
                    f"{source}: balance is drop, by the recall of a surrogate, and a row that selects while "
                    "a network trains has none"
                )
            for dataset in experiment["datasets"]:
                if drop and not self.has_val(dataset):
                    raise UserError(
                        f"{source}: balance is drop, by recall on validation data, and {dataset} has none"
                    )
            for dataset, rate in product(experiment["datasets"], experiment["rates"]):
                candidates = self.options(experiment, key, dataset, name, rate)
                if len(candidates) > 1 and not self.has_val(dataset):
                    raise UserError(
                        f"{source}: {len(candidates)} candidates, of which one is chosen on "
                        f"validation data, and {dataset} has none; give one"
                    )
                self._check_candidates(experiment, key, dataset, candidates, lengths)
                training = self.protocols[name].training
                self._check_reselect(experiment, key, candidates, training)

    def _check_reselect(
        self,
        experiment: Experiment,
        key: str,
        candidates: list[dict[str, Any]],
        training: TrainingOptions,
    ) -> None:
        """Raise a UserError unless a row selects again in all of its trainings, or in none."""
        if self._reselects(experiment, key):
            for options in candidates:
                given = (key, options[RESELECT.name], training)
                _checked(f"{experiment.source}", feasible.check_reselect, *given)

    def _check_candidates(
        self,
        experiment: Experiment,
        key: str,
        dataset: str,
        candidates: list[dict[str, Any]],
        lengths: Collection[int],
    ) -> None:
        """Raise a UserError if the surrogates lack what a method needs with its options."""
        method = methods.get(self.method_of(experiment, key))
        source = f"{experiment.source}: methods.{key}"
        for options, epochs in product(candidates, lengths):
            _checked(source, method.check_dynamics, epochs, options)
            _checked(f"{experiment.source}", feasible.check_dynamics, key, method, options, epochs)
            known = feasible.facts_of(dataset, self.config["datasets"])
            recorded = (dataset, known, epochs, self.config["probs_budget_mb"])
            _checked(f"{experiment.source}", feasible.check_probs, key, method, options, *recorded)
        for options in candidates:
            _checked(f"{experiment.source}", feasible.check_given, key, method, options)
            given = (key, method, options, experiment.surrogate_seeds)
            _checked(f"{experiment.source}", feasible.check_averaged, *given)
            val = [name for name in method.needed(options) if name.startswith("val_")]
            if val and not self.has_val(dataset):
                raise UserError(
                    f"{source}: {method.name} looks at validation data, and {dataset} has none"
                )


def load(config: Mapping[str, Any]) -> Study:
    """Return the study that `config` (config/config.yaml, overridden by `--config`) describes.

    Raises UserError, one line, for any mistake in it. One in a protocol or in an experiment is
    raised where that is asked for.
    """
    filled = validated(typed(dict(config), "config"), "config", "configuration")
    for name, own in filled["datasets"].items():
        _checked("configuration: datasets", catalog.check_own_name, name)
        if own["multilabel"] and not own["path"].endswith(".npz"):
            raise UserError(
                f"configuration: datasets.{name}: multilabel is for an .npz, and {own['path']} is a folder"
            )
        if not own["path"].endswith(".npz") and "image_size" not in own:
            raise UserError(
                f"configuration: datasets.{name}: {own['path']} is a folder of images, give its "
                "image_size in pixels (or the path of an .npz)"
            )
    for folder in filled["studies"]:
        if not Path(folder).is_dir():
            raise UserError(f"configuration: studies: no such folder: {folder}")
    return Study(filled, [Path(folder) for folder in filled["studies"]])


def published_tables() -> set[str]:
    """Return the names of the tables in config/published/."""
    return {row["table"] for path in PUBLISHED_TABLES for row in _rows(path)}


def published_rows(tables: list[str]) -> list[dict[str, str]]:
    """Return the published numbers of these tables."""
    return [row for path in PUBLISHED_TABLES for row in _rows(path) if row["table"] in tables]


def published_windows(dataset: str, rate: float, source: str) -> dict[str, int]:
    """Return the start epochs of EVA's windows, `early` and `late`, that the paper's appendix G lists."""
    rows = [row for row in _rows(PUBLISHED / "eva_windows.csv") if row["dataset"] == dataset]
    for row in rows:
        if float(row["rate"]) == rate:
            return {name: int(row[f"{name}_start"]) for name in WINDOW_STARTS["dual"]}
    listed = ", ".join(row["rate"] for row in rows) or "no rate at all"
    raise UserError(
        f"{source}: no published windows for {dataset} at rate {rate} (listed: {listed}); "
        "give early and late as epochs"
    )


@cache
def _row_keys() -> frozenset[str]:
    """Return the keys of a row that are no options of its method."""
    row = schema("experiment")["properties"]["methods"]["additionalProperties"]
    return frozenset(row["properties"])


def _every_row(rows: dict[str, Any], source: Path) -> dict[str, Any]:
    """Return the rows of an experiment, with one for each method that `all` stands for in its place."""
    if ALL not in rows:
        return rows
    shared = dict(rows[ALL])
    without = shared.pop("without")
    for name in without:
        _known(f"{source}: methods.{ALL}.without", "method", name, methods.METHODS)
    named = {row.get("method", key) for key, row in rows.items()}
    others = [name for name in methods.METHODS if name not in {*named, *without}]
    spelled: dict[str, Any] = {}
    for key, row in rows.items():
        spelled |= {name: dict(shared) for name in others} if key == ALL else {key: row}
    return spelled


def _values(value: Any) -> list[Any]:
    """Return what a value is in any cell: its own parts if it is nested by dataset, protocol or rate.

    Candidates, which are mappings too, are in lists.
    """
    if isinstance(value, dict):
        return [part for inner in value.values() for part in _values(inner)]
    return listed(value)


def _are_candidates(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _read(files: list[Path], kind: str) -> Any:
    """Return what the file of a protocol or an experiment says, if it may have its name."""
    path = files[0]
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]{,99}", path.stem):
        raise UserError(
            f"{path}: the name of {kind} {path.stem!r} is to be of lower-case letters, digits and "
            "underscores, at most 100"
        )
    if len(files) > 1:
        raise UserError(f"{path}: {files[1]} has the same name")
    return read_yaml(path)


def _group(content: Any) -> Any:
    """Return the group of an experiment, whatever mistakes there are in it."""
    return content.get("group") if isinstance(content, dict) else None


def listed(value: Any) -> list[Any]:
    """Return a list as it is, and anything else as the one entry of a list."""
    return value if isinstance(value, list) else [value]


@cache
def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _looked_up(value: Any, where: Mapping[str, str], source: str) -> Any:
    """Descend through mappings by dataset, protocol and rate until a value is reached."""
    while isinstance(value, dict):
        keyed = {identity.text(key): inner for key, inner in value.items()}
        key = next((name for name in where.values() if name in keyed), None)
        if key is None:
            cell = ", ".join(f"{axis} {name}" for axis, name in where.items())
            raise UserError(f"{source}: nothing for {cell} (given: {', '.join(keyed)})")
        value = keyed[key]
    return value


def _each_looked_up(
    given: Mapping[str, Any], where: Mapping[str, str], source: str
) -> dict[str, Any]:
    return {name: _looked_up(value, where, f"{source}.{name}") for name, value in given.items()}


def _known(source: str, what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise UserError(
            f"{source}: unknown {what} {name!r} (known: {', '.join(sorted(known)) or 'none'})"
        )


def _checked(
    source: str | Path, function: Callable[..., Each], *arguments: Any, **named: Any
) -> Each:
    """Call `function`; let its UserError say where the value stands."""
    try:
        return function(*arguments, **named)
    except UserError as mistake:
        raise UserError(f"{source}: {mistake}") from None
