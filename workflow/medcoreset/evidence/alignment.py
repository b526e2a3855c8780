"""Whether predictions are those of the labelled samples, as far as numbers tell."""

import numpy as np

# Fewer samples tell nothing, and more nothing more.
FEWEST = 30
ENOUGH = 2000

# The mean confidence above that of a guess, as a share of what there is, of one who is sure.
SURE = 0.3

# Standard deviations by which predictions of other samples differ from chance at most.
CHANCE = 2


def by_chance(p: np.ndarray, labels: np.ndarray) -> bool:
    """Return whether p (N, C) is sure of itself, but fits labels (N,) no better than at random.

    That is how predictions look whose rows are in an order of their own. The mean of p_y is then
    near Σ_c f_c·mean p_c, with f the frequencies of the classes.
    """
    samples, classes = p.shape
    frequency = np.bincount(labels, minlength=classes) / max(samples, 1)
    if samples < FEWEST or frequency.max() == 1:
        return False
    own = p[np.arange(samples), labels]
    excess = own.mean() - frequency @ p.mean(axis=0)
    confidence = (p.max(axis=1).mean() - 1 / classes) / (1 - 1 / classes)
    return bool(confidence > SURE and excess < CHANCE * own.std() / np.sqrt(samples))
