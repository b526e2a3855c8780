"""Where the variance of repeated runs comes from, and the intervals that follow for their mean.

The runs of a cell are repeated over surrogates, over selections (ties, random picks) and over
trainings. A balanced design has exact sums of squares, from which expected mean squares give the
components (Searle, Casella and McCulloch, Variance Components, 1992, ch. 4); an unbalanced one is
fitted by restricted maximum likelihood. A variance that is a sum of mean squares has about
Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946).
"""

import math
import warnings
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit, nctdtr, stdtr, stdtrit

CONFIDENCE = 0.95
LEVELS = ("surrogate", "selection", "training")
"""What an index (surrogate_seed, selection_seed, seed) repeats."""


@dataclass(frozen=True)
class Estimate:
    """A variance and its degrees of freedom: what Student's distribution needs."""

    variance: float
    freedom: float

    def half_width(self, confidence: float = CONFIDENCE) -> float:
        """Return half of the interval's length; NaN without a degree of freedom."""
        if not self.freedom > 0:
            return math.nan
        return stdtrit(self.freedom, (1 + confidence) / 2) * math.sqrt(self.variance)

    def p_value(self, difference: float) -> float:
        """Return the two-sided p value of `difference` being 0.

        NaN where there is nothing to judge by: one run, or differences that are all the same.
        """
        if not (self.freedom > 0 and self.variance > 0):
            return math.nan
        return float(2 * stdtr(self.freedom, -abs(difference) / math.sqrt(self.variance)))


@dataclass(frozen=True)
class Spread:
    """The variance of one cell's runs.

    `design` is `one run`; `shared` (one surrogate, so that its variance is not seen and the intervals are
    of other trainings on this surrogate's coresets); `paired` (a surrogate per training: their variances are
    confounded); `surrogates` (several, the same training seed for all); `crossed` (every training seed with every surrogate); `nested`; or `unbalanced`.
    `components` are variances in squared percentage points, an estimate below 0 being 0. `mean` is
    the estimate for the cell's mean, `new` that for one more run with a new surrogate and a new
    training (as far as the design varies them).
    """

    design: str
    average: float
    components: dict[str, float]
    mean: Estimate
    new: Estimate


def spread(values: pd.Series) -> Spread:
    """Analyse runs, indexed (surrogate_seed, selection_seed, seed), each combination once.

    Levels that do not vary are passed over. So are selections of one training each, or one for each
    surrogate: their variance is part of that one's. With selections, runs are taken as nested: trainings in
    selections in surrogates.
    """
    return Design.of(values.index).spread(values.to_numpy(dtype=float))


@dataclass(frozen=True)
class Design:
    """How runs are repeated, found once for the many columns of values that share it.

    `shape` is the number of units per level of a balanced design, `order` sorts runs by level,
    `labels` has a line per run and a column per level, varied or not.
    """

    name: str
    levels: tuple[str, ...]
    shape: tuple[int, ...]
    order: np.ndarray
    labels: pd.DataFrame

    @classmethod
    def of(cls, index: pd.Index) -> "Design":
        """Find the design of an index (surrogate_seed, selection_seed, seed)."""
        labels = index.to_frame(index=False)
        labels.columns = list(LEVELS)
        varied = labels.loc[:, labels.nunique(dropna=False) > 1]
        selections = len(labels[["surrogate", "selection"]].drop_duplicates())
        if selections in (len(labels), labels["surrogate"].nunique(dropna=False)):
            varied = varied.drop(columns="selection", errors="ignore")
        levels, runs = tuple(varied.columns), len(labels)
        order = (
            np.lexsort([labels[level] for level in reversed(levels)]) if levels else np.arange(1)
        )
        if runs <= 1:
            return cls("one run", levels, (runs,), order, labels)
        if levels == ("training",):
            return cls("shared", levels, (runs,), order, labels)
        if levels == ("surrogate",):
            return cls("surrogates", levels, (runs,), order, labels)
        if all(labels[level].is_unique for level in levels):
            return cls("paired", ("surrogate and training",), (runs,), order, labels)
        shape = _balanced(varied)
        if shape is None:
            return cls("unbalanced", levels, (), order, labels)
        crossed = len(levels) == 2 and "selection" not in levels
        crossed = crossed and labels["training"].nunique() == shape[1]
        return cls("crossed" if crossed else "nested", levels, shape, order, labels)

    def without(self, runs: np.ndarray) -> "Design":
        """Return the design that is left without some runs, a mask (runs,)."""
        return Design.of(pd.MultiIndex.from_frame(self.labels[~runs]))

    def spread(self, values: np.ndarray) -> Spread:
        """Analyse values (runs,), in the order of the index."""
        if self.name == "unbalanced":
            return _fitted(self, values)
        runs = values[self.order].reshape(self.shape)
        squares, components, of_mean, of_new = (_crossed if self.name == "crossed" else _nested)(
            runs, self.levels or ("training",)
        )
        components = {name: max(value, 0.0) for name, value in components.items()}
        average = float(values.mean()) if len(values) else math.nan
        mean, new = (_sum(squares, factors) for factors in (of_mean, of_new))
        return Spread(self.name, average, components, mean, new)


def _balanced(labels: pd.DataFrame) -> tuple[int, ...] | None:
    """Return how many units each unit of the level above has; None if their numbers differ."""
    shape: list[int] = []
    for depth in range(1, labels.shape[1] + 1):
        upper = list(labels.columns[: depth - 1])
        units = labels.iloc[:, :depth].drop_duplicates()
        counts = units.groupby(upper).size().unique() if upper else [len(units)]
        if len(counts) > 1:
            return None
        shape.append(int(counts[0]))
    return tuple(shape) if math.prod(shape) == len(labels) else None


Squares = list[tuple[float, int]]
"""Mean squares and their degrees of freedom."""


Parts = tuple[Squares, dict[str, float], list[float], list[float]]
"""Mean squares, components, and the factors of the squares in Var(mean) and in Var(new)."""


def _nested(runs: np.ndarray, levels: tuple[str, ...]) -> Parts:
    """Return mean squares, components, and the factors of the squares in Var(mean) and in Var(new).

    Of level i, MS_i = (runs per unit) · (variance of its units' means within the unit above), and
    σ_i² = (MS_i − MS_{i+1}) / (runs per unit); Var(mean) = MS_1 / runs.
    """
    squares: Squares = []
    depth = runs.ndim
    for level in range(depth):
        means = runs.reshape(*runs.shape[: level + 1], -1).mean(axis=-1)
        freedom = int(np.prod(runs.shape[:level])) * (runs.shape[level] - 1)
        each = runs.size // means.size if means.size else 1
        deviations = means - means.mean(axis=-1, keepdims=True)
        square = each * float((deviations**2).sum()) / freedom if freedom > 0 else math.nan
        squares.append((square, freedom))
    per_unit = [math.prod(runs.shape[level + 1 :]) for level in range(depth)]
    lower = [*(square for square, _ in squares[1:]), 0.0]
    components = {
        name: (square - below) / each
        for name, (square, _), below, each in zip(levels, squares, lower, per_unit, strict=True)
    }
    of_mean = [1 / runs.size if runs.size else math.nan, *[0.0] * (depth - 1)]
    of_new = [
        1 / per_unit[i] - (1 / per_unit[i - 1] if i else 0.0) + of_mean[i] for i in range(depth)
    ]
    return squares, components, of_mean, of_new


def _crossed(runs: np.ndarray, levels: tuple[str, ...]) -> Parts:
    """Return the same as `_nested` of the two-way layout (S, R) with one run per combination.

    σ_S² = (MS_S − MS_E)/R, σ_R² = (MS_R − MS_E)/S, σ_SR² = MS_E, and
    Var(mean) = (MS_S + MS_R − MS_E)/(S·R).
    """
    s, r = runs.shape
    rows, columns, mean = runs.mean(axis=1), runs.mean(axis=0), runs.mean()
    rest = runs - rows[:, None] - columns + mean
    squares = [
        (r * float(rows.var(ddof=1)), s - 1),
        (s * float(columns.var(ddof=1)), r - 1),
        (float((rest**2).sum()) / ((s - 1) * (r - 1)), (s - 1) * (r - 1)),
    ]
    of_s, of_r, of_e = (square for square, _ in squares)
    names = (*levels, " × ".join(levels))
    components = dict(zip(names, ((of_s - of_e) / r, (of_r - of_e) / s, of_e), strict=True))
    of_mean = [1 / (s * r), 1 / (s * r), -1 / (s * r)]
    of_new = [a + b for a, b in zip(of_mean, (1 / r, 1 / s, 1 - 1 / r - 1 / s), strict=True)]
    return squares, components, of_mean, of_new


def _sum(squares: Squares, factors: list[float]) -> Estimate:
    """Return Σ factor · MS with Satterthwaite's degrees of freedom, V² / Σ (factor · MS)² / df.

    The sum is no less than its largest term, which a negative one could make it, and has no fewer
    degrees of freedom than the least of its terms, nor more than that of its largest.
    """
    terms = [(c * ms, df) for c, (ms, df) in zip(factors, squares, strict=True) if c]
    if any(df < 1 for _, df in terms):
        return Estimate(math.nan, 0)
    largest, _ = max(terms)
    variance = max(sum(term for term, _ in terms), largest)
    below = sum(term**2 / df for term, df in terms)
    least = min(df for term, df in terms if term >= 0)
    freedom = max(variance**2 / below, least) if below > 0 else least
    return Estimate(variance, freedom)


def _fitted(design: Design, values: np.ndarray) -> Spread:
    """Fit crossed random effects by REML; intervals have the degrees of freedom of the rarest level."""
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    names, groups = [], []
    for depth, level in enumerate(design.levels):
        # Selections and trainings of a nested design are others under each surrogate.
        path = list(design.levels[: depth + 1]) if "selection" in design.levels else [level]
        codes = design.labels.groupby(path).ngroup().to_numpy()
        if 1 < codes.max() + 1 < len(values):
            names.append(level)
            groups.append(np.eye(codes.max() + 1)[codes])
    columns = [
        [[f"{name}{i}" for i in range(g.shape[1])]] for name, g in zip(names, groups, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an estimate of 0 lies on the boundary
        fit = MixedLM(
            values,
            np.ones((len(values), 1)),
            groups=np.zeros(len(values)),
            exog_vc=VCSpec(names, columns, [[group] for group in groups]),
        ).fit(reml=True)
    found = dict(zip(names, map(float, fit.vcomp), strict=True))
    components = {**found, "residual": float(fit.scale)}
    freedom = min([group.shape[1] for group in groups], default=len(values)) - 1
    mean = float(np.asarray(fit.cov_params())[0, 0])
    new = Estimate(sum(components.values()) + mean, freedom)
    average = float(np.asarray(fit.fe_params)[0])
    return Spread(design.name, average, components, Estimate(mean, freedom), new)


def bounded(mean: float, half_width: float) -> tuple[float, float]:
    """Return an interval of a percentage within [0, 100] from its mean and Student's half-width.

    It is symmetric on the logit scale, onto which the half-width is carried by the derivative
    1 / (p(1−p)), as R's `svyciprop(method = "logit")` does (Korn and Graubard, Survey Methodology
    24, 1998); it holds the mean, and a mean of 0 or 100, at which all values are the same, alone.
    """
    p, half = mean / 100, half_width / 100
    if not 0 < p < 1:
        return (mean, mean) if half_width == 0 else (math.nan, math.nan)
    step = half / (p * (1 - p))
    return 100 * float(expit(logit(p) - step)), 100 * float(expit(logit(p) + step))


def test_set(accuracy: float, samples: int) -> float:
    """Return the variance p(1−p)/n that an accuracy in % has from the test images, binomially.

    All runs share a test set, so that no repetition shows it.
    """
    p = accuracy / 100
    return 1e4 * p * (1 - p) / samples


def seeds_for(difference: float, deviation: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Return how many pairs show a difference, given the paired standard deviation.

    Two-sided paired t test: T is noncentral, with n − 1 degrees of freedom and d √n. That it lies in the
    wrong tail, which is no power to speak of, does not count. No spread needs the least that has
    a deviation at all.
    """
    if deviation <= 0:
        return 2
    effect = abs(difference) / deviation

    def suffices(pairs: int) -> bool:
        freedom = pairs - 1
        critical, shift = stdtrit(freedom, 1 - alpha / 2), effect * math.sqrt(pairs)
        return 1 - nctdtr(freedom, shift, critical) >= power

    most = 2
    while not suffices(most):
        most *= 2
    # The power grows with the number of pairs.
    return bisect_left(range(most + 1), True, lo=2, key=suffices)
