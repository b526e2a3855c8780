"""What a method is, and the six decorators that register one.

- `@ranking`: `score(evidence, *, options) -> scores (N,)`; the best-ranked are kept.
- `@picking`: `pick(scores, count, rng, *, options) -> positions or Picks`; gives scores, mostly
  those of another method, and chooses by them in its own way.
- `@selecting`: `select(evidence, count, rng, *, options) -> indices or Picks`; needs no ranking, or
  is given one: `select(evidence, scores, count, rng, *, options)`.
- `@redrawing`: `select(evidence, count, epoch, streams, *, options) -> indices`; is asked again in
  every epoch of a training, which so has to store the whole training set.
- `@pruning`: `prune(losses (N,), share, rng, *, options) -> Picks`; likewise, but of as many samples
  as it likes. It selects no coreset.
- `@prioritizing`: `prioritize(losses (n,), about, *, options) -> priorities (n,)`; is asked in every step
  of a training which of more samples to train on. It selects no coreset either.

No one that selects deals with class balance, ties, preselected samples or budgets: the driver in
`selection/select.py` does, for all.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence.arrays import ARRAYS, OUTPUTS, follows, of_classes
from medcoreset.options import Option, Range, Unit, options_of, parse_all, taken_by
from medcoreset.producers.registry import PRODUCERS

Balance = Literal["global", "class", "drop"]
Keep = Literal["highest", "lowest"]
Needs = tuple[str, ...] | Callable[..., tuple[str, ...]]
Streams = Callable[[int], np.random.Generator]
"""Random streams by number, each the same whenever it is asked for."""

RESELECT = Option(
    "reselect",
    int,
    None,
    range=Range(1, unit="epochs"),
    optional=True,
    help="epochs of a training after which, again and again, it selects by the network as it is then; "
    "none: a coreset, before",
)
"""The option of every method that looks at one network as it is, and at nothing of its training."""


class Picks(NamedTuple):
    """What a method picks: indices (M,) in picking order, weights (M,) or None, and a warning, if any."""

    indices: np.ndarray
    weights: np.ndarray | None = None
    warning: str = ""


class Registered(Sequence[str]):
    """The names of the registered methods that `fit`, sorted: what an option may be that names one.

    They are looked up whenever they are asked for, since the files of methods are read in any order.
    """

    def __init__(self, fit: Callable[["Method"], bool]) -> None:
        self._fit = fit

    def __getitem__(self, place: Any) -> Any:
        """Return the name in that place."""
        return self._names()[place]

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self._names())

    def _names(self) -> list[str]:
        return sorted(name for name, method in METHODS.items() if self._fit(method))


@dataclass(frozen=True)
class Method:
    """A registered method: `score` alone or with `pick` or `select`; `select`, `prune` or `prioritize` alone.

    `needs` names the arrays of evidence, or is a function of the options that returns their names. Those
    of another method that an option names, used at its defaults, need not be said again.
    `options` are the parameters of its functions, by name `scored_with` (of `score`) and `picked_with`
    (of `pick`, `select`, `prune` or `prioritize`), and those of the producers of the arrays; a parameter without a
    default is an option of a producer, which declares it.
    `weighted` says whether it gives weights, `drawn` whether its picks are drawn at random, so that
    the order of the samples and the seed decide more than ties and the first pick; `together` whether it
    selects from all classes at once, so that its `select` is given the budgets (C,) for a count where
    the budget is per class. `dynamic` says whether it selects anew in every epoch or step of a training, so
    that there is no coreset to store; what it selects by itself, if it selects, is the first
    epoch's. `keep` says which
    end of the scores is kept first (None: `pick` decides), unless the option of that name, which
    every ranking method has, says otherwise. `departs` says where well-known public code computes
    something else. `check_epochs(epochs, **options)` raises a UserError when the training dynamics are
    too short for the options; without it no option whose unit is `epoch` or `epochs` may be larger.
    """

    name: str
    label: str
    summary: str
    reference: str
    cost: str
    needs: Needs
    options: dict[str, Option]
    source: Path
    scored_with: frozenset[str] = frozenset()
    picked_with: frozenset[str] = frozenset()
    balance: Balance = "global"
    weighted: bool = False
    drawn: bool = False
    together: bool = False
    dynamic: bool = False
    departs: str = ""
    score: Callable[..., np.ndarray] | None = None
    keep: Keep | None = None
    pick: Callable[..., np.ndarray] | None = None
    select: Callable[..., Picks | np.ndarray] | None = None
    prune: Callable[..., Picks] | None = None
    prioritize: Callable[..., Any] | None = None
    check_epochs: Callable[..., None] | None = None

    @property
    def selects(self) -> bool:
        """Whether the method selects coresets."""
        return self.prune is None and self.prioritize is None

    def selects_anew(self, options: Mapping[str, Any]) -> bool:
        """Whether it selects while a network trains, with these options, so that there is no coreset."""
        return self.dynamic or options.get(RESELECT.name) is not None

    @property
    def ranks(self) -> bool:
        """Whether the method gives every sample a score."""
        return self.score is not None

    @property
    def uses_surrogate(self) -> bool:
        """Whether the method looks at anything that a model made."""
        return any(need != "labels" for need in self.needed())

    def needed(self, options: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """Return the names of the arrays that the method needs with these options."""
        options = self.defaults() | dict(options or {})
        needs = self.needs(**self.passed(options)) if callable(self.needs) else self.needs
        others = [other.needed() for other in self.others(options).values()]
        return tuple(dict.fromkeys(array for arrays in (needs, *others) for array in arrays))

    def check_labels(self, options: Mapping[str, Any]) -> None:
        """Raise a UserError if the method, with these options, is not defined for several labels per sample.

        It is unless it looks at classes: at the label as one, or at probabilities that add up to 1.
        """
        if seen := [name for name in self.needed(options) if of_classes(name)]:
            raise UserError(
                f"{self.name} looks at classes ({seen[0]}), and there are several labels per sample"
            )

    def others(self, options: Mapping[str, Any]) -> dict[str, "Method"]:
        """Return the methods that options name, each by the name of its option."""
        return {
            name: get(options[name])
            for name, option in self.options.items()
            if isinstance(option.choices, Registered)
        }

    def check_dynamics(self, epochs: int, options: Mapping[str, Any]) -> None:
        """Raise a UserError if training dynamics of so many epochs are too short for the options."""
        if self.check_epochs:
            self.check_epochs(epochs, **self.passed(options))
        else:
            for name, value in (
                self.of_unit("epoch", options) | self.of_unit("epochs", options)
            ).items():
                if value > epochs:
                    raise UserError(
                        f"{self.name}: {name} is {value}, but the training dynamics have {epochs} epochs"
                    )
        for name, other in self.others(options).items():
            try:
                other.check_dynamics(epochs, other.defaults())
            except UserError as lack:
                raise UserError(f"{self.name}: {name}={other.name}: {lack}") from None

    def defaults(self) -> dict[str, Any]:
        """Return the default of every option."""
        return _defaults(self.options)

    def parse_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options, those in `given` parsed and the others at their defaults.

        Raises UserError for an unknown option or a value that is not allowed, and for `reselect` where
        a network that is still trained does not give what the method looks at.
        """
        asked = given.get(RESELECT.name) not in (None, "none")
        if asked and RESELECT.name not in self.options:
            raise UserError(f"{self.name}: reselect is of no use: it {self._never_reselects()}")
        options = parse_all(self.name, self.options, given)
        if asked and (others := _beyond_outputs(self.needed(options))):
            raise UserError(f"{self.name}: reselect is of no use: it looks at {others[0]}")
        return options

    def _never_reselects(self) -> str:
        if self.dynamic:
            return "selects while a network trains as it is"
        if not self.uses_surrogate:
            return "looks at no network"
        others = _beyond_outputs(self.needed()) or ["what the methods that it names look at"]
        return f"looks at {others[0]}, which a network that is still trained does not give"

    @property
    def score_options(self) -> frozenset[str]:
        """Return the names of the options that the scores depend on, if there are scores."""
        others = self.picked_with - self.scored_with
        return frozenset(self.options) - {"keep", RESELECT.name} - others

    def scoring(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the options that the scores depend on."""
        return {name: value for name, value in options.items() if name in self.score_options}

    def picking(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the options that `pick`, `select`, `prune` or `prioritize` takes."""
        return {name: value for name, value in options.items() if name in self.picked_with}

    def of_unit(self, unit: Unit, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the options that are in that unit and have a value."""
        return {
            name: value
            for name, value in options.items()
            if self.options[name].range.unit == unit and value is not None
        }

    def passed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the options that any of the method's functions takes."""
        taken = self.scored_with | self.picked_with
        return {name: value for name, value in options.items() if name in taken}


METHODS: dict[str, Method] = {}


def get(name: str) -> Method:
    """Return the method of that name; a UserError lists the names if there is none."""
    if name not in METHODS:
        raise UserError(f"unknown method {name!r} (known: {', '.join(sorted(METHODS))})")
    return METHODS[name]


def ranking(
    name: str, *, keep: Keep, needs: Needs, reference: str, cost: str, **about: Any
) -> Callable[[Callable[..., np.ndarray]], Callable[..., np.ndarray]]:
    """Register `score(evidence, *, options) -> (N,) float64`, of which one end is kept first."""

    def decorate(score: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        fields = {"needs": needs, "reference": reference, "cost": cost, **about}
        _register(name, score, score=score, keep=keep, **fields)
        return score

    return decorate


def picking(
    name: str, *, scores_of: Callable[..., np.ndarray], reference: str, cost: str, **about: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register `pick(scores (n,), count, rng, *, options) -> positions (count,) or Picks`.

    `scores_of(evidence, *, options) -> (N,) float64` gives the scores, and its options are the
    method's too. If it is a ranking method, it is used with its default options, and its needs need
    not be said again.
    """

    def decorate(pick: Callable[..., Any]) -> Callable[..., Any]:
        fields = {"reference": reference, "cost": cost, **about}
        for base in METHODS.values():
            if base.keep and base.score is scores_of:
                fields.setdefault("needs", base.needed())
        fields.setdefault("needs", ())
        _register(name, pick, score=scores_of, pick=pick, **fields)
        return pick

    return decorate


def selecting(
    name: str,
    *,
    needs: Needs,
    reference: str,
    cost: str,
    scores_of: Callable[..., np.ndarray] | None = None,
    **about: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register `select(evidence, count, rng, *, options) -> indices (count,) or Picks`.

    The indices are distinct, in the order of picking, and begin with `evidence.preselected`. With
    `scores_of`, as in `picking`, it is `select(evidence, scores (n,), count, rng, *, options)`: the
    scores are of all samples, those of `evidence` are given.
    """

    def decorate(select: Callable[..., Any]) -> Callable[..., Any]:
        fields = {"needs": needs, "reference": reference, "cost": cost, **about}
        _register(name, select, score=scores_of, select=select, **fields)
        return select

    return decorate


def redrawing(
    name: str, *, reference: str, cost: str, **about: Any
) -> Callable[[Callable[..., np.ndarray]], Callable[..., np.ndarray]]:
    """Register `select(evidence, count, epoch, streams, *, options) -> indices (count,)`.

    It is called for every 0-based `epoch` of a training, in any order and more than once, and so
    draws from `streams` alone. The indices are as those of `selecting`; the evidence is of labels
    alone, for no model is trained before.
    """

    def decorate(select: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        fields = {"reference": reference, "cost": cost, **about}
        _register(name, select, select=select, needs=(), drawn=True, dynamic=True, **fields)
        return select

    return decorate


def pruning(
    name: str, *, reference: str, cost: str, **about: Any
) -> Callable[[Callable[..., Picks]], Callable[..., Picks]]:
    """Register `prune(losses (N,), share, rng, *, options) -> Picks`.

    It is called before every epoch of a training of which `share` is done, with the losses that the
    samples had when they were last trained on, 0 before. It picks any number of samples,
    and their weights, which the loss is multiplied by.
    """

    def decorate(prune: Callable[..., Picks]) -> Callable[..., Picks]:
        fields = {"reference": reference, "cost": cost, **about}
        needs = {"needs": (), "drawn": True, "dynamic": True, "weighted": True}
        _register(name, prune, prune=prune, **needs, **fields)
        return prune

    return decorate


def prioritizing(
    name: str, *, needs: tuple[str, ...], reference: str, cost: str, **about: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register `prioritize(losses, about, *, options) -> priorities`, of torch tensors (n,).

    It is called before every step of a training, with the losses that n samples have by then, in training
    mode, and with the arrays (n, …) that the method `needs` about them, by name. The step is on those
    of highest priority.
    """

    def decorate(prioritize: Callable[..., Any]) -> Callable[..., Any]:
        fields = {"needs": needs, "reference": reference, "cost": cost, **about}
        _register(name, prioritize, prioritize=prioritize, drawn=True, dynamic=True, **fields)
        return prioritize

    return decorate


def _register(name: str, function: Callable[..., Any], **fields: Any) -> None:
    """Register a method; a UserError of one line names its file and what is wrong in it."""
    source = Path(inspect.getfile(function))
    try:
        METHODS[name] = _method(name, function, source, **fields)
    except (TypeError, ValueError) as mistake:
        raise UserError(f"{source}: method {name}: {mistake}") from None


def _method(name: str, function: Callable[..., Any], source: Path, **fields: Any) -> Method:
    if name in METHODS:
        raise ValueError(f"{METHODS[name].source} has one of that name")
    document = inspect.getdoc(function)
    if not document:
        raise ValueError(
            f"{function.__name__} has no docstring, whose first line says what the method does"
        )
    score = fields.get("score")
    # A ranking method is used as it is.
    own_scores = (
        score if score not in [base.score for base in METHODS.values() if base.keep] else None
    )
    options = (options_of(own_scores) if own_scores else {}) | options_of(function)
    needs = fields["needs"]
    arrays = needs(**_defaults(options)) if callable(needs) else needs
    for array in arrays:
        if array not in ARRAYS:
            raise ValueError(f"needs {array!r}, no evidence (known: {', '.join(ARRAYS)})")
        if array in PRODUCERS:
            options |= PRODUCERS[array].asked
    if _looks_at_one_network(arrays, options) and not fields.get("dynamic"):
        options.setdefault(RESELECT.name, RESELECT)
    if keep := fields.get("keep"):
        options["keep"] = Option("keep", str, keep, get_args(Keep), help="the scores kept first")
    scored_with = taken_by(own_scores) if own_scores else frozenset()
    picked_with = frozenset() if function is score else taken_by(function)
    if undeclared := (scored_with | picked_with) - set(options):
        raise ValueError(f"option {', '.join(sorted(undeclared))} has no default")
    return Method(
        name=name,
        label=fields.pop("label", name),
        summary=document.partition("\n")[0],
        options=options,
        scored_with=scored_with,
        picked_with=picked_with,
        source=source,
        **fields,
    )


def _beyond_outputs(arrays: Sequence[str]) -> list[str]:
    """Return those of the arrays that one network as it is does not give."""
    return [name for name in arrays if name in PRODUCERS or not follows(name, OUTPUTS)]


def _looks_at_one_network(arrays: Sequence[str], options: Mapping[str, Option]) -> bool:
    """Whether a method looks at what one network gives, and at what no other method looks at."""
    names_others = any(isinstance(option.choices, Registered) for option in options.values())
    looks = set(arrays) - {"labels"}
    return bool(looks) and not names_others and not _beyond_outputs(arrays)


def _defaults(options: Mapping[str, Option]) -> dict[str, Any]:
    return {name: option.default for name, option in options.items()}
