"""Generator and discriminator: FAST-RIR's (Ratnarajah et al., "FAST-RIR: Fast neural diffuse room impulse response generator",
ICASSP 2022), with responses of 1024 samples in the place of 4096.

    conditions, code ─Linear─▶ (width, 16) ─▶ (width/2, 64) ─▶ (width/4, 256) ─▶ (width/8, 1024) ─Conv, Tanh─▶ response
    response ─▶ (w, 256) ─▶ (2w, 64) ─▶ (4w, 16) ─▶ (48, 16) ─conditions─▶ (48, 16) ─Conv─▶ logit
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from roomtrain.papers.icl.generator import phases
from roomtrain.papers.icl.generator.conditions import N_CONDITIONS
from roomtrain.papers.icl.generator.settings import N_SAMPLES, GeneratorSettings
from roomtrain.seeds import Purpose, integer_seed

KERNEL, STRIDE = 41, 4
START = N_SAMPLES // STRIDE**3
"""Length that the generator begins with, and the discriminator ends with: 16."""
_CODES = 0.1  # deviation of codes at first: what they say is learned, not drawn
_JOINT = 48  # channels where the discriminator meets the conditions


class Generator(nn.Module):
    """From conditions and code to a response.

    Args:
        n_inputs: of both together.
        width: channels at a length of 16.
        hidden: what the first layer makes of the inputs.
        norm: batch normalisation before every PReLU but the first.

    Shape:
        (batch, n_inputs) → (batch, 1024), in ±1
    """

    def __init__(self, n_inputs: int, *, width: int, hidden: int, norm: bool) -> None:
        super().__init__()
        self.width = width
        self.condition = nn.Sequential(nn.Linear(n_inputs, hidden), nn.PReLU())
        n_start = width * START
        self.start = nn.Sequential(nn.Linear(hidden, n_start, bias=not norm), _norm(n_start, norm), nn.PReLU())
        # 19 and 1 of padding: four times as long, to the sample.
        self.longer = nn.ModuleList(
            nn.ConvTranspose1d(channels, following, KERNEL, STRIDE, padding=19, output_padding=1, bias=False)
            for channels, following in pairwise((width, width // 2, width // 4, width // 8))
        )
        self.after = nn.ModuleList(nn.Sequential(_norm(width // part, norm), nn.PReLU()) for part in (2, 4, 8))
        self.last = nn.Conv1d(width // 8, 1, KERNEL, padding=KERNEL // 2)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.start(self.condition(inputs)).view(-1, self.width, START)
        by_phases = phases.applies(maps)
        for longer, after in zip(self.longer, self.after, strict=True):
            maps = after(phases.transposed(cast(nn.ConvTranspose1d, longer), maps) if by_phases else longer(maps))
        return torch.tanh(phases.to_one_channel(self.last, maps) if by_phases else self.last(maps))[:, 0]


class Discriminator(nn.Module):
    """Whether a response is a real one, and of these conditions.

    Args:
        n_conditions: numbers of a condition.
        width: channels at a length of 256.

    Shape:
        (batch, 1024), (batch, n_conditions) → (batch,) logits
    """

    def __init__(self, n_conditions: int, *, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, (channels, following) in enumerate(pairwise((1, width, 2 * width, 4 * width))):
            layers.append(nn.Conv1d(channels, following, KERNEL, STRIDE, padding=KERNEL // 2, bias=False))
            layers += [nn.BatchNorm1d(following)] if number else []
            layers.append(nn.LeakyReLU(0.2))
        self.shorter = nn.Sequential(*layers, nn.ConvTranspose1d(4 * width, _JOINT, KERNEL, padding=KERNEL // 2))
        joint = nn.Conv1d(_JOINT + n_conditions, _JOINT, 3, padding=1, bias=False)
        self.joint = nn.Sequential(joint, nn.BatchNorm1d(_JOINT), nn.LeakyReLU(0.2), nn.Conv1d(_JOINT, 1, START, STRIDE))

    def forward(self, responses: Tensor, conditions: Tensor) -> Tensor:
        maps = self.shorter(responses[:, None])
        logits: Tensor = self.joint(torch.cat([maps, conditions[:, :, None].expand(-1, -1, START)], dim=1))
        return logits.flatten()


class Networks(nn.Module):
    """The generator with the codes of the microphones it was trained on, and its discriminator, if there is one.

    Args:
        n_microphones: of training.
        scale: (1024,) what 1 stands for in each of the generator's samples; None: 1, for weights to be loaded.

    Shape:
        conditions (batch, 13), codes (batch, code) → (batch, 1024), in ±1
    """

    scale: Tensor

    def __init__(self, settings: GeneratorSettings, n_microphones: int, *, scale: Tensor | None = None) -> None:
        super().__init__()
        self.settings, self.n_code = settings, settings.code
        torch.manual_seed(integer_seed(settings.seed, Purpose.MODEL))
        n_inputs, norm = N_CONDITIONS + settings.code, settings.norm == "batch"
        self.generator = Generator(n_inputs, width=settings.width, hidden=settings.hidden or n_inputs, norm=norm)
        self.codes = nn.Embedding(n_microphones, settings.code) if settings.code else None
        self.discriminator = Discriminator(N_CONDITIONS, width=settings.discriminator_width) if settings.adversarial else None
        self.register_buffer("scale", torch.ones(N_SAMPLES) if scale is None else scale.detach().cpu().clone())
        if norm:
            self.apply(_as_dcgan)
        if self.codes is not None:
            nn.init.normal_(self.codes.weight, 0.0, _CODES)

    def forward(self, conditions: Tensor, microphone: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is generated for training microphones, and their codes.

        Args:
            conditions: (batch, 13)
            microphone: (batch,) its number; below 0: without a code.
            noise: (batch, code), added to the codes.
        """
        code = torch.where((microphone >= 0)[:, None], self.codes_of(microphone) + noise, 0.0)
        made: Tensor = self.generator(torch.cat([conditions, code], dim=1))
        return made, code

    def codes_of(self, microphone: Tensor) -> Tensor:
        """Return the (batch, code) of training microphones; what it is for numbers below 0 means nothing."""
        if self.codes is None:
            return self.scale.new_zeros((len(microphone), 0))
        codes: Tensor = self.codes(microphone.clamp(min=0))
        return codes


def _norm(channels: int, norm: bool) -> nn.Module:
    return nn.BatchNorm1d(channels) if norm else nn.Identity()


def _as_dcgan(module: nn.Module) -> None:
    """Initialise weights from N(0, 0.02), and gains of normalisations from N(1, 0.02), as FAST-RIR does."""
    if isinstance(module, nn.Conv1d | nn.ConvTranspose1d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm1d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    if isinstance(getattr(module, "bias", None), Tensor):
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]
