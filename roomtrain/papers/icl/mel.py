"""The features that the network sees: log-mel spectrograms of one second, as PaSST computes them.

Koutini et al. (2022) with the settings of Schmidt and Peters (2023), section 5.1: 32 kHz, pre-emphasis, STFT of 1024 with a window
of 800 samples and a hop of 320, power, 128 mel bands as Kaldi has them from 0 to 15.5 kHz, log(x + 1e-5), then (x + 4.5)/5. In
training the upper edge of the bands is drawn between 15 and 16 kHz for each batch, and bands and frames are masked.

The power spectrum stands alone, before the bands, so that a device's response can be applied to it: see :mod:`.spectra`.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from roomtrain.errors import RoomtrainError

FS_HZ = 32_000
N_FFT, WINDOW, HOP = 1024, 800, 320
N_BINS = N_FFT // 2 + 1
N_MELS = 128
UPPER_HZ = 15_500.0
N_SAMPLES = FS_HZ
"""Of a window of audio: one second."""
N_FRAMES = 100
"""Of a window."""
PRE_EMPHASIS = 0.97
_FLOOR = 1e-5
_SHIFT, _SCALE = 4.5, 5.0


def n_frames(n_samples: int) -> int:
    """Return how many frames a signal has, 100 for a second: one for each hop of what pre-emphasis leaves, centred on it."""
    return (n_samples - 1) // HOP + 1


def power_spectrum(audio: Tensor) -> Tensor:
    """Return the power of the short-time spectrum of each signal.

    Computed in float32 also where autocast is on; a constant factor of the power, such as that of the window, is PaSST's.

    Args:
        audio: floating point, at 32 kHz, more than 512 samples.

    Shape:
        (batch, time) → (batch, frame, 513)

    Raises:
        RoomtrainError: another shape, or too short.
    """
    if audio.ndim != 2 or audio.shape[1] <= N_FFT // 2 + 1:
        raise RoomtrainError(
            f"power_spectrum takes audio (batch, time) of more than {N_FFT // 2 + 1} samples, not {tuple(audio.shape)}."
        )
    with torch.autocast(audio.device.type, enabled=False):
        audio = audio.float()
        emphasised = audio[:, 1:] - PRE_EMPHASIS * audio[:, :-1]
        padded = functional.pad(emphasised[:, None], (N_FFT // 2, N_FFT // 2), mode="reflect")[:, 0]
        lead = (N_FFT - WINDOW) // 2
        frames = padded[:, lead:].unfold(1, WINDOW, HOP)[:, : n_frames(audio.shape[1])]
        if torch.compiler.is_exporting():  # a graph knows no FFT that every runtime would have
            parts = frames @ _basis(audio.device)
            return parts[..., :N_BINS].square() + parts[..., N_BINS:].square()
        # Where the window stands in the transform turns phases alone.
        spectrum = torch.fft.rfft(frames * _window(audio.device), n=N_FFT)
        power: Tensor = spectrum.real.square() + spectrum.imag.square()
        return power


def mel_bank(upper_hz: Tensor) -> Tensor:
    """Return Kaldi's triangular filters in mel from 0 Hz to an upper edge, on the edge's device.

    The band of bin k rises and falls linearly over m(f) = 1127 ln(1 + f/700), and its neighbours' centres are its edges.

    Args:
        upper_hz: above 0, at most 16 kHz.

    Shape:
        () → (513, 128)
    """
    hz = torch.arange(N_BINS, device=upper_hz.device, dtype=torch.float32) * (FS_HZ / N_FFT)
    mel, step = _mel(hz), _mel(upper_hz.float()) / (N_MELS + 1)
    place = mel[:, None] / step - torch.arange(N_MELS, device=upper_hz.device, dtype=torch.float32)[None]  # 0…2 inside a band
    return torch.minimum(place, 2.0 - place).clamp_(min=0.0)


def _mel(hz: Tensor) -> Tensor:
    return 1127.0 * torch.log1p(hz / 700.0)


def log_mel(power: Tensor, bank: Tensor) -> Tensor:
    """Return the logarithm of the power in each band.

    Shape:
        power (batch, frame, 513), bank (513, 128) → (batch, 128, frame)
    """
    with torch.autocast(power.device.type, enabled=False):
        return torch.log(power.float() @ bank + _FLOOR).transpose(1, 2)


def scaled(log: Tensor) -> Tensor:
    """Return log-mel spectrograms as the network takes them: about 0 in the mean, with values of order 1."""
    return (log + _SHIFT) / _SCALE


def features(audio: Tensor) -> Tensor:
    """Return the spectrogram of each signal as it is heard outside of training.

    Shape:
        (batch, time) → (batch, 1, 128, frame)
    """
    return scaled(log_mel(power_spectrum(audio), mel_bank(torch.tensor(UPPER_HZ, device=audio.device))))[:, None]


def masked(log: Tensor, *, widths: Tensor, starts: Tensor, axis: int) -> Tensor:
    """Return spectrograms with a stretch of bands (axis 1) or frames (axis 2) set to 0, one in each.

    Park et al. (2019), SpecAugment. As with torchaudio's masks of their own for each sample, a stretch is [start, start + width).

    Args:
        widths, starts: (batch,) floating point, in bands or frames; both ends are rounded down.

    Shape:
        (batch, 128, frame) → (batch, 128, frame)
    """
    place = torch.arange(log.shape[axis], device=log.device)
    first, last = starts.floor()[:, None], (starts.floor() + widths.floor())[:, None]
    inside = (place >= first) & (place < last)
    return log.masked_fill(inside[:, :, None] if axis == 1 else inside[:, None, :], 0.0)


@lru_cache(maxsize=8)
def _window(device: torch.device) -> Tensor:
    return torch.hann_window(WINDOW, periodic=False, device=device)


@lru_cache(maxsize=8)
def _basis(device: torch.device) -> Tensor:
    """Return the windowed Fourier basis, (800, 1026): 513 cosines, then 513 sines."""
    time = torch.arange(WINDOW, dtype=torch.float64)[:, None]
    phase = 2.0 * torch.pi / N_FFT * time * torch.arange(N_BINS, dtype=torch.float64)
    window = torch.hann_window(WINDOW, periodic=False, dtype=torch.float64)[:, None]
    return (torch.cat([phase.cos(), phase.sin()], dim=1) * window).float().to(device)


_basis(torch.device("cpu"))  # not while a graph is exported: what is made then is no tensor of numbers
