"""Learning rates against torch's own schedulers, and against the loop's documented formulas digit by digit."""

import math
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.optim import lr_scheduler

from roomtrain.fit_settings import ScheduleSettings
from roomtrain.schedules import Plateau, learning_rate

EPOCHS, STEPS, RATE = 6, 5, 0.3
TOTAL = EPOCHS * STEPS


def rates(rate: float = RATE, **values: Any) -> list[float]:
    settings = ScheduleSettings(**values)
    return [learning_rate(rate, settings, step=step, epoch_steps=STEPS, max_epochs=EPOCHS) for step in range(TOTAL)]


def optimizer() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)


def of_torch(make: Any, steps: int = TOTAL) -> list[float]:
    """Rates of one of torch's schedulers, called after every step."""
    sgd = optimizer()
    scheduler = make(sgd)
    found = []
    for _ in range(steps):
        found.append(float(sgd.param_groups[0]["lr"]))
        sgd.step()
        scheduler.step()
    return found


def test_constant_is_constant() -> None:
    assert rates() == [RATE] * TOTAL


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine(final: float) -> None:
    expected = of_torch(lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, T_max=TOTAL, eta_min=final * RATE))
    assert rates(schedule="cosine", final=final) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_polynomial(power: float) -> None:
    expected = of_torch(lambda sgd: lr_scheduler.PolynomialLR(sgd, total_iters=TOTAL, power=power))
    assert rates(schedule="polynomial", power=power) == pytest.approx(expected, rel=1e-9)
    ends = rates(schedule="polynomial", power=power, final=0.2)
    assert ends == pytest.approx([0.2 * RATE + 0.8 * rate for rate in expected], rel=1e-9)


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_linear(final: float) -> None:
    expected = of_torch(lambda sgd: lr_scheduler.LinearLR(sgd, start_factor=1.0, end_factor=final, total_iters=TOTAL))
    assert rates(schedule="linear", final=final) == pytest.approx(expected, rel=1e-9)


def test_step() -> None:
    milestones = [2, 3, 5]
    expected = of_torch(lambda sgd: lr_scheduler.MultiStepLR(sgd, milestones=[m * STEPS for m in milestones], gamma=0.3))
    assert rates(schedule="step", milestones=milestones, factor=0.3) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("warmup_steps", [1, 2, 12])
def test_a_linear_warm_up(warmup_steps: int) -> None:
    warm = lambda sgd: lr_scheduler.LinearLR(sgd, 1 / warmup_steps, 1.0, total_iters=max(warmup_steps - 1, 1))  # noqa: E731
    assert rates(warmup_steps=warmup_steps) == pytest.approx(of_torch(warm), rel=1e-9)
    later = of_torch(lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, T_max=TOTAL - warmup_steps), TOTAL - warmup_steps)
    both = rates(warmup_steps=warmup_steps, schedule="cosine")
    assert both == pytest.approx(of_torch(warm, warmup_steps) + later, rel=1e-9)


def test_a_cosine_warm_up() -> None:
    rising = [RATE * math.sin(math.pi / 2 * (step + 1) / 8) ** 2 for step in range(8)]
    assert rates(warmup_steps=8, warmup="cosine") == pytest.approx(rising + [RATE] * (TOTAL - 8), rel=1e-12)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "polynomial"])
def test_what_falls_falls_after_the_warm_up(schedule: str) -> None:
    whole, late = rates(schedule=schedule, warmup_steps=10), rates(schedule=schedule)
    assert whole[9] == whole[10] == RATE
    assert late[1] < RATE
    assert all(one > other for one, other in pairwise(whole[10:]))


def test_milestones_count_during_the_warm_up_too() -> None:
    values = rates(schedule="step", milestones=[1, 2], factor=0.5, warmup_steps=10)
    assert values[4:6] == pytest.approx([RATE * 0.5, RATE * 0.6 * 0.5])
    assert values[10:] == [RATE * 0.25] * (TOTAL - 10)


def test_rates_of_today_do_not_move_by_a_digit() -> None:
    for rate in (1e-3, 0.02, 3e-4):
        for warm in (0, 7):
            falling = rates(rate, schedule="cosine", warmup_steps=warm)
            for step, value in enumerate(falling):
                if step < warm:
                    assert value == rate * (step + 1) / warm
                else:
                    assert value == rate * (0.5 * (1.0 + math.cos(math.pi * (step - warm) / (TOTAL - warm))))


def test_after_the_last_epoch_it_stays_at_the_end() -> None:
    for schedule in ("cosine", "linear", "polynomial"):
        settings = ScheduleSettings(schedule=schedule, power=0.5 if schedule == "polynomial" else 1.0, final=0.25)
        for step in (TOTAL, TOTAL + 3):
            assert learning_rate(2.0, settings, step=step, epoch_steps=STEPS, max_epochs=EPOCHS) == pytest.approx(0.5)
    warm_only = ScheduleSettings(schedule="cosine", warmup_steps=TOTAL + 5)
    assert learning_rate(1.0, warm_only, step=4, epoch_steps=STEPS, max_epochs=EPOCHS) == 5 / (TOTAL + 5)


LOSSES = [3.0, 2.0, 2.0, 1.9999, 2.5, 1.0, 1.0, math.nan, 1.0, 1.0, 1.0, 1.0, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]


@pytest.mark.parametrize("patience", [0, 1, 2, 3])
@pytest.mark.parametrize("threshold", [1e-4, 0.0, 0.2])
@pytest.mark.parametrize("losses", [LOSSES, [-loss for loss in LOSSES]])
def test_plateau(patience: int, threshold: float, losses: list[float]) -> None:
    settings = ScheduleSettings(schedule="plateau", factor=0.5, final=0.1, plateau_patience=patience, plateau_threshold=threshold)
    sgd = optimizer()
    scheduler = lr_scheduler.ReduceLROnPlateau(sgd, factor=0.5, patience=patience, threshold=threshold, min_lr=0.1 * RATE)
    at = Plateau()
    for loss in losses:
        scheduler.step(loss)
        at = Plateau(**asdict(at)).after(loss, settings)  # as from a checkpoint
        rate = learning_rate(RATE, settings, step=99, epoch_steps=STEPS, max_epochs=EPOCHS, plateau=at.share)
        assert rate == pytest.approx(float(sgd.param_groups[0]["lr"]), rel=1e-9)
    assert at.share < 1
    assert all(type(value) in (int, float) for value in asdict(at).values())


def test_plateau_warms_up_as_others_do() -> None:
    settings = ScheduleSettings(schedule="plateau", warmup_steps=4)
    assert learning_rate(1.0, settings, step=1, epoch_steps=STEPS, max_epochs=EPOCHS, plateau=0.5) == 0.25


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"schedule": "step"}, "belong together"),
        ({"milestones": [3]}, "belong together"),
        ({"schedule": "step", "milestones": [3, 2]}, "the first one first"),
        ({"schedule": "step", "milestones": [3, 3]}, "each once"),
        ({"schedule": "step", "milestones": [0]}, "greater than or equal to 1"),
        ({"schedule": "linear", "power": 2.0}, 'is of schedule = "polynomial"'),
        ({"schedule": "exponential"}, "'constant', 'cosine'"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ScheduleSettings(**values)
