"""Evidence of a trained model of any library: what its linear head gets, and what it gives."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from medcoreset.device import resolve
from medcoreset.errors import UserError
from medcoreset.options import Device
from medcoreset.recording.outputs import Outputs, arrays_of, write_arrays

LABELS = ("labels", "label")
"""What a mapping calls the labels of a batch."""


def extract(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    head: str = "fc",
    val_loader: Iterable[Any] | None = None,
    device: Device = "auto",
    out: str | Path = "evidence",
) -> Path:
    """Write features, logits and labels of the training samples, and of validation samples, to `out`.

    `model` is a classifier of any library, with a linear layer named `head` (as in `named_modules()`: `fc`,
    `classifier`, `head.fc`) that is called once per batch with features (B, D) and gives logits (B, C). It
    runs in evaluation mode on `device` (`auto`, `cpu` or `cuda`), and is left as it was. `loader` yields
    batches (images, labels) in the order of the samples, or (images, labels, index) in any order, with each
    index from 0 to N − 1 once (`IndexedDataset` adds it); or mappings, whose `labels` and `index` are these
    and whose other entries the model's arguments. Use one without random augmentation.

    The folder, which is returned, gets `labels` (N,), `features` (N, D) and `logits` (N, C), and from the
    `val_loader`, in whatever order, `val_labels`, `val_features` and `val_probs`; all that methods need which
    do not look at training dynamics. It may be the folder of a `Recorder`. All of it is in memory meanwhile.

    Raises UserError if the model has no such layer, it is no `nn.Linear` or gets other than features, the
    order of the samples is not known, labels are no classes, or logits are not finite.
    """
    layer = _head(model, head)
    place = resolve(device, None)
    _check_order(loader)
    with _evaluating(model, place):
        train = _outputs(model, layer, head, loader, place, numbered=True)
        val = None
        if val_loader is not None:
            val = _outputs(model, layer, head, val_loader, place, numbered=False)
    write_arrays(Path(out), arrays_of(train, val))
    return Path(out)


def _head(model: nn.Module, name: str) -> nn.Linear:
    modules = dict(model.named_modules())
    linear = [key for key, module in modules.items() if isinstance(module, nn.Linear)]
    allowed = (
        f"it is to be a linear layer, of which the model has {', '.join(linear[-5:]) or 'none'}"
    )
    if name not in modules:
        raise UserError(f"head is {name!r}, and the model has no such layer: {allowed}")
    layer = modules[name]
    if not isinstance(layer, nn.Linear):
        raise UserError(f"head is {name!r}, which is a {type(layer).__name__}: {allowed}")
    return layer


def _check_order(loader: Iterable[Any]) -> None:
    """Raise UserError for a DataLoader without indices that does not give all samples in their order."""
    if not isinstance(loader, DataLoader):
        return
    plain = isinstance(loader.sampler, SequentialSampler) and type(loader.batch_sampler) in (
        BatchSampler,
        type(None),
    )
    if plain and not loader.drop_last:
        return
    batch = next(iter(loader), None)
    if batch is not None and _parts(batch)[2] is None:
        raise UserError(
            "loader shuffles or leaves out samples, and its batches are without indices: give one with "
            "shuffle=False and drop_last=False, or of medcoreset.IndexedDataset(dataset)"
        )


@contextmanager
def _evaluating(model: nn.Module, place: torch.device) -> Iterator[None]:
    """Have a model in evaluation mode on a device, and then as it was."""
    training = {module: module.training for module in model.modules()}
    home = next((parameter.device for parameter in model.parameters()), place)
    try:
        model.to(place).eval()
        with torch.inference_mode():
            yield
    finally:
        for module, mode in training.items():
            module.training = mode
        model.to(home)


def _outputs(
    model: nn.Module,
    layer: nn.Linear,
    head: str,
    loader: Iterable[Any],
    place: torch.device,
    *,
    numbered: bool,
) -> Outputs:
    calls: list[tuple[Tensor, Tensor]] = []
    hook = layer.register_forward_hook(lambda _, given, made: calls.append((given[0], made)))
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    numbers: list[Tensor] = []
    try:
        for batch in loader:
            images, labels, index = _parts(batch)
            calls.clear()
            _run(model, images, place)
            found.append((labels, *_of_batch(head, calls, len(labels))))
            if index is not None:
                numbers.append(torch.as_tensor(index).flatten().long())
    finally:
        hook.remove()
    if not found:
        raise UserError("loader gives no batch, but it is to give all samples")
    outputs = Outputs(*(torch.cat(parts) for parts in zip(*found, strict=True)))
    if numbered and numbers:
        order = _order(torch.cat(numbers), len(outputs.labels))
        outputs = Outputs(*(part[order] for part in outputs))
    _check(outputs)
    return outputs


def _parts(batch: Any) -> tuple[Any, Tensor, Any]:
    """Return the model's input, the labels (B,) and the index (B,), or None, of a batch."""
    index = None
    if isinstance(batch, Mapping):
        inputs = dict(batch)
        index = inputs.pop("index", None)
        named = [inputs.pop(name) for name in LABELS if name in inputs]
        images, labels = inputs, named[0] if named else None
    elif isinstance(batch, list | tuple) and len(batch) in (2, 3):
        images, labels, *rest = batch
        index = rest[0] if rest else None
    else:
        labels = None
    labels = None if labels is None else torch.as_tensor(labels)
    if labels is None or labels.is_floating_point() or labels.numel() != len(labels):
        raise UserError(
            f"loader gives a {type(batch).__name__} that is not (images, labels) or (images, labels, index) "
            "with integer labels (B,)"
        )
    return images, labels.flatten().long().cpu(), index


def _run(model: nn.Module, images: Any, place: torch.device) -> None:
    if isinstance(images, Mapping):
        model(
            **{
                name: value.to(place) if isinstance(value, Tensor) else value
                for name, value in images.items()
            }
        )
    else:
        model(images.to(place))


def _of_batch(head: str, calls: list[tuple[Tensor, Tensor]], size: int) -> tuple[Tensor, Tensor]:
    if len(calls) != 1 or calls[0][0].ndim != 2 or len(calls[0][0]) != size:
        got = ", ".join(str(tuple(features.shape)) for features, _ in calls) or "nothing"
        raise UserError(
            f"head is {head!r}, which got {got} of a batch of {size}, but it is to be called once, with "
            f"features ({size}, D)"
        )
    features, logits = calls[0]
    return features.float().cpu(), logits.float().cpu()


def _order(numbers: Tensor, samples: int) -> Tensor:
    """Return where each sample is among those that came, (N,)."""
    if len(numbers) != samples or not torch.equal(numbers.sort().values, torch.arange(samples)):
        raise UserError(
            f"loader gives indices of {samples} samples that are not each of 0 to {samples - 1} once: are "
            "some left out, or of a subset?"
        )
    return numbers.argsort()


def _check(outputs: Outputs) -> None:
    labels, _, logits = outputs
    wrong = ((labels < 0) | (labels >= logits.shape[1])).nonzero()
    if len(wrong):
        first = int(wrong[0])
        raise UserError(
            f"labels[{first}] is {int(labels[first])}, but it is to be from 0 to {logits.shape[1] - 1}, a class "
            "of the head"
        )
    odd = (~torch.isfinite(logits)).any(1).nonzero()
    if len(odd):
        raise UserError(
            f"logits of sample {int(odd[0])} are NaN or infinite, but they are to be finite"
        )
