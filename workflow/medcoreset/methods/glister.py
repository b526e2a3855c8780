from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import best_of_near, rough, rounding, shuffled
from medcoreset.methods.registry import selecting
from medcoreset.options import Range

if TYPE_CHECKING:
    from torch import Tensor

    from medcoreset.evidence.gradients import Gradients

Validation = Literal["val", "train"]


def needs(*, validation: Validation, **_: object) -> tuple[str, ...]:
    """Return the arrays that the choice of the validation set requires."""
    last_layer = ("features", "final_probs", "labels")
    if validation == "train":
        return last_layer
    return (*last_layer, "val_features", "val_probs", "val_labels")


@selecting(
    "glister",
    label="GLISTER",
    needs=needs,
    reference="Killamsetty et al., AAAI 2021, Algorithm 2; DeepCore, Eq. 8",
    cost="O(N_c·min(D, V_c)·C·M_c) per class of N_c training and V_c validation samples, M_c picked",
    balance="class",
    departs="in code of DeepCore the update of the validation gradient never happens, so that it "
    "keeps the samples of largest ⟨g_i, initial validation gradient⟩",
)
def glister(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    eta: Annotated[float, Range(0)] = 0.1,
    validation: Validation = "val",
) -> np.ndarray:
    """Pick the sample of largest ⟨g_i, ∇L_val(θ)⟩, step θ ← θ − η·g_i after every pick, and repeat.

    g_i are last-layer gradients at the scoring model, θ the last layer's parameters, which start
    there, and L_val the loss of the validation samples of the classes among which is picked (all
    if there are none), or with `validation: train` that of the training samples. Of equal ones, a
    random one is picked. Given `gradients` are not used: the step needs the last layer.
    """
    from medcoreset.evidence.gradients import Gradients

    order, evidence = shuffled(evidence, rng)
    held_out = Validating(evidence, validation)
    gradients = Gradients.of_last_layer(evidence)
    return order[step_by_step(held_out, gradients, count, evidence.preselected, eta)]


def step_by_step(
    held_out: "Validating", gradients: "Gradients", count: int, start: np.ndarray, eta: float
) -> list[int]:
    """Return the picks (count,), `start` first, by the gradients g_i (N,) of GLISTER's loop.

    The sample of largest ⟨g_i, ∇L(θ)⟩ is picked, where L is the loss of what is held out, and then
    θ ← θ − η·g_i.
    """
    from medcoreset.evidence.gradients import Gradients, in_unit

    gradients = held_out.coordinates(gradients)
    # The unit does not matter to the order, but to the step.
    unit = float(gradients.left.norm(dim=1).max() * gradients.right.norm(dim=1).max())
    train = Gradients(in_unit(gradients.left), in_unit(gradients.right))
    kind = rough(train.right)
    roughly, error = train.to(kind), rounding(sum(held_out.gradient().shape), kind)
    picks: list[int] = []
    given = list(start)
    while len(picks) < count:
        if len(picks) < len(given):
            pick = int(given[len(picks)])
        else:
            direction = held_out.gradient()
            direction /= direction.norm().clamp_min(np.finfo(np.float64).tiny)
            near = roughly.dot(direction.to(kind)).double()
            scale = float(near.abs().max())
            near[picks] = -np.inf
            exact = partial(train.dot, direction)
            pick = best_of_near(near, error, exact, scale)
        picks.append(pick)
        held_out.step(eta * unit, train.left[pick], train.right[pick])
    return picks


class Validating:
    """The validation samples (V,), as the last layer with its present parameters sees them."""

    def __init__(
        self, evidence: Evidence, validation: Validation, *, of_our_classes: bool = True
    ) -> None:
        from medcoreset.evidence.gradients import with_bias

        names = needs(validation="train")
        if validation == "val":
            names = ("val_features", "val_probs", "val_labels")
        features, probs, labels = (evidence.tensor(name) for name in names)
        if validation == "val" and of_our_classes:
            ours = (labels[:, None] == evidence.tensor("labels").unique()).any(dim=1)
            if ours.any():
                features, probs, labels = features[ours], probs[ours], labels[ours]
        self.inputs: Tensor | None = with_bias(features)
        self.labels = labels.long()[:, None]
        # Logits up to a constant per sample. Where float32 has rounded a probability to 0, it
        # is as good as the least that float32 knows.
        self.logits = probs.clamp_min(float(np.finfo(np.float32).tiny)).log()

    def coordinates(self, train: "Gradients") -> "Gradients":
        """Return training gradients in the coordinates in which from now on all others are, too.

        If the validation samples are fewer than the inputs of the last layer, the inputs x are known
        by their products with those of the validation samples, (N, V), as
        ⟨g_i, Σ e_v ⊗ x_v⟩ = Σ ⟨left_i, e_v⟩·⟨right_i, x_v⟩.
        """
        assert self.inputs is not None  # the coordinates are changed once
        if len(self.inputs) >= self.inputs.shape[1]:
            return train
        products, self.inputs = train.right @ self.inputs.T, None
        return type(train)(train.left, products)

    def gradient(self) -> "Tensor":
        """Return Σ (p_v − y_v) ⊗ [1, h_v] (C, 1 + D), times a positive number; or (C, V).

        The number keeps the largest error at 1: after many steps all may be too small for floating
        point, while a greedy pick depends on their proportions alone.
        """
        error = self.logits.log_softmax(dim=1).scatter(1, self.labels, -np.inf)
        error = (error - error.max().clamp_min(np.finfo(np.float64).min)).exp()
        # p_y − 1 is minus the sum of the others, and exact where p_y is nearly 1.
        error.scatter_(1, self.labels, -error.sum(dim=1, keepdim=True))
        return error.T.contiguous() if self.inputs is None else error.T @ self.inputs

    def step(self, eta: float, left: "Tensor", right: "Tensor") -> None:
        """Change the parameters by −η·g, g = left ⊗ right: logits, by −η·left·⟨right, [1, h_v]⟩."""
        seen = right if self.inputs is None else self.inputs @ right
        self.logits.addr_(seen, left, alpha=-eta)
