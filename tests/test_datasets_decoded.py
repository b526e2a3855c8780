"""Images that are decoded once: the same pixels, whole or not used, and kept after a kill."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import namedtuple
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medcoreset.datasets import canonical, decoded, decoding, sources
from medcoreset.datasets.canonical import SPLITS, Dataset
from medcoreset.datasets.decoded import DecodedImages
from medcoreset.datasets.streaming import StreamedImages, load_batches
from medcoreset.errors import UserError
from medcoreset.study import feasible
from medcoreset.training.data import resident
from medcoreset.training.options import TrainingOptions
from tests.conftest import Snakemake
from tests.synchronisations import synchronisations

NAME = "scans+stream=decoded"
SIZES = ((40, 30), (30, 47), (64, 64), (25, 90), (33, 31))
"""Width and height: landscape, portrait, square, and odd margins."""


def write_jpegs(root: Path, *, train: int = 90, held_out: int = 10) -> Path:
    """Write smooth pictures of two classes in three splits, some of which lie on their side."""
    random = np.random.default_rng(0)
    counts = {"train": train, "val": held_out, "test": held_out}
    for split, label in product(counts, ("a", "b")):
        for number in range(counts[split]):
            path = root / split / label / f"{number:03}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            picture = coarse.resize(SIZES[number % len(SIZES)], Image.Resampling.BICUBIC)
            exif = Image.Exif()
            exif[0x0112] = 6 if number % 7 == 0 else 1
            picture.save(path, quality=90, exif=exif)
    return root


def prepared(folder: Path, name: str = NAME, *, image_size: int = 24) -> Path:
    """Prepare the pictures in `folder`/images as a streamed dataset; return its file."""
    dataset = sources.read_own_folder(name, folder / "images", image_size=image_size, stream=True)
    canonical.write(dataset, folder / f"{name}.npz")
    return folder / f"{name}.npz"


def decode(path: Path, processes: int = 1) -> int:
    dataset = canonical.load(path, files=True)
    splits = [dataset.images(split) for split in SPLITS]
    return decoding.decode(
        splits, canonical.decoded_path(path), dataset.sha256, processes=processes
    )


def command(path: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "medcoreset", "decode", "--dataset", str(path), *options]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A decoded dataset's file, not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    write_jpegs(folder / "images")
    path = prepared(folder)
    assert decode(path) == 220
    return path


@pytest.fixture
def own(tmp_path) -> Path:
    """A dataset's file, of which no image is decoded yet."""
    write_jpegs(tmp_path / "images")
    return prepared(tmp_path)


def test_centres_are_those_of_the_files_to_the_last_bit(made):
    files, once = canonical.load(made, files=True), canonical.load(made)
    for split in SPLITS:
        images = once.images(split)
        assert isinstance(images, DecodedImages)
        assert images.shape == files.images(split).shape
        np.testing.assert_array_equal(images[:], files.images(split)[:])
        np.testing.assert_array_equal(images[[3, 1]], files.images(split)[[3, 1]])
        np.testing.assert_array_equal(images.subset(np.array([4, 2]))[1], images[2])
        np.testing.assert_array_equal(once.labels(split), files.labels(split))


@pytest.mark.parametrize("size", [(64, 48), (41, 63), (57, 57), (30, 80)])
@pytest.mark.parametrize(("image_size", "resized_to"), [(24, 24), (24, 29), (21, 26)])
def test_around_the_centre_the_picture_goes_on(tmp_path, size, image_size, resized_to):
    """Of a picture whose values are places, what is stored are the places of one regular grid."""
    width, height = size
    places = np.meshgrid(3 * np.arange(width), 3 * np.arange(height))
    picture = np.stack([*places, places[0]], axis=2).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    paths, file_bytes = np.array(["a.png"]), np.zeros(1, np.int64)
    images = StreamedImages(tmp_path, paths, file_bytes, image_size, resized_to)
    stored = decoded.stored(images, 0, whole=True)
    scale = min(size) / resized_to
    for side, length in zip(stored.shape[1::-1], size, strict=True):
        assert 0 <= length / scale - side < 2
    columns, rows = (
        3 * ((length - 1) / 2 + (np.arange(side) - (side - 1) / 2) * scale)
        for side, length in zip(stored.shape[1::-1], size, strict=True)
    )
    inside = slice(1, -1)  # at an edge of the picture there is less to take the mean of
    np.testing.assert_allclose(stored[inside, inside, 0] - columns[inside], 0, atol=1)
    np.testing.assert_allclose(stored[inside, inside, 1] - rows[inside, None], 0, atol=1)
    top, left = ((side - image_size) // 2 for side in stored.shape[:2])
    centre = stored[top : top + image_size, left : left + image_size]
    np.testing.assert_array_equal(centre, images[0])


def test_random_crops_are_the_same_for_any_number_of_workers_and_lie_within(made):
    images = canonical.load(made).train_images
    batches = np.array_split(np.random.default_rng(0).permutation(len(images)), 4)
    one, two = (
        list(load_batches(images, batches, workers=workers, crop="random", seed=7))
        for workers in (0, 2)
    )
    for ours, theirs, batch in zip(one, two, batches, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.shape == (len(batch), 24, 24, 3)
    other = next(load_batches(images, batches, crop="random", seed=8))
    assert not np.array_equal(one[0], other)
    assert not np.array_equal(one[0], images[batches[0]])


def test_grey_pictures_are_stored_in_one_channel(tmp_path):
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (40, 30), dtype=np.uint8))
    picture.save(tmp_path / "a.png")
    paths, file_bytes = np.array(["a.png"]), np.array([(tmp_path / "a.png").stat().st_size])
    grey = StreamedImages(tmp_path, paths, file_bytes, 12, 14, colour=False)
    decoding.decode([grey] * 3, tmp_path / "grey", "sha")
    train, *held_out = decoded.load(tmp_path / "grey", "sha", [1, 1, 1], 12, False)
    for images in (train, *held_out):
        np.testing.assert_array_equal(images[:], grey[:])
    assert train.image(0, np.random.default_rng(1)).shape == (12, 12)
    assert train.file.array.size == 18 * 14 + 2 * 12 * 12


def test_random_crops_look_like_those_of_the_files(made):
    """The same box of the same picture, but for its resolution."""
    files, once = canonical.load(made, files=True), canonical.load(made)
    crops = [
        next(load_batches(each.train_images, [np.arange(60)], crop="random", seed=3)).astype(int)
        for each in (files, once)
    ]
    apart = [
        np.abs(crops[0] - np.roll(crops[1], shift, axis=0)).mean(axis=(1, 2, 3)).mean()
        for shift in (0, 1)
    ]
    assert apart[0] < apart[1] / 4


def test_a_training_reads_them_without_waiting_for_the_device(made):
    split = resident(canonical.load(made), TrainingOptions(), torch.device("cpu"), 2).train
    batches = torch.arange(100).split(30)
    # The loader's own seed, and each batch in the memory that its worker shared: of no device.
    for random, of_the_loader in ((None, []), (5, ["_local_scalar_dense", *["__array__"] * 4])):
        with synchronisations() as found:
            count = len(list(split.batches(batches, random=random)))
        assert (count, found) == (4, ["cpu", "numpy", *of_the_loader])


def test_workers_get_the_name_of_the_file_and_not_its_pixels(made):
    images = canonical.load(made).train_images
    text = pickle.dumps(images)
    assert len(text) < 40_000 < images.file.array.size
    np.testing.assert_array_equal(pickle.loads(text)[:5], images[:5])


def test_its_numbers_never_mix_with_those_of_the_files(made):
    folder = made.parent
    streamed = canonical.load(prepared(folder, "scans"))
    assert streamed.sha256 != canonical.load(made).sha256
    np.testing.assert_array_equal(streamed.train_images.paths, _paths(made))


def _paths(path: Path) -> np.ndarray:
    return canonical.load(path, files=True).train_images.paths


def test_the_digest_counts_how_images_are_resized(own):
    """Two sizes of the same files are not the same data."""
    sha256 = canonical.load_info(own)["sha256"]
    assert canonical.load_info(prepared(own.parent, image_size=16))["sha256"] != sha256


# --- the file is whole, or not used --------------------------------------------------------------


def bytes_of(path: Path) -> bytes:
    return (canonical.decoded_path(path) / decoded.PIXELS).read_bytes()


def test_the_bytes_do_not_depend_on_the_number_of_processes(made, own):
    assert decode(own, processes=3) == 220
    assert bytes_of(own) == bytes_of(made)


def cut(pixels: Path) -> None:
    os.truncate(pixels, pixels.stat().st_size - 1)


def overwrite(pixels: Path) -> None:
    with pixels.open("r+b") as file:
        file.seek(-2000, os.SEEK_END)
        file.write(b"\0" * 1000)


@pytest.mark.parametrize(
    ("damage", "said"),
    [(cut, "bytes, not"), (overwrite, "was damaged"), (Path.unlink, "has 0 bytes, not")],
)
def test_a_torn_file_is_refused_and_mended(made, own, damage, said):
    decode(own)
    damage(canonical.decoded_path(own) / decoded.PIXELS)
    with pytest.raises(UserError, match=said) as told:
        canonical.load(own)
    assert "medcoreset decode" in str(told.value)
    again = decode(own)
    assert again == (220 if damage is Path.unlink else 220 - 3 * decoded.PART)
    assert bytes_of(own) == bytes_of(made)
    canonical.load(own)


def test_a_damaged_part_alone_is_decoded_again(made, own):
    decode(own)
    with (canonical.decoded_path(own) / decoded.PIXELS).open("r+b") as file:
        file.write(b"\0" * 500)
    assert decode(own) == decoded.PART
    assert bytes_of(own) == bytes_of(made)
    assert decode(own) == 0


def test_a_file_of_other_images_is_refused_and_replaced(own):
    with pytest.raises(UserError, match="not decoded yet; make it anew: medcoreset decode"):
        canonical.load(own)
    decode(own)
    mapped = canonical.load(own).train_images
    before = mapped[:]
    Image.new("RGB", (50, 40), "red").save(own.parent / "images/train/a/000.jpg")
    prepared(own.parent)
    with pytest.raises(UserError, match="of other images, or made by other code"):
        canonical.load(own)
    assert decode(own) == 220
    assert not np.array_equal(canonical.load(own).train_images[:], before)
    np.testing.assert_array_equal(mapped[:], before)  # who reads the former file goes on to


def test_other_code_is_other_pixels(own, monkeypatch):
    decode(own)
    monkeypatch.setattr(decoded, "code_of", lambda path: "other")
    with pytest.raises(UserError, match="made by other code"):
        canonical.load(own)
    assert decode(own) == 220


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_killed_job_goes_on_where_it_was(made, own, processes):
    """What was finished is not decoded again, though the end of it is torn."""
    folder = canonical.decoded_path(own)
    code = (
        "import sys, time; from medcoreset.datasets import decoded, pictures; read = pictures.read\n"
        "def slow(*given, **more):\n    time.sleep(0.01)\n    return read(*given, **more)\n"
        "pictures.read = slow\n"
        "from medcoreset.__main__ import main; main()\n"
    )
    arguments = ["decode", "--dataset", str(own), "--threads", processes]
    job = subprocess.Popen([sys.executable, "-c", code, *arguments], start_new_session=True)
    journal = folder / decoding.JOURNAL
    deadline = time.monotonic() + 120
    while not journal.exists() or journal.read_text().count("sha256") < 1:
        assert time.monotonic() < deadline
        assert job.poll() is None
        time.sleep(0.005)
    job.kill()
    job.wait()
    _wait_until_gone(job.pid)
    assert not (folder / decoded.INDEX).exists()
    with pytest.raises(UserError, match="not decoded yet"):
        canonical.load(own)
    with journal.open("a") as file:
        file.write('{"first": 64, "sizes": [[24, ')
    kept = journal.read_text().count("sha256") * decoded.PART
    done = subprocess.run(
        command(own, "--threads", processes), capture_output=True, text=True, check=True
    )
    assert f"{kept} of the 220 images" in done.stderr
    assert f"{NAME}: {220 - kept} images decoded into" in done.stdout
    assert bytes_of(own) == bytes_of(made)


def _wait_until_gone(group: int) -> None:
    """Its processes end without their parent, and write nothing any more."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("processes that decode outlive the job")


# --- mistakes ------------------------------------------------------------------------------------


def one_line(arguments: list[str]) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    return done.stderr


@pytest.mark.parametrize("threads", ["1", "2"])
def test_an_image_that_cannot_be_decoded_is_named_in_one_line(own, threads):
    image = own.parent / "images/val/b/003.jpg"
    content = image.read_bytes()
    image.write_bytes(content[:400] + bytes(len(content) - 400))
    said = one_line(command(own, "--threads", threads))
    assert f"{image} is not a readable image" in said
    image.write_bytes(content)
    assert decode(own) <= 220 - 2 * decoded.PART  # what came before it is kept


def test_an_image_of_another_size_than_prepared_is_refused(own):
    image = own.parent / "images/train/b/003.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    assert f"{image} has changed since its dataset was prepared" in one_line(command(own))


def test_too_small_a_disk_is_refused_before_the_first_image_is_written(own, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda folder: usage(300_000))
    with pytest.raises(
        UserError, match=r"220 decoded images take about 0.000\d+ GB, and 0.0003 GB"
    ):
        decode(own)
    assert not (canonical.decoded_path(own) / decoded.PIXELS).exists()
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda folder: usage(900_000))
    assert decode(own) == 220


def test_what_is_not_streamed_is_not_decoded(tmp_path):
    write_jpegs(tmp_path / "images", train=10, held_out=5)
    with pytest.raises(UserError, match=r"stay in their files; datasets\.scans has no stream"):
        sources.read_own_folder(NAME, tmp_path / "images", image_size=8)
    with pytest.raises(UserError, match=r"digits\+stream=decoded: stream=decoded is for images"):
        sources.read("digits+stream=decoded")
    with pytest.raises(UserError, match="stream is files or decoded, not 'once'"):
        sources.read("imagenet+stream=once")
    path = prepared(tmp_path, "scans")
    assert f"{path} is not to be decoded: make it as scans+stream=decoded" in one_line(
        command(path)
    )


def test_a_study_that_decodes_what_is_in_memory_is_refused_before_its_first_job():
    own = {"scans": {"path": "images", "image_size": 24, "stream": False}}
    with pytest.raises(UserError, match=r"datasets\.scans has no stream: true"):
        feasible.check_split(NAME, own)
    feasible.check_split(NAME, {"scans": own["scans"] | {"stream": True}})


def test_the_recipe_of_the_dataset_is_checked(own):
    assert "does not fit the plan" in one_line(command(own, "--expects", "other"))


# --- the workflow --------------------------------------------------------------------------------

STUDY = {
    "own.yaml": """\
datasets: {scans: {path: images, image_size: 24, stream: true}}
studies: [study]
resources: {decode: {threads: 2, mem_mb: 1000, runtime: 5, gpu: 0}}
""",
    "study/experiments/cached.yaml": """\
title: "Decoded once"
datasets: [scans, scans+stream=decoded]
protocols: [short]
surrogate: {network: lenet, seeds: shared}
networks: [lenet]
methods: {el2n: {epochs: 1}}
full: false
reference: el2n
rates: [0.5]
seeds: [0]
""",
    "study/protocols/short.yaml": """\
description: Two epochs.
extends: clean
training: {epochs: 2, batch_size: 32, precision: float32}
""",
}


@pytest.mark.long
def test_a_study(snakemake: Snakemake, tmp_path):
    """Without random crops the numbers are those of the files; a change of an image is noticed."""
    write_jpegs(tmp_path / "images")
    for name, text in STUDY.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def run(*arguments: str) -> str:
        given = ("--configfile", str(tmp_path / "own.yaml"))
        outcome = snakemake(tmp_path, "cached", *arguments, *given, timeout=1200)
        assert outcome.returncode == 0, outcome.stderr[-5000:]
        return outcome.stdout + outcome.stderr

    run()
    place = "short/lenet+seed=0/el2n+epochs=1/0.5/lenet/0/metrics.json"
    files, once = (
        json.loads((tmp_path / "results/runs" / name / place).read_text())
        for name in ("scans", NAME)
    )
    assert files["run"]["dataset_sha256"] != once["run"]["dataset_sha256"]
    assert files["seeds"] == once["seeds"]
    assert "Nothing to be done" in run("-n")
    Image.new("RGB", (50, 40), "red").save(tmp_path / "images/train/a/000.jpg")
    assert "decode_images" in run("-n")


def test_a_rehearsal_decodes_its_stand_in(tmp_path):
    name = "imagenet+stream=decoded+val=0"
    for _ in range(2):  # the second finds what the first left
        dataset = sources.read_stand_in(name, 10, tmp_path / name)
        canonical.write(dataset, path := tmp_path / f"{name}.npz")
        decode(path)
        loaded: Dataset = canonical.load(path)
        np.testing.assert_array_equal(loaded.train_images[:9], dataset.train_images[:9])
        assert loaded.train_images.sizes[0].tolist() == [36, 54]
