from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from medcoreset.errors import UserError
from medcoreset.methods.registry import prioritizing
from medcoreset.options import Range

if TYPE_CHECKING:
    from torch import Tensor


def check_epochs(total: int, *, at: int | None) -> None:
    """Raise a UserError unless the models of irreducible losses are trained, and until there."""
    if total < (at or 1):
        raise UserError(
            f"rho_loss: looks at models after epoch {at or 1}, but they are trained for {total} (option at)"
        )


@prioritizing(
    "rho_loss",
    label="RHO-LOSS",
    needs=("irreducible_losses",),
    reference="Mindermann et al., ICML 2022 (irreducible losses without holdout data); read in the authors' code",
    cost="a forward pass of all N samples per epoch, after the training of two models on N/2 each",
    check_epochs=check_epochs,
    departs="the authors' code keeps, of the models of irreducible losses, the checkpoint of lowest loss on "
    "held-out data, in place of that after epoch `at`, and trains by AdamW on 32 of 320 samples a step",
)
def rho_loss(
    losses: "Tensor",
    about: Mapping[str, "Tensor"],
    *,
    at: Annotated[
        int | None,
        Range(1, unit="checkpoint"),
        "epoch after which models give irreducible losses; none: at the end of their training",
    ] = None,
) -> "Tensor":
    """Train in every step on those samples of a larger batch whose loss is farthest above the irreducible one.

    Of n_B samples the n_b = α·n_B (`rate`) with the largest L[y|x; D_t] − L[y|x; D_ho] are trained on: the
    training loss, of the network as it is, less the loss under a model that was trained on other data.
    In place of holdout data there are two models, each trained on a half of the training set, that
    give the irreducible losses of the half which they did not see.
    """
    return losses - about["irreducible_losses"]
