"""Which segments of which recordings a dataset of sources holds, in which split and shard.

Splits divide groups (speakers, places, original recordings), never a group; or they are the subsets or folds of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from roomgen.audio_math import resampled_length
from roomgen.corpora import open_corpora
from roomgen.corpora.base import BrokenFile, Clip, Corpus
from roomgen.corpora.union import labels
from roomgen.datasets.family import Broken, Inputs, Plan, ShardPlan
from roomgen.datasets.sources.settings import SourcesSettings
from roomgen.datasets.sources.splits import divided_clips
from roomgen.errors import RoomgenError
from roomgen.streams import Stream, generator

_CLIPS_PER_CHUNK = 8


class Cut(NamedTuple):
    """Some segments of one recording; what travels to a worker."""

    clip: Clip
    segments: tuple[int, ...]
    start: int
    """Number of the first one in its split."""


class SourcesPlan(Plan[SourcesSettings, Cut]):
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

    def listing(self) -> dict[str, Any]:
        """Return what would be made, in numbers, and what cannot be read."""
        return {
            "files": self.files,
            "samples": len(self),
            "splits": self.split_sizes,
            "shards": len(self.shards),
            "broken": [[item.name, item.reason] for item in self.broken],
        }

    def chunks(self, shard: ShardPlan) -> Iterator[Sequence[Cut]]:
        """Yield the shard's segments, some recordings at a time."""
        waiting: list[Cut] = []
        for unit in self._splits[shard.split]:
            first, last = max(shard.start - unit.start, 0), min(shard.start + shard.count - unit.start, len(unit.segments))
            if first < last:
                waiting.append(Cut(unit.clip, unit.segments[first:last], unit.start + first))
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


def _divided(settings: SourcesSettings, counted: list[tuple[Clip, int]]) -> dict[str, list[Cut]]:
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


def _numbered(clips: list[tuple[Clip, tuple[int, ...]]]) -> list[Cut]:
    units, start = [], 0
    for clip, segments in clips:
        units.append(Cut(clip, segments, start))
        start += len(segments)
    return units
