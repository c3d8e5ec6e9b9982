"""The training loop: resumed exactly from wherever it was killed, and every option does what it says, by closed forms."""

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from roomtrain import checkpoint, loop
from roomtrain.checkpoint import BEST, LAST, Saver, load_last, read_weights
from roomtrain.errors import RoomtrainError, Stopped
from roomtrain.fit_settings import FitSettings
from roomtrain.journal import LOG, Journal, read_log
from roomtrain.signals import StopRequest
from roomtrain.task import Loss
from tests.roomtrain.made import Line, Slope, batch_of, loss_of, one_process, trained

EVERYTHING = {
    "max_epochs": 3,
    "ema_decay": 0.9,
    "clip_norm": 1.0,
    "schedule": "cosine",
    "warmup_steps": 4,
    "learning_rate": 0.02,
    "save_every_s": 0.0,
}


class Killed(BaseException):
    """Ends a training where no handler of the code catches it."""


@pytest.fixture
def save_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_LOG_EVERY", 3)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # for power cuts, which are none of these tests


def contents(folder: Path) -> tuple[bytes, bytes, dict[str, Tensor]]:
    """What must be the same however often a training was interrupted."""
    loaded = load_last(folder)
    assert loaded is not None
    return (folder / LOG).read_bytes(), (folder / BEST).read_bytes(), loaded[0]


def assert_same(one: Path, other: Path) -> None:
    (log, best, last), (other_log, other_best, other_last) = contents(one), contents(other)
    assert log == other_log
    assert best == other_best
    assert all(torch.equal(last[name], other_last[name]) for name in last)


@pytest.mark.usefixtures("save_often")
def test_killed_anywhere_it_ends_as_if_it_never_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(Line(), tmp_path / "whole", **EVERYTHING)
    assert len(read_log(tmp_path / "whole")) == 3 * 2 + 4  # per epoch its end and its validation; steps 3, 6, 9, 12
    events = 0
    kill_at = -1

    def event() -> None:
        nonlocal events
        events += 1
        if events == kill_at:
            raise Killed

    real_replace, real_line, real_losses = os.replace, Journal.line, Line.losses

    def replace(source: object, target: object) -> None:
        event()
        real_replace(source, target)  # type: ignore[arg-type]
        event()

    def line(self: Journal, kind: str, **values: object) -> None:
        event()
        real_line(self, kind, **values)  # type: ignore[arg-type]
        event()

    def losses(self: Line, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Iterator[Loss]:
        event()
        yield from real_losses(self, model, batch)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(Journal, "line", line)
    monkeypatch.setattr(Line, "losses", losses)
    trained(Line(), tmp_path / "counted", **EVERYTHING)
    total, killed = events, 0
    for place in range(1, total, 5):
        folder = tmp_path / str(place)
        for again in (0, 7):  # killed twice: the second time after it was resumed
            events, kill_at = 0, again or place
            try:
                trained(Line(), folder, **EVERYTHING)
            except Killed:
                killed += 1
        kill_at = -1
        trained(Line(), folder, **EVERYTHING)
        assert_same(folder, tmp_path / "whole")
    assert killed > total // 5


@pytest.mark.usefixtures("save_often")
@pytest.mark.parametrize("at_step", [1, 4, 5, 12, 15])
def test_asked_to_stop_it_saves_and_goes_on_to_the_same_result(tmp_path: Path, at_step: int) -> None:
    trained(Line(), tmp_path / "whole", **EVERYTHING)

    class Asking(Line):
        def losses(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Iterator[Loss]:
            yield from super().losses(model, batch)
            if len(self.seen) == at_step:
                os.kill(os.getpid(), signal.SIGTERM)

    with StopRequest() as stop:
        with pytest.raises(Stopped, match=f"epoch {(at_step - 1) // 5 + 1}, step {(at_step - 1) % 5 + 1} of 5"):
            trained(Asking(), tmp_path / "asked", stop=stop, **EVERYTHING)
        assert stop.asked == "SIGTERM"
    loaded = load_last(tmp_path / "asked")
    assert loaded is not None
    assert loaded[1]["step"] == at_step
    trained(Line(), tmp_path / "asked", **EVERYTHING)
    assert_same(tmp_path / "asked", tmp_path / "whole")


def test_lines_after_a_stop_at_the_end_of_an_epoch_are_not_written_twice(tmp_path: Path) -> None:
    class AskingLast(Line):
        def losses(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Iterator[Loss]:
            yield from super().losses(model, batch)
            stop.asked = "SIGTERM" if len(self.seen) == self.sizes["train"] else ""

    def dies(*_: object, **__: object) -> None:
        raise Killed

    trained(Line(), tmp_path / "whole", max_epochs=2)
    stop = StopRequest()
    with pytest.raises(Stopped):
        trained(AskingLast(), tmp_path / "run", stop=stop, max_epochs=2)
    with pytest.MonkeyPatch.context() as patched:  # the epoch's lines are written, and then the save dies
        patched.setattr(checkpoint, "save_last", dies)
        with pytest.raises(Killed):
            trained(Line(), tmp_path / "run", max_epochs=2)
    assert len(read_log(tmp_path / "run")) >= 2
    trained(Line(), tmp_path / "run", max_epochs=2)
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_a_finished_training_is_left_as_it_is(tmp_path: Path) -> None:
    first = trained(Line(), tmp_path, max_epochs=2)
    before = contents(tmp_path)
    task = Line()
    again = trained(task, tmp_path, max_epochs=2)
    assert task.seen == []
    assert (again.epochs, again.steps, again.best_loss) == (first.epochs, first.steps, first.best_loss) == (2, 10, first.best_loss)
    assert contents(tmp_path)[:2] == before[:2]
    for name, tensor in task.model.state_dict().items():
        assert torch.equal(tensor, read_weights(tmp_path / BEST)[name])


def test_other_settings_or_another_model_are_refused(tmp_path: Path) -> None:
    trained(Line(), tmp_path, max_epochs=1)
    with pytest.raises(RoomtrainError, match=r"holds a training with other settings or data .*these, now those"):
        loop.fit(Line(), FitSettings(), folder=tmp_path, fabric=one_process(), seed=3, settings_hash="those")
    with pytest.raises(RoomtrainError, match="does not fit") as raised:
        trained(Slope(), tmp_path, max_epochs=1)
    assert raised.value.exit_code == 1


@pytest.mark.usefixtures("save_often")
def test_a_loss_that_is_not_finite_stops_it_and_names_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Saver, "busy", False)  # none is left out because the one before it is still being written
    with pytest.raises(
        RoomtrainError, match=r"the loss is nan in epoch 2, step 3; the batch: sample-1-2-0, .* and 4 more"
    ) as raised:
        trained(Line(poisoned=(1, 2)), tmp_path / "run", **EVERYTHING)
    assert raised.value.exit_code == 1
    loaded = load_last(tmp_path / "run")
    assert loaded is not None
    assert loaded[1]["step"] == 7  # five of the first epoch, two of the second
    assert all(bool(torch.isfinite(tensor).all()) for tensor in loaded[0].values())
    trained(Line(), tmp_path / "run", **EVERYTHING)  # the sample was put right
    trained(Line(), tmp_path / "whole", **EVERYTHING)
    assert_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.usefixtures("save_often")
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_gradient_that_is_not_finite_stops_it(tmp_path: Path, clip_norm: float | None) -> None:
    class Corner(Slope):
        """√(w²) at 0: a finite loss whose gradient is not a number."""

        def losses(self, model: nn.Module, batch: None) -> Iterator[Loss]:
            yield Loss((model(self.gradient) * 0).square().sum().sqrt())

    with pytest.raises(RoomtrainError, match=r"the gradient is not finite in epoch 1, step 1") as raised:
        trained(Corner(), tmp_path, max_epochs=1, clip_norm=clip_norm)
    assert raised.value.exit_code == 1
    assert load_last(tmp_path) is None


def test_a_validation_loss_that_is_not_finite_stops_it(tmp_path: Path) -> None:
    with pytest.raises(RoomtrainError, match="validation loss of epoch 2 is inf"):
        trained(Slope(val=[1.0, math.inf]), tmp_path, max_epochs=3)


@pytest.mark.parametrize(("train_steps", "val_steps"), [(0, 2), (3, 0)])
def test_nothing_to_train_on_is_an_error(tmp_path: Path, train_steps: int, val_steps: int) -> None:
    task = Line(train_steps=train_steps)
    task.sizes = {"train": train_steps, "val": val_steps}
    with pytest.raises(RoomtrainError, match=f"{train_steps} training batches and {val_steps} of validation"):
        trained(task, tmp_path)


def rates(total: int, **settings: object) -> list[float]:
    """The rates that are documented, written down anew."""
    peak, warm = float(settings["learning_rate"]), int(settings.get("warmup_steps", 0))  # type: ignore[call-overload]
    result = [peak * (n + 1) / warm for n in range(warm)]
    for n in range(total - warm):
        result.append(peak * (1 + math.cos(math.pi * n / (total - warm))) / 2 if settings.get("schedule") == "cosine" else peak)
    return result


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 0.01},
        {"learning_rate": 0.01, "warmup_steps": 5},
        {"learning_rate": 0.02, "schedule": "cosine"},
        {"learning_rate": 0.02, "schedule": "cosine", "warmup_steps": 3},
    ],
)
def test_the_learning_rate_is_the_one_that_is_documented(tmp_path: Path, settings: dict[str, object]) -> None:
    steps: list[float] = []

    class Watched(Slope):
        def losses(self, model: nn.Module, batch: None) -> Iterator[Loss]:
            if model.training:
                steps.append(float(self.model.weight.detach()))  # type: ignore[operator]
            yield from super().losses(model, batch)

    trained(Watched(train_steps=4), tmp_path, max_epochs=3, patience=None, **settings)
    loaded = load_last(tmp_path)
    assert loaded is not None
    steps.append(float(loaded[0]["weight"]))
    moved = [before - after for before, after in pairwise(steps)]  # Adam under a constant gradient: the rate
    assert moved == pytest.approx(rates(12, **settings), rel=1e-3, abs=1e-6)


@pytest.fixture
def gradients() -> Iterator[list[Tensor]]:
    """The gradients that the optimizer was given, step by step."""
    found: list[Tensor] = []

    def look(optimizer: torch.optim.Optimizer, *_: object) -> None:
        found.append(torch.cat([p.grad.flatten().clone() for group in optimizer.param_groups for p in group["params"]]))

    handle = register_optimizer_step_pre_hook(look)
    yield found
    handle.remove()


@pytest.mark.parametrize(("clip_norm", "expected"), [(None, (3.0, 4.0)), (1.0, (0.6, 0.8)), (10.0, (3.0, 4.0))])
def test_gradients_are_clipped_to_their_norm_together(
    tmp_path: Path, gradients: list[Tensor], clip_norm: float | None, expected: tuple[float, float]
) -> None:
    trained(Slope((3.0, 4.0), train_steps=2), tmp_path, max_epochs=1, clip_norm=clip_norm)
    assert len(gradients) == 2
    for gradient in gradients:
        assert gradient.tolist() == pytest.approx(expected, rel=1e-5)


def test_the_average_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    task = Line()
    trained(task, tmp_path, max_epochs=2, ema_decay=0.25, patience=None, learning_rate=0.01)
    loaded = load_last(tmp_path)
    assert loaded is not None
    after = [*task.seen[1:], [loaded[0][name] for name, _ in task.model.named_parameters()]]
    mean = [p.double() for p in after[0]]
    for n, weights in enumerate(after[1:], start=1):
        d = min(0.25, (1 + n) / (10 + n))
        mean = [d * m + (1 - d) * w.double() for m, w in zip(mean, weights, strict=True)]
    best = read_weights(tmp_path / BEST)
    for (name, _), expected in zip(task.model.named_parameters(), mean, strict=True):
        torch.testing.assert_close(best[name].double(), expected, rtol=1e-5, atol=1e-7)
    task.model.eval()
    validated = torch.stack([loss_of(task, task.model, batch_of(task, "val", step=step)).value for step in range(2)]).mean()
    assert read_log(tmp_path)[-1]["loss"] == pytest.approx(float(validated.detach()), rel=1e-6)


@pytest.mark.parametrize(
    ("val", "patience", "epochs", "best"),
    [
        ([3.0, 2.0, 2.5, 2.0, 1.0, 0.5], 2, 4, 1),  # as low as the best is no improvement
        ([3.0, 2.0, 2.5, 1.75, 2.0, 2.0], 2, 6, 3),
        ([1.0, 2.0, 2.0, 2.0, 2.0, 2.0], 1, 2, 0),
        ([1.0, 2.0, 2.0, 2.0, 2.0, 2.0], None, 6, 0),
        ([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 1, 6, 5),
    ],
)
def test_patience_and_the_best_epoch(tmp_path: Path, val: list[float], patience: int | None, epochs: int, best: int) -> None:
    task = Slope(val=val, train_steps=4)
    fitted = trained(task, tmp_path, max_epochs=6, patience=patience, learning_rate=0.01)
    assert (fitted.epochs, fitted.best_epoch, fitted.best_loss, fitted.steps) == (epochs, best, val[best], 4 * epochs)
    moved = -float(task.model.weight.detach()) / 0.01  # type: ignore[operator]
    assert moved == pytest.approx(4 * (best + 1), rel=1e-4)  # the weights of the best epoch, not the last


def test_the_log_holds_the_means_between_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_LOG_EVERY", 2)
    trained(Slope(train_steps=5), tmp_path, max_epochs=1, learning_rate=1.0)
    lines = read_log(tmp_path)
    assert [(line["kind"], line["epoch"], line["step"]) for line in lines] == [
        ("train", 0, 2),
        ("train", 0, 4),
        ("train", 0, 5),
        ("val", 0, 5),
    ]
    assert [line["loss"] for line in lines] == pytest.approx([-0.5, -2.5, -4.0, -5.0], rel=1e-5)


def test_a_log_that_a_kill_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    lines = [{"kind": "train", "epoch": 0, "step": step, "loss": 1.0} for step in (1, 2)]
    (tmp_path / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "tr', encoding="utf-8")
    assert read_log(tmp_path) == lines
    journal = Journal(tmp_path, after_step=1, write=True)
    assert journal.lines == 1
    journal.line("train", epoch=0, step=2, values={"loss": 0.5})
    assert journal.lines == 2
    journal.close()
    assert [line["loss"] for line in read_log(tmp_path)] == [1.0, 0.5]


def test_processes_that_do_not_write_leave_the_log_alone(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text('{"step": 1}\n', encoding="utf-8")
    journal = Journal(tmp_path, after_step=0, write=False, sinks=("tensorboard",))
    journal.line("val", epoch=0, step=9, values={"loss": 1.0})
    journal.close()
    assert (tmp_path / LOG).read_text(encoding="utf-8") == '{"step": 1}\n'
    assert [path.name for path in tmp_path.iterdir()] == [LOG]


def test_tensorboard_sees_what_the_log_sees(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    journal = Journal(tmp_path, after_step=0, write=True, sinks=("tensorboard",))
    for step in (1, 2):
        journal.line("val", epoch=0, step=step, values={"loss": step / 2})
    journal.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("val/loss")] == [(1, 0.5), (2, 1.0)]


def test_weights_and_biases_offline_sees_what_the_log_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install 'roomgen[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    folder = tmp_path / "runs" / "upstream"
    folder.mkdir(parents=True)
    journal = Journal(folder, after_step=0, write=True, sinks=("wandb",))
    for step in (1, 2):
        journal.line("val", epoch=0, step=step, values={"loss": step / 2})
    journal.close()
    (record,) = folder.rglob("run-*.wandb")
    until = time.monotonic() + 60.0
    while b"0.5" not in (written := record.read_bytes()) and time.monotonic() < until:
        time.sleep(0.1)  # wandb writes in a process of its own, which may end after we do
    assert record.parent.name.startswith("offline-run-")
    assert b"val/loss" in written
    assert b"0.5" in written


def test_signals_only_ask_and_a_second_interrupt_ends() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with StopRequest() as stop:
        assert stop.asked == ""
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked == "SIGINT"
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_no_checkpoint_holds_more_than_tensors_and_plain_values(tmp_path: Path) -> None:
    trained(Line(), tmp_path, **EVERYTHING)
    state = torch.load(tmp_path / LAST, weights_only=True)
    assert set(state) == {"position", "settings_hash", "optimizers", "precision", "task", "average", "step", "weights"}
    assert state["position"]["done"] is True
