"""Sources, renders, arrays, devices and papers on the command line: what works, and every mistake as one line."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from roomgen.cli import app
from roomgen.errors import RoomgenError

FS_HZ = 16000


def roomgen(*arguments):
    """Run in a process of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "roomgen.cli", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )


def invoke(*arguments):
    """Run in this process: (exit code, text); an error of roomgen's is what ``roomgen.cli.main`` would print as one line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, RoomgenError):
        return result.exception.exit_code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings of six classes, two each; one file that is no audio and one that is silent."""
    root = tmp_path_factory.mktemp("corpus") / "mine"
    rng = np.random.default_rng(0)
    for i in range(12):
        path = root / f"class{i % 6}" / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(FS_HZ), FS_HZ)
    (root / "text.wav").write_text("no audio at all")
    soundfile.write(root / "silent.wav", np.zeros(FS_HZ), FS_HZ)
    return root


@pytest.fixture(scope="module")
def parts(folder, tmp_path_factory):
    """Sources, rooms, arrays and devices in the splits train and test, made by their commands."""
    root = tmp_path_factory.mktemp("parts")
    splits = ("--splits", "train=0.5,test=0.5", "--workers", 0)
    small = ("--n", 2, "--rirs-per-room", 2, "--set", "walls.absorption=0.8", "--duration", 0.1, *splits)
    made = (
        ("sources", "folder", "--root", folder, "--segment", 0.4, "--max-broken", 0.2, *splits, "--out", root / "sources"),
        ("rooms", "--preset", "goetz", *small, "--out", root / "rooms"),
        ("arrays", "--array", "circular4:0.05", *small, "--out", root / "arrays"),
        ("devices", "recorders", "--fs", FS_HZ, "--workers", 0, "--out", root / "devices"),
    )
    for arguments in made:
        code, text = invoke(*arguments)
        assert code == 0, text
    return root


def test_sources_and_renders_from_commands_to_verify_inspect_and_replay(folder, parts, tmp_path):
    out = tmp_path / "renders"
    result = roomgen(
        *("render", "--sources", parts / "sources", "--rirs", parts / "rooms", "--devices", parts / "devices", "--snr", "10:20"),
        *("--per-source", 2, "--clean", "--workers", 0, "--out", out, "--json"),
    )
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["samples"] == 2 * 12 * 3  # of 1 s: two segments of 0.4 s and the half one that is left
    assert invoke("verify", out, "--deep")[0] == 0
    assert "renders" in invoke("inspect", out)[1]
    import pandas as pd

    key = pd.read_parquet(out / "manifest.parquet").key[5]
    code, text = invoke("replay", out, key)
    assert code == 0
    assert "the same to the last bit" in text


@pytest.mark.parametrize("name", ["sources", "rooms", "arrays", "devices"])
def test_every_family_is_verified_and_replayed(parts, name):
    import pandas as pd

    code, text = invoke("verify", parts / name, "--deep")
    assert code == 0, text
    code, text = invoke("replay", parts / name, pd.read_parquet(parts / name / "manifest.parquet").key[0])
    assert code == 0, text


def test_the_summary_counts_and_names_what_was_left_out(parts, folder):
    code, text = invoke("inspect", parts / "sources")
    assert code == 0
    assert "left out" in text
    assert "text.wav" in text
    assert "silent.wav" in text
    assert str(folder) not in (parts / "sources" / "README.md").read_text(encoding="utf-8")


def test_dry_run_names_unreadable_files_and_writes_nothing(folder, tmp_path):
    out = tmp_path / "out"
    code, text = invoke("sources", "folder", "--root", folder, "--segment", 0.4, "--dry-run", "--out", out, "--json")
    plan = json.loads(text)
    assert code == 0
    assert plan["files"] == 14
    assert plan["samples"] == 13 * 3
    assert [name for name, _ in plan["broken"]] == ["text.wav"]
    assert not out.exists()


def test_a_mistake_is_one_line_on_stderr_and_no_traceback(folder, tmp_path):
    """The whole way once, through a process; the table below asks for the same errors in this one."""
    result = roomgen("sources", "folder", "--root", folder, "--out", tmp_path / "out", "--workers", 0)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith("roomgen: 1 of 14 input files cannot be read, more than --max-broken 0.01 allows: text.wav")
    assert result.stdout == ""


SOURCES = ("sources", "folder", "--root", "{folder}", "--max-broken", 0.5, "--workers", 0, "--out", "{out}")
ARRAYS = ("arrays", "--n", 1, "--rirs-per-room", 1, "--workers", 0, "--out", "{out}")
RENDER = ("render", "--sources", "{parts}/sources", "--workers", 0, "--out", "{out}")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("sources", "folder", "--root", "{parts}/nowhere", "--out", "{out}"), 2, "nowhere is not a folder"),
        (("sources", "librispeech", "--root", "{folder}", "--out", "{out}"), 2, "It should look like this: SPEAKERS.TXT"),
        (("sources", "librispeech", "--out", "{out}"), 2, "needs --root DIR"),
        (("sources", "espeak", "--root", "{folder}", "--out", "{out}"), 2, "leave --root away"),
        (("sources", "libispeech", "--out", "{out}"), 2, "Did you mean 'librispeech'"),
        ((*SOURCES, "--segment", 5, "--short", "drop"), 2, "no recording that lasts for a segment of 5 s"),
        ((*SOURCES, "--short", "stretch"), 2, "--short 'stretch'"),
        ((*SOURCES, "--subset", "train"), 2, "has no subset train"),
        ((*SOURCES, "--segment", 0.4, "--overlap", 1), 2, "--overlap 1.0: must be at least 0 and less than 1"),
        ((*SOURCES, "--overlap", 0.5), 2, "needs segments, and recordings stay whole"),
        ((*SOURCES, "--root", "{parts}"), 2, "folder takes 1 folder, and --root gives 2"),
        ((*SOURCES, "--count", 5), 2, "--count is for embedded corpora"),
        ((*SOURCES, "--set", "corpus_seed=x"), 2, "corpus_seed 'x'"),
        ((*SOURCES, "--splits", "train=half"), 2, "--splits"),
        ((*SOURCES, "--workers", -1), 2, "--workers -1"),
        (("sources", "synthetic", "--count", 0, "--out", "{out}"), 2, "--count 0"),
        (("sources", "folder", "--root", "{folder}"), 2, "--out is missing"),
        ((*ARRAYS, "--array", "circular4:9"), 2, "array"),
        ((*ARRAYS, "--array", "{parts}/none.csv"), 2, "none.csv"),
        ((*ARRAYS, "--array", "star"), 2, "star"),
        (("arrays", "--panorama", "192", "--out", "{out}"), 2, "HEIGHTxWIDTH"),
        ((*RENDER,), 2, "nothing to render with"),
        ((*RENDER, "--rirs", "{parts}/nowhere"), 1, "nowhere does not exist"),
        ((*RENDER, "--rirs", "{folder}"), 1, "holds no dataset"),
        ((*RENDER, "--rirs", "{parts}/devices"), 2, "is a dataset of devices: give one of rooms"),
        ((*RENDER, "--rirs", "{parts}/rooms", "--snr", "loud"), 2, "--snr 'loud'"),
        ((*RENDER, "--rirs", "{parts}/rooms", "--snr", "20:10"), 2, "snr_db [20.0, 10.0] must be finite and rise"),
        ((*RENDER, "--rirs", "{parts}/rooms", "--bits", 8), 2, "--bits 8"),
        ((*RENDER, "--rirs", "{parts}/rooms", "--per-source", 0), 2, "--per-source 0"),
        (("devices", "microphones", "--set", "n_samples=10", "--out", "{out}"), 2, "n_samples 10"),
        (("devices", "folder", "--root", "{parts}/nowhere", "--out", "{out}"), 2, "nowhere is not a folder"),
        (("rooms", "--plan", "{parts}/none.parquet", "--out", "{out}"), 2, "none.parquet does not exist"),
        (("paper", "revrri", "--out", "{out}"), 2, "Did you mean 'revrir'"),
        (("paper", "revrir"), 2, "--out is missing"),
        (("paper", "revrir", "--scale", 0, "--out", "{out}"), 2, "--scale 0 is outside"),
        (
            ("paper", "goetz", "--speech", "{parts}/nowhere", "--out", "{out}"),
            2,
            "nowhere is not a folder: give one that holds librispeech",
        ),
        (("paper", "goetz", "--speech", "{folder}", "--speech", "{folder}", "--out", "{out}"), 2, "is the same folder as --speech"),
        (("paper", "goetz", "--overlap", 1.5, "--out", "{out}"), 2, "--overlap 1.5 must be at least 0 and less than 1"),
        (("bench", "render2"), 2, "Did you mean 'render'"),
    ],
)
def test_a_mistake_is_one_error_and_leaves_nothing_behind(parts, folder, tmp_path, arguments, code, message):
    out = tmp_path / "out"
    filled = [str(argument).format(parts=parts, folder=folder, out=out) for argument in arguments]
    found, text = invoke(*filled)
    assert message in text
    assert found == code
    assert "\n" not in text.strip()
    assert not out.exists()


def test_sources_of_several_corpora_and_with_an_overlap_come_from_one_command(folder, tmp_path):
    rng = np.random.default_rng(1)
    for i in range(4):
        path = tmp_path / "LibriSpeech" / "dev-clean" / f"{i}" / "7" / f"{i}-7-0000.flac"
        path.parent.mkdir(parents=True)
        soundfile.write(path, 0.1 * rng.standard_normal(FS_HZ), FS_HZ)
    result = roomgen(
        *(
            "sources",
            "librispeech+folder",
            "--root",
            tmp_path / "LibriSpeech",
            "--root",
            folder,
            "--segment",
            0.5,
            "--overlap",
            0.5,
        ),
        *("--max-broken", 0.5, "--workers", 0, "--out", tmp_path / "out", "--json"),
    )
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["samples"] == (4 + 12) * 3
    assert {name.split("/")[0] for name, _ in summary["broken_files"]} == {"folder"}
    assert invoke("verify", tmp_path / "out", "--deep")[0] == 0
    code, text = invoke("replay", tmp_path / "out", "librispeech-3-7-0000-0002")
    assert (code, "the same to the last bit" in text) == (0, True), text


def test_responses_of_wrong_length_or_none_are_left_out_and_named(tmp_path):
    (tmp_path / "dirs").mkdir()
    rng = np.random.default_rng(0)
    for name, samples in (("long", 9000), ("short", 20), ("fine", 1024)):
        soundfile.write(tmp_path / "dirs" / f"{name}.wav", 0.1 * rng.standard_normal(samples), 32000)
    soundfile.write(tmp_path / "dirs" / "none.wav", np.zeros(0), 32000)
    arguments = ("devices", "folder", "--root", tmp_path / "dirs", "--splits", "train=1", "--workers", 0, "--out", tmp_path / "out")
    code, text = invoke(*arguments)
    assert code == 1
    assert "none.wav: holds no samples" in text
    code, text = invoke(*arguments, "--max-broken", 0.3, "--json", "--overwrite")
    assert code == 0, text
    summary = json.loads(text[text.index("{") :])
    assert summary["samples"] == 3
    assert [name for name, _ in summary["broken_files"]] == ["none.wav"]


def test_plans_are_written_and_used(tmp_path):
    code, text = invoke("paper", "goetz", "--scale", 0.01, "--write-plans", tmp_path / "plans")
    assert code == 0, text
    assert "goetz-upstream-rirs.parquet: 8 rooms" in text
    plan = tmp_path / "plans" / "goetz-upstream-rirs.parquet"
    small = ("--rirs-per-room", 1, "--duration", 0.1, "--workers", 0)
    code, text = invoke("rooms", "--plan", plan, *small, "--out", tmp_path / "out", "--json")
    assert code == 0, text
    assert json.loads(text[text.index("{") :])["rooms"] == 8
    settings = json.loads((tmp_path / "out" / "dataset.json").read_text())["settings"]
    assert (settings["preset"], settings["seed"]) == ("goetz", 1)
    code, text = invoke("rooms", "--preset", "revrir", "--n", 3, "--write-plan", tmp_path / "three.parquet")
    assert code == 0
    assert "3 rooms" in text


def test_corpora_lists_all_with_licence_and_layout():
    code, text = invoke("corpora")
    assert code == 0
    for name in ("librispeech", "speechocean762", "fsdnoisy18k", "tau2022", "espeak", "synthetic", "folder"):
        assert f"{name}: " in text
    assert "licence" in text
