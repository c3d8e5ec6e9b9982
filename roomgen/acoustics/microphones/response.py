"""A parametric microphone: what reaches its output from any direction and distance, as a minimum-phase impulse response.

The magnitude is a product of three things, each of which a buyer reads on a data sheet:

- the transducer's response on its axis: bass corner, treble corner and resonances;
- the polar pattern p + (1 − p) cos θ, whose pressure share p drifts with frequency, whose gradient part is a difference over a
  finite path, and which grows towards low frequencies near the source (proximity effect);
- diffraction: the diaphragm averages over its area, and the body, a tube's flat end (condensers addressed at their end) or a
  sphere, dams up what comes from the front and shades what comes from behind.

On the axis and far away the response is 1 at 1 kHz. Spreading (1/r) and travel time are **not** included: they belong to the
room, and would otherwise be counted twice.

Sources: H. F. Olson, Elements of Acoustical Engineering (1940), ch. VIII (pressure gradient over a finite path, spherical waves);
J. Eargle, The Microphone Book (2nd ed. 2005), ch. 2-5 (patterns, transducers, dual diaphragms); G. Torio, Understanding the
transfer functions of directional condenser microphones in response to different sound sources (13th AES Conference 1998): a
directional microphone is the sum of a pressure and a gradient part, and only the gradient part knows the distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from roomgen.errors import RoomgenError

SPEED_OF_SOUND_M_S = 343.0
DIRECTIVITIES = ("omni", "cardioid", "supercardioid", "bidirectional")
TRANSDUCERS = ("condenser", "moving_coil", "ribbon")
REFERENCE_HZ = 1000.0
_FLOOR = 1e-4  # of the maximum: a logarithm needs one, and no microphone's null is deeper than -80 dB
_PISTON_FLOOR = 0.1  # a real diaphragm has no exact zeros off its axis: it does not move as a stiff disc
_BLUR_RAD = np.deg2rad(25.0)
_KIRCHHOFF_EXCESS = 0.17
_STEP = 0.04  # of ka in the table of the sphere: linear between, errors below 0.01 dB


class Resonance(NamedTuple):
    """A peak (or dip) of ``gain_db`` at ``frequency_hz``: (s² + s A ω/Q + ω²) / (s² + s ω/(A Q) + ω²) with A² the gain."""

    frequency_hz: float
    gain_db: float
    q: float


@dataclass(frozen=True)
class MicrophoneDesign:
    """All that decides a microphone's responses.

    Args:
        name: of the microphone.
        directivity, transducer, diaphragm_size, diaphragm_count, address: what a generator of responses is conditioned on.
        pressure_share: p of the pattern at middle frequencies (1 omnidirectional, 1/2 cardioid, 0 figure-eight).
        pressure_share_low: towards which p drifts below ``drift_hz`` (a dual diaphragm opens up in the bass).
        pressure_share_high: towards which p drifts where the diaphragm is no longer small against the wavelength.
        drift_hz: middle of the drift in the bass.
        diaphragm_radius_m: what incident sound is averaged over.
        body_radius_m: of the tube whose end holds the diaphragm, or of the sphere that stands for any other body.
        path_m: from the front of the diaphragm to its back.
        bass_hz, bass_order: high-pass corner and order (Butterworth).
        treble_hz, treble_order: low-pass corner and order.
        resonances: on the axis.
        imperfection: amplitude that is left in an ideal null, against that on the axis.
        reflection, reflection_path_m: amplitude of what the body throws back, and how much longer its way is from behind.
        axis_deg: from where it says it looks to where it does.
    """

    name: str
    directivity: Literal["omni", "cardioid", "supercardioid", "bidirectional"]
    transducer: Literal["condenser", "moving_coil", "ribbon"]
    diaphragm_size: Literal["small", "large"]
    diaphragm_count: Literal["single", "dual"]
    address: Literal["end", "side"]
    pressure_share: float
    pressure_share_low: float
    pressure_share_high: float
    drift_hz: float
    diaphragm_radius_m: float
    body_radius_m: float
    path_m: float
    bass_hz: float
    bass_order: int
    treble_hz: float
    treble_order: int
    resonances: tuple[Resonance, ...] = ()
    imperfection: float = 0.0
    reflection: float = 0.0
    reflection_path_m: float = 0.0
    axis_deg: float = 0.0


def conditioning(
    *,
    directivity: str,
    transducer: str,
    diaphragm_size: str,
    diaphragm_count: str,
    address: str,
    angle_deg: float,
    distance_m: float,
) -> tuple[float, ...]:
    """Return the 12 variables that a generator of device responses is given (Schmidt and Peters 2023, section 5.3).

    Four for the directivity (one is 1), three for the transducer, dual diaphragm, large diaphragm, side address (1 or 0), and
    where the source stands seen from the microphone: x = r cos θ and y = r sin θ in m. The paper says "directivity, transducer,
    diaphragm properties and angle/distance in Cartesian coordinates, in total 12"; this is the reading that adds up.

    Returns:
        12 numbers, or none where anything is unknown (empty text or NaN).
    """
    known = (
        directivity in DIRECTIVITIES
        and transducer in TRANSDUCERS
        and diaphragm_size in ("small", "large")
        and diaphragm_count in ("single", "dual")
        and address in ("end", "side")
        and np.isfinite([angle_deg, distance_m]).all()
    )
    if not known:
        return ()
    angle = np.deg2rad(angle_deg)
    return (
        *(float(directivity == name) for name in DIRECTIVITIES),
        *(float(transducer == name) for name in TRANSDUCERS),
        float(diaphragm_count == "dual"),
        float(diaphragm_size == "large"),
        float(address == "side"),
        float(distance_m * np.cos(angle)),
        float(distance_m * np.sin(angle)),
    )


def impulse_response(
    design: MicrophoneDesign, *, angle_deg: float, distance_m: float, fs_hz: int = 32000, n_samples: int = 1024
) -> NDArray[np.float32]:
    """Return the minimum-phase response of a microphone to a source in some direction and distance, without 1/r and travel.

    It is negative where the pattern is (the back of a figure-eight at 1 kHz). Below about fs / n_samples a response of that
    length cannot follow the microphone's: it is cut there, and its last sixteenth fades out.

    Args:
        angle_deg: of the source, from the axis.
        distance_m: of the source.
        fs_hz: sampling rate in Hz.
        n_samples: length.

    Returns:
        (n_samples,) float32.

    Raises:
        RoomgenError: a distance that is not positive.
    """
    n_fft = 8 * fft.next_fast_len(n_samples, real=True)
    frequencies_hz = np.arange(n_fft // 2 + 1) * (fs_hz / n_fft)
    magnitudes = magnitude(design, angle_deg=angle_deg, distance_m=distance_m, frequencies_hz=frequencies_hz)
    response = faded(minimum_phase(magnitudes), n_samples)
    return -response if _polarity(design, angle_deg) < 0 else response


def magnitude(
    design: MicrophoneDesign, *, angle_deg: float, distance_m: float, frequencies_hz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the magnitude of a microphone's transfer function at (frequency,) frequencies, without 1/r.

    Raises:
        RoomgenError: a distance that is not positive.
    """
    if not distance_m > 0:
        raise RoomgenError(f"distance_m {distance_m:g} must be above 0: a microphone in its source hears nothing defined.")
    # At 0 Hz the proximity effect has no limit; the lowest bin is taken for it, where the bass corner has long closed.
    lowest = frequencies_hz[frequencies_hz > 0].min(initial=1.0)
    hz = np.maximum(frequencies_hz, 0.5 * lowest)
    cosine = float(np.cos(np.deg2rad(angle_deg - design.axis_deg)))
    pattern = np.abs(pattern_of(design, cosine=cosine, distance_m=distance_m, frequencies_hz=hz))
    pattern = np.hypot(pattern, design.imperfection) / np.hypot(1.0, design.imperfection)
    return np.asarray(transducer_magnitude(design, hz) * pattern * _diffraction(design, cosine, hz))


def transducer_magnitude(design: MicrophoneDesign, frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the response on the axis, far away, relative to that at 1 kHz.

    Butterworth corners, and resonances as in :class:`Resonance`: a diaphragm's own in the treble of a condenser, the presence
    peak of a moving coil (Eargle 2005, ch. 3 and 4); a ribbon is controlled by its mass and loses treble above its slots'
    half wavelength (Olson 1940, ch. VIII).
    """
    return _on_axis(design, frequencies_hz) / _on_axis(design, np.array([REFERENCE_HZ]))


def pattern_of(
    design: MicrophoneDesign, *, cosine: float, distance_m: float, frequencies_hz: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Return the pattern's complex factor in a direction: 1 on the axis of a source far away, at every frequency.

    p + (1 − p) · cos θ · s(k d cos θ) · (1 + 1/(j k r)), over its value on the axis for r → ∞. s(x) = sin(x/2) / (x/2) makes the
    gradient a difference over a path d (Olson 1940, ch. VIII); 1 + 1/(j k r) is the particle velocity of a spherical wave over
    that of a plane one at the same pressure (Olson 1940, ch. VIII; Torio 1998), the proximity effect.

    Args:
        cosine: of the angle from the axis.
        distance_m: of the source.
        frequencies_hz: above 0.
    """
    k = 2.0 * np.pi * frequencies_hz / SPEED_OF_SOUND_M_S
    share = pressure_share(design, frequencies_hz)
    axis = share + (1.0 - share) * _difference(k * design.path_m)
    gradient = cosine * _difference(k * design.path_m * cosine) * (1.0 + 1.0 / (1j * k * distance_m))
    return np.asarray((share + (1.0 - share) * gradient) / axis)


def pressure_share(design: MicrophoneDesign, frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p at each frequency: it drifts below ``drift_hz``, and where ka of the diaphragm passes 1.5."""
    ka = 2.0 * np.pi * frequencies_hz / SPEED_OF_SOUND_M_S * design.diaphragm_radius_m
    low = 1.0 / (1.0 + (frequencies_hz / design.drift_hz) ** 2)
    high = 1.0 / (1.0 + (1.5 / np.maximum(ka, 1e-3)) ** 4)
    p = design.pressure_share
    drifted = p + (design.pressure_share_low - p) * low + (design.pressure_share_high - p) * high
    return np.asarray(np.clip(drifted, 0.0, 1.0))


def minimum_phase(magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the minimum-phase response with these magnitudes at 0 … fs/2: (n/2 + 1,) to (n,).

    The real cepstrum is folded onto its causal half (A. V. Oppenheim and R. W. Schafer, Digital Signal Processing, 1975,
    ch. 10). Magnitudes are kept from falling below 1e-4 of their maximum.
    """
    n = 2 * (len(magnitudes) - 1)
    cepstrum = fft.irfft(np.log(np.maximum(magnitudes, _FLOOR * magnitudes.max())), n)
    cepstrum[1 : n // 2] *= 2.0
    cepstrum[n // 2 + 1 :] = 0.0
    return np.asarray(fft.irfft(np.exp(fft.rfft(cepstrum)), n))


def faded(response: NDArray[np.float64], n_samples: int) -> NDArray[np.float32]:
    """Return the first samples of a response, the last sixteenth of them fading out."""
    response, fade = response[:n_samples].copy(), max(n_samples // 16, 1)
    response[-fade:] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(fade) + 1) / (fade + 1))
    return np.asarray(response, dtype=np.float32)


def _polarity(design: MicrophoneDesign, angle_deg: float) -> float:
    cosine = float(np.cos(np.deg2rad(angle_deg - design.axis_deg)))
    return design.pressure_share + (1.0 - design.pressure_share) * cosine


def _on_axis(design: MicrophoneDesign, hz: NDArray[np.float64]) -> NDArray[np.float64]:
    bass, treble = (design.bass_hz, design.bass_order), (design.treble_hz, design.treble_order)
    return butterworth_peaks(hz, bass=bass, treble=treble, resonances=design.resonances)


def butterworth_peaks(
    hz: NDArray[np.float64], *, bass: tuple[float, int], treble: tuple[float, int], resonances: tuple[Resonance, ...]
) -> NDArray[np.float64]:
    """Return the magnitudes of a high-pass and a low-pass (corner in Hz, order; Butterworth) and of resonances, above 0 Hz."""
    power = 1.0 / (1.0 + (bass[0] / hz) ** (2 * bass[1]))
    power /= 1.0 + (hz / treble[0]) ** (2 * treble[1])
    for frequency_hz, gain_db, q in resonances:
        x, gain = (hz / frequency_hz) ** 2, 10.0 ** (gain_db / 40.0)
        power *= ((1.0 - x) ** 2 + x * (gain / q) ** 2) / ((1.0 - x) ** 2 + x / (gain * q) ** 2)
    return np.asarray(np.sqrt(power))


def _difference(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sinc(x / (2.0 * np.pi)))


def _diffraction(design: MicrophoneDesign, cosine: float, hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the size of diaphragm and body does, over what it does on the axis.

    A disc of radius a averages a plane wave to 2 J₁(ka sin θ) / (ka sin θ) (L. E. Kinsler et al., Fundamentals of Acoustics,
    ch. 7, by reciprocity). A figure-eight is open to both sides, so that no body shades its back; a dual diaphragm in
    omnidirectional position hears the mean of both sides.
    """
    k = 2.0 * np.pi * hz / SPEED_OF_SOUND_M_S
    sine = float(np.sqrt(max(1.0 - cosine**2, 0.0)))
    x = np.maximum(k * design.diaphragm_radius_m * sine, 1e-6)
    result = np.hypot(2.0 * special.j1(x) / x, _PISTON_FLOOR) / np.hypot(1.0, _PISTON_FLOOR)
    if design.directivity != "bidirectional":
        ka = k * design.body_radius_m
        pressure = _at_tube if design.address == "end" and design.transducer == "condenser" else _at_sphere
        shade, front = pressure(ka, cosine), pressure(ka, 1.0)
        if design.directivity == "omni" and design.diaphragm_count == "dual":
            shade, front = shade + pressure(ka, -cosine), front + pressure(ka, -1.0)
        result = result * shade / front  # the axis' own pressure build-up is part of the on-axis response
    if design.reflection:
        path = design.reflection_path_m * 0.5 * (1.0 - cosine)
        result = result * np.abs(1.0 + design.reflection * np.exp(-1j * k * path)) / (1.0 + design.reflection)
    return np.asarray(result)


def _at_tube(ka: NDArray[np.float64], cosine: float) -> NDArray[np.float64]:
    """Return the root mean square of the pressure at a tube's end around a direction: (frequency,)."""
    each = [tube_pressure(ka, turned) for turned in _around(cosine)]
    return np.asarray(np.sqrt(np.mean(np.square(each), axis=0)))


def _at_sphere(ka: NDArray[np.float64], cosine: float) -> NDArray[np.float64]:
    """Return the root mean square of the pressure on a sphere around a direction: (frequency,)."""
    shade = _blurred_shade(int(np.ceil(ka.max())), cosine)
    return np.asarray(np.interp(ka, _STEP * np.arange(len(shade)), shade))


@lru_cache(maxsize=1024)
def _blurred_shade(largest: int, cosine: float) -> NDArray[np.float64]:
    """Return what :func:`_at_sphere` interpolates in: at ka in steps up to ``largest``."""
    each = [sphere_pressure(largest, turned) for turned in _around(cosine)]
    return np.asarray(np.sqrt(np.mean(np.square(each), axis=0)))


def _around(cosine: float) -> list[float]:
    """Return the cosines of the directions that a body blurs: none has a bright spot as sharp as a perfect tube's or sphere's."""
    angle = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return [float(np.cos(angle + turn)) for turn in (-_BLUR_RAD, 0.0, _BLUR_RAD)]


def tube_pressure(ka: NDArray[np.float64], cosine: float) -> NDArray[np.float64]:
    """Return the pressure amid the flat end of a rigid tube of radius a over that of the plane wave without it: (frequency,).

    |1 + cos θ (1 − exp(−jκ) J₀(κ sin θ))|: the end throws a wave back, and its rim takes that away again one radius later
    (Kirchhoff's approximation at the centre of a disc; on the axis |2 − exp(−jκ)|, up to 9.5 dB). κ = ka, but for ka < 1, where
    that approximation is too strong, up to 17 % less. A half-inch capsule (a = 6.35 mm), blurred over ±25°, so has the free-field
    corrections of GRAS 40AE (GRAS Sound & Vibration, Free-field and Random Incidence Corrections, half-inch with grid, 0 to 180°)
    within 0.2 dB up to 4 kHz and 1.7 dB up to 16 kHz, where a sphere of its radius lacks 4 dB on the axis.

    Args:
        ka: (frequency,) wave number times the tube's radius.
        cosine: of the angle between the tube's axis and where the wave comes from.
    """
    sine = float(np.sqrt(max(1.0 - cosine**2, 0.0)))
    kappa = ka * (1.0 - _KIRCHHOFF_EXCESS / (1.0 + ka**4))
    return np.asarray(np.abs(1.0 + cosine * (1.0 - np.exp(-1j * kappa) * special.j0(kappa * sine))))


def sphere_pressure(largest: int, cosine: float) -> NDArray[np.float64]:
    """Return the pressure on a rigid sphere over that of the plane wave without it, at ka = 0, 0.04 … ``largest``.

    |Σ (2n + 1) (−j)ⁿ⁻¹ Pₙ(cos θ) / hₙ'(ka)| / (ka)² (P. M. Morse and K. U. Ingard, Theoretical Acoustics, 1968, ch. 8; as
    in R. O. Duda and W. L. Martens, JASA 104, 1998, for a source far away).

    Args:
        largest: ka up to which to go.
        cosine: of the angle at the sphere's centre, from where the wave comes.
    """
    terms = _sphere(largest)
    # Sums of products, not a matrix product: libraries for those use threads, which cost more than they give here.
    return np.asarray(np.abs(np.sum(terms * special.eval_legendre(np.arange(terms.shape[1]), cosine), axis=1)))


@lru_cache(maxsize=4)
def _sphere(largest: int) -> NDArray[np.complex128]:
    """Return the series' terms less the Legendre polynomials: (ka in steps up to ``largest``, order)."""
    x = np.maximum(_STEP * np.arange(round(largest / _STEP) + 1), 1e-3)[:, None]
    n = np.arange(largest + int(4.0 * largest ** (1.0 / 3.0)) + 6)  # orders beyond add less than 1e-4
    with np.errstate(invalid="ignore", over="ignore"):
        slope = special.spherical_jn(n, x, derivative=True) + 1j * special.spherical_yn(n, x, derivative=True)
    # Orders far above ka overflow in the denominator: they are 0.
    inverse = np.where(np.isfinite(slope), 1.0 / np.where(np.isfinite(slope), slope, 1.0), 0.0)
    return np.asarray((2 * n + 1) * (-1j) ** (n - 1) * inverse / x**2)
