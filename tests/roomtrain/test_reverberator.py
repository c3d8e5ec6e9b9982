"""Banks through banks: the convolution that scipy computes in float64, for whatever pairs are asked for."""

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from torch import Tensor

from roomtrain.errors import RoomtrainError
from roomtrain.reverb import convolve
from roomtrain.reverberator import Responses, Reverberator, spectra


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n_taps", [1, 37, 300, 1000])
def test_it_is_the_convolution_of_scipy(n_taps: int) -> None:
    signals, rirs = noise(3, 300), noise(4, n_taps, seed=1)
    pairs = (torch.tensor([2, 0, 1, 2, 2]), torch.tensor([0, 3, 3, 1, 0]))
    wet = Reverberator(signals, Responses(rirs, n_samples=300))(*pairs)
    assert (wet.dtype, wet.shape, wet.is_contiguous()) == (torch.float32, (5, 300), True)
    for row, signal, rir in zip(wet, *pairs, strict=True):
        expected = fftconvolve(signals[signal].double().numpy(), rirs[rir].double().numpy())[:300]
        np.testing.assert_allclose(row.numpy(), expected, atol=1e-5 * np.abs(expected).max())


def test_it_agrees_with_the_convolution_that_keeps_nothing() -> None:
    signals, rirs = noise(5, 256), noise(6, 90, seed=1)
    pairs = torch.tensor([[4, 0, 3], [1, 5, 0]])
    wet = Reverberator(signals, Responses(rirs, n_samples=256))(*pairs)
    torch.testing.assert_close(wet, convolve(signals[pairs[0]], rirs[pairs[1]]), rtol=1e-4, atol=1e-4)


def test_an_impulse_gives_the_response_and_a_late_one_is_cut_off() -> None:
    rirs = noise(1, 50)
    signals = torch.zeros(2, 80)
    signals[0, 0], signals[1, 60] = 1.0, 1.0
    wet = Reverberator(signals, Responses(rirs, n_samples=80))(torch.tensor([0, 1]), torch.tensor([0, 0]))
    torch.testing.assert_close(wet[0, :50], rirs[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(wet[1, 60:], rirs[0, :20], atol=1e-5, rtol=0)
    assert wet[0, 50:].abs().max() < 1e-5
    assert wet[1, :60].abs().max() < 1e-5  # nothing has wrapped around


def test_the_batch_that_a_pair_is_in_changes_nothing() -> None:
    reverberator = Reverberator(noise(3, 200), Responses(noise(3, 40, seed=1), n_samples=200))
    whole = reverberator(torch.tensor([0, 1, 2]), torch.tensor([2, 1, 0]))
    for place, (signal, rir) in enumerate([(0, 2), (1, 1), (2, 0)]):
        assert torch.equal(whole[place], reverberator(torch.tensor([signal]), torch.tensor([rir]))[0])


def test_large_banks_are_transformed_piece_by_piece() -> None:
    bank = noise(150, 30)
    torch.testing.assert_close(spectra(bank, 64), torch.fft.rfft(bank, 64))


@pytest.mark.parametrize(("shape", "n_samples"), [((10,), 5), ((0, 10), 5), ((2, 10), 0)])
def test_responses_that_are_none_are_refused(shape: tuple[int, ...], n_samples: int) -> None:
    with pytest.raises(RoomtrainError, match="responses must be"):
        Responses(torch.zeros(shape), n_samples=n_samples)


@pytest.mark.parametrize("shape", [(300,), (2, 299), (0, 300)])
def test_signals_of_another_length_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RoomtrainError, match=r"signals must be \(signal, 300\)"):
        Reverberator(torch.zeros(shape), Responses(noise(1, 10), n_samples=300))
