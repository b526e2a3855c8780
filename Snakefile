"""medcoreset: from training images to coresets, retrained models, tables and figures.

snakemake --cores all                     the experiment `demo`, on bundled real images
snakemake --cores all eva_table1          one table or figure of a paper
snakemake --cores all eva                 all of EVA's (`deepcore`, `all` likewise)
snakemake --cores all published           the papers' own tables, figures and claims; trains nothing
"""

import logging
import sys
from functools import partial
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


# On a full disk Snakemake cannot write its log; the reason is said without a traceback per line.
logging.raiseExceptions = False


# Also where this is a module of another workflow, whose folder is `workflow.basedir`.
HERE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
for character, meaning in {"{": "a wildcard", ":": "the end of a path"}.items():
    if character in str(HERE):
        sys.exit(f"medcoreset: rename {HERE}: in the name of a folder {character} is {meaning}")


configfile: HERE / "config/config.yaml"


sys.path.insert(0, str(HERE / "workflow"))

from medcoreset import cost, forkserver
from medcoreset.atomic import check_writable
from medcoreset.datasets import catalog
from medcoreset.errors import UserError, say

try:
    # Methods are registered here, and a file of theirs may lack something.
    from medcoreset.study import configuration, forecast, rehearsal, results
    from medcoreset.study.jobs import (
        Jobs,
        command_prefix,
        optional_flags,
        repeated_flag,
        share_gpus,
    )

    study = configuration.load(config)
    if study.config["rehearse"]:
        study = rehearsal.of(study)
    check_writable(study.root, ".snakemake")
except UserError as mistake:
    sys.exit(f"medcoreset: {mistake}")
if workflow.modifier.path_modifier.replace_prefix(study.root) != study.root:
    sys.exit("medcoreset: prefix: a plan names results by their paths; take --directory FOLDER")

jobs = Jobs(study)
shell.prefix(command_prefix())
share_gpus(study.config["jobs_per_gpu"])


wildcard_constraints:
    dataset=r"[^/]+",
    protocol=r"[^/]+",
    surrogate=r"[^/]+",
    variant=r"[^/]+",
    network=r"[^/]+",
    rate=r"[0-9.e-]+",
    balance=r"(?:\+balance=(?:global|class|drop))?",
    seeds=r"[0-9a-fx,-]+",
    trainings=r"(?:\+trainings=[0-9]+)?",
    experiment=r"[^/]+",
    digest=r"[0-9a-f]+",


report: "workflow/report/workflow.rst"


include: "workflow/rules/datasets.smk"
include: "workflow/rules/surrogates.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/coresets.smk"
include: "workflow/rules/retraining.smk"
include: "workflow/rules/artefacts.smk"
include: "workflow/rules/published.smk"
include: "workflow/rules/rehearsal.smk"


# Those of a paper, of both, and with the ones that no group includes.
for group in ("eva", "deepcore", "all", "every"):

    rule:
        name:
            group
        input:
            jobs.target(*study.of_group(group)),


rule published:
    input:
        jobs.published_target,


for name in study.experiments:
    if rules.has(name):
        sys.exit(f"medcoreset: experiment {name}: a rule or a group has that name, choose another")

    rule:
        name:
            name
        default_target: name == "demo"
        input:
            jobs.target(name),


# A second after Snakemake 9 has looked for jobs to start it looks again, to keep its limit of 100 a
# second, and again a second later; every job that ends begins another such series. After a thousand
# jobs it would do little else (snakemake/snakemake#3744). Jobs on this machine need no such limit.
onstart:
    for name, mistake in study.experiments.mistakes().items():
        say(f"{name} is left out: {mistake}")
    if workflow.local_exec:
        forkserver.start()
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    names = study.named(workflow.dag_settings.targets)
    if study.rehearses and names:
        text = forecast.report(study, names)
        Path(study.path("forecast.txt")).write_text(f"{text}\n", encoding="utf-8")
        sys.stdout.reconfigure(errors="replace")
        print(text)
