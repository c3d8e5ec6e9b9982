"""Every row turned round by its own number, as torch.roll turns one."""

import pytest
import torch

from roomtrain.augment import roll_each
from roomtrain.errors import RoomtrainError
from tests.roomtrain.syncs import no_waiting


@pytest.mark.parametrize("shape", [(6, 11), (6, 1, 3, 11), (6, 2, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64])
def test_it_is_torchs_roll_of_each_row(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.arange(torch.Size(shape).numel()).view(shape).to(dtype)
    shifts = torch.tensor([0, 1, -1, 10, 11, -25])
    with no_waiting():
        turned = roll_each(x, shifts)
    assert turned.dtype == dtype
    assert torch.equal(turned, torch.stack([row.roll(int(shift), dims=-1) for row, shift in zip(x, shifts, strict=True)]))


def test_an_empty_batch_stays_empty() -> None:
    assert roll_each(torch.zeros(0, 3, 4), torch.zeros(0, dtype=torch.int64)).shape == (0, 3, 4)


def test_gradients_turn_back() -> None:
    x = torch.zeros(1, 3, requires_grad=True)
    (roll_each(x, torch.tensor([1])) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[2.0, 3.0, 1.0]]


@pytest.mark.parametrize(
    ("x", "shifts"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(3, 0), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(3, 4), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(3, 4), torch.zeros(3)),
    ],
)
def test_what_does_not_fit_is_refused(x: torch.Tensor, shifts: torch.Tensor) -> None:
    with pytest.raises(RoomtrainError, match="roll_each takes"):
        roll_each(x, shifts)
