"""Checkpoints: whole or not there, exact, and read without executing anything."""

import math
import os
import pickle
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from roomtrain import checkpoint, loop
from roomtrain.checkpoint import LAST, Saver, fitting, load_last, read_weights, save_last, write_weights
from roomtrain.errors import RoomtrainError, Stopped

# torch warns of the pickle protocols that such files name.
pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol", "ignore:TypedStorage is deprecated")

WEIGHTS = {"a": torch.tensor([1.0, -0.0, 3e-40]), "b": torch.arange(6).reshape(2, 3), "half": torch.ones(2, dtype=torch.bfloat16)}


def saved(folder: Path, step: int = 7, *, weights: dict[str, Tensor] | None = None) -> None:
    save_last(folder, weights=weights or WEIGHTS, state={"progress": {"epoch": 2}, "tensor": torch.ones(3)}, step=step)


def test_what_is_saved_is_read_bit_for_bit(tmp_path: Path) -> None:
    saved(tmp_path)
    loaded = load_last(tmp_path)
    assert loaded is not None
    weights, state = loaded
    assert {name: (t.dtype, t.shape) for name, t in weights.items()} == {name: (t.dtype, t.shape) for name, t in WEIGHTS.items()}
    for name, tensor in WEIGHTS.items():
        assert torch.equal(weights[name].view(torch.uint8), tensor.contiguous().view(torch.uint8))
    assert (state["progress"], state["step"], state["tensor"].tolist()) == ({"epoch": 2}, 7, [1, 1, 1])


def test_a_folder_without_a_checkpoint_has_none(tmp_path: Path) -> None:
    assert load_last(tmp_path) is None
    (tmp_path / "last-000000003.safetensors").write_bytes(b"written, and then killed before last.pt was")
    assert load_last(tmp_path) is None


def test_weights_that_are_views_of_a_larger_tensor_are_saved(tmp_path: Path) -> None:
    large = torch.arange(12.0).reshape(3, 4)
    write_weights(tmp_path / "w.safetensors", {"part": large[:, 1], "turned": large.T})
    read = read_weights(tmp_path / "w.safetensors")
    assert torch.equal(read["part"], large[:, 1])
    assert torch.equal(read["turned"], large.T)


@pytest.mark.parametrize("killed_at", [0, 1])
def test_a_kill_between_the_files_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    saved(tmp_path, 7)
    replaced: list[object] = []

    def replace(source: str, target: str) -> None:
        if len(replaced) == killed_at:
            raise KeyboardInterrupt
        replaced.append(target)
        os.rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            saved(tmp_path, 8, weights={"a": torch.zeros(1)})
    loaded = load_last(tmp_path)
    assert loaded is not None
    assert loaded[1]["step"] == 7
    assert torch.equal(loaded[0]["a"], WEIGHTS["a"])


def test_what_kills_left_is_cleared_away_by_the_next_save(tmp_path: Path) -> None:
    saved(tmp_path, 7)
    (tmp_path / "last-000000008.safetensors").write_bytes(b"new weights whose last.pt was not written")
    (tmp_path / ".roomgen-tmp-last-000000009.safetensors").write_bytes(b"half")
    (tmp_path / "best.safetensors").write_bytes(b"to be kept")
    saved(tmp_path, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", "last-000000010.safetensors", LAST]


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("it-went-off",))


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path)
    for write in (
        lambda path: torch.save({"weights": "last-000000007.safetensors", "bomb": Bomb()}, path),
        lambda path: path.write_bytes(pickle.dumps({"weights": "last-000000007.safetensors", "bomb": Bomb()})),
    ):
        write(tmp_path / LAST)
        with pytest.raises(RoomtrainError, match=r"last\.pt cannot be read .* remove") as raised:
            load_last(tmp_path)
        assert raised.value.exit_code == 1
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "it-went-off").exists()


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "/tmp/elsewhere.safetensors", "sub/elsewhere.safetensors", "..", ""])
def test_weights_are_only_read_from_the_same_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    (folder / "sub").mkdir(parents=True)
    for place in (tmp_path, folder / "sub"):
        write_weights(place / "elsewhere.safetensors", WEIGHTS)
    torch.save({"weights": name, "step": 1}, folder / LAST)
    with pytest.raises(RoomtrainError, match=r"outside its folder|no weights"):
        load_last(folder)


@pytest.mark.parametrize("content", [[1, 2], {"step": 3}, torch.ones(2)])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / LAST)
    with pytest.raises(RoomtrainError, match="cannot be read"):
        load_last(tmp_path)


def test_damage_anywhere_is_one_clear_line_or_harmless(tmp_path: Path) -> None:
    saved(tmp_path)
    choose, refused = random.Random(0), 0
    for path in (tmp_path / LAST, tmp_path / "last-000000007.safetensors"):
        whole = path.read_bytes()
        for attempt in range(150):
            data = bytearray(whole)
            if attempt % 3 == 0:
                del data[choose.randrange(len(data)) :]
            else:
                for _ in range(4):
                    data[choose.randrange(len(data))] = choose.randrange(256)
            path.write_bytes(data)
            try:
                load_last(tmp_path)
            except RoomtrainError as error:
                refused += "\n" not in str(error)
        path.write_bytes(whole)
    assert refused > 150


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(RoomtrainError, match=r"no weights at .*best\.safetensors: train first"):
        read_weights(tmp_path / checkpoint.BEST)
    saved(tmp_path)
    (tmp_path / "last-000000007.safetensors").unlink()
    with pytest.raises(RoomtrainError, match="no weights"):
        load_last(tmp_path)


def test_a_checkpoint_of_another_model_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RoomtrainError, match=r"does not fit .*size mismatch.*begin it anew"), fitting(tmp_path):
        torch.nn.Linear(2, 3).load_state_dict({"weight": torch.ones(1, 1), "bias": torch.ones(1)})


def test_after_a_write_that_failed_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the last checkpoint would speak of a best epoch whose weights are not there."""
    saver = Saver()

    def fails(path: Path, weights: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "write_weights", fails)
        saver.best(tmp_path, WEIGHTS)
        saver._thread.submit(lambda: None).result()  # after it
    with pytest.raises(OSError, match="the disk is full"):
        saver.last(tmp_path, weights=WEIGHTS, state={}, step=1, first=lambda: None)
    saver.last(tmp_path, weights=WEIGHTS, state={}, step=1, first=lambda: None)
    saver.flush()
    saver.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_saved_is_what_was_there_when_it_was_asked_for(tmp_path: Path) -> None:
    saver, weight, moment = Saver(), torch.ones(1000), torch.zeros(3)
    for step in range(1, 6):
        saver.last(tmp_path, weights={"w": weight}, state={"m": [moment]}, step=step, first=lambda: None)
        weight.mul_(2)
        moment.add_(1)
    saver.flush()
    saver.close()
    loaded = load_last(tmp_path)
    assert loaded is not None
    assert loaded[0]["w"].tolist() == [16.0] * 1000
    assert (loaded[1]["step"], loaded[1]["m"][0].tolist()) == (5, [4.0] * 3)
    assert len(list(tmp_path.iterdir())) == 2


class StopAt:
    """Asks to stop when it has been looked at so often."""

    def __init__(self, looks: float) -> None:
        self.looks = looks

    @property
    def asked(self) -> str:
        self.looks -= 1
        return "SIGTERM" if self.looks <= 0 else ""


def resumed(root: Path, out: Path, *, looks: float = math.inf) -> dict[str, object]:
    """Train the toy paper, from where it stands, and return all of its results that do not tell of time or place."""
    from roomtrain.fabric import start_fabric
    from roomtrain.plans import settings_of
    from roomtrain.run import Command, train
    from tests.roomtrain.toy.paper import PAPER

    settings = settings_of(PAPER, "smoke", {})
    command = Command(start_fabric("cpu"), stop=StopAt(looks))  # type: ignore[arg-type]
    results = train(PAPER, settings, cell="all", root=root, out=out, command=command)
    stages = {name: {key: value for key, value in how.items() if key != "seconds"} for name, how in results["stages"].items()}
    predictions = pd.read_parquet(out / "predictions.parquet").to_csv()
    return {**{key: results[key] for key in ("protocols", "parameters", "data")}, "stages": stages, "predictions": predictions}


def test_one_bit_flipped_anywhere_is_told_or_changes_no_result(
    goetz_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every file that a resume reads, the second of three stages being half trained."""
    monkeypatch.setattr(loop, "_LOG_EVERY", 1)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    whole = resumed(goetz_made, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    with pytest.raises(Stopped):
        resumed(goetz_made, stopped, looks=whole["stages"]["c50"]["steps"] + 3)  # type: ignore[index]
    assert resumed(goetz_made, Path(shutil.copytree(stopped, tmp_path / "again"))) == whole
    (weights,) = (stopped / "size").glob("last-*")
    sealed = ("c50/best.safetensors", "size/last.pt", f"size/{weights.name}")
    told: list[tuple[str, str]] = []
    for name in (*sealed, "settings.json", "c50/stage.json", "size/log.jsonl"):
        original = (stopped / name).read_bytes()
        for place, bit in ((0.1, 5), (0.5, 0), (0.92, 2)):
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
            shutil.copytree(stopped, tmp_path / "run")
            data = bytearray(original)
            data[int(place * len(data))] ^= 1 << bit
            (tmp_path / "run" / name).write_bytes(data)
            try:
                assert resumed(goetz_made, tmp_path / "run") == whole, f"{name}, at {place}, bit {bit}"
            except RoomtrainError as error:
                told.append((name, str(error)))
    assert [name for name, _ in told if name in sealed] == [name for name in sealed for _ in range(3)]
    assert [text for _, text in told if "\n" in text or "remove" not in text] == []


@pytest.mark.parametrize("name", [LAST, "last-000000007.safetensors"])
def test_every_bit_of_a_checkpoint_counts(tmp_path: Path, name: str) -> None:
    saved(tmp_path)
    whole = (tmp_path / name).read_bytes()
    before = load_last(tmp_path)
    unnoticed, told = 0, set()
    for place in range(0, len(whole), 3):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        (tmp_path / name).write_bytes(data)
        try:
            after = load_last(tmp_path)
        except RoomtrainError as error:
            told.add(str(error))
        else:
            unnoticed += 1
            assert str(after) == str(before)
    assert unnoticed < 20  # where it says that there is a sum, and nothing that is read
    assert all("\n" not in text and "remove" in text for text in told)


def test_checkpoints_of_before_they_had_sums_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(WEIGHTS, tmp_path / "last-000000007.safetensors")
    torch.save({"step": 7, "weights": "last-000000007.safetensors"}, tmp_path / LAST)
    loaded = load_last(tmp_path)
    assert loaded is not None
    assert loaded[1]["step"] == 7
    assert torch.equal(loaded[0]["b"], WEIGHTS["b"])
