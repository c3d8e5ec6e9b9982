"""Pickles of NumPy arrays and plain containers, read without running anything that they name.

A pickle is a program: it may call any function that can be imported. Here every name that it asks for is answered by a stand-in
that only notes its arguments, or refused; not even NumPy's own code sees what the file holds before types and sizes are checked.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np

_MAX_AXES, _MAX_DEPTH, _MAX_VALUES = 8, 20, 1_000_000
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_BUILTINS: dict[str, tuple[Any, tuple[type, ...]]] = {
    "bytes": (bytes, ()),
    "bytearray": (bytearray, (bytes,)),
    "complex": (complex, (float,)),
    "set": (set, (list,)),
    "frozenset": (frozenset, (list,)),
}


class NotPlain(Exception):
    """A pickle that holds, or does, something else."""


def load_plain(data: bytes) -> Any:
    """Return what a pickle holds: dictionaries, lists, tuples, sets, text, bytes, numbers and NumPy arrays of numbers.

    Raises:
        NotPlain: it asks for any other type or function, or is damaged.
    """
    try:
        return _Resolver().resolved(_Reader(io.BytesIO(data)).load())
    except NotPlain:
        raise
    except Exception as error:  # a damaged pickle can fail in any way, and none of them matters more than another
        raise NotPlain(f"not a readable pickle ({type(error).__name__})") from None


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # Each answer is made anew: a pickle can set attributes on what it was given.
        if (module, name) == ("_codecs", "encode"):  # how old protocols write bytes
            return lambda text, encoding="latin1": _latin1(text, encoding)
        if module in ("builtins", "__builtin__") and name in _BUILTINS:  # how old protocols write these
            return lambda *arguments: _builtin(name, arguments)
        if module in _MODULES:
            if name == "ndarray":
                return object()  # only ever an argument of _reconstruct
            if name == "dtype":
                return lambda code, *rest: _Type(code)
            if name == "_reconstruct":
                return lambda *rest: _Array()
            if name == "_frombuffer":
                return lambda data, dtype, shape, order: _Array((shape, dtype, order == "F", data))
            if name == "scalar":
                return lambda dtype, data: _Array(((), dtype, False, data))
        raise NotPlain(f"asks for {module}.{name}, which is not an array of numbers")

    def persistent_load(self, pid: Any) -> Any:
        raise NotPlain("refers to something outside the file")


class _Type:
    """A dtype as a pickle describes it."""

    def __init__(self, code: Any) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        if not isinstance(self.code, str) or self.code[:1] not in "biufc" or not self.code[1:].isdecimal():
            raise NotPlain(f"holds an array of {self.code!r}, not of numbers")
        return np.dtype(f"{self.order}{self.code}" if self.order in ("<", ">") else self.code)


class _Array:
    """An array as a pickle describes it: shape, dtype, Fortran order and bytes."""

    def __init__(self, parts: Any = None) -> None:
        self.parts = parts

    def __setstate__(self, state: Any) -> None:
        self.parts = tuple(state[-4:])

    def array(self) -> Any:
        if self.parts is None:
            raise NotPlain("holds an array without contents")
        shape, dtype, fortran, data = self.parts
        if not isinstance(dtype, _Type) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
            raise NotPlain("holds an array that is not of numbers")
        if len(shape) > _MAX_AXES or not all(type(n) is int and n >= 0 for n in shape):
            raise NotPlain(f"holds an array of shape {shape}")
        kind = dtype.dtype()
        if math.prod(shape) * kind.itemsize != len(data):
            raise NotPlain(f"holds an array of shape {shape} in {len(data)} bytes")
        values = np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")
        native = values.astype(kind.newbyteorder("="), order="C")
        return native if shape else native[()]


def _builtin(name: str, arguments: tuple[Any, ...]) -> Any:
    kind, allowed = _BUILTINS[name]
    if not all(type(argument) in allowed for argument in arguments):
        raise NotPlain(f"asks for {name} of something else")  # bytes(10**12) would fill the memory
    return kind(*arguments)


def _latin1(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise NotPlain("asks for a codec")
    return text.encode("latin-1")


class _Resolver:
    """Puts arrays in place of their descriptions; a small file may name one list so often that it would never end."""

    def __init__(self) -> None:
        self.left = _MAX_VALUES

    def resolved(self, value: Any, *, depth: int = 0) -> Any:
        self.left -= 1
        if depth > _MAX_DEPTH or self.left < 0:
            raise NotPlain("is nested too deeply, or holds too many values")
        if isinstance(value, _Array):
            return value.array()
        if isinstance(value, dict):
            return {self.resolved(k, depth=depth + 1): self.resolved(v, depth=depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return type(value)(self.resolved(item, depth=depth + 1) for item in value)
        if value is None or isinstance(value, str | bytes | bytearray | bool | int | float | complex):
            return value
        raise NotPlain("holds something that is neither a number nor text")
