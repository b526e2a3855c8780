"""The optimisers, as one fused operator each.

They compute what `torch.optim.SGD` and `torch.optim.Adam` with `fused=True` compute, to the bit.
Those import `torch._dynamo` when they are made, whether anything is compiled or not, which takes
as long as importing torch itself: more than a small coreset trains.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from medcoreset.training.options import TrainingOptions


class Optimizer:
    """What the optimisers share: `parameters`, all on one device and of one type, and a state.

    Every parameter must have a gradient at every step.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = list(parameters)
        self.state: dict[str, Any] = {}

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: Tensor) -> None:
        """Update the parameters by their gradients, with learning rate `lr` (1,).

        It is on the parameters' device: float64 on a CPU, float32 on a GPU.
        """
        self._update([gradient_of(parameter) for parameter in self.parameters], lr)

    def state_dict(self) -> dict[str, Any]:
        """Return what the next steps depend on beside the parameters; shared, not copied."""
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the state that a `state_dict` returned."""
        self.state = state

    def _update(self, gradients: list[Tensor], lr: Tensor) -> None:
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, Nesterov's or not, and an L2 penalty."""

    def __init__(
        self, parameters: Iterable[Tensor], momentum: float, nesterov: bool, weight_decay: float
    ) -> None:
        super().__init__(parameters)
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay

    def _update(self, gradients: list[Tensor], lr: Tensor) -> None:
        first = self.momentum != 0 and not self.state
        if first:
            # The operator fills them with the first gradients.
            self.state = {"momentum": [torch.empty_like(gradient) for gradient in gradients]}
        torch._fused_sgd_(
            self.parameters,
            gradients,
            self.state.get("momentum", []),
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0,
            nesterov=self.nesterov,
            maximize=False,
            is_first_step=first,
        )


class Adam(Optimizer):
    """Adam (Kingma and Ba, ICLR 2015) with an L2 penalty that is part of the gradient."""

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float) -> None:
        super().__init__(parameters)
        self.weight_decay = weight_decay
        self.state = {
            "mean": [torch.zeros_like(parameter) for parameter in self.parameters],
            "square": [torch.zeros_like(parameter) for parameter in self.parameters],
            "steps": [self.parameters[0].new_zeros(()) for _ in self.parameters],
        }

    def _update(self, gradients: list[Tensor], lr: Tensor) -> None:
        torch._foreach_add_(self.state["steps"], 1)
        torch._fused_adam_(
            self.parameters,
            gradients,
            self.state["mean"],
            self.state["square"],
            [],
            self.state["steps"],
            lr=lr,
            beta1=0.9,
            beta2=0.999,
            weight_decay=self.weight_decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


def gradient_of(parameter: Tensor) -> Tensor:
    """Return what the last backward pass made for a parameter, of its shape."""
    gradient = parameter.grad
    assert gradient is not None
    return gradient


def build(parameters: Iterable[Tensor], options: TrainingOptions) -> Optimizer:
    """Return the optimiser that the options name."""
    if options.optimizer == "adam":
        return Adam(parameters, options.weight_decay)
    return SGD(parameters, options.momentum, options.nesterov, options.weight_decay)
