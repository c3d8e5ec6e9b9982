"""Views of rooms per second, and where their time goes: rays, JPEG, and PNG of the depth.

There is no peer that draws a room from its acoustic materials; a picture written by Pillow alone is what any view costs at least.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

from bench.effort import Effort
from bench.timing import best_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.views.panorama import Panorama, encode_depth, encode_view, panorama
from roomgen.text import table

HEIGHT, WIDTH = 192, 576
GOAL_PER_S = 20.0


def run(effort: Effort) -> dict[str, Any]:
    """Return views per second of one core, drawn alone and stored, against Pillow's encoding of the same pictures."""
    draws = _draws(effort.views)
    seen = [draw() for draw in draws]

    def stored() -> None:
        for draw in draws:
            _encode(draw())

    def encoded() -> None:
        for view in seen:
            _encode(view)

    alone_s, stored_s, peer_s = best_s(effort.repeats, lambda: [draw() for draw in draws], stored, encoded)
    return {
        "views": len(draws),
        "size": [HEIGHT, WIDTH],
        "drawn_per_s": len(draws) / alone_s,
        "stored_per_s": len(draws) / stored_s,
        "peer_per_s": len(draws) / peer_s,
        "ratio": peer_s / stored_s,
        "goal_per_s": GOAL_PER_S,
    }


def text(result: dict[str, Any]) -> str:
    """Return the speeds as a table."""
    rows = [
        ["drawn, as arrays", f"{result['drawn_per_s']:.1f}", ""],
        ["drawn and encoded", f"{result['stored_per_s']:.1f}", f"{result['ratio']:.2f}"],
        ["Pillow's JPEG and PNG alone", f"{result['peer_per_s']:.1f}", "1.00"],
    ]
    met = "met" if result["stored_per_s"] >= result["goal_per_s"] else "MISSED"
    title = f"{result['views']} views of {HEIGHT} × {WIDTH}, one process (goal: {result['goal_per_s']:g} views/s, {met})"
    return f"{title}\n{table(['', 'views/s', 'times peer'], rows)}"


def _draws(count: int) -> list[Callable[[], Panorama]]:
    """Return views of one room of many textures from different places, as a dataset has them."""
    walls = ["brickwork", "wood_1.6cm", "curtains_cotton_0.5", "glass_window", "carpet_cotton", "ceiling_fibre_absorber"]
    room = Shoebox((7.0, 5.0, 3.0), absorption=walls)
    places = cycle([((2.0, 1.5, 1.5), (5.0, 3.5, 1.6)), ((5.5, 1.0, 1.4), (1.5, 4.0, 1.5)), ((3.5, 4.2, 1.7), (3.0, 1.0, 1.4))])
    return [
        partial(panorama, room, viewpoint_m=viewpoint, source_m=source, height=HEIGHT, width=WIDTH)
        for _, (viewpoint, source) in zip(range(count), places, strict=False)
    ]


def _encode(view: Panorama) -> None:
    encode_view(view.rgb)
    encode_depth(view.depth_m)
