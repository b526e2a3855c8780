"""The plan of an experiment: rows, columns and files, and the recipe that each file has."""

from collections.abc import Iterable, Iterator
from functools import partial

from medcoreset.datasets import catalog
from medcoreset.figures import FIGURES
from medcoreset.plan import FULL, NO_SURROGATE, Dataset, Part, Plan, Reported, Run, Scores
from medcoreset.study import results
from medcoreset.study.configuration import Experiment
from medcoreset.study.recipes import Recipes


def of(recipes: Recipes, experiment: Experiment) -> Plan:
    """Return the plan that an experiment's table and figures are made from."""
    study = recipes.study
    cells = list(results.cells(study, experiment))
    shown = partial(results.shown, experiment)
    places = list(filter(shown, results.surrogates(study, experiment)))
    scored = [cell for cell in cells if shown(cell[2])]
    # Of no other file is a change a change of the plan.
    needs = {part for figure in experiment["figures"] for part in FIGURES[figure]}
    labels = {key: study.label(experiment, key) for key in experiment["methods"]}
    dynamic = [key for key in labels if study.selects_anew(experiment, key)]
    coresets = {key: label for key, label in labels.items() if key not in dynamic}
    full = {FULL: "Full"} if experiment["full"] else {}
    return Plan(
        name=experiment.name,
        rehearsal=study.rehearses,
        title=experiment["title"],
        published=tuple(experiment["published"]),
        published_as=experiment["published_as"],
        tolerance=experiment["tolerance"],
        reference=experiment["reference"],
        notes=tuple(experiment["notes"]),
        methods=coresets | full | {key: labels[key] for key in dynamic},
        dynamic=tuple(dynamic),
        datasets={name: _dataset(recipes, name) for name in experiment["datasets"]},
        columns={column: study.split_protocol(column)[1] for column in experiment["protocols"]},
        networks=tuple(experiment["networks"]),
        rates=tuple(map(float, experiment["rates"])),
        runs=tuple(_reported(recipes, *cell) for cell in cells),
        sources=tuple(
            Part(
                **vars(place),
                path=results.evidence_of(study, place),
                recipe=recipes.surrogate(place).own,
            )
            for place in places
            if "sources" in needs
        ),
        scores=tuple(dict.fromkeys(_scores(recipes, scored) if "scores" in needs else ())),
        rankings=tuple(dict.fromkeys(_scores(recipes, cells) if "rankings" in needs else ())),
        windows=tuple(
            Part(
                **vars(place),
                path=results.path(study, results.WINDOWS, place),
                recipe=recipes.windows(place).own,
            )
            for place in places
            if "windows" in needs
        ),
    )


def _dataset(recipes: Recipes, name: str) -> Dataset:
    study = recipes.study
    return Dataset(
        key=name,
        label=catalog.label(catalog.parse(name, study.config["datasets"])),
        path=study.path(results.DATASET).format(dataset=name),
        recipe=recipes.dataset(name).own,
    )


def _reported(recipes: Recipes, column: str, row: str, run: Run) -> Reported:
    study = recipes.study
    return Reported(
        **vars(run),
        column=column,
        method=row,
        metrics=results.metrics_of(study, run),
        coresets=results.path(study, results.CORESETS, run)
        if results.has_coresets(run.variant)
        else "",
        recipe=recipes.run(run).own,
    )


def _scores(recipes: Recipes, cells: Iterable[results.Cell]) -> Iterator[Scores]:
    """Yield the scores that runs are selected by, for each column, rate and network again."""
    for _, row, run in cells:
        if run.surrogate != NO_SURROGATE and results.has_scores(run):
            yield Scores(
                dataset=run.dataset,
                protocol=run.protocol,
                surrogate=run.surrogate,
                path=results.path(recipes.study, results.SCORES, run),
                recipe=recipes.scores(run).own,
                method=row,
                variant=run.variant,
            )
