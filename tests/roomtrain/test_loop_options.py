"""What the loop can do beyond one loss a batch: uneven validation, accumulation, adversaries, scaled gradients, plateaus."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision
from torch import Tensor, nn

from roomtrain import loop
from roomtrain.checkpoint import load_last
from roomtrain.errors import RoomtrainError
from roomtrain.fit_settings import FitSettings
from roomtrain.journal import SPEED, read_log
from roomtrain.task import Loss, Task
from tests.roomtrain.made import Adversaries, Line, Slope, trained
from tests.roomtrain.test_loop import Killed, assert_same


class Uneven(Slope):
    """Validation of 256 samples whose loss is 100, and 4 whose loss is 1."""

    def __init__(self) -> None:
        super().__init__(train_steps=1)
        self.sizes = {"train": 1, "val": 2}

    def host_batch(self, split: str, epoch: int, step: int) -> Tensor:
        return torch.full((4 if step else 256,), 1.0 if step else 100.0)

    def losses(self, model: nn.Module, batch: Tensor) -> Iterator[Loss]:
        yield Loss(model(self.gradient).sum() * 0 + batch.mean(), {"half": batch.mean() / 2})

    def count(self, batch: Tensor) -> int:
        return len(batch)


def test_validation_is_the_mean_over_samples_and_not_over_batches(tmp_path: Path) -> None:
    fitted = trained(Uneven(), tmp_path, max_epochs=1)
    expected = (256 * 100 + 4 * 1) / 260
    assert fitted.best_loss == pytest.approx(expected)
    assert read_log(tmp_path)[-1]["half"] == pytest.approx(expected / 2)


class Sums(Task):
    """Linear regression in batches of one size; several of them are one larger batch."""

    name = "sums"

    def __init__(self, *, batches: int, size: int) -> None:
        self.sizes, self.size = {"train": batches, "val": 1}, size
        torch.manual_seed(0)
        self.model = nn.Linear(4, 1)
        self.x = torch.randn(12, 4, generator=torch.Generator().manual_seed(1))

    def host_batch(self, split: str, epoch: int, step: int) -> Tensor:
        return self.x[step * self.size : (step + 1) * self.size]

    def losses(self, model: nn.Module, batch: Tensor) -> Iterator[Loss]:
        yield Loss((model(batch).squeeze(1) - batch.sum(dim=1)).square().mean())

    def count(self, batch: Tensor) -> int:
        return len(batch)


@pytest.mark.parametrize("accumulate", [2, 3, 4])
def test_accumulated_batches_are_one_large_batch(tmp_path: Path, accumulate: int) -> None:
    """12 samples: as batches of 12 / accumulate that make a step together, or as one."""
    large, small = Sums(batches=1, size=12), Sums(batches=accumulate, size=12 // accumulate)
    trained(large, tmp_path / "large", max_epochs=3, learning_rate=0.1)
    fitted = trained(small, tmp_path / "small", max_epochs=3, learning_rate=0.1, accumulate=accumulate)
    assert fitted.steps == 3
    for name, tensor in large.model.state_dict().items():
        torch.testing.assert_close(small.model.state_dict()[name], tensor, rtol=1e-5, atol=1e-6)
    for line, other in zip(read_log(tmp_path / "large"), read_log(tmp_path / "small"), strict=True):
        assert line["step"] == other["step"]
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-5) or line["kind"] == "val"


def test_the_last_step_of_an_epoch_takes_what_is_left(tmp_path: Path) -> None:
    """Five batches by twos are three steps; the last weighs as one batch does."""
    task = Line(train_steps=5)
    assert trained(task, tmp_path, max_epochs=2, accumulate=2).steps == 6
    assert len(task.seen) == 10


def test_adversaries_step_in_turn_and_each_with_its_own_optimizer(tmp_path: Path) -> None:
    task = Adversaries()
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    trained(task, tmp_path, max_epochs=1, optimizer="rmsprop", learning_rate=0.01)
    assert task.order[:16] == ["d", "g", "g", "g"] * 4
    loaded = load_last(tmp_path)
    assert loaded is not None
    assert set(loaded[1]["optimizers"]) == {"d", "g"}
    steps = {name: float(state["state"][0]["step"]) for name, state in loaded[1]["optimizers"].items()}
    assert steps == {"d": 4, "g": 12}
    assert all(not torch.equal(tensor, before[name]) for name, tensor in loaded[0].items() if name != "d.2.bias")
    assert {"d", "g", "d_grad_norm", "g_grad_norm", "lr"} <= set(read_log(tmp_path)[0])


def test_the_first_steps_of_adversaries_are_those_written_out(tmp_path: Path) -> None:
    task, twin = Adversaries(), Adversaries()
    twin.sizes = {"train": 1, "val": 2}
    trained(twin, tmp_path, max_epochs=1, optimizer="sgd", learning_rate=0.1)
    g, d, batch = task.generator, task.discriminator, task.host_batch("train", 0, 0)
    of_d = torch.optim.SGD(d.parameters(), lr=0.1)
    of_g = torch.optim.SGD(g.parameters(), lr=0.1)
    old = torch.cat([g(batch).detach(), task.queue])
    loss = d(old).mean() - d(batch.sum(dim=1, keepdim=True)).mean()
    of_d.zero_grad()
    loss.backward()
    of_d.step()
    for _ in range(3):
        of_g.zero_grad()
        (-d(g(batch)).mean()).backward()
        of_g.step()
    loaded = load_last(tmp_path)
    assert loaded is not None
    for name, tensor in task.model.state_dict().items():
        torch.testing.assert_close(loaded[0][name], tensor)


def test_adversaries_killed_anywhere_end_as_if_they_never_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    settings = {"max_epochs": 2, "optimizer": "adamw", "save_every_s": 0.0, "ema_decay": 0.5, "accumulate": 2}
    trained(Adversaries(), tmp_path / "whole", **settings)
    chance = random.Random(5)
    killed = 0
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        for _ in range(3):
            left = chance.randrange(1, 26)

            class Mortal(Adversaries):
                def losses(self, model: nn.Module, batch: Tensor) -> Iterator[Loss]:
                    nonlocal left
                    for loss in super().losses(model, batch):
                        left -= 1
                        if left == 0:
                            raise Killed
                        yield loss

            try:
                trained(Mortal(), folder, **settings)
            except Killed:
                killed += 1
        trained(Adversaries(), folder, **settings)
        assert_same(folder, tmp_path / "whole")
        queues = [load_last(path)[1]["task"]["queue"] for path in (folder, tmp_path / "whole")]  # type: ignore[index]
        assert torch.equal(*queues)
    assert killed > 4


def scaling() -> Fabric:
    """Half precision with a gradient scaler, on the CPU."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)  # so large that the first gradients overflow
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    fabric.launch()
    return fabric


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_scaled_gradient_that_overflows_is_left_out_and_no_error(tmp_path: Path, clip_norm: float | None) -> None:
    task = Sums(batches=12, size=1)
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    fabric = scaling()
    settings = FitSettings(max_epochs=2, clip_norm=clip_norm, learning_rate=0.05)
    loop.fit(task, settings, folder=tmp_path, fabric=fabric, seed=0, settings_hash="these")
    state = fabric.strategy.precision.state_dict()
    assert state["scale"] < 2.0**24
    loaded = load_last(tmp_path)
    assert loaded is not None
    assert loaded[1]["precision"]["scale"] == state["scale"]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in loaded[0].values())
    assert not torch.equal(loaded[0]["weight"], before["weight"])  # later steps were taken


def test_the_rate_falls_where_validation_does_not_also_after_a_kill(tmp_path: Path) -> None:
    """ReduceLROnPlateau by hand: patience 1, factor 0.5; losses fall in epochs 1 and 2 only."""
    val = [4.0, 3.0, 3.5, 3.5, 3.5, 3.5, 3.5]
    settings = {"patience": None, "learning_rate": 0.1, "schedule": "plateau", "plateau_patience": 1, "factor": 0.5}
    trained(Slope(val=val, train_steps=1), tmp_path / "whole", max_epochs=7, **settings)
    rates = [line["lr"] for line in read_log(tmp_path / "whole") if line["kind"] == "train"]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025])

    class Ends(Slope):
        def losses(self, model: nn.Module, batch: None) -> Iterator[Loss]:
            if model.training and self.validated == 3:
                raise Killed
            yield from super().losses(model, batch)

    with pytest.raises(Killed):
        trained(Ends(val=val, train_steps=1), tmp_path / "run", max_epochs=7, **settings)
    trained(Slope(val=val[3:], train_steps=1), tmp_path / "run", max_epochs=7, **settings)
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_the_log_tells_rate_norm_and_how_fast_it_went(tmp_path: Path) -> None:
    trained(Slope((3.0, 4.0), train_steps=2), tmp_path, max_epochs=1, learning_rate=0.25)
    train = read_log(tmp_path)[0]
    assert (train["lr"], train["grad_norm"]) == (0.25, pytest.approx(5.0))
    speed = [line for line in (tmp_path / SPEED).read_text(encoding="utf-8").splitlines() if line]
    assert len(speed) == 1
    assert all(name in speed[0] for name in ("samples_per_s", "step_s", "data_s"))


def test_a_task_without_a_loss_says_so(tmp_path: Path) -> None:
    class Silent(Slope):
        def losses(self, model: nn.Module, batch: None) -> Iterator[Loss]:
            yield from ()

    with pytest.raises(RoomtrainError, match="slope yields no loss"):
        trained(Silent(), tmp_path, max_epochs=1)


@pytest.mark.parametrize("how", [{"compile": False, "channels_last": True}, {"fused": True}])
def test_quicker_ways_learn_the_same(tmp_path: Path, how: dict[str, bool]) -> None:
    class Picture(Sums):
        def __init__(self) -> None:
            super().__init__(batches=3, size=4)
            torch.manual_seed(0)
            self.model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(3, 1))

        def host_batch(self, split: str, epoch: int, step: int) -> Tensor:
            return super().host_batch(split, epoch, step).view(-1, 1, 2, 2)

        def losses(self, model: nn.Module, batch: Tensor) -> Iterator[Loss]:
            yield Loss((model(batch).squeeze(1) - batch.sum(dim=(1, 2, 3))).square().mean())

    plain, other = Picture(), Picture()
    trained(plain, tmp_path / "plain", max_epochs=2)
    trained(other, tmp_path / "other", max_epochs=2, **how)
    for name, tensor in plain.model.state_dict().items():
        torch.testing.assert_close(other.model.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)
