"""The arrays that evidence may hold, and which of them can be made from others."""

import math
from collections.abc import Callable, Container
from typing import NamedTuple

LARGEST = 2.0**128 - 2.0**104
"""The largest number of float32; beyond it methods' squares and products overflow float64."""


class Array(NamedTuple):
    """One kind of array: its shape in symbols, the kind of its values, and what it means.

    The symbols are N samples, T epochs, C classes, D features, G gradient entries, V validation
    samples, P preselected samples, R models, Q queries, S private samples, B models of
    random subsets; a symbol stands for one size throughout a piece of evidence. `kind` is one of

    - integer, boolean (0 or 1), identifier (an integer or text, of which nothing is computed);
    - real, and statistic, which rounding may take a little beyond its bounds;
    - logit, a real of whose rows not all are probabilities;
    - probability, log_probability, of which rows are distributions.

    No value is below `low` or above `high`, which may depend on C; integers have `checks.indices`.

    Labels (N, C) of 0 and 1 are several per sample, and the probabilities of a sample then one for each
    of C labels, which do not add up to 1.
    """

    shape: tuple[str, ...]
    kind: str
    meaning: str
    low: float = -LARGEST
    high: float | Callable[[int], float] = LARGEST


ARRAYS = {
    "labels": Array(("N",), "integer", "class of each sample, 0 … C−1, or several labels (N, C)"),
    "probs": Array(("T", "N", "C"), "probability", "softmax outputs during training", 0, 1),
    "log_probs": Array(("T", "N", "C"), "log_probability", "their logarithms", -math.inf, 0),
    "seen": Array(("T", "N"), "boolean", "whether the epoch recorded the sample", 0, 1),
    "error_norm": Array(("T", "N"), "statistic", "‖p − y‖₂", 0, math.sqrt(2)),
    "margin": Array(("T", "N"), "statistic", "p_y − max over k ≠ y of p_k", -1, 1),
    "logit_margin": Array(("T", "N"), "real", "the same of the logits"),
    "target_prob": Array(("T", "N"), "statistic", "p_y", 0, 1),
    "entropy": Array(("T", "N"), "statistic", "−Σ p ln p", 0, math.log),
    "correct": Array(("T", "N"), "boolean", "whether the prediction is the label", 0, 1),
    "logits": Array(("N", "C"), "logit", "of the scoring model, evaluation mode"),
    "final_probs": Array(("N", "C"), "probability", "softmax of `logits`", 0, 1),
    "features": Array(("N", "D"), "real", "penultimate features of the scoring model"),
    "gradients": Array(("N", "G"), "real", "of each sample's loss"),
    "gradient_norms": Array(
        ("R", "N"), "real", "‖∇ℓ‖₂ under independently trained models", 0, math.inf
    ),
    "perturbations": Array(
        ("N",), "real", "squared L2 norm of the smallest adversarial one", 0, math.inf
    ),
    "similarity": Array(("N", "N"), "real", "between samples"),
    "val_features": Array(("V", "D"), "real", "features of the validation samples"),
    "val_probs": Array(("V", "C"), "probability", "softmax outputs for them", 0, 1),
    "val_labels": Array(("V",), "integer", "their classes"),
    "run_probs": Array(
        ("R", "N", "C"), "probability", "softmax outputs of independently trained models", 0, 1
    ),
    "query_features": Array(("Q", "D"), "real", "features of what is to be selected alike"),
    "query_probs": Array(("Q", "C"), "probability", "softmax outputs for the queries", 0, 1),
    "query_labels": Array(("Q",), "integer", "their classes"),
    "private_features": Array(("S", "D"), "real", "features of what is not to be selected alike"),
    "private_probs": Array(
        ("S", "C"), "probability", "softmax outputs for the private samples", 0, 1
    ),
    "private_labels": Array(("S",), "integer", "their classes"),
    "subset_members": Array(
        ("B", "N"), "boolean", "whether a model was trained on the sample", 0, 1
    ),
    "subset_correct": Array(
        ("B", "N"), "boolean", "whether its prediction in the end is the label", 0, 1
    ),
    "val_target_prob": Array(
        ("T", "V"), "statistic", "p_y of the validation samples after each epoch", 0, 1
    ),
    "preselected": Array(("P",), "integer", "indices that are in the coreset from the start"),
    "sample_ids": Array(
        ("N",), "identifier", "what you call each sample, to have it in the coreset"
    ),
    "members": Array(
        ("N",), "boolean", "whether the scoring model was trained on the sample", 0, 1
    ),
    "irreducible_losses": Array(
        ("N",), "real", "cross-entropy under a model that was not trained on the sample", 0
    ),
}

LABELS = ("labels", "val_labels")
"""Arrays with a class of each sample, or with rows of several labels."""

HIGHEST_OF_LABELS: dict[str, Callable[[int], float]] = {
    "error_norm": math.sqrt,
    "entropy": lambda labels: labels * math.log(2),
}
"""Arrays that may have greater values where there are several labels per sample: how great of so many."""

_PROBABILITIES = (("probs", "labels"), ("log_probs", "labels"))

# What an array can be made from, alternatives first to last. Gradients and similarity are implied
# rather than made: the methods that use them need inner products only, not N × G or N × N numbers.
RECIPES: dict[str, tuple[tuple[str, ...], ...]] = {
    "probs": (("log_probs",),),
    "error_norm": _PROBABILITIES,
    "margin": _PROBABILITIES,
    "target_prob": _PROBABILITIES,
    "entropy": _PROBABILITIES,
    "correct": _PROBABILITIES,
    # log p differs from the logits by a constant per sample; probabilities that underflow do not
    # have that property any more, so `probs` will not do.
    "logit_margin": (("log_probs", "labels"),),
    "final_probs": (("logits",),),
    "gradients": (("features", "final_probs", "labels"),),
    "gradient_norms": (("gradients",),),
    "similarity": (("gradients",),),
}


GIVEN = (
    *("query_features", "query_probs", "query_labels"),
    *("private_features", "private_probs", "private_labels"),
    *("subset_members", "subset_correct", "val_target_prob"),
    "sample_ids",
)
"""Arrays that no stage of the workflow makes: they are the user's own, for `medcoreset select`."""


def of_classes(name: str) -> bool:
    """Whether an array tells classes apart, so that it says something else of several labels per sample.

    Statistics of the training dynamics, features and gradients are defined there all the same.
    """
    array = ARRAYS[name]
    return (
        "C" in array.shape
        or name.endswith("labels")
        or name in ("perturbations", "val_target_prob")
    )


OUTPUTS = ("labels", "logits", "features", "val_labels", "val_probs", "val_features")
"""Arrays that one network gives as it is: what it makes of the training and validation samples."""


def follows(name: str, given: Container[str]) -> bool:
    """Whether an array is among those `given`, or can be made from them."""
    ways = RECIPES.get(name, ())
    return name in given or any(all(follows(part, given) for part in way) for way in ways)


def per_epoch(name: str) -> bool:
    """Whether an array has a value for each epoch that does not exist where it left a sample out."""
    return ARRAYS[name].shape[:2] == ("T", "N") and name not in ("seen", "correct")
