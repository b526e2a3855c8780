"""Coresets, one per seed, of one method variant at one selection rate.

input:  scores, or the surrogate's evidence for methods that do not score; both for budgets by its recall
        (balance: drop); labels alone for random
output: results/coresets/DATASET/PROTOCOL/SURROGATE/VARIANT/RATE[+balance=BALANCE]/SEEDS/seedS.npz
"""


rule select_coresets:
    input:
        unpack(lambda wildcards: jobs.selection_inputs(wildcards)),
        dataset=study.path(results.DATASET),
    output:
        coresets=directory(study.path(results.CORESETS)),
    log:
        study.path(
            "logs/select_coresets/{dataset}/{protocol}/{surrogate}/{variant}/{rate}{balance}/{seeds}.log"
        ),
    conda:
        "../../envs/selection.yaml"
    threads: jobs.resource("score", "threads")
    resources:
        mem_mb=jobs.scaled("score", "mem_mb"),
        runtime=jobs.scaled("score", "runtime"),
        gpu=jobs.resource("score", "gpu"),
    params:
        recipe=lambda wildcards: jobs.recipes.coresets(wildcards).flags,
        method=lambda wildcards: jobs.method_flags(wildcards.variant),
        evidence=lambda wildcards, input: optional_flags(
            scores=input.get("scores"), evidence=input.get("evidence")
        ),
        protocol=lambda wildcards: jobs.selection_flags(wildcards),
        seeds=lambda wildcards: jobs.seed_list(wildcards.seeds),
        device=study.config["device"],
    message:
        "Selecting {wildcards.rate} of {wildcards.dataset} by {wildcards.variant}{wildcards.balance} ({wildcards.protocol})"
    shell:
        "python -m medcoreset coreset {params.method} --dataset {input.dataset:q} {params.evidence}"
        " --rate {wildcards.rate:q} {params.protocol} --seeds {params.seeds}"
        " {params.recipe} --device {params.device} --threads {threads}"
        " --out {output.coresets:q} > {log:q} 2>&1"
