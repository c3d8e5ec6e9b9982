"""Reverberant speech as the paper's spectrograms: banks of responses and speech, convolved on the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roomgen.errors import DatasetError
from roomgen.store.dataset import Dataset
from roomtrain.banks import Bank, open_bank
from roomtrain.datasets import check_disjoint, fingerprint, open_part
from roomtrain.draws import Draws
from roomtrain.errors import RoomtrainError
from roomtrain.labels import RT60_MID, with_mid_rt60
from roomtrain.paper import Data, Place
from roomtrain.papers.goetz.settings import FS_HZ, SEGMENT_S, VOLUME_BOUNDARY_M3, DownstreamSettings, GoetzSettings
from roomtrain.papers.goetz.spectrogram import log_spectrogram
from roomtrain.reverb import with_noise
from roomtrain.reverberator import Responses, Reverberator
from roomtrain.seeds import Purpose, generator
from roomtrain.targets import Target

SPLITS = ("train", "val", "test")
N_BINS, N_FRAMES = 17, 3999
N_SAMPLES = int(SEGMENT_S * FS_HZ)
_TOGETHER = 64  # spectrograms at a time where many are made
_DRAWN = 512  # spectrograms whose mean and deviation stand for those of the training set


@dataclass(frozen=True)
class Pairs:
    """Which response meets which speech; ``number`` names the samples, for noise that belongs to each.

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

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three as tensors, to be moved to a device."""
        return torch.from_numpy(self.rir), torch.from_numpy(self.speech), torch.from_numpy(self.number)


class Spectrograms:
    """Spectrograms of speech through responses.

    Args:
        speech, rirs: the banks, at 16 kHz; speech in segments of 4 s.
        noise: white noise at an SNR in dB drawn from this range for each sample, or None.
        responses: the same responses, ready to be heard through; None: they are made so here.
        standardise: each spectrogram by itself.
    """

    def __init__(
        self,
        speech: Bank,
        rirs: Bank,
        *,
        noise: tuple[float, float] | None = None,
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
        self.speech, self.rirs, self.noise, self.standardise = speech, rirs, noise, standardise
        self._reverberator = Reverberator(speech, responses or Responses(rirs, n_samples=N_SAMPLES))

    def make(
        self, rir: Tensor, speech: Tensor, number: Tensor, *, draws: Draws, snr_db: tuple[float, float] | None = None
    ) -> Tensor:
        """Return (batch, 1, 17, 3999) float32 spectrograms; ``snr_db`` in place of the usual noise, which ``draws`` are for."""
        audio = self.audio(rir, speech, number, draws=draws, snr_db=snr_db)
        return log_spectrogram(audio, standardise=self.standardise)

    def audio(
        self, rir: Tensor, speech: Tensor, number: Tensor, *, draws: Draws, snr_db: tuple[float, float] | None = None
    ) -> Tensor:
        """Return (batch, time) reverberant speech, with its noise."""
        heard = self._reverberator(speech, rir)[:, 0]
        noise = self.noise if snr_db is None else snr_db
        if noise is None:
            return heard
        ratios = draws.uniform(Purpose.SNR, number, None, *noise)
        return with_noise(heard, snr_db=ratios, noise=draws.normal(Purpose.NOISE, number, heard.shape[1]))

    def batches(self, pairs: Pairs, *, draws: Draws, snr_db: tuple[float, float] | None = None) -> Iterator[Tensor]:
        """Yield the spectrograms of many pairs, some at a time."""
        device = self.speech.device
        for start in range(0, len(pairs), _TOGETHER):
            own = pairs.part(slice(start, start + _TOGETHER)).tensors()
            yield self.make(*(x.to(device) for x in own), draws=draws, snr_db=snr_db)

    def all(self, pairs: Pairs, *, draws: Draws) -> Tensor:
        """Return (sample, 1, 17, 3999) of all pairs, in half precision: errors are below 0.01, or 0.002 where standardised."""
        kept = torch.empty((len(pairs), 1, N_BINS, N_FRAMES), dtype=torch.float16, device=self.speech.device)
        for number, batch in enumerate(self.batches(pairs, draws=draws)):
            kept[number * _TOGETHER : number * _TOGETHER + len(batch)] = batch
        return kept

    def some(self, seed: int) -> Tensor:
        """Return the spectrograms of responses and speech drawn at random: enough to know mean and variance of all."""
        random = generator(seed, Purpose.SUBSET, sample=len(SPLITS))
        rir, speech = random.integers(len(self.rirs), size=_DRAWN), random.integers(len(self.speech), size=_DRAWN)
        return self.all(Pairs(rir, speech, np.arange(_DRAWN)), draws=Draws(seed, split=len(SPLITS), device=self.speech.device))

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

    def truth(self, target: Target, split: str) -> Tensor:
        """Return (sample,) float32 seconds or dB, or (sample,) class indices (1: above 160 m³), on the device."""
        bank = self.spectrograms[split].rirs
        values = (bank.column("volume_m3") > VOLUME_BOUNDARY_M3).long() if target.kind == "class" else bank.column(target.measured)
        return values[torch.as_tensor(self.pairs[split].rir, device=values.device)]

    def rows(self, split: str, column: str) -> NDArray[Any]:
        """Return a column of the responses' manifest for every sample."""
        return np.asarray(self.spectrograms[split].rirs.table[column].to_numpy())[self.pairs[split].rir]

    def keys(self, split: str) -> NDArray[np.str_]:
        """Return a name for every sample: its number, response and speech."""
        pairs = self.pairs[split]
        return np.array([f"{n:05d} {key}" for n, key in enumerate(self.spectrograms[split].keys(pairs))])


class PaperData(Data):
    """The four datasets of ``roomgen paper goetz``, checked: nothing that upstream and downstream share, no speaker in two splits.

    Args:
        training: False: only what the test needs is opened.

    Raises:
        RoomtrainError: a part is missing, of another kind, or splits leak.
        DatasetError: a part is damaged.
    """

    def __init__(self, root: Path, place: Place, *, training: bool = True) -> None:
        self.place = place
        halves = ("upstream", "downstream") if training else ("downstream",)
        self._rirs = {half: open_part(root, f"{half}-rirs", family="rooms") for half in halves}
        self._speech = {half: open_part(root, f"{half}-speech", family="sources") for half in halves}
        self._protocol: tuple[tuple[str, str], DownstreamData] | None = None
        groups = {
            f"{half} {split}": self._speech[half].table(["split", "group"]).query("split == @split")["group"].astype(str).tolist()
            for half in halves
            for split in SPLITS
        }
        check_disjoint("speakers", groups)
        sizes = ["length_m", "width_m", "height_m"]
        rooms = {half: self._rirs[half].table(sizes).drop_duplicates().astype(str).agg("×".join, axis=1) for half in halves}
        check_disjoint("rooms", {half: values.tolist() for half, values in rooms.items()})
        apart = self._rirs["downstream"].table(["split", "room_id"]).drop_duplicates()
        check_disjoint("rooms", {split: apart["room_id"][apart["split"] == split].astype(str).tolist() for split in SPLITS})

    def fingerprint(self) -> dict[str, Any]:
        named = {f"{half}-rirs": fingerprint(ds) for half, ds in self._rirs.items()}
        return named | {f"{half}-speech": fingerprint(ds) for half, ds in self._speech.items()}

    def upstream(self, settings: GoetzSettings) -> UpstreamData:
        """Return the data of the contrastive training: soft and hard sampling take one response of each room, unless told."""
        rirs = self._bank(self._rirs["upstream"])
        several = settings.strategy == "posind" or settings.upstream.every_rir
        per_room = settings.upstream.rirs_per_room if several else 1
        rank = rirs.table.groupby("room_id", observed=True).cumcount().to_numpy()
        rirs = rirs.part(rank < per_room)
        responses = Responses(rirs, n_samples=N_SAMPLES)
        splits = {
            split: _spectrograms(settings, self._bank(self._speech["upstream"], split), rirs, responses)
            for split in ("train", "val")
        }
        return UpstreamData(splits, rirs.codes("room_id"))

    def downstream(self, settings: GoetzSettings, *, split_by: str) -> DownstreamData:
        """Return the samples of a protocol, see :class:`DownstreamSettings`; those asked for last are kept."""
        asked = (split_by, settings.hash())
        if self._protocol is None or self._protocol[0] != asked:
            self._protocol = None  # frees them before the next are made
            self._protocol = (asked, self._made(settings, split_by))
        return self._protocol[1]

    def _made(self, settings: GoetzSettings, split_by: str) -> DownstreamData:
        counts, measured = settings.downstream, self._measured
        root = self._rirs["downstream"].root
        spectrograms, pairs = {}, {}
        responses: Responses | None = None
        for number, split in enumerate(SPLITS):
            used = measured & ((self._everything.table["split"] == split).to_numpy() if split_by == "room" else True)
            if not used.any():
                raise RoomtrainError(f"{root} has no response in the split {split!r}.")
            rirs = self._everything.part(used)
            if responses is None or split_by == "room":
                responses = Responses(rirs, n_samples=N_SAMPLES)
            speech = self._bank(self._speech["downstream"], split)
            spectrograms[split] = _spectrograms(settings, speech, rirs, responses)
            pairs[split] = draw_pairs(counts, split, number, n_rirs=len(rirs), n_speech=len(speech))
        return DownstreamData(spectrograms, pairs)

    @cached_property
    def _everything(self) -> Bank:
        """All responses of downstream."""
        bank = self._bank(self._rirs["downstream"])
        return replace(bank, table=with_mid_rt60(bank.table))

    @cached_property
    def _measured(self) -> NDArray[np.bool_]:
        """Which of them have every label."""
        table = self._everything.table
        measured: NDArray[np.bool_] = np.isfinite(table[["rt60_s", RT60_MID, "c50_db"]].to_numpy(dtype=np.float64)).all(axis=1)
        if measured.mean() < 0.9:
            raise DatasetError(
                f"{self._rirs['downstream'].root}: RT60 or C50 of {int((~measured).sum())} of {len(measured)} "
                "responses could not be measured."
            )
        return measured

    def _bank(self, dataset: Dataset, split: str | None = None) -> Bank:
        bank = open_bank(dataset, split=split, device=self.place.device, workers=self.place.workers)
        assert isinstance(bank, Bank)  # kind "memory"
        return bank


def draw_pairs(settings: DownstreamSettings, split: str, number: int, *, n_rirs: int, n_speech: int) -> Pairs:
    """Return the samples of a split: for each a response and a speech segment, drawn at random. The same in every run."""
    count = int(getattr(settings, split))
    random = generator(settings.draw_seed, Purpose.SUBSET, sample=number)
    rir, speech = random.integers(n_rirs, size=count), random.integers(n_speech, size=count)
    return Pairs(rir, speech, np.arange(count))


def _spectrograms(settings: GoetzSettings, speech: Bank, rirs: Bank, responses: Responses) -> Spectrograms:
    return Spectrograms(speech, rirs, noise=settings.snr_db, responses=responses, standardise=settings.standardise == "spectrogram")
