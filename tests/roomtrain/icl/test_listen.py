"""What a run of the paper hears in anybody's audio, by Python, by the command line, and as an export with ONNX."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
import torch
from safetensors.torch import load_file

import roomtrain as roomtrain_package
from roomtrain.export.folder import CONFIG, ONNX, Exported, export
from roomtrain.fabric import start_fabric
from roomtrain.paper import get_paper
from roomtrain.plans import settings_of
from roomtrain.run import Command, train
from tests.roomtrain.conftest import Said
from tests.roomtrain.icl.made import SCENES, forward_by_hand, icl_folder, shared_folder, tau_tree
from tests.roomtrain.icl.test_mel import reference

Roomtrain = Callable[..., Said]
FS_HZ = 44_100


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tells its three scenes apart. Read only."""
    data, out = shared_folder(tmp_path_factory), tmp_path_factory.mktemp("runs") / "icl"
    paper, longer = (
        get_paper("icl"),
        {"train.steps": 15, "train.fit.max_epochs": 6, "train.fit.patience": 6, "train.fit.learning_rate": 0.004},
    )
    settings = settings_of(paper, "smoke", {"contrast.weight": 0.5, **longer})
    train(paper, settings, cell=paper.cell_of(settings), root=data, out=out, command=Command(start_fabric("cpu")))
    return out


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An export with ONNX. Read only."""
    return export(run, out=tmp_path_factory.mktemp("exports") / "icl", onnx=True)


def recording(seconds: float = 3.2, *, seed: int = 0, level: float = 0.05) -> np.ndarray[Any, Any]:
    """Stereo noise whose bass comes and goes."""
    noise = np.random.default_rng(seed).standard_normal((2, round(seconds * FS_HZ)))
    bass = np.cumsum(noise, axis=1) - np.cumsum(noise, axis=1).mean(axis=1, keepdims=True)
    return level * (noise + bass / bass.std() * np.sin(np.arange(noise.shape[1]) / FS_HZ * 4) ** 2)


def by_hand(run: Path, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and embeddings of (window, 32000), from audio and weights alone."""
    x = (reference(windows, 15_500.0)[:, None] + 4.5) / 5.0
    return forward_by_hand(load_file(run / "scenes" / "best.safetensors"), x, heads=2, stride=16)


def test_what_is_heard_in_stereo_at_another_rate_is_a_forward_by_hand(run: Path) -> None:
    audio = recording()
    mono = soxr.resample(audio.mean(axis=0), FS_HZ, 32_000, quality="VHQ").astype(np.float32)
    windows = torch.from_numpy(mono[: 3 * 32_000].reshape(3, 32_000).copy())  # the last 0.2 s are less than half a window
    logits, embeddings = by_hand(run, windows)
    heard = roomtrain_package.load(run).hear(audio, FS_HZ)
    assert heard.windows == 3
    assert heard.embedding == pytest.approx(embeddings.mean(dim=0).numpy(), abs=2e-3)
    found = logits.argmax(dim=1)
    assert heard.estimates == {"scene": float(torch.mode(found).values)}
    assert roomtrain_package.load(run).estimate(audio, FS_HZ) == heard.estimates
    assert roomtrain_package.load(run).embed(audio, FS_HZ).shape == (24,)


def test_level_is_part_of_what_is_heard(run: Path) -> None:
    model = roomtrain_package.load(run)
    loud, quiet = (model.embed(recording(level=level), FS_HZ) for level in (0.1, 0.001))
    assert np.abs(loud - quiet).max() > 0.05


def test_scenes_of_the_test_are_told_apart_in_their_files(roomtrain: Roomtrain, run: Path, tmp_path: Path) -> None:
    """The name that is shown is that of the data, not the one that TAU has at the place."""
    import roomgen

    claimed = json.loads((run / "settings.json").read_text(encoding="utf-8"))
    dataset = roomgen.open(Path(claimed["root"]) / "scenes")
    table = pd.read_parquet(run / "predictions.parquet")
    table = table[(table["target"] == "scene") & (table["condition"] == "clean")]
    answers = table["estimate"].astype(int).groupby(table["key"].astype(str).str.split("@").str[0])
    alike = answers.first()[answers.nunique() == 1]
    files, expected = [], []
    for scene, key in alike.drop_duplicates().reset_index()[["estimate", "key"]].itertuples(index=False, name=None):
        soundfile.write(tmp_path / f"{key}.wav", dataset[key].audio.T, 32_000, subtype="FLOAT")
        files.append(tmp_path / f"{key}.wav")
        expected.append(SCENES[scene])
    assert len(expected) > 1
    said = roomtrain("embed", run, *files, "--device", "cpu")
    assert said.code == 0, said.err
    shown = [line.split()[-1] for line in said.out.splitlines() if line.strip().startswith("scene")]
    assert shown == expected
    said = roomtrain("embed", run, *files, "--device", "cpu", "--json")
    plain = json.loads(said.out)
    assert [SCENES[int(one["estimates"]["scene"])] for one in plain] == expected
    assert {len(one["embedding"]) for one in plain} == {24}


def test_an_export_hears_what_its_run_hears(run: Path, exported: Exported) -> None:
    first, second = (roomtrain_package.load(folder).hear(recording(), FS_HZ) for folder in (run, exported.folder))
    assert np.array_equal(first.embedding, second.embedding)
    assert first.estimates == second.estimates
    other = roomtrain_package.load(exported.folder)
    assert other.listener.targets[0].classes == SCENES
    assert (other.cell, other.listener.protocol) == ("icl", "overall")


def test_onnx_gives_what_torch_gives(run: Path, exported: Exported) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported.folder / ONNX), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_outputs()] == ["embedding", "scene"]
    assert session.get_inputs()[0].shape == ["batch", 32_000]
    for count in (1, 5):
        windows = torch.from_numpy(recording(count)[0][: 32_000 * count].reshape(count, 32_000).astype(np.float32))
        embedding, scene = session.run(None, {"audio": windows.numpy()})
        logits, z = by_hand(run, windows)
        assert embedding == pytest.approx(z.numpy(), abs=2e-3)
        assert scene == pytest.approx(logits.softmax(dim=1).numpy(), abs=1e-3)
    assert exported.onnx is not None
    assert max(exported.onnx.values()) < 1e-3


def test_an_export_of_a_pool_says_what_its_test_had(exported: Exported) -> None:
    """The protocol's answers lie in those of its nine devices: 108 seconds, of each scene as many."""
    config = json.loads((exported.folder / CONFIG).read_text(encoding="utf-8"))
    (scene,) = config["targets"]
    assert config["protocol"] == "overall"
    assert scene["classes"] == list(SCENES)
    assert scene["tested"] == [36, 36, 36]
    card = (exported.folder / "README.md").read_text(encoding="utf-8")
    assert "36 bus, 36 park, 36 tram" in card
    assert "airport" not in card
    assert "The level of a recording is part of what is heard" in card
    assert "of any level" not in card


def test_exports_are_made_and_heard_by_commands(roomtrain: Roomtrain, run: Path, tmp_path: Path) -> None:
    said = roomtrain("export", run, "--out", tmp_path / "export", "--no-onnx", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["protocol"] == "overall"
    soundfile.write(tmp_path / "street.wav", recording().T, FS_HZ)
    answers = [roomtrain("embed", folder, tmp_path / "street.wav", "--device", "cpu") for folder in (run, tmp_path / "export")]
    assert answers[0].code == 0, answers[0].err
    assert answers[0].out == answers[1].out
    said = roomtrain("embed", run, tmp_path / "street.wav", "--protocol", "A", "--device", "cpu")
    assert said.code == 2
    assert said.err == "roomtrain: unknown protocol 'A'. There is overall.\n"


def test_what_cannot_be_heard_is_one_line(roomtrain: Roomtrain, run: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(FS_HZ), FS_HZ)
    (tmp_path / "text.wav").write_text("no audio", encoding="utf-8")
    for name in ("silent.wav", "text.wav", "missing.wav"):
        said = roomtrain("embed", run, tmp_path / name, "--device", "cpu")
        assert said.code in (1, 2)
        (line,) = said.err.splitlines()
        assert line.startswith("roomtrain: ")
        assert name in line


def test_embeddings_are_probed_for_scenes_and_devices(
    roomtrain: Roomtrain, run: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    said = roomtrain("probe", run, "--data", shared_folder(tmp_path_factory), "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    named = json.dumps(found)
    assert all(f"scene {scene}" in named for scene in SCENES)
    assert all(f"device {name}" in named for name in ("A", "B", "C", "S1", "S2", "S3"))
    assert "device S4" not in named


def test_of_two_scenes_the_likelier_is_named(roomtrain: Roomtrain, tmp_path: Path) -> None:
    data = icl_folder(tmp_path / "data", tau_tree(tmp_path / "tree", scenes=("park", "tram"), places=(6, 1)))
    paper = get_paper("icl")
    train(
        paper,
        settings_of(paper, "smoke", {}),
        cell="baseline",
        root=data,
        out=tmp_path / "run",
        command=Command(start_fabric("cpu")),
    )
    audio = recording()
    mono = soxr.resample(audio.mean(axis=0), FS_HZ, 32_000, quality="VHQ").astype(np.float32)
    windows = torch.from_numpy(mono[: 3 * 32_000].reshape(3, 32_000).copy())
    tram = float(by_hand(tmp_path / "run", windows)[0].softmax(dim=1)[:, 1].mean())
    assert roomtrain_package.load(tmp_path / "run").estimate(audio, FS_HZ)["scene"] == pytest.approx(tram, abs=1e-3)
    soundfile.write(tmp_path / "street.wav", audio.T, FS_HZ, subtype="FLOAT")
    said = roomtrain("embed", tmp_path / "run", tmp_path / "street.wav", "--device", "cpu")
    assert f"{'tram' if tram >= 0.5 else 'park'}, {100 * max(tram, 1 - tram):.0f} % likely" in said.out
