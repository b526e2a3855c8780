"""Datasets in the canonical form, and images that are decoded once.

On a cluster datasets are prepared where Snakemake runs, because compute nodes often have no Internet;
to decode is a job like others.

input:  the official file in `data_dir`, an own file, or the network
output: results/data/DATASET.npz and .json; DATASET+CONDITION=….npz and .json, made of the former;
        results/data/DATASET/index.npz, of those with stream=decoded
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


# The pixels beside the index are no output, because Snakemake deletes those before a job: the job
# keeps what is whole of them.
rule decode_images:
    input:
        dataset=study.path(results.DATASET),
    output:
        index=study.path(results.DECODED),
    log:
        study.path("logs/decode_images/{dataset}.log"),
    conda:
        "../../envs/training.yaml"
    threads: jobs.resource("decode", "threads")
    resources:
        mem_mb=jobs.scaled("decode", "mem_mb"),
        runtime=jobs.scaled("decode", "runtime"),
        gpu=jobs.resource("decode", "gpu"),
    params:
        recipe=lambda wildcards: jobs.recipes.dataset(wildcards.dataset).own,
    message:
        "Decoding the images of {wildcards.dataset}"
    shell:
        "python -m medcoreset decode --dataset {input.dataset:q} --expects {params.recipe}"
        " --threads {threads} > {log:q} 2>&1"
