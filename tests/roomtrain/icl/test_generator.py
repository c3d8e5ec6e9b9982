"""The generator of device responses: networks counted by hand, and a training that learns, resumes and repeats itself."""

import math
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from roomgen.errors import RoomgenError
from roomgen.settings import resolve
from roomtrain.banks import Bank
from roomtrain.checkpoint import BEST, load_last, read_weights
from roomtrain.journal import read_log
from roomtrain.papers.icl.generator import phases
from roomtrain.papers.icl.generator.data import GeneratorData, generator_data
from roomtrain.papers.icl.generator.generate import generate
from roomtrain.papers.icl.generator.networks import Networks
from roomtrain.papers.icl.generator.settings import FS_HZ, N_SAMPLES, GeneratorSettings
from roomtrain.papers.icl.generator.task import Batch, Generation, shifted
from roomtrain.task import Loss
from tests.roomtrain.made import batch_of, trained
from tests.roomtrain.test_loop import Killed, assert_same

KINDS = ("omni condenser small single end", "cardioid condenser large dual side", "bidirectional ribbon large single side")
NAMES = ("directivity", "transducer", "diaphragm_size", "diaphragm_count", "address")
SMALL: dict[str, Any] = {"width": 16, "discriminator_width": 4, "batch": 16, "code": 2, "norm": "none", "scale": "envelope"}


def toy_bank(*, n_train: int = 3) -> Bank:
    """Microphones (one of them for validation, one for the test) from 24 directions at one distance; decays know all of these."""
    time, rows, audio = np.arange(N_SAMPLES), [], []
    for number in range(n_train + 2):
        split = "train" if number < n_train else ("val", "test")[number - n_train]
        kind = dict(zip(NAMES, KINDS[number % 3].split(), strict=True))
        for angle in range(0, 360, 15):
            front = math.cos(math.radians(angle))
            pulse = np.zeros(N_SAMPLES)
            pulse[0] = 1.0
            audio.append(pulse + (0.2 + 0.1 * front) * np.exp(-time / 8) + 0.05 * (number % 3) * np.exp(-time / 30))
            where = {"angle_deg": float(angle), "distance_m": 1.25}
            rows.append({"key": f"m{number}-{angle:03d}", "split": split, "microphone": f"mic{number}", **kind, **where})
    return Bank(torch.tensor(np.array(audio), dtype=torch.float32)[:, None], pd.DataFrame(rows), FS_HZ)


@pytest.fixture(scope="module")
def data() -> GeneratorData:
    return generator_data(toy_bank())


def task_of(data: GeneratorData, **values: Any) -> Generation:
    return Generation(GeneratorSettings.model_validate({**SMALL, **values}), data)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_lengths_are_16_64_256_1024_and_parameters_those_counted_by_hand() -> None:
    networks = Networks(GeneratorSettings(width=16, discriminator_width=4, code=2), 5)
    sizes: list[tuple[int, ...]] = []
    for module in (*networks.generator.after, *networks.discriminator.shorter):  # type: ignore[union-attr]
        module.register_forward_hook(lambda _, __, y: sizes.append(tuple(y.shape)))
    made, _ = networks(torch.randn(3, 13), torch.tensor([0, 4, -1]), torch.zeros(3, 2))
    assert sizes == [(3, 8, 64), (3, 4, 256), (3, 2, 1024)]
    assert made.shape == (3, 1024)
    assert float(made.detach().abs().max()) <= 1.0
    sizes.clear()
    assert networks.discriminator is not None
    assert networks.discriminator(made, torch.randn(3, 13)).shape == (3,)
    assert sizes[0] == (3, 4, 256)
    assert sizes[2] == (3, 8, 64)
    assert sizes[-1] == (3, 48, 16)
    # 13 + 2 inputs; a layer each with its normalisation and PReLU: first, start, ×4, ×4, ×4; last.
    first, start = 15 * 15 + 15 + 1, 15 * 16 * 16 + 2 * 16 * 16 + 1
    longer = (16 * 8 * 41 + 2 * 8 + 1) + (8 * 4 * 41 + 2 * 4 + 1) + (4 * 2 * 41 + 2 * 2 + 1)
    assert parameters(networks.generator) == first + start + longer + (2 * 41 + 1) == 11_596
    shorter = 4 * 41 + (4 * 8 * 41 + 16) + (8 * 16 * 41 + 32) + (16 * 48 * 41 + 48)
    assert parameters(networks.discriminator) == shorter + (61 * 48 * 3 + 96) + (48 * 16 + 1) == 47_957
    assert parameters(networks) == 11_596 + 47_957 + 5 * 2


def test_the_papers_size_is_that_of_fast_rir_cut_to_1024_samples() -> None:
    with torch.device("meta"):
        generator = Networks(GeneratorSettings(adversarial=0.0, code=0), 3).generator
    longer = 41 * (1024 * 512 + 512 * 256 + 256 * 128) + 2 * (512 + 256 + 128) + 3
    assert parameters(generator) == (13 * 13 + 13 + 1) + (13 * 16384 + 2 * 16384 + 1) + longer + (128 * 41 + 1)


def test_convolutions_by_phases_are_those_of_torch() -> None:
    torch.manual_seed(0)
    transposed = nn.ConvTranspose1d(3, 5, 41, 4, padding=19, output_padding=1, bias=False).double()
    last = nn.Conv1d(5, 1, 41, padding=20).double()
    x = torch.randn(2, 3, 16, dtype=torch.float64)
    torch.testing.assert_close(phases.transposed(transposed, x), transposed(x))
    torch.testing.assert_close(phases.to_one_channel(last, transposed(x)), last(transposed(x)))


def test_the_discriminators_loss_is_the_one_written_out_and_meets_wrong_conditions(data: GeneratorData) -> None:
    task = task_of(data, adversarial=1.0)
    asked: list[tuple[Tensor, Tensor, Tensor]] = []
    networks = task.networks
    assert networks.discriminator is not None
    networks.discriminator.register_forward_hook(lambda _, given, answer: asked.append((*given, answer.detach())))
    batch = batch_of(task, "train")
    assert isinstance(batch, Batch)
    loss = next(task.losses(networks.train(), batch))
    (real, right, real_logits), (fake, also_right, fake_logits), (real_again, wrong, wrong_logits) = asked
    assert torch.equal(real, batch.real)
    assert torch.equal(real_again, batch.real)
    assert not torch.equal(fake, batch.real)
    assert torch.equal(right, batch.conditions)
    assert torch.equal(also_right, batch.conditions)
    assert bool((wrong != batch.conditions).any(dim=1).all())
    order = [int((batch.conditions == row).all(dim=1).nonzero()[0, 0]) for row in wrong]
    assert order == [15, *range(15)]  # every one is another's, and belongs to this batch
    of = {name: logits.double().numpy() for name, logits in (("r", real_logits), ("f", fake_logits), ("w", wrong_logits))}
    expected = np.log1p(np.exp(-of["r"])).mean() + 0.5 * (np.log1p(np.exp(of["f"])).mean() + np.log1p(np.exp(of["w"])).mean())
    assert float(loss.value) == pytest.approx(expected, rel=1e-5)
    assert loss.optimizer == "d"


def test_what_stands_at_the_same_place_is_no_wrong_condition(data: GeneratorData) -> None:
    task = task_of(data, adversarial=1.0)
    batch = batch_of(task, "train")
    alike = Batch(batch.real, batch.conditions[:1].expand_as(batch.conditions), batch.microphone, batch.noise)
    assert float(next(task.losses(task.networks.train(), alike)).parts["wrong"]) == 0.0
    assert float(next(task.losses(task.networks.train(), batch)).parts["wrong"]) > 0.1
    assert torch.equal(shifted(torch.tensor([[1.0], [2.0], [3.0]])), torch.tensor([[3.0], [1.0], [2.0]]))


def test_the_generators_loss_is_the_one_written_out(data: GeneratorData) -> None:
    task = task_of(data, adversarial=0.5, mse_weight=100.0, code_penalty=0.25)
    batch, networks = batch_of(task, "train"), task.networks.train()
    losses = task.losses(networks, batch)
    next(losses)
    loss = next(losses)
    assert networks.codes is not None
    assert networks.discriminator is not None
    code = torch.stack(
        [
            networks.codes.weight[m] + n if m >= 0 else torch.zeros(2)
            for m, n in zip(batch.microphone.tolist(), batch.noise, strict=True)
        ]
    )
    made = networks.generator(torch.cat([batch.conditions, code], dim=1))
    logits = networks.discriminator(made, batch.conditions).detach().double().numpy()
    error = (((made - batch.real) * networks.scale).detach().double().numpy() ** 2).mean() / float(networks.scale.max()) ** 2
    square = (code.detach().double().numpy() ** 2).mean()
    expected = 0.5 * np.log1p(np.exp(-logits)).mean() + 100.0 * error + 0.25 * square
    assert float(loss.value.detach()) == pytest.approx(expected, rel=1e-4)
    assert float(loss.parts["mse"].detach()) == pytest.approx(error, rel=1e-4)


def test_three_steps_of_the_generator_for_each_of_the_discriminator(data: GeneratorData, tmp_path: Path) -> None:
    task = task_of(data, adversarial=1.0)
    assert [loss.optimizer for loss in task.losses(task.networks.train(), batch_of(task, "train"))] == ["d", "g", "g", "g"]
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    trained(task, tmp_path, max_epochs=1, optimizer="rmsprop", learning_rate=1e-3)
    loaded = load_last(tmp_path)
    assert loaded is not None
    weights, state = loaded
    steps = {name: {float(s["step"]) for s in of["state"].values()} for name, of in state["optimizers"].items()}
    assert steps == {"d": {task.sizes["train"]}, "g": {3 * task.sizes["train"]}}
    counts = {name: len(of["state"]) for name, of in state["optimizers"].items()}
    mine = Counter("d" if name.startswith("discriminator.") else "g" for name, _ in task.networks.named_parameters())
    assert counts == dict(mine)
    assert all(not torch.equal(weights[name], before[name]) for name in dict(task.networks.named_parameters()))


def test_without_an_adversary_there_is_one_optimizer_and_no_discriminator(data: GeneratorData) -> None:
    task = task_of(data, adversarial=0.0)
    assert task.networks.discriminator is None
    assert [(loss.optimizer, loss.name) for loss in task.losses(task.networks.train(), batch_of(task, "train"))] == [("all", "g")]


def test_killed_anywhere_the_adversaries_end_as_if_they_never_were(
    data: GeneratorData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    values = {"adversarial": 0.1, "norm": "batch", "condition_noise": 0.2}
    fit = {"max_epochs": 2, "optimizer": "rmsprop", "learning_rate": 1e-3, "save_every_s": 0.0, "ema_decay": 0.5}
    trained(task_of(data, **values), tmp_path / "whole", **fit)
    chance, killed = random.Random(2), 0
    for _ in range(4):
        left = chance.randrange(1, 20)

        class Mortal(Generation):
            def losses(self, model: nn.Module, batch: Batch) -> Iterator[Loss]:
                nonlocal left
                for loss in super().losses(model, batch):
                    left -= 1
                    if left == 0:
                        raise Killed
                    yield loss

        try:
            trained(Mortal(GeneratorSettings.model_validate({**SMALL, **values}), data), tmp_path / "cut", **fit)
        except Killed:
            killed += 1
    trained(task_of(data, **values), tmp_path / "cut", **fit)
    assert killed > 1
    assert_same(tmp_path / "cut", tmp_path / "whole")


def test_the_same_seed_gives_the_same_bytes_and_another_others(data: GeneratorData, tmp_path: Path) -> None:
    for folder, seed in (("one", 1), ("again", 1), ("other", 2)):
        trained(task_of(data, adversarial=0.1, seed=seed), tmp_path / folder, max_epochs=1)
    one, again, other = ((tmp_path / folder / BEST).read_bytes() for folder in ("one", "again", "other"))
    assert one == again
    assert one != other
    settings = GeneratorSettings.model_validate({**SMALL, "adversarial": 0.1})
    weights, conditions = read_weights(tmp_path / "one" / BEST), data.conditions[:7].numpy()
    made = generate(weights, settings, conditions, seed=4)
    assert made.tobytes() == generate(weights, settings, conditions, seed=4).tobytes()
    assert not np.array_equal(made, generate(weights, settings, conditions, seed=5))
    np.testing.assert_allclose(generate(weights, settings, conditions[:3], seed=4), made[:3], atol=1e-5)


def test_it_learns_a_family_of_responses_with_angles_that_it_never_heard(data: GeneratorData, tmp_path: Path) -> None:
    task = task_of(data, adversarial=0.0, hidden=32)
    scale = float(data.scale("envelope").max())
    heard, asked = (data.responses[torch.from_numpy(data.parts[part])] for part in ("train", "val"))
    of_mean = float((asked - heard.mean(dim=0)).square().mean()) / scale**2
    trained(task, tmp_path, max_epochs=60, learning_rate=5e-3, schedule="cosine", patience=None)
    log = [line["mse"] for line in read_log(tmp_path) if line["kind"] == "val"]
    assert min(log) < 0.1 * of_mean
    assert log[-1] < 0.2 * log[0]


def test_widths_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(RoomgenError, match="a multiple of 8"):
        resolve({"width": 20}, {}, model=GeneratorSettings, command="roomtrain config icl")
