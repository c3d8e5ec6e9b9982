"""The inverse contrastive loss against double loops, and against the code of Akash et al. (2021), written out here."""

import math

import pytest
import torch

from roomtrain.errors import RoomtrainError
from roomtrain.losses import inverse_contrastive


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(9, 5, generator=generator, dtype=torch.float64), torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2])


def test_it_is_the_mean_over_pairs_of_two_samples() -> None:
    z, classes = batch()
    costs = []
    for i in range(9):
        for j in range(9):
            if i == j:
                continue
            d = math.dist(z[i].tolist(), z[j].tolist())
            costs.append(math.exp((0.2 - d) / 0.5) if classes[i] == classes[j] else d**2)
    assert inverse_contrastive(z, classes, alpha=0.2, beta=0.5).item() == pytest.approx(sum(costs) / 72, rel=1e-6)


def test_balanced_it_has_the_weights_of_akash_et_al() -> None:
    z, classes = batch(1)
    count, alpha = 3, 0.7
    total = weights = 0.0
    for i in range(9):
        for j in range(9):
            share = 1.0 / ((classes == classes[i]).sum() * (classes == classes[j]).sum()).item()
            d = math.dist(z[i].tolist(), z[j].tolist())
            if classes[i] != classes[j]:
                total, weights = total + share * d**2, weights + share
            elif i != j:  # there i == j counts as well: a constant, exp(α)
                total, weights = total + (count - 1) * share * math.exp(alpha - d), weights + (count - 1) * share
    found = inverse_contrastive(z, classes, alpha=alpha, pairs="balanced").item()
    assert found == pytest.approx(total / weights, rel=1e-6)


def test_with_it_alone_two_classes_fall_together_and_each_spreads() -> None:
    """Classes far apart, each in one spot, are what it shall undo."""
    torch.manual_seed(0)
    classes = torch.arange(2).repeat_interleave(8)
    z = (torch.randn(16, 3) * 0.01 + 4.0 * classes[:, None]).requires_grad_()
    optimizer = torch.optim.SGD([z], lr=0.1)

    def spread() -> tuple[float, float]:
        apart = (z[classes == 0].mean(dim=0) - z[classes == 1].mean(dim=0)).norm().item()
        return apart, z[classes == 0].std(dim=0).norm().item()

    before = spread()
    for _ in range(300):
        optimizer.zero_grad()
        inverse_contrastive(z, classes, alpha=0.2).backward()
        optimizer.step()
    after = spread()
    assert after[0] < 0.05 * before[0]
    assert after[1] > 3 * before[1]


def test_equal_embeddings_have_a_finite_gradient() -> None:
    z = torch.ones(4, 3, requires_grad=True)
    inverse_contrastive(z, torch.tensor([0, 0, 1, 1]), alpha=0.2).backward()
    assert torch.isfinite(z.grad).all()


def test_half_precision_around_it_changes_nothing() -> None:
    z, classes = batch(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = inverse_contrastive(z.float(), classes, alpha=0.2)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, inverse_contrastive(z.float(), classes, alpha=0.2))


@pytest.mark.parametrize(
    ("z", "classes", "beta", "match"),
    [
        (torch.zeros(3), torch.zeros(3), 1.0, "embeddings"),
        (torch.zeros(1, 3), torch.zeros(1), 1.0, "2 or more"),
        (torch.zeros(3, 3), torch.zeros(2), 1.0, "classes"),
        (torch.zeros(3, 3), torch.zeros(3), 0.0, "beta"),
    ],
)
def test_what_it_cannot_take_is_one_error(z: torch.Tensor, classes: torch.Tensor, beta: float, match: str) -> None:
    with pytest.raises(RoomtrainError, match=match):
        inverse_contrastive(z, classes, alpha=0.2, beta=beta)
