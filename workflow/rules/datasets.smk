"""Datasets in the canonical form.

On a cluster this runs where Snakemake does, because compute nodes often have no Internet.

input:  the official file in `data_dir`, an own file, or the network
output: results/data/DATASET.npz and .json; DATASET+CONDITION=….npz and .json, made of the former
"""

CONDITION = rf"\+(?:{'|'.join(catalog.CONDITIONS)})="


rule prepare_dataset:
    input:
        # What they hold is a parameter, so that their times do not count.
        ancient(lambda wildcards: jobs.inputs.files(wildcards.dataset)),
    output:
        images=study.path(results.DATASET),
        info=study.path("data/{dataset}.json"),
    log:
        study.path("logs/prepare_dataset/{dataset}.log"),
    wildcard_constraints:
        dataset=rf"(?:(?!{CONDITION})[^/])+",
    localrule: True
    conda:
        "../../envs/training.yaml"
    threads: jobs.resource("prepare", "threads")
    resources:
        mem_mb=jobs.scaled("prepare", "mem_mb"),
        runtime=jobs.scaled("prepare", "runtime"),
    params:
        contents=lambda wildcards: jobs.inputs.contents(wildcards.dataset),
        source=lambda wildcards: jobs.dataset_flags(wildcards.dataset),
        recipe=lambda wildcards: jobs.recipes.dataset(wildcards.dataset).flags,
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "python -m medcoreset dataset {wildcards.dataset:q} {params.source}"
        " {params.recipe} --out {output.images:q} > {log:q} 2>&1"


rule change_dataset:
    input:
        clean=lambda wildcards: jobs.clean_dataset(wildcards.dataset),
    output:
        images=study.path(results.DATASET),
        info=study.path("data/{dataset}.json"),
    log:
        study.path("logs/change_dataset/{dataset}.log"),
    wildcard_constraints:
        dataset=rf"[^/]+{CONDITION}[^/]+",
    localrule: True
    conda:
        "../../envs/training.yaml"
    threads: jobs.resource("prepare", "threads")
    resources:
        mem_mb=jobs.scaled("prepare", "mem_mb"),
        runtime=jobs.scaled("prepare", "runtime"),
    params:
        recipe=lambda wildcards: jobs.recipes.dataset(wildcards.dataset).flags,
    message:
        "Making {wildcards.dataset}"
    shell:
        "python -m medcoreset dataset {wildcards.dataset:q} --clean {input.clean:q}"
        " {params.recipe} --out {output.images:q} > {log:q} 2>&1"
