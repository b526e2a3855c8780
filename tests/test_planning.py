"""Snakemake plans both papers whole in little memory; benchmarks/planning.py measures the time too."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.planning import Study, measured


def test_both_papers_are_planned_in_one_gigabyte(tmp_path):
    papers = Study("papers", ["all"], tmp_path)
    # A process begins with the memory of the one that started it, here of a new and small one.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as small:
        planned = small.submit(measured, papers, "plan", "-n").result()
    assert planned.runs > 1000
    assert planned.jobs > 2000
    assert planned.memory_mb < 1000
