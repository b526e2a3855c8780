"""Stage `claims`: what papers claim, judged on their printed numbers and on an experiment's runs."""

from pathlib import Path
from typing import Any

import click

from medcoreset.commands import flags
from medcoreset.errors import UserError


@click.command("claims", cls=flags.Stage)
@flags.configured
@click.option(
    "--published",
    type=click.Path(),
    multiple=True,
    help="CSV of published numbers; may be repeated.",
)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(),
    help="Plan (JSON) of an experiment: judge the claims whose cells it has, on its runs too.",
)
@click.option("--seeds", "seeds_file", type=click.Path(), help="That experiment's seeds.csv.")
@click.option(
    "--out",
    type=flags.Output(folder=True),
    required=True,
    help="Folder for claims.csv, .md, .html.",
)
def command(
    config: dict[str, Any],
    published: tuple[str, ...],
    plan_file: str | None,
    seeds_file: str | None,
    out: Path,
) -> None:
    """Judge what papers claim."""
    from medcoreset.analysis import aggregate, tables, verdicts
    from medcoreset.analysis import published as papers
    from medcoreset.atomic import replacing
    from medcoreset.plan import Plan
    from medcoreset.study import configuration
    from medcoreset.study.claims import Claims

    if bool(plan_file) != bool(seeds_file):
        raise UserError("--plan and --seeds are given together or not at all")
    study = configuration.load(config)
    claims, plan, seeds = Claims(study), None, None
    chosen, title = claims.every, "What the papers claim"
    sources = {verdicts.PRINTED: "On the printed numbers", verdicts.RUNS: "On our runs"}
    if plan_file and seeds_file:
        plan, seeds = Plan.read(plan_file), aggregate.read_seeds(seeds_file)
        if plan.name not in study.experiments:
            raise UserError(f"{plan_file}: unknown experiment {plan.name!r}")
        chosen = claims.of(study.experiments[plan.name])
        title = f"Claims, judged on {plan.title}"
        del sources[verdicts.RUNS]
        sources |= {
            column: f"On our runs, {column} (rule {rule})" for column, rule in plan.columns.items()
        }
    tables_named = dict.fromkeys(table for claim in chosen for table in claim.tables)
    known = papers.read_published(published, list(tables_named))
    found = verdicts.judged(chosen, known, plan, seeds)
    verdicts.write(found, Path(out, "claims.csv"))
    text = verdicts.markdown(title, found, sources)
    for suffix, content in (("md", text), ("html", tables.page(title, text))):
        with replacing(Path(out, f"claims.{suffix}")) as temporary:
            temporary.write_text(content, encoding="utf-8")
