"""Which segments of which recordings a dataset of sources holds, in which split and shard.

Splits divide groups (speakers, places, original recordings), never a group; or they are the subsets or folds of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from roomgen.audio_math import resampled_length
from roomgen.corpora import open_corpora
from roomgen.corpora.base import BrokenFile, Clip, Corpus
from roomgen.corpora.union import labels
from roomgen.datasets.family import Broken, Inputs, ShardPlan, shards_of
from roomgen.datasets.sources.splits import divided_clips
from roomgen.errors import RoomgenError
from roomgen.settings import CommonSettings, SplitsSettings
from roomgen.streams import Stream, generator

_CLIPS_PER_CHUNK = 8
OVERLAP_RULE = "must be at least 0 and less than 1: the share of a segment that the next one repeats, such as 0.5"


class SourcesSettings(CommonSettings):
    """All that decides the bytes of a dataset of sources.

    ``corpus`` may be a union (``librispeech+folder``); ``fingerprint`` names the corpus' files; ``segment_s`` None keeps
    recordings whole; ``overlap`` is the share of a segment that the next one repeats; ``short`` says what becomes of a piece that
    is shorter than a segment (of a longer recording the rest is kept where it brings at least half of what a whole segment brings
    that is new); ``level`` "keep" leaves the recording's level, "rms" and "peak" bring every segment to ``level_db``; ``take`` is
    the part of all groups that is used, so that two datasets of one corpus can share none; ``max_samples`` limits a split, with
    pieces of as many recordings as possible, ``per_clip`` the pieces of a recording.

    ``split_by`` "group" divides groups by the shares of ``splits``, "subset" takes the corpus' own subsets, "fold" its folds, of
    which ``folds`` names those of each split (recordings of others are left out). ``split_within`` "class_name" divides the groups
    of each class on their own, so that no split lacks a class. ``val_share`` is what a split ``val`` takes of the groups of
    ``train`` where subsets or folds make none.
    """

    later: ClassVar[tuple[str, ...]] = ("overlap", "split_within", "folds", "val_share")

    family: Literal["sources"] = "sources"
    corpus: str
    fingerprint: str
    corpus_seed: int = 0
    corpus_count: Annotated[int, Field(ge=1)] | None = None
    fs_hz: Annotated[int, Field(ge=4000, le=192_000)] = 16000
    segment_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    overlap: float = 0.0
    short: Literal["pad", "repeat", "drop"] = "pad"
    channels: Literal["mono", "keep"] = "mono"
    level: Literal["keep", "rms", "peak"] = "keep"
    level_db: Annotated[float, Field(le=0, ge=-100)] = -26.0
    bits: Literal[16, 24] = 16
    subsets: tuple[str, ...] = ()
    take: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (0.0, 1.0)
    max_samples: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    per_clip: Annotated[int, Field(ge=1)] | None = None
    split_by: Literal["group", "subset", "fold"] = "group"
    split_within: Literal["class_name"] | None = None
    folds: dict[str, tuple[Annotated[int, Field(ge=0)], ...]] = Field(default_factory=dict)
    val_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    splits: SplitsSettings = SplitsSettings()

    @field_validator("take")
    @classmethod
    def _rises(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] >= value[1]:
            raise ValueError(f"{list(value)} must rise")
        return value

    @field_validator("overlap")
    @classmethod
    def _leaves_something_new(cls, value: float) -> float:
        if not 0 <= value < 1:
            raise ValueError(OVERLAP_RULE)
        return value

    @field_validator("folds")
    @classmethod
    def _each_fold_once(cls, value: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        SplitsSettings(shares={name: 1.0 / len(value) for name in value} or {"train": 1.0})
        all_folds = [fold for folds in value.values() for fold in folds]
        if not all(value.values()) or len(set(all_folds)) < len(all_folds):
            raise ValueError("each split needs at least one fold, and no fold may be in two")
        return value

    @model_validator(mode="after")
    def _divides_one_way(self) -> SourcesSettings:
        if (self.split_by == "fold") != bool(self.folds):
            raise ValueError(
                'split_by "fold" and folds belong together: say which folds each split has, such as '
                "folds={train=[1,2,3],val=[4],test=[5]}"
            )
        if self.val_share and self.split_by == "group":
            raise ValueError("val_share is for splits by subset or fold: give val a share of its own (splits.shares)")
        if self.split_within is not None and self.split_by != "group" and not self.val_share:
            raise ValueError(f"split_within has nothing to divide where splits are by {self.split_by}, unless there is a val_share")
        return self

    @model_validator(mode="after")
    def _has_neighbours(self) -> SourcesSettings:
        if self.overlap and self.segment_s is None:
            raise ValueError(
                f"an overlap of {self.overlap:g} needs segments, and recordings stay whole: give their length (--segment 4), or no "
                "overlap (--overlap 0)"
            )
        return self


class Unit(NamedTuple):
    """Some segments of one recording; what travels to a worker."""

    clip: Clip
    segments: tuple[int, ...]
    start: int
    """Number of the first one in its split."""


class SourcesPlan:
    """Which segments of which recordings stand where; see the module's text."""

    def __init__(self, settings: SourcesSettings, inputs: Inputs) -> None:
        self.settings = settings
        corpus = corpus_of(settings, inputs)
        found = corpus.fingerprint()
        if found != settings.fingerprint:
            raise RoomgenError(
                f"the corpus {settings.corpus} has changed since the dataset was begun ({settings.fingerprint}, now {found}): "
                "its files were added to, removed or altered. Use another --out, or --overwrite.",
                exit_code=1,
            )
        clips = corpus.clips()
        self.files = len(clips)
        if settings.subsets:
            clips = _of_subsets(clips, settings)
        self.broken: tuple[Broken, ...] = ()
        counted: list[tuple[Clip, int]] = []
        broken = []
        for clip in clips:
            try:
                fs_hz, _, frames = corpus.probe(clip)
            except BrokenFile as error:
                broken.append(Broken(error.name, error.reason))
                continue
            count = segment_count(settings, fs_hz=fs_hz, frames=frames)
            if count:
                counted.append((clip, count))
        self.broken = tuple(broken)
        if not counted and len(broken) == len(clips):
            first = self.broken[0]
            raise RoomgenError(
                f"no recording of the corpus {settings.corpus} can be used: {len(broken)} of {self.files} input files cannot be "
                f"read, the first is {first.name}: {first.reason}. Repair or remove them.",
                exit_code=1,
            )
        if not counted:
            asked = "anything at this sampling rate" if settings.segment_s is None else f"a segment of {settings.segment_s:g} s"
            raise RoomgenError(
                f"the corpus {settings.corpus} has no recording that lasts for {asked}: ask for "
                "shorter ones (--segment), or fill up with --short pad or --short repeat."
            )
        self._splits = _divided(settings, counted)
        self.split_sizes = {name: sum(len(unit.segments) for unit in units) for name, units in self._splits.items()}
        if not len(self):
            raise RoomgenError(
                f"nothing of the corpus {settings.corpus} is left: take {list(settings.take)} or max_samples "
                f"{settings.max_samples} leave all of its {len(counted)} recordings out. Let them take more."
            )

    def __len__(self) -> int:
        return sum(self.split_sizes.values())

    @property
    def shards(self) -> tuple[ShardPlan, ...]:
        """All shards, split by split."""
        return shards_of(self.split_sizes, self.settings.shard_size)

    def chunks(self, shard: ShardPlan) -> Iterator[Sequence[Unit]]:
        """Yield the shard's segments, some recordings at a time."""
        waiting: list[Unit] = []
        for unit in self._splits[shard.split]:
            first, last = max(shard.start - unit.start, 0), min(shard.start + shard.count - unit.start, len(unit.segments))
            if first < last:
                waiting.append(Unit(unit.clip, unit.segments[first:last], unit.start + first))
                if len(waiting) == _CLIPS_PER_CHUNK:
                    yield waiting
                    waiting = []
        if waiting:
            yield waiting


@lru_cache(maxsize=4)
def opened(name: str, roots: tuple[Path, ...], seed: int, count: int | None) -> Corpus:
    """Return a corpus in its folder, an embedded one, or a union in the folders of its members; the last few stay open."""
    return open_corpora(name, roots, seed=seed, count=count)


def corpus_of(settings: SourcesSettings, inputs: Inputs) -> Corpus:
    """Return the corpus of the settings, opened in its folder or folders."""
    return opened(settings.corpus, roots_of(settings.corpus, inputs), settings.corpus_seed, settings.corpus_count)


def inputs_of(name: str, roots: Sequence[Path]) -> dict[str, Path]:
    """Return the folders of a corpus or a union as a dataset's inputs: ``corpus``, or ``corpus-LABEL`` for each member."""
    return dict(zip(_input_names(name), roots, strict=False))  # an embedded corpus has a name and no folder


def roots_of(name: str, inputs: Inputs) -> tuple[Path, ...]:
    """Return the folders of a corpus or a union, in the order of its members, from a dataset's inputs."""
    return tuple(inputs[key] for key in _input_names(name) if key in inputs)


def _input_names(name: str) -> list[str]:
    names = labels(name)
    return ["corpus"] if len(names) == 1 else [f"corpus-{label}" for label in names]


def segment_count(settings: SourcesSettings, *, fs_hz: int, frames: int) -> int:
    """Return how many segments a recording gives."""
    n = resampled_length(frames, fs_in_hz=fs_hz, fs_hz=settings.fs_hz)
    if settings.segment_s is None:
        return int(n > 0)
    length, step = segment_length(settings), segment_step(settings)
    whole = 0 if n < length else 1 + (n - length) // step
    rest = n if whole == 0 else n - length - (whole - 1) * step  # what no whole segment holds
    if settings.short != "drop" and rest:
        whole += int(whole == 0 or 2 * rest >= step)
    return whole if settings.per_clip is None else min(whole, settings.per_clip)


def segment_length(settings: SourcesSettings) -> int:
    """Return the length of a segment in samples."""
    assert settings.segment_s is not None  # asked of cut datasets only
    return max(round(settings.segment_s * settings.fs_hz), 1)


def segment_step(settings: SourcesSettings) -> int:
    """Return how many samples after a segment the next one begins: its length, less what the two share."""
    return max(round(segment_length(settings) * (1.0 - settings.overlap)), 1)


def _of_subsets(clips: list[Clip], settings: SourcesSettings) -> list[Clip]:
    known = sorted({clip.subset for clip in clips})
    unknown = [name for name in settings.subsets if name not in known]
    if unknown:
        raise RoomgenError(
            f"the corpus {settings.corpus} has no subset {', '.join(unknown)}; "
            f"it has {', '.join(name or '(none)' for name in known)}."
        )
    return [clip for clip in clips if clip.subset in settings.subsets]


def _divided(settings: SourcesSettings, counted: list[tuple[Clip, int]]) -> dict[str, list[Unit]]:
    """Return the units of each split: its recordings shuffled, their segments together."""
    divided = divided_clips(settings, counted)
    names = list(divided)
    unknown = [name for name in settings.max_samples if name not in names]
    if unknown:
        raise RoomgenError(f"max_samples names a split {unknown[0]!r} that there is not; there are {', '.join(names)}.")
    units = {}
    for index, (name, clips) in enumerate(divided.items()):
        shuffled = [clips[i] for i in generator(settings.seed, Stream.ORDER, index).permutation(len(clips))]
        units[name] = _numbered(_limited(shuffled, settings.max_samples.get(name)))
    return {name: members for name, members in units.items() if members}


def _limited(clips: list[tuple[Clip, int]], limit: int | None) -> list[tuple[Clip, tuple[int, ...]]]:
    """Return the segments to use of each recording: all, or the first ones of as many recordings as the limit allows."""
    if limit is None:
        return [(clip, tuple(range(count))) for clip, count in clips]
    used, left, depth = [0] * len(clips), limit, 0
    while left > 0 and depth < max((count for _, count in clips), default=0):
        for i, (_, count) in enumerate(clips):
            if left > 0 and depth < count:
                used[i], left = depth + 1, left - 1
        depth += 1
    return [(clip, tuple(range(used[i]))) for i, (clip, _) in enumerate(clips) if used[i]]


def _numbered(clips: list[tuple[Clip, tuple[int, ...]]]) -> list[Unit]:
    units, start = [], 0
    for clip, segments in clips:
        units.append(Unit(clip, segments, start))
        start += len(segments)
    return units
