"""What a person sees of a training under way: a bar on a terminal, a line now and then elsewhere, and how long it will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from roomgen.text import duration

_LINE_EVERY_S = 60.0


class Pace:
    """How fast steps are: samples a second, and how long each waited for its data."""

    def __init__(self) -> None:
        self._began = self._mark = time.monotonic()
        self._data_s = 0.0
        self._steps = 0
        self.samples = 0

    def data(self) -> None:
        """The data of a step are there."""
        now = time.monotonic()
        self._data_s += now - self._mark
        self._mark = now

    def step(self) -> None:
        """The step is done."""
        self._mark = time.monotonic()
        self._steps += 1

    def taken(self) -> dict[str, float]:
        """Return the speed since the last call, and begin anew."""
        seconds, steps = max(self._mark - self._began, 1e-9), max(self._steps, 1)
        values = {
            "samples_per_s": round(self.samples / seconds, 2),
            "step_s": round(seconds / steps, 6),
            "data_s": round(self._data_s / steps, 6),
        }
        self._began, self._data_s, self._steps, self.samples = self._mark, 0.0, 0, 0
        return values


class Progress:
    """One for a whole command: it knows which cells and stages there are, and learns from each how long the next will take."""

    def __init__(self) -> None:
        self._coming, self._name = 0.0, ""
        self._stages: Sequence[str] = ()
        self._stage = 0
        self._took: dict[str, list[float]] = {}
        self._bar: Any = None
        self._total = self._done = self._first = 0
        self._began = self._said = self._stage_began = time.monotonic()
        self._loss = ""

    def cell(self, name: str, stages: Sequence[str]) -> None:
        """Another cell begins, of so many stages."""
        self._name, self._stages, self._stage = name, stages, 0

    def coming(self, cells: float) -> None:
        """So many cells come after the one that begins, or, where processes share them, are this one's part of them."""
        self._coming = cells

    def stage(self) -> None:
        """Another stage begins."""
        self._stage += 1
        self._stage_began = time.monotonic()

    def ended(self, *, trained: bool) -> None:
        """The stage is done; one that was trained before says nothing of how long others take."""
        if trained and self._stage:
            self._took.setdefault(self._stages[self._stage - 1], []).append(time.monotonic() - self._stage_began)
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def begins(self, task: str, steps: int, epochs: int, *, done: int) -> None:
        """A training of so many steps an epoch begins, or goes on after those that are done."""
        self._total, self._done, self._first = steps * epochs, done, done
        self._began = self._said = time.monotonic()
        if sys.stderr.isatty():
            self._bar = tqdm(total=self._total, initial=done, desc=task, unit="step", leave=False)

    def step(self, step: int) -> None:
        """A step is taken."""
        self._done = step
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
        elif step < self._total and time.monotonic() - self._said > _LINE_EVERY_S:
            self._say(f"step {step} of {self._total}{self._loss}{self.left()}")

    def logged(self, values: Mapping[str, float], speed: Mapping[str, float]) -> None:
        """Means of some steps are known."""
        name = "loss" if "loss" in values else next(iter(values))
        self._loss = f", {name} {values[name]:.4g}, {speed['samples_per_s']:.4g} samples/s"
        if self._bar is not None:
            self._bar.set_postfix_str((self._loss + self.left()).removeprefix(", "))

    def epoch(self, epoch: int, loss: float, *, best: float, best_epoch: int) -> None:
        """An epoch, counted from 0, is validated."""
        text = "best so far" if best_epoch == epoch else f"best {best:.4g} in epoch {best_epoch + 1}"
        self._say(f"epoch {epoch + 1}, validation loss {loss:.4g}, {text}{self.left()}")

    def left(self) -> str:
        """Return how much longer all stages of all cells will take at most, as far as that can be known: ``, 12 min left``."""
        steps = self._done - self._first
        if steps < 1:
            return ""
        seconds = (time.monotonic() - self._began) / steps * (self._total - self._done)
        # How often each stage is still to come; how long it takes tells one that was of its name.
        coming = {stage: self._coming + (stage in self._stages[self._stage :]) for stage in self._stages}
        needed = [stage for stage, count in coming.items() if count]
        known = all(stage in self._took for stage in needed)
        if known:
            seconds += sum(coming[stage] * sum(self._took[stage]) / len(self._took[stage]) for stage in needed)
        if seconds < 1.0:
            return ""
        return f", {duration(seconds)} left" if known else f", {duration(seconds)} of this stage left"

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        place = self._stages[self._stage - 1] if self._stage else ""
        parts = [part for part in (self._name, place) if part]
        tqdm.write(f"{' · '.join(parts)}: {text}", file=sys.stderr)
