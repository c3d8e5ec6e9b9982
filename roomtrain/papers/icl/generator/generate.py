"""Generating responses with trained networks: of microphones that training has heard, of known ones it has not, and of new ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from roomtrain.draws import Draws
from roomtrain.errors import RoomtrainError
from roomtrain.papers.icl.generator.conditions import N_CONDITIONS
from roomtrain.papers.icl.generator.networks import Networks
from roomtrain.papers.icl.generator.responses import levelled
from roomtrain.papers.icl.generator.settings import GeneratorSettings
from roomtrain.papers.icl.generator.task import squared_error
from roomtrain.seeds import Purpose

_TOGETHER = 256
_FIT_STEPS, _FIT_RATE = 200, 0.05


def networks_of(weights: Mapping[str, Tensor], settings: GeneratorSettings, *, device: torch.device | str = "cpu") -> Networks:
    """Return trained networks, ready to generate."""
    n_microphones = len(weights["codes.weight"]) if settings.code else 0
    networks = Networks(settings, n_microphones)
    networks.load_state_dict(dict(weights))
    return networks.to(device).eval()


@torch.no_grad()
def respond(networks: Networks, conditions: Tensor, codes: Tensor | None = None) -> Tensor:
    """Return (response, 1024) at the level of the training responses.

    Args:
        conditions: (response, 13)
        codes: (response, code); None: without, the best answer where only the conditions are known.
    """
    if codes is None:
        codes = conditions.new_zeros((len(conditions), networks.n_code))
    inputs = torch.cat([conditions, codes], dim=1)
    return levelled(torch.cat([networks.generator(part) for part in torch.split(inputs, _TOGETHER)]) * networks.scale)


def generate(
    weights: Mapping[str, Tensor],
    settings: GeneratorSettings,
    conditions: ArrayLike,
    *,
    seed: int,
    microphone: ArrayLike | None = None,
) -> NDArray[np.float32]:
    """Return responses of new microphones, whose codes are drawn from the distribution of those that were learned.

    Args:
        weights: of the trained networks.
        conditions: (response, 13), such as of :func:`roomtrain.papers.icl.generator.conditions.draw_conditions`.
        seed: of the codes.
        microphone: (response,) whole numbers: responses of one number share a code; None: each is another microphone's.

    Returns:
        (response, 1024) float32 at 32 kHz, with a mean power of 1 over 0.5–10 kHz.

    Raises:
        RoomtrainError: conditions that are not (response, 13), or not one microphone for each of them.
    """
    given = np.asarray(conditions, dtype=np.float32)
    numbers = np.arange(len(given)) if microphone is None else np.asarray(microphone, dtype=np.int64)
    if given.ndim != 2 or given.shape[1] != N_CONDITIONS or numbers.shape != given.shape[:1]:
        raise RoomtrainError(
            f"conditions {given.shape} of microphones {numbers.shape}: the generator takes (response, {N_CONDITIONS}) and "
            "(response,)."
        )
    networks = networks_of(weights, settings)
    codes = drawn_codes(networks, numbers, seed=seed)
    made: NDArray[np.float32] = respond(networks, torch.from_numpy(given), codes).numpy()
    return made


def drawn_codes(networks: Networks, microphones: NDArray[np.int64], *, seed: int) -> Tensor:
    """Return (response, code): for each number the code of a microphone that there could be.

    Codes are normal, with the mean and the covariance of those of the training microphones.
    """
    if networks.codes is None:
        return torch.zeros((len(microphones), 0))
    learned = networks.codes.weight.detach().cpu().double()
    mean = learned.mean(dim=0)
    # Singular values, not Cholesky's factor: with few microphones the covariance has no full rank.
    _, sizes, directions = torch.linalg.svd((learned - mean) / max(len(learned) - 1, 1) ** 0.5, full_matrices=False)
    numbers, own = np.unique(microphones, return_inverse=True)
    normal = Draws(seed).normal(Purpose.LATENT, numbers.astype(np.int64), len(sizes)).double()
    codes: Tensor = (mean + (normal * sizes) @ directions).float()
    return codes.index_select(0, torch.from_numpy(own))


def fitted_code(networks: Networks, conditions: Tensor, responses: Tensor) -> Tensor:
    """Return the (code,) with which a microphone that training has not heard responds most like some of its own responses.

    From 0, Adam follows the squared error and, as in training, the penalty of large codes.

    Args:
        conditions: (response, 13)
        responses: (response, 1024), at one level and with one polarity.
    """
    code = torch.zeros(networks.n_code, device=conditions.device, requires_grad=True)
    if not networks.n_code:
        return code.detach()
    real, settings = responses / networks.scale, networks.settings
    optimizer = torch.optim.Adam([code], lr=_FIT_RATE)
    for _ in range(_FIT_STEPS):
        made = networks.generator(torch.cat([conditions, code.expand(len(conditions), -1)], dim=1))
        error = squared_error(made, real, networks.scale)
        loss = settings.mse_weight * error + settings.code_penalty * code.square().mean()
        (gradient,) = torch.autograd.grad(loss, [code])
        code.grad = gradient
        optimizer.step()
    return code.detach()
