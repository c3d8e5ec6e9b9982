"""Batch normalisation over processes: in a single one it is torch's. For two see test_two_processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from roomtrain.errors import RoomtrainError
from roomtrain.models.batch_norm import GlobalBatchNorm2d, globalise
from roomtrain.papers.goetz.network import Encoder, EncoderConfig


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def both() -> tuple[nn.BatchNorm2d, GlobalBatchNorm2d]:
    plain = nn.BatchNorm2d(3, momentum=0.3)
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    other = globalise(nn.Sequential(plain))[0]  # type: ignore[index]
    plain = nn.BatchNorm2d(3, momentum=0.3)
    plain.load_state_dict(other.state_dict())
    assert type(other) is GlobalBatchNorm2d
    return plain, other


@pytest.mark.usefixtures("group")
def test_values_gradients_and_running_statistics_are_those_of_torch() -> None:
    torch.manual_seed(0)
    plain, other = both()
    for _ in range(3):
        x = (torch.randn(4, 3, 5, 7) * torch.tensor([1.0, 20.0, 0.01])[:, None, None] + 2).requires_grad_()
        y = x.detach().clone().requires_grad_()
        direction = torch.randn(4, 3, 5, 7)
        (plain(x) * direction).sum().backward()
        (other(y) * direction).sum().backward()
        torch.testing.assert_close(other(y), plain(x), rtol=1e-3, atol=1e-3)
        assert x.grad is not None
        assert y.grad is not None
        scale = x.grad.abs().amax(dim=(0, 2, 3), keepdim=True)
        torch.testing.assert_close(y.grad / scale, x.grad / scale, rtol=1e-3, atol=2e-3)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, rtol=1e-3, atol=1e-5)
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(two.grad, one.grad, rtol=2e-3, atol=2e-3)
    assert int(other.num_batches_tracked or 0) == 6


def test_evaluating_takes_the_running_statistics_and_no_other_process() -> None:
    plain, other = both()
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(plain.eval()(x), other.eval()(x))


@pytest.mark.usefixtures("group")
def test_half_precision_comes_back_as_half_precision_from_float32_statistics() -> None:
    _, other = both()
    x = torch.randn(64, 3, 16, 16) + 30
    half = other(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), other(x.bfloat16().float()), rtol=0.01, atol=0.02)


def test_globalise_keeps_names_numbers_and_mode() -> None:
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(n_frames=249, dropout=0.0))
    encoder(torch.randn(4, 1, 17, 249))
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder.eval()
    x = torch.randn(2, 1, 17, 249)
    expected = encoder(x)
    assert globalise(encoder) is encoder
    assert sum(type(m) is GlobalBatchNorm2d for m in encoder.modules()) == 6
    assert not any(m.training for m in encoder.modules())
    assert list(encoder.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    torch.testing.assert_close(encoder(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}, {"momentum": None}])
def test_other_kinds_of_normalisation_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(RoomtrainError, match="cannot be computed over processes"):
        globalise(nn.Sequential(nn.BatchNorm2d(3, **options)))  # type: ignore[arg-type]
