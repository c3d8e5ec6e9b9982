"""The moving average against one written down in float64, resumed, and without waiting for a GPU."""

import io
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from roomtrain.ema import MovingAverage
from roomtrain.errors import RoomtrainError
from tests.roomtrain.syncs import no_waiting


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


def walk(model: nn.Module, steps: int) -> Iterator[int]:
    """Move parameters and buffers at random."""
    random = torch.Generator().manual_seed(7)
    for step in range(steps):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=random))
        model.train()(torch.randn(5, 4, generator=random))
        yield step


@pytest.mark.parametrize(("decay", "warm_up"), [(0.999, True), (0.3, True), (0.9, False), (0.0, False)])
def test_parameters_are_averaged_and_buffers_are_copied(decay: float, warm_up: bool) -> None:
    model = network()
    follower = MovingAverage(model, decay=decay, warm_up=warm_up)
    expected: list[torch.Tensor] = []
    for step in walk(model, 12):
        follower.update(model)
        now = [parameter.detach().double() for parameter in model.parameters()]
        d = min(decay, (1 + step) / (10 + step)) if warm_up else decay
        expected = [d * one + (1 - d) * other for one, other in zip(expected, now, strict=True)] if expected else now
    for average, by_hand in zip(follower.module.parameters(), expected, strict=True):
        torch.testing.assert_close(average.double(), by_hand, rtol=1e-5, atol=1e-6)
    assert follower.updates == 12
    buffers = dict(model.named_buffers())
    assert buffers["1.num_batches_tracked"] == 12
    assert all(torch.equal(buffers[name], buffer) for name, buffer in follower.module.named_buffers())


def test_its_module_is_a_copy_for_evaluation() -> None:
    model = network()
    follower = MovingAverage(model, decay=0.9)
    follower.update(model)
    before = [parameter.clone() for parameter in model.parameters()]
    assert model.training
    assert not any(module.training for module in follower.module.modules())
    assert not any(parameter.requires_grad for parameter in follower.module.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        for parameter in follower.module.parameters():
            parameter.zero_()
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("at", [0, 1, 6])
def test_resumed_it_goes_on_exactly(at: int) -> None:
    model = network()
    whole = MovingAverage(model, decay=0.9)
    resumed = MovingAverage(model, decay=0.9)
    for step in walk(model, 9):
        if step == at:
            saved = io.BytesIO()
            torch.save(resumed.state_dict(), saved)
            saved.seek(0)
            resumed = MovingAverage(network(), decay=0.9)
            resumed.load_state_dict(torch.load(saved, weights_only=True))
        whole.update(model)
        resumed.update(model)
    assert whole.updates == resumed.updates == 9
    for name, tensor in whole.module.state_dict().items():
        assert torch.equal(tensor, resumed.module.state_dict()[name])


def test_a_state_of_something_else_is_refused() -> None:
    follower = MovingAverage(network())
    with pytest.raises(RuntimeError, match="Missing key"):
        follower.load_state_dict({"updates": 1, "module": {}})
    with pytest.raises(KeyError):
        follower.load_state_dict({})


def test_an_update_waits_for_nothing() -> None:
    model = network()
    follower = MovingAverage(model)
    for _ in walk(model, 3):
        with no_waiting():
            follower.update(model)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(RoomtrainError, match=r"in \[0, 1\)"):
        MovingAverage(nn.Linear(1, 1), decay=decay)
