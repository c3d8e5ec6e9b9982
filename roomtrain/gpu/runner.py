"""Items one after the other, each in a process of its own: one that fails, dies or hangs takes no other with it.

After every item the results so far are written, so that whatever ends the whole leaves a file that says what was done and what not.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from roomgen.store.folder import write_text
from roomgen.text import duration
from roomtrain.errors import RoomtrainError
from roomtrain.gpu.items import Item, Setup
from roomtrain.results import source_version

_LEAST_S = 3.0  # no item does anything in less
_CLEAN_UP_S = 5.0
# Its server imports torch once and does nothing with it: what it forks starts at once, and may use CUDA.
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_IMPORTED = ["torch", "lightning_fabric", "roomtrain.bench"]


def found_gpu() -> bool:
    """Tell whether torch finds a GPU."""
    import torch

    return bool(torch.cuda.is_available())


def run(
    items: Sequence[Item], setup: Setup, out: Path, *, minutes: float, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Run items and write their results to a file, after each of them.

    An item gets its limit, or its share of the time that is left, if that is less.

    Returns:
        what was written: ``rehearsal``, ``device``, ``commit``, ``version``, ``minutes``, ``seconds``; ``items``: name →
        ``seconds`` and ``result``, with ``error`` where it failed and ``cut_s`` where it was cut off (``result`` is then what there
        was, or is missing); ``left_out``: name → why.

    Raises:
        RoomtrainError: the file cannot be written.
    """
    said = say or (lambda line: print(line, file=sys.stderr, flush=True))
    began = time.monotonic()
    result: dict[str, Any] = {
        "rehearsal": setup.rehearsal,
        "device": setup.device,
        **source_version(),
        "minutes": minutes,
        "seconds": 0.0,
        "items": {},
        "left_out": {item.name: "not reached" for item in items},
    }
    if not out.parent.is_dir():
        raise RoomtrainError(f"--out {out}: the folder {out.parent} does not exist.")
    _write(out, result)
    with tempfile.TemporaryDirectory() as folder, _ended_by_sigterm():
        own = replace(setup, folder=Path(folder))
        for place, item in enumerate(items):
            left_s = 60.0 * minutes - (time.monotonic() - began)
            limit_s = min(item.limit_s, left_s * item.limit_s / sum(one.limit_s for one in items[place:]))
            if limit_s < _LEAST_S:
                result["left_out"][item.name] = f"{duration(max(left_s, 0.0))} were left"
                said(f"{item.name}: left out, no time")
                continue
            said(f"{item.name}: {item.about}" + ("" if setup.rehearsal else f" (about {duration(item.expected_s)})"))
            result["items"][item.name] = found = _run_item(item, own, limit_s)
            del result["left_out"][item.name]
            result["seconds"] = round(time.monotonic() - began, 1)
            _write(out, result)
            said(f"{item.name}: {_outcome(found)}")
    _write(out, result)
    return result


def _outcome(found: dict[str, Any]) -> str:
    if "error" in found:
        return f"failed: {found['error']}"
    return f"cut off after {duration(found['cut_s'])}" if "cut_s" in found else f"done in {duration(found['seconds'])}"


def _write(out: Path, result: dict[str, Any]) -> None:
    write_text(out, json.dumps(_finite(result), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """Return plain values with None where a number is infinite or none: JSON has no word for these."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _run_item(item: Item, setup: Setup, limit_s: float) -> dict[str, Any]:
    """Return what an item found, in ``seconds``, or how it ended."""
    context: Any = multiprocessing.get_context(_METHOD)
    if _METHOD == "forkserver":
        context.set_forkserver_preload(_IMPORTED)
    began = time.monotonic()
    receiver, sender = context.Pipe(duplex=False)
    log = setup.folder / "said.txt"
    process = context.Process(target=_work, args=(item, setup, sender, log))
    found: dict[str, Any] = {}
    try:
        process.start()
        sender.close()
        while True:
            if not receiver.poll(max(0.0, began + limit_s - time.monotonic())):
                found["cut_s"] = round(limit_s, 1)
                break
            try:
                kind, value = receiver.recv()
            except EOFError:  # it died
                process.join()
                found["error"] = f"its process ended with exit code {process.exitcode}{_last_line(log)}"
                break
            if kind == "so far":
                found["result"] = value
                continue
            found["result" if kind == "done" else "error"] = value
            break
        if "cut_s" not in found:
            process.join(_CLEAN_UP_S)  # left to itself it cleans up
    finally:
        _end(process)
        receiver.close()
    return {"seconds": round(time.monotonic() - began, 1), **found}


def _end(process: Any) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _work(item: Item, setup: Setup, sender: Connection, log: Path) -> None:
    """Run an item in this process and send what it finds."""
    os.setsid()  # so that it can be ended with all that it starts
    with open(log, "w", encoding="utf-8") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    try:
        module, _, function = item.call.partition(":")
        work = getattr(importlib.import_module(module), function)
        sender.send(("done", work(setup, lambda so_far: sender.send(("so far", so_far)), *item.arguments)))
    except Exception as error:
        sender.send(("error", described(error)))


def described(error: BaseException) -> str:
    """Return an error in one line, with the place in our code that it came from."""
    lines = str(error).strip().splitlines()
    packages = (f"{os.sep}roomtrain{os.sep}", f"{os.sep}roomgen{os.sep}")
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if any(name in frame.filename for name in packages)]
    where = f" ({Path(ours[-1].filename).name}, line {ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}{where}"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.is_file() else []
    return f": {lines[-1][:300]}" if lines else ""


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the item that is under way, too."""

    def ended(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
