"""A training step as a CUDA graph: what takes hundreds of calls to start takes one.

Only a GPU can try this; without one its tests are skipped.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medcoreset.errors import say

WARM_UP = 3
"""Steps of a shape that run as they are before it is captured; libraries choose their kernels then."""

Step = Callable[..., Tensor]


@dataclass(frozen=True)
class _Graph:
    """A captured step, and the memory that it reads its batch from and leaves its result in."""

    graph: torch.cuda.CUDAGraph
    batch: list[Tensor]
    result: Tensor

    def replay(self, batch: tuple[Tensor, ...]) -> Tensor:
        for static, tensor in zip(self.batch, batch, strict=True):
            static.copy_(tensor)
        self.graph.replay()
        return self.result.clone()


class Graphs:
    """Runs a step on batches of tensors; where `enabled`, from a CUDA graph per size of a batch.

    The step gets tensors and returns one. Whatever else it reads or changes must be tensors of the
    GPU that stay where they are, and it must not wait for the GPU. A size that comes too rarely, a
    last short batch say, is never captured. If a capture fails, one line says so, and the steps go
    on without.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.graphs: dict[int, _Graph] = {}
        self.seen: Counter[int] = Counter()
        if enabled:
            self.stream, self.pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()

    def run(self, step: Step, *batch: Tensor) -> Tensor:
        """Return `step(*batch)`, for tensors of one length."""
        size = len(batch[0])
        if self.enabled and size not in self.graphs:
            if self.seen[size] < WARM_UP:
                self.seen[size] += 1
                return self._aside(step, batch)
            self._capture(step, batch)
        return self.graphs[size].replay(batch) if self.enabled else step(*batch)

    def _aside(self, step: Step, batch: tuple[Tensor, ...]) -> Tensor:
        """Run the step on the stream that captures, so that what libraries keep per stream is there."""
        main = torch.cuda.current_stream()
        self.stream.wait_stream(main)
        with torch.cuda.stream(self.stream):
            result = step(*batch)
        main.wait_stream(self.stream)
        return result

    def _capture(self, step: Step, batch: tuple[Tensor, ...]) -> None:
        """Capture the step for batches of this size, without running it.

        Graphs share their memory: each is replayed to its end before another is.
        """
        main = torch.cuda.current_stream()
        graph, static = torch.cuda.CUDAGraph(), [tensor.clone() for tensor in batch]
        try:
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                result = step(*static)
        except RuntimeError as problem:
            torch.cuda.set_stream(main)  # torch does not, if the capture was already lost
            self.enabled = False
            self.graphs.clear()
            reason = str(problem).partition("\n")[0]
            say(f"the training step cannot be a CUDA graph ({reason}); going on without")
        else:
            self.graphs[len(batch[0])] = _Graph(graph, static, result)
