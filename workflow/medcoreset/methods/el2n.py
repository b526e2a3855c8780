from typing import Annotated

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.registry import ranking
from medcoreset.options import Range


def needs(*, runs: int | None, **_: object) -> tuple[str, ...]:
    """Return the arrays of the one form or the other."""
    return ("error_norm",) if runs is None else ("run_probs", "labels")


def check_epochs(total: int, *, epochs: int, runs: int | None, at: int) -> None:
    """Raise a UserError unless the training has the epochs that are looked at."""
    if runs is None and epochs > total:
        raise UserError(
            f"el2n: averages over {epochs} epochs, but the training dynamics have {total} "
            f"(option epochs={epochs})"
        )
    if runs is not None and at > total:
        raise UserError(
            f"el2n: looks at models after epoch {at}, but they are trained for {total} "
            f"(option at={at})"
        )


@ranking(
    "el2n",
    label="EL2N",
    keep="highest",
    needs=needs,
    reference="Paul et al., NeurIPS 2021, Definition 2.3 (with `runs`); the form of CCS and EVA (without)",
    cost="O(epochs·N), or O(R·N·C) for R models, after their training",
    check_epochs=check_epochs,
    departs="Paul et al. average over independently trained models at one early epoch (`runs=10`), CCS "
    "and EVA over the first epochs of one model's training (the default); code of CCS sums over "
    "the epochs and does not average, which ranks alike",
)
def el2n(
    evidence: Evidence,
    *,
    epochs: Annotated[int, Range(1, unit="epochs"), "first epochs, without `runs`"] = 10,
    runs: Annotated[
        int | None,
        Range(1, unit="surrogates"),
        "independently trained models; none: one model's training dynamics",
    ] = None,
    at: Annotated[
        int, Range(1, unit="checkpoint"), "epoch after which models are looked at, with `runs`"
    ] = 20,
) -> np.ndarray:
    """Average ‖p − y‖₂ over the first `epochs` epochs, or over `runs` models after epoch `at`.

    Without `runs` it is the form that CCS and EVA take for EL2N: p are what the one surrogate predicted
    while it was trained, in training mode. With `runs`, that of Paul et al.: the expectation over
    initialisations, p being predictions in evaluation mode, `run_probs`, at a single early epoch (10
    models and epochs 10 to 20 in the paper). Such models are trained until there alone, with the
    learning rate of whole trainings. Raises UserError if `run_probs` are of another number of models.
    """
    if runs is None:
        check_epochs(evidence.epochs, epochs=epochs, runs=runs, at=at)
        return evidence.over_epochs("error_norm", statistics.mean, stop=epochs)
    probs, labels = evidence["run_probs"], evidence["labels"]
    if len(probs) != runs:
        raise UserError(f"el2n: {evidence.name}: run_probs are of {len(probs)} models, not {runs}")
    total = np.zeros(len(evidence))
    for p in probs:
        total += statistics.error_norm(p[None].astype(np.float64), labels)[0]
    return total / runs
