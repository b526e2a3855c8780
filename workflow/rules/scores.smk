"""Scores of every training sample.

input:  results/surrogates/DATASET/PROTOCOL/SURROGATE/evidence
output: results/evidence/DATASET/PROTOCOL/SURROGATE/VARIANT/, for methods that need more than the
        surrogate's training leaves behind;
        results/scores/DATASET/PROTOCOL/SURROGATE/VARIANT.npz, one per method variant, and what it
        took in .cost.json;
        results/windows/DATASET/PROTOCOL/SURROGATE.npz, every pair of EVA's windows
"""


rule compute_evidence:
    input:
        dataset=study.path(results.DATASET),
        decoded=lambda wildcards: results.decoded(study, wildcards.dataset),
        surrogates=jobs.evidence_inputs,
    output:
        evidence=directory(study.path(results.EVIDENCE)),
    log:
        study.path("logs/compute_evidence/{dataset}/{protocol}/{surrogate}/{variant}.log"),
    conda:
        "../../envs/training.yaml"
    threads: jobs.resource("train", "threads")
    resources:
        mem_mb=jobs.scaled("train", "mem_mb"),
        runtime=jobs.scaled("train", "runtime"),
        gpu=jobs.resource("train", "gpu"),
    params:
        recipe=lambda wildcards: jobs.recipes.evidence(wildcards).flags,
        array=lambda wildcards: results.computed(wildcards.variant),
        surrogates=jobs.evidence_flags,
        device=study.config["device"],
    message:
        "Computing what {wildcards.variant} needs of {wildcards.dataset} ({wildcards.protocol})"
    shell:
        "python -m medcoreset evidence {params.array} --dataset {input.dataset:q} {params.surrogates}"
        " {params.recipe} --device {params.device} --threads {threads}"
        " --out {output.evidence:q}/{params.array}.npy > {log:q} 2>&1"


rule score_samples:
    input:
        dataset=study.path(results.DATASET),
        evidence=jobs.score_evidence,
    output:
        scores=study.path(results.SCORES),
        cost=cost.beside(study.path(results.SCORES)),
    log:
        study.path("logs/score_samples/{dataset}/{protocol}/{surrogate}/{variant}.log"),
    conda:
        "../../envs/selection.yaml"
    threads: jobs.resource("score", "threads")
    resources:
        mem_mb=jobs.scaled("score", "mem_mb"),
        runtime=jobs.scaled("score", "runtime"),
        gpu=jobs.resource("score", "gpu"),
    params:
        recipe=lambda wildcards: jobs.recipes.scores(wildcards).flags,
        method=lambda wildcards: jobs.method_flags(wildcards.variant),
        evidence=lambda wildcards, input: repeated_flag("evidence", input.evidence),
        missing=lambda wildcards: jobs.missing_flags(wildcards.protocol, wildcards.variant),
        device=study.config["device"],
    message:
        "Scoring {wildcards.dataset} by {wildcards.variant} ({wildcards.protocol})"
    shell:
        "python -m medcoreset score {params.method} --dataset {input.dataset:q}"
        " {params.evidence} {params.missing} {params.recipe}"
        " --device {params.device} --threads {threads}"
        " --out {output.scores:q} > {log:q} 2>&1"


rule score_windows:
    input:
        dataset=study.path(results.DATASET),
        evidence=study.path(f"{results.SURROGATE}/evidence"),
    output:
        windows=study.path(results.WINDOWS),
    log:
        study.path("logs/score_windows/{dataset}/{protocol}/{surrogate}.log"),
    conda:
        "../../envs/selection.yaml"
    threads: jobs.resource("score", "threads")
    resources:
        mem_mb=jobs.scaled("score", "mem_mb"),
        runtime=jobs.scaled("score", "runtime"),
    params:
        recipe=lambda wildcards: jobs.recipes.windows(wildcards).flags,
        windows=lambda wildcards: jobs.window_flags(wildcards.protocol),
    message:
        "Scoring {wildcards.dataset} by every pair of windows ({wildcards.protocol})"
    shell:
        "python -m medcoreset windows --dataset {input.dataset:q} --evidence {input.evidence:q}"
        " {params.windows} {params.recipe} --out {output.windows:q} > {log:q} 2>&1"
