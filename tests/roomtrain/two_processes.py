"""What test_two_processes starts twice, side by side: trains as it would alone, and writes what came of it."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from roomgen.store.lock import lock
from roomtrain import loop, run
from roomtrain.errors import RoomtrainError, Stopped
from roomtrain.estimation import OnEmbeddings
from roomtrain.fabric import start_fabric
from roomtrain.fit_settings import FitSettings
from roomtrain.models.batch_norm import GlobalBatchNorm2d, globalise
from roomtrain.paper import get_paper
from roomtrain.papers.goetz.tasks import Contrastive, Supervised
from roomtrain.run import together
from roomtrain.signals import StopRequest
from roomtrain.task import Loss, Task
from tests.roomtrain.made import Adversaries, Line, batch_of, downstream_data, goetz_settings, loss_of, upstream_data


def contrastive(fabric: Fabric) -> Task:
    settings = goetz_settings(shift=True, snr_db=(10.0, 20.0))
    return Contrastive(settings, upstream_data(settings), rank=fabric.global_rank, world=fabric.world_size)


def supervised(fabric: Fabric) -> Task:
    settings = goetz_settings(shift=True)
    target = get_paper("goetz").target("volume")
    return Supervised(settings, target, downstream_data(settings), {}, rank=fabric.global_rank, world=fabric.world_size)


def downstream(fabric: Fabric) -> Task:
    random = torch.Generator().manual_seed(0)
    embeddings = {split: torch.randn(n, 64, generator=random) for split, n in (("train", 40), ("val", 9))}
    truth = {split: e[:, 0].abs() + 0.3 for split, e in embeddings.items()}
    return OnEmbeddings(
        "rt60",
        get_paper("goetz").target("rt60"),
        embeddings=embeddings,
        truth=truth,
        seed=0,
        batch=8,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )


def adversaries(fabric: Fabric) -> Task:
    """Both processes have the same batches here: the mean of their gradients is that of one."""
    return Adversaries()


TASKS: dict[str, Callable[[Fabric], Task]] = {"contrastive": contrastive, "supervised": supervised, "downstream": downstream}


def gradients(task: Task, fabric: Fabric) -> dict[str, Tensor]:
    """The gradients of the first step, as the optimizer would see them."""
    if fabric.world_size > 1:
        globalise(task.model)
    model = fabric.setup_module(task.model)
    model.train()
    fabric.backward(loss_of(task, model, batch_of(task, "train")).value)
    return {name: parameter.grad.clone() for name, parameter in task.model.named_parameters() if parameter.grad is not None}


def fitted(task: Task, folder: Path, fabric: Fabric, *, stop: StopRequest | None = None) -> dict[str, Tensor]:
    """The weights after two epochs."""
    # Not Adam, which makes a whole step of a gradient that is only rounding.
    settings = FitSettings(max_epochs=2, ema_decay=0.9, optimizer="sgd", momentum=0.5, learning_rate=0.05)
    loop.fit(task, settings, stop=stop, folder=folder, fabric=fabric, seed=0, settings_hash="h")
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
        def losses(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Iterator[Loss]:
            yield from super().losses(model, batch)
            if fabric.global_rank == 1 and len(self.seen) == 7:
                stop.asked = "SIGTERM"

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


def together_or_not(out: Path, fabric: Fabric) -> None:
    """The first process works alone and fails, or is told to stop while it waits for a folder that is held: all end alike."""
    said: list[str] = []

    def work(problem: Exception | None) -> str:
        if problem is not None:
            raise problem
        return f"made by {fabric.global_rank}"

    for problem in (None, RoomtrainError("there is no room", exit_code=1), Stopped("here"), KeyError("odd")):
        try:
            said.append(together(fabric, lambda problem=problem: work(problem)))  # type: ignore[misc]
        except (RoomtrainError, Stopped, KeyError) as error:
            said.append(f"{type(error).__name__}: {error}")
    stop = StopRequest()
    stop.asked = "SIGTERM" if fabric.global_rank == 1 else ""
    (out / "held").mkdir(exist_ok=True)
    with lock(out / "held") if fabric.is_global_zero else contextlib.nullcontext():
        fabric.barrier()
        try:
            with run._held(out / "held", run.Command(fabric, stop=stop)):
                said.append("went on")
        except Stopped as error:
            said.append(f"Stopped: {error}")
        fabric.barrier()
    alone = run.alone(fabric)
    said.append(f"{alone.world_size} of {fabric.world_size}")
    (out / f"together-{fabric.global_rank}.json").write_text(json.dumps(said), encoding="utf-8")


def main(out: Path) -> None:
    torch.set_num_threads(1)
    fabric = start_fabric("cpu", "32-true")
    result = {"normalised": normalised(fabric)}
    for name, make in TASKS.items():
        result[f"{name}-gradients"] = gradients(make(fabric), fabric)
        result[f"{name}-weights"] = fitted(make(fabric), out / name, fabric)
    result["adversaries-weights"] = fitted(adversaries(fabric), out / "adversaries", fabric)
    together_or_not(out, fabric)
    interrupted(out, fabric)
    torch.save(result, out / f"result-{fabric.global_rank}.pt")
    fabric.barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
