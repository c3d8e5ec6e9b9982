"""Banks through banks: the convolution that scipy computes in float64, for whatever pairs are asked for, kept or not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from torch import Tensor

from roomtrain.banks import Bank, MappedBank
from roomtrain.banks.mapped import to_records
from roomtrain.errors import RoomtrainError
from roomtrain.reverb import convolve
from roomtrain.reverberator import Responses, Reverberator, Spectra


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def bank_of(audio: Tensor) -> Bank:
    """A bank of (sample, time) or (sample, channel, time)."""
    audio = audio[:, None] if audio.ndim == 2 else audio
    return Bank(audio, pd.DataFrame({"n_samples": [audio.shape[2]] * len(audio)}), 16_000)


def mapped(bank: Bank) -> MappedBank:
    """The same samples as a mapped bank would give them, from memory."""
    records = to_records(bank.audio.numpy(), half=False)
    return MappedBank(records, np.arange(len(bank)), bank.table, bank.fs_hz, bank.n_samples, torch.device("cpu"))


class Counted(Bank):
    """Notes which samples are asked for."""

    def rows(self, indices: Any) -> Tensor:
        self.__dict__.setdefault("asked", []).append(np.asarray(indices).tolist())
        return super().rows(indices)


def pairs_of(*pairs: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])


@pytest.mark.parametrize("keep_bytes", [None, 0])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("n_taps", [1, 37, 300, 1000])
def test_it_is_the_convolution_of_scipy(n_taps: int, channels: int, keep_bytes: float | None) -> None:
    signals, rirs = noise(3, 300), noise(4, channels, n_taps, seed=1)
    pairs = pairs_of((2, 0), (0, 3), (1, 3), (2, 1), (2, 0))
    responses = Responses(bank_of(rirs), n_samples=300, keep_bytes=keep_bytes)
    wet = Reverberator(bank_of(signals), responses, keep_bytes=keep_bytes)(*pairs)
    assert (wet.dtype, wet.shape, wet.is_contiguous()) == (torch.float32, (5, channels, 300), True)
    for row, signal, rir in zip(wet, *pairs, strict=True):
        for heard, response in zip(row, rirs[rir], strict=True):
            expected = fftconvolve(signals[signal].double().numpy(), response.double().numpy())[:300]
            np.testing.assert_allclose(heard.numpy(), expected, atol=1e-5 * np.abs(expected).max())


def test_it_agrees_with_the_convolution_of_one_batch() -> None:
    signals, rirs = noise(5, 256), noise(6, 90, seed=1)
    pairs = pairs_of((4, 1), (0, 5), (3, 0))
    wet = Reverberator(bank_of(signals), Responses(bank_of(rirs), n_samples=256))(*pairs)
    torch.testing.assert_close(wet[:, 0], convolve(signals[pairs[0]], rirs[pairs[1]]), rtol=1e-4, atol=1e-4)


def test_indices_may_be_tensors() -> None:
    reverberator = Reverberator(bank_of(noise(5, 256)), Responses(bank_of(noise(6, 90)), n_samples=256, keep_bytes=0))
    pairs = pairs_of((4, 1), (0, 5), (4, 5))
    assert torch.equal(reverberator(*pairs), reverberator(*map(torch.as_tensor, pairs)))


def test_an_impulse_gives_the_response_and_a_late_one_is_cut_off() -> None:
    rirs = noise(1, 50)
    signals = torch.zeros(2, 80)
    signals[0, 0], signals[1, 60] = 1.0, 1.0
    wet = Reverberator(bank_of(signals), Responses(bank_of(rirs), n_samples=80))(*pairs_of((0, 0), (1, 0)))[:, 0]
    torch.testing.assert_close(wet[0, :50], rirs[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(wet[1, 60:], rirs[0, :20], atol=1e-5, rtol=0)
    assert wet[0, 50:].abs().max() < 1e-5
    assert wet[1, :60].abs().max() < 1e-5  # nothing has wrapped around


def test_the_batch_that_a_pair_is_in_changes_nothing() -> None:
    reverberator = Reverberator(bank_of(noise(3, 200)), Responses(bank_of(noise(3, 40, seed=1)), n_samples=200))
    pairs = [(0, 2), (1, 1), (2, 0)]
    whole = reverberator(*pairs_of(*pairs))
    for place, pair in enumerate(pairs):
        assert torch.equal(whole[place], reverberator(*pairs_of(pair))[0])


# Spectra that are kept, and those that are not


def test_large_banks_are_transformed_piece_by_piece() -> None:
    audio = noise(150, 2, 30)
    spectra = Spectra(bank_of(audio), n_samples=20, n_fft=64)
    assert spectra.kept
    torch.testing.assert_close(spectra.rows(np.arange(150)), torch.fft.rfft(audio[:, :, :20], 64))


def test_spectra_are_kept_up_to_the_limit() -> None:
    needed = 8 * 7 * 2 * 33  # of complex64, samples, channels, frequencies
    bank = bank_of(noise(7, 2, 30))
    assert Spectra(bank, n_samples=30, n_fft=64, keep_bytes=needed).kept
    assert not Spectra(bank, n_samples=30, n_fft=64, keep_bytes=needed - 1).kept


@pytest.mark.parametrize("from_file", [False, True])
def test_spectra_of_a_batch_are_those_that_are_kept(from_file: bool) -> None:
    signals, rirs = bank_of(noise(5, 300)), bank_of(noise(9, 4, 120, seed=1))
    pairs = pairs_of((4, 8), (0, 2), (4, 2), (1, 8), (3, 0))
    kept = Reverberator(signals, Responses(rirs, n_samples=300))(*pairs)
    if from_file:
        responses = Responses(mapped(rirs), n_samples=300, keep_bytes=0)
        made = Reverberator(mapped(signals), responses, keep_bytes=0)(*pairs)
    else:
        made = Reverberator(signals, Responses(rirs, n_samples=300, keep_bytes=0), keep_bytes=0)(*pairs)
    torch.testing.assert_close(made, kept, rtol=0, atol=1e-6 * float(kept.abs().max()))


def test_what_comes_more_than_once_is_transformed_once() -> None:
    rirs = Counted(noise(9, 1, 50), pd.DataFrame({"n_samples": [50] * 9}), 16_000)
    spectra = Spectra(rirs, n_samples=50, n_fft=128, keep_bytes=0)
    wanted = np.array([7, 2, 7, 7, 0, 2])
    found = spectra.rows(wanted)
    assert rirs.__dict__["asked"] == [[0, 2, 7]]
    torch.testing.assert_close(found, torch.fft.rfft(rirs.audio[wanted], 128), rtol=1e-5, atol=1e-5)


# What is refused


@pytest.mark.parametrize(("shape", "n_samples"), [((0, 1, 10), 5), ((2, 1, 0), 5), ((2, 1, 10), 0)])
def test_responses_that_are_none_are_refused(shape: tuple[int, ...], n_samples: int) -> None:
    with pytest.raises(RoomtrainError, match="responses and signals must not be empty"):
        Responses(bank_of(torch.zeros(shape)), n_samples=n_samples)


@pytest.mark.parametrize("shape", [(2, 2, 300), (2, 1, 299), (0, 1, 300)])
def test_signals_of_another_length_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RoomtrainError, match="signals must be of 1 channel and 300 samples"):
        Reverberator(bank_of(torch.zeros(shape)), Responses(bank_of(noise(1, 10)), n_samples=300))


@pytest.mark.parametrize("keep_bytes", [None, 0])
def test_pairs_that_are_not_there_are_refused(keep_bytes: float | None) -> None:
    reverberator = Reverberator(bank_of(noise(3, 200)), Responses(bank_of(noise(3, 40)), n_samples=200, keep_bytes=keep_bytes))
    with pytest.raises(RoomtrainError, match="sample 3 of a bank of 3"):
        reverberator(*pairs_of((0, 0), (1, 3)))
