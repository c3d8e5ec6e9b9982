"""Renders: sources heard through rooms, devices and noise, as audio that anybody can play.

A render names its source, response and device, and the gains: it can be made again from its row and the datasets it was made of.
Sources of a split meet responses of the same split only, so that no room, speaker or device of the test is heard in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from roomgen.audio import encode_flac
from roomgen.audio_math import amplitude, fit, peak_db, rms_db
from roomgen.datasets.family import Broken, Card, Family, Inputs
from roomgen.datasets.renders.plan import RendersPlan, Unit, input_path, opened_dataset, renders_settings
from roomgen.datasets.renders.settings import RendersSettings
from roomgen.errors import RoomgenError
from roomgen.store.columns import RENDERS, Column
from roomgen.store.samples import Sample, sample_of
from roomgen.streams import Stream, generator
from roomgen.text import interval

__all__ = ["RendersFamily", "RendersPlan", "RendersSettings", "convolve", "render", "renders_settings"]

AUDIO_MEMBER, CLEAN_MEMBER = "audio.flac", "clean.flac"
_FULL_SCALE_DB = -0.01
_OF_SOURCE = {"speaker": "", "text": "", "class_name": "", "location": "", "group": ""}
_OF_RIR = dict.fromkeys(("volume_m3", "rt60_s", "c50_db", "drr_db", "distance_m", "azimuth_deg", "elevation_deg"), np.nan)


class RendersFamily(Family):
    """Sources through rooms, devices and noise."""

    name = "renders"
    unit = "render"
    settings_model = RendersSettings
    audio_member = AUDIO_MEMBER
    counts = {"source_key": "sources", "rir_key": "responses", "device_key": "device responses", "speaker": "speakers"}  # noqa: RUF012
    spreads = {"rt60_s": ("RT60", "s"), "rms_db": ("level", "dB"), "gain_db": ("gain", "dB")}  # noqa: RUF012

    def columns(self, settings: RendersSettings) -> tuple[Column, ...]:
        return RENDERS

    def members(self, settings: RendersSettings) -> tuple[str, ...]:
        return tuple(sorted((AUDIO_MEMBER, "json", *((CLEAN_MEMBER,) if settings.clean else ()))))

    def plan(self, settings: RendersSettings, inputs: Inputs) -> RendersPlan:
        return RendersPlan(settings, inputs)

    def make(self, settings: RendersSettings, inputs: Inputs, split: str, units: Sequence[Unit]) -> Iterator[Sample | Broken]:
        sources = opened_dataset(input_path(inputs, "sources"))
        source: Any = None
        read = -1
        for unit in units:
            rir = opened_dataset(input_path(inputs, "rirs"))[unit.rir] if unit.rir >= 0 else None
            device = opened_dataset(input_path(inputs, "devices"))[unit.device] if unit.device >= 0 else None
            if unit.source != read:  # several devices may hear it one after another
                source, read = sources[unit.source], unit.source
            audio, row = render(settings, source, rir, device, number=unit.number)
            row |= {"split": split, "key": f"{unit.number:08d}-{source.key}"}
            members = {AUDIO_MEMBER: encode_flac(audio, fs_hz=source.fs_hz, bits=settings.bits)}
            if settings.clean:
                clean = _clean(source.audio, rir, audio.shape[1], align=settings.align)
                members[CLEAN_MEMBER] = encode_flac(clean, fs_hz=source.fs_hz, bits=settings.bits)
            yield sample_of(row, members, RENDERS)

    def again(
        self, settings: RendersSettings, inputs: Inputs, row: Mapping[str, Any]
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        items = [
            opened_dataset(input_path(inputs, name))[row[key]] if row[key] else None
            for name, key in (("sources", "source_key"), ("rirs", "rir_key"), ("devices", "device_key"))
        ]
        audio, made = render(settings, *items, number=int(row["seed_index"]))
        step = float(1 << (settings.bits - 1))  # as the FLAC file rounds it
        stored = (np.clip(np.rint(audio.astype(np.float64) * step), -step, step - 1) / step).astype(np.float32)
        return stored, {"gain_db": made["gain_db"], "snr_db": made["snr_db"], **self.measured(settings, row, stored)}

    def measured(self, settings: RendersSettings, row: Mapping[str, Any], audio: NDArray[np.float32]) -> dict[str, Any]:
        return {"rms_db": rms_db(audio), "peak_db": peak_db(audio)}

    def card(self, settings: Mapping[str, Any], totals: Mapping[str, Any]) -> Card:
        through = [name for name, used in (("rooms", settings["rirs"]), ("devices", settings["devices"])) if used]
        if settings["snr_db"]:
            through.append(f"{settings['noise']} noise at an SNR of {settings['snr_db'][0]:g} to {settings['snr_db'][1]:g} dB")
        level = "as source × response" if settings["level"] == "keep" else f"{settings['level']} {settings['level_db']:g} dB"
        clean = ", `KEY.clean.flac` (the source, in time with it and at its own level)" if settings["clean"] else ""
        return Card(
            title="Sources through " + ", ".join(through),
            text=f"{totals['samples']} renders of {totals['sources']} sources, {totals['audio_s'] / 3600:.2f} hours. "
            f"Level: {level}, never clipped; gains {interval(totals['gain_db'], 'dB')}. Sources meet responses of "
            f"{'the same' if settings['match_splits'] else 'any'} split.{_said_of_devices(settings)}",
            members=f"`KEY.audio.flac`{clean}",
            example='renders = pd.read_parquet("manifest.parquet")\nrenders[["key", "source_key", "rir_key", "rt60_s"]]',
            tags=("reverberation",),
        )


def _said_of_devices(settings: Mapping[str, Any]) -> str:
    probabilities = settings.get("device_probabilities")
    if not probabilities:
        return ""
    each = [
        f"{split} by {', '.join(f'{name} ({100 * p:.3g} %)' if p < 1 else name for name, p in named.items())}"
        for split, named in probabilities.items()
        if named
    ]
    return (
        f" No device hears a source twice; each hears every one, or that share: {'; '.join(each)}."
        if each
        else " Every device hears every source."
    )


def render(
    settings: RendersSettings, source: Any, rir: Any, device: Any, *, number: int
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return (channel, time) audio of one render, not yet rounded to bits, and its columns less key and split.

    Args:
        source, rir, device: :class:`~roomgen.store.dataset.Item` each, or None (not for the source).
        number: of the render in its dataset: what its noise is drawn from.
    """
    audio, fs_hz = source.audio.astype(np.float32), int(source.fs_hz)
    n_source, advance = audio.shape[1], 0
    if rir is not None:
        audio = convolve(audio, rir.audio)
        advance = round(float(rir.row["direct_delay_s"]) * fs_hz) if settings.align else 0
    if device is not None:
        audio = convolve(audio, device.audio)
    audio = fit(audio[:, advance:], n_source if settings.tail == "cut" else audio.shape[1] - advance)
    rng = generator(settings.seed, Stream.NOISE, number)
    snr_db = np.inf
    if settings.snr_db is not None:
        snr_db = float(np.float32(rng.uniform(*settings.snr_db)))
        audio = audio + _noise(settings.noise, audio, snr_db, rng)
    if device is not None and device.row["drc_ratio"] > 1.0:
        from roomgen.datasets.devices.family import compressed

        audio = compressed(audio, device.row, fs_hz=fs_hz)
    gain_db = 0.0
    if settings.level != "keep":
        level_db = rms_db(audio) if settings.level == "rms" else peak_db(audio)
        gain_db = settings.level_db - level_db if np.isfinite(level_db) else 0.0
    gain_db = min(gain_db, _FULL_SCALE_DB - peak_db(audio))
    audio = audio * np.float32(amplitude(gain_db))
    row = {
        "seed_index": number,
        "source_key": source.key,
        "rir_key": "" if rir is None else rir.key,
        "device_key": "" if device is None else device.key,
        **{name: source.row.get(name, default) for name, default in _OF_SOURCE.items()},
        "source_device": source.row.get("device", ""),
        "room_id": "" if rir is None else rir.row["room_id"],
        **{name: default if rir is None else rir.row[name] for name, default in _OF_RIR.items()},
        "device": "" if device is None else device.row["microphone"],
        "fs_hz": fs_hz,
        "n_channels": len(audio),
        "n_samples": audio.shape[1],
        "advance_s": advance / fs_hz,
        "snr_db": snr_db,
        "gain_db": gain_db,
        "rms_db": rms_db(audio),
        "peak_db": peak_db(audio),
    }
    return audio, row


def convolve(audio: NDArray[np.float32], responses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return audio through responses, in full length: (1 or channel, time) and (channel or 1, taps) to (channel, time + taps − 1).

    Raises:
        RoomgenError: both have several channels, of different number.
    """
    if len(audio) > 1 and len(responses) > 1 and len(audio) != len(responses):
        raise RoomgenError(
            f"a source of {len(audio)} channels cannot go through a response of {len(responses)}: "
            "make the sources with --channels mono."
        )
    length = audio.shape[1] + responses.shape[1] - 1
    n_fft = fft.next_fast_len(length, real=True)
    spectrum = fft.rfft(audio, n_fft) * fft.rfft(responses, n_fft)
    return np.asarray(fft.irfft(spectrum, n_fft)[:, :length], dtype=np.float32)


def _clean(source: NDArray[np.float32], rir: Any, n_samples: int, *, align: bool) -> NDArray[np.float32]:
    """Return the source so that it stands where its direct sound stands in the render."""
    late = 0 if rir is None or align else round(float(rir.row["direct_delay_s"]) * int(rir.fs_hz))
    return fit(np.pad(source, ((0, 0), (late, 0))), n_samples)


def _noise(kind: str, audio: NDArray[np.float32], snr_db: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return noise of the shape of the audio whose energy is that much below it."""
    noise = rng.standard_normal(audio.shape, dtype=np.float32)
    if kind == "pink":  # power falls with 1/f; what lies below 20 Hz at 16 kHz is left flat
        spectrum = fft.rfft(noise)
        frequency = np.arange(spectrum.shape[1], dtype=np.float32)
        noise = fft.irfft(spectrum / np.sqrt(np.maximum(frequency, 0.00125 * audio.shape[1])), audio.shape[1])
    energy, own = (float(np.sum(np.square(x, dtype=np.float64))) for x in (audio, noise))
    return np.asarray(noise * np.float32(np.sqrt(energy / max(own, 1e-30)) * amplitude(-snr_db)), dtype=np.float32)
