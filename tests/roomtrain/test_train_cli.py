"""`roomtrain train`: every strategy from data to results, killed and resumed, and one clear line for whatever is wrong."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import roomgen
from roomgen.store.lock import lock
from roomtrain.commands.train import _train_all
from roomtrain.journal import read_log
from roomtrain.paper import get_paper
from roomtrain.plans import Planned, settings_of
from tests.roomtrain.conftest import Said
from tests.roomtrain.damage import edit_manifest, poison

ROOT = Path(__file__).parents[2]
Roomtrain = Callable[..., Said]
SMALL = {
    "upstream.n_classes": 4,
    "upstream.batches": 3,
    "upstream.val_batches": 1,
    "downstream.train": 32,
    "downstream.val": 16,
    "downstream.test": 32,
    "cache_gb": 0,
}
FEW = ("--preset", "smoke", "--device", "cpu", *(text for key, value in SMALL.items() for text in ("--set", f"{key}={value}")))
QUICK = (*FEW, "--set", 'downstream.targets=["rt60","volume"]')
QUICKER = (*FEW, "--set", 'downstream.targets=["c50"]', "--set", 'downstream.splits=["sample"]')


def strategy(name: str) -> tuple[str, str]:
    return ("--set", f'strategy="{name}"')


def train(roomtrain: Roomtrain, data: Path, out: Path, *more: object) -> Said:
    return roomtrain("train", "goetz", "--data", data, "--out", out, *more)


def assert_one_line(said: Said, *, code: int, names: str) -> None:
    lines = [line for line in said.err.splitlines() if " · upstream: epoch" not in line]
    assert said.code == code, said.err
    assert len(lines) == 1, said.err
    assert lines[0].startswith("roomtrain: ")
    assert names in lines[0]
    assert said.out == ""


@pytest.mark.parametrize("name", ["soft", "hard", "posind", "supervised", "untrained"])
def test_every_strategy_ends_in_results(roomtrain: Roomtrain, goetz_made: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "run"
    said = train(roomtrain, goetz_made, out, *QUICK, *strategy(name), "--json")
    assert said.code == 0, said.err
    result: dict[str, Any] = json.loads(said.out)
    assert result == json.loads((out / "results.json").read_text(encoding="utf-8"))
    contrastive = name in ("soft", "hard", "posind")
    assert result["cell"] == (f"{name}-0.1" if contrastive else name)
    assert result["settings"]["strategy"] == name
    encoder = 154_474 + (82_689 if name == "supervised" else 0)
    assert result["parameters"]["sample/rt60" if name == "supervised" else "upstream"] == encoder + 2_608 * (name != "supervised")
    assert (result["precision"], result["processes"]) == ("32-true", 1)
    assert result["seconds"] >= sum(stage["seconds"] for stage in result["stages"].values()) - 1
    assert "smoke test" in result["reduced"]
    assert result["data"]["upstream-rirs"]["samples"] == 80
    stages = {f"{split}/{target}" for split in ("room", "sample") for target in ("rt60", "volume")}
    assert set(result["stages"]) == stages | (set() if name == "supervised" else {"upstream"})
    for split in ("sample", "room"):
        for target, metrics in (("rt60", ("rmse", "corr", "bias")), ("volume", ("accuracy", "precision", "recall"))):
            values = result["protocols"][split][target]
            assert values["n"] == 32
            assert values["groups"] <= (10 if split == "sample" else 2)
            assert set(values["baseline"]) == set(values["interval"]) == set(values["conditions"]["20 dB"]) == set(metrics)
            assert set(values["conditions"]) == {"20 dB", "levelled"}
            assert sum(row["n"] for row in values["by"]["rt60"]) == 32
    assert_predictions_give_the_results(out, result)
    assert said.err.count("epoch") >= len(stages)
    again = train(roomtrain, goetz_made, out, *QUICK, *strategy(name), "--json")  # nothing is trained anew
    assert (again.code, again.out, again.err) == (0, said.out, "")


def assert_predictions_give_the_results(out: Path, result: dict[str, Any]) -> None:
    table = pd.read_parquet(out / "predictions.parquet")
    assert list(table.columns) == ["cell", "protocol", "target", "condition", "key", "group", "truth", "estimate"]
    clean = table[table["condition"] == "clean"]
    assert len(clean) == 2 * 2 * 32
    for (split, target), rows in clean.groupby(["protocol", "target"], observed=True):
        values = result["protocols"][split][target]
        if target == "rt60":
            assert values["rmse"] == pytest.approx(float(np.sqrt(((rows["estimate"] - rows["truth"]) ** 2).mean())), rel=1e-6)
        else:
            assert values["accuracy"] == pytest.approx(float((rows["estimate"] == rows["truth"]).mean()), rel=1e-6)


def test_stopped_killed_and_with_other_threads_it_ends_as_if_nothing_was(
    roomtrain: Roomtrain, goetz_made: Path, tmp_path: Path
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert train(roomtrain, goetz_made, whole, *QUICKER).code == 0
    command = ["train", "goetz", "--data", str(goetz_made), "--out", str(run), *QUICKER]

    def in_a_process(*how: str) -> subprocess.CompletedProcess[str]:
        started = [sys.executable, "-m", "tests.roomtrain.killed", *how, *command]
        return subprocess.run(started, cwd=ROOT, capture_output=True, text=True, timeout=120)

    stopped = in_a_process("SIGTERM", "2")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stderr.strip().splitlines()[-1] == (
        f"roomtrain: SIGTERM: stopped and saved in {run} (upstream, epoch 1, step 2 of 3). The same command goes on from there."
    )
    assert stopped.stdout == ""
    killed = in_a_process("SIGKILL", "3")  # in the second epoch
    assert killed.returncode == -9
    assert not (run / "results.json").exists()
    assert train(roomtrain, goetz_made, run, *QUICKER, "--workers", 1).code == 0
    for stage in ("upstream", "sample/c50"):
        assert (run / stage / "log.jsonl").read_bytes() == (whole / stage / "log.jsonl").read_bytes()
        assert (run / stage / "best.safetensors").read_bytes() == (whole / stage / "best.safetensors").read_bytes()
    assert len(read_log(run / "upstream")) == 4
    results = [json.loads((folder / "results.json").read_text(encoding="utf-8")) for folder in (whole, run)]
    assert results[0]["protocols"] == results[1]["protocols"]
    assert (whole / "predictions.parquet").read_bytes() == (run / "predictions.parquet").read_bytes()


def test_a_folder_of_other_settings_names_what_differs(roomtrain: Roomtrain, goetz_made: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert train(roomtrain, goetz_made, out, *QUICKER, *strategy("untrained")).code == 0
    said = train(roomtrain, goetz_made, out, *QUICKER, *strategy("untrained"), "--set", "downstream.fit.learning_rate=0.5")
    assert_one_line(said, code=2, names="downstream.fit.learning_rate")
    said = train(roomtrain, goetz_made, out, *QUICKER, *strategy("untrained"), "--seed", 4)
    assert_one_line(said, code=2, names="seed")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine", encoding="utf-8")
    assert_one_line(train(roomtrain, goetz_made, other, *QUICKER), code=2, names="is not empty and not a run")


def test_two_processes_and_half_precision_come_near_one_in_full(roomtrain: Roomtrain, goetz_made: Path, tmp_path: Path) -> None:
    arguments = ("--data", goetz_made, *QUICKER, *strategy("posind"), "--json")
    one = json.loads(roomtrain("train", "goetz", "--out", tmp_path / "one", *arguments).out)
    half = json.loads(roomtrain("train", "goetz", "--out", tmp_path / "half", *arguments, "--precision", "bf16-mixed").out)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "roomtrain.cli"]
    command = [*torchrun, "train", "goetz", "--out", tmp_path / "two", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    two = json.loads(ran.stdout)
    for other, tolerance in ((two, 0.01), (half, 0.1)):
        assert other["stages"].keys() == one["stages"].keys()
        for name, stage in one["stages"].items():
            assert other["stages"][name]["best_val_loss"] == pytest.approx(stage["best_val_loss"], rel=tolerance)


def test_commands_side_by_side_share_the_cells_out(
    roomtrain: Roomtrain, goetz_made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one").mkdir()
    with lock(tmp_path / "one") as alone:
        assert alone
        said = train(roomtrain, goetz_made, tmp_path / "one", *QUICKER)
    assert_one_line(said, code=1, names="another command is training")
    goetz = get_paper("goetz")
    overrides = {**SMALL, "strategy": "untrained", "downstream.targets": ("c50",)}
    planned = [Planned("untrained", settings_of(goetz, "smoke", overrides), tmp_path / name) for name in ("taken", "free")]
    (tmp_path / "taken").mkdir()
    with lock(tmp_path / "taken"):
        results = _train_all(goetz, planned, goetz_made, device="cpu", workers=1, sinks=())
    assert [result["cell"] for result in results] == ["untrained"]
    assert "another command is training it" in capfd.readouterr().err
    assert [(one.folder / "results.json").is_file() for one in planned] == [False, True]
    assert len(_train_all(goetz, planned, goetz_made, device="cpu", workers=1, sinks=())) == 2


def test_cells_and_sweeps_have_folders_and_a_common_warm_up(roomtrain: Roomtrain, goetz_made: Path, tmp_path: Path) -> None:
    swept = ("--sweep", "upstream.temperature=0.2,0.5", "--set", "upstream.warm_up_epochs=1", *strategy("hard"))
    said = train(roomtrain, goetz_made, tmp_path / "swept", *QUICKER, *swept, "--json")
    assert said.code == 0, said.err
    assert [result["cell"] for result in json.loads(said.out)] == ["hard-0.2", "hard-0.5"]
    folders = sorted(path.name for path in (tmp_path / "swept").iterdir())
    assert [name for name in folders if name.startswith("hard")] == ["hard-0.2-seed0", "hard-0.5-seed0"]
    (shared,) = (name for name in folders if name.startswith("warm-up-"))
    assert said.err.count("warm-up: epoch 1") == 1
    assert (tmp_path / "swept" / shared / "best.safetensors").is_file()
    heard = roomtrain("evaluate", tmp_path / "swept" / "hard-0.5-seed0", "--data", goetz_made, "--device", "cpu")
    assert heard.code == 0, heard.err
    config = tmp_path / "mine.toml"
    config.write_text("dropout = 0.3\n[downstream]\ntest = 16\n", encoding="utf-8")
    said = train(roomtrain, goetz_made, tmp_path / "cell", *QUICKER, "--cell", "untrained", "--config", config, "--json")
    result = json.loads(said.out)
    assert (result["cell"], result["settings"]["dropout"]) == ("untrained", 0.3)
    assert result["protocols"]["sample"]["c50"]["n"] == 32  # --set lies over --config
    number = [cell.name for cell in get_paper("goetz").cells()].index("untrained") + 1
    again = train(roomtrain, goetz_made, tmp_path / "cell", *QUICKER, "--cell", number, "--config", config, "--json")
    assert json.loads(again.out) == result


def test_a_loss_that_is_not_finite_ends_with_the_keys_of_its_batch(roomtrain: Roomtrain, goetz_made: Path, tmp_path: Path) -> None:
    said = train(roomtrain, goetz_made, tmp_path / "run", *QUICKER, "--set", "upstream.fit.learning_rate=1e30")
    assert_one_line(said, code=1, names="the loss is nan in epoch 1, step 2; the batch: room")
    assert " × " in said.err


def no_part(data: Path) -> str:
    shutil.rmtree(data / "downstream-speech")
    return "has no dataset downstream-speech/"


def other_family(data: Path) -> str:
    shutil.rmtree(data / "upstream-rirs")
    shutil.copytree(data / "upstream-speech", data / "upstream-rirs")
    return "holds sources, where rooms are needed"


def other_schema(data: Path) -> str:
    path = data / "upstream-rirs" / "manifest.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"roomgen.schema_version": b"999"}), path)
    return "has schema version 999"


def cut_short(data: Path) -> str:
    tar = data / "upstream-rirs" / "data" / "train-000000.tar"
    tar.write_bytes(tar.read_bytes()[:100_000])
    return "it was cut short"


def not_a_number(data: Path) -> str:
    key = roomgen.open(data / "upstream-rirs")[20].key
    poison(data / "upstream-rirs", key, np.nan)
    return f"sample {key} holds values that are not finite"


def unfinished(data: Path) -> str:
    (data / "upstream-speech" / "manifest.parquet").unlink()
    return "is not finished"


def speaker_in_two_splits(data: Path) -> str:
    def edit(columns: dict[str, list[Any]]) -> None:
        columns["split"][columns["split"].index("val")] = "train"

    edit_manifest(data / "upstream-speech", edit)
    return "share speakers"


def speakers_of_upstream_downstream(data: Path) -> str:
    shutil.rmtree(data / "downstream-speech")
    shutil.copytree(data / "upstream-speech", data / "downstream-speech")
    return "share speakers"


def rooms_of_upstream_downstream(data: Path) -> str:
    shutil.rmtree(data / "downstream-rirs")
    shutil.copytree(data / "upstream-rirs", data / "downstream-rirs")
    return "share rooms"


def test_a_room_in_two_splits_is_an_error_where_rooms_are_to_be_apart(
    roomtrain: Roomtrain, goetz_copy: Path, tmp_path: Path
) -> None:
    def edit(columns: dict[str, list[Any]]) -> None:
        columns["split"][columns["split"].index("val")] = "train"

    edit_manifest(goetz_copy / "downstream-rirs", edit)
    apart = ("--set", 'downstream.splits=["room"]')
    said = train(roomtrain, goetz_copy, tmp_path / "run", *FEW, *apart, *strategy("untrained"))
    assert_one_line(said, code=1, names="train and val share rooms")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (no_part, 2),
        (other_family, 2),
        (other_schema, 1),
        (unfinished, 1),
        (cut_short, 1),
        (not_a_number, 1),
        (speaker_in_two_splits, 1),
        (speakers_of_upstream_downstream, 1),
        (rooms_of_upstream_downstream, 1),
    ],
)
def test_data_that_is_wrong_is_one_clear_line_before_anything_is_trained(
    roomtrain: Roomtrain, goetz_copy: Path, tmp_path: Path, damage: Callable[[Path], str], code: int
) -> None:
    names = damage(goetz_copy)
    said = train(roomtrain, goetz_copy, tmp_path / "run", *QUICKER, *strategy("posind"))
    assert_one_line(said, code=code, names=names)
    assert not list((tmp_path / "run").rglob("log.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("goetze",), "unknown paper 'goetze'. Did you mean 'goetz'?"),
        (("goetz",), "--data is missing"),
        (("goetz", "--data", "x"), "--out is missing"),
        (("goetz", "--data", "x", "--out", "y", "--preset", "smole"), "unknown preset 'smole'. Did you mean 'smoke'?"),
        (("goetz", "--data", "x", "--out", "y", "--set", "dropuot=0.1"), "dropout"),
        (("goetz", "--data", "x", "--out", "y", "--set", "dropout=2"), "dropout"),
        (("goetz", "--data", "x", "--out", "y", "--set", "seed=1"), "give --seed"),
        (("goetz", "--data", "x", "--out", "y", "--seeds", 2), "--seeds is for --all"),
        (("goetz", "--data", "x", "--out", "y", "--cell", "sofd-0.1"), "Did you mean 'soft-0.1'"),
        (("goetz", "--data", "x", "--out", "y", "--cell", 1, "--all"), "exclude each other"),
        (("goetz", "--data", "x", "--out", "y", "--cell", 1, "--set", 'strategy="soft"'), "exclude each other"),
        (("goetz", "--data", "x", "--out", "y", "--sweep", "dropout"), "is not key=a,b"),
        (("goetz", "--data", "x", "--out", "y", "--sweep", "dropout=0.1,0.1"), "has a value twice"),
        (("goetz", "--data", "x", "--out", "y", "--sweep", "dropuot=0.1,0.2"), "dropout"),
        (("goetz", "--data", "x", "--out", "y", "--config", "none.toml"), "there is no such file"),
        (("goetz", "--data", "x", "--out", "y", "--log", "paper"), "tensorboard, wandb, both or none"),
        (("goetz", "--data", "x", "--out", "y", "--all", "--set", 'strategy="soft"'), "exclude each other"),
        (("goetz", "--data", "x", "--out", "y", "--device", "tpu"), "give auto, cpu or cuda"),
        (("goetz", "--data", "x", "--out", "y", "--device", "cpu", "--precision", "bf16"), "bf16-mixed"),
        (("goetz", "--data", "x", "--out", "y", "--device", "cpu", "--precision", "16-mixed"), "needs a GPU"),
        (("goetz", "--data", "x", "--out", "y", "--device", "cpu"), "has no dataset"),
    ],
)
def test_wrong_usage_is_one_clear_line(
    roomtrain: Roomtrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], names: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(roomtrain("train", *arguments), code=2, names=names)
    assert list(tmp_path.iterdir()) == []
