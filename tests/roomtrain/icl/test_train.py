"""`roomtrain train icl`: rows from data to results, their numbers from scratch, stopped and resumed, and in two processes."""

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
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import roomgen
from roomtrain.claims import claimed
from roomtrain.paper import Place, get_paper
from roomtrain.papers.icl.data import IclData
from roomtrain.papers.icl.network import new_classifier
from roomtrain.papers.icl.published import DEVICES, REAL, SIMULATED, UNSEEN
from roomtrain.papers.icl.stages import Row
from roomtrain.plans import settings_of
from roomtrain.run import trained_weights
from tests.roomtrain.conftest import Said
from tests.roomtrain.icl.made import SEEN, forward_by_hand, icl_folder, shared_folder, tau_tree
from tests.roomtrain.icl.test_mel import reference

ROOT = Path(__file__).parents[3]
Roomtrain = Callable[..., Said]
FAMILIES = {"real": REAL, "simulated": SIMULATED, "unseen": UNSEEN, "overall": DEVICES, "search": DEVICES}
SMOKE = ("--preset", "smoke", "--device", "cpu", "--log", "none")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_folder(tmp_path_factory)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where rows are trained; a row that is there is not trained again."""
    return tmp_path_factory.mktemp("runs")


def train(roomtrain: Roomtrain, data: Path, out: Path, *more: object) -> Said:
    return roomtrain("train", "icl", "--data", data, "--out", out, *SMOKE, *more)


def trained(roomtrain: Roomtrain, data: Path, out: Path, *more: object) -> dict[str, Any]:
    said = train(roomtrain, data, out, *more, "--json")
    assert said.code == 0, said.err
    result: dict[str, Any] = json.loads(said.out)
    return result


def assert_one_line(said: Said, *, code: int, names: str) -> None:
    assert said.code == code, said.err
    (line,) = said.err.splitlines()
    assert line.startswith("roomtrain: ")
    assert names in line
    assert said.out == ""


def log_losses(run: Path, data: Path) -> pd.DataFrame:
    """The log-loss of every second of the test from audio and weights alone: (key, device, loss)."""
    weights = load_file(run / "scenes" / "best.safetensors")
    dataset = roomgen.open(data / "scenes")
    table = dataset.table()
    scenes = sorted(set(table["class_name"]))
    rows = []
    for _, row in table[table["split"] == "test"].iterrows():
        seconds = torch.from_numpy(np.asarray(dataset[row["key"]].audio, dtype=np.float32)[0]).view(-1, 32_000)
        x = (reference(seconds, 15_500.0)[:, None] + 4.5) / 5.0
        logits, _ = forward_by_hand(weights, x, heads=2, stride=16)
        shares = logits.double().exp() / logits.double().exp().sum(dim=1, keepdim=True)
        for second, share in enumerate(shares):
            loss = -np.log(float(share[scenes.index(row["class_name"])]))
            rows.append({"key": f"{row['key']}@{second}", "device": row["device"], "loss": loss})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("cell", ["baseline", "vintage", "multi", "icl", "icl-multi"])
def test_every_row_ends_in_results(roomtrain: Roomtrain, made: Path, runs: Path, cell: str) -> None:
    result = trained(roomtrain, made, runs / cell, "--cell", cell)
    assert result == json.loads((runs / cell / "results.json").read_text(encoding="utf-8"))
    assert result["cell"] == cell
    assert result["settings"]["classes"] == ["bus", "park", "tram"]
    assert list(result["stages"]) == ["scenes", "probe"]
    assert set(result["protocols"]) == {*DEVICES, *FAMILIES, "probe"}
    for name in (*DEVICES, *FAMILIES):
        values, count = result["protocols"][name], len(FAMILIES.get(name, (name,)))
        assert set(values) == {"log_loss", "scene"}
        # Six places of two seconds each, whichever device heard them.
        assert [(values[t]["n"], values[t]["groups"]) for t in ("log_loss", "scene")] == [(12 * count, 6)] * 2
        assert values["log_loss"]["baseline"]["mean"] == pytest.approx(np.log(3))
        low, high = values["log_loss"]["interval"]["mean"]
        assert low < values["log_loss"]["mean"] < high
    assert (result["protocols"]["probe"]["device"]["n"], result["protocols"]["probe"]["device"]["groups"]) == (72, 6)
    assert_predictions_give_the_results(runs / cell, result)
    lines = [json.loads(line) for line in (runs / cell / "scenes" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert any("icl" in line for line in lines) == ("icl" in cell)


def assert_predictions_give_the_results(run: Path, result: dict[str, Any]) -> None:
    table = pd.read_parquet(run / "predictions.parquet")
    assert not table.duplicated(["protocol", "target", "condition", "key"]).any()
    assert set(table["protocol"]) == {*DEVICES, "probe"}
    clean = table[table["condition"] == "clean"]
    for name in (*DEVICES, *FAMILIES):
        rows = clean[clean["protocol"].isin(FAMILIES.get(name, (name,)))]
        losses = rows[rows["target"] == "log_loss"]["estimate"]
        scenes = rows[rows["target"] == "scene"]
        assert result["protocols"][name]["log_loss"]["mean"] == pytest.approx(losses.mean(), rel=1e-9)
        found = (scenes["estimate"] == scenes["truth"]).mean()
        assert result["protocols"][name]["scene"]["accuracy"] == pytest.approx(found, rel=1e-9)


def learned(roomtrain: Roomtrain, data: Path, runs: Path) -> dict[str, Any]:
    """The results of a run that tells the scenes apart."""
    longer = {"steps": 15, "fit.max_epochs": 6, "fit.patience": 6, "fit.learning_rate": 0.004}
    given = [text for key, value in longer.items() for text in ("--set", f"train.{key}={value}")]
    return trained(roomtrain, data, runs / "learned", *given)


def test_scenes_that_differ_are_learned(roomtrain: Roomtrain, made: Path, runs: Path) -> None:
    values = learned(roomtrain, made, runs)["protocols"]["overall"]
    assert values["log_loss"]["mean"] < 0.6 < np.log(3)
    assert values["scene"]["accuracy"] > 0.6


def test_the_table_has_the_log_loss_of_weights_and_audio(roomtrain: Roomtrain, made: Path, runs: Path) -> None:
    result = learned(roomtrain, made, runs)
    losses = log_losses(runs / "learned", made)
    for name in (*DEVICES, *FAMILIES):
        own = losses[losses["device"].isin(FAMILIES.get(name, (name,)))]
        assert result["protocols"][name]["log_loss"]["mean"] == pytest.approx(own["loss"].mean(), abs=1e-3)
    table = pd.read_parquet(runs / "learned" / "predictions.parquet")
    kept = table[(table["target"] == "log_loss") & (table["condition"] == "clean")]
    both = losses.merge(kept.astype({"key": str, "protocol": str}), on="key")
    assert len(both) == len(losses) == 108
    assert (both["device"] == both["protocol"]).all()
    assert np.abs(both["loss"] - both["estimate"]).max() < 5e-3  # of features that are kept in 16 bit


def test_stopped_and_killed_it_ends_as_if_nothing_was(roomtrain: Roomtrain, made: Path, runs: Path, tmp_path: Path) -> None:
    run, whole = tmp_path / "run", runs / "icl-multi"
    trained(roomtrain, made, whole, "--cell", "icl-multi")
    command = ["train", "icl", "--data", str(made), "--out", str(run), *SMOKE, "--cell", "icl-multi"]

    def in_a_process(*how: str) -> subprocess.CompletedProcess[str]:
        started = [sys.executable, "-m", "tests.roomtrain.killed", *how, *command]
        return subprocess.run(started, cwd=ROOT, capture_output=True, text=True, timeout=120)

    stopped = in_a_process("SIGTERM", "3")
    assert stopped.returncode == 0, stopped.stderr
    assert "(scenes, epoch 1, step 3 of 4). The same command goes on from there." in stopped.stderr.splitlines()[-1]
    killed = in_a_process("SIGKILL", "3")
    assert killed.returncode == -9
    assert not (run / "results.json").exists()
    assert train(roomtrain, made, run, "--cell", "icl-multi", "--workers", 1).code == 0
    for stage in ("scenes", "probe"):
        for name in ("best.safetensors", "log.jsonl"):
            assert (run / stage / name).read_bytes() == (whole / stage / name).read_bytes()
    assert (run / "predictions.parquet").read_bytes() == (whole / "predictions.parquet").read_bytes()


def test_every_bank_trains_and_audio_of_16_bit_is_as_good(roomtrain: Roomtrain, made: Path, tmp_path: Path) -> None:
    weights = {}
    for bank in ("memory", "mapped-16", "mapped-32"):
        multi = ("--cell", "multi", "--set", f"train.bank={bank!r}")
        result = trained(roomtrain, made, tmp_path / bank, *multi)
        assert result["settings"]["train"]["bank"] == bank
        weights[bank] = load_file(tmp_path / bank / "scenes" / "best.safetensors")
    assert all(torch.equal(weights["memory"][name], weights["mapped-32"][name]) for name in weights["memory"])
    start = initial()
    assert_near(weights["mapped-16"], weights["memory"], start, share=0.1)


def initial() -> dict[str, Tensor]:
    """The weights that the smoke preset begins with, for three scenes."""
    return new_classifier(settings_of(get_paper("icl"), "smoke", {}), 3).state_dict()  # type: ignore[arg-type]


def assert_near(one: dict[str, Tensor], other: dict[str, Tensor], start: dict[str, Tensor], *, share: float) -> None:
    """Two trainings from one start went the same way, but for a small share of it."""
    ways = [torch.cat([(weights[name] - start[name]).flatten() for name in start]) for weights in (one, other)]
    assert ways[1].norm() > 0
    assert (ways[0] - ways[1]).norm() < share * ways[1].norm()


def test_two_processes_come_near_one(roomtrain: Roomtrain, made: Path, tmp_path: Path) -> None:
    # Plain steps in the direction of the gradient: of Adam's, a factor of the gradient would not be seen.
    plain = ("--set", 'train.fit.optimizer="sgd"', "--set", "train.fit.learning_rate=0.05", "--set", "contrast.weight=10")
    one = trained(roomtrain, made, tmp_path / "one", *plain)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "roomtrain.cli"]
    command = [*torchrun, "train", "icl", "--data", made, "--out", tmp_path / "two", *SMOKE[:4], *plain, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    two = json.loads(ran.stdout)
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["stages"]["scenes"]["best_val_loss"] == pytest.approx(one["stages"]["scenes"]["best_val_loss"], rel=1e-4)
    ends = [load_file(tmp_path / name / "scenes" / "best.safetensors") for name in ("two", "one")]
    assert_near(*ends, initial(), share=1e-4)
    for name in ("overall", "unseen"):
        found = two["protocols"][name]["log_loss"]["mean"]
        assert found == pytest.approx(one["protocols"][name]["log_loss"]["mean"], rel=1e-3)


def test_patchout_changes_training_and_nothing_after_it(roomtrain: Roomtrain, made: Path, runs: Path, tmp_path: Path) -> None:
    trained(roomtrain, made, runs / "baseline", "--cell", "baseline")
    paper, settings, _ = claimed(runs / "baseline")
    data = IclData(made, Place(torch.device("cpu")))
    weights = trained_weights(paper, settings, runs / "baseline", data)
    answers = []
    for patchout in ((2, 0), (0, 0), (7, 5)):
        network = settings.network.model_copy(update={"patchout": patchout})
        row = Row(settings.model_copy(update={"network": network}), data, Place(torch.device("cpu")))
        answers.append(np.concatenate([np.asarray(answer.estimate, dtype=np.float64) for answer in row.answers(weights)]))
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])
    trained(roomtrain, made, tmp_path / "run", "--cell", "baseline", "--set", "network.patchout=[0,0]")
    logs = [(run / "scenes" / "log.jsonl").read_bytes() for run in (runs / "baseline", tmp_path / "run")]
    assert logs[0] != logs[1]


def test_one_device_is_enough_without_the_contrast_and_one_line_with_it(roomtrain: Roomtrain, tmp_path: Path) -> None:
    data = icl_folder(tmp_path / "data", tau_tree(tmp_path / "tree", places=(6, 1), heard=("A",)))
    said = train(roomtrain, data, tmp_path / "icl", "--cell", "icl")
    assert_one_line(said, code=2, names="one device (A), and the inverse contrastive loss needs two")
    assert not (tmp_path / "icl" / "results.json").exists()
    result = trained(roomtrain, data, tmp_path / "baseline", "--set", "train.batch=4")
    assert result["protocols"]["A"]["log_loss"]["n"] == 6
    assert result["protocols"]["probe"]["device"]["accuracy"] == 1.0


def test_one_device_through_responses_is_many_classes(roomtrain: Roomtrain, tmp_path: Path) -> None:
    data = icl_folder(tmp_path / "data", tau_tree(tmp_path / "tree", places=(6, 1), heard=("A",)))
    pairs = ("--set", 'contrast.classes="device+response"', "--set", "train.batch=4")
    trained(roomtrain, data, tmp_path / "run", "--cell", "icl-multi", *pairs)
    assert_one_line(train(roomtrain, data, tmp_path / "none", "--cell", "icl", *pairs), code=2, names="needs two")


def test_settings_that_the_data_or_the_network_refuse_are_one_line(roomtrain: Roomtrain, made: Path, tmp_path: Path) -> None:
    said = train(roomtrain, made, tmp_path / "layer", "--set", "probe.layer=3")
    assert_one_line(said, code=2, names="probe.layer 3: the network has 2 blocks")
    data = icl_folder(tmp_path / "data", tau_tree(tmp_path / "tree", places=(4, 1), heard=("B", "C")))
    of_a = ("--cell", "multi", "--set", 'augment.devices="A"')
    assert_one_line(train(roomtrain, data, tmp_path / "none", *of_a), code=2, names="no device A in training, only B, C")


def test_evaluated_on_the_same_data_a_run_has_the_same_results(roomtrain: Roomtrain, made: Path, runs: Path) -> None:
    result = trained(roomtrain, made, runs / "multi", "--cell", "multi")
    said = roomtrain("evaluate", runs / "multi", "--data", made, "--device", "cpu", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)["protocols"]
    for name in found:
        for target in found[name]:
            first = "accuracy" if target != "log_loss" else "mean"
            assert found[name][target][first] == result["protocols"][name][target][first]


def test_scenes_that_a_run_does_not_know_are_one_line(roomtrain: Roomtrain, made: Path, runs: Path, tmp_path: Path) -> None:
    trained(roomtrain, made, runs / "baseline", "--cell", "baseline")
    other = icl_folder(tmp_path / "other", tau_tree(tmp_path / "tree", places=(2, 1), scenes=("bus", "metro"), heard=("A",)))
    said = roomtrain("evaluate", runs / "baseline", "--data", other, "--device", "cpu")
    assert_one_line(said, code=2, names="has the scene 'metro', and the network was trained for bus, park, tram")
    known = icl_folder(tmp_path / "known", tau_tree(tmp_path / "fewer", places=(2, 1), scenes=("tram",), heard=SEEN))
    said = roomtrain("evaluate", runs / "baseline", "--data", known, "--device", "cpu", "--json")
    assert said.code == 0, said.err
    # Index 2 is the tram of training, and not the only scene of these data.
    written = next((runs / "baseline" / "evaluations").glob("known-*/predictions.parquet"))
    rows = pd.read_parquet(written)
    assert set(rows[rows["target"] == "scene"]["truth"]) == {2.0}


def test_on_other_data_a_probe_tells_the_devices_of_its_own_training(
    roomtrain: Roomtrain, made: Path, runs: Path, tmp_path: Path
) -> None:
    trained(roomtrain, made, runs / "baseline", "--cell", "baseline")
    other = icl_folder(tmp_path / "turned", tau_tree(tmp_path / "tree", heard=("A", "S4", "S6"), places=(2, 1)))
    said = roomtrain("evaluate", runs / "baseline", "--data", other, "--device", "cpu")
    assert said.code == 0, said.err
    rows = pd.read_parquet(next((runs / "baseline" / "evaluations").glob("turned-*/predictions.parquet")))
    rows = rows[(rows["protocol"] == "probe") & (rows["condition"] == "clean")]
    device = rows["key"].astype(str).str.extract(r"-([a-z]\d?)-0000@")[0].str.upper()
    assert set(zip(device, rows["truth"], strict=True)) == set(zip(SEEN, range(6), strict=True))


def test_data_of_renders_train_alike(roomtrain: Roomtrain, made: Path, runs: Path, tmp_path: Path) -> None:
    """What devices are simulated for lies in scenes-by-device; with the same audio in it, all is the same."""
    result = trained(roomtrain, made, runs / "baseline", "--cell", "baseline")
    renders = Path(shutil.copytree(made, tmp_path / "data"))
    (renders / "scenes").rename(renders / "scenes-by-device")
    described = renders / "scenes-by-device" / "dataset.json"
    info = json.loads(described.read_text(encoding="utf-8"))
    info["settings"]["family"] = "renders"
    described.write_text(json.dumps(info), encoding="utf-8")
    again = trained(roomtrain, renders, tmp_path / "run", "--cell", "baseline")
    assert again["protocols"] == result["protocols"]
    assert next(iter(again["data"])) == "scenes-by-device"


@pytest.mark.parametrize(("preset", "dim", "batch"), [("paper", 768, 64), ("small", 96, 48), ("smoke", 24, 8)])
def test_settings_are_printed(roomtrain: Roomtrain, preset: str, dim: int, batch: int) -> None:
    said = roomtrain("config", "icl", "--preset", preset)
    assert said.code == 0, said.err
    settings = {key: json.loads(value) for key, _, value in (line.partition(" = ") for line in said.out.splitlines())}
    expected: dict[str, Any] = {"network.dim": dim, "train.batch": batch}
    expected |= {"contrast.weight": 0.0, "contrast.alpha": 0.2, "contrast.beta": 1.0, "augment.responses": "none"}
    if preset == "paper":  # section 5
        fit = {"optimizer": "adam", "learning_rate": 4.2e-4, "betas": [0.957, 0.9514], "eps": 0.038, "schedule": "plateau"}
        fit |= {"plateau_patience": 10, "factor": 0.5, "max_epochs": 250}
        expected |= {f"train.fit.{name}": value for name, value in fit.items()}
        expected |= {"seeds": 3, "network.patchout": [6, 0], "augment.upper_hz": [15_000.0, 16_000.0]}
        expected |= {"augment.mask_bands": 48, "augment.mask_frames": 24, "reduced": ""}
    assert {key: settings[key] for key in expected} == expected
