"""Convolution against scipy, noise against its own definition, and seeds that depend on what they name alone."""

import numpy as np
import pytest
import torch
from scipy import signal

from roomtrain import seeds
from roomtrain.errors import RoomtrainError
from roomtrain.reverb import convolve, with_noise
from tests.roomtrain.syncs import no_waiting


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("time", "length"), [(1000, 300), (300, 1000), (997, 1), (1, 50)])
def test_convolve_equals_scipy(time: int, length: int) -> None:
    audio, rirs = some(3, time), some(3, length, seed=1)
    expected = np.stack([signal.convolve(x, h, method="direct")[:time] for x, h in zip(audio.numpy(), rirs.numpy(), strict=True)])
    wet = convolve(audio, rirs)
    assert wet.dtype == torch.float32
    np.testing.assert_allclose(wet, expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("audio", "rirs"), [(some(100), some(1, 5)), (some(2, 100), some(3, 5)), (some(2, 100), some(2, 0)), (some(0, 9), some(0, 5))]
)
def test_convolve_refuses_what_does_not_fit(audio: torch.Tensor, rirs: torch.Tensor) -> None:
    with pytest.raises(RoomtrainError, match="as many rirs"):
        convolve(audio, rirs)


def test_given_noise_has_the_asked_ratio_exactly() -> None:
    audio = some(5, 2000) * torch.tensor([[1e-4], [1.0], [30.0], [1.0], [0.0]])
    drawn = some(5, 2000, seed=1) * torch.tensor([[1.0], [1e-3], [100.0], [1.0], [1.0]])
    snr_db = torch.tensor([-5.0, 20.0, 40.0, torch.inf, 10.0])
    with no_waiting():
        noisy = with_noise(audio, snr_db=snr_db, noise=drawn)
    noise = noisy - audio
    measured = 10.0 * torch.log10(audio.square().sum(dim=1) / noise.square().sum(dim=1))
    torch.testing.assert_close(measured[:4], snr_db[:4], rtol=0, atol=0.02)
    assert torch.equal(noisy[3:], audio[3:])  # no noise at +inf, and none where there is silence
    # It is the noise that was given, at another level.
    assert torch.cosine_similarity(noise[:3], drawn[:3]).min() > 0.999
    # A signal has the same noise in any batch.
    assert torch.equal(with_noise(audio[1:2], snr_db=snr_db[1:2], noise=drawn[1:2]), noisy[1:2])


@pytest.mark.parametrize(
    ("snr_db", "noise"), [(torch.zeros(2), some(2, 99)), (torch.zeros(2), some(1, 100)), (torch.zeros(1), some(2, 100))]
)
def test_given_noise_that_does_not_fit_is_refused(snr_db: torch.Tensor, noise: torch.Tensor) -> None:
    with pytest.raises(RoomtrainError, match="as much noise as audio"):
        with_noise(some(2, 100), snr_db=snr_db, noise=noise)


def test_a_seed_depends_on_every_part_of_its_name() -> None:
    names = [
        (seed, purpose, epoch, sample)
        for seed in (0, 1)
        for purpose in (seeds.Purpose.BATCH, seeds.Purpose.NOISE)
        for epoch in range(4)
        for sample in range(8)
    ]
    drawn = [seeds.integer_seed(seed, purpose, epoch=epoch, sample=sample) for seed, purpose, epoch, sample in names]
    # Different also in the lower 32 bits, which are all that torch's generator on the CPU takes.
    assert len({number % 2**32 for number in drawn}) == len(names)
    assert all(0 <= number < 2**63 for number in drawn)
    twice = [seeds.generator(3, seeds.Purpose.CROP, epoch=1, sample=2).random() for _ in range(2)]
    assert twice[0] == twice[1]


def test_seeds_never_change() -> None:
    """Runs of today can be repeated tomorrow: these numbers are part of the promise."""
    assert seeds.integer_seed(0, seeds.Purpose.BATCH) == 4528720627150275586
    assert [(purpose.name, int(purpose)) for purpose in seeds.Purpose][:4] == [
        ("BATCH", 0),
        ("ORDER", 1),
        ("CROP", 2),
        ("NOISE", 3),
    ]


def test_a_seed_below_zero_is_refused() -> None:
    with pytest.raises(RoomtrainError, match="0 or more"):
        seeds.integer_seed(-1, seeds.Purpose.BATCH)
