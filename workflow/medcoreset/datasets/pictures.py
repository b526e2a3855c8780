"""Pictures as files hold them: opened, set upright, put on white and made 8-bit grey or RGB.

Whoever needs pixels of a picture has them from here, so that they are the same everywhere. Read are:

- the formats of `FORMATS`, whatever the file's name says; nothing else is even tried;
- of a file with several pictures (pages of a TIFF, frames of a GIF) the first;
- with its EXIF orientation applied, as every viewer shows it;
- where it is transparent, as it looks on white;
- colour of 16 bits per channel by its upper 8 bits.

Grey of 16 or more bits is refused: which of its values are black and white, only its owner can say.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

# Pillow registers a format when its module is imported; of one that it lacks it would try them all.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    ImageOps,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from medcoreset.errors import UserError
from medcoreset.reading import file_of

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")

# What becomes 8-bit grey or RGB without loss of range; 16-bit images, for one, would be clipped.
MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
GREY_MODES = frozenset({"1", "L", "LA"})
BACKGROUND = "white"


class Facts(NamedTuple):
    """What a picture is, told by its header: whether it is grey, and how many its file holds."""

    grey: bool
    pages: int


def look_at(path: Path) -> Facts:
    """Return what the picture in a file is; no pixel is decoded. Raises UserError as `read` does."""
    with _opened(path, path) as image:
        return Facts(image.mode in GREY_MODES, getattr(image, "n_frames", 1))


def read(
    file: Path | BinaryIO,
    name: str | Path,
    *,
    colour: bool,
    at_least: int | None = None,
) -> Image.Image:
    """Return the picture in `file` in mode RGB, or L if not `colour`.

    With `at_least`, in pixels, a JPEG may be decoded at a half, a quarter or an eighth of its size,
    as long as both sides have that many. Raises UserError, which calls the file `name`, for one that
    is damaged, is of none of the `FORMATS`, is too large (Pillow's limit: 179 megapixels), or has
    grey values of more than 8 bits.
    """
    mode = "RGB" if colour else "L"
    with _opened(file, name) as image:
        if at_least is not None:
            image.draft("RGB", (at_least, at_least))
        image.load()
        # A damaged tag is no reason to refuse a picture that every viewer shows.
        with suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
        if image.has_transparency_data:
            background = Image.new("RGBA", image.size, BACKGROUND)
            return Image.alpha_composite(background, image.convert("RGBA")).convert(mode)
        return image if image.mode == mode else image.convert(mode)


@contextmanager
def _opened(file: Path | BinaryIO, name: str | Path) -> Iterator[Image.Image]:
    """Open a picture whose mode is read; whatever is wrong in the block is one UserError."""
    # Pillow warns of large pictures and of odd tags, two lines for each, and reads them all the same.
    with file_of(name, "a readable image"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            known = ", ".join(FORMATS)
            raise UserError(
                f"{name} is not a readable image: it is damaged or none of {known}"
            ) from None
        with image:
            if image.mode not in MODES:
                raise UserError(
                    f"{name} has mode {image.mode}: only 8-bit images are read; make it one by your "
                    "own choice of what is black and what is white"
                )
            yield image
