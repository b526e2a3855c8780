import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import Streams, redrawing


@redrawing(
    "rs2",
    label="RS2",
    reference="Okanovic et al., ICLR 2024 (repeated random sampling)",
    cost="O(N) per epoch",
    departs="the authors' code fills an epoch up with one sample too few where a deal of samples ends",
)
def rs2(
    evidence: Evidence, count: int, epoch: int, streams: Streams, *, replacement: bool = False
) -> np.ndarray:
    """Draw samples anew in every epoch: from all, or those first that were not drawn yet.

    With `replacement` every epoch draws from all samples. Without, they are shuffled and dealt out,
    `count` per epoch; the last epoch of a deal is filled up from its first, as in the authors' code,
    and the next one shuffles again.
    """
    given = evidence.preselected
    others = np.setdiff1d(np.arange(len(evidence)), given)
    wanted = count - len(given)
    deals = 1 if replacement or not wanted else -(-len(others) // wanted)
    deal, turn = divmod(epoch, deals)
    places = np.arange(turn * wanted, (turn + 1) * wanted) % max(len(others), 1)
    return np.concatenate([given, streams(deal).permutation(others)[places]])
