"""Reverberant and noisy audio, made on the device that trains: y = x * h + n (Götz et al., 2023, eq. 1)."""

from __future__ import annotations

import torch
from scipy import fft as scipy_fft
from torch import Tensor

from roomtrain.errors import RoomtrainError


def convolve(audio: Tensor, rirs: Tensor) -> Tensor:
    """Convolve signals with room impulse responses, each with its own, and cut the result to the length of the signals.

    Args:
        audio: x, floating point; what lies before and behind it is silence.
        rirs: h, shorter ones padded with zeros.

    Shape:
        audio (batch, time), rirs (batch, rir) → (batch, time)

    Raises:
        RoomtrainError: shapes that do not fit.
    """
    if audio.ndim != 2 or rirs.ndim != 2 or len(audio) != len(rirs) or 0 in audio.shape or 0 in rirs.shape:
        raise RoomtrainError(
            "convolve takes audio (batch, time) and as many rirs (batch, rir), not empty, "
            f"not {tuple(audio.shape)} and {tuple(rirs.shape)}."
        )
    n_fft = fft_length(audio.shape[1], rirs.shape[1])
    wet: Tensor = torch.fft.irfft(torch.fft.rfft(audio, n_fft) * torch.fft.rfft(rirs.to(audio.dtype), n_fft), n_fft)
    return wet[:, : audio.shape[1]].contiguous()


def fft_length(n_samples: int, n_taps: int) -> int:
    """Return an FFT length from which on nothing wraps around in a convolution; it has small factors only."""
    return int(scipy_fft.next_fast_len(n_samples + n_taps - 1, real=True))


def with_noise(audio: Tensor, *, snr_db: Tensor, noise: Tensor) -> Tensor:
    """Add noise, scaled so that each signal has exactly its signal-to-noise ratio.

    The ratio is between the energies of these very samples: the noise is scaled by its own energy, not by its expectation. A silent
    signal stays silent, as no noise stands in a finite ratio to it; an SNR of +inf adds none.

    Args:
        audio: floating point.
        snr_db: in dB.
        noise: as it was drawn, of any level but silence; for white noise see :meth:`roomtrain.draws.Draws.normal`.

    Shape:
        audio (batch, time), snr_db (batch,), noise (batch, time) → (batch, time)

    Raises:
        RoomtrainError: shapes that do not fit.
    """
    if audio.ndim != 2 or snr_db.shape != audio.shape[:1] or noise.shape != audio.shape:
        raise RoomtrainError(
            "with_noise takes audio (batch, time), snr_db (batch,) and as much noise as audio, "
            f"not {tuple(audio.shape)}, {tuple(snr_db.shape)} and {tuple(noise.shape)}."
        )
    signal, drawn = (x.square().sum(dim=1, dtype=torch.float64) for x in (audio, noise))
    share = 10.0 ** (-snr_db.to(audio.device, torch.float64, non_blocking=True) / 20.0)
    return torch.addcmul(audio, ((signal / drawn).sqrt() * share).to(audio.dtype)[:, None], noise)
