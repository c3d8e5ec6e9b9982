"""Recording devices after those of the TAU Urban Acoustic Scenes datasets: what each does to the sound, drawn around archetypes.

A is a binaural electret microphone with a good recorder, B and C are telephones; S1 to S6 are simulated from A's recordings by a
device's impulse response and dynamic range compression (T. Heittola, A. Mesaros and T. Virtanen, Acoustic scene classification in
DCASE 2020 Challenge, DCASE Workshop 2020, section 2). The responses used there are not public; those here are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from roomgen.acoustics.microphones.response import REFERENCE_HZ, Resonance, butterworth_peaks, faded, minimum_phase
from roomgen.errors import RoomgenError, suggest

_SILENCE = 1e-6  # -120 dB: a logarithm needs a floor


class Compression(NamedTuple):
    """Dynamic range compression: threshold and makeup gain in dB of full scale, time constants in ms. A ratio of 1 is none."""

    threshold_db: float
    ratio: float
    attack_ms: float
    release_ms: float
    makeup_db: float


@dataclass(frozen=True)
class Recorder:
    """A recording device: high-pass and low-pass (corner, order), slope of the whole, resonances, and its compression.

    ``tilt_db`` is per octave, from 1 kHz. The response is 1 at 1 kHz.
    """

    name: str
    bass_hz: float
    bass_order: int
    treble_hz: float
    treble_order: int
    tilt_db: float
    resonances: tuple[Resonance, ...]
    compression: Compression


class _Archetype(NamedTuple):
    bass_hz: float
    bass_order: int
    treble_hz: float
    treble_order: int
    tilt_db: float
    resonances: tuple[Resonance, ...]
    compression: Compression
    spread: float
    """How far devices of the kind differ: about 1 for a telephone of unknown make, small for a known microphone."""


_NONE = Compression(0.0, 1.0, 10.0, 100.0, 0.0)
_A_PEAK = Resonance(9000.0, 2.0, 1.0)  # the electret's own, much as S1 to S6 hear it, which were made from A
_ARCHETYPES = {
    "A": _Archetype(22.0, 1, 20000.0, 2, 0.0, (_A_PEAK,), _NONE, 0.2),
    "B": _Archetype(110.0, 2, 13500.0, 3, 0.3, (Resonance(5200.0, 5.0, 1.2), Resonance(400.0, -2.0, 0.8)),
                    Compression(-22.0, 1.6, 8.0, 180.0, 2.0), 0.6),
    "C": _Archetype(80.0, 2, 15500.0, 3, -0.2, (Resonance(7500.0, 4.0, 1.6), Resonance(250.0, 1.5, 0.9)),
                    Compression(-26.0, 1.4, 12.0, 250.0, 2.0), 0.6),
    "S1": _Archetype(160.0, 2, 9000.0, 2, -0.6, (_A_PEAK, Resonance(2800.0, 5.0, 1.4)),
                     Compression(-34.0, 3.0, 6.0, 120.0, 8.0), 1.0),
    "S2": _Archetype(60.0, 1, 5500.0, 1, -1.2, (_A_PEAK, Resonance(350.0, 3.0, 0.9)),
                     Compression(-30.0, 2.2, 15.0, 300.0, 5.0), 1.0),
    "S3": _Archetype(240.0, 2, 12000.0, 2, 0.9, (_A_PEAK, Resonance(6200.0, 6.0, 2.0)),
                     Compression(-38.0, 4.0, 4.0, 90.0, 9.0), 1.0),
    "S4": _Archetype(130.0, 3, 8000.0, 3, 0.4, (_A_PEAK, Resonance(1500.0, 4.0, 1.0), Resonance(4500.0, -5.0, 1.5)),
                     Compression(-36.0, 2.8, 10.0, 200.0, 7.0), 1.0),
    "S5": _Archetype(90.0, 1, 15000.0, 1, 1.4, (_A_PEAK, Resonance(11000.0, 5.0, 1.6)),
                     Compression(-28.0, 5.0, 3.0, 60.0, 6.0), 1.0),
    "S6": _Archetype(300.0, 2, 4500.0, 2, -0.4, (_A_PEAK, Resonance(1900.0, 6.0, 1.8), Resonance(3300.0, 4.0, 3.0)),
                     Compression(-40.0, 6.0, 5.0, 150.0, 10.0), 1.0),
}  # fmt: skip
RECORDERS = tuple(_ARCHETYPES)

# Of any device that compresses, about as far as S1 to S6 spread around their archetypes; the makeup gain is that share of the
# reduction at full scale.
_THRESHOLD_DB, _RATIO, _ATTACK_MS, _RELEASE_MS, _MADE_UP = (-44.0, -24.0), (1.8, 7.5), (2.0, 20.0), (45.0, 400.0), (0.22, 0.4)


def draw_recorder(name: str, rng: np.random.Generator) -> Recorder:
    """Return a device drawn around its archetype: corners by octaves, levels by dB, and two small resonances of its own.

    Raises:
        RoomgenError: no such device.
    """
    if name not in _ARCHETYPES:
        raise RoomgenError(f"unknown recording device {name!r}.{suggest(name, RECORDERS)} Devices: {', '.join(RECORDERS)}.")
    kind = _ARCHETYPES[name]
    spread = kind.spread

    def octaves(value: float, width: float) -> float:
        return float(value * 2.0 ** (spread * rng.uniform(-width, width)))

    own = [Resonance(octaves(f, 0.25), g + spread * rng.uniform(-1.5, 1.5), octaves(q, 0.3)) for f, g, q in kind.resonances]
    own += [Resonance(octaves(3500.0, 2.0), spread * rng.uniform(-2.0, 2.0), rng.uniform(2.0, 5.0)) for _ in range(2)]
    c = kind.compression
    compression = c
    if c.ratio > 1.0:
        compression = Compression(
            c.threshold_db + spread * rng.uniform(-3.0, 3.0),
            1.0 + (c.ratio - 1.0) * 2.0 ** (spread * rng.uniform(-0.3, 0.3)),
            octaves(c.attack_ms, 0.4),
            octaves(c.release_ms, 0.4),
            c.makeup_db + spread * rng.uniform(-1.0, 1.0),
        )
    return Recorder(
        name,
        octaves(kind.bass_hz, 0.3),
        kind.bass_order,
        octaves(kind.treble_hz, 0.2),
        kind.treble_order,
        kind.tilt_db + spread * rng.uniform(-0.2, 0.2),
        tuple(own),
        compression,
    )


def draw_compression(rng: np.random.Generator) -> Compression:
    """Return the compression of a device of unknown make: ratio and time constants uniform by octaves, levels by dB."""

    def octaves(limits: tuple[float, float]) -> float:
        return float(np.exp(rng.uniform(*np.log(limits))))

    threshold_db, ratio = rng.uniform(*_THRESHOLD_DB), octaves(_RATIO)
    attack_ms, release_ms = octaves(_ATTACK_MS), octaves(_RELEASE_MS)
    return Compression(threshold_db, ratio, attack_ms, release_ms, -threshold_db * (1.0 - 1.0 / ratio) * rng.uniform(*_MADE_UP))


def recorder_response(recorder: Recorder, *, fs_hz: int = 32000, n_samples: int = 1024) -> NDArray[np.float32]:
    """Return the (n_samples,) float32 minimum-phase response of a device, without its compression."""
    n_fft = 8 * fft.next_fast_len(n_samples, real=True)
    return faded(minimum_phase(recorder_magnitude(recorder, np.arange(n_fft // 2 + 1) * (fs_hz / n_fft))), n_samples)


def recorder_magnitude(recorder: Recorder, frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the magnitude of a device's response at (frequency,) frequencies; at 0 Hz that of 1 Hz."""
    hz = np.maximum(frequencies_hz, 1.0)

    def at(f: NDArray[np.float64]) -> NDArray[np.float64]:
        slope = 10.0 ** (recorder.tilt_db * np.log2(f / REFERENCE_HZ) / 20.0)
        return slope * butterworth_peaks(
            f,
            bass=(recorder.bass_hz, recorder.bass_order),
            treble=(recorder.treble_hz, recorder.treble_order),
            resonances=recorder.resonances,
        )

    return np.asarray(at(hz) / at(np.array([REFERENCE_HZ])))


def compress(
    audio: NDArray[np.float32],
    *,
    fs_hz: int,
    threshold_db: float,
    ratio: float,
    attack_ms: float,
    release_ms: float,
    makeup_db: float,
) -> NDArray[np.float32]:
    """Return audio through a feed-forward compressor with a hard knee; all channels get the gain that the loudest one asks for.

    D. Giannoulis, M. Massberg and J. D. Reiss, Digital dynamic range compressor design, J. Audio Eng. Soc. 60 (2012): gain computer
    in dB, smooth branching peak detector behind it, time constants exp(−1/(τ fs)), makeup gain last.

    Args:
        audio: (channel, time).
        fs_hz: sampling rate in Hz.
        threshold_db: from which level on it compresses; 0 dB is full scale.
        ratio: dB in for 1 dB out above the threshold; 1 changes nothing but the makeup gain.
        attack_ms, release_ms: time constants of more and of less gain reduction, above 0.
        makeup_db: gain after it.

    Returns:
        (channel, time) float32.

    Raises:
        RoomgenError: a ratio below 1, a time constant that is not above 0, or a value that is not finite.
    """
    if not np.isfinite([threshold_db, ratio, attack_ms, release_ms, makeup_db]).all():
        raise RoomgenError("threshold, ratio, time constants and makeup gain of a compressor must be finite.")
    if ratio < 1 or attack_ms <= 0 or release_ms <= 0:
        raise RoomgenError(
            f"a compressor has a ratio of at least 1 (not {ratio:g}) and time constants above 0 ms ({attack_ms:g}, {release_ms:g})."
        )
    if audio.shape[1] == 0:
        return audio.astype(np.float32)
    from roomgen.acoustics.microphones.compression import smoothed  # numba takes a while to import

    level_db = 20.0 * np.log10(np.maximum(np.abs(audio).max(axis=0).astype(np.float64), _SILENCE))
    reduction_db = np.maximum(level_db - threshold_db, 0.0) * (1.0 - 1.0 / ratio)
    attack, release = (float(np.exp(-1000.0 / (time_ms * fs_hz))) for time_ms in (attack_ms, release_ms))
    gain_db = makeup_db - smoothed(reduction_db, attack, release)
    return np.asarray(audio * 10.0 ** (gain_db / 20.0), dtype=np.float32)
