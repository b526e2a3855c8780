"""Tables and figures of an experiment.

On a cluster they are made where Snakemake runs: each takes seconds, less than a submission.

input:  the metrics of its runs; for some figures scores, coresets, dynamics and images
output: results/experiments/EXPERIMENT/: plan.DIGEST.json, table.csv, .md, .html, .tex, seeds.csv, FIGURE.svg, .pdf, .png,
        and .csv of a figure whose numbers are not those of the table; claims.csv, .md, .html of an experiment that has
        the cells of a claim

A plan's file is named by what it holds, and published numbers are compared as a digest: neither how
they are written nor where they lie counts. Snakemake does not compare a parameter that is a function
of the output.
"""


rule plan_experiment:
    output:
        plan=study.path(results.PLAN),
    log:
        study.path("logs/plan_experiment/{experiment}.{digest}.log"),
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=jobs.scaled("draw", "mem_mb"),
        runtime=jobs.scaled("draw", "runtime"),
    params:
        config=lambda wildcards, output: jobs.config_flags(),
    message:
        "Planning {wildcards.experiment}"
    shell:
        "python -m medcoreset plan {wildcards.experiment:q} {params.config}"
        " --out {output.plan:q} > {log:q} 2>&1"


rule make_table:
    input:
        metrics=lambda wildcards: results.metrics(study, study.experiments[wildcards.experiment]),
        plan=lambda wildcards: jobs.plan_file(wildcards.experiment),
    output:
        csv=study.path(f"{results.EXPERIMENT}/table.csv"),
        seeds=study.path(f"{results.EXPERIMENT}/seeds.csv"),
        html=report(
            study.path(f"{results.EXPERIMENT}/table.html"),
            caption="../report/table.rst",
            category="{experiment}",
            labels={"result": "table"},
        ),
        markdown=study.path(f"{results.EXPERIMENT}/table.md"),
        latex=study.path(f"{results.EXPERIMENT}/table.tex"),
    log:
        study.path("logs/make_table/{experiment}.log"),
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=jobs.scaled("draw", "mem_mb"),
        runtime=jobs.scaled("draw", "runtime"),
    params:
        numbers=lambda wildcards: jobs.published_digest(wildcards.experiment),
        published=lambda wildcards, output: jobs.published_flags(),
        out=lambda wildcards, output: Path(output.csv).parent,
    message:
        "Making the table of {wildcards.experiment}"
    shell:
        "python -m medcoreset table --plan {input.plan:q} {params.published}"
        " --out {params.out:q} > {log:q} 2>&1"


rule judge_claims:
    input:
        seeds=study.path(f"{results.EXPERIMENT}/seeds.csv"),
        plan=lambda wildcards: jobs.plan_file(wildcards.experiment),
    output:
        csv=study.path(f"{results.EXPERIMENT}/claims.csv"),
        markdown=study.path(f"{results.EXPERIMENT}/claims.md"),
        html=report(
            study.path(f"{results.EXPERIMENT}/claims.html"),
            caption="../report/claims.rst",
            category="{experiment}",
            labels={"result": "claims"},
        ),
    log:
        study.path("logs/judge_claims/{experiment}.log"),
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=jobs.scaled("draw", "mem_mb"),
        runtime=jobs.scaled("draw", "runtime"),
    params:
        claims=lambda wildcards: jobs.claims_digest(wildcards.experiment),
        config=lambda wildcards, output: jobs.config_flags(),
        published=lambda wildcards, output: jobs.published_flags(),
        out=lambda wildcards, output: Path(output.csv).parent,
    message:
        "Judging the papers' claims on {wildcards.experiment}"
    shell:
        "python -m medcoreset claims {params.config} {params.published} --plan {input.plan:q}"
        " --seeds {input.seeds:q} --out {params.out:q} > {log:q} 2>&1"


# A rule per figure, because each has its own caption in the report.
for figure in results.FIGURES:

    rule:
        name:
            f"draw_{figure}"
        input:
            partial(jobs.figure_inputs, figure=figure),
            plan=lambda wildcards: jobs.plan_file(wildcards.experiment),
        output:
            [
                study.path(f"{results.EXPERIMENT}/{figure}.{suffix}")
                for suffix in results.numbers_of(figure)
            ],
            svg=report(
                study.path(f"{results.EXPERIMENT}/{figure}.svg"),
                caption=f"../report/{figure}.rst",
                category="{experiment}",
                labels={"result": figure},
            ),
            pdf=study.path(f"{results.EXPERIMENT}/{figure}.pdf"),
            png=study.path(f"{results.EXPERIMENT}/{figure}.png"),
        log:
            study.path(f"logs/draw_figure/{{experiment}}/{figure}.log"),
        localrule: True
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=jobs.scaled("draw", "mem_mb"),
            runtime=jobs.scaled("draw", "runtime"),
        params:
            figure=figure,
            table=partial(jobs.table_flags, figure=figure),
            out=lambda wildcards, output: Path(output.svg).with_suffix(""),
        message:
            f"Drawing {figure} of {{wildcards.experiment}}"
        shell:
            "python -m medcoreset figure {params.figure} --plan {input.plan:q} {params.table}"
            " --out {params.out:q} > {log:q} 2>&1"
