"""Numbers, shares and sizes as people write them into an option; errors name the option."""

from __future__ import annotations

from roomgen.errors import RoomgenError


def number_list(text: str, flag: str, *, separator: str = ",", count: int | None = None) -> tuple[float, ...]:
    """Read numbers with a separator between them, exactly ``count`` where that is given."""
    wanted = text.count(separator) + 1 if count is None else count
    try:
        values = tuple(float(part) for part in text.split(separator))
    except ValueError:
        values = ()
    if len(values) != wanted:
        raise RoomgenError(f"{flag} {text!r} is not {wanted} numbers with {separator!r} between them.")
    return values


def number_pair(text: str, flag: str) -> tuple[float, ...]:
    """Read two numbers with a comma between them."""
    return number_list(text, flag, count=2)


def number_range(text: str, flag: str) -> tuple[float, float]:
    """Read one number or MIN:MAX."""
    low, *rest = number_list(text, flag, separator=":")
    if len(rest) > 1:
        raise RoomgenError(f"{flag} {text!r} is neither one number nor MIN:MAX.")
    return low, (rest[0] if rest else low)


def named_shares(text: str, flag: str) -> dict[str, float]:
    """Read ``train=0.8,val=0.1,test=0.1``."""
    result: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name in result:
            raise RoomgenError(f"{flag} {text!r} names {name!r} twice.")
        (result[name],) = number_list(value, f"{flag} {name}", count=1)
    return result


def image_size(text: str, flag: str) -> tuple[int, int]:
    """Read ``HEIGHTxWIDTH`` in pixels."""
    height, x, width = text.lower().partition("x")
    if not x or not (height.strip().isdecimal() and width.strip().isdecimal()) or len(text) > 20:
        raise RoomgenError(f"{flag} {text!r} is not HEIGHTxWIDTH in pixels, such as 192x576.")
    return int(height), int(width)
