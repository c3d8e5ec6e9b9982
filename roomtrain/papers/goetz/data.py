"""Reverberant speech as the paper's spectrograms: banks of responses and speech, convolved on the device, kept where they fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roomgen.errors import DatasetError
from roomtrain.banks import Bank, load_bank
from roomtrain.datasets import check_disjoint, fingerprint, open_part
from roomtrain.errors import RoomtrainError
from roomtrain.papers.goetz.settings import FS_HZ, SEGMENT_S, VOLUME_BOUNDARY_M3, DownstreamSettings, GoetzSettings
from roomtrain.papers.goetz.spectrogram import log_spectrogram
from roomtrain.reverb import add_noise
from roomtrain.reverberator import Responses, Reverberator
from roomtrain.seeds import Purpose, generator, integer_seeds

SPLITS = ("train", "val", "test")
N_BINS, N_FRAMES = 17, 3999
N_SAMPLES = int(SEGMENT_S * FS_HZ)
RT60_MID = "rt60_mid_s"
_BATCH = 64  # spectrograms at a time where many are made
_DRAWN = 512  # spectrograms whose mean and deviation stand for those of the training set


@dataclass(frozen=True)
class Pairs:
    """Which response meets which speech; ``seed_index`` numbers the samples, for noise that belongs to each.

    Args:
        rir, speech, number: (sample,) each.
    """

    rir: NDArray[np.int64]
    speech: NDArray[np.int64]
    number: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rir)

    def part(self, which: Any) -> Pairs:
        """Return some of the samples."""
        return Pairs(self.rir[which], self.speech[which], self.number[which])


class Spectrograms:
    """Spectrograms of speech through responses.

    Args:
        speech, rirs: the banks, at 16 kHz; speech in segments of 4 s.
        noise: white noise at an SNR in dB drawn from this range for each sample, or None.
        seed: of the noise.
        responses: the same responses, transformed; None: they are transformed here.
        standardise: each spectrogram by itself.
    """

    def __init__(
        self,
        speech: Bank,
        rirs: Bank,
        *,
        noise: tuple[float, float] | None = None,
        seed: int = 0,
        responses: Responses | None = None,
        standardise: bool = False,
    ) -> None:
        for bank, what in ((speech, "speech"), (rirs, "responses")):
            if bank.fs_hz != FS_HZ:
                raise RoomtrainError(f"the {what} have a sampling rate of {bank.fs_hz} Hz; this paper's network takes {FS_HZ} Hz.")
        if speech.n_samples != N_SAMPLES:
            raise RoomtrainError(
                f"the speech has segments of {speech.n_samples / FS_HZ:g} s; this paper's network takes {SEGMENT_S:g} s."
            )
        self.speech, self.rirs, self.noise, self.seed, self.standardise = speech, rirs, noise, seed, standardise
        self._reverberator = Reverberator(speech, responses or Responses(rirs, n_samples=N_SAMPLES))

    def make(self, pairs: Pairs, *, snr_db: tuple[float, float] | None = None) -> Tensor:
        """Return (batch, 1, 17, 3999) float32 spectrograms; ``snr_db`` in place of the usual noise."""
        audio = self.audio(pairs, snr_db=snr_db)
        return log_spectrogram(audio, standardise=self.standardise)

    def audio(self, pairs: Pairs, *, snr_db: tuple[float, float] | None = None) -> Tensor:
        """Return (batch, time) reverberant speech, with its noise."""
        device = self.speech.device
        heard = self._reverberator(pairs.speech, pairs.rir)[:, 0]
        noise = self.noise if snr_db is None else snr_db
        if noise is None:
            return heard
        ratios = [generator(self.seed, Purpose.SNR, sample=int(n)).uniform(*noise) for n in pairs.number]
        seeds = integer_seeds(self.seed, Purpose.NOISE, samples=pairs.number)
        return add_noise(heard, snr_db=torch.tensor(ratios, dtype=torch.float32, device=device), seeds=seeds)

    def batches(self, pairs: Pairs, *, snr_db: tuple[float, float] | None = None) -> Iterator[Tensor]:
        """Yield the spectrograms of many pairs, some at a time."""
        for start in range(0, len(pairs), _BATCH):
            yield self.make(pairs.part(slice(start, start + _BATCH)), snr_db=snr_db)

    def all(self, pairs: Pairs) -> Tensor:
        """Return (sample, 1, 17, 3999) of all pairs, in half precision: errors are below 0.01, or 0.002 where standardised."""
        kept = torch.empty((len(pairs), 1, N_BINS, N_FRAMES), dtype=torch.float16, device=self.speech.device)
        for number, batch in enumerate(self.batches(pairs)):
            kept[number * _BATCH : number * _BATCH + len(batch)] = batch
        return kept

    def some(self, seed: int) -> Tensor:
        """Return the spectrograms of responses and speech drawn at random: enough to know mean and variance of all."""
        random = generator(seed, Purpose.SUBSET, sample=len(SPLITS))
        rir, speech = random.integers(len(self.rirs), size=_DRAWN), random.integers(len(self.speech), size=_DRAWN)
        return self.all(Pairs(rir, speech, np.arange(_DRAWN)))

    def keys(self, pairs: Pairs) -> list[str]:
        """Return what the pairs are called: response × speech."""
        rirs, speech = self.rirs.table["key"], self.speech.table["key"]
        return [f"{rirs[r]} × {speech[s]}" for r, s in zip(pairs.rir, pairs.speech, strict=True)]


def bytes_of(count: int) -> int:
    """Return how much memory that many kept spectrograms take."""
    return count * N_BINS * N_FRAMES * 2


@dataclass(frozen=True)
class UpstreamData:
    """Spectrograms by split (train and val differ in their speech; rooms are the same), and the room of every response."""

    splits: dict[str, Spectrograms]
    room_of_rir: NDArray[np.int64]


@dataclass(frozen=True)
class DownstreamData:
    """Samples of one protocol by split, with their targets."""

    spectrograms: dict[str, Spectrograms]
    pairs: dict[str, Pairs]

    def target(self, name: str, split: str) -> Tensor:
        """Return (sample,) float32 seconds or dB, or (sample,) class indices for "volume" (1: above 160 m³)."""
        bank = self.spectrograms[split].rirs
        if name == "volume":
            values = (bank.column("volume_m3") > VOLUME_BOUNDARY_M3).long()
        else:
            values = bank.column({"rt60": "rt60_s", "rt60_mid": RT60_MID, "c50": "c50_db"}[name])
        return values[torch.as_tensor(self.pairs[split].rir, device=values.device)]

    def rows(self, split: str, column: str) -> NDArray[Any]:
        """Return a column of the responses' manifest for every sample."""
        return np.asarray(self.spectrograms[split].rirs.table[column].to_numpy())[self.pairs[split].rir]


class PaperData:
    """The four datasets of ``roomgen paper goetz``, checked: nothing that upstream and downstream share, no speaker in two splits.

    Raises:
        RoomtrainError: a part is missing, of another kind, or splits leak.
        DatasetError: a part is damaged.
    """

    def __init__(self, root: Path, *, device: torch.device | str = "cpu", workers: int = 2) -> None:
        self.device, self.workers = device, workers
        self._rirs = {part: open_part(root, f"{part}-rirs", family="rooms") for part in ("upstream", "downstream")}
        self._speech = {part: open_part(root, f"{part}-speech", family="sources") for part in ("upstream", "downstream")}
        groups = {
            f"{part} {split}": self._speech[part].table(["split", "group"]).query("split == @split")["group"].astype(str).tolist()
            for part in self._speech
            for split in SPLITS
        }
        check_disjoint("speakers", groups)
        sizes = ["length_m", "width_m", "height_m"]
        rooms = {part: self._rirs[part].table(sizes).drop_duplicates().astype(str).agg("×".join, axis=1) for part in self._rirs}
        check_disjoint("rooms", {part: values.tolist() for part, values in rooms.items()})
        apart = self._rirs["downstream"].table(["split", "room_id"]).drop_duplicates()
        check_disjoint("rooms", {split: apart["room_id"][apart["split"] == split].astype(str).tolist() for split in SPLITS})

    def fingerprint(self) -> dict[str, Any]:
        """Return what results say of the data."""
        named = {f"{part}-rirs": fingerprint(ds) for part, ds in self._rirs.items()}
        return named | {f"{part}-speech": fingerprint(ds) for part, ds in self._speech.items()}

    def upstream(self, settings: GoetzSettings) -> UpstreamData:
        """Return the data of the contrastive training: soft and hard sampling take one response of each room, unless told."""
        rirs = load_bank(self._rirs["upstream"], device=self.device, workers=self.workers)
        several = settings.strategy == "posind" or settings.upstream.every_rir
        per_room = settings.upstream.rirs_per_room if several else 1
        rank = rirs.table.groupby("room_id", observed=True).cumcount().to_numpy()
        rirs = rirs.part(rank < per_room)
        responses = Responses(rirs, n_samples=N_SAMPLES)
        splits = {}
        for split in ("train", "val"):
            speech = load_bank(self._speech["upstream"], split=split, device=self.device, workers=self.workers)
            splits[split] = _spectrograms(settings, speech, rirs, responses)
        return UpstreamData(splits, rirs.codes("room_id"))

    def downstream(self, settings: GoetzSettings, *, split_by: str) -> DownstreamData:
        """Return the samples of a protocol; see :class:`DownstreamSettings`."""
        counts = settings.downstream
        everything = load_bank(self._rirs["downstream"], device=self.device, workers=self.workers)
        everything.table[RT60_MID] = mid_rt60_s(everything)
        measured = np.isfinite(everything.table[["rt60_s", RT60_MID, "c50_db"]].to_numpy(dtype=np.float64)).all(axis=1)
        if measured.mean() < 0.9:
            raise DatasetError(
                f"{self._rirs['downstream'].root}: RT60 or C50 of {int((~measured).sum())} of {len(measured)} "
                "responses could not be measured."
            )
        spectrograms, pairs = {}, {}
        responses: Responses | None = None
        for number, split in enumerate(SPLITS):
            used = measured & ((everything.table["split"] == split).to_numpy() if split_by == "room" else True)
            if not used.any():
                raise RoomtrainError(f"{self._rirs['downstream'].root} has no response in the split {split!r}.")
            rirs = everything.part(used)
            if responses is None or split_by == "room":
                responses = Responses(rirs, n_samples=N_SAMPLES)
            speech = load_bank(self._speech["downstream"], split=split, device=self.device, workers=self.workers)
            spectrograms[split] = _spectrograms(settings, speech, rirs, responses)
            pairs[split] = draw_pairs(counts, split, number, n_rirs=len(rirs), n_speech=len(speech))
        return DownstreamData(spectrograms, pairs)


def mid_rt60_s(rirs: Bank) -> NDArray[np.float64]:
    """Return the mean of the RT60s of the octaves of 500 and 1000 Hz (ISO 3382-1: T₃₀,mid), NaN where either was not measured.

    The RT60 of a whole response is the decay of its lowest octave, wherever walls absorb less there, long after all that speech
    excites has died away: what can be heard of a room in speech is this.
    """
    bands = np.array(rirs.table["rt60_bands_s"].tolist(), dtype=np.float64)
    middle: NDArray[np.float64] = bands[:, 2:4].mean(axis=1)  # octaves begin at 125 Hz
    return middle


def shifted(spectrograms: Tensor, frames: NDArray[np.int64]) -> Tensor:
    """Return (batch, 1, frequency, time) spectrograms, each turned round in time by its (batch,) number of frames."""
    return torch.stack([x.roll(int(n), dims=-1) for x, n in zip(spectrograms, frames, strict=True)])


def draw_pairs(settings: DownstreamSettings, split: str, number: int, *, n_rirs: int, n_speech: int) -> Pairs:
    """Return the samples of a split: for each a response and a speech segment, drawn at random. The same in every run."""
    count = int(getattr(settings, split))
    random = generator(settings.draw_seed, Purpose.SUBSET, sample=number)
    rir, speech = random.integers(n_rirs, size=count), random.integers(n_speech, size=count)
    return Pairs(rir, speech, np.arange(count) + (number + 1) * 10_000_000)


def _spectrograms(settings: GoetzSettings, speech: Bank, rirs: Bank, responses: Responses) -> Spectrograms:
    standardise = settings.standardise == "spectrogram"
    return Spectrograms(speech, rirs, noise=settings.snr_db, seed=settings.seed, responses=responses, standardise=standardise)
