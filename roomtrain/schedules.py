"""The learning rate as a function of the step: how it rises at first, and how it falls.

The rate of step s (from 0) is rate · w(s) · f(s). With W = ``warmup_steps`` the warm-up is, up to 1 in step W - 1,

    linear         w = (s + 1) / W
    cosine         w = ½ (1 - cos(π (s + 1) / W))

and 1 thereafter. With T steps after the warm-up to the end of ``max_epochs``, t = s - W, E = ``final`` and epochs from 0,

    constant       f = 1
    cosine         f = E + (1 - E) · ½ (1 + cos(π t / T))           Loshchilov and Hutter (2017), eq. 5, without restarts
    linear         f = E + (1 - E) · (1 - t / T)
    polynomial     f = E + (1 - E) · (1 - t / T)^power
    step           f = factor^(number of ``milestones`` that are not later than the epoch)
    plateau        f = factor each time that the validation loss has not fallen in more than ``plateau_patience`` epochs, but not
                   below E; see :class:`Plateau`

where cosine, linear and polynomial wait for the end of the warm-up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from roomtrain.fit_settings import ScheduleSettings


@dataclass(frozen=True)
class Plateau:
    """What the schedule "plateau" remembers, plain values for a checkpoint: torch's ``ReduceLROnPlateau`` (mode "min", "rel").

    It has no ``eps``: a rate is lowered however little that changes.

    Args:
        lowest: validation loss that the next one is compared with.
        waited: epochs since then, or since the rate was lowered.
        share: f, of the learning rate.
    """

    lowest: float = math.inf
    waited: int = 0
    share: float = 1.0

    def after(self, loss: float, settings: ScheduleSettings) -> Plateau:
        """Return where it stands after another epoch's validation loss; one that is not a number has not fallen."""
        if loss < self.lowest * (1.0 - settings.plateau_threshold):
            return Plateau(loss, 0, self.share)
        if self.waited < settings.plateau_patience:
            return Plateau(self.lowest, self.waited + 1, self.share)
        return Plateau(self.lowest, 0, max(self.share * settings.factor, settings.final))


def learning_rate(
    rate: float, settings: ScheduleSettings, *, step: int, epoch_steps: int, max_epochs: int, plateau: float = 1.0
) -> float:
    """Return the rate of a step.

    Args:
        rate: the highest; with 1.0 the result is the factor w · f.
        step: from 0, over all epochs.
        epoch_steps: steps of an epoch.
        plateau: :attr:`Plateau.share`, for schedule "plateau".
    """
    start = settings.warmup_steps
    if step < start:
        linear = settings.warmup == "linear"
        rate = rate * (step + 1) / start if linear else rate * 0.5 * (1.0 - math.cos(math.pi * (step + 1) / start))
    total = max(max_epochs * epoch_steps - start, 1)
    done = min(max(step - start, 0), total)
    match settings.schedule:
        case "cosine":
            return rate * _down_to(settings.final, 0.5 * (1.0 + math.cos(math.pi * done / total)))
        case "linear" | "polynomial":
            return rate * _down_to(settings.final, (1.0 - done / total) ** settings.power)
        case "step":
            epoch = step // epoch_steps
            return rate * settings.factor ** sum(milestone <= epoch for milestone in settings.milestones)
        case "plateau":
            return rate * plateau
    return rate


def _down_to(final: float, share: float) -> float:
    return final + (1.0 - final) * share
