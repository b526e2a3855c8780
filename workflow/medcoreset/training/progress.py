"""Progress: one moving line at a terminal, a line now and then in a log file."""

import sys
import time

from medcoreset.errors import say

EVERY_SECONDS = 30


class Progress:
    """Reports how far a training is, on standard error; of processes that train together, one."""

    def __init__(self, title: str, *, told: bool = True) -> None:
        self.title, self.told = title, told
        self.terminal = told and sys.stderr.isatty()
        self.said_at = -float("inf")

    def start(self, iterations: int, done: int) -> None:
        """Begin a training of `iterations` steps, `done` of which a checkpoint already holds."""
        from tqdm import tqdm

        self.total, self.done, self.began_with = iterations, done, done
        self.began_at = time.monotonic()
        if done and self.told:
            say(f"{self.title}: resuming at step {done} of {iterations}")
        self.bar = tqdm(
            total=iterations, initial=done, desc=self.title, unit="step", disable=not self.terminal
        )

    def advance(self) -> None:
        """Count one step."""
        self.done += 1
        self.bar.update()

    def epoch(self, latest: dict[str, float]) -> None:
        """Tell about the epoch that ended, from its entry in the history."""
        words = " ".join(
            f"{key.replace('_', ' ')} {latest[key]:.4g}" for key in latest if key != "epoch"
        )
        if self.terminal:
            self.bar.set_postfix_str(words)
        elif self.told and (
            time.monotonic() - self.said_at >= EVERY_SECONDS or self.done == self.total
        ):
            self.said_at = time.monotonic()
            rate = (self.done - self.began_with) / max(self.said_at - self.began_at, 1e-9)
            say(
                f"{self.title}: epoch {latest['epoch']}, step {self.done}/{self.total}, "
                f"{rate:.3g} steps/s, {words}"
            )

    def close(self) -> None:
        """End the moving line."""
        self.bar.close()
