"""The features are PaSST's: against torchaudio and torch's own STFT, as that code calls them."""

import numpy as np
import pytest
import torch
import torchaudio
from torch.nn import functional

from roomtrain.errors import RoomtrainError
from roomtrain.papers.icl.mel import N_FRAMES, features, log_mel, masked, mel_bank, n_frames, power_spectrum


def audio(seconds: float = 1.0, *, count: int = 3, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, 0.1, (count, round(32_000 * seconds))).astype(np.float32))


def reference(x: torch.Tensor, upper_hz: float) -> torch.Tensor:
    """Log-mel spectrograms (batch, 128, frame) with the calls of Koutini et al. (2022)."""
    x = functional.conv1d(x[:, None], torch.tensor([[[-0.97, 1.0]]]))[:, 0]
    window = torch.hann_window(800, periodic=False)
    power = torch.stft(x, 1024, hop_length=320, win_length=800, center=True, window=window, return_complex=True).abs() ** 2
    bank, _ = torchaudio.compliance.kaldi.get_mel_banks(128, 1024, 32_000, 0.0, upper_hz, 100.0, -500.0, 1.0)
    return torch.log(functional.pad(bank, (0, 1)) @ power + 1e-5)


@pytest.mark.parametrize("upper_hz", [15_000.0, 15_500.0, 15_777.0, 16_000.0])
def test_log_mel_spectrograms_are_those_of_passt(upper_hz: float) -> None:
    x = audio()
    found = log_mel(power_spectrum(x), mel_bank(torch.tensor(upper_hz)))
    assert found.shape == (3, 128, 100)
    torch.testing.assert_close(found, reference(x, upper_hz), rtol=0, atol=2e-4)


def test_outside_of_training_bands_reach_to_15500_hz_and_values_are_of_order_1() -> None:
    x = audio()
    torch.testing.assert_close(features(x)[:, 0], (reference(x, 15_500.0) + 4.5) / 5.0, rtol=0, atol=1e-4)


def test_ten_seconds_have_a_thousand_frames_and_those_inside_a_second_are_its_own() -> None:
    x = audio(10.0, count=1)
    whole, third = power_spectrum(x), power_spectrum(x[:, 96_000:128_000])
    assert whole.shape == (1, n_frames(320_000), 513)
    assert n_frames(320_000) == 1000
    # Two frames at each end look over the edge of the second, where padding stands in for what is there.
    torch.testing.assert_close(whole[:, 302 : 300 + N_FRAMES - 2], third[:, 2:-2], rtol=1e-4, atol=1e-4)


def test_a_graph_computes_what_an_fft_does(monkeypatch: pytest.MonkeyPatch) -> None:
    x = audio()
    by_fft = power_spectrum(x)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    by_products = power_spectrum(x)
    assert not torch.equal(by_products, by_fft)  # another way, indeed
    torch.testing.assert_close(by_products, by_fft, rtol=1e-3, atol=1e-3)


def test_masks_are_the_stretches_that_they_say() -> None:
    log = torch.ones(2, 5, 4)
    found = masked(log, widths=torch.tensor([2.9, 0.5]), starts=torch.tensor([1.6, 0.0]), axis=1)
    assert found[0, :, 0].tolist() == [1, 0, 0, 1, 1]
    assert found[1].eq(1).all()
    assert masked(log, widths=torch.tensor([1.0, 4.0]), starts=torch.tensor([3.0, 0.0]), axis=2)[:, 0].tolist() == [
        [1, 1, 1, 0],
        [0] * 4,
    ]


def test_too_little_audio_is_refused() -> None:
    with pytest.raises(RoomtrainError, match="more than 513 samples"):
        power_spectrum(torch.zeros(1, 513))
