from functools import partial
from typing import Annotated, Literal

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.facility_location import cover
from medcoreset.methods.greedy import shuffled
from medcoreset.methods.parts import PartSize, cluster_sizes, cover_in_parts, divides
from medcoreset.methods.registry import Picks, selecting
from medcoreset.options import Range


@selecting(
    "craig",
    label="CRAIG",
    needs=("gradients",),
    reference="Mirzasoleiman et al., ICML 2020, Algorithm 1",
    cost="O(N_c²·D) per class of N_c samples",
    balance="class",
    weighted=True,
    departs="code of DeepCore adds 1 to every weight",
)
def craig(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    added: Annotated[float, Range(0)] = 0.0,
    precision: Literal["double", "single"] = "double",
    part_size: PartSize = None,
) -> Picks:
    """Greedily maximise Σ_i max (c − ‖g_i − g_j‖) over picks j, of last-layer gradients g.

    c is more than the largest distance (max d + 1e-3, say): it decides nothing, since every pick
    gains the same from it. So a pick is the one that most reduces the sum of the distances to the
    nearest pick; of equal ones, a random one. The weight of a pick is the number of samples that it
    is nearest to, itself included; weights add up to N. `added` is added to every weight: 1, in the
    code of DeepCore.

    With `precision: single`, distances are computed in float32 (sums are not), in half the memory and
    about half the time. Of a distance below 1 % of ‖g_i‖ it leaves no digit, so that picks change
    where many gradients are so near to each other, or where the two best gains differ by less than
    about 1e-6 of the sum of all ‖g_i‖.

    With a `part_size`, the samples are divided into parts of similar ones, of at most so many, and only
    picks of its own part are near to a sample, also where weights are counted, as in
    `facility_location`.
    """
    from medcoreset.evidence.kernels import proximity

    order, evidence = shuffled(evidence, rng)
    kernel = partial(proximity, precision=precision)
    if divides(part_size, evidence):
        picks, parts = cover_in_parts(evidence, kernel, count, part_size)
        sizes = cluster_sizes(evidence, kernel, picks, parts)
    else:
        picks, nearest = cover(kernel(evidence), count, evidence.preselected)
        sizes = np.bincount(nearest, minlength=count)
    return Picks(order[picks], sizes + added)
