"""Pickles of NumPy arrays and plain containers, read without running anything that they name.

A pickle is a program for a machine with a stack and a memo. :func:`load_plain` is such a machine for the few instructions that
plain data need: it imports nothing, calls nothing that a file names, and knows before each step what it may cost. The number of
instructions and the bytes of arrays are bounded, so a small file can neither fill the memory nor take for ever (by naming one
array a thousand times, by keys whose hashes collide, by an index that asks for a memo of gigabytes).
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

_MOST_STEPS = 8192  # instructions: a recording of SoundSpaces with its 54 pictures takes some 1,500
_MOST_AXES, _MOST_DEPTH, _MOST_VALUES, _INT64 = 8, 20, 100_000, 1 << 63
_FREE_BYTES, _BYTES_OF_A_VALUE = 1 << 20, 32
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BYTEARRAY8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


class NotPlain(Exception):
    """A pickle that holds, or does, something else."""


def load_plain(data: bytes) -> object:
    """Return what a pickle holds: dictionaries, lists, tuples, sets, text, bytes, numbers and NumPy arrays of numbers.

    What a pickle names several times is one object in the result too.

    Raises:
        NotPlain: it asks for any other type or function, is damaged, or asks for more than its size warrants.
    """
    try:
        machine = _Machine(len(data))
        for step, (code, argument, _) in enumerate(pickletools.genops(data)):
            if step == _MOST_STEPS:
                raise NotPlain(f"has more than {_MOST_STEPS} instructions")
            machine.do(code.name, argument)
        return _Finished().of(machine.pop())
    except NotPlain:
        raise
    except Exception as error:  # a damaged pickle can fail in any way, and none of them matters more than another
        raise NotPlain(f"not a readable pickle ({type(error).__name__})") from None


class _Machine:
    """Stack, memo, and how many bytes may still be copied: each of the file twice, as text that is bytes that are an array."""

    def __init__(self, n_bytes: int) -> None:
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}
        self.left = 2 * n_bytes + _FREE_BYTES

    def do(self, name: str, argument: Any) -> None:
        """Do one instruction."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self.stack.append(tuple(self.pop() for _ in range(_TUPLES[name]))[::-1])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise NotPlain(f"has the instruction {name}, which plain data do not need")

    def pop(self) -> object:
        value = self.stack.pop()
        if value is _MARK:
            raise NotPlain("takes more from its stack than it has put there")
        return value

    def pop_all(self) -> list[object]:
        """Return what lies above the last mark, and remove the mark."""
        mark = max(i for i, value in enumerate(self.stack) if value is _MARK)
        values = self.stack[mark + 1 :]
        del self.stack[mark:]
        return values

    def spend(self, n_bytes: int) -> None:
        self.left -= n_bytes
        if self.left < 0:
            raise NotPlain("would take far more memory than its own size")

    def call(self) -> None:
        """Do what a function that the file names would do, if it is one of those that plain data need."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Named) or type(arguments) is not tuple:
            raise NotPlain("calls something that is no function")
        self.stack.append(function.answer(arguments, self.spend))

    def fill(self, values: list[object]) -> None:
        """Add values to the list or set, or pairs to the dictionary, on top of the stack."""
        into = self.stack[-1]
        if type(into) is list:
            into.extend(values)
        elif type(into) is set:
            into.update(map(_hashable, values))
        elif type(into) is dict and len(values) % 2 == 0:
            into.update(zip(map(_hashable, values[::2]), values[1::2], strict=True))
        else:
            raise NotPlain("adds to something that is neither a list nor a dictionary")

    def build(self) -> None:
        state, what = self.pop(), self.stack[-1]
        if not isinstance(what, _Type | _Array) or type(state) is not tuple:
            raise NotPlain("changes something that is not an array")
        what.set(state, self.spend)


class _Named:
    """A name that a file asks for; nothing is imported."""

    def __init__(self, module: object, name: object) -> None:
        builtin = module in ("builtins", "__builtin__") and name in ("bytes", "bytearray", "complex", "set", "frozenset")
        numpy = module in _MODULES and name in ("ndarray", "dtype", "_reconstruct", "_frombuffer", "scalar")
        if not (builtin or numpy or (module, name) == ("_codecs", "encode")):
            raise NotPlain(f"asks for {module}.{name}, which is not an array of numbers")
        self.name = name

    def answer(self, arguments: tuple[object, ...], spend: Callable[[int], None]) -> object:
        match self.name, arguments:
            case "encode", (str(text),) | (str(text), "latin1" | "latin-1"):  # how old protocols write bytes
                spend(len(text))
                return text.encode("latin-1")
            case "bytes", () | (bytes(),):  # of a number it would be so many zeros
                return arguments[0] if arguments else b""
            case "bytearray", (bytes(data),):
                spend(len(data))
                return bytearray(data)
            case "complex", (float(real), float(imaginary)):
                return complex(real, imaginary)
            case "set" | "frozenset", (list(values),):
                spend(_BYTES_OF_A_VALUE * len(values))
                return (set if self.name == "set" else frozenset)(map(_hashable, values))
            case "dtype", (str(code), *_):
                return _Type(code)
            case "_reconstruct", _:
                return _Array()
            case "_frombuffer", (data, dtype, shape, order):
                return _Array().set((shape, dtype, order == "F", data), spend)
            case "scalar", (dtype, data):
                return _Array().set(((), dtype, False, data), spend)
        raise NotPlain(f"asks for {self.name} of something else")


class _Type:
    """A dtype as a pickle describes it."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order: object = "="

    def set(self, state: tuple[object, ...], _: Callable[[int], None]) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        if self.code[:1] not in "biufc" or not self.code[1:].isdecimal():
            raise NotPlain(f"holds an array of {self.code!r}, not of numbers")
        return np.dtype(f"{self.order}{self.code}" if self.order in ("<", ">") else self.code)


class _Array:
    """An array, which a pickle makes empty and fills later."""

    values: object = None

    def set(self, state: tuple[object, ...], spend: Callable[[int], None]) -> _Array:
        shape, dtype, fortran, data = state[-4:]
        if not isinstance(dtype, _Type) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
            raise NotPlain("holds an array that is not of numbers")
        if len(shape) > _MOST_AXES or not all(type(n) is int and n >= 0 for n in shape):
            raise NotPlain(f"holds an array of shape {shape}")
        kind = dtype.dtype()
        if math.prod(shape) * kind.itemsize != len(data):
            raise NotPlain(f"holds an array of shape {shape} in {len(data)} bytes")
        spend(len(data))
        values = np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")
        native = values.astype(kind.newbyteorder("="), order="C")
        self.values = native if shape else native[()]
        return self


def _hashable(value: object) -> object:
    """Return a key, unless it could take for ever: as the hash of a tuple of tuples, and as integers without end that collide."""
    if value is None or type(value) in (str, bytes, bool, float) or (type(value) is int and -_INT64 <= value < _INT64):
        return value
    raise NotPlain("has a key that is neither text nor a number")


class _Finished:
    """Puts arrays in place of what stood for them; each object is visited once, however often it is named."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[int, object]] = {}

    def of(self, value: object) -> object:
        return self._visited(value, 0)[1]

    def _visited(self, value: object, depth: int) -> tuple[int, object]:
        """Return how many values one has, counted as often as they are named, and the value."""
        if id(value) not in self.known:
            if depth > _MOST_DEPTH:
                raise NotPlain("is nested too deeply")
            self.known[id(value)] = self._made(value, depth)
        if self.known[id(value)][0] > _MOST_VALUES:
            raise NotPlain("names its values too often")
        return self.known[id(value)]

    def _made(self, value: object, depth: int) -> tuple[int, object]:
        if isinstance(value, _Array):
            if value.values is None:
                raise NotPlain("holds an array without contents")
            return 1, value.values
        if isinstance(value, dict):
            parts = [self._visited(v, depth + 1) for v in value.values()]
            return 1 + sum(n for n, _ in parts), dict(zip(value, (part for _, part in parts), strict=True))
        if isinstance(value, list | tuple):
            parts = [self._visited(v, depth + 1) for v in value]
            return 1 + sum(n for n, _ in parts), type(value)(part for _, part in parts)
        if value is None or isinstance(value, str | bytes | bytearray | bool | int | float | complex | set | frozenset):
            return 1, value
        raise NotPlain("holds something that is neither a number nor text")


def _pairs(values: list[object]) -> dict[object, object]:
    return dict(zip(map(_hashable, values[::2]), values[1::2], strict=True))


_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "MARK": lambda m, _: m.stack.append(_MARK),
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.pop_all(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.pop_all())),
    "LIST": lambda m, _: m.stack.append(m.pop_all()),
    "DICT": lambda m, _: m.stack.append(_pairs(m.pop_all())),
    "FROZENSET": lambda m, _: m.stack.append(frozenset(map(_hashable, m.pop_all()))),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_SET": lambda m, _: m.stack.append(set()),
    "APPEND": lambda m, _: m.fill([m.pop()]),
    "SETITEM": lambda m, _: m.fill([m.pop(), m.pop()][::-1]),
    "APPENDS": lambda m, _: m.fill(m.pop_all()),
    "SETITEMS": lambda m, _: m.fill(m.pop_all()),
    "ADDITEMS": lambda m, _: m.fill(m.pop_all()),
    "GLOBAL": lambda m, argument: m.stack.append(_Named(*argument.split(" ", 1))),
    "STACK_GLOBAL": lambda m, _: m.stack.append(_Named(*[m.pop(), m.pop()][::-1])),
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
}
