"""A crash of one process costs one test, whatever else its file and its process had to do."""

import os
import re
import subprocess
import sys

from tests.conftest import ROOT

CONFTEST = "from tests.side_by_side import pytest_xdist_make_scheduler\n"

CRASHES = """\
import os, signal

def test_first(): pass
def test_crash(): os.kill(os.getpid(), signal.SIGKILL)
def test_after(): pass
"""

# So long that the crash finds the other process with its last file.
WAITS = """\
import time

def test_waits(): time.sleep(5)
def test_ends(): pass
"""


def test_a_crash_costs_one_test(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_b_waits.py").write_text(WAITS)
    (tmp_path / "test_a_finished.py").write_text("def test_one(): pass\ndef test_two(): pass\n")
    for name in ("c", "d", "e"):
        (tmp_path / f"test_{name}_crashes.py").write_text(CRASHES)
    command = [sys.executable, "-m", "pytest", "--numprocesses", "2", "--dist", "loadfile"]
    outcome = subprocess.run(
        [*command, "--no-loadscope-reorder", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    crashed = set(re.findall(r"^FAILED (\S+)::test_crash\b", outcome.stdout, re.MULTILINE))
    assert crashed == {f"test_{name}_crashes.py" for name in ("c", "d", "e")}, outcome.stdout
    assert "3 failed, 10 passed" in outcome.stdout
