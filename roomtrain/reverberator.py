"""Signals of one bank through responses of another: y = x * h by products of spectra, of one channel or of many.

Spectra of a small bank are computed once and kept; those of a large one are computed for each batch, of the samples that are in it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from roomtrain.banks.bank import Indices, Rows, on_device, on_host
from roomtrain.errors import RoomtrainError
from roomtrain.reverb import fft_length

KEEP_BYTES = {"cpu": 1e9, "cuda": 4e9}
"""How much the spectra of a bank may take to be kept, by device. On a GPU more, as there is more and nothing else is large."""

_ROWS = 64  # samples transformed at a time: what FFTs need besides their result stays small


class Spectra:
    """Spectra of a bank's samples, on the bank's device.

    Args:
        bank: of any kind; what is later than ``n_samples`` is left out.
        n_samples: from each sample so many are taken.
        n_fft: length that they are transformed with.
        keep_bytes: if all spectra (8 bytes × samples × channels × frequencies) take no more than that, they are computed here and
            kept; else for each batch anew. None: :data:`KEEP_BYTES`. It changes the time, and results by rounding alone.
    """

    def __init__(self, bank: Rows, *, n_samples: int, n_fft: int, keep_bytes: float | None = None) -> None:
        self._bank, self._n_samples, self._n_fft = bank, n_samples, n_fft
        limit = KEEP_BYTES.get(bank.device.type, KEEP_BYTES["cpu"]) if keep_bytes is None else keep_bytes
        shape = (len(bank), bank.n_channels, n_fft // 2 + 1)
        self._kept: Tensor | None = None
        if 8 * shape[0] * shape[1] * shape[2] <= limit:
            self._kept = torch.empty(shape, dtype=torch.complex64, device=bank.device)
            for start in range(0, len(bank), _ROWS):
                self._kept[start : start + _ROWS] = self._transformed(np.arange(start, min(start + _ROWS, len(bank))))

    @property
    def kept(self) -> bool:
        """Whether all spectra are kept."""
        return self._kept is not None

    def rows(self, indices: Indices) -> Tensor:
        """Return (batch, channel, n_fft // 2 + 1) complex64.

        What comes more than once is transformed once, unless the indices lie on a GPU: to look at them it had to be waited for.
        """
        if self._kept is not None:
            return self._kept.index_select(0, on_device(indices, len(self._bank), self._kept.device))
        if isinstance(indices, Tensor) and indices.device.type != "cpu":
            return self._transformed(indices)
        wanted = on_host(indices, len(self._bank))
        distinct, places = np.unique(wanted, return_inverse=True)
        if len(distinct) == len(wanted):
            return self._transformed(wanted)
        found = self._transformed(distinct)
        return found.index_select(0, on_device(places, len(distinct), found.device))

    def _transformed(self, indices: Indices) -> Tensor:
        audio = self._bank.rows(indices)[:, :, : self._n_samples].to(self._bank.device, non_blocking=True)
        result: Tensor = torch.fft.rfft(audio, self._n_fft)
        return result


class Responses:
    """A bank of responses, for signals of one length; many banks of signals can share it.

    Args:
        bank: what is later than the signals are long cannot be heard and is left out.
        n_samples: length of the signals.
        keep_bytes: limit for spectra that are kept, see :class:`Spectra`.
    """

    def __init__(self, bank: Rows, *, n_samples: int, keep_bytes: float | None = None) -> None:
        if not len(bank) or not bank.n_samples or n_samples < 1:
            raise RoomtrainError(
                f"responses and signals must not be empty: {len(bank)} of {bank.n_samples} samples, for signals of {n_samples}."
            )
        self.n_samples = n_samples
        self.n_fft = fft_length(n_samples, min(bank.n_samples, n_samples))
        self.spectra = Spectra(bank, n_samples=n_samples, n_fft=self.n_fft, keep_bytes=keep_bytes)


class Reverberator:
    """As :func:`roomtrain.reverb.convolve`, for banks that are used again and again.

    Args:
        signals: one channel, of the length that the responses are for; on the same device.
        responses: of any number of channels.
        keep_bytes: limit for spectra of signals that are kept, see :class:`Spectra`.
    """

    def __init__(self, signals: Rows, responses: Responses, *, keep_bytes: float | None = None) -> None:
        if not len(signals) or (signals.n_channels, signals.n_samples) != (1, responses.n_samples):
            raise RoomtrainError(
                f"signals must be of 1 channel and {responses.n_samples} samples and not none, "
                f"not {len(signals)} of {signals.n_channels} × {signals.n_samples}."
            )
        self._responses = responses
        self._signals = Spectra(signals, n_samples=responses.n_samples, n_fft=responses.n_fft, keep_bytes=keep_bytes)

    def __call__(self, signals: Indices, rirs: Indices) -> Tensor:
        """Return each signal through its response, as long as the signals.

        Args:
            signals, rirs: numbers of samples in the two banks; best as numpy arrays, see :meth:`Spectra.rows`.

        Shape:
            signals (batch,), rirs (batch,) → (batch, channel of the response, time)
        """
        wet = torch.fft.irfft(self._signals.rows(signals) * self._responses.spectra.rows(rirs), self._responses.n_fft)
        cut: Tensor = wet[:, :, : self._responses.n_samples].contiguous()
        return cut
