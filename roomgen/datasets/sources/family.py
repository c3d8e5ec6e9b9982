"""Sources: recordings of a corpus, resampled once and cut into segments, with what the corpus says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roomgen.audio import encode_flac
from roomgen.audio_math import amplitude, fit, peak_db, resample, rms_db
from roomgen.corpora import corpus_classes
from roomgen.corpora.base import BrokenFile, Clip, Corpus
from roomgen.corpora.union import JOIN, label_of, sorted_union
from roomgen.datasets.family import Broken, Card, Chunk, Job, Row
from roomgen.datasets.sources.plan import (
    Cut,
    SourcesPlan,
    corpus_of,
    inputs_of,
    opened,
    segment_length,
    segment_step,
)
from roomgen.datasets.sources.settings import SourcesSettings
from roomgen.datasets.sources.splits import group_of
from roomgen.errors import RoomgenError
from roomgen.settings import resolve
from roomgen.store.columns import SOURCES
from roomgen.store.samples import Sample, sample_of
from roomgen.text import interval

AUDIO_MEMBER = "audio.flac"
_SILENT_DB = -90.0  # below this a segment is digital silence or nearly so: nothing can be learned from it
_FULL_SCALE_DB = -0.01
_MOST_CHANNELS = 8  # that a FLAC file holds


class SourcesJob(Job[SourcesSettings, Cut]):
    """Recordings of a corpus."""

    name = "sources"
    unit = "segment"
    settings_model = SourcesSettings
    audio_member = AUDIO_MEMBER
    counts = {"clip": "recordings", "speaker": "speakers", "class_name": "classes"}  # noqa: RUF012 (as declared in Job)
    spreads = {"rms_db": ("level", "dB")}  # noqa: RUF012

    columns = SOURCES

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(sorted((AUDIO_MEMBER, "json", *_extra_members(self.settings.corpus))))

    @cached_property
    def plan(self) -> SourcesPlan:
        return SourcesPlan(self.settings, self.inputs)

    def make(self, chunk: Chunk[Cut]) -> Iterator[Sample | Broken]:
        for unit in chunk.units:
            try:
                whole = self._read(unit.clip)
            except BrokenFile as error:
                yield Broken(error.name, error.reason)
                continue
            for number, segment in enumerate(unit.segments, start=unit.start):
                sample = self._sample(whole, segment, split=chunk.split, number=number)
                yield sample or Broken(_key(unit.clip, segment), "the segment is silent", counts=False)

    def remake(self, row: Row) -> Sample:
        clip, segment = self._clips.get(row["clip"]), int(row["segment"])
        if clip is None:
            raise RoomgenError(f"the corpus {self.settings.corpus} no longer has the recording {row['clip']!r}.", exit_code=1)
        try:
            sample = self._sample(self._read(clip), segment, split=row["split"], number=int(row["seed_index"]))
        except BrokenFile as error:
            raise RoomgenError(f"{error.name} can no longer be used: it {error.reason}.", exit_code=1) from None
        if sample is None:
            raise RoomgenError(f"{clip.path} can no longer be used: its segment {segment} is silent.", exit_code=1)
        return sample

    def measured(self, row: Row, audio: NDArray[np.float32]) -> dict[str, Any]:
        return {"rms_db": rms_db(audio), "peak_db": peak_db(audio)}

    def card(self, totals: Mapping[str, Any]) -> Card:
        settings = self.settings
        kinds = list(dict.fromkeys(corpus_classes(settings.corpus)))
        abouts, several = [kind.about for kind in kinds], JOIN in settings.corpus
        cut = "whole recordings" if settings.segment_s is None else f"segments of {settings.segment_s:g} s"
        if settings.overlap:
            cut += f" (each repeats {100 * settings.overlap:g} % of the one before it)"
        origins = (f"{about.title + ': ' if several else ''}{about.url}, licence: {about.licence}" for about in abouts)
        origin = "an embedded stand-in, made by roomgen" if kinds[0].embedded else "; ".join(origins)
        own = {"subset": "the corpus' own subsets", "fold": "the corpus' own folds"}
        by = own.get(settings.split_by, "groups (speakers, places, original recordings)")
        if settings.val_share:
            by += f"; val has {100 * settings.val_share:g} % of the groups of train"
        if settings.split_within:
            by += ", divided within each class"
        return Card(
            title=f"Sources: {' and '.join(about.title for about in abouts)}",
            text=f"{totals['samples']} {cut} of {totals['recordings']} recordings, {totals['audio_s'] / 3600:.2f} hours at "
            f"{settings.fs_hz} Hz, level {interval(totals['rms_db'], 'dB')}. Origin: {origin}. Splits are by {by}."
            + (" Clips, files, speakers and groups begin with the name of their corpus." if several else ""),
            members="`KEY.audio.flac`" + "".join(f", `KEY.{ending}`" for ending in _extra_members(settings.corpus)),
            example='sources = pd.read_parquet("manifest.parquet")\nsources.groupby("split").speaker.nunique()',
            tags=("speech",) if any(about.kind == "speech" for about in abouts) else ("sound",),
        )

    @cached_property
    def _corpus(self) -> Corpus:
        return corpus_of(self.settings, self.inputs)

    @cached_property
    def _clips(self) -> dict[str, Clip]:
        return {clip.name: clip for clip in self._corpus.clips()}

    def _read(self, clip: Clip) -> _Whole:
        """Return a recording, ready to be cut."""
        recording = self._corpus.read(clip)
        audio, gain_db = _prepared(self.settings, recording.audio, recording.fs_hz, clip.path)
        return _Whole(clip, audio, recording.fs_hz, gain_db, recording.extras)

    def _sample(self, whole: _Whole, segment: int, *, split: str, number: int) -> Sample | None:
        """Return one segment of a recording, or None where it is silent."""
        settings = self.settings
        audio, row = _cut(settings, whole.audio, segment)
        row["gain_db"] += whole.gain_db
        if rms_db(audio) < _SILENT_DB:
            return None
        row |= _clip_columns(settings, whole.clip, segment, whole.source_fs_hz)
        row |= {"split": split, "seed_index": number}
        members = {AUDIO_MEMBER: encode_flac(audio, fs_hz=settings.fs_hz, bits=settings.bits), **whole.extras}
        return sample_of(row, members, SOURCES)


class _Whole(NamedTuple):
    """A whole recording at the rate and with the channels of a dataset, and the gain against clipping in dB."""

    clip: Clip
    audio: NDArray[np.float32]
    source_fs_hz: int
    gain_db: float
    extras: Mapping[str, bytes]


def sources_settings(
    corpus: str, root: Path | Sequence[Path] | None, overrides: Mapping[str, Any], *, flags: Mapping[str, str] | None = None
) -> tuple[SourcesSettings, dict[str, Path]]:
    """Return the settings and inputs of a dataset of a corpus, or of several as one.

    Args:
        corpus: its name; ``roomgen corpora`` lists them; several with + between them.
        root: its folder, or None for an embedded one; of several the folder of each, in the order of their names.
        overrides: dotted key to value.
        flags: what errors shall call a key.

    Raises:
        RoomgenError: no such corpus, folder or setting; the folder is laid out otherwise.
    """
    given = () if root is None else (root,) if isinstance(root, Path) else root
    kinds = corpus_classes(corpus)
    corpus, roots = sorted_union(corpus, given)
    split_by = kinds[0].default_split if len(kinds) == 1 else "group"
    tree: dict[str, Any] = {"corpus": corpus, "fingerprint": "", "split_by": split_by}
    asked = resolve(tree, overrides, model=SourcesSettings, flags=flags)  # before the corpus is opened with what it says
    found = opened(corpus, roots, asked.corpus_seed, asked.corpus_count)
    return asked.model_copy(update={"fingerprint": found.fingerprint()}), inputs_of(corpus, roots)


def _extra_members(name: str) -> tuple[str, ...]:
    """Return the endings of what every recording has besides its audio; members of a union do not differ in them."""
    return corpus_classes(name)[0].extra_members


def _prepared(settings: SourcesSettings, audio: NDArray[np.float32], fs_hz: int, name: str) -> tuple[NDArray[np.float32], float]:
    """Return the whole recording at the rate and with the channels of the settings, and the gain against clipping in dB."""
    if settings.channels == "keep" and len(audio) > _MOST_CHANNELS:
        raise BrokenFile(name, f"has {len(audio)} channels, and FLAC holds {_MOST_CHANNELS}: --channels mono takes their mean")
    if not np.isfinite(audio).all():
        raise BrokenFile(name, "holds values that are not finite")
    if not audio.any():
        raise BrokenFile(name, "is silent from end to end")
    if settings.channels == "mono" and len(audio) > 1:
        audio = audio.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    audio = resample(audio, fs_in_hz=fs_hz, fs_hz=settings.fs_hz)
    over = max(peak_db(audio) - _FULL_SCALE_DB, 0.0)  # resampling overshoots, and float files may go beyond full scale
    return (audio * np.float32(amplitude(-over)) if over else audio), -over


def _cut(settings: SourcesSettings, whole: NDArray[np.float32], segment: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return one segment (channel, time) and the columns that follow from cutting it."""
    if settings.segment_s is None:
        piece, start, filled = whole, 0, 0
    else:
        length = segment_length(settings)
        start = segment * segment_step(settings)
        piece = whole[:, start : start + length]
        filled = length - piece.shape[1]
        if filled and settings.short == "repeat":
            piece = np.tile(piece, (1, -(-length // piece.shape[1])))
        piece = fit(piece, length)
    gain_db = 0.0
    level_db = rms_db(piece) if settings.level == "rms" else peak_db(piece)
    if settings.level != "keep" and np.isfinite(level_db):
        gain_db = min(settings.level_db - level_db, _FULL_SCALE_DB - peak_db(piece))
        piece = piece * np.float32(amplitude(gain_db))
    row: dict[str, Any] = {
        "segment": segment,
        "start_s": start / settings.fs_hz,
        "filled_s": filled / settings.fs_hz,
        "fs_hz": settings.fs_hz,
        "n_channels": len(piece),
        "n_samples": piece.shape[1],
        "gain_db": gain_db,
        "rms_db": rms_db(piece),
        "peak_db": peak_db(piece),
    }
    return piece, row


def _key(clip: Clip, segment: int) -> str:
    return f"{clip.name}-{segment:04d}"


def _clip_columns(settings: SourcesSettings, clip: Clip, segment: int, fs_hz: int) -> dict[str, Any]:
    return {
        "key": _key(clip, segment),
        "corpus": label_of(settings.corpus, clip),
        "clip": clip.name,
        "file": clip.path,
        "source_fs_hz": fs_hz,
        "speaker": clip.speaker,
        "sex": clip.sex,
        "text": clip.text,
        "class_name": clip.class_name,
        "fold": clip.fold,
        "subset": clip.subset,
        "device": clip.device,
        "location": clip.location,
        "group": group_of(clip),
        "licence": clip.licence,
    }
