"""Snakemake plans both papers whole in seconds; benchmarks/planning.py measures larger studies."""

from benchmarks.planning import Study, measured


def test_both_papers_are_planned_in_half_a_minute_and_one_gigabyte(tmp_path):
    planned = measured(Study("papers", ["all"], tmp_path), "plan", "-n")
    assert planned.runs > 1000
    assert planned.jobs > 2000
    # The seconds that a machine takes which does nothing else.
    assert planned.processor_seconds < 30
    assert planned.memory_mb < 1000
