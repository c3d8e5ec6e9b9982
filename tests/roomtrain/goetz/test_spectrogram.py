"""The spectrogram against torch.stft, and the promises that it makes about level, silence and precision."""

import math

import pytest
import torch

from roomtrain.errors import RoomtrainError
from roomtrain.papers.goetz import spectrogram
from roomtrain.papers.goetz.spectrogram import SILENCE, log_spectrogram, n_frames


def speech_like(batch: int, time: int, *, seed: int = 0) -> torch.Tensor:
    """Noise whose level swings by 60 dB, as syllables and pauses do."""
    generator = torch.Generator().manual_seed(seed)
    level = 10.0 ** (-3.0 * torch.rand(batch, time // 500 + 1, generator=generator)).repeat_interleave(500, dim=1)[:, :time]
    return level * torch.randn(batch, time, generator=generator)


def reference(audio: torch.Tensor, floor_db: float = -100.0, *, standardise: bool = True) -> torch.Tensor:
    """The same in float64, as one would write it down."""
    window = torch.hann_window(32, dtype=torch.float64)
    magnitude = torch.stft(audio.double(), 32, 16, window=window, center=False, return_complex=True).abs()
    level_db = 20.0 * torch.log10(magnitude)
    level_db = torch.maximum(level_db, level_db.amax(dim=(1, 2), keepdim=True) + floor_db)
    if not standardise:
        return level_db[:, None] * math.log(10.0) / 10.0
    variance, mean = torch.var_mean(level_db, dim=(1, 2), keepdim=True, correction=0)
    return ((level_db - mean) / variance.sqrt())[:, None]


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("time", [64000, 32, 33, 48, 1000])
def test_equals_torch_stft(time: int, standardise: bool) -> None:
    audio = speech_like(2, time)
    ours = log_spectrogram(audio, standardise=standardise)
    assert ours.shape == (2, 1, 17, (time - 32) // 16 + 1) == (2, 1, 17, n_frames(time))
    assert ours.dtype == torch.float32
    error = (ours - reference(audio, standardise=standardise)).abs()
    # float32 errs by 1e-7 of a frame's loudest bin, which the logarithm magnifies in the rare bins that happen to be near zero.
    assert error.max() < (0.05 if standardise else 0.25)
    assert error.mean() < (1e-5 if standardise else 1e-4)


def test_the_power_is_exact_to_float32() -> None:
    audio = speech_like(3, 4000)
    window = torch.hann_window(32, dtype=torch.float64)
    power = torch.stft(audio.double(), 32, 16, window=window, center=False, return_complex=True).abs().square()
    by_matrix = torch.stack([spectrogram._power_matrix(signal) for signal in audio])
    for ours in (by_matrix, spectrogram._power_fft(audio)):  # the second is what other devices than the CPU run
        assert ours.shape == power.shape
        assert ((ours - power).abs() / power.amax(dim=1, keepdim=True)).max() < 2e-6


def test_each_spectrogram_is_standardised() -> None:
    spectrogram = log_spectrogram(speech_like(4, 8000) * torch.tensor([[1e-6], [1e-2], [1.0], [1e4]]), standardise=True)
    assert spectrogram.mean(dim=(1, 2, 3)).abs().max() < 1e-5
    assert (spectrogram.var(dim=(1, 2, 3), correction=0) - 1.0).abs().max() < 1e-4


def test_the_level_does_not_matter() -> None:
    audio = speech_like(2, 8000)
    audio[:, 3000:4000] = 0.0  # digital silence lies on the floor, which moves with the level
    torch.testing.assert_close(
        log_spectrogram(audio, standardise=True), log_spectrogram(audio * 2.0**-12, standardise=True), rtol=0, atol=1e-5
    )


def test_the_level_is_kept_where_nothing_is_standardised() -> None:
    audio = speech_like(2, 8000)
    quieter = log_spectrogram(audio * 2.0**-12, standardise=False)
    torch.testing.assert_close(quieter, log_spectrogram(audio, standardise=False) - 24.0 * math.log(2.0), rtol=0, atol=1e-4)
    assert torch.equal(log_spectrogram(torch.zeros(1, 640), standardise=False), torch.full((1, 1, 17, 39), SILENCE))


def test_the_floor_is_that_far_below_the_loudest_bin() -> None:
    audio = speech_like(1, 8000)
    audio[:, 4000:] *= 1e-4
    torch.testing.assert_close(
        log_spectrogram(audio, floor_db=-40.0, standardise=True).double(), reference(audio, -40.0), rtol=0, atol=1e-3
    )


def test_silence_and_constants_become_zero() -> None:
    assert torch.equal(log_spectrogram(torch.zeros(2, 640), standardise=True), torch.zeros(2, 1, 17, 39))


def test_a_signal_does_not_depend_on_its_batch() -> None:
    audio = speech_like(3, 4000)
    assert torch.equal(log_spectrogram(audio, standardise=True)[1:2], log_spectrogram(audio[1:2], standardise=True))


@pytest.mark.parametrize(("dtype", "step"), [(torch.float16, 2.0**-9), (torch.bfloat16, 2.0**-6)])
def test_half_precision_only_rounds(dtype: torch.dtype, step: float) -> None:
    audio = speech_like(2, 4000)
    half = log_spectrogram(audio, dtype=dtype, standardise=True)
    assert half.dtype == dtype
    assert torch.equal(half, log_spectrogram(audio, standardise=True).to(dtype))
    assert (half.float() - log_spectrogram(audio, standardise=True)).abs().max() <= step


def test_autocast_changes_nothing() -> None:
    audio = speech_like(2, 4000)
    plain = log_spectrogram(audio, standardise=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(log_spectrogram(audio, standardise=True), plain)


@pytest.mark.parametrize(
    ("audio", "options", "message"),
    [
        (torch.zeros(640), {}, "audio"),
        (torch.zeros(2, 31), {}, "32 samples"),
        (torch.zeros(2, 640, dtype=torch.int16), {}, "floating-point"),
        (torch.zeros(2, 640), {"floor_db": 0.0}, "floor_db"),
        (torch.zeros(2, 640), {"dtype": torch.int16}, "dtype"),
    ],
)
def test_bad_input_is_refused(audio: torch.Tensor, options: dict[str, object], message: str) -> None:
    with pytest.raises(RoomtrainError, match=message):
        log_spectrogram(audio, **options, standardise=True)  # type: ignore[arg-type]
