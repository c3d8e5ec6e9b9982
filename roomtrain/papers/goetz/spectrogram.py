"""The spectrograms that the networks see.

Götz et al. (2023), section 3.3: STFT of 16 kHz audio with a window of 32 samples (2 ms) and a hop of 16, so fine in time that
single reflections stay apart; the logarithm of the magnitude; then zero mean and unit variance. The paper does not say which
window: here it is the periodic Hann window. Nor does it say over what mean and variance are taken, but it names LeCun et al. (1998)
for it, who take them over the training set. That keeps what is lost where each spectrogram is standardised by itself: the level,
and how many dB a second a decay falls. So :func:`log_spectrogram` leaves it to the network, unless told to standardise each.

Four seconds are 17 × 3999 numbers. An STFT of 32 samples is little work on much data, and ``torch.stft`` mostly moves memory. The
hop being half the window, each frame is two neighbouring blocks of 16 samples: on the CPU the transform is two small matrix
products on the audio as it lies, signal by signal, so that all of one stays in the cache. That takes half the time or less. On
another device it is one batched FFT: a matrix product might run in TF32 there, too coarse for the quiet bins beside a loud one.

While the networks are exported to a graph, the two products are those of the whole batch: a graph knows neither loops over it nor
an FFT that every runtime would have.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from roomtrain.errors import RoomtrainError

WINDOW = 32
HOP = 16
N_BINS = WINDOW // 2 + 1
SILENCE = -80.0
"""Natural logarithm of the least power, -347 dB: float32 has still all its digits there."""


def n_frames(n_samples: int) -> int:
    """Return how many whole windows fit into a signal, 3999 for four seconds: nothing is padded."""
    return max(0, (n_samples - WINDOW) // HOP + 1)


def log_spectrogram(audio: Tensor, *, standardise: bool, floor_db: float = -100.0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the log spectrogram of each signal: the natural logarithm of the power, or that with mean 0 and variance 1.

    The floor is relative to the loudest bin. -100 dB is about where the noise of 16-bit audio lies: of LibriSpeech few bins in a
    hundred or in a thousand are below. Digital silence, whose logarithm would be -∞, comes to lie there; a silent signal is
    :data:`SILENCE` everywhere. Multiplying a signal by g adds 2·ln g everywhere. Standardised, the result does not change with the
    signal's level; a silent signal, or one that is alike everywhere, becomes 0.

    Args:
        audio: floating point, any scale. Computed in float32 also where autocast is on.
        standardise: each spectrogram by itself.
        floor_db: what lies lower, against the loudest bin of the spectrogram, is raised to it. Below 0.
        dtype: of the result. float16 and bfloat16 halve a cache; standardised, with steps of 0.002 and 0.016 between 2 and 4, else
            of 0.008 and 0.06 between 8 and 16.

    Shape:
        (batch, time) → (batch, 1, 17, (time - 32) // 16 + 1)

    Raises:
        RoomtrainError: another shape, less audio than a window, a floor that is not below 0, or a dtype that is not floating point.
    """
    if audio.ndim != 2 or audio.shape[1] < WINDOW or not audio.is_floating_point():
        raise RoomtrainError(
            f"log_spectrogram takes floating-point audio (batch, time) of {WINDOW} samples or more, "
            f"not {tuple(audio.shape)} {audio.dtype}."
        )
    if not -300.0 <= floor_db < 0.0:
        raise RoomtrainError(f"floor_db = {floor_db}: below 0 and at least -300, such as -100.")
    if not dtype.is_floating_point:
        raise RoomtrainError(f"dtype = {dtype}: a floating-point one, such as torch.float16.")
    audio = audio.detach().float()
    floor = 10.0 ** (floor_db / 10.0)
    if torch.compiler.is_exporting():
        return _log(_power_of_batch(audio), floor, standardise)[:, None].to(dtype)
    if audio.device.type != "cpu":
        return _log(_power_fft(audio), floor, standardise)[:, None].to(dtype)
    features = torch.empty((len(audio), 1, N_BINS, n_frames(audio.shape[1])), dtype=dtype)
    with torch.autocast("cpu", enabled=False):
        for signal, feature in zip(audio, features, strict=True):
            feature.copy_(_log(_power_matrix(signal)[None], floor, standardise))
    return features


def _power_fft(audio: Tensor) -> Tensor:
    """Return |STFT|² of (batch, time) as (batch, bin, frame), by a batched FFT."""
    window = torch.hann_window(WINDOW, device=audio.device)
    spectrum = torch.fft.rfft(audio.unfold(1, WINDOW, HOP) * window)
    power: Tensor = spectrum.real.square() + spectrum.imag.square()
    return power.transpose(1, 2).contiguous()


def _power_matrix(signal: Tensor) -> Tensor:
    """Return |STFT|² of (time,) as (bin, frame), by two matrix products."""
    frames = n_frames(len(signal))
    blocks = signal[: HOP * (frames + 1)].view(-1, HOP).T  # (16, frame + 1), a view
    parts = torch.addmm(_FIRST @ blocks[:, :-1], _SECOND, blocks[:, 1:])
    power = parts[:N_BINS].square()
    power[1:-1].addcmul_(parts[N_BINS:], parts[N_BINS:])
    return power


def _power_of_batch(audio: Tensor) -> Tensor:
    """Return |STFT|² of (batch, time) as (batch, bin, frame), by the same products with nothing written in place."""
    first, second = _FIRST.to(audio.device), _SECOND.to(audio.device)
    frames = n_frames(audio.shape[1])
    blocks = audio[:, : HOP * (frames + 1)].reshape(-1, frames + 1, HOP).transpose(1, 2)  # (batch, 16, frame + 1)
    parts = first @ blocks[:, :, :-1] + second @ blocks[:, :, 1:]
    return parts[:, :N_BINS].square() + functional.pad(parts[:, N_BINS:].square(), (0, 0, 1, 1))


def _basis() -> tuple[Tensor, Tensor]:
    """Return the windowed Fourier basis for the first and the second half of a frame, each (32, 16).

    Its rows are the 17 cosines and the 15 sines that are not zero.
    """
    time = torch.arange(WINDOW, dtype=torch.float64)
    phase = 2.0 * torch.pi / WINDOW * torch.arange(N_BINS, dtype=torch.float64)[:, None] * time
    basis = torch.cat([torch.cos(phase), torch.sin(phase[1:-1])]) * torch.hann_window(WINDOW, dtype=torch.float64)
    return basis[:, :HOP].float().contiguous(), basis[:, HOP:].float().contiguous()


# Not when they are first asked for: that might be while a graph is exported, and what is made then is no tensor of numbers.
_FIRST, _SECOND = _basis()


def _log(power: Tensor, floor: float, standardise: bool) -> Tensor:
    """Return log(power), no less than floor times the largest; if told so, with mean 0 and variance 1 over (bin, frame).

    ``power`` is overwritten. Its logarithm is twice that of the magnitude: a factor that any standardisation takes out.
    """
    lowest = power.amax(dim=(-2, -1), keepdim=True).mul_(floor).clamp_(min=math.exp(SILENCE))
    log = torch.maximum(power, lowest, out=power).log_()
    if not standardise:
        return log
    log -= log.mean(dim=(-2, -1), keepdim=True)
    deviation = torch.linalg.vector_norm(log, dim=(-2, -1), keepdim=True) / (log.shape[-2] * log.shape[-1]) ** 0.5
    # What is constant has a deviation of the rounding of its mean, of which no unit variance must be made.
    return log.mul_(torch.where(deviation > 1e-4, 1.0 / deviation, 0.0))
