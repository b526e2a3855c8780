"""Reporting rules: which split and which checkpoint a published kind of number stands for."""

from dataclasses import dataclass
from typing import Literal

from medcoreset.errors import UserError

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

ALWAYS = ("published", "clean", "best_val")
"""The rules that every training records besides its protocol's own."""


def recorded(report: str, *, has_val: bool = True) -> tuple[str, ...]:
    """Return the rules that a training with `report` as its own rule records.

    Without validation data those that look at it are left out; raises UserError if the training's
    own rule is one of them.
    """
    rules = ALWAYS if report in ALWAYS else (*ALWAYS, report)
    possible = tuple(name for name in rules if has_val or not RULES[name].needs_val)
    if report not in possible:
        without = ", ".join(name for name, rule in RULES.items() if not rule.needs_val)
        raise UserError(
            f"report: {report} looks at validation data, and the dataset has none; rules that do "
            f"not are {without}"
        )
    return possible
