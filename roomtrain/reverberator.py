"""Every signal of one bank through every response of another: transformed once, multiplied and transformed back per batch."""

from __future__ import annotations

import torch
from torch import Tensor

from roomtrain.errors import RoomtrainError
from roomtrain.reverb import fft_length

_ROWS = 64  # signals transformed at a time: what FFTs need besides their result stays small


class Responses:
    """A bank of responses, transformed for signals of one length; many banks of signals can share it.

    Args:
        rirs: (response, time) float32; what is later than the signals are long cannot be heard and is left out.
        n_samples: length of the signals.
    """

    def __init__(self, rirs: Tensor, *, n_samples: int) -> None:
        if rirs.ndim != 2 or not len(rirs) or n_samples < 1:
            raise RoomtrainError(f"responses must be (response, time) and not empty, not {tuple(rirs.shape)}.")
        rirs = rirs[:, :n_samples]
        self.n_samples = n_samples
        self.n_fft = fft_length(n_samples, rirs.shape[1])
        self.spectra = spectra(rirs, self.n_fft)


class Reverberator:
    """As :func:`roomtrain.reverb.convolve`, for banks that are used again and again.

    Args:
        signals: (signal, time) float32, of the length that the responses were transformed for.
        responses: on the same device.
    """

    def __init__(self, signals: Tensor, responses: Responses) -> None:
        if signals.ndim != 2 or not len(signals) or signals.shape[1] != responses.n_samples:
            raise RoomtrainError(f"signals must be (signal, {responses.n_samples}) and not empty, not {tuple(signals.shape)}.")
        self._responses = responses
        self._signals = spectra(signals, responses.n_fft)

    def __call__(self, signals: Tensor, rirs: Tensor) -> Tensor:
        """Return (batch, time) of (batch,) indices into both banks, as long as the signals."""
        wet = torch.fft.irfft(self._signals[signals] * self._responses.spectra[rirs], self._responses.n_fft)
        cut: Tensor = wet[:, : self._responses.n_samples].contiguous()
        return cut


def spectra(bank: Tensor, n_fft: int) -> Tensor:
    """Return (sample, n_fft // 2 + 1) complex64 of a bank (sample, time)."""
    result = torch.empty((len(bank), n_fft // 2 + 1), dtype=torch.complex64, device=bank.device)
    for start in range(0, len(bank), _ROWS):
        result[start : start + _ROWS] = torch.fft.rfft(bank[start : start + _ROWS], n_fft)
    return result
