"""`roomtrain embed` and `roomtrain evaluate`: anybody's recordings, measured responses, and the test set again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from roomtrain.labels import measured_labels
from roomtrain.listen import load_model
from tests.roomtrain.conftest import Said

Roomtrain = Callable[..., Said]


def speechlike(seconds: float, fs_hz: int, seed: int = 0) -> np.ndarray:
    """Noise below 3 kHz that comes and goes, the same at every rate."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * fs_hz)) / fs_hz
    tones = sum(np.sin(2 * np.pi * f * t + p) for f, p in zip(rng.uniform(100, 3000, 60), rng.uniform(0, 6, 60), strict=True))
    return 0.01 * tones * (1 + np.sin(2 * np.pi * 3 * t))


def test_embed_hears_a_recording_of_any_rate_and_length(roomtrain: Roomtrain, trained: Path, tmp_path: Path) -> None:
    for name, seconds, fs_hz in (("long", 9.0, 16000), ("fast", 9.0, 48000), ("short", 1.5, 8000)):
        soundfile.write(tmp_path / f"{name}.wav", speechlike(seconds, fs_hz), fs_hz)
    files = [tmp_path / f"{name}.wav" for name in ("long", "fast", "short")]
    said = roomtrain("embed", trained, *files, "--device", "cpu", "--json")
    assert said.code == 0, said.err
    long, fast, short = json.loads(said.out)
    assert [item["windows"] for item in (long, fast, short)] == [2, 2, 1]
    for item in (long, fast, short):
        assert len(item["embedding"]) == 64
        assert 0 < np.linalg.norm(item["embedding"]) <= 1 + 1e-5
        assert 0 <= item["estimates"]["volume"] <= 1
        assert item["estimates"]["rt60"] >= 0
    for target, value in long["estimates"].items():
        assert fast["estimates"][target] == pytest.approx(value, rel=0.05, abs=0.02)
    soundfile.write(tmp_path / "quiet.wav", 0.05 * speechlike(9.0, 16000), 16000, subtype="FLOAT")  # the gain says nothing
    (quiet,) = json.loads(roomtrain("embed", trained, tmp_path / "quiet.wav", "--device", "cpu", "--json").out)
    assert quiet["estimates"] == pytest.approx(long["estimates"], rel=0.02, abs=0.01)
    text = roomtrain("embed", trained, files[0], "--device", "cpu").out
    assert "RT60" in text
    assert "2 windows of 4 s" in text


def test_windows_cover_the_recording(trained: Path) -> None:
    model = load_model(trained)
    audio = np.linspace(-0.5, 0.5, 10 * 16000).astype(np.float32)
    windows = model.windows(audio, 16000)
    assert windows.shape == (3, 64000)
    np.testing.assert_array_equal(windows[:2].ravel(), audio[:128000])
    np.testing.assert_array_equal(windows[2], audio[-64000:])  # what is left over, with what came before it
    np.testing.assert_array_equal(model.windows(audio[:1000], 16000)[0, 1000:2000], audio[:1000])


def test_bad_recordings_and_runs_are_one_clear_line(roomtrain: Roomtrain, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    cases = [
        (("embed", trained, tmp_path / "text.wav"), 1, "not readable as audio"),
        (("embed", trained, tmp_path / "silent.wav"), 1, "silent"),
        (("embed", trained, tmp_path / "none.wav"), 2, "no such file"),
        (("embed", tmp_path, tmp_path / "silent.wav"), 2, "is not a run"),
        (("embed", trained, tmp_path / "silent.wav", "--protocol", "rooms"), 2, "Did you mean 'room'"),
        (("evaluate", trained, "--rirs", tmp_path), 2, "belong together"),
        (("evaluate", trained, "--rirs", tmp_path / "none", "--speech", tmp_path), 2, "is not a folder"),
        (("evaluate", tmp_path), 2, "is not a run"),
    ]
    for arguments, code, names in cases:
        said = roomtrain(*arguments, "--device", "cpu")
        assert said.code == code, (arguments, said.err)
        assert names in said.err, arguments
        assert len(said.err.splitlines()) == 1, said.err


def test_evaluating_again_gives_the_same_numbers_in_a_place_of_its_own(
    roomtrain: Roomtrain, trained: Path, goetz_made: Path, tmp_path: Path
) -> None:
    files = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file() and "evaluations" not in path.parts}
    before = json.loads((trained / "results.json").read_text(encoding="utf-8"))
    said = roomtrain("evaluate", trained, "--device", "cpu", "--json")
    assert json.loads(said.out) == before
    again = roomtrain("evaluate", trained, "--data", goetz_made, "--device", "cpu", "--json")
    assert again.code == 0, again.err
    result = json.loads(again.out)
    assert result["protocols"] == before["protocols"]
    (folder,) = (trained / "evaluations").iterdir()
    assert str(folder) in again.err
    assert json.loads((folder / "results.json").read_text(encoding="utf-8")) == result
    assert roomtrain("evaluate", trained, "--data", goetz_made, "--device", "cpu", "--json").out == again.out
    assert {path: path.read_bytes() for path in files} == files  # nothing of the run was touched
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine", encoding="utf-8")
    refused = roomtrain("evaluate", trained, "--data", goetz_made, "--out", tmp_path / "mine", "--device", "cpu")
    assert refused.code == 2
    assert "is not empty" in refused.err


def test_a_run_that_lost_a_stage_is_told_which_and_nothing_is_trained(
    roomtrain: Roomtrain, trained: Path, goetz_made: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    (run / "room" / "c50" / "best.safetensors").unlink()
    said = roomtrain("evaluate", run, "--data", goetz_made, "--out", tmp_path / "out", "--device", "cpu")
    assert said.code == 1
    assert "the stage 'room/c50' is not trained" in said.err
    assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_measured_responses_are_measured_and_heard(roomtrain: Roomtrain, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "rirs").mkdir()
    (tmp_path / "speech").mkdir()
    rng = np.random.default_rng(1)
    t = np.arange(48000) / 48000
    decay = rng.standard_normal(48000) * 10 ** (-3 * t / 0.4) * 0.1  # RT60 0.4 s in every band
    rir = np.concatenate([np.zeros(2000), [1.0], decay])
    soundfile.write(tmp_path / "rirs" / "known.wav", rir, 48000, subtype="FLOAT")
    soundfile.write(tmp_path / "speech" / "dry.wav", speechlike(9, 16000), 16000)
    arguments = ("evaluate", trained, "--rirs", tmp_path / "rirs", "--speech", tmp_path / "speech", "--device", "cpu")
    result = json.loads(roomtrain(*arguments, "--json").out)
    (response,) = result["responses"]
    assert result["speech_windows"] == 2
    assert response["true"]["rt60"] == pytest.approx(0.4, rel=0.05)
    assert response["true"]["rt60_mid"] == pytest.approx(0.4, rel=0.1)
    for target, heard in response["heard"].items():
        if target in response["true"]:
            gap = heard["mean"] - response["true"][target]
            assert result["error"][target]["bias"] == pytest.approx(gap)
    assert "known.wav" in roomtrain(*arguments).out


def test_errors_in_measured_rooms_stand_beside_those_in_simulation(roomtrain: Roomtrain, trained: Path, tmp_path: Path) -> None:
    """Within what the test has there is a ratio; a response of another world is left out of it, and counted."""
    for name in ("rirs", "speech"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(2)
    tested = pd.read_parquet(trained / "predictions.parquet").query("condition == 'clean' and target == 'rt60_mid'")
    for name, rt60_s in (("room.wav", tested["truth"].median()), ("cathedral.wav", 12.0)):
        t = np.arange(round(16000 * 1.2 * rt60_s)) / 16000
        rir = np.concatenate([[1.0], 0.1 * rng.standard_normal(len(t)) * 10 ** (-3 * t / rt60_s)])
        soundfile.write(tmp_path / "rirs" / name, rir, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "speech" / "dry.wav", speechlike(5, 16000), 16000)
    arguments = ("evaluate", trained, "--rirs", tmp_path / "rirs", "--speech", tmp_path / "speech", "--device", "cpu")
    result = json.loads(roomtrain(*arguments, "--json").out)
    beside = result["simulation"]["rt60_mid"]
    table = tested[tested["protocol"] == result["protocol"]]
    assert beside["simulated"] == pytest.approx(np.abs(table["estimate"] - table["truth"]).mean())
    assert beside["span"] == pytest.approx([table["truth"].min(), table["truth"].max()])
    assert (beside["within"], beside["outside"]) == (1, 1)
    (room,) = (r for r in result["responses"] if r["file"] == "room.wav")
    heard, true = room["heard"]["rt60_mid"], room["true"]["rt60_mid"]
    assert result["speech_windows"] == 1  # so that the mean over windows is the window
    assert beside["ratio"] == pytest.approx(abs(heard["mean"] - true) / beside["simulated"], rel=1e-5)
    said = roomtrain(*arguments).out
    assert "in measured rooms (responses: 1)" in said
    assert "left out: 1 beyond what the test has" in said


def test_a_response_without_a_decay_has_no_rt60() -> None:
    pulse = np.zeros(16000, dtype=np.float32)
    pulse[100] = 1
    assert "rt60_mid_s" not in measured_labels(pulse, fs_hz=16000)


def test_the_listener_answers_as_the_training_did(trained: Path, goetz_made: Path) -> None:
    """Estimates for the test set's own audio are those that the run has written down."""
    from roomtrain.claims import claimed
    from roomtrain.draws import Draws
    from roomtrain.paper import Place

    paper, settings, _ = claimed(trained)
    model = load_model(trained, protocol="sample")
    data = paper.open(goetz_made, Place(model.device)).downstream(settings, split_by="sample")  # type: ignore[attr-defined]
    audio = data.spectrograms["test"].audio(*data.pairs["test"].tensors(), draws=Draws(0))
    _, heard = model.outputs(audio, levelled=False)
    kept = pd.read_parquet(trained / "predictions.parquet").query("protocol == 'sample' and condition == 'clean'")
    for target in ("rt60", "c50"):
        np.testing.assert_allclose(heard[target].numpy(), kept[kept["target"] == target]["estimate"], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(heard["volume"].numpy() > 0.5, kept[kept["target"] == "volume"]["estimate"] > 0.5)
