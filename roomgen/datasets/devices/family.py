"""Devices: impulse responses of microphones and recording devices, drawn from parametric models or read from folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.microphones.recorders import compress, recorder_response
from roomgen.acoustics.microphones.response import conditioning, impulse_response
from roomgen.audio import encode_wav
from roomgen.audio_math import amplitude
from roomgen.corpora.base import BrokenFile
from roomgen.corpora.micirp import MicIRP
from roomgen.corpora.multi_angle import MultiAngle
from roomgen.datasets.devices.files import read_response
from roomgen.datasets.devices.generators import ResponseGenerator
from roomgen.datasets.devices.plan import (
    DeviceResponse,
    DevicesPlan,
    compression_of,
    design_of,
    devices_settings,
    file_units,
    folder_of,
    generator_of,
    recorder_of,
    responses_in,
)
from roomgen.datasets.devices.settings import DRAWN, DevicesSettings
from roomgen.datasets.family import Broken, Card, Chunk, Job, Row
from roomgen.errors import RoomgenError
from roomgen.store.columns import DEVICES
from roomgen.store.samples import Sample, sample_of
from roomgen.text import interval

__all__ = ["DevicesJob", "DevicesPlan", "DevicesSettings", "compressed", "devices_settings", "energy_db"]

AUDIO_MEMBER = "dir.wav"
_NAN = float("nan")
_BAND_HZ = (500.0, 10_000.0)
_TOGETHER = 24  # angles that a network answers at once: one at a time would take it ten times as long
_CONSTRUCTION = ("directivity", "transducer", "diaphragm_size", "diaphragm_count", "address")
_NO_COMPRESSION = {"threshold_db": _NAN, "ratio": 1.0, "attack_ms": _NAN, "release_ms": _NAN, "makeup_db": _NAN}


class DevicesJob(Job[DevicesSettings, DeviceResponse]):
    """Responses of microphones and recording devices."""

    name = "devices"
    unit = "response"
    settings_model = DevicesSettings
    audio_member = AUDIO_MEMBER
    counts = {"microphone": "microphones"}  # noqa: RUF012 (as declared in Job)
    spreads = {"energy_db": ("energy", "dB")}  # noqa: RUF012

    columns = DEVICES
    members = (AUDIO_MEMBER, "json")

    @cached_property
    def plan(self) -> DevicesPlan:
        return DevicesPlan(self.settings, self.inputs)

    def make(self, chunk: Chunk[DeviceResponse]) -> Iterator[Sample | Broken]:
        for unit in chunk.units:
            try:
                yield self._sample(unit, chunk.split)
            except BrokenFile as error:
                yield Broken(error.name, error.reason)

    def remake(self, row: Row) -> Sample:
        try:
            return self._sample(self._unit_of(row), row["split"])
        except BrokenFile as error:
            raise RoomgenError(f"{error.name} can no longer be used: {error.reason}.", exit_code=1) from None

    def measured(self, row: Row, audio: NDArray[np.float32]) -> dict[str, Any]:
        return {"energy_db": energy_db(audio), "peak_s": int(np.argmax(np.abs(audio[0]))) / self.settings.fs_hz}

    def card(self, totals: Mapping[str, Any]) -> Card:
        settings, kind = self.settings, self.settings.kind
        measured = MicIRP.about if kind == "folder" else MultiAngle.about
        origin = {
            "microphones": "Parametric microphones, drawn by roomgen (pattern, transducer, diffraction; minimum phase; without 1/r "
            f"and travel time): {len(settings.angles_deg)} angles and {len(settings.distances_m)} distances of each.",
            "generated": "Generated: by a network trained on the responses of other microphones (a generator as in Schmidt and "
            f"Peters 2023, section 5.3; its weights are {settings.fingerprint}); not measured. Constructions are those of "
            f"parametric microphones: {len(settings.angles_deg)} angles and {len(settings.distances_m)} distances of each.",
            "recorders": "Recording devices drawn by roomgen around those of the TAU scenes; the compression that belongs to one "
            "stands in its row and is not part of the response.",
        }.get(kind, f"Measured responses. Those of {measured.title}: {measured.url}, licence: {measured.licence}.")
        level = {
            "energy": "each of the energy of a unit pulse",
            "band": "each of a mean power gain of 1 between 0.5 and 10 kHz",
        }.get(settings.level, f"energy {interval(totals['energy_db'], 'dB')}")
        if settings.compress:
            level += f"; {100 * settings.compress:g} % of the devices have a dynamic range compression too (columns `drc_…`)"
        by = "named by the settings" if kind == "recorders" else "by microphone: none is in two"
        what = {"folder": "Measured devices", "multi-angle": "Measured devices", "generated": "Generated microphones"}
        return Card(
            title=f"{what.get(kind, f'Parametric {kind}')}: impulse responses",
            text=f"{totals['samples']} responses of {totals['microphones']} devices, {settings.n_samples} samples at "
            f"{settings.fs_hz} Hz, {level}. {origin} Splits are {by}.",
            members="`KEY.dir.wav` (float32, mono)",
            example='devices = pd.read_parquet("manifest.parquet")\ndevices.groupby("split").microphone.nunique()',
            tags=("impulse-response", "microphone"),
        )

    def _sample(self, unit: DeviceResponse, split: str) -> Sample:
        settings = self.settings
        audio, source_fs_hz = self._audio(unit)
        row = {
            "key": unit.key,
            "split": split,
            "seed_index": unit.drawn_as if unit.drawn_as >= 0 else unit.number,
            "microphone": unit.microphone,
            "kind": settings.kind if unit.response is None else "measured",
            "file": unit.response.path if unit.response else "",
            **_known(settings, unit),
            "source_fs_hz": source_fs_hz,
            "fs_hz": settings.fs_hz,
            "n_channels": 1,
            "n_samples": audio.shape[1],
            **self.measured({}, audio),
        }
        return sample_of(row, {AUDIO_MEMBER: encode_wav(audio, fs_hz=settings.fs_hz)}, DEVICES)

    def _unit_of(self, row: Row) -> DeviceResponse:
        settings = self.settings
        index, angle_deg, distance_m = int(row["seed_index"]), float(row["angle_deg"]), float(row["distance_m"])
        if settings.kind == "recorders":
            return DeviceResponse(0, row["key"], row["microphone"], index, _NAN, _NAN)
        if settings.kind in DRAWN:
            # The manifest holds 32 bits of what the settings say in full.
            angle_deg = min((angle % 360.0 for angle in settings.angles_deg), key=lambda angle: abs(angle - angle_deg))
            distance_m = min(settings.distances_m, key=lambda distance: abs(distance - distance_m))
            return DeviceResponse(0, row["key"], row["microphone"], index, angle_deg, distance_m)
        if row["key"] not in self._files:
            raise RoomgenError(f"{folder_of(self.inputs)} no longer has the response {row['file']!r}.", exit_code=1)
        return self._files[row["key"]]._replace(number=index)

    @cached_property
    def _files(self) -> dict[str, DeviceResponse]:
        found, _, _ = responses_in(self.settings.kind, folder_of(self.inputs), self.settings.pattern, self.inputs.get("csv"))
        return {unit.key: unit for unit in file_units(self.settings, found)}

    def _audio(self, unit: DeviceResponse) -> tuple[NDArray[np.float32], int]:
        """Return the (1, n_samples) response of a unit and the rate of the file it comes from (or its own)."""
        settings, source_fs_hz = self.settings, self.settings.fs_hz
        if unit.response is not None:
            audio, source_fs_hz = self._read(unit.response.path)
            own_db = self._gain_db(audio)
            if settings.level == "axis" and unit.axis is not None and unit.axis != unit.response:
                try:
                    own_db = self._energy_of_file_db(unit.axis.path)
                except BrokenFile as error:
                    raise BrokenFile(unit.response.path, f"its level hangs on {error.name}, which {error.reason}") from None
        elif settings.kind == "recorders":
            made = recorder_response(recorder_of(settings.seed, unit.drawn_as), fs_hz=settings.fs_hz, n_samples=settings.n_samples)
            audio = made[None]
            own_db = self._gain_db(audio)
        else:
            audio = self._of_microphone(unit, unit.angle_deg)
            own_db = self._gain_db(self._of_microphone(unit, 0.0) if settings.level == "axis" else audio)
        if settings.level == "keep":
            return audio, source_fs_hz
        return audio * np.float32(amplitude(-own_db)), source_fs_hz

    def _gain_db(self, response: NDArray[np.float32]) -> float:
        return band_gain_db(response, fs_hz=self.settings.fs_hz) if self.settings.level == "band" else energy_db(response)

    def _of_microphone(self, unit: DeviceResponse, angle_deg: float) -> NDArray[np.float32]:
        settings = self.settings
        if settings.kind == "generated":
            around = tuple(angle % 360.0 for angle in settings.angles_deg)
            if angle_deg not in around:  # the axis, which levels refer to
                around = (angle_deg,)
            place = around.index(angle_deg)
            start = place - place % _TOGETHER
            return self._generated(unit.drawn_as, unit.distance_m, around[start : start + _TOGETHER])[place - start, None]
        response = impulse_response(
            design_of(settings.seed, unit.drawn_as),
            angle_deg=angle_deg,
            distance_m=unit.distance_m,
            fs_hz=settings.fs_hz,
            n_samples=settings.n_samples,
        )
        return response[None]

    @lru_cache(maxsize=8)  # noqa: B019 (a job lives as long as its process)
    def _generated(self, index: int, distance_m: float, angles_deg: tuple[float, ...]) -> NDArray[np.float32]:
        """Return (angle, time) of a microphone at one distance.

        What is made together changes the last digits, so settings alone decide that, neither shards nor workers nor what is
        replayed.
        """
        import pandas as pd

        design = design_of(self.settings.seed, index)
        kind = {name: getattr(design, name) for name in _CONSTRUCTION}
        table = pd.DataFrame([{**kind, "angle_deg": angle, "distance_m": distance_m} for angle in angles_deg])
        made = self._generator.respond(table, index, seed=self.settings.seed)
        made.flags.writeable = False  # it is kept
        return made

    @cached_property
    def _generator(self) -> ResponseGenerator:
        return generator_of(self.inputs, self.settings.fingerprint)

    def _read(self, path: str) -> tuple[NDArray[np.float32], int]:
        settings = self.settings
        return read_response(
            folder_of(self.inputs),
            path,
            fs_hz=settings.fs_hz,
            n_samples=settings.n_samples,
            lead_samples=settings.lead_samples,
            window_beta=settings.window_beta,
        )

    @lru_cache(maxsize=64)  # noqa: B019
    def _energy_of_file_db(self, path: str) -> float:
        """Return the energy of the response in a file; kept, since all angles of a microphone ask for the same one."""
        return energy_db(self._read(path)[0])


def compressed(audio: NDArray[np.float32], row: Mapping[str, Any], *, fs_hz: int) -> NDArray[np.float32]:
    """Return (channel, time) audio through the dynamic range compression of a device's row; as it is where the row has none.

    Args:
        audio: after the device's response; 1 is the full scale that its threshold refers to.
        row: with the columns ``drc_…``.
        fs_hz: sampling rate in Hz.
    """
    values = {name: float(row[f"drc_{name}"]) for name in _NO_COMPRESSION}
    if not values["ratio"] > 1.0:  # neither 1 nor NaN
        return audio
    return compress(audio, fs_hz=fs_hz, **values)


def band_gain_db(audio: NDArray[np.float32], *, fs_hz: int) -> float:
    """Return the mean of |H|² between 0.5 and 10 kHz in dB, over the frequencies of a DFT as long as the (1, time) response."""
    hz = np.fft.rfftfreq(audio.shape[1], 1.0 / fs_hz)
    power = np.abs(np.fft.rfft(audio[0].astype(np.float64))) ** 2
    return float(10.0 * np.log10(np.mean(power[(hz >= _BAND_HZ[0]) & (hz <= _BAND_HZ[1])])))


def energy_db(audio: NDArray[np.float32]) -> float:
    """Return the energy of a response in dB, that of a unit pulse being 0."""
    return float(10.0 * np.log10(np.sum(np.square(audio, dtype=np.float64))))


def _known(settings: DevicesSettings, unit: DeviceResponse) -> dict[str, Any]:
    """Return the columns that say what a microphone is, from where it is heard, and what compresses it."""
    what: Any = unit.response
    if settings.kind in DRAWN:
        what = design_of(settings.seed, unit.drawn_as)
    known = {name: str(getattr(what, name, "")) for name in _CONSTRUCTION}
    drawn = compression_of(settings, unit.drawn_as)
    compression = _NO_COMPRESSION if drawn is None else drawn._asdict()
    return {
        **known,
        "angle_deg": unit.angle_deg,
        "distance_m": unit.distance_m,
        "conditioning": conditioning(**known, angle_deg=unit.angle_deg, distance_m=unit.distance_m),
        **{f"drc_{name}": value for name, value in compression.items()},
    }
