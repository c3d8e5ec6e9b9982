"""The scene classifier: its size, its steps against a forward by hand, and released weights that it starts from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from roomtrain.errors import RoomtrainError
from roomtrain.models.heads import count_parameters
from roomtrain.paper import get_paper
from roomtrain.papers.icl.network import SceneClassifier, new_classifier, transformer_config
from roomtrain.papers.icl.settings import IclSettings
from roomtrain.plans import settings_of
from tests.roomtrain.conftest import Said
from tests.roomtrain.icl.made import forward_by_hand, shared_folder

Roomtrain = Callable[..., Said]
SMOKE = ("--preset", "smoke", "--device", "cpu", "--log", "none")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_folder(tmp_path_factory)


def settings(preset: str, **overrides: Any) -> IclSettings:
    found = settings_of(get_paper("icl"), preset, {key.replace("__", "."): value for key, value in overrides.items()})
    assert isinstance(found, IclSettings)
    return found


def release(path: Path, *, dim: int = 24, depth: int = 2, rows: int = 8, columns: int = 99, seed: int = 5) -> dict[str, Tensor]:
    """Write weights as PaSST's releases have them, of a small size, and return them."""
    random = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("cls_token", "dist_token"), (1, 1, dim)),
        "new_pos_embed": (1, 2, dim),
        "freq_new_pos_embed": (1, dim, rows, 1),
        "time_new_pos_embed": (1, dim, 1, columns),
        "patch_embed.proj.weight": (dim, 1, 16, 16),
        "patch_embed.proj.bias": (dim,),
        "norm.weight": (dim,),
        "norm.bias": (dim,),
        "head.0.weight": (dim,),
        "head.0.bias": (dim,),
        "head.1.weight": (527, dim),
        "head.1.bias": (527,),
        "head_dist.weight": (527, dim),
        "head_dist.bias": (527,),
    }
    for block in range(depth):
        layers = {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim), "mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
        for name, shape in layers.items():
            shapes |= {f"blocks.{block}.{name}.weight": shape, f"blocks.{block}.{name}.bias": shape[:1]}
        for name in ("norm1", "norm2"):
            shapes |= {f"blocks.{block}.{name}.{kind}": (dim,) for kind in ("weight", "bias")}
    tensors = {name: 0.1 * torch.randn(shape, generator=random) for name, shape in shapes.items()}
    torch.save(tensors, path)
    return tensors


def test_sizes_are_those_of_passt_and_of_the_small_preset() -> None:
    with torch.device("meta"):
        full = new_classifier(settings("paper"), 10)
    assert count_parameters(full.transformer) == 85_341_696
    assert count_parameters(full.head) == 9_226
    assert transformer_config(settings("paper").network).grid == (12, 99)
    assert transformer_config(settings("paper").network).columns(100) == 9
    small = new_classifier(settings("small"), 10)
    assert count_parameters(small) == 363_274
    # dim 96: patches, tokens and positions, blocks of 12 d² + 13 d, normalisation, and the head of ten scenes.
    assert 96 * 257 + 96 * (2 + 2 + 8 + 6) + 3 * (12 * 96**2 + 13 * 96) + 2 * 96 + (2 * 96 + 96 * 10 + 10) == 363_274
    assert count_parameters(new_classifier(settings("smoke"), 10)) == 21_394


@pytest.mark.parametrize(("preset", "time_patches"), [("smoke", 6), ("smoke", 20), ("small", 6)])
def test_a_forward_is_that_by_hand(preset: str, time_patches: int) -> None:
    given = settings(preset, network__time_patches=time_patches)
    model = new_classifier(given, 4)
    with torch.no_grad():
        for parameter in model.parameters():  # as they begin, positions and biases hardly matter
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    x = torch.randn(3, 1, 128, 100, generator=torch.Generator().manual_seed(1))
    for training in (True, False):
        with torch.no_grad():
            found = model.train(training)(x)
        expected = forward_by_hand(model.state_dict(), x, heads=given.network.heads, stride=16)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_seed_decides_the_weights() -> None:
    one, again, other = (new_classifier(settings("smoke", seed=seed), 3).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["head.1.weight"], other["head.1.weight"])
    assert not torch.equal(one["transformer.patch_embed.proj.weight"], other["transformer.patch_embed.proj.weight"])


def test_training_starts_from_released_weights(roomtrain: Roomtrain, made: Path, tmp_path: Path) -> None:
    tensors = release(tmp_path / "passt.pt")
    # So small a step that the weights stay what they are.
    still = ("--set", f"network.weights={tmp_path / 'passt.pt'}", "--set", "train.fit.learning_rate=1e-9")
    said = roomtrain("train", "icl", "--data", made, "--out", tmp_path / "run", *SMOKE, *still, "--set", "train.fit.weight_decay=0")
    assert said.code == 0, said.err
    found = load_file(tmp_path / "run" / "scenes" / "best.safetensors")
    for name, tensor in tensors.items():
        if not name.startswith("head"):
            own = tensor[..., :6] if name == "time_new_pos_embed" else tensor
            torch.testing.assert_close(found[f"transformer.{name}"], own, rtol=0, atol=1e-6)
    head = new_classifier(settings("smoke"), 3).head.state_dict()
    torch.testing.assert_close(found["head.1.weight"], head["1.weight"], rtol=0, atol=1e-6)  # of three scenes: a new one
    # What a run has learned does not need the file any more.
    (tmp_path / "passt.pt").unlink()
    said = roomtrain("evaluate", tmp_path / "run", "--data", made, "--device", "cpu")
    assert said.code == 0, said.err


def _missing(path: Path) -> None:
    pass


def _text(path: Path) -> None:
    path.write_text("weights", encoding="utf-8")


def _another(path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)


def _larger(path: Path) -> None:
    release(path, dim=48)


def _not_finite(path: Path) -> None:
    tensors = release(path)
    tensors["blocks.1.mlp.fc1.weight"][3, 3] = torch.nan
    torch.save(tensors, path)


def _code(path: Path) -> None:
    torch.save({"cls_token": Path}, path)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (_missing, "there is no such file"),
        (_text, "neither a file of torch"),
        (_another, "its weights are named otherwise"),
        (_larger, "is (1, 1, 48)"),
        (_not_finite, "blocks.1.mlp.fc1.weight is not finite"),
        (_code, "nothing in it is executed"),
    ],
)
def test_bad_weights_are_one_line_and_nothing_is_trained(
    roomtrain: Roomtrain, made: Path, tmp_path: Path, write: Callable[[Path], None], reason: str
) -> None:
    write(tmp_path / "passt.pt")
    given = ("--set", f"network.weights={tmp_path / 'passt.pt'}")
    said = roomtrain("train", "icl", "--data", made, "--out", tmp_path / "run", *SMOKE, *given)
    assert said.code == 1
    (line,) = said.err.splitlines()
    assert line.startswith(f"roomtrain: no weights from {tmp_path / 'passt.pt'}: ")
    assert reason in line
    assert not list((tmp_path / "run").glob("**/*.safetensors"))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("network.patchout", "[8,0]", "grid of 8 × 6"),
        ("network.heads", "5", "cannot be divided among 5 heads"),
        ("network.stride", "0", "greater than or equal to 1"),
    ],
)
def test_networks_that_cannot_be_are_one_line(
    roomtrain: Roomtrain, made: Path, tmp_path: Path, key: str, value: str, reason: str
) -> None:
    said = roomtrain("train", "icl", "--data", made, "--out", tmp_path / "run", *SMOKE, "--set", f"{key}={value}")
    assert said.code in (1, 2)
    (line,) = said.err.splitlines()
    assert line.startswith("roomtrain: ")
    assert reason in line


def test_a_second_is_cut_where_there_are_no_positions_for_its_end() -> None:
    model = new_classifier(settings("smoke", network__time_patches=5), 3)
    x = torch.randn(2, 1, 128, 100, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[..., 80:] += 1.0  # behind the fifth column of 16 frames
    with torch.no_grad():
        assert torch.equal(model(x)[0], model(changed)[0])
        changed[..., 79] += 1.0
        assert not torch.equal(model(x)[0], model(changed)[0])


def test_spectrograms_of_another_shape_are_refused() -> None:
    model = SceneClassifier(transformer_config(settings("smoke").network), 3)
    with pytest.raises(RoomtrainError, match="128, frames"):
        model(torch.zeros(1, 1, 64, 100))
