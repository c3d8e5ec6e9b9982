"""espeak-ng as a function of text and voice alone.

The library keeps state between utterances (phases, noise, flutter), also across its own termination and initialization: a sentence
sounds otherwise, and may be longer, after another one. So it is loaded for each utterance and unloaded after it; a fresh library
is a fresh state, and loading takes some milliseconds.

It speaks in a thread of its own. Python handles signals in the main thread, between any two of its instructions, also within the
function that the library hands samples to; an interrupt raised there is lost together with 60 ms of speech, as ctypes cannot pass
it on through the library.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import RoomgenError

FS_HZ = 22_050
_SYNCHRONOUS, _NO_EXIT, _UTF8 = 2, 0x8000, 1
_RATE, _VOLUME, _PITCH = 1, 2, 3
_QUIETER = 60  # of 100: at its usual volume some voices clip
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)  # samples, count, events
_ONE_AT_A_TIME = threading.Lock()
Answer = TypeVar("Answer")


class Voice(NamedTuple):
    """A voice of espeak-ng: accent and variant (``en-us+f3``), rate and pitch (0 to 99)."""

    name: str
    words_per_minute: int
    pitch: int


def speak(text: str, voice: Voice) -> NDArray[np.float32]:
    """Return (time,) speech at 22.05 kHz. Equal arguments give equal samples, whatever was spoken before.

    Raises:
        RoomgenError: espeak-ng is not installed, does not know the voice, or is in use elsewhere in this process.
    """
    return _in_a_thread(lambda library: _spoken(library, text, voice))


@cache
def espeak_version() -> str:
    """Return the version of espeak-ng.

    Raises:
        RoomgenError: it is not installed.
    """
    return _in_a_thread(_version)


def _in_a_thread(ask: Callable[[ctypes.CDLL], Answer]) -> Answer:
    """Return the answer of a freshly loaded library; whoever is interrupted meanwhile leaves the thread to clear up."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            with _ONE_AT_A_TIME:
                library = _loaded()
                try:
                    result = ask(library)
                finally:
                    _unload(library)
        except Exception as error:
            answer.set_exception(error)
        else:
            answer.set_result(result)

    threading.Thread(target=run, name="espeak-ng").start()
    return answer.result()


def _version(library: ctypes.CDLL) -> str:
    library.espeak_Info.restype = ctypes.c_char_p
    return bytes(library.espeak_Info(None)).decode()


def _spoken(library: ctypes.CDLL, text: str, voice: Voice) -> NDArray[np.float32]:
    pieces: list[bytes] = []
    lost: list[Exception] = []

    def collect(samples: int | None, count: int, _events: int | None) -> int:
        try:
            if samples and count > 0:
                pieces.append(ctypes.string_at(samples, 2 * count))
        except Exception as error:  # no memory: what is raised from here would be printed and forgotten
            lost.append(error)
        return len(lost)  # anything but 0 stops the library

    callback = _CALLBACK(collect)  # held here: the library keeps only its address
    fs_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, _data_path().encode(), _NO_EXIT)
    if fs_hz != FS_HZ:
        raise RoomgenError(f"espeak-ng did not start ({fs_hz}); install it anew: pip install --force-reinstall espeakng-loader")
    try:
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise RoomgenError(f"this espeak-ng has no voice {voice.name}: install espeakng-loader 0.2 or later.")
        library.espeak_SetParameter(_RATE, voice.words_per_minute, 0)
        library.espeak_SetParameter(_PITCH, voice.pitch, 0)
        library.espeak_SetParameter(_VOLUME, _QUIETER, 0)
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        said = text.encode()
        arguments = (ctypes.c_size_t(len(said) + 1), 0, 1, 0, _UTF8, None, None)
        failed = library.espeak_Synth(said, *arguments) != 0 or library.espeak_Synchronize() != 0
    finally:
        library.espeak_Terminate()
    if lost:
        raise lost[0]
    if failed or not pieces:
        raise RoomgenError(f"espeak-ng could not speak {text!r} as {voice.name}.", exit_code=1)
    return np.frombuffer(b"".join(pieces), np.int16).astype(np.float32) / np.float32(32768)


def _loaded() -> ctypes.CDLL:
    try:
        import espeakng_loader
    except ImportError:
        raise RoomgenError("synthetic speech needs espeak-ng: pip install roomgen[tts]") from None
    path = str(espeakng_loader.get_library_path())
    if _resident(path):
        raise RoomgenError(
            "another part of this program holds espeak-ng, whose state would change what roomgen speaks: make the dataset in "
            "a program of its own (roomgen sources).",
            exit_code=1,
        )
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        raise RoomgenError(f"espeak-ng cannot be loaded ({error}): pip install --force-reinstall espeakng-loader") from None


def _resident(path: str) -> bool:
    """Return whether the library is loaded already, where the system can tell."""
    if not hasattr(os, "RTLD_NOLOAD"):
        return False
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return False
    _unload(library)  # asking counts as one more use
    return True


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    if sys.platform == "win32":
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)


def _data_path() -> str:
    import espeakng_loader

    return str(espeakng_loader.get_data_path())
