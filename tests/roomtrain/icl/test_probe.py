"""The device probe: it finds what can be read from embeddings, all devices alike, at any scale, and after any block."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from roomtrain.paper import Place, get_paper
from roomtrain.papers.icl.data import IclData
from roomtrain.papers.icl.network import new_classifier
from roomtrain.papers.icl.probe import DeviceProbe, Standardised, heard
from roomtrain.papers.icl.settings import IclSettings
from roomtrain.plans import settings_of
from tests.roomtrain import made as tasks
from tests.roomtrain.icl.made import forward_by_hand, shared_folder

DIM = 16


def embeddings(devices: Tensor, *, told: tuple[int, ...], by: float = 2.0, seed: int = 0) -> Tensor:
    """Noise, in which each of some devices has a number of its own that is larger."""
    z = torch.randn(len(devices), DIM, generator=torch.Generator().manual_seed(seed))
    for place, device in enumerate(told):
        z[:, place] += by * (devices == device)
    return z


def split(counts: tuple[int, ...]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def trained(folder: Path, z: dict[str, Tensor], devices: dict[str, Tensor], **overrides: Any) -> torch.nn.Module:
    given: dict[str, Any] = {"n_devices": 6, "standardise": True, "batch": 64, "seed": 0, **overrides}
    probe = DeviceProbe(z, devices, **given)
    tasks.trained(probe, folder, max_epochs=15, patience=15, optimizer="adam", learning_rate=0.01)
    return probe.model.eval()


def recalls(model: torch.nn.Module, z: Tensor, devices: Tensor) -> list[float]:
    """The share of each device's embeddings that are told to be its own."""
    with torch.no_grad():
        found = model(z).argmax(dim=1)
    return [float((found[devices == device] == device).float().mean()) for device in range(6)]


def test_devices_that_can_be_read_are_found_and_others_are_not(tmp_path: Path) -> None:
    devices = {"train": split((200,) * 6), "val": split((60,) * 6), "test": split((200,) * 6)}
    z = {name: embeddings(own, told=(1, 4), by=5.0, seed=seed) for seed, (name, own) in enumerate(devices.items())}
    found = recalls(trained(tmp_path, z, devices), z["test"], devices["test"])
    assert min(found[1], found[4]) > 0.9
    others = [found[device] for device in (0, 2, 3, 5)]
    assert np.mean(others) == pytest.approx(0.25, abs=0.08)  # four that are alike
    assert max(others) < 0.6


def test_a_rare_device_is_found_as_often_as_a_common_one(tmp_path: Path) -> None:
    devices = {"train": split((1800, 40, 40, 40, 40, 40)), "val": split((60,) * 6), "test": split((300,) * 6)}
    z = {name: embeddings(own, told=(0, 1, 2, 3, 4, 5), by=2.0, seed=seed) for seed, (name, own) in enumerate(devices.items())}
    found = recalls(trained(tmp_path, z, devices), z["test"], devices["test"])
    # Without weights it is 98 % of device A, and 39 to 51 % of the others.
    assert min(found) > 0.6
    assert max(found) - min(found) < 0.2


def test_standardised_it_is_independent_of_scale_and_place(tmp_path: Path) -> None:
    devices = {"train": split((100,) * 6), "val": split((30,) * 6)}
    z = {name: embeddings(own, told=(0, 3), seed=seed) for seed, (name, own) in enumerate(devices.items())}
    moved = {name: 1e-3 * own * torch.arange(1, DIM + 1) + 7.0 for name, own in z.items()}
    for standardise in (True, False):
        first, second = (
            trained(tmp_path / f"{standardise}-{name}", own, devices, standardise=standardise)
            for name, own in (("as-is", z), ("moved", moved))
        )
        with torch.no_grad():
            apart = (first(z["val"]) - second(moved["val"])).abs().max()
        assert (apart < 1e-2) == standardise


def test_mean_and_deviation_are_those_of_training() -> None:
    one = Standardised(2)
    one.fit(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    assert one(torch.tensor([[4.0, 5.5]])).tolist() == [[2.0, 0.5]]  # a number that never changes keeps its scale


def settings(**overrides: Any) -> IclSettings:
    found = settings_of(get_paper("icl"), "smoke", overrides)
    assert isinstance(found, IclSettings)
    return found


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_what_is_heard_is_a_forward_by_hand(tmp_path_factory: pytest.TempPathFactory, layer: int) -> None:
    data = IclData(shared_folder(tmp_path_factory), Place(torch.device("cpu")))
    windows = data.windows("test")
    model = new_classifier(settings(), 3).train()
    logits, z = heard(model, windows, layer=layer)
    x = (windows.log.float()[:, None] + 4.5) / 5.0
    expected = forward_by_hand(model.state_dict(), x, heads=2, stride=16, layer=layer)
    torch.testing.assert_close(logits, expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(z, expected[1], rtol=1e-4, atol=1e-5)
    assert not any(block._forward_hooks for block in model.transformer.blocks)
