"""Networks trained on coresets, all seeds of one coreset specification in one job.

input:  results/data/DATASET.npz, the coresets (none for the full training set, and where is selected
        while a network trains, which may look at evidence that is made before)
output: results/runs/DATASET/PROTOCOL/SURROGATE/VARIANT/RATE[+balance=BALANCE]/NETWORK/SEEDS[+trainings=T]/: metrics.json, predictions.npz
"""


rule train_network:
    input:
        unpack(lambda wildcards: jobs.training_inputs(wildcards)),
        dataset=study.path(results.DATASET),
        decoded=lambda wildcards: results.decoded(study, wildcards.dataset),
    output:
        metrics=study.path(f"{results.RUN}/metrics.json"),
        predictions=study.path(f"{results.RUN}/predictions.npz"),
    log:
        study.path(
            "logs/train_network/{dataset}/{protocol}/{surrogate}/{variant}/{rate}{balance}/{network}/{seeds}{trainings}.log"
        ),
    conda:
        "../../envs/training.yaml"
    threads: jobs.resource("train", "threads")
    resources:
        mem_mb=jobs.scaled("train", "mem_mb"),
        runtime=jobs.scaled("train", "runtime"),
        gpu=jobs.resource("train", "gpu"),
    params:
        recipe=lambda wildcards: jobs.recipes.run(wildcards).flags,
        inputs=lambda wildcards, input: optional_flags(
            coresets=input.get("coresets"), evidence=input.get("evidence")
        ),
        draw=lambda wildcards: jobs.draw_flags(wildcards),
        training=lambda wildcards: jobs.training_flags(wildcards.protocol),
        seeds=lambda wildcards: jobs.seed_flags(wildcards),
        device=study.config["device"],
        out=lambda wildcards, output: Path(output.metrics).parent,
    message:
        "Training {wildcards.network} on {wildcards.rate} of {wildcards.dataset} by {wildcards.variant}{wildcards.balance}"
        " ({wildcards.protocol}), seeds {wildcards.seeds}{wildcards.trainings}"
    shell:
        "python -m medcoreset train --dataset {input.dataset:q} {params.inputs} {params.draw}"
        " --protocol {wildcards.protocol:q} --surrogate {wildcards.surrogate:q}"
        " --method {wildcards.variant:q}{wildcards.balance:q} --rate {wildcards.rate:q} --network {wildcards.network:q}"
        " {params.seeds} {params.training} {params.recipe} --device {params.device} --threads {threads}"
        " --out {params.out:q} > {log:q} 2>&1"
