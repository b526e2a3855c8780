from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import first_best, lazy, shuffled
from medcoreset.methods.registry import selecting
from medcoreset.options import Range

if TYPE_CHECKING:
    from torch import Tensor
    from torch import device as Device

    from medcoreset.evidence.gradients import Samples
    from medcoreset.evidence.kernels import Kernel

Function = Literal["flqmi", "flvmi", "gcmi", "logdetmi", "com"]
Query = Literal["val", "given", "none"]
Space = Literal["gradients", "features"]

# What a private set goes with, besides or in place of queries.
CONDITIONAL_GAIN = ("flvmi", "gcmi", "logdetmi")
CONDITIONAL_MUTUAL_INFORMATION = ("flvmi", "logdetmi")


def needs(*, query: Query, private: bool, space: Space, **_: object) -> tuple[str, ...]:
    """Return the arrays of the samples, of the queries and of the private set."""
    own = ("features", "labels") if space == "features" else ("features", "final_probs", "labels")
    sides = {"val": "val_", "given": "query_"}
    found = list(own)
    if query != "none":
        found += [f"{sides[query]}{name}" for name in _side(space, labelled=True)]
    if private:
        found += [f"private_{name}" for name in _side(space, labelled=False)]
    return tuple(found)


def _side(space: Space, *, labelled: bool) -> tuple[str, ...]:
    if space == "gradients":
        return ("features", "probs", "labels")
    return ("features", "labels") if labelled else ("features",)


@selecting(
    "smi",
    label="SMI",
    needs=needs,
    reference="Kothawade et al. (PRISM), AAAI 2022; Kothawade et al. (SIMILAR), NeurIPS 2021; "
    "Iyer et al., ALT 2021",
    cost="O(N·Q·D) for Q queries and what the greedy algorithm looks at anew; flvmi O(N²·D); logdetmi "
    "O(N·(D + Q + S + M)·(Q + S + M)) for S private samples",
    departs="in submodlib, `FacilityLocationMutualInformation` is FLVMI and `FacilityLocationVariant"
    "MutualInformation` FLQMI; code of DISTIL gives the samples their predicted labels, here they "
    "have their own (`gradients`), or none (`features`)",
)
def smi(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    function: Function = "flqmi",
    query: Annotated[Query, "queries: validation samples, `query_` arrays, or none"] = "val",
    private: Annotated[
        bool, "whether to keep away from the samples of the `private_` arrays"
    ] = False,
    space: Annotated[
        Space, "s = ½ + ½ cos of these; gradients are of the last layer"
    ] = "gradients",
    eta: Annotated[float, Range(0), "η, weight of relevance to the queries"] = 1.0,
    nu: Annotated[float, Range(0), "ν, weight of the private set"] = 1.0,
    lam: Annotated[float, Range(0), "λ of graph cut"] = 1.0,
    concave: Annotated[Literal["log", "sqrt"], "ψ of com, ln(1 + x) or √x"] = "log",
    regularization: Annotated[float, Range(0), "r, added to the diagonal, of logdetmi"] = 1e-6,
) -> np.ndarray:
    """Greedily maximise a submodular information measure of the picks A with queries Q, private samples P.

    With queries alone, mutual information I(A; Q):
    `flqmi` Σ_q max_a s_qa + η Σ_a max_q s_aq; `flvmi` Σ_i min(max_a s_ia, η max_q s_iq) over all samples i;
    `gcmi` 2λ Σ s_aq; `com` η Σ_a ψ(Σ_q s_aq) + Σ_q ψ(Σ_a s_aq); `logdetmi` ln det S_A − ln det(S_A −
    η² S_AQ S_Q⁻¹ S_QA), where S has r on its diagonal besides.
    With a private set alone, conditional gain f(A | P): `flvmi` Σ_i max(max_a s_ia − ν max_p s_ip, 0);
    `gcmi` Σ s_ia − λ Σ s_aa' − 2λν Σ s_ap; `logdetmi` ln det(S_A − ν² S_AP S_P⁻¹ S_PA).
    With both, conditional mutual information I(A; Q | P): `flvmi` Σ_i max(min(max_a s_ia, η max_q s_iq) −
    ν max_p s_ip, 0); `logdetmi` ln det S_A|P − ln det S_A|PQ, with the products of A with Q and P taken η
    and ν times. (That of graph cut does not depend on P, and the papers have none of the others.)

    Each pick is the one of largest gain, even where no gain is positive: flvmi saturates when its queries
    are covered, and then picks at random. Of equal gains, a random one. Class by class, the queries are
    those of the class among which is picked (all if there are none). Raises UserError for a
    combination that is not defined.
    """
    check(function, query, private)
    order, evidence = shuffled(evidence, rng)
    sides = Sides(evidence, space, query, private)
    start = evidence.preselected
    if function in ("flqmi", "com"):
        gains, picked = _flqmi(sides, eta) if function == "flqmi" else _com(sides, eta, concave)
        whole = _blocks(gains, len(evidence), sides.joint.right.device)
        picks = lazy(whole, gains, picked, count, start)
    elif function == "flvmi":
        from medcoreset.methods.facility_location import cover

        picks, _ = cover(_capped(sides, eta, nu), count, start)
    elif function == "gcmi":
        picks = _graph_cut(sides, count, start, lam, nu)
    else:
        picks = _log_det(sides, count, start, (eta, nu, regularization), evidence.name)
    return order[picks]


def check(function: Function, query: Query, private: bool) -> None:
    """Raise a UserError for a measure that is not defined."""
    if query == "none" and not private:
        raise UserError("smi: query=none needs private=true: there is nothing to select by")
    if private:
        measure = "conditional gain" if query == "none" else "conditional mutual information"
        known = CONDITIONAL_GAIN if query == "none" else CONDITIONAL_MUTUAL_INFORMATION
        if function not in known:
            raise UserError(
                f"smi: function={function} has no {measure} (query={query}, private=true; those that "
                f"have: {', '.join(known)})"
            )


class Sides:
    """The N samples, the Q queries and the S private samples, and s = ½ + ½ cos of any two of them."""

    def __init__(self, evidence: Evidence, space: Space, query: Query, private: bool) -> None:
        import torch

        from medcoreset.evidence.gradients import Gradients

        names = {"": ("features", "final_probs", "labels")}
        if query != "none":
            prefix = "val" if query == "val" else "query"
            names["queries"] = (f"{prefix}_features", f"{prefix}_probs", f"{prefix}_labels")
        if private:
            names["private"] = ("private_features", "private_probs", "private_labels")
        parts = {side: _gradients(evidence, space, *of) for side, of in names.items()}
        if query != "none":
            labels = evidence.tensor(names["queries"][2])
            ours = (labels[:, None] == evidence.tensor("labels").unique()).any(dim=1)
            if ours.any():
                left, right = parts["queries"]
                parts["queries"] = left[ours], right[ours]
        lefts, rights = zip(*parts.values(), strict=True)
        self.joint = Gradients(torch.cat(lefts), torch.cat(rights)).unit()
        self.count = len(evidence)
        first = self.count
        self.places: dict[str, slice] = {}
        for side, (left, _) in parts.items():
            if side:
                self.places[side] = slice(first, first + len(left))
                first += len(left)

    def similarity(self, rows: "Samples", columns: "Samples") -> "Tensor":
        """Return s of some samples and others, numbered with queries and private ones behind."""
        return self.joint.inner(rows, columns).mul_(0.5).add_(0.5)

    def to(self, side: str, samples: "Samples") -> "Tensor":
        """Return s of some samples and all of a side (samples, Q or S)."""
        return self.similarity(samples, self.places[side])

    def best(self, side: str) -> "Tensor":
        """Return the largest s of each sample and any of a side (N,)."""
        import torch

        blocks = torch.arange(self.count, device=self.joint.right.device).split(BLOCK)
        return torch.cat([self.to(side, some).amax(dim=1) for some in blocks])

    def kernel(self) -> "Kernel":
        """Return s among the samples (N, N)."""
        from medcoreset.evidence.gradients import Gradients
        from medcoreset.evidence.kernels import Kernel

        own = Gradients(self.joint.left[: self.count], self.joint.right[: self.count])

        def block(rows: "Samples", columns: "Samples") -> "Tensor":
            return own.inner(rows, columns).mul_(0.5).add_(0.5)

        def sums() -> "Tensor":
            return own.dot(own.sum()).mul_(0.5).add_(0.5 * len(own))

        return Kernel(block, 0.5 + 0.5 * own.norms**2, sums=sums)


# Samples whose similarities to a side are in memory at a time.
BLOCK = 1024

Gains = Callable[["Tensor"], "Tensor"]


def _gradients(
    evidence: Evidence, space: Space, features: str, probs: str, labels: str
) -> tuple["Tensor", "Tensor"]:
    """Return the factors `left` and `right` of gradients, or `left` = 1 and features."""
    from medcoreset.evidence.gradients import with_bias

    right = evidence.tensor(features)
    if space == "features":
        return right.new_ones(len(right), 1), right
    left = evidence.tensor(probs)
    left[np.arange(len(left)), evidence[labels].astype(np.int64)] -= 1
    return left, with_bias(right)


def _blocks(gains: Gains, n: int, device: "Device") -> "Tensor":
    """Return the gains of all samples (n,), a block at a time."""
    import torch

    return torch.cat([gains(some) for some in torch.arange(n, device=device).split(BLOCK)])


def _flqmi(sides: Sides, eta: float) -> tuple[Gains, Callable[[int], None]]:
    relevance = sides.best("queries").mul_(eta)
    covered = relevance.new_zeros(sides.places["queries"].stop - sides.places["queries"].start)

    def gains(samples: "Tensor") -> "Tensor":
        rows = sides.to("queries", samples).sub_(covered).clamp_min_(0)
        return rows.sum(dim=1) + relevance[samples]

    def picked(sample: int) -> None:
        covered.copy_(covered.maximum(sides.to("queries", slice(sample, sample + 1))[0]))

    return gains, picked


def _com(sides: Sides, eta: float, concave: str) -> tuple[Gains, Callable[[int], None]]:
    import torch

    psi = torch.log1p if concave == "log" else torch.sqrt
    queries = sides.places["queries"]
    total = sides.joint.right.new_zeros(queries.stop - queries.start)

    def gains(samples: "Tensor") -> "Tensor":
        rows = sides.to("queries", samples).clamp_min_(0)
        own = psi(rows.sum(dim=1)).mul_(eta)
        return (psi(rows.add_(total)) - psi(total)).sum(dim=1).add_(own)

    def picked(sample: int) -> None:
        total.add_(sides.to("queries", slice(sample, sample + 1))[0].clamp_min_(0))

    return gains, picked


def _capped(sides: Sides, eta: float, nu: float) -> "Kernel":
    """Return min(s_ji, η max_q s_iq) − ν max_p s_ip, at least 0, of samples j (rows) and all i."""
    import torch

    from medcoreset.evidence.kernels import Capped

    base = sides.kernel()
    low = torch.zeros_like(base.diagonal)
    high = torch.full_like(low, torch.inf)
    if "private" in sides.places:
        low = sides.best("private").clamp_min_(0).mul_(nu)
    if "queries" in sides.places:
        high = sides.best("queries").clamp_min_(0).mul_(eta)
    return Capped(base, low, high.maximum(low))


def _graph_cut(sides: Sides, count: int, start: np.ndarray, lam: float, nu: float) -> np.ndarray:
    """Return the picks for graph cut's mutual information with queries, or its gain beyond private ones."""
    from medcoreset.evidence.kernels import Rows

    def total(side: str) -> "Tensor":
        return _blocks(
            lambda some: sides.to(side, some).sum(dim=1), sides.count, sides.joint.right.device
        )

    among = "private" in sides.places
    kernel = sides.kernel()
    if among:
        gains = kernel.sums() - lam * kernel.diagonal - 2 * lam * nu * total("private")
    else:
        gains = 2 * lam * total("queries")
    scale, rows = float(gains.abs().max()), Rows(kernel)
    picks: list[int] = []
    while len(picks) < count:
        pick = int(start[len(picks)]) if len(picks) < len(start) else first_best(gains, scale)
        picks.append(pick)
        if among:
            gains.sub_(rows.row(pick, gains), alpha=2 * lam)
        gains[pick] = -np.inf
    return np.array(picks, dtype=np.int64)


def _log_det(
    sides: Sides,
    count: int,
    start: np.ndarray,
    weights: tuple[float, float, float],
    name: str,
) -> np.ndarray:
    """Return the picks for ln det of S given the private set, less ln det of S given the queries too.

    With two Gaussian processes of these covariances, a gain is the logarithm of the ratio of a
    sample's variances, given the picks.
    """
    import torch

    from medcoreset.evidence.kernels import Rows

    eta, nu, regularization = weights
    kernel = sides.kernel()
    scale = float(kernel.diagonal.max()) + regularization
    given = {"queries": eta, "private": nu}
    wanted = [[side for side in sides.places if side == "private"]]
    if "queries" in sides.places:
        wanted.append(list(sides.places))
    processes = [
        _Process(kernel, sides, {side: given[side] for side in some}, count, regularization)
        for some in wanted
    ]
    for process in processes:
        if float(process.variance.min()) < -1e-9 * scale:
            raise UserError(
                f"smi: {name}: eta={eta:g} and nu={nu:g} leave some sample a negative variance given the "
                "queries or private samples; take them at most 1 and, with both sets, equal"
            )
    least = np.finfo(np.float64).eps * scale
    taken = torch.zeros_like(kernel.diagonal, dtype=torch.bool)
    rows = Rows(kernel)
    picks: list[int] = []
    while len(picks) < count:
        gains = processes[0].variance.clamp_min(least).log()
        if len(processes) > 1:
            gains = gains - processes[1].variance.clamp_min(least).log()
        extent = max(float(gains.abs().max()), 1.0)
        gains[taken] = -np.inf
        pick = int(start[len(picks)]) if len(picks) < len(start) else first_best(gains, extent)
        row = rows.row(pick, gains)
        for process in processes:
            process.add(pick, row, least)
        taken[pick] = True
        picks.append(pick)
    return np.array(picks, dtype=np.int64)


class _Process:
    """A Gaussian process over the samples, given other samples and those that are added.

    Row by row `factor` is the Cholesky factor of what is given, extended to all samples; the first
    rows are of the sides, with whose products `weights` are taken.
    """

    def __init__(
        self,
        kernel: "Kernel",
        sides: Sides,
        weights: dict[str, float],
        count: int,
        regularization: float,
    ) -> None:
        import torch

        self.variance = kernel.diagonal + regularization
        places = [
            torch.arange(sides.places[side].start, sides.places[side].stop) for side in weights
        ]
        self.done = sum(map(len, places))
        self.factor = self.variance.new_zeros(self.done + count, sides.count)
        if not self.done:
            return
        given = torch.cat(places).to(self.variance.device)
        among = sides.similarity(given, given)
        among.diagonal().add_(regularization)
        # Of samples that others determine, rounding may leave nothing or less.
        values, vectors = torch.linalg.eigh(among)
        kept = values > values.max() * len(values) * torch.finfo(values.dtype).eps
        roots = vectors[:, kept] / values[kept].sqrt()
        cross = torch.cat(
            [
                sides.to(side, slice(0, sides.count)).T.mul_(weight)
                for side, weight in weights.items()
            ]
        )
        self.done = roots.shape[1]
        self.factor = self.factor[: self.done + count]
        torch.mm(roots.T, cross, out=self.factor[: self.done])
        self.variance -= self.factor[: self.done].square().sum(dim=0)

    def add(self, pick: int, row: "Tensor", least: float) -> None:
        """Take a sample, whose similarities to all are `row` (N,), for given."""
        known = self.factor[: self.done]
        row = row - known[:, pick] @ known
        row /= self.variance[pick].clamp_min(least).sqrt()
        self.factor[self.done] = row
        self.variance -= row.square_()
        self.done += 1
