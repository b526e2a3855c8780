"""Images per second from a file of decoded images, beside JPEG files (the reference).

    python benchmarks/streaming.py [--processor-time]

Makes the JPEGs itself, in a temporary folder: smooth noise of 500 × 375 pixels. All files are in the
system's cache, so that no disk is measured. Prints a table and writes benchmarks/results/streaming.csv.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from PIL import Image

from medcoreset.datasets import canonical, decoding, folder
from medcoreset.datasets.streaming import Crop, ImagesOnDisk, load_batches
from table import Row, write

SIZE = (500, 375)
IMAGE_SIZE, RESIZED_TO = 224, 256
BATCH = 128
SAMPLES = {"files": 1024, "decoded": 4096}
"""Images of a measurement."""
RESULTS = Path(__file__).parent / "results" / "streaming.csv"


@click.command()
@click.option("--images", type=click.IntRange(min=5000), default=5000, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option(
    "--processor-time",
    is_flag=True,
    help="On a busy machine: seconds that all processes together compute.",
)
def main(images: int, out: Path, processor_time: bool) -> None:
    """Measure centres and random crops, read by no, one and two workers."""
    import torch

    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for row in measured(Path(place), images, processor_time):
            rows.append(row)
            click.echo(" | ".join(row.cells()), err=True)
    click.echo(f"{write(out, rows)}\n\n{out}")


def measured(place: Path, images: int, processor_time: bool) -> Iterator[Row]:
    """Yield a row for what is decoded once, and one per crop and number of workers."""
    write_jpegs(place / "images", images)
    dataset = folder.read(
        "noise", place / "images", image_size=IMAGE_SIZE, resized_to=RESIZED_TO, colour=True
    )
    dataset.info["decoded"] = True
    path = place / "noise.npz"
    canonical.write(dataset, path)
    splits, to = [dataset.images(split) for split in canonical.SPLITS], canonical.decoded_path(path)
    unit = "images/processor s" if processor_time else "images/s"
    began = _seconds(processor_time)
    count = decoding.decode(splits, to, dataset.sha256, processes=2)
    yield Row("streaming", "decoded once", unit, count / (_seconds(processor_time) - began), None)
    yield Row("streaming", "decoded once", "MB", (to / "pixels.bin").stat().st_size / 1e6, None)
    ways = {"files": dataset.train_images, "decoded": canonical.load(path).train_images}
    for crop in ("center", "random"):
        for workers in (0, 1, 2):
            rates = {
                name: _rate(way, SAMPLES[name], crop, workers, processor_time)
                for name, way in ways.items()
            }
            case = f"{crop} crops of {IMAGE_SIZE} pixels, {workers} workers"
            yield Row("streaming", case, unit, rates["decoded"], rates["files"])


def write_jpegs(root: Path, images: int) -> None:
    """Write pictures that look like nature's to a codec: coarse shapes, finer ones, and grain."""
    random = np.random.default_rng(0)
    textures = [_noise(random, 64) for _ in range(8)]
    grain = random.normal(0, 3, (*SIZE[::-1], 3))
    for number in range(images):
        path = root / f"class{number % 10}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.blend(_noise(random, 8), textures[number % len(textures)], 0.3)
        grainy = np.asarray(picture) + np.roll(grain, number, axis=1)
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def _noise(random: np.random.Generator, cells: int) -> Image.Image:
    coarse = random.integers(0, 256, (cells * 3 // 4, cells, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)


def _rate(
    images: ImagesOnDisk, samples: int, crop: Crop, workers: int, processor_time: bool
) -> float:
    """Return the images per second of batches in random order, the first of which is not counted."""
    chosen = np.resize(np.random.default_rng(1).permutation(len(images)), samples)
    batches = np.split(chosen, samples // BATCH)
    next(load_batches(images, batches[:1], crop=crop))
    began = _seconds(processor_time)
    for batch in load_batches(images, batches, workers=workers, crop=crop, seed=1):
        assert batch.shape[0] == BATCH
    return samples / (_seconds(processor_time) - began)


def _seconds(processor_time: bool) -> float:
    if not processor_time:
        return time.perf_counter()
    times = os.times()  # of children those that have ended
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
