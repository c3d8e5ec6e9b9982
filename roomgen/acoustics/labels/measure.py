"""Room acoustic parameters of impulse responses: decay times, clarity, definition, centre time, direct-to-reverberant ratio,
speech transmission index and strength.

All follow ISO 3382-1 (2009), broadband and per octave band or third of an octave, with the zero-phase filters of
:mod:`roomgen.acoustics.labels.bands`, the same for simulated and for measured responses. 'Broadband' is the octaves of 125 Hz to
8 kHz together, at any sampling rate, so that an offset or rumble is in no label at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.labels.bands import Band, BandKind, Noise, band_of, label_bands
from roomgen.acoustics.labels.modulation import OCTAVES_HZ
from roomgen.acoustics.labels.reasons import Reasons, Why
from roomgen.acoustics.labels.strength import POINT_SOURCE
from roomgen.acoustics.labels.table import BANDED, LABELS, SINGLE
from roomgen.errors import RoomgenError

if TYPE_CHECKING:
    from roomgen.acoustics.labels.values import Spectrum

Floats = NDArray[np.float64]

_NAMES = (*(label.field for label in (*BANDED, *SINGLE)), *(label.bands_field for label in BANDED))
_DRR = [label.name for label in SINGLE].index("drr")


@dataclass(frozen=True)
class Labels:
    """What :func:`measure` found. nan means 'cannot be measured'; ``why`` tells why.

    Labels of one response are floats, those with ``_bands`` in their names (band,) arrays; of responses with leading dimensions
    they are (...,) and (..., band) arrays.

    The labels are those of :data:`~roomgen.acoustics.labels.table.LABELS`, as attributes: ``rt60_s``, ``rt60_bands_s``, ``sti``, …

    Args:
        values: of all labels, by name.
        direct_delay_s: time of the onset from the beginning of the response.
        band_hz: (band,) nominal centres of the bands in Hz.
        why: code of :class:`~roomgen.acoustics.labels.reasons.Why` for each value, by the names of the labels, in their shapes.
    """

    values: Mapping[str, float | Floats]
    direct_delay_s: float | Floats
    band_hz: Floats
    why: Reasons = field(repr=False, compare=False)

    def __getattr__(self, name: str) -> Any:  # a float of one response, else an array
        if name.startswith("__") or name not in self.values:  # the first: asked for before there are values, as by pickle
            raise AttributeError(f"there is no label {name!r}; there are {', '.join(_NAMES)}")
        return self.values[name]

    def as_dict(self) -> dict[str, Any]:
        """Return broadband and single values, then those of bands, as plain Python floats and (nested) lists of floats."""
        single = {name: self.values[name] for name in _NAMES[: len(LABELS)]}
        bands = {name: self.values[name] for name in _NAMES[len(LABELS) :]}
        everything = {**single, "direct_delay_s": self.direct_delay_s, "band_hz": self.band_hz, **bands}
        return {name: np.asarray(value).tolist() for name, value in everything.items()}


def measure(
    rir: ArrayLike,
    *,
    fs_hz: float,
    bands: BandKind = "octave",
    bands_hz: tuple[float, ...] | None = None,
    band_rirs: ArrayLike | None = None,
    onset_s: ArrayLike | None = None,
    drr_db: ArrayLike | None = None,
    noise: Noise = "auto",
    reference: ArrayLike | None = None,
) -> Labels:
    """Measure the parameters of impulse responses, broadband and per band.

    Args:
        rir: (..., time) impulse responses. float32 is computed in float32.
        fs_hz: sampling rate in Hz.
        bands: ``"octave"``, or ``"third"`` for thirds of an octave. What is broadband, and what is the mean of octaves, is the
            same with either.
        bands_hz: centres of adjacent bands, rising, at most Nyquist; None: octaves from 125 Hz to Nyquist, thirds of an octave
            from 50 Hz to the last that ends below Nyquist.
        band_rirs: (..., band, time) the same responses already split into these bands; used as they are. Bands that add up to
            the response differ in the lowest one: theirs reaches down to 0 Hz, ours is an octave.
        onset_s: (...,) or one arrival time of the direct sound in s; None: the first sample above -20 dB of the peak (ISO
            3382-1), or the main lobe that begins there.
        drr_db: (...,) direct-to-reverberant ratio, where it is known exactly; None: energy within ±2.5 ms of the onset over
            the energy after it.
        noise: ``"auto"`` finds the noise floor of a measured response in each band and removes it; ``"none"`` is for simulated
            responses, which have none. Either completes a response that ends before its decay does.
        reference: (time,) response of the same source at 10 m in a free field, for the strength; None: simulated responses
            (``noise="none"``) are in Pa per unit source, where it is known; a recording's strength is nan.

    Returns:
        :class:`Labels`. Energy that rises before the onset (the ringing of band filters and of band-limited pulses: four
        periods of the band) counts as early energy. A value is nan where it cannot be measured:

        - decay times, where the decay is not seen 10 dB beyond the end of the fit (-45 dB for ``rt60_s``, -35 dB for ``t20_s``,
          -20 dB for ``edt_s``) before the response ends or sinks into noise; where single steps, a strong direct sound or
          echoes, take more than half of the range of the fit; and where they are shorter than 20 ms, or than 12 (EDT: 24)
          periods of the band, which the filter itself rings (thirds of an octave: three times as many);
        - C50, C80, D50 and DRR, where the response is cut before the later energy begins, where that is below -50 dB of all, or
          where a tenth of it had to be extrapolated;
        - the centre time, where a hundredth of all energy had to be extrapolated, STI and strength, where a tenth;
        - the STI of responses below 16 kHz, which lack an octave.

        So silence (samples that are all the same) is nan throughout; a click, and a file of ten samples, have neither decay
        times nor clarity.

    Raises:
        RoomgenError: an empty array, nan or infinite samples, or arguments that do not fit each other.
    """
    from roomgen.acoustics.labels.decay_curve import find_onset  # numba, which takes a while to import
    from roomgen.acoustics.labels.values import measure_one

    rirs = _valid_signal(rir, "rir")
    if not (np.isfinite(fs_hz) and fs_hz > 0):
        raise RoomgenError(f"sampling rate {fs_hz} Hz must be positive and finite.")
    if noise not in ("auto", "none"):
        raise RoomgenError(f"noise = {noise!r} is unknown: 'auto' for measured responses, 'none' for simulated ones.")
    lead, n_samples = rirs.shape[:-1], rirs.shape[-1]
    centers, filters = label_bands(bands, None if bands_hz is None else tuple(bands_hz), fs_hz)
    given = None
    if band_rirs is not None:
        given = _valid_signal(band_rirs, "band_rirs")
        if given.shape != (*lead, len(centers), n_samples):
            raise RoomgenError(
                f"band_rirs has the shape {given.shape}; {(*lead, len(centers), n_samples)} is needed: (..., band, time) "
                f"with {len(centers)} bands."
            )
        given = given.reshape(-1, len(centers), n_samples)
    onsets = _per_response(onset_s, lead, "onset_s")
    if onset_s is not None and not ((onsets >= 0.0) & (onsets < n_samples / fs_hz)).all():
        raise RoomgenError(f"onset_s must lie within the response, from 0 to {n_samples / fs_hz:g} s.")
    warm_up()
    spectrum = _spectrum(filters, float(fs_hz), noise) if reference is None else _with_reference(filters, fs_hz, noise, reference)
    flat = rirs.reshape(-1, n_samples)
    values = np.full((len(flat), len(BANDED), 1 + len(centers)), np.nan)
    numbers = np.full((len(flat), len(SINGLE)), np.nan)
    why = Reasons(np.full(values.shape, Why.SILENT, np.int8), np.full(numbers.shape, Why.SILENT, np.int8), lead)
    for i, response in enumerate(flat):  # one by one: each has its own onset, and stays in the cache of the processor
        if (response == response[0]).all():
            continue  # silence, a mere offset, a single sample
        peak = np.abs(response).max()
        if onset_s is None:
            onsets[i] = find_onset(response) / fs_hz
        one = measure_one(response / peak, None if given is None else given[i] / peak, onsets[i], float(peak), spectrum)
        values[i], numbers[i] = one.values, one.single
        why.of_bands[i], why.of_single[i] = one.reasons, one.single_reasons
    if drr_db is not None:
        numbers[:, _DRR] = _per_response(drr_db, lead, "drr_db")
        why.of_single[~np.isnan(numbers[:, _DRR]), _DRR] = Why.MEASURED

    named: dict[str, Any] = {label.field: numbers[:, p].reshape(lead) for p, label in enumerate(SINGLE)}
    for p, label in enumerate(BANDED):
        named[label.field] = values[:, p, 0].reshape(lead)
        named[label.bands_field] = values[:, p, 1:].reshape(*lead, len(centers))
    delay: Any = onsets.reshape(lead)
    if not lead:
        named.update({name: float(value) for name, value in named.items() if value.ndim == 0})
        delay = float(delay)
    return Labels(named, delay, np.array(centers), why)


@lru_cache(maxsize=1)
def warm_up() -> None:
    """Load the compiled loops, or compile them where that has never been done; only then say on stderr what takes so long."""
    from roomgen.acoustics.compiled import announced
    from roomgen.acoustics.labels.values import measure_one

    with announced("the measurement of labels"):
        decay = np.exp(-0.02 * np.arange(2000.0)) * np.cos(np.arange(2000.0))
        for response in (decay, decay.astype(np.float32)):
            measure_one(response, None, 0.0, 1.0, _spectrum((), 16000.0, "auto"))
            measure_one(response, response[None], 0.0, 1.0, _spectrum((band_of(1000.0, 1),), 16000.0, "none"))


@lru_cache(maxsize=32)
def _spectrum(bands: tuple[Band, ...], fs_hz: float, noise: Noise) -> Spectrum:
    """Return what is measured: the bands asked for, and the octaves that the mean RT60 and the STI need beside them."""
    from roomgen.acoustics.labels.values import Spectrum

    octaves = tuple(band_of(f, 1) for f in OCTAVES_HZ if f <= fs_hz / 2.0)
    return Spectrum(bands, tuple(o for o in octaves if o not in bands), fs_hz, noise, POINT_SOURCE if noise == "none" else None)


def _with_reference(bands: tuple[Band, ...], fs_hz: float, noise: Noise, reference: ArrayLike) -> Spectrum:
    return replace(_spectrum(bands, float(fs_hz), noise), free_field=_valid_signal(reference, "reference").reshape(-1))


def _valid_signal(given: ArrayLike, name: str) -> NDArray[Any]:
    signal = np.asarray(given)
    if signal.ndim == 0 or signal.size == 0:
        raise RoomgenError(f"{name} has the shape {signal.shape}: (..., time) with at least one sample is needed.")
    if signal.dtype.kind not in "fiu":
        raise RoomgenError(f"{name} is {signal.dtype}: real numbers are needed.")
    if signal.dtype not in (np.float32, np.float64):
        signal = signal.astype(np.float64)
    if not np.isfinite(signal).all():
        raise RoomgenError(f"{name} holds {int((~np.isfinite(signal)).sum())} samples that are nan or infinite.")
    return signal


def _per_response(given: ArrayLike | None, lead: tuple[int, ...], name: str) -> Floats:
    """Return one number for each response, (response,); nan if None is given."""
    values = np.asarray(np.nan if given is None else given, dtype=np.float64)
    if values.ndim and values.shape != lead:
        raise RoomgenError(f"{name} has the shape {values.shape}; one number, or the shape {lead} of the responses, is needed.")
    return np.broadcast_to(values, lead).reshape(-1).copy()
