"""The proof itself: it refuses what waits for a GPU, and nothing else."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.roomtrain.syncs import Waits, no_waiting

WAITS: list[Callable[[Tensor], object]] = [
    lambda x: x[0].item(),
    lambda x: float(x[0]),
    lambda x: bool((x > 0).any()),
    lambda x: x.tolist(),
    lambda x: x.numpy(),
    lambda x: x.cpu(),
    lambda x: torch.equal(x, x),
    lambda x: torch.allclose(x, x),
    lambda x: x.nonzero(),
    lambda x: x[x > 0],
    lambda x: x.masked_select(x > 0),
    lambda x: x.index_put_((x > 0,), x[:1]),
    lambda x: x.unique(),
    lambda x: x.long().bincount(),
    lambda x: x.repeat_interleave(torch.tensor([1, 2, 3])),
]


@pytest.mark.parametrize("waits", WAITS)
def test_what_waits_is_refused(waits: Callable[[Tensor], object]) -> None:
    x = torch.tensor([1.0, 2.0, 3.0])
    waits(x)
    with pytest.raises(Waits), no_waiting():
        waits(x)


def test_what_does_not_wait_is_not() -> None:
    x, rows = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2, 0])
    with no_waiting():
        kept = [x[rows], x.masked_fill(x > 1, 0.0), torch.where(x > 1, x, 0.0), x.repeat_interleave(2), x.gather(0, rows), x[1:]]
        kept.append(x.to("cpu", torch.float64, non_blocking=True))
    assert [len(result) for result in kept] == [2, 3, 3, 6, 2, 2, 3]
