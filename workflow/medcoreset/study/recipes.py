"""The recipe of every result of a study: one digest of all that decides what is in it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, NamedTuple, Protocol

import medcoreset.methods as methods
from medcoreset import producers
from medcoreset.evidence.arrays import per_epoch
from medcoreset.identity import Surrogate, digest, text
from medcoreset.methods import variants
from medcoreset.plan import FULL, Place
from medcoreset.sources import PACKAGE
from medcoreset.sources import digest as code_of
from medcoreset.study import results
from medcoreset.study.configuration import Study
from medcoreset.study.inputs import CONDITIONS, Inputs
from medcoreset.training.options import as_flags
from medcoreset.training.sources import training_code

SELECTION = PACKAGE / "selection"


Method = Callable[..., Any]


class Named(Protocol):
    """What is identified by the parts of its path: a `Run`, or the wildcards of a job."""

    dataset: str
    protocol: str
    surrogate: str
    variant: str
    rate: float | str
    network: str
    balance: str


class Recipe(NamedTuple):
    """A result's own recipe, and those of its inputs in the order in which its command takes them."""

    own: str
    inputs: tuple[str, ...] = ()

    @property
    def flags(self) -> str:
        """Return what a job is told: what it makes, and what it may make it from."""
        return " ".join([f"--recipe {self.own}", *(f"--expects {each}" for each in self.inputs)])


def _once(*parts: str) -> Callable[[Method], Method]:
    """Let a method of `Recipes` make one recipe per value of these parts of what it is given."""

    def decorate(make: Method) -> Method:
        @wraps(make)
        def made(self: "Recipes", of: Any) -> Recipe:
            key = (make, *(str(getattr(of, part)) for part in parts)) if parts else (make, of)
            if key not in self._made:
                self._made[key] = make(self, of)
            return self._made[key]

        return made

    return decorate


SURROGATE = ("dataset", "protocol", "surrogate")
VARIANT = (*SURROGATE, "variant")
CORESETS = (*VARIANT, "rate", "balance")


@dataclass(frozen=True)
class Recipes:
    """The recipes of a study, each made once. A recipe contains those of what it is made from."""

    study: Study
    _made: dict[tuple[Any, ...], Recipe] = field(default_factory=dict, repr=False, compare=False)

    @property
    def _inputs(self) -> Inputs:
        return Inputs(self.study)

    @_once()
    def dataset(self, name: str) -> Recipe:
        """Return the recipe of a dataset in the canonical form.

        Official files have official checksums, so that it does not count where they are from.
        """
        clean = self.study.clean(name)
        if clean != name:
            code = code_of(CONDITIONS)
            return _recipe("dataset", (self.dataset(clean),), name=name, code=code)
        own = self.study.own(name)
        about = {} if own is None else {key: own[key] for key in sorted(own) if key != "path"}
        if (samples := self.study.stand_in_samples(name)) is not None:
            about["samples"] = samples
        elif own is not None:
            about["contents"] = self._inputs.contents(name)
        if self.study.is_decoded(name):
            about["decoding"] = code_of(PACKAGE / "datasets" / "decoding.py")
        return _recipe("dataset", (), name=name, code=self._inputs.code(name), **about)

    @_once(*SURROGATE)
    def surrogate(self, of: Named) -> Recipe:
        """Return the recipe of a surrogate and of its training dynamics."""
        protocol, surrogate = self.study.protocols[of.protocol], Surrogate.parse(of.surrogate)
        training = self.study.surrogate_training(protocol, of.surrogate)
        return _recipe(
            "surrogate",
            (self.dataset(of.dataset),),
            network=surrogate.network,
            seed=surrogate.seed,
            half=surrogate.half,
            training=as_flags(training, without=("weighted_loss",)),
            code=training_code(surrogate.network),
        )

    @_once(*VARIANT)
    def evidence(self, of: Named) -> Recipe:
        """Return the recipe of the evidence that a method has computed from surrogates."""
        names = results.averaged(of.variant, of.surrogate)
        places = [Place(of.dataset, of.protocol, name) for name in names]
        array = results.computed(of.variant)
        return _recipe(
            "evidence",
            (self.dataset(of.dataset), *map(self.surrogate, places)),
            array=array,
            options=results.production(of.variant),
            code=code_of(producers.get(array).source),
        )

    @_once(*VARIANT)
    def scores(self, of: Named) -> Recipe:
        """Return the recipe of a method's scores."""
        computed = [self.evidence(of)] if results.computed(of.variant) else []
        return _recipe(
            "scores",
            (self.dataset(of.dataset), self.surrogate(of), *computed),
            **self._method(of.protocol, of.variant),
        )

    @_once(*SURROGATE)
    def windows(self, of: Named) -> Recipe:
        """Return the recipe of the scores under every pair of EVA's windows."""
        return _recipe(
            "windows",
            (self.dataset(of.dataset), self.surrogate(of)),
            grid=self.study.window_grid(),
            missing=self.missing(of.protocol, "eva"),
            code=code_of(SELECTION / "windows.py"),
        )

    @_once(*CORESETS)
    def coresets(self, of: Named) -> Recipe:
        """Return the recipe of the coresets of one method variant and rate, whatever the seed."""
        protocol = self.study.protocols[of.protocol]
        recipe_of = {"scores": self.scores, "evidence": self.surrogate}
        sources = results.selected_from(of, protocol.balance)
        return _recipe(
            "coresets",
            (self.dataset(of.dataset), *(recipe_of[source](of) for source in sources)),
            **self._selection(of),
        )

    @_once(*CORESETS, "network")
    def run(self, of: Named) -> Recipe:
        """Return the recipe of the networks trained on coresets, whatever the seed."""
        coresets = [self.coresets(of)] if results.has_coresets(of.variant) else []
        drawn = {} if coresets or of.variant == FULL else self._selection(of)
        evidence = [self.evidence(of)] if drawn and results.computed(of.variant) else []
        training = self.study.protocols[of.protocol].training
        return _recipe(
            "run",
            (self.dataset(of.dataset), *coresets, *evidence),
            network=of.network,
            training=as_flags(training, without=("record",)),
            code=training_code(of.network),
            **({"drawn": drawn} if drawn else {}),
        )

    def missing(self, protocol: str, variant: str) -> str:
        """Return what an epoch that left a sample out counts, for methods that look at epochs."""
        name, options = variants.parse(variant)
        looks = any(map(per_epoch, methods.get(name).needed(options)))
        return self.study.protocols[protocol].missing if looks else ""

    def _selection(self, of: Named) -> dict[str, Any]:
        protocol = self.study.protocols[of.protocol]
        return {
            "rate": text(of.rate),
            "rounding": protocol.rounding,
            "balance": results.balance(of, protocol.balance),
            **self._method(of.protocol, of.variant),
        }

    def _method(self, protocol: str, variant: str) -> dict[str, Any]:
        name, options = variants.parse(variant)
        method = methods.get(name)
        # Those that options name are not among its imports.
        others = (other.source for other in method.others(options).values())
        selects = "redraw.py" if method.selects_anew(options) else "select.py"
        return {
            "method": name,
            "options": options,
            "missing": self.missing(protocol, variant),
            "code": code_of(method.source, *others, SELECTION / selects),
        }


def _recipe(stage: str, inputs: tuple[Recipe, ...], **content: Any) -> Recipe:
    owns = tuple(each.own for each in inputs)
    return Recipe(digest([stage, owns, content]), owns)
