"""A study in small: the same rows, figures and rules, on stand-ins, in minutes.

What is made smaller is said here and nowhere else: rates and seeds, epochs and what is counted in
them, networks, and the numbers of surrogates that a method averages over. All else of a study is
read, checked and planned as it stands, so that whatever would end it after its trainings ends its
rehearsal.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

import medcoreset.methods as methods
from medcoreset import networks
from medcoreset.datasets import catalog, conditions
from medcoreset.errors import UserError
from medcoreset.methods.registry import RESELECT
from medcoreset.options import Unit
from medcoreset.selection.budget import Rounding
from medcoreset.study.configuration import (
    Experiment,
    Named,
    Protocol,
    Study,
    listed,
    surrogate_epochs,
)
from medcoreset.training.options import TrainingOptions

EPOCHS = 12
"""Epochs of a training, unless the study has fewer."""
SEEDS = 2
TRAININGS = 2
SURROGATES = 2
"""Surrogates that a method averages over, where it averages over several."""
ITERATIONS = 50
"""Optimiser steps of a training whose length is given in them."""
EVALUATE_EVERY = 10
"""Iterations between evaluations, so that some come before the last epoch."""
LEAST = 2
"""Epochs of a surrogate, unless the study has fewer: methods look at what changes between epochs."""
WINDOW = 2
"""Epochs of which a variance can be taken: the least that a length of several is made."""
BUDGET = 2
"""Samples that a network can be trained on: what the lowest rate of a stand-in selects, at least."""
OWN_SHARES = (1,) * 10
"""Classes of data of the user's own, which are not read in order to plan."""

TITLE = "Rehearsal, no result"
NOTE = (
    "This is a rehearsal: stand-ins made of handwritten digits in place of the datasets, narrow "
    "networks, few epochs, the lowest and the highest rate, two seeds. Its numbers mean nothing."
)


def of(study: Study) -> "Rehearsal":
    """Return the rehearsal of a study."""
    return Rehearsal(study.config, study.folders, full=study)


@dataclass(frozen=True)
class Rehearsal(Study):
    """A study whose protocols and experiments are smaller than those of `full`, and no others."""

    full: Study = field(kw_only=True)

    root = "rehearsal"
    rehearses = True

    @cached_property
    def protocols(self) -> Named[Protocol]:
        """Protocols by name, with short trainings."""
        return Named(self.full.protocols, self._protocol)

    def _protocol(self, name: str) -> Protocol:
        protocol = self.full.protocols[name]
        # One stand-in at least of each of a thousand classes would be no small coreset.
        rounding: Rounding = "ceil" if protocol.rounding == "nearest" else protocol.rounding
        return replace(
            protocol,
            rounding=rounding,
            training=_shortened(protocol.training),
            surrogate=_shortened(protocol.surrogate),
        )

    @cached_property
    def experiments(self) -> Named[Experiment]:
        """Experiments by name, with two rates, two seeds and narrow networks, checked again."""
        return Named(self.full.experiments, self._experiment)

    def _experiment(self, name: str) -> Experiment:
        smaller = self._smaller(self.full.experiments[name])
        self._check(smaller)
        return smaller

    def options(
        self, experiment: Experiment, key: str, dataset: str, protocol: str, rate: float
    ) -> list[dict[str, Any]]:
        """Return the method's options in one cell of the full study, scaled to fewer epochs."""
        whole = self.full.experiments[experiment.name]
        candidates = self.full.options(whole, key, dataset, protocol, rate)
        method, epochs = self.method_of(experiment, key), self._epochs(whole, key, protocol)
        smaller = [scaled(method, options, *epochs) for options in candidates]
        return [options for i, options in enumerate(smaller) if options not in smaller[:i]]

    def window_grid(self) -> tuple[int, int]:
        """Return length and step of the windows that are scored in pairs, in epochs."""
        return WINDOW, WINDOW

    def _epochs(self, whole: Experiment, key: str, name: str) -> tuple[int, int]:
        """Return the epochs of the shortest training that a row looks at, in full and here."""
        found = []
        for study, experiment in ((self.full, whole), (self, self._smaller(whole))):
            protocol = study.protocols[name]
            surrogates = study.surrogates_of(experiment, key, protocol)
            lengths = [surrogate_epochs(protocol, each) for each in surrogates]
            found.append(min(lengths, default=protocol.training.epochs))
        return found[0], found[1]

    def stand_in_samples(self, dataset: str) -> int:
        """Return how many training images the lowest rate of any experiment needs, also under conditions."""
        needed = [
            self._clean_size(
                name, _samples(min(experiment["rates"]), self.split_protocol(column)[0].rounding)
            )
            for experiment in self.experiments.sound().values()
            for column in experiment["protocols"]
            for name in experiment["datasets"]
            if self.clean(name) == dataset and experiment["rates"]
        ]
        return max(needed, default=1)

    def _clean_size(self, dataset: str, count: int) -> int:
        """Return of how many samples the dataset's conditions leave `count`."""
        identity = catalog.parse(dataset, self.config["datasets"])
        shares = identity.source.class_shares or OWN_SHARES
        return conditions.clean_size(identity.conditions, np.array(shares), count)

    def _smaller(self, experiment: Experiment) -> Experiment:
        content, surrogate = experiment.content, dict(experiment["surrogate"])
        lengths = _lengths(listed(surrogate.get("epochs", [])))
        surrogate["network"] = [networks.narrowest(name) for name in listed(surrogate["network"])]
        if isinstance(surrogate["seeds"], list):
            surrogate["seeds"] = surrogate["seeds"][:SEEDS]
        if "epochs" in surrogate:
            surrogate["epochs"] = [lengths[epochs] for epochs in listed(surrogate["epochs"])]
        rates = content["rates"]
        return replace(
            experiment,
            content=content
            | {
                "title": f"{TITLE}: {content['title']}",
                "notes": [NOTE, *content["notes"]],
                "published": [],
                "surrogate": surrogate,
                "networks": list(dict.fromkeys(map(networks.narrowest, content["networks"]))),
                "methods": {key: _row(row, lengths) for key, row in content["methods"].items()},
                "rates": sorted({min(rates), max(rates)}) if rates else [],
                "seeds": content["seeds"][:SEEDS],
                "trainings": min(content["trainings"], TRAININGS),
            },
        )


def scaled(method: str, options: dict[str, Any], whole: int, short: int) -> dict[str, Any]:
    """Return a method's options for dynamics of `short` epochs in place of `whole`.

    Positions and lengths in epochs become smaller; windows that follow each other without overlap
    still do. So do the numbers of surrogates that are averaged over. Where an option names a ranking
    that looks at more epochs than there are, the default takes its place.
    """
    chosen = methods.get(method)
    declared = chosen.options
    options = options | {
        name: declared[name].default
        for name, other in chosen.others(options).items()
        if not _fits(other, short)
    }
    units: tuple[Unit, ...] = ("epoch", "epochs", "surrogates", "checkpoint")
    of_unit = {unit: chosen.of_unit(unit, options) for unit in units}
    lengths = {
        name: max(_length(value, whole, short), int(declared[name].range.low))
        for name, value in of_unit["epochs"].items()
    }
    if RESELECT.name in lengths:  # before the end, as in full
        lengths[RESELECT.name] = max(1, min(lengths[RESELECT.name], short - 1))
    surrogates = {name: min(value, SURROGATES) for name, value in of_unit["surrogates"].items()}
    # Where no surrogates are asked for, one that is not optional is not used, and stays as it is.
    checkpoints = {
        name: max(1, value * short // max(whole, 1))
        for name, value in of_unit["checkpoint"].items()
        if surrogates or declared[name].optional
    }
    before = max(of_unit["epochs"].values(), default=1)
    after = max(lengths.values(), default=1)
    starts = {
        name: min(1 + (start - 1) * short // max(whole, 1), max(short - after + 1, 1))
        for name, start in of_unit["epoch"].items()
    }
    # From the last window back, each ends before the next, if it did.
    for name, later in reversed(list(pairwise(starts))):
        if options[name] + before <= options[later]:
            starts[name] = min(starts[name], max(starts[later] - after, 1))
            starts[later] = max(starts[later], starts[name] + after)
    return options | lengths | surrogates | checkpoints | starts


def _fits(method: methods.Method, epochs: int) -> bool:
    """Whether dynamics of so many epochs are long enough for a method at its defaults."""
    try:
        method.check_dynamics(epochs, method.defaults())
    except UserError:
        return False
    return True


def _length(epochs: int, whole: int, short: int) -> int:
    return max(min(epochs, WINDOW), round(epochs * short / max(whole, 1)))


def _shortened(options: TrainingOptions) -> TrainingOptions:
    return replace(
        options,
        epochs=min(options.epochs, EPOCHS),
        iterations=min(options.iterations, ITERATIONS),
        evaluate_every=min(options.evaluate_every, EVALUATE_EVERY),
    )


def _row(row: dict[str, Any], lengths: dict[int, int]) -> dict[str, Any]:
    """Return a row of a table with the lengths of its surrogates as they are here."""
    if "surrogate_epochs" not in row:
        return row
    # A length that the experiment does not list is that of its protocol.
    shorter = [lengths.get(each, min(each, EPOCHS)) for each in row["surrogate_epochs"]]
    return row | {"surrogate_epochs": shorter}


def _lengths(every: list[int]) -> dict[int, int]:
    """Return what different lengths of surrogates become: different ones, in the same order."""
    longest, shorter, last = max(every, default=0), {}, -1
    for epochs in sorted(set(every)):
        scaled_down = epochs * min(longest, EPOCHS) // max(longest, 1)
        last = shorter[epochs] = max(last + 1, scaled_down, min(epochs, LEAST))
    return shorter


def _samples(rate: float, rounding: str) -> int:
    """Return the fewest samples of which `rate` is a coreset that can be trained on."""
    if rounding == "ceil":
        return math.floor((BUDGET - 1) / rate) + 1
    return math.ceil(BUDGET / rate) + 1  # one more for what floating point may take away
