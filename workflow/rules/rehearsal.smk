"""How fast this machine trains the networks that a rehearsal has narrow ones for.

output: rehearsal/speeds/NETWORK/CHANNELSxSIZE/PRECISION.json
"""


rule measure_speed:
    output:
        study.path(results.SPEED),
    log:
        study.path("logs/measure_speed/{network}/{channels}x{image_size}/{precision}.log"),
    conda:
        "../../envs/training.yaml"
    threads: jobs.resource("surrogate", "threads")
    resources:
        mem_mb=jobs.scaled("surrogate", "mem_mb"),
        runtime=jobs.scaled("surrogate", "runtime"),
        gpu=jobs.resource("surrogate", "gpu"),
    params:
        device=study.config["device"],
    message:
        "Measuring how fast {wildcards.network} trains"
    shell:
        "python -m medcoreset speed --network {wildcards.network:q} --channels {wildcards.channels:q}"
        " --image-size {wildcards.image_size:q} --precision {wildcards.precision:q}"
        " --device {params.device} --threads {threads}"
        " --out {output:q} > {log:q} 2>&1"
