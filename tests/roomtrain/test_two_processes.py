"""Two processes with half of every batch each are one process with the whole: gradients, weights, losses, and how they end."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from roomtrain.journal import read_log
from tests.roomtrain import two_processes
from tests.roomtrain.made import one_process

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder and the results of both processes."""
    out = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = [*command, "-m", "tests.roomtrain.two_processes", str(out)]
    with subprocess.Popen(script, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as ran:
        try:
            said, _ = ran.communicate(timeout=120)
        finally:
            ran.terminate()  # it ends the processes that it started
    assert ran.returncode == 0, said[-3000:]
    return out, [torch.load(out / f"result-{rank}.pt", weights_only=True) for rank in (0, 1)]


def close(two: dict[str, Tensor], one: dict[str, Tensor], *, rtol: float, atol: float) -> None:
    """Compare tensors by name, each in units of its largest number."""
    assert two.keys() == one.keys()
    scales = {name: tensor.float().abs().max().clamp(min=1e-6) for name, tensor in one.items()}
    named = {name: two[name].float() / scale for name, scale in scales.items()}
    torch.testing.assert_close(named, {name: one[name].float() / scale for name, scale in scales.items()}, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", two_processes.TASKS)
def test_gradients_are_those_of_the_whole_batch(two: tuple[Path, list[dict[str, Any]]], name: str) -> None:
    fabric = one_process()
    expected = two_processes.gradients(two_processes.TASKS[name](fabric), fabric)
    assert all(float(gradient.abs().max()) > 0 for gradient in expected.values())
    for result in two[1]:
        close(result[f"{name}-gradients"], expected, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("name", two_processes.TASKS)
def test_weights_and_losses_after_some_steps_are_those_of_one_process(
    two: tuple[Path, list[dict[str, Any]]], tmp_path: Path, name: str
) -> None:
    fabric = one_process()
    expected = two_processes.fitted(two_processes.TASKS[name](fabric), tmp_path, fabric)
    for result in two[1]:
        close(result[f"{name}-weights"], expected, rtol=0, atol=0.02)
    assert two[1][0][f"{name}-weights"].keys() == expected.keys()
    lines, expected_lines = read_log(two[0] / name), read_log(tmp_path)
    assert len(lines) == len(expected_lines) == 4
    for line, other in zip(lines, expected_lines, strict=True):
        assert line.pop("kind") == other.pop("kind")
        norm, other_norm = line.pop("grad_norm", 0.0), other.pop("grad_norm", 0.0)  # more of rounding than the loss
        assert norm == pytest.approx(other_norm, rel=1e-2)
        assert line == pytest.approx(other, rel=1e-3)


def test_both_processes_hold_the_same_weights(two: tuple[Path, list[dict[str, Any]]]) -> None:
    for name in two_processes.TASKS:
        first, second = (result[f"{name}-weights"] for result in two[1])
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_normalisation_of_unequal_halves_is_that_of_the_whole(two: tuple[Path, list[dict[str, Any]]]) -> None:
    whole = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(4)) * torch.tensor([1.0, 5.0, 0.1])[:, None, None] + 1
    direction = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(5))
    norm, x = nn.BatchNorm2d(3), whole.requires_grad_()
    y = norm(x)
    (y * direction).sum().backward()
    assert x.grad is not None
    parts = [result["normalised"] for result in two[1]]
    torch.testing.assert_close(torch.cat([part["y"] for part in parts]), y.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.cat([part["x"] for part in parts]), x.grad, rtol=1e-3, atol=1e-4)
    for part in parts:
        torch.testing.assert_close(part["mean"], norm.running_mean)
        torch.testing.assert_close(part["var"], norm.running_var)


def test_what_ends_one_process_ends_both_at_the_same_step(two: tuple[Path, list[dict[str, Any]]]) -> None:
    said = [json.loads((two[0] / f"said-{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    assert said[0] == said[1]
    stopped, failed = said[0]
    assert stopped == "line, epoch 2, step 2 of 5"
    assert failed.startswith("line: the loss is nan in epoch 2, step 4; the batch: sample-1-3-0")


def test_adversaries_in_two_processes_are_those_of_one(two: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    fabric = one_process()
    expected = two_processes.fitted(two_processes.adversaries(fabric), tmp_path, fabric)
    for result in two[1]:
        for name, tensor in expected.items():
            torch.testing.assert_close(result["adversaries-weights"][name], tensor, rtol=1e-4, atol=1e-6)


def test_what_one_process_does_alone_ends_alike_in_all(two: tuple[Path, list[dict[str, Any]]]) -> None:
    said = [json.loads((two[0] / f"together-{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    first = ["made by 0", "RoomtrainError: there is no room", "Stopped: here", "KeyError: 'odd'"]
    last = ["Stopped: held: another command trains it", "1 of 2"]
    assert said[0] == [*first, *last]
    assert said[1] == [*first[:3], "RoomtrainError: the first process failed: 'odd'", *last]
