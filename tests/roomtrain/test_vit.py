"""The spectrogram transformer beside one made of torch's own encoder layers, and sizes from the papers and releases."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from scipy import stats
from torch import Tensor, nn

from roomtrain.draws import Draws
from roomtrain.errors import RoomtrainError
from roomtrain.models.heads import count_parameters
from roomtrain.models.patchout import Patchout, draw_offset, draw_patchout
from roomtrain.models.vit import AST, AST_REVRIR, PASST_S, SMALL, SceneHead, SpectrogramTransformer, ViTConfig
from tests.roomtrain.syncs import no_waiting

TINY = ViTConfig(n_mels=12, n_frames=40, dim=24, depth=2, heads=3, patch=(4, 6), stride=(3, 5))  # 3 × 7 patches that overlap
TINY_GRID = replace(TINY, positions="grid")


def made(config: ViTConfig, seed: int = 0) -> SpectrogramTransformer:
    """A model whose every number counts: biases are not 0 and normalisations scale."""
    torch.manual_seed(seed)
    model = SpectrogramTransformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def reference(model: SpectrogramTransformer, x: Tensor, *, keep: list[tuple[int, int]] | None = None, offset: int = 0) -> Tensor:
    """The features as PaSST and AST define them, from torch's encoder layers; patches are cut out and projected one by one.

    ``keep``: (row, column) of the patches that are seen, in this order.
    """
    c, p = model.config, dict(model.named_parameters())
    columns = min((x.shape[3] - c.patch[1]) // c.stride[1] + 1, c.grid[1])
    tokens = [p["cls_token"][0, 0], p["dist_token"][0, 0]]
    first = p["new_pos_embed"][0] if c.positions == "split" else p["pos_embed"][0, :2]
    sequence = [(token + place).expand(len(x), -1) for token, place in zip(tokens, first, strict=True)]
    for row, column in keep if keep is not None else product(range(c.grid[0]), range(columns)):
        top, left = row * c.stride[0], column * c.stride[1]
        patch = x[:, 0, top : top + c.patch[0], left : left + c.patch[1]].flatten(1)
        value = patch @ p["patch_embed.proj.weight"].flatten(1).T + p["patch_embed.proj.bias"]
        if c.positions == "split":
            place = p["freq_new_pos_embed"][0, :, row, 0] + p["time_new_pos_embed"][0, :, 0, offset + column]
        else:
            place = p["pos_embed"][0, 2 + row * c.grid[1] + column]
        sequence.append(value + place)
    y = torch.stack(sequence, dim=1)
    for index in range(c.depth):
        layer = nn.TransformerEncoderLayer(
            c.dim, c.heads, 4 * c.dim, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
        )
        own = {name.removeprefix(f"blocks.{index}."): value for name, value in p.items() if name.startswith(f"blocks.{index}.")}
        layer.load_state_dict(
            {
                f"{theirs}{kind}": own[f"{ours}.{kind}"]
                for theirs, ours in (
                    ("self_attn.in_proj_", "attn.qkv"),
                    ("self_attn.out_proj.", "attn.proj"),
                    ("linear1.", "mlp.fc1"),
                    ("linear2.", "mlp.fc2"),
                    ("norm1.", "norm1"),
                    ("norm2.", "norm2"),
                )
                for kind in ("weight", "bias")
            }
        )
        y = layer(y)
    y = nn.functional.layer_norm(y, (c.dim,), p["norm.weight"], p["norm.bias"], 1e-6)
    return (y[:, 0] + y[:, 1]) / 2


@pytest.mark.parametrize(
    ("config", "frames"),
    [(TINY, 40), (TINY, 39), (TINY, 23), (TINY, 6), (TINY_GRID, 40), (TINY_GRID, 36), (SMALL, 100)],
    ids=lambda value: str(value) if isinstance(value, int) else value.positions,
)
def test_logits_are_those_of_torchs_encoder_layers(config: ViTConfig, frames: int) -> None:
    model, head = made(config), SceneHead(config.dim, 10)
    x = torch.randn(3, 1, config.n_mels, frames)
    with torch.no_grad():
        expected = reference(model, x)
        assert expected.std(dim=0).mean() > 0.01  # it hears what it is given
        torch.testing.assert_close(head(model(x)), head(expected), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)


def test_half_of_the_rows_and_some_columns_and_patches_are_those_of_torch_too() -> None:
    model, x = made(TINY), torch.randn(2, 1, 12, 40)
    kept = [(row, column) for row in (0, 2) for column in (1, 2, 4, 6)]
    left = [0, 3, 5, 7]
    keep = Patchout(torch.tensor([0, 2]), torch.tensor([1, 2, 4, 6]), torch.tensor(left))
    with torch.no_grad():
        expected = reference(model, x, keep=[kept[place] for place in left])
        torch.testing.assert_close(model(x, keep=keep), expected, rtol=1e-5, atol=1e-5)
        rows_only = reference(model, x, keep=[(row, column) for row in (0, 2) for column in range(7)])
        torch.testing.assert_close(model(x, keep=keep._replace(columns=None, patches=None)), rows_only, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("offset", [0, 3, 4])
def test_a_short_spectrogram_takes_the_columns_from_its_offset_on(offset: int) -> None:
    model, x = made(TINY), torch.randn(2, 1, 12, 17)  # 3 of 7 columns
    with torch.no_grad():
        expected = reference(model, x, offset=offset)
        torch.testing.assert_close(model(x, offset=offset), expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(model(x, offset=torch.tensor([offset])), model(x, offset=offset))
        if offset == 0:
            assert torch.equal(model(x), model(x, offset=0))
        else:
            assert (model(x) - expected).abs().max() > 1e-3


def test_a_long_spectrogram_is_cut() -> None:
    model, x = made(TINY), torch.randn(2, 1, 12, 90)
    with torch.no_grad():
        assert torch.equal(model(x), model(x[..., :36]))  # the last of 7 columns ends at 6·5 + 6


def sizes(config: ViTConfig) -> tuple[tuple[int, int], int]:
    with torch.device("meta"):
        return config.grid, count_parameters(SpectrogramTransformer(config))


@pytest.mark.parametrize(
    ("config", "grid", "parameters"),
    [
        (PASST_S, (12, 99), 85_341_696),
        (replace(PASST_S, n_frames=1000), (12, 99), 85_341_696),
        (replace(PASST_S, n_frames=100), (12, 9), 85_341_696 - 90 * 768),  # nine of 99 columns
        (AST, (12, 101), 86_187_264),
        (AST_REVRIR, (5, 49), 85_444_608),
        (SMALL, (8, 6), 363_274 - 1_162),  # without its head: 2·96 + 96·10 + 10
    ],
)
def test_sizes_are_those_of_the_releases(config: ViTConfig, grid: tuple[int, int], parameters: int) -> None:
    assert sizes(config) == (grid, parameters)


def test_heads_have_the_sizes_and_names_of_the_release() -> None:
    assert count_parameters(SceneHead(768, 10)) == 9_226 == 1_536 + 7_690
    assert count_parameters(SpectrogramTransformer(SMALL), SceneHead(96, 10)) == 363_274
    assert SceneHead(96, 10)[0].eps == 1e-5
    named = nn.ModuleDict({"head": SceneHead(8, 3)}).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in named.items()} == {
        "head.0.weight": (8,),
        "head.0.bias": (8,),
        "head.1.weight": (3, 8),
        "head.1.bias": (3,),
    }


def test_parameters_have_the_names_and_shapes_of_the_release() -> None:
    with torch.device("meta"):
        state = {name: tuple(tensor.shape) for name, tensor in SpectrogramTransformer(PASST_S).state_dict().items()}
        ast = {name: tuple(tensor.shape) for name, tensor in SpectrogramTransformer(AST).state_dict().items()}
    d = 768
    tokens = {"cls_token": (1, 1, d), "dist_token": (1, 1, d)}
    split = {"new_pos_embed": (1, 2, d), "freq_new_pos_embed": (1, d, 12, 1), "time_new_pos_embed": (1, d, 1, 99)}
    rest = {"patch_embed.proj.weight": (d, 1, 16, 16), "patch_embed.proj.bias": (d,), "norm.weight": (d,), "norm.bias": (d,)}
    layers = {
        "norm1": (d,),
        "norm2": (d,),
        "attn.qkv": (3 * d, d),
        "attn.proj": (d, d),
        "mlp.fc1": (4 * d, d),
        "mlp.fc2": (d, 4 * d),
    }
    blocks: dict[str, tuple[int, ...]] = {}
    for index, (layer, shape) in product(range(12), layers.items()):
        blocks |= {f"blocks.{index}.{layer}.weight": shape, f"blocks.{index}.{layer}.bias": shape[:1]}
    assert state == tokens | split | rest | blocks
    assert ast == tokens | {"pos_embed": (1, 1214, d)} | rest | blocks


def test_it_begins_as_timm_does() -> None:
    torch.manual_seed(1)
    model = SpectrogramTransformer(replace(SMALL, n_frames=998))
    for name, parameter in model.state_dict().items():
        if "norm" in name:
            assert bool((parameter == (1.0 if name.endswith("weight") else 0.0)).all())
        elif name.startswith("patch_embed"):
            assert float(parameter.abs().max()) <= 1 / 16  # torch's: uniform up to 1/√(16·16)
            assert float(parameter.std()) == pytest.approx(1 / 16 / 3**0.5, rel=0.2)
        elif name.endswith("bias"):
            assert not parameter.any()
        elif parameter.numel() > 900:
            assert float(parameter.std()) == pytest.approx(0.02, rel=0.05), name
            assert abs(float(parameter.mean())) < 0.002
        else:
            assert 0.01 < float(parameter.std()) < 0.03, name
    torch.manual_seed(1)
    again = SpectrogramTransformer(replace(SMALL, n_frames=998)).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("config", [TINY, TINY_GRID])
def test_training_changes_nothing_and_every_parameter_learns(config: ViTConfig) -> None:
    model, x = made(config), torch.randn(2, 1, 12, 40)
    rows = Patchout(rows=torch.tensor([0, 2]))
    assert torch.equal(model.train()(x), model.eval()(x))
    assert not torch.equal(model(x, keep=rows), model(x))
    (model(x, keep=rows) * torch.randn(2, config.dim)).sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []


def test_patchout_of_six_rows_leaves_54_patches_and_two_tokens_and_one_set_of_rows_for_the_batch() -> None:
    config = replace(PASST_S, n_frames=100, dim=16, depth=1, heads=2)
    model, seen = made(config), []
    model.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    keep = draw_patchout((12, config.columns(100)), Draws(3, epoch=2), 7, rows=6)
    assert keep.rows is not None
    x = torch.randn(1, 1, 128, 100).expand(4, -1, -1, -1)
    with torch.no_grad():
        model(x, keep=keep)
        model(x)
    assert [tuple(one.shape) for one in seen] == [(4, 54 + 2, 16), (4, 108 + 2, 16)]
    assert torch.equal(seen[0], seen[0][:1].expand_as(seen[0]))  # alike samples stay alike
    assert torch.equal(seen[0][:, 2:], seen[1][:, 2:].unflatten(1, (12, 9))[:, keep.rows].flatten(1, 2))


def test_a_draw_depends_on_seed_epoch_and_batch_and_on_nothing_else() -> None:
    def drawn(seed: int = 3, epoch: int = 2, step: int | Tensor = 7, **left: int) -> list[list[int] | None]:
        return [None if one is None else one.tolist() for one in draw_patchout((12, 9), Draws(seed, epoch=epoch), step, **left)]

    one = drawn(rows=6, columns=2, patches=5)
    assert drawn(step=torch.tensor([7]), rows=6, columns=2, patches=5) == one
    assert drawn(rows=6) == [one[0], None, None]
    assert drawn(columns=2) == [None, one[1], None]
    assert [len(part) for part in one if part is not None] == [6, 7, 6 * 7 - 5]
    assert all(part == sorted(set(part)) for part in one if part is not None)
    others = [drawn(seed=4, rows=6), drawn(epoch=3, rows=6), drawn(step=8, rows=6)]
    assert all(other[0] != one[0] for other in others)
    assert draw_patchout((12, 9), Draws(3), 0) == Patchout()


def test_every_row_and_every_pair_of_rows_is_kept_as_often_as_any_other() -> None:
    kept = np.zeros((3000, 6))
    for step in range(len(kept)):
        rows = draw_patchout((6, 4), Draws(11), step, rows=3).rows
        assert rows is not None
        kept[step, rows.numpy()] = 1
    pairs = (kept.T @ kept)[np.triu_indices(6, 1)]
    assert kept.sum(axis=0) == pytest.approx(np.full(6, 1500), abs=4.5 * 750**0.5)
    assert pairs == pytest.approx(np.full(15, 600), abs=4.5 * 480**0.5)  # 3·2 of 6·5


def test_offsets_reach_every_column_equally_and_go_their_own_way() -> None:
    offsets = np.array([int(draw_offset(9, 17, Draws(5), step)) for step in range(1800)])
    assert set(offsets) == set(range(9))
    assert stats.chisquare(np.bincount(offsets)).pvalue > 1e-4
    rows = [draw_patchout((9, 1), Draws(5), step, rows=8).rows for step in range(1800)]
    assert abs(np.corrcoef(offsets, [int(row) for row in rows if row is not None])[0, 1]) < 0.1
    assert int(draw_offset(9, 9, Draws(5), 3)) == 0


def test_a_training_step_waits_for_nothing() -> None:
    model, x = made(TINY), torch.randn(2, 1, 12, 17)
    step = torch.tensor([4])
    with no_waiting():
        keep = draw_patchout((3, 3), Draws(0), step, rows=1, columns=1, patches=1)
        loss = model(x, keep=keep, offset=draw_offset(3, 7, Draws(0), step)).square().mean()
        loss.backward()


def test_one_graph_without_a_break_serves_every_step() -> None:
    graphs = []

    def counted(graph: torch.fx.GraphModule, example: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    model = made(TINY)
    compiled = torch.compile(model, backend=counted, fullgraph=True)
    for step in range(3):
        x = torch.randn(2, 1, 12, 17)
        keep, offset = draw_patchout((3, 3), Draws(0), step, rows=1), draw_offset(3, 7, Draws(0), step)
        with torch.no_grad():
            torch.testing.assert_close(compiled(x, keep=keep, offset=offset), model(x, keep=keep, offset=offset))
    assert len(graphs) == 1


@pytest.mark.parametrize("config", [TINY, TINY_GRID])
def test_a_graph_takes_batches_of_any_size(config: ViTConfig) -> None:
    model = made(config)
    batch = {0: torch.export.Dim("batch", min=1)}
    program = torch.export.export(model, (torch.randn(2, 1, 12, 40),), dynamic_shapes={"x": batch})
    for n in (1, 5):
        x = torch.randn(n, 1, 12, 40)
        torch.testing.assert_close(program.module()(x), model(x))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_fabric_hands_on_what_is_kept(precision: Any) -> None:
    model, x = made(TINY), torch.randn(2, 1, 12, 40)
    keep = Patchout(rows=torch.tensor([0, 2]), columns=torch.tensor([1, 3]))
    expected = model(x, keep=keep, offset=torch.tensor([0]))
    found = Fabric(accelerator="cpu", precision=precision).setup_module(model)(x, keep=keep, offset=torch.tensor([0]))
    tolerance = {"32-true": 0.0, "bf16-mixed": 0.1}[precision]
    torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("config", "x", "message"),
    [
        (TINY, torch.zeros(2, 1, 13, 40), r"takes \(batch, 1, 12, frames\), not \(2, 1, 13, 40\)"),
        (TINY, torch.zeros(2, 2, 12, 40), r"takes \(batch, 1, 12, frames\)"),
        (TINY, torch.zeros(2, 12, 40), r"takes \(batch, 1, 12, frames\)"),
        (TINY, torch.zeros(2, 1, 12, 5), "5 frames are shorter than a patch: give 6 or more"),
        (TINY_GRID, torch.zeros(2, 1, 12, 35), "have 6 columns of patches, and there are positions for 7: pad or cut"),
        (TINY_GRID, torch.zeros(2, 1, 12, 41), "have 8 columns of patches, and there are positions for 7: pad or cut"),
    ],
)
def test_spectrograms_that_do_not_fit_are_refused(config: ViTConfig, x: Tensor, message: str) -> None:
    with pytest.raises(RoomtrainError, match=message):
        SpectrogramTransformer(config)(x)


def test_offsets_that_do_not_fit_are_refused() -> None:
    x = torch.zeros(1, 1, 12, 17)
    for offset in (-1, 5):
        with pytest.raises(RoomtrainError, match=r"3 of 7 columns can begin at 0 to 4"):
            made(TINY)(x, offset=offset)
    with pytest.raises(RoomtrainError, match='"grid" have no offset'):
        made(TINY_GRID)(torch.zeros(1, 1, 12, 40), offset=0)
    with pytest.raises(RoomtrainError, match="8 columns of patches, and positions for 7"):
        draw_offset(8, 7, Draws(0), 0)


@pytest.mark.parametrize("left", [{"rows": 12}, {"rows": -1}, {"columns": 9}, {"rows": 11, "columns": 8, "patches": 1}])
def test_patchout_that_leaves_nothing_is_refused(left: dict[str, int]) -> None:
    with pytest.raises(RoomtrainError, match="at least one patch must remain"):
        draw_patchout((12, 9), Draws(0), 0, **left)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 5}, "heads must divide dim"),
        ({"depth": 0}, "must be 1 or more"),
        ({"stride": (0, 1)}, "must be 1 or more"),
        ({"positions": "learned"}, '"split"'),
        ({"n_frames": 5}, "no room for a patch of 4 × 6"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RoomtrainError, match=message):
        replace(TINY, **changes)


def test_a_head_without_classes_is_refused() -> None:
    with pytest.raises(RoomtrainError, match="to 0 classes"):
        SceneHead(96, 0)
