"""What flags stand for: one table of option, setting, how its text is read, and help; and the options of every dataset.

Commands are given their options from the table, and errors name settings by it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from roomgen.reading import image_size, named_shares, number_list, number_pair, number_range

OutOption = Annotated[Path | None, typer.Option(help="folder that the dataset is written to")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="any setting; `roomgen config` lists them")]
WorkersOption = Annotated[int | None, typer.Option(help="processes  [default: one per core]")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="replace the dataset that is in --out")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="say what it would take; write nothing")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs on stdout")]
MaxBrokenOption = Annotated[float, typer.Option(help="share of input files that may be unreadable", min=0.0, max=1.0)]
PRESET_HELP = "named settings: mixed, revrir, goetz, mc-simclr or mvsd"
DatasetArgument = Annotated[Path, typer.Argument(metavar="DIR", help="folder of a dataset")]


@dataclass(frozen=True)
class Flag:
    """One row of the table: an option of type ``kind``, the setting that it stands for, and what makes the one of the other."""

    name: str
    key: str
    help: str
    kind: Any = str
    metavar: str | None = None
    read: Callable[[Any, str], Any] = lambda value, flag: value

    @property
    def parameter(self) -> inspect.Parameter:
        """What the command line tells a command of it: None where it was not given."""
        option = typer.Option(self.name, metavar=self.metavar, help=self.help)
        return _parameter(self.name.strip("-").replace("-", "_"), cast(Any, Annotated)[self.kind | None, option], None)


SEED = Flag("--seed", "seed", "what everything is drawn from  [default: 0]", int)
SHARD_SIZE = Flag("--shard-size", "shard_size", "samples per shard  [default: 1000 at most, for several shards]", int)
SPLITS = Flag("--splits", "splits.shares", "such as train=0.8,val=0.1,test=0.1", metavar="NAME=SHARE,…", read=named_shares)
BANDS = "RT60 of every octave from 125 Hz, such as 0.6,0.55,0.5,0.5,0.45,0.4,0.35"
ROOMS = (
    Flag("--n", "rooms.count", "number of rooms  [default: from the preset]", int),
    Flag("--preset", "preset", f"{PRESET_HELP}  [default: mixed; of arrays: mc-simclr]"),
    Flag("--rirs-per-room", "place.rirs_per_room", "positions per room  [default: 10]", int),
    Flag("--fs", "signal.fs_hz", "sampling rate in Hz  [default: 16000; revrir: 8000]", int),
    SEED,
    Flag("--engine", "engine.name", "image (exact, fast) or reference (pyroomacoustics)"),
    Flag("--device", "engine.device", "cpu, or cuda for image sources on a GPU"),
    SHARD_SIZE,
    Flag("--duration", "signal.duration", "auto (to −60 dB), octaves (each to −60 dB), seconds, or revrir"),
    Flag("--rt60", "signal.rt60_s", "target RT60 of the rooms, in seconds", metavar="S|MIN:MAX", read=number_range),
    Flag(
        "--rt60-of",
        "signal.rt60_of",
        "which RT60: of 500 and 1000 Hz, of all, of 1000 Hz  [default: mid]",
        metavar="mid|broadband|1000",
    ),
    Flag("--rt60-bands", "signal.rt60_bands_s", BANDS, metavar="S,S,…", read=number_list),
    Flag("--air", "signal.air", "temperature in °C and humidity in %, such as 20,50", metavar="T,RH", read=number_pair),
    SPLITS,
    Flag("--panorama", "panorama", "also store a view of the room, such as 192x576", metavar="HxW", read=image_size),
)
DEVICES = (
    Flag("--n", "count", "number of microphones (microphones, generated)  [default: 25]", int),
    Flag("--compress", "compress", "share of these microphones that compress too  [default: 0]", float, "SHARE"),
    Flag("--fs", "fs_hz", "sampling rate in Hz  [default: 32000]", int),
    Flag("--pattern", "pattern", "regular expression with groups mic, angle, distance (multi-angle)"),
    SPLITS,
    SEED,
    SHARD_SIZE,
)
WITHIN = "divide the groups of each class on their own: no split lacks a class"
SOURCES = (
    Flag("--fs", "fs_hz", "sampling rate in Hz  [default: 16000]", int),
    Flag("--segment", "segment_s", "cut into segments of so many seconds  [default: whole]", float, "S"),
    Flag("--overlap", "overlap", "share of a segment that the next one repeats, such as 0.5  [default: 0]", float, "SHARE"),
    Flag("--short", "short", "pieces shorter than a segment: pad, repeat or drop  [default: pad]"),
    Flag("--channels", "channels", "mono or keep  [default: mono]"),
    Flag("--level", "level", "keep, rms or peak  [default: keep]"),
    Flag("--subset", "subsets", "only this part of the corpus; may be repeated", list[str], "NAME"),
    Flag("--split-by", "split_by", "group (speakers, places), subset, or fold  [default: the corpus' own way]"),
    Flag("--split-within", "split_within", WITHIN, metavar="class_name"),
    SPLITS,
    Flag("--count", "corpus_count", "recordings that an embedded corpus shall make", int),
    SEED,
    SHARD_SIZE,
)
RENDERS = (
    Flag("--snr", "snr_db", "add noise at this signal-to-noise ratio in dB", metavar="DB|MIN:MAX", read=number_range),
    Flag("--per-source", "per_source", "how often each source is heard  [default: 1]", int),
    Flag("--tail", "tail", "cut at the source's end, or keep what sounds on  [default: cut]"),
    Flag("--level", "level", "rms or peak (−26 dB; --set level_db=…), or keep  [default: rms]"),
    Flag("--bits", "bits", "16 or 24  [default: 16]", int),
    Flag("--clean", "clean", "also store the clean source, in time with the render", bool),
    Flag("--any-split", "match_splits", "let sources meet responses of other splits", bool, read=lambda given, flag: not given),
    SEED,
    SHARD_SIZE,
)


@dataclass(frozen=True)
class Given:
    """What the command line says of a dataset: settings by their dotted keys, how errors call them, and how it is made."""

    overrides: dict[str, Any]
    flags: dict[str, str]
    out: Path | None
    workers: int | None
    overwrite: bool
    as_json: bool


_OF_EVERY_DATASET: dict[str, tuple[Any, object]] = {
    "out": (OutOption, None),
    "workers": (WorkersOption, None),
    "overwrite": (OverwriteOption, False),
    "as_json": (JsonOption, False),
}


def with_options(table: Sequence[Flag]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator: a command that takes :class:`Given` and its own options gets those of a table and of every dataset."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        _, *own = (
            _parameter(p.name, p.annotation, p.default) for p in inspect.signature(command, eval_str=True).parameters.values()
        )
        of_table = [flag.parameter for flag in table]

        @wraps(command)
        def run(**given: Any) -> None:
            values = [(flag, given.pop(parameter.name)) for flag, parameter in zip(table, of_table, strict=True)]
            overrides = {flag.key: flag.read(value, flag.name) for flag, value in values if value is not None}
            overrides |= assignments(given.pop("set_"))
            flags = {flag.key: flag.name for flag in table}
            command(Given(overrides, flags, **{name: given.pop(name) for name in _OF_EVERY_DATASET}), **given)

        needed = [parameter for parameter in own if parameter.default is parameter.empty]
        optional = [parameter for parameter in own if parameter.default is not parameter.empty]
        out, *common = (_parameter(name, *option) for name, option in _OF_EVERY_DATASET.items())
        signature = [*needed, out, *of_table, *optional, _parameter("set_", SetOption, None), *common]
        vars(run)["__signature__"] = inspect.Signature(signature)
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in signature}
        return run

    return decorate


def assignments(texts: list[str] | None) -> dict[str, Any]:
    """Read all ``--set key=value``."""
    from roomgen.settings import parse_assignment

    return dict(parse_assignment(text) for text in texts or [])


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
