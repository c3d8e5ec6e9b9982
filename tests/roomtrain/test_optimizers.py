"""Optimizers against torch's own, what decays, and when a step is fused."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from roomtrain.errors import RoomtrainError
from roomtrain.fit_settings import OptimizerSettings
from roomtrain.optimizers import build
from tests.roomtrain.syncs import Waits, no_waiting

Reference = Callable[[Any], torch.optim.Optimizer]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 3, 5), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(18, 2))


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int = 5) -> None:
    """Steps on gradients that are the same for all."""
    random = torch.Generator().manual_seed(1)
    for _ in range(count):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=random)
        optimizer.step()


CASES: list[tuple[dict[str, Any], Reference]] = [
    ({}, lambda p: torch.optim.Adam(p, lr=1e-3)),
    (
        {"learning_rate": 0.01, "betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.1},
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.9), eps=1e-4, weight_decay=0.1),
    ),
    (
        {"optimizer": "adamw", "weight_decay": 0.1, "betas": (0.8, 0.9), "eps": 1e-3},
        lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.1, betas=(0.8, 0.9), eps=1e-3),
    ),
    ({"optimizer": "adamw"}, lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.0)),
    ({"optimizer": "sgd", "weight_decay": 0.1}, lambda p: torch.optim.SGD(p, lr=1e-3, weight_decay=0.1)),
    (
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
        lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9, nesterov=True),
    ),
    ({"optimizer": "sgd", "momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9)),
    (
        {"optimizer": "rmsprop", "alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "weight_decay": 0.1},
        lambda p: torch.optim.RMSprop(p, lr=1e-3, alpha=0.9, eps=1e-3, momentum=0.5, weight_decay=0.1),
    ),
]


@pytest.mark.parametrize(("values", "reference"), CASES)
@pytest.mark.parametrize("fused", [False, True])
def test_it_is_torchs_optimizer(values: dict[str, Any], reference: Reference, fused: bool) -> None:
    model, other = network(), network()
    steps(model, build(model.named_parameters(), OptimizerSettings(**values, fused=fused), "cpu"))
    steps(other, reference(other.parameters()))
    start = network()
    for (name, one), two, first in zip(model.named_parameters(), other.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7, msg=name)
        assert not torch.equal(one, first)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_only_weights_decay_where_it_says_so(optimizer: str) -> None:
    model = network()
    settings = OptimizerSettings.model_validate(
        {"optimizer": optimizer, "weight_decay": 0.5, "decay": "weights", "learning_rate": 0.02}
    )
    built = build(model.named_parameters(), settings, "cpu")
    assert [(len(group["params"]), group["weight_decay"]) for group in built.param_groups] == [(2, 0.5), (4, 0.0)]
    assert {p.ndim for p in built.param_groups[0]["params"]} == {2, 3}
    assert {p.ndim for p in built.param_groups[1]["params"]} == {1}
    before = deepcopy(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    built.step()
    for one, first in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(one, first) == (one.ndim < 2)


@pytest.mark.parametrize(("weight_decay", "decay", "groups"), [(0.1, "all", 1), (0.0, "weights", 1), (0.1, "weights", 2)])
def test_groups_keep_their_rate(weight_decay: float, decay: str, groups: int) -> None:
    settings = OptimizerSettings.model_validate({"weight_decay": weight_decay, "decay": decay, "learning_rate": 0.03})
    model = network()
    built = build(model.named_parameters(), settings, "cpu")
    assert [(group["initial_lr"], group["lr"]) for group in built.param_groups] == [(0.03, 0.03)] * groups
    for group in built.param_groups:
        group["lr"] = 0.01
    again = build(model.named_parameters(), settings, "cpu")
    again.load_state_dict(built.state_dict())
    assert [(group["initial_lr"], group["lr"]) for group in again.param_groups] == [(0.03, 0.01)] * groups


def test_an_empty_group_is_left_out() -> None:
    settings = OptimizerSettings(weight_decay=0.1, decay="weights")
    built = build(nn.Linear(2, 2, bias=False).named_parameters(), settings, "cpu")
    assert [group["weight_decay"] for group in built.param_groups] == [0.1]


@pytest.mark.parametrize(
    ("optimizer", "fused", "device", "scaled_and_clipped", "expected"),
    [
        ("adam", True, "cpu", False, True),
        ("adamw", True, "cuda", False, True),
        ("sgd", True, "cpu", False, True),
        ("adam", False, "cuda", False, None),
        ("adam", True, "meta", False, None),
        ("adam", True, "cuda", True, None),
        ("rmsprop", True, "cuda", False, None),
    ],
)
def test_fused_where_it_can_be(optimizer: str, fused: bool, device: str, scaled_and_clipped: bool, expected: bool | None) -> None:
    settings = OptimizerSettings.model_validate({"optimizer": optimizer, "fused": fused})
    built = build(network().named_parameters(), settings, device, scaled_and_clipped=scaled_and_clipped)
    assert built.param_groups[0].get("fused") is expected
    # What Fabric asks before it clips scaled gradients.
    assert getattr(built, "_step_supports_amp_scaling", False) is bool(expected)


def test_a_fused_step_waits_for_nothing() -> None:
    for fused in (True, False):
        model = network()
        optimizer = build(model.named_parameters(), OptimizerSettings(fused=fused), "cpu")
        for _ in range(2):
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            if fused:
                with no_waiting():
                    optimizer.step()
            else:
                with pytest.raises(Waits), no_waiting():
                    optimizer.step()


def test_what_is_frozen_is_left_out() -> None:
    model = network()
    model[0].requires_grad_(False)  # type: ignore[operator,index]
    built = build(model.named_parameters(), OptimizerSettings(), "cpu")
    assert len(built.param_groups[0]["params"]) == 4
    with pytest.raises(RoomtrainError, match="no parameters that are trained"):
        build(model.requires_grad_(False).named_parameters(), OptimizerSettings(), "cpu")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"optimizer": "sgd", "nesterov": True}, "set momentum"),
        ({"nesterov": True}, "set momentum"),
        ({"momentum": 0.9}, "adam has betas"),
        ({"betas": (0.9, 1.0)}, "less than 1"),
        ({"optimizer": "lion"}, "'adam', 'adamw', 'sgd' or 'rmsprop'"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OptimizerSettings(**values)
