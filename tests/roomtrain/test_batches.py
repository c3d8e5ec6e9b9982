"""Batches ahead of their steps: all of them, in their order, and whatever goes wrong comes out where they are asked for."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from roomtrain.batches import Ahead
from roomtrain.task import Loss, Task

CPU = torch.device("cpu")


class Counted(Task):
    """Batches that say which they are."""

    name = "counted"
    model = nn.Linear(1, 1)

    def __init__(self, *, broken: int = -1) -> None:
        self.sizes = {"train": 9, "val": 2}
        self.broken, self.asked, self.threads = broken, list[int](), set[int]()

    def host_batch(self, split: str, epoch: int, step: int) -> dict[str, Any]:
        self.asked.append(step)
        self.threads.add(threading.get_ident())
        if step == self.broken:
            raise ValueError(f"step {step} is broken")
        return {"name": f"{split}-{epoch}-{step}", "x": [torch.tensor(step)]}

    def losses(self, model: nn.Module, batch: Any) -> Iterator[Loss]:
        yield Loss(torch.zeros(()))

    def count(self, batch: Any) -> int:
        return 1


@pytest.mark.parametrize("steps", [range(9), range(4, 9), range(8, 9), range(0)])
def test_all_batches_come_in_their_order_from_another_thread(steps: range) -> None:
    task = Counted()
    ahead = Ahead(task, CPU)
    found = list(ahead.batches("train", 3, steps))
    ahead.close()
    assert [batch["name"] for batch in found] == [f"train-3-{step}" for step in steps]
    assert [int(batch["x"][0]) for batch in found] == list(steps)
    assert task.asked == list(steps)
    assert threading.get_ident() not in task.threads


def test_no_more_is_made_ahead_than_a_few() -> None:
    task = Counted()
    ahead = Ahead(task, CPU)
    batches = ahead.batches("train", 0, range(9))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    ahead.close()
    assert len(task.asked) <= 4


def test_what_goes_wrong_is_raised_at_its_batch() -> None:
    ahead = Ahead(Counted(broken=2), CPU)
    batches = ahead.batches("train", 0, range(9))
    assert [next(batches)["name"] for _ in range(2)] == ["train-0-0", "train-0-1"]
    with pytest.raises(ValueError, match="step 2 is broken"):
        next(batches)
    ahead.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_batches_are_copied_beside_the_work_of_a_gpu() -> None:
    ahead = Ahead(Counted(), torch.device("cuda"))
    found: list[Tensor] = [batch["x"][0] for batch in ahead.batches("train", 0, range(9))]
    ahead.close()
    assert all(x.is_cuda for x in found)
    assert [int(x) for x in found] == list(range(9))
