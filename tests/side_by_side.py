"""How tests are given to the processes that run them: by the file, and a crash costs one test.

The crash of a worker of pytest-xdist 3.8 hands its files out again: the test that crashed, which then
crashes the next worker, and files that are finished, of which a new worker waits for ever for a test.
"""

import pytest
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController


class FileScheduling(LoadFileScheduling):
    """`--dist loadfile`, but what a worker leaves when it crashes is what it had not begun."""

    def remove_node(self, node: WorkerController) -> str | None:
        """Take a worker out; return the test in which it crashed, None if it had ended."""
        work = self.assigned_work.pop(node)
        left = [(tests, name) for tests in work.values() for name in tests if not tests[name]]
        if not left:
            return None
        tests, crashed = left[0]
        tests[crashed] = True
        self.workqueue.update({file: work[file] for file in work if not all(work[file].values())})
        for other in self.nodes:
            self._reschedule(other)
        return crashed

    def _reschedule(self, node: WorkerController) -> None:
        super()._reschedule(node)
        # A worker runs a test when it knows the next, or that there is none.
        if not node.shutting_down and self._pending_of(self.assigned_work[node]) == 1:
            super()._reschedule(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FileScheduling | None:
    """Distribute by the file where that is asked for."""
    return FileScheduling(config, log) if config.getoption("dist") == "loadfile" else None
