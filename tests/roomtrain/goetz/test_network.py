"""The paper's networks: their size to the parameter, their shapes, what they promise about length and gradient; and the average."""

import pytest
import torch
from torch import nn

from roomtrain.errors import RoomtrainError
from roomtrain.models.heads import Head, count_parameters
from roomtrain.papers.goetz import folded
from roomtrain.papers.goetz.network import KERNELS, STRIDES, Encoder, EncoderConfig, ProjectionHead

SHORT = EncoderConfig(n_frames=249)


def spectrograms(batch: int, *, seed: int = 0, n_frames: int = 249) -> torch.Tensor:
    return torch.randn(batch, 1, 17, n_frames, generator=torch.Generator().manual_seed(seed))


def test_the_parameters_are_those_that_the_paper_counts() -> None:
    encoder, projection, regressor, classifier = Encoder(), ProjectionHead(), Head(64, positive=True), Head(64, n_outputs=2)
    assert count_parameters(encoder) == 154_474
    assert count_parameters(projection) == 2_608  # "2600 of which are part of the projection network"
    assert count_parameters(encoder, projection) == 157_082  # "157 k"
    assert count_parameters(regressor) == 82_689  # "82.7 k"
    assert count_parameters(classifier) == 82_946
    assert count_parameters(encoder, regressor) == 237_163  # "237 k"


def test_the_six_blocks_are_those_of_table_1() -> None:
    encoder = Encoder()
    convolutions = [module for module in encoder.blocks if isinstance(module, nn.Conv2d)]
    assert [module.kernel_size for module in convolutions] == [(1, 4)] * 4 + [(2, 4)] * 2 == list(KERNELS)
    assert [module.stride for module in convolutions] == [(1, 2)] * 5 + [(2, 2)] == list(STRIDES)
    assert all(module.padding == (0, 0) for module in convolutions)
    assert [type(module) for module in encoder.blocks] == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d] * 6
    assert (convolutions[0].in_channels, convolutions[0].out_channels) == (1, 5)


def test_shapes_and_lengths() -> None:
    encoder, projection = Encoder(), ProjectionHead()
    e = encoder(spectrograms(2, n_frames=3999))
    z = projection(e)
    assert encoder.config.map_size == (8, 60)
    assert (e.shape, z.shape) == ((2, 64), (2, 16))
    for x in (e, z):
        torch.testing.assert_close(x.norm(dim=1), torch.ones(2))
    assert Head(64)(e).shape == (2,)
    assert Head(64, n_outputs=2)(e).shape == (2, 2)
    assert (Head(64, positive=True)(e) >= 0).all()
    free = Encoder(EncoderConfig(n_frames=249, normalise=False))(spectrograms(2))
    assert (free.norm(dim=1) - 1.0).abs().min() > 1e-3


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    encoder, projection = Encoder(SHORT), ProjectionHead()
    z = projection(encoder(spectrograms(6)))
    (z * torch.randn_like(z)).sum().backward()
    for name, parameter in [*encoder.named_parameters(), *projection.named_parameters()]:
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_dropout_acts_in_training_only() -> None:
    encoder, x = Encoder(SHORT), spectrograms(3)
    assert not torch.equal(encoder(x), encoder(x))
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))
    without = Encoder(EncoderConfig(n_frames=249, dropout=0.0))
    assert torch.equal(without(x), without(x))


def test_a_positive_head_starts_alive() -> None:
    e = nn.functional.normalize(torch.randn(16, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    for seed in range(10):
        torch.manual_seed(seed)
        head = Head(64, positive=True)
        head.start_at(0.6)
        answer = head(e)
        assert (answer > 0).all()
        assert (answer - 0.6).abs().max() < 0.3
        answer.sum().backward()
        assert head.layers[-1].weight.grad is not None
        assert head.layers[-1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_frames": 189}, "too small"),
        ({"n_bins": 2}, "too small"),
        ({"channels": 0}, "channels"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(RoomtrainError, match=message):
        EncoderConfig(**options)


def test_the_smallest_spectrogram_that_is_not_refused_works() -> None:
    encoder = Encoder(EncoderConfig(n_bins=3, n_frames=190))
    assert encoder(torch.randn(2, 1, 3, 190)).shape == (2, 64)


def test_a_spectrogram_of_another_length_is_refused() -> None:
    with pytest.raises(RoomtrainError, match=r"\(batch, 1, 17, 249\)"):
        Encoder(SHORT)(spectrograms(2, n_frames=250))
    with pytest.raises(RoomtrainError, match="n_outputs"):
        Head(64, n_outputs=0)


def both_ways(config: EncoderConfig, *, training: bool) -> tuple[list[torch.Tensor], Encoder, list[torch.Tensor], Encoder]:
    """Maps and input gradient of the blocks by ``torch.nn`` and by folding, with scales and statistics that are not the initial."""
    torch.manual_seed(1)
    plain = Encoder(config)
    for module in plain.blocks:
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)  # negative ones too
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    quick = Encoder(config)
    quick.load_state_dict(plain.state_dict())
    results = []
    for encoder, way in ((plain, plain.blocks), (quick, lambda x: folded.forward(x, quick._pairs()))):
        encoder.train(training)
        x = (1.5 * spectrograms(5, n_frames=config.n_frames) + 0.3).requires_grad_()
        for _ in range(2):  # the second goes on from the running statistics of the first
            maps = way(x)
        (maps * torch.randn(maps.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
        assert x.grad is not None
        results.append([maps.detach(), x.grad])
    return results[0], plain, results[1], quick


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("config", [SHORT, EncoderConfig(n_frames=1000), EncoderConfig(n_frames=249, channels=2)])
def test_folding_changes_nothing_but_the_rounding(config: EncoderConfig, training: bool) -> None:
    expected, plain, ours, quick = both_ways(config, training=training)
    for a, b in zip(expected, ours, strict=True):
        assert (a - b).abs().max() < 1e-4 * a.abs().max()
    for (name, a), (_, b) in zip(plain.blocks.named_parameters(), quick.blocks.named_parameters(), strict=True):
        assert a.grad is not None, name
        assert b.grad is not None, name
        assert (a.grad - b.grad).abs().max() < 2e-4 * a.grad.abs().max() + 1e-5, name
    for (name, a), (_, b) in zip(plain.named_buffers(), quick.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, msg=name)


def test_the_encoder_standardises_by_a_training_set() -> None:
    encoder, x = Encoder(SHORT).eval(), 3.0 * spectrograms(4) - 20.0
    encoder.standardise_by(x[:2].half())
    assert float(encoder.mean) == pytest.approx(float(x[:2].mean()), rel=1e-3)
    assert float(encoder.deviation) == pytest.approx(float(x[:2].std(correction=0)), rel=1e-3)
    expected = encoder.blocks((x - encoder.mean) / encoder.deviation)
    torch.testing.assert_close(encoder.maps(x), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(encoder.double().maps(x.double()).float(), expected, rtol=1e-4, atol=1e-4)  # not folded
    again = Encoder(SHORT)
    again.load_state_dict(encoder.float().state_dict())
    assert torch.equal(again.mean, encoder.mean)
    with pytest.raises(RoomtrainError, match="silent"):
        encoder.standardise_by(torch.full((2, 1, 17, 249), -80.0))


def test_the_encoder_folds_where_it_may_and_only_there() -> None:
    encoder, x = Encoder(SHORT), spectrograms(2)
    pairs = encoder._pairs()
    assert folded.applies(x, pairs)
    assert not folded.applies(x.double(), pairs)
    with torch.autocast("cpu", torch.bfloat16):
        assert not folded.applies(x, pairs)
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(Encoder(SHORT))  # must not be passed by
    assert not folded.applies(x, synchronised._pairs())
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(x).dtype == torch.float32  # e keeps its length to float32
