"""Pictures that belong to recordings, as members of samples."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.corpora.base import BrokenFile

VIEW_MEMBER = "view.jpg"


def decode_picture(data: bytes, *, name: str) -> NDArray[np.uint8]:
    """Return a picture file in memory as (height, width, 3).

    Raises:
        BrokenFile: not a PNG or JPEG file, cut short, or far too large.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            return np.asarray(picture.convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenFile(name, f"not readable as a picture ({type(error).__name__})") from None


def panorama_of(pictures: Any, *, name: str) -> NDArray[np.uint8]:
    """Return pictures of one viewpoint side by side as (height, width, 3).

    Args:
        pictures: one or several (height, width, 3 or 4) uint8 arrays from left to right.
        name: the file that they come from.

    Raises:
        BrokenFile: no pictures, or of different heights.
    """
    tiles = [pictures] if isinstance(pictures, np.ndarray) and pictures.ndim == 3 else list(pictures or ())
    good = all(isinstance(t, np.ndarray) and t.dtype == np.uint8 and t.ndim == 3 and t.shape[2] in (3, 4) for t in tiles)
    if not tiles or not good or len({tile.shape[0] for tile in tiles}) > 1 or min(t.size for t in tiles) == 0:
        raise BrokenFile(name, "its pictures are not a panorama of 8-bit colours")
    return np.concatenate([tile[..., :3] for tile in tiles], axis=1)
