"""Pictures that belong to recordings, as members of samples."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from roomgen.corpora.base import BrokenFile

VIEW_MEMBER = "view.jpg"
_MOST_PIXELS = 1 << 26  # once decoded; a small file can hold, and a pickle can name, pictures of any size


def decode_picture(data: bytes, *, name: str) -> NDArray[np.uint8]:
    """Return a picture file in memory as (height, width, 3).

    Raises:
        BrokenFile: not a PNG or JPEG file, cut short, or far too large.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise BrokenFile(name, f"has {picture.width} x {picture.height} pixels")
            return np.asarray(picture.convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenFile(name, f"not readable as a picture ({type(error).__name__})") from None


def panorama_of(pictures: object, *, name: str) -> NDArray[np.uint8]:
    """Return pictures of one viewpoint side by side as (height, width, 3).

    Args:
        pictures: one or several (height, width, 3 or 4) uint8 arrays from left to right.
        name: the file that they come from.

    Raises:
        BrokenFile: no pictures, of different heights, or far too large.
    """
    given = pictures if isinstance(pictures, list | tuple) else [pictures]
    tiles = [
        t for t in given if isinstance(t, np.ndarray) and t.dtype == np.uint8 and t.ndim == 3 and t.shape[2] in (3, 4) and t.size
    ]
    if not tiles or len(tiles) < len(given) or len({tile.shape[0] for tile in tiles}) > 1:
        raise BrokenFile(name, "its pictures are not a panorama of 8-bit colours")
    if sum(tile.shape[0] * tile.shape[1] for tile in tiles) > _MOST_PIXELS:
        raise BrokenFile(name, f"has pictures of more than {_MOST_PIXELS} pixels")
    return np.concatenate([tile[..., :3] for tile in tiles], axis=1)
