"""Renders: sources heard through rooms, devices and noise, as audio that anybody can play.

A render names its source, response and device, and the gains: it can be made again from its row and the datasets it was made of.
Sources of a split meet responses of the same split only, so that no room, speaker or device of the test is heard in training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import fft

from roomgen.audio_files import encode_flac
from roomgen.audio_math import amplitude, fit, peak_db, rms_db
from roomgen.datasets.columns import RENDERS, Column
from roomgen.datasets.family import Broken, Card, Family, Inputs, ShardPlan, shards_of
from roomgen.datasets.samples import Sample, sample_of
from roomgen.datasets.streams import Stream, generator
from roomgen.errors import RoomgenError
from roomgen.settings import CommonSettings, resolve
from roomgen.text import interval

AUDIO_MEMBER, CLEAN_MEMBER = "audio.flac", "clean.flac"
_PER_CHUNK = 16
_FULL_SCALE_DB = -0.01
_MOST_CHANNELS = 8  # that a FLAC file holds
_FAMILIES = {"sources": ("sources", "renders"), "rirs": ("rooms",), "devices": ("devices",)}
_OF_SOURCE = {"speaker": "", "text": "", "class_name": "", "location": "", "group": ""}
_OF_RIR = dict.fromkeys(("volume_m3", "rt60_s", "c50_db", "drr_db", "distance_m", "azimuth_deg", "elevation_deg"), np.nan)


class RendersSettings(CommonSettings):
    """All that decides the bytes of a dataset of renders.

    ``sources``, ``rirs`` and ``devices`` are fingerprints of the datasets that it is made of; ``per_source`` is how often each
    source is heard; ``device_share`` the share that goes through a device, ``device_weights`` how
    much oftener than others a microphone is drawn, split by split; ``snr_db`` a range that the SNR of white (or pink)
    noise is drawn from; ``align`` takes the travel time of the direct sound away, ``tail`` keeps what sounds on after the source;
    ``level`` brings every file to ``level_db`` (less where it would clip), "keep" leaves source × response as it is.
    """

    family: Literal["renders"] = "renders"
    sources: str
    rirs: str | None = None
    devices: str | None = None
    per_source: Annotated[int, Field(ge=1, le=10_000)] = 1
    max_samples: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    device_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    device_weights: dict[str, dict[str, Annotated[float, Field(gt=0)]]] = Field(default_factory=dict)
    match_splits: bool = True
    snr_db: tuple[float, float] | None = None
    noise: Literal["white", "pink"] = "white"
    align: bool = True
    tail: Literal["cut", "keep"] = "cut"
    level: Literal["rms", "peak", "keep"] = "rms"
    level_db: Annotated[float, Field(le=0, ge=-100)] = -26.0
    clean: bool = False
    bits: Literal[16, 24] = 16

    @model_validator(mode="after")
    def _heard(self) -> RendersSettings:
        if self.rirs is None and self.devices is None and self.snr_db is None:
            raise ValueError("nothing to render with: give rooms (--rirs), devices (--devices) or noise (--snr)")
        if self.snr_db is not None and not (np.isfinite(self.snr_db).all() and self.snr_db[0] <= self.snr_db[1]):
            raise ValueError(f"snr_db {list(self.snr_db)} must be finite and rise")
        return self


class Unit(NamedTuple):
    """One render: its number in the dataset, and the numbers of what it is made of in their manifests (−1: none)."""

    number: int
    source: int
    rir: int
    device: int


class RendersPlan:
    """Which source is heard where; a pure function of settings and the manifests of its inputs."""

    broken: tuple[Broken, ...] = ()
    files = 0

    def __init__(self, settings: RendersSettings, inputs: Inputs) -> None:
        self.settings = settings
        for name, wanted in (("sources", settings.sources), ("rirs", settings.rirs), ("devices", settings.devices)):
            if wanted is not None and fingerprint(_path(inputs, name)) != wanted:
                raise RoomgenError(
                    f"the dataset {_path(inputs, name)} has changed since the rendering was begun: use another --out, or "
                    "--overwrite.",
                    exit_code=1,
                )
        self._numbers = {name: _by_split(_path(inputs, name)) for name in ("sources", "rirs", "devices") if getattr(settings, name)}
        self._check_formats(inputs)
        if "devices" in self._numbers:
            self._microphones = _dataset(_path(inputs, "devices")).table(["microphone"])["microphone"].to_numpy().astype(str)
        counts = {name: len(numbers) * settings.per_source for name, numbers in self._numbers["sources"].items()}
        self.split_sizes = {name: min(count, settings.max_samples.get(name, count)) for name, count in counts.items()}
        if not len(self):
            raise RoomgenError("no renders are left: max_samples leaves out all sources. Let it take more.")
        self._starts = dict(zip(self.split_sizes, [0, *accumulate(self.split_sizes.values())], strict=False))
        self._choices = {(kind, split): self._heard_in(kind, split) for kind in ("rirs", "devices") for split in self.split_sizes}
        self._check_names()

    def __len__(self) -> int:
        return sum(self.split_sizes.values())

    @property
    def shards(self) -> tuple[ShardPlan, ...]:
        """All shards, split by split."""
        return shards_of(self.split_sizes, self.settings.shard_size)

    def chunks(self, shard: ShardPlan) -> Iterator[Sequence[Unit]]:
        """Yield the shard's renders, some at a time."""
        for start in range(shard.start, shard.start + shard.count, _PER_CHUNK):
            yield [self._unit(shard.split, i) for i in range(start, min(start + _PER_CHUNK, shard.start + shard.count))]

    def _unit(self, split: str, index: int) -> Unit:
        number = self._starts[split] + index
        sources = self._numbers["sources"][split]
        order = _order(self.settings.seed, list(self.split_sizes).index(split), len(sources))
        rng = generator(self.settings.seed, Stream.PAIR, number)
        rirs, devices = self._choices["rirs", split], self._choices["devices", split]
        # Every draw is made whether it is used or not, so that adding devices moves no room.
        rir, share, device = rng.random(), rng.random(), rng.random()
        return Unit(
            number,
            int(sources[order[index % len(sources)]]),
            int(rirs[int(rir * len(rirs))]) if len(rirs) else -1,
            self._device(split, devices, device) if len(devices) and share < self.settings.device_share else -1,
        )

    def _device(self, split: str, devices: NDArray[np.int64], draw: float) -> int:
        weights = self.settings.device_weights.get(split)
        if not weights:
            return int(devices[int(draw * len(devices))])
        each = np.cumsum([weights.get(name, 1.0) for name in self._microphones[devices]])
        return int(devices[np.searchsorted(each, draw * each[-1], side="right")])

    def _heard_in(self, kind: str, split: str) -> NDArray[np.int64]:
        if kind not in self._numbers:
            return np.zeros(0, dtype=np.int64)
        by_split = self._numbers[kind]
        if not self.settings.match_splits:
            return np.concatenate(list(by_split.values()))
        if split not in by_split:
            raise RoomgenError(
                f"the {kind} have no split {split!r}, only {', '.join(by_split)}; the sources have {', '.join(self.split_sizes)}. "
                "Make both with the same splits, or let any meet any with --any-split."
            )
        return by_split[split]

    def _check_formats(self, inputs: Inputs) -> None:
        rates = {name: _rate(_path(inputs, name)) for name in self._numbers}
        if len(set(rates.values())) > 1:
            shown = ", ".join(f"{name} {rate} Hz" for name, rate in rates.items())
            raise RoomgenError(f"sampling rates differ: {shown}. Make them alike with --fs.")
        channels = {name: sorted(set(_dataset(_path(inputs, name)).table(["n_channels"])["n_channels"])) for name in self._numbers}
        most = max(max(counts) for counts in channels.values())
        if most > _MOST_CHANNELS:
            raise RoomgenError(f"{most} channels are more than a FLAC file holds ({_MOST_CHANNELS}): render with smaller arrays.")
        heard = channels.get("rirs", [1])
        if max(channels["sources"]) > 1 and max(heard) > 1 and channels["sources"] != heard:
            raise RoomgenError(
                f"sources of {max(channels['sources'])} channels cannot go through responses of {max(heard)}: make the sources "
                "with --channels mono."
            )

    def _check_names(self) -> None:
        for setting in ("max_samples", "device_weights"):
            for split in getattr(self.settings, setting):
                if split not in self.split_sizes:
                    raise RoomgenError(f"{setting} names a split {split!r}; the sources have {', '.join(self.split_sizes)}.")
        for split, weights in self.settings.device_weights.items():
            known = sorted(set(self._microphones[self._choices["devices", split]])) if "devices" in self._numbers else []
            unknown = [name for name in weights if name not in known]
            if unknown:
                raise RoomgenError(
                    f"device_weights names {unknown[0]!r}, which is no device of {split}; there are: {', '.join(known) or 'none'}."
                )


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
        sources = _dataset(_path(inputs, "sources"))
        for unit in units:
            rir = _dataset(_path(inputs, "rirs"))[unit.rir] if unit.rir >= 0 else None
            device = _dataset(_path(inputs, "devices"))[unit.device] if unit.device >= 0 else None
            source = sources[unit.source]
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
            _dataset(_path(inputs, name))[row[key]] if row[key] else None
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
            f"{'the same' if settings['match_splits'] else 'any'} split.",
            members=f"`KEY.audio.flac`{clean}",
            example='renders = pd.read_parquet("manifest.parquet")\nrenders[["key", "source_key", "rir_key", "rt60_s"]]',
            tags=("reverberation",),
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
        from roomgen.datasets.devices import compressed

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


def renders_settings(inputs: Inputs, overrides: Mapping[str, Any], *, flags: Mapping[str, str] | None = None) -> RendersSettings:
    """Return the settings of renders of these datasets, with overrides (dotted key to value) laid over the defaults."""
    for name, path in inputs.items():
        family = _dataset(path).info["settings"].get("family")
        if family not in _FAMILIES[name]:
            raise RoomgenError(f"--{name} {path} is a dataset of {family}: give one of {' or '.join(_FAMILIES[name])}.")
    tree: dict[str, Any] = {name: fingerprint(path) for name, path in inputs.items()}
    return resolve(tree, overrides, model=RendersSettings, flags=flags)


def fingerprint(root: Path) -> str:
    """Return 16 hex digits that name the bytes of a finished dataset.

    Raises:
        DatasetError: there is no finished dataset in the folder.
    """
    info = _dataset(root).info
    text = json.dumps([info["settings_hash"], [[shard["name"], shard["sha256"]] for shard in info["shards"]]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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


@lru_cache(maxsize=8)
def _order(seed: int, split: int, count: int) -> NDArray[np.int64]:
    return generator(seed, Stream.ORDER, split).permutation(count)


@lru_cache(maxsize=4)
def _opened(root: Path, changed_ns: int) -> Any:
    from roomgen.store.dataset import Dataset  # reading what other families wrote; nothing of it is imported at the top

    del changed_ns  # a dataset made anew is another entry of the cache
    return Dataset(root)


def _dataset(root: Path) -> Any:
    manifest = root / "manifest.parquet"
    return _opened(root, manifest.stat().st_mtime_ns if manifest.exists() else 0)


def _path(inputs: Inputs, name: str) -> Path:
    if name not in inputs:
        raise RoomgenError(f"the {name} dataset is missing: give its folder with --{name}.")
    return inputs[name]


def _by_split(root: Path) -> dict[str, NDArray[np.int64]]:
    splits = _dataset(root).table(["split"])["split"].astype(str)
    return {str(name): np.flatnonzero(splits.to_numpy() == name) for name in dict.fromkeys(splits)}


def _rate(root: Path) -> int:
    rates = sorted(set(_dataset(root).table(["fs_hz"])["fs_hz"]))
    if len(rates) != 1:
        raise RoomgenError(f"{root} mixes sampling rates {rates}: make it with one.")
    return int(rates[0])
