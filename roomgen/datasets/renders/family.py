"""Renders: sources heard through rooms, devices and noise, as audio that anybody can play.

A render names its source, response and device, and the gains: it can be made again from its row and the datasets it was made of.
Sources of a split meet responses of the same split only, so that no room, speaker or device of the test is heard in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from roomgen.audio import encode_flac
from roomgen.audio_math import amplitude, fit, peak_db, rms_db
from roomgen.corpora.base import BrokenFile
from roomgen.datasets.family import Broken, Card, Chunk, Job, Row
from roomgen.datasets.renders.plan import Render, RendersPlan, datasets_of, renders_settings
from roomgen.datasets.renders.settings import RendersSettings
from roomgen.errors import DatasetError, RoomgenError
from roomgen.store.columns import RENDERS
from roomgen.store.dataset import Dataset, Item
from roomgen.store.folder import inside_data, sha256_of
from roomgen.store.samples import Sample, sample_of
from roomgen.streams import Stream, generator
from roomgen.text import LONGEST_KEY, interval

__all__ = ["RendersJob", "RendersPlan", "RendersSettings", "convolve", "render", "renders_settings"]

AUDIO_MEMBER, CLEAN_MEMBER = "audio.flac", "clean.flac"
_FULL_SCALE_DB = -0.01
_OF_SOURCE = {"speaker": "", "text": "", "class_name": "", "location": "", "group": ""}
_OF_RIR = dict.fromkeys(("volume_m3", "rt60_s", "c50_db", "drr_db", "distance_m", "azimuth_deg", "elevation_deg"), np.nan)


class RendersJob(Job[RendersSettings, Render]):
    """Sources through rooms, devices and noise."""

    name = "renders"
    unit = "render"
    settings_model = RendersSettings
    audio_member = AUDIO_MEMBER
    counts = {"source_key": "sources", "rir_key": "responses", "device_key": "device responses", "speaker": "speakers"}  # noqa: RUF012
    spreads = {"rt60_s": ("RT60", "s"), "rms_db": ("level", "dB"), "gain_db": ("gain", "dB")}  # noqa: RUF012

    columns = RENDERS

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(sorted((AUDIO_MEMBER, "json", *((CLEAN_MEMBER,) if self.settings.clean else ()))))

    @cached_property
    def plan(self) -> RendersPlan:
        return RendersPlan(self.settings, self.inputs)

    @cached_property
    def datasets(self) -> dict[str, Dataset]:
        """What it is made of, opened."""
        return datasets_of(self.settings, self.inputs)

    def prepare(self) -> None:
        for dataset in self.datasets.values():
            for entry in dataset.info["shards"]:
                path = inside_data(dataset.root, entry["name"])
                if not path.is_file() or sha256_of(path) != entry["sha256"]:
                    raise RoomgenError(
                        f"{path} is missing or is not what it was when it was finished: see `roomgen verify {dataset.root}`.",
                        exit_code=1,
                    )

    def make(self, chunk: Chunk[Render]) -> Iterator[Sample | Broken]:
        read, source = -1, None
        for unit in chunk.units:
            try:
                if read != unit.source:  # several devices may hear it one after another
                    source, read = self._item("sources", unit.source), unit.source
                rir, device = self._item("rirs", unit.rir), self._item("devices", unit.device)
            except BrokenFile as error:
                yield Broken(error.name, error.reason)
                continue
            assert source is not None  # read before anything else
            yield self._sample(source, rir, device, split=chunk.split, number=unit.number)

    def remake(self, row: Row) -> Sample:
        source = self.datasets["sources"][row["source_key"]]
        rir = self.datasets["rirs"][row["rir_key"]] if row["rir_key"] else None
        device = self.datasets["devices"][row["device_key"]] if row["device_key"] else None
        return self._sample(source, rir, device, split=row["split"], number=int(row["seed_index"]))

    def measured(self, row: Row, audio: NDArray[np.float32]) -> dict[str, Any]:
        return {"rms_db": rms_db(audio), "peak_db": peak_db(audio)}

    def _item(self, name: str, number: int) -> Item | None:
        """Return a sample that a render is made of, None for number −1.

        Raises:
            BrokenFile: nothing can be heard of it.
        """
        if number < 0:
            return None
        try:
            item = self.datasets[name][number]
        except DatasetError as error:
            raise BrokenFile(f"{name}/{number}", str(error)) from None
        if not item.audio.any():
            raise BrokenFile(f"{name}/{item.key}", "is silent")
        return item

    def _sample(self, source: Item, rir: Item | None, device: Item | None, *, split: str, number: int) -> Sample:
        settings = self.settings
        audio, row = render(settings, source, rir, device, number=number)
        row |= {"split": split, "key": f"{number:08d}-{source.key}"[:LONGEST_KEY]}
        members = {AUDIO_MEMBER: encode_flac(audio, fs_hz=source.fs_hz, bits=settings.bits)}
        if settings.clean:
            clean = _clean(source.audio, rir, audio.shape[1], align=settings.align)
            members[CLEAN_MEMBER] = encode_flac(clean, fs_hz=source.fs_hz, bits=settings.bits)
        return sample_of(row, members, RENDERS)

    def card(self, totals: Mapping[str, Any]) -> Card:
        settings = self.settings
        through = [name for name, used in (("rooms", settings.rirs), ("devices", settings.devices)) if used]
        if settings.snr_db:
            through.append(f"{settings.noise} noise at an SNR of {settings.snr_db[0]:g} to {settings.snr_db[1]:g} dB")
        level = "as source × response" if settings.level == "keep" else f"{settings.level} {settings.level_db:g} dB"
        clean = ", `KEY.clean.flac` (the source, in time with it and at its own level)" if settings.clean else ""
        return Card(
            title="Sources through " + ", ".join(through),
            text=f"{totals['samples']} renders of {totals['sources']} sources, {totals['audio_s'] / 3600:.2f} hours. "
            f"Level: {level}, never clipped; gains {interval(totals['gain_db'], 'dB')}. Sources meet responses of "
            f"{'the same' if settings.match_splits else 'any'} split.{_said_of_devices(settings)}",
            members=f"`KEY.audio.flac`{clean}",
            example='renders = pd.read_parquet("manifest.parquet")\nrenders[["key", "source_key", "rir_key", "rt60_s"]]',
            tags=("reverberation",),
        )


def _said_of_devices(settings: RendersSettings) -> str:
    probabilities = settings.device_probabilities
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
    settings: RendersSettings, source: Item, rir: Item | None, device: Item | None, *, number: int
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return (channel, time) audio of one render, not yet rounded to bits, and its columns less key and split.

    Args:
        source, rir, device: samples of the datasets that it is made of; None: no room, no device.
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


def _clean(source: NDArray[np.float32], rir: Item | None, n_samples: int, *, align: bool) -> NDArray[np.float32]:
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
