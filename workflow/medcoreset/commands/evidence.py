"""Stage `evidence`: what some methods need beyond what a surrogate's training leaves behind."""

from pathlib import Path

import click
import numpy as np

from medcoreset.atomic import replacing
from medcoreset.commands import flags
from medcoreset.datasets import canonical
from medcoreset.errors import UserError


@click.command(name="evidence", cls=flags.Stage)
@click.argument("kind", type=click.Choice(["gradient_norms", "perturbations"]))
@flags.dataset
@click.option(
    "--surrogate",
    "surrogates",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="DIR",
    help="Folder of a trained surrogate; gradient_norms takes several.",
)
@click.option("--out", type=flags.Output(), required=True, metavar="FILE.npy")
@click.option(
    "--layers",
    type=click.Choice(["last", "all"]),
    default="last",
    show_default=True,
    help="Parameters that gradient_norms are of.",
)
@click.option(
    "--max-iterations",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Steps of the search for perturbations.",
)
@flags.device
@flags.threads
def command(
    kind: str,
    dataset: Path,
    surrogates: tuple[Path, ...],
    out: Path,
    layers: str,
    max_iterations: int,
    device: str,
    threads: int,
) -> None:
    """Compute an array of evidence, a .npy file, from trained surrogates.

    gradient_norms (R, N): ‖∇ℓ‖₂ of each training sample under each of R surrogates, for `grand`.
    perturbations (N,): squared L2 norm of DeepFool's perturbations under one, for `deepfool`.
    """
    if kind == "perturbations" and len(surrogates) > 1:
        raise UserError(
            f"perturbations are of one surrogate, but --surrogate names {len(surrogates)}"
        )
    data = canonical.load(dataset)
    if kind == "perturbations":
        values = _perturbations(surrogates[0], data, max_iterations, device, threads)
    elif layers == "all":
        values = np.stack([_all_layers(folder, data, device, threads) for folder in surrogates])
    else:
        values = np.stack([_last_layer(folder, data, device, threads) for folder in surrogates])
    with replacing(out) as temporary:
        np.save(temporary, values, allow_pickle=False)


def _last_layer(folder: Path, data: canonical.Dataset, device: str, threads: int) -> np.ndarray:
    from medcoreset.evidence import Evidence
    from medcoreset.evidence.gradients import Gradients

    evidence = Evidence.load(folder / "evidence", device=device, threads=threads)
    evidence.require("features", "final_probs", "labels")
    evidence.check_labels(data.train_labels)
    return Gradients.of_last_layer(evidence).norms.cpu().numpy()


def _all_layers(folder: Path, data: canonical.Dataset, device: str, threads: int) -> np.ndarray:
    from medcoreset.evidence import sample_gradients, surrogate
    from medcoreset.training.device import resolve

    return sample_gradients.all_layers(
        surrogate.load(folder, data, resolve(device, threads))
    ).numpy()


def _perturbations(
    folder: Path, data: canonical.Dataset, max_iterations: int, device: str, threads: int
) -> np.ndarray:
    from medcoreset.evidence import perturbations, surrogate
    from medcoreset.training.device import resolve

    trained = surrogate.load(folder, data, resolve(device, threads))
    return perturbations.squared_norms(trained, max_iterations).numpy()
