"""roomgen simulates rooms and writes their impulse responses, with labels, as sharded datasets.

    import roomgen as rg

    room = rg.Shoebox((6.0, 5.0, 3.5), absorption=0.2)
    rir = rg.simulate(room, sources=[[1, 2, 1.5]], mics=[[4, 3, 1.2]], fs_hz=16000)   # (source, mic, time)
    labels = rg.measure(rir, fs_hz=16000)                                             # RT60, C50, …
    dataset = rg.open("shards/")                                                      # what `roomgen rooms` wrote

Names are loaded when they are first used, so that importing roomgen costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "Air": "roomgen.acoustics.air",
    "Directivity": "roomgen.acoustics.directivity",
    "ImageOptions": "roomgen.acoustics.scene",
    "simulate": "roomgen.acoustics.engine",
    "Labels": "roomgen.acoustics.labels.measure",
    "measure": "roomgen.acoustics.labels.measure",
    "Lateral": "roomgen.acoustics.labels.lateral",
    "measure_lateral": "roomgen.acoustics.labels.lateral",
    "simulate_moving": "roomgen.acoustics.moving",
    "Shoebox": "roomgen.acoustics.rooms",
    "material_names": "roomgen.acoustics.materials",
    "RoomgenError": "roomgen.errors",
    "Dataset": "roomgen.store.dataset",
    "open": "roomgen.store.dataset",
}

__all__ = [
    "Air",
    "Dataset",
    "Directivity",
    "ImageOptions",
    "Labels",
    "Lateral",
    "RoomgenError",
    "Shoebox",
    "material_names",
    "measure",
    "measure_lateral",
    "open",
    "simulate",
    "simulate_moving",
]

if TYPE_CHECKING:
    from roomgen.acoustics.air import Air
    from roomgen.acoustics.directivity import Directivity
    from roomgen.acoustics.engine import simulate
    from roomgen.acoustics.labels.lateral import Lateral, measure_lateral
    from roomgen.acoustics.labels.measure import Labels, measure
    from roomgen.acoustics.materials import material_names
    from roomgen.acoustics.moving import simulate_moving
    from roomgen.acoustics.rooms import Shoebox
    from roomgen.acoustics.scene import ImageOptions
    from roomgen.errors import RoomgenError
    from roomgen.store.dataset import Dataset, open


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'roomgen' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
