"""Reporting rules: which split and which checkpoint a published kind of number stands for."""

from dataclasses import dataclass
from typing import Literal

Split = Literal["val", "test"]


@dataclass(frozen=True)
class Rule:
    """How one number is taken from one training.

    `split` is reported, at the last epoch or at the evaluated epoch that is best by
    `select_metric` on `select_split` (the earliest of equals). With `drop_incomplete` the reported
    split is shuffled (seeded) and cut to whole batches of that many samples, as the authors'
    loader does; a split smaller than one batch is kept whole.
    """

    summary: str
    split: Split
    checkpoint: Literal["last", "best"]
    select_split: Split = "val"
    select_metric: Literal["accuracy", "auc"] = "accuracy"
    drop_incomplete: int = 0

    @property
    def needs_val(self) -> bool:
        """Whether the number depends on validation data."""
        return self.split == "val" or (self.checkpoint == "best" and self.select_split == "val")


RULES: dict[str, Rule] = {
    "published": Rule(
        "EVA's authors: val in whole batches of 512, best evaluated epoch on that same split",
        split="val",
        checkpoint="best",
        select_split="val",
        drop_incomplete=512,
    ),
    "clean": Rule("test, last epoch", split="test", checkpoint="last"),
    "best_val": Rule(
        "test, epoch of best val accuracy", split="test", checkpoint="best", select_split="val"
    ),
    "deepcore": Rule(
        "DeepCore: test, epoch of best test accuracy",
        split="test",
        checkpoint="best",
        select_split="test",
    ),
    "medmnist": Rule(
        "MedMNIST: test, epoch of best val AUC",
        split="test",
        checkpoint="best",
        select_split="val",
        select_metric="auc",
    ),
}


def possible(*, has_val: bool) -> tuple[str, ...]:
    """Return the rules that a training can record: without validation data not all of them."""
    return tuple(name for name, rule in RULES.items() if has_val or not rule.needs_val)
