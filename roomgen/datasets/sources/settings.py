"""What a dataset of sources is made by: the model that checks it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from roomgen.settings import CommonSettings, SplitsSettings

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
    corpus_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    corpus_count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    fs_hz: Annotated[int, Field(ge=4000, le=192_000)] = 16000
    segment_s: Annotated[float, Field(ge=0.001, le=3600)] | None = None
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
