"""Which results an experiment asks for, and where each lies.

A path, below the study's root, is an identity. Experiments that ask for the same run name the same path, so it is computed
once; what a job needs to know is read back from its wildcards.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import medcoreset.methods as methods
from medcoreset import identity
from medcoreset.errors import UserError
from medcoreset.figures import FIGURES, KINDS
from medcoreset.identity import Surrogate, digest
from medcoreset.methods import variants
from medcoreset.plan import FULL, NO_SURROGATE, Place, Run
from medcoreset.producers import PRODUCERS
from medcoreset.seeding import parse_seeds
from medcoreset.study.configuration import Experiment, Study, published_rows

DATASET = "data/{dataset}.npz"
DECODED = "data/{dataset}/index.npz"
SURROGATE = "surrogates/{dataset}/{protocol}/{surrogate}"
EVIDENCE = "evidence/{dataset}/{protocol}/{surrogate}/{variant}"
SCORES = "scores/{dataset}/{protocol}/{surrogate}/{variant}.npz"
WINDOWS = "windows/{dataset}/{protocol}/{surrogate}.npz"
CORESETS = "coresets/{dataset}/{protocol}/{surrogate}/{variant}/{rate}{balance}/{seeds}"
RUN = "runs/{dataset}/{protocol}/{surrogate}/{variant}/{rate}{balance}/{network}/{seeds}{trainings}"
EXPERIMENT = "experiments/{experiment}"
PLAN = EXPERIMENT + "/plan.{digest}.json"
PRINTED = "published/{experiment}"
"""A table as its paper prints it."""
CLAIMS = "published"
"""What the papers claim, judged without a run."""
SPEED = "speeds/{network}/{channels}x{image_size}/{precision}.json"

SURROGATE_FILES = ("evidence", "metrics.json", "model.pt")

Cell = tuple[str, str, Run]
"""A part of a number of a table: its column, its row, and a run that it is of."""

LONGEST_SEEDS = 60
"""Characters of seeds in a path."""


class Selected(Protocol):
    """What a coreset is selected by: a part of a `Run`, or of the wildcards of a job."""

    @property
    def surrogate(self) -> str:
        """The surrogate, or `NO_SURROGATE`."""

    @property
    def variant(self) -> str:
        """The method with its options."""

    @property
    def balance(self) -> str:
        """As `Run.balance`."""


def path(study: Study, pattern: str, of: Place) -> str:
    """Return where a result lies: one of the patterns above, below the study's root."""
    parts = dict(vars(of))
    if isinstance(of, Run):
        parts |= {"rate": identity.text(of.rate), "seeds": format_seeds(of.seeds)}
        parts["trainings"] = f"+trainings={of.trainings}" if of.trainings > 1 else ""
    return study.path(pattern).format(**parts)


def format_seeds(seeds: Sequence[int]) -> str:
    """Return seeds as a path component, `0-4,7,9-11`; of many, their number and a digest.

    A file's name has at most 255 bytes.
    """
    ordered = sorted(seeds)
    ends = [[seed, seed] for seed in ordered[:1]]
    for seed in ordered[1:]:
        if seed == ends[-1][1] + 1:
            ends[-1][1] = seed
        else:
            ends.append([seed, seed])
    text = ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in ends)
    if len(text) <= LONGEST_SEEDS:
        return text
    return f"{len(ordered)}x{digest(ordered)[:16]}"


def seeds_of(study: Study, text: str) -> list[int]:
    """Return the seeds that `format_seeds` wrote; those of a digest are an experiment's."""
    if "x" not in text:
        return parse_seeds(text)
    for experiment in study.experiments.sound().values():
        if format_seeds(experiment["seeds"]) == text:
            return sorted(experiment["seeds"])
    raise UserError(f"no experiment has the seeds {text}")


def cells(study: Study, experiment: Experiment) -> Iterator[Cell]:
    """Yield what every number of an experiment is of: one run per candidate and surrogate's seed."""
    for dataset in experiment["datasets"]:
        for column in experiment["protocols"]:
            protocol, _ = study.split_protocol(column)
            for network in experiment["networks"]:
                if experiment["full"]:
                    seeds = experiment.seeds_with(NO_SURROGATE)
                    place = (dataset, protocol.name, NO_SURROGATE)
                    run = Run(*place, FULL, 1.0, network, seeds, trainings=1, balance="")
                    yield column, FULL, run
                for key in experiment["methods"]:
                    for surrogate in study.surrogates_of(experiment, key, protocol) or [
                        NO_SURROGATE
                    ]:
                        for rate in experiment["rates"]:
                            for options in study.options(
                                experiment, key, dataset, protocol.name, rate
                            ):
                                run = Run(
                                    dataset,
                                    protocol.name,
                                    surrogate,
                                    variants.format(study.method_of(experiment, key), options),
                                    float(rate),
                                    network,
                                    experiment.seeds_with(surrogate),
                                    experiment["trainings"],
                                    study.own_balance(experiment, key, protocol),
                                )
                                yield column, key, run


def runs(study: Study, experiment: Experiment) -> list[Run]:
    """Return the distinct runs of an experiment, in the order of its table."""
    return list(dict.fromkeys(run for _, _, run in cells(study, experiment)))


def has_coresets(variant: str) -> bool:
    """Whether coresets are selected before the training, so that the other samples can be deleted."""
    if variant == FULL:
        return False
    name, options = variants.parse(variant)
    return not methods.get(name).selects_anew(options)


def has_scores(run: Selected) -> bool:
    """Whether the run's method gives every sample a score."""
    return run.variant != FULL and methods.get(variants.parse(run.variant)[0]).ranks


def shown(experiment: Experiment, place: Place) -> bool:
    """Whether figures show what was made of a surrogate: the first seed stands for all."""
    return place.surrogate_seed == experiment.surrogate_seeds[0]


def surrogates(study: Study, experiment: Experiment) -> list[Place]:
    """Return the surrogates of an experiment; a figure may be drawn of them alone."""
    return [
        Place(dataset, protocol, surrogate)
        for dataset in experiment["datasets"]
        for protocol in _recipes(study, experiment)
        for surrogate in experiment.surrogates(study.protocols[protocol])
    ]


def every_surrogate(study: Study, experiment: Experiment) -> list[Place]:
    """Return the surrogates that are trained for an experiment: its rows select by them, or its figures show them."""
    drawn = {part for figure in experiment["figures"] for part in FIGURES[figure]}
    first = filter(partial(shown, experiment), surrogates(study, experiment))
    found = dict.fromkeys(first if drawn & {"sources", "windows"} else ())
    for run in runs(study, experiment):
        if run.surrogate != NO_SURROGATE:
            names = averaged(run.variant, run.surrogate)
            # What selects while it trains looks at nothing but the evidence that is made of these.
            names += [run.surrogate] if has_coresets(run.variant) else []
            found |= dict.fromkeys(Place(run.dataset, run.protocol, name) for name in names)
    return list(found)


def averaged(variant: str, surrogate: str) -> list[str]:
    """Return the surrogates that a method's own evidence is computed from.

    GraNd averages over several, which differ in their seeds alone; losses of what a model did not see are
    of two, trained on a half each. Those that a method asks for at a checkpoint are trained until there.
    """
    name, options = variants.parse(variant)
    method = methods.get(name)
    counts = method.of_unit("surrogates", options).values()
    array = computed(variant)
    halves = bool(array) and PRODUCERS[array].halves
    if not (counts or halves):
        return [surrogate]
    until = method.of_unit("checkpoint", options).values()
    first = replace(Surrogate.parse(surrogate), until=max(until, default=None))
    return [each.name for each in (first.halves() if halves else first.beside(max(counts)))]


def computed(variant: str) -> str:
    """Return the array that a method needs computed after the surrogate's training, or ''."""
    name, options = variants.parse(variant)
    needed = methods.get(name).needed(options)
    return next((array for array in needed if array in PRODUCERS), "")


def production(variant: str) -> dict[str, Any]:
    """Return the options of the producer of that array."""
    options = variants.parse(variant)[1]
    return {name: options[name] for name in PRODUCERS[computed(variant)].options}


def selected_from(run: Selected, usual: str) -> list[str]:
    """Return what coresets are selected from: the surrogate's `evidence`, `scores`, both, or labels alone.

    `usual` is the balance of the protocol.
    """
    if run.surrogate == NO_SURROGATE:
        return []
    if methods.get(variants.parse(run.variant)[0]).select is not None:
        return ["evidence"]  # with the scores of it, which take seconds, if it uses any
    return ["evidence", "scores"] if balance(run, usual) == "drop" else ["scores"]


def balance(run: Selected, usual: str) -> str:
    """Return whether a coreset's budget is one for all or one per class, as is `usual` if it is silent."""
    return identity.split(run.balance, "balance")[1].get("balance", usual)


def trainings(run: Any) -> int:
    """Return how many networks are trained on each coreset of the wildcards of a job."""
    return int(identity.split(run.trainings, "trainings")[1].get("trainings", 1))


def decoded(study: Study, dataset: str) -> list[str]:
    """Return the index of a dataset's decoded images, by which they are known to be whole, if any."""
    return [study.path(DECODED).format(dataset=dataset)] if study.is_decoded(dataset) else []


def outputs(study: Study, experiment: Experiment) -> set[str]:
    """Return one output of every job that an experiment needs."""
    place_of = {"experiment": experiment.name}
    datasets = {*experiment["datasets"], *map(study.clean, experiment["datasets"])}
    found = {study.path(DATASET).format(dataset=name) for name in datasets}
    found |= {path for name in experiment["datasets"] for path in decoded(study, name)}
    found |= {path(study, SURROGATE, place) for place in every_surrogate(study, experiment)}
    found.add(study.path(PLAN).format(**place_of, digest=""))
    for run in runs(study, experiment):
        patterns = [RUN]
        if has_coresets(run.variant):
            patterns.append(CORESETS)
        if run.surrogate != NO_SURROGATE:
            patterns += [SCORES] if has_scores(run) else []
            patterns += [EVIDENCE] if computed(run.variant) else []
        found |= {path(study, pattern, run) for pattern in patterns}
    for figure in experiment["figures"]:
        if "windows" in FIGURES[figure]:
            places = filter(partial(shown, experiment), surrogates(study, experiment))
            found |= {path(study, WINDOWS, place) for place in places}
    made = artefacts(study, experiment)
    return found | {file for file in made if file.endswith(("/table.csv", ".svg"))}


def speed(network: str, channels: int, image_size: int, precision: str) -> str:
    """Return the place of what was measured of a network, below a rehearsal's root."""
    return SPEED.format(
        network=network, channels=channels, image_size=image_size, precision=precision
    )


def table(study: Study, experiment: str) -> str:
    """Return the path of an experiment's table."""
    return study.path(EXPERIMENT).format(experiment=experiment) + "/table.csv"


def seeds(study: Study, experiment: str) -> str:
    """Return the path of the single runs that an experiment's table summarises."""
    return study.path(EXPERIMENT).format(experiment=experiment) + "/seeds.csv"


def artefacts(study: Study, experiment: Experiment) -> list[str]:
    """Return the files that an experiment's target makes."""
    folder = study.path(EXPERIMENT).format(experiment=experiment.name)
    tables = [f"{folder}/table.{suffix}" for suffix in TABLE if experiment.has_table]
    tables += [seeds(study, experiment.name)] if tables else []
    figures = [
        f"{folder}/{figure}.{suffix}"
        for figure in experiment["figures"]
        for suffix in ("svg", "pdf", "png", *numbers_of(figure))
    ]
    return tables + figures


TABLE = ("csv", "md", "html", "tex")
"""The forms of a table."""
VERDICTS = ("csv", "md", "html")
"""The forms of the verdicts on claims."""


OF_MEANS = [name for name, kind in KINDS.items() if kind.of_means]
"""Figures that can be drawn of a table as a paper prints it."""


def printed(study: Study, tables: Sequence[str]) -> list[str]:
    """Return the files that are made of published numbers alone: tables, figures and verdicts.

    A table of several selection rates has the figures of the experiments that show it and no other, if they can be
    drawn of means.
    """
    experiments = study.experiments.sound().values()
    found = [f"{study.path(CLAIMS)}/claims.{suffix}" for suffix in VERDICTS]
    for table in tables:
        folder = study.path(PRINTED).format(experiment=table)
        found += [f"{folder}/table.{suffix}" for suffix in TABLE]
        figures = {
            figure
            for experiment in experiments
            if experiment["published"] == [table] and _rates(table) > 1
            for figure in experiment["figures"]
            if figure in OF_MEANS
        }
        found += [
            f"{folder}/{figure}.{suffix}"
            for figure in sorted(figures)
            for suffix in ("svg", "pdf", "png")
        ]
    return found


def _rates(table: str) -> int:
    """Return how many selection rates, below all of the data, a published table has."""
    return len({rate for row in published_rows([table]) if (rate := float(row["rate"])) < 1})


def numbers_of(figure: str) -> tuple[str, ...]:
    """Return the suffix of the file of a figure's own numbers, if it has such."""
    return ("csv",) if "numbers" in FIGURES[figure] else ()


def evidence_of(study: Study, place: Place) -> str:
    """Return the folder of a surrogate's training dynamics."""
    return path(study, SURROGATE, place) + "/evidence"


def metrics_of(study: Study, run: Run) -> str:
    """Return the metrics file of a run."""
    return path(study, RUN, run) + "/metrics.json"


def metrics(study: Study, experiment: Experiment) -> list[str]:
    """Return the metrics files that an experiment's table is made of."""
    return [metrics_of(study, run) for run in runs(study, experiment)]


def figure_inputs(study: Study, experiment: Experiment, figure: str) -> list[str]:
    """Return the files that a figure is drawn from, besides the plan."""
    needs = FIGURES[figure]
    wanted: list[str] = []
    for place in filter(partial(shown, experiment), surrogates(study, experiment)):
        if "sources" in needs:
            wanted += [path(study, DATASET, place), *decoded(study, place.dataset)]
            wanted.append(evidence_of(study, place))
        if "windows" in needs:
            wanted.append(path(study, WINDOWS, place))
    for run in runs(study, experiment):
        shows = "rankings" in needs or ("scores" in needs and shown(experiment, run))
        if shows and has_scores(run) and run.surrogate != NO_SURROGATE:
            wanted.append(path(study, SCORES, run))
        if "rankings" in needs:
            wanted.append(path(study, DATASET, run))
        if "runs" in needs:
            coresets = [path(study, CORESETS, run)] if has_coresets(run.variant) else []
            wanted += [metrics_of(study, run), *coresets]
    if "table" in needs:
        wanted += [table(study, experiment.name), seeds(study, experiment.name)]
    return list(dict.fromkeys(wanted))


def _recipes(study: Study, experiment: Experiment) -> list[str]:
    names = (study.split_protocol(column)[0].name for column in experiment["protocols"])
    return list(dict.fromkeys(names))
