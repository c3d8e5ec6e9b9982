"""What a target's kind gives it: head, loss, answer and metrics; and training on frozen embeddings."""

import numpy as np
import pytest
import torch

from roomtrain.errors import RoomtrainError
from roomtrain.estimation import OnEmbeddings, Shuffled, answer, build_head, target_loss
from roomtrain.models.heads import Head
from roomtrain.targets import Target
from tests.roomtrain.made import trained

NUMBER = Target("c50", unit="dB", title="C50")
RT60 = Target("rt60", unit="s", positive=True)
CLASS = Target("kind", "class", classes=("small", "large", "hall"))
ANGLE = Target("azimuth", "angle")


def test_heads_follow_from_the_kind() -> None:
    head = build_head(NUMBER, 64, seed=0, truth=torch.tensor([4.0, 8.0]))
    assert isinstance(head, Head)
    assert head(torch.zeros(3, 64)).detach().mean().item() == pytest.approx(6.0, abs=0.2)
    assert build_head(CLASS, 10, seed=0)(torch.zeros(5, 10)).shape == (5, 3)
    assert build_head(ANGLE, 10, seed=0)(torch.zeros(5, 10)).shape == (5, 2)
    assert (build_head(RT60, 10, seed=0)(torch.randn(50, 10)) >= 0).all()
    with pytest.raises(RoomtrainError, match="pesq is a score: there is no head for it"):
        build_head(Target("pesq", "score"), 10, seed=0)


def test_losses_by_hand() -> None:
    loss = target_loss(NUMBER, torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0]))
    assert (loss.value.item(), dict(loss.parts)) == (pytest.approx(2.0), {})
    logits = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    loss = target_loss(Target("v", "class", classes=("a", "b")), logits, torch.tensor([1, 0]))
    assert loss.value.item() == pytest.approx((np.log(2) + np.log(1 + np.exp(2))) / 2, rel=1e-5)
    assert loss.parts["accuracy"].item() == 0.0
    # At right angles: squared distance 2; opposite: 4; the same direction, whatever the length: 0.
    loss = target_loss(ANGLE, torch.tensor([[0.0, 3.0], [-1.0, 0.0], [0.5, 0.0]]), torch.tensor([0.0, 360.0, 720.0]))
    assert loss.value.item() == pytest.approx((2 + 4 + 0) / 3, abs=1e-5)


def test_answers() -> None:
    assert answer(CLASS, torch.tensor([[0.0, 2.0, 1.0]])).tolist() == [1]
    found = answer(ANGLE, torch.tensor([[0.0, 2.0], [-1.0, 0.0], [1.0, -1.0]]))
    assert found.tolist() == pytest.approx([90.0, 180.0, -45.0], abs=1e-4)
    assert answer(NUMBER, torch.tensor([1.5])).tolist() == [1.5]


def test_constants_and_numbers() -> None:
    assert NUMBER.constant(np.array([1.0, 2.0, 6.0])) == 3.0
    assert CLASS.constant(np.array([2, 1, 2])) == 2
    assert ANGLE.constant(np.array([350.0, 20.0])) == pytest.approx(5.0)
    values = NUMBER.numbers(np.array([1.0, 1.0]), np.array([0.0, 2.0]))
    assert values == {"rmse": 1.0, "corr": None, "bias": 0.0}
    assert ANGLE.numbers(np.array([-10.0, 50.0]), np.array([0.0, 0.0])) == {"error": 30.0, "within_20": 0.5}
    assert Target("pesq", "score").numbers(np.array([1.0, 3.0]), np.array([np.nan] * 2)) == {"mean": 2.0}


def test_what_tables_say() -> None:
    assert NUMBER.heading() == "C50 in dB: RMSE / correlation / bias"
    assert CLASS.heading() == "kind in %: accuracy / precision / recall"
    assert (CLASS.text("accuracy", 0.6712), NUMBER.text("rmse", 0.45278), NUMBER.text("corr", None)) == ("67.1", "0.453", "—")
    assert (ANGLE.text("error", 12.345), ANGLE.text("within_20", 0.5)) == ("12.3", "50.0")
    with pytest.raises(ValueError, match="classes belong to the kind"):
        Target("x", "class")


@pytest.mark.parametrize(("target", "worst"), [(NUMBER, 0.1), (ANGLE, 0.05), (CLASS, 0.3)])
def test_a_head_learns_what_is_in_the_embedding(target: Target, worst: float, tmp_path: object) -> None:
    random = torch.Generator().manual_seed(0)
    e = {split: torch.randn(n, 4, generator=random) for split, n in (("train", 512), ("val", 100))}
    made = {
        "number": lambda x: x[:, 0] + 2 * x[:, 1],
        "angle": lambda x: torch.rad2deg(torch.atan2(x[:, 1], x[:, 0])),
        "class": lambda x: x[:, :3].argmax(dim=1),
    }
    truth = {split: made[target.kind](x) for split, x in e.items()}
    task = OnEmbeddings(target.name, target, embeddings=e, truth=truth, seed=0, batch=32)
    fitted = trained(task, tmp_path, max_epochs=12, learning_rate=3e-3)  # type: ignore[arg-type]
    assert fitted.best_loss < worst


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    class Any(Shuffled):
        losses = count = None  # type: ignore[assignment]

    with pytest.raises(RoomtrainError, match="a batch of 16 cannot be shared out among 3 processes"):
        Any(seed=0, n_train=32, n_val=4, batch=16, world=3)
