"""The tasks of Götz et al.: batches are functions of (seed, epoch, step), kept ones are those made anew, parts make a whole."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from roomtrain.augment import roll_each
from roomtrain.draws import Draws
from roomtrain.estimation import OnEmbeddings
from roomtrain.paper import get_paper
from roomtrain.papers.goetz.data import N_FRAMES, Pairs, Spectrograms
from roomtrain.papers.goetz.spectrogram import log_spectrogram
from roomtrain.papers.goetz.tasks import Contrastive, Supervised, embed_all, new_encoder, worth_keeping
from roomtrain.seeds import Purpose
from tests.roomtrain.made import batch_of, downstream_data, goetz_settings, upstream_data

DRAWS = Draws(0)
HALF = {"rtol": 1e-3, "atol": 1e-2}  # float16 of natural logarithms within ±32


@pytest.fixture(autouse=True)
def _few_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roomtrain.papers.goetz.data._DRAWN", 128)  # of 40 spectrograms that there are: enough


def contrastive(*, rank: int = 0, world: int = 1, **values: Any) -> Contrastive:
    settings = goetz_settings(**values)
    return Contrastive(settings, upstream_data(settings), rank=rank, world=world)


def supervised(target: str = "volume", *, rank: int = 0, world: int = 1, **values: Any) -> Supervised:
    settings = goetz_settings(**values)
    data = downstream_data(settings)
    return Supervised(settings, get_paper("goetz").target(target), data, {}, rank=rank, world=world)


def heads(target: str = "rt60", *, rank: int = 0, world: int = 1) -> OnEmbeddings:
    random = torch.Generator().manual_seed(0)
    embeddings = {split: torch.randn(n, 64, generator=random) for split, n in (("train", 26), ("val", 300))}
    truth = {split: torch.arange(float(len(e))) for split, e in embeddings.items()}
    goal = get_paper("goetz").target(target)
    return OnEmbeddings(target, goal, embeddings=embeddings, truth=truth, seed=0, batch=8, rank=rank, world=world)


def same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("strategy", "noise"), [("soft", None), ("posind", (5.0, 15.0))])
def test_kept_spectrograms_are_those_made_anew(strategy: str, noise: tuple[float, float] | None) -> None:
    kept = contrastive(strategy=strategy, snr_db=noise, shift=True)
    fresh = contrastive(strategy=strategy, snr_db=noise, shift=True, cache_gb=0)
    # Training noise is new in every epoch: nothing with it is kept.
    assert (kept.keeps, fresh.keeps) == ({"train", "val"} if noise is None else {"val"}, set())
    for split, epoch, step in (("train", 1, 2), ("val", 0, 0)):
        one, other = (batch_of(task, split, epoch, step) for task in (kept, fresh))
        assert one[0].shape == (8, 1, 17, 3999)
        assert one[0].dtype == other[0].dtype == torch.float32
        torch.testing.assert_close(one[0], other[0], **HALF)
        assert torch.equal(one[1], other[1])


def test_what_fits_the_limit_is_kept_and_no_more() -> None:
    of_val = 8 * 4 * 17 * 3999 * 2 / 1e9
    assert contrastive(cache_gb=of_val * 1.01).keeps == {"val"}  # train has five segments, val four
    assert contrastive(cache_gb=of_val * 0.99).keeps == set()
    assert worth_keeping(goetz_settings(cache_gb=6 * 17 * 3999 * 2 / 1e9), {"train": 24, "val": 6}) == {"val"}


def test_a_batch_is_the_spectrogram_of_that_speech_through_that_response() -> None:
    task = contrastive(cache_gb=0)
    x, labels = batch_of(task, "train", 0, 1)
    sampled, data = task.sampled("train", 0, 1), task.data.splits["train"]
    for place in range(len(x)):
        speech, rir = (bank.audio[:, 0].double().numpy() for bank in (data.speech, data.rirs))
        wet = np.convolve(speech[sampled.speech[place]], rir[sampled.rir[place]])[: 4 * 16_000]
        expected = log_spectrogram(torch.from_numpy(wet.astype(np.float32))[None], standardise=False)[0]
        torch.testing.assert_close(x[place], expected, rtol=1e-3, atol=1e-2)
    assert labels.tolist() == sampled.label.tolist() == task.data.room_of_rir[sampled.rir].tolist()
    assert task.keys(0, 1) == [f"rir-{r} × speech-5-{s}" for r, s in zip(sampled.rir, sampled.speech, strict=True)]


def every_spectrogram(task: Contrastive) -> Tensor:
    batch_of(task, "train")  # which makes all of them
    return task._kept["train"].float()


def test_the_encoder_sees_mean_0_and_variance_1_over_the_training_set() -> None:
    task = contrastive(standardise="dataset")
    every = every_spectrogram(task)
    seen = (every - task.encoder.mean) / task.encoder.deviation
    assert abs(float(seen.mean())) < 0.05  # of 512 drawn spectrograms, not of each once
    assert float(seen.std()) == pytest.approx(1.0, abs=0.05)
    assert seen.mean(dim=(1, 2, 3)).std() > 0.05  # levels differ still
    alone = contrastive(standardise="spectrogram")
    assert (float(alone.encoder.mean), float(alone.encoder.deviation)) == (0.0, 1.0)
    assert every_spectrogram(alone).mean(dim=(1, 2, 3)).abs().max() < 1e-2


def test_gains_are_constants_within_their_limits() -> None:
    plain, louder = contrastive(shift=True), contrastive(shift=True, gain_db=12.0)
    added = batch_of(louder, "train", 1, 2)[0] - batch_of(plain, "train", 1, 2)[0]
    gains_db = added.mean(dim=(1, 2, 3)) * 10.0 / np.log(10.0)
    assert added.var(dim=(1, 2, 3)).max() < 1e-9
    assert gains_db.abs().max() <= 12.0
    assert gains_db.std() > 3.0
    assert gains_db.unique().numel() == len(gains_db)
    assert torch.equal(batch_of(louder, "val", 0, 0)[0], batch_of(plain, "val", 0, 0)[0])
    parts = [batch_of(contrastive(shift=True, gain_db=12.0, rank=rank, world=2), "train", 1, 2)[0] for rank in (0, 1)]
    torch.testing.assert_close(torch.cat(parts), batch_of(louder, "train", 1, 2)[0])
    with pytest.raises(ValueError, match="gain_db"):
        goetz_settings(standardise="spectrogram", gain_db=12.0)


def test_levelled_spectrograms_do_not_change_with_the_gain() -> None:
    task = contrastive()
    spectrograms, pairs = task.data.splits["val"], Pairs(np.arange(4), np.arange(4), np.arange(4))
    before = embed_all(task.encoder, spectrograms, pairs, draws=DRAWS, levelled=True)
    assert not torch.allclose(before, embed_all(task.encoder, spectrograms, pairs, draws=DRAWS), atol=1e-3)
    made = spectrograms.make(*pairs.tensors(), draws=DRAWS)
    assert task.encoder.levelled(made).mean(dim=(1, 2, 3)) == pytest.approx(float(task.encoder.mean), abs=1e-3)
    spectrograms.speech.audio.mul_(0.01)
    quieter = Spectrograms(spectrograms.speech, spectrograms.rirs)
    torch.testing.assert_close(embed_all(task.encoder, quieter, pairs, draws=DRAWS, levelled=True), before, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("every_rir", "classes"), [(False, {0, 2, 4, 6}), (True, set(range(8)))])
def test_every_response_may_be_a_class(every_rir: bool, classes: set[int]) -> None:
    few = {"n_classes": 4, "n_augmentations": 2, "batches": 3, "val_batches": 1, "every_rir": every_rir}
    task = contrastive(strategy="hard", upstream=few, cache_gb=0)
    assert {int(label) for step in range(12) for label in task.sampled("train", 0, step).label} == classes


def test_train_batches_are_functions_of_seed_epoch_and_step() -> None:
    one, again, other = contrastive(shift=True), contrastive(shift=True), contrastive(shift=True, seed=1)
    batch_of(again, "train", 3, 0)  # whatever was asked for before
    assert same(batch_of(one, "train", 1, 2), batch_of(again, "train", 1, 2))
    for different in (batch_of(one, "train", 1, 1), batch_of(one, "train", 2, 2), batch_of(other, "train", 1, 2)):
        assert not same(batch_of(one, "train", 1, 2), different)


def test_validation_is_the_same_in_every_epoch_and_is_never_turned_round() -> None:
    task, plain = contrastive(shift=True), contrastive()
    first = batch_of(task, "val", 0, 0)
    batch_of(task, "train", 5, 1)
    assert same(first, batch_of(task, "val", 0, 0))
    assert same(first, batch_of(plain, "val", 0, 0))


def test_shifts_turn_spectrograms_round_in_time() -> None:
    task, plain = contrastive(shift=True), contrastive()
    shifts = Draws(0, epoch=1).integers(Purpose.CROP, np.arange(2 * 8, 3 * 8), N_FRAMES)
    assert torch.equal(batch_of(task, "train", 1, 2)[0], roll_each(batch_of(plain, "train", 1, 2)[0], shifts))
    assert shifts.min() < N_FRAMES // 3
    assert shifts.max() > 2 * N_FRAMES // 3


def test_the_parts_of_contrastive_batches_make_the_whole() -> None:
    whole, parts = contrastive(shift=True), [contrastive(shift=True, rank=rank, world=2) for rank in (0, 1)]
    for get in (lambda task: batch_of(task, "train", 1, 2), lambda task: batch_of(task, "val")):
        x, labels = zip(*(get(part) for part in parts), strict=True)
        assert same((torch.cat(x), torch.cat(labels)), get(whole))


@pytest.mark.parametrize("make", [heads, supervised])
def test_the_parts_of_downstream_batches_make_the_whole(make: Any) -> None:
    whole, parts = make(), [make(rank=rank, world=2) for rank in (0, 1)]
    x, truth = batch_of(whole, "train", 1, 2)
    for rank, part in enumerate(parts):
        mine = batch_of(part, "train", 1, 2)
        assert torch.equal(mine[0], x[rank::2])
        assert torch.equal(mine[1], truth[rank::2])
    validated = [torch.cat([batch_of(part, "val", 0, step)[1] for step in range(part.sizes["val"])]) for part in (whole, *parts)]
    assert sorted(torch.cat(validated[1:]).tolist()) == sorted(validated[0].tolist())
    assert len(validated[0]) == whole.n_val


def test_an_epoch_takes_every_sample_at_most_once_in_an_order_of_its_own() -> None:
    task = heads()
    epochs = [np.concatenate([task.places(epoch, step) for step in range(task.sizes["train"])]) for epoch in (0, 1, 0)]
    assert task.sizes == {"train": 3, "val": 2}
    assert all(len(set(places)) == len(places) == 24 for places in epochs)
    assert (epochs[0] == epochs[2]).all()
    assert (epochs[0] != epochs[1]).any()
    validated = torch.cat([batch_of(task, "val", 0, step)[1] for step in range(task.sizes["val"])])
    assert validated.tolist() == list(range(300))


def test_supervised_batches_are_those_of_the_pairs() -> None:
    kept, fresh = supervised("rt60"), supervised("rt60", cache_gb=0)
    places = kept.places(2, 1)
    (x, truth), (made, other_truth) = batch_of(kept, "train", 2, 1), batch_of(fresh, "train", 2, 1)
    torch.testing.assert_close(x, made, **HALF)
    rirs = kept.data.spectrograms["train"].rirs.table
    assert torch.equal(truth, other_truth)
    assert truth.tolist() == pytest.approx(rirs["rt60_s"].to_numpy()[kept.data.pairs["train"].rir[places]].tolist(), rel=1e-6)
    assert len(kept.keys(2, 1)) == 8
    volumes = batch_of(supervised("volume"), "train", 2, 1)[1]
    assert volumes.tolist() == (rirs["volume_m3"].to_numpy()[kept.data.pairs["train"].rir[places]] > 160).astype(int).tolist()


def test_noise_belongs_to_the_sample_and_has_the_ratio_that_was_asked_for() -> None:
    data = downstream_data(goetz_settings()).spectrograms["train"]
    pairs = Pairs(np.array([0, 3, 5]), np.array([1, 0, 2]), np.array([7, 8, 9]))
    clean = data.audio(*pairs.tensors(), draws=DRAWS)
    noisy = data.audio(*pairs.tensors(), draws=DRAWS, snr_db=(12.0, 12.0))
    ratio = 10 * torch.log10(clean.square().mean(dim=1) / (noisy - clean).square().mean(dim=1))
    torch.testing.assert_close(ratio, torch.full((3,), 12.0), atol=0.1, rtol=0)
    alone = data.audio(*pairs.part(slice(1, 2)).tensors(), draws=DRAWS, snr_db=(12.0, 12.0))
    torch.testing.assert_close(noisy[1:2], alone, rtol=1e-4, atol=1e-5)


def test_training_noise_is_new_in_every_epoch_and_that_of_validation_never_nor_the_same() -> None:
    task = contrastive(snr_db=(0.0, 0.0), cache_gb=0)
    rirs, speech = torch.tensor([0, 1]), torch.tensor([1, 2])
    batch = ("train", rirs, speech, torch.tensor([1, 2]), torch.tensor([0, 1]), rirs)

    def heard(split: str, *, of: int, epoch: int) -> Tensor:
        made: Tensor = task.device_batch((split, *batch[1:]), Draws(0, split=of, epoch=epoch))[0]
        return made

    first = heard("train", of=0, epoch=0)
    assert torch.equal(first, heard("train", of=0, epoch=0))
    assert not torch.allclose(first, heard("train", of=0, epoch=1), atol=0.1)
    other = contrastive(snr_db=(0.0, 0.0), cache_gb=0)
    other.data.splits["val"] = task.data.splits["train"]  # the same speech: what differs is the noise alone
    mine: Tensor = other.device_batch(("val", *batch[1:]), Draws(0, split=1))[0]
    assert not torch.allclose(first, mine, atol=0.1)


def test_embeddings_do_not_depend_on_the_batch_they_are_computed_in() -> None:
    settings = goetz_settings(dropout=0.5)
    data, encoder = downstream_data(settings), new_encoder(settings)
    pairs, spectrograms = data.pairs["train"], data.spectrograms["train"]
    whole = embed_all(encoder, spectrograms, pairs, draws=DRAWS)
    assert whole.shape == (24, 64)
    part = embed_all(encoder, spectrograms, pairs.part(slice(5, 9)), draws=DRAWS)
    torch.testing.assert_close(whole[5:9], part, rtol=1e-4, atol=1e-5)
