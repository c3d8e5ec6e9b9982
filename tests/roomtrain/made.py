"""Small things to train on: tasks with known answers, and banks of noise in the place of rooms and speech."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from roomtrain.banks import Bank
from roomtrain.draws import Draws
from roomtrain.fit_settings import FitSettings
from roomtrain.loop import Fitted, fit
from roomtrain.optimizers import build
from roomtrain.papers.goetz.data import DownstreamData, Pairs, Spectrograms, UpstreamData
from roomtrain.papers.goetz.settings import FS_HZ, GoetzSettings
from roomtrain.signals import StopRequest
from roomtrain.task import SPLITS, Loss, Task


class Line(Task):
    """A linear model with dropout on numbers that are a function of (epoch, step)."""

    name = "line"

    def __init__(self, *, train_steps: int = 5, poisoned: tuple[int, int] | None = None) -> None:
        self.sizes, self.poisoned = {"train": train_steps, "val": 2}, poisoned
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.seen: list[list[Tensor]] = []

    def host_batch(self, split: str, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        x, y = self._numbers(10**6 + step if split == "val" else 1000 * epoch + step)
        if split == "train" and (epoch, step) == self.poisoned:
            x[0, 0] = torch.nan
        return x, y

    def losses(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Iterator[Loss]:
        if model.training:
            self.seen.append([p.detach().clone() for p in self.model.parameters()])
        error = model(batch[0]).squeeze(1) - batch[1]
        yield Loss(error.square().mean(), {"size": error.detach().abs().mean()})

    def count(self, batch: tuple[Tensor, Tensor]) -> int:
        return len(batch[1])

    def keys(self, epoch: int, step: int) -> list[str]:
        return [f"sample-{epoch}-{step}-{i}" for i in range(16)]

    def _numbers(self, seed: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(16, 6, generator=torch.Generator().manual_seed(seed))
        return x, x.sum(dim=1)


class Slope(Task):
    """Loss = ⟨gradient, w⟩: Adam then moves every weight by just the learning rate; validation follows a table by epoch."""

    name = "slope"

    def __init__(self, gradient: Sequence[float] = (1.0,), *, train_steps: int = 4, val: Sequence[float] = ()) -> None:
        self.sizes = {"train": train_steps, "val": 1}
        self.model = nn.Linear(len(gradient), 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.gradient, self.val, self.validated = torch.tensor(gradient), list(val), 0

    def host_batch(self, split: str, epoch: int, step: int) -> None:
        return None

    def losses(self, model: nn.Module, batch: None) -> Iterator[Loss]:
        if not model.training and self.val:
            self.validated += 1
            yield Loss(torch.tensor(self.val[self.validated - 1]))
        else:
            yield Loss(model(self.gradient).sum())

    def count(self, batch: None) -> int:
        return 1


class Adversaries(Task):
    """A generator of one number and a discriminator of it: one step of D, then three of G, as a GAN takes them.

    Its own state is a queue of the numbers that were made, of which the discriminator sees the oldest.
    """

    name = "gan"
    judged_by = "g"

    def __init__(self) -> None:
        self.sizes = {"train": 4, "val": 2}
        torch.manual_seed(1)
        self.generator, self.discriminator = nn.Linear(3, 1), nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
        self.model = nn.ModuleDict({"g": self.generator, "d": self.discriminator})
        self.queue = torch.zeros(3, 1)
        self.order: list[str] = []

    def host_batch(self, split: str, epoch: int, step: int) -> Tensor:
        seed = 10**6 + step if split == "val" else 1000 * epoch + step
        return torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))

    def losses(self, model: nn.Module, batch: Tensor) -> Iterator[Loss]:
        assert isinstance(model, nn.ModuleDict)
        made = model["g"](batch)
        real = batch.sum(dim=1, keepdim=True)
        old = torch.cat([made.detach(), self.queue.to(made)])
        self.order.append("d")
        yield Loss(model["d"](old).mean() - model["d"](real).mean(), optimizer="d", name="d")
        for _ in range(3):
            self.order.append("g")
            yield Loss(-model["d"](model["g"](batch)).mean(), optimizer="g", name="g")
        if model.training:
            self.queue = torch.cat([self.queue[1:], made.detach()[:1].cpu()])

    def count(self, batch: Tensor) -> int:
        return len(batch)

    def optimizers(
        self, fit: FitSettings, device: torch.device, *, scaled_and_clipped: bool = False
    ) -> dict[str, torch.optim.Optimizer]:
        return {name: build(self.model[name].named_parameters(), fit, device.type) for name in ("d", "g")}  # type: ignore[index]

    def state_dict(self) -> dict[str, Any]:
        return {"queue": self.queue}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.queue = state["queue"]


def one_process() -> Fabric:
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    return fabric


def trained(task: Task, folder: Path, *, stop: StopRequest | None = None, **settings: Any) -> Fitted:
    """Fit in this process, quietly; keywords are those of FitSettings."""
    return fit(task, FitSettings(**settings), folder=folder, fabric=one_process(), seed=3, settings_hash="these", stop=stop)


def batch_of(task: Task, split: str, epoch: int = 0, step: int = 0, *, seed: int = 0) -> Any:
    """A batch as the loop makes it."""
    draws = Draws(seed, split=SPLITS.index(split), epoch=epoch if split == "train" else 0)
    return task.device_batch(task.host_batch(split, epoch, step), draws)


def loss_of(task: Task, model: nn.Module, batch: Any) -> Loss:
    """The one loss of a task."""
    (loss,) = task.losses(model, batch)
    return loss


def speech_bank(n: int, *, seed: int) -> Bank:
    """n segments of 4 s of noise that comes and goes."""
    random = np.random.default_rng(seed)
    time = np.arange(4 * FS_HZ) / FS_HZ
    loud = 0.1 + np.abs(np.sin(2 * np.pi * random.uniform(0.5, 3.0, size=(n, 1)) * time))
    audio = (0.1 * loud * random.standard_normal(loud.shape)).astype(np.float32)
    return Bank(torch.from_numpy(audio)[:, None], pd.DataFrame({"key": [f"speech-{seed}-{i}" for i in range(n)]}), FS_HZ)


def rir_bank(n_rooms: int, per_room: int, *, seed: int) -> Bank:
    """Decaying noise; the rooms differ in their decay."""
    random = np.random.default_rng(seed)
    rt60_s = np.repeat(np.linspace(0.02, 0.1, n_rooms), per_room)
    time = np.arange(int(0.1 * FS_HZ)) / FS_HZ
    audio = random.standard_normal((len(rt60_s), len(time))) * 10 ** (-3 * time / rt60_s[:, None])
    table = pd.DataFrame(
        {
            "key": [f"rir-{i}" for i in range(len(rt60_s))],
            "room_id": np.repeat([f"room-{r}" for r in range(n_rooms)], per_room),
            "rt60_s": rt60_s,
            "volume_m3": 4000 * rt60_s,
        }
    )
    return Bank(torch.from_numpy(audio.astype(np.float32))[:, None], table, FS_HZ)


def made_spectrograms(settings: GoetzSettings, speech: Bank, rirs: Bank) -> Spectrograms:
    standardise = settings.standardise == "spectrogram"
    return Spectrograms(speech, rirs, noise=settings.snr_db, standardise=standardise)


def upstream_data(settings: GoetzSettings) -> UpstreamData:
    """Four rooms with two responses each, and a few segments."""
    rirs = rir_bank(4, 2, seed=1)
    splits = {name: made_spectrograms(settings, speech_bank(n, seed=n), rirs) for name, n in (("train", 5), ("val", 4))}
    return UpstreamData(splits, rirs.codes("room_id"))


def downstream_data(settings: GoetzSettings) -> DownstreamData:
    """24 training samples and 6 of validation."""
    rirs, random = rir_bank(4, 2, seed=1), np.random.default_rng(5)
    spectrograms, pairs = {}, {}
    for name, n in (("train", 24), ("val", 6)):
        spectrograms[name] = made_spectrograms(settings, speech_bank(3, seed=n), rirs)
        pairs[name] = Pairs(random.integers(8, size=n), random.integers(3, size=n), np.arange(n))
    return DownstreamData(spectrograms, pairs)


def goetz_settings(**values: Any) -> GoetzSettings:
    """Settings of four samples a contrastive batch and eight a supervised one; no dropout."""
    upstream = {"n_classes": 4, "n_augmentations": 2, "batches": 3, "val_batches": 1}
    downstream = {"batch": 8}
    given: dict[str, Any] = {"preset": "smoke", "dropout": 0.0, "upstream": upstream, "downstream": downstream, **values}
    return GoetzSettings.model_validate(given)
