"""Philox against its published vectors, draws against their names and distributions, and a GPU against the CPU."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats

from roomtrain import draws
from roomtrain.draws import Draws, philox
from roomtrain.errors import RoomtrainError
from roomtrain.seeds import Purpose
from tests.roomtrain.syncs import no_waiting

N = 20_000
FULL = 2**32 - 1


def four(*words: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    c0, c1, c2, c3 = (torch.tensor([word]) for word in words)
    return c0, c1, c2, c3


def by_hand(counter: tuple[int, ...], key: tuple[int, int]) -> list[int]:
    """Philox4x32-10 as the paper writes it, on Python's integers."""
    left, right = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
    c, k = list(counter), list(key)
    for _ in range(10):
        low, high = zip(*(((m * x) % 2**32, (m * x) // 2**32) for m, x in zip(left, (c[0], c[2]), strict=True)), strict=True)
        c = [high[1] ^ c[1] ^ k[0], low[1], high[0] ^ c[3] ^ k[1], low[0]]
        k = [(x + w) % 2**32 for x, w in zip(k, right, strict=True)]
    return c


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # kat_vectors of Random123, "philox4x32 10"
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((FULL,) * 4, (FULL,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_numbers(counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]) -> None:
    even, odd = philox(four(*counter), key)
    assert (int(even[0]), int(odd[0]), int(even[1]), int(odd[1])) == expected
    assert by_hand(counter, key) == list(expected)


def test_words_are_those_of_the_counters_that_are_documented() -> None:
    samples = np.array([0, 7, 2**32 + 5, 2**48 - 1])
    words = Draws(11, split=3, epoch=2**31 + 9).words(Purpose.NOISE, samples, 10)
    key = draws._key(11, Purpose.NOISE)
    for sample, row in zip(samples.tolist(), words.tolist(), strict=True):
        counters = [(block, sample % 2**32, sample // 2**32 + 3 * 2**16, 2**31 + 9) for block in range(3)]
        assert row == [word for counter in counters for word in by_hand(counter, key)][:10]


def test_keys_of_all_seeds_and_purposes_differ() -> None:
    keys = [draws._key(seed, purpose) for seed in (0, 1, 2, 2**32 - 1) for purpose in Purpose]
    assert len(set(keys)) == len(keys)


def test_draws_never_change() -> None:
    """Runs of today can be repeated tomorrow: these numbers are part of the promise."""
    drawn = Draws(3, split=1, epoch=2)
    assert drawn.words(Purpose.NOISE, np.array([5]), 4).tolist() == [[3554191428, 3220079497, 1838418639, 4123576791]]
    assert drawn.integers(Purpose.CROP, np.array([5, 6]), 1000).tolist() == [997, 340]


@pytest.mark.parametrize("kind", ["words", "uniform", "normal", "integers"])
@pytest.mark.parametrize("at_a_time", [2**14, 6])
def test_a_sample_depends_on_neither_its_batch_nor_the_length(kind: str, at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(samples: list[int], n: int) -> torch.Tensor:
        more = {"high": 10**6} if kind == "integers" else {}
        result: torch.Tensor = getattr(Draws(1, epoch=4), kind)(Purpose.NOISE, np.array(samples, dtype=np.int64), n=n, **more)
        assert result.shape == (len(samples), n)
        assert result.is_contiguous()
        return result

    rounding = {"rtol": 1e-6, "atol": 1e-6} if kind == "normal" else {"rtol": 0, "atol": 0}
    whole = drawn([5, 2**40, 0, 9], 41)
    monkeypatch.setattr(draws, "_BLOCKS_CPU", at_a_time)
    torch.testing.assert_close(drawn([0, 5], 41), whole[[2, 0]], **rounding)
    for n in (1, 2, 3, 4, 5, 40):
        torch.testing.assert_close(drawn([5, 2**40, 0, 9], n), whole[:, :n], **rounding)
    assert drawn([], 5).shape == (0, 5)


def test_one_number_for_each_sample_is_the_first_of_many() -> None:
    samples = torch.arange(6)
    drawn = Draws(0)
    assert torch.equal(drawn.uniform(Purpose.SNR, samples), drawn.uniform(Purpose.SNR, samples, 3)[:, 0])
    assert torch.equal(drawn.integers(Purpose.SNR, samples, 99), drawn.integers(Purpose.SNR, samples, 99, n=3)[:, 0])


def test_every_part_of_the_name_gives_other_numbers() -> None:
    rows = [
        draw.normal(purpose, np.array([sample]), N)[0]
        for draw, purpose, sample in [
            (Draws(0), Purpose.NOISE, 0),
            (Draws(1), Purpose.NOISE, 0),
            (Draws(0, split=1), Purpose.NOISE, 0),
            (Draws(0, epoch=1), Purpose.NOISE, 0),
            (Draws(0), Purpose.SNR, 0),
            (Draws(0), Purpose.NOISE, 1),
            (Draws(0), Purpose.NOISE, 2**32),  # the upper half counts too
        ]
    ]
    rows.append(rows[0].roll(1))  # neighbours, and the two of a pair
    rows.append(rows[0].roll(2))
    for one, other in combinations(rows[:7], 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / N**0.5
        assert abs(np.corrcoef(one.square(), other.square())[0, 1]) < 4.5 / N**0.5
    for shifted in rows[7:]:
        assert abs(np.corrcoef(rows[0], shifted)[0, 1]) < 4.5 / N**0.5


def test_normal_numbers_are_normal() -> None:
    drawn = Draws(5).normal(Purpose.NOISE, np.arange(10), N).double()
    assert stats.kstest(drawn.flatten(), "norm").pvalue > 1e-3
    assert drawn.mean().abs() < 4.5 / (10 * N) ** 0.5
    assert (drawn.var() - 1).abs() < 4.5 * (2 / (10 * N)) ** 0.5
    assert (drawn**4).mean() == pytest.approx(3, abs=4.5 * (96 / (10 * N)) ** 0.5)
    across = drawn.mean(dim=1) * N**0.5  # rows by themselves: means that spread as they should
    assert stats.kstest(across, "norm").pvalue > 1e-3


def test_extreme_words_give_finite_normal_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in (0, 1, FULL):
        monkeypatch.setattr(
            draws, "philox", lambda counter, key, word=word: (torch.full((2, 1, 1), word), torch.full((2, 1, 1), word))
        )
        drawn = Draws(0).normal(Purpose.NOISE, np.array([0]), 4)
        assert drawn.isfinite().all()
        assert drawn.abs().max() < 6.7


def test_uniform_numbers_are_uniform() -> None:
    drawn = Draws(6).uniform(Purpose.SNR, np.arange(10), N).double()
    assert 0 <= drawn.min() < 1e-4
    assert 1 - 1e-4 < drawn.max() < 1
    assert stats.kstest(drawn.flatten(), "uniform").pvalue > 1e-3
    scaled = Draws(6).uniform(Purpose.SNR, np.arange(10), N, low=-5.0, high=20.0).double()
    torch.testing.assert_close(scaled, drawn * 25 - 5, rtol=0, atol=1e-5)


@pytest.mark.parametrize("high", [1, 2, 10, 3 * 2**29, 2**31])
def test_whole_numbers_cover_their_range_evenly(high: int) -> None:
    drawn = Draws(7).integers(Purpose.CROP, np.arange(N), high)
    assert drawn.shape == (N,)
    assert 0 <= int(drawn.min()) <= int(drawn.max()) < high
    bins = min(high, 6)
    counts = np.bincount((drawn.numpy() * bins) // high, minlength=bins)
    shares = np.diff(-(-np.arange(bins + 1) * high // bins)) / high
    assert high == 1 or stats.chisquare(counts, shares * N).pvalue > 1e-3


def test_whole_numbers_are_the_64_bits_times_high() -> None:
    samples = np.arange(200)
    words = Draws(7).words(Purpose.CROP, samples, 2).tolist()
    for high in (10, 2**31):
        expected = [((upper * 2**32 + lower) * high) >> 64 for upper, lower in words]
        assert Draws(7).integers(Purpose.CROP, samples, high).tolist() == expected


def test_whole_numbers_below_a_bound_for_each_sample() -> None:
    highs = torch.tensor([1, 5, 1000] * 10)
    drawn = Draws(7).integers(Purpose.CROP, np.arange(30), highs)
    alone = [int(Draws(7).integers(Purpose.CROP, np.array([i]), int(high))) for i, high in enumerate(highs)]
    assert drawn.tolist() == alone


@pytest.mark.parametrize("values", [{"seed": -1}, {"split": -1}, {"split": 2**16}, {"epoch": -1}, {"epoch": 2**32}])
def test_names_out_of_range_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(RoomtrainError, match="0 or more, the split below"):
        Draws(**{"seed": 0, **values})


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.array([0, -1]), "samples from -1 to 0"),
        (np.array([2**48]), "below 2"),
        (np.array([[1]]), "int64, not"),
        (np.array([1.0]), "int64, not"),
    ],
)
def test_samples_that_are_none_are_refused(samples: np.ndarray, said: str) -> None:
    with pytest.raises(RoomtrainError, match=said):
        Draws(0).uniform(Purpose.SNR, samples)


def test_counts_out_of_range_are_refused() -> None:
    with pytest.raises(RoomtrainError, match="0 numbers for each sample"):
        Draws(0).normal(Purpose.NOISE, np.array([0]), 0)
    for high in (0, 2**31 + 1):
        with pytest.raises(RoomtrainError, match=f"high = {high}"):
            Draws(0).integers(Purpose.NOISE, np.array([0]), high)


def every_kind(device: str) -> Iterator[torch.Tensor]:
    drawn, samples = Draws(9, split=2, epoch=70_000, device=device), np.array([3, 2**33, 4])
    yield drawn.words(Purpose.NOISE, samples, 70_001)
    yield drawn.uniform(Purpose.SNR, samples, 5, low=5.0, high=19.7)
    yield drawn.uniform(Purpose.GAIN, torch.as_tensor(samples), low=-1.0)
    yield drawn.integers(Purpose.CROP, samples, 3999)
    yield drawn.integers(Purpose.CROP, samples, torch.tensor([3, 99, 2**31]), n=3)
    yield drawn.normal(Purpose.NOISE, samples, 70_001)


def test_drawing_waits_for_nothing() -> None:
    with no_waiting():
        assert len(list(every_kind("cpu"))) == 6


def test_a_gpu_draws_what_the_cpu_draws() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.zeros(1, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        on_gpu = list(every_kind("cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    *exact, normal = zip(on_gpu, every_kind("cpu"), strict=True)
    assert all(gpu.is_cuda and torch.equal(gpu.cpu(), cpu) for gpu, cpu in exact)
    torch.testing.assert_close(normal[0].cpu(), normal[1], rtol=1e-5, atol=2e-6)
