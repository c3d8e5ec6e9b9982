"""Files that carry the sha256 of themselves: of all their bytes, with zeros in the place of the sum.

Written with the file, it needs no second one that a kill could part from it, and not a single byte is left out.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import BinaryIO

UNSEALED = "0" * 64
"""What stands in the place of the sum until the file is sealed."""

_KEY, _END = b'"sha256": "', b'"\n}\n'


def seal(file: BinaryIO, place: int) -> None:
    """Write the sum of a file into it, in place of :data:`UNSEALED`, which stands at the byte ``place``."""
    digest = _digest(file, place)
    file.seek(place)
    file.write(digest)


def is_intact(file: BinaryIO, place: int) -> bool:
    """Tell whether the sum at the byte ``place`` is that of the file."""
    file.seek(place)
    return file.read(len(UNSEALED)) == _digest(file, place)


def _digest(file: BinaryIO, place: int) -> bytes:
    file.seek(0)
    digest = hashlib.sha256(file.read(place))
    digest.update(UNSEALED.encode())
    file.seek(place + len(UNSEALED))
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest().encode()


def sealed_json(values: Mapping[str, object]) -> str:
    """Return a JSON object as text, with the sum of that text as its last value, ``sha256``."""
    others = {name: value for name, value in values.items() if name != "sha256"}
    text = json.dumps({**others, "sha256": UNSEALED}, indent=1, ensure_ascii=False) + "\n"
    file = io.BytesIO(text.encode())
    seal(file, _place_in(file.getvalue()))
    return file.getvalue().decode()


def is_json_intact(data: bytes) -> bool:
    """Tell whether a file of :func:`sealed_json` is what was written, to the byte."""
    place = _place_in(data)
    return data[: max(place, 0)].endswith(_KEY) and data.endswith(_END) and is_intact(io.BytesIO(data), place)


def _place_in(data: bytes) -> int:
    return len(data) - len(_END) - len(UNSEALED)
