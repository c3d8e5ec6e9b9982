"""The contrastive loss against equation 2 written out, values that can be worked out by hand, and its numerical limits."""

import math

import pytest
import torch
from torch.nn import functional

from roomtrain.errors import RoomtrainError
from roomtrain.losses import supcon


def unit(batch: int, dim: int, *, seed: int = 0) -> torch.Tensor:
    return functional.normalize(torch.randn(batch, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def written_out(z: torch.Tensor, labels: list[int], temperature: float) -> float:
    """Equation 2, sum by sum, in Python's float64."""
    rows = z.double().tolist()
    n = len(rows)

    def similarity(i: int, j: int) -> float:
        return sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) / temperature

    total = 0.0
    for i in range(n):
        positives = [p for p in range(n) if p != i and labels[p] == labels[i]]
        if not positives:
            continue
        denominator = sum(math.exp(similarity(i, a)) for a in range(n) if a != i)
        total += -1.0 / len(positives) * sum(math.log(math.exp(similarity(i, p)) / denominator) for p in positives)
    return total


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 1, 2, 2, 2], [5, 1, 5, 1, 1, 7, 5, 1, 2]])
def test_equals_equation_2_written_out(temperature: float, labels: list[int]) -> None:
    z = unit(9, 4)
    loss = supcon(z, torch.tensor(labels), temperature=temperature)
    assert loss.item() == pytest.approx(written_out(z, labels, temperature), rel=2e-6)


@pytest.mark.parametrize("temperature", [0.01, 1.0])
def test_equal_embeddings_cost_the_logarithm_of_the_others(temperature: float) -> None:
    z = unit(1, 16).expand(72, 16)
    labels = torch.arange(24).repeat_interleave(3)
    assert supcon(z, labels, temperature=temperature, reduction="mean").item() == pytest.approx(math.log(71), rel=1e-5)
    assert supcon(z, labels, temperature=temperature).item() == pytest.approx(72 * math.log(71), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_two_opposite_classes(temperature: float) -> None:
    """Positives at cosine 1, negatives at -1: each anchor costs log(m - 1 + m·exp(-2/τ)) with m samples a class."""
    m = 3
    z = torch.tensor([[1.0, 0.0]] * m + [[-1.0, 0.0]] * m)
    labels = torch.tensor([0] * m + [1] * m)
    expected = math.log(m - 1 + m * math.exp(-2.0 / temperature))
    assert supcon(z, labels, temperature=temperature, reduction="mean").item() == pytest.approx(expected, rel=1e-5)


def test_orthogonal_pairs_vanish_as_the_temperature_falls() -> None:
    """M = 2 and orthogonal classes: log(1 + (n - 2)·exp(-1/τ)), which is 0 in float32 at τ = 0.01."""
    z, labels = torch.eye(4).repeat_interleave(2, dim=0), torch.arange(4).repeat_interleave(2)
    assert supcon(z, labels, temperature=0.5, reduction="mean").item() == pytest.approx(math.log(1 + 6 * math.exp(-2.0)), rel=1e-5)
    assert supcon(z, labels, temperature=0.01).item() == pytest.approx(0.0, abs=1e-6)


def test_a_worst_case_stays_finite() -> None:
    """Positives opposite, negatives equal, τ = 0.01: the logits reach ±100, whose exponential float32 cannot hold."""
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    loss = supcon(z, torch.tensor([0, 0, 1, 1]), temperature=0.01, reduction="mean")
    assert loss.item() == pytest.approx(200.0, rel=1e-5)
    loss.backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("temperature", [0.01, 1.0])
def test_gradients_are_those_of_finite_differences(temperature: float) -> None:
    z = unit(6, 3).double().requires_grad_()
    labels = torch.tensor([0, 0, 1, 1, 2, 3])
    assert torch.autograd.gradcheck(lambda x: supcon(x, labels, temperature=temperature), (z,), eps=1e-7, atol=1e-3, rtol=1e-3)


def test_half_precision_and_autocast_are_computed_in_float32() -> None:
    z, labels = unit(72, 16).bfloat16(), torch.arange(24).repeat_interleave(3)
    expected = supcon(z.float(), labels, temperature=0.01)
    with torch.autocast("cpu", torch.bfloat16):
        for given in (z, z.float()):
            loss = supcon(given, labels, temperature=0.01)
            assert loss.dtype == torch.float32
            assert torch.equal(loss, expected)


def test_anchors_without_positives_are_left_out() -> None:
    z = unit(5, 8).requires_grad_()
    labels = torch.tensor([0, 0, 1, 2, 3])  # the last three only serve as negatives
    loss = supcon(z, labels, temperature=0.1)
    assert loss.item() == pytest.approx(written_out(z.detach(), labels.tolist(), 0.1), rel=2e-6)
    assert supcon(z, labels, temperature=0.1, reduction="mean").item() == pytest.approx(loss.item() / 2, rel=1e-6)
    nothing = supcon(z, torch.arange(5), temperature=0.1)
    nothing.backward()
    assert nothing.item() == 0.0
    assert z.grad is not None
    assert torch.equal(z.grad, torch.zeros(5, 8))


def test_neither_order_nor_names_of_the_classes_matter() -> None:
    z, labels = unit(12, 8), torch.arange(4).repeat_interleave(3)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    expected = supcon(z, labels, temperature=0.1)
    torch.testing.assert_close(supcon(z[order], 100 - 7 * labels[order], temperature=0.1), expected)


@pytest.mark.parametrize(
    ("z", "labels", "options", "message"),
    [
        (unit(4, 2)[None], torch.zeros(4), {"temperature": 0.1}, "embeddings"),
        (unit(4, 2), torch.zeros(3), {"temperature": 0.1}, "labels"),
        (unit(4, 2), torch.zeros(4), {"temperature": 0.0}, "temperature"),
        (unit(4, 2), torch.zeros(4), {"temperature": 0.1, "reduction": "max"}, "reduction"),
    ],
)
def test_bad_input_is_refused(z: torch.Tensor, labels: torch.Tensor, options: dict[str, object], message: str) -> None:
    with pytest.raises(RoomtrainError, match=message):
        supcon(z, labels, **options)  # type: ignore[arg-type]
