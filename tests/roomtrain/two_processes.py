"""What test_two_processes starts twice, side by side: trains as it would alone, and writes what came of it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from roomtrain import loop
from roomtrain.commands.common import start_fabric
from roomtrain.config import FitSettings
from roomtrain.errors import RoomtrainError, Stopped
from roomtrain.models.batch_norm import GlobalBatchNorm2d
from roomtrain.papers.goetz.data import DownstreamData
from roomtrain.papers.goetz.settings import GoetzSettings
from roomtrain.papers.goetz.tasks import Contrastive, Downstream, Supervised
from roomtrain.signals import StopRequest
from roomtrain.task import Task
from tests.roomtrain.made import Line, downstream_data, goetz_settings, upstream_data


def contrastive(fabric: Fabric) -> Task:
    settings = goetz_settings(shift=True, snr_db=(10.0, 20.0))
    return Contrastive(settings, upstream_data(settings), rank=fabric.global_rank, world=fabric.world_size)


def supervised(fabric: Fabric) -> Task:
    settings = goetz_settings(shift=True)
    return Supervised(settings, "volume", _data(settings), {}, rank=fabric.global_rank, world=fabric.world_size)


def downstream(fabric: Fabric) -> Task:
    random = torch.Generator().manual_seed(0)
    embeddings = {split: torch.randn(n, 64, generator=random) for split, n in (("train", 40), ("val", 9))}
    truth = {split: e[:, 0].abs() + 0.3 for split, e in embeddings.items()}
    return Downstream(
        goetz_settings(), "rt60", embeddings=embeddings, truth=truth, rank=fabric.global_rank, world=fabric.world_size
    )


def _data(settings: GoetzSettings) -> DownstreamData:
    return downstream_data(settings)


TASKS: dict[str, Callable[[Fabric], Task]] = {"contrastive": contrastive, "supervised": supervised, "downstream": downstream}


def gradients(task: Task, fabric: Fabric) -> dict[str, Tensor]:
    """The gradients of the first step, as the optimizer would see them."""
    model, _ = fabric.setup(task.model, torch.optim.Adam(task.model.parameters()))
    model.train()
    fabric.backward(task.loss(model, task.train_batch(0, 0))["loss"])
    return {name: parameter.grad.clone() for name, parameter in task.model.named_parameters() if parameter.grad is not None}


def fitted(task: Task, folder: Path, fabric: Fabric, *, stop: StopRequest | None = None) -> dict[str, Tensor]:
    """The weights after two epochs."""
    settings = FitSettings(max_epochs=2, ema_decay=0.9)
    arguments = {"folder": folder, "fabric": fabric, "seed": 0, "settings_hash": "h", "show": False, "tensorboard": False}
    loop.fit(task, settings, stop=stop, **arguments)  # type: ignore[arg-type]
    return task.model.state_dict()


def normalised(fabric: Fabric) -> dict[str, Tensor]:
    """Gradient and running statistics of a normalisation of this process' half of a batch."""
    whole = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(4)) * torch.tensor([1.0, 5.0, 0.1])[:, None, None] + 1
    direction = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(5))
    own = slice(0, 2) if fabric.global_rank == 0 else slice(2, 6)  # unequal parts
    norm, x = GlobalBatchNorm2d(3), whole[own].requires_grad_()
    y = norm(x)
    (y * direction[own]).sum().backward()
    assert x.grad is not None
    return {"y": y.detach(), "x": x.grad, "mean": norm.running_mean, "var": norm.running_var}  # type: ignore[dict-item]


def interrupted(out: Path, fabric: Fabric) -> None:
    """One process alone is asked to stop; then its data alone are not finite: both must end at the same step, and say so."""
    said: list[str] = []

    class Asked(Line):
        def train_batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
            if fabric.global_rank == 1 and (epoch, step) == (1, 1):
                stop.asked = "SIGTERM"
            return super().train_batch(epoch, step)

    stop = StopRequest()
    try:
        fitted(Asked(), out / "line", fabric, stop=stop)
    except Stopped as where:
        said.append(str(where))
    try:
        fitted(Line(poisoned=(1, 3) if fabric.global_rank == 1 else None), out / "line", fabric)
    except RoomtrainError as error:
        said.append(str(error))
    fabric.barrier()
    weights = fitted(Line(), out / "line", fabric)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())
    (out / f"said-{fabric.global_rank}.json").write_text(json.dumps(said), encoding="utf-8")


def main(out: Path) -> None:
    torch.set_num_threads(1)
    fabric = start_fabric("cpu", "32-true")
    result = {"normalised": normalised(fabric)}
    for name, make in TASKS.items():
        result[f"{name}-gradients"] = gradients(make(fabric), fabric)
        result[f"{name}-weights"] = fitted(make(fabric), out / name, fabric)
    interrupted(out, fabric)
    torch.save(result, out / f"result-{fabric.global_rank}.pt")
    fabric.barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
