"""Reverberant and noisy audio, made on the device that trains: y = x * h + n (Götz et al., 2023, eq. 1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft as scipy_fft
from torch import Tensor

from roomtrain.errors import RoomtrainError


def convolve(
    audio: Tensor, rirs: Tensor, *, direct_samples: Tensor | None = None, pairs: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Convolve signals with room impulse responses, and cut the result to the length of the signals.

    With ``direct_samples`` d the result is y[k] = Σ_j h[j] x[k + d - j]: the same sound heard d samples earlier, so that the direct
    sound begins with the signal wherever the source stands. What an RIR holds before d is kept, such as the first half of a
    band-limited pulse.

    Args:
        audio: x, floating point; what lies before and behind it is silence.
        rirs: h, shorter ones padded with zeros.
        direct_samples: whole samples by which each result is advanced, 0…rir - 1.
        pairs: (signal, RIR) indices of each result, for batches where many share a signal or an RIR: each is then transformed
            once. ``direct_samples`` still belongs to the RIRs. Without it signal i meets RIR i.

    Shape:
        audio (batch, time), rirs (batch, rir), direct_samples (batch,) → (batch, time);
        with pairs: audio (signals, time), rirs (n_rirs, rir), direct_samples (n_rirs,), pairs 2 × (batch,) → (batch, time)

    Raises:
        RoomtrainError: shapes that do not fit, or a direct sound outside of its RIR.
    """
    _check(audio, rirs, direct_samples, pairs)
    time = audio.shape[1]
    rirs = rirs.to(audio.dtype)
    # The product of the spectra is a circular convolution; from this length on nothing of what is kept wraps around.
    n_fft = int(scipy_fft.next_fast_len(time + rirs.shape[1] - 1, real=True))
    spectra, responses = torch.fft.rfft(audio, n_fft), torch.fft.rfft(rirs, n_fft)
    if pairs is None:
        product = spectra * responses
    else:
        product = spectra[pairs[0]] * responses[pairs[1]]
        direct_samples = direct_samples[pairs[1].to(direct_samples.device)] if direct_samples is not None else None
    wet: Tensor = torch.fft.irfft(product, n_fft)
    if direct_samples is None:
        return wet[:, :time].contiguous()
    rows = torch.arange(len(wet), device=wet.device)
    advanced: Tensor = wet.unfold(1, time, 1)[rows, direct_samples.to(wet.device, torch.int64)]
    return advanced


def add_noise(audio: Tensor, *, snr_db: Tensor, seeds: Sequence[int] | NDArray[np.int64]) -> Tensor:
    """Add white Gaussian noise, scaled so that each signal has exactly its signal-to-noise ratio.

    The ratio is between the energies of these very samples: the noise that was drawn is scaled by its own energy, not by its
    expectation. A silent signal stays silent, as no noise stands in a finite ratio to it; an SNR of +inf adds none.

    Args:
        audio: floating point.
        snr_db: in dB.
        seeds: of the noise of each signal, see :func:`roomtrain.seeds.integer_seeds`. The noise depends on its seed and on the
            kind of device alone: not on the batch, but CPU and GPU draw differently.

    Shape:
        audio (batch, time), snr_db (batch,), seeds (batch,) → (batch, time)

    Raises:
        RoomtrainError: shapes that do not fit.
    """
    if audio.ndim != 2 or snr_db.shape != audio.shape[:1] or len(seeds) != len(audio):
        raise RoomtrainError(
            "add_noise takes audio (batch, time), snr_db (batch,) and as many seeds, "
            f"not {tuple(audio.shape)}, {tuple(snr_db.shape)} and {len(seeds)}."
        )
    noise = torch.empty_like(audio)
    generator = torch.Generator(audio.device)
    for row, seed in zip(noise, seeds, strict=True):
        row.normal_(generator=generator.manual_seed(int(seed)))
    energies = (x.square().sum(dim=1, dtype=torch.float64) for x in (audio, noise))
    signal, drawn = energies
    gain = (signal / drawn).sqrt() * 10.0 ** (-snr_db.to(audio.device, torch.float64) / 20.0)
    return torch.addcmul(audio, gain.to(audio.dtype)[:, None], noise)


def _check(audio: Tensor, rirs: Tensor, direct_samples: Tensor | None, pairs: tuple[Tensor, Tensor] | None) -> None:
    shapes = f"audio {tuple(audio.shape)}, rirs {tuple(rirs.shape)}"
    if audio.ndim != 2 or rirs.ndim != 2 or 0 in audio.shape or 0 in rirs.shape:
        raise RoomtrainError(f"convolve takes audio (batch, time) and rirs (batch, rir) that are not empty, not {shapes}.")
    if pairs is None and len(audio) != len(rirs):
        raise RoomtrainError(f"convolve pairs signal i with RIR i, but got {shapes}: give as many of each, or 'pairs'.")
    if pairs is not None and (pairs[0].ndim != 1 or pairs[0].shape != pairs[1].shape):
        raise RoomtrainError(f"pairs must be two (batch,) indices, not {tuple(pairs[0].shape)} and {tuple(pairs[1].shape)}.")
    if direct_samples is not None:
        if direct_samples.shape != rirs.shape[:1]:
            raise RoomtrainError(f"direct_samples must be one number per RIR, not {tuple(direct_samples.shape)} for {shapes}.")
        # Only on the CPU: a look at another device would wait for it at every batch, and indexing checks there itself.
        if direct_samples.device.type == "cpu" and not bool(((direct_samples >= 0) & (direct_samples < rirs.shape[1])).all()):
            raise RoomtrainError(f"direct_samples must lie in 0…{rirs.shape[1] - 1}, inside of the RIR.")
