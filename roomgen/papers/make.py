"""All datasets of a paper by one command: real corpora where their folders are given, embedded stand-ins where not.

Each paper is a list of parts, made one after another into folders of one folder. ``scale`` shrinks counts, never structure. What
every part is, and whether it is real, stands in ``paper.json``, in ``README.md`` beside it, and in the card of each part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roomgen.datasets.sources.settings import OVERLAP_RULE
from roomgen.errors import RoomgenError, suggest
from roomgen.papers import papers
from roomgen.papers.parts import WALLS, Given, Paper, Part
from roomgen.run.generate import generate
from roomgen.store.folder import write_text
from roomgen.text import duration

_DRAWN_WALLS = {
    "measured": "rooms whose RT60s spread over octave bands as in measured rooms",
    "flat": "walls that absorb alike in all octave bands",
}


def make_paper(
    name: str, root: Path, given: Given, *, workers: int, overwrite: bool = False, progress: bool = True, max_broken: float = 0.01
) -> dict[str, Any]:
    """Make all parts of a paper in a folder and return what each holds; parts that are complete are kept.

    Raises:
        RoomgenError: no such paper, or a part cannot be made (the error names it); parts before it stay.
    """
    paper = _checked(name, given)
    done: list[dict[str, Any]] = []
    for part in paper.parts(root, given):
        try:
            settings, inputs = part.settings()
            summary = generate(
                settings,
                root / part.name,
                workers=workers,
                overwrite=overwrite,
                progress=progress,
                inputs=inputs,
                max_broken=max_broken,
            )
        except RoomgenError as error:
            raise RoomgenError(f"part {part.name}: {error}", exit_code=error.exit_code) from None
        done.append({"part": part.name, "origin": part.origin, "real": part.real, **summary, "out": part.name})
    result = {"paper": name, "title": paper.title, "scale": given.scale, "seed": given.seed, "parts": done}
    if given.overlap:
        result["overlap"] = given.overlap
    if given.speech_level_db is not None:
        result["speech_level_db"] = given.speech_level_db
    if "walls" in paper.takes:
        result["walls"] = given.walls
    kept = {**result, "parts": [{k: v for k, v in part.items() if k not in ("made", "seconds")} for part in done]}
    write_text(root / "paper.json", json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    write_text(root / "README.md", _readme(result))
    return result


def write_plans(name: str, folder: Path, given: Given) -> dict[str, int]:
    """Write the rooms and drawn devices of a paper into a folder, a Parquet file per part, and return how many each holds.

    Rooms can be given to ``roomgen rooms --plan``; nothing is simulated beyond what drawing them needs.

    Raises:
        RoomgenError: no such paper.
    """
    written = {}
    for file, part in planned_parts(name, given).items():
        settings, _ = part.settings()
        assert part.planned is not None  # what makes it a planned part
        written[file] = part.planned(settings, folder / file)
    return written


def planned_parts(name: str, given: Given) -> dict[str, Part]:
    """Return the parts of a paper whose plans do not depend on data, by the names of their files.

    Raises:
        RoomgenError: no such paper.
    """
    parts = _checked(name, given).parts(Path(), given)
    return {f"{name}-{part.name}.parquet": part for part in parts if part.planned is not None}


def plans_text(written: Mapping[str, int]) -> str:
    """Return what the command prints: a line per plan."""
    return "\n".join(
        f"{name}: {count} {'responses' if 'dirs' in name or 'recorders' in name else 'rooms'}" for name, count in written.items()
    )


def _checked(name: str, given: Given) -> Paper:
    """Return the paper of a name, if it can be made of what is given."""
    known = papers()
    if name not in known:
        raise RoomgenError(f"unknown paper {name!r}.{suggest(name, known)} Papers: {', '.join(known)}.")
    if not 0 < given.scale <= 100:
        raise RoomgenError(f"--scale {given.scale:g} is outside 0…100: 1 is the paper's size.")
    if given.walls not in WALLS:
        raise RoomgenError(f"unknown --walls {given.walls!r}.{suggest(given.walls, WALLS)} Walls: {', '.join(WALLS)}.")
    if given.speech_level_db is not None and not -100 <= given.speech_level_db <= 0:
        raise RoomgenError(f"--speech-level {given.speech_level_db:g} must be from -100 to 0 dB re full scale, such as -26.")
    if not 0 <= given.overlap < 1:
        raise RoomgenError(f"--overlap {given.overlap:g} {OVERLAP_RULE}.")
    for choice in ("walls", "overlap", "speech_level_db"):
        value = getattr(given, choice)
        if value != getattr(Given(), choice) and choice not in known[name].takes:
            takers = [other.name for other in known.values() if choice in other.takes]
            shown = f"--{choice.removesuffix('_db').replace('_', '-')} {value if isinstance(value, str) else format(value, 'g')}"
            raise RoomgenError(f"{shown} is for {' and '.join(takers)}: leave it out.")
    return known[name]


def _readme(result: Mapping[str, Any]) -> str:
    rows = "".join(
        f"| [{p['part']}]({p['part']}/) | {p['family']} | {p['samples']} | {p['audio_s'] / 3600:.2f} | "
        f"{'' if p['real'] else '**'}{p['origin']}{'' if p['real'] else '**'} |\n"
        for p in result["parts"]
    )
    scale = "at the paper's size" if result["scale"] == 1 else f"at {result['scale']:g} times the paper's counts"
    if "overlap" in result:
        scale += f", with segments of speech that each repeat {100 * result['overlap']:g} % of the one before"
    if "speech_level_db" in result:
        scale += f", with every segment of speech at {result['speech_level_db']:g} dB re full scale"
    if result.get("walls", "random") != "random":
        scale += f", with {_DRAWN_WALLS[result['walls']]} in place of the paper's random materials"
    return (
        f"# {result['title']}\n\nAll datasets of the paper, {scale}, seed {result['seed']}. Stand-ins are in bold: they take the "
        "place of recordings that were not given, and results on them say nothing about the paper.\n\n"
        f"| part | family | samples | hours | origin |\n|---|---|---|---|---|\n{rows}"
    )


def paper_text(result: Mapping[str, Any]) -> str:
    """Return what the command prints: a line per part."""
    lines = [f"{result['title']}, scale {result['scale']:g}"]
    width = max(len(part["part"]) for part in result["parts"])
    for part in result["parts"]:
        splits = ", ".join(f"{name} {count}" for name, count in part["splits"].items())
        took = f"made in {duration(part['seconds'])}" if part["made"] else "was complete"
        lines.append(f"  {part['part']:<{width}}  {part['samples']} ({splits}), {duration(part['audio_s'])}; {took}")
        lines.append(f"  {'':<{width}}  {part['origin']}")
        for name, reason in part["broken_files"][:5]:
            lines.append(f"  {'':<{width}}  left out: {name}: {reason}")
    return "\n".join(lines)
