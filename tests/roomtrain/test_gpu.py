"""No step waits for a GPU; and what a GPU must show is shown, whatever fails, dies or takes too long on the way."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from roomtrain.bench import Watch, first_task, take_steps
from roomtrain.fit_settings import FitSettings
from roomtrain.gpu.items import Item, Report, Setup, chosen_items
from roomtrain.gpu.runner import run
from roomtrain.gpu.steps import EVERY_HELP, waiting
from roomtrain.gpu.text import text
from roomtrain.gpu.training import covered
from roomtrain.paper import Place, get_paper
from roomtrain.papers.goetz import folded, spectrogram
from roomtrain.steps import Stepper
from roomtrain.task import Task
from tests.roomtrain.conftest import Said
from tests.roomtrain.syncs import Waits, no_waiting
from tests.roomtrain.test_bench import Small

on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: only one can tell whether it is waited for")
CASES = {"kept": {"strategy": "hard"}, "made": {"strategy": "posind", "cache_gb": 0.0, "snr_db": (10.0, 20.0)}}
AUGMENTED = {"shift": True, "gain_db": 6.0}


def contrastive(root: Path, case: str, device: str) -> tuple[Task, FitSettings]:
    paper, place = get_paper("goetz"), Place(torch.device(device))
    return first_task(paper, paper.open(root, place), place, preset="smoke", overrides={**CASES[case], **AUGMENTED})


def process(device: str) -> Fabric:
    fabric = Fabric(accelerator=device, devices=1)
    fabric.launch()
    return fabric


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the ways that are a GPU's, and refuse what would wait for it, from the third step on."""
    monkeypatch.setattr(Stepper, "look", lambda self: None)  # on a GPU not in every step
    monkeypatch.setattr(folded, "applies", lambda *_: False)
    monkeypatch.setattr(spectrogram, "_power_matrix", lambda signal: spectrogram._power_fft(signal[None])[0])
    monkeypatch.setattr("roomtrain.reverberator.on_device", lambda indices, count, device: indices)
    take, taken = Stepper.take, 0

    def watched(self: Stepper, batches: list[Any], **where: Any) -> int:
        nonlocal taken
        taken += 1
        if taken <= 2:
            return take(self, batches, **where)
        with no_waiting():
            return take(self, batches, **where)

    monkeypatch.setattr(Stepper, "take", watched)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("helps", [{"fused": True}, EVERY_HELP])
def test_no_step_would_wait_for_a_gpu(goetz_made: Path, case: str, helps: dict[str, Any]) -> None:
    task, fit = contrastive(goetz_made, case, "cpu")
    take_steps(task, fit.model_copy(update=helps), process("cpu"), steps=4, watch=Watch())


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("losses", [("all",), ("discriminator", "generator")])
def test_a_step_that_would_wait_is_found(losses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    take_steps(Small(losses=losses), FitSettings(**EVERY_HELP), process("cpu"), steps=4, watch=Watch())
    count = Small.count
    monkeypatch.setattr(Small, "count", lambda self, batch: int(batch.sum()) and count(self, batch))
    with pytest.raises(Waits):
        take_steps(Small(losses=losses), FitSettings(**EVERY_HELP), process("cpu"), steps=4, watch=Watch())


@on_cuda
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("helps", [{}, EVERY_HELP])
def test_no_step_waits_for_the_gpu(goetz_made: Path, case: str, helps: dict[str, Any]) -> None:
    task, fit = contrastive(goetz_made, case, "cuda")
    assert waiting(task, fit.model_copy(update=helps), process("cuda")) is None


@on_cuda
def test_a_step_that_waits_for_the_gpu_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waiting(Small(), FitSettings(**EVERY_HELP), process("cuda")) is None
    count = Small.count
    monkeypatch.setattr(Small, "count", lambda self, batch: int(batch.sum()) and count(self, batch))
    assert "synchronizing" in str(waiting(Small(), FitSettings(), process("cuda")))


def good(setup: Setup, report: Report, *words: str) -> dict[str, Any]:
    return {"said": " ".join(words), "infinite": float("inf"), "rehearsal": setup.rehearsal}


def wrong(setup: Setup, report: Report) -> dict[str, Any]:
    chosen_items(rehearsal=True)
    raise ValueError("this was to be\nexpected")


def dying(setup: Setup, report: Report) -> dict[str, Any]:
    report({"half": 1})
    os.write(2, b"out of luck\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def endless(setup: Setup, report: Report, note: str) -> dict[str, Any]:
    report({"half": 1})
    child = os.fork()
    if not child:
        time.sleep(600)
    Path(note).write_text(str(child), encoding="utf-8")
    time.sleep(600)
    return {}


def item(function: str, *arguments: str, limit_s: float = 60.0) -> Item:
    return Item(function, "a test", f"tests.roomtrain.test_gpu:{function}", 1.0, limit_s, arguments)


def test_nothing_takes_the_others_with_it(tmp_path: Path) -> None:
    out, note = tmp_path / "gpu.json", tmp_path / "child"
    items = [item("wrong"), item("dying"), item("missing"), item("endless", str(note), limit_s=6.0), item("good", "all", "right")]
    said: list[str] = []
    returned = run(items, Setup("cpu", rehearsal=True), out, minutes=5, say=said.append)
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["items"]["wrong"]["error"].startswith("ValueError: this was to be (test_gpu.py, line ")
    assert found["items"]["dying"]["error"] == "its process ended with exit code -9: out of luck"
    assert found["items"]["dying"]["result"] == {"half": 1}
    assert "AttributeError" in found["items"]["missing"]["error"]
    assert found["items"]["endless"]["cut_s"] == 6.0
    assert found["items"]["endless"]["result"] == {"half": 1}
    assert found["items"]["good"]["result"] == {"said": "all right", "infinite": None, "rehearsal": True}
    assert found["left_out"] == {}
    assert not alive(int(note.read_text(encoding="utf-8")))  # what an item started ends with it
    shown = text(returned)
    assert "FAILED: its process ended with exit code -9" in shown
    assert "endless (6" in shown
    assert "cut off" in shown
    assert "all right" in shown
    assert len(said) == 2 * len(items)


def alive(process_id: int) -> bool:
    with suppress(OSError):
        status = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
        return status.rpartition(")")[2].split()[0] != "Z"  # ended, and not yet taken note of
    return False


def test_when_time_is_up_the_rest_is_left_out(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    items = [item("endless", str(tmp_path / "child"), limit_s=600.0), item("good", limit_s=6.0)]
    run(items, Setup("cpu", rehearsal=True), out, minutes=6 / 60, say=lambda line: None)
    found = json.loads(out.read_text(encoding="utf-8"))
    assert "cut_s" in found["items"]["endless"]
    assert list(found["left_out"]) == ["good"]


def test_there_is_a_file_from_the_first_moment_on(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"

    def look(line: str) -> None:
        assert json.loads(out.read_text(encoding="utf-8"))["left_out"] == {"good": "not reached"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([item("good")], Setup("cpu", rehearsal=True), out, minutes=1, say=look)


def test_a_rehearsal_runs_all_of_it(goetz_made: Path, tmp_path: Path, roomtrain: Callable[..., Said]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "goetz").symlink_to(goetz_made)
    said = roomtrain("gpu", "--rehearse", "--out", tmp_path / "gpu.json", "--data", tmp_path / "data")
    assert said.code == 0, said.out
    found = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert found["rehearsal"]
    assert found["device"] == "cpu"
    assert list(found["items"]) == [one.name for one in chosen_items(rehearsal=True)]
    assert not list(problems(found["items"]))
    results = {name: one["result"] for name, one in found["items"].items()}
    assert all(one.get("equal", True) for one in results["draws"].values())
    assert results["engine"]["agreement"]["torch"]["met"]
    trained = results["training"]
    assert trained["killed"]
    assert 0 < trained["resumed_from_step"] <= trained["killed_at_step"] < trained["steps"]
    for which in ("resumed", "repeated"):
        assert trained[which]["equal_losses"]
        assert trained[which]["equal_weights"]
    assert 0 < trained["busy"]["share"] <= 1
    assert results["steps goetz"].keys() == {"hard", "posind"}
    assert results["steps goetz"]["hard"]["32-true"]["samples"] == 9
    assert "compiled steps goetz" in said.out


def problems(values: Any) -> Iterator[Any]:
    """Yield whatever is an error or was cut off, however deep."""
    for name, value in values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ():
        if name in ("error", "cut_s"):
            yield value
        yield from problems(value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device: it would be measured")
def test_without_a_gpu_it_says_what_it_would_do(tmp_path: Path, roomtrain: Callable[..., Said]) -> None:
    said = roomtrain("gpu", "--out", tmp_path / "gpu.json")
    assert said.code == 0
    assert not list(tmp_path.iterdir())
    for one in chosen_items(rehearsal=False):
        assert f"\n{one.name} " in said.out
    assert "nothing was measured" in said.out


def test_the_plan_fits_into_ten_minutes() -> None:
    assert sum(one.expected_s for one in chosen_items(rehearsal=False)) < 600


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [([], 0.0), ([(1, 2)], 1.0), ([(5, 6), (1, 3), (2, 4)], 4.0), ([(0, 10), (2, 3), (9, 11)], 11.0)],
)
def test_overlapping_kernels_count_once(ranges: list[tuple[float, float]], expected: float) -> None:
    assert covered(ranges) == expected
