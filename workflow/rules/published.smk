"""The papers' own tables, figures and claims, of the numbers that they print: nothing is trained.

input:  config/published/ and config/claims/
output: results/published/TABLE/: plan.json, table.csv, .md, .html, .tex, seeds.csv (empty), FIGURE.svg, .pdf, .png
        results/published/claims.csv, .md, .html
"""


# Of all tables in one job: each takes less than to start Python.
rule print_tables:
    output:
        [
            study.path(f"{results.PRINTED}/{name}").format(experiment=table)
            for table in jobs.printed_tables
            for name in ("plan.json", "table.csv", "table.md", "table.tex", "seeds.csv")
        ],
        html=[
            report(
                study.path(f"{results.PRINTED}/table.html").format(experiment=table),
                caption="../report/printed.rst",
                category="as printed",
                labels={"result": table},
            )
            for table in jobs.printed_tables
        ],
    log:
        study.path("logs/print_tables.log"),
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=jobs.scaled("draw", "mem_mb"),
        runtime=jobs.scaled("draw", "runtime"),
    params:
        tables=jobs.printed_tables,
        numbers=jobs.printed_digest(),
        published=lambda wildcards, output: jobs.published_flags(),
        out=lambda wildcards, output: Path(output.html[0]).parents[1],
    message:
        "Laying out the papers' tables"
    shell:
        "python -m medcoreset published {params.tables} {params.published}"
        " --out {params.out:q} > {log:q} 2>&1"


# A rule per figure, because each has its own caption in the report.
for figure in results.OF_MEANS:

    rule:
        name:
            f"draw_printed_{figure}"
        input:
            plan=study.path(f"{results.PRINTED}/plan.json"),
            table=study.path(f"{results.PRINTED}/table.csv"),
            seeds=study.path(f"{results.PRINTED}/seeds.csv"),
        output:
            svg=report(
                study.path(f"{results.PRINTED}/{figure}.svg"),
                caption=f"../report/{figure}.rst",
                category="as printed",
                labels={"result": f"{{experiment}}, {figure}"},
            ),
            pdf=study.path(f"{results.PRINTED}/{figure}.pdf"),
            png=study.path(f"{results.PRINTED}/{figure}.png"),
        log:
            study.path(f"logs/draw_printed/{{experiment}}/{figure}.log"),
        localrule: True
        conda:
            "../../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=jobs.scaled("draw", "mem_mb"),
            runtime=jobs.scaled("draw", "runtime"),
        params:
            figure=figure,
            out=lambda wildcards, output: Path(output.svg).with_suffix(""),
        message:
            f"Drawing {figure} of {{wildcards.experiment}} as printed"
        shell:
            "python -m medcoreset figure {params.figure} --plan {input.plan:q} --table {input.table:q}"
            " --seeds {input.seeds:q} --out {params.out:q} > {log:q} 2>&1"


rule judge_printed_claims:
    output:
        csv=study.path(f"{results.CLAIMS}/claims.csv"),
        markdown=study.path(f"{results.CLAIMS}/claims.md"),
        html=report(
            study.path(f"{results.CLAIMS}/claims.html"),
            caption="../report/claims.rst",
            category="as printed",
            labels={"result": "claims"},
        ),
    log:
        study.path("logs/judge_printed_claims.log"),
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=jobs.scaled("draw", "mem_mb"),
        runtime=jobs.scaled("draw", "runtime"),
    params:
        claims=lambda wildcards: jobs.claims_digest(),
        config=lambda wildcards, output: jobs.config_flags(),
        published=lambda wildcards, output: jobs.published_flags(),
        out=lambda wildcards, output: Path(output.csv).parent,
    message:
        "Judging the papers' claims on the numbers that they print"
    shell:
        "python -m medcoreset claims {params.config} {params.published}"
        " --out {params.out:q} > {log:q} 2>&1"
