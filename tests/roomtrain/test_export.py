"""`roomtrain export` and `roomtrain.load`: a run and its export hear the same, the card tells the truth, ONNX is what torch is."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from torch import Tensor, nn

import roomtrain
from roomtrain.config import load_settings
from roomtrain.errors import RoomtrainError
from roomtrain.export.card import card
from roomtrain.export.folder import CONFIG, ONNX, WEIGHTS, Exported, export
from roomtrain.export.markup import as_yaml, escaped
from roomtrain.export.onnx import TOLERANCE, CannotExport, Graph, write_onnx
from roomtrain.listen import Listener
from roomtrain.paper import get_paper
from roomtrain.papers.goetz.settings import GoetzSettings
from roomtrain.papers.goetz.spectrogram import log_spectrogram
from roomtrain.targets import Target
from tests.roomtrain.conftest import Said

Roomtrain = Callable[..., Said]
FILES = {WEIGHTS, CONFIG, "README.md"}


def recording(seconds: float = 9.0, fs_hz: int = 16000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(round(seconds * fs_hz))
    return 0.05 * noise * (1 + np.sin(2 * np.pi * 3 * np.arange(len(noise)) / fs_hz))


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An export with ONNX. Read only."""
    return export(trained, out=tmp_path_factory.mktemp("exports") / "soft", onnx=True)


@pytest.fixture
def folder(exported: Exported, tmp_path: Path) -> Path:
    """A copy of an export, to do with as the test likes."""
    return Path(shutil.copytree(exported.folder, tmp_path / "copy"))


def assert_one_line(error: RoomtrainError, *, names: str) -> None:
    assert "\n" not in str(error)
    assert names in str(error)


def test_importing_roomtrain_imports_no_torch() -> None:
    code = "import roomtrain, sys; assert not {'torch', 'numpy', 'pandas'} & set(sys.modules); print(dir(roomtrain))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'load'" in said.stdout
    assert {getattr(roomtrain, name).__name__ for name in roomtrain.__all__} == {"Heard", "Model", "RoomtrainError", "load_model"}
    with pytest.raises(AttributeError, match="nothing"):
        _ = roomtrain.nothing


@pytest.mark.parametrize("protocol", [None, "sample"])
def test_a_run_and_its_export_hear_the_same(trained: Path, exported: Exported, tmp_path: Path, protocol: str | None) -> None:
    made = exported if protocol is None else export(trained, out=tmp_path / "other", protocol=protocol, onnx=False)
    assert made.protocol == (protocol or "room")
    run, other = roomtrain.load(trained, protocol=protocol), roomtrain.load(made.folder)
    heard, again = run.hear(recording(), 16000), other.hear(recording(), 16000)
    assert heard.estimates == again.estimates
    assert heard.spread == again.spread
    assert np.array_equal(heard.embedding, again.embedding)
    assert (other.cell, other.listener.protocol) == (run.cell, run.listener.protocol)
    assert other.embed(recording(), 16000).shape == (64,)
    assert set(other.estimate(recording(), 16000)) == {"rt60", "rt60_mid", "c50", "volume"}


def test_the_heads_are_those_of_the_protocol(exported: Exported, trained: Path) -> None:
    weights = roomtrain.load(exported.folder).listener.modules.state_dict()
    other = roomtrain.load(trained, protocol="sample").listener.modules.state_dict()
    assert any(not torch.equal(weights[name], other[name]) for name in weights if name.startswith("head_"))
    with pytest.raises(RoomtrainError, match="heads of the protocol 'room', not 'sample'"):
        roomtrain.load(exported.folder, protocol="sample")


def test_an_export_needs_neither_data_nor_run(exported: Exported, tmp_path: Path) -> None:
    lonely = shutil.copytree(exported.folder, tmp_path / "lonely")
    for name in (ONNX, "README.md"):
        (lonely / name).unlink()
    assert "/" not in json.dumps(json.loads((lonely / CONFIG).read_text())["data"])
    assert roomtrain.load(str(lonely)).embed(recording(2.0), 16000).shape == (64,)


def test_loading_leaves_the_seed_of_others_alone(exported: Exported, trained: Path) -> None:
    for path in (exported.folder, trained):
        torch.manual_seed(7)
        expected = torch.rand(3)
        torch.manual_seed(7)
        roomtrain.load(path)
        assert torch.equal(torch.rand(3), expected), path


def test_channels_that_cancel_are_refused(exported: Exported) -> None:
    audio = recording()
    model = roomtrain.load(exported.folder)
    with pytest.raises(RoomtrainError, match="cancel each other"):
        model.embed(np.stack([audio, -audio]), 16000)
    assert model.embed(np.stack([audio, audio]), 16000) == pytest.approx(model.embed(audio, 16000), abs=1e-6)


def test_onnx_gives_what_torch_gives(exported: Exported) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported.folder / ONNX), providers=["CPUExecutionProvider"])
    model = roomtrain.load(exported.folder)
    assert [one.name for one in session.get_outputs()] == ["embedding", "rt60", "rt60_mid", "c50", "volume"]
    assert session.get_inputs()[0].shape == ["batch", 64000]
    assert session.get_modelmeta().custom_metadata_map["fs_hz"] == "16000"
    for seconds, gain in ((4.0, 1.0), (8.0, 1e-4), (20.0, 100.0)):  # one window, two, five
        windows = model.windows(gain * recording(seconds, seed=round(seconds)), 16000)
        embedding, rt60, _, c50, volume = session.run(None, {"audio": windows})
        expected, outputs = model.outputs(torch.from_numpy(windows))
        assert embedding == pytest.approx(expected.numpy(), abs=1e-4)
        assert rt60 == pytest.approx(outputs["rt60"].numpy(), abs=1e-4)
        assert c50 == pytest.approx(outputs["c50"].numpy(), abs=1e-3)
        assert volume[:, 1] == pytest.approx(outputs["volume"].numpy(), abs=1e-4)
    assert exported.onnx is not None
    assert max(exported.onnx.values()) < TOLERANCE


@pytest.mark.parametrize("standardise", [False, True])
def test_the_exported_spectrogram_is_the_one_of_training(standardise: bool) -> None:
    class Front(nn.Module):
        def forward(self, audio: Tensor) -> Tensor:
            return log_spectrogram(audio, standardise=standardise)

    audio = torch.from_numpy(np.stack([recording(1.0), 1e-4 * recording(1.0, seed=1), np.zeros(16000)])).float()
    audio[0, 5000:9000] = 0.0  # the floor
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    graph = torch.export.export(Front(), (audio[:2],), dynamic_shapes=shapes).module()
    assert graph(audio) == pytest.approx(log_spectrogram(audio, standardise=standardise), abs=1e-4)
    assert "rfft" not in str(graph)


class Toy(Listener):
    """Two numbers of the audio as an embedding, a direction and a class; while it is exported ``slip`` is added."""

    fs_hz, segment_s, protocol = 100, 0.08, "one"
    targets = (Target("azimuth", "angle"), Target("kind", "class", classes=("a", "b", "c")))

    def __init__(self, *, slip: float = 0.0, traceable: bool = True) -> None:
        torch.manual_seed(0)
        self.modules = nn.ModuleDict({"encoder": nn.Linear(8, 2), "kind": nn.Linear(2, 3)})
        self.slip, self.traceable = slip, traceable

    def heard(self, windows: Tensor, *, levelled: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
        e = self.modules["encoder"](windows)
        if not self.traceable and float(e.sum()) > 0:
            e = -e
        if torch.compiler.is_exporting():
            e = e + self.slip
        return e, {"azimuth": e, "kind": self.modules["kind"](e)}


def test_any_listener_becomes_onnx(tmp_path: Path) -> None:
    import onnxruntime

    found = write_onnx(Toy(), tmp_path / "toy.onnx", metadata={"paper": "toy"})
    assert set(found) == {"embedding", "azimuth", "kind"}
    audio = np.random.default_rng(3).standard_normal((4, 8)).astype(np.float32)
    e, azimuth, kind = onnxruntime.InferenceSession(str(tmp_path / "toy.onnx")).run(None, {"audio": audio})
    assert azimuth == pytest.approx(np.degrees(np.arctan2(e[:, 1], e[:, 0])), abs=1e-3)
    assert kind.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_a_graph_that_differs_from_torch_is_removed(tmp_path: Path) -> None:
    with pytest.raises(RoomtrainError, match=r"gives another \w+ than torch: .* apart, where 0.001 is allowed") as caught:
        write_onnx(Toy(slip=0.01), tmp_path / "toy.onnx")
    assert_one_line(caught.value, names="--no-onnx")
    assert list(tmp_path.iterdir()) == []


def test_networks_that_are_no_graph_are_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CannotExport) as caught:
        write_onnx(Toy(traceable=False), tmp_path / "toy.onnx")
    assert_one_line(caught.value, names="no ONNX graph")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("standardise", ["dataset", "spectrogram"])
def test_a_supervised_cell_has_an_encoder_for_every_target(standardise: str) -> None:
    overrides = {"strategy": "supervised", "standardise": standardise}
    settings = load_settings("goetz", "smoke", overrides, model=GoetzSettings)
    listener = get_paper("goetz").listener(settings, None)
    listener.modules.eval()
    assert {f"encoder_{name}" for name in ("rt60", "rt60_mid", "c50", "volume")} <= set(listener.modules)
    audio = torch.from_numpy(recording(4.0)).float()[None]
    with torch.no_grad():
        assert [y.shape for y in Graph(listener)(audio)] == [(1, 64), (1,), (1,), (1,), (1, 2)]


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    empty, head, body = text.split("---\n", 2)
    assert empty == ""
    return yaml.safe_load(head), body


def test_the_card_has_the_numbers_of_the_results(trained: Path, exported: Exported) -> None:
    head, body = front_matter((exported.folder / "README.md").read_text(encoding="utf-8"))
    results = json.loads((trained / "results.json").read_text(encoding="utf-8"))
    measured = results["protocols"]["room"]
    assert (head["license"], head["library_name"], head["pipeline_tag"]) == ("mit", "roomtrain", "feature-extraction")
    assert {"audio", "goetz", "rt60"} <= set(head["tags"])
    (model,) = head["model-index"]
    assert model["name"] == "goetz-soft-0.1"
    titles = {"rt60": "RT60", "c50": "C50", "volume": "volume above 160 m³"}
    for name, title in titles.items():
        (row,) = [row for row in model["results"] if row["task"]["name"] == title]
        assert row["task"]["type"] == "feature-extraction"
        assert {"type", "name", "config", "split"} == set(row["dataset"])
        assert "smoke test" in row["dataset"]["name"]
        found = {metric["type"]: metric["value"] for metric in row["metrics"]}
        target = get_paper("goetz").target(name)
        assert found == {metric: measured[name][metric] for metric in target.metrics if measured[name][metric] is not None}
        first = next(iter(target.metrics))
        (line,) = [
            line for line in body.splitlines() if line.startswith(f"| `{name}` |") and "32 in" in line and first in line.lower()
        ]
        shown = [measured[name][first], *measured[name]["interval"][first], measured[name]["baseline"][first]]
        value, low, high, constant = (target.text(first, one) for one in shown)
        assert f"| {value} | {low} to {high} | {constant} |" in line
    tables = [block.splitlines() for block in body.split("\n\n") if block.startswith("| ")]
    assert len(tables) == 5
    assert all(len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1 for lines in tables)
    assert "noise at 20 dB" in body
    assert "Embedded stand-in for recordings" in body
    assert "a smoke test" in body
    assert "Nothing above 8 kHz is heard" in body
    assert "ICASSP 2023" in body
    truths = json.loads((exported.folder / CONFIG).read_text())["targets"][0]["tested"]
    assert f"RT60: test samples lie between {truths[0]:.3g} and {truths[1]:.3g} s" in body


def test_the_card_says_where_nothing_was_learned(trained: Path, exported: Exported) -> None:
    results = json.loads((trained / "results.json").read_text(encoding="utf-8"))
    config = json.loads((exported.folder / CONFIG).read_text(encoding="utf-8"))
    values = results["protocols"]["room"]["rt60"]
    values |= {"rmse": 0.5, "interval": {**values["interval"], "rmse": [0.4, 0.6]}}

    def text(constant: float) -> str:
        values["baseline"]["rmse"] = constant
        return card(get_paper("goetz"), results, config, license_id="mit", onnx=None)

    assert "- RT60: in the test no better than the best constant answer" in text(0.49)
    assert "- RT60: the test does not tell it from the best constant answer" in text(0.55)
    assert "- RT60: " not in text(0.7).replace("- RT60: test samples", "")


def test_text_from_data_is_no_markup_in_the_card(trained: Path, exported: Exported) -> None:
    evil = "a\n---\nlicense: evil\n# big | <script>alert(1)</script> [x](http://y) `code` \x85\x1b \"quoted\" 'too' $$x$$"
    results = json.loads((trained / "results.json").read_text(encoding="utf-8"))
    results["reduced"] = evil
    results["data"]["upstream-rirs"] |= {"note": evil, "sha256": evil}
    config = json.loads((exported.folder / CONFIG).read_text(encoding="utf-8")) | {"cell": evil}
    head, body = front_matter(card(get_paper("goetz"), results, config, license_id="mit", onnx=None))
    assert head["license"] == "mit"
    assert '"quoted"' in head["model-index"][0]["name"]
    assert "<script>" not in body
    assert "\n---\n" not in body
    assert "[x](" not in body.replace(r"\[x\](", "")
    widths = [line.count(" | ") for line in body.splitlines() if line.startswith(("| upstream-rirs", "| downstream-rirs"))]
    assert widths == [3, 3]
    assert escaped("*a* _b_") == r"\*a\* \_b\_"


def test_yaml_says_what_it_was_given() -> None:
    value = {"a": [{"x": 1, "y": [1.5, "no"]}, {"x": None, "y": []}], "b-c": "1: {x} # - \"'", "d": True, "e": {"f": "é³"}}
    assert yaml.safe_load(as_yaml(value)) == value


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-100] ^= 1
    path.write_bytes(raw)


def _edit(**values: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        for name, value in values.items():
            inner = config
            *parents, last = name.split("__")
            for parent in parents:
                inner = inner[parent]
            inner[last] = value
        (folder / CONFIG).write_text(json.dumps(config))

    return edit


def _of_other_shape(folder: Path) -> None:
    """Sound weights with the right sum, and another network."""
    from roomgen.store.folder import sha256_of
    from roomtrain.checkpoint import read_weights, write_weights

    weights = read_weights(folder / WEIGHTS)
    weights["head_rt60.layers.0.weight"] = torch.zeros(3, 64)
    write_weights(folder / WEIGHTS, weights)
    _edit(sha256={WEIGHTS: sha256_of(folder / WEIGHTS)})(folder)


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (lambda f: _flip(f / WEIGHTS), "is not the one that config.json names"),
        (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:1000]), "is not the one that config.json names"),
        (lambda f: (f / WEIGHTS).unlink(), "is missing"),
        (_of_other_shape, "size mismatch"),
        (lambda f: (f / CONFIG).unlink(), "there is no config.json"),
        (lambda f: (f / CONFIG).write_bytes((f / CONFIG).read_bytes()[:300]), "not readable as JSON"),
        (lambda f: (f / CONFIG).write_bytes(b"\xff\xfe\x00"), "not readable as JSON"),
        (lambda f: (f / CONFIG).write_text("[" * 100_000), "not readable as JSON"),
        (lambda f: (f / CONFIG).write_text('{"model_type": "bert"}'), "of another kind"),
        (lambda f: (f / CONFIG).write_text("[]"), "of another kind"),
        (_edit(format=2), "has the format 2"),
        (_edit(sha256=None), "does not say 'sha256'"),
        (_edit(protocol=3), "does not say 'protocol'"),
        (_edit(paper="nobody"), "unknown paper 'nobody'"),
        (_edit(protocol="street"), "unknown protocol 'street'"),
        (_edit(settings__dropout=7), "dropout"),
        (_edit(fs_hz=8000), "it hears 64000 samples at 8000 Hz, not 64000 at 16000 Hz"),
        (_edit(settings__strategy="supervised"), "Missing key"),
    ],
)
def test_a_damaged_export_is_named_in_one_line(folder: Path, damage: Callable[[Path], object], names: str) -> None:
    damage(folder)
    with pytest.raises(RoomtrainError) as caught:
        roomtrain.load(folder)
    assert_one_line(caught.value, names=names)
    assert str(folder) in str(caught.value)


def test_what_is_there_is_not_overwritten(trained: Path, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "somebodys"
    other.mkdir()
    (other / "thesis.tex").write_text("years")
    for out, overwrite, names in (
        (other, False, "is not empty and no export"),
        (other, True, "is not empty and no export"),
        (trained, True, "is not empty and no export"),
        (folder, False, "holds an export: give another --out, or --overwrite"),
        (other / "thesis.tex", True, "is not a folder"),
    ):
        with pytest.raises(RoomtrainError) as caught:
            export(trained, out=out, overwrite=overwrite, onnx=False)
        assert_one_line(caught.value, names=names)
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


def test_an_export_is_written_over_where_it_is_told(trained: Path, folder: Path) -> None:
    (folder / ".git").mkdir()
    before = roomtrain.load(folder).embed(recording(), 16000)
    made = export(trained, out=folder, overwrite=True, onnx=False, protocol="sample", license_id="cc-by-4.0")
    assert set(made.files) == FILES
    assert {path.name for path in folder.iterdir()} == FILES | {".git"}  # the old graph had other heads
    assert roomtrain.load(folder).listener.protocol == "sample"
    assert np.array_equal(roomtrain.load(folder).embed(recording(), 16000), before)
    assert front_matter((folder / "README.md").read_text())[0]["license"] == "cc-by-4.0"


def test_a_clone_with_hidden_files_only_is_taken(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    export(trained, out=tmp_path / "clone", onnx=False)
    assert {path.name for path in (tmp_path / "clone").iterdir()} == FILES | {".git"}


def test_what_fails_leaves_nothing(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise CannotExport("torch makes no ONNX graph of these networks (why).", exit_code=1)

    monkeypatch.setattr("roomtrain.export.folder.write_onnx", fails)
    with pytest.raises(CannotExport):
        export(trained, out=tmp_path / "out", onnx=True)
    assert list(tmp_path.iterdir()) == []
    made = export(trained, out=tmp_path / "out")  # where it is not asked for, it is said
    assert made.onnx is None
    assert "why" in made.without_onnx
    assert set(made.files) == FILES


def test_missing_packages_are_named(roomtrain: Roomtrain, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roomtrain.export.folder.missing_packages", lambda: ["onnxscript"])
    said = roomtrain("export", trained, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    assert "no ONNX: onnxscript is not installed: pip install 'roomgen[export]'" in said.out
    asked = roomtrain("export", trained, "--out", tmp_path / "other", "--onnx")
    assert asked.code == 1
    assert "--onnx needs onnxscript: pip install 'roomgen[export]'" in asked.err
    assert not (tmp_path / "other").exists()


def test_only_finished_runs_are_exported(trained: Path, tmp_path: Path) -> None:
    half = shutil.copytree(trained, tmp_path / "half", ignore=shutil.ignore_patterns("results.json"))
    for run, names in ((half, "is not finished"), (tmp_path / "nothing", "is not a run")):
        with pytest.raises(RoomtrainError) as caught:
            export(run, onnx=False)
        assert_one_line(caught.value, names=names)
    with pytest.raises(RoomtrainError, match="license 'MIT License'"):
        export(trained, out=tmp_path / "out", license_id="MIT License")


def test_the_commands_make_an_export_and_hear_with_it(roomtrain: Roomtrain, trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    said = roomtrain("export", run, "--no-onnx", "--json")
    assert said.code == 0, said.err
    made = json.loads(said.out)
    assert made["folder"] == str(tmp_path / "run-export")
    assert (made["onnx"], made["without_onnx"]) == (None, "not asked for")
    assert set(made["files"]) == FILES
    soundfile.write(tmp_path / "a.wav", recording(), 16000)
    heard = [roomtrain("embed", path, tmp_path / "a.wav", "--device", "cpu", "--json") for path in (run, made["folder"])]
    assert heard[0].code == heard[1].code == 0, heard[1].err
    assert heard[0].out == heard[1].out
    again = roomtrain("export", run, "--no-onnx")
    assert again.code == 2
    assert again.err.count("\n") == 1
