"""Surrogates, trained on the full training set while their training dynamics are recorded, or on a half of it.

input:  results/data/DATASET.npz
output: results/surrogates/DATASET/PROTOCOL/SURROGATE/: evidence/, metrics.json, predictions.npz, model.pt
"""


rule train_surrogate:
    input:
        dataset=study.path(results.DATASET),
        decoded=lambda wildcards: results.decoded(study, wildcards.dataset),
    output:
        evidence=directory(study.path(f"{results.SURROGATE}/evidence")),
        metrics=study.path(f"{results.SURROGATE}/metrics.json"),
        predictions=study.path(f"{results.SURROGATE}/predictions.npz"),
        model=study.path(f"{results.SURROGATE}/model.pt"),
    log:
        study.path("logs/train_surrogate/{dataset}/{protocol}/{surrogate}.log"),
    conda:
        "../../envs/training.yaml"
    threads: jobs.resource("surrogate", "threads")
    resources:
        mem_mb=jobs.scaled("surrogate", "mem_mb"),
        runtime=jobs.scaled("surrogate", "runtime"),
        gpu=jobs.resource("surrogate", "gpu"),
    params:
        recipe=lambda wildcards: jobs.recipes.surrogate(wildcards).flags,
        network=lambda wildcards: jobs.surrogate_network(wildcards.surrogate),
        training=lambda wildcards: jobs.surrogate_flags(wildcards.protocol, wildcards.surrogate),
        device=study.config["device"],
        budget=study.config["probs_budget_mb"],
        out=lambda wildcards, output: Path(output.metrics).parent,
    message:
        "Training surrogate {wildcards.surrogate} of {wildcards.dataset} ({wildcards.protocol})"
    shell:
        "python -m medcoreset surrogate --dataset {input.dataset:q} --protocol {wildcards.protocol:q}"
        " --network {params.network:q} {params.training} {params.recipe}"
        " --probs-budget-mb {params.budget} --device {params.device} --threads {threads}"
        " --out {params.out:q} > {log:q} 2>&1"
