"""roomtrain trains the models of room-acoustics papers on datasets of roomgen, and lets what it trained hear recordings.

    import roomtrain

    model = roomtrain.load("runs/goetz/soft-0.1")   # a finished run, or a folder that `roomtrain export` made
    model.estimate(audio, fs_hz)                    # {"rt60": 0.41, "c50": 8.3, …} of (time,) or (channel, time)
    model.embed(audio, fs_hz)                       # (64,)

Names are loaded when they are first used, so that importing roomtrain costs nothing, and no torch.

Where things live, from the ground up; ° needs no torch. Nothing imports what stands below it, but for the papers, which bring the
figures, listeners and benchmarks of their own:

    ground       errors°, seeds°, signals°, allocator°
    settings     config°, fit_settings°, presets/
    data         datasets°, banks/, reverb, reverberator, augment, draws (random numbers on the device), labels°
    targets      targets° (what is estimated), metrics°, predictions° (the table that a run ends in)
    training     task (what the loop is told), loop, steps, batches, optimizers, schedules, ema, checkpoint, journal°, progress°,
                 fabric, processes, jobs° (cells side by side), means, losses, estimation (head, loss and answer of a target),
                 models/ (transformers with their released weights, heads)
    papers       paper° (what a paper is, and where papers are found), plans° (which cells), run (a cell, stage by stage), claims°,
                 weights°, results°, papers/
    results      table°, layouts°, compare°, figures°, results/ (those that come with roomtrain)
    hearing      listen (``load``), measured, probe, export/
    commands     cli°, commands/, bench, gpu/
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_WHERE = {
    "Heard": ("roomtrain.listen", "Heard"),
    "Model": ("roomtrain.listen", "Model"),
    "RoomtrainError": ("roomtrain.errors", "RoomtrainError"),
    "load": ("roomtrain.listen", "load_model"),
}

__all__ = ["Heard", "Model", "RoomtrainError", "load"]

if TYPE_CHECKING:
    from roomtrain.errors import RoomtrainError
    from roomtrain.listen import Heard, Model
    from roomtrain.listen import load_model as load


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'roomtrain' has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return list(__all__)
