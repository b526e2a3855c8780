"""The classical sets, from small files in their original formats and the real FashionMNIST.

The originals' checksums and counts are replaced by those of the small files; all else is real.
"""

import gzip
import hashlib
import io
import pickle
import shutil
import tarfile
import zipfile
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import get_args

import numpy as np
import pytest
import scipy.io
import torchvision.datasets as originals
from PIL import Image

from medcoreset.datasets import canonical, catalog, sources, tinyimagenet, vision
from medcoreset.datasets.summary import summary
from medcoreset.errors import UserError

RNG = np.random.default_rng(0)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def put(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5(content)


@pytest.fixture
def counts(monkeypatch):
    def set_counts(name: str, train: int, test: int) -> None:
        source = replace(catalog.SOURCES[name], counts={"train": train, "test": test})
        monkeypatch.setitem(catalog.SOURCES, name, source)

    return set_counts


# --- CIFAR ---------------------------------------------------------------------------------------


@pytest.fixture(params=["cifar10", "cifar100"])
def cifar(request, tmp_path, monkeypatch, counts):
    """Make an archive of pickled batches, as published: rows of 1024 red, green, blue values."""
    name = request.param
    source = {"cifar10": originals.CIFAR10, "cifar100": originals.CIFAR100}[name]
    key = "labels" if name == "cifar10" else "fine_labels"
    batches = len(source.train_list)
    size = 100 // batches
    images = RNG.integers(0, 256, (110, 32, 32, 3), np.uint8)
    labels = np.arange(110) % 10

    def batch(rows: slice) -> bytes:
        data = images[rows].transpose(0, 3, 1, 2).reshape(-1, 3072)
        return pickle.dumps({"data": data, key: labels[rows].tolist()}, protocol=2)

    names = [file for file, _ in source.train_list]
    files = {file: batch(slice(i * size, (i + 1) * size)) for i, file in enumerate(names)}
    files[source.test_list[0][0]] = batch(slice(100, 110))
    files[source.meta["filename"]] = pickle.dumps({source.meta["key"]: list("abcdefghij")})
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file, content in files.items():
            member = tarfile.TarInfo(f"{source.base_folder}/{file}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(source, "train_list", [[file, md5(files[file])] for file in names])
    test_file = source.test_list[0][0]
    monkeypatch.setattr(source, "test_list", [[test_file, md5(files[test_file])]])
    meta_file = source.meta["filename"]
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": md5(files[meta_file])})
    folder = tmp_path / "archives"
    monkeypatch.setattr(source, "tgz_md5", put(folder / source.filename, archive.getvalue()))
    counts(name, 100, 10)
    return name, folder, images, labels


def test_cifar(cifar, tmp_path):
    name, folder, images, labels = cifar
    dataset = sources.read(f"{name}+val=0", data_dir=folder)
    np.testing.assert_array_equal(dataset.train_images, images[:100])
    np.testing.assert_array_equal(dataset.train_labels, labels[:100])
    np.testing.assert_array_equal(dataset.test_images, images[100:])
    assert dataset.info["class_names"] == list("abcdefghij")
    assert dataset.val_images.shape == (0, 32, 32, 3)
    canonical.write(dataset, tmp_path / "cifar.npz")
    assert canonical.load(tmp_path / "cifar.npz").sha256 == dataset.sha256
    assert len(list(folder.rglob("*"))) == 1  # nothing is unpacked into the user's folder

    shutil.unpack_archive(next(folder.iterdir()), tmp_path / "unpacked")
    again = sources.read(f"{name}+val=0", data_dir=tmp_path / "unpacked")
    assert again.sha256 == dataset.sha256


def test_broken_cifar(cifar, tmp_path):
    name, folder, *_ = cifar
    archive = next(folder.iterdir())
    shutil.unpack_archive(archive, tmp_path / "unpacked")
    batch = next((tmp_path / "unpacked").rglob("test*"))
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"test[^ ]* has MD5 .*, not the official"):
        sources.read(name, data_dir=tmp_path / "unpacked")
    archive.write_bytes(archive.read_bytes()[:-1])
    content = archive.read_bytes()
    with pytest.raises(UserError, match=r"python\.tar\.gz has MD5"):
        sources.read(name, data_dir=folder)
    assert archive.read_bytes() == content


def test_validation_set_is_held_out_of_train(cifar):
    name, folder, images, _ = cifar
    dataset = sources.read(name, data_dir=folder)
    parts = [dataset.labels(split) for split in canonical.SPLITS]
    assert [len(part) for part in parts] == [90, 10, 10]
    assert np.bincount(parts[0]).tolist() == [9] * 10
    assert np.bincount(parts[1]).tolist() == [1] * 10
    whole = np.concatenate([dataset.train_images, dataset.val_images])
    assert sorted(map(bytes, whole)) == sorted(map(bytes, images[:100]))
    np.testing.assert_array_equal(dataset.test_images, images[100:])
    fewer = sources.read(f"{name}+train=20+val=0.3", data_dir=folder)
    assert [len(fewer.labels(split)) for split in canonical.SPLITS] == [20, 30, 10]
    with pytest.raises(UserError, match="cannot split by class"):
        sources.read(f"{name}+val=0.01", data_dir=folder)


# --- SVHN ----------------------------------------------------------------------------------------


def test_svhn(tmp_path, monkeypatch, counts):
    images = RNG.integers(0, 256, (30, 32, 32, 3), np.uint8)
    labels = np.arange(30) % 10
    listed = {}
    for split, rows in {"train": slice(0, 20), "test": slice(20, 30)}.items():
        url, filename, _ = originals.SVHN.split_list[split]
        written = np.where(labels[rows] == 0, 10, labels[rows])[:, None]  # ten stands for 0
        content = io.BytesIO()
        scipy.io.savemat(content, {"X": images[rows].transpose(1, 2, 3, 0), "y": written})
        listed[split] = [url, filename, put(tmp_path / filename, content.getvalue())]
    monkeypatch.setattr(originals.SVHN, "split_list", listed)
    counts("svhn", 20, 10)
    dataset = sources.read("svhn+val=0", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images, images[:20])
    np.testing.assert_array_equal(dataset.train_labels, labels[:20])
    np.testing.assert_array_equal(dataset.test_images, images[20:])
    counts("svhn", 21, 10)
    with pytest.raises(UserError, match="has 20 train images, not the official 21"):
        sources.read("svhn", data_dir=tmp_path)


# --- MNIST's format ------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    """Return `array` in the format of MNIST's authors: type, rank, sizes, big-endian data."""
    kind, dtype = {"uint8": (8, ">u1"), "int32": (12, ">i4")}[str(array.dtype)]
    header = bytes([0, 0, kind, array.ndim])
    return header + np.array(array.shape, ">i4").tobytes() + array.astype(dtype).tobytes()


@pytest.fixture(params=["mnist", "fashionmnist", "qmnist"])
def digits28(request, tmp_path, monkeypatch, counts):
    name = request.param
    by_name = {"mnist": originals.MNIST, "fashionmnist": originals.FashionMNIST}
    source = by_name.get(name, originals.QMNIST)
    images = RNG.integers(0, 256, (50, 28, 28), np.uint8)
    labels = (np.arange(50) % 10).astype(np.uint8)
    folder = tmp_path / "data" / source.__name__ / "raw"
    arrays = [images[:40], labels[:40], images[40:], labels[40:]]
    if name == "qmnist":
        facts = [np.stack([part, *[part * 0] * 7], 1).astype(np.int32) for part in arrays[1::2]]
        arrays[1::2] = facts
        listed = [*source.resources["train"], *source.resources["test"]]
    else:
        listed = source.resources
    files = []
    for (url, _), array in zip(listed, arrays, strict=True):
        files.append((url, put(folder / Path(url).name, gzip.compress(idx(array)))))
    resources = {"train": files[:2], "test": files[2:]} if name == "qmnist" else files
    monkeypatch.setattr(source, "resources", resources)
    raw = {f"{source.__name__}/raw/{Path(url).stem}" for url, _ in files}
    contents = {
        f"{source.__name__}/raw/{Path(url).stem}": md5(idx(array))
        for (url, _), array in zip(listed, arrays, strict=True)
    }
    assert name == "qmnist" or raw <= set(vision.UNPACKED_MD5)
    monkeypatch.setattr(vision, "UNPACKED_MD5", {} if name == "qmnist" else contents)
    counts(name, 40, 10)
    return name, tmp_path / "data", images, labels


def test_idx_archives_and_files(digits28):
    name, folder, images, labels = digits28
    dataset = sources.read(f"{name}+val=0", data_dir=folder)
    np.testing.assert_array_equal(dataset.train_images, images[:40])
    np.testing.assert_array_equal(dataset.train_labels, labels[:40])
    np.testing.assert_array_equal(dataset.test_labels, labels[40:])
    assert dataset.classes == 10
    assert dataset.info["verified"]
    for archive in folder.rglob("*.gz"):
        archive.with_suffix("").write_bytes(gzip.decompress(archive.read_bytes()))
        archive.unlink()
    unpacked = sources.read(f"{name}+val=0", data_dir=folder)
    assert unpacked.sha256 == dataset.sha256
    assert unpacked.info["verified"] == (name != "qmnist")
    file = next(folder.rglob("*images*"))
    file.write_bytes(file.read_bytes()[:-100])
    said = "is not a folder with the files of" if name == "qmnist" else "not the official"
    with pytest.raises(UserError, match=said):
        sources.read(name, data_dir=folder)
    file.unlink()
    with pytest.raises(UserError, match=r"no official file .*gz; nor has it all of"):
        sources.read(name, data_dir=folder)


ENTRY = catalog.Source("torchvision", {"train": 40, "test": 10}, (1,) * 10, 28)


def test_a_set_of_torchvision_is_one_entry_of_the_catalogue(tmp_path, monkeypatch):
    monkeypatch.setitem(catalog.SOURCES, "kmnist", ENTRY)
    images = RNG.integers(0, 256, (50, 28, 28), np.uint8)
    labels = (np.arange(50) % 10).astype(np.uint8)
    arrays = [images[:40], labels[:40], images[40:], labels[40:]]
    folder = tmp_path / "KMNIST" / "raw"
    resources = [
        (name, put(folder / name, gzip.compress(idx(array))))
        for (name, _), array in zip(originals.KMNIST.resources, arrays, strict=True)
    ]
    monkeypatch.setattr(originals.KMNIST, "resources", resources)
    dataset = sources.read("kmnist+val=0", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images, images[:40])
    np.testing.assert_array_equal(dataset.test_labels, labels[40:])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (ENTRY, ["nomnist", "torchvision has no such set"]),
        (replace(ENTRY, reader="nobody"), ["nomnist", "no reader 'nobody'"]),
    ],
)
def test_an_entry_that_nothing_reads_is_one_line(monkeypatch, entry, words):
    monkeypatch.setitem(catalog.SOURCES, "nomnist", entry)
    with pytest.raises(UserError) as mistake:
        sources.read("nomnist")
    assert all(word in str(mistake.value) for word in words), mistake.value


@pytest.mark.parametrize("name", catalog.SOURCES)
def test_every_entry_of_the_catalogue_has_a_reader_and_its_facts(name):
    source = catalog.SOURCES[name]
    assert source.reader in get_args(catalog.Reader)
    assert set(source.counts) == ({"train", "val", "test"} if source.has_val else {"train", "test"})
    assert len(source.class_shares) > 1
    assert source.citation
    assert source.files or source.reader in ("digits", "imagenet")
    if source.reader == "torchvision":
        assert all(len(archive.md5) == 32 for archive in vision._archives(name))


def test_a_changed_pixel_of_unpacked_files(digits28):
    source, folder, *_ = digits28
    name = f"{source}+val=0"
    for archive in folder.rglob("*.gz"):
        content = bytearray(gzip.decompress(archive.read_bytes()))
        content[-1] ^= 1
        archive.with_suffix("").write_bytes(content)
    assert sources.read(name, data_dir=folder).info["verified"]  # of the archives, which are right
    for archive in folder.rglob("*.gz"):
        archive.unlink()
    if source == "qmnist":
        assert not sources.read(name, data_dir=folder).info["verified"]
    else:
        with pytest.raises(UserError, match=r"idx\d-ubyte has MD5 .* not the official"):
            sources.read(name, data_dir=folder)


def test_what_an_older_torchvision_left_behind_is_not_read(digits28):
    import torch

    name, folder, images, _ = digits28
    processed = next(folder.iterdir()) / "processed"
    processed.mkdir()
    stale = (torch.zeros(40, 28, 28, dtype=torch.uint8), torch.zeros(40, 8, dtype=torch.int64))
    for file in ("training.pt", "test.pt", "train.pt"):
        torch.save(stale, processed / file)
    for archive in folder.rglob("*.gz"):
        archive.with_suffix("").write_bytes(gzip.decompress(archive.read_bytes()))
        archive.unlink()
    dataset = sources.read(f"{name}+val=0", data_dir=folder)
    np.testing.assert_array_equal(dataset.train_images, images[:40])


def test_from_a_mirror(digits28, tmp_path):
    name, folder, images, _ = digits28
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        mirror = f"http://127.0.0.1:{server.server_port}"
        dataset = sources.read(f"{name}+val=0", mirror=mirror, cache=tmp_path / "cache")
        server.shutdown()
    np.testing.assert_array_equal(dataset.train_images, images[:40])
    # What was downloaded is laid out as a data_dir.
    again = sources.read(f"{name}+val=0", data_dir=tmp_path / "cache")
    assert again.sha256 == dataset.sha256


def test_real_fashionmnist(medical_data):
    dataset = sources.read("fashionmnist+train=6000", data_dir=medical_data)
    assert [len(dataset.labels(split)) for split in canonical.SPLITS] == [6000, 6000, 10_000]
    assert np.bincount(dataset.train_labels).tolist() == [600] * 10
    assert np.bincount(dataset.val_labels).tolist() == [600] * 10
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10
    raw = (medical_data / "FashionMNIST/raw/t10k-images-idx3-ubyte").read_bytes()[16:]
    assert dataset.test_images.tobytes() == raw
    assert dataset.info["class_names"][9] == "Ankle boot"
    assert dataset.info["verified"]


# --- TinyImageNet --------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path, monkeypatch, counts):
    def jpeg(colour: tuple[int, int, int] | int) -> bytes:
        content = io.BytesIO()
        mode = "L" if isinstance(colour, int) else "RGB"
        Image.new(mode, (64, 64), colour).save(content, "JPEG", quality=100)
        return content.getvalue()

    wnids = {"n01": (255, 0, 0), "n02": 128}
    files = {
        "wnids.txt": b"n02\nn01\n",
        "words.txt": b"n01\tred thing, ruby\nn02\tgrey thing\nn03\tno class\n",
        "val/val_annotations.txt": b"val_0.JPEG\tn02\t0\t0\t62\t62\nval_1.JPEG\tn01\t0\t0\t9\t9\n",
        "val/images/val_0.JPEG": jpeg(128),
        "val/images/val_1.JPEG": jpeg((255, 0, 0)),
        "test/images/test_0.JPEG": jpeg(0),
    }
    for wnid, colour in wnids.items():
        for number in range(3):
            files[f"train/{wnid}/images/{wnid}_{number}.JPEG"] = jpeg(colour)
        files[f"train/{wnid}/{wnid}_boxes.txt"] = b""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        for path, content in files.items():
            written.writestr(f"{tinyimagenet.FOLDER}/{path}", content)
    monkeypatch.setattr(
        tinyimagenet, "MD5", put(tmp_path / "tiny-imagenet-200.zip", archive.getvalue())
    )
    counts("tinyimagenet", 6, 2)
    return tmp_path


def test_tinyimagenet(tiny):
    dataset = sources.read("tinyimagenet+val=0", data_dir=tiny)
    assert dataset.info["class_names"] == ["red thing", "grey thing"]
    assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test_labels.tolist() == [1, 0]
    assert dataset.train_images.shape == (6, 64, 64, 3)
    np.testing.assert_allclose(dataset.test_images[0, 5, 5], [128, 128, 128], atol=1)
    np.testing.assert_allclose(dataset.test_images[1, 5, 5], [255, 0, 0], atol=2)
    shutil.unpack_archive(tiny / "tiny-imagenet-200.zip", tiny / "unpacked")
    unpacked = sources.read("tinyimagenet+val=0", data_dir=tiny / "unpacked")
    assert unpacked.sha256 == dataset.sha256
    assert (dataset.info["verified"], unpacked.info["verified"]) == (True, False)
    assert ["unverified" in summary(each) for each in (dataset, unpacked)] == [False, True]


def test_tinyimagenet_that_is_broken(tiny):
    shutil.unpack_archive(tiny / "tiny-imagenet-200.zip", tiny / "unpacked")
    folder = tiny / "unpacked" / tinyimagenet.FOLDER
    (folder / "train/n02/images/n02_1.JPEG").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"n02_1\.JPEG is not a readable image"):
        sources.read("tinyimagenet", data_dir=tiny / "unpacked")
    (folder / "train/n02/images/n02_1.JPEG").unlink()
    with pytest.raises(UserError, match="has 5 train images, not 6"):
        sources.read("tinyimagenet", data_dir=tiny / "unpacked")
    (folder / "wnids.txt").unlink()
    with pytest.raises(UserError, match=r"is not as published.*wnids\.txt"):
        sources.read("tinyimagenet", data_dir=tiny / "unpacked")


@pytest.mark.parametrize(
    "name", [name for name, source in catalog.SOURCES.items() if source.reader == "torchvision"]
)
def test_the_catalog_knows_the_files_in_a_data_dir(name):
    files = [*(archive.path for archive in vision._archives(name)), *vision._unpacked(name)]
    for file in files:
        assert any(fnmatch(file, pattern) for pattern in catalog.SOURCES[name].files), file
