"""Batches of seconds: which recordings they are of, what is done to them, and that equal settings give equal batches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from roomgen.acoustics.microphones.recorders import compress
from roomtrain.draws import Draws
from roomtrain.errors import RoomtrainError
from roomtrain.paper import Place, get_paper
from roomtrain.papers.icl.augmentation import (
    Chosen,
    DeviceResponses,
    augmented,
    choose,
    compressed,
    second_of_spectra,
    through_audio,
    through_spectra,
)
from roomtrain.papers.icl.compression import Compressors, level_db
from roomtrain.papers.icl.data import IclData
from roomtrain.papers.icl.mel import log_mel, mel_bank, power_spectrum
from roomtrain.papers.icl.settings import AugmentSettings, IclSettings
from roomtrain.papers.icl.stages import Row
from roomtrain.papers.icl.tasks import Scenes
from roomtrain.plans import settings_of
from roomtrain.weights import Weights

CPU = Place(torch.device("cpu"), workers=0)
EVERY_BAND = mel_bank(torch.tensor(15_500.0))


@pytest.fixture(scope="module")
def data(icl_made: Path) -> IclData:
    return IclData(icl_made, CPU)


def settings(**overrides: Any) -> IclSettings:
    made = settings_of(get_paper("icl"), "smoke", {key.replace("__", "."): value for key, value in overrides.items()})
    assert isinstance(made, IclSettings)
    return made


def task(data: IclData, *, rank: int = 0, world: int = 1, **overrides: Any) -> Scenes:
    row = Row(settings(**overrides), data, Place(torch.device("cpu"), rank, world, 0))
    found = next(stage for stage in row.stages() if stage.name == "scenes").make(Weights({}))
    assert isinstance(found, Scenes)
    return found


def batch(of: Scenes, epoch: int = 0, step: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = of.device_batch(of.host_batch("train", epoch, step), Draws(of.settings.seed, epoch=epoch))
    return found


def test_power_times_power_of_a_response_stands_for_the_convolution(icl_made: Path, data: IclData) -> None:
    """Against exact convolution of the audio, on scenes and microphones: the mean error is a small part of what responses do."""
    audio = data.audio("train", "memory").rows(np.arange(12))[:, 0]
    bank = data.response_bank("multi")
    responses = DeviceResponses.of(bank.rows(np.arange(0, len(bank), max(len(bank) // 12, 1)))[:12, 0])
    chosen, start = Chosen(torch.arange(12)), torch.arange(12) * 60
    seconds = torch.stack([a[320 * s : 320 * s + 32_000] for a, s in zip(audio, start.tolist(), strict=True)])
    dry, exact = (log_mel(power_spectrum(x), EVERY_BAND) for x in (seconds, through_audio(seconds, responses, chosen)))
    kept = second_of_spectra(power_spectrum(audio).to(torch.bfloat16), torch.arange(12), start)
    near = log_mel(through_spectra(kept, responses, chosen), EVERY_BAND)
    in_db = 10.0 / np.log(10.0)
    error, effect = in_db * (near - exact).abs(), in_db * (exact - dry).abs()
    assert effect.mean() > 1.0
    assert error.mean() < 0.3
    assert error.median() < 0.05


def test_about_the_share_goes_through_a_response_and_all_responses_are_drawn() -> None:
    drawn = choose(
        AugmentSettings(responses="multi", share=0.6), 7, torch.zeros(4000, dtype=torch.long), torch.arange(4000), Draws(1)
    )
    assert drawn.through.float().mean() == pytest.approx(0.6, abs=0.03)
    counts = torch.bincount(drawn.response[drawn.through], minlength=7)
    assert counts.min() > 0.8 * 0.6 * 4000 / 7
    device = torch.arange(4000) % 3
    of_a = choose(AugmentSettings(responses="multi", devices="A"), 7, device, torch.arange(4000), Draws(1))
    assert not of_a.through[device > 0].any()
    assert of_a.through[device == 0].any()


def test_masks_are_as_wide_as_they_may_be_and_lie_everywhere() -> None:
    power = torch.full((3000, 100, 513), torch.nan)
    power[:] = torch.rand(1, 100, 513) + 1.0
    found = augmented(AugmentSettings(), power, torch.arange(3000), torch.tensor([0]), Draws(0))[:, 0]
    masked = found == 0.9  # (0 + 4.5) / 5
    bands, frames = masked.all(dim=2).sum(dim=1), masked.all(dim=1).sum(dim=1)
    assert bands.max() == 47
    assert frames.max() == 23
    assert bands.float().mean() == pytest.approx(23.5, abs=1)  # the floor of uniform numbers below 48
    # As torchaudio rounds both ends down, the last one is never reached.
    assert masked.all(dim=2).any(dim=0)[:-1].all()
    assert masked.all(dim=1).any(dim=0)[:-1].all()


def test_a_step_has_one_upper_edge_which_moves_from_step_to_step() -> None:
    power = torch.rand(2, 100, 513, generator=torch.Generator().manual_seed(0))
    bare = AugmentSettings(mask_bands=0, mask_frames=0)
    steps = [augmented(bare, power, torch.arange(2), torch.tensor([step]), Draws(0)) for step in (0, 0, 1)]
    assert torch.equal(steps[0], steps[1])
    assert not torch.equal(steps[0], steps[2])
    ends = [(log_mel(power, mel_bank(torch.tensor(edge))) + 4.5) / 5.0 for edge in (15_000.0, 16_000.0)]
    top = [end[:, -1].mean() for end in ends]
    assert min(top) <= steps[0][:, 0, -1].mean() <= max(top)


@pytest.mark.parametrize("bank", ["spectra", "memory"])
def test_equal_settings_give_equal_batches_and_others_others(data: IclData, bank: str) -> None:
    one, two = (task(data, train__bank=bank, augment__responses="vintage") for _ in range(2))
    first, again = batch(one), batch(two)
    assert torch.equal(first["x"], again["x"])
    assert first["x"].shape == (8, 1, 128, 100)
    for other in (
        batch(one, step=1),
        batch(one, epoch=1),
        batch(task(data, train__bank=bank, augment__responses="vintage", seed=1)),
    ):
        assert not torch.equal(first["x"], other["x"])


def test_both_banks_hear_the_same_recordings(data: IclData) -> None:
    near, exact = (task(data, train__bank=bank, augment__mask_bands=0, augment__mask_frames=0) for bank in ("spectra", "memory"))
    a, b = batch(near), batch(exact)
    assert torch.equal(a["scene"], b["scene"])
    # Seconds begin within a hop of one another: the spectra of a scene differ by little.
    assert (a["x"].mean(dim=(2, 3)) - b["x"].mean(dim=(2, 3))).abs().max() < 0.05


def test_every_recording_is_heard_once_before_any_is_heard_again(data: IclData) -> None:
    made = task(data, train__batch=5)
    count = len(made.recordings["train"])
    steps = [(epoch, step) for epoch in range(6) for step in range(made.sizes["train"])]
    heard = np.concatenate([made.sampled(*place) for place in steps])[: 4 * count]
    for turn in range(len(heard) // count):
        assert sorted(heard[turn * count : (turn + 1) * count]) == list(range(count))


def test_an_epoch_is_each_recording_or_each_second_of_it(data: IclData) -> None:
    recordings = task(data, train__epoch="recordings", train__batch=4)
    seconds = task(data, train__epoch="seconds", train__batch=4)
    assert recordings.sizes["train"] == len(recordings.recordings["train"]) // 4
    assert seconds.sizes["train"] == recordings.recordings["train"].seconds.sum() // 4
    first, second = (np.concatenate([seconds.sampled(epoch, step) for step in range(seconds.sizes["train"])]) for epoch in (0, 1))
    assert np.bincount(first).max() <= 10
    assert not np.array_equal(first, second)


def test_balanced_batches_have_all_devices_alike(data: IclData) -> None:
    made = task(data, train__balance="device", train__batch=12)
    devices = made.recordings["train"].device
    heard = devices[np.concatenate([made.sampled(0, step) for step in range(100)])]
    shares = np.bincount(heard)[np.unique(devices)] / len(heard)
    assert np.allclose(shares, 1 / len(np.unique(devices)), atol=0.05)
    assert (np.bincount(devices) / len(devices)).max() > 0.6  # device A is heard most otherwise


def test_processes_share_a_batch_out(data: IclData) -> None:
    whole = batch(task(data))
    parts = [batch(task(data, rank=rank, world=2)) for rank in range(2)]
    for rank, part in enumerate(parts):
        torch.testing.assert_close(part["x"], whole["x"][rank::2])
        assert torch.equal(part["class"], whole["class"][rank::2])
        assert torch.equal(part["keep"].rows, whole["keep"].rows)


def test_classes_are_devices_or_devices_with_their_responses(data: IclData) -> None:
    plain = batch(task(data, contrast__weight=1.0, augment__responses="vintage"))["class"]
    both = batch(task(data, contrast__weight=1.0, contrast__classes="device+response", augment__responses="vintage"))["class"]
    n_seen = len(data.seen)
    assert torch.equal(both % n_seen, plain)
    assert len(both.unique()) > len(plain.unique())


def test_the_contrast_comes_in_over_its_first_steps(data: IclData) -> None:
    made = task(data, contrast__weight=2.0, contrast__warmup_steps=8)
    assert [float(batch(made, step // 4, step % 4)["share"]) for step in (0, 3, 7)] == [0.25, 1.0, 2.0]


def test_validation_is_without_any_noise(data: IclData) -> None:
    made = task(data, augment__responses="multi")
    first, later = (made.device_batch(made.host_batch("val", epoch, 0), Draws(0, split=1, epoch=epoch)) for epoch in (0, 3))
    assert torch.equal(first["x"], later["x"])
    windows = data.windows("val", of_each=made.settings.train.val_windows)
    audio = data.audio("val", "memory").rows(windows.recording[:1])[:, 0]
    second = audio[:, windows.second[0] * 32_000 : (windows.second[0] + 1) * 32_000]
    torch.testing.assert_close(first["x"][0, 0], (log_mel(power_spectrum(second), EVERY_BAND)[0] + 4.5) / 5.0, atol=2e-3, rtol=0)


def test_too_few_recordings_or_devices_are_one_error(data: IclData, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RoomtrainError, match=r"fewer than a batch of 4096.*seconds"):
        task(data, train__epoch="recordings", train__batch=4096)
    with pytest.raises(RoomtrainError, match="cannot be shared out"):
        task(data, world=3)
    monkeypatch.setitem(data.__dict__, "seen", ("A",))
    with pytest.raises(RoomtrainError, match=r"one device \(A\).*contrast.weight=0"):
        task(data, contrast__weight=1.0)


def test_frames_are_compressed_as_the_audio_would_be(data: IclData) -> None:
    """Against roomgen's compressor, sample by sample: the mean error is a small part of what compression does."""
    whole = data.audio("train", "memory").rows(np.arange(12))[:, 0].numpy()
    table = data.response_bank("many").table
    table = table[table["drc_ratio"] > 1].iloc[:12]
    names = ("threshold_db", "ratio", "attack_ms", "release_ms", "makeup_db")
    out = np.stack(
        [
            compress(audio[None], fs_hz=32_000, **{name: float(row[f"drc_{name}"]) for name in names})[0]
            for audio, (_, row) in zip(whole, table.iterrows(), strict=True)
        ]
    )
    dry, exact = (power_spectrum(torch.from_numpy(audio[:, 64_000:96_000])) for audio in (whole, out))
    responses = DeviceResponses(torch.ones(12, 1), torch.ones(12, 513), Compressors.of(table, torch.device("cpu")))
    near = compressed(dry, responses, Chosen(torch.arange(12)))
    plain, exact, near = (log_mel(power, EVERY_BAND) * (10.0 / np.log(10.0)) for power in (dry, exact, near))
    effect = (exact - plain).abs().mean()
    assert effect > 2.5
    assert (near - exact).abs().mean() < 0.4 * effect
    assert torch.equal(compressed(dry, responses, Chosen(torch.full((12,), -1))), dry)


def test_a_level_is_that_of_the_audio() -> None:
    rng = np.random.default_rng(0)
    audio = torch.from_numpy(rng.normal(0, 0.03, (2, 32_000)).astype(np.float32))
    expected = 10 * np.log10(np.mean(np.square(audio.numpy()), axis=1))
    np.testing.assert_allclose(level_db(power_spectrum(audio)).mean(dim=1), expected, atol=0.2)


def test_fewer_microphones_are_the_first_of_them(data: IclData) -> None:
    bank = data.response_bank("many")
    made = task(data, augment__responses="many", augment__microphones=2)
    assert made.responses is not None
    assert len(made.responses) == (bank.table["microphone"].isin(["mic000", "mic001"])).sum()
    with pytest.raises(RoomtrainError, match=r"augment.microphones = 4000"):
        task(data, augment__responses="many", augment__microphones=4000)
