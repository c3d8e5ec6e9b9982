"""The structure of the three kinds of batches, and that a batch is a function of (seed, epoch, number) alone."""

import numpy as np
import pytest

from roomtrain.errors import RoomtrainError
from roomtrain.papers.goetz.sampling import Batch, BatchSampler, Strategy

ROOMS = np.repeat(np.arange(64) + 100, 10)  # the paper's upstream set with ten positions in each room


def sampler(strategy: str, **options: object) -> BatchSampler:
    return BatchSampler(strategy, options.pop("rooms", ROOMS), **{"n_speech": 128, "seed": 3, **options})  # type: ignore[arg-type]


def epoch(drawn: BatchSampler, n_batches: int) -> list[Batch]:
    return [drawn.batch(0, number) for number in range(n_batches)]


def rows(batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return batch.rir.reshape(-1, 3), batch.speech.reshape(-1, 3), batch.label.reshape(-1, 3)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_every_batch_has_24_classes_of_3(strategy: str) -> None:
    for batch in epoch(sampler(strategy), 20):
        rir, speech, label = rows(batch)
        assert rir.shape == speech.shape == label.shape == (24, 3)
        assert all(array.dtype == np.int64 for array in (batch.rir, batch.speech, batch.label))
        assert (label == label[:, :1]).all()
        assert len(np.unique(label)) == 24
        assert len(np.unique(ROOMS[rir[:, 0]])) == 24
        assert all(len(set(row)) == 3 for row in speech)  # no sample twice in a class
        assert speech.min() >= 0
        assert speech.max() < 128


@pytest.mark.parametrize("strategy", ["soft", "hard"])
def test_soft_and_hard_take_one_fixed_rir_per_room(strategy: str) -> None:
    for batch in epoch(sampler(strategy), 20):
        assert (batch.rir % 10 == 0).all()
        assert (batch.rir == batch.label).all()


def test_hard_shares_its_speech_and_soft_does_not() -> None:
    for batch in epoch(sampler("hard"), 10):
        speech = rows(batch)[1]
        assert (speech == speech[0]).all()
    shared = [np.mean(rows(batch)[1][1:] == rows(batch)[1][0]) for batch in epoch(sampler("soft"), 50)]
    assert np.mean(shared) == pytest.approx(1 / 128, abs=0.005)


def test_posind_takes_other_rirs_of_the_same_room() -> None:
    for batch in epoch(sampler("posind"), 20):
        rir, speech, label = rows(batch)
        assert (ROOMS[rir] == label).all()
        assert all(len(set(row)) == 3 for row in rir)
        assert (speech == speech[0]).all()


def test_posind_repeats_an_rir_only_where_the_room_has_too_few() -> None:
    uneven = np.array([0, 1, 1, 2, 2, 2, 2])
    for batch in epoch(sampler("posind", rooms=uneven, n_classes=3), 20):
        rir, _, label = rows(batch)
        for row, room in zip(rir, label[:, 0], strict=True):
            assert len(set(row)) == min(3, int((uneven == room).sum()))


def test_all_rirs_may_be_classes() -> None:
    seen = np.concatenate([batch.rir for batch in epoch(sampler("hard", all_rirs=True), 128)])
    assert len(np.unique(seen)) > 600  # of 640; 128 × 24 draws miss each with probability 0.8 %
    batch = sampler("hard", all_rirs=True, n_classes=640).batch(0, 0)
    assert sorted(set(batch.label.tolist())) == list(range(640))


@pytest.mark.parametrize("strategy", list(Strategy))
def test_every_class_and_signal_is_drawn_equally_often(strategy: str) -> None:
    batches = epoch(sampler(strategy), 128)
    times = np.unique(np.concatenate([np.unique(batch.label) for batch in batches]), return_counts=True)[1]
    assert len(times) == 64
    assert times.mean() == 48.0
    # Each room is in a batch with p = 24/64: the spread over rooms is that of a binomial, √(128·p·(1-p)) = 5.5.
    assert 3.5 < times.std() < 8.0
    # Hard and posind draw 384 signals an epoch, which miss 6 of 128 on average.
    assert len(np.unique(np.concatenate([batch.speech for batch in batches]))) > 110


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_batch_depends_on_seed_epoch_and_number_alone(strategy: str) -> None:
    def content(seed: int, epoch: int, number: int) -> bytes:
        batch = sampler(strategy, seed=seed).batch(epoch, number)
        return b"".join(array.tobytes() for array in (batch.rir, batch.speech, batch.label))

    assert content(3, 2, 5) == content(3, 2, 5)
    assert len({content(3, 2, 5), content(4, 2, 5), content(3, 1, 5), content(3, 2, 6), content(3, 5, 2)}) == 5


@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 24])
def test_the_parts_of_the_ranks_make_up_the_batch(ranks: int) -> None:
    whole = sampler("posind").batch(1, 2)
    parts = [sampler("posind").batch(1, 2).part(rank, ranks) for rank in range(ranks)]
    for name in ("rir", "speech", "label"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))
    assert {len(part.label) for part in parts} == {72 // ranks}


def test_parts_that_cannot_be_equal_are_refused() -> None:
    batch = sampler("soft").batch(0, 0)
    for rank, ranks in ((0, 5), (2, 2), (-1, 2)):
        with pytest.raises(RoomtrainError, match="divides the classes"):
            batch.part(rank, ranks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "harder"}, "soft, hard, posind"),
        ({"rooms": np.arange(20)}, "n_classes = 24, but soft sampling finds 20 classes in 20 rooms with 20 RIRs"),
        ({"rooms": np.arange(20), "n_classes": 1}, "2 or more"),
        ({"rooms": np.linspace(0, 1, 30)}, "whole numbers"),
        ({"n_speech": 2}, "take more speech"),
        ({"n_augmentations": 1}, "positive"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_input_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(RoomtrainError, match=message):
        sampler(str(options.pop("strategy", "soft")), **options)


def test_few_rooms_work_with_fewer_classes() -> None:
    batch = sampler("soft", rooms=np.arange(5), n_classes=5).batch(0, 0)
    assert sorted(set(batch.label.tolist())) == [0, 1, 2, 3, 4]
