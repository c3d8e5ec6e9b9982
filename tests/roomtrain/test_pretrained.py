"""Weights of others: files as PaSST, DeiT, AST and Hugging Face write them, made small; and files that must leave a model alone."""

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage
from torch import Tensor

from roomtrain.errors import RoomtrainError
from roomtrain.models.pretrained import load_pretrained
from roomtrain.models.vit import SpectrogramTransformer, ViTConfig

D = 8
SPLIT = ViTConfig(n_mels=64, n_frames=160, dim=D, depth=2, heads=2)  # 5 × 15 patches
GRID = replace(SPLIT, positions="grid")
AST_128 = replace(GRID, n_mels=128, n_frames=1024)  # 12 × 101, AST's

Weights = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape)


def body(*, colours: int = 1) -> Weights:
    """What is alike everywhere, under timm's names."""
    weights = {
        "cls_token": random(1, 1, D),
        "dist_token": random(1, 1, D),
        "patch_embed.proj.weight": random(D, colours, 16, 16),
        "patch_embed.proj.bias": random(D),
        "norm.weight": random(D),
        "norm.bias": random(D),
    }
    shapes = {
        "norm1": (D,),
        "norm2": (D,),
        "attn.qkv": (3 * D, D),
        "attn.proj": (D, D),
        "mlp.fc1": (4 * D, D),
        "mlp.fc2": (D, 4 * D),
    }
    for block in range(2):
        for layer, shape in shapes.items():
            weights[f"blocks.{block}.{layer}.weight"] = random(*shape)
            weights[f"blocks.{block}.{layer}.bias"] = random(shape[0])
    return weights


def passt(columns: int = 15) -> Weights:
    heads = {"head.0.weight": random(D), "head.0.bias": random(D), "head.1.weight": random(527, D), "head.1.bias": random(527)}
    heads |= {"head_dist.weight": random(527, D), "head_dist.bias": random(527)}
    positions = {
        "new_pos_embed": random(1, 2, D),
        "freq_new_pos_embed": random(1, D, 5, 1),
        "time_new_pos_embed": random(1, D, 1, columns),
    }
    return body() | positions | heads


def deit(side: int = 24) -> Weights:
    heads = {"head.weight": random(1000, D), "head.bias": random(1000), "head_dist.weight": random(1000, D)}
    return body(colours=3) | {"pos_embed": random(1, 2 + side * side, D)} | heads


def ast(patches: int = 1212) -> Weights:
    weights = body() | {"pos_embed": random(1, 2 + patches, D), "head.weight": random(9, D), "head_dist.bias": random(9)}
    mlp_head = {"module.mlp_head.0.weight": random(D), "module.mlp_head.1.weight": random(527, D)}
    return {f"module.v.{name}": tensor for name, tensor in weights.items()} | mlp_head


def hugging_face(weights: Weights) -> Weights:
    """What :func:`ast` holds, under the names of Hugging Face's ASTForAudioClassification."""
    timm = {name.removeprefix("module.v."): tensor for name, tensor in weights.items() if name.startswith("module.v.")}
    p = "audio_spectrogram_transformer."
    theirs = {
        f"{p}embeddings.cls_token": timm["cls_token"],
        f"{p}embeddings.distillation_token": timm["dist_token"],
        f"{p}embeddings.position_embeddings": timm["pos_embed"],
        "classifier.layernorm.weight": random(D),
        "classifier.dense.weight": random(527, D),
    }
    for kind in ("weight", "bias"):
        theirs[f"{p}embeddings.patch_embeddings.projection.{kind}"] = timm[f"patch_embed.proj.{kind}"]
        theirs[f"{p}layernorm.{kind}"] = timm[f"norm.{kind}"]
        for i in range(2):
            layer, block = f"{p}encoder.layer.{i}.", f"blocks.{i}."
            qkv = timm[f"{block}attn.qkv.{kind}"]
            theirs[f"{layer}attention.attention.query.{kind}"] = qkv[:D]
            theirs[f"{layer}attention.attention.key.{kind}"] = qkv[D : 2 * D]
            theirs[f"{layer}attention.attention.value.{kind}"] = qkv[2 * D :]
            theirs[f"{layer}attention.output.dense.{kind}"] = timm[f"{block}attn.proj.{kind}"]
            theirs[f"{layer}intermediate.dense.{kind}"] = timm[f"{block}mlp.fc1.{kind}"]
            theirs[f"{layer}output.dense.{kind}"] = timm[f"{block}mlp.fc2.{kind}"]
            theirs[f"{layer}layernorm_before.{kind}"] = timm[f"{block}norm1.{kind}"]
            theirs[f"{layer}layernorm_after.{kind}"] = timm[f"{block}norm2.{kind}"]
    return theirs


def made(config: ViTConfig) -> SpectrogramTransformer:
    torch.manual_seed(1)
    return SpectrogramTransformer(config)


def saved(what: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in what.items()}, path)
    else:
        torch.save(what, path)
    return path


def loaded(config: ViTConfig, what: Any, path: Path) -> tuple[str, Weights]:
    model = made(config)
    return load_pretrained(model, saved(what, path)), model.state_dict()


def assert_body(found: Weights, expected: Weights) -> None:
    names = [name for name in body() if name != "patch_embed.proj.weight"]
    assert all(torch.equal(found[name], expected[name]) for name in names)


@pytest.mark.parametrize("columns", [15, 40])
def test_passt_gives_the_positions_of_the_first_columns(tmp_path: Path, columns: int) -> None:
    release = passt(columns)
    what, found = loaded(SPLIT, release, tmp_path / "passt.pt")
    assert what == "PaSST"
    assert_body(found, release)
    assert torch.equal(found["patch_embed.proj.weight"], release["patch_embed.proj.weight"])
    assert torch.equal(found["new_pos_embed"], release["new_pos_embed"])
    assert torch.equal(found["freq_new_pos_embed"], release["freq_new_pos_embed"])
    assert torch.equal(found["time_new_pos_embed"], release["time_new_pos_embed"][..., :15])


def test_deit_becomes_passts_rows_and_columns(tmp_path: Path) -> None:
    release = deit()
    what, found = loaded(SPLIT, {"model": release, "epoch": 300}, tmp_path / "deit.pth")
    assert what == "DeiT"
    assert_body(found, release)
    red, green, blue = release["patch_embed.proj.weight"].unbind(1)
    torch.testing.assert_close(found["patch_embed.proj.weight"][:, 0], red + green + blue)
    assert torch.equal(found["new_pos_embed"], release["pos_embed"][:, :2])
    grid = release["pos_embed"][0, 2:].view(24, 24, D).numpy()
    resized = np.stack([bicubic(bicubic(grid[..., k], 5).T, 15).T for k in range(D)])  # (dim, row, column)
    np.testing.assert_allclose(found["freq_new_pos_embed"][0, :, :, 0].numpy(), resized.mean(axis=2), atol=1e-5)
    np.testing.assert_allclose(found["time_new_pos_embed"][0, :, 0].numpy(), resized.mean(axis=1), atol=1e-5)


def bicubic(x: np.ndarray, n: int) -> np.ndarray:
    """Return (n, …) of (old, …) by Keys' cubic kernel (1981) with a = -0.75; samples stand for cells, edges go on as they are."""
    a, result = -0.75, []
    for place in (np.arange(n) + 0.5) * len(x) / n - 0.5:
        total = np.zeros(x.shape[1:])
        for neighbour in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            t = abs(place - neighbour)
            weight = (a + 2) * t**3 - (a + 3) * t**2 + 1 if t <= 1 else a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
            total = total + weight * x[min(max(neighbour, 0), len(x) - 1)]
        result.append(total)
    return np.stack(result)


def linear(x: np.ndarray, axis: int, n: int) -> np.ndarray:
    """Return an axis resampled linearly, by scipy; torch's places are rounded to float32, up to 4e-6 between a hundred cells."""
    places = (np.arange(n) + 0.5) * x.shape[axis] / n - 0.5
    return np.apply_along_axis(lambda row: ndimage.map_coordinates(row, [places], order=1, mode="nearest"), axis, x)


def test_deit_becomes_asts_grid_cut_from_the_middle_or_interpolated(tmp_path: Path) -> None:
    release = deit()
    grid = release["pos_embed"][0, 2:].view(24, 24, D).numpy()
    what, found = loaded(GRID, {"model": release}, tmp_path / "deit.pth")  # 5 × 15: both are cut
    assert what == "DeiT"
    assert torch.equal(found["pos_embed"][:, :2], release["pos_embed"][:, :2])
    np.testing.assert_array_equal(found["pos_embed"][0, 2:].view(5, 15, D).numpy(), grid[10:15, 5:20])
    wide = replace(GRID, n_mels=128, n_frames=1024)  # 12 × 101: rows are cut, columns interpolated
    _, found = loaded(wide, {"model": release}, tmp_path / "wide.pth")
    np.testing.assert_allclose(found["pos_embed"][0, 2:].view(12, 101, D).numpy(), linear(grid, 1, 101)[6:18], atol=1e-5)
    large = replace(GRID, n_mels=306, n_frames=306)  # 30 × 30
    _, found = loaded(large, {"model": release}, tmp_path / "large.pth")
    np.testing.assert_allclose(found["pos_embed"][0, 2:].view(30, 30, D).numpy(), linear(linear(grid, 1, 30), 0, 30), atol=1e-5)


@pytest.mark.parametrize("kind", ["pth", "bin", "safetensors", "bare"])
def test_ast_is_the_same_from_its_authors_and_from_hugging_face(tmp_path: Path, kind: str) -> None:
    release = ast()
    theirs = release if kind == "pth" else hugging_face(release)
    if kind == "bare":  # of ASTModel, without the part that classifies
        theirs = {name.removeprefix("audio_spectrogram_transformer."): tensor for name, tensor in theirs.items()}
    what, found = loaded(AST_128, theirs, tmp_path / f"model.{'safetensors' if kind == 'bare' else kind}")
    assert what == ("AST" if kind == "pth" else "AST of Hugging Face")
    timm = {name.removeprefix("module.v."): tensor for name, tensor in release.items()}
    assert_body(found, timm)
    assert all(torch.equal(found[name], timm[name]) for name in ("patch_embed.proj.weight", "pos_embed"))


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_ast_for_another_length_takes_the_middle_of_its_grid(tmp_path: Path, kind: str) -> None:
    release = ast()
    theirs = release if kind == "pth" else hugging_face(release)
    grid = release["module.v.pos_embed"][0, 2:].view(12, 101, D).numpy()
    _, found = loaded(GRID, theirs, tmp_path / f"short.{kind}")
    np.testing.assert_array_equal(found["pos_embed"][0, 2:].view(5, 15, D).numpy(), grid[4:9, 43:58])  # from 6 - 2 and 50 - 7
    longer = replace(GRID, n_frames=1206)  # 5 × 120
    _, found = loaded(longer, theirs, tmp_path / f"long.{kind}")
    np.testing.assert_allclose(found["pos_embed"][0, 2:].view(5, 120, D).numpy(), linear(grid, 1, 120)[4:9], atol=1e-4)


def test_ast_trained_with_the_models_own_grid_is_taken_as_it_is(tmp_path: Path) -> None:
    release = ast(5 * 15)
    _, found = loaded(GRID, release, tmp_path / "own.pth")
    assert torch.equal(found["pos_embed"], release["module.v.pos_embed"])


def test_half_precision_becomes_the_models(tmp_path: Path) -> None:
    release = {name: tensor.bfloat16() for name, tensor in passt().items()}
    _, found = loaded(SPLIT, release, tmp_path / "half.pt")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert_body(found, {name: tensor.float() for name, tensor in release.items()})


def test_what_was_loaded_does_not_hang_on_the_file(tmp_path: Path) -> None:
    model, path = made(SPLIT), saved(passt(), tmp_path / "passt.pt")
    load_pretrained(model, path)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        model.cls_token.add_(1.0)
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(model.cls_token, before["cls_token"] + 1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items() if name != "cls_token")


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def refused(config: ViTConfig, path: Path) -> str:
    """Return the reason why a file is refused, after making sure that it is one line and that the model is what it was."""
    model = made(config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(RoomtrainError) as caught:
        load_pretrained(model, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    message = str(caught.value)
    assert caught.value.exit_code == 1
    assert "\n" not in message
    assert message.startswith(f"no weights from {path}: ")
    assert message.endswith(
        ". Give a release of PaSST-S or AST, DeiT-base distilled, or AST of Hugging Face, as .pt, .pth, .bin or .safetensors, "
        "for a model of the same size."
    )
    assert "weights_only" not in message
    assert len(message) < 600
    return message.removeprefix(f"no weights from {path}: ").partition(". Give a release")[0]


def test_a_missing_file_a_folder_and_text_are_refused(tmp_path: Path) -> None:
    assert refused(SPLIT, tmp_path / "none.pt") == "there is no such file"
    assert refused(SPLIT, tmp_path) == "it is a folder, not a file in it"
    for name, content in (
        ("text.pt", b"404: Not Found, and some more"),
        ("empty.pt", b""),
        ("pointer.bin", b"version https://git-lfs"),
    ):
        (tmp_path / name).write_bytes(content)
        assert refused(SPLIT, tmp_path / name) == "it is neither a file of torch (1.6 or later) nor safetensors"
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"cls_token": [1.0]}))
    assert refused(SPLIT, tmp_path / "old.pt") == "it is neither a file of torch (1.6 or later) nor safetensors"


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    for name, what in (("a.pt", Evil(tmp_path / "ran")), ("b.pt", passt() | {"norm.weight": Evil(tmp_path / "ran")})):
        torch.save(what, tmp_path / name)
        assert refused(SPLIT, tmp_path / name) == "it holds more than tensors and plain values, and nothing in it is executed"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["whole.pt", "whole.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_files_cut_short_are_refused(tmp_path: Path, name: str, share: float) -> None:
    path = saved(passt(), tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content)) or 12])
    assert refused(SPLIT, path).startswith("it cannot be read (")


def test_a_flipped_bit_in_a_torch_file_is_found(tmp_path: Path) -> None:
    weights = passt()
    path = saved(weights, tmp_path / "passt.pt")
    content = bytearray(path.read_bytes())
    place = content.find(weights["norm.weight"].numpy().tobytes())
    assert place > 0
    content[place + 1] ^= 1  # of a mantissa: the number stays finite
    path.write_bytes(content)
    assert refused(SPLIT, path).startswith("it is damaged, at ")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "weights are elsewhere")
    assert refused(SPLIT, tmp_path / "other.zip").startswith("it cannot be read (")


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ([torch.zeros(2)], "it holds a list, not tensors by name"),
        (torch.zeros(2), "it holds a Tensor, not tensors by name"),
        ({}, "it holds nothing, not tensors by name"),
        ({"cls_token": 3}, "'cls_token' in it is no tensor but a int"),
        ({3: torch.zeros(2)}, "3 in it is no tensor but a Tensor"),
        ({"x\ny": torch.zeros(2)}, "its weights are named otherwise (x y, …)"),
        ({"a": torch.zeros(2).to_sparse()}, "'a' in it is no tensor of plain numbers"),
        ({"a": torch.zeros(2, device="meta")}, "'a' in it is no tensor of plain numbers"),
    ],
)
def test_what_is_no_dictionary_of_tensors_is_refused(tmp_path: Path, what: Any, reason: str) -> None:
    torch.save(what, tmp_path / "what.pt")
    assert refused(SPLIT, tmp_path / "what.pt") == reason


def changed(weights: Weights, **changes: Tensor | None) -> Weights:
    merged = weights | {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in merged.items() if tensor is not None}


@pytest.mark.parametrize(
    ("config", "make", "reason"),
    [
        (SPLIT, lambda: changed(passt(), norm__bias=None), "it lacks norm.bias"),
        (
            SPLIT,
            lambda: changed(passt(), norm__bias=None, fc_norm__bias=random(D)),
            "it lacks norm.bias and has besides fc_norm.bias",
        ),
        (
            replace(SPLIT, depth=1),
            passt,
            "it has besides blocks.1.attn.proj.bias, blocks.1.attn.proj.weight, blocks.1.attn.qkv.bias and 9 more",
        ),
        (
            SPLIT,
            lambda: changed(passt(), cls_token=random(1, 1, 9)),
            "cls_token is (1, 1, 9) torch.float32, the model's (1, 1, 8) torch.float32",
        ),
        (
            SPLIT,
            lambda: changed(passt(), norm__bias=torch.zeros(D, dtype=torch.int64)),
            "norm.bias is (8,) torch.int64, the model's (8,) torch.float32",
        ),
        (
            replace(SPLIT, n_mels=80),
            passt,
            "freq_new_pos_embed is (1, 8, 5, 1) torch.float32, the model's (1, 8, 7, 1) torch.float32",
        ),
        (SPLIT, lambda: passt(14), "time_new_pos_embed is (1, 8, 1, 14), and the model has 15 columns of patches"),
        (SPLIT, lambda: changed(passt(), time_new_pos_embed=random(3)), "time_new_pos_embed is (3,), and the model has 15 columns"),
        (SPLIT, lambda: changed(passt(), norm__bias=random(D) * torch.inf), "norm.bias is not finite everywhere"),
        (SPLIT, lambda: changed(passt(), norm__bias=torch.full((D,), 1e300, dtype=torch.float64)), "norm.bias is not finite"),
        (SPLIT, lambda: changed(deit(), pos_embed=torch.full((1, 578, D), torch.nan)), "is not finite everywhere"),
        (GRID, passt, 'PaSST has positions of "split", and the model of "grid"'),
        (SPLIT, ast, 'AST has positions of "grid", and the model of "split"'),
        (SPLIT, lambda: hugging_face(ast()), 'AST of Hugging Face has positions of "grid", and the model of "split"'),
        (GRID, lambda: ast(1000), "it has positions for 1000 patches, which are no grid of (5, 15)"),
        (GRID, lambda: changed(deit(), pos_embed=random(1, 2 + 575, D)), "it has positions for 575 patches, which are no square"),
        (GRID, lambda: changed(deit(), pos_embed=random(1, 2, D)), "it has positions for 0 patches, which are no square"),
        (
            GRID,
            lambda: changed(deit(), pos_embed=random(1, 578, 9)),
            "pos_embed is (1, 578, 9), and must be (1, tokens",
        ),
        (GRID, lambda: changed(deit(), dist_token=None), "its weights are named otherwise (blocks.0.attn.proj.bias, "),
        (
            GRID,
            lambda: changed(deit(), patch_embed__proj__weight=random(D, 4, 16, 16)),
            "patch_embed.proj.weight is (8, 4, 16, 16) torch.float32, the model's (8, 1, 16, 16) torch.float32",
        ),
        (
            GRID,
            lambda: without(hugging_face(ast()), "1.attention.attention.key.bias"),
            "query, key and value for blocks.1.attn.qkv.bias",
        ),
        (GRID, lambda: without(hugging_face(ast()), "position_embeddings"), "it lacks pos_embed"),
        (GRID, lambda: without(hugging_face(ast()), "layer.0.output.dense.bias"), "it lacks blocks.0.mlp.fc2.bias"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, config: ViTConfig, make: Callable[[], Weights], reason: str) -> None:
    assert reason in refused(config, saved(make(), tmp_path / "other.pt"))


def without(weights: Weights, part: str) -> Weights:
    assert any(name.endswith(part) for name in weights)
    return {name: tensor for name, tensor in weights.items() if not name.endswith(part)}
