"""Datasets in the canonical form.

On a cluster this runs where Snakemake does, because compute nodes often have no Internet.

input:  the official file in `data_dir`, an own file, or the network
output: results/data/DATASET.npz and .json
"""


rule prepare_dataset:
    input:
        # What they hold is a parameter, so that their times do not count.
        ancient(lambda wildcards: jobs.dataset_files(wildcards.dataset)),
    output:
        images=study.path(plan.DATASET),
        info=study.path("data/{dataset}.json"),
    log:
        study.path("logs/prepare_dataset/{dataset}.log"),
    benchmark:
        study.path("benchmarks/prepare_dataset/{dataset}.tsv")
    localrule: True
    conda:
        "../../envs/training.yaml"
    threads: jobs.resource("prepare", "threads")
    resources:
        mem_mb=jobs.scaled("prepare", "mem_mb"),
        runtime=jobs.scaled("prepare", "runtime"),
    params:
        code=lambda wildcards: jobs.dataset_code(wildcards.dataset),
        contents=lambda wildcards: jobs.dataset_contents(wildcards.dataset),
        source=lambda wildcards: jobs.dataset_flags(wildcards.dataset),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "python -m medcoreset dataset {wildcards.dataset} {params.source}"
        " --out {output.images} > {log} 2>&1"
