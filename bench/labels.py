"""Labels per second, against pyrato and pyroomacoustics on the same response.

Three ways in: a simulated response whose octave bands are known, one whose bands are to be split, and a recording with a noise
floor. pyrato gets the same signals for T30, T20, EDT, C50, C80 and D50, broadband and per band; it is optional. pyroomacoustics has
the broadband decay time alone. Ours measures centre time, STI and strength as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.effort import Effort
from bench.scenes import FS_HZ, typical_room
from bench.timing import best_s
from roomgen.acoustics.images.sources import image_source
from roomgen.acoustics.labels.bands import BROADBAND
from roomgen.acoustics.labels.measure import measure
from roomgen.acoustics.scene import ImageOptions
from roomgen.text import table

_NOISE_DB = -75.0  # of the recording's noise below the peak of its response
_SILENCE_S = 0.5  # of noise after the response
_HIGHPASS_HZ = 40.0  # the offset of image sources is in no recording
_PYFAR_HZ = (125.0, 4000.0)  # pyfar has no octave band that reaches beyond half the sampling rate

Peer = Callable[[], float]


def run(effort: Effort) -> dict[str, Any]:
    """Return responses labelled per second in each way, with the peer's, their ratio, and both T30."""
    scene = typical_room().scene(1, options=ImageOptions(highpass_hz=_HIGHPASS_HZ))
    response = image_source(scene)
    assert response.band_rirs is not None
    rir, bands = response.rir[0, 0], response.band_rirs[0, 0]
    noise = np.random.default_rng(0).standard_normal(len(rir) + int(_SILENCE_S * FS_HZ))
    recording = 10.0 ** (_NOISE_DB / 20.0) * np.abs(rir).max() * noise
    recording[: len(rir)] += rir
    pyrato = find_spec("pyrato") is not None and find_spec("pyfar") is not None
    signals = np.concatenate([_broadband(rir)[None], bands])
    cases: tuple[tuple[str, Callable[[], Any], str, Peer | None], ...] = (
        (
            "bands known",
            partial(measure, rir, band_rirs=bands, fs_hz=FS_HZ, noise="none"),
            "pyrato",
            partial(_pyrato, signals) if pyrato else None,
        ),
        (
            "bands split",
            partial(measure, rir, fs_hz=FS_HZ, noise="none"),
            "pyroomacoustics, broadband T30 alone",
            partial(_pyroomacoustics, signals[0]),
        ),
        (
            "noise floor found",
            partial(measure, recording, fs_hz=FS_HZ, noise="auto"),
            "pyrato (Chu, Lundeby) and pyfar's filters",
            partial(_pyrato_lundeby, _broadband(recording)) if pyrato else None,
        ),
    )
    return {"duration_s": len(rir) / FS_HZ, "cases": [_case(*case, repeats=max(effort.repeats, 3)) for case in cases]}


def text(result: dict[str, Any]) -> str:
    """Return the speeds as a table."""
    rows = []
    for case in result["cases"]:
        known = case["peer_per_s"] is not None
        rows.append(
            [
                case["case"],
                f"{case['ours_per_s']:.0f}",
                f"{case['ours_t30_s']:.3f}",
                f"{case['peer_per_s']:.1f}" if known else "not installed",
                f"{case['peer_t30_s']:.3f}" if known else "",
                f"{case['ratio']:.1f}" if known else "",
                case["peer"],
            ]
        )
    head = ["measure()", "ours per s", "T30 s", "peer per s", "T30 s", "ratio", "peer"]
    return f"Labels of one response of {result['duration_s']:.2f} s, broadband and in 7 bands, one thread\n{table(head, rows)}"


def _case(name: str, ours: Callable[[], Any], peer_name: str, peer: Peer | None, *, repeats: int) -> dict[str, Any]:
    times = best_s(repeats, ours) if peer is None else best_s(repeats, ours, peer)
    return {
        "case": name,
        "ours_per_s": 1.0 / times[0],
        "ours_t30_s": float(ours().rt60_s),
        "peer": peer_name,
        "peer_per_s": None if peer is None else 1.0 / times[1],
        "peer_t30_s": None if peer is None else peer(),
        "ratio": None if peer is None else times[1] / times[0],
    }


def _broadband(signal: NDArray[Any]) -> NDArray[Any]:
    """Return what a broadband label is of: peers take a signal as it is."""
    n_fft = 2 * len(signal)
    weights = BROADBAND.weights(np.asarray(np.fft.rfftfreq(n_fft, 1.0 / FS_HZ), dtype=np.float64))
    return np.asarray(np.fft.irfft(np.fft.rfft(signal, n_fft) * weights, n_fft)[: len(signal)], dtype=signal.dtype)


def _pyroomacoustics(rir: NDArray[Any]) -> float:
    from pyroomacoustics.experimental import measure_rt60

    return float(measure_rt60(rir, fs=FS_HZ, decay_db=30))


def _pyrato(signals: NDArray[Any]) -> float:
    import pyfar
    import pyrato

    curve = pyrato.edc.schroeder_integration(pyfar.Signal(signals.astype(np.float64), FS_HZ))
    curve.time = curve.time / curve.time[:, :1]  # its parameters want 0 dB at the beginning
    return _pyrato_parameters(curve)


def _pyrato_lundeby(recording: NDArray[np.float64]) -> float:
    import pyfar
    import pyrato

    whole = pyfar.Signal(recording, FS_HZ)
    bands = pyfar.dsp.filter.fractional_octave_bands(whole, num_fractions=1, frequency_range=_PYFAR_HZ)
    signals = pyfar.Signal(np.concatenate([whole.time, bands.time[:, 0]]), FS_HZ)
    return _pyrato_parameters(pyrato.edc.energy_decay_curve_chu_lundeby(signals, channel_independent=True))


def _pyrato_parameters(curve: Any) -> float:
    """Return the broadband T30 after computing what :func:`measure` computes."""
    from pyrato import parameters

    t30, *_ = (parameters.reverberation_time_linear_regression(curve, T=name) for name in ("T30", "T20", "EDT"))
    for early_ms in (50, 80):
        parameters.clarity(curve, early_time_limit=early_ms)
    parameters.definition(curve, early_time_limit=50)
    return float(t30[0])
