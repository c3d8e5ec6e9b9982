"""What is done to training windows: responses of other devices, an edge that moves, masks; the noise of training, drawn by name."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from roomtrain.draws import Draws
from roomtrain.papers.icl.compression import Compressors, gains_db
from roomtrain.papers.icl.mel import HOP, N_FFT, N_FRAMES, N_MELS, log_mel, masked, mel_bank, scaled
from roomtrain.papers.icl.settings import AugmentSettings
from roomtrain.reverb import convolve
from roomtrain.seeds import Purpose

_TOGETHER = 4096


@dataclass(frozen=True)
class DeviceResponses:
    """The responses that windows are sent through.

    Args:
        audio: (response, 1024) at 32 kHz, on the device.
        power: (response, 513) |H|² of each.
        compressors: of their devices, where windows shall be compressed as well.
    """

    audio: Tensor
    power: Tensor
    compressors: Compressors | None = None

    @classmethod
    def of(cls, audio: Tensor, compressors: Compressors | None = None) -> DeviceResponses:
        """Return (response, time ≤ 1024) audio with its transfer functions."""
        power = [torch.fft.rfft(part.float(), n=N_FFT).abs().square() for part in torch.split(audio, _TOGETHER)]
        return cls(audio, torch.cat(power), compressors)

    def __len__(self) -> int:
        return len(self.audio)


@dataclass(frozen=True)
class Chosen:
    """Which response each window goes through: (batch,) indices, −1 for none."""

    response: Tensor

    @property
    def through(self) -> Tensor:
        """(batch,) whether it goes through one."""
        return self.response >= 0


def choose(settings: AugmentSettings, count: int, device: Tensor, samples: Tensor, draws: Draws) -> Chosen:
    """Return which of ``count`` responses each window goes through.

    Args:
        device: (batch,) index of the window's own device; 0 is A.
        samples: (batch,) numbers of the windows in the epoch.
    """
    if count == 0:
        return Chosen(torch.full_like(device, -1))
    drawn = draws.uniform(Purpose.RESPONSE, samples, 1)[:, 0] < settings.share
    if settings.devices == "A":
        drawn = drawn & (device == 0)
    return Chosen(torch.where(drawn, draws.integers(Purpose.CONDITION, samples, count), -1))


def through_spectra(power: Tensor, responses: DeviceResponses | None, chosen: Chosen) -> Tensor:
    """Return power spectra as if the audio had gone through its response: each bin's power times |H|².

    That is exact for a sound that goes on unchanged; what a response of 32 ms smears over a frame of 25 ms is left out.

    Shape:
        power (batch, frame, 513) → the same
    """
    if responses is None:
        return power
    gain = torch.where(chosen.through[:, None], responses.power[chosen.response.clamp(min=0)], 1.0)
    return power * gain[:, None]


def through_audio(audio: Tensor, responses: DeviceResponses | None, chosen: Chosen) -> Tensor:
    """Return audio convolved with its responses, as long as before.

    Shape:
        (batch, time) → the same
    """
    if responses is None:
        return audio
    return torch.where(chosen.through[:, None], convolve(audio, responses.audio[chosen.response.clamp(min=0)]), audio)


def compressed(power: Tensor, responses: DeviceResponses | None, chosen: Chosen) -> Tensor:
    """Return power spectra of windows through the compressors of the devices whose responses they went through.

    Shape:
        (batch, frame, 513) → the same
    """
    if responses is None or responses.compressors is None:
        return power
    gain_db = gains_db(power, responses.compressors.rows(chosen.response.clamp(min=0)))
    gain = torch.where(chosen.through[:, None], 10.0 ** (gain_db / 10.0), 1.0)
    return power * gain[:, :, None]


def augmented(settings: AugmentSettings, power: Tensor, samples: Tensor, step: Tensor, draws: Draws) -> Tensor:
    """Return what the network sees of training windows: bands up to an edge of this step, masks of each window's own.

    Args:
        power: (batch, 100, 513)
        samples: (batch,) numbers of the windows in the epoch.
        step: (1,) number of the step in the epoch.

    Shape:
        → (batch, 1, 128, 100)
    """
    edge = draws.uniform(Purpose.EDGE, step, None, *settings.upper_hz)[0]
    log = log_mel(power, mel_bank(edge))
    sizes = ((settings.mask_bands, N_MELS, 1), (settings.mask_frames, N_FRAMES, 2))
    numbers = draws.uniform(Purpose.MASK, samples, 2 * len(sizes))
    for place, (widest, length, axis) in enumerate(sizes):
        if widest:
            width = numbers[:, 2 * place] * widest
            log = masked(log, widths=width, starts=numbers[:, 2 * place + 1] * (length - width), axis=axis)
    return scaled(log)[:, None]


def second_of_spectra(spectra: Tensor, recording: Tensor, start: Tensor) -> Tensor:
    """Return (batch, 100, 513) float32: a second of each recording, from frame ``start`` on."""
    frames = start[:, None] + torch.arange(N_FRAMES, device=spectra.device)
    return spectra[recording[:, None], frames].float()


def last_start(n_samples: Tensor) -> Tensor:
    """Return the last frame that a second can begin with."""
    return (n_samples - N_FRAMES * HOP) // HOP
