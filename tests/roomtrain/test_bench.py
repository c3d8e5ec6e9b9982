"""Times of the parts of a step are those that they take, in the loop of every training, for tasks of any kind."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from roomtrain import bench
from roomtrain.draws import Draws
from roomtrain.fit_settings import FitSettings
from roomtrain.paper import get_paper
from roomtrain.papers.goetz.bench import BENCH, torch_spectrogram
from roomtrain.papers.goetz.spectrogram import log_spectrogram
from roomtrain.task import Loss, Task
from tests.roomtrain.conftest import Said

HOST_S, DEVICE_S, FORWARD_S, BACKWARD_S, STEP_S = 0.25, 0.02, 0.03, 0.04, 0.05


class _Slow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        time.sleep(FORWARD_S)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        time.sleep(BACKWARD_S)
        return gradients[0]


class _SlowDescent(torch.optim.Optimizer):
    """No child of SGD: torch calls the hooks of a step again for each parent whose step it has wrapped before."""

    def step(self, closure: Any = None) -> Any:
        time.sleep(STEP_S)
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter -= group["lr"] * parameter.grad


class Small(Task):
    """A line, so many times a step, with times of its own where it is slow."""

    name = "small"

    def __init__(self, *, slow: bool = False, losses: tuple[str, ...] = ("all",)) -> None:
        torch.manual_seed(0)
        self.sizes = {"train": 2, "val": 1}
        self.model = nn.ModuleDict({name: nn.Linear(3, 1) for name in losses})
        self.slow, self.names = slow, losses
        self.asked: list[tuple[str, int, int]] = []

    def host_batch(self, split: str, epoch: int, step: int) -> Tensor:
        self.asked.append((split, epoch, step))
        time.sleep(HOST_S if self.slow else 0.0)
        return torch.ones(4, 3)

    def device_batch(self, batch: Tensor, draws: Draws) -> Tensor:
        time.sleep(DEVICE_S if self.slow else 0.0)
        return batch

    def losses(self, model: nn.Module, batch: Tensor) -> Iterator[Loss]:
        for name in self.names:
            value = self.model[name](batch).mean()
            yield Loss(_Slow.apply(value) if self.slow else value, optimizer=name, name=f"loss {name}")  # type: ignore[no-untyped-call]

    def count(self, batch: Tensor) -> int:
        return len(batch)

    def optimizers(
        self, fit: FitSettings, device: torch.device, *, scaled_and_clipped: bool = False
    ) -> dict[str, torch.optim.Optimizer]:
        groups = {name: [{"params": self.model[name].parameters(), "initial_lr": 0.1}] for name in self.names}
        if self.slow:
            return {name: _SlowDescent(group, {"lr": 0.1}) for name, group in groups.items()}
        return {name: torch.optim.SGD(group, lr=0.1) for name, group in groups.items()}


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    return fabric


def test_each_part_is_as_long_as_it_takes(fabric: Fabric) -> None:
    found = bench.measure(Small(slow=True), FitSettings(), fabric, steps=5)
    taken = {"device_batch": DEVICE_S, "forward": FORWARD_S, "backward": BACKWARD_S, "optimizer": STEP_S}
    for part, seconds in taken.items():
        assert found[part] >= 1e3 * seconds  # no upper end: the machine may be busy
    # Batches come from one thread, which is the slowest: a step is no shorter than a batch takes it.
    assert found["whole"] >= 0.9 * 1e3 * HOST_S
    assert found["rest"] >= 0
    assert found["samples_per_s"] == pytest.approx(4 / (found["whole"] / 1e3))
    assert 0 <= found["data_share"] <= 1
    assert found["peak_mb"] is None


def test_epochs_are_laid_end_to_end_and_there_is_no_validation(fabric: Fabric) -> None:
    task = Small()
    bench.take_steps(task, FitSettings(max_epochs=1), fabric, steps=5, watch=bench.Watch())
    expected = [("train", 0, 0), ("train", 0, 1), ("train", 1, 0), ("train", 1, 1), ("train", 2, 0)]
    assert task.asked == expected


@pytest.mark.parametrize(("losses", "accumulate"), [(("all",), 1), (("all",), 3), (("discriminator", "generator"), 1)])
def test_any_task_is_measured(fabric: Fabric, losses: tuple[str, ...], accumulate: int) -> None:
    laps: list[str] = []

    class Listing(bench.Watch):
        def lap(self, part: str) -> None:
            laps.append(part)

        def done(self, step: int) -> None:
            laps.append("|")

    fit = FitSettings(accumulate=accumulate, ema_decay=0.9)
    bench.take_steps(Small(losses=losses), fit, fabric, steps=2, watch=Listing())
    batch = ["data", "device_batch"] * accumulate
    passes = ["forward", *["backward", "forward"] * (accumulate - 1), "backward", "optimizer"] * len(losses)
    # What is neither is counted together, however often it is looked at.
    assert [lap for lap in laps if lap != "rest"] == [*batch, *passes, "|"] * 2
    found = bench.measure(Small(losses=losses), fit, fabric, steps=3)
    assert found["samples"] == 4 * accumulate


def test_goetz_is_compared_with_the_same_in_plain_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roomtrain.papers.goetz.bench._BATCH", 6)
    monkeypatch.setattr(bench, "_TIMES", 1)
    audio = torch.randn(2, 64_000)
    torch.testing.assert_close(log_spectrogram(audio, standardise=True)[:, 0], torch_spectrogram(audio), rtol=1e-3, atol=2e-3)
    assert BENCH.against_torch is not None
    both = BENCH.against_torch(torch.device("cpu"))
    assert set(both) == {"spectrograms", "forward and backward"}
    assert all(one["ratio"] == one["torch_ms"] / one["ours_ms"] for one in both.values())


def test_goetz_is_measured(goetz_made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {"spectrograms": {"ours_ms": 12.0, "torch_ms": 24.0, "ratio": 2.0}}
    monkeypatch.setattr("roomtrain.papers.goetz.bench.BENCH", bench.Bench(BENCH.cases, against_torch=lambda device: shown))
    found = bench.run(get_paper("goetz"), goetz_made, device="cpu", precision="32-true", steps=1, preset="smoke")
    assert set(found["step"]) == {"hard", "posind"}
    assert all(step["samples"] == 18 for step in found["step"].values())
    assert found["step"]["posind"]["device_batch"] > 2 * found["step"]["hard"]["device_batch"]  # made in every step, and kept
    text = bench.bench_text(found)
    assert f"{found['step']['hard']['backward']:8.2f} ms" in text
    assert "a step of posind (spectrograms made in every step; 18 samples)" in text
    assert "2.00 times as fast" in text


def test_data_too_small_for_a_batch_are_refused(goetz_made: Path, roomtrain: Callable[..., Said]) -> None:
    said = roomtrain("bench", "goetz", "--data", goetz_made, "--device", "cpu", "--steps", 3)
    assert said.code == 2
    assert "n_classes = 24" in said.err
    assert said.err.count("\n") == 1
