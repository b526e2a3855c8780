"""Pictures of every kind that people have: read as a viewer shows them, or refused in one line."""

import io
import struct
import subprocess
import sys
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medcoreset.datasets import pictures
from medcoreset.errors import UserError

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, (23, 31, 3), dtype=np.uint8)
SAVED_AS = {"JPEG": "jpg", "PNG": "png", "BMP": "bmp", "GIF": "gif", "TIFF": "tif", "WEBP": "webp"}


def encoded(image: Image.Image, form: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def read(content: bytes, colour: bool = True) -> np.ndarray:
    return np.asarray(pictures.read(io.BytesIO(content), "x.png", colour=colour))


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize(
    ("mode", "form"),
    [
        *(
            (mode, form)
            for mode, form in product(("1", "L", "P", "RGB"), SAVED_AS)
            if (mode, form) != ("P", "JPEG")
        ),  # which has no palettes
        ("CMYK", "JPEG"),
        ("RGB", "PPM"),
        ("L", "PPM"),
    ],
)
def test_ordinary_pictures_are_as_pillow_converts_them(mode, form, colour):
    content = encoded(Image.fromarray(NOISE).convert(mode), form)
    expected = Image.open(io.BytesIO(content)).convert("RGB" if colour else "L")
    np.testing.assert_array_equal(read(content, colour), np.asarray(expected))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_are_upright(form, orientation):
    """Whatever way the camera was held, the bright corner is where a viewer shows it."""
    upright = np.zeros((64, 32), np.uint8)
    upright[:16, :16] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)).convert("RGB"), form, exif=exif)
    np.testing.assert_array_equal(read(content, colour=False) > 127, upright > 127)
    half = pictures.read(io.BytesIO(content), "x", colour=True, at_least=16)
    width, height = half.size
    assert height == 2 * width
    assert half.convert("L").getpixel((width // 4, height // 8)) > 200


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # of Pillow's own reading
def test_a_damaged_orientation_is_none():
    content = encoded(Image.fromarray(NOISE), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    np.testing.assert_array_equal(read(content), np.asarray(Image.open(io.BytesIO(content))))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
@pytest.mark.parametrize("colour", [True, False])
def test_what_is_transparent_is_white(mode, colour):
    alpha = np.zeros((8, 8, 4), np.uint8)
    alpha[2:6, 2:6] = (40, 40, 40, 255)
    whole = Image.fromarray(alpha)
    if mode in ("RGBA", "LA"):
        content = encoded(whole.convert(mode), "PNG")
    else:
        black = (0, 0, 0) if mode == "RGB" else 0
        flat = Image.fromarray(alpha[..., 0]).convert(mode)
        content = encoded(flat, "PNG", transparency=black)
    expected = np.full((8, 8), 255, np.uint8)
    expected[2:6, 2:6] = 40
    found = read(content, colour)
    np.testing.assert_array_equal(found[..., 0] if colour else found, expected)


def test_half_transparent_is_half_white():
    content = encoded(Image.new("RGBA", (3, 3), (0, 100, 200, 51)), "PNG")
    np.testing.assert_allclose(read(content)[1, 1], [204, 224, 244], atol=1)


def test_opaque_alpha_changes_nothing():
    image = Image.fromarray(NOISE)
    image.putalpha(255)
    np.testing.assert_array_equal(read(encoded(image, "PNG")), NOISE)


def png(width: int, height: int, bits: int, kind: int, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in parts)


def test_colour_of_sixteen_bits_is_its_upper_eight():
    values = RANDOM.integers(0, 65536, (5, 4, 3)).astype(">u2")
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))
    np.testing.assert_array_equal(read(png(4, 5, 16, 2, (b"IDAT", rows))), values >> 8)


@pytest.mark.parametrize(
    ("pixels", "form"),
    [
        (np.arange(64, dtype=np.uint16).reshape(8, 8), "PNG"),
        (np.arange(64, dtype=np.uint16).reshape(8, 8), "TIFF"),
        (np.arange(64, dtype=np.uint16).reshape(8, 8), "PPM"),
        (np.arange(64, dtype=np.int32).reshape(8, 8), "TIFF"),
        (np.ones((8, 8), np.float32), "TIFF"),
    ],
)
def test_grey_of_more_than_eight_bits_is_refused(pixels, form):
    content = encoded(Image.fromarray(pixels), form)
    with pytest.raises(UserError, match=r"x\.png has mode \S+: only 8-bit images are read"):
        read(content)


COMPRESSED = encoded(Image.fromarray(NOISE), "TIFF", compression="tiff_adobe_deflate")
BROKEN = {
    "a TIFF of noise": COMPRESSED[:40] + bytes(60) + COMPRESSED[100:],
    "nothing": b"",
    "a page of HTML": b"<html>not found</html>",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
    "half a PNG": encoded(Image.fromarray(NOISE), "PNG")[:300],
    "half a TIFF": encoded(Image.fromarray(NOISE), "TIFF", compression="tiff_lzw")[:-99],
    "a bomb": encoded(Image.new("1", (20_000, 20_000)), "PNG"),
    "a bomb of text": png(
        *(4, 4, 8, 0), (b"zTXt", b"a\0\0" + zlib.compress(b" " * 2**26)), (b"IDAT", b"")
    ),
    "no pixels": png(4, 4, 8, 0, (b"IDAT", b"")),
    "no size": b"P6\n",
    "an icon": encoded(Image.fromarray(NOISE), "ICO"),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_no_picture_is_said_in_one_line(content, capfd):
    with pytest.raises(UserError, match=r"^x\.png is not a readable image: .+$"):
        read(content)
    assert capfd.readouterr() == ("", "")


def test_large_pictures_and_odd_tags_are_read_without_a_word(tmp_path):
    Image.new("1", (10_000, 9_000)).save(tmp_path / "large.png")
    code = (
        "import sys; from medcoreset.datasets.pictures import *; print(look_at(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "large.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "Facts(grey=True, pages=1)\n"


def test_further_pages_are_counted(tmp_path):
    image = Image.fromarray(NOISE).convert("L")
    for suffix in ("tif", "gif", "webp", "png"):
        path = tmp_path / f"stack.{suffix}"
        image.save(path, save_all=True, append_images=[image.rotate(90), image.rotate(180)])
        assert pictures.look_at(path).pages == 3


WHOLE = {
    f"{form} {mode}": encoded(Image.fromarray(NOISE).convert(mode), form)
    for form, mode in [*product(SAVED_AS, ("L", "RGB")), ("PNG", "RGBA"), ("PPM", "RGB")]
} | {
    "compressed TIFF": encoded(Image.fromarray(NOISE), "TIFF", compression="tiff_lzw"),
    "TIFF of JPEG": encoded(Image.fromarray(NOISE), "TIFF", compression="jpeg"),
    "animated GIF": encoded(
        *(Image.fromarray(NOISE), "GIF"),
        save_all=True,
        append_images=[Image.fromarray(255 - NOISE)],
    ),
}


def look_and_read(path: Path) -> None:
    try:
        pictures.look_at(path)
        said = pictures.read(path, path, colour=True, at_least=8).mode
    except UserError as refused:
        said = str(refused)
    assert said == "RGB" or said.startswith(f"{path} ")
    assert len(said.splitlines()) == 1


@settings(max_examples=15)
@given(data=st.data())
@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
def test_damaged_files_are_read_or_refused(content, data, tmp_path_factory):
    damaged = bytearray(content[: data.draw(st.integers(0, len(content)), "length")])
    if data.draw(st.booleans(), "whole"):
        damaged = bytearray(content)
    places = st.integers(0, max(len(damaged) - 1, 0))
    flips = st.lists(st.tuples(places, st.integers(0, 7)), max_size=8 if damaged else 0)
    for place, bit in data.draw(flips, "flips"):
        damaged[place] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "damaged.bin"
    path.write_bytes(damaged)
    look_and_read(path)


@settings(max_examples=30)
@given(start=st.sampled_from(list(WHOLE.values())), length=st.integers(0, 16), rest=st.binary())
def test_noise_is_read_or_refused(start, length, rest, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "noise.bin"
    path.write_bytes(start[:length] + rest)
    look_and_read(path)
